/*
 * relationrow.c
 *		See relationrow.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/relationrow.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/config.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

const char *const relation_define_hint =
	"Define the relation as its table is now with pattyly.define_relation, or drop it with pattyly.drop_relation.";

/* ---- the row ---- */

static char *
name_column(HeapTuple tuple, TupleDesc desc, int number)
{
	Datum		value = config_required(tuple, desc, number, "a relation",
										"A relation needs a name, a table and two of its columns, for example define_relation('client', 'expertassignment', 'expert_id', 'client_id').");

	return pstrdup(NameStr(*DatumGetName(value)));
}

RelationRow *
relation_read_row(HeapTuple tuple, TupleDesc desc)
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

/* ---- what it names ---- */

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

static Relation
open_assignments(const RelationRow *row)
{
	Relation	table = try_relation_open(row->assignments, AccessShareLock);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of assignments of relation \"%s\" does not exist", row->name),
				 errhint("%s", relation_define_hint)));
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
			 errhint("Names are taken as they are, without quotes. %s", relation_define_hint)));
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

void
relation_open_parts(RelationParts *parts, const RelationRow *row, bool is_written)
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
