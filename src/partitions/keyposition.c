/*
 * keyposition.c
 *		See keyposition.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/clock.h"
#include "catalog/pg_type.h"
#include "partitions/keyposition.h"
#include "port/pg_bswap.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define UNIX_EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

bool
keyposition_is_known(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID || type == INT2OID ||
		type == INT4OID || type == INT8OID || type == UUIDOID;
}

GridKey
keyposition_grid_key(Oid type)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
			return GRID_TIMESTAMPTZ;
		case TIMESTAMPOID:
			return GRID_TIMESTAMP;
		case DATEOID:
			return GRID_DATE;
		case UUIDOID:
			return GRID_UUIDV7;
		default:
			return GRID_INT8;
	}
}

static int64
uuid_position(const pg_uuid_t *uuid)
{
	uint64		top;

	memcpy(&top, uuid->data, sizeof(top));
	return (int64) (pg_ntoh64(top) ^ (uint64) PG_INT64_MIN);
}

int64
keyposition(Oid type, Datum value)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return DatumGetTimestamp(value) +
				(keyposition_is_infinite(type, value) ? 0 : CLOCK_EPOCH_SHIFT_US);
		case DATEOID:
			return DatumGetDateADT(value) + (keyposition_is_infinite(type, value) ? 0 : UNIX_EPOCH_DAYS);
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		case UUIDOID:
			return uuid_position(DatumGetUUIDP(value));
		default:
			elog(ERROR, "no key has type %u", type);
	}
}

bool
keyposition_is_infinite(Oid type, Datum value)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value));
		case DATEOID:
			return DATE_NOT_FINITE(DatumGetDateADT(value));
		default:
			return false;
	}
}
