/*
 * schedule.h
 *		When a job runs: the five fields of cron, their @names, and "every 90
 *		seconds".  Tells why a text is no schedule, and when the next run is.
 *
 * Pure: knows no PostgreSQL header, allocates nothing, raises nothing.  Time is
 * microseconds since 1970-01-01 UTC; the caller brings the zone (core/civil.h).
 */
#ifndef JOBS_SCHEDULE_H
#define JOBS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/civil.h"

/* 366 days: whoever means a longer time names the day. */
#define SCHEDULE_MAX_EVERY_S (INT64_C(366) * CIVIL_DAY_S)

typedef enum ScheduleKind
{
	SCHEDULE_CRON,
	SCHEDULE_EVERY,				/* a time after the last run */
	SCHEDULE_REBOOT				/* when the server starts, and never by the clock */
} ScheduleKind;

typedef struct Schedule
{
	ScheduleKind kind;
	int64_t		every_s;
	/* Of SCHEDULE_CRON: bit n stands for the value n. */
	uint64_t	minutes;
	uint32_t	hours;
	uint32_t	days;			/* 1 to 31 */
	uint32_t	months;			/* 1 to 12 */
	uint32_t	weekdays;		/* 0 to 6, 0 is Sunday */
	bool		last_day;		/* the last of a month, too */
	bool		day_star;		/* the field begins with a star: it does not choose days by itself */
	bool		weekday_star;
	bool		follows_elapsed;	/* the hour is a star or has a step: see schedule_next */
} Schedule;

/* NULL when it parsed, else why not, fit for the detail of an error; *at is the byte where, from 0. */
extern const char *schedule_parse(const char *text, size_t length, Schedule *schedule, int *at);

/*
 * The first run after after_us (exclusive).  False: never, or not within the years that microseconds of an int64
 * reach (294246), or SCHEDULE_REBOOT.
 *
 * A fixed hour runs once for each local time it names: right after the gap when the clock skips that time, however
 * many of its times are skipped, and the first time when the clock shows it twice.  A schedule that follows elapsed
 * time runs whenever the clock shows one of its times, be it never or twice.
 */
extern bool schedule_next(const Schedule *schedule, const CivilZone *zone, int64_t after_us, int64_t *next_us);

#endif							/* JOBS_SCHEDULE_H */
