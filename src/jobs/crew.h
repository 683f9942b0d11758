/*
 * crew.h
 *		Who works now: the launcher, a scheduler for each database, and the runs
 *		that have a worker.  Lives in shared memory, so that a scheduler that
 *		begins anew finds the workers of the one before it.
 *
 * Everybody in the room may call this; what it says of a process is true until
 * that process ends, because each takes itself off when it exits, and a process
 * that cannot do so takes the server's shared memory with it.
 */
#ifndef JOBS_CREW_H
#define JOBS_CREW_H

#include "datatype/timestamp.h"

#define CREW_DATABASES	64
#define CREW_MESSAGE	256

/* What a worker leaves as its SQLSTATE when it was ended because of max_runtime: query_canceled. */
#define CREW_TIME_IS_OVER "57014"

/*
 * A place for a run:
 *
 *	  free --scheduler--> given --worker--> taken --worker ends--> ended --scheduler--> free
 *						  given --no worker came--> ended, or free when none was begun
 */
typedef enum CrewState
{
	CREW_FREE,
	CREW_GIVEN,
	CREW_TAKEN,
	CREW_ENDED
} CrewState;

typedef struct CrewRun
{
	CrewState	state;
	int64		run_id;
	int64		job_id;
	Oid			database;
	Oid			role;
	Oid			extension;		/* ids of runs and jobs are those of its tables */
	int			pid;			/* 0: no worker has come */
	TimestampTz given_at;		/* the real clock */
	bool		cancel;			/* cancel_job() or the overlap policy asked for it */
	char		sqlstate[6];	/* why the process died, when it could still say */
	char		message[CREW_MESSAGE];
} CrewRun;

/* Called in _PG_init when the library is preloaded. */
extern void crew_init(void);
extern int	crew_size(void);

/* ---- launcher and schedulers ---- */

extern void crew_enter_launcher(void);

/* False when the database has a scheduler already, or has to be left alone. */
extern bool crew_enter_scheduler(void);
extern bool crew_has_scheduler(Oid database);

/* What the scheduler of a database has found out: the extension is not there. */
extern void crew_note_absence(Oid database, bool absent);
extern bool crew_is_absent(Oid database);

/* The scheduler of the database must go, or must not begin, until this process lets go. */
extern void crew_hold(Oid database);
extern void crew_let_go(void);
extern bool crew_is_held(Oid database);

/* Wakes the scheduler of this database, or the launcher when there is none, at commit or now. */
extern void crew_wake_at_commit(void);
extern void crew_wake(Oid database);

/* Off while a worker runs a command: what that changes wakes the scheduler as any session does. */
extern void crew_keep_books(bool on);

/* ---- runs ---- */

/* The extension as it is installed in this database. */
extern Oid	crew_extension(void);

/* The number of a place, or -1 when all are in use. */
extern int	crew_give(int64 run_id, int64 job_id, Oid role);
extern void crew_free(int place, int64 run_id);

/* Ends a place that no worker has taken; false when one came after all. */
extern bool crew_take_back(int place, int64 run_id);

/* The worker's part: false when the place was given to somebody else meanwhile. */
extern bool crew_take(int place, int64 run_id, CrewRun *run);
extern void crew_say_why(int place, const char *sqlstate, const char *message);
extern bool crew_was_canceled(int place);

/* Copies the runs of this database; "runs" has room for crew_size(). */
extern int	crew_list(CrewRun *runs, int *places);

/* Interrupts the workers of a job, those that began already at once. */
extern void crew_cancel(int64 job_id);

#endif							/* JOBS_CREW_H */
