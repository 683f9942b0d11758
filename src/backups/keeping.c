/*
 * keeping.c
 *		What administrators say about what is kept: set_retention(), hold_backup()
 *		and release_backup().
 *
 * Here is only that none of it happens while a backup is being removed; the
 * statements (retention.sql) run with the rights of the extension.
 */
#include "postgres.h"

#include "backups/catalogue.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/ownspi.h"

PATTYLY_FUNCTION(pattyly_set_retention);
PATTYLY_FUNCTION(pattyly_hold_backup);
PATTYLY_FUNCTION(pattyly_release_backup);

static void
run(FunctionCallInfo fcinfo, const char *statement, const Oid *types)
{
	OwnSpi		own;
	OwnArgs		args = {0};

	for (int i = 0; i < PG_NARGS(); i++)
		own_arg(&args, types[i], PG_GETARG_DATUM(i), PG_ARGISNULL(i));
	catalogue_stop_removals();
	own_spi_begin(&own);
	own_spi_run(statement, &args);
	own_spi_end(&own);
}

/* (keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_good integer, max_age interval) */
Datum
pattyly_set_retention(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INTERVALOID};

	run(fcinfo, "SELECT pattyly.write_retention($1, $2, $3, $4, $5, $6, $7)", types);
	PG_RETURN_VOID();
}

/* (id bigint, reason text, until timestamptz) */
Datum
pattyly_hold_backup(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, TEXTOID, TIMESTAMPTZOID};

	run(fcinfo, "SELECT pattyly.write_hold($1, $2, $3)", types);
	PG_RETURN_VOID();
}

/* (id bigint) */
Datum
pattyly_release_backup(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID};

	run(fcinfo, "SELECT pattyly.write_release($1)", types);
	PG_RETURN_VOID();
}
