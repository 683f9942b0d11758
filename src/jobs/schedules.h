/*
 * schedules.h
 *		Schedules as users write them, with PostgreSQL's errors.
 */
#ifndef JOBS_SCHEDULES_H
#define JOBS_SCHEDULES_H

#include "jobs/schedule.h"

/* An error (22023), with the reason and the place, for what is no schedule. */
extern void schedule_read(const char *text, Schedule *schedule);

#endif							/* JOBS_SCHEDULES_H */
