/*
 * incarnation.c
 *		When the server began to work as it does now: its start, or the last time
 *		it threw its memory away because a process had crashed.  What ran before
 *		that runs no more.
 *
 * Locking: written once, while the memory is made; only read afterwards.
 */
#include "postgres.h"

#include "backups/backups.h"
#include "core/compat.h"
#include "core/preload.h"
#include "core/sharedmem.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

static TimestampTz *incarnation;

static Size
incarnation_bytes(void)
{
	return sizeof(TimestampTz);
}

static void
attach_memory(void *memory, LWLock *lock, bool is_new)
{
	incarnation = memory;
	if (is_new)
		*incarnation = GetCurrentTimestamp();
}

static const SharedMemory incarnation_memory = {"pattyly_incarnation", incarnation_bytes, false, attach_memory};

PATTYLY_FUNCTION(pattyly_server_incarnation);

Datum
pattyly_server_incarnation(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(incarnation ? *incarnation : PgStartTime);
}

void
incarnation_init(void)
{
	if (preload_done())
		sharedmem_request(&incarnation_memory);
}
