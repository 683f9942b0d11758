/*
 * httpheaders.c
 *		The RateLimit header fields of results, and pattyly.limit_headers.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "core/clock.h"
#include "core/compat.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "limits/limits.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

int64
limits_retry_after_s(const LimitResult *result, int64 now_us)
{
	if (result->retry_us == 0)
		return NO_RETRY;
	return Max(wording_seconds(result->retry_us - now_us), 1);
}

/* Seconds until more units are there, or, where that is not known, until this call would pass. */
static int64
next_units_s(const LimitResult *result, int64 now_us)
{
	if (result->next_us != 0)
		return wording_seconds(result->next_us - now_us);
	if (result->retry_us != 0)
		return limits_retry_after_s(result, now_us);
	return wording_seconds(limit_next_unit_us(&result->rule->spec, result->reset_us, now_us));
}

void
limits_header_status(char *text, size_t size, const LimitResult *results, int n, int64 now_us)
{
	size_t		used = 0;

	for (int i = 0; i < n && used < size; i++)
	{
		if (i > 0)
			used += strlcpy(text + used, ", ", size - used);
		used += wording_status(text + used, size - used, results[i].rule->name,
							   results[i].remaining, next_units_s(&results[i], now_us));
	}
}

void
limits_header_policy(char *text, size_t size, const LimitResult *results, int n)
{
	size_t		used = 0;

	for (int i = 0; i < n && used < size; i++)
	{
		const LimitRule *rule = results[i].rule;

		if (i > 0)
			used += strlcpy(text + used, ", ", size - used);
		used += wording_policy(text + used, size - used, rule->name, rule->spec.max_hits,
							   wording_seconds(rule->spec.per_us));
	}
}

/* ---- pattyly.limit_headers ---- */

PATTYLY_FUNCTION(pattyly_limit_headers);

static Datum
attribute(HeapTupleHeader row, const char *name, bool *isnull)
{
	return GetAttributeByName(row, name, isnull);
}

static int64
time_attribute(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = attribute(row, name, &isnull);

	return isnull ? 0 : clock_from_timestamp(DatumGetTimestampTz(value));
}

/* What the row knows, with the rule as it is now; a limit without a rule has no window to tell. */
static void
result_from_row(HeapTupleHeader row, LimitResult *result, LimitRule *rule)
{
	bool		isnull;
	Datum		value;
	const LimitRule *known;

	memset(result, 0, sizeof(*result));
	memset(rule, 0, sizeof(*rule));
	strlcpy(rule->name, "limit", sizeof(rule->name));
	value = attribute(row, "limit_name", &isnull);
	if (!isnull)
	{
		char	   *name = TextDatumGetCString(value);

		known = limit_rule_find(name, strlen(name));
		if (known != NULL)
			*rule = *known;
		else
			strlcpy(rule->name, name, sizeof(rule->name));
	}
	value = attribute(row, "allowed", &isnull);
	result->allowed = !isnull && DatumGetBool(value);
	value = attribute(row, "max_hits", &isnull);
	if (!isnull)
		rule->spec.max_hits = (uint32) DatumGetInt64(value);
	value = attribute(row, "remaining", &isnull);
	result->remaining = isnull ? 0 : DatumGetInt64(value);
	result->reset_us = time_attribute(row, "reset_at");
	result->retry_us = time_attribute(row, "retry_at");
	result->rule = rule;
}

static void
append_header(StringInfo json, const char *name, const char *value)
{
	appendStringInfoChar(json, json->len == 0 ? '{' : ',');
	escape_json(json, name);
	appendStringInfoChar(json, ':');
	escape_json(json, value);
}

Datum
pattyly_limit_headers(PG_FUNCTION_ARGS)
{
	LimitResult result;
	LimitRule	rule;
	StringInfoData json;
	char		header[LIMIT_HEADER_SIZE];
	int64		now_us = clock_now_us();

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("result must not be null"),
				 errhint("Pass what check_limit returned.")));
	if (limit_store.ready)
		limits_catch_up();
	else
		limit_rules_catch_up();
	result_from_row(PG_GETARG_HEAPTUPLEHEADER(0), &result, &rule);

	initStringInfo(&json);
	limits_header_status(header, sizeof(header), &result, 1, now_us);
	append_header(&json, "RateLimit", header);
	limits_header_policy(header, sizeof(header), &result, 1);
	append_header(&json, "RateLimit-Policy", header);
	if (result.retry_us != 0 && !result.allowed)
	{
		snprintf(header, sizeof(header), INT64_FORMAT, limits_retry_after_s(&result, now_us));
		append_header(&json, "Retry-After", header);
	}
	appendStringInfoChar(&json, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}
