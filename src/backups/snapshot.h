/*
 * snapshot.h
 *		A session that holds the snapshot of a dump, and finds out how many rows each
 *		table has in it.
 *
 * The sessions that copy the tables say it (tally.h); what they did not copy is
 * counted when they are done.  Where they cannot say it, all is counted while
 * the dump goes on.
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
	bool		is_partial;		/* the caller says: tables are left out, and not counted either */
	bool		is_told;		/* who copies says how many rows there were */
	StringInfoData buffer;
} DumpSnapshot;

extern void snapshot_begin(DumpSnapshot *snapshot);

/* The dump has begun; it has taken over the snapshot; it has ended. */
extern void snapshot_dump_begins(DumpSnapshot *snapshot);
extern void snapshot_dump_has_it(DumpSnapshot *snapshot);
extern void snapshot_dump_ends(DumpSnapshot *snapshot);

/* Waits for the counts: a JSON array of {"t", "n"}. */
extern char *snapshot_counts(DumpSnapshot *snapshot);

/* After an error, and at the end. */
extern void snapshot_free(DumpSnapshot *snapshot);

#endif							/* BACKUPS_SNAPSHOT_H */
