/* link: src/limits/algorithms.c src/limits/spec.c */
/*
 * vectors.c
 *		Replays test/vectors/limits.json: what published limiters answer, call by
 *		call, to the microsecond.
 *
 * Times in the file are offsets to an arbitrary start, so each vector is
 * replayed from several; those of aligned windows are absolute and move by
 * whole windows.  A vector that this program does not understand fails.
 */
#include "tap.h"
#include "key.h"
#include "json.h"

#define MS_US 1000

typedef struct Vector
{
	const char *id;
	const Json *params;
	const Json *cols;
	const Json *rows;
	LimitAlgorithm algorithm;
} Vector;

/* One row, times in microseconds; a column that the vector lacks is ABSENT. */
typedef struct Row
{
	int64_t		t_us;
	int64_t		cost;
	int64_t		allowed;
	int64_t		remaining;
	int64_t		retry_us;
	int64_t		reset_us;
	const char *violated;
} Row;

#define ABSENT (-2)
#define NOT_APPLICABLE (-1)

static const Json *
column(const Vector *vector, int row, const char *name)
{
	const Json *cells = json_item(vector->rows, row);

	for (int i = 0; i < vector->cols->n; i++)
		if (strcmp(json_item(vector->cols, i)->string, name) == 0)
			return json_item(cells, i);
	return NULL;
}

static int64_t
number(const Vector *vector, int row, const char *name, int64_t otherwise)
{
	const Json *cell = column(vector, row, name);

	return cell ? cell->number : otherwise;
}

static int64_t
duration(const Vector *vector, int row, const char *name)
{
	int64_t		ms = number(vector, row, name, ABSENT);

	return ms < 0 ? ms : ms * MS_US;
}

static Row
read_row(const Vector *vector, int row)
{
	const Json *violated = column(vector, row, "violated");
	Row			result;

	result.t_us = duration(vector, row, "t_ms");
	result.cost = number(vector, row, "cost", 1);
	result.allowed = number(vector, row, "allowed", ABSENT);
	result.remaining = number(vector, row, "remaining", ABSENT);
	result.retry_us = duration(vector, row, "retry_ms");
	result.reset_us = duration(vector, row, "reset_ms");
	if (result.reset_us == ABSENT)
		result.reset_us = duration(vector, row, "reset_in_ms");
	result.violated = violated && violated->string ? violated->string : "";
	return result;
}

static int64_t
param(const Vector *vector, const char *name)
{
	const Json *value = json_get(vector->params, name);

	return value ? value->number : ABSENT;
}

static LimitSpec
vector_spec(const Vector *vector)
{
	int64_t		burst = param(vector, "burst");

	return make_spec(vector->algorithm, param(vector, "limit"), param(vector, "window_ms") * MS_US,
					 burst == ABSENT ? ANY_BURST : burst);
}

/* ---- one limit ---- */

static void
check_verdict(const Row *row, int n, int64_t now_us, const LimitVerdict *verdict)
{
	int64_t		retry_us = verdict->retry_us == 0 ? NOT_APPLICABLE : verdict->retry_us - now_us;

	check(verdict->remaining == row->remaining, "row %d: %" PRId64 ", want %" PRId64, n,
		  verdict->remaining, row->remaining);
	check(verdict->reset_us - now_us == row->reset_us, "row %d: %" PRId64 ", want %" PRId64, n,
		  verdict->reset_us - now_us, row->reset_us);
	if (row->cost == 0)
		return;
	check(verdict->allowed == (row->allowed == 1), "row %d", n);
	if (row->retry_us == ABSENT)
		check((retry_us == NOT_APPLICABLE) == verdict->allowed, "row %d: %" PRId64, n, retry_us);
	else
		check(retry_us == row->retry_us, "row %d: %" PRId64 ", want %" PRId64, n, retry_us,
			  row->retry_us);
}

/* V6 leaves out its hits 4 to 98, all at the time of the third. */
static void
send_left_out_hits(const LimitSpec *spec, Key *key, int64_t now_us)
{
	for (int i = 0; i < 95; i++)
		check(hit(spec, key, now_us, 1).remaining == 96 - i, "hit %d", i + 4);
}

/*
 * The block of V12 is the shell's: its rows from the first denial until the
 * block ends are left to the tests in SQL.  That they change nothing shows in
 * the row behind them.
 */
static bool
is_blocked(const Vector *vector, int64_t denied_us, int64_t t_us)
{
	return denied_us >= 0 && t_us < denied_us + param(vector, "block_ms") * MS_US;
}

static void
replay(const Vector *vector, int64_t start_us)
{
	LimitSpec	spec = vector_spec(vector);
	bool		blocks = param(vector, "block_ms") != ABSENT;
	int64_t		denied_us = -1;
	Key			key;

	clear_key(&key);
	for (int i = 0; i < vector->rows->n; i++)
	{
		Row			row = read_row(vector, i);
		LimitVerdict verdict;

		if (is_blocked(vector, denied_us, row.t_us))
			continue;
		if (i == 3 && strcmp(vector->id, "V6") == 0)
			send_left_out_hits(&spec, &key, start_us + row.t_us);
		verdict = hit(&spec, &key, start_us + row.t_us, row.cost);
		if (blocks && !verdict.allowed && denied_us < 0)
		{
			denied_us = row.t_us;
			row.reset_us = verdict.reset_us - start_us - row.t_us;
		}
		check_verdict(&row, i, start_us + row.t_us, &verdict);
	}
}

/* ---- several limits on one key: all or nothing ---- */

#define MAX_LIMITS 4

typedef struct Limits
{
	int			n;
	LimitSpec	spec[MAX_LIMITS];
	Key			key[MAX_LIMITS];
} Limits;

static void
start_limits(const Vector *vector, Limits *limits)
{
	const Json *list = json_get(vector->params, "limits");

	limits->n = list->n < MAX_LIMITS ? list->n : MAX_LIMITS;
	for (int i = 0; i < limits->n; i++)
	{
		const Json *pair = json_item(list, i);

		limits->spec[i] = make_spec(vector->algorithm, json_item(pair, 0)->number,
									json_item(pair, 1)->number * MS_US, ANY_BURST);
		clear_key(&limits->key[i]);
	}
}

/* Judges by all, then takes from all or from none; names those that refused as "1s+5s". */
static void
hit_all(Limits *limits, int64_t now_us, char *violated, size_t size)
{
	size_t		length = 0;

	violated[0] = '\0';
	for (int i = 0; i < limits->n; i++)
		if (!passes(&limits->spec[i], &limits->key[i], now_us, 1))
			length += snprintf(violated + length, size - length, "%s%" PRId64 "s",
							   length > 0 ? "+" : "", limits->spec[i].per_us / SECOND_US);
	if (length > 0)
		return;
	for (int i = 0; i < limits->n; i++)
	{
		settle(&limits->spec[i], &limits->key[i], now_us);
		take(&limits->spec[i], &limits->key[i], now_us, 1);
	}
}

static void
replay_all_or_nothing(const Vector *vector, int64_t start_us)
{
	static Limits limits;
	char		violated[64];

	start_limits(vector, &limits);
	for (int i = 0; i < vector->rows->n; i++)
	{
		Row			row = read_row(vector, i);

		hit_all(&limits, start_us + row.t_us, violated, sizeof(violated));
		check((violated[0] == '\0') == (row.allowed == 1), "row %d: by \"%s\"", i, violated);
		check(strcmp(violated, row.violated) == 0, "row %d: \"%s\", want \"%s\"", i, violated,
			  row.violated);
	}
}

/* ---- all of them ---- */

static bool
is_aligned(LimitAlgorithm algorithm)
{
	return algorithm == LIMIT_CALENDAR_WINDOW || algorithm == LIMIT_SLIDING_WINDOW;
}

static void
replay_from(const Vector *vector, int64_t start_us)
{
	if (is_aligned(vector->algorithm))
		start_us -= start_us % (param(vector, "window_ms") * MS_US);
	if (json_get(vector->params, "limits") != NULL)
		replay_all_or_nothing(vector, start_us);
	else
		replay(vector, start_us);
}

static bool
read_vector(const Json *json, Vector *vector)
{
	const Json *algorithm = json_get(json, "algorithm");
	const Json *id = json_get(json, "id");

	if (algorithm == NULL || id == NULL)
		return false;
	vector->id = id->string;
	vector->algorithm = limit_algorithm_from_name(algorithm->string);
	vector->params = json_get(json, "params");
	vector->cols = json_get(json, "cols");
	vector->rows = json_get(json, "rows");
	return vector->algorithm != LIMIT_ALGORITHM_INVALID && vector->params && vector->cols &&
		vector->rows && vector->rows->n > 0 && column(vector, 0, "allowed") != NULL;
}

int
main(int argc, char **argv)
{
	static const int64_t starts[] = {1, START_US, START_US + 999999, 4 * START_US};
	const Json *root = json_read(argc > 1 ? argv[1] : "test/vectors/limits.json");
	const Json *vectors = json_get(root, "vectors");
	char		name[128];

	for (const Json *json = vectors->first; json != NULL; json = json->next)
	{
		Vector		vector;

		if (!read_vector(json, &vector))
		{
			ok(false, "a vector of %s is understood", json->name ? json->name : "the file");
			continue;
		}
		snprintf(name, sizeof(name), "%s: %s, %d rows", vector.id,
				 limit_algorithm_name(vector.algorithm), vector.rows->n);
		property_begin(name);
		for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
			replay_from(&vector, starts[i]);
		property_end();
	}
	ok(vectors->n >= 7, "the file has its %d vectors", vectors->n);
	return tap_done();
}
