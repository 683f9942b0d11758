/*
 * hasaccess.c
 *		What a policy asks of a relation; each function says itself in
 *		relations.sql what it takes and returns.
 */
#include "postgres.h"

#include "access/sets.h"
#include "core/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

PATTYLY_FUNCTION(pattyly_accessible_ids);
PATTYLY_FUNCTION(pattyly_accessible_keys);
PATTYLY_FUNCTION(pattyly_accessible_uuids);
PATTYLY_FUNCTION(pattyly_has_access_bigint);
PATTYLY_FUNCTION(pattyly_has_access_integer);
PATTYLY_FUNCTION(pattyly_has_access_smallint);
PATTYLY_FUNCTION(pattyly_has_access_text);
PATTYLY_FUNCTION(pattyly_has_access_uuid);

static AccessSite *
call_site(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
														  sizeof(AccessSite));
	return fcinfo->flinfo->fn_extra;
}

static AccessSet *
named_set(FunctionCallInfo fcinfo)
{
	text	   *name = PG_GETARG_TEXT_PP(0);

	return access_set(call_site(fcinfo), VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
}

static void
reject_kind(const AccessRelation *relation, KeyKind asked)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("relation \"%s\" has objects of type %s, not %s", relation->name,
					key_kind_name(relation->object_kind), key_kind_name(asked)),
			 relation->object_kind == KEY_UUID ?
			 errhint("Ask with a uuid: has_access(text, uuid), accessible_uuids(text).") :
			 relation->object_kind == KEY_BIGINT ?
			 errhint("Ask with a bigint: has_access(text, bigint), accessible_ids(text).") :
			 errhint("Ask with a text: has_access(text, text), accessible_keys(text).")));
}

/* relation, object.  Null is nobody's. */
static Datum
has_access(FunctionCallInfo fcinfo, KeyKind kind, Datum object)
{
	AccessSet  *set;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	set = named_set(fcinfo);
	if (unlikely(access_set_relation(set)->object_kind != kind))
		reject_kind(access_set_relation(set), kind);
	PG_RETURN_BOOL(access_set_has(set, object));
}

Datum
pattyly_has_access_uuid(PG_FUNCTION_ARGS)
{
	return has_access(fcinfo, KEY_UUID, PG_GETARG_DATUM(1));
}

Datum
pattyly_has_access_bigint(PG_FUNCTION_ARGS)
{
	return has_access(fcinfo, KEY_BIGINT, PG_GETARG_DATUM(1));
}

/* Those for smaller integers spare a column the cast, which no index over it would match. */
Datum
pattyly_has_access_integer(PG_FUNCTION_ARGS)
{
	return has_access(fcinfo, KEY_BIGINT, Int64GetDatum(PG_GETARG_INT32(1)));
}

Datum
pattyly_has_access_smallint(PG_FUNCTION_ARGS)
{
	return has_access(fcinfo, KEY_BIGINT, Int64GetDatum(PG_GETARG_INT16(1)));
}

/* A literal without a type comes here, whatever the keys are. */
Datum
pattyly_has_access_text(PG_FUNCTION_ARGS)
{
	AccessSet  *set;
	Datum		object;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	set = named_set(fcinfo);
	object = PointerGetDatum(PG_GETARG_TEXT_PP(1));
	switch (access_set_relation(set)->object_kind)
	{
		case KEY_UUID:
			object = DirectFunctionCall1(uuid_in, CStringGetDatum(TextDatumGetCString(object)));
			break;
		case KEY_BIGINT:
			object = DirectFunctionCall1(int8in, CStringGetDatum(TextDatumGetCString(object)));
			break;
		case KEY_TEXT:
			break;
	}
	PG_RETURN_BOOL(access_set_has(set, object));
}

static Datum
accessible(FunctionCallInfo fcinfo, KeyKind kind)
{
	AccessSet  *set = named_set(fcinfo);

	if (access_set_relation(set)->object_kind != kind)
		reject_kind(access_set_relation(set), kind);
	PG_RETURN_ARRAYTYPE_P(access_set_array(set));
}

Datum
pattyly_accessible_uuids(PG_FUNCTION_ARGS)
{
	return accessible(fcinfo, KEY_UUID);
}

Datum
pattyly_accessible_ids(PG_FUNCTION_ARGS)
{
	return accessible(fcinfo, KEY_BIGINT);
}

Datum
pattyly_accessible_keys(PG_FUNCTION_ARGS)
{
	return accessible(fcinfo, KEY_TEXT);
}
