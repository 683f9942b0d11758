/*
 * relationcheck.c
 *		A row of pattyly.relations is written: the trigger that refuses what makes no
 *		sense, or is not the writer's, and stores the filter as text that means the
 *		same for everybody.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/relationrow.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

PATTYLY_FUNCTION(pattyly_check_relation_row);
PATTYLY_FUNCTION(pattyly_lead_relations);

static void
check_name(const char *name)
{
	size_t		length = strlen(name);

	if (length == 0 || length >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unsuitable name for a relation: \"%.*s\"",
						pg_mbcliplen(name, length, 100), name),
				 errhint("Use 1 to %d bytes.", NAMEDATALEN - 1)));
}

/* Says in errors what was being read, which is no place in the text of the caller's statement. */
static void
name_filter(void *arg)
{
	errcontext("filter of relation \"%s\"", (const char *) arg);
	errposition(0);
}

static void
reject_temporary(const RelationRow *row, const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("relation \"%s\" cannot read temporary table \"%s\"", row->name, table),
			 errdetail("A relation is there for all sessions, a temporary table for one."),
			 errhint("Use a table that lasts.")));
}

/* The filter, checked, as text that does not depend on the search_path. */
static char *
check_filter(const RelationRow *row, Relation table)
{
	Node	   *condition = condition_parse(table, row->filter, EXPR_KIND_WHERE);
	char	   *function = condition_volatile_function(condition);
	char	   *temporary = condition_temporary_table(condition);

	if (temporary != NULL)
		reject_temporary(row, temporary);
	if (condition_locks_rows(condition))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the filter of relation \"%s\" locks rows", row->name),
				 errdetail("It is for reading, in READ ONLY transactions and on a standby as well."),
				 errhint("Leave out FOR UPDATE and FOR SHARE.")));
	if (function != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the filter of relation \"%s\" calls volatile function %s", row->name,
						function),
				 errdetail("It is not evaluated for every row that is asked for, but once a statement."),
				 errhint("Use a stable function, such as now() instead of clock_timestamp().")));
	return condition_text(table, condition);
}

static bool
ignore_row(Datum value, bool isnull, void *arg)
{
	return false;
}

/* Runs the probe for nobody, as the owner: whatever he must not read or call says so now. */
static void
try_out(const RelationRow *row, const RelationParts *parts, Oid owner)
{
	AccessRelation *relation = relation_make(row, parts, owner);
	Datum		nobody[2];
	static const pg_uuid_t no_uuid;

	for (int i = 0; i < 2; i++)
		switch (i == 0 ? relation->subject_kind : relation->object_kind)
		{
			case KEY_UUID:
				nobody[i] = UUIDPGetDatum(&no_uuid);
				break;
			case KEY_BIGINT:
				nobody[i] = Int64GetDatum(0);
				break;
			case KEY_TEXT:
				nobody[i] = CStringGetTextDatum("");
				break;
		}
	PG_TRY();
	{
		ownerquery_run(&relation->probe, nobody, 1, ignore_row, NULL);
	}
	PG_FINALLY();
	{
		ownerquery_forget(&relation->probe);
	}
	PG_END_TRY();
	MemoryContextDelete(relation->context);
}

/*
 * Whose rights will be used: the table's owner's, who may differ from a superuser who writes the row.  A new row that
 * names the owner comes from a dump, which grants rights and fills materialized views only after the data.
 */
static void
check_row(RelationRow *row, bool is_new)
{
	ErrorContextCallback context = {error_context_stack, name_filter, row->name};
	RelationParts parts;
	bool		is_restored = is_new && row->owner != NULL;
	Oid			owner;

	check_name(row->name);
	relation_open_parts(&parts, row, true);
	if (parts.table->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		reject_temporary(row, RelationGetRelationName(parts.table));
	owner = parts.table->rd_rel->relowner;
	row->owner = GetUserNameFromId(owner, false);
	error_context_stack = &context;
	if (row->filter != NULL)
		row->filter = check_filter(row, parts.table);
	if (!is_restored)
		try_out(row, &parts, owner);
	error_context_stack = context.previous;
	relation_close(parts.table, AccessShareLock);
}

/* BEFORE trigger of pattyly.relations */
Datum
pattyly_check_relation_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	RelationRow *row;
	int			columns[] = {COLUMN_FILTER, COLUMN_OWNER};
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("check_relation_row can only be called as a trigger"),
				 errhint("It stands on pattyly.relations already.")));
	desc = RelationGetDescr(trigger->tg_relation);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	row = relation_read_row(tuple, desc);
	check_row(row, TRIGGER_FIRED_BY_INSERT(trigger->tg_event));
	nulls[0] = row->filter == NULL;
	values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(row->filter);
	values[1] = DirectFunctionCall1(namein, CStringGetDatum(row->owner));
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, 2, columns, values, nulls));
}

/* ---- a table takes the place of another ---- */

static void
check_mine(Oid table)
{
	if (!compat_is_table_owner(table, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", get_rel_name(table)),
				 errhint("Have the owner of the table call this.")));
}

/* old, new: the caller need not be one who may define relations. The trigger above looks at each row again. */
Datum
pattyly_lead_relations(PG_FUNCTION_ARGS)
{
	OwnSpi		own;
	OwnArgs		args = {0};

	check_mine(PG_GETARG_OID(0));
	check_mine(PG_GETARG_OID(1));
	own_arg_oid(&args, PG_GETARG_OID(0));
	own_arg_oid(&args, PG_GETARG_OID(1));
	own_spi_begin(&own);
	own_spi_run("UPDATE pattyly.relations SET assignments = $2 WHERE assignments = $1", &args);
	own_spi_end(&own);
	PG_RETURN_VOID();
}
