/*
 * runs.h
 *		The table of runs: how one begins, waits, and ends.  Everything that
 *		changes a run's state is here.
 *
 *	  starting --worker--> running --> succeeded | failed | canceled | timed_out
 *	  starting <--> no_slot            lost: its process is gone
 *	  starting, no_slot --> canceled | skipped | failed
 *
 * A run that ends badly and has attempts left leaves a new one, "starting" with
 * a later start_after; without, there is a NOTIFY.  To be called between
 * own_spi_begin() and own_spi_end(), in a transaction.
 */
#ifndef JOBS_RUNS_H
#define JOBS_RUNS_H

#include "datatype/timestamp.h"

typedef struct RunOutcome
{
	const char *state;
	const char *tags;
	const char *error;
	const char *sqlstate;
	bool		with_warnings;	/* those of capture.h */
} RunOutcome;

/* A new run; NULL error unless it is over already (skipped, failed).  Returns its id. */
extern int64 run_create(int64 job_id, TimestampTz scheduled_at, const char *state,
						const char *error, const char *sqlstate);

/* A run that cannot even begin, and no later one: it is told as the end of a run is. */
extern void run_create_failed(int64 job_id, TimestampTz scheduled_at, const char *error,
							  const char *sqlstate);

/* Of a job whose last runs took the server down, how long the next one of the schedule, or the next attempt, waits. */
extern int64 run_pause_us(int64 job_id);

/* The run begins so much later. */
extern void run_put_off(int64 run_id, int64 pause_us);

/*
 * Marks it as running, here.  False when it is not waiting any more, or its job
 * is gone or another role's.  The row in SPI_tuptable: name, command, settings
 * as text, max_runtime in milliseconds (0: no limit).
 */
extern bool run_begin(int64 run_id, Oid role);

/* Does nothing when the run is over already. */
extern void run_end(int64 run_id, const RunOutcome *outcome);

extern void run_note_no_slot(int64 run_id);

/* Ends the runs of a job that wait; with "retries_only" only those of later attempts.  How many. */
extern int	run_end_waiting(int64 job_id, bool retries_only, const char *state, const char *error);

/* Tells the world of the last run of a job that failed, because its retry is given up. */
extern void run_notify_given_up(int64 job_id);

/* False when somebody else is changing the run just now: it has to wait. */
extern bool run_is_free(int64 run_id);

/* Of the runs that are over, deletes those that are too old or too many; for each reason at most "most".  How many. */
extern int	run_prune(int most);

#endif							/* JOBS_RUNS_H */
