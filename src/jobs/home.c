/*
 * home.c
 *		See home.h.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "core/compat.h"
#include "jobs/home.h"
#include "miscadmin.h"

void
own_arg_home(OwnArgs *args)
{
	own_arg_bigint(args, (int64) GetSystemIdentifier());
	own_arg_oid(args, MyDatabaseId);
}

PATTYLY_FUNCTION(pattyly_is_job_at_home);

Datum
pattyly_is_job_at_home(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL((uint64) PG_GETARG_INT64(0) == GetSystemIdentifier() &&
				   PG_GETARG_OID(1) == MyDatabaseId);
}
