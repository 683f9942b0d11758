/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * algorithms.c
 *		What the five algorithms share: names, which specs make sense, a state of
 *		nothing, costs of any size, refunds, and the largest numbers there are.
 *
 * Beside this: gcra.c and windows.c against models, bounds.c, clock.c, convert.c,
 * and vectors.c.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

static const LimitAlgorithm all[] = {
	LIMIT_GCRA, LIMIT_FIXED_WINDOW, LIMIT_CALENDAR_WINDOW, LIMIT_SLIDING_WINDOW, LIMIT_SLIDING_LOG
};

#define N_ALL ((int) (sizeof(all) / sizeof(all[0])))

/* ---- names ---- */

/* The numbers are in state files. */
static void
test_names(void)
{
	static const char *const names[] = {
		"gcra", "fixed_window", "calendar_window", "sliding_window", "sliding_log"
	};

	for (int i = 0; i < N_ALL; i++)
	{
		ok(limit_algorithm_from_name(names[i]) == all[i] && (int) all[i] == i + 1, "%s is %d",
		   names[i], i + 1);
		ok(strcmp(limit_algorithm_name(all[i]), names[i]) == 0, "%d is %s", i + 1, names[i]);
	}
	ok(limit_algorithm_from_name("") == LIMIT_ALGORITHM_INVALID &&
	   limit_algorithm_from_name("GCRA") == LIMIT_ALGORITHM_INVALID &&
	   limit_algorithm_from_name("gcra ") == LIMIT_ALGORITHM_INVALID &&
	   limit_algorithm_from_name("unknown") == LIMIT_ALGORITHM_INVALID, "other names are none");
	ok(strcmp(limit_algorithm_name(LIMIT_ALGORITHM_INVALID), "unknown") == 0 &&
	   strcmp(limit_algorithm_name((LimitAlgorithm) 6), "unknown") == 0, "other numbers are none");
}

/* ---- specs ---- */

typedef struct SpecCase
{
	LimitAlgorithm algorithm;
	int64_t		max_hits;
	int64_t		per_us;
	int64_t		burst;
	LimitSpecError want;
} SpecCase;

static const SpecCase spec_cases[] = {
	{LIMIT_GCRA, 10, SECOND_US, -1, LIMIT_SPEC_OK},
	{LIMIT_ALGORITHM_INVALID, 10, SECOND_US, -1, LIMIT_SPEC_BAD_ALGORITHM},
	{(LimitAlgorithm) 6, 10, SECOND_US, -1, LIMIT_SPEC_BAD_ALGORITHM},

	{LIMIT_GCRA, 0, SECOND_US, -1, LIMIT_SPEC_OK},
	{LIMIT_GCRA, -1, SECOND_US, -1, LIMIT_SPEC_BAD_MAX_HITS},
	{LIMIT_GCRA, INT64_MIN, SECOND_US, -1, LIMIT_SPEC_BAD_MAX_HITS},
	{LIMIT_GCRA, LIMIT_MAX_HITS, SECOND_US, -1, LIMIT_SPEC_OK},
	{LIMIT_GCRA, LIMIT_MAX_HITS + 1, SECOND_US, -1, LIMIT_SPEC_BAD_MAX_HITS},
	{LIMIT_FIXED_WINDOW, INT64_MAX, SECOND_US, -1, LIMIT_SPEC_BAD_MAX_HITS},

	{LIMIT_GCRA, 10, 1, -1, LIMIT_SPEC_OK},
	{LIMIT_GCRA, 10, 0, -1, LIMIT_SPEC_BAD_PER},
	{LIMIT_GCRA, 10, -1, -1, LIMIT_SPEC_BAD_PER},
	{LIMIT_GCRA, 10, INT64_MIN, -1, LIMIT_SPEC_BAD_PER},
	{LIMIT_CALENDAR_WINDOW, 10, LIMIT_MAX_PER_US, -1, LIMIT_SPEC_OK},
	{LIMIT_CALENDAR_WINDOW, 10, LIMIT_MAX_PER_US + 1, -1, LIMIT_SPEC_PER_TOO_LONG},
	{LIMIT_GCRA, 10, INT64_MAX, -1, LIMIT_SPEC_PER_TOO_LONG},

	{LIMIT_GCRA, 10, SECOND_US, 1, LIMIT_SPEC_OK},
	{LIMIT_GCRA, 10, SECOND_US, 0, LIMIT_SPEC_BAD_BURST},
	{LIMIT_GCRA, 10, SECOND_US, LIMIT_MAX_HITS, LIMIT_SPEC_OK},
	{LIMIT_GCRA, 10, SECOND_US, LIMIT_MAX_HITS + 1, LIMIT_SPEC_BAD_BURST},
	{LIMIT_GCRA, 10, SECOND_US, INT64_MAX, LIMIT_SPEC_BAD_BURST},
	{LIMIT_FIXED_WINDOW, 10, SECOND_US, 10, LIMIT_SPEC_BURST_NOT_GCRA},
	{LIMIT_CALENDAR_WINDOW, 10, SECOND_US, 0, LIMIT_SPEC_BURST_NOT_GCRA},
	{LIMIT_SLIDING_WINDOW, 10, SECOND_US, 1, LIMIT_SPEC_BURST_NOT_GCRA},
	{LIMIT_SLIDING_LOG, 10, SECOND_US, 1, LIMIT_SPEC_BURST_NOT_GCRA},

	{LIMIT_SLIDING_LOG, LIMIT_LOG_MAX, SECOND_US, -1, LIMIT_SPEC_OK},
	{LIMIT_SLIDING_LOG, LIMIT_LOG_MAX + 1, SECOND_US, -1, LIMIT_SPEC_LOG_TOO_LONG},
	{LIMIT_SLIDING_WINDOW, LIMIT_LOG_MAX + 1, SECOND_US, -1, LIMIT_SPEC_OK},

	{LIMIT_GCRA, 1, LIMIT_MAX_PER_US, 10, LIMIT_SPEC_OK},
	{LIMIT_GCRA, 1, LIMIT_MAX_PER_US, 11, LIMIT_SPEC_DRAIN_TOO_LONG},
	{LIMIT_GCRA, 1, LIMIT_MAX_PER_US, LIMIT_MAX_HITS, LIMIT_SPEC_DRAIN_TOO_LONG},
	{LIMIT_GCRA, LIMIT_MAX_HITS, LIMIT_MAX_PER_US, LIMIT_MAX_HITS, LIMIT_SPEC_OK},
	{LIMIT_GCRA, 0, LIMIT_MAX_PER_US, LIMIT_MAX_HITS, LIMIT_SPEC_OK},
};

static void
test_specs(void)
{
	for (size_t i = 0; i < sizeof(spec_cases) / sizeof(spec_cases[0]); i++)
	{
		const SpecCase *one = &spec_cases[i];
		LimitSpec	spec;
		LimitSpecError got = limit_spec_make(&spec, one->algorithm, one->max_hits, one->per_us,
											 one->burst);

		ok(got == one->want, "spec %d, %" PRId64 " per %" PRId64 ", burst %" PRId64 " is %d",
		   (int) one->algorithm, one->max_hits, one->per_us, one->burst, (int) one->want);
	}
}

static void
test_spec_fields(void)
{
	LimitSpec	spec = make_spec(LIMIT_GCRA, 10, 7, 25);
	LimitSpec	plain = make_spec(LIMIT_GCRA, 10, 7, ANY_BURST);
	LimitSpec	window = make_spec(LIMIT_SLIDING_WINDOW, LIMIT_MAX_HITS, 7, ANY_BURST);
	LimitSpec	closed = make_spec(LIMIT_GCRA, 0, 7, 25);
	LimitSpec	refused = spec;

	ok(spec.algorithm == LIMIT_GCRA && spec.max_hits == 10 && spec.per_us == 7 && spec.burst == 25,
	   "a spec is what was asked for");
	ok(plain.burst == 10 && window.burst == LIMIT_MAX_HITS, "burst is max_hits unless said");
	ok(limit_capacity(&spec) == 25 && limit_capacity(&plain) == 10 &&
	   limit_capacity(&window) == LIMIT_MAX_HITS, "capacity is burst");
	ok(limit_capacity(&closed) == 0, "a limit of 0 has no capacity, whatever its burst");
	limit_spec_make(&refused, LIMIT_GCRA, -1, 0, 0);
	ok(memcmp(&refused, &spec, sizeof(spec)) == 0, "a refused spec changes nothing");
}

/* ---- nothing used ---- */

static void
test_fresh(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 10, MINUTE_US, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	verdict = peek(&spec, &key, START_US, 10);
	ok(verdict.allowed && verdict.remaining == 10 && verdict.retry_us == 0 && !verdict.never,
	   "%s: all zero is a full key", limit_algorithm_name(algorithm));
	ok(verdict.reset_us >= START_US && verdict.reset_us <= START_US + MINUTE_US,
	   "%s: reset of a full key", limit_algorithm_name(algorithm));
	settle(&spec, &key, START_US);
	ok(limit_used(&spec, &key.use, &key.log, START_US) == 0 &&
	   !limit_is_exhausted(&spec, &key.use, &key.log, START_US),
	   "%s: nothing used", limit_algorithm_name(algorithm));
}

/* A key that drained is as one never seen, so that a full table may drop it. */
static void
test_drained(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 10, MINUTE_US, ANY_BURST);
	int64_t		later_us = START_US + 2 * MINUTE_US;
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 10);
	ok(limit_is_exhausted(&spec, &key.use, &key.log, START_US) &&
	   limit_used(&spec, &key.use, &key.log, START_US) == 10, "%s: all used",
	   limit_algorithm_name(algorithm));
	settle(&spec, &key, later_us);
	ok(limit_used(&spec, &key.use, &key.log, later_us) == 0 && key.log.n == 0 &&
	   key.use.b == 0, "%s: drained is nothing used", limit_algorithm_name(algorithm));
}

/* ---- costs ---- */

/* Upstash D1: 9 of 10, then 5 refused, then 1 passes. */
static void
test_refused_uses_nothing(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 10, 10 * SECOND_US, ANY_BURST);
	Key			key;
	Key			before;

	clear_key(&key);
	ok(hit(&spec, &key, START_US, 9).allowed, "%s: 9 of 10", limit_algorithm_name(algorithm));
	copy_key(&before, &key);
	ok(!hit(&spec, &key, START_US, 5).allowed && before.use.a == key.use.a &&
	   before.use.b == key.use.b && before.log.n == key.log.n,
	   "%s: then 5 is refused and changes nothing", limit_algorithm_name(algorithm));
	ok(hit(&spec, &key, START_US, 1).allowed, "%s: then 1 passes", limit_algorithm_name(algorithm));
}

/* Redis GCRA, D10 and D12: more than ever fits is refused for good, and spends nothing. */
static void
test_impossible_cost(LimitAlgorithm algorithm)
{
	static const int64_t costs[] = {11, 1000, INT32_MAX, LIMIT_MAX_HITS + 1, INT64_MAX};
	LimitSpec	spec = make_spec(algorithm, 10, 10 * SECOND_US, ANY_BURST);
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 3);
	for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++)
	{
		LimitVerdict verdict = hit(&spec, &key, START_US, costs[i]);

		ok(!verdict.allowed && verdict.never && verdict.retry_us == 0 && verdict.remaining == 7,
		   "%s: %" PRId64 " of 10 never passes", limit_algorithm_name(algorithm), costs[i]);
	}
}

/* A cost of 0 answers for 1, and uses nothing. */
static void
test_peek(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 2, HOUR_US, ANY_BURST);
	LimitVerdict one;
	LimitVerdict none;
	Key			key;

	clear_key(&key);
	ok(hit(&spec, &key, START_US, 0).allowed && remaining(&spec, &key, START_US) == 2,
	   "%s: 0 uses nothing", limit_algorithm_name(algorithm));
	hit(&spec, &key, START_US, 2);
	one = peek(&spec, &key, START_US, 1);
	none = hit(&spec, &key, START_US, 0);
	ok(!none.allowed && none.retry_us == one.retry_us && none.retry_us > START_US,
	   "%s: 0 answers for 1", limit_algorithm_name(algorithm));
	take(&spec, &key, START_US, 0);
	give(&spec, &key, START_US, 0);
	give(&spec, &key, START_US, -1);
	take(&spec, &key, START_US, -1);
	ok(remaining(&spec, &key, START_US) == 0, "%s: 0 and less take and give nothing",
	   limit_algorithm_name(algorithm));
}

static void
test_limit_of_zero(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 0, HOUR_US, algorithm == LIMIT_GCRA ? 5 : ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	verdict = hit(&spec, &key, START_US, 1);
	ok(!verdict.allowed && verdict.never && verdict.remaining == 0 && verdict.retry_us == 0,
	   "%s: 0 refuses all", limit_algorithm_name(algorithm));
	if (algorithm != LIMIT_SLIDING_LOG)
		ok(limit_hit(&spec, &key.use, START_US, 1) == 0, "%s: 0 refuses on the hot path",
		   limit_algorithm_name(algorithm));
	take(&spec, &key, START_US, 5);
	give(&spec, &key, START_US, 5);
	settle(&spec, &key, START_US);
	ok(!hit(&spec, &key, START_US, 0).allowed &&
	   limit_used(&spec, &key.use, &key.log, START_US) == 0 &&
	   !limit_is_exhausted(&spec, &key.use, &key.log, START_US),
	   "%s: 0 counts nothing and is no exhausted key", limit_algorithm_name(algorithm));
}

/* A limit of 0 divides by nothing, not even when a state file was damaged. */
static void
test_damaged_under_zero(int64_t burst, int64_t b)
{
	LimitSpec	spec = make_spec(LIMIT_GCRA, 0, HOUR_US, burst);
	Key			key;

	clear_key(&key);
	key.use.a = START_US + DAY_US;
	key.use.b = b;
	settle(&spec, &key, START_US);
	ok(key.use.a == 0 && key.use.b == 0,
	   "gcra: b %" PRId64 " under a limit of 0, burst %" PRId64 ", is cleared", b, (int64_t) spec.burst);
}

/* A time that was damaged is not the end of all times, and nothing overflows by it. */
static void
test_damaged_time(int64_t b)
{
	LimitSpec	spec = make_spec(LIMIT_GCRA, 5, HOUR_US, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	key.use.a = INT64_MAX;
	key.use.b = b;
	verdict = peek(&spec, &key, START_US, 5);
	ok(!verdict.allowed && verdict.retry_us > START_US &&
	   verdict.retry_us <= START_US + LIMIT_MAX_DRAIN_US + HOUR_US,
	   "gcra: b %" PRId64 " at the end of all times is back in %" PRId64 " us", b,
	   verdict.retry_us - START_US);
}

/* Nor does a count that was damaged overflow. */
static void
test_damaged_count(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	Key			key;

	clear_key(&key);
	key.use.a = START_US / HOUR_US * HOUR_US;
	key.use.b = INT64_MAX;
	settle(&spec, &key, START_US);
	take(&spec, &key, START_US, INT64_MAX);
	ok(!passes(&spec, &key, START_US, 1), "%s: a damaged count stays full",
	   limit_algorithm_name(algorithm));
}

/* ---- refunds ---- */

static void
test_refund(LimitAlgorithm algorithm)
{
	static const int64_t more[] = {3, 100, INT32_MAX, INT64_MAX};
	LimitSpec	spec = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 5);
	give(&spec, &key, START_US, 2);
	ok(remaining(&spec, &key, START_US) == 2, "%s: 2 of 5 given back", limit_algorithm_name(algorithm));
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
	{
		give(&spec, &key, START_US, more[i]);
		ok(remaining(&spec, &key, START_US) == 5, "%s: %" PRId64 " given back is full and no more",
		   limit_algorithm_name(algorithm), more[i]);
	}
	ok(hit(&spec, &key, START_US, 5).allowed && !hit(&spec, &key, START_US, 1).allowed,
	   "%s: full is 5", limit_algorithm_name(algorithm));
}

/* A refund is not lent to the next window. */
static void
test_late_refund(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 5, MINUTE_US, ANY_BURST);
	int64_t		later_us = (START_US / MINUTE_US + 5) * MINUTE_US;
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 5);
	settle(&spec, &key, later_us);
	give(&spec, &key, later_us, 5);
	ok(hit(&spec, &key, later_us, 5).allowed && !hit(&spec, &key, later_us, 1).allowed,
	   "%s: a late refund gives nothing", limit_algorithm_name(algorithm));
}

/* Random hits and refunds: what is left is what was left, less the cost, plus what came back. */
static void
test_take_and_give(LimitAlgorithm algorithm)
{
	Random		random = {(uint64_t) algorithm};
	char		name[96];

	snprintf(name, sizeof(name), "%s: takes the cost, gives it back, never above full",
			 limit_algorithm_name(algorithm));
	property_begin(name);
	for (int i = 0; i < 100000; i++)
	{
		LimitSpec	spec = make_spec(algorithm, random_in(&random, 1, 60), random_in(&random, 1, DAY_US),
									 ANY_BURST);
		int64_t		now_us = START_US + random_in(&random, 0, DAY_US);
		int64_t		cost = random_in(&random, 1, 70);
		int64_t		before;
		int64_t		after;
		Key			key;

		clear_key(&key);
		hit(&spec, &key, now_us, random_in(&random, 1, 30));
		now_us += random_in(&random, 0, spec.per_us);
		before = remaining(&spec, &key, now_us);
		after = hit(&spec, &key, now_us, cost).remaining;
		check(after == (cost <= before ? before - cost : before), "%" PRId64 " from %" PRId64, after,
			  before);
		if (cost > before)
			continue;
		give(&spec, &key, now_us, cost);
		after = remaining(&spec, &key, now_us);
		check(after == before, "%" PRId64 " from %" PRId64, after, before);
		give(&spec, &key, now_us, random_in(&random, 1, 1000));
		after = remaining(&spec, &key, now_us);
		check(after >= before && after <= limit_capacity(&spec), "%" PRId64 " from %" PRId64, after,
			  before);
	}
	property_end();
}

/* ---- the largest numbers: the sanitizer is the judge of the rest ---- */

static void
test_extremes(LimitAlgorithm algorithm)
{
	int64_t		most = algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : LIMIT_MAX_HITS;
	LimitSpec	spec = make_spec(algorithm, most, LIMIT_MAX_PER_US, ANY_BURST);
	int64_t		year_9999_us = INT64_C(253402300799) * SECOND_US;
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	verdict = hit(&spec, &key, year_9999_us, most);
	ok(verdict.allowed && verdict.remaining == 0, "%s: the largest limit at once, in the year 9999",
	   limit_algorithm_name(algorithm));
	verdict = hit(&spec, &key, year_9999_us, 1);
	ok(!verdict.allowed && verdict.retry_us > year_9999_us &&
	   verdict.retry_us <= year_9999_us + 2 * LIMIT_MAX_PER_US, "%s: and then one more",
	   limit_algorithm_name(algorithm));
	verdict = hit(&spec, &key, year_9999_us, most);
	ok(!verdict.allowed && passes(&spec, &key, verdict.retry_us, most) &&
	   !passes(&spec, &key, verdict.retry_us - 1, most), "%s: and then all again",
	   limit_algorithm_name(algorithm));
}

/* count_denied counts on and on; a call may cost as much as an integer holds. */
static void
test_counts_without_end(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 5; i++)
	{
		settle(&spec, &key, START_US);
		take(&spec, &key, START_US, INT32_MAX);
		take(&spec, &key, START_US, LIMIT_MAX_HITS);
		take(&spec, &key, START_US, INT64_MAX);
	}
	verdict = peek(&spec, &key, START_US, 1);
	ok(!verdict.allowed && verdict.remaining == 0 && verdict.retry_us > START_US &&
	   verdict.retry_us <= START_US + 2 * HOUR_US, "%s: counted without end, back in %" PRId64 " us",
	   limit_algorithm_name(algorithm), verdict.retry_us - START_US);
	ok(peek(&spec, &key, START_US + 2 * HOUR_US, 5).allowed, "%s: and then all is back",
	   limit_algorithm_name(algorithm));
}

/* Peers lost these: a limit of a year, and a million a second. */
static void
test_long_and_fast(LimitAlgorithm algorithm)
{
	LimitSpec	year = make_spec(algorithm, 3, 365 * DAY_US, ANY_BURST);
	int64_t		many = algorithm == LIMIT_SLIDING_LOG ? LIMIT_LOG_MAX : 1000000;
	LimitSpec	fast = make_spec(algorithm, many, SECOND_US, ANY_BURST);
	int64_t		second_us = (START_US / SECOND_US + 1) * SECOND_US;
	Key			key;

	clear_key(&key);
	hit(&year, &key, START_US, 3);
	ok(!passes(&year, &key, START_US + 25 * DAY_US, 3), "%s: a year is longer than 25 days",
	   limit_algorithm_name(algorithm));
	clear_key(&key);
	ok(hit(&fast, &key, second_us, many).allowed && !hit(&fast, &key, second_us, 1).allowed &&
	   passes(&fast, &key, second_us + 2 * SECOND_US, many), "%s: %" PRId64 " a second",
	   limit_algorithm_name(algorithm), many);
}

int
main(void)
{
	test_names();
	test_specs();
	test_spec_fields();
	for (int a = 0; a < N_ALL; a++)
	{
		test_fresh(all[a]);
		test_drained(all[a]);
		test_refused_uses_nothing(all[a]);
		test_impossible_cost(all[a]);
		test_peek(all[a]);
		test_limit_of_zero(all[a]);
		test_refund(all[a]);
		test_late_refund(all[a]);
		test_take_and_give(all[a]);
		test_extremes(all[a]);
		test_counts_without_end(all[a]);
		test_long_and_fast(all[a]);
	}
	test_damaged_under_zero(ANY_BURST, 9);
	test_damaged_under_zero(ANY_BURST, -9);
	test_damaged_under_zero(25, 9);
	test_damaged_under_zero(25, INT64_MAX);
	test_damaged_under_zero(25, INT64_MIN);
	test_damaged_time(0);
	test_damaged_time(-1);
	test_damaged_time(INT64_MIN);
	test_damaged_count(LIMIT_FIXED_WINDOW);
	test_damaged_count(LIMIT_CALENDAR_WINDOW);
	return tap_done();
}
