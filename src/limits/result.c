/*
 * result.c
 *		See result.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "core/clock.h"
#include "core/compat.h"
#include "funcapi.h"
#include "limits/result.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

CallSite *
limits_call_site(FunctionCallInfo fcinfo)
{
	if (unlikely(fcinfo->flinfo->fn_extra == NULL))
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
														  sizeof(CallSite));
	return fcinfo->flinfo->fn_extra;
}

void
limits_reject_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (unlikely(PG_ARGISNULL(arg)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of a rate limit call must not be null", name),
				 errhint("A check without it could only be let pass by mistake; pass a value.")));
}

/* The rule of the name, by way of the last one that this call site asked for. */
const LimitRule *
limits_arg_rule(FunctionCallInfo fcinfo, int arg, uint64 generation)
{
	CallSite   *site = limits_call_site(fcinfo);
	text	   *name;
	int			length;

	limits_reject_null(fcinfo, arg, "name");
	name = PG_GETARG_TEXT_PP(arg);
	length = VARSIZE_ANY_EXHDR(name);
	if (likely(site->generation == generation && site->name_length == length &&
			   memcmp(site->name, VARDATA_ANY(name), length) == 0))
		return site->rule;

	site->generation = 0;
	site->rule = limit_rule_get(VARDATA_ANY(name), length);
	memcpy(site->name, VARDATA_ANY(name), length);
	site->name_length = length;
	site->generation = generation;
	return site->rule;
}

void
limits_arg_key(FunctionCallInfo fcinfo, int arg, LimitKey *key)
{
	text	   *value;

	limits_reject_null(fcinfo, arg, "key");
	value = PG_GETARG_TEXT_PP(arg);
	key->text = VARDATA_ANY(value);
	key->length = VARSIZE_ANY_EXHDR(value);
	key->is_address = false;
	if (unlikely(key->length == 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key of a rate limit call must not be empty"),
				 errhint("All callers without a key would share one count; pass what tells them apart.")));
}

int64
limits_arg_cost(FunctionCallInfo fcinfo, int arg)
{
	int32		cost;

	limits_reject_null(fcinfo, arg, "cost");
	cost = PG_GETARG_INT32(arg);
	if (unlikely(cost < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cost must not be negative: %d", cost),
				 errhint("Use pattyly.refund_limit to give units back.")));
	return cost;
}

Interval *
limits_arg_interval(FunctionCallInfo fcinfo, int arg, const char *name)
{
	limits_reject_null(fcinfo, arg, name);
	return PG_GETARG_INTERVAL_P(arg);
}

/* Resolved once per call site: looking the row type up each time costs more than the check. */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	CallSite   *site = limits_call_site(fcinfo);
	MemoryContext before;

	if (unlikely(site->desc == NULL))
	{
		before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		if (get_call_result_type(fcinfo, NULL, &site->desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		site->desc = BlessTupleDesc(CreateTupleDescCopy(site->desc));
		MemoryContextSwitchTo(before);
	}
	return site->desc;
}

const char *
limits_reason_text(LimitReason reason)
{
	switch (reason)
	{
		case REASON_NONE:
			break;
		case REASON_LIMITED:
			return "limited";
		case REASON_BLOCKED:
			return "blocked";
		case REASON_DENIED:
			return "denied";
		case REASON_COST:
			return "cost_exceeds_limit";
	}
	return NULL;
}

enum
{
	RESULT_ALLOWED,
	RESULT_LIMIT_NAME,
	RESULT_MAX_HITS,
	RESULT_REMAINING,
	RESULT_RESET_AT,
	RESULT_RETRY_AT,
	RESULT_RETRY_AFTER,
	RESULT_REASON,
	RESULT_COLUMNS
};

static Datum
form_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	return HeapTupleGetDatum(heap_form_tuple(result_desc(fcinfo), values, nulls));
}

Datum
limits_result_datum(FunctionCallInfo fcinfo, const LimitResult *result, int64 now_us)
{
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS] = {0};
	const LimitRule *rule = result->rule;
	const char *reason = limits_reason_text(result->reason);

	values[RESULT_ALLOWED] = BoolGetDatum(result->allowed);
	nulls[RESULT_LIMIT_NAME] = rule->name[0] == '\0';
	values[RESULT_LIMIT_NAME] = nulls[RESULT_LIMIT_NAME] ? (Datum) 0 :
		PointerGetDatum(cstring_to_text(rule->name));
	values[RESULT_MAX_HITS] = Int64GetDatum(rule->spec.max_hits);
	nulls[RESULT_REMAINING] = nulls[RESULT_RESET_AT] = result->unknown;
	values[RESULT_REMAINING] = Int64GetDatum(result->remaining);
	values[RESULT_RESET_AT] = TimestampTzGetDatum(clock_to_timestamp(result->reset_us));
	nulls[RESULT_RETRY_AT] = nulls[RESULT_RETRY_AFTER] =
		result->retry_us == 0 || result->allowed;
	values[RESULT_RETRY_AT] = TimestampTzGetDatum(clock_to_timestamp(result->retry_us));
	values[RESULT_RETRY_AFTER] = Int32GetDatum((int32) Min(limits_retry_after_s(result, now_us),
														   PG_INT32_MAX));
	nulls[RESULT_REASON] = reason == NULL;
	values[RESULT_REASON] = reason ? PointerGetDatum(cstring_to_text(reason)) : (Datum) 0;
	return form_result(fcinfo, values, nulls);
}

Datum
limits_unknown_datum(FunctionCallInfo fcinfo)
{
	Datum		values[RESULT_COLUMNS] = {0};
	bool		nulls[RESULT_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	nulls[RESULT_ALLOWED] = false;
	values[RESULT_ALLOWED] = BoolGetDatum(true);
	return form_result(fcinfo, values, nulls);
}
