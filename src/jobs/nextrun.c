/*
 * nextrun.c
 *		When a schedule runs next.  See schedule.h.
 *
 * Local times are seconds of the clock on the wall as if it were UTC's.  The
 * local times that the fields name are walked through in their order, months
 * and days without any left out at once, and each is asked for its moment.
 */
#include "jobs/schedule.h"

#define SECOND_US INT64_C(1000000)
#define CALENDAR_MONTHS 4800	/* after 400 years it repeats, weekdays and all */
#define FIRST_S (-INT64_C(210866803200))	/* PostgreSQL's first timestamp */
#define LAST_S INT64_C(9223371244799)	/* the end of 294246, the last year that int64 has all of */

/* The days of a month that the schedule names, bit 1 for the first. */
static uint32_t
days_of_month(const Schedule *schedule, int64_t year, int month)
{
	int			length = civil_month_length(year, month);
	uint32_t	all = (uint32_t) (((UINT64_C(1) << length) - 1) << 1);
	uint32_t	days = schedule->days & all;
	uint64_t	weeks = schedule->weekdays;
	uint32_t	by_weekday;

	if (schedule->last_day)
		days |= UINT32_C(1) << length;
	for (int i = 1; i < 6; i++)
		weeks |= (uint64_t) schedule->weekdays << 7 * i;
	weeks >>= civil_weekday(civil_days(year, month, 1));
	by_weekday = (uint32_t) (weeks << 1) & all;
	return schedule->day_star || schedule->weekday_star ? days & by_weekday : days | by_weekday;
}

/* The lowest bit from "low" on, or -1. */
static int
next_bit(uint64_t bits, int low)
{
	bits = low < 64 ? bits >> low << low : 0;
	return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/* The first day from "days" on that the schedule names. */
static bool
next_day(const Schedule *schedule, int64_t days, int64_t *found)
{
	CivilDate	date = civil_date(days);

	for (int i = 0; i <= CALENDAR_MONTHS; i++)
	{
		if (schedule->months & UINT32_C(1) << date.month)
		{
			int			day = next_bit(days_of_month(schedule, date.year, date.month), date.day);

			if (day > 0)
			{
				*found = civil_days(date.year, date.month, day);
				return true;
			}
		}
		date.day = 1;
		if (++date.month > 12)
		{
			date.month = 1;
			date.year++;
		}
	}
	return false;
}

/* The first time of the day from "minute" on that the schedule names, in minutes; -1 for none. */
static int
next_of_day(const Schedule *schedule, int minute)
{
	int			hour = next_bit(schedule->hours, minute / 60);
	int			of_hour;

	if (hour < 0)
		return -1;
	of_hour = next_bit(schedule->minutes, hour == minute / 60 ? minute % 60 : 0);
	if (of_hour < 0)
	{
		hour = next_bit(schedule->hours, hour + 1);
		of_hour = next_bit(schedule->minutes, 0);
	}
	return hour < 0 ? -1 : hour * 60 + of_hour;
}

/* The first local time from local_s on that the schedule names. */
static bool
next_local(const Schedule *schedule, int64_t local_s, int64_t *found_s)
{
	int64_t		minutes = civil_floor(local_s + 59, 60);
	int64_t		days = civil_floor(minutes, 1440);
	int			of_day = (int) (minutes - days * 1440);
	int64_t		day;

	for (;;)
	{
		int			minute;

		if (!next_day(schedule, days, &day))
			return false;
		minute = next_of_day(schedule, day == days ? of_day : 0);
		if (minute >= 0)
		{
			*found_s = day * CIVIL_DAY_S + minute * 60;
			return true;
		}
		/* Today's times are over. */
		days = day + 1;
		of_day = 0;
	}
}

/*
 * Each local time has one moment, and these are in order: what the clock skips
 * shares the end of the gap, and of what it shows twice the first time counts.
 */
static bool
next_fixed(const Schedule *schedule, const CivilZone *zone, int64_t after_s, int64_t *next_s)
{
	int64_t		local_s = civil_local_s(zone, after_s);

	while (next_local(schedule, local_s + 1, &local_s))
	{
		*next_s = civil_moment(zone, local_s).first_s;
		if (*next_s > LAST_S)
			return false;
		if (*next_s > after_s)
			return true;
	}
	return false;
}

/*
 * Where to begin: the next local time, but before the clock is set back it is
 * the first of those that come again.
 */
static int64_t
first_local(const CivilZone *zone, int64_t at_s)
{
	int64_t		local_s = civil_local_s(zone, at_s);
	CivilMoment moment = civil_moment(zone, local_s);

	if (moment.kind == CIVIL_REPEAT && moment.first_s == at_s)
		return local_s - (moment.second_s - moment.first_s);
	return local_s;
}

/* The last local time that is skipped; of a zone that makes no sense, at least this one. */
static int64_t
behind_gap(const CivilZone *zone, const CivilMoment *moment, int64_t local_s)
{
	int64_t		last_s = civil_local_s(zone, moment->first_s) - 1;

	return last_s > local_s ? last_s : local_s;
}

/*
 * A local time may have no moment, or two.  The first one that is found is not
 * the soonest while the clock is about to be set back: then the times that come
 * again, up to that of the start, are asked, too.
 */
static bool
next_elapsed(const Schedule *schedule, const CivilZone *zone, int64_t after_s, int64_t *next_s)
{
	int64_t		at_s = after_s + 1;
	int64_t		start_s = civil_local_s(zone, at_s);
	int64_t		local_s = first_local(zone, at_s) - 1;
	bool		found = false;

	while (next_local(schedule, local_s + 1, &local_s))
	{
		CivilMoment moment = civil_moment(zone, local_s);
		int64_t		run_s = moment.first_s >= at_s ? moment.first_s : moment.second_s;

		if (moment.kind == CIVIL_GAP)
			local_s = behind_gap(zone, &moment, local_s);
		else if (run_s >= at_s && (!found || run_s < *next_s))
		{
			*next_s = run_s;
			found = true;
		}
		if ((found && local_s >= start_s) || local_s > LAST_S + CIVIL_DAY_S)
			break;
	}
	return found && *next_s <= LAST_S;
}

bool
schedule_next(const Schedule *schedule, const CivilZone *zone, int64_t after_us, int64_t *next_us)
{
	int64_t		after_s = civil_floor(after_us, SECOND_US);
	int64_t		next_s;

	if (schedule->kind == SCHEDULE_REBOOT || after_s >= LAST_S)
		return false;
	if (schedule->kind == SCHEDULE_EVERY)
	{
		if (after_s > LAST_S - schedule->every_s)
			return false;
		*next_us = after_us + schedule->every_s * SECOND_US;
		return true;
	}
	if (after_s < FIRST_S)
		after_s = FIRST_S - 1;
	if (!(schedule->follows_elapsed ? next_elapsed : next_fixed) (schedule, zone, after_s, &next_s))
		return false;
	*next_us = next_s * SECOND_US;
	return true;
}
