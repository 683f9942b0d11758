/*
 * newjob.h
 *		A job as schedule_job() is given it: checked, then stored.
 */
#ifndef JOBS_NEWJOB_H
#define JOBS_NEWJOB_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/timestamp.h"

typedef struct NewJob
{
	char	   *name;
	char	   *schedule;
	char	   *command;
	char	   *timezone;
	char	   *overlap;
	char	   *catch_up;
	Interval   *max_runtime;	/* NULL: no limit */
	int32		max_retries;
	Interval   *retry_delay;
	char	   *settings;
	bool		enabled;
	Oid			owner;
	TimestampTz next_run;		/* 0: not planned */
} NewJob;

/* An error, with a hint, for what makes no sense or the caller may not do. */
extern void new_job_read(FunctionCallInfo fcinfo, NewJob *job);

/* Between own_spi_begin() and own_spi_end(); returns the id. */
extern int64 new_job_store(const NewJob *job);

/* The first run after now, 0 for none. */
extern TimestampTz new_job_next_run(const char *schedule, const char *timezone);

#endif							/* JOBS_NEWJOB_H */
