/*
 * relationrow.h
 *		A row of pattyly.relations, and the table and columns that it names: for
 *		those who make relations ready and who check them when they are written.
 */
#ifndef ACCESS_RELATIONROW_H
#define ACCESS_RELATIONROW_H

#include "access/htup.h"
#include "access/relations.h"
#include "catalog/pg_attribute.h"
#include "utils/rel.h"

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

/* The table, open, and its columns. */
typedef struct RelationParts
{
	Relation	table;
	Form_pg_attribute subject;
	Form_pg_attribute object;
	KeyKind		subject_kind;
	KeyKind		object_kind;
} RelationParts;

/* What to do about a relation that does not fit its table any more. */
extern const char *const relation_define_hint;

/* In the current memory context; errors for what must not be null. */
extern RelationRow *relation_read_row(HeapTuple tuple, TupleDesc desc);

/* Errors for a table or column that is not there, or cannot be what it should; for a writer, who must own the table. */
extern void relation_open_parts(RelationParts *parts, const RelationRow *row, bool is_written);

/* A relation of its own, with queries that can be run, in a memory context of its own. */
extern AccessRelation *relation_make(const RelationRow *row, const RelationParts *parts, Oid owner);

#endif							/* ACCESS_RELATIONROW_H */
