/*
 * upkeep.c
 *		See upkeep.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/pinned.h"
#include "core/procedure.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "partitions/asowner.h"
#include "partitions/detach.h"
#include "partitions/upkeep.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"

/* A step that waits longer than this for a lock makes everybody behind it wait. */
#define LOCK_TIMEOUT_MS 1000
#define TRIES 4
#define PAUSE_MS 250

static const char *const outcome_names[] = {"ok", "skipped_locked", "failed"};

const char *
upkeep_outcome_name(const Run *run)
{
	return outcome_names[run->outcome];
}

void
upkeep_begin(Run *run, FunctionCallInfo fcinfo, const char *procedure)
{
	procedure_must_not_be_atomic(fcinfo, procedure);
	run->top_level = procedure_is_top_level(fcinfo);
	run->memory = AllocSetContextCreate(PortalContext, "partition run", ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	/* The call's own transaction has its one snapshot already. */
	if (IsolationUsesXactSnapshot())
		SPI_commit();
}

void
upkeep_end(Run *run)
{
	SPI_finish();
	MemoryContextDelete(run->memory);
}

void
upkeep_set(Run *run, Oid parent)
{
	MemoryContext caller;

	MemoryContextReset(run->memory);
	caller = MemoryContextSwitchTo(run->memory);
	initStringInfo(&run->detail);
	MemoryContextSwitchTo(caller);
	run->parent = parent;
	run->outcome = OUTCOME_OK;
	run->worth_a_warning = false;
	run->hint = NULL;
}

/* ---- steps ---- */

void
upkeep_note(Run *run, const char *what, const char *detail)
{
	appendStringInfo(&run->detail, "%s%s%s%s", run->detail.len > 0 ? "; " : "", what,
					 detail[0] != '\0' ? ": " : "", detail);
}

static void
set_lock_timeout(void)
{
	char		value[16];

	if (LockTimeout > 0 && LockTimeout < LOCK_TIMEOUT_MS)
		return;
	snprintf(value, sizeof(value), "%d", LOCK_TIMEOUT_MS);
	pinned_set_for_transaction("lock_timeout", value);
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
keep_rows(Run *run, Actions *result)
{
	MemoryContext caller = MemoryContextSwitchTo(run->memory);

	result->n = (int) SPI_processed;
	result->rows = palloc0(sizeof(Action) * (result->n + 1));
	for (int i = 0; i < result->n; i++)
	{
		char	  **fields = (char **) &result->rows[i];

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
	if (step->result != NULL)
		keep_rows(run, step->result);
}

/* One try; NULL when it went well and is committed. Whoever cancels the run ends it. */
static ErrorData *
try_step(Run *run, const Step *step)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	/* Under locks it has waited for, a step reads what others have done meanwhile. */
	XactIsoLevel = XACT_READ_COMMITTED;
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

bool
upkeep_is_lock_error(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

void
upkeep_note_error(Run *run, const char *what, const ErrorData *error, bool locked)
{
	run->outcome = locked ? OUTCOME_SKIPPED_LOCKED : OUTCOME_FAILED;
	run->hint = error->hint != NULL ? MemoryContextStrdup(run->memory, error->hint) : NULL;
	upkeep_note(run, what, error->message);
}

/* In a transaction of its own, tried again while somebody holds a lock. */
bool
upkeep_step(Run *run, Step step)
{
	ErrorData  *error;

	for (int try = 1; (error = try_step(run, &step)) != NULL; try++)
	{
		if (!upkeep_is_lock_error(error) || try == TRIES)
		{
			upkeep_note_error(run, step.what, error, upkeep_is_lock_error(error));
			return false;
		}
		/* No snapshot and no lock is held meanwhile. */
		clock_pause(PAUSE_MS * try);
	}
	return true;
}

void
upkeep_locked(Run *run, void (*body) (Run *run))
{
	LOCKTAG		tag = asowner_set_lock(run->parent);

	/* A session's lock outlives the transactions of the run. */
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		run->outcome = OUTCOME_SKIPPED_LOCKED;
		upkeep_note(run, "another session is changing these partitions", "");
		return;
	}
	PG_TRY();
	{
		body(run);
	}
	PG_FINALLY();
	{
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
}

static const char *
hint_of(const Run *run)
{
	if (get_rel_name(run->parent) == NULL)
		return psprintf("If the table was dropped, run SELECT pattyly.forget_partitions(%u::regclass).", run->parent);
	if (run->hint != NULL)
		return run->hint;
	return "pattyly.partition_plan() shows what is to be done and what is in the way.";
}

void
upkeep_report(const Run *run, int level)
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
			 errhint("%s", hint_of(run))));
}

