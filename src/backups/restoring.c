/*
 * restoring.c
 *		See restoring.h.
 *
 * pg_restore copies rows as the superuser, and then every check constraint,
 * domain and generated column of a table runs its functions as him: whoever owns
 * a table would be superuser as soon as its dump is restored.  Counting rows is
 * no better, because the planner evaluates constant expressions of indexes.
 * Indexes and materialized views are made as the table's owner, restricted, by
 * the server itself.  In a session with pattyly.restoring
 *
 *	- COPY copies as the owner of the table, restricted;
 *	- what a function does that no superuser owns, it does as its own owner,
 *	  restricted, wherever a superuser calls it;
 *	- ALTER TABLE and ALTER DOMAIN, which look at rows and at bounds of
 *	  partitions, call no other function that does more than compute.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "backups/restoring.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "core/compat.h"
#include "core/preload.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Who called a function that runs as its owner. */
typedef struct Caller
{
	const FmgrInfo *function;
	Oid			user;
	int			security;
	struct Caller *before;
} Caller;

static bool restoring;
static bool altering;			/* in an ALTER TABLE or ALTER DOMAIN */
static Caller *callers;			/* the innermost */
static ProcessUtility_hook_type previous_hook;
static needs_fmgr_hook_type previous_needs_hook;
static fmgr_hook_type previous_function_hook;
static object_access_hook_type previous_access_hook;

/* ---- functions ---- */

static Oid
owner_of_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

static bool
is_distrusted(Oid function)
{
	return restoring && function >= FirstNormalObjectId && !superuser_arg(owner_of_function(function));
}

/* Such a function is not expanded in its caller, either. */
static bool
on_function_wanted(Oid function)
{
	return is_distrusted(function) || (previous_needs_hook && previous_needs_hook(function));
}

/* One of SECURITY DEFINER is its owner by now. */
static void
enter_function(const FmgrInfo *function)
{
	Caller	   *caller;

	if (!is_distrusted(function->fn_oid) || !superuser())
		return;
	caller = MemoryContextAlloc(TopMemoryContext, sizeof(Caller));
	caller->function = function;
	GetUserIdAndSecContext(&caller->user, &caller->security);
	caller->before = callers;
	callers = caller;
	SetUserIdAndSecContext(owner_of_function(function->fn_oid), caller->security | SECURITY_RESTRICTED_OPERATION);
}

/* Also after an error: no catalog is to be read. */
static void
leave_function(const FmgrInfo *function)
{
	Caller	   *caller = callers;

	if (caller == NULL || caller->function != function)
		return;
	callers = caller->before;
	SetUserIdAndSecContext(caller->user, caller->security);
	pfree(caller);
}

static void
on_function(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	if (previous_function_hook)
		previous_function_hook(event, function, private);
	if (event == FHET_START)
		enter_function(function);
	else
		leave_function(function);
}

static void
on_access(ObjectAccessType access, Oid class, Oid object, int part, void *argument)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, part, argument);
	if (access != OAT_FUNCTION_EXECUTE || !altering || !superuser() || is_distrusted(object) ||
		func_volatile(object) != PROVOLATILE_VOLATILE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("function %s must not run as a superuser while a dump is restored", get_func_name(object)),
			 errhint("A constraint or a domain of the dump calls it: verify this dump on another server.")));
}

/* ---- statements ---- */

static Oid
owner_of(const RangeVar *name)
{
	Relation	relation = table_openrv(name, AccessShareLock);
	Oid			owner = relation->rd_rel->relowner;

	/* Locked until the end, so that the name stays its. */
	table_close(relation, NoLock);
	return owner;
}

typedef struct Utility
{
	PlannedStmt *pstmt;
	const char *text;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} Utility;

static void
go_on(const Utility *u)
{
	ProcessUtility_hook_type next = previous_hook ? previous_hook : standard_ProcessUtility;

	next(u->pstmt, u->text, u->read_only_tree, u->context, u->params, u->environment, u->dest, u->completion);
}

static bool
is_copy_of_rows(const Node *statement)
{
	return IsA(statement, CopyStmt) && ((const CopyStmt *) statement)->is_from &&
		((const CopyStmt *) statement)->relation != NULL;
}

static void
copy_as_owner(const Utility *u)
{
	Oid			user;
	int			security;
	int			settings;

	GetUserIdAndSecContext(&user, &security);
	settings = NewGUCNestLevel();
	SetUserIdAndSecContext(owner_of(((CopyStmt *) u->pstmt->utilityStmt)->relation),
						   security | SECURITY_RESTRICTED_OPERATION);
	go_on(u);
	AtEOXact_GUC(false, settings);
	SetUserIdAndSecContext(user, security);
}

static void
alter_carefully(const Utility *u)
{
	bool		before = altering;

	altering = true;
	PG_TRY();
	{
		go_on(u);
	}
	PG_FINALLY();
	{
		altering = before;
	}
	PG_END_TRY();
}

static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	const Utility u = {pstmt, text, read_only_tree, context, params, environment, dest, completion};
	const Node *statement = pstmt->utilityStmt;

	if (restoring && is_copy_of_rows(statement))
		copy_as_owner(&u);
	else if (restoring && (IsA(statement, AlterTableStmt) || IsA(statement, AlterDomainStmt)))
		alter_carefully(&u);
	else
		go_on(&u);
}

/* Of a session that restores a dump or counts rows. */
static void
define_restoring(void)
{
	DefineCustomBoolVariable("pattyly.restoring",
							 "What others own runs as its owner.",
							 NULL, &restoring, false, PGC_SUSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}

void
restoring_init(void)
{
	define_restoring();
	/* Also when a session loads the library to count rows. */
	previous_needs_hook = needs_fmgr_hook;
	needs_fmgr_hook = on_function_wanted;
	previous_function_hook = fmgr_hook;
	fmgr_hook = on_function;
	if (!preload_done())
		return;
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_access_hook = object_access_hook;
	object_access_hook = on_access;
}
