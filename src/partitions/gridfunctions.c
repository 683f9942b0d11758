/*
 * gridfunctions.c
 *		The grid of a set (grid.h) for the SQL of this room.  A grid is named by what
 *		a set says of it: every, the type of the key, its encoding, the time zone.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/zone.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "partitions/gridtext.h"
#include "partitions/keyposition.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PATTYLY_FUNCTION(pattyly_partition_before);
PATTYLY_FUNCTION(pattyly_partition_bound);
PATTYLY_FUNCTION(pattyly_partition_name);
PATTYLY_FUNCTION(pattyly_partition_position);
PATTYLY_FUNCTION(pattyly_partition_ranges);

/* ---- the grid of the arguments ---- */

static bool
find_key(Oid type, const char *encoding, GridKey *key)
{
	static const struct
	{
		Oid			type;
		const char *encoding;
		GridKey		key;
	}			keys[] = {
		{TIMESTAMPTZOID, NULL, GRID_TIMESTAMPTZ},
		{TIMESTAMPOID, NULL, GRID_TIMESTAMP},
		{DATEOID, NULL, GRID_DATE},
		{INT2OID, NULL, GRID_INT2},
		{INT4OID, NULL, GRID_INT4},
		{INT8OID, NULL, GRID_INT8},
		{INT4OID, "epoch_s", GRID_INT4_S},
		{INT8OID, "epoch_s", GRID_INT8_S},
		{INT8OID, "epoch_ms", GRID_INT8_MS},
		{UUIDOID, "uuidv7", GRID_UUIDV7},
	};

	for (int i = 0; i < lengthof(keys); i++)
	{
		*key = keys[i].key;
		if (type == keys[i].type && (encoding == NULL) == (keys[i].encoding == NULL) &&
			(encoding == NULL || strcmp(encoding, keys[i].encoding) == 0))
			return true;
	}
	return false;
}

pg_noreturn static void
refuse_key(Oid type, const char *encoding)
{
	if (encoding == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot partition by a key of type %s", format_type_be(type)),
				 type == UUIDOID ?
				 errhint("If the keys are UUIDs of version 7, say so: encoding => 'uuidv7'.") :
				 errhint("The key can be timestamptz, timestamp, date, bigint, integer or smallint, "
						 "or with an encoding bigint, integer or uuid.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("encoding \"%s\" does not fit a key of type %s", encoding, format_type_be(type)),
			 errhint("There are epoch_s (bigint or integer), epoch_ms (bigint) and uuidv7 (uuid); "
					 "other keys have none.")));
}

static GridStep
parse_step(const char *text, const char *what)
{
	GridStep	step = {0};
	const char *fault = grid_parse_step(text, &step);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is \"%s\": %s", what, text, fault),
				 errhint("Write one number and one of minutes, hours, days, weeks, months, years, such as "
						 "'1 month'; for ids a number alone, such as '100000'.")));
	return step;
}

static void
check_step(GridStep step, GridKey key, const char *text, const char *what)
{
	const char *fault = grid_step_fault(step, key);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is \"%s\", which does not fit the key: %s", what, text, fault),
				 errhint("A key that is a time goes with '1 month' and the like, an id with a number such as "
						 "'100000', and a number that is a time needs its encoding, epoch_s or epoch_ms.")));
}

/* The arguments 0 to 3 of the functions below. */
static Grid
grid_of_arguments(FunctionCallInfo fcinfo)
{
	char	   *every;
	char	   *encoding = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	Grid		grid;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("every, the key and the time zone must not be null"),
				 errhint("Give every, such as '1 month', and leave timezone out for UTC.")));
	if (!find_key(PG_GETARG_OID(1), encoding, &grid.key))
		refuse_key(PG_GETARG_OID(1), encoding);
	every = text_to_cstring(PG_GETARG_TEXT_PP(0));
	grid.step = parse_step(every, "every");
	check_step(grid.step, grid.key, every, "every");
	grid.zone = zone_find(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	return grid;
}

/* ---- functions ---- */

/* (every, key, encoding, timezone, at timestamptz): NULL when no key can be so. */
Datum
pattyly_partition_position(PG_FUNCTION_ARGS)
{
	Grid		grid = grid_of_arguments(fcinfo);
	int64		position;

	if (PG_ARGISNULL(4) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(4)) ||
		!grid_position(&grid, clock_from_timestamp(PG_GETARG_TIMESTAMPTZ(4)), &position))
		PG_RETURN_NULL();
	PG_RETURN_INT64(position);
}

/* (every, key, encoding, timezone, position bigint, retain text): NULL when there is no key before. */
Datum
pattyly_partition_before(PG_FUNCTION_ARGS)
{
	Grid		grid = grid_of_arguments(fcinfo);
	char	   *retain;
	GridStep	width;
	int64		before;

	if (PG_ARGISNULL(5))
		PG_RETURN_NULL();
	retain = text_to_cstring(PG_GETARG_TEXT_PP(5));
	width = parse_step(retain, "retain");
	check_step(width, grid.key, retain, "retain");
	if (grid_step_is_shorter(width, grid.step))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retain is \"%s\", shorter than one partition (\"%s\")", retain,
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("Retain at least as much as a partition holds, or make the partitions smaller.")));
	if (PG_ARGISNULL(4) || !grid_before(&grid, PG_GETARG_INT64(4), width, &before))
		PG_RETURN_NULL();
	PG_RETURN_INT64(before);
}

static Datum
value_datum(GridKey key, int64 position, bool open, const char *when_open)
{
	char		value[GRID_VALUE_SIZE];

	if (open)
		return CStringGetTextDatum(when_open);
	grid_value(key, position, value);
	return CStringGetTextDatum(value);
}

static void
put_range(ReturnSetInfo *result, const Grid *grid, const GridRange *range)
{
	Datum		values[5];
	bool		nulls[5] = {false};
	char		suffix[GRID_SUFFIX_SIZE];

	grid_suffix(grid, range, suffix);
	values[0] = CStringGetTextDatum(suffix);
	values[1] = Int64GetDatum(range->from);
	values[2] = Int64GetDatum(range->to);
	values[3] = value_datum(grid->key, range->from, range->from_open, "MINVALUE");
	values[4] = value_datum(grid->key, range->to, range->to_open, "MAXVALUE");
	nulls[1] = range->from_open;
	nulls[2] = range->to_open;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * (every, key, encoding, timezone, first bigint, last bigint, more integer, max_rows integer):
 * the ranges from that of "first" to that of "last" and "more" after it.
 */
Datum
pattyly_partition_ranges(PG_FUNCTION_ARGS)
{
	Grid		grid = grid_of_arguments(fcinfo);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		last;
	int32		more;
	int32		max_rows;
	GridRange	range;
	bool		there;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(4) || PG_ARGISNULL(5) || PG_ARGISNULL(6) || PG_ARGISNULL(7))
		return (Datum) 0;
	last = PG_GETARG_INT64(5);
	more = PG_GETARG_INT32(6);
	max_rows = PG_GETARG_INT32(7);
	there = grid_range(&grid, PG_GETARG_INT64(4), &range);
	for (int32 rows = 0; there && rows < max_rows; rows++)
	{
		if (range.from > last && more-- <= 0)
			break;
		put_range(result, &grid, &range);
		there = grid_next(&grid, &range, &range);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

Datum
pattyly_partition_name(PG_FUNCTION_ARGS)
{
	char		name[GRID_NAME_SIZE];
	char	   *suffix = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (strlen(suffix) >= GRID_SUFFIX_SIZE)
		elog(ERROR, "suffix is too long");
	grid_name(NameStr(*PG_GETARG_NAME(0)), suffix, name);
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

/* ---- bounds of partitions that are there ---- */

static void
put_bound(List *datums, int at, Datum *values, bool *nulls)
{
	PartitionRangeDatum *datum = linitial(datums);
	Const	   *value = (Const *) datum->value;
	int64		position;

	nulls[at] = true;
	if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
		values[at + 2] = CStringGetTextDatum(datum->kind == PARTITION_RANGE_DATUM_MINVALUE ?
											 "MINVALUE" : "MAXVALUE");
	else if (!keyposition_is_known(value->consttype))
		nulls[at + 2] = true;
	else
	{
		nulls[at] = false;
		position = keyposition(value->consttype, value->constvalue);
		values[at] = Int64GetDatum(position);
		values[at + 2] = keyposition_is_infinite(value->consttype, value->constvalue) ?
			CStringGetTextDatum(position < 0 ? "-infinity" : "infinity") :
			value_datum(keyposition_grid_key(value->consttype), position, false, NULL);
	}
}

/*
 * pg_class.relpartbound as (is_default, from_pos, to_pos, from_value, to_value);
 * positions are NULL where there is no bound.  NULL for what is no range of one
 * column.
 */
Datum
pattyly_partition_bound(PG_FUNCTION_ARGS)
{
	PartitionBoundSpec *spec = stringToNode(TextDatumGetCString(PG_GETARG_DATUM(0)));
	TupleDesc	desc;
	Datum		values[5] = {0};
	bool		nulls[5] = {false, true, true, true, true};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!IsA(spec, PartitionBoundSpec) ||
		(!spec->is_default &&
		 (spec->strategy != PARTITION_STRATEGY_RANGE || list_length(spec->lowerdatums) != 1)))
		PG_RETURN_NULL();
	values[0] = BoolGetDatum(spec->is_default);
	if (!spec->is_default)
	{
		nulls[3] = nulls[4] = false;
		put_bound(spec->lowerdatums, 1, values, nulls);
		put_bound(spec->upperdatums, 2, values, nulls);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
