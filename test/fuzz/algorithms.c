/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * algorithms.c
 *		One key through any sequence of calls, limits and clocks: what every answer
 *		must be whatever came before.
 */
#include "bytes.h"

#include "limits/algorithms.h"

#define LATEST_US (INT64_C(253402300800) * 1000000)	/* the year 10000 */

typedef struct Session
{
	Bytes		bytes;
	LimitSpec	spec;
	LimitUse	use;
	LimitLog	log;
	int64_t		now_us;
	int64_t		at_once;		/* units admitted since the clock or the limit moved */
	int64_t		returned;		/* units given back in that time */
} Session;

/* ---- choices ---- */

static LimitSpec
choose_spec(Bytes *bytes)
{
	LimitSpec	spec;
	LimitAlgorithm algorithm;
	int64_t		max_hits;
	int64_t		per_us;
	int64_t		burst = -1;

	do
	{
		algorithm = (LimitAlgorithm) (LIMIT_GCRA + bytes_one(bytes) % 5);
		max_hits = bytes_number(bytes, algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : LIMIT_MAX_HITS);
		per_us = 1 + bytes_number(bytes, LIMIT_MAX_PER_US - 1);
		if (algorithm == LIMIT_GCRA && bytes_one(bytes) % 2)
			burst = 1 + bytes_number(bytes, LIMIT_MAX_HITS - 1);
	} while (limit_spec_make(&spec, algorithm, max_hits, per_us, burst) != LIMIT_SPEC_OK &&
			 bytes->left > 0);
	if (limit_spec_make(&spec, algorithm, max_hits, per_us, burst) != LIMIT_SPEC_OK)
		limit_spec_make(&spec, LIMIT_GCRA, 7, 1000, -1);
	return spec;
}

static int64_t
choose_cost(Session *s)
{
	if (bytes_one(&s->bytes) % 16 == 0)
		return bytes_number(&s->bytes, INT64_MAX);
	return bytes_number(&s->bytes, limit_capacity(&s->spec) + 1);
}

/* ---- what must hold ---- */

static LimitVerdict
judge(const Session *s, int64_t now_us, int64_t cost)
{
	LimitUse	use = s->use;
	LimitLog	log = s->log;
	LimitVerdict verdict;

	limit_settle(&s->spec, &use, &log, now_us);
	limit_judge(&s->spec, &use, &log, now_us, cost, &verdict);
	return verdict;
}

static void
must_be_sane(const Session *s)
{
	LimitVerdict verdict = judge(s, s->now_us, 1);
	int64_t		capacity = limit_capacity(&s->spec);

	must(verdict.remaining >= 0 && verdict.remaining <= capacity);
	must(verdict.allowed == (verdict.remaining >= 1));
	must(verdict.never == (capacity == 0));
	must(verdict.reset_us >= s->now_us);
	must(limit_next_unit_us(&s->spec, verdict.reset_us, s->now_us) >= 0);
	must(limit_next_unit_us(&s->spec, verdict.reset_us, s->now_us) <= verdict.reset_us - s->now_us);
}

/* It says when: then the same cost passes, and not a microsecond before. */
static void
must_pass_at_retry(const Session *s, int64_t cost, int64_t retry_us)
{
	must(retry_us > s->now_us);
	must(judge(s, retry_us, cost).allowed);
	must(!judge(s, retry_us - 1, cost).allowed);
}

static void
start_instant(Session *s)
{
	s->at_once = s->returned = 0;
}

/* ---- steps ---- */

/* The hot path answers and stores the same as the calls it stands for. */
static void
must_hit_alike(const Session *s, int64_t cost, int64_t remaining)
{
	LimitUse	use = s->use;
	LimitUse	want = s->use;
	LimitLog	log = s->log;

	if (s->spec.algorithm == LIMIT_SLIDING_LOG)
		return;
	limit_settle(&s->spec, &want, &log, s->now_us);
	if (cost <= remaining)
		limit_take(&s->spec, &want, &log, s->now_us, cost);
	must(limit_hit(&s->spec, &use, s->now_us, cost) == remaining);
	must(use.a == want.a && use.b == want.b);
}

static void
do_hit(Session *s)
{
	int64_t		cost = choose_cost(s);
	int64_t		wanted = cost > 0 ? cost : 1;
	LimitVerdict verdict = judge(s, s->now_us, cost);

	must_hit_alike(s, cost, verdict.remaining);
	must(verdict.allowed == (wanted <= verdict.remaining));
	must(verdict.never == (wanted > limit_capacity(&s->spec)));
	if (verdict.allowed || verdict.never)
		must(verdict.retry_us == 0);
	else
		must_pass_at_retry(s, wanted, verdict.retry_us);
	if (!verdict.allowed)
		return;
	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	limit_take(&s->spec, &s->use, &s->log, s->now_us, cost);
	must(judge(s, s->now_us, 1).remaining == verdict.remaining - cost);
	s->at_once += cost;
	must(s->at_once - s->returned <= limit_capacity(&s->spec));
}

static void
do_give(Session *s)
{
	int64_t		cost = choose_cost(s);
	int64_t		before = judge(s, s->now_us, 1).remaining;
	int64_t		after;

	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	limit_give(&s->spec, &s->use, &s->log, s->now_us, cost);
	after = judge(s, s->now_us, 1).remaining;
	must(after >= before && after - before <= cost);
	s->returned += after - before;
}

/* count_denied: what has no room is counted too, as far as the algorithm can. */
static void
do_force(Session *s)
{
	int64_t		cost = choose_cost(s);
	int64_t		before = judge(s, s->now_us, 1).remaining;
	int64_t		after;

	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	limit_take(&s->spec, &s->use, &s->log, s->now_us, cost);
	after = judge(s, s->now_us, 1).remaining;
	must(after == (cost < before ? before - cost : 0));
}

static void
do_forward(Session *s)
{
	int64_t		step_us = bytes_one(&s->bytes) % 2 ? bytes_number(&s->bytes, 4 * s->spec.per_us) :
		bytes_number(&s->bytes, LIMIT_MAX_PER_US);

	if (step_us == 0 || step_us > LATEST_US - s->now_us)
		return;
	s->now_us += step_us;
	start_instant(s);
}

/*
 * Back: nothing is won, and nobody is locked out for longer than a full key is.
 * But what a lowered limit left over full has no such end.
 */
static void
do_back(Session *s)
{
	int64_t		step_us = bytes_number(&s->bytes, s->now_us - 1);
	int64_t		before;
	bool		over_full;
	LimitVerdict after;

	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	before = judge(s, s->now_us, 1).remaining;
	over_full = s->spec.algorithm == LIMIT_GCRA && s->use.b < 0;
	s->now_us -= step_us;
	after = judge(s, s->now_us, 1);
	must(after.remaining <= before);
	must(s->spec.algorithm == LIMIT_GCRA || after.retry_us <= s->now_us + 2 * s->spec.per_us);
	must(s->spec.algorithm != LIMIT_GCRA || over_full ||
		 after.retry_us <= s->now_us + s->spec.per_us / (s->spec.max_hits + (s->spec.max_hits == 0)) + 1);
	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	start_instant(s);
}

/* Units used stay used: never more is left than the new limit less those. */
static void
do_convert(Session *s)
{
	LimitSpec	to = choose_spec(&s->bytes);
	bool		same_window = to.algorithm == s->spec.algorithm &&
		(to.algorithm == LIMIT_FIXED_WINDOW || to.algorithm == LIMIT_SLIDING_LOG);
	int64_t		used;
	int64_t		left;

	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	used = limit_used(&s->spec, &s->use, &s->log, s->now_us);
	limit_convert(&s->spec, &to, &s->use, &s->log, s->now_us);
	s->spec = to;
	left = limit_capacity(&to) > used ? limit_capacity(&to) - used : 0;
	if (same_window)
		must(judge(s, s->now_us, 1).remaining >= left);
	else
		must(judge(s, s->now_us, 1).remaining == left);
	start_instant(s);
}

/*
 * A state as a damaged file may hold it, as far as the store does not drop it:
 * nothing to promise but to stay within the limit.
 */
static void
do_damage(Session *s)
{
	s->use.a = (int64_t) (bytes_word(&s->bytes, 8) >> 1);
	s->use.b = (int64_t) bytes_word(&s->bytes, 8);
	if (s->spec.algorithm == LIMIT_FIXED_WINDOW || s->spec.algorithm == LIMIT_CALENDAR_WINDOW)
		s->use.b &= INT64_MAX;
	s->log.n = bytes_one(&s->bytes) % (LIMIT_LOG_MAX + 1);
	for (int i = 0; i < s->log.n; i++)
		s->log.at_us[i] = bytes_number(&s->bytes, INT64_MAX);
	must_be_sane(s);
	limit_settle(&s->spec, &s->use, &s->log, s->now_us);
	limit_take(&s->spec, &s->use, &s->log, s->now_us, choose_cost(s));
	must_be_sane(s);
	limit_give(&s->spec, &s->use, &s->log, s->now_us, choose_cost(s));
	must_be_sane(s);
	s->spec = choose_spec(&s->bytes);
	memset(&s->use, 0, sizeof(s->use));
	memset(&s->log, 0, sizeof(s->log));
	start_instant(s);
}

static void
step(Session *s)
{
	switch (bytes_one(&s->bytes) % 16)
	{
		default:
			do_hit(s);
			break;
		case 8:
		case 9:
		case 10:
			do_forward(s);
			break;
		case 11:
			do_back(s);
			break;
		case 12:
			do_give(s);
			break;
		case 13:
			do_force(s);
			break;
		case 14:
			do_convert(s);
			break;
		case 15:
			do_damage(s);
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Session s;

	memset(&s, 0, sizeof(s));
	s.bytes = (Bytes) {data, size};
	s.spec = choose_spec(&s.bytes);
	s.now_us = 2 * LIMIT_MAX_PER_US + bytes_number(&s.bytes, LATEST_US / 2);
	must_be_sane(&s);
	while (s.bytes.left > 0)
	{
		step(&s);
		must_be_sane(&s);
	}
	return 0;
}
