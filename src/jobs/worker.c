/*
 * worker.c
 *		The process of one run: connected as the job's owner, it runs the command
 *		and writes down what became of it.
 *
 * Whatever happens to it, the scheduler learns that its place has ended, and
 * writes down for it what it could not.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "core/pinned.h"
#include "jobs/capture.h"
#include "jobs/command.h"
#include "jobs/crew.h"
#include "jobs/jobs.h"
#include "jobs/process.h"
#include "jobs/runs.h"
#include "jobs/runsettings.h"
#include "jobs/worker.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

/* A command that does not end when its time is over is interrupted again, and in the end its process is. */
#define INTERRUPT_AGAIN_MS	2000
#define INTERRUPTS			3

typedef struct WorkerRun
{
	int64		id;
	Oid			extension;
	char	   *name;
	char	   *command;
	char	   *settings;
	int64		max_runtime_ms;
} WorkerRun;

static int	my_place;
static TimeoutId runtime_timeout;
static volatile sig_atomic_t times_over;

static void
last_words(const char *sqlstate, const char *message)
{
	if (times_over > INTERRUPTS)
		crew_say_why(my_place, CREW_TIME_IS_OVER, "it ran longer than max_runtime and could not be interrupted");
	else
		crew_say_why(my_place, sqlstate, message);
}

/* ---- time ---- */

static void
runtime_is_over(void)
{
	times_over++;
	if (times_over <= INTERRUPTS)
		kill(MyProcPid, SIGINT);
	else
		kill(MyProcPid, SIGTERM);
}

static void
limit_runtime(int64 max_runtime_ms)
{
	if (max_runtime_ms <= 0)
		return;
	runtime_timeout = RegisterTimeout(USER_TIMEOUT, runtime_is_over);
	enable_timeout_every(runtime_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), max_runtime_ms),
						 INTERRUPT_AGAIN_MS);
}

/* Until here a cancel was only noted, so that nobody interrupts what is written about the run. */
static void
allow_cancel(void)
{
	pqsignal(SIGINT, StatementCancelHandler);
	if (crew_was_canceled(my_place))
		kill(MyProcPid, SIGINT);
}

/* From here on nobody can cancel the command any more, and so nobody what is written about it. */
static void
stop_clock(int64 max_runtime_ms)
{
	if (max_runtime_ms > 0)
		disable_timeout(runtime_timeout, false);
	pqsignal(SIGINT, SIG_IGN);
	QueryCancelPending = false;
}

/* ---- what is written down ---- */

/* The settings of the role and the database are meant for the command, not for what we write. */
static void
begin_own(OwnSpi *own)
{
	StartTransactionCommand();
	XactReadOnly = false;
	XactIsoLevel = XACT_READ_COMMITTED;
	pinned_set_for_transaction("lock_timeout", "0");
	pinned_set_for_transaction("transaction_timeout", "0");
	own_spi_begin(own);
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_own(OwnSpi *own)
{
	PopActiveSnapshot();
	own_spi_end(own);
	CommitTransactionCommand();
}

/* The command may have dropped the extension, and another may have its name by now. */
static bool
is_still_there(const WorkerRun *run)
{
	return OidIsValid(run->extension) && crew_extension() == run->extension;
}

static void
read_job(WorkerRun *run, MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);

	run->name = own_text(0, 1);
	run->command = own_text(0, 2);
	run->settings = own_text(0, 3);
	run->max_runtime_ms = own_bigint(0, 4);
	MemoryContextSwitchTo(before);
}

/*
 * The job as it is now: what was changed after the run was made counts.  False
 * when there is nothing to do; the run has its end then.
 */
static bool
claim_run(WorkerRun *run, MemoryContext context)
{
	if (!is_still_there(run))
		return false;
	if (crew_was_canceled(my_place))
		run_end(run->id, &(RunOutcome) {.state = "canceled", .error = "canceled before it began"});
	else if (run_begin(run->id, GetAuthenticatedUserId()))
	{
		read_job(run, context);
		return true;
	}
	else
		run_end(run->id, &(RunOutcome) {.state = "canceled", .error = "the job was removed"});
	return false;
}

static bool
begin_run(WorkerRun *run, MemoryContext context)
{
	OwnSpi		own;
	bool		good;

	begin_own(&own);
	good = claim_run(run, context);
	end_own(&own);
	return good;
}

/* What the command may have set must not touch what we write. */
static void
forget_settings(void)
{
	StartTransactionCommand();
	ResetAllOptions();
	CommitTransactionCommand();
}

static RunOutcome
judge(const WorkerRun *run, const CommandResult *result)
{
	RunOutcome	outcome = {.state = "succeeded", .tags = result->tags, .with_warnings = true};

	if (result->succeeded)
		return outcome;
	outcome.error = result->error;
	outcome.sqlstate = result->sqlstate;
	if (times_over > 0)
	{
		outcome.state = "timed_out";
		outcome.error = psprintf("it ran longer than max_runtime, " INT64_FORMAT " ms\n%s",
								 run->max_runtime_ms, result->error);
	}
	else if (result->timed_out)
		outcome.state = "timed_out";
	else if (strcmp(result->sqlstate, "57014") == 0)
		outcome.state = "canceled";
	else
		outcome.state = "failed";
	return outcome;
}

static void
end_run(const WorkerRun *run, const CommandResult *result)
{
	RunOutcome	outcome = judge(run, result);
	OwnSpi		own;

	forget_settings();
	begin_own(&own);
	if (is_still_there(run))
		run_end(run->id, &outcome);
	end_own(&own);
}

/* ---- the command ---- */

/* A setting that is refused now, though it was taken when the job was scheduled, is the run's error. */
static CommandResult
run_with_settings(const WorkerRun *run)
{
	CommandResult result = {0};
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		StartTransactionCommand();
		run_settings_apply(run->settings);
		CommitTransactionCommand();
		result.succeeded = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		result.error = error->message;
		strlcpy(result.sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result.sqlstate));
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return result.succeeded ? command_run(run->command) : result;
}

static void
do_run(WorkerRun *run)
{
	CommandResult result;

	pgstat_report_appname(psprintf("pattyly job %s", run->name));
	allow_cancel();
	limit_runtime(run->max_runtime_ms);
	capture_warnings(true);
	crew_keep_books(false);
	result = run_with_settings(run);
	crew_keep_books(true);
	capture_warnings(false);
	stop_clock(run->max_runtime_ms);
	end_run(run, &result);
}

PROCESS_MAIN(pattyly_job_worker_main);

void
pattyly_job_worker_main(Datum argument)
{
	MemoryContext context;
	WorkerOrder order;
	CrewRun		place;
	WorkerRun	run = {0};

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	pqsignal(SIGINT, SIG_IGN);
	process_begin();
	my_place = DatumGetInt32(argument);
	if (!crew_take(my_place, order.run_id, &place))
		proc_exit(0);
	capture_begin(last_words);
	BackgroundWorkerInitializeConnectionByOid(place.database, place.role, COMPAT_CONNECT_AS_ANY_ROLE);
	context = AllocSetContextCreate(TopMemoryContext, "pattyly job", ALLOCSET_DEFAULT_SIZES);
	MessageContext = context;
	MemoryContextSwitchTo(context);
	run.id = place.run_id;
	run.extension = place.extension;
	if (begin_run(&run, context))
	{
		MemoryContextSwitchTo(context);
		do_run(&run);
	}
	pgstat_report_stat(true);
	proc_exit(0);
}
