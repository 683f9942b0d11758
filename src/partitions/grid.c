/*
 * grid.c
 *		See grid.h.
 *
 * A grid of times is made of lines: local times, numbered in a row.  Its bounds
 * are the moments at which the clock comes to a line.
 */
#include "partitions/grid.h"

#define MINUTE_S	60
#define HOUR_S		3600
#define WEEK_S		(7 * CIVIL_DAY_S)
#define US_PER_S	INT64_C(1000000)

#define FIRST_YEAR	1
#define LAST_YEAR	9999

#define UUID_LAST_MS	((INT64_C(1) << 48) - 1)

/* 1970-01-01 plus these are 2000-01-01, and 2000-01-03, a Monday. */
#define DAY_2000_S		(INT64_C(10957) * CIVIL_DAY_S)
#define MONDAY_2000_S	(INT64_C(10959) * CIVIL_DAY_S)

/* ---- keys ---- */

static bool
is_id(GridKey key)
{
	return key == GRID_INT2 || key == GRID_INT4 || key == GRID_INT8;
}

/* Those whose values are what the clock shows, so that the zone says no more than what time it is. */
static bool
is_wall_clock(GridKey key)
{
	return key == GRID_TIMESTAMP || key == GRID_DATE;
}

static int64_t
key_min(GridKey key)
{
	switch (key)
	{
		case GRID_INT2:
			return INT16_MIN;
		case GRID_INT4:
		case GRID_INT4_S:
			return INT32_MIN;
		default:
			return INT64_MIN;
	}
}

static int64_t
key_max(GridKey key)
{
	switch (key)
	{
		case GRID_INT2:
			return INT16_MAX;
		case GRID_INT4:
		case GRID_INT4_S:
			return INT32_MAX;
		default:
			return INT64_MAX;
	}
}

static int64_t
clamp(int64_t value, int64_t low, int64_t high, bool *cut)
{
	*cut = value < low || value > high;
	return value < low ? low : value > high ? high : value;
}

/* Seconds as a position; "cut" when the key cannot say them, and then the nearest it can. */
static int64_t
from_seconds(GridKey key, int64_t at_s, bool *cut)
{
	*cut = false;
	switch (key)
	{
		case GRID_DATE:
			return civil_floor(at_s, CIVIL_DAY_S);
		case GRID_INT4_S:
		case GRID_INT8_S:
			return clamp(at_s, key_min(key), key_max(key), cut);
		case GRID_INT8_MS:
			return at_s * 1000;
		case GRID_UUIDV7:
			return (int64_t) ((uint64_t) clamp(at_s * 1000, 0, UUID_LAST_MS, cut) << 16 ^
							  (uint64_t) GRID_UUID_TOP_BIT);
		default:
			return at_s * US_PER_S;
	}
}

static int64_t
to_seconds(GridKey key, int64_t position)
{
	switch (key)
	{
		case GRID_DATE:
			return clamp(position, -INT32_MAX, INT32_MAX, &(bool) {false}) * CIVIL_DAY_S;
		case GRID_INT4_S:
		case GRID_INT8_S:
			return position;
		case GRID_INT8_MS:
			return civil_floor(position, 1000);
		case GRID_UUIDV7:
			return (int64_t) (((uint64_t) position ^ (uint64_t) GRID_UUID_TOP_BIT) >> 16) / 1000;
		default:
			return civil_floor(position, US_PER_S);
	}
}

/* ---- steps ---- */

const char *
grid_step_fault(GridStep step, GridKey key)
{
	if (is_id(key) && step.unit != GRID_ID)
		return "a key that counts is divided by a number";
	if (!is_id(key) && step.unit == GRID_ID)
		return "a key that is a time is divided by a span of time";
	if (key == GRID_DATE && (step.unit == GRID_MINUTE || step.unit == GRID_HOUR))
		return "a date is divided by whole days";
	if (is_id(key) && step.n > key_max(key))
		return "it is wider than all keys of the type";
	return NULL;
}

/* How long it is at most and at least, a day being a day. */
static int64_t
step_seconds(GridStep step, bool at_most)
{
	switch (step.unit)
	{
		case GRID_MINUTE:
			return step.n * MINUTE_S;
		case GRID_HOUR:
			return step.n * HOUR_S;
		case GRID_DAY:
			return step.n * CIVIL_DAY_S;
		case GRID_WEEK:
			return step.n * WEEK_S;
		case GRID_MONTH:
			return step.n * (at_most ? 31 : 28) * CIVIL_DAY_S;
		case GRID_YEAR:
			return step.n * (at_most ? 366 : 365) * CIVIL_DAY_S;
		default:
			return step.n;
	}
}

static int64_t
step_months(GridStep step)
{
	return step.unit == GRID_YEAR ? step.n * 12 : step.unit == GRID_MONTH ? step.n : 0;
}

bool
grid_step_is_shorter(GridStep width, GridStep partition)
{
	if (step_months(width) > 0 && step_months(partition) > 0)
		return step_months(width) < step_months(partition);
	return step_seconds(width, true) < step_seconds(partition, false);
}

/* ---- lines ---- */

static int64_t
line_of(GridStep step, int64_t local_s)
{
	CivilDate	date = civil_date(civil_floor(local_s, CIVIL_DAY_S));

	switch (step.unit)
	{
		case GRID_YEAR:
			return civil_floor(date.year, step.n);
		case GRID_MONTH:
			return civil_floor((date.year - 2000) * 12 + date.month - 1, step.n);
		case GRID_WEEK:
			return civil_floor(local_s - MONDAY_2000_S, step.n * WEEK_S);
		default:
			return civil_floor(local_s - DAY_2000_S, step_seconds(step, true));
	}
}

static int64_t
line_local_s(GridStep step, int64_t line)
{
	switch (step.unit)
	{
		case GRID_YEAR:
			return civil_days(line * step.n, 1, 1) * CIVIL_DAY_S;
		case GRID_MONTH:
			return civil_days(2000, 1 + line * step.n, 1) * CIVIL_DAY_S;
		case GRID_WEEK:
			return MONDAY_2000_S + line * step.n * WEEK_S;
		default:
			return DAY_2000_S + line * step_seconds(step, true);
	}
}

bool
grid_divides_repeat(GridStep step, CivilMoment moment)
{
	return moment.kind == CIVIL_REPEAT && (step.unit == GRID_MINUTE || step.unit == GRID_HOUR) &&
		step_seconds(step, true) <= moment.second_s - moment.first_s;
}

typedef struct Bounds
{
	int64_t		at_s;
	int64_t		from_s;
	int64_t		to_s;
} Bounds;

static void
tighten(Bounds *bounds, int64_t bound_s)
{
	if (bound_s <= bounds->at_s && bound_s > bounds->from_s)
		bounds->from_s = bound_s;
	if (bound_s > bounds->at_s && bound_s < bounds->to_s)
		bounds->to_s = bound_s;
}

/*
 * The bounds next to a moment belong to the lines next to what the clock shows
 * then, or would show by the offset of the day before or after; a clock set
 * back can put a line and a half in between.
 */
static Bounds
find_bounds(GridStep step, const CivilZone *zone, int64_t at_s)
{
	Bounds		bounds = {at_s, INT64_MIN, INT64_MAX};

	for (int day = -1; day <= 1; day++)
	{
		int32_t		offset_s = zone->offset_s(zone->arg, at_s + day * CIVIL_DAY_S);
		int64_t		line = line_of(step, at_s + offset_s);

		for (int64_t near = line - 1; near <= line + 2; near++)
		{
			CivilMoment moment = civil_moment(zone, line_local_s(step, near));

			tighten(&bounds, moment.first_s);
			if (grid_divides_repeat(step, moment))
				tighten(&bounds, moment.second_s);
		}
	}
	return bounds;
}

/* ---- ranges ---- */

static int32_t
no_offset(const void *arg, int64_t at_s)
{
	return 0;
}

CivilZone
grid_clock(const Grid *grid)
{
	return is_wall_clock(grid->key) ? (CivilZone) {no_offset, NULL} : grid->zone;
}

/* With a day to spare at both ends for the zone. */
static bool
is_time_known(int64_t at_s)
{
	return at_s >= (civil_days(FIRST_YEAR, 1, 1) + 1) * CIVIL_DAY_S &&
		at_s < (civil_days(LAST_YEAR + 1, 1, 1) - 1) * CIVIL_DAY_S;
}

bool
grid_position(const Grid *grid, int64_t at_us, int64_t *position)
{
	int64_t		at_s = civil_floor(at_us, US_PER_S);
	int64_t		part_us = (at_us % US_PER_S + US_PER_S) % US_PER_S;
	bool		cut;

	if (is_id(grid->key) || !is_time_known(at_s))
		return false;
	if (is_wall_clock(grid->key))
		at_s = civil_local_s(&grid->zone, at_s);
	*position = from_seconds(grid->key, at_s, &cut);
	if (grid->key == GRID_TIMESTAMPTZ || grid->key == GRID_TIMESTAMP)
		*position += part_us;
	else if (grid->key == GRID_INT8_MS)
		*position += part_us / 1000;
	else if (grid->key == GRID_UUIDV7 && !cut)
		*position = (int64_t) ((uint64_t) *position + ((uint64_t) part_us / 1000 << 16));
	return !cut;
}

static bool
id_range(const Grid *grid, int64_t id, GridRange *range)
{
	int64_t		n = grid->step.n;
	int64_t		line = civil_floor(id, n);

	range->from_open = __builtin_mul_overflow(line, n, &range->from) || range->from < key_min(grid->key);
	if (range->from_open)
		range->from = key_min(grid->key);
	range->to_open = line < INT64_MAX &&
		(__builtin_mul_overflow(line + 1, n, &range->to) || range->to > key_max(grid->key));
	if (line == INT64_MAX)
		range->to_open = true;
	if (range->to_open)
		range->to = key_max(grid->key);
	range->from_s = 0;
	return true;
}

bool
grid_range(const Grid *grid, int64_t position, GridRange *range)
{
	int64_t		at_s = to_seconds(grid->key, position);
	CivilZone	zone = grid_clock(grid);
	Bounds		bounds;

	if (position < key_min(grid->key) || position > key_max(grid->key))
		return false;
	if (is_id(grid->key))
		return id_range(grid, position, range);
	if (!is_time_known(at_s))
		return false;
	bounds = find_bounds(grid->step, &zone, at_s);
	range->from_s = bounds.from_s;
	range->from = from_seconds(grid->key, bounds.from_s, &range->from_open);
	range->to = from_seconds(grid->key, bounds.to_s, &range->to_open);
	return true;
}

bool
grid_next(const Grid *grid, const GridRange *range, GridRange *next)
{
	return !range->to_open && grid_range(grid, range->to, next);
}

/* ---- retention ---- */

static int64_t
local_before(int64_t local_s, GridStep width)
{
	int64_t		day = civil_floor(local_s, CIVIL_DAY_S);
	CivilDate	date = civil_date(day);
	int64_t		months = date.year * 12 + date.month - 1 - step_months(width);
	int64_t		year = civil_floor(months, 12);
	int			month = (int) (months - year * 12) + 1;
	int			last = civil_month_length(year, month);

	if (step_months(width) == 0)
		return local_s - step_seconds(width, true);
	return local_s + (civil_days(year, month, date.day < last ? date.day : last) - day) * CIVIL_DAY_S;
}

/* Hours and minutes pass, days and more are turned back on the calendar, as by PostgreSQL's interval. */
static int64_t
seconds_before(const CivilZone *zone, int64_t at_s, GridStep width)
{
	if (width.unit == GRID_MINUTE || width.unit == GRID_HOUR)
		return at_s - step_seconds(width, true);
	return civil_moment(zone, local_before(civil_local_s(zone, at_s), width)).first_s;
}

bool
grid_before(const Grid *grid, int64_t position, GridStep width, int64_t *before)
{
	CivilZone	zone = grid_clock(grid);
	int64_t		at_s = to_seconds(grid->key, position);
	int64_t		rest;
	bool		cut;

	if (is_id(grid->key))
		return !__builtin_sub_overflow(position, width.n, before);
	if (!is_time_known(at_s))
		return false;
	rest = position - from_seconds(grid->key, at_s, &cut);
	at_s = seconds_before(&zone, at_s, width);
	*before = from_seconds(grid->key, at_s, &cut);
	*before += rest;
	return !cut && is_time_known(at_s);
}
