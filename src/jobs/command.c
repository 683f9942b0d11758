/*
 * command.c
 *		See command.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/compat.h"
#include "jobs/command.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "pgstat.h"
#include "tcop/cmdtag.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#define TAGS_MAX_BYTES	1000

/* ---- parsing ---- */

/* The position is one in the command, not in the query that hands it over. */
static void
point_into_command(void *text)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(text);
	}
	errcontext("command of a job");
}

static void
refuse(const RawStmt *raw, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a job cannot run %s", what),
			 errhint("%s", hint),
			 errposition(raw->stmt_location + 1)));
}

static void
check_statement(const RawStmt *raw)
{
	Node	   *statement = raw->stmt;

	if (IsA(statement, TransactionStmt))
		refuse(raw, GetCommandTagName(CreateCommandTag(statement)),
			   "Each statement is a transaction of its own; put those that belong together into one DO block or procedure.");
	if (IsA(statement, CopyStmt) && ((CopyStmt *) statement)->filename == NULL)
		refuse(raw, "COPY from or to a client", "There is no client; name a file, or use INSERT ... SELECT.");
	if (IsA(statement, ListenStmt))
		refuse(raw, "LISTEN", "Its process ends with the job; listen in a session of a client.");
}

List *
command_parse(const char *text)
{
	ErrorContextCallback callback;
	List	   *statements;
	ListCell   *cell;

	if (strlen(text) > COMMAND_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the command of a job is longer than %d bytes", COMMAND_MAX_BYTES),
				 errhint("Put it into a procedure and let the job CALL it.")));
	callback.callback = point_into_command;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	statements = raw_parser(text, RAW_PARSE_DEFAULT);
	foreach(cell, statements)
		check_statement(lfirst(cell));
	error_context_stack = callback.previous;
	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command of a job is empty"),
				 errhint("Write one or more SQL statements, separated by semicolons.")));
	return statements;
}

/* ---- running ---- */

/* The text of one statement, for pg_stat_activity and the log. */
static char *
statement_text(const RawStmt *raw, const char *text)
{
	const char *begin = text + Max(raw->stmt_location, 0);
	const char *end = begin + (raw->stmt_len > 0 ? raw->stmt_len : strlen(begin));

	while (begin < end && scanner_isspace(*begin))
		begin++;
	return pnstrdup(begin, end - begin);
}

/* As a backend does, by log_statement.  Whether it did. */
static bool
log_as_wanted(RawStmt *raw, const char *statement)
{
	if (GetCommandLogLevel((Node *) raw) > log_statement)
		return false;
	ereport(LOG, (errmsg("statement: %s", statement), errhidestmt(true)));
	return true;
}

/* As a backend does, by log_duration, log_min_duration_statement and their kin, after its transaction. */
static void
log_duration_as_wanted(const char *statement, bool was_logged)
{
	char		ms[32];

	switch (check_log_duration(ms, was_logged))
	{
		case 1:
			ereport(LOG, (errmsg("duration: %s ms", ms), errhidestmt(true)));
			break;
		case 2:
			ereport(LOG, (errmsg("duration: %s ms  statement: %s", ms, statement), errhidestmt(true)));
			break;
	}
}

static List *
plan_statement(RawStmt *raw, const char *text)
{
	List	   *queries;
	List	   *plans;
	bool		snapshot = analyze_requires_snapshot(raw);

	if (snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_fixedparams(raw, text, NULL, 0, NULL);
	plans = pg_plan_queries(queries, text, CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot)
		PopActiveSnapshot();
	return plans;
}

/* VACUUM and its kin put into the portal's memory what must outlive the transactions that they end. */
static void
run_in_portal(RawStmt *raw, const char *text, List *plans, QueryCompletion *completion)
{
	Portal		portal = CreatePortal("", true, true);
	DestReceiver *nowhere = CreateDestReceiver(DestNone);

	portal->visible = false;
	PortalDefineQuery(portal, NULL, text, CreateCommandTag(raw->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	(void) compat_portal_run(portal, nowhere, completion);
	nowhere->rDestroy(nowhere);
	PortalDrop(portal, false);
}

static void
run_statement(RawStmt *raw, const char *text, MemoryContext context, QueryCompletion *completion)
{
	char	   *statement = statement_text(raw, text);
	bool		was_logged;
	List	   *plans;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_RUNNING, statement);
	was_logged = log_as_wanted(raw, statement);
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	plans = plan_statement(raw, text);
	CHECK_FOR_INTERRUPTS();
	run_in_portal(raw, text, plans, completion);
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	/* The next one may be VACUUM: what was deleted before must not be counted after it. */
	pgstat_report_stat(true);
	MemoryContextSwitchTo(context);
	log_duration_as_wanted(statement, was_logged);
}

static void
add_tag(StringInfo tags, const QueryCompletion *completion)
{
	CommandTag	tag = completion->commandTag;

	if (tags->len > TAGS_MAX_BYTES)
		return;
	appendStringInfo(tags, "%s%s", tags->len > 0 ? "; " : "", GetCommandTagName(tag));
	if (command_tag_display_rowcount(tag))
		appendStringInfo(tags, "%s " UINT64_FORMAT, tag == CMDTAG_INSERT ? " 0" : "",
						 completion->nprocessed);
}

/* The error of a statement, in the current memory context; the transaction is over after it. */
static void
note_error(CommandResult *result)
{
	ErrorData  *error = CopyErrorData();
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, error->message ? error->message : "unknown error");
	if (error->detail)
		appendStringInfo(&text, "\nDETAIL: %s", error->detail);
	if (error->hint)
		appendStringInfo(&text, "\nHINT: %s", error->hint);
	if (error->context)
		appendStringInfo(&text, "\nCONTEXT: %s", error->context);
	if (result->statements > 1)
		appendStringInfo(&text, "\nstatement %d of %d", result->statement, result->statements);
	result->error = text.data;
	strlcpy(result->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result->sqlstate));
	/* The text before translation tells one reason of 57014 from the others. */
	result->timed_out = error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->message_id &&
		strcmp(error->message_id, "canceling statement due to statement timeout") == 0;
}

static void
recover(void)
{
	HOLD_INTERRUPTS();
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
	EmitErrorReport();
	AbortCurrentTransaction();
	PortalErrorCleanup();
	FlushErrorState();
	RESUME_INTERRUPTS();
}

/* False when it failed: the rest is not run. */
static bool
try_statement(RawStmt *raw, const char *text, MemoryContext context, StringInfo tags,
			  CommandResult *result)
{
	volatile bool done = false;
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	PG_TRY();
	{
		run_statement(raw, text, context, &completion);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		note_error(result);
		recover();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (done)
		add_tag(tags, &completion);
	return done;
}

/* Before the first statement there may be none that parses: a setting of the role can change what parses. */
static List *
try_parse(const char *text, MemoryContext context, CommandResult *result)
{
	List	   *volatile statements = NIL;

	PG_TRY();
	{
		statements = command_parse(text);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		note_error(result);
		recover();
	}
	PG_END_TRY();
	return statements;
}

CommandResult
command_run(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	CommandResult result = {0};
	StringInfoData tags;
	List	   *statements;
	ListCell   *cell;

	initStringInfo(&tags);
	debug_query_string = text;
	statements = try_parse(text, context, &result);
	result.statements = list_length(statements);
	result.succeeded = statements != NIL;
	foreach(cell, statements)
	{
		result.statement++;
		result.succeeded = try_statement(lfirst(cell), text, context, &tags, &result);
		if (!result.succeeded)
			break;
	}
	result.tags = tags.data;
	debug_query_string = NULL;
	return result;
}
