/*
 * condition.c
 *		See condition.h.
 */
#include "postgres.h"

#include "access/condition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "core/compat.h"
#include "core/pinned.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"

/* ---- text to expression ---- */

/* An asterisk stands for columns in a list of them only; the analysis of expressions does not expect it. */
static bool
is_star(const Node *node)
{
	return IsA(node, ColumnRef) && IsA(linitial(((const ColumnRef *) node)->fields), A_Star);
}

/* SELECT with one nameless column and nothing else, which is how the grammar sees an expression. */
static bool
is_one_expression(const SelectStmt *select)
{
	const ResTarget *target;

	if (select->op != SETOP_NONE || list_length(select->targetList) != 1)
		return false;
	target = linitial_node(ResTarget, select->targetList);
	return target->name == NULL && target->indirection == NIL && !is_star(target->val) &&
		select->distinctClause == NIL && select->intoClause == NULL &&
		select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->valuesLists == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL &&
		select->withClause == NULL;
}

static Node *
raw_expression(const char *text)
{
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_PLPGSQL_EXPR));
	SelectStmt *select = castNode(SelectStmt, raw->stmt);

	if (!is_one_expression(select))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a single condition: %s", text),
				 errhint("Write what could stand after WHERE, such as status = 'active'.")));
	return linitial_node(ResTarget, select->targetList)->val;
}

Node *
condition_parse(Relation table, const char *text, ParseExprKind kind)
{
	ParseState *state = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *condition;

	state->p_sourcetext = text;
	item = addRangeTableEntryForRelation(state, table, AccessShareLock, NULL, true, false);
	addNSItemToQuery(state, item, false, true, true);
	condition = transformWhereClause(state, raw_expression(text), kind, "the condition");
	assign_expr_collations(state, condition);
	free_parsestate(state);
	return condition;
}

/* ---- expression to text ---- */

/* Whoever calls may set all of these, and each makes another thing of the same literal or name. */
static const char *const text_settings[][2] = {
	{"standard_conforming_strings", "on"},
	{"array_nulls", "on"},
	{"datestyle", "ISO, MDY"},
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "3"}
};

/* The time zone is the session's own, not what a request chose for itself: dates come and go with it. */
int
condition_begin_settings(void)
{
	int			nest_level = pinned_begin(PINNED_SEARCH_PATH);

	for (int i = 0; i < lengthof(text_settings); i++)
		pinned_set(text_settings[i][0], text_settings[i][1]);
	pinned_set("timezone", GetConfigOptionResetString("timezone"));
	return nest_level;
}

void
condition_end_settings(int nest_level)
{
	AtEOXact_GUC(false, nest_level);
}

char *
condition_text(Relation table, Node *condition)
{
	int			nest_level = condition_begin_settings();
	char	   *text = deparse_expression(condition,
										  deparse_context_for(RelationGetRelationName(table),
															  RelationGetRelid(table)),
										  false, false);

	condition_end_settings(nest_level);
	return text;
}

/* ---- which functions it calls ---- */

static bool
note_volatile(Oid function, void *context)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) context = function;
	return true;
}

static bool
find_volatile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, note_volatile, context))
		return true;
	if (IsA(node, NextValueExpr))
	{
		*(Oid *) context = F_NEXTVAL;
		return true;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_volatile, context, 0);
	return expression_tree_walker(node, find_volatile, context);
}

char *
condition_volatile_function(Node *condition)
{
	Oid			function = InvalidOid;

	return find_volatile(condition, &function) ? format_procedure(function) : NULL;
}

static bool
is_unsteady_function(Oid function, void *context)
{
	return function != F_NOW && function != F_TRANSACTION_TIMESTAMP &&
		func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

/* A table that another session may have another one of. */
static bool
find_temporary(Node *node, void *context)
{
	const RangeTblEntry *rte = (const RangeTblEntry *) node;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (rte->rtekind != RTE_RELATION || get_rel_persistence(rte->relid) != RELPERSISTENCE_TEMP)
			return false;
		*(Oid *) context = rte->relid;
		return true;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_temporary, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, find_temporary, context);
}

char *
condition_temporary_table(Node *condition)
{
	Oid			relid = InvalidOid;

	return find_temporary(condition, &relid) ? get_rel_name(relid) : NULL;
}

static bool
find_lock(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return ((Query *) node)->rowMarks != NIL ||
			query_tree_walker((Query *) node, find_lock, context, 0);
	return expression_tree_walker(node, find_lock, context);
}

bool
condition_locks_rows(Node *condition)
{
	return find_lock(condition, NULL);
}

/* What a view or a policy of a table in a sub-select calls is not looked for: any sub-select may be unsteady. */
static bool
find_unsteady(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		return true;
	if (check_functions_in_node(node, is_unsteady_function, context))
		return true;
	if (IsA(node, SQLValueFunction))
		return true;
	return expression_tree_walker(node, find_unsteady, context);
}

bool
condition_is_unsteady(Node *condition)
{
	return find_unsteady(condition, NULL);
}
