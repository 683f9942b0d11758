/*
 * catalogue.c
 *		See catalogue.h.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "backups/backups.h"
#include "backups/catalogue.h"
#include "backups/directory.h"
#include "catalog/namespace.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "core/procedure.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/procsignal.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define WAIT_MS 100
/* For a lock that some transaction has; lock_timeout, when that is less. */
#define PATIENCE_MS (60 * 1000)
/* The same, of who is told to go, and can only write down what became of it. */
#define LAST_PATIENCE_MS (5 * 1000)

/* 0 stands for making backups as such, or removing them; a row for itself.  When a transaction aborts, all are gone. */
static LOCKTAG held[2];
static int	n_held;

static void
forget_locks(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT)
		n_held = 0;
}

static Oid
backups_table(void)
{
	return get_relname_relid("backups", get_namespace_oid("pattyly", false));
}

static bool
lock(uint32 object)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, backups_table(), object, 0);
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	held[n_held++] = tag;
	return true;
}

/* There no such lock can be had, either. */
static void
must_be_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("backups cannot be made, verified or removed on a standby"),
				 errhint("That has to be written into the catalogue: run it on the primary.")));
}

void
catalogue_lock_runs(void)
{
	static bool registered;

	must_be_primary();
	if (!registered)
		RegisterXactCallback(forget_locks, NULL);
	registered = true;
	/* What an error left that came when there was no transaction to abort. */
	catalogue_unlock();
	if (!lock(0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another backup of this database is being made, verified or removed"),
				 errhint("Wait for it: its row in pattyly.backups says since when.")));
}

void
catalogue_lock_row(int64 id)
{
	if (!lock((uint32) id))
		elog(ERROR, "backup " INT64_FORMAT " is locked", id);
}

void
catalogue_unlock(void)
{
	while (n_held > 0)
		LockRelease(&held[--n_held], ExclusiveLock, true);
}

/* ---- removals ---- */

static LOCKTAG
removal_tag(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, backups_table(), 0, 1);
	return tag;
}

/* A transaction that is left open must not keep the next backup from being made. */
void
catalogue_lock_removal(void)
{
	LOCKTAG		tag = removal_tag();
	int			patience_ms = LockTimeout > 0 ? Min(LockTimeout, PATIENCE_MS) : PATIENCE_MS;
	int			waited_ms = 0;

	while (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		if (waited_ms >= patience_ms)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("a transaction that noted or holds a backup, or sets retention, did not end within %d ms", patience_ms),
					 errhint("See pg_stat_activity for sessions that are idle in transaction, end that one, and call it again.")));
		clock_pause(WAIT_MS);
		waited_ms += WAIT_MS;
	}
	held[n_held++] = tag;
}

void
catalogue_unlock_removal(void)
{
	LockRelease(&held[--n_held], ExclusiveLock, true);
}

void
catalogue_stop_removals(void)
{
	LOCKTAG		tag = removal_tag();

	/* On a standby nothing is removed, and what is to be written fails by itself. */
	if (!RecoveryInProgress())
		(void) LockAcquire(&tag, ShareLock, false, false);
}

/* ---- rows ---- */

int64
catalogue_open(const char *label, const char *tool, char **new_label)
{
	MemoryContext memory = CurrentMemoryContext;
	OwnSpi		own;
	OwnArgs		args = {0};
	int64		id;
	char	   *caller = GetUserNameFromId(GetUserId(), false);

	own_spi_begin(&own);
	own_arg_text(&args, caller);
	own_arg_text(&args, label);
	own_arg_text(&args, tool);
	own_arg_bigint(&args, MyProcPid);
	own_spi_run("SELECT o.id, o.label FROM pattyly.open_run($1::name, $2, $3, $4::integer) AS o", &args);
	id = own_bigint(0, 1);
	*new_label = MemoryContextStrdup(memory, own_text(0, 2));
	own_spi_end(&own);
	return id;
}

void
catalogue_set_location(int64 id, const char *location)
{
	OwnSpi		own;
	OwnArgs		args = {0};

	own_spi_begin(&own);
	own_arg_bigint(&args, id);
	own_arg_text(&args, location);
	own_spi_run("UPDATE pattyly.backups AS b SET location = pattyly.check_backup_location(b.id, $2, pattyly.is_backup_vouched(b)) WHERE b.id = $1", &args);
	own_spi_end(&own);
}

/* A file that is not complete and that nobody writes any more. */
static void
remove_partial(int64 id, const char *location)
{
	const char *name = directory_file_of(location);
	int			directory;

	if (name == NULL || access(backups_directory, W_OK) != 0)
		return;
	directory = directory_open();
	(void) directory_remove(directory, directory_partial_name(name, id));
	directory_close(&directory);
}

void
catalogue_close_lost(void)
{
	OwnArgs		args = {0};

	own_spi_run("SELECT pattyly.close_lost_backups()", &args);
}

void
catalogue_sweep(void)
{
	OwnSpi		own;
	OwnArgs		args = {0};
	uint64		n;

	own_spi_begin(&own);
	catalogue_close_lost();
	n = own_spi_run("UPDATE pattyly.backups AS b SET annotations = b.annotations - 'leftover' "
					"WHERE b.annotations ? 'leftover' AND b.session IS NOT NULL AND b.location IS NOT NULL RETURNING b.id, b.location", &args);
	for (uint64 i = 0; i < n; i++)
		remove_partial(own_bigint(i, 1), own_text(i, 2));
	own_spi_end(&own);
}

/* ---- what became of one ---- */

/* Waits for nobody.  Who has the table may be about to drop it. */
static bool
row_is_free(int64 id)
{
	OwnSpi		own;
	OwnArgs		args = {0};
	bool		is_free;

	if (!ConditionalLockRelationOid(backups_table(), RowExclusiveLock))
		return false;
	own_spi_begin(&own);
	own_arg_bigint(&args, id);
	(void) own_spi_run("SELECT pg_catalog.count(*) FROM pattyly.backups WHERE id = $1", &args);
	is_free = own_bigint(0, 1) == 0 ||
		own_spi_run("SELECT FROM pattyly.backups WHERE id = $1 FOR UPDATE SKIP LOCKED", &args) == 1;
	own_spi_end(&own);
	return is_free;
}

static bool
is_told_to_go(void)
{
	return ProcDiePending || QueryCancelPending || ClientConnectionLost;
}

/*
 * A lock that is waited for while interrupts are held lets nobody in, not even the
 * stop of the server, and everybody waits who drops a database meanwhile.  Here
 * nothing is held while it waits, so that nobody who has the row waits for this.
 */
void
catalogue_await_row(int64 id)
{
	int			told_ms = 0;

	while (!row_is_free(id))
	{
		if (is_told_to_go() && told_ms >= LAST_PATIENCE_MS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("what became of backup " INT64_FORMAT " could not be written: a transaction has its row or the table", id),
					 errhint("End that transaction (pg_stat_activity, pg_locks); the next call looks after the row.")));
		told_ms += is_told_to_go() ? WAIT_MS : 0;
		procedure_commit();
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, WAIT_MS, PG_WAIT_EXTENSION);
		if (ProcSignalBarrierPending)
			ProcessProcSignalBarrier();
	}
}

void
catalogue_note(int64 id, const BackupEnd *known)
{
	OwnSpi		own;
	OwnArgs		args = {0};

	own_spi_begin(&own);
	own_arg_bigint(&args, id);
	own_arg_text(&args, known->state);
	own_arg_text(&args, known->error);
	own_arg_bigint(&args, known->bytes);
	own_arg_text(&args, known->checksum);
	own_arg_text(&args, known->location);
	own_arg_text(&args, known->counts);
	own_arg_bigint(&args, known->exit_status);
	own_arg_text(&args, known->annotations);
	own_spi_run("SELECT pattyly.note_run($1, $2, $3, $4, $5, $6, $7::jsonb, $8::integer, $9::jsonb)", &args);
	own_spi_end(&own);
}

char *
catalogue_doubt(int64 id, int64 bytes)
{
	MemoryContext caller = CurrentMemoryContext;
	OwnSpi		own;
	OwnArgs		args = {0};
	char	   *doubt;

	own_spi_begin(&own);
	own_arg_bigint(&args, id);
	own_arg_bigint(&args, bytes);
	own_spi_run("SELECT pattyly.doubt_of_size(b, $2) FROM pattyly.backups AS b WHERE b.id = $1", &args);
	doubt = own_text(0, 1);
	if (doubt)
		doubt = MemoryContextStrdup(caller, doubt);
	own_spi_end(&own);
	return doubt;
}

/* ---- annotations ---- */

static void
member(StringInfo json, const char *name)
{
	appendStringInfoString(json, json->len > 0 ? ", " : "{");
	escape_json(json, name);
	appendStringInfoString(json, ": ");
}

void
catalogue_annotate(StringInfo json, const char *name, const char *text)
{
	member(json, name);
	escape_json(json, text);
}

void
catalogue_annotate_number(StringInfo json, const char *name, int64 number)
{
	member(json, name);
	appendStringInfo(json, INT64_FORMAT, number);
}
