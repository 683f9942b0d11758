/*
 * dispatch.c
 *		See dispatch.h.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "jobs/crew.h"
#include "jobs/dispatch.h"
#include "jobs/home.h"
#include "jobs/jobs.h"
#include "jobs/process.h"
#include "jobs/runs.h"
#include "jobs/worker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A worker that was promised and does not come: the postmaster could not start it. */
#define PATIENCE_MS	60000

/* By place; settled is the run whose end is written, but perhaps not yet committed, or 0. */
static BackgroundWorkerHandle **handles;
static int64 *settled;
static bool had_room = true;
static bool all_free = true;

/* ---- the end of a worker ---- */

static void
end_of_worker(const CrewRun *run)
{
	RunOutcome	outcome = {.state = "lost", .error = "its process ended without a word; see the server's log"};

	if (run->cancel && run->pid == 0)
		outcome = (RunOutcome) {.state = "canceled", .error = "canceled before it began"};
	else if (run->pid == 0)
		outcome.error = "its process could not be started; see the server's log";
	else if (run->message[0] != '\0')
	{
		outcome.error = run->message;
		outcome.sqlstate = run->sqlstate;
		/* 57P01: somebody, or the stop of the server, ended the process. */
		outcome.state = strcmp(run->sqlstate, "57P01") == 0 ? "canceled" :
			strcmp(run->sqlstate, CREW_TIME_IS_OVER) == 0 ? "timed_out" : "failed";
	}
	run_end(run->run_id, &outcome);
}

/* Whether the worker that was promised will not come any more. */
static bool
never_came(const CrewRun *run, int place)
{
	pid_t		pid;

	if (run->state != CREW_GIVEN)
		return false;
	if (handles[place] != NULL && GetBackgroundWorkerPid(handles[place], &pid) == BGWH_STOPPED)
		return true;
	return TimestampDifferenceExceeds(run->given_at, GetCurrentTimestamp(), PATIENCE_MS);
}

static void
forget_handle(int place)
{
	if (handles[place] != NULL)
		pfree(handles[place]);
	handles[place] = NULL;
}

void
dispatch_settle(void)
{
	CrewRun    *runs = palloc(crew_size() * sizeof(CrewRun));
	int		   *places = palloc(crew_size() * sizeof(int));
	int			n;

	if (handles == NULL)
	{
		handles = MemoryContextAllocZero(TopMemoryContext, crew_size() * sizeof(*handles));
		settled = MemoryContextAlloc(TopMemoryContext, crew_size() * sizeof(*settled));
	}
	all_free = true;
	memset(settled, 0, crew_size() * sizeof(*settled));
	n = crew_list(runs, places);
	for (int i = 0; i < n; i++)
	{
		if (runs[i].state != CREW_ENDED &&
			!(never_came(&runs[i], places[i]) && crew_take_back(places[i], runs[i].run_id)))
			continue;
		/* What an extension that was dropped had started is nothing to this one. */
		if (runs[i].extension == crew_extension())
		{
			if (!run_is_free(runs[i].run_id))
			{
				all_free = false;
				continue;
			}
			end_of_worker(&runs[i]);
		}
		settled[places[i]] = runs[i].run_id;
	}
}

void
dispatch_free(void)
{
	for (int place = 0; place < crew_size(); place++)
		if (settled[place] != 0)
		{
			crew_free(place, settled[place]);
			forget_handle(place);
			settled[place] = 0;
		}
}

bool
dispatch_lost(void)
{
	bool		all_ended = true;
	CrewRun    *runs = palloc(crew_size() * sizeof(CrewRun));
	int		   *places = palloc(crew_size() * sizeof(int));
	int			n = crew_list(runs, places);
	uint64		found = own_spi_run("SELECT id FROM pattyly.job_runs WHERE state = 'running'",
									&(OwnArgs) {0});
	int64	   *ids = palloc((found + 1) * sizeof(int64));

	for (uint64 i = 0; i < found; i++)
		ids[i] = own_bigint(i, 1);
	for (uint64 i = 0; i < found; i++)
	{
		bool		known = false;

		for (int j = 0; j < n; j++)
			known |= runs[j].run_id == ids[i] && runs[j].extension == crew_extension();
		if (known)
			continue;
		if (!run_is_free(ids[i]))
			all_ended = false;
		else
			run_end(ids[i], &(RunOutcome) {.state = "lost",
					.error = "the server stopped or crashed while it ran"});
	}
	return all_ended;
}

void
dispatch_rest(void)
{
	OwnArgs		args = {0};

	own_arg_home(&args);
	own_arg_time(&args, clock_to_timestamp(clock_now_us()));
	(void) own_spi_run("UPDATE pattyly.job_runs AS r SET state = 'canceled', finished_at = $3,"
					   "       error = 'this database is a copy of the one where it was to run'"
					   " FROM pattyly.jobs AS j"
					   " WHERE j.id = r.job_id AND r.state IN ('starting', 'no_slot')"
					   "   AND (j.system_identifier <> $1 OR j.database_id <> $2)", &args);
}

/* ---- the beginning of a worker ---- */

typedef struct Waiting
{
	int64		run_id;
	int64		job_id;
	Oid			role;
	char	   *name;
	bool		known_to_wait;	/* no_slot already */
	char	   *why_not;		/* the role cannot be used */
} Waiting;

#ifdef COMPAT_ROLE_MUST_LOG_IN
#define ROLE_CANNOT "WHEN NOT o.rolcanlogin THEN 'role \"' || o.rolname || '\" is not permitted to log in'"
#else
#define ROLE_CANNOT ""
#endif

/* The oldest of each job that nobody works at. */
static Waiting *
find_waiting(TimestampTz now, int *n)
{
	OwnArgs		args = {0};
	Waiting    *found;

	own_arg_time(&args, now);
	own_arg_bigint(&args, crew_size());
	*n = (int) own_spi_run("SELECT r.id, r.job_id, r.owner_id::bigint, r.job_name, (r.state = 'no_slot')::int::bigint,"
						   "       CASE WHEN o.oid IS NULL THEN 'the owner''s role does not exist any more' "
						   ROLE_CANNOT " END"
						   " FROM (SELECT DISTINCT ON (w.job_id) w.* FROM pattyly.job_runs AS w"
						   "       WHERE w.state IN ('starting', 'no_slot') AND w.start_after <= $1"
						   "         AND NOT EXISTS (SELECT FROM pattyly.job_runs AS b"
						   "             WHERE b.job_id = w.job_id AND b.state = 'running')"
						   "       ORDER BY w.job_id, w.id) AS r"
						   " LEFT JOIN pg_catalog.pg_roles AS o ON o.oid = r.owner_id"
						   " ORDER BY r.id LIMIT $2", &args);
	found = palloc(Max(*n, 1) * sizeof(Waiting));
	for (int i = 0; i < *n; i++)
	{
		found[i].run_id = own_bigint(i, 1);
		found[i].job_id = own_bigint(i, 2);
		found[i].role = (Oid) own_bigint(i, 3);
		found[i].name = own_text(i, 4);
		found[i].known_to_wait = own_bigint(i, 5) != 0;
		found[i].why_not = own_text(i, 6);
	}
	return found;
}

static bool
is_at_work(int64 job_id)
{
	CrewRun    *runs = palloc(crew_size() * sizeof(CrewRun));
	int		   *places = palloc(crew_size() * sizeof(int));
	int			n = crew_list(runs, places);
	bool		found = false;

	for (int i = 0; i < n; i++)
		found |= runs[i].job_id == job_id && runs[i].extension == crew_extension();
	pfree(runs);
	pfree(places);
	return found;
}

/* Whether the run has a worker now. */
static bool
start_worker(const Waiting *waiting)
{
	WorkerOrder order = {.run_id = waiting->run_id};
	int			place = crew_give(waiting->run_id, waiting->job_id, waiting->role);
	MemoryContext before;
	char		name[BGW_MAXLEN];
	bool		started;

	if (place < 0)
		return false;
	snprintf(name, sizeof(name), "pattyly job %s", waiting->name);
	before = MemoryContextSwitchTo(TopMemoryContext);
	forget_handle(place);
	started = process_start(JOBS_WORKER_MAIN, "pattyly job", name, Int32GetDatum(place),
							&order, sizeof(order), &handles[place]);
	MemoryContextSwitchTo(before);
	if (!started)
	{
		handles[place] = NULL;
		crew_free(place, waiting->run_id);
	}
	return started;
}

void
dispatch_start(TimestampTz now)
{
	int			n;
	Waiting    *waiting = find_waiting(now, &n);
	bool		full = false;

	/* There may be more than were asked for, behind some that were not begun. */
	had_room = n < crew_size();
	for (int i = 0; i < n; i++)
	{
		if (is_at_work(waiting[i].job_id))
			continue;
		if (waiting[i].why_not != NULL)
			run_end(waiting[i].run_id, &(RunOutcome) {.state = "failed",
					.error = waiting[i].why_not, .sqlstate = "28000"});
		else if (full || !start_worker(&waiting[i]))
		{
			full = true;
			if (!waiting[i].known_to_wait)
				run_note_no_slot(waiting[i].run_id);
		}
	}
	had_room &= !full;
}

bool
dispatch_had_room(void)
{
	return had_room && all_free;
}
