/*
 * who.c
 *		The functions that tell who is asking; each says itself in claims.sql what
 *		it returns.  uid(), role(), email() and claims() give what Supabase's
 *		auth.uid(), auth.role(), auth.email() and auth.jwt() give, errors included.
 */
#include "postgres.h"

#include "access/claimpath.h"
#include "access/claims.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/jsonpick.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

PATTYLY_FUNCTION(pattyly_aal);
PATTYLY_FUNCTION(pattyly_claim);
PATTYLY_FUNCTION(pattyly_claim_json);
PATTYLY_FUNCTION(pattyly_claims);
PATTYLY_FUNCTION(pattyly_email);
PATTYLY_FUNCTION(pattyly_has_claim);
PATTYLY_FUNCTION(pattyly_is_anonymous);
PATTYLY_FUNCTION(pattyly_is_owner);
PATTYLY_FUNCTION(pattyly_role);
PATTYLY_FUNCTION(pattyly_session_id);
PATTYLY_FUNCTION(pattyly_uid);

static Datum
uuid_copy_datum(const pg_uuid_t *uuid)
{
	pg_uuid_t  *copy = palloc(UUID_LEN);

	memcpy(copy, uuid, UUID_LEN);
	return UUIDPGetDatum(copy);
}

/* The current claims, or NULL. */
static Jsonb *
current_json(void)
{
	claims_version();
	return claims_json();
}

/* request.jwt.claim, when set, is the whole of the claims, as auth.jwt() has it. */
static Jsonb *
whole_claims(void)
{
	const char *older = request_setting("request.jwt.claim");

	if (older != NULL)
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(older)));
	return current_json();
}

typedef Datum (*JsonbLookup) (PG_FUNCTION_ARGS);

/* json -> steps, json ->> steps: by whichever of PostgreSQL's functions. False when there is nothing. */
static bool
look_up(JsonbLookup function, Jsonb *json, const ClaimPath *path, Datum *value)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		steps[CLAIM_PATH_MAX_STEPS];

	if (json == NULL)
		return false;
	for (int i = 0; i < path->n; i++)
		steps[i] = CStringGetTextDatum(path->steps[i]);
	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(json);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(construct_array(steps, path->n, TEXTOID, -1, false,
															TYPALIGN_INT));
	fcinfo->args[1].isnull = false;
	*value = function(fcinfo);
	return !fcinfo->isnull;
}

/* The claim of that name as text, by its older setting or from the claims; NULL when there is none. */
static char *
claim_text(const char *name)
{
	ClaimPath	path = {.n = 1, .steps = {name}};
	const char *older = claims_older(name, strlen(name));
	Datum		value;

	if (older != NULL)
		return pstrdup(older);
	return look_up(jsonb_extract_path_text, current_json(), &path, &value) ?
		TextDatumGetCString(value) : NULL;
}

/* ---- the claims that have functions of their own ---- */

Datum
pattyly_uid(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *uid;

	claims_version();
	uid = claims_uid();
	if (uid == NULL)
		PG_RETURN_NULL();
	return uuid_copy_datum(uid);
}

Datum
pattyly_is_owner(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *uid;

	claims_version();
	uid = claims_uid();
	PG_RETURN_BOOL(uid != NULL && !PG_ARGISNULL(0) &&
				   memcmp(uid, PG_GETARG_UUID_P(0), UUID_LEN) == 0);
}

static Datum
return_text(FunctionCallInfo fcinfo, const char *text)
{
	if (text == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

Datum
pattyly_role(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, claim_text("role"));
}

Datum
pattyly_email(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, claim_text("email"));
}

Datum
pattyly_aal(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, claim_text("aal"));
}

Datum
pattyly_session_id(PG_FUNCTION_ARGS)
{
	char	   *text = claim_text("session_id");

	if (text == NULL)
		PG_RETURN_NULL();
	return DirectFunctionCall1(uuid_in, CStringGetDatum(text));
}

Datum
pattyly_is_anonymous(PG_FUNCTION_ARGS)
{
	char	   *text = claim_text("is_anonymous");

	if (text == NULL)
		PG_RETURN_NULL();
	return DirectFunctionCall1(boolin, CStringGetDatum(text));
}

Datum
pattyly_claims(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = whole_claims();
	Jsonb	   *copy;

	if (json == NULL)
		PG_RETURN_NULL();
	copy = palloc(VARSIZE(json));
	memcpy(copy, json, VARSIZE(json));
	PG_RETURN_JSONB_P(copy);
}

/* ---- any claim, by its path ---- */

/* The path's steps, in memory of this call. */
static void
read_path(text *path, ClaimPath *result)
{
	size_t		length = VARSIZE_ANY_EXHDR(path);
	const char *fault = claim_path_parse(VARDATA_ANY(path), length, palloc(2 * length + 1), result);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("malformed path of a claim: %s", fault),
				 errhint("Write names with dots between them, such as app_metadata.tenant_id or roles[0]; a name with a dot in it goes in double quotes.")));
}

/* An older setting carries plain text, unless it is an object or an array. */
static Jsonb *
json_of_older(const char *text)
{
	if (text[0] == '{' || text[0] == '[')
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	else
	{
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = unconstify(char *, text);
		value.val.string.len = strlen(text);
		return JsonbValueToJsonb(&value);
	}
}

/* What the path leads to, as function gives it; false when there is nothing. */
static bool
find_claim(JsonbLookup function, text *path_text, Datum *value)
{
	ClaimPath	path;
	const char *older;

	read_path(path_text, &path);
	older = claims_older(path.steps[0], strlen(path.steps[0]));
	if (older == NULL)
		return look_up(function, whole_claims(), &path, value);
	path.n--;
	memmove(path.steps, path.steps + 1, path.n * sizeof(path.steps[0]));
	return look_up(function, json_of_older(older), &path, value);
}

Datum
pattyly_claim(PG_FUNCTION_ARGS)
{
	Datum		value;

	if (!find_claim(jsonb_extract_path_text, PG_GETARG_TEXT_PP(0), &value))
		PG_RETURN_NULL();
	return value;
}

Datum
pattyly_claim_json(PG_FUNCTION_ARGS)
{
	Datum		value;

	if (!find_claim(jsonb_extract_path, PG_GETARG_TEXT_PP(0), &value))
		PG_RETURN_NULL();
	return value;
}

static bool
text_equals(text *wanted, const char *value, size_t length)
{
	return VARSIZE_ANY_EXHDR(wanted) == length && memcmp(VARDATA_ANY(wanted), value, length) == 0;
}

/* A string, number or boolean in the form in which ->> gives it. */
static bool
scalar_equals(const JsonbValue *scalar, text *wanted)
{
	const char *value;

	switch (scalar->type)
	{
		case jbvString:
			return text_equals(wanted, scalar->val.string.val, scalar->val.string.len);
		case jbvBool:
			value = scalar->val.boolean ? "true" : "false";
			return text_equals(wanted, value, strlen(value));
		case jbvNumeric:
			value = DatumGetCString(DirectFunctionCall1(numeric_out,
														NumericGetDatum(scalar->val.numeric)));
			return text_equals(wanted, value, strlen(value));
		default:
			return false;
	}
}

/* path, value */
Datum
pattyly_has_claim(PG_FUNCTION_ARGS)
{
	text	   *wanted = PG_GETARG_TEXT_PP(1);
	Datum		found;
	JsonbContainer *claim;

	if (!find_claim(jsonb_extract_path, PG_GETARG_TEXT_PP(0), &found))
		PG_RETURN_BOOL(false);
	claim = &DatumGetJsonbP(found)->root;
	if (JsonContainerIsObject(claim))
		PG_RETURN_BOOL(false);
	/* A scalar stands in an array of one. */
	for (uint32 i = 0; i < JsonContainerSize(claim); i++)
		if (scalar_equals(getIthJsonbValueFromContainer(claim, i), wanted))
			PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}
