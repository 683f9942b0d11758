/* link: src/partitions/grid.c src/partitions/gridtext.c src/core/civil.c */
/*
 * grid.c
 *		Any text for a step, any zone with a clock that is set now and then, any key:
 *		ranges hold what they were asked for and follow each other, and names fit.
 */
#include "bytes.h"

#include "partitions/gridtext.h"

typedef struct Clock
{
	int64_t		period_s;
	int32_t		offset_s[2];
} Clock;

static int32_t
clock_offset_s(const void *arg, int64_t at_s)
{
	const Clock *clock = arg;

	return clock->offset_s[civil_floor(at_s, clock->period_s) & 1];
}

/* Whole minutes, half a day from UTC at most, set at least four days apart. */
static CivilZone
zone_of(Bytes *bytes, Clock *clock)
{
	clock->period_s = 4 * CIVIL_DAY_S + bytes_number(bytes, 400 * (int64_t) CIVIL_DAY_S);
	for (int i = 0; i < 2; i++)
		clock->offset_s[i] = (int32_t) (bytes_number(bytes, 2 * 12 * 60) - 12 * 60) * 60;
	return (CivilZone) {clock_offset_s, clock};
}

static void
must_be_named(const Grid *grid, const GridRange *range, const char *table)
{
	char		suffix[GRID_SUFFIX_SIZE];
	char		name[GRID_NAME_SIZE];
	char		value[GRID_VALUE_SIZE];

	grid_suffix(grid, range, suffix);
	must(strlen(suffix) > 1 && strlen(suffix) < 60);
	grid_name(table, suffix, name);
	must(strlen(name) < sizeof(name));
	must(strcmp(name + strlen(name) - strlen(suffix), suffix) == 0);
	grid_value(grid->key, range->from, value);
	grid_value(grid->key, range->to, value);
}

static void
must_follow(const Grid *grid, const GridRange *range)
{
	GridRange	next;

	if (!grid_next(grid, range, &next))
		return;
	must(next.from == range->to);
	must(next.to > next.from || next.to_open);
}

static void
must_hold(const Grid *grid, int64_t position, const char *table)
{
	GridRange	range;
	GridRange	again;

	if (!grid_range(grid, position, &range))
		return;
	must(range.from <= position || range.from_open);
	must(position < range.to || range.to_open);
	must_be_named(grid, &range, table);
	must_follow(grid, &range);
	/* A range may reach back beyond the calendar. */
	if (!range.from_open && grid_range(grid, range.from, &again))
		must(again.from == range.from && again.to == range.to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes		bytes = {data, size};
	Clock		clock;
	Grid		grid = {.key = bytes_one(&bytes) % (GRID_UUIDV7 + 1)};
	GridStep	width = {bytes_one(&bytes) % (GRID_YEAR + 1), 1 + bytes_number(&bytes, 300)};
	int64_t		position = (int64_t) bytes_word(&bytes, 8);
	int64_t		before;
	char	   *text;

	grid.zone = zone_of(&bytes, &clock);
	text = malloc(bytes.left + 1);
	memcpy(text, bytes.at, bytes.left);
	text[bytes.left] = '\0';
	if (grid_parse_step(text, &grid.step) != NULL)
		grid.step = width;
	must(grid.step.n > 0);
	if (grid_step_fault(grid.step, grid.key) == NULL)
	{
		must_hold(&grid, position, text);
		if (grid_position(&grid, position, &position))
			must_hold(&grid, position, text);
		if (grid_step_fault(width, grid.key) == NULL && grid_before(&grid, position, width, &before))
			must_hold(&grid, before, text);
	}
	free(text);
	return 0;
}
