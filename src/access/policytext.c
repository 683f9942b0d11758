/*
 * policytext.c
 *		pattyly.policy_text(): how the catalogs will show the expression of a policy,
 *		so that protect() can tell a policy that is there from one that is wanted.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/relation.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PATTYLY_FUNCTION(pattyly_policy_text);

static Relation
open_table(Oid relid)
{
	Relation	table = try_relation_open(relid, AccessShareLock);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid),
				 errhint("Name a table of this database.")));
	if (table->rd_rel->relkind != RELKIND_RELATION &&
		table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(table)),
				 errhint("Only tables have row policies.")));
	return table;
}

/* What CREATE POLICY does to an expression, and then what pg_policies does. */
Datum
pattyly_policy_text(PG_FUNCTION_ARGS)
{
	Relation	table = open_table(PG_GETARG_OID(0));
	Node	   *condition = condition_parse(table, text_to_cstring(PG_GETARG_TEXT_PP(1)),
											EXPR_KIND_POLICY);
	Datum		shown = DirectFunctionCall2(pg_get_expr,
											CStringGetTextDatum(nodeToString(condition)),
											ObjectIdGetDatum(RelationGetRelid(table)));

	relation_close(table, AccessShareLock);
	PG_RETURN_DATUM(shown);
}
