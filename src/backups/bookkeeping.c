/*
 * bookkeeping.c
 *		begin_backup() and its kin, for scripts that make backups themselves, and
 *		import_backups(), for tools that keep a catalogue of their own.
 *
 * Here is only who asks: the statements behind them (bookkeeping.sql) run with
 * the rights of the extension.
 */
#include "postgres.h"

#include "backups/catalogue.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "miscadmin.h"

PATTYLY_FUNCTION(pattyly_begin_backup);
PATTYLY_FUNCTION(pattyly_finish_backup);
PATTYLY_FUNCTION(pattyly_fail_backup);
PATTYLY_FUNCTION(pattyly_import_backups);

/* The caller, and what he passed, as parameters. */
static void
own_args_of(OwnArgs *args, FunctionCallInfo fcinfo, const Oid *types)
{
	char	   *caller = GetUserNameFromId(GetUserId(), false);

	own_arg_text(args, caller);
	for (int i = 0; i < PG_NARGS(); i++)
		own_arg(args, types[i], PG_GETARG_DATUM(i), PG_ARGISNULL(i));
}

static int64
run(FunctionCallInfo fcinfo, const char *statement, const Oid *types)
{
	OwnSpi		own;
	OwnArgs		args = {0};
	int64		result;

	own_args_of(&args, fcinfo, types);
	own_spi_begin(&own);
	own_spi_run(statement, &args);
	result = own_bigint(0, 1);
	own_spi_end(&own);
	return result;
}

Datum
pattyly_begin_backup(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID};

	if (!PG_ARGISNULL(4))
		catalogue_stop_removals();
	PG_RETURN_INT64(run(fcinfo, "SELECT pattyly.open_backup($1::name, pattyly.check_backup_label($2), $3, $4, $5, $6, NULL)", types));
}

Datum
pattyly_finish_backup(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID, JSONBOID};

	(void) run(fcinfo, "SELECT 0::bigint FROM pattyly.close_backup($1::name, $2, $3, $4, $5, $6)", types);
	PG_RETURN_VOID();
}

Datum
pattyly_fail_backup(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, TEXTOID};

	(void) run(fcinfo, "SELECT 0::bigint FROM pattyly.close_failed_backup($1::name, $2, $3)", types);
	PG_RETURN_VOID();
}

Datum
pattyly_import_backups(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID, JSONBOID};

	PG_RETURN_INT32((int32) run(fcinfo, "SELECT pattyly.take_in_backups($1::name, $2, $3)::bigint", types));
}
