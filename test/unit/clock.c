/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * clock.c
 *		A clock that steps back: it gives nothing, and it locks nobody out for
 *		longer than a full limit does.
 *
 * The microseconds between two processes that read the clock one after the
 * other and lock the key the other way round are such steps too.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

static const LimitAlgorithm all[] = {
	LIMIT_GCRA, LIMIT_FIXED_WINDOW, LIMIT_CALENDAR_WINDOW, LIMIT_SLIDING_WINDOW, LIMIT_SLIDING_LOG
};

#define N_ALL ((int) (sizeof(all) / sizeof(all[0])))

/* The longest a full key waits for one unit; a sliding window also for the share to fall. */
static int64_t
longest_lock_us(const LimitSpec *spec)
{
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			return (spec->per_us + spec->max_hits - 1) / spec->max_hits;
		case LIMIT_SLIDING_WINDOW:
			return spec->per_us + 1;
		default:
			return spec->per_us;
	}
}

static LimitSpec
random_spec(Random *random, LimitAlgorithm algorithm)
{
	static const int64_t pers[] = {10, 97, SECOND_US, HOUR_US, 365 * DAY_US};

	return make_spec(algorithm, random_in(random, 1, 12), pers[random_in(random, 0, 4)], ANY_BURST);
}

/* Some hits over a few windows; returns the time of the last. */
static int64_t
use_a_little(Random *random, const LimitSpec *spec, Key *key)
{
	int64_t		now_us = 2 * LIMIT_MAX_PER_US + random_in(random, 0, spec->per_us);
	int64_t		hits = random_in(random, 1, 30);

	clear_key(key);
	for (int64_t i = 0; i < hits; i++)
	{
		now_us += random_in(random, 0, spec->per_us / 5);
		hit(spec, key, now_us, random_in(random, 1, 3));
	}
	if (random_once_in(random, 3))
		now_us += spec->per_us - now_us % spec->per_us;
	settle(spec, key, now_us);
	return now_us;
}

static int64_t
random_step_back(Random *random, int64_t per_us)
{
	switch (random_in(random, 0, 3))
	{
		case 0:
			return random_in(random, 1, 3);
		case 1:
			return random_in(random, 1, per_us);
		case 2:
			return random_in(random, 1, 10 * per_us);
		default:
			return random_in(random, 1, LIMIT_MAX_PER_US);
	}
}

static void
check_step_back(Random *random, LimitAlgorithm algorithm)
{
	LimitSpec	spec = random_spec(random, algorithm);
	Key			key;
	int64_t		now_us = use_a_little(random, &spec, &key);
	int64_t		before = remaining(&spec, &key, now_us);
	int64_t		back_us = random_step_back(random, spec.per_us);
	LimitVerdict after = peek(&spec, &key, now_us - back_us, 1);

	check(after.remaining <= before, "%" PRId64 " after %" PRId64 ", back by %" PRId64 " of %" PRId64,
		  after.remaining, before, back_us, spec.per_us);
	check(after.reset_us >= now_us - back_us, "reset in the past");
	check(after.reset_us <= now_us - back_us + spec.per_us, "reset %" PRId64 " of %" PRId64,
		  after.reset_us - now_us + back_us, spec.per_us);
	check(after.allowed || after.retry_us <= now_us - back_us + longest_lock_us(&spec),
		  "locked for %" PRId64 " of %" PRId64, after.retry_us - now_us + back_us, spec.per_us);

	/* And what it says then is what happens. */
	settle(&spec, &key, now_us - back_us);
	if (!after.allowed)
	{
		check(passes(&spec, &key, after.retry_us, 1), "%" PRId64, after.retry_us);
		check(!passes(&spec, &key, after.retry_us - 1, 1), "%" PRId64, after.retry_us);
	}
}

/* nrlf D7: an exhausted key and a clock back by an hour must not cost an hour. */
static void
test_an_hour_back(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 3, 10 * SECOND_US, ANY_BURST);
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 3; i++)
		hit(&spec, &key, START_US, 1);
	verdict = hit(&spec, &key, START_US - HOUR_US, 1);
	ok(!verdict.allowed && verdict.retry_us <= START_US - HOUR_US + longest_lock_us(&spec),
	   "%s: an hour back, %" PRId64 " us to wait", limit_algorithm_name(algorithm),
	   verdict.retry_us - START_US + HOUR_US);
}

/*
 * Around the end of a window, by processes that read the clock up to 3 us before
 * they lock the key, in any order; who finds the key ahead reads it again.  No
 * more are admitted than in good order.
 */
static int64_t
admitted_in_disorder(Random *random, const LimitSpec *spec)
{
	int64_t		clock_us = (START_US / spec->per_us + 2) * spec->per_us - 20;
	int64_t		admitted = 0;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 200; i++)
	{
		int64_t		now_us;

		clock_us += random_once_in(random, 4);
		now_us = clock_us - random_in(random, 0, 3);
		if (limit_is_ahead(spec, &key.use, now_us))
			now_us = clock_us;
		admitted += hit(spec, &key, now_us, 1).allowed;
	}
	return admitted;
}

static void
test_disorder(LimitAlgorithm algorithm, int64_t most)
{
	LimitSpec	spec = make_spec(algorithm, 10, 10 * SECOND_US, ANY_BURST);
	Random		random = {11};
	int64_t		worst = 0;

	for (int i = 0; i < 5000; i++)
	{
		int64_t		admitted = admitted_in_disorder(&random, &spec);

		worst = admitted > worst ? admitted : worst;
	}
	ok(worst == most, "%s: %" PRId64 " admitted at once out of order, as many as in order, %" PRId64,
	   limit_algorithm_name(algorithm), worst, most);
}

static void
check_is_ahead(const LimitSpec *spec, const Key *key, int64_t now_us, bool expected, const char *what)
{
	ok(limit_is_ahead(spec, &key->use, now_us) == expected, "%s: %s",
	   limit_algorithm_name(spec->algorithm), what);
}

static void
test_is_ahead(LimitAlgorithm algorithm)
{
	bool		aligned = algorithm == LIMIT_CALENDAR_WINDOW || algorithm == LIMIT_SLIDING_WINDOW;
	LimitSpec	spec = make_spec(algorithm, 10, 10 * SECOND_US, ANY_BURST);
	int64_t		start_us = (START_US / spec.per_us + 1) * spec.per_us;
	int64_t		hit_us = start_us + 5;
	int64_t		begins_us = aligned ? start_us : hit_us;
	Key			key;

	clear_key(&key);
	check_is_ahead(&spec, &key, 1, false, "a fresh key is never ahead");
	hit(&spec, &key, hit_us, 9);
	check_is_ahead(&spec, &key, begins_us, false, "not ahead of its own window");
	if (algorithm == LIMIT_GCRA)
		check_is_ahead(&spec, &key, hit_us - SECOND_US, false, "not ahead with no more debt than is full");
	hit(&spec, &key, hit_us, 1);
	check_is_ahead(&spec, &key, begins_us, false, "not ahead when it is used up");
	check_is_ahead(&spec, &key, begins_us - 1, true, "ahead of a moment before");
}

/*
 * A key in use, and processes that read the clock up to a third of the window before
 * they lock it: whatever they do, it is not free any sooner.
 */
static void
test_old_times_free_nothing(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 10, 900, ANY_BURST);
	Random		random = {12};
	int64_t		clock_us = START_US;
	int64_t		reset_us = 0;
	Key			key;
	char		name[64];

	snprintf(name, sizeof(name), "%s: old times free nothing sooner", limit_algorithm_name(algorithm));
	property_begin(name);
	clear_key(&key);
	for (int i = 0; i < 200000; i++)
	{
		int64_t		now_us;
		LimitVerdict verdict;

		clock_us += random_in(&random, 0, 60);
		now_us = clock_us - random_in(&random, 0, 300);
		if (limit_is_ahead(&spec, &key.use, now_us))
			now_us = clock_us;
		verdict = hit(&spec, &key, now_us, random_in(&random, 1, 3));
		if (now_us < reset_us)
			check(verdict.reset_us >= reset_us, "%" PRId64 " after %" PRId64, verdict.reset_us, reset_us);
		reset_us = verdict.reset_us;
	}
	property_end();
}

/* The keeper of a log must write it anew when the clock stepped back, and only then. */
static void
test_log_says_so(void)
{
	LimitSpec	spec = make_spec(LIMIT_SLIDING_LOG, 3, HOUR_US, ANY_BURST);
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 2);
	settle(&spec, &key, START_US);
	ok(!key.log.stepped_back, "sliding_log: the clock did not step back");
	settle(&spec, &key, START_US - 1);
	ok(key.log.stepped_back && key.log.at_us[0] == START_US - 1 && key.log.at_us[1] == START_US - 1,
	   "sliding_log: the clock stepped back, and the hits with it");
}

/* Forward without bound: everything is full again, and nothing is in the past. */
static void
test_far_forward(LimitAlgorithm algorithm)
{
	LimitSpec	spec = make_spec(algorithm, 5, HOUR_US, ANY_BURST);
	int64_t		far_us = START_US + 100 * LIMIT_MAX_PER_US;
	LimitVerdict verdict;
	Key			key;

	clear_key(&key);
	hit(&spec, &key, START_US, 5);
	verdict = peek(&spec, &key, far_us, 1);
	ok(verdict.remaining == 5 && verdict.reset_us >= far_us && verdict.reset_us <= far_us + HOUR_US,
	   "%s: full after a thousand years", limit_algorithm_name(algorithm));
}

int
main(void)
{
	char		name[64];
	Random		random = {5};

	for (int a = 0; a < N_ALL; a++)
	{
		snprintf(name, sizeof(name), "%s: a step back gives and locks nothing",
				 limit_algorithm_name(all[a]));
		property_begin(name);
		for (int i = 0; i < 200000; i++)
			check_step_back(&random, all[a]);
		property_end();
		test_an_hour_back(all[a]);
		test_far_forward(all[a]);
		if (all[a] == LIMIT_SLIDING_LOG)
			continue;
		test_is_ahead(all[a]);
		test_old_times_free_nothing(all[a]);
	}
	test_log_says_so();
	test_disorder(LIMIT_GCRA, 10);
	test_disorder(LIMIT_SLIDING_WINDOW, 11);
	test_disorder(LIMIT_SLIDING_LOG, 10);
	test_disorder(LIMIT_FIXED_WINDOW, 10);
	test_disorder(LIMIT_CALENDAR_WINDOW, 20);
	return tap_done();
}
