/*
 * runsettings.c
 *		See runsettings.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "jobs/runsettings.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#define HINT "Write it like {\"statement_timeout\": \"5min\", \"search_path\": \"app, public\"}."

static const char *
value_text(const char *name, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "on" : "off";
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("setting \"%s\" of a job must be text, a number or a boolean", name),
					 errhint(HINT)));
	}
	pg_unreachable();
}

static void
name_setting(void *name)
{
	errcontext("setting \"%s\" of a job", (const char *) name);
}

/* With "change" false it is tried only. */
static void
set_one(const char *name, const char *value, bool change)
{
	ErrorContextCallback callback = {error_context_stack, name_setting, unconstify(char *, name)};

	/* Names with a dot are an extension's, or anybody's. */
	if (strchr(name, '.') == NULL && GetConfigOption(name, true, false) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("unrecognized configuration parameter \"%s\" in the settings of a job", name),
				 errhint("See pg_settings for the names of settings.")));
	error_context_stack = &callback;
	(void) set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SET, change, ERROR, false);
	error_context_stack = callback.previous;
}

static void
for_each_setting(const char *json, bool change)
{
	Jsonb	   *object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the settings of a job must be a JSON object"),
				 errhint(HINT)));
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		(void) JsonbIteratorNext(&iterator, &value, true);
		set_one(name, value_text(name, &value), change);
	}
}

void
run_settings_check(const char *json)
{
	for_each_setting(json, false);
}

void
run_settings_apply(const char *json)
{
	for_each_setting(json, true);
}
