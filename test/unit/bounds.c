/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * bounds.c
 *		How much an adversary gets out of each algorithm, at once and in a window:
 *		measured, and held against what the documentation promises.
 *
 * L = 10 per W = 10 s.  The adversary takes a few units, waits, and from then on
 * takes every unit the moment it comes back; all such plans on a grid are tried,
 * starting at any side of a window's border.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

#define L 10
#define W (10 * SECOND_US)
#define AT_ONCE_US 3000
#define MAX_ADMITTED 4096

typedef struct Admitted
{
	int			n;
	int64_t		at_us[MAX_ADMITTED];
} Admitted;

typedef struct Bound
{
	LimitAlgorithm algorithm;
	int64_t		max_hits;
	int64_t		burst;
	int64_t		at_once;
	int64_t		in_window;
} Bound;

static void
attack_once(const LimitSpec *spec, Key *key, int64_t now_us, Admitted *admitted)
{
	if (hit(spec, key, now_us, 1).allowed && admitted->n < MAX_ADMITTED)
		admitted->at_us[admitted->n++] = now_us;
}

/* Every unit at the very moment it comes back. */
static void
attack_until(const LimitSpec *spec, Key *key, int64_t now_us, int64_t end_us, Admitted *admitted)
{
	while (now_us < end_us)
	{
		LimitVerdict verdict = peek(spec, key, now_us, 1);

		if (admitted->n == MAX_ADMITTED || (!verdict.allowed && verdict.retry_us <= now_us))
		{
			printf("Bail out! the attack of %s does not end\n", limit_algorithm_name(spec->algorithm));
			exit(1);
		}
		if (verdict.allowed)
			attack_once(spec, key, now_us, admitted);
		else
			now_us = verdict.retry_us;
	}
}

/* The most in any half-open span of that length. */
static int64_t
most_in(const Admitted *admitted, int64_t span_us)
{
	int64_t		most = 0;
	int			first = 0;

	for (int last = 0; last < admitted->n; last++)
	{
		while (admitted->at_us[last] - admitted->at_us[first] >= span_us)
			first++;
		if (last - first + 1 > most)
			most = last - first + 1;
	}
	return most;
}

static void
keep_most(const Admitted *admitted, int64_t *at_once, int64_t *in_window)
{
	int64_t		once = most_in(admitted, AT_ONCE_US);
	int64_t		window = most_in(admitted, W);

	*at_once = once > *at_once ? once : *at_once;
	*in_window = window > *in_window ? window : *in_window;
}

static void
try_plan(const LimitSpec *spec, int64_t start_us, int units, int64_t wait_us, int64_t *at_once,
		 int64_t *in_window)
{
	static Admitted admitted;
	Key			key;

	clear_key(&key);
	admitted.n = 0;
	for (int i = 0; i < units; i++)
		attack_once(spec, &key, start_us, &admitted);
	attack_until(spec, &key, start_us + wait_us, start_us + wait_us + 3 * W, &admitted);
	keep_most(&admitted, at_once, in_window);
}

static void
try_plans(const LimitSpec *spec, int64_t *at_once, int64_t *in_window)
{
	static const int64_t moments[] = {0, 1, 999, 1000, W / 10, W / 2, 9 * W / 10, W - 1000, W - 1, W};
	const int	n = sizeof(moments) / sizeof(moments[0]);
	int64_t		border_us = (START_US / W + 1) * W;

	for (int start = 0; start < n; start++)
		for (int wait = 0; wait < n; wait++)
			for (int units = 0; units <= L; units++)
				try_plan(spec, border_us + moments[start], units, moments[wait], at_once, in_window);
}

static void
test_bound(const Bound *bound)
{
	LimitSpec	spec = make_spec(bound->algorithm, bound->max_hits, W, bound->burst);
	int64_t		at_once = 0;
	int64_t		in_window = 0;

	try_plans(&spec, &at_once, &in_window);
	ok(at_once == bound->at_once, "%s %" PRId64 " burst %" PRId64 ": %" PRId64 " at once, want %" PRId64,
	   limit_algorithm_name(bound->algorithm), bound->max_hits, (int64_t) spec.burst, at_once,
	   bound->at_once);
	ok(in_window == bound->in_window,
	   "%s %" PRId64 " burst %" PRId64 ": %" PRId64 " in a window, want %" PRId64,
	   limit_algorithm_name(bound->algorithm), bound->max_hits, (int64_t) spec.burst, in_window,
	   bound->in_window);
}

/* Random calls, to look for what no plan above thought of. */
static void
test_random(const Bound *bound)
{
	static Admitted admitted;
	LimitSpec	spec = make_spec(bound->algorithm, bound->max_hits, W, bound->burst);
	Random		random = {3};
	int64_t		now_us = START_US;
	char		name[64];
	Key			key;

	snprintf(name, sizeof(name), "%s burst %" PRId64 ": random calls stay in the bounds",
			 limit_algorithm_name(bound->algorithm), (int64_t) spec.burst);
	property_begin(name);
	clear_key(&key);
	for (int i = 0; i < 400; i++)
	{
		admitted.n = 0;
		while (admitted.n < 500)
		{
			now_us += random_scaled(&random, W);
			attack_once(&spec, &key, now_us, &admitted);
		}
		check(most_in(&admitted, AT_ONCE_US) <= bound->at_once, "%" PRId64 " at once",
			  most_in(&admitted, AT_ONCE_US));
		check(most_in(&admitted, W) <= bound->in_window, "%" PRId64 " in a window",
			  most_in(&admitted, W));
	}
	property_end();
}

/* The promise of the log, for every size it can have and whatever the calls. */
static void
test_log_promise(void)
{
	static Admitted admitted;
	Random		random = {64};

	property_begin("sliding_log: never more than max_hits in any span");
	for (int max_hits = 1; max_hits <= LIMIT_LOG_MAX; max_hits++)
	{
		LimitSpec	spec = make_spec(LIMIT_SLIDING_LOG, max_hits, W, ANY_BURST);
		int64_t		now_us = START_US;
		Key			key;

		clear_key(&key);
		admitted.n = 0;
		while (admitted.n < MAX_ADMITTED)
		{
			now_us += random_once_in(&random, 2) ? 0 : random_in(&random, 0, 2 * W / max_hits);
			attack_once(&spec, &key, now_us, &admitted);
		}
		check(most_in(&admitted, W) == max_hits, "%" PRId64 " of %d", most_in(&admitted, W), max_hits);
	}
	property_end();
}

int
main(void)
{
	/* gcra of burst b: at most max_hits + b - 1 in a half-open window. */
	static const Bound bounds[] = {
		{LIMIT_CALENDAR_WINDOW, L, ANY_BURST, 20, 20},
		{LIMIT_FIXED_WINDOW, L, ANY_BURST, 19, 19},
		{LIMIT_SLIDING_WINDOW, L, ANY_BURST, 11, 20},
		{LIMIT_GCRA, L, ANY_BURST, 10, 19},
		{LIMIT_SLIDING_LOG, L, ANY_BURST, 10, 10},
		{LIMIT_GCRA, L, 1, 1, 10},
		{LIMIT_GCRA, L, 4, 4, 13},
		{LIMIT_GCRA, 7, 4, 4, 10},
		{LIMIT_GCRA, 3, 8, 8, 10},
	};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
	{
		test_bound(&bounds[i]);
		test_random(&bounds[i]);
	}
	test_log_promise();
	return tap_done();
}
