/*
 * civil.c
 *		See civil.h.
 */
#include "core/civil.h"

#define DAYS_OF_ERA		146097	/* 400 years */
#define DAYS_TO_1970	719468	/* from 0000-03-01 */

int64_t
civil_floor(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Years that begin in March have their leap day at the end. */
int64_t
civil_days(int64_t year, int64_t month, int day)
{
	int64_t		months = year * 12 + (month - 1) - 2;
	int64_t		march_year = civil_floor(months, 12);
	int64_t		march_month = months - march_year * 12;
	int64_t		era = civil_floor(march_year, 400);
	int64_t		of_era = march_year - era * 400;
	int64_t		day_of_year = (153 * march_month + 2) / 5 + day - 1;

	return era * DAYS_OF_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - DAYS_TO_1970;
}

CivilDate
civil_date(int64_t days)
{
	int64_t		era = civil_floor(days + DAYS_TO_1970, DAYS_OF_ERA);
	int64_t		day = days + DAYS_TO_1970 - era * DAYS_OF_ERA;
	int64_t		year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t		day_of_year = day - (365 * year + year / 4 - year / 100);
	int			month = (int) ((5 * day_of_year + 2) / 153);
	CivilDate	date;

	date.day = (int) (day_of_year - (153 * month + 2) / 5 + 1);
	date.month = month < 10 ? month + 3 : month - 9;
	date.year = era * 400 + year + (date.month <= 2);
	return date;
}

int
civil_month_length(int64_t year, int month)
{
	return (int) (civil_days(year, month + 1, 1) - civil_days(year, month, 1));
}

int
civil_weekday(int64_t days)
{
	int64_t		from_thursday = days + 4;

	return (int) (from_thursday - civil_floor(from_thursday, 7) * 7);
}

int64_t
civil_local_s(const CivilZone *zone, int64_t at_s)
{
	return at_s + zone->offset_s(zone->arg, at_s);
}

/* The first time from which the zone's offset is no longer that of "from_s". */
static int64_t
offset_change(const CivilZone *zone, int64_t from_s, int64_t to_s)
{
	int32_t		before_s = zone->offset_s(zone->arg, from_s);

	while (to_s - from_s > 1)
	{
		int64_t		middle_s = from_s + (to_s - from_s) / 2;

		if (zone->offset_s(zone->arg, middle_s) == before_s)
			from_s = middle_s;
		else
			to_s = middle_s;
	}
	return to_s;
}

/*
 * No zone changes its offset twice within two days, or is a day away from UTC,
 * so the offsets a day before and after are all that come into question.
 */
CivilMoment
civil_moment(const CivilZone *zone, int64_t local_s)
{
	int64_t		before_s = local_s - zone->offset_s(zone->arg, local_s - CIVIL_DAY_S);
	int64_t		after_s = local_s - zone->offset_s(zone->arg, local_s + CIVIL_DAY_S);
	int			before_is = civil_local_s(zone, before_s) == local_s;
	int			after_is = civil_local_s(zone, after_s) == local_s;

	if (before_is && after_is && before_s != after_s)
		return (CivilMoment) {CIVIL_REPEAT, before_s, after_s};
	if (before_is)
		return (CivilMoment) {CIVIL_ONCE, before_s, before_s};
	if (after_is)
		return (CivilMoment) {CIVIL_ONCE, after_s, after_s};
	before_s = offset_change(zone, local_s - CIVIL_DAY_S, local_s + CIVIL_DAY_S);
	return (CivilMoment) {CIVIL_GAP, before_s, before_s};
}
