/*
 * dispatch.h
 *		Runs that wait get workers, and runs whose worker is gone get an end.  For
 *		the scheduler, between own_spi_begin() and own_spi_end().
 */
#ifndef JOBS_DISPATCH_H
#define JOBS_DISPATCH_H

#include "datatype/timestamp.h"

/* Writes down what the workers that ended could not. */
extern void dispatch_settle(void);

/* Frees their places, once that is committed: until then nobody else knows of their end. */
extern void dispatch_free(void);

/*
 * Runs that nobody works at though the table says so: the server crashed, or another scheduler lost them.  False when
 * there may be more: somebody is changing one.
 */
extern bool dispatch_lost(void);

/* In a copy of the database, what waited in the original does not run. */
extern void dispatch_rest(void);

/* What waits, oldest first.  Their rows must be committed already. */
extern void dispatch_start(TimestampTz now);

/*
 * False when the last rounds found no worker for a run, did not look at all of them, or left out a run that somebody
 * was changing: try again soon.
 */
extern bool dispatch_had_room(void);

#endif							/* JOBS_DISPATCH_H */
