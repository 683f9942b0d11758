/*
 * runs.c
 *		See runs.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "jobs/capture.h"
#include "jobs/jobs.h"
#include "jobs/retry.h"
#include "jobs/runs.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define KEPT_PER_JOB 1000
/* Apart from the others: a job that runs for a day and is due each second skips 86400. */
#define KEPT_SKIPPED_PER_JOB 100

#define LOST_FREE		3
#define LOST_MAX		12
#define LOST_PAUSE_US	(5 * USECS_PER_MINUTE)

static TimestampTz
time_now(void)
{
	return clock_to_timestamp(clock_now_us());
}

/*
 * A job that takes the server down with it must not do so every minute: after
 * some runs in a row that were lost, the next one waits.
 */
int64
run_pause_us(int64 job_id)
{
	OwnArgs		args = {0};
	int			lost;

	own_arg_bigint(&args, job_id);
	(void) own_spi_run("SELECT pg_catalog.count(*) FROM pattyly.job_runs"
					   " WHERE job_id = $1 AND state = 'lost'"
					   "   AND id > COALESCE((SELECT pg_catalog.max(id) FROM pattyly.job_runs"
					   "                      WHERE job_id = $1 AND finished_at IS NOT NULL"
					   "                        AND state NOT IN ('lost', 'skipped')), 0)", &args);
	lost = (int) own_bigint(0, 1);
	return lost < LOST_FREE ? 0 : Min(lost - LOST_FREE + 1, LOST_MAX) * LOST_PAUSE_US;
}

int64
run_create(int64 job_id, TimestampTz scheduled_at, const char *state, const char *error,
		   const char *sqlstate)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job_id);
	own_arg_text(&args, state);
	own_arg_time(&args, scheduled_at);
	own_arg_time(&args, time_now());
	own_arg_text(&args, error);
	own_arg_text(&args, sqlstate);
	if (own_spi_run("INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at,"
					"       start_after, finished_at, error, sqlstate)"
					" SELECT id, name, owner_id, $2, $3, $4,"
					"        CASE WHEN $2 <> 'starting' THEN $4 END, $5, $6"
					" FROM pattyly.jobs WHERE id = $1 RETURNING id", &args) != 1)
		return 0;
	return own_bigint(0, 1);
}

bool
run_begin(int64 run_id, Oid role)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	own_arg_time(&args, time_now());
	own_arg(&args, INT4OID, Int32GetDatum(MyProcPid), false);
	own_arg_oid(&args, role);
	return own_spi_run("UPDATE pattyly.job_runs AS r SET state = 'running', started_at = $2, pid = $3"
					   " FROM pattyly.jobs AS j"
					   " WHERE r.id = $1 AND r.state IN ('starting', 'no_slot')"
					   "   AND j.id = r.job_id AND j.owner_id = $4"
					   " RETURNING j.name, j.command, j.settings::text,"
					   "           CASE WHEN j.max_runtime IS NOT NULL THEN"
					   "             (LEAST(GREATEST(EXTRACT(epoch FROM j.max_runtime), 0.001), 2073600) * 1000)::bigint END",
					   &args) == 1;
}

void
run_note_no_slot(int64 run_id)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	/* Somebody may be about to cancel it: that is not waited for. */
	(void) own_spi_run("UPDATE pattyly.job_runs SET state = 'no_slot' WHERE id IN"
					   " (SELECT id FROM pattyly.job_runs WHERE id = $1 AND state = 'starting'"
					   "  FOR UPDATE SKIP LOCKED)", &args);
}

void
run_put_off(int64 run_id, int64 pause_us)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	own_arg_time(&args, time_now() + pause_us);
	(void) own_spi_run("UPDATE pattyly.job_runs SET start_after = $2 WHERE id = $1", &args);
}

/* ---- the end of a run ---- */

static void
add_warnings(OwnArgs *args, bool wanted)
{
	Datum		texts[CAPTURE_MAX + 1];
	int			n = capture_count();

	for (int i = 0; i < n; i++)
		texts[i] = CStringGetTextDatum(capture_text(i));
	if (capture_others() > 0)
		texts[n++] = CStringGetTextDatum(psprintf("and %d more", capture_others()));
	wanted = wanted && n > 0;
	own_arg(args, TEXTARRAYOID,
			wanted ? PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT)) : (Datum) 0,
			!wanted);
}

static bool
set_outcome(int64 run_id, const RunOutcome *outcome)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	own_arg_text(&args, outcome->state);
	own_arg_time(&args, time_now());
	own_arg_text(&args, outcome->tags);
	own_arg_text(&args, outcome->error);
	own_arg_text(&args, outcome->sqlstate);
	add_warnings(&args, outcome->with_warnings);
	return own_spi_run("UPDATE pattyly.job_runs SET state = $2, finished_at = $3, command_tag = $4,"
					   "       error = $5, sqlstate = $6, warnings = $7"
					   " WHERE id = $1 AND finished_at IS NULL", &args) == 1;
}

/* Whoever is connected may listen, so the error, in which there may be data, is not told: job_runs has it. */
static void
notify(int64 run_id)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	(void) own_spi_run("SELECT pg_catalog.pg_notify('pattyly_jobs', pg_catalog.json_build_object("
					   "        'run_id', id, 'job', pg_catalog.left(job_name, 200), 'state', state,"
					   "        'scheduled_at', scheduled_at, 'attempt', attempt,"
					   "        'sqlstate', sqlstate)::text)"
					   " FROM pattyly.job_runs WHERE id = $1", &args);
}

void
run_create_failed(int64 job_id, TimestampTz scheduled_at, const char *error, const char *sqlstate)
{
	notify(run_create(job_id, scheduled_at, "failed", error, sqlstate));
}

void
run_notify_given_up(int64 job_id)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job_id);
	if (own_spi_run("SELECT id FROM pattyly.job_runs WHERE job_id = $1 AND state IN ('failed', 'timed_out', 'lost')"
					" ORDER BY id DESC LIMIT 1", &args) == 1)
		notify(own_bigint(0, 1));
}

/* A later attempt, when the job has one left.  A run of a job that is gone is not tried again. */
static bool
retry(int64 run_id)
{
	OwnArgs		args = {0};
	int64		delay_us;
	int64		job_id;
	double		chance;

	own_arg_bigint(&args, run_id);
	if (own_spi_run("SELECT r.attempt::bigint, r.job_id,"
					"       (LEAST(GREATEST(EXTRACT(epoch FROM j.retry_delay), 0), 86400) * 1000000)::bigint"
					" FROM pattyly.job_runs AS r JOIN pattyly.jobs AS j ON j.id = r.job_id"
					" WHERE r.id = $1 AND r.attempt <= j.max_retries", &args) != 1)
		return false;
	chance = pg_prng_double(&pg_global_prng_state);
	delay_us = retry_delay_us(own_bigint(0, 3), (int) own_bigint(0, 1), chance);
	job_id = own_bigint(0, 2);
	own_arg_time(&args, time_now() + Max(delay_us, run_pause_us(job_id)));
	return own_spi_run("INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at,"
					   "       start_after, attempt)"
					   " SELECT job_id, job_name, owner_id, 'starting', scheduled_at, $2, attempt + 1"
					   " FROM pattyly.job_runs WHERE id = $1", &args) == 1;
}

static bool
is_failure(const char *state)
{
	return strcmp(state, "failed") == 0 || strcmp(state, "timed_out") == 0 ||
		strcmp(state, "lost") == 0;
}

void
run_end(int64 run_id, const RunOutcome *outcome)
{
	if (set_outcome(run_id, outcome) && is_failure(outcome->state) && !retry(run_id))
		notify(run_id);
}

int
run_end_waiting(int64 job_id, bool retries_only, const char *state, const char *error)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, job_id);
	own_arg_text(&args, state);
	own_arg_time(&args, time_now());
	own_arg_text(&args, error);
	own_arg(&args, BOOLOID, BoolGetDatum(retries_only), false);
	return (int) own_spi_run("UPDATE pattyly.job_runs SET state = $2, finished_at = $3, error = $4"
							 " WHERE job_id = $1 AND state IN ('starting', 'no_slot')"
							 "       AND (NOT $5 OR (attempt > 1 AND start_after > $3))", &args);
}

bool
run_is_free(int64 run_id)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, run_id);
	(void) own_spi_run("SELECT pg_catalog.count(*) FROM pattyly.job_runs WHERE id = $1", &args);
	return own_bigint(0, 1) == 0 ||
		own_spi_run("SELECT FROM pattyly.job_runs WHERE id = $1 FOR UPDATE SKIP LOCKED", &args) == 1;
}

/* ---- history ---- */

static int
prune_old(int most)
{
	OwnArgs		args = {0};

	own_arg_time(&args, time_now() - jobs_history_days * USECS_PER_DAY);
	own_arg_bigint(&args, most);
	return (int) own_spi_run("DELETE FROM pattyly.job_runs WHERE id IN"
							 " (SELECT id FROM pattyly.job_runs WHERE finished_at < $1 LIMIT $2)", &args);
}

/* Of each job, all but the last "kept" of the runs that were skipped, or of those that were not. */
static int
prune_beyond(int kept, bool skipped, int most)
{
	OwnArgs		args = {0};

	own_arg_bigint(&args, kept);
	own_arg(&args, BOOLOID, BoolGetDatum(skipped), false);
	own_arg_bigint(&args, most);
	return (int) own_spi_run("DELETE FROM pattyly.job_runs WHERE id IN"
							 " (SELECT o.id FROM (SELECT job_id FROM pattyly.job_runs WHERE (state = 'skipped') = $2"
							 "                    GROUP BY job_id HAVING pg_catalog.count(*) > $1) AS j"
							 "  CROSS JOIN LATERAL (SELECT id FROM pattyly.job_runs AS r"
							 "    WHERE r.job_id = j.job_id AND (r.state = 'skipped') = $2"
							 "    ORDER BY id DESC OFFSET $1) AS o LIMIT $3)"
							 " AND finished_at IS NOT NULL", &args);
}

int
run_prune(int most)
{
	return prune_old(most) + prune_beyond(KEPT_PER_JOB, false, most) +
		prune_beyond(KEPT_SKIPPED_PER_JOB, true, most);
}
