/*
 * due.c
 *		See due.h.
 *
 * A job's next_run is stored.  It is moved on in the transaction that makes the
 * run, so that a run is made exactly once, whenever the scheduler dies.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "core/zone.h"
#include "jobs/crew.h"
#include "jobs/due.h"
#include "jobs/home.h"
#include "jobs/runs.h"
#include "jobs/schedule.h"
#include "utils/builtins.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define BATCH 100

/* A run that begins so much too late was missed, and catch_up decides. */
#define MISSED_US	(60 * USECS_PER_SEC)

typedef struct DueJob
{
	int64		id;
	char	   *schedule;
	char	   *timezone;
	char	   *overlap;
	char	   *catch_up;
	TimestampTz scheduled_at;
	char	   *unknown_owner;	/* its name, when the role is gone */
	Schedule	parsed;
	CivilZone	zone;
} DueJob;

/* ---- the next run ---- */

/* False: what stands in the table is no schedule, or no zone; the reason is in *error. */
static bool
parse_job(DueJob *job, char **error)
{
	int			at;
	const char *fault = schedule_parse(job->schedule, strlen(job->schedule), &job->parsed, &at);

	*error = NULL;
	if (fault != NULL)
		*error = psprintf("invalid schedule \"%s\": %s", job->schedule, fault);
	else if (!zone_try(job->timezone, &job->zone))
		*error = psprintf("time zone \"%s\" not recognized", job->timezone);
	return *error == NULL;
}

/* After "now", or 0; an interval counts from the time that the schedule named, so that it does not drift. */
static TimestampTz
next_after(const DueJob *job, TimestampTz now)
{
	int64		from_us = clock_from_timestamp(now);
	int64		next_us;

	if (job->parsed.kind == SCHEDULE_EVERY && job->scheduled_at != 0 && job->scheduled_at <= now &&
		!TIMESTAMP_NOT_FINITE(job->scheduled_at))
	{
		int64		every_us = job->parsed.every_s * USECS_PER_SEC;

		return job->scheduled_at + ((now - job->scheduled_at) / every_us + 1) * every_us;
	}
	if (!schedule_next(&job->parsed, &job->zone, from_us, &next_us))
		return 0;
	return clock_to_timestamp(next_us);
}

static void
plan(const DueJob *job, TimestampTz next)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job->id);
	own_arg_time(&args, next);
	own_arg_time(&args, job->scheduled_at);
	(void) own_spi_run("UPDATE pattyly.jobs AS j SET next_run = $2,"
					   "       last_scheduled = COALESCE($3, j.last_scheduled),"
					   "       owner = COALESCE((SELECT rolname FROM pg_catalog.pg_roles AS r"
					   "                         WHERE r.oid = j.owner_id), j.owner)"
					   " WHERE j.id = $1", &args);
}

/* ---- a run that is due ---- */

static int
count_open(int64 job_id, const char *states)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job_id);
	own_arg_text(&args, states);
	(void) own_spi_run("SELECT pg_catalog.count(*) FROM pattyly.job_runs WHERE job_id = $1"
					   " AND state IN ('starting', 'no_slot', 'running')"
					   " AND state ~ $2", &args);
	return (int) own_bigint(0, 1);
}

static void
skip(const DueJob *job, const char *why)
{
	(void) run_create(job->id, job->scheduled_at, "skipped", why, NULL);
}

static void
start(const DueJob *job)
{
	int64		pause_us = run_pause_us(job->id);
	int64		run_id = run_create(job->id, job->scheduled_at, "starting", NULL, NULL);

	if (pause_us > 0)
		run_put_off(run_id, pause_us);
}

/* Another run of the job is on, or waits. */
static void
overlap(const DueJob *job)
{
	if (strcmp(job->overlap, "cancel_running") == 0)
	{
		(void) run_end_waiting(job->id, false, "skipped", "the next run was due");
		crew_cancel(job->id);
		start(job);
	}
	else if (strcmp(job->overlap, "queue_one") == 0 && count_open(job->id, "starting|no_slot") == 0)
		start(job);
	else
		skip(job, "the last run had not ended");
}

static void
make_run(const DueJob *job, TimestampTz now)
{
	if (now - job->scheduled_at > MISSED_US && strcmp(job->catch_up, "skip") == 0)
	{
		skip(job, "it was missed, and catch_up is skip");
		return;
	}
	/* What waits to be tried again gives way to the next run of the schedule. */
	if (run_end_waiting(job->id, true, "skipped", "the next run was due") > 0)
		run_notify_given_up(job->id);
	if (count_open(job->id, ".") > 0)
		overlap(job);
	else
		start(job);
}

static void
process_job(DueJob *job, TimestampTz now)
{
	char	   *error;

	if (!parse_job(job, &error))
	{
		/* It cannot be planned any more; it is not worth more than one failed run. */
		run_create_failed(job->id, job->scheduled_at, error, "22023");
		plan(job, 0);
		return;
	}
	if (job->unknown_owner != NULL)
		run_create_failed(job->id, job->scheduled_at,
						  psprintf("role \"%s\" does not exist any more", job->unknown_owner), "42704");
	else
		make_run(job, now);
	plan(job, next_after(job, now));
}

/* Somebody holds a lock, memory is short, the scheduler was interrupted: it says nothing about the job. */
static bool
is_passing(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR);
}

/* Whatever is wrong with one job, the others go on: it is not planned any more, with the reason in the log. */
static void
try_job(DueJob *job, TimestampTz now)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		process_job(job, now);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		if (is_passing(geterrcode()))
			PG_RE_THROW();
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		plan(job, 0);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* ---- jobs in the table ---- */

static void
read_row(DueJob *job, uint64 row)
{
	memset(job, 0, sizeof(*job));
	job->id = own_bigint(row, 1);
	job->schedule = own_text(row, 2);
	job->timezone = own_text(row, 3);
	job->overlap = own_text(row, 4);
	job->catch_up = own_text(row, 5);
	job->scheduled_at = own_bigint(row, 6);
	job->unknown_owner = own_text(row, 7);
}

/* Rows that somebody is changing are left for later: nobody may keep the scheduler waiting. */
#define SELECT_JOBS(column, condition) \
	"SELECT j.id, j.schedule, j.timezone, j.overlap, j.catch_up, j." column "," \
	"       CASE WHEN r.oid IS NULL THEN j.owner::text END" \
	" FROM pattyly.jobs AS j LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = j.owner_id" \
	" WHERE j.enabled AND j.system_identifier = $1 AND j.database_id = $2 AND " condition \
	" LIMIT 100 FOR UPDATE OF j SKIP LOCKED"

static int
select_jobs(const char *statement, TimestampTz at, DueJob *jobs)
{
	OwnArgs		args = {0};
	int			n;

	own_arg_home(&args);
	own_arg_time(&args, at);
	n = (int) own_spi_run(statement, &args);
	for (int i = 0; i < n; i++)
		read_row(&jobs[i], i);
	return n;
}

int
due_process(TimestampTz now)
{
	DueJob	   *jobs = palloc(BATCH * sizeof(DueJob));
	int			n = select_jobs(SELECT_JOBS("next_run", "j.next_run <= $3"), now, jobs);

	for (int i = 0; i < n; i++)
		try_job(&jobs[i], now);
	return n;
}

void
due_after_start(TimestampTz server_started)
{
	DueJob	   *jobs = palloc(BATCH * sizeof(DueJob));
	int			n;

	while ((n = select_jobs(SELECT_JOBS("last_scheduled", "j.schedule ILIKE '%@reboot%' AND j.last_scheduled < $3"),
							server_started, jobs)) > 0)
		for (int i = 0; i < n; i++)
		{
			jobs[i].scheduled_at = server_started;
			try_job(&jobs[i], server_started);
		}
}

void
due_plan_again(TimestampTz now)
{
	OwnArgs		args = {0};
	DueJob	   *jobs;
	int			n;

	own_arg_home(&args);
	own_arg_time(&args, now);
	n = (int) own_spi_run("SELECT j.id, j.schedule, j.timezone, j.overlap, j.catch_up, j.next_run, NULL"
						  " FROM pattyly.jobs AS j WHERE j.enabled AND j.next_run > $3"
						  " AND j.system_identifier = $1 AND j.database_id = $2"
						  " FOR UPDATE SKIP LOCKED", &args);
	jobs = palloc(Max(n, 1) * sizeof(DueJob));
	for (int i = 0; i < n; i++)
		read_row(&jobs[i], i);
	for (int i = 0; i < n; i++)
	{
		TimestampTz planned = jobs[i].scheduled_at;
		TimestampTz next;
		char	   *error;

		jobs[i].scheduled_at = 0;
		if (!parse_job(&jobs[i], &error) ||
			!(jobs[i].parsed.follows_elapsed || jobs[i].parsed.kind == SCHEDULE_EVERY))
			continue;
		next = next_after(&jobs[i], now);
		if (next != 0 && next < planned)
			plan(&jobs[i], next);
	}
}

TimestampTz
due_next(TimestampTz now)
{
	OwnArgs		args = {0};

	own_arg_home(&args);
	own_arg_time(&args, now);
	(void) own_spi_run("SELECT LEAST((SELECT pg_catalog.min(next_run) FROM pattyly.jobs"
					   "               WHERE enabled AND system_identifier = $1 AND database_id = $2),"
					   "              (SELECT pg_catalog.min(start_after) FROM pattyly.job_runs"
					   "               WHERE state IN ('starting', 'no_slot') AND start_after > $3))", &args);
	return own_bigint(0, 1);
}
