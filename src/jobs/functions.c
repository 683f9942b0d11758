/*
 * functions.c
 *		The functions by which jobs are scheduled, run and stopped.
 *
 * They run as the caller, because a job belongs to whoever schedules it, and
 * write as the owner of the tables.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "core/zone.h"
#include "jobs/crew.h"
#include "jobs/home.h"
#include "jobs/jobs.h"
#include "jobs/newjob.h"
#include "jobs/runs.h"
#include "jobs/schedules.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* ---- a job by its name ---- */

typedef struct NamedJob
{
	char	   *name;
	OwnSpi		own;			/* its user is the caller */
	int64		id;
	Oid			owner;
	bool		at_home;
	char	   *schedule;
	char	   *timezone;
} NamedJob;

static char *
name_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of a job must not be null"),
				 errhint("See pattyly.job_status for the names of jobs.")));
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

/* Locks the job for this transaction.  False when there is none. */
static bool
find_job(NamedJob *job)
{
	OwnArgs		args = {0};

	own_arg_home(&args);
	own_arg_text(&args, job->name);
	/* The owner's number means nothing in a copy. */
	if (own_spi_run("SELECT id, CASE WHEN system_identifier = $1 AND database_id = $2 THEN owner_id::bigint"
					"       ELSE (SELECT oid::bigint FROM pg_catalog.pg_roles WHERE rolname = owner) END,"
					"       (system_identifier = $1 AND database_id = $2)::int::bigint, schedule, timezone"
					" FROM pattyly.jobs WHERE name = $3 FOR UPDATE", &args) != 1)
		return false;
	job->id = own_bigint(0, 1);
	job->owner = (Oid) own_bigint(0, 2);
	job->at_home = own_bigint(0, 3) != 0;
	job->schedule = own_text(0, 4);
	job->timezone = own_text(0, 5);
	return true;
}

/* Until end(): the job that the first argument names, if there is one; an error when it is somebody else's. */
static bool
begin_if_exists(FunctionCallInfo fcinfo, NamedJob *job)
{
	job->name = name_argument(fcinfo);
	own_spi_begin(&job->own);
	if (!find_job(job))
		return false;
	if (!has_privs_of_role(job->own.user, job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job \"%s\" belongs to another role", job->name),
				 errhint("Call this as its owner, or as a member of that role.")));
	return true;
}

static void
begin(FunctionCallInfo fcinfo, NamedJob *job)
{
	if (!begin_if_exists(fcinfo, job))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job \"%s\" does not exist", job->name),
				 errhint("See pattyly.job_status for the names of jobs.")));
}

static void
begin_at_home(FunctionCallInfo fcinfo, NamedJob *job)
{
	begin(fcinfo, job);
	if (!job->at_home)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" was scheduled in a database of which this is a copy", job->name),
				 errhint("Run SELECT pattyly.resume_jobs() if the jobs of the copy are to run here as well.")));
}

static void
end(NamedJob *job)
{
	own_spi_end(&job->own);
}

/* ---- schedule ---- */

PATTYLY_FUNCTION(pattyly_schedule_job);

Datum
pattyly_schedule_job(PG_FUNCTION_ARGS)
{
	NewJob		job;
	OwnSpi		own;
	int64		id;

	new_job_read(fcinfo, &job);
	own_spi_begin(&own);
	id = new_job_store(&job);
	own_spi_end(&own);
	if (!crew_has_scheduler(MyDatabaseId))
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" is scheduled, but no scheduler is at work in this database", job.name),
				 errhint("See that shared_preload_libraries has pattyly and that pattyly.databases has this database.")));
	PG_RETURN_INT64(id);
}

static void
remove_job(int64 job_id)
{
	OwnArgs		args = {0};

	(void) run_end_waiting(job_id, false, "canceled", "the job was removed");
	own_arg_bigint(&args, job_id);
	(void) own_spi_run("DELETE FROM pattyly.jobs WHERE id = $1", &args);
}

PATTYLY_FUNCTION(pattyly_unschedule_job);

Datum
pattyly_unschedule_job(PG_FUNCTION_ARGS)
{
	NamedJob	job;
	bool		found = begin_if_exists(fcinfo, &job);

	if (found)
		remove_job(job.id);
	end(&job);
	PG_RETURN_BOOL(found);
}

/* ---- run and cancel ---- */

PATTYLY_FUNCTION(pattyly_run_job);

Datum
pattyly_run_job(PG_FUNCTION_ARGS)
{
	NamedJob	job;
	int64		id;

	begin_at_home(fcinfo, &job);
	id = run_create(job.id, clock_to_timestamp(clock_now_us()), "starting", NULL, NULL);
	end(&job);
	PG_RETURN_INT64(id);
}

static int
count_open(int64 job_id)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job_id);
	return (int) own_spi_run("SELECT FROM pattyly.job_runs WHERE job_id = $1"
							 " AND state IN ('starting', 'no_slot', 'running')", &args);
}

PATTYLY_FUNCTION(pattyly_cancel_job);

Datum
pattyly_cancel_job(PG_FUNCTION_ARGS)
{
	NamedJob	job;
	int			n;

	begin(fcinfo, &job);
	n = count_open(job.id);
	crew_cancel(job.id);
	(void) run_end_waiting(job.id, false, "canceled", "canceled before it began");
	end(&job);
	PG_RETURN_INT32(n);
}

/* ---- pause and resume ---- */

/* What is planned already is not put off; an @reboot job waits for a start of the server after this. */
static void
enable(const NamedJob *job, bool enabled)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job->id);
	own_arg(&args, BOOLOID, BoolGetDatum(enabled), false);
	own_arg_time(&args, enabled ? new_job_next_run(job->schedule, job->timezone) : 0);
	own_arg_time(&args, enabled ? clock_to_timestamp(clock_now_us()) : 0);
	(void) own_spi_run("UPDATE pattyly.jobs SET enabled = $2, next_run = $3,"
					   "       last_scheduled = COALESCE($4, last_scheduled)"
					   " WHERE id = $1 AND (enabled <> $2 OR next_run IS NULL)", &args);
}

PATTYLY_FUNCTION(pattyly_pause_job);

Datum
pattyly_pause_job(PG_FUNCTION_ARGS)
{
	NamedJob	job;

	begin(fcinfo, &job);
	enable(&job, false);
	end(&job);
	PG_RETURN_VOID();
}

PATTYLY_FUNCTION(pattyly_resume_job);

Datum
pattyly_resume_job(PG_FUNCTION_ARGS)
{
	NamedJob	job;

	begin_at_home(fcinfo, &job);
	enable(&job, true);
	end(&job);
	PG_RETURN_VOID();
}

/* ---- a copy of the database ---- */

static bool
come_home(int64 id, const char *schedule, const char *timezone)
{
	OwnArgs		args = {0};

	own_arg_home(&args);
	own_arg_bigint(&args, id);
	own_arg_time(&args, new_job_next_run(schedule, timezone));
	return own_spi_run("UPDATE pattyly.jobs AS j SET owner_id = r.oid, system_identifier = $1, database_id = $2,"
					   "       next_run = CASE WHEN j.enabled THEN $4 END"
					   " FROM pg_catalog.pg_roles AS r WHERE j.id = $3 AND r.rolname = j.owner", &args) == 1;
}

PATTYLY_FUNCTION(pattyly_resume_jobs);

Datum
pattyly_resume_jobs(PG_FUNCTION_ARGS)
{
	OwnArgs		args = {0};
	OwnSpi		own;
	SPITupleTable *rows;
	uint64		n;
	int			resumed = 0;

	own_spi_begin(&own);
	own_arg_home(&args);
	n = own_spi_run("SELECT id, name, owner::text, schedule, timezone FROM pattyly.jobs"
					" WHERE system_identifier <> $1 OR database_id <> $2 ORDER BY id FOR UPDATE", &args);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		int64		id = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));

		if (come_home(id, SPI_getvalue(rows->vals[i], rows->tupdesc, 4),
					  SPI_getvalue(rows->vals[i], rows->tupdesc, 5)))
			resumed++;
		else
			ereport(WARNING,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("job \"%s\" goes on resting: its owner, role \"%s\", does not exist here",
							SPI_getvalue(rows->vals[i], rows->tupdesc, 2),
							SPI_getvalue(rows->vals[i], rows->tupdesc, 3)),
					 errhint("Create the role and call this again, or unschedule the job.")));
	}
	own_spi_end(&own);
	PG_RETURN_INT32(resumed);
}

/* ---- the trigger ---- */

PATTYLY_FUNCTION(pattyly_jobs_changed);

Datum
pattyly_jobs_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("jobs_changed can only be called as a trigger"),
				 errhint("It stands on pattyly.jobs and pattyly.job_runs already.")));
	crew_wake_at_commit();
	return PointerGetDatum(NULL);
}
