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
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

static TimestampTz *incarnation;
static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(sizeof(TimestampTz));
}

static void
attach_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	incarnation = ShmemInitStruct("pattyly backups", sizeof(TimestampTz), &found);
	if (!found)
		*incarnation = GetCurrentTimestamp();
	LWLockRelease(AddinShmemInitLock);
}

PATTYLY_FUNCTION(pattyly_server_incarnation);

Datum
pattyly_server_incarnation(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(incarnation ? *incarnation : PgStartTime);
}

void
incarnation_init(void)
{
	if (!preload_done())
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}
