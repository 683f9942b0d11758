/*
 * catalogue.h
 *		What a run writes into pattyly.backups.  Each in a transaction of the caller,
 *		with the rights of the extension.
 */
#ifndef BACKUPS_CATALOGUE_H
#define BACKUPS_CATALOGUE_H

#include "lib/stringinfo.h"

typedef struct BackupEnd
{
	const char *state;			/* done, suspect or failed; running: not yet its end */
	const char *error;
	int64		bytes;			/* -1: unknown */
	const char *checksum;
	const char *location;
	const char *counts;			/* of snapshot.h, or NULL */
	int			exit_status;
	const char *annotations;	/* a JSON object */
} BackupEnd;

/*
 * At most one backup at a time is made, verified or removed in a database, and a row
 * that is running is locked as long as its process lives.  Both until
 * catalogue_unlock(), transactions or not.  An error (55006) when there is one,
 * (25006) on a standby.
 */
extern void catalogue_lock_runs(void);
extern void catalogue_lock_row(int64 id);
extern void catalogue_unlock(void);

/*
 * While a backup is being removed, from the last look at the plan until its row
 * says so, nobody sets a hold, or retention, or builds on one.  The former holds
 * this lock until he gives it back, transactions or not; the others until their
 * transaction ends.
 */
extern void catalogue_lock_removal(void);
extern void catalogue_unlock_removal(void);
extern void catalogue_stop_removals(void);

/* A new row; without a label it gets one. */
extern int64 catalogue_open(const char *label, const char *tool, char **new_label);
extern void catalogue_set_location(int64 id, const char *location);

/*
 * Before what holds interrupts writes into a row: until nobody else has it.  May
 * end the transaction and begin another, with its memory.  An error (55006) when
 * that does not come to pass and this process is told to go.
 */
extern void catalogue_await_row(int64 id);

/* What is known of it; unless it is still running, its row ends with that. */
extern void catalogue_note(int64 id, const BackupEnd *known);

/* Why it is suspect for its size, or NULL. */
extern char *catalogue_doubt(int64 id, int64 bytes);

/* Marks what cannot run any more; between own_spi_begin() and own_spi_end(). */
extern void catalogue_close_lost(void);

/* That, and removes what those left in the directory that ended without a word. */
extern void catalogue_sweep(void);

/* A text as a member of a JSON object: "name": "text". */
extern void catalogue_annotate(StringInfo json, const char *name, const char *text);
extern void catalogue_annotate_number(StringInfo json, const char *name, int64 number);

#endif							/* BACKUPS_CATALOGUE_H */
