/*
 * due.h
 *		Jobs whose time has come become runs.  For the scheduler, between
 *		own_spi_begin() and own_spi_end().
 */
#ifndef JOBS_DUE_H
#define JOBS_DUE_H

#include "datatype/timestamp.h"

/* How many jobs were due; 0 when all are done. */
extern int	due_process(TimestampTz now);

/* The runs of @reboot, once after each start of the server. */
extern void due_after_start(TimestampTz server_started);

/* The clock may have been set back: jobs that follow elapsed time are planned anew from now. */
extern void due_plan_again(TimestampTz now);

/* When the next job is due or the next retry may begin; 0 when none will. */
extern TimestampTz due_next(TimestampTz now);

#endif							/* JOBS_DUE_H */
