/*
 * sharedmem.c
 *		See sharedmem.h.  One pair of the server's hooks for all pieces.
 */
#include "postgres.h"

#include "core/preload.h"
#include "core/sharedmem.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

static List *pieces;
static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static void
request_all(void)
{
	ListCell   *cell;

	if (previous_request_hook)
		previous_request_hook();
	foreach(cell, pieces)
	{
		const SharedMemory *piece = lfirst(cell);

		if (piece->bytes)
			RequestAddinShmemSpace(piece->bytes());
		if (piece->has_lock)
			RequestNamedLWLockTranche(piece->name, 1);
	}
}

static void
attach(const SharedMemory *piece)
{
	LWLock	   *lock = piece->has_lock ? &GetNamedLWLockTranche(piece->name)->lock : NULL;
	Size		bytes;
	void	   *memory;
	bool		found;

	if (piece->bytes == NULL)
	{
		piece->attach(NULL, lock, false);
		return;
	}
	bytes = piece->bytes();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	memory = ShmemInitStruct(piece->name, bytes, &found);
	if (!found)
		memset(memory, 0, bytes);
	piece->attach(memory, lock, !found);
	LWLockRelease(AddinShmemInitLock);
}

static void
attach_all(void)
{
	ListCell   *cell;

	if (previous_startup_hook)
		previous_startup_hook();
	foreach(cell, pieces)
		attach(lfirst(cell));
}

void
sharedmem_request(const SharedMemory *piece)
{
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

	Assert(preload_done());
	if (pieces == NIL)
	{
		previous_request_hook = shmem_request_hook;
		shmem_request_hook = request_all;
		previous_startup_hook = shmem_startup_hook;
		shmem_startup_hook = attach_all;
	}
	pieces = lappend(pieces, unconstify(SharedMemory *, piece));
	MemoryContextSwitchTo(before);
}
