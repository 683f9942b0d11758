/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * gcra.c
 *		gcra against a token bucket in exact fractions, and the moments it names.
 *
 * The model holds tokens as a fraction of per_us, in 128 bits: a microsecond
 * brings max_hits, a unit costs per_us, and nothing is ever rounded.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

#define STEPS 250000

typedef __int128 wide;

typedef struct Bucket
{
	const LimitSpec *spec;
	wide		tokens;
	int64_t		last_us;
} Bucket;

static wide
bucket_full(const Bucket *bucket)
{
	return (wide) bucket->spec->burst * bucket->spec->per_us;
}

static void
bucket_limit(Bucket *bucket)
{
	if (bucket->tokens > bucket_full(bucket))
		bucket->tokens = bucket_full(bucket);
	if (bucket->tokens < 0)
		bucket->tokens = 0;
}

/* A clock that steps back takes what it had brought; one that is full stays full. */
static void
bucket_advance(Bucket *bucket, int64_t now_us)
{
	if (bucket->tokens < bucket_full(bucket))
		bucket->tokens += (wide) (now_us - bucket->last_us) * bucket->spec->max_hits;
	bucket->last_us = now_us;
	bucket_limit(bucket);
}

static void
bucket_add(Bucket *bucket, int64_t units)
{
	bucket->tokens += (wide) units * bucket->spec->per_us;
	bucket_limit(bucket);
}

/* Whether the bucket holds so much, that many microseconds later. */
static bool
bucket_reaches(const Bucket *bucket, wide tokens, int64_t later_us)
{
	return bucket->tokens + (wide) later_us * bucket->spec->max_hits >= tokens;
}

static void
check_reset(const Bucket *bucket, int64_t reset_us)
{
	int64_t		later_us = reset_us - bucket->last_us;

	check(later_us >= 0 && bucket_reaches(bucket, bucket_full(bucket), later_us), "%" PRId64,
		  later_us);
	check(later_us == 0 || !bucket_reaches(bucket, bucket_full(bucket), later_us - 1), "%" PRId64,
		  later_us);
}

static void
check_retry(const Bucket *bucket, const Key *key, int64_t cost, int64_t retry_us)
{
	int64_t		later_us = retry_us - bucket->last_us;
	wide		tokens = (wide) cost * bucket->spec->per_us;

	check(later_us > 0 && bucket_reaches(bucket, tokens, later_us), "%" PRId64, later_us);
	check(!bucket_reaches(bucket, tokens, later_us - 1), "%" PRId64, later_us);
	check(passes(bucket->spec, key, retry_us, cost), "%" PRId64, later_us);
	check(!passes(bucket->spec, key, retry_us - 1, cost), "%" PRId64, later_us);
}

/* The hot path answers and stores what the three calls do, which were made already. */
static void
check_hot_path(const LimitSpec *spec, const Key *before, const Key *after, int64_t now_us, int64_t cost)
{
	LimitUse	use = before->use;
	int64_t		left = remaining(spec, before, now_us);

	check(limit_hit(spec, &use, now_us, cost) == left, "cost %" PRId64 " of %" PRId64, cost, left);
	check(use.a == after->use.a && use.b == after->use.b, "cost %" PRId64 " of %" PRId64, cost, left);
}

static void
check_hit(Bucket *bucket, Key *key, int64_t now_us, int64_t cost)
{
	const LimitSpec *spec = bucket->spec;
	int64_t		wanted = cost > 0 ? cost : 1;
	bool		allowed = (wide) wanted * spec->per_us <= bucket->tokens;
	LimitVerdict verdict;
	Key			before;

	copy_key(&before, key);
	verdict = hit(spec, key, now_us, cost);
	check_hot_path(spec, &before, key, now_us, cost);
	check(verdict.allowed == allowed, "cost %" PRId64, cost);
	check(verdict.never == (wanted > spec->burst), "cost %" PRId64, cost);
	if (allowed)
		bucket_add(bucket, -cost);
	check(verdict.remaining == (int64_t) (bucket->tokens / spec->per_us),
		  "%" PRId64 " after cost %" PRId64, verdict.remaining, cost);
	check_reset(bucket, verdict.reset_us);
	if (allowed || verdict.never)
		check(verdict.retry_us == 0, "%" PRId64, verdict.retry_us);
	else
		check_retry(bucket, key, wanted, verdict.retry_us);
}

static int64_t
random_step(Random *random, const LimitSpec *spec)
{
	int64_t		unit_us = spec->per_us / spec->max_hits;

	switch (random_in(random, 0, 9))
	{
		case 0:
		case 1:
			return random_in(random, 0, 3);
		case 2:
			return random_in(random, 0, spec->per_us);
		case 3:
			return -random_scaled(random, spec->per_us);
		case 4:
			return unit_us + random_in(random, 0, 1);
		default:
			return random_in(random, 0, 3 * unit_us + 1);
	}
}

static int64_t
random_cost(Random *random, const LimitSpec *spec)
{
	if (random_once_in(random, 20))
		return random_in(random, spec->burst, (int64_t) spec->burst + 2);
	if (random_once_in(random, 4))
		return random_in(random, 0, spec->burst);
	return random_in(random, 0, 2) + random_scaled(random, spec->burst) / 4;
}

static void
step(Random *random, Bucket *bucket, Key *key, int64_t now_us)
{
	int64_t		cost = random_cost(random, bucket->spec);

	bucket_advance(bucket, now_us);
	if (random_once_in(random, 12))
	{
		settle(bucket->spec, key, now_us);
		give(bucket->spec, key, now_us, cost);
		bucket_add(bucket, cost);
	}
	else if (random_once_in(random, 25))
	{
		settle(bucket->spec, key, now_us);
		take(bucket->spec, key, now_us, cost);
		bucket_add(bucket, -cost);
	}
	else
		check_hit(bucket, key, now_us, cost);
}

static void
test_against_model(int64_t max_hits, int64_t per_us, int64_t burst)
{
	LimitSpec	spec = make_spec(LIMIT_GCRA, max_hits, per_us, burst);
	Random		random = {(uint64_t) (max_hits ^ per_us ^ burst)};
	Bucket		bucket = {&spec, 0, START_US};
	int64_t		now_us = START_US;
	Key			key;
	char		name[128];

	snprintf(name, sizeof(name), "%" PRId64 " per %" PRId64 " us, burst %" PRId64 ": as the model",
			 max_hits, per_us, (int64_t) spec.burst);
	property_begin(name);
	clear_key(&key);
	bucket.tokens = bucket_full(&bucket);
	for (int i = 0; i < STEPS; i++)
	{
		now_us += random_step(&random, &spec);
		if (now_us < DAY_US || now_us > 100 * START_US)
		{
			now_us = START_US;
			clear_key(&key);
			bucket.tokens = bucket_full(&bucket);
		}
		step(&random, &bucket, &key, now_us);
	}
	property_end();
}

/* Nothing is rounded away: who takes each unit as it comes has the exact rate in the long run. */
static void
test_keeps_the_rate(int64_t max_hits, int64_t per_us)
{
	LimitSpec	spec = make_spec(LIMIT_GCRA, max_hits, per_us, 3);
	int64_t		now_us = START_US;
	int64_t		units = max_hits * 3000;
	int64_t		want_us = ((units - 3) * per_us + max_hits - 1) / max_hits;
	Key			key;

	clear_key(&key);
	for (int64_t taken = 0; taken < units;)
	{
		LimitVerdict verdict = hit(&spec, &key, now_us, 1);

		if (verdict.allowed)
			taken++;
		else
			now_us = verdict.retry_us;
	}
	ok(now_us - START_US == want_us, "%" PRId64 " per %" PRId64 " us: %" PRId64 " units in %" PRId64
	   " us", max_hits, per_us, units, now_us - START_US);
}

/* ---- limit_next_unit_us ---- */

/* The longest time that a unit takes to come back. */
static int64_t
unit_us(const LimitSpec *spec)
{
	return (spec->per_us + spec->max_hits - 1) / spec->max_hits;
}

/*
 * It is told no more than the reset, which is whole microseconds: one
 * microsecond either way, and a unit that comes within the next one may be
 * passed over for the one behind it.
 */
static void
check_next_unit(const LimitSpec *spec, const Key *key, int64_t now_us)
{
	LimitVerdict now = peek(spec, key, now_us, 1);
	LimitVerdict next = peek(spec, key, now_us, now.remaining + 1);
	int64_t		next_us = limit_next_unit_us(spec, now.reset_us, now_us);
	int64_t		exact_us = next.retry_us - now_us;

	if (now.remaining == spec->burst)
		check(next_us == 0, "%" PRId64 " when full", next_us);
	else if (exact_us > 1)
		check(next_us >= exact_us - 1 && next_us <= exact_us + 1,
			  "%" PRId64 " per %" PRId64 ": %" PRId64 ", in truth %" PRId64, (int64_t) spec->max_hits,
			  spec->per_us, next_us, exact_us);
	else
		check(next_us >= 1 && next_us <= unit_us(spec), "%" PRId64, next_us);
}

static void
test_next_unit(void)
{
	static const int64_t rates[][2] = {
		{7, HOUR_US}, {3, HOUR_US}, {5, 5 * SECOND_US}, {3, 10}, {1000000, SECOND_US}, {97, 10007},
		{1, DAY_US}, {4000000000, LIMIT_MAX_PER_US}, {100, 15 * MINUTE_US}
	};
	Random		random = {7};

	property_begin("next unit: when one more unit fits");
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		LimitSpec	spec = make_spec(LIMIT_GCRA, rates[i][0], rates[i][1], ANY_BURST);
		int64_t		now_us = START_US;
		Key			key;

		clear_key(&key);
		for (int step = 0; step < 20000; step++)
		{
			now_us += random_once_in(&random, 2) ? 0 : random_in(&random, 0, 2 * unit_us(&spec));
			hit(&spec, &key, now_us, 1 + random_scaled(&random, 3));
			check_next_unit(&spec, &key, now_us);
		}
	}
	property_end();
}

/* The figure a client reads: after one hit of 7 an hour, 515 seconds and not one. */
static void
test_next_unit_examples(void)
{
	LimitSpec	seven = make_spec(LIMIT_GCRA, 7, HOUR_US, ANY_BURST);
	LimitSpec	window = make_spec(LIMIT_FIXED_WINDOW, 7, HOUR_US, ANY_BURST);
	LimitSpec	none = make_spec(LIMIT_GCRA, 0, HOUR_US, ANY_BURST);
	int64_t		next_us;
	Key			key;

	clear_key(&key);
	next_us = limit_next_unit_us(&seven, hit(&seven, &key, START_US, 1).reset_us, START_US);
	ok(next_us == 514285715, "next unit after the first of 7 per hour: %" PRId64 " us", next_us);
	ok(limit_next_unit_us(&seven, START_US, START_US) == 0, "next unit of a full key: 0");
	ok(limit_next_unit_us(&seven, START_US - 5, START_US) == 0, "next unit, reset in the past: 0");
	ok(limit_next_unit_us(&window, START_US + 5, START_US) == 5, "next unit of a window: its end");
	ok(limit_next_unit_us(&none, START_US, START_US) == 0, "next unit of a limit of 0: none");
}

int
main(void)
{
	test_against_model(7, HOUR_US, ANY_BURST);
	test_against_model(7, HOUR_US, 1);
	test_against_model(7, HOUR_US, 40);
	test_against_model(3, 10, ANY_BURST);
	test_against_model(3, 10, 1);
	test_against_model(1000000, SECOND_US, ANY_BURST);
	test_against_model(1000000, SECOND_US, 3);
	test_against_model(4000000000, LIMIT_MAX_PER_US, ANY_BURST);
	test_against_model(LIMIT_MAX_HITS, 1, LIMIT_MAX_HITS);
	test_against_model(1, LIMIT_MAX_PER_US, 10);
	test_against_model(1, 1, ANY_BURST);

	test_keeps_the_rate(7, 1000);
	test_keeps_the_rate(3, 10);
	test_keeps_the_rate(11, 10);

	test_next_unit();
	test_next_unit_examples();
	return tap_done();
}
