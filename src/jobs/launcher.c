/*
 * launcher.c
 *		One process for the whole server: sees to it that each database of
 *		pattyly.databases has a scheduler.
 *
 * It is connected to no database, reads the shared catalog only, and does
 * nothing else, so there is little that can make it fail; when it does, the
 * postmaster starts it again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "core/compat.h"
#include "jobs/crew.h"
#include "jobs/jobs.h"
#include "jobs/process.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* A scheduler that ends too soon is not begun again at once; one that found no extension, only when woken. */
#define RESTART_FIRST_MS	500
#define RESTART_LONGEST_MS	10000
#define LIVED_LONG_MS		30000
#define ABSENT_MS			300000

typedef struct Charge
{
	Oid			database;
	BackgroundWorkerHandle *handle;
	TimestampTz started_at;
	int			restart_ms;
	bool		gone;			/* not in the setting any more */
	struct Charge *next;
} Charge;

static Charge *charges;

static Charge *
find_charge(Oid database)
{
	Charge	   *charge;

	for (charge = charges; charge != NULL; charge = charge->next)
		if (charge->database == database)
			return charge;
	charge = MemoryContextAllocZero(TopMemoryContext, sizeof(Charge));
	charge->database = database;
	charge->next = charges;
	charges = charge;
	return charge;
}

static bool
is_running(Charge *charge)
{
	pid_t		pid;

	if (charge->handle == NULL)
		return crew_has_scheduler(charge->database);
	if (GetBackgroundWorkerPid(charge->handle, &pid) != BGWH_STOPPED)
		return true;
	pfree(charge->handle);
	charge->handle = NULL;
	return crew_has_scheduler(charge->database);
}

/* How long until the charge may have a scheduler again. */
static long
time_to_wait(const Charge *charge, TimestampTz now)
{
	int			pause_ms = crew_is_absent(charge->database) ? ABSENT_MS : charge->restart_ms;

	/* Later than now: the clock was set back. */
	if (charge->started_at == 0 || charge->started_at > now)
		return 0;
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(charge->started_at, pause_ms));
}

static void
start_scheduler(Charge *charge, TimestampTz now)
{
	if (charge->started_at != 0 &&
		TimestampDifferenceExceeds(charge->started_at, now, LIVED_LONG_MS))
		charge->restart_ms = 0;
	charge->restart_ms = charge->restart_ms == 0 ? RESTART_FIRST_MS :
		Min(charge->restart_ms * 2, RESTART_LONGEST_MS);
	charge->started_at = now;
	if (!process_start(JOBS_SCHEDULER_MAIN, "pattyly job scheduler", "pattyly job scheduler",
					   ObjectIdGetDatum(charge->database), NULL, 0, &charge->handle))
	{
		charge->handle = NULL;
		ereport(LOG,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no worker process is free for the job scheduler of database %u",
						charge->database),
				 errhint("Raise max_worker_processes; it is tried again.")));
	}
}

/* Returns how long the launcher may sleep because of this charge. */
static long
look_after(Charge *charge, TimestampTz now)
{
	MemoryContext before;
	long		wait_ms;

	if (charge->gone || is_running(charge) || crew_is_held(charge->database))
		return PROCESS_LONGEST_WAIT_MS;
	wait_ms = time_to_wait(charge, now);
	if (wait_ms > 0)
		return Min(wait_ms, PROCESS_LONGEST_WAIT_MS);
	before = MemoryContextSwitchTo(TopMemoryContext);
	start_scheduler(charge, now);
	MemoryContextSwitchTo(before);
	return charge->restart_ms;
}

/* Names of databases to charges; the shared catalog is read in a transaction of its own. */
static void
read_databases(void)
{
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *names;

	for (Charge *charge = charges; charge != NULL; charge = charge->next)
		charge->gone = true;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	names = jobs_database_names();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		ListCell   *name;

		if (!database->datallowconn || database->datistemplate)
			continue;
		foreach(name, names)
			if (strcmp(NameStr(database->datname), lfirst(name)) == 0)
				find_charge(database->oid)->gone = false;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

PROCESS_MAIN(pattyly_job_launcher_main);

void
pattyly_job_launcher_main(Datum argument)
{
	process_begin();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	crew_enter_launcher();
	for (;;)
	{
		long		wait_ms = PROCESS_LONGEST_WAIT_MS;
		TimestampTz now;

		read_databases();
		now = GetCurrentTimestamp();
		for (Charge *charge = charges; charge != NULL; charge = charge->next)
			wait_ms = Min(wait_ms, look_after(charge, now));
		process_wait(Max(wait_ms, 1), "PattylyJobLauncher");
	}
}
