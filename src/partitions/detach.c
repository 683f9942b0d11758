/*
 * detach.c
 *		See detach.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "partitions/detach.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* How often to look whether it is time to give up. */
#define TICK_MS 500

/* For so many ticks a lock is waited for that others have to stand in line behind. */
#define LINE_TICKS 3

static volatile sig_atomic_t timed_out;
static volatile int ticks_left;
static volatile int ticks_in_line;

/* Transactions are waited for in nobody's way; the end, though, takes locks, on tables that foreign keys refer to as well. */
static bool
others_wait_behind(void)
{
	LOCK	   *lock = MyProc->waitLock;

	return lock != NULL && lock->tag.locktag_type == LOCKTAG_RELATION &&
		MyProc->waitLockMode > ShareUpdateExclusiveLock;
}

/* In a signal handler.  What pg_cancel_backend() does: the one wait that the other timeouts leave alone. */
static void
tick(void)
{
	/* A process that is terminated goes on ticking, without a MyProc at last. */
	if (timed_out || proc_exit_inprogress)
		return;
	ticks_in_line = others_wait_behind() ? ticks_in_line + 1 : 0;
	if (--ticks_left > 0 && ticks_in_line < LINE_TICKS)
		return;
	timed_out = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static TimeoutId
detach_timer(void)
{
	static bool registered;
	static TimeoutId timer;

	if (!registered)
		timer = RegisterTimeout(USER_TIMEOUT, tick);
	registered = true;
	return timer;
}

static void
start_timer(int timeout_ms)
{
	timed_out = false;
	ticks_left = timeout_ms / TICK_MS;
	ticks_in_line = 0;
	enable_timeout_every(detach_timer(), TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TICK_MS),
						 TICK_MS);
}

/* A cancel that came when there was nothing to wait for any more is not meant for what comes next. */
static void
stop_timer(void)
{
	disable_timeout(detach_timer(), false);
	if (timed_out)
		QueryCancelPending = false;
}

static void
run_statement(const char *sql)
{
	PlannedStmt *statement = makeNode(PlannedStmt);

	statement->commandType = CMD_UTILITY;
	statement->utilityStmt = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt;
	statement->stmt_location = -1;
	ForgetPortalSnapshots();
	PushActiveSnapshot(GetTransactionSnapshot());
	ProcessUtility(statement, sql, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL, None_Receiver, NULL);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
}

static ErrorData *
end_failed(MemoryContext memory)
{
	ErrorData  *error;

	MemoryContextSwitchTo(memory);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	StartTransactionCommand();
	return error;
}

ErrorData *
detach_concurrently(const char *parent, const char *partition, int timeout_ms, MemoryContext memory,
					bool *waited_too_long)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	int			lock_timeout = LockTimeout;

	/*
	 * The second phase waits long for good reasons, and what it leaves when it
	 * gives up is worse.  No SET: the statement's own commit would end that.
	 */
	LockTimeout = 0;
	start_timer(timeout_ms);
	PG_TRY();
	{
		/* The statement has to outlive its first transaction. */
		MemoryContextSwitchTo(memory);
		run_statement(psprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", parent, partition));
	}
	PG_CATCH();
	{
		error = end_failed(memory);
	}
	PG_END_TRY();
	stop_timer();
	LockTimeout = lock_timeout;
	MemoryContextSwitchTo(caller);
	*waited_too_long = error != NULL && timed_out && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	return error;
}
