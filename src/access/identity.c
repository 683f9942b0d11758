/*
 * identity.c
 *		See identity.h.
 */
#include "postgres.h"

#include "access/identity.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

enum
{
	SETTING_ROLE,
	SETTING_CLAIMS,
	SETTING_OLDER				/* and all that follow */
};

/* The older ones: those of the claims that are in every token of Supabase, and the whole of them. */
static const char *const settings[IDENTITY_SETTINGS] = {
	"role", "request.jwt.claims",
	"request.jwt.claim", "request.jwt.claim.sub", "request.jwt.claim.role",
	"request.jwt.claim.email", "request.jwt.claim.phone", "request.jwt.claim.aud",
	"request.jwt.claim.iss", "request.jwt.claim.iat", "request.jwt.claim.exp",
	"request.jwt.claim.aal", "request.jwt.claim.amr", "request.jwt.claim.session_id",
	"request.jwt.claim.is_anonymous", "request.jwt.claim.app_metadata",
	"request.jwt.claim.user_metadata"
};

char *
identity_setting_value(int i)
{
	const char *value = GetConfigOption(settings[i], true, false);

	return pstrdup(value == NULL ? "" : value);
}

static void
set(const char *name, const char *value, GucAction action)
{
	(void) set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
							 action, true, 0, false);
}

void
identity_set(int i, const char *value, GucAction action)
{
	set(settings[i], value, action);
}

/* ---- from arguments ---- */

static void
read_role(FunctionCallInfo fcinfo, int role, Identity *identity)
{
	if (PG_ARGISNULL(role))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("role must not be NULL"),
				 errhint("Name the role that the API uses for this caller: anon or authenticated.")));
	identity->role_name = pstrdup(NameStr(*PG_GETARG_NAME(role)));
	identity->role = get_role_oid(identity->role_name, true);
	if (!OidIsValid(identity->role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", identity->role_name),
				 errhint("See pg_roles, or make it with CREATE ROLE.")));
}

/* What the arguments say besides the claims. */
static Datum
own_claims(FunctionCallInfo fcinfo, int uid, const Identity *identity)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"role\": ");
	escape_json(&text, identity->role_name);
	if (!PG_ARGISNULL(uid))
		appendStringInfo(&text, ", \"sub\": \"%s\"",
						 DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(uid))));
	appendStringInfoChar(&text, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

void
identity_from_args(FunctionCallInfo fcinfo, int uid, int role, int claims, Identity *identity)
{
	Jsonb	   *json;

	read_role(fcinfo, role, identity);
	if (PG_ARGISNULL(claims) || !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(claims)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("claims must be a JSON object"),
				 errhint("Write them as they stand in the token, such as '{\"app_metadata\": {\"tenant_id\": 7}}'.")));
	json = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, PG_GETARG_DATUM(claims),
											  own_claims(fcinfo, uid, identity)));
	identity->claims = JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* ---- being somebody ---- */

void
identity_take_on(const Identity *identity, GucAction action)
{
	for (int i = SETTING_OLDER; i < IDENTITY_SETTINGS; i++)
		if (identity_setting_value(i)[0] != '\0')
			identity_set(i, "", action);
	identity_set(SETTING_CLAIMS, identity->claims, action);
	identity_set(SETTING_ROLE, identity->role_name, action);
}

void
identity_disguise(const Identity *identity, Disguise *disguise)
{
	GetUserIdAndSecContext(&disguise->user, &disguise->security);
	disguise->nest_level = NewGUCNestLevel();
	identity_take_on(identity, GUC_ACTION_SAVE);
	/* As it is for the application; off would make an error of every policy. */
	set("row_security", "on", GUC_ACTION_SAVE);
	SetUserIdAndSecContext(identity->role, disguise->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

void
identity_undisguise(const Disguise *disguise)
{
	SetUserIdAndSecContext(disguise->user, disguise->security);
	AtEOXact_GUC(false, disguise->nest_level);
}
