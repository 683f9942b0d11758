/*
 * newjob.c
 *		See newjob.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "core/zone.h"
#include "jobs/command.h"
#include "jobs/home.h"
#include "jobs/newjob.h"
#include "jobs/runsettings.h"
#include "jobs/schedules.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/syscache.h"

#define MAX_NAME_BYTES		200
#define MAX_RETRIES			100
#define MAX_RUNTIME_US		(24 * USECS_PER_DAY)
#define MAX_RETRY_DELAY_US	(USECS_PER_DAY)

enum
{
	ARG_NAME, ARG_SCHEDULE, ARG_COMMAND, ARG_TIMEZONE, ARG_OVERLAP, ARG_CATCH_UP, ARG_MAX_RUNTIME,
	ARG_MAX_RETRIES, ARG_RETRY_DELAY, ARG_SETTINGS, ARG_ENABLED, ARG_COUNT
};

static const char *const arguments[ARG_COUNT] = {
	"name", "schedule", "command", "timezone", "overlap", "catch_up", "max_runtime",
	"max_retries", "retry_delay", "settings", "enabled"
};

/* ---- arguments ---- */

static void
refuse_nulls(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < ARG_COUNT; i++)
		if (i != ARG_MAX_RUNTIME && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s of a job must not be null", arguments[i]),
					 errhint("Leave it out for its default, if it has one.")));
}

static void
check_name(const char *name)
{
	bool		good = name[0] != '\0' && strlen(name) <= MAX_NAME_BYTES;

	for (const char *c = name; *c != '\0'; c++)
		good &= (unsigned char) *c >= ' ' && *c != 0x7f;
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a job"),
				 errdetail("It has %zu bytes.", strlen(name)),
				 errhint("Use 1 to %d bytes without control characters.", MAX_NAME_BYTES)));
}

static void
check_choice(const char *argument, const char *value, const char *const *choices, const char *hint)
{
	for (; *choices != NULL; choices++)
		if (strcmp(value, *choices) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s of a job: \"%s\"", argument, value),
			 errhint("%s", hint)));
}

/* Of more than days and a time, nobody knows how long it is. */
static void
check_interval(const char *argument, const Interval *interval, int64 least_us, int64 most_us,
			   const char *hint)
{
	int64		us = 0;
	bool		good = interval->month == 0 &&
		!pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &us) &&
		!pg_add_s64_overflow(us, interval->time, &us) && us >= least_us && us <= most_us;

	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s of a job: %s", argument,
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)))),
				 errhint("%s", hint)));
}

static void
check_limits(const NewJob *job)
{
	if (job->max_runtime != NULL)
		check_interval("max_runtime", job->max_runtime, USECS_PER_SEC, MAX_RUNTIME_US,
					   "Use 1 second to 24 days, without months or years; NULL is no limit.");
	check_interval("retry_delay", job->retry_delay, 0, MAX_RETRY_DELAY_US,
				   "Use 0 to 1 day.");
	if (job->max_retries < 0 || job->max_retries > MAX_RETRIES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid max_retries of a job: %d", job->max_retries),
				 errhint("Use 0 to %d.", MAX_RETRIES)));
}

/* ---- the owner ---- */

#ifdef COMPAT_ROLE_MUST_LOG_IN
static void
check_owner(Oid owner)
{
	HeapTuple	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool		can_log_in = HeapTupleIsValid(role) && ((Form_pg_authid) GETSTRUCT(role))->rolcanlogin;

	if (HeapTupleIsValid(role))
		ReleaseSysCache(role);
	if (!can_log_in)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("a job cannot run as role \"%s\", which is not permitted to log in",
						GetUserNameFromId(owner, true)),
				 errhint("Schedule it as a role with LOGIN; from PostgreSQL 17 on any role will do.")));
}
#else
static void
check_owner(Oid owner)
{
}
#endif

/* ---- the whole ---- */

TimestampTz
new_job_next_run(const char *schedule, const char *timezone)
{
	Schedule	parsed;
	CivilZone	zone = zone_find(timezone);
	int64		next_us;

	schedule_read(schedule, &parsed);
	if (!schedule_next(&parsed, &zone, clock_now_us(), &next_us))
		return 0;
	return clock_to_timestamp(next_us);
}

static void
check_schedule(NewJob *job)
{
	Schedule	parsed;

	schedule_read(job->schedule, &parsed);
	job->next_run = new_job_next_run(job->schedule, job->timezone);
	if (job->next_run == 0 && parsed.kind != SCHEDULE_REBOOT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" never comes", job->schedule),
				 errhint("See what a schedule does with pattyly.next_runs().")));
}

void
new_job_read(FunctionCallInfo fcinfo, NewJob *job)
{
	static const char *const overlaps[] = {"skip", "queue_one", "cancel_running", NULL};
	static const char *const catch_ups[] = {"run_once", "skip", NULL};

	refuse_nulls(fcinfo);
	job->name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	job->schedule = text_to_cstring(PG_GETARG_TEXT_PP(ARG_SCHEDULE));
	job->command = text_to_cstring(PG_GETARG_TEXT_PP(ARG_COMMAND));
	job->timezone = text_to_cstring(PG_GETARG_TEXT_PP(ARG_TIMEZONE));
	job->overlap = text_to_cstring(PG_GETARG_TEXT_PP(ARG_OVERLAP));
	job->catch_up = text_to_cstring(PG_GETARG_TEXT_PP(ARG_CATCH_UP));
	job->max_runtime = PG_ARGISNULL(ARG_MAX_RUNTIME) ? NULL : PG_GETARG_INTERVAL_P(ARG_MAX_RUNTIME);
	job->max_retries = PG_GETARG_INT32(ARG_MAX_RETRIES);
	job->retry_delay = PG_GETARG_INTERVAL_P(ARG_RETRY_DELAY);
	job->settings = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(ARG_SETTINGS)));
	job->enabled = PG_GETARG_BOOL(ARG_ENABLED);
	job->owner = GetUserId();

	check_name(job->name);
	check_schedule(job);
	(void) command_parse(job->command);
	check_choice("overlap", job->overlap, overlaps, "Use skip, queue_one or cancel_running.");
	check_choice("catch_up", job->catch_up, catch_ups, "Use run_once or skip.");
	check_limits(job);
	run_settings_check(job->settings);
	check_owner(job->owner);
}

static void
add_parameters(OwnArgs *args, const NewJob *job)
{
	own_arg_home(args);
	own_arg_text(args, job->name);
	own_arg_text(args, job->schedule);
	own_arg_text(args, job->command);
	own_arg_text(args, job->timezone);
	own_arg_text(args, job->overlap);
	own_arg_text(args, job->catch_up);
	own_arg(args, INTERVALOID, IntervalPGetDatum(job->max_runtime), job->max_runtime == NULL);
	own_arg(args, INT4OID, Int32GetDatum(job->max_retries), false);
	own_arg(args, INTERVALOID, IntervalPGetDatum(job->retry_delay), false);
	own_arg_text(args, job->settings);
	own_arg_oid(args, job->owner);
	own_arg(args, BOOLOID, BoolGetDatum(job->enabled), false);
	own_arg_time(args, job->enabled ? job->next_run : 0);
	own_arg_time(args, clock_to_timestamp(clock_now_us()));
}

/* A job that keeps its schedule keeps its next run: whoever schedules it again at each deployment does not put it off. */
int64
new_job_store(const NewJob *job)
{
	OwnArgs		args = {0};

	add_parameters(&args, job);
	if (own_spi_run("INSERT INTO pattyly.jobs AS j (system_identifier, database_id, name, schedule, command,"
					"       timezone, overlap, catch_up, max_runtime, max_retries, retry_delay, settings,"
					"       owner_id, owner, enabled, next_run, last_scheduled, updated_at)"
					" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13,"
					"        (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = $13), $14, $15, $16, $16"
					" ON CONFLICT (name) DO UPDATE SET"
					"       system_identifier = excluded.system_identifier, database_id = excluded.database_id,"
					"       schedule = excluded.schedule, command = excluded.command,"
					"       timezone = excluded.timezone, overlap = excluded.overlap,"
					"       catch_up = excluded.catch_up, max_runtime = excluded.max_runtime,"
					"       max_retries = excluded.max_retries, retry_delay = excluded.retry_delay,"
					"       settings = excluded.settings, owner = excluded.owner, owner_id = excluded.owner_id,"
					"       enabled = excluded.enabled, last_scheduled = CASE WHEN j.schedule = excluded.schedule"
					"                        THEN j.last_scheduled ELSE excluded.last_scheduled END,"
					"       next_run = CASE WHEN j.schedule = excluded.schedule AND j.timezone = excluded.timezone"
					"                        AND j.enabled AND excluded.enabled AND j.next_run IS NOT NULL"
					"                        AND j.system_identifier = $1 AND j.database_id = $2"
					"                       THEN j.next_run ELSE excluded.next_run END,"
					"       updated_at = excluded.updated_at"
					" WHERE CASE WHEN j.system_identifier = $1 AND j.database_id = $2"
					"       THEN j.owner_id = excluded.owner_id ELSE j.owner = excluded.owner END"
					" RETURNING id", &args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job \"%s\" belongs to another role", job->name),
				 errhint("Choose another name, or SET ROLE to its owner first.")));
	return own_bigint(0, 1);
}
