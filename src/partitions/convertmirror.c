/*
 * convertmirror.c
 *		The trigger that carries what happens to a table under conversion over to its
 *		partitioned copy, within the writer's transaction.
 *
 * Not the change is carried over but its outcome: for each key that the row had
 * or has, the copy gets what the table holds at that moment, or loses its row.
 * So it does not matter in which order the triggers of a statement fire, nor what
 * other triggers have done to the row since.
 *
 * The table is read with a fresh snapshot even under REPEATABLE READ, as foreign
 * keys do: the row is the writer's own, so it is the same in every snapshot, but
 * the copy's row may be younger than the writer's snapshot.  Whoever fills the
 * copy locks the row in the table first (convert_rows.sql), so nobody else is at
 * the copy's row of a key that the writer has changed.
 *
 * What a trigger writes is carried over before the rest of what its statement has
 * written, so the copy may have a row that still holds what is unique to another by
 * now.  It is removed; its own turn comes, and puts it back as it is.
 *
 * It runs as the table's owner, past the row policies of both tables: the writer
 * need not have any rights on the copy, and must not see less than there is.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/pinned.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PATTYLY_FUNCTION(pattyly_convert_mirror);

/*
 * It depends on every column, so that none can be dropped or change its type; if
 * one was dropped by CASCADE, it went, too, and the copy is of no use any more.
 */
#define PIN_TRIGGER "pattyly_pin"

/* So many unique indexes besides the key are looked after. */
#define MAX_CLEARED 8

typedef struct MirrorKey
{
	AttrNumber	attno;			/* in the table */
	Oid			type;
	int16		length;
	bool		by_value;
	Oid			equals;			/* the operator of the primary key's index */
} MirrorKey;

/* How to carry over the changes of a table: of this session, one for each trigger. */
typedef struct Mirror
{
	Oid			trigger;		/* the hash key */
	Oid			table;
	Oid			copy;
	uint64		changes;		/* of either relation, that we heard of */
	uint64		built_at;		/* their number when the plans were made; 0: never */
	SPIPlanPtr	put;			/* makes the copy's row like the table's, if that has one */
	SPIPlanPtr	take;			/* removes the copy's row */
	SPIPlanPtr	clear[MAX_CLEARED]; /* remove rows with what an index has as unique to this one */
	int			n_clear;
	int			n_keys;
	MirrorKey	keys[INDEX_MAX_KEYS];
} Mirror;

static HTAB *mirrors;

/* ---- what is known of a table, until it changes ---- */

static void
forget_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS all;
	Mirror	   *mirror;

	hash_seq_init(&all, mirrors);
	while ((mirror = hash_seq_search(&all)) != NULL)
	{
		if (!OidIsValid(relid) || mirror->table == relid || mirror->copy == relid)
			mirror->changes++;
	}
}

static Mirror *
find_mirror(Oid trigger)
{
	Mirror	   *mirror;
	bool		found;

	if (mirrors == NULL)
	{
		HASHCTL		how = {.keysize = sizeof(Oid), .entrysize = sizeof(Mirror)};

		mirrors = hash_create("pattyly mirrors", 8, &how, HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	}
	mirror = hash_search(mirrors, &trigger, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) mirror + sizeof(Oid), 0, sizeof(Mirror) - sizeof(Oid));
		mirror->changes = 1;
	}
	return mirror;
}

/* ---- the statements ---- */

static const char *
qualified_name(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}

/*
 * The copy was made with the columns of the table in their order, and the table
 * loses none as long as there is a pin; new ones stand at the end, and renamed
 * ones where they were.
 */
static AttrNumber
next_column(TupleDesc table, AttrNumber attno)
{
	while (attno < table->natts && TupleDescAttr(table, attno)->attisdropped)
		attno++;
	if (attno == table->natts)
		elog(ERROR, "table has fewer columns than its copy");
	return attno + 1;
}

static void
append_list(StringInfo list, const char *format, const char *name)
{
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	appendStringInfo(list, format, name, name);
}

static bool
is_key(Relation copy_key, AttrNumber attno)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(copy_key); i++)
		if (copy_key->rd_index->indkey.values[i] == attno)
			return true;
	return false;
}

static void
describe_key(Mirror *mirror, Relation copy_key, AttrNumber copy_attno, Form_pg_attribute column)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(copy_key); i++)
	{
		MirrorKey  *key = &mirror->keys[i];
		Oid			type = copy_key->rd_opcintype[i];

		if (copy_key->rd_index->indkey.values[i] != copy_attno)
			continue;
		key->attno = column->attnum;
		key->type = column->atttypid;
		key->length = column->attlen;
		key->by_value = column->attbyval;
		key->equals = get_opfamily_member(copy_key->rd_opfamily[i], type, type, BTEqualStrategyNumber);
		if (!OidIsValid(key->equals))
			elog(ERROR, "no equality operator for column %d of the primary key", i + 1);
	}
}

static char *
column_name(const char *alias, Relation rel, AttrNumber attno)
{
	return psprintf("%s.%s", alias,
					quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname)));
}

/* alias.key = $1 AND ... */
static void
append_condition(StringInfo text, const char *alias, Mirror *mirror, Relation rel, Relation copy_key,
				 bool of_copy)
{
	for (int i = 0; i < mirror->n_keys; i++)
	{
		MirrorKey  *key = &mirror->keys[i];
		AttrNumber	attno = of_copy ? copy_key->rd_index->indkey.values[i] : key->attno;

		appendStringInfoString(text, i == 0 ? "" : " AND ");
		generate_operator_clause(text, column_name(alias, rel, attno), key->type, key->equals,
								 psprintf("$%d", i + 1), key->type);
	}
}

static char *
put_statement(Mirror *mirror, Relation table, Relation copy, Relation copy_key)
{
	TupleDesc	desc = RelationGetDescr(copy);
	StringInfoData into, from, key, set, text;
	AttrNumber	attno = 0;

	initStringInfo(&into);
	initStringInfo(&from);
	initStringInfo(&key);
	initStringInfo(&set);
	initStringInfo(&text);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(column->attname));

		if (column->attisdropped)
			continue;
		attno = next_column(RelationGetDescr(table), attno);
		if (is_key(copy_key, i + 1))
			describe_key(mirror, copy_key, i + 1, TupleDescAttr(RelationGetDescr(table), attno - 1));
		if (is_key(copy_key, i + 1))
			append_list(&key, "%s", name);
		if (column->attgenerated != '\0')
			continue;
		append_list(&into, "%s", name);
		append_list(&from, "t.%s",
					quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(table), attno - 1)->attname)));
		/* The key, too: what is equal (1.0 and 1.00, citext) need not be the same. */
		append_list(&set, "%s = excluded.%s", name);
	}
	appendStringInfo(&text, "INSERT INTO %s AS c (%s) SELECT %s FROM ONLY %s AS t",
					 qualified_name(copy), into.data, from.data, qualified_name(table));
	appendStringInfoString(&text, " WHERE ");
	append_condition(&text, "t", mirror, table, copy_key, false);
	appendStringInfo(&text, " ON CONFLICT (%s) DO UPDATE SET %s", key.data, set.data);
	return text.data;
}

static char *
take_statement(Mirror *mirror, Relation copy, Relation copy_key)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "DELETE FROM %s AS t WHERE ", qualified_name(copy));
	append_condition(&text, "t", mirror, copy, copy_key, true);
	return text.data;
}

static AttrNumber
table_column(Relation table, Relation copy, AttrNumber copy_attno)
{
	AttrNumber	attno = 0;

	for (int i = 0; i < copy_attno; i++)
		if (!TupleDescAttr(RelationGetDescr(copy), i)->attisdropped)
			attno = next_column(RelationGetDescr(table), attno);
	return attno;
}

/* t.column = n.column AND ..., and the same with what is known of the key, so that one partition is looked into. */
static void
append_same(StringInfo text, Mirror *mirror, Relation table, Relation copy, Relation copy_key,
			Relation index)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		AttrNumber	attno = index->rd_index->indkey.values[i];
		Oid			type = TupleDescAttr(RelationGetDescr(copy), attno - 1)->atttypid;
		Oid			equals = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												 index->rd_opcintype[i], BTEqualStrategyNumber);
		const char *column = column_name("t", copy, attno);

		appendStringInfoString(text, " AND ");
		generate_operator_clause(text, column, type, equals,
								 column_name("n", table, table_column(table, copy, attno)), type);
		for (int k = 0; k < mirror->n_keys; k++)
			if (copy_key->rd_index->indkey.values[k] == attno)
			{
				appendStringInfoString(text, " AND ");
				generate_operator_clause(text, column, type, mirror->keys[k].equals,
										 psprintf("$%d", k + 1), type);
			}
	}
}

static char *
clear_statement(Mirror *mirror, Relation table, Relation copy, Relation copy_key, Relation index)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "DELETE FROM %s AS t USING ONLY %s AS n WHERE ", qualified_name(copy),
					 qualified_name(table));
	append_condition(&text, "n", mirror, table, copy_key, false);
	append_same(&text, mirror, table, copy, copy_key, index);
	appendStringInfoString(&text, " AND NOT (");
	append_condition(&text, "t", mirror, copy, copy_key, true);
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* A row that a partial index does not have, or that another expression has as unique, could be the wrong one. */
static bool
is_cleared(Relation index)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index->rd_index->indkey.values[i] == 0)
			return false;
	return index->rd_index->indisunique && !index->rd_index->indisprimary &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

static SPIPlanPtr
kept_plan(const char *statement, Mirror *mirror, int options)
{
	Oid			types[INDEX_MAX_KEYS];
	SPIPlanPtr	plan;

	for (int i = 0; i < mirror->n_keys; i++)
		types[i] = mirror->keys[i].type;
	plan = SPI_prepare_cursor(statement, mirror->n_keys, types, options);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	return plan;
}

static void
drop_plans(Mirror *mirror)
{
	SPIPlanPtr	put = mirror->put;
	SPIPlanPtr	take = mirror->take;

	mirror->built_at = 0;
	mirror->put = NULL;
	mirror->take = NULL;
	if (put)
		SPI_freeplan(put);
	if (take)
		SPI_freeplan(take);
	while (mirror->n_clear > 0)
		SPI_freeplan(mirror->clear[--mirror->n_clear]);
}

static void
plan_clearing(Mirror *mirror, Relation table, Relation copy, Relation copy_key)
{
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(copy))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_cleared(index) && mirror->n_clear < MAX_CLEARED)
		{
			const char *statement = clear_statement(mirror, table, copy, copy_key, index);

			/* Only a plan for these values leaves other partitions alone. */
			SPIPlanPtr	plan = kept_plan(statement, mirror, CURSOR_OPT_CUSTOM_PLAN);

			mirror->clear[mirror->n_clear++] = plan;
		}
		index_close(index, AccessShareLock);
	}
}

static bool
has_pin(Relation table)
{
	for (int i = 0; i < table->trigdesc->numtriggers; i++)
		if (strcmp(table->trigdesc->triggers[i].tgname, PIN_TRIGGER) == 0)
			return true;
	return false;
}

/* The arguments of the trigger are the schema and the name of the copy, and a search_path. */
static Relation
open_copy(TriggerData *call)
{
	Trigger    *trigger = call->tg_trigger;
	Oid			schema,
				relid = InvalidOid;

	schema = get_namespace_oid(trigger->tgargs[0], true);
	if (OidIsValid(schema))
		relid = get_relname_relid(trigger->tgargs[1], schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the partitioned copy of table \"%s\" is not there any more",
						RelationGetRelationName(call->tg_relation)),
				 errhint("Have the owner of the table give up its conversion: SELECT pattyly.cancel_conversion(%s).",
						 quote_literal_cstr(qualified_name(call->tg_relation)))));
	return table_open(relid, RowExclusiveLock);
}

static void
build_mirror(Mirror *mirror, TriggerData *call)
{
	Relation	table = call->tg_relation,
				copy,
				copy_key;
	uint64		changes = mirror->changes;

	drop_plans(mirror);
	copy = open_copy(call);
	mirror->table = RelationGetRelid(table);
	mirror->copy = RelationGetRelid(copy);
	RelationGetIndexList(copy);
	if (!OidIsValid(copy->rd_pkindex))
		elog(ERROR, "table \"%s\" has no primary key", RelationGetRelationName(copy));
	copy_key = index_open(copy->rd_pkindex, AccessShareLock);
	mirror->n_keys = IndexRelationGetNumberOfKeyAttributes(copy_key);
	mirror->put = kept_plan(put_statement(mirror, table, copy, copy_key), mirror, 0);
	mirror->take = kept_plan(take_statement(mirror, copy, copy_key), mirror, 0);
	plan_clearing(mirror, table, copy, copy_key);
	index_close(copy_key, AccessShareLock);
	table_close(copy, NoLock);
	mirror->built_at = changes;
}

/* ---- a change ---- */

static uint64
run_for_key(SPIPlanPtr plan, Datum *values)
{
	/* Foreign keys of the copy are checked when those of the table are. */
	int			result = SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(), InvalidSnapshot,
											  false, false, 0);

	if (result < 0)
		elog(ERROR, "could not write the partitioned copy: %s", SPI_result_code_string(result));
	return SPI_processed;
}

static void
read_key(Mirror *mirror, TupleTableSlot *row, Datum *values)
{
	bool		isnull;

	for (int i = 0; i < mirror->n_keys; i++)
	{
		values[i] = slot_getattr(row, mirror->keys[i].attno, &isnull);
		if (isnull)
			elog(ERROR, "a column of the primary key is null");
	}
}

static bool
same_key(Mirror *mirror, Datum *one, Datum *other)
{
	for (int i = 0; i < mirror->n_keys; i++)
		if (!datum_image_eq(one[i], other[i], mirror->keys[i].by_value, mirror->keys[i].length))
			return false;
	return true;
}

static bool
is_within_trigger(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo)) > 1;
}

static void
carry_over(Mirror *mirror, Datum *key)
{
	/* It costs more than all the rest, and otherwise rows are carried over in the order in which they were written. */
	if (mirror->n_clear > 0 && is_within_trigger())
		for (int i = 0; i < mirror->n_clear; i++)
			run_for_key(mirror->clear[i], key);
	if (run_for_key(mirror->put, key) == 0)
		run_for_key(mirror->take, key);
}

static void
carry_row(Mirror *mirror, TriggerData *call)
{
	Datum		before[INDEX_MAX_KEYS],
				after[INDEX_MAX_KEYS];

	read_key(mirror, call->tg_trigslot, before);
	/* The old key first, so that what was unique to the row is free. */
	carry_over(mirror, before);
	if (TRIGGER_FIRED_BY_UPDATE(call->tg_event))
	{
		read_key(mirror, call->tg_newslot, after);
		if (!same_key(mirror, before, after))
			carry_over(mirror, after);
	}
}

static void
carry_truncate(TriggerData *call)
{
	Relation	copy = open_copy(call);
	char	   *statement;
	int			result;

	/* A TRUNCATE that cascades from what both refer to has emptied it already, and is not done with it. */
	statement = psprintf(copy->rd_refcnt > 1 ? "DELETE FROM %s" : "TRUNCATE TABLE %s", qualified_name(copy));
	table_close(copy, RowExclusiveLock);
	result = SPI_execute(statement, false, 0);
	if (result < 0)
		elog(ERROR, "could not truncate the partitioned copy: %s", SPI_result_code_string(result));
}

static void
carry(TriggerData *call)
{
	Mirror	   *mirror = find_mirror(call->tg_trigger->tgoid);

	/* Without it the copy is of no use any more. */
	if (!has_pin(call->tg_relation))
		return;
	if (TRIGGER_FIRED_BY_TRUNCATE(call->tg_event))
		carry_truncate(call);
	else
	{
		if (mirror->built_at != mirror->changes)
			build_mirror(mirror, call);
		carry_row(mirror, call);
	}
}

/*
 * Checks and generated columns of the copy are computed by the owner: the writer
 * must not choose by his search_path what their functions call.
 */
static int
use_search_path(Trigger *trigger)
{
	if (trigger->tgnargs != 3)
		elog(ERROR, "trigger \"%s\" wants the schema and the name of a table, and a search_path",
			 trigger->tgname);
	return pinned_begin(trigger->tgargs[2]);
}

/* schema and name of the copy, search_path */
Datum
pattyly_convert_mirror(PG_FUNCTION_ARGS)
{
	TriggerData *call = (TriggerData *) fcinfo->context;
	Oid			user;
	int			security,
				settings;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(call->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("convert_mirror() is for the triggers of a conversion"),
				 errhint("Use CALL pattyly.convert_table(...).")));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(call->tg_relation->rd_rel->relowner,
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	settings = use_search_path(call->tg_trigger);
	SPI_connect();
	carry(call);
	SPI_finish();
	AtEOXact_GUC(true, settings);
	SetUserIdAndSecContext(user, security);
	return PointerGetDatum(NULL);
}
