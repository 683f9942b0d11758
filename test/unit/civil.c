/* link: src/core/civil.c */
/*
 * civil.c
 *		The calendar against libc's, and local times against what libc's clock
 *		shows when it is walked through minute by minute.
 */
#include "tap.h"
#include "random.h"
#include "zones.h"

/* ---- the calendar ---- */

static void
check_date(int64_t days)
{
	time_t		at = (time_t) (days * CIVIL_DAY_S);
	struct tm	tm;
	CivilDate	date = civil_date(days);

	gmtime_r(&at, &tm);
	check(date.year == tm.tm_year + INT64_C(1900) && date.month == tm.tm_mon + 1 && date.day == tm.tm_mday,
		  "day %" PRId64 ": %" PRId64 "-%d-%d", days, date.year, date.month, date.day);
	check(civil_weekday(days) == tm.tm_wday, "day %" PRId64 ": weekday %d", days, civil_weekday(days));
	check(civil_days(date.year, date.month, date.day) == days, "day %" PRId64 " and back: %" PRId64, days,
		  civil_days(date.year, date.month, date.day));
}

static void
dates(void)
{
	Random		random = {1};

	property_begin("dates, weekdays and back, as libc has them");
	for (int64_t days = -2 * 146097; days <= 2 * 146097; days++)
		check_date(days);
	for (int i = 0; i < 100000; i++)
		check_date(random_in(&random, INT64_C(-100000) * 366, INT64_C(300000) * 365));
	property_end();
}

static void
months(void)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	property_begin("lengths of months, also those that lie in another year");
	for (int64_t year = -801; year <= 2801; year++)
		for (int month = 1; month <= 12; month++)
		{
			bool		leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
			int			length = lengths[month - 1] + (leap && month == 2);

			check(civil_month_length(year, month) == length, "%" PRId64 "-%d", year, month);
			check(civil_days(year, month + 24, 1) == civil_days(year + 2, month, 1), "%" PRId64 "-%d", year, month);
			check(civil_days(year, month - 36, 7) == civil_days(year - 3, month, 7), "%" PRId64 "-%d", year, month);
		}
	property_end();
}

static void
floors(void)
{
	property_begin("rounding towards the past");
	for (int64_t a = -50; a <= 50; a++)
		for (int64_t b = 1; b <= 12; b++)
		{
			int64_t		left = a - civil_floor(a, b) * b;

			check(left >= 0 && left < b, "%" PRId64 " by %" PRId64, a, b);
		}
	property_end();
	ok(civil_floor(INT64_MIN, 1000000) == INT64_C(-9223372036855), "... of the lowest number");
}

/* ---- local times ---- */

#define STEP_S 60
#define WALK_DAYS 6

static CivilMoment seen[WALK_DAYS * 2880];
static const int seen_size = sizeof(seen) / sizeof(seen[0]);

/* What the clock on the wall shows in the days around at_s; counted from the first local time. */
static int64_t
walk(int64_t from_s, int64_t to_s)
{
	int64_t		base_s = from_s + libc_offset_s(NULL, from_s);
	int64_t		last_s = base_s - STEP_S;

	for (int i = 0; i < seen_size; i++)
		seen[i] = (CivilMoment) {CIVIL_GAP, to_s, to_s};
	for (int64_t at_s = from_s; at_s < to_s; at_s += STEP_S)
	{
		int64_t		local_s = at_s + libc_offset_s(NULL, at_s);
		int64_t		place = (local_s - base_s) / STEP_S;

		for (int64_t skipped_s = last_s + STEP_S; skipped_s < local_s; skipped_s += STEP_S)
			if ((skipped_s - base_s) / STEP_S < seen_size && skipped_s >= base_s)
				seen[(skipped_s - base_s) / STEP_S].first_s = seen[(skipped_s - base_s) / STEP_S].second_s = at_s;
		last_s = local_s;
		if (place < 0 || place >= seen_size)
			continue;
		if (seen[place].kind == CIVIL_ONCE)
			seen[place] = (CivilMoment) {CIVIL_REPEAT, seen[place].first_s, at_s};
		else
			seen[place] = (CivilMoment) {CIVIL_ONCE, at_s, at_s};
	}
	return base_s;
}

/* Days from one and a half before the time that is of interest; a day at each end is not whole. */
static void
check_around(const CivilZone *zone, const char *name, const char *time)
{
	int64_t		at_s = read_time(time);
	int64_t		from_s = at_s - WALK_DAYS * CIVIL_DAY_S / 2;
	int64_t		base_s = walk(from_s, from_s + WALK_DAYS * CIVIL_DAY_S);

	for (int i = 1441; i < (WALK_DAYS - 1) * 1440 - 1; i++)
	{
		CivilMoment moment = civil_moment(zone, base_s + i * STEP_S);

		check(moment.kind == seen[i].kind && moment.first_s == seen[i].first_s &&
			  moment.second_s == seen[i].second_s,
			  "%s, minute %d from %s: kind %d for %d, %" PRId64 " for %" PRId64, name, i, time, moment.kind,
			  seen[i].kind, moment.first_s, seen[i].first_s);
	}
}

static void
local_times(void)
{
	static const struct
	{
		const char *zone;
		const char *times[3];
	}			cases[] = {
		{"Europe/Paris", {"2026-03-29T01:00:00", "2026-10-25T01:00:00", "2026-07-01T00:00:00"}},
		{"America/New_York", {"2012-03-11T07:00:00", "2012-11-04T06:00:00", "2025-12-31T20:00:00"}},
		{"Australia/Lord_Howe", {"2026-04-04T15:00:00", "2026-10-03T15:30:00", "2020-01-01T00:00:00"}},
		{"Pacific/Apia", {"2011-12-30T10:00:00", "2012-03-31T14:00:00", "2020-04-04T14:00:00"}},
		{"Africa/Casablanca", {"2026-02-15T02:00:00", "2026-03-22T02:00:00", "2019-06-09T02:00:00"}},
		{"America/Sao_Paulo", {"2018-11-04T03:00:00", "2018-02-18T02:00:00", "2017-10-15T03:00:00"}},
		{"Asia/Kathmandu", {"1985-12-31T18:30:00", "2026-01-01T00:00:00", "1986-06-01T00:00:00"}},
		{"America/Juneau", {"1983-10-30T10:00:00", "1942-02-09T10:00:00", "2026-03-08T11:00:00"}},
		{"Pacific/Kwajalein", {"1993-08-21T12:00:00", "1969-09-30T13:00:00", "1941-04-01T12:00:00"}},
		{"UTC", {"1970-01-01T00:00:00", "1901-12-13T20:00:00", "2038-01-19T03:00:00"}},
	};

	for (int i = 0; i < (int) (sizeof(cases) / sizeof(cases[0])); i++)
	{
		CivilZone	zone = libc_zone(cases[i].zone);

		property_begin(cases[i].zone);
		for (int j = 0; j < 3; j++)
			check_around(&zone, cases[i].zone, cases[i].times[j]);
		property_end();
	}
}

static void
is_moment(const char *zone_name, const char *local, CivilKind kind, const char *first, const char *second)
{
	CivilZone	zone = libc_zone(zone_name);
	CivilMoment moment = civil_moment(&zone, read_time(local));

	ok(moment.kind == kind && moment.first_s == read_time(first) && moment.second_s == read_time(second),
	   "%s %s: %s", zone_name, local, kind == CIVIL_ONCE ? "once" : kind == CIVIL_GAP ? "never" : "twice");
}

static void
known_moments(void)
{
	is_moment("Europe/Paris", "2026-03-29T02:30:00", CIVIL_GAP,
			  "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00");
	is_moment("Europe/Paris", "2026-03-29T03:00:00", CIVIL_ONCE,
			  "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00");
	is_moment("Europe/Paris", "2026-10-25T02:00:00", CIVIL_REPEAT,
			  "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00");
	is_moment("Pacific/Apia", "2011-12-30T12:00:00", CIVIL_GAP,
			  "2011-12-31T00:00:00+14:00", "2011-12-31T00:00:00+14:00");
	is_moment("America/Sao_Paulo", "2018-11-04T00:00:00", CIVIL_GAP,
			  "2018-11-04T01:00:00-02:00", "2018-11-04T01:00:00-02:00");
	is_moment("Australia/Lord_Howe", "2026-04-05T01:45:00", CIVIL_REPEAT,
			  "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30");
	is_moment("Asia/Kathmandu", "1986-01-01T00:10:00", CIVIL_GAP,
			  "1986-01-01T00:15:00+05:45", "1986-01-01T00:15:00+05:45");
}

int
main(void)
{
	dates();
	months();
	floors();
	local_times();
	known_moments();
	return tap_done();
}
