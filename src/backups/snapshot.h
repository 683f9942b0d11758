/*
 * snapshot.h
 *		A session that holds the snapshot of a dump for as long as the dump needs
 *		to take it over, and meanwhile counts the rows of all tables in it.
 */
#ifndef BACKUPS_SNAPSHOT_H
#define BACKUPS_SNAPSHOT_H

#include "backups/program.h"

typedef struct DumpSnapshot
{
	Program    *session;
	int			in;
	int			out;
	char	   *name;			/* for pg_dump --snapshot */
	StringInfoData buffer;
} DumpSnapshot;

extern void snapshot_begin(DumpSnapshot *snapshot);

/* Begins counting; the session lasts until it has counted and snapshot_let_go() was called. */
extern void snapshot_count(DumpSnapshot *snapshot);
extern void snapshot_let_go(DumpSnapshot *snapshot);

/* Waits for the counts: a JSON array of {"t", "n"}. */
extern char *snapshot_counts(DumpSnapshot *snapshot);

/* After an error. */
extern void snapshot_free(DumpSnapshot *snapshot);

#endif							/* BACKUPS_SNAPSHOT_H */
