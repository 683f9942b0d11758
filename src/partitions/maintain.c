/*
 * maintain.c
 *		CALL maintain_partitions(): goes from set to set and does what each one's plan
 *		says, in transactions of its own.
 *
 * What is SQL is done by functions of maintain.sql (upkeep.c).  Why it is C: DETACH
 * PARTITION CONCURRENTLY commits inside and so can be called by nothing that has
 * SPI open (detach.c).
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/fault.h"
#include "executor/spi.h"
#include "partitions/detach.h"
#include "partitions/upkeep.h"
#include "utils/memutils.h"
#include "utils/portal.h"

PATTYLY_FUNCTION(pattyly_maintain_partitions);

/* How long a detach without blocking waits for the transactions that may still use the partition. */
#define DETACH_TIMEOUT_MS 10000

#define CREATED_AT_ONCE 100

#define PLAN_QUERY "SELECT p.* FROM pattyly.partition_actions($1, NULL) AS p WHERE $2 IS NOT NULL"

/* A row when something was. */
#define STRIKE_OUT_QUERY "SELECT WHERE pattyly.strike_out_attached($1) > 0"

/* ---- the actions of a plan ---- */

static bool
is_action(const Action *action, const char *name)
{
	return strcmp(action->action, name) == 0;
}

/* The actions that one function each does. */
static bool
do_simple(Run *run, const Action *action)
{
	static const struct
	{
		const char *action;
		const char *sql;
		const char *done;
	}			simple[] = {
		{"finalize", "SELECT pattyly.finalize_partition($1, $2[1])", "finalized"},
		{"close", "SELECT pattyly.shut_partition($1, $2[1])", "closed"},
	};

	for (int i = 0; i < lengthof(simple); i++)
	{
		if (!is_action(action, simple[i].action))
			continue;
		if (!upkeep_step(run, (Step) {simple[i].action, simple[i].sql, 1,
									  (const char *const *) &action->partition_name}))
			return false;
		upkeep_note(run, simple[i].done, action->partition);
	}
	return true;
}

/* So many in a transaction that their locks fit into the server's table of them. */
static bool
create_some(Run *run, const Actions *plan, int *next)
{
	const char *texts[3 * CREATED_AT_ONCE];
	int			n = 0;

	for (; *next < plan->n && n < 3 * CREATED_AT_ONCE; (*next)++)
	{
		const Action *action = &plan->rows[*next];

		if (!is_action(action, "create"))
			continue;
		texts[n++] = action->partition;
		texts[n++] = action->from;
		texts[n++] = action->to;
	}
	if (n == 0)
		return true;
	if (!upkeep_step(run, (Step) {"create", "SELECT pattyly.make_planned_partitions($1, $2)", n, texts}))
		return false;
	for (int i = 0; i < n; i += 3)
		upkeep_note(run, "created", texts[i]);
	return true;
}

static bool
create(Run *run, const Actions *plan)
{
	int			next = 0;

	while (next < plan->n)
		if (!create_some(run, plan, &next))
			return false;
	return true;
}

/* What was written down is struck out again when the detaching has not even begun: somebody else may do it. */
static bool
is_still_attached(Run *run)
{
	Actions		struck_out = {0};

	return upkeep_step(run, (Step) {"detach", STRIKE_OUT_QUERY, .result = &struck_out}) && struck_out.n > 0;
}

static void
note_not_detached(Run *run, const Action *action, ErrorData *error, bool waited_too_long)
{
	bool		attached = is_still_attached(run);

	/* Whoever cancels the run ends it. */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && !waited_too_long)
		ReThrowError(error);
	if (waited_too_long)
		error->message = attached ? "others hold a lock on the table that keeps it from being detached" :
			"transactions that are older go on using it, or hold locks that are in the way; "
			"the next run ends the detaching";
	upkeep_note_error(run, action->partition, error, waited_too_long || upkeep_is_lock_error(error));
}

/* First it is written down, so that the next run ends what this one may not. */
static bool
detach_without_blocking(Run *run, const Action *action)
{
	ErrorData  *error;
	bool		waited_too_long;

	if (!upkeep_step(run, (Step) {"detach", "SELECT pattyly.begin_leaving($1, $2[1])", 1,
							  (const char *const *) &action->partition_name}))
		return false;
	fault_point("partition_leaving");
	SPI_finish();
	error = detach_concurrently(action->parent_name, action->partition_name, DETACH_TIMEOUT_MS,
								run->memory, &waited_too_long);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	fault_point("partition_detached");
	if (error != NULL)
		note_not_detached(run, action, error, waited_too_long);
	return error == NULL;
}

static bool
expire(Run *run, const Action *action)
{
	bool		detached = strcmp(action->how, "afterwards") == 0;

	if (strcmp(action->how, "concurrently") == 0 && run->top_level)
	{
		if (!detach_without_blocking(run, action))
			return false;
		detached = true;
	}
	if (!upkeep_step(run, (Step) {action->action,
							  detached ? "SELECT pattyly.end_leaving($1, $2[1])" :
							  "SELECT pattyly.expire_partition($1, $2[1])",
							  1, (const char *const *) &action->partition_name}))
		return false;
	upkeep_note(run, action->action, action->partition);
	return true;
}

static bool
is_expiry(const Action *action)
{
	return is_action(action, "detach") || is_action(action, "drop") || is_action(action, "archive");
}

static void
follow_plan(Run *run, const Actions *plan)
{
	for (int i = 0; i < plan->n; i++)
		if (!do_simple(run, &plan->rows[i]))
			return;
	if (!create(run, plan))
		return;
	for (int i = 0; i < plan->n; i++)
		if (is_expiry(&plan->rows[i]) && !expire(run, &plan->rows[i]))
			return;
}

/* What nothing is done about, but somebody should. */
static void
note_skipped(Run *run, const Actions *plan)
{
	for (int i = 0; i < plan->n; i++)
	{
		const Action *action = &plan->rows[i];

		if (!is_action(action, "skip") && !is_action(action, "report"))
			continue;
		upkeep_note(run, action->partition, action->reason);
		run->worth_a_warning = true;
		if (is_action(action, "skip") && strcmp(action->how, "default") != 0 &&
			run->outcome == OUTCOME_OK)
			run->outcome = OUTCOME_FAILED;
	}
}

static void
tell_plan(const Actions *plan)
{
	for (int i = 0; i < plan->n; i++)
	{
		const Action *action = &plan->rows[i];

		ereport(NOTICE,
				(errmsg("%s %s%s%s%s%s%s%s", action->action, action->partition,
						action->from ? " from " : "", action->from ? action->from : "",
						action->to ? " to " : "", action->to ? action->to : "",
						action->reason ? ": " : "", action->reason ? action->reason : "")));
	}
}

/* ---- a set, and all of them ---- */

static void
do_set(Run *run)
{
	Actions		plan = {0};

	/* What a run that was killed has left. */
	if (!run->dry_run && !upkeep_step(run, (Step) {"plan", STRIKE_OUT_QUERY}))
		return;
	if (!upkeep_step(run, (Step) {"plan", PLAN_QUERY, .result = &plan}))
		return;
	if (run->dry_run)
	{
		tell_plan(&plan);
		return;
	}
	follow_plan(run, &plan);
	note_skipped(run, &plan);
}

static void
record(Run *run)
{
	const char *texts[] = {upkeep_outcome_name(run), run->detail.len > 0 ? run->detail.data : NULL};
	Outcome		outcome = run->outcome;

	if (!run->dry_run && !upkeep_step(run, (Step) {"record", "SELECT pattyly.record_partition_run($1, $2)", 2, texts}))
		return;
	run->outcome = outcome;
}

static void
maintain(Run *run, Oid parent, bool is_only)
{
	upkeep_set(run, parent);
	upkeep_locked(run, do_set);
	record(run);
	upkeep_report(run, is_only ? ERROR : WARNING);
}

static Oid *
all_sets(MemoryContext memory, int *n)
{
	Oid		   *sets;
	bool		isnull;

	if (SPI_execute("SELECT s.parent FROM pattyly.partition_sets AS s "
					"ORDER BY s.last_run_at NULLS FIRST, s.parent::oid", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the sets");
	*n = (int) SPI_processed;
	sets = MemoryContextAlloc(memory, sizeof(Oid) * (*n + 1));
	for (int i = 0; i < *n; i++)
		sets[i] = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	return sets;
}

static void
maintain_all(Run *run)
{
	int			n;
	MemoryContext memory = AllocSetContextCreate(PortalContext, "partition sets", ALLOCSET_SMALL_SIZES);
	Oid		   *sets = all_sets(memory, &n);

	for (int i = 0; i < n; i++)
		maintain(run, sets[i], false);
	MemoryContextDelete(memory);
}

/* (parent regclass, dry_run boolean) */
Datum
pattyly_maintain_partitions(PG_FUNCTION_ARGS)
{
	Run			run = {.dry_run = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1)};

	upkeep_begin(&run, fcinfo, "maintain_partitions");
	if (PG_ARGISNULL(0))
		maintain_all(&run);
	else
		maintain(&run, PG_GETARG_OID(0), true);
	upkeep_end(&run);
	PG_RETURN_VOID();
}
