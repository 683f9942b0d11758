/* link: src/partitions/grid.c src/partitions/gridtext.c src/core/civil.c */
/*
 * grid.c
 *		Where partitions begin and end and what they are called: the vectors, and a
 *		clock that is walked through minute by minute.
 */
#include "tap.h"

#include "json.h"
#include "random.h"
#include "zones.h"

#include "partitions/gridtext.h"

#define MINUTE 60
#define US INT64_C(1000000)

static int32_t
utc(const void *arg, int64_t at_s)
{
	return 0;
}

static Grid
grid_of(const char *every, GridKey key, CivilZone zone)
{
	Grid		grid = {.key = key, .zone = zone};
	const char *fault = grid_parse_step(every, &grid.step);

	if (fault != NULL || grid_step_fault(grid.step, key) != NULL)
	{
		printf("Bail out! %s is no step\n", every);
		exit(1);
	}
	return grid;
}

static Grid
utc_grid(const char *every, GridKey key)
{
	return grid_of(every, key, (CivilZone) {utc, NULL});
}

/* ---- the vectors ---- */

static const char *
text_of(const Json *object, const char *name, const char *missing)
{
	const Json *member = json_get(object, name);

	return member != NULL ? member->string : missing;
}

static GridKey
key_of(const Json *set)
{
	const char *kind = text_of(set, "kind", "timestamptz");

	return strcmp(kind, "id") == 0 ? GRID_INT8 : strcmp(kind, "epoch_s") == 0 ? GRID_INT8_S :
		strcmp(kind, "epoch_ms") == 0 ? GRID_INT8_MS : strcmp(kind, "uuidv7") == 0 ? GRID_UUIDV7 :
		strcmp(kind, "date") == 0 ? GRID_DATE : strcmp(kind, "timestamp") == 0 ? GRID_TIMESTAMP : GRID_TIMESTAMPTZ;
}

static Grid
grid_of_set(const Json *set)
{
	return grid_of(text_of(set, "every", NULL), key_of(set), libc_zone(text_of(set, "timezone", "UTC")));
}

static int64_t
start_of(const Grid *grid, const char *start)
{
	char		text[64];
	int64_t		position;

	if (grid->step.unit == GRID_ID)
		return strtoll(start, NULL, 10);
	snprintf(text, sizeof(text), "%s%s", start, strlen(start) == 10 ? "T00:00:00" : "");
	if (!grid_position(grid, civil_moment(&grid->zone, read_time(text)).first_s * US, &position))
		position = -1;
	return position;
}

static bool
is_bound(GridKey key, int64_t position, const Json *expected)
{
	char		value[GRID_VALUE_SIZE];

	grid_value(key, position, value);
	if (expected->kind == JSON_NUMBER)
		return position == expected->number;
	if (key == GRID_TIMESTAMPTZ)
		return position == read_time(expected->string) * US;
	return strcmp(value, expected->string) == 0;
}

static void
test_set(const Json *set)
{
	Grid		grid = grid_of_set(set);
	const Json *partitions = json_get(set, "partitions");
	GridRange	range;
	bool		there = grid_range(&grid, start_of(&grid, text_of(set, "start", NULL)), &range);

	for (int i = 0; i < partitions->n; i++)
	{
		const Json *partition = json_item(partitions, i);
		char		suffix[GRID_SUFFIX_SIZE];
		char		name[GRID_NAME_SIZE];

		grid_suffix(&grid, &range, suffix);
		grid_name(text_of(set, "parent", "t"), suffix, name);
		ok(there && strcmp(name, text_of(partition, "name", NULL)) == 0, "%s: %s", text_of(set, "id", ""), name);
		ok(is_bound(grid.key, range.from, json_get(partition, "from")) &&
		   is_bound(grid.key, range.to, json_get(partition, "to")), "%s: bounds of %s", text_of(set, "id", ""), name);
		there = grid_next(&grid, &range, &range);
	}
}

static const Json *
set_of_id(const Json *sets, const char *id)
{
	for (const Json *set = sets->first; set != NULL; set = set->next)
		if (strcmp(text_of(set, "id", ""), id) == 0)
			return set;
	json_bail("no such set");
	return NULL;
}

static void
test_retention(const Json *sets, const Json *retention)
{
	const Json *set = set_of_id(sets, text_of(retention, "set", ""));
	const Json *partitions = json_get(set, "partitions");
	const Json *goes = json_get(retention, "goes");
	Grid		grid = grid_of_set(set);
	char		now[32];
	const char *part = strchr(text_of(retention, "now", NULL), '.');
	GridStep	retain;
	int64_t		cutoff = 0;
	int			gone = 0;

	grid_parse_step(text_of(retention, "retain", NULL), &retain);
	snprintf(now, sizeof(now), "%.19s", text_of(retention, "now", NULL));
	ok(grid_before(&grid, read_time(now) * US + (part != NULL ? strtol(part + 1, NULL, 10) : 0), retain, &cutoff),
	   "%s: there is a cutoff", text_of(retention, "id", ""));
	for (int i = 0; i < partitions->n - 1; i++)
		if (read_time(text_of(json_item(partitions, i), "to", NULL)) * US <= cutoff)
			ok(gone < goes->n && strcmp(json_item(goes, gone++)->string, text_of(json_item(partitions, i), "name", "")) == 0,
			   "%s: %s goes", text_of(retention, "id", ""), text_of(json_item(partitions, i), "name", ""));
	ok(gone == goes->n, "%s: so many go", text_of(retention, "id", ""));
}

static void
test_vectors(void)
{
	const Json *all = json_read("test/vectors/partitions.json");
	const Json *sets = json_get(all, "sets");
	const Json *retentions = json_get(all, "retention");

	for (const Json *set = sets->first; set != NULL; set = set->next)
		test_set(set);
	for (const Json *retention = retentions->first; retention != NULL; retention = retention->next)
		test_retention(sets, retention);
}

/* ---- by hand: every | key | zone | time (or id) | suffix | from | to ---- */

typedef struct Example
{
	const char *every;
	GridKey		key;
	const char *zone;
	const char *at;
	const char *suffix;
	const char *from;
	const char *to;
} Example;

static const Example examples[] = {
	{"3 months", GRID_TIMESTAMPTZ, "UTC", "2026-11-21T00:00:00", "_2026_10", "2026-10-01 00:00:00+00", "2027-01-01 00:00:00+00"},
	{"5 months", GRID_TIMESTAMPTZ, "UTC", "2000-06-01T00:00:00", "_2000_06", "2000-06-01 00:00:00+00", "2000-11-01 00:00:00+00"},
	{"5 months", GRID_TIMESTAMPTZ, "UTC", "1999-12-31T00:00:00", "_1999_08", "1999-08-01 00:00:00+00", "2000-01-01 00:00:00+00"},
	{"1 week", GRID_TIMESTAMPTZ, "UTC", "2027-01-01T00:00:00", "_2026_w53", "2026-12-28 00:00:00+00", "2027-01-04 00:00:00+00"},
	{"1 week", GRID_TIMESTAMPTZ, "UTC", "2024-12-30T00:00:00", "_2025_w01", "2024-12-30 00:00:00+00", "2025-01-06 00:00:00+00"},
	{"1 week", GRID_TIMESTAMPTZ, "UTC", "2023-01-01T23:59:59", "_2022_w52", "2022-12-26 00:00:00+00", "2023-01-02 00:00:00+00"},
	{"2 weeks", GRID_TIMESTAMPTZ, "UTC", "2000-01-16T00:00:00", "_2000_w01", "2000-01-03 00:00:00+00", "2000-01-17 00:00:00+00"},
	{"7 days", GRID_TIMESTAMPTZ, "UTC", "2000-01-08T00:00:00", "_2000_01_08", "2000-01-08 00:00:00+00", "2000-01-15 00:00:00+00"},
	{"7 days", GRID_TIMESTAMPTZ, "UTC", "1999-12-31T00:00:00", "_1999_12_25", "1999-12-25 00:00:00+00", "2000-01-01 00:00:00+00"},
	{"6 hours", GRID_TIMESTAMPTZ, "UTC", "2026-11-25T13:00:00", "_2026_11_25_12", "2026-11-25 12:00:00+00", "2026-11-25 18:00:00+00"},
	{"5 hours", GRID_TIMESTAMPTZ, "UTC", "2000-01-01T06:00:00", "_2000_01_01_05", "2000-01-01 05:00:00+00", "2000-01-01 10:00:00+00"},
	{"5 hours", GRID_TIMESTAMPTZ, "UTC", "2000-01-02T00:00:00", "_2000_01_01_20", "2000-01-01 20:00:00+00", "2000-01-02 01:00:00+00"},
	{"15 minutes", GRID_TIMESTAMPTZ, "UTC", "2024-01-31T13:29:00", "_2024_01_31_1315", "2024-01-31 13:15:00+00", "2024-01-31 13:30:00+00"},
	{"7 minutes", GRID_TIMESTAMPTZ, "UTC", "2000-01-01T00:08:00", "_2000_01_01_0007", "2000-01-01 00:07:00+00", "2000-01-01 00:14:00+00"},
	/* The hour that comes twice, and the one that does not come. */
	{"1 hour", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-10-25T00:30:00Z", "_2026_10_25_02_utc00", "2026-10-25 00:00:00+00", "2026-10-25 01:00:00+00"},
	{"1 hour", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-10-25T01:30:00Z", "_2026_10_25_02_utc01", "2026-10-25 01:00:00+00", "2026-10-25 02:00:00+00"},
	{"1 hour", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-10-25T02:30:00Z", "_2026_10_25_03", "2026-10-25 02:00:00+00", "2026-10-25 03:00:00+00"},
	{"1 hour", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-03-29T01:30:00Z", "_2026_03_29_03", "2026-03-29 01:00:00+00", "2026-03-29 02:00:00+00"},
	{"30 minutes", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-10-25T01:45:00Z", "_2026_10_25_0230_utc0130", "2026-10-25 01:30:00+00", "2026-10-25 02:00:00+00"},
	{"6 hours", GRID_TIMESTAMPTZ, "Europe/Paris", "2026-10-25T01:30:00Z", "_2026_10_25_00", "2026-10-24 22:00:00+00", "2026-10-25 05:00:00+00"},
	{"1 day", GRID_TIMESTAMPTZ, "America/Sao_Paulo", "2018-11-04T12:00:00Z", "_2018_11_04", "2018-11-04 03:00:00+00", "2018-11-05 02:00:00+00"},
	{"1 day", GRID_TIMESTAMPTZ, "Pacific/Apia", "2011-12-30T12:00:00Z", "_2011_12_31", "2011-12-30 10:00:00+00", "2011-12-31 10:00:00+00"},
	{"1 day", GRID_TIMESTAMPTZ, "Pacific/Apia", "2011-12-30T09:59:59Z", "_2011_12_29", "2011-12-29 10:00:00+00", "2011-12-30 10:00:00+00"},
	{"1 hour", GRID_TIMESTAMPTZ, "Australia/Lord_Howe", "2026-04-04T15:15:00Z", "_2026_04_05_01", "2026-04-04 14:00:00+00", "2026-04-04 15:30:00+00"},
	/* Other keys. */
	{"1 day", GRID_TIMESTAMP, "Europe/Paris", "2026-03-29T05:00:00", "_2026_03_29", "2026-03-29 00:00:00", "2026-03-30 00:00:00"},
	{"1 month", GRID_DATE, "UTC", "2026-02-28T05:00:00", "_2026_02", "2026-02-01", "2026-03-01"},
	{"1 day", GRID_INT8_MS, "UTC", "2024-02-28T05:00:00", "_2024_02_28", "1709078400000", "1709164800000"},
	{"1 day", GRID_INT4_S, "Europe/Paris", "2024-02-28T05:00:00Z", "_2024_02_28", "1709074800", "1709161200"},
	{"1 year", GRID_INT4_S, "UTC", "2038-01-01T05:00:00", "_2038", "2145916800", "MAXVALUE"},
	{"1 year", GRID_UUIDV7, "UTC", "1970-06-01T05:00:00", "_1970", "00000000-0000-0000-0000-000000000000", "000757b1-2c00-0000-0000-000000000000"},
	{"10 years", GRID_TIMESTAMPTZ, "UTC", "0005-06-01T05:00:00", "_0000", "0001-01-01 00:00:00+00 BC", "0010-01-01 00:00:00+00"},
	/* Numbers. */
	{"1000", GRID_INT8, "", "-1", "_-1000_-1", "-1000", "0"},
	{"1000", GRID_INT8, "", "0", "_0_999", "0", "1000"},
	{"1000", GRID_INT2, "", "32100", "_32000_32767", "32000", "MAXVALUE"},
	{"1000", GRID_INT2, "", "-32768", "_-32768_-32001", "MINVALUE", "-32000"},
	{"1000", GRID_INT4, "", "2147483647", "_2147483000_2147483647", "2147483000", "MAXVALUE"},
	{"10", GRID_INT8, "", "9223372036854775807", "_9223372036854775800_9223372036854775807", "9223372036854775800", "MAXVALUE"},
	{"10", GRID_INT8, "", "-9223372036854775808", "_-9223372036854775808_-9223372036854775801", "MINVALUE", "-9223372036854775800"},
	{"1", GRID_INT8, "", "9223372036854775807", "_9223372036854775807_9223372036854775807", "9223372036854775807", "MAXVALUE"},
	{"9223372036854775807", GRID_INT8, "", "5", "_0_9223372036854775806", "0", "9223372036854775807"},
};

static void
test_example(const Example *example)
{
	bool		id = example->zone[0] == '\0';
	Grid		grid = grid_of(example->every, example->key, libc_zone(id ? "UTC" : example->zone));
	GridRange	range;
	char		suffix[GRID_SUFFIX_SIZE] = "";
	char		from[GRID_VALUE_SIZE] = "MINVALUE";
	char		to[GRID_VALUE_SIZE] = "MAXVALUE";
	int64_t		at = id ? strtoll(example->at, NULL, 10) : 0;

	if (example->key == GRID_TIMESTAMP)
		at = read_time(example->at) * US;
	else if (!id && !grid_position(&grid, read_time(example->at) * US, &at))
		at = -1;
	if (grid_range(&grid, at, &range))
	{
		grid_suffix(&grid, &range, suffix);
		if (!range.from_open)
			grid_value(grid.key, range.from, from);
		if (!range.to_open)
			grid_value(grid.key, range.to, to);
	}
	ok(strcmp(suffix, example->suffix) == 0 && strcmp(from, example->from) == 0 && strcmp(to, example->to) == 0,
	   "%s %s at %s: %s from %s to %s", example->every, example->zone, example->at, suffix, from, to);
}

/* ---- a clock, walked through ---- */

typedef struct Walk
{
	const char *zone;
	const char *from;
	const char *to;
} Walk;

static const Walk walks[] = {
	{"Europe/Paris", "2026-03-27T00:00:00", "2026-04-01T00:00:00"},
	{"Europe/Paris", "2026-10-23T00:00:00", "2026-10-28T00:00:00"},
	{"America/New_York", "2026-10-30T00:00:00", "2026-11-04T00:00:00"},
	{"America/Sao_Paulo", "2018-11-02T00:00:00", "2018-11-07T00:00:00"},
	{"America/Sao_Paulo", "2018-02-15T00:00:00", "2018-02-20T00:00:00"},
	{"America/Havana", "2026-10-30T00:00:00", "2026-11-04T00:00:00"},
	{"Australia/Lord_Howe", "2026-04-02T00:00:00", "2026-04-08T00:00:00"},
	{"Australia/Lord_Howe", "2026-10-01T00:00:00", "2026-10-07T00:00:00"},
	{"Pacific/Apia", "2011-12-27T00:00:00", "2012-01-03T00:00:00"},
	{"Pacific/Kwajalein", "1993-08-18T00:00:00", "1993-08-25T00:00:00"},
	{"Pacific/Kwajalein", "1969-09-28T00:00:00", "1969-10-04T00:00:00"},
	{"Asia/Kathmandu", "2026-01-01T00:00:00", "2026-01-04T00:00:00"},
	{"UTC", "1999-12-30T00:00:00", "2000-01-04T00:00:00"},
};

static const struct
{
	const char *every;
	int64_t		line_s;			/* from 2000-01-01 on */
	bool		splits;
}			walked[] = {
	{"1 minute", 60, true}, {"7 minutes", 420, true}, {"15 minutes", 900, true}, {"30 minutes", 1800, true},
	{"60 minutes", 3600, true}, {"1 hour", 3600, true}, {"2 hours", 7200, true}, {"3 hours", 10800, true},
	{"4 hours", 14400, true}, {"5 hours", 18000, true}, {"6 hours", 21600, true}, {"12 hours", 43200, true},
	{"24 hours", 86400, true}, {"1 day", 86400, false}, {"2 days", 172800, false},
};

static int64_t
line_at(int64_t local_s, int64_t line_s)
{
	return civil_floor(local_s - INT64_C(946684800), line_s);
}

/* When a minute is the beginning of a range: the clock shows a line it never came to, or comes to one a second time. */
static bool
begins(const CivilZone *zone, int64_t at_s, int64_t line_s, bool splits, int64_t *highest)
{
	int64_t		local_s = civil_local_s(zone, at_s);
	int64_t		line = line_at(local_s, line_s);
	CivilMoment moment;

	if (line > *highest)
	{
		*highest = line;
		return true;
	}
	if (!splits || line * line_s + INT64_C(946684800) != local_s)
		return false;
	moment = civil_moment(zone, local_s);
	return moment.kind == CIVIL_REPEAT && moment.second_s == at_s && line_s <= moment.second_s - moment.first_s;
}

static void
walk(const Walk *walk, int step)
{
	Grid		grid = grid_of(walked[step].every, GRID_TIMESTAMPTZ, libc_zone(walk->zone));
	int64_t		at_s = read_time(walk->from);
	int64_t		began_s = INT64_MIN;
	int64_t		highest = line_at(civil_local_s(&grid.zone, at_s), walked[step].line_s);
	GridRange	range = {0};
	char		before[GRID_SUFFIX_SIZE] = "";
	char		suffix[GRID_SUFFIX_SIZE] = "";

	for (at_s += MINUTE; at_s < read_time(walk->to); at_s += MINUTE)
	{
		bool		is_new = begins(&grid.zone, at_s, walked[step].line_s, walked[step].splits, &highest);

		if (is_new && began_s != INT64_MIN)
			check(range.to == at_s * US, "%s %s: at %" PRId64 " ends %" PRId64, walk->zone, walked[step].every, at_s, range.to / US);
		if (is_new)
			began_s = at_s;
		if (began_s == INT64_MIN)
			continue;
		check(grid_range(&grid, at_s * US + 1, &range) && range.from == began_s * US && range.to > range.from,
			  "%s %s: at %" PRId64 " from %" PRId64 ", expected %" PRId64, walk->zone, walked[step].every, at_s,
			  range.from / US, began_s);
		if (is_new)
		{
			grid_suffix(&grid, &range, suffix);
			check(strcmp(suffix, before) != 0, "%s %s: %s twice", walk->zone, walked[step].every, suffix);
			strcpy(before, suffix);
		}
	}
}

static void
test_walks(void)
{
	property_begin("a range begins when the clock comes to a line, and ends when the next begins");
	for (int i = 0; i < sizeof(walks) / sizeof(walks[0]); i++)
		for (int step = 0; step < sizeof(walked) / sizeof(walked[0]); step++)
			walk(&walks[i], step);
	property_end();
}

/* All names of a long day differ, not only neighbours. */
static void
test_long_day(void)
{
	static char names[4000][GRID_SUFFIX_SIZE];
	const char *every[] = {"1 hour", "15 minutes", "7 minutes", "1 minute"};
	int			expected[] = {25, 100, 0, 1500};

	for (int i = 0; i < 4; i++)
	{
		Grid		grid = grid_of(every[i], GRID_TIMESTAMPTZ, libc_zone("Europe/Paris"));
		int64_t		to = read_time("2026-10-25T23:00:00Z") * US;
		GridRange	range;
		bool		same = false;
		int			n = 0;

		for (bool there = grid_range(&grid, read_time("2026-10-24T22:00:00Z") * US, &range);
			 there && range.from < to; there = grid_next(&grid, &range, &range))
		{
			grid_suffix(&grid, &range, names[n]);
			for (int other = 0; other < n; other++)
				same = same || strcmp(names[other], names[n]) == 0;
			n++;
		}
		ok(!same && (expected[i] == 0 || n == expected[i]), "the long day has %d names for %s", n, every[i]);
	}
}

/* ---- any grid ---- */

static const char *const any_steps[] = {"1 year", "7 years", "10 years", "1 month", "2 months", "5 months", "1 week", "3 weeks",
	"1 day", "10 days", "36 hours", "100 hours", "1 hour", "45 minutes", "5000 minutes"};

static void
test_any(void)
{
	const char *zones[] = {"UTC", "Europe/Paris", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Monrovia"};
	Random		random = {17};

	property_begin("ranges follow each other without a gap, and hold what they were asked for");
	for (int z = 0; z < 6; z++)
	{
		CivilZone	zone = libc_zone(zones[z]);

		for (int i = 0; i < 2000; i++)
		{
			Grid		grid = grid_of(any_steps[random_bits(&random) % 15], GRID_TIMESTAMPTZ, zone);
			int64_t		at = random_in(&random, -62000000000, 250000000000) * US + random_in(&random, 0, 999999);
			GridRange	range;
			GridRange	next;
			GridRange	again;

			if (random_once_in(&random, 2))
				at = random_in(&random, 0, 2000000000) * US;
			check(grid_range(&grid, at, &range) && range.from <= at && range.to > at, "%" PRId64, at);
			check(grid_next(&grid, &range, &next) && next.from == range.to && next.to > next.from, "after %" PRId64, at);
			check(grid_range(&grid, range.to - 1, &again) && again.from == range.from && again.to == range.to,
				  "the end of that of %" PRId64, at);
		}
	}
	property_end();
}

static void
test_any_id(void)
{
	const GridKey keys[] = {GRID_INT2, GRID_INT4, GRID_INT8};
	const int64_t ends[] = {INT16_MAX, INT32_MAX, INT64_MAX};
	Random		random = {18};

	property_begin("ids: multiples, clipped at the ends of the type");
	for (int i = 0; i < 100000; i++)
	{
		int			k = (int) (random_bits(&random) % 3);
		Grid		grid = {{GRID_ID, 1 + random_scaled(&random, ends[k] - 1)}, keys[k], {utc, NULL}};
		int64_t		id = random_scaled(&random, ends[k]);
		GridRange	range;
		GridRange	next;

		if (random_once_in(&random, 2))
			id = -id - random_once_in(&random, 2);
		if (random_once_in(&random, 4))
			id = ends[k] - random_scaled(&random, 1000);
		check(grid_range(&grid, id, &range), "%" PRId64, id);
		check(range.from <= id && (id < range.to || (range.to_open && id <= range.to)), "%" PRId64, id);
		check(range.from_open || range.from % grid.step.n == 0, "%" PRId64 " begins", id);
		check(range.to_open || range.to % grid.step.n == 0, "%" PRId64 " ends", id);
		check(range.to_open || (grid_next(&grid, &range, &next) && next.from == range.to && !next.from_open), "%" PRId64, id);
	}
	property_end();
}

/* ---- steps ---- */

static void
test_steps(void)
{
	const char *good[] = {"1 year", "10 years", "1 YEAR", "3months", " 1  month ", "2 mons", "7 days", "24 hours", "15 min", "100000", "9223372036854775807"};
	const char *bad[] = {"", " ", "month", "0", "0 days", "-1 day", "1.5 days", "1 fortnight", "1 day 2 hours", "01:00:00",
		"9223372036854775808", "1 dayss", "1 d", "2000 years", "1 s", "1 quarter of a day", "1e3", "+5", "1 ye", "P1D"};
	GridStep	step;

	for (int i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(grid_parse_step(good[i], &step) == NULL && step.n > 0, "a step: '%s'", good[i]);
	for (int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(grid_parse_step(bad[i], &step) != NULL, "no step: '%s'", bad[i]);
	ok(grid_step_fault((GridStep) {GRID_HOUR, 24}, GRID_DATE) != NULL, "no hours for a date");
	ok(grid_step_fault((GridStep) {GRID_DAY, 1}, GRID_INT8) != NULL, "no days for an id");
	ok(grid_step_fault((GridStep) {GRID_ID, 1}, GRID_INT8_S) != NULL, "no number for a time");
	ok(grid_step_fault((GridStep) {GRID_ID, 40000}, GRID_INT2) != NULL, "nothing wider than the type");
	ok(grid_step_is_shorter((GridStep) {GRID_DAY, 27}, (GridStep) {GRID_MONTH, 1}), "27 days are shorter than a month");
	ok(!grid_step_is_shorter((GridStep) {GRID_DAY, 30}, (GridStep) {GRID_MONTH, 1}), "30 days can be a month");
	ok(grid_step_is_shorter((GridStep) {GRID_MONTH, 11}, (GridStep) {GRID_YEAR, 1}), "11 months are shorter than a year");
	ok(!grid_step_is_shorter((GridStep) {GRID_MONTH, 12}, (GridStep) {GRID_YEAR, 1}), "12 months are a year");
}

static void
test_before(void)
{
	const struct
	{
		const char *now;
		GridStep	width;
		const char *before;
	}			cases[] = {
		{"2026-03-31T10:00:00Z", {GRID_MONTH, 1}, "2026-02-28T12:00:00+01:00"},
		{"2024-02-29T12:00:00Z", {GRID_YEAR, 1}, "2023-02-28T12:00:00Z"},
		{"2026-03-29T22:30:00Z", {GRID_DAY, 1}, "2026-03-28T23:30:00Z"},
		{"2026-03-29T22:30:00Z", {GRID_HOUR, 24}, "2026-03-28T22:30:00Z"},
		{"2026-01-15T00:00:00Z", {GRID_WEEK, 2}, "2026-01-01T00:00:00Z"},
		{"2026-01-15T00:00:00Z", {GRID_MONTH, 13}, "2024-12-15T00:00:00Z"},
	};
	CivilZone	zone = libc_zone("Europe/Paris");
	Grid		grid = grid_of("1 day", GRID_TIMESTAMPTZ, zone);

	for (int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int64_t		before = 0;
		int64_t		expected = read_time(cases[i].before) * US + 5;

		ok(grid_before(&grid, read_time(cases[i].now) * US + 5, cases[i].width, &before) && before == expected,
		   "before %s: %s", cases[i].now, cases[i].before);
	}
}

static void
test_limits(void)
{
	Grid		grid = utc_grid("1 day", GRID_INT8_S);
	GridRange	range;
	int64_t		position;

	ok(!grid_range(&grid, INT64_MAX, &range) && !grid_range(&grid, INT64_MIN, &range), "no range at the ends of int64");
	grid = utc_grid("1 day", GRID_TIMESTAMPTZ);
	ok(!grid_range(&grid, INT64_MAX, &range) && !grid_range(&grid, INT64_MIN, &range), "nor at infinity");
	ok(!grid_position(&grid, read_time("9999-12-31T12:00:00") * US, &position), "the calendar ends");
	grid = utc_grid("1 day", GRID_UUIDV7);
	ok(!grid_position(&grid, -1, &position), "no UUID is older than 1970");
	grid = utc_grid("1 day", GRID_INT4_S);
	ok(!grid_position(&grid, read_time("2038-01-20T00:00:00") * US, &position), "integers of seconds end in 2038");
}

static void
test_names(void)
{
	char		name[GRID_NAME_SIZE];

	grid_name("messages", "_2025_01", name);
	ok(strcmp(name, "messages_2025_01") == 0, "%s", name);
	grid_name("a23456789012345678901234567890123456789012345678901234567890123", "_2025_01_31_13", name);
	ok(strlen(name) == 63 && strcmp(name + 49, "_2025_01_31_13") == 0, "%s", name);
	grid_name("éééééééééééééééééééééééééééééé", "_2025_01_31_13", name);
	ok(strlen(name) == 48 + 14 && strcmp(name + 48, "_2025_01_31_13") == 0, "%s", name);
	grid_name("a234567890123456789012345678901234567890123456😀", "_2025_01_31_13", name);
	ok(strlen(name) == 46 + 14, "%s", name);
}

int
main(void)
{
	test_vectors();
	for (int i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		test_example(&examples[i]);
	test_walks();
	test_long_day();
	test_any();
	test_any_id();
	test_steps();
	test_before();
	test_limits();
	test_names();
	return tap_done();
}
