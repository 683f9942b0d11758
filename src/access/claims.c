/*
 * claims.c
 *		See claims.h.
 *
 * The older setting of a claim wins when it is not empty, as in Supabase's
 * auth.uid() and its kin, and then request.jwt.claims is not even parsed.
 */
#include "postgres.h"

#include "access/claims.h"
#include "core/compat.h"
#include "core/jsonpick.h"
#include "core/setting.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

static SettingPlace sub_setting = {.name = "request.jwt.claim.sub"};
static SettingPlace claims_setting = {.name = "request.jwt.claims"};

/* What the settings said last; all pointers point into the context. */
static struct
{
	MemoryContext context;
	uint64		version;		/* grows with every other text */
	char	   *sub_text;		/* "" when unset */
	char	   *claims_text;	/* "" when unset */
	Jsonb	   *json;			/* of claims_text; NULL when not parsed yet, or unset */
	bool		sub_known;		/* sub is what it should be */
	const char *sub;
	pg_uuid_t  *uid;			/* of sub; NULL when not parsed yet, or none */
} known;

void
claims_init(void)
{
	known.context = AllocSetContextCreate(TopMemoryContext, "pattyly claims", ALLOCSET_SMALL_SIZES);
	known.sub_text = "";
	known.claims_text = "";
	known.version = 1;
}

/* A change that cannot be taken in for want of memory leaves nobody's claims behind. */
static void
take_in(const char *sub_text, const char *claims_text)
{
	MemoryContextReset(known.context);
	known.json = NULL;
	known.sub_known = false;
	known.sub = NULL;
	known.uid = NULL;
	known.sub_text = "";
	known.claims_text = "";
	known.version++;
	known.claims_text = MemoryContextStrdup(known.context, claims_text);
	known.sub_text = MemoryContextStrdup(known.context, sub_text);
}

static inline bool
same_text(const char *setting, const char *kept)
{
	return setting == NULL ? kept[0] == '\0' : strcmp(setting, kept) == 0;
}

uint64
claims_version(void)
{
	const char *sub_text = setting_value(&sub_setting);
	const char *claims_text = setting_value(&claims_setting);

	if (unlikely(!same_text(claims_text, known.claims_text) || !same_text(sub_text, known.sub_text)))
		take_in(sub_text != NULL ? sub_text : "", claims_text != NULL ? claims_text : "");
	return known.version;
}

Jsonb *
claims_json(void)
{
	if (known.json == NULL && known.claims_text[0] != '\0')
	{
		Jsonb	   *parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
																CStringGetDatum(known.claims_text)));
		Jsonb	   *kept = MemoryContextAlloc(known.context, VARSIZE(parsed));

		memcpy(kept, parsed, VARSIZE(parsed));
		pfree(parsed);
		known.json = kept;
	}
	return known.json;
}

/* json ->> 'sub' */
static const char *
sub_of_json(void)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		value;

	if (claims_json() == NULL)
		return NULL;
	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(known.json);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(cstring_to_text("sub"));
	fcinfo->args[1].isnull = false;
	value = jsonb_object_field_text(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(value);
}

const char *
claims_sub(void)
{
	if (!known.sub_known)
	{
		const char *sub = known.sub_text[0] != '\0' ? known.sub_text : sub_of_json();

		known.sub = sub == NULL ? NULL : MemoryContextStrdup(known.context, sub);
		known.sub_known = true;
	}
	return known.sub;
}

const pg_uuid_t *
claims_uid(void)
{
	if (known.uid == NULL && claims_sub() != NULL)
	{
		Datum		uid = DirectFunctionCall1(uuid_in, CStringGetDatum(known.sub));
		pg_uuid_t  *kept = MemoryContextAlloc(known.context, UUID_LEN);

		memcpy(kept, DatumGetUUIDP(uid), UUID_LEN);
		known.uid = kept;
	}
	return known.uid;
}

const char *
claims_older(const char *name, size_t length)
{
	char		setting[NAMEDATALEN * 2];

	/* A name that fits no setting was never set. */
	if (length == 0 || length >= NAMEDATALEN)
		return NULL;
	snprintf(setting, sizeof(setting), "request.jwt.claim.%.*s", (int) length, name);
	return request_setting(setting);
}
