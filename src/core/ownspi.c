/*
 * ownspi.c
 *		See ownspi.h.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
own_spi_begin(OwnSpi *own)
{
	GetUserIdAndSecContext(&own->user, &own->security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   own->security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	own->settings = NewGUCNestLevel();
	pin("search_path", "pg_catalog, pg_temp");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
own_spi_end(OwnSpi *own)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, own->settings);
	SetUserIdAndSecContext(own->user, own->security);
}

/* ---- parameters ---- */

void
own_arg(OwnArgs *args, Oid type, Datum value, bool isnull)
{
	Assert(args->n < OWN_ARGS_MAX);
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n] = isnull ? 'n' : ' ';
	args->n++;
}

void
own_arg_bigint(OwnArgs *args, int64 value)
{
	own_arg(args, INT8OID, Int64GetDatum(value), false);
}

void
own_arg_oid(OwnArgs *args, Oid value)
{
	own_arg(args, OIDOID, ObjectIdGetDatum(value), false);
}

void
own_arg_text(OwnArgs *args, const char *value)
{
	own_arg(args, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
own_arg_time(OwnArgs *args, TimestampTz value)
{
	own_arg(args, TIMESTAMPTZOID, TimestampTzGetDatum(value), value == 0);
}

/* ---- statements ---- */

typedef struct Prepared
{
	const char *statement;		/* the key: a constant of the library, known by its address */
	SPIPlanPtr	plan;
} Prepared;

static HTAB *prepared;

static Prepared *
find_prepared(const char *statement)
{
	bool		found;
	Prepared   *entry;

	if (prepared == NULL)
		prepared = hash_create("pattyly statements", 32,
							   &(HASHCTL) {.keysize = sizeof(char *), .entrysize = sizeof(Prepared)},
							   HASH_ELEM | HASH_BLOBS);
	entry = hash_search(prepared, &statement, HASH_ENTER, &found);
	if (!found)
		entry->plan = NULL;
	return entry;
}

/* What our functions refuse with RAISE is meant for the caller; where in them that was is not. */
static void
rethrow(MemoryContext memory)
{
	ErrorData  *error;

	MemoryContextSwitchTo(memory);
	error = CopyErrorData();
	if (error->funcname == NULL || strcmp(error->funcname, "exec_stmt_raise") != 0)
		PG_RE_THROW();
	FlushErrorState();
	error->context = NULL;
	ReThrowError(error);
}

static int
execute(SPIPlanPtr plan, OwnArgs *args)
{
	MemoryContext memory = CurrentMemoryContext;
	volatile int result = 0;

	PG_TRY();
	{
		result = SPI_execute_plan(plan, args->values, args->nulls, false, 0);
	}
	PG_CATCH();
	{
		rethrow(memory);
	}
	PG_END_TRY();
	return result;
}

uint64
own_spi_run(const char *statement, OwnArgs *args)
{
	Prepared   *entry = find_prepared(statement);
	int			result;

	if (entry->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement, args->n, args->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		entry->plan = plan;
	}
	result = execute(entry->plan, args);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* ---- rows ---- */

Datum
own_column(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int64
own_bigint(uint64 row, int column)
{
	bool		isnull;
	Datum		value = own_column(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

char *
own_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}
