/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * convert.c
 *		A limit that changes under a key that is in use: units used stay used,
 *		raising never refuses who had room, and what has ended stays ended.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

static const LimitAlgorithm all[] = {
	LIMIT_GCRA, LIMIT_FIXED_WINDOW, LIMIT_CALENDAR_WINDOW, LIMIT_SLIDING_WINDOW, LIMIT_SLIDING_LOG
};

#define N_ALL ((int) (sizeof(all) / sizeof(all[0])))

/* The start of an hour, a minute and a second: windows do not end during these tests. */
#define BORDER_US (START_US / DAY_US * DAY_US)

static void
convert(const LimitSpec *from, const LimitSpec *to, Key *key, int64_t now_us)
{
	limit_convert(from, to, &key->use, &key->log, now_us);
}

static int64_t
used(const LimitSpec *spec, const Key *key, int64_t now_us)
{
	Key			copy;

	copy_key(&copy, key);
	settle(spec, &copy, now_us);
	return limit_used(spec, &copy.use, &copy.log, now_us);
}

/* redis-cell#54: 10 per 20 s with 4 used is raised to 16: the 5th hit leaves 11. */
static void
test_redis_cell_54(LimitAlgorithm algorithm, int64_t per_to_us)
{
	LimitSpec	from = make_spec(algorithm, 10, 20 * SECOND_US, ANY_BURST);
	LimitSpec	to = make_spec(algorithm, 16, per_to_us, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 4; i++)
		hit(&from, &key, BORDER_US, 1);
	convert(&from, &to, &key, BORDER_US);
	verdict = hit(&to, &key, BORDER_US, 1);
	ok(verdict.allowed && verdict.remaining == 11,
	   "%s: 10/20s raised to 16/%" PRId64 "s after 4 hits leaves %" PRId64,
	   limit_algorithm_name(algorithm), per_to_us / SECOND_US, verdict.remaining);
}

/* The same report: 1000 per 20 s was refused with 4 of 10 used. */
static void
test_raise_to_a_thousand(void)
{
	LimitSpec	from = make_spec(LIMIT_GCRA, 10, 20 * SECOND_US, ANY_BURST);
	LimitSpec	to = make_spec(LIMIT_GCRA, 1000, 20 * SECOND_US, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 4; i++)
		hit(&from, &key, START_US, 1);
	convert(&from, &to, &key, START_US);
	verdict = hit(&to, &key, START_US, 1);
	ok(verdict.allowed && verdict.remaining == 995 && verdict.reset_us == START_US + 100000,
	   "gcra: raised to 1000, the 5th hit leaves %" PRId64 " and is back in %" PRId64 " us",
	   verdict.remaining, verdict.reset_us - START_US);
}

/* Lowered below what is in use: nothing is left, and what is in use stays so when it is raised again. */
static void
test_lower_and_raise(LimitAlgorithm algorithm)
{
	LimitSpec	ten = make_spec(algorithm, 10, 20 * SECOND_US, ANY_BURST);
	LimitSpec	four = make_spec(algorithm, 4, 20 * SECOND_US, ANY_BURST);
	LimitVerdict lowered;
	Key			key;

	clear_key(&key);
	hit(&ten, &key, BORDER_US, 8);
	convert(&ten, &four, &key, BORDER_US);
	lowered = hit(&four, &key, BORDER_US, 1);
	ok(!lowered.allowed && lowered.remaining == 0, "%s: 8 of 10 used, lowered to 4, leaves none",
	   limit_algorithm_name(algorithm));
	convert(&four, &ten, &key, BORDER_US);
	ok(remaining(&ten, &key, BORDER_US) == 2, "%s: and raised again, %" PRId64,
	   limit_algorithm_name(algorithm), remaining(&ten, &key, BORDER_US));
}

/* 8 units in use at 4 per 20 s: the fifth of them is paid back after 25 s, and only then one fits. */
static void
test_lowered_gcra(void)
{
	LimitSpec	ten = make_spec(LIMIT_GCRA, 10, 20 * SECOND_US, ANY_BURST);
	LimitSpec	four = make_spec(LIMIT_GCRA, 4, 20 * SECOND_US, ANY_BURST);
	LimitVerdict lowered;
	Key			key;

	clear_key(&key);
	hit(&ten, &key, START_US, 8);
	convert(&ten, &four, &key, START_US);
	lowered = peek(&four, &key, START_US, 1);
	ok(lowered.retry_us - START_US == 25 * SECOND_US && lowered.reset_us - START_US == 40 * SECOND_US,
	   "gcra: lowered, one fits in %" PRId64 " us, full in %" PRId64, lowered.retry_us - START_US,
	   lowered.reset_us - START_US);
	take(&four, &key, START_US, 3);
	ok(peek(&four, &key, START_US, 1).retry_us == lowered.retry_us, "gcra: counting more adds nothing");
	give(&four, &key, START_US, 8);
	ok(remaining(&four, &key, START_US) == 4, "gcra: given back, all is there");
}

/* A clock that steps back adds to what stands over full; it must stay a number of units there can be. */
static void
test_lowered_and_stepped_back(void)
{
	LimitSpec	many = make_spec(LIMIT_GCRA, LIMIT_MAX_HITS, 1, ANY_BURST);
	LimitSpec	fewer = make_spec(LIMIT_GCRA, LIMIT_MAX_HITS - 1, 1, ANY_BURST);
	int64_t		now_us = 6 * LIMIT_MAX_PER_US;
	Key			key;

	clear_key(&key);
	hit(&many, &key, now_us, LIMIT_MAX_HITS);
	convert(&many, &fewer, &key, now_us);
	now_us -= LIMIT_MAX_PER_US;
	ok(used(&fewer, &key, now_us) == LIMIT_MAX_HITS && remaining(&fewer, &key, now_us) == 0,
	   "gcra: lowered, ten years back, %" PRId64 " in use", used(&fewer, &key, now_us));
}

/* ---- any spec to any other ---- */

static LimitSpec
random_spec(Random *random, LimitAlgorithm algorithm)
{
	static const int64_t pers[] = {1, 10, 97, SECOND_US, 7 * SECOND_US, HOUR_US, LIMIT_MAX_PER_US};
	int64_t		most = algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : LIMIT_MAX_HITS;
	int64_t		max_hits = random_once_in(random, 2) ? random_in(random, 1, 20) :
		1 + random_scaled(random, most - 1);
	int64_t		burst = ANY_BURST;

	max_hits = max_hits > most ? most : max_hits;
	if (algorithm == LIMIT_GCRA && random_once_in(random, 2))
		burst = random_in(random, 1, max_hits);
	return make_spec(algorithm, max_hits, pers[random_in(random, 0, 6)], burst);
}

static int64_t
use_a_little(Random *random, const LimitSpec *spec, Key *key)
{
	int64_t		now_us = 2 * LIMIT_MAX_PER_US + random_in(random, 0, spec->per_us);
	int64_t		hits = random_in(random, 0, 12);

	clear_key(key);
	for (int64_t i = 0; i < hits; i++)
	{
		now_us += random_once_in(random, 2) ? 0 : random_in(random, 0, spec->per_us / 9);
		hit(spec, key, now_us, 1 + random_scaled(random, limit_capacity(spec)));
	}
	return now_us;
}

/* Where the state is kept as it is, a shorter per may have ended what the longer still counted. */
static bool
may_end_early(const LimitSpec *from, const LimitSpec *to)
{
	return from->algorithm == to->algorithm && to->per_us < from->per_us &&
		(to->algorithm == LIMIT_FIXED_WINDOW || to->algorithm == LIMIT_SLIDING_LOG);
}

static void
check_conversion(Random *random, const LimitSpec *from, const LimitSpec *to)
{
	Key			key;
	int64_t		now_us = use_a_little(random, from, &key);
	int64_t		before = used(from, &key, now_us);
	int64_t		want = limit_capacity(to) > before ? limit_capacity(to) - before : 0;
	LimitVerdict after;

	convert(from, to, &key, now_us);
	after = peek(to, &key, now_us, 1);
	if (may_end_early(from, to))
		check(after.remaining >= want, "%" PRId64 ", want at least %" PRId64, after.remaining, want);
	else
		check(after.remaining == want, "%" PRId64 " of %" PRId64 ", %" PRId64 " used",
			  after.remaining, limit_capacity(to), before);
	check(after.allowed || (passes(to, &key, after.retry_us, 1) &&
							!passes(to, &key, after.retry_us - 1, 1)), "retry");
	check(after.reset_us >= now_us, "reset in the past");
}

static void
test_conversions(LimitAlgorithm from, LimitAlgorithm to)
{
	Random		random = {(uint64_t) (from * 10 + to)};
	char		name[96];

	snprintf(name, sizeof(name), "%s to %s: units used stay used", limit_algorithm_name(from),
			 limit_algorithm_name(to));
	property_begin(name);
	for (int i = 0; i < 20000; i++)
	{
		LimitSpec	from_spec = random_spec(&random, from);
		LimitSpec	to_spec = random_spec(&random, to);

		check_conversion(&random, &from_spec, &to_spec);
	}
	property_end();
}

/* A raised limit admits whoever had room for a unit; raised, here, is more hits, more burst, or both. */
static void
test_raise_never_refuses(LimitAlgorithm algorithm)
{
	Random		random = {(uint64_t) algorithm};
	char		name[96];

	snprintf(name, sizeof(name), "%s: raising never refuses", limit_algorithm_name(algorithm));
	property_begin(name);
	for (int i = 0; i < 30000; i++)
	{
		LimitSpec	from = random_spec(&random, algorithm);
		LimitSpec	to = from;
		Key			key;
		int64_t		now_us = use_a_little(&random, &from, &key);
		int64_t		before = remaining(&from, &key, now_us);
		int64_t		most = algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : LIMIT_MAX_HITS;

		to.max_hits += random_scaled(&random, most - to.max_hits);
		to.burst = algorithm == LIMIT_GCRA ? to.burst + random_scaled(&random, to.max_hits - to.burst) :
			to.max_hits;
		convert(&from, &to, &key, now_us);
		check(remaining(&to, &key, now_us) - before == limit_capacity(&to) - limit_capacity(&from),
			  "%" PRId64 " from %" PRId64, remaining(&to, &key, now_us), before);
	}
	property_end();
}

/* There and back again is no way to win units. */
static void
test_back_and_forth(void)
{
	Random		random = {54};

	property_begin("there and back: no unit is won");
	for (int i = 0; i < 100000; i++)
	{
		LimitSpec	one = random_spec(&random, all[random_in(&random, 0, N_ALL - 1)]);
		LimitSpec	other = one;
		Key			key;
		int64_t		now_us = use_a_little(&random, &one, &key);
		int64_t		before = remaining(&one, &key, now_us);

		other.per_us = one.per_us < LIMIT_MAX_PER_US ? one.per_us * 7 : one.per_us;
		convert(&one, &other, &key, now_us);
		convert(&other, &one, &key, now_us);
		check(remaining(&one, &key, now_us) == before, "%s: %" PRId64 " from %" PRId64,
			  limit_algorithm_name(one.algorithm), remaining(&one, &key, now_us), before);
	}
	property_end();
}

/* ---- windows that ended ---- */

/* Ended under 1 minute; an hour must not count it again. */
static void
test_no_revival(LimitAlgorithm algorithm)
{
	LimitSpec	from = make_spec(algorithm, 5, MINUTE_US, ANY_BURST);
	LimitSpec	to = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	int64_t		ended_us = BORDER_US + 2 * MINUTE_US;
	Key			key;

	clear_key(&key);
	hit(&from, &key, BORDER_US, 5);
	convert(&from, &to, &key, ended_us);
	ok(remaining(&to, &key, ended_us) == 5, "%s: a longer per does not revive what ended",
	   limit_algorithm_name(algorithm));
}

/* 10 minutes into an hour, full: under 5 minutes a window and a log have ended. */
static void
test_shorter_per(LimitAlgorithm algorithm)
{
	LimitSpec	from = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	LimitSpec	to = make_spec(algorithm, 5, 5 * MINUTE_US, ANY_BURST);
	int64_t		now_us = BORDER_US + 10 * MINUTE_US;
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	hit(&from, &key, BORDER_US, 5);
	convert(&from, &to, &key, now_us);
	verdict = peek(&to, &key, now_us, 1);
	ok(verdict.allowed || verdict.retry_us <= now_us + 5 * MINUTE_US + 1,
	   "%s: a shorter per locks for no more than itself", limit_algorithm_name(algorithm));
}

/* ---- the edges ---- */

static void
test_limit_of_zero(LimitAlgorithm algorithm)
{
	LimitSpec	some = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	LimitSpec	none = make_spec(algorithm, 0, HOUR_US, ANY_BURST);
	LimitVerdict closed;
	LimitVerdict open;
	Key			key;

	clear_key(&key);
	hit(&some, &key, BORDER_US, 2);
	convert(&some, &none, &key, BORDER_US);
	closed = hit(&none, &key, BORDER_US, 1);
	convert(&none, &some, &key, BORDER_US);
	open = hit(&some, &key, BORDER_US, 1);
	ok(!closed.allowed && closed.never && closed.remaining == 0 && closed.retry_us == 0,
	   "%s: lowered to 0 refuses for good", limit_algorithm_name(algorithm));
	ok(open.allowed && open.remaining >= 2, "%s: raised from 0 admits", limit_algorithm_name(algorithm));
}

/* Four thousand million units in use do not fit a limit of one per ten years: it is full, no more. */
static void
test_huge(LimitAlgorithm from_algorithm, LimitAlgorithm to_algorithm)
{
	int64_t		many = from_algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : LIMIT_MAX_HITS;
	LimitSpec	from = make_spec(from_algorithm, many, LIMIT_MAX_PER_US, ANY_BURST);
	LimitSpec	to = make_spec(to_algorithm, 1, LIMIT_MAX_PER_US, ANY_BURST);
	int64_t		now_us = 6 * LIMIT_MAX_PER_US;
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	hit(&from, &key, now_us, many);
	convert(&from, &to, &key, now_us);
	verdict = peek(&to, &key, now_us, 1);
	ok(!verdict.allowed && verdict.retry_us > now_us &&
	   verdict.retry_us <= now_us + (to_algorithm == LIMIT_GCRA && from_algorithm == LIMIT_GCRA ?
									 LIMIT_MAX_DRAIN_US : 2 * LIMIT_MAX_PER_US),
	   "%s to %s: all of the largest to the least, back in %" PRId64 " us",
	   limit_algorithm_name(from_algorithm), limit_algorithm_name(to_algorithm),
	   verdict.retry_us - now_us);
}

int
main(void)
{
	for (int a = 0; a < N_ALL; a++)
	{
		test_redis_cell_54(all[a], 20 * SECOND_US);
		test_redis_cell_54(all[a], 40 * SECOND_US);
		test_lower_and_raise(all[a]);
		test_raise_never_refuses(all[a]);
		test_no_revival(all[a]);
		test_shorter_per(all[a]);
		test_limit_of_zero(all[a]);
		for (int b = 0; b < N_ALL; b++)
		{
			test_conversions(all[a], all[b]);
			test_huge(all[a], all[b]);
		}
	}
	test_lowered_gcra();
	test_lowered_and_stepped_back();
	test_raise_to_a_thousand();
	test_back_and_forth();
	return tap_done();
}
