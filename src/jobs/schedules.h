/*
 * schedules.h
 *		Schedules for the PostgreSQL side of the room: schedule.h with an error
 *		for what is none.
 */
#ifndef JOBS_SCHEDULES_H
#define JOBS_SCHEDULES_H

#include "jobs/schedule.h"

/* Raises 22023, with the reason and the place, for a text that is no schedule. */
extern void schedule_read(const char *text, Schedule *schedule);

#endif							/* JOBS_SCHEDULES_H */
