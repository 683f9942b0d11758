/*
 * sharedmem.h
 *		A room's piece of the server's memory and the lock that guards it, asked for
 *		in _PG_init of a library that is loaded at start.
 */
#ifndef CORE_SHAREDMEM_H
#define CORE_SHAREDMEM_H

#include "storage/lwlock.h"

typedef struct SharedMemory
{
	const char *name;			/* of the memory, and of the lock's tranche as views show it */
	Size		(*bytes) (void);	/* asked when all settings are known; NULL: a lock only */
	bool		has_lock;

	/*
	 * In the postmaster whenever the server's memory is made, at start and after each
	 * crash; where there is no fork, in every process.  New memory is zeros.
	 */
	void		(*attach) (void *memory, LWLock *lock, bool is_new);
} SharedMemory;

/* The description is kept, not copied. */
extern void sharedmem_request(const SharedMemory *piece);

#endif							/* CORE_SHAREDMEM_H */
