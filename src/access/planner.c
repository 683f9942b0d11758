/*
 * planner.c
 *		What the planner is told of has_access() and is_owner(): which index
 *		condition means the same, how many rows pass, and what it costs.
 *
 * has_access('client', id) becomes, on a btree index over id,
 *
 *		id = ANY (pattyly.accessible_uuids('client'))
 *
 * which is good when it drives the scan and bad when the row is known already: to
 * look at one client, an expert's 50,000 are not fetched.  So the cost of such an
 * index path is estimated here, with the number of objects that the caller has, and
 * a path that finds its rows by a key of the same column loses the condition; it is
 * a filter then.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/estimate.h"
#include "access/relations.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/index_selfuncs.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

/*
 * Per row, in units of the planner.  More than a row costs, so that several processes
 * are not put to work, each with a set of its own, where an index serves as well.
 */
#define HAS_ACCESS_COST (cpu_tuple_cost * 10)

PATTYLY_FUNCTION(pattyly_has_access_support);
PATTYLY_FUNCTION(pattyly_is_owner_support);

/* ---- what is known of a call ---- */

/* The relation that a call names, NULL when the planner cannot know. */
static AccessRelation *
relation_of_call(const List *args)
{
	const Const *name = linitial(args);
	text	   *value;

	if (!IsA(name, Const) || name->constisnull)
		return NULL;
	value = DatumGetTextPP(name->constvalue);
	return relation_find(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static double
objects_of_call(const List *args)
{
	AccessRelation *relation = relation_of_call(args);

	return relation == NULL ? 1 : access_estimate(relation);
}

/* A function of ours that the caller may use; else InvalidOid. He need not have a right to look into the schema. */
static Oid
own_function(const char *name, int n_arguments, Oid argument)
{
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
										   PointerGetDatum(buildoidvector(&argument, n_arguments)),
										   ObjectIdGetDatum(get_namespace_oid("pattyly", true)));

	return OidIsValid(function) && compat_may_execute(function, GetUserId()) ? function : InvalidOid;
}

static Oid
fetching_function(KeyKind kind)
{
	static const char *const names[] = {
		[KEY_UUID] = "accessible_uuids",
		[KEY_BIGINT] = "accessible_ids",
		[KEY_TEXT] = "accessible_keys"
	};

	return own_function(names[kind], 1, TEXTOID);
}

/* ---- the index condition ---- */

static Node *
fetching_call(const FuncExpr *call, KeyKind kind)
{
	Oid			function = fetching_function(kind);
	Oid			array = get_array_type(key_kind_type(kind));

	if (!OidIsValid(function))
		return NULL;
	return (Node *) makeFuncExpr(function, array, list_make1(copyObject(linitial(call->args))),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

static Node *
any_of(Oid operator, Oid collation, Node *column, Node *array)
{
	ScalarArrayOpExpr *condition = makeNode(ScalarArrayOpExpr);

	condition->opno = operator;
	condition->opfuncid = get_opcode(operator);
	condition->useOr = true;
	condition->inputcollid = collation;
	condition->args = list_make2(copyObject(column), array);
	condition->location = -1;
	return (Node *) condition;
}

/* Whether has_access() takes a column of the type for keys of the kind. */
static bool
is_kind_of(KeyKind kind, Oid type)
{
	return type == key_kind_type(kind) ||
		(kind == KEY_BIGINT && (type == INT4OID || type == INT2OID));
}

/* A list of keys for a later column breaks the order of the index, which the planner does not suspect of a function. */
static bool
keeps_order(const SupportRequestIndexCondition *request)
{
#ifdef COMPAT_LISTS_BREAK_ORDER
	return request->indexcol == 0;
#else
	return true;
#endif
}

/* Equality of the column, as the index has it, and a key; InvalidOid when it has none that fits. */
static Oid
index_equality(const SupportRequestIndexCondition *request, Oid column, Oid key)
{
	if (request->index->relam != BTREE_AM_OID ||
		(OidIsValid(request->indexcollation) &&
		 !get_collation_isdeterministic(request->indexcollation)))
		return InvalidOid;
	return get_opfamily_member(request->opfamily, column, key, BTEqualStrategyNumber);
}

static void estimate_index_cost(PlannerInfo *root, IndexPath *path, double loop_count,
								Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
								double *correlation, double *pages);

static List *
has_access_condition(SupportRequestIndexCondition *request)
{
	const FuncExpr *call = (const FuncExpr *) request->node;
	AccessRelation *relation;
	Node	   *array;
	Oid			operator;

	if (!IsA(call, FuncExpr) || request->indexarg != 1 || !keeps_order(request))
		return NIL;
	relation = relation_of_call(call->args);
	if (relation == NULL ||
		!is_kind_of(relation->object_kind, exprType(lsecond(call->args))))
		return NIL;
	operator = index_equality(request, exprType(lsecond(call->args)),
							  key_kind_type(relation->object_kind));
	array = OidIsValid(operator) ? fetching_call(call, relation->object_kind) : NULL;
	if (array == NULL)
		return NIL;
	request->lossy = false;
	request->index->amcostestimate = estimate_index_cost;
	return list_make1(any_of(operator, request->indexcollation, lsecond(call->args), array));
}

/* ---- the cost of an index path ---- */

/* Whether an index clause is one of has_access_condition(): the function's support is ours. */
static bool
is_ours(const IndexClause *clause)
{
	const FuncExpr *call = (const FuncExpr *) clause->rinfo->clause;
	Oid			support;
	FmgrInfo	function;

	if (!IsA(call, FuncExpr) || !IsA(linitial_node(RestrictInfo, clause->indexquals)->clause,
									 ScalarArrayOpExpr))
		return false;
	support = get_func_support(call->funcid);
	if (!OidIsValid(support))
		return false;
	fmgr_info(support, &function);
	return function.fn_addr == pattyly_has_access_support;
}

static IndexClause *
our_clause(const IndexPath *path)
{
	ListCell   *cell;

	foreach(cell, path->indexclauses)
		if (is_ours(lfirst_node(IndexClause, cell)))
			return lfirst_node(IndexClause, cell);
	return NULL;
}

/* col = value, or col = ANY (a list of fewer values than the caller has objects) */
static bool
names_the_rows(PlannerInfo *root, const IndexClause *clause, double objects,
			   const IndexOptInfo *index)
{
	Node	   *condition = (Node *) linitial_node(RestrictInfo, clause->indexquals)->clause;

	if (IsA(condition, ScalarArrayOpExpr))
		return compat_array_length(root, lsecond(((ScalarArrayOpExpr *) condition)->args)) < objects;
	return IsA(condition, OpExpr) &&
		get_op_opfamily_strategy(((OpExpr *) condition)->opno,
								 index->opfamily[clause->indexcol]) == BTEqualStrategyNumber;
}

static bool
rows_are_named(PlannerInfo *root, const IndexPath *path, const IndexClause *ours, double objects)
{
	ListCell   *cell;

	foreach(cell, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, cell);

		if (clause != ours && clause->indexcol == ours->indexcol &&
			names_the_rows(root, clause, objects, path->indexinfo))
			return true;
	}
	return false;
}

/* The same path with one unknown key in place of all the caller's. */
static IndexPath
path_for_one(PlannerInfo *root, const IndexPath *path, const IndexClause *ours)
{
	ScalarArrayOpExpr *all = (ScalarArrayOpExpr *) linitial_node(RestrictInfo,
																 ours->indexquals)->clause;
	CaseTestExpr *unknown = makeNode(CaseTestExpr);
	IndexClause *one = makeNode(IndexClause);
	IndexPath	result = *path;
	Expr	   *equal;

	unknown->typeId = get_element_type(exprType(lsecond(all->args)));
	unknown->typeMod = -1;
	equal = make_opclause(all->opno, BOOLOID, false, linitial(all->args), (Expr *) unknown,
						  InvalidOid, all->inputcollid);
	*one = *ours;
	one->indexquals = list_make1(make_simple_restrictinfo(root, equal));
	result.indexclauses = list_copy(path->indexclauses);
	for (int i = 0; i < list_length(result.indexclauses); i++)
		if (list_nth(result.indexclauses, i) == ours)
			lfirst(list_nth_cell(result.indexclauses, i)) = one;
	return result;
}

/*
 * Stands in for btcostestimate().  The planner knows nothing of how many keys
 * accessible_uuids() returns, and would call it to find out.
 */
static void
estimate_index_cost(PlannerInfo *root, IndexPath *path, double loop_count,
					Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
					double *correlation, double *pages)
{
	IndexClause *ours = our_clause(path);
	IndexPath	one;
	double		objects;

	if (ours != NULL)
	{
		objects = objects_of_call(((FuncExpr *) ours->rinfo->clause)->args);
		if (rows_are_named(root, path, ours, objects))
		{
			/* The list may be another path's as well. */
			path->indexclauses = list_delete_ptr(list_copy(path->indexclauses), ours);
			ours = NULL;
		}
	}
	if (ours == NULL)
	{
		btcostestimate(root, path, loop_count, startup_cost, total_cost, selectivity,
					   correlation, pages);
		return;
	}
	one = path_for_one(root, path, ours);
	btcostestimate(root, &one, loop_count * objects, startup_cost, total_cost, selectivity,
				   correlation, pages);
	*total_cost *= objects;
	*selectivity = Min(*selectivity * objects, 1);
	*pages = Min(*pages * objects, path->indexinfo->pages);
}

/* ---- how many rows pass ---- */

static Selectivity
has_access_selectivity(SupportRequestSelectivity *request)
{
	VariableStatData column;
	double		objects;
	double		distinct;
	bool		is_default;
	Node	   *name = linitial(request->args);

	if (request->is_join || !IsA(name, Const) || ((Const *) name)->constisnull)
		return -1;
	objects = objects_of_call(request->args);
	examine_variable(request->root, lsecond(request->args), request->varRelid, &column);
	distinct = get_variable_numdistinct(&column, &is_default);
	if (is_default && column.rel != NULL && column.rel->tuples > 0)
		distinct = column.rel->tuples;
	ReleaseVariableStats(column);
	return Min(objects / Max(distinct, 1), 1);
}

Datum
pattyly_has_access_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestIndexCondition))
	{
		List	   *conditions = has_access_condition((SupportRequestIndexCondition *) request);

		PG_RETURN_POINTER(conditions);
	}
	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *selectivity = (SupportRequestSelectivity *) request;

		selectivity->selectivity = has_access_selectivity(selectivity);
		PG_RETURN_POINTER(selectivity->selectivity < 0 ? NULL : request);
	}
	if (IsA(request, SupportRequestCost))
	{
		((SupportRequestCost *) request)->startup = 0;
		((SupportRequestCost *) request)->per_tuple = HAS_ACCESS_COST;
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}

/* ---- is_owner(owner): owner = pattyly.uid() ---- */

static List *
is_owner_condition(SupportRequestIndexCondition *request)
{
	const FuncExpr *call = (const FuncExpr *) request->node;
	Oid			operator;
	Oid			uid;

	if (!IsA(call, FuncExpr) || request->indexarg != 0)
		return NIL;
	operator = index_equality(request, UUIDOID, UUIDOID);
	uid = own_function("uid", 0, InvalidOid);
	if (!OidIsValid(operator) || !OidIsValid(uid))
		return NIL;
	request->lossy = false;
	return list_make1(make_opclause(operator, BOOLOID, false, copyObject(linitial(call->args)),
									(Expr *) makeFuncExpr(uid, UUIDOID, NIL, InvalidOid, InvalidOid,
														  COERCE_EXPLICIT_CALL),
									InvalidOid, InvalidOid));
}

Datum
pattyly_is_owner_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestIndexCondition))
	{
		List	   *conditions = is_owner_condition((SupportRequestIndexCondition *) request);

		PG_RETURN_POINTER(conditions);
	}
	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *selectivity = (SupportRequestSelectivity *) request;
		VariableStatData column;
		bool		is_default;

		if (selectivity->is_join)
			PG_RETURN_POINTER(NULL);
		examine_variable(selectivity->root, linitial(selectivity->args), selectivity->varRelid,
						 &column);
		selectivity->selectivity = 1 / Max(get_variable_numdistinct(&column, &is_default), 1);
		ReleaseVariableStats(column);
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}
