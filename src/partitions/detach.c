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
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

static volatile sig_atomic_t timed_out;

/* What pg_cancel_backend() does: the one wait that the other timeouts leave alone. */
static void
cancel_detach(void)
{
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
		timer = RegisterTimeout(USER_TIMEOUT, cancel_detach);
	registered = true;
	return timer;
}

static void
start_timer(int timeout_ms)
{
	timed_out = false;
	enable_timeout_after(detach_timer(), timeout_ms);
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
