/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * windows.c
 *		The four windows against models that keep every unit with its time and
 *		count anew for each call, by the definition.
 *
 * Steps of the clock are in clock.c: here time does not run backwards.
 */
#include "tap.h"
#include "random.h"
#include "key.h"

#define STEPS 100000
#define MODEL_ENTRIES 512

/* Units that were admitted together; the oldest first. */
typedef struct Entry
{
	int64_t		at_us;
	int64_t		units;
} Entry;

typedef struct Model
{
	const LimitSpec *spec;
	int			n;
	Entry		entries[MODEL_ENTRIES];
} Model;

/* Entries of the same aligned bucket and the same moment are joined, to keep the list short. */
static void
model_add(Model *model, int64_t now_us, int64_t units)
{
	Entry	   *last = model->n > 0 ? &model->entries[model->n - 1] : NULL;

	if (units == 0)
		return;
	if (last != NULL && last->at_us == now_us)
	{
		last->units += units;
		return;
	}
	if (model->n == MODEL_ENTRIES)
	{
		printf("Bail out! more entries than the model has room for\n");
		exit(1);
	}
	model->entries[model->n++] = (Entry) {now_us, units};
}

static void
model_forget_before(Model *model, int64_t at_us)
{
	int			gone = 0;

	while (gone < model->n && model->entries[gone].at_us < at_us)
		gone++;
	model->n -= gone;
	memmove(model->entries, model->entries + gone, model->n * sizeof(Entry));
}

/* Units admitted in the half-open span. */
static int64_t
units_between(const Model *model, int64_t from_us, int64_t to_us)
{
	int64_t		units = 0;

	for (int i = 0; i < model->n; i++)
		if (model->entries[i].at_us >= from_us && model->entries[i].at_us < to_us)
			units += model->entries[i].units;
	return units;
}

static int64_t
bucket_start(const Model *model, int64_t now_us)
{
	return now_us / model->spec->per_us * model->spec->per_us;
}

/* Where the current window begins: what lies before it can be forgotten. */
static int64_t
window_begin(const Model *model, int64_t now_us)
{
	switch (model->spec->algorithm)
	{
		case LIMIT_FIXED_WINDOW:
			if (model->n > 0 && now_us < model->entries[0].at_us + model->spec->per_us)
				return model->entries[0].at_us;
			return now_us;
		case LIMIT_CALENDAR_WINDOW:
			return bucket_start(model, now_us);
		case LIMIT_SLIDING_WINDOW:
			return bucket_start(model, now_us) - model->spec->per_us;
		default:
			return now_us - model->spec->per_us + 1;
	}
}

static int64_t
model_used(const Model *model, int64_t now_us)
{
	int64_t		per_us = model->spec->per_us;
	int64_t		bucket = bucket_start(model, now_us);
	int64_t		before;

	if (model->spec->algorithm != LIMIT_SLIDING_WINDOW)
		return units_between(model, window_begin(model, now_us), now_us + 1);
	before = units_between(model, bucket - per_us, bucket);
	return units_between(model, bucket, now_us + 1) +
		(int64_t) ((__int128) before * (per_us - (now_us - bucket)) / per_us);
}

static int64_t
model_reset(const Model *model, int64_t now_us)
{
	switch (model->spec->algorithm)
	{
		case LIMIT_FIXED_WINDOW:
			return model->n == 0 ? now_us : model->entries[0].at_us + model->spec->per_us;
		case LIMIT_CALENDAR_WINDOW:
		case LIMIT_SLIDING_WINDOW:
			return bucket_start(model, now_us) + model->spec->per_us;
		default:
			return model->n == 0 ? now_us : model->entries[model->n - 1].at_us + model->spec->per_us;
	}
}

/* The newest go first, and never from a bucket that has ended. */
static void
model_give(Model *model, int64_t now_us, int64_t units)
{
	int64_t		oldest = model->spec->algorithm == LIMIT_SLIDING_WINDOW ?
		bucket_start(model, now_us) : window_begin(model, now_us);

	while (units > 0 && model->n > 0 && model->entries[model->n - 1].at_us >= oldest)
	{
		Entry	   *last = &model->entries[model->n - 1];
		int64_t		back = units < last->units ? units : last->units;

		last->units -= back;
		units -= back;
		if (last->units == 0)
			model->n--;
	}
}

static void
check_retry(const Model *model, const Key *key, int64_t now_us, int64_t cost, int64_t retry_us)
{
	const LimitSpec *spec = model->spec;

	check(retry_us > now_us && passes(spec, key, retry_us, cost), "%" PRId64, retry_us - now_us);
	check(!passes(spec, key, retry_us - 1, cost), "%" PRId64, retry_us - now_us);
	check(model_used(model, retry_us) + cost <= spec->max_hits, "%" PRId64, retry_us - now_us);

	/* Where the window is short enough to try every moment, none before will do. */
	if (spec->per_us > 100)
		return;
	for (int64_t at_us = now_us; at_us < retry_us; at_us++)
		check(model_used(model, at_us) + cost > spec->max_hits, "%" PRId64 " of %" PRId64,
			  at_us - now_us, retry_us - now_us);
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
check_hit(Model *model, Key *key, int64_t now_us, int64_t cost)
{
	const LimitSpec *spec = model->spec;
	int64_t		wanted = cost > 0 ? cost : 1;
	int64_t		left = spec->max_hits - model_used(model, now_us);
	LimitVerdict verdict;
	Key			before;

	copy_key(&before, key);
	verdict = hit(spec, key, now_us, cost);
	if (spec->algorithm != LIMIT_SLIDING_LOG)
		check_hot_path(spec, &before, key, now_us, cost);
	check(verdict.allowed == (wanted <= left), "cost %" PRId64 " of %" PRId64, cost, left);
	check(verdict.never == (wanted > spec->max_hits), "cost %" PRId64, cost);
	if (verdict.allowed)
		model_add(model, now_us, cost);
	left = spec->max_hits - model_used(model, now_us);
	check(verdict.remaining == (left > 0 ? left : 0), "%" PRId64 " of %" PRId64, verdict.remaining,
		  left);
	check(verdict.reset_us == model_reset(model, now_us), "%" PRId64 ", want %" PRId64,
		  verdict.reset_us - now_us, model_reset(model, now_us) - now_us);
	if (verdict.allowed || verdict.never)
		check(verdict.retry_us == 0, "%" PRId64, verdict.retry_us);
	else
		check_retry(model, key, now_us, wanted, verdict.retry_us);
}

/* The state has room for so many more: a log for max_hits, a bucket for 32 bits. */
static int64_t
room_for(const Model *model, int64_t now_us, int64_t cost)
{
	int64_t		room = INT64_MAX;

	if (model->spec->algorithm == LIMIT_SLIDING_LOG)
		room = model->spec->max_hits;
	else if (model->spec->algorithm == LIMIT_SLIDING_WINDOW)
		room = LIMIT_MAX_HITS - units_between(model, bucket_start(model, now_us), now_us + 1);
	return cost < room ? cost : room;
}

/* Counted whatever the limit says (count_denied); a full log drops the oldest. */
static void
force(Model *model, Key *key, int64_t now_us, int64_t cost)
{
	int64_t		over;

	settle(model->spec, key, now_us);
	take(model->spec, key, now_us, cost);
	model_add(model, now_us, room_for(model, now_us, cost));
	if (model->spec->algorithm != LIMIT_SLIDING_LOG)
		return;
	over = model_used(model, now_us) - model->spec->max_hits;
	for (; over > 0; over--)
		if (--model->entries[0].units == 0)
			model_forget_before(model, model->entries[0].at_us + 1);
}

static int64_t
random_step(Random *random, int64_t per_us)
{
	switch (random_in(random, 0, 9))
	{
		case 0:
			return per_us + random_in(random, -1, 1);
		case 1:
			return random_in(random, 0, 3 * per_us);
		case 2:
		case 3:
			return random_in(random, 0, 2);
		default:
			return random_in(random, 0, per_us / 6 + 1);
	}
}

static int64_t
random_cost(Random *random, const LimitSpec *spec)
{
	if (random_once_in(random, 30))
		return random_in(random, spec->max_hits, (int64_t) spec->max_hits + 2);
	if (random_once_in(random, 3))
		return random_in(random, 0, (int64_t) spec->max_hits / 4 + 1);
	return random_in(random, 0, 1);
}

static void
step(Random *random, Model *model, Key *key, int64_t now_us)
{
	int64_t		cost = random_cost(random, model->spec);

	model_forget_before(model, window_begin(model, now_us));
	if (random_once_in(random, 15))
	{
		settle(model->spec, key, now_us);
		give(model->spec, key, now_us, cost);
		model_give(model, now_us, cost);
	}
	else if (random_once_in(random, 40))
		force(model, key, now_us, cost);
	else
		check_hit(model, key, now_us, cost);
}

static void
test_against_model(LimitAlgorithm algorithm, int64_t max_hits, int64_t per_us)
{
	static Model model;
	LimitSpec	spec = make_spec(algorithm, max_hits, per_us, ANY_BURST);
	Random		random = {(uint64_t) (max_hits ^ per_us ^ algorithm)};
	int64_t		now_us = 2 * LIMIT_MAX_PER_US;
	Key			key;
	char		name[128];

	snprintf(name, sizeof(name), "%s %" PRId64 " per %" PRId64 " us: as the model",
			 limit_algorithm_name(algorithm), max_hits, per_us);
	property_begin(name);
	clear_key(&key);
	model.spec = &spec;
	model.n = 0;
	for (int i = 0; i < STEPS; i++)
	{
		now_us += random_step(&random, per_us);
		if (now_us > INT64_MAX / 4)
			now_us = 2 * LIMIT_MAX_PER_US, clear_key(&key), model.n = 0;
		step(&random, &model, &key, now_us);
	}
	property_end();
}

/*
 * The keeper of a log has its hits in a ring and goes by this number to leave
 * those that stay where they are: it counts what fell off the old end, only.
 */
static void
test_log_dropped(void)
{
	LimitSpec	spec = make_spec(LIMIT_SLIDING_LOG, 5, HOUR_US, ANY_BURST);
	Key			key;

	clear_key(&key);
	for (int i = 0; i < 5; i++)
		hit(&spec, &key, START_US + i, 1);
	give(&spec, &key, START_US + 5, 1);
	ok(key.log.n == 4 && key.log.dropped == 0, "sliding_log: a refund drops nothing at the old end");
	take(&spec, &key, START_US + 6, 3);
	ok(key.log.n == 5 && key.log.dropped == 2 && key.log.at_us[0] == START_US + 2 &&
	   key.log.at_us[4] == START_US + 6, "sliding_log: over full drops the oldest 2");
	settle(&spec, &key, START_US + 3 + HOUR_US);
	ok(key.log.n == 3 && key.log.dropped == 4 && key.log.at_us[0] == START_US + 6,
	   "sliding_log: what ended is dropped");
}

int
main(void)
{
	static const LimitAlgorithm counters[] = {
		LIMIT_FIXED_WINDOW, LIMIT_CALENDAR_WINDOW, LIMIT_SLIDING_WINDOW
	};
	static const int64_t logs[][2] = {{1, 1}, {1, 37}, {3, 10}, {10, 97}, {7, HOUR_US}, {64, 1000003}};
	static const int64_t rates[][2] = {
		{1, 1}, {1, 37}, {3, 10}, {10, 97}, {1000, 41}, {7, HOUR_US}, {1000000, SECOND_US},
		{4000000000, LIMIT_MAX_PER_US}
	};

	for (size_t a = 0; a < sizeof(counters) / sizeof(counters[0]); a++)
		for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
			test_against_model(counters[a], rates[i][0], rates[i][1]);
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++)
		test_against_model(LIMIT_SLIDING_LOG, logs[i][0], logs[i][1]);
	test_log_dropped();
	return tap_done();
}
