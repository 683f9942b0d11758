/*
 * maintain.c
 *		CALL maintain_partitions(): goes from set to set and does what each one's plan
 *		says, in transactions of its own.
 *
 * What is SQL is done by functions of maintain.sql, called here within a
 * subtransaction, so that an error ends a step and not the run.  Why it is C:
 * DETACH PARTITION CONCURRENTLY commits inside and so can be called by nothing
 * that has SPI open (detach.c).
 */
#include "postgres.h"

#include "core/compat.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "core/fault.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "partitions/asowner.h"
#include "partitions/detach.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"

PATTYLY_FUNCTION(pattyly_maintain_partitions);

/* A step that waits longer than this for a lock makes everybody behind it wait. */
#define LOCK_TIMEOUT_MS 1000
#define TRIES 4
#define PAUSE_MS 250

/* The second phase of a detaching without blocking: until all transactions that know the partition are over. */
#define DETACH_TIMEOUT_MS 30000

#define CREATED_AT_ONCE 100

typedef enum Outcome
{
	OUTCOME_OK,
	OUTCOME_SKIPPED_LOCKED,
	OUTCOME_FAILED
} Outcome;

static const char *const outcome_names[] = {"ok", "skipped_locked", "failed"};

typedef struct Run
{
	MemoryContext memory;		/* outlives the transactions */
	bool		dry_run;
	bool		top_level;		/* DETACH CONCURRENTLY can be run */
	Oid			parent;
	Outcome		outcome;
	bool		worth_a_warning;	/* although it is ok */
	StringInfoData detail;
} Run;

/* A row of the plan. */
typedef struct Action
{
	char	   *action;
	char	   *partition;
	char	   *from;
	char	   *to;
	char	   *reason;
	char	   *how;			/* concurrently, plainly, or afterwards: it is detached already */
	char	   *parent_name;	/* both quoted, with their schema */
	char	   *partition_name;
} Action;

#define ACTION_COLUMNS 8

typedef struct SetPlan
{
	int			n;
	Action	   *actions;
} SetPlan;

/* A query with the parent as $1 and texts as $2; plan, unless NULL, gets its rows. */
typedef struct Step
{
	const char *what;
	const char *sql;
	int			n;
	const char *const *texts;
	SetPlan	   *plan;
} Step;

/* ---- steps ---- */

static void
add_detail(Run *run, const char *first, const char *second)
{
	appendStringInfo(&run->detail, "%s%s%s%s", run->detail.len > 0 ? "; " : "", first,
					 second[0] != '\0' ? ": " : "", second);
}

static void
set_lock_timeout(void)
{
	char		value[16];

	if (LockTimeout > 0 && LockTimeout < LOCK_TIMEOUT_MS)
		return;
	snprintf(value, sizeof(value), "%d", LOCK_TIMEOUT_MS);
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
}

static Datum
text_array(int n, const char *const *texts)
{
	Datum	   *values = palloc(sizeof(Datum) * (n + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (n + 1));
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1, false,
											  TYPALIGN_INT));
}

static void
keep_plan(Run *run, SetPlan *plan)
{
	MemoryContext caller = MemoryContextSwitchTo(run->memory);

	plan->n = (int) SPI_processed;
	plan->actions = palloc0(sizeof(Action) * (plan->n + 1));
	for (int i = 0; i < plan->n; i++)
	{
		char	  **fields = (char **) &plan->actions[i];

		for (int column = 0; column < ACTION_COLUMNS; column++)
		{
			char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column + 1);

			fields[column] = value != NULL ? pstrdup(value) : NULL;
		}
	}
	MemoryContextSwitchTo(caller);
}

static void
run_query(Run *run, const Step *step)
{
	Oid			types[] = {REGCLASSOID, TEXTARRAYOID};
	Datum		values[] = {ObjectIdGetDatum(run->parent), text_array(step->n, step->texts)};
	int			code = SPI_execute_with_args(step->sql, 2, types, values, NULL, false, 0);

	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", step->sql, SPI_result_code_string(code));
	if (step->plan != NULL)
		keep_plan(run, step->plan);
}

/* One try; NULL when it went well and is committed. Whoever cancels the run ends it. */
static ErrorData *
try_step(Run *run, const Step *step)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		set_lock_timeout();
		run_query(run, step);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(run->memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error == NULL)
	{
		fault_point("partition_step");
		SPI_commit();
	}
	else
		SPI_rollback();
	return error;
}

static bool
is_lock_error(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* No snapshot and no lock is held meanwhile. */
static void
pause_ms(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
note_error(Run *run, const char *what, const ErrorData *error, bool locked)
{
	run->outcome = locked ? OUTCOME_SKIPPED_LOCKED : OUTCOME_FAILED;
	add_detail(run, what, error->message);
}

/* In a transaction of its own, tried again while somebody holds a lock. */
static bool
do_step(Run *run, Step step)
{
	ErrorData  *error;

	for (int try = 1; (error = try_step(run, &step)) != NULL; try++)
	{
		if (!is_lock_error(error) || try == TRIES)
		{
			note_error(run, step.what, error, is_lock_error(error));
			return false;
		}
		pause_ms(PAUSE_MS * try);
	}
	return true;
}

/* ---- the actions of a plan ---- */

static bool
is_action(const Action *action, const char *name)
{
	return strcmp(action->action, name) == 0;
}

static bool
finalize(Run *run, const Action *action)
{
	if (!do_step(run, (Step) {"finalize", "SELECT pattyly.finalize_partition($1, $2[1])", 1,
							  (const char *const *) &action->partition}))
		return false;
	add_detail(run, "finalized", action->partition);
	return true;
}

/* So many in a transaction that their locks fit into the server's table of them. */
static bool
create_some(Run *run, const SetPlan *plan, int *next)
{
	const char *texts[3 * CREATED_AT_ONCE];
	int			n = 0;

	for (; *next < plan->n && n < 3 * CREATED_AT_ONCE; (*next)++)
	{
		const Action *action = &plan->actions[*next];

		if (!is_action(action, "create"))
			continue;
		texts[n++] = action->partition;
		texts[n++] = action->from;
		texts[n++] = action->to;
	}
	if (n == 0)
		return true;
	if (!do_step(run, (Step) {"create", "SELECT pattyly.make_planned_partitions($1, $2)", n, texts}))
		return false;
	for (int i = 0; i < n; i += 3)
		add_detail(run, "created", texts[i]);
	return true;
}

static bool
create(Run *run, const SetPlan *plan)
{
	int			next = 0;

	while (next < plan->n)
		if (!create_some(run, plan, &next))
			return false;
	return true;
}

/* First it is written down, so that the next run ends what this one may not. */
static bool
detach_without_blocking(Run *run, const Action *action)
{
	ErrorData  *error;
	bool		waited_too_long;

	if (!do_step(run, (Step) {"detach", "SELECT pattyly.begin_leaving($1, $2[1])", 1,
							  (const char *const *) &action->partition}))
		return false;
	fault_point("partition_leaving");
	SPI_finish();
	error = detach_concurrently(action->parent_name, action->partition_name, DETACH_TIMEOUT_MS,
								run->memory, &waited_too_long);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	fault_point("partition_detached");
	if (error == NULL)
		return true;
	if (waited_too_long)
		error->message = pstrdup("transactions that are older go on using it; the next run ends the detaching");
	note_error(run, action->partition, error, waited_too_long || is_lock_error(error));
	return false;
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
	if (!do_step(run, (Step) {action->action,
							  detached ? "SELECT pattyly.end_leaving($1, $2[1])" :
							  "SELECT pattyly.expire_partition($1, $2[1])",
							  1, (const char *const *) &action->partition}))
		return false;
	add_detail(run, action->action, action->partition);
	return true;
}

static bool
is_expiry(const Action *action)
{
	return is_action(action, "detach") || is_action(action, "drop") || is_action(action, "archive");
}

static void
follow_plan(Run *run, const SetPlan *plan)
{
	for (int i = 0; i < plan->n; i++)
		if (is_action(&plan->actions[i], "finalize") && !finalize(run, &plan->actions[i]))
			return;
	if (!create(run, plan))
		return;
	for (int i = 0; i < plan->n; i++)
		if (is_expiry(&plan->actions[i]) && !expire(run, &plan->actions[i]))
			return;
}

/* What nothing is done about, but somebody should. */
static void
note_skipped(Run *run, const SetPlan *plan)
{
	for (int i = 0; i < plan->n; i++)
	{
		const Action *action = &plan->actions[i];

		if (!is_action(action, "skip") && !is_action(action, "report"))
			continue;
		add_detail(run, action->partition, action->reason);
		run->worth_a_warning = true;
		if (is_action(action, "skip") && strcmp(action->how, "default") != 0 && run->outcome == OUTCOME_OK)
			run->outcome = OUTCOME_FAILED;
	}
}

static void
tell_plan(const SetPlan *plan)
{
	for (int i = 0; i < plan->n; i++)
	{
		const Action *action = &plan->actions[i];

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
	SetPlan		plan = {0};

	if (!do_step(run, (Step) {"plan", "SELECT (p).* FROM pattyly.partition_actions($1, NULL) AS p WHERE $2 IS NOT NULL",
							  .plan = &plan}))
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
do_locked_set(Run *run)
{
	LOCKTAG		tag = asowner_set_lock(run->parent);

	/* A session's lock outlives the transactions of the run. */
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		run->outcome = OUTCOME_SKIPPED_LOCKED;
		add_detail(run, "another session is changing these partitions", "");
		return;
	}
	PG_TRY();
	{
		do_set(run);
	}
	PG_FINALLY();
	{
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
}

static void
record(Run *run)
{
	const char *texts[] = {outcome_names[run->outcome], run->detail.len > 0 ? run->detail.data : NULL};
	Outcome		outcome = run->outcome;

	if (!run->dry_run && !do_step(run, (Step) {"record", "SELECT pattyly.record_partition_run($1, $2)", 2, texts}))
		return;
	run->outcome = outcome;
}

static void
report(const Run *run, int level)
{
	const char *name = get_rel_name(run->parent);

	if (run->outcome == OUTCOME_OK && !run->worth_a_warning)
		return;
	ereport(run->outcome == OUTCOME_OK ? WARNING : level,
			(errcode(run->outcome == OUTCOME_SKIPPED_LOCKED ? ERRCODE_LOCK_NOT_AVAILABLE :
					 run->outcome == OUTCOME_OK ? ERRCODE_WARNING : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("partitions of \"%s\": %s", name != NULL ? name : psprintf("%u", run->parent),
					outcome_names[run->outcome]),
			 errdetail("%s.", run->detail.data),
			 errhint("pattyly.partition_plan() shows what is to be done and what is in the way.")));
}

static void
maintain(Run *run, Oid parent, bool is_only)
{
	run->parent = parent;
	run->outcome = OUTCOME_OK;
	run->worth_a_warning = false;
	MemoryContextReset(run->memory);
	{
		MemoryContext caller = MemoryContextSwitchTo(run->memory);

		initStringInfo(&run->detail);
		MemoryContextSwitchTo(caller);
	}
	do_locked_set(run);
	record(run);
	report(run, is_only ? ERROR : WARNING);
}

static Oid *
all_sets(MemoryContext memory, int *n)
{
	Oid		   *sets;
	bool		isnull;

	if (SPI_execute("SELECT s.parent FROM pattyly.partition_sets AS s ORDER BY s.last_run_at NULLS FIRST, s.parent::oid",
					true, 0) != SPI_OK_SELECT)
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

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || ((CallContext *) fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("maintain_partitions() cannot run inside a transaction block"),
				 errhint("It ends transactions of its own: CALL it by itself, outside of BEGIN and COMMIT.")));
	run.top_level = detach_is_top_level(fcinfo);
	run.memory = AllocSetContextCreate(PortalContext, "partition run", ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	if (PG_ARGISNULL(0))
		maintain_all(&run);
	else
		maintain(&run, PG_GETARG_OID(0), true);
	SPI_finish();
	MemoryContextDelete(run.memory);
	PG_RETURN_VOID();
}
