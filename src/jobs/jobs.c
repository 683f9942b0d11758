/*
 * jobs.c
 *		See jobs.h: settings, shared memory, and the launcher.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/preload.h"
#include "jobs/crew.h"
#include "jobs/jobs.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#define LAUNCHER_RESTART_S 5

int			jobs_max_running;
int			jobs_history_days;
static char *databases_setting;

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		good = SplitIdentifierString(copy, ',', &names);

	if (!good)
		GUC_check_errdetail("List syntax is invalid: write database names, separated by commas.");
	pfree(copy);
	return good;
}

List *
jobs_database_names(void)
{
	List	   *names = NIL;

	(void) SplitIdentifierString(pstrdup(databases_setting), ',', &names);
	return names;
}

/* The databases whose jobs run, by name, separated by commas. */
static void
define_databases(void)
{
	DefineCustomStringVariable("pattyly.databases",
							   "Databases whose jobs are run, where the extension is installed.",
							   NULL,
							   &databases_setting,
							   "postgres",
							   PGC_SIGHUP,
							   GUC_LIST_INPUT,
							   check_databases, NULL, NULL);
}

/* At most so many jobs at once, in all databases; each takes one of max_worker_processes. */
static void
define_max_running(void)
{
	DefineCustomIntVariable("pattyly.max_running_jobs",
							"Most jobs that run at once, in all databases.",
							"Each takes one of max_worker_processes, as do the launcher and the scheduler of each database.",
							&jobs_max_running,
							4, 1, 1024,
							PGC_POSTMASTER,
							0,
							NULL, NULL, NULL);
}

/* How long what became of a run is kept. */
static void
define_history_days(void)
{
	DefineCustomIntVariable("pattyly.job_history_days",
							"Days for which the runs of jobs are kept.",
							"Of one job, at most 1000 runs are kept.",
							&jobs_history_days,
							30, 1, 3650,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
}

/* On a standby it begins when the standby is promoted. */
static void
register_launcher(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART_S;
	strlcpy(worker.bgw_library_name, "pattyly", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, JOBS_LAUNCHER_MAIN, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pattyly job launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "pattyly job launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

void
jobs_init(void)
{
	define_databases();
	define_history_days();
	if (!preload_done())
		return;
	define_max_running();
	crew_init();
	jobs_watch_utilities();
	if (!IsBinaryUpgrade)
		register_launcher();
}
