/*
 * gridtext.c
 *		See gridtext.h.
 */
#include "partitions/gridtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_S	60
#define HOUR_S		3600
#define US_PER_S	INT64_C(1000000)

/* ---- steps ---- */

typedef struct UnitName
{
	const char *name;
	GridUnit	unit;
	int64_t		max;			/* a thousand years */
} UnitName;

static const UnitName unit_names[] = {
	{"minute", GRID_MINUTE, 527040000},
	{"min", GRID_MINUTE, 527040000},
	{"hour", GRID_HOUR, 8784000},
	{"day", GRID_DAY, 366000},
	{"week", GRID_WEEK, 52000},
	{"month", GRID_MONTH, 12000},
	{"mon", GRID_MONTH, 12000},
	{"year", GRID_YEAR, 1000},
};

/* In any case, with or without an s at its end, and with blanks behind it. */
static bool
is_unit(const char *text, const char *name)
{
	size_t		length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if ((text[i] | 0x20) != name[i])
			return false;
	text += length;
	text += *text == 's' || *text == 'S';
	return text[strspn(text, " ")] == '\0';
}

static bool
parse_number(const char **text, int64_t *number)
{
	const char *at = *text;

	*number = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*number, 10, number) ||
			__builtin_add_overflow(*number, *at - '0', number))
			return false;
	if (at == *text)
		return false;
	*text = at;
	return true;
}

const char *
grid_parse_step(const char *text, GridStep *step)
{
	text += strspn(text, " ");
	if (*text == '-')
		return "it is negative";
	if (*text < '0' || *text > '9')
		return "it does not begin with a number";
	if (!parse_number(&text, &step->n))
		return "its number is too big";
	if (step->n == 0)
		return "it is zero";
	text += strspn(text, " ");
	step->unit = GRID_ID;
	if (*text == '\0')
		return NULL;
	for (size_t i = 0; i < sizeof(unit_names) / sizeof(unit_names[0]); i++)
		if (is_unit(text, unit_names[i].name))
		{
			step->unit = unit_names[i].unit;
			return step->n > unit_names[i].max ? "it is longer than a thousand years" : NULL;
		}
	return "it is not one number and one unit";
}

/* ---- values ---- */

static void
time_value(int64_t at_us, bool is_utc, char *value)
{
	int64_t		at_s = civil_floor(at_us, US_PER_S);
	int64_t		day = civil_floor(at_s, CIVIL_DAY_S);
	CivilDate	date = civil_date(day);
	int			of_day_s = (int) (at_s - day * CIVIL_DAY_S);
	int			part_us = (int) ((at_us % US_PER_S + US_PER_S) % US_PER_S);
	int			length = snprintf(value, GRID_VALUE_SIZE, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d",
								  date.year > 0 ? date.year : 1 - date.year, date.month, date.day,
								  of_day_s / HOUR_S, of_day_s / MINUTE_S % 60, of_day_s % 60);

	if (part_us != 0)
		length += snprintf(value + length, GRID_VALUE_SIZE - length, ".%06d", part_us);
	snprintf(value + length, GRID_VALUE_SIZE - length, "%s%s", is_utc ? "+00" : "",
			 date.year > 0 ? "" : " BC");
}

static void
date_value(int64_t day, char *value)
{
	CivilDate	date = civil_date(day);

	snprintf(value, GRID_VALUE_SIZE, "%04" PRId64 "-%02d-%02d%s",
			 date.year > 0 ? date.year : 1 - date.year, date.month, date.day, date.year > 0 ? "" : " BC");
}

static void
uuid_value(int64_t position, char *value)
{
	uint64_t	top = (uint64_t) position ^ (uint64_t) GRID_UUID_TOP_BIT;

	snprintf(value, GRID_VALUE_SIZE, "%08x-%04x-%04x-0000-000000000000", (unsigned) (top >> 32),
			 (unsigned) (top >> 16 & 0xFFFF), (unsigned) (top & 0xFFFF));
}

void
grid_value(GridKey key, int64_t position, char *value)
{
	switch (key)
	{
		case GRID_TIMESTAMPTZ:
		case GRID_TIMESTAMP:
			time_value(position, key == GRID_TIMESTAMPTZ, value);
			return;
		case GRID_DATE:
			date_value(position, value);
			return;
		case GRID_UUIDV7:
			uuid_value(position, value);
			return;
		default:
			snprintf(value, GRID_VALUE_SIZE, "%" PRId64, position);
	}
}

/* ---- names ---- */

/* The year and week of ISO 8601 of a day: those of its Thursday. */
static void
week_suffix(int64_t day, char *suffix)
{
	int64_t		thursday = day + 3 - (civil_weekday(day) + 6) % 7;
	CivilDate	date = civil_date(thursday);

	snprintf(suffix, GRID_SUFFIX_SIZE, "_%04" PRId64 "_w%02" PRId64, date.year,
			 (thursday - civil_days(date.year, 1, 1)) / 7 + 1);
}

/* Of the two ranges that the clock would call the same, each says its hour in UTC as well. */
static void
clock_suffix(const Grid *grid, const GridRange *range, char *suffix)
{
	CivilZone	zone = grid_clock(grid);
	int64_t		local_s = civil_local_s(&zone, range->from_s);
	int64_t		day = civil_floor(local_s, CIVIL_DAY_S);
	int			minute = (int) (local_s - day * CIVIL_DAY_S) / MINUTE_S;
	int			utc = (int) (range->from_s - civil_floor(range->from_s, CIVIL_DAY_S) * CIVIL_DAY_S) / MINUTE_S;
	bool		twice = grid_divides_repeat(grid->step, civil_moment(&zone, local_s));
	bool		hours = grid->step.unit == GRID_HOUR;
	CivilDate	date = civil_date(day);
	int			length = snprintf(suffix, GRID_SUFFIX_SIZE, "_%04" PRId64 "_%02d_%02d_%02d", date.year,
								  date.month, date.day, minute / 60);

	if (!hours)
		length += snprintf(suffix + length, GRID_SUFFIX_SIZE - length, "%02d", minute % 60);
	if (twice)
		length += snprintf(suffix + length, GRID_SUFFIX_SIZE - length, "_utc%02d", utc / 60);
	if (twice && !hours)
		snprintf(suffix + length, GRID_SUFFIX_SIZE - length, "%02d", utc % 60);
}

static void
id_suffix(const GridRange *range, char *suffix)
{
	snprintf(suffix, GRID_SUFFIX_SIZE, "_%" PRId64 "_%" PRId64, range->from,
			 range->to_open ? range->to : range->to - 1);
}

void
grid_suffix(const Grid *grid, const GridRange *range, char *suffix)
{
	CivilZone	zone = grid_clock(grid);
	int64_t		day = civil_floor(civil_local_s(&zone, range->from_s), CIVIL_DAY_S);
	CivilDate	date = civil_date(day);

	switch (grid->step.unit)
	{
		case GRID_ID:
			id_suffix(range, suffix);
			return;
		case GRID_YEAR:
			snprintf(suffix, GRID_SUFFIX_SIZE, "_%04" PRId64, date.year);
			return;
		case GRID_MONTH:
			snprintf(suffix, GRID_SUFFIX_SIZE, "_%04" PRId64 "_%02d", date.year, date.month);
			return;
		case GRID_WEEK:
			week_suffix(day, suffix);
			return;
		case GRID_DAY:
			snprintf(suffix, GRID_SUFFIX_SIZE, "_%04" PRId64 "_%02d_%02d", date.year, date.month,
					 date.day);
			return;
		default:
			clock_suffix(grid, range, suffix);
	}
}

void
grid_name(const char *table, const char *suffix, char *name)
{
	size_t		room = GRID_NAME_SIZE - 1 - strlen(suffix);
	size_t		length = strlen(table);

	if (length > room)
	{
		length = room;
		/* 10xxxxxx is within a character of UTF-8. */
		while (length > 0 && ((unsigned char) table[length] & 0xC0) == 0x80)
			length--;
	}
	memcpy(name, table, length);
	strcpy(name + length, suffix);
}
