/*
 * scratch.h
 *		The database that a dump is restored into to see whether it can be.
 */
#ifndef BACKUPS_SCRATCH_H
#define BACKUPS_SCRATCH_H

#include "backups/program.h"

typedef struct Scratch
{
	char	   *name;
	char	   *statements;		/* that make it */
	char	   *extension;		/* and in it what the dump takes for granted, or '' */
	bool		created;
	char	   *left_out;		/* what was not restored on purpose, or NULL */
} Scratch;

/* In a transaction. */
extern void scratch_prepare(Scratch *scratch, int64 backup_id);

/* Outside of one, a set of programs begun.  An error (53100) when the disk has no room for so many bytes. */
extern void scratch_create(Scratch *scratch, int64 bytes);

/* NULL, or why the dump is no good; an error when that is not the dump's fault. */
extern char *scratch_restore(Scratch *scratch, const char *path);

/* Whatever happened before; a WARNING when it cannot be dropped.  No set is begun. */
extern void scratch_drop(Scratch *scratch, const char *const *environment);

#endif							/* BACKUPS_SCRATCH_H */
