/*
 * keyscan.c
 *		The lowest or highest key of a table.  Read without a query: no row policy
 *		hides a key, and no function of the table's owner runs.
 */
#include "postgres.h"

#include "core/compat.h"
#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/tuptable.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "partitions/asowner.h"
#include "partitions/keyposition.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PATTYLY_FUNCTION(pattyly_partition_extreme);

typedef struct KeyScan
{
	Relation	table;
	AttrNumber	column;
	Oid			type;
	bool		highest;
	int64		from;			/* included */
	int64		to;				/* not included, unless to_open */
	bool		to_open;
	bool		found;
	int64		position;
} KeyScan;

/* Whether the scan, in the order of the keys, has come to its end. */
static bool
see_key(KeyScan *scan, TupleTableSlot *slot, bool ordered)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, scan->column, &isnull);
	int64		position;

	if (isnull)
		return false;
	position = keyposition(scan->type, value);
	if (position < scan->from)
		return ordered && scan->highest;
	if (!scan->to_open && position >= scan->to)
		return ordered && !scan->highest;
	if (!scan->found || (scan->highest ? position > scan->position : position < scan->position))
		scan->position = position;
	scan->found = true;
	return ordered;
}

static void
scan_table(KeyScan *scan)
{
	TupleTableSlot *slot = table_slot_create(scan->table, NULL);
	TableScanDesc desc = table_beginscan(scan->table, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(desc, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (see_key(scan, slot, false))
			break;
	}
	table_endscan(desc);
	ExecDropSingleTupleTableSlot(slot);
}

/* Of all rows, whole, and in the order of the type's own operators, which no user wrote. */
static bool
is_usable(Relation index, AttrNumber column)
{
	return index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid &&
		index->rd_index->indisready && index->rd_index->indislive &&
		index->rd_index->indkey.values[0] == column && index->rd_opfamily[0] < FirstNormalObjectId &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		!index->rd_index->indcheckxmin;
}

static Relation
open_index(KeyScan *scan)
{
	List	   *indexes = RelationGetIndexList(scan->table);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_usable(index, scan->column))
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}

static void
scan_index(KeyScan *scan, Relation index)
{
	TupleTableSlot *slot = table_slot_create(scan->table, NULL);
	IndexScanDesc desc = compat_index_beginscan(scan->table, index, GetActiveSnapshot(), 0);
	bool		descending = (index->rd_indoption[0] & INDOPTION_DESC) != 0;
	ScanDirection direction = scan->highest != descending ? BackwardScanDirection : ForwardScanDirection;

	index_rescan(desc, NULL, 0, NULL, 0);
	while (index_getnext_slot(desc, direction, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (see_key(scan, slot, true))
			break;
	}
	index_endscan(desc);
	ExecDropSingleTupleTableSlot(slot);
}

static void
scan_one(KeyScan *scan, Oid table, const char *control)
{
	Relation	index;

	scan->table = table_open(table, NoLock);
	scan->column = get_attnum(table, control);
	scan->type = get_atttype(table, scan->column);
	if (!keyposition_is_known(scan->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table %s has no column \"%s\" that could be a key",
						RelationGetRelationName(scan->table), control),
				 errhint("Name the column by which the table is partitioned.")));
	index = open_index(scan);
	if (index == NULL)
		scan_table(scan);
	else
	{
		scan_index(scan, index);
		index_close(index, AccessShareLock);
	}
	table_close(scan->table, NoLock);
}

/* A partition may be partitioned itself. Foreign tables are not looked into. */
static void
scan_tree(KeyScan *scan, Oid table, const char *control)
{
	ListCell   *cell;

	/* find_all_inheritors() locks what it finds, not where it begins. While this waited, the table may have gone. */
	LockRelationOid(table, AccessShareLock);
	(void) asowner_check(table);
	foreach(cell, find_all_inheritors(table, AccessShareLock, NULL))
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION)
			scan_one(scan, lfirst_oid(cell), control);
}

/* (target regclass, control name, from_pos bigint, to_pos bigint, highest boolean) */
Datum
pattyly_partition_extreme(PG_FUNCTION_ARGS)
{
	KeyScan		scan = {.from = PG_INT64_MIN, .to_open = PG_ARGISNULL(3)};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the table, the column and the end to look from must not be null"),
				 errhint("Name a table and its partition column.")));
	asowner_check(PG_GETARG_OID(0));
	scan.highest = PG_GETARG_BOOL(4);
	if (!PG_ARGISNULL(2))
		scan.from = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
		scan.to = PG_GETARG_INT64(3);
	scan_tree(&scan, PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)));
	if (!scan.found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(scan.position);
}
