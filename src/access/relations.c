/*
 * relations.c
 *		See relations.h.
 *
 * A row of pattyly.relations is checked twice.  When it is written, all of it,
 * with the writer's rights; the filter is stored as text that means the same under
 * any search_path.  And when it is first used after anything about the table of
 * assignments has changed: a relation whose table, column or owner is not what it
 * was raises an error until it is defined anew, and lets nobody through.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/relations.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/config.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

/* Columns of pattyly.relations. */
enum
{
	COLUMN_NAME = 1,
	COLUMN_ASSIGNMENTS,
	COLUMN_SUBJECT,
	COLUMN_OBJECT,
	COLUMN_FILTER,
	COLUMN_INCLUDE_SELF,
	COLUMN_OWNER
};

/* A row, as it stands in the table. */
typedef struct RelationRow
{
	char	   *name;
	Oid			assignments;
	char	   *subject;
	char	   *object;
	char	   *filter;			/* NULL: none */
	bool		include_self;
	char	   *owner;			/* NULL: not filled in yet */
	struct RelationRow *next;
} RelationRow;

static void *load_rows(Relation table);

static ConfigTable relations_table = {.name = "relations", .load = load_rows};

/* The relations that were made ready, and those that are not good any more but may be in use. */
static AccessRelation *ready;
static uint64 ready_generation;
static AccessRelation *retired_ones;
static MemoryContext retired;
static uint64 epoch = 1;

/* ---- rows ---- */

static char *
name_column(HeapTuple tuple, TupleDesc desc, int number)
{
	Datum		value = config_required(tuple, desc, number, "a relation",
										"A relation needs a name, a table and two of its columns, for example define_relation('client', 'expertassignment', 'expert_id', 'client_id').");

	return pstrdup(NameStr(*DatumGetName(value)));
}

static RelationRow *
read_row(HeapTuple tuple, TupleDesc desc)
{
	RelationRow *row = palloc0(sizeof(RelationRow));
	const char *hint = "See pattyly.define_relation.";
	Datum		value;
	bool		isnull;

	row->name = TextDatumGetCString(config_required(tuple, desc, COLUMN_NAME, "a relation", hint));
	row->assignments = DatumGetObjectId(config_required(tuple, desc, COLUMN_ASSIGNMENTS,
														"a relation", hint));
	row->subject = name_column(tuple, desc, COLUMN_SUBJECT);
	row->object = name_column(tuple, desc, COLUMN_OBJECT);
	value = heap_getattr(tuple, COLUMN_FILTER, desc, &isnull);
	row->filter = isnull ? NULL : TextDatumGetCString(value);
	row->include_self = DatumGetBool(config_required(tuple, desc, COLUMN_INCLUDE_SELF, "a relation",
													 hint));
	value = heap_getattr(tuple, COLUMN_OWNER, desc, &isnull);
	row->owner = isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
	return row;
}

static void
add_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	RelationRow **rows = arg;
	RelationRow *row = read_row(tuple, desc);

	row->next = *rows;
	*rows = row;
}

static void *
load_rows(Relation table)
{
	RelationRow **rows = palloc0(sizeof(RelationRow *));

	config_scan(table, add_row, rows);
	return rows;
}

static const RelationRow *
find_row(const char *name, int length)
{
	RelationRow **rows = config_get(&relations_table);
	const RelationRow *row = *rows;

	while (row != NULL && (strncmp(row->name, name, length) != 0 || row->name[length] != '\0'))
		row = row->next;
	return row;
}

/* ---- what a relation may be ---- */

static bool
kind_of_type(Oid type, KeyKind *kind)
{
	switch (getBaseType(type))
	{
		case UUIDOID:
			*kind = KEY_UUID;
			return true;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			*kind = KEY_BIGINT;
			return true;
		case TEXTOID:
		case VARCHAROID:
			*kind = KEY_TEXT;
			return true;
		default:
			return false;
	}
}

static const char *const define_hint =
	"Define the relation as its table is now with pattyly.define_relation, or drop it with pattyly.drop_relation.";

/* What both checks need: the table, open, and its columns. */
typedef struct RelationParts
{
	Relation	table;
	Form_pg_attribute subject;
	Form_pg_attribute object;
	KeyKind		subject_kind;
	KeyKind		object_kind;
} RelationParts;

static Relation
open_assignments(const RelationRow *row)
{
	Relation	table = try_relation_open(row->assignments, AccessShareLock);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of assignments of relation \"%s\" does not exist", row->name),
				 errhint("%s", define_hint)));
	if (table->rd_rel->relkind != RELKIND_RELATION &&
		table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(table)),
				 errdetail("The assignments of relation \"%s\" are read past row policies, which is for tables only.",
						   row->name),
				 errhint("Name the table that the rows are in.")));
	return table;
}

/* Before anything is said of its columns. */
static void
check_writer(const RelationRow *row, Relation table)
{
	if (!compat_is_table_owner(RelationGetRelid(table), GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", RelationGetRelationName(table)),
				 errdetail("A relation lets others see what is in its table of assignments."),
				 errhint("Have the owner of the table define relation \"%s\".", row->name)));
}

static Form_pg_attribute
find_column(Relation table, const char *column, const char *relation)
{
	TupleDesc	desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), column) == 0)
			return attribute;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of table \"%s\", which relation \"%s\" reads, does not exist",
					column, RelationGetRelationName(table), relation),
			 errhint("Names are taken as they are, without quotes. %s", define_hint)));
	return NULL;
}

/* Keys of text are compared by their bytes, which is what such a collation means by equal. */
static void
check_collation(Form_pg_attribute attribute)
{
	if (OidIsValid(attribute->attcollation) &&
		!get_collation_isdeterministic(attribute->attcollation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" has a nondeterministic collation",
						NameStr(attribute->attname)),
				 errdetail("Keys of a relation are compared byte by byte."),
				 errhint("Use a column with a deterministic collation, or a uuid.")));
}

static KeyKind
key_column(Form_pg_attribute attribute)
{
	KeyKind		kind;

	if (!kind_of_type(attribute->atttypid, &kind))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot be the key of a relation",
						NameStr(attribute->attname), format_type_be(attribute->atttypid)),
				 errhint("Keys are uuid, bigint (integer, smallint) or text (varchar).")));
	check_collation(attribute);
	return kind;
}

static void
open_parts(RelationParts *parts, const RelationRow *row, bool is_written)
{
	parts->table = open_assignments(row);
	if (is_written)
		check_writer(row, parts->table);
	parts->subject = find_column(parts->table, row->subject, row->name);
	parts->object = find_column(parts->table, row->object, row->name);
	parts->subject_kind = key_column(parts->subject);
	parts->object_kind = key_column(parts->object);
	if (row->include_self && parts->subject_kind != parts->object_kind)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("relation \"%s\" cannot include the caller himself", row->name),
				 errdetail("Subjects are %s, objects are %s.",
						   format_type_be(parts->subject->atttypid),
						   format_type_be(parts->object->atttypid)),
				 errhint("include_self needs a subject and an object of the same type.")));
}

/* ---- a relation made ready ---- */

static char *
qualified_name(Relation table)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
									  RelationGetRelationName(table));
}

/*
 * The columns of the assignments bear the table's name, so that a column of the
 * same name elsewhere cannot be meant.  The comparison is the types' own, the
 * smaller integers' with bigint included.
 */
static char *
query_text(const RelationRow *row, const RelationParts *parts, bool probe)
{
	const char *alias = quote_identifier(RelationGetRelationName(parts->table));
	const char *subject = quote_identifier(row->subject);
	const char *object = quote_identifier(row->object);
	const char *cast = parts->object_kind == KEY_BIGINT ? "::bigint" :
		parts->object_kind == KEY_TEXT ? "::text" : "::uuid";
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "SELECT %s.%s%s FROM %s AS %s WHERE %s.%s = $1",
					 alias, object, cast, qualified_name(parts->table), alias, alias, subject);
	if (probe)
		appendStringInfo(&text, " AND %s.%s = $2", alias, object);
	if (row->filter != NULL)
		appendStringInfo(&text, " AND (%s)", row->filter);
	return text.data;
}

static void
prepare_query(AccessRelation *relation, OwnerQuery *query, const char *text, int n_params)
{
	query->text = MemoryContextStrdup(relation->context, text);
	query->owner = relation->owner;
	query->table = relation->assignments;
	query->is_unsteady = relation->is_unsteady;
	query->n_params = n_params;
	query->types[0] = key_kind_type(relation->subject_kind);
	query->types[1] = key_kind_type(relation->object_kind);
}

/* As the owner: the caller need not have a right to look into the schemas that the filter names. */
static void
examine_filter(AccessRelation *relation, const RelationRow *row, Relation table)
{
	int			nest_level = condition_begin_settings();
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(relation->owner, security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	relation->is_unsteady = condition_is_unsteady(condition_parse(table, row->filter,
																  EXPR_KIND_WHERE));
	SetUserIdAndSecContext(user, security);
	condition_end_settings(nest_level);
}

static AccessRelation *
make_ready(const RelationRow *row, const RelationParts *parts, Oid owner)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pattyly relation",
												  ALLOCSET_SMALL_SIZES);
	AccessRelation *relation = MemoryContextAllocZero(context, sizeof(AccessRelation));

	relation->context = context;
	strlcpy(relation->name, row->name, sizeof(relation->name));
	relation->assignments = row->assignments;
	relation->owner = owner;
	relation->subject_column = parts->subject->attnum;
	relation->subject_kind = parts->subject_kind;
	relation->object_kind = parts->object_kind;
	relation->include_self = row->include_self;
	if (row->filter != NULL)
		examine_filter(relation, row, parts->table);
	prepare_query(relation, &relation->probe, query_text(row, parts, true), 2);
	prepare_query(relation, &relation->fetch, query_text(row, parts, false), 1);
	return relation;
}

/*
 * The owner that was recorded must still be there, and still own the table: not as a
 * superuser does, for whoever owns it now may have changed what the filter calls.
 */
static Oid
check_owner(const RelationRow *row, Relation table)
{
	Oid			owner = row->owner == NULL ? InvalidOid : get_role_oid(row->owner, true);

	if (!OidIsValid(owner) || owner != table->rd_rel->relowner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("relation \"%s\" was defined for another owner of table \"%s\"", row->name,
						RelationGetRelationName(table)),
				 errdetail("The assignments are read with the rights of role \"%s\".",
						   row->owner == NULL ? "" : row->owner),
				 errhint("%s", define_hint)));
	return owner;
}

/* The filter has been read before: what it names is not there any more. */
static void
name_broken_filter(void *arg)
{
	errcontext("filter of relation \"%s\"", (const char *) arg);
	errhint("%s", define_hint);
	errposition(0);
}

static AccessRelation *
ready_relation(const RelationRow *row)
{
	ErrorContextCallback context = {error_context_stack, name_broken_filter, row->name};
	RelationParts parts;
	AccessRelation *relation;
	Oid			owner;

	open_parts(&parts, row, false);
	owner = check_owner(row, parts.table);
	error_context_stack = &context;
	relation = make_ready(row, &parts, owner);
	error_context_stack = context.previous;
	relation_close(parts.table, AccessShareLock);
	MemoryContextSetParent(relation->context, CacheMemoryContext);
	relation->next = ready;
	ready = relation;
	return relation;
}

/* ---- looking one up ---- */

static void
retire(AccessRelation **link)
{
	AccessRelation *relation = *link;

	*link = relation->next;
	ownerquery_forget(&relation->probe);
	ownerquery_forget(&relation->fetch);
	MemoryContextSetParent(relation->context, retired);
	relation->next = retired_ones;
	retired_ones = relation;
	epoch++;
}

/* One that was in use when it was retired has been planned again, perhaps. */
static void
bury_retired(void)
{
	for (AccessRelation *relation = retired_ones; relation != NULL; relation = relation->next)
	{
		ownerquery_forget(&relation->probe);
		ownerquery_forget(&relation->fetch);
	}
	retired_ones = NULL;
	MemoryContextDeleteChildren(retired);
}

static void
retire_those_of(Datum arg, Oid relid)
{
	AccessRelation **link = &ready;

	while (*link != NULL)
		if (relid == InvalidOid || relid == (*link)->assignments)
			retire(link);
		else
			link = &(*link)->next;
	if (relid == InvalidOid || relid == relations_table.relid)
		epoch++;
}

/* A role came, went or changed: perhaps an owner. Or a schema: its name stands in the queries. */
static void
retire_all(Datum arg, int cacheid, uint32 hash)
{
	retire_those_of(arg, InvalidOid);
}

static AccessRelation *
find_ready(const char *name, int length)
{
	AccessRelation *relation = ready;

	while (relation != NULL &&
		   (strncmp(relation->name, name, length) != 0 || relation->name[length] != '\0'))
		relation = relation->next;
	return relation;
}

/* NULL when there is no such row. */
static AccessRelation *
look_up(const char *name, int length)
{
	const RelationRow *row;
	AccessRelation *relation;

	config_get(&relations_table);
	if (ready_generation != relations_table.generation)
	{
		retire_those_of((Datum) 0, InvalidOid);
		ready_generation = relations_table.generation;
	}
	relation = length < NAMEDATALEN ? find_ready(name, length) : NULL;
	if (relation != NULL)
		return relation;
	row = length < NAMEDATALEN ? find_row(name, length) : NULL;
	return row == NULL ? NULL : ready_relation(row);
}

AccessRelation *
relation_get(const char *name, int length)
{
	AccessRelation *relation = look_up(name, length);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" is not defined", pnstrdup(name, pg_mbcliplen(name, length, 100))),
				 errhint("Define it with pattyly.define_relation, or see table pattyly.relations.")));
	return relation;
}

AccessRelation *
relation_find(const char *name, int length)
{
	return look_up(name, length);
}

uint64
relations_epoch(void)
{
	return epoch;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_PARALLEL_COMMIT || event == XACT_EVENT_PARALLEL_ABORT)
	{
		epoch++;
		bury_retired();
	}
}

void
relations_init(void)
{
	retired = AllocSetContextCreate(TopMemoryContext, "pattyly retired relations",
									ALLOCSET_SMALL_SIZES);
	config_register(&relations_table);
	CacheRegisterRelcacheCallback(retire_those_of, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, retire_all, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, retire_all, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, retire_all, (Datum) 0);
	RegisterXactCallback(end_of_transaction, NULL);
	ownerquery_init();
}

/* ---- a row is written ---- */

PATTYLY_FUNCTION(pattyly_check_relation_row);

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
	AccessRelation *relation = make_ready(row, parts, owner);
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
	open_parts(&parts, row, true);
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
	row = read_row(tuple, desc);
	check_row(row, TRIGGER_FIRED_BY_INSERT(trigger->tg_event));
	nulls[0] = row->filter == NULL;
	values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(row->filter);
	values[1] = DirectFunctionCall1(namein, CStringGetDatum(row->owner));
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, 2, columns, values, nulls));
}
