/*
 * rowkey.c
 *		See rowkey.h.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/rowkey.h"
#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct RowKey
{
	int			n;
	Form_pg_attribute columns[INDEX_MAX_KEYS];
	char	   *values[INDEX_MAX_KEYS];
} RowKey;

static void
find_columns(Relation table, RowKey *key)
{
	Oid			constraint;
	Bitmapset  *columns = get_primary_key_attnos(RelationGetRelid(table), true, &constraint);
	int			i = -1;

	if (columns == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key", RelationGetRelationName(table)),
				 errhint("A row is named by its primary key: add one with ALTER TABLE ... ADD PRIMARY KEY.")));
	key->n = 0;
	while ((i = bms_next_member(columns, i)) >= 0)
		key->columns[key->n++] = TupleDescAttr(RelationGetDescr(table),
											   i + FirstLowInvalidHeapAttributeNumber - 1);
}

/* json ->> name; NULL when there is no such thing. */
static char *
member_of(Jsonb *json, const char *name)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		value;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(json);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum(name);
	fcinfo->args[1].isnull = false;
	value = jsonb_object_field_text(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(value);
}

/* {"order_id": 7, "position": 1}, as an example of the real columns. */
static char *
example(const RowKey *key)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < key->n; i++)
	{
		appendStringInfoString(&text, i == 0 ? "{" : ", ");
		escape_json(&text, NameStr(key->columns[i]->attname));
		appendStringInfoString(&text, ": ...");
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
read_members(RowKey *key, Jsonb *json)
{
	for (int i = 0; i < key->n; i++)
	{
		key->values[i] = json == NULL ? NULL : member_of(json, NameStr(key->columns[i]->attname));
		if (key->values[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the key does not say column \"%s\" of the primary key",
							NameStr(key->columns[i]->attname)),
					 errhint("The key has %d columns: give them as a JSON object, %s.", key->n,
							 example(key))));
	}
}

static void
read_values(RowKey *key, const char *text)
{
	Jsonb	   *json = NULL;

	if (key->n == 1)
	{
		key->values[0] = pstrdup(text);
		return;
	}
	if (text[strspn(text, " \t\r\n")] == '{')
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	read_members(key, json);
}

/* column = $n, by the operator of the primary key and with the text cast to the type of the column. */
static void
append_comparison(StringInfo text, Form_pg_attribute column, int number)
{
	StringInfoData left;
	StringInfoData right;

	initStringInfo(&left);
	appendStringInfo(&left, "r.%s", quote_identifier(NameStr(column->attname)));
	initStringInfo(&right);
	appendStringInfo(&right, "($%d::%s)", number,
					 format_type_extended(column->atttypid, -1,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfoString(text, number == 1 ? " WHERE " : " AND ");
	generate_operator_clause(text, left.data, column->atttypid,
							 lookup_type_cache(column->atttypid, TYPECACHE_EQ_OPR)->eq_opr,
							 right.data, column->atttypid);
}

static char *
query_text(Relation table, const RowKey *key)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "SELECT 1 FROM %s AS r",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
												RelationGetRelationName(table)));
	for (int i = 0; i < key->n; i++)
		append_comparison(&text, key->columns[i], i + 1);
	return text.data;
}

static ParamListInfo
make_params(const RowKey *key)
{
	ParamListInfo params = makeParamList(key->n);

	for (int i = 0; i < key->n; i++)
	{
		params->params[i].value = CStringGetTextDatum(key->values[i]);
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = TEXTOID;
	}
	return params;
}

Query *
rowkey_query(Relation table, const char *text, ParamListInfo *params)
{
	RowKey		key;
	Oid			types[INDEX_MAX_KEYS];
	char	   *statement;
	int			nest_level;
	Query	   *query;

	find_columns(table, &key);
	read_values(&key, text);
	for (int i = 0; i < key.n; i++)
		types[i] = TEXTOID;
	*params = make_params(&key);
	nest_level = condition_begin_settings();
	statement = query_text(table, &key);
	query = parse_analyze_fixedparams(linitial_node(RawStmt, pg_parse_query(statement)), statement,
									  types, key.n, NULL);
	condition_end_settings(nest_level);
	compat_check_as(query, linitial_node(RangeTblEntry, query->rtable),
					table->rd_rel->relowner);
	return query;
}
