/*
 * preload.c
 *		See preload.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/preload.h"
#include "miscadmin.h"

static bool preloaded;

void
preload_init(void)
{
	preloaded = process_shared_preload_libraries_in_progress;
}

bool
preload_done(void)
{
	return preloaded;
}

PATTYLY_FUNCTION(pattyly_is_preloaded);

Datum
pattyly_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(preloaded);
}
