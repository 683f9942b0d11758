/*
 * scheduler.c
 *		One process for each database with jobs: makes runs of jobs that are due,
 *		gives them workers, and writes down what workers could not.
 *
 * It sleeps until the next job is due or somebody wakes it; no transaction is
 * open then.  All its work is in short transactions that wait for nobody's
 * locks.  An error ends the round, not the process: the next round begins after
 * a pause that grows.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/ownspi.h"
#include "jobs/chores.h"
#include "jobs/crew.h"
#include "jobs/dispatch.h"
#include "jobs/due.h"
#include "jobs/jobs.h"
#include "jobs/process.h"
#include "jobs/runs.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define PAUSE_FIRST_MS		1000
#define RETRY_SLOT_MS		1000
#define RETRY_LOCKED_MS		500
#define PRUNE_EVERY_US		(USECS_PER_HOUR)
#define PRUNE_BATCH			5000
#define STEP_BACK_US		(2 * USECS_PER_SEC)

typedef enum Readiness
{
	READY,
	NOT_WANTED,					/* not in pattyly.databases any more, or somebody drops the database */
	NOT_INSTALLED,
	OTHER_VERSION
} Readiness;

static TimestampTz last_look;	/* by the clock of pattyly */
static TimestampTz pruned_at;	/* by the real one */
static bool first_round = true;

/* ---- may it work? ---- */

static bool
is_wanted(void)
{
	char	   *name = get_database_name(MyDatabaseId);
	ListCell   *cell;
	bool		found = false;

	foreach(cell, jobs_database_names())
		found |= name != NULL && strcmp(name, lfirst(cell)) == 0;
	return found && !crew_is_held(MyDatabaseId);
}

static Readiness
readiness(void)
{
	OwnArgs		args = {0};

	if (!is_wanted())
		return NOT_WANTED;
	if (!OidIsValid(get_extension_oid("pattyly", true)))
		return NOT_INSTALLED;
	own_arg_text(&args, PATTYLY_VERSION);
	return own_spi_run("SELECT FROM pg_catalog.pg_extension WHERE extname = 'pattyly' AND extversion = $1",
					   &args) == 1 ? READY : OTHER_VERSION;
}

/* ---- one round ---- */

static void
begin(OwnSpi *own)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	own_spi_begin(own);
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
finish(OwnSpi *own)
{
	PopActiveSnapshot();
	own_spi_end(own);
	CommitTransactionCommand();
	pgstat_report_stat(true);
}

static void
prune(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (pruned_at != 0 && now - pruned_at < PRUNE_EVERY_US)
		return;
	if (run_prune(PRUNE_BATCH) < PRUNE_BATCH)
		pruned_at = now;
}

static void
begin_work(TimestampTz now)
{
	bool		settled = dispatch_lost();

	dispatch_rest();
	due_after_start(PgStartTime);
	due_plan_again(now);
	first_round = !settled;
	chores_run();
}

static Readiness
make_runs(TimestampTz now)
{
	OwnSpi		own;
	Readiness	ready;

	begin(&own);
	ready = readiness();
	if (ready == READY)
	{
		dispatch_settle();
		if (first_round)
			begin_work(now);
		else if (now < last_look - STEP_BACK_US)
			due_plan_again(now);
		last_look = now;
		while (due_process(now) > 0)
			CommandCounterIncrement();
		prune();
	}
	finish(&own);
	if (ready == READY)
		dispatch_free();
	return ready;
}

static TimestampTz
start_runs(TimestampTz now)
{
	OwnSpi		own;
	TimestampTz next;

	begin(&own);
	dispatch_start(now);
	next = due_next(now);
	finish(&own);
	return next;
}

static long
until(TimestampTz next, TimestampTz now)
{
	long		wait_ms = dispatch_had_room() ? PROCESS_LONGEST_WAIT_MS : RETRY_SLOT_MS;

	/* What is due already was left alone because somebody changes it. */
	if (next != 0)
		wait_ms = Min(wait_ms, next > now ? TimestampDifferenceMilliseconds(now, next) : RETRY_LOCKED_MS);
	return Max(wait_ms, 1);
}

static void
warn_of_version(void)
{
	static bool warned;

	if (!warned)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("jobs do not run: the library of pattyly is %s, the extension in database %u is not",
						PATTYLY_VERSION, MyDatabaseId),
				 errhint("Run ALTER EXTENSION pattyly UPDATE.")));
	warned = true;
}

/* Returns how long to sleep. */
static long
do_round(void)
{
	TimestampTz now = clock_to_timestamp(clock_now_us());
	Readiness	ready = make_runs(now);

	/* Once more after it was noted: who creates the extension from then on takes the note away. */
	if (ready == NOT_INSTALLED)
	{
		crew_note_absence(MyDatabaseId, true);
		ready = make_runs(now);
	}
	if (ready != NOT_INSTALLED && crew_is_absent(MyDatabaseId))
		crew_note_absence(MyDatabaseId, false);
	if (ready == NOT_INSTALLED || ready == NOT_WANTED)
		proc_exit(0);
	if (ready == OTHER_VERSION)
	{
		warn_of_version();
		return PROCESS_LONGEST_WAIT_MS;
	}
	fault_point("scheduler between");
	return until(start_runs(now), now);
}

/* ---- the process ---- */

/* A round that fails is reported and given up; the pause grows with each in a row. */
static long
try_round(void)
{
	static long pause_ms;
	MemoryContext context = CurrentMemoryContext;
	volatile long wait_ms;

	PG_TRY();
	{
		wait_ms = do_round();
		pause_ms = 0;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		/* A subtransaction may be open, too (due.c). */
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
		/* The crew may know of ends that were not written down. */
		first_round = true;
		pause_ms = Min(Max(pause_ms * 2, PAUSE_FIRST_MS), PROCESS_LONGEST_WAIT_MS);
		wait_ms = pause_ms;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
	return wait_ms;
}

static void
pin(const char *name, const char *value)
{
	/* transaction_timeout came with 17. */
	if (GetConfigOption(name, true, false) == NULL)
		return;
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, 0, false);
}

/* Settings of the database are its owner's, and he need not be a superuser. */
static void
pin_settings(void)
{
	pin("search_path", "pg_catalog, pg_temp");
	pin("default_transaction_read_only", "off");
	pin("default_transaction_isolation", "read committed");
	pin("lock_timeout", "5s");
	pin("transaction_timeout", "0");
	pin("session_replication_role", "origin");
}

PROCESS_MAIN(pattyly_job_scheduler_main);

void
pattyly_job_scheduler_main(Datum argument)
{
	MemoryContext context;

	process_begin();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(argument), InvalidOid, 0);
	if (!crew_enter_scheduler())
		proc_exit(0);
	pin_settings();
	context = AllocSetContextCreate(TopMemoryContext, "pattyly scheduler", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	for (;;)
		process_wait(try_round(), "PattylyJobScheduler");
}
