/*
 * relations.c
 *		See relations.h.
 *
 * A row of pattyly.relations is checked twice.  When it is written, all of it,
 * with the writer's rights (relationcheck.c); the filter is stored as text that
 * means the same under any search_path.  And when it is first used after anything
 * about the table of assignments has changed: a relation whose table, column or
 * owner is not what it was raises an error until it is defined anew, and lets
 * nobody through.
 */
#include "postgres.h"

#include "access/condition.h"
#include "access/relation.h"
#include "access/relationrow.h"
#include "access/relations.h"
#include "core/compat.h"
#include "core/config.h"
#include "core/transaction.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static void *load_rows(Relation table);

static ConfigTable relations_table = {.name = "relations", .load = load_rows};

/* The relations that were made ready, and those that are not good any more but may be in use. */
static AccessRelation *ready;
static uint64 ready_generation;
static AccessRelation *retired_ones;
static MemoryContext retired;
static uint64 epoch = 1;

/* ---- rows ---- */

static void
add_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	RelationRow **rows = arg;
	RelationRow *row = relation_read_row(tuple, desc);

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

AccessRelation *
relation_make(const RelationRow *row, const RelationParts *parts, Oid owner)
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
				 errhint("%s", relation_define_hint)));
	return owner;
}

/* The filter has been read before: what it names is not there any more. */
static void
name_broken_filter(void *arg)
{
	errcontext("filter of relation \"%s\"", (const char *) arg);
	errhint("%s", relation_define_hint);
	errposition(0);
}

static AccessRelation *
ready_relation(const RelationRow *row)
{
	ErrorContextCallback context = {error_context_stack, name_broken_filter, row->name};
	RelationParts parts;
	AccessRelation *relation;
	Oid			owner;

	relation_open_parts(&parts, row, false);
	owner = check_owner(row, parts.table);
	error_context_stack = &context;
	relation = relation_make(row, &parts, owner);
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
	if (transaction_has_ended(event))
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
