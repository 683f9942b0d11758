/*
 * drain.c
 *		CALL drain_default(): partitions for the rows that lie in the default one,
 *		range by range (drain.sql), in transactions of their own.
 */
#include "postgres.h"

#include "core/compat.h"
#include "partitions/upkeep.h"

PATTYLY_FUNCTION(pattyly_drain_default);

/* However wild the values are. */
#define MAX_PARTITIONS 1000

#define DRAIN_QUERY "SELECT d.* FROM pattyly.drain_some($1, $2[1]::integer, $2[2]::bigint) AS d"

typedef struct DrainRun
{
	Run			run;
	char		batch[16];
} DrainRun;

static void
tell(const Actions *done)
{
	for (int i = 0; i < done->n; i++)
		ereport(NOTICE,
				(errmsg("%s partition \"%s\" from %s to %s%s%s", done->rows[i].action,
						done->rows[i].partition, done->rows[i].from, done->rows[i].to,
						done->rows[i].reason ? ": " : "",
						done->rows[i].reason ? done->rows[i].reason : "")));
}

/* The next rows come after those that were passed over: "after" is their place, as text. */
static void
drain(Run *run)
{
	DrainRun   *drain = (DrainRun *) run;
	const char *texts[] = {drain->batch, NULL};
	int			made = 0;

	while (made < MAX_PARTITIONS)
	{
		Actions		done = {0};

		Step		step = {"drain", DRAIN_QUERY, 2, texts, &done};

		if (!upkeep_step(run, step))
			return;
		tell(&done);
		if (done.n == 0 || done.rows[done.n - 1].how == NULL)
			return;
		texts[1] = done.rows[done.n - 1].how;
		made += done.n;
	}
	run->worth_a_warning = true;
	upkeep_note(run, "enough partitions were made for one call", "call it again for the rest");
}

/* (parent regclass, batch integer) */
Datum
pattyly_drain_default(PG_FUNCTION_ARGS)
{
	DrainRun	drain_run = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_GETARG_INT32(1) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the table must not be null and batch must be greater than zero"),
				 errhint("Name a set of partitions; leave batch out for 10000 rows.")));
	snprintf(drain_run.batch, sizeof(drain_run.batch), "%d", PG_GETARG_INT32(1));
	upkeep_begin(&drain_run.run, fcinfo, "drain_default");
	upkeep_set(&drain_run.run, PG_GETARG_OID(0));
	upkeep_locked(&drain_run.run, drain);
	upkeep_report(&drain_run.run, ERROR);
	upkeep_end(&drain_run.run);
	PG_RETURN_VOID();
}
