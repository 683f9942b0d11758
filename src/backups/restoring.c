/*
 * restoring.c
 *		See restoring.h.
 *
 * pg_restore copies rows as the superuser, and then every check constraint,
 * domain and generated column of a table runs its functions as him: whoever owns
 * a table would be superuser as soon as its dump is restored.  Indexes and
 * materialized views are made as the table's owner, restricted, by the server
 * itself; here COPY is treated the same.
 */
#include "postgres.h"

#include "access/table.h"
#include "backups/restoring.h"
#include "catalog/namespace.h"
#include "core/compat.h"
#include "core/preload.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/rel.h"

static bool restoring;
static ProcessUtility_hook_type previous_hook;

static Oid
owner_of(const RangeVar *name)
{
	Relation	relation = table_openrv(name, AccessShareLock);
	Oid			owner = relation->rd_rel->relowner;

	table_close(relation, AccessShareLock);
	return owner;
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

static bool
is_copy_of_rows(const Node *statement)
{
	return IsA(statement, CopyStmt) && ((const CopyStmt *) statement)->is_from &&
		((const CopyStmt *) statement)->relation != NULL;
}

static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	Oid			user;
	int			security;
	int			settings;

	if (!restoring || !is_copy_of_rows(pstmt->utilityStmt))
	{
		go_on(pstmt, text, read_only_tree, context, params, environment, dest, completion);
		return;
	}
	GetUserIdAndSecContext(&user, &security);
	settings = NewGUCNestLevel();
	SetUserIdAndSecContext(owner_of(((CopyStmt *) pstmt->utilityStmt)->relation),
						   security | SECURITY_RESTRICTED_OPERATION);
	go_on(pstmt, text, read_only_tree, context, params, environment, dest, completion);
	AtEOXact_GUC(false, settings);
	SetUserIdAndSecContext(user, security);
}

/* Of a session that restores a dump; verify_backup() sets it. */
static void
define_restoring(void)
{
	DefineCustomBoolVariable("pattyly.restoring",
							 "COPY FROM copies as the owner of the table.",
							 NULL, &restoring, false, PGC_SUSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}

void
restoring_init(void)
{
	define_restoring();
	if (!preload_done())
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
