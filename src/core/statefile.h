/*
 * statefile.h
 *		A file that is mapped into shared memory, so that what stands there
 *		outlives every process: a restart, a kill -9 of a backend, and one of the
 *		postmaster.
 *
 * A room opens its file in the postmaster, when shared memory is made (see
 * core/sharedmem.h).  Backends get the mapping by fork.  A file that does not
 * belong here (torn, foreign, older or newer) is set aside with one WARNING and
 * never stops start-up.
 */
#ifndef CORE_STATEFILE_H
#define CORE_STATEFILE_H

#include "core/siphash.h"
#include "datatype/timestamp.h"

/* The header has a page of its own; the room's memory follows it, aligned to a page. */
#define STATEFILE_HEADER_SIZE	4096

typedef struct StateFile
{
	char	   *memory;			/* size bytes, shared */
	Size		size;
	uint32		capacity;
	SipHash		secret;			/* random, the file's own, for keyed hashes */
	bool		is_new;			/* all zero; else as a stop or a crash left it */
	bool		durable;		/* false: plain memory, no file could be made */
	bool		published;		/* stands under its own name */
	TimestampTz saved_at;		/* of the last clean shutdown, 0 when none */
} StateFile;

/*
 * Opens or creates the file.  "format" is the version of the room's layout and
 * "capacity" the setting that size follows from.  When the file there is sound
 * but was made for another capacity, *old is its memory, to be carried over.
 * The room then calls statefile_publish(): a new file takes the place of an old
 * one only when it is complete.
 */
extern void statefile_open(StateFile *file, const char *path, uint32 format, uint32 capacity,
						   Size size, StateFile *old);
extern void statefile_publish(StateFile *file, const char *path, StateFile *old);

/* Clean shutdown, in the postmaster, when nobody else is left. */
extern void statefile_save(StateFile *file, TimestampTz now);

/* Why the bytes are no state file of this format and system; NULL when they are. */
extern const char *statefile_fault(const char *bytes, Size length, uint32 format,
								   uint64 system_identifier);

#endif							/* CORE_STATEFILE_H */
