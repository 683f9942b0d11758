/*
 * asowner.c
 *		Statements with the rights of a table's owner, and who may have them run;
 *		the lock that keeps two from changing a set at once.
 */
#include "postgres.h"

#include "core/compat.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "core/pinned.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "partitions/asowner.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PATTYLY_FUNCTION(pattyly_lock_partition_set);
PATTYLY_FUNCTION(pattyly_run_as_owner);

Oid
asowner_check(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", table),
				 errhint("If it was dropped, take its set away with pattyly.forget_partitions().")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", get_rel_name(table)),
				 errhint("Have the owner of the table, a member of it, or a superuser, call this.")));
	return owner;
}

/* Returns how many rows it inserted. */
static int64
run(const char *statement)
{
	int			code = SPI_execute(statement, false, 0);

	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", statement, SPI_result_code_string(code));
	return code == SPI_OK_INSERT ? (int64) SPI_processed : 0;
}

/* An error puts user, settings and SPI back as they were when its subtransaction ends. */
static int64
run_all(Oid owner, Datum *statements, int n)
{
	Oid			user;
	int			context;
	int			settings;
	int64		inserted = 0;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION);
	settings = pinned_begin(PINNED_SEARCH_PATH);
	SPI_connect();
	for (int i = 0; i < n; i++)
		inserted += run(TextDatumGetCString(statements[i]));
	SPI_finish();
	AtEOXact_GUC(false, settings);
	SetUserIdAndSecContext(user, context);
	return inserted;
}

/* (target regclass, statements text[]) */
Datum
pattyly_run_as_owner(PG_FUNCTION_ARGS)
{
	Oid			owner;
	Datum	   *statements;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the table and the statements must not be null"),
				 errhint("Name a table and give an array of statements.")));
	owner = asowner_check(PG_GETARG_OID(0));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &statements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a statement must not be null"),
					 errhint("Leave it out.")));
	PG_RETURN_INT64(run_all(owner, statements, n));
}

LOCKTAG
asowner_set_lock(Oid parent)
{
	LOCKTAG		tag;

	/*
	 * PostgreSQL locks tables otherwise; no SQL reaches this one.  A session's
	 * lock outlives a rollback as an advisory lock only.
	 */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, parent, 1);
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return tag;
}

Datum
pattyly_lock_partition_set(PG_FUNCTION_ARGS)
{
	LOCKTAG		tag = asowner_set_lock(PG_GETARG_OID(0));

	PG_RETURN_BOOL(LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL);
}
