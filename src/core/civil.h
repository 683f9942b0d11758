/*
 * civil.h
 *		Dates on the calendar, and local times of a time zone with its days of 23
 *		and 25 hours.  Knows no PostgreSQL header: the caller brings the zone.
 *
 * Seconds count from 1970-01-01, "at" being UTC and "local" what a clock on the
 * wall shows.  The calendar is the Gregorian one, also for the time before it.
 */
#ifndef CORE_CIVIL_H
#define CORE_CIVIL_H

#include <stdint.h>

#define CIVIL_DAY_S 86400

typedef struct CivilDate
{
	int64_t		year;
	int			month;			/* 1 to 12 */
	int			day;			/* 1 to 31 */
} CivilDate;

typedef struct CivilZone
{
	/* How many seconds the zone is east of UTC at this time. */
	int32_t		(*offset_s) (const void *arg, int64_t at_s);
	const void *arg;
} CivilZone;

/* When a clock on the wall shows a time: once, never, or twice. */
typedef enum CivilKind
{
	CIVIL_ONCE,
	CIVIL_GAP,					/* the clock skips it: first_s is when it skips */
	CIVIL_REPEAT				/* first_s and again second_s */
} CivilKind;

typedef struct CivilMoment
{
	CivilKind	kind;
	int64_t		first_s;
	int64_t		second_s;
} CivilMoment;

/* Days since 1970-01-01; the month may lie outside 1 to 12, which moves the year. */
extern int64_t civil_days(int64_t year, int64_t month, int day);
extern CivilDate civil_date(int64_t days);
extern int	civil_month_length(int64_t year, int month);

/* 0 is Sunday. */
extern int	civil_weekday(int64_t days);

/* Rounds towards the past; what is left over is a - civil_floor(a, b) * b. */
extern int64_t civil_floor(int64_t a, int64_t b);

extern int64_t civil_local_s(const CivilZone *zone, int64_t at_s);
extern CivilMoment civil_moment(const CivilZone *zone, int64_t local_s);

#endif							/* CORE_CIVIL_H */
