/*
 * convertrun.c
 *		What a conversion cannot do in SQL: act as the owner of the table and past its
 *		row policies, see who has an old snapshot, and die where a test wants it to.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/pinned.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "partitions/asowner.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PATTYLY_FUNCTION(pattyly_convert_depend);
PATTYLY_FUNCTION(pattyly_convert_run);
PATTYLY_FUNCTION(pattyly_convert_older);
PATTYLY_FUNCTION(pattyly_convert_top_level);
PATTYLY_FUNCTION(pattyly_convert_reached);

/* The first column of the first row, if it is an array of texts. */
static Datum
first_array(bool *isnull)
{
	*isnull = true;
	if (SPI_processed == 0 || SPI_tuptable == NULL ||
		SPI_gettypeid(SPI_tuptable->tupdesc, 1) != TEXTARRAYOID)
		return (Datum) 0;
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
}

static void
execute(const char *statement, ArrayType *arguments)
{
	Datum	   *values = NULL;
	bool	   *isnull = NULL;
	int			n = 0,
				result;
	Oid		   *types;
	char	   *nulls;

	if (arguments)
		deconstruct_array(arguments, TEXTOID, -1, false, TYPALIGN_INT, &values, &isnull, &n);
	types = palloc((n + 1) * sizeof(Oid));
	nulls = palloc(n + 1);
	for (int i = 0; i < n; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = isnull[i] ? 'n' : ' ';
	}
	result = SPI_execute_with_args(statement, n, types, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

/* target, statement, arguments, search_path */
Datum
pattyly_convert_run(PG_FUNCTION_ARGS)
{
	/* Who has the owner's rights could as well take the policies off the table. */
	Oid			owner = asowner_check(PG_GETARG_OID(0));
	char	   *statement = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ArrayType  *arguments = PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2);
	int			level = pinned_begin(PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	Oid			user;
	int			security;
	Datum		result;
	bool		isnull;

	GetUserIdAndSecContext(&user, &security);
	/* What the owner's functions leave behind must not run as us later. */
	SetUserIdAndSecContext(owner, security | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	SPI_connect();
	execute(statement, arguments);
	result = first_array(&isnull);
	if (!isnull)
		result = SPI_datumTransfer(result, false, -1);
	SPI_finish();
	SetUserIdAndSecContext(user, security);
	AtEOXact_GUC(true, level);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/*
 * The transactions that may have a snapshot from before this moment, as pg_locks
 * writes them in virtualxid; as CREATE INDEX CONCURRENTLY finds those it waits for.
 */
Datum
pattyly_convert_older(PG_FUNCTION_ARGS)
{
	int			n;
	VirtualTransactionId *older = GetCurrentVirtualXIDs(GetActiveSnapshot()->xmin, true, false,
														PROC_IS_AUTOVACUUM | PROC_IN_VACUUM |
														PROC_IN_SAFE_IC, &n);
	Datum	   *texts = palloc((n + 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		texts[i] = CStringGetTextDatum(psprintf("%d/%u", (int) compat_backend_of(older[i]),
												older[i].localTransactionId));
	PG_RETURN_ARRAYTYPE_P(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Called by the procedure itself, whose commits it is about. */
Datum
pattyly_convert_top_level(PG_FUNCTION_ARGS)
{
	if (IsTransactionBlock())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("convert_table() cannot run inside a transaction block"),
				 errhint("Call it by itself, without BEGIN: it commits after each step, so that it holds no lock for long.")));
	if (!SPI_inside_nonatomic_context())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("convert_table() cannot be called from a function"),
				 errhint("CALL it by itself: it commits after each step, so that it holds no lock for long.")));
	PG_RETURN_VOID();
}

/* target, trigger_name, copy */
Datum
pattyly_convert_depend(PG_FUNCTION_ARGS)
{
	Oid			target = PG_GETARG_OID(0);
	Oid			copy = PG_GETARG_OID(2);
	ObjectAddress trigger,
				table;

	(void) asowner_check(target);
	(void) asowner_check(copy);
	ObjectAddressSet(trigger, TriggerRelationId,
					 get_trigger_oid(target, NameStr(*PG_GETARG_NAME(1)), false));
	ObjectAddressSet(table, RelationRelationId, copy);
	recordDependencyOn(&trigger, &table, DEPENDENCY_NORMAL);
	PG_RETURN_VOID();
}

/* place */
Datum
pattyly_convert_reached(PG_FUNCTION_ARGS)
{
#ifdef PATTYLY_FAULT_POINTS
	fault_point(text_to_cstring(PG_GETARG_TEXT_PP(0)));
#endif
	PG_RETURN_VOID();
}
