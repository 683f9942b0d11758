/*
 * explain.c
 *		What somebody sees of a table, and why: visible_rows() and explain_access().
 *
 * explain_access() takes the expressions of the policies as PostgreSQL keeps them
 * and makes columns of them, in a query for the one row that is run as the role:
 * what it calls and what its sub-selects read is subject to the privileges and
 * policies of that role, as it is in a policy.  The row itself is read with the
 * privileges of the table's owner, who calls us, and past its policies.
 *
 * Which policies count for which command follows PostgreSQL's
 * get_row_security_policies() for a statement that finds the row by its key.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/identity.h"
#include "access/relation.h"
#include "access/rowkey.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "core/compat.h"
#include "core/planrun.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "rewrite/rowsecurity.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

PATTYLY_FUNCTION(pattyly_explain_access);
PATTYLY_FUNCTION(pattyly_visible_rows);

static Oid
target_arg(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("target must not be NULL"),
				 errhint("Name a table.")));
	return PG_GETARG_OID(0);
}

pg_noreturn static void
no_such_table(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table with OID %u does not exist", relid),
			 errhint("Name a table, schema and all, such as 'public.\"Client\"'.")));
}

/* ---- visible_rows ---- */

static int64
count_rows(const char *table)
{
	char	   *statement = psprintf("SELECT pg_catalog.count(*) FROM %s", table);
	bool		isnull;
	int64		n;

	SPI_connect();
	SPI_execute(statement, true, 0);
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return n;
}

/* target, uid, role, claims */
Datum
pattyly_visible_rows(PG_FUNCTION_ARGS)
{
	Oid			target = target_arg(fcinfo);
	char	   *name = get_rel_name(target);
	Identity	identity;
	Disguise	disguise;
	int64		n;

	if (name == NULL)
		no_such_table(target);
	name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(target)), name);
	identity_from_args(fcinfo, 1, 2, 3, &identity);
	identity_disguise(&identity, &disguise);
	n = count_rows(name);
	identity_undisguise(&disguise);
	PG_RETURN_INT64(n);
}

/* ---- explain_access: the question ---- */

typedef struct Command
{
	const char *name;
	const char *privilege;
	AclMode		mode;
	char		policies;		/* of pg_policy.polcmd */
	bool		finds_rows;		/* that are there, by policies' USING */
	bool		writes_rows;	/* new ones, by their WITH CHECK */
} Command;

static const Command commands[] = {
	{"select", "SELECT", ACL_SELECT, ACL_SELECT_CHR, true, false},
	{"insert", "INSERT", ACL_INSERT, ACL_INSERT_CHR, false, true},
	{"update", "UPDATE", ACL_UPDATE, ACL_UPDATE_CHR, true, true},
	{"delete", "DELETE", ACL_DELETE, ACL_DELETE_CHR, true, false}
};

typedef struct Question
{
	Relation	table;
	const Command *command;
	Identity	identity;
} Question;

static char *
text_arg(FunctionCallInfo fcinfo, int number, const char *name, const char *hint)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name),
				 errhint("%s", hint)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static const Command *
command_arg(FunctionCallInfo fcinfo, int number)
{
	const char *hint = "Use select, insert, update or delete.";
	char	   *name = text_arg(fcinfo, number, "command", hint);

	for (int i = 0; i < lengthof(commands); i++)
		if (pg_strcasecmp(name, commands[i].name) == 0)
			return &commands[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown command \"%.*s\"", pg_mbcliplen(name, strlen(name), 100), name),
			 errhint("%s", hint)));
	return NULL;
}

static Relation
open_target(Oid relid)
{
	Relation	table = try_relation_open(relid, AccessShareLock);

	if (table == NULL)
		no_such_table(relid);
	if (table->rd_rel->relkind != RELKIND_RELATION &&
		table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(table)),
				 errhint("Row policies are on tables; name the one behind it.")));
	if (!compat_is_table_owner(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", RelationGetRelationName(table)),
				 errdetail("The row is read past its policies."),
				 errhint("Ask as the owner of the table, or as a superuser.")));
	return table;
}

/* ---- what applies ---- */

/* A policy must let the row through in each of the sets that the command asks. */
typedef enum PolicySet
{
	SET_USING,					/* of the command's policies, for the row as it is */
	SET_CHECK,					/* of the same, for the row as it is written */
	SET_SELECT,					/* of those for select, since the statement reads the row */
	N_SETS
} PolicySet;

typedef struct Check
{
	PolicySet	set;
	char	   *policy;
	bool		permissive;
	Expr	   *expression;		/* NULL: none, which lets nothing through and restricts nothing */
	char	   *text;			/* NULL with it */
	bool		shown;
	bool		passes;
} Check;

static bool
is_for_role(const RowSecurityPolicy *policy, Oid role)
{
	const Oid  *roles = (const Oid *) ARR_DATA_PTR(policy->roles);

	for (int i = 0; i < ARR_DIMS(policy->roles)[0]; i++)
		if (roles[i] == ACL_ID_PUBLIC || has_privs_of_role(role, roles[i]))
			return true;
	return false;
}

/* Another line for an update only where the policy says another thing of the row that is written. */
static bool
is_shown(const Question *question, PolicySet set, const RowSecurityPolicy *policy)
{
	switch (set)
	{
		case SET_CHECK:
			return !question->command->finds_rows ||
				(policy->with_check_qual != NULL && !equal(policy->with_check_qual, policy->qual));
		case SET_SELECT:
			return policy->polcmd != '*';
		default:
			return true;
	}
}

static const char *
mark(const Question *question, PolicySet set)
{
	if (set == SET_SELECT)
		return " /* select */";
	if (set == SET_CHECK && question->command->finds_rows)
		return " /* with check */";
	return "";
}

static Check *
make_check(const Question *question, PolicySet set, const RowSecurityPolicy *policy)
{
	Check	   *check = palloc0(sizeof(Check));
	Expr	   *expression = set == SET_CHECK && policy->with_check_qual != NULL ?
		policy->with_check_qual : policy->qual;

	check->set = set;
	check->policy = pstrdup(policy->policy_name);
	check->permissive = policy->permissive;
	check->passes = !policy->permissive;
	check->shown = is_shown(question, set, policy);
	if (expression != NULL)
	{
		check->expression = copyObject(expression);
		check->text = psprintf("%s%s", condition_text(question->table, (Node *) expression),
							   mark(question, set));
	}
	return check;
}

static int
compare_checks(const ListCell *a, const ListCell *b)
{
	const Check *x = lfirst(a);
	const Check *y = lfirst(b);

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	if (x->permissive != y->permissive)
		return x->permissive ? -1 : 1;
	return strcmp(x->policy, y->policy);
}

static List *
add_set(List *checks, const Question *question, PolicySet set, char policies)
{
	ListCell   *cell;

	foreach(cell, question->table->rd_rsdesc->policies)
	{
		const RowSecurityPolicy *policy = lfirst(cell);

		if ((policy->polcmd == policies || policy->polcmd == '*') &&
			is_for_role(policy, question->identity.role))
			checks = lappend(checks, make_check(question, set, policy));
	}
	return checks;
}

static bool
asks_set(const Command *command, PolicySet set)
{
	switch (set)
	{
		case SET_USING:
			return command->finds_rows;
		case SET_CHECK:
			return command->writes_rows;
		default:
			return command->finds_rows && command->mode != ACL_SELECT;
	}
}

static List *
find_checks(const Question *question)
{
	List	   *checks = NIL;

	for (PolicySet set = 0; set < N_SETS; set++)
		if (asks_set(question->command, set))
			checks = add_set(checks, question, set, set == SET_SELECT ? ACL_SELECT_CHR :
							 question->command->policies);
	list_sort(checks, compare_checks);
	return checks;
}

/* ---- the row, asked as the role ---- */

/* What the rewriter does to a policy's sub-selects: views, and policies of the tables in them. */
static bool
rewrite_subselects(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) node;
		Query	   *subselect = castNode(Query, link->subselect);

		AcquireRewriteLocks(subselect, true, false);
		link->subselect = (Node *) linitial_node(Query, QueryRewrite(subselect));
	}
	return expression_tree_walker(node, rewrite_subselects, context);
}

static void
add_column(Query *query, Expr *expression)
{
	AttrNumber	number = list_length(query->targetList) + 1;

	rewrite_subselects((Node *) expression, NULL);
	query->targetList = lappend(query->targetList,
								makeTargetEntry(expression, number, psprintf("c%d", number),
												false));
	query->hasSubLinks |= checkExprHasSubLink((Node *) expression);
}

typedef struct Answer
{
	List	   *checks;
	bool		found;
} Answer;

/* Columns after the first, in the order of the checks that have an expression. */
static bool
take_answer(TupleTableSlot *slot, void *arg)
{
	Answer	   *answer = arg;
	AttrNumber	number = 1;
	ListCell   *cell;

	foreach(cell, answer->checks)
	{
		Check	   *check = lfirst(cell);
		bool		isnull;

		if (check->expression == NULL)
			continue;
		check->passes = DatumGetBool(slot_getattr(slot, ++number, &isnull));
		check->passes &= !isnull;
	}
	answer->found = true;
	return false;
}

static bool
run(Query *query, ParamListInfo params, List *checks)
{
	Answer		answer = {.checks = checks};
	const char *text = "explain_access";

	plan_run(pg_plan_query(query, text, 0, params), text, params, 1, take_answer, &answer);
	return answer.found;
}

static void
name_question(void *arg)
{
	const Question *question = arg;

	errcontext("row policies of table \"%s\", as role \"%s\"",
			   RelationGetRelationName(question->table), question->identity.role_name);
}

/* Fills in what passes. */
static void
ask_row(const Question *question, const char *key, List *checks)
{
	ErrorContextCallback context = {error_context_stack, name_question, unconstify(Question *, question)};
	ParamListInfo params;
	Query	   *query = rowkey_query(question->table, key, &params);
	Disguise	disguise;
	bool		found;
	ListCell   *cell;

	identity_disguise(&question->identity, &disguise);
	error_context_stack = &context;
	foreach(cell, checks)
	{
		const Check *check = lfirst(cell);

		if (check->expression != NULL)
			add_column(query, copyObject(check->expression));
	}
	query->hasRowSecurity = true;
	found = run(query, params, checks);
	error_context_stack = context.previous;
	identity_undisguise(&disguise);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("table \"%s\" has no row with that key",
						RelationGetRelationName(question->table)),
				 errhint("Give the primary key as text, such as id::text; it must be there for an insert, too.")));
}

/* ---- the verdict ---- */

typedef struct Verdict
{
	bool		passes;
	char	   *words;			/* NULL: the policies decide */
} Verdict;

static Verdict
verdict(bool passes, char *words)
{
	return (Verdict) {passes, words};
}

static bool
has_privilege(Oid relid, Oid role, AclMode mode)
{
	return pg_class_aclcheck(relid, role, mode) == ACLCHECK_OK ||
		(mode != ACL_DELETE &&
		 pg_attribute_aclcheck_all(relid, role, mode, ACLMASK_ANY) == ACLCHECK_OK);
}

/* What is asked before any policy: a statement that finds a row by its key reads it. */
static Verdict
verdict_of_privileges(const Question *question)
{
	Oid			relid = RelationGetRelid(question->table);
	Oid			schema = RelationGetNamespace(question->table);
	Oid			role = question->identity.role;
	const char *name = question->identity.role_name;

	if (!compat_may_use_schema(schema, role))
		return verdict(false, psprintf("role %s lacks the USAGE privilege on schema %s", name,
									   get_namespace_name(schema)));
	if (!has_privilege(relid, role, question->command->mode))
		return verdict(false, psprintf("role %s lacks the %s privilege", name,
									   question->command->privilege));
	if (question->command->finds_rows && !has_privilege(relid, role, ACL_SELECT))
		return verdict(false, psprintf("role %s lacks the SELECT privilege", name));
	return verdict(true, NULL);
}

static Verdict
verdict_before_policies(const Question *question)
{
	Oid			relid = RelationGetRelid(question->table);
	Oid			role = question->identity.role;
	const char *name = question->identity.role_name;
	Verdict		result = verdict_of_privileges(question);

	if (result.words != NULL)
		return result;
	switch (check_enable_rls(relid, role, true))
	{
		case RLS_NONE:
			return verdict(true, "row level security is not enabled");
		case RLS_NONE_ENV:
			if (has_bypassrls_privilege(role))
				return verdict(true, psprintf("role %s bypasses row level security", name));
			return verdict(true, psprintf("role %s owns the table, whose row level security is not forced",
										  name));
		default:
			return result;
	}
}

static Verdict
verdict_of_set(const Question *question, const List *checks, PolicySet set)
{
	const char *where = mark(question, set);
	const char *refusal = NULL;
	bool		any = false;
	bool		any_passes = false;
	ListCell   *cell;

	foreach(cell, checks)
	{
		const Check *check = lfirst(cell);

		if (check->set != set)
			continue;
		any |= check->permissive;
		any_passes |= check->permissive && check->passes;
		if (!check->passes && !check->permissive && refusal == NULL)
			refusal = check->policy;
	}
	if (!any)
		return verdict(false, psprintf("no permissive policy applies to role %s%s",
									   question->identity.role_name, where));
	if (!any_passes)
		return verdict(false, psprintf("no permissive policy passes%s", where));
	if (refusal != NULL)
		return verdict(false, psprintf("restrictive policy %s does not pass%s", refusal, where));
	return verdict(true, NULL);
}

static Verdict
verdict_of_policies(const Question *question, const List *checks)
{
	for (PolicySet set = 0; set < N_SETS; set++)
	{
		Verdict		result;

		if (!asks_set(question->command, set))
			continue;
		result = verdict_of_set(question, checks, set);
		if (!result.passes)
			return result;
	}
	return verdict(true, psprintf("%s: at least one permissive and every restrictive policy passes",
								  question->command->mode == ACL_SELECT ? "visible" : "allowed"));
}

/* ---- the answer ---- */

static void
put_line(FunctionCallInfo fcinfo, const char *policy, bool permissive, const char *text, bool passes)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[4];
	bool		nulls[4] = {policy == NULL, policy == NULL, text == NULL, false};

	values[0] = policy == NULL ? (Datum) 0 : DirectFunctionCall1(namein, CStringGetDatum(policy));
	values[1] = BoolGetDatum(permissive);
	values[2] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
	values[3] = BoolGetDatum(passes);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_checks(FunctionCallInfo fcinfo, const List *checks)
{
	ListCell   *cell;

	foreach(cell, checks)
	{
		const Check *check = lfirst(cell);

		if (check->shown)
			put_line(fcinfo, check->policy, check->permissive, check->text, check->passes);
	}
}

/* target, key, uid, command, role, claims */
Datum
pattyly_explain_access(PG_FUNCTION_ARGS)
{
	Question	question;
	char	   *key;
	List	   *checks = NIL;
	Verdict		result;

	question.table = open_target(target_arg(fcinfo));
	key = text_arg(fcinfo, 1, "key", "Give the primary key of a row as text, such as id::text.");
	question.command = command_arg(fcinfo, 3);
	identity_from_args(fcinfo, 2, 4, 5, &question.identity);
	InitMaterializedSRF(fcinfo, 0);
	result = verdict_before_policies(&question);
	if (result.words == NULL)
		checks = find_checks(&question);
	ask_row(&question, key, checks);
	if (result.words == NULL)
		result = verdict_of_policies(&question, checks);
	put_checks(fcinfo, checks);
	put_line(fcinfo, NULL, false, result.words, result.passes);
	relation_close(question.table, AccessShareLock);
	PG_RETURN_VOID();
}
