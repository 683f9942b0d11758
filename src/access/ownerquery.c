/*
 * ownerquery.c
 *		See ownerquery.h.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/ownerquery.h"
#include "core/compat.h"
#include "core/pinned.h"
#include "core/planrun.h"
#include "core/transaction.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static OwnerQuery *planned;

/* How many queries are under way, one within the other; too many when one has failed, until the transaction ends. */
static int	running;

/* Plans that are not good any more, but may be running. */
static MemoryContext retired;

void
ownerquery_forget(OwnerQuery *query)
{
	OwnerQuery **link = &planned;

	if (query->plan == NULL)
		return;
	while (*link != query)
		link = &(*link)->next;
	*link = query->next;
	query->plan = NULL;
	if (running == 0)
		MemoryContextDelete(query->context);
	else
		MemoryContextSetParent(query->context, retired);
	query->context = NULL;
}

static void
forget_plans_of(Datum arg, Oid relid)
{
	OwnerQuery *next;

	for (OwnerQuery *query = planned; query != NULL; query = next)
	{
		next = query->next;
		if (relid == InvalidOid || list_member_oid(query->plan->relationOids, relid))
			ownerquery_forget(query);
	}
}

/* Another definition of whatever a plan can be made of: rare enough to forget them all. (Of roles relations.c hears.) */
static void
forget_all_plans(Datum arg, int cacheid, uint32 hash)
{
	forget_plans_of(arg, InvalidOid);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (transaction_has_ended(event))
	{
		running = 0;
		MemoryContextDeleteChildren(retired);
	}
}

void
ownerquery_init(void)
{
	static const int caches[] = {PROCOID, TYPEOID, NAMESPACEOID, OPEROID, AMOPOPID};

	retired = AllocSetContextCreate(TopMemoryContext, "pattyly retired plans", ALLOCSET_SMALL_SIZES);
	CacheRegisterRelcacheCallback(forget_plans_of, (Datum) 0);
	for (int i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], forget_all_plans, (Datum) 0);
	RegisterXactCallback(end_of_transaction, NULL);
}

/* ---- the plan ---- */

static PlannedStmt *
make_plan(OwnerQuery *query)
{
	RawStmt    *raw = linitial_node(RawStmt, pg_parse_query(query->text));
	List	   *rewritten = pg_analyze_and_rewrite_fixedparams(raw, query->text, query->types,
															   query->n_params, NULL);

	return pg_plan_query(linitial_node(Query, rewritten), query->text, 0, NULL);
}

/* A caller who tries what the planner does without indexes, say, must not leave us with such a plan. */
static void
reset_planner(void)
{
	static const char *const settings[][2] = {
		{"enable_bitmapscan", "on"},
		{"enable_indexonlyscan", "on"},
		{"enable_indexscan", "on"},
		{"enable_seqscan", "on"},
		{"jit", "off"},
		{"row_security", "on"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		pinned_set(settings[i][0], settings[i][1]);
}

/* The table may have been renamed, and another one given its name, while we waited for it. */
static void
check_table(const OwnerQuery *query, const PlannedStmt *made)
{
	if (linitial_node(RangeTblEntry, made->rtable)->relid != query->table)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the table of assignments was replaced while the statement began"),
				 errhint("Run the statement again.")));
}

/* As the owner, and with names found in pg_catalog only, whatever the caller's settings. */
static void
plan(OwnerQuery *query)
{
	int			nest_level = condition_begin_settings();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pattyly plan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before;
	PlannedStmt *made;

	reset_planner();
	made = make_plan(query);
	check_table(query, made);

	/* The planner may call a stable function of the filter, and that may come back for this query. */
	ownerquery_forget(query);
	before = MemoryContextSwitchTo(context);
	query->plan = copyObject(made);
	MemoryContextSwitchTo(before);
	MemoryContextSetParent(context, CacheMemoryContext);
	query->context = context;
	query->next = planned;
	planned = query;
	condition_end_settings(nest_level);
}

static void
lock_relations(const PlannedStmt *plan)
{
	ListCell   *cell;

	foreach(cell, plan->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (OidIsValid(rte->relid))
			LockRelationOid(rte->relid, rte->rellockmode);
	}
}

/* Who we were, while we are the owner. */
typedef struct Caller
{
	Oid			user;
	int			security;
	bool		own_snapshot;
} Caller;

/*
 * When something fails, the end of the (sub)transaction restores who we are, as
 * after a failed check of referential integrity.
 */
static void
become_owner(const OwnerQuery *query, Caller *before)
{
	check_stack_depth();
	before->own_snapshot = !ActiveSnapshotSet();
	if (before->own_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&before->user, &before->security);
	SetUserIdAndSecContext(query->owner, before->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
}

static void
become_caller(const Caller *before)
{
	SetUserIdAndSecContext(before->user, before->security);
	if (before->own_snapshot)
		PopActiveSnapshot();
}

/* A plan that is good now: to wait for a lock is to hear of changes. */
static PlannedStmt *
ready_plan(OwnerQuery *query)
{
	for (;;)
	{
		PlannedStmt *candidate;

		if (query->plan == NULL)
			plan(query);
		candidate = query->plan;
		lock_relations(candidate);
		if (candidate == query->plan)
			return candidate;
	}
}

/* ---- a run ---- */

/* Who gets the first column of each row. */
typedef struct RowTaker
{
	OwnerQueryRow row;
	void	   *arg;
} RowTaker;

static bool
take_column(TupleTableSlot *slot, void *arg)
{
	RowTaker   *taker = arg;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	return taker->row(value, isnull, taker->arg);
}

static ParamListInfo
make_params(const OwnerQuery *query, const Datum *values)
{
	ParamListInfo params = makeParamList(query->n_params);

	for (int i = 0; i < query->n_params; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = query->types[i];
	}
	return params;
}

static void
execute(PlannedStmt *plan, const OwnerQuery *query, const Datum *params, uint64 limit,
		RowTaker *taker)
{
	plan_run(plan, query->text, make_params(query, params), limit, take_column, taker);
}

/*
 * Functions that were not there from the start may look for names at run time: with
 * the owner's rights, so not the caller's way.  And what a stable one makes of a
 * text, a date say, depends on settings that the caller may choose.
 */
static void
execute_safely(PlannedStmt *plan, const OwnerQuery *query, const Datum *params, uint64 limit,
			   RowTaker *taker)
{
	int			nest_level;

	if (plan->invalItems == NIL && !query->is_unsteady)
	{
		execute(plan, query, params, limit, taker);
		return;
	}
	nest_level = condition_begin_settings();
	execute(plan, query, params, limit, taker);
	condition_end_settings(nest_level);
}

static void
run_as_owner(OwnerQuery *query, const Datum *params, uint64 limit, RowTaker *taker)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pattyly owner's query",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	Caller	before;

	become_owner(query, &before);
	execute_safely(ready_plan(query), query, params, limit, taker);
	become_caller(&before);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
}

static void
end_running(void)
{
	if (--running == 0)
		MemoryContextDeleteChildren(retired);
}

void
ownerquery_run(OwnerQuery *query, const Datum *params, uint64 limit, OwnerQueryRow row, void *arg)
{
	RowTaker	taker = {.row = row, .arg = arg};

	running++;
	run_as_owner(query, params, limit, &taker);
	end_running();
}

Cost
ownerquery_cost(OwnerQuery *query)
{
	Caller	before;
	Cost		cost;

	running++;
	become_owner(query, &before);
	cost = ready_plan(query)->planTree->total_cost;
	become_caller(&before);
	end_running();
	return cost;
}
