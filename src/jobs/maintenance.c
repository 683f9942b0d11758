/*
 * maintenance.c
 *		The clock for the SQL of this room; what it is for is maintenance.sql.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"

PATTYLY_FUNCTION(pattyly_jobs_now);

Datum
pattyly_jobs_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_to_timestamp(clock_now_us()));
}
