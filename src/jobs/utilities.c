/*
 * utilities.c
 *		Lets a database be dropped, moved, renamed or copied although a scheduler
 *		is connected to it: the scheduler leaves before, and comes back after.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "core/compat.h"
#include "jobs/crew.h"
#include "jobs/jobs.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#define PATIENCE_MS	5000
#define LOOK_EVERY_MS 10

static ProcessUtility_hook_type previous_hook;

static const char *
option_text(const List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg && IsA(option->arg, String))
			return strVal(option->arg);
	}
	return NULL;
}

/* The database that nobody else may be connected to while the statement runs, or NULL. */
static const char *
emptied_database(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return option_text(((CreatedbStmt *) statement)->options, "template");
		case T_AlterDatabaseStmt:
			return option_text(((AlterDatabaseStmt *) statement)->options, "tablespace") ?
				((AlterDatabaseStmt *) statement)->dbname : NULL;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE ?
				((RenameStmt *) statement)->subname : NULL;
		default:
			return NULL;
	}
}

static void
wait_for_scheduler_to_leave(Oid database)
{
	for (int waited_ms = 0; waited_ms < PATIENCE_MS && crew_has_scheduler(database); waited_ms += LOOK_EVERY_MS)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_EVERY_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Only for whoever may do it: nobody else's attempt stops a scheduler. */
static void
make_room(Node *statement)
{
	Oid			database = get_database_oid(emptied_database(statement), true);

	if (!OidIsValid(database) || database == MyDatabaseId ||
		!compat_is_database_owner(database, GetUserId()))
		return;
	crew_hold(database);
	wait_for_scheduler_to_leave(database);
}

static void
go_on(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
	  ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
	  QueryCompletion *completion)
{
	if (previous_hook)
		previous_hook(pstmt, text, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, text, read_only_tree, context, params, environment, dest, completion);
}

static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	if (emptied_database(pstmt->utilityStmt) == NULL)
	{
		go_on(pstmt, text, read_only_tree, context, params, environment, dest, completion);
		return;
	}
	PG_TRY();
	{
		make_room(pstmt->utilityStmt);
		go_on(pstmt, text, read_only_tree, context, params, environment, dest, completion);
	}
	PG_FINALLY();
	{
		crew_let_go();
	}
	PG_END_TRY();
}

void
jobs_watch_utilities(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
