/*
 * estimate.c
 *		See estimate.h.
 *
 * One subject may have a thousand times as many objects as another.  Those with the
 * most are among the most common values that ANALYZE has noted of the subjects'
 * column, each with its share of the table; all others share the rest evenly.
 */
#include "postgres.h"

#include "access/claims.h"
#include "access/estimate.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

/* Of a table without statistics: an expert with a usual number of clients. */
#define UNKNOWN_ESTIMATE 100.0

static double
table_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = -1;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	return rows;
}

/* A table with children has statistics of all of them, which is what is read. */
static HeapTuple
column_statistics(const AccessRelation *relation)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation->assignments),
										Int16GetDatum(relation->subject_column), BoolGetDatum(true));

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation->assignments),
								Int16GetDatum(relation->subject_column), BoolGetDatum(false));
	return tuple;
}

/* Whether a value of the column, of the type that it has there, is the caller. */
static bool
is_caller(Datum value, Oid type, KeyKind kind)
{
	const char *sub = claims_sub();

	if (sub == NULL)
		return false;
	if (kind == KEY_UUID)
		return memcmp(DatumGetUUIDP(value), claims_uid(), UUID_LEN) == 0;
	if (kind == KEY_TEXT)
		return strcmp(TextDatumGetCString(value), sub) == 0;
	return strtoll(sub, NULL, 10) == (type == INT2OID ? DatumGetInt16(value) :
									  type == INT4OID ? DatumGetInt32(value) :
									  DatumGetInt64(value));
}

/* The caller's share of the table, or the average one. */
static double
caller_share(const AccessRelation *relation, HeapTuple statistics, double rows)
{
	Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(statistics);
	double		others = 1.0 - form->stanullfrac;
	double		n_others = form->stadistinct > 0 ? form->stadistinct : -form->stadistinct * rows;
	double		share = -1;
	AttStatsSlot slot;

	if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
						 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
	{
		for (int i = 0; i < slot.nvalues && share < 0; i++)
		{
			if (is_caller(slot.values[i], slot.valuetype, relation->subject_kind))
				share = slot.numbers[i];
			others -= slot.numbers[i];
		}
		n_others -= slot.nvalues;
		free_attstatsslot(&slot);
	}
	return share >= 0 ? share : Max(others, 0) / Max(n_others, 1);
}

double
access_estimate(const AccessRelation *relation)
{
	double		rows = table_rows(relation->assignments);
	HeapTuple	statistics = rows < 0 ? NULL : column_statistics(relation);
	double		estimate = UNKNOWN_ESTIMATE;

	claims_version();
	if (HeapTupleIsValid(statistics))
	{
		estimate = caller_share(relation, statistics, rows) * rows;
		ReleaseSysCache(statistics);
	}
	if (claims_sub() == NULL)
		estimate = 0;
	if (relation->include_self)
		estimate++;
	return Max(estimate, 1);
}
