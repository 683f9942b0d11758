/*
 * functions.c
 *		The checks as SQL calls them.  Each says itself in limits.sql what it
 *		takes and returns.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "limits/limits.h"
#include "limits/result.h"
#include "utils/array.h"
#include "utils/builtins.h"

PATTYLY_FUNCTION(pattyly_allow);
PATTYLY_FUNCTION(pattyly_check_limit);
PATTYLY_FUNCTION(pattyly_check_limit_adhoc);
PATTYLY_FUNCTION(pattyly_check_limits);
PATTYLY_FUNCTION(pattyly_enforce_limit);
PATTYLY_FUNCTION(pattyly_peek_limit);
PATTYLY_FUNCTION(pattyly_refund_limit);

/* name, key, cost: what most of them have in common.  False when calls pass uncounted. */
static bool
run_named(FunctionCallInfo fcinfo, LimitCall *call, LimitResult *result)
{
	LimitKey	key;
	const LimitRule *rule;

	if (!limits_ready())
		return false;
	rule = limits_arg_rule(fcinfo, 0, limits_catch_up());
	limits_arg_key(fcinfo, 1, &key);
	if (PG_NARGS() > 2)
		call->cost = limits_arg_cost(fcinfo, 2);
	limits_check(call, &key, &rule, 1, result);
	return true;
}

static Datum
run_named_for_result(FunctionCallInfo fcinfo, LimitOperation operation)
{
	LimitCall	call = {.operation = operation};
	LimitResult result;

	if (!run_named(fcinfo, &call, &result))
		return limits_unknown_datum(fcinfo);
	return limits_result_datum(fcinfo, &result, call.now_us);
}

Datum
pattyly_allow(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_CHECK, .allow_only = true};
	LimitResult result;

	PG_RETURN_BOOL(!run_named(fcinfo, &call, &result) || result.allowed);
}

Datum
pattyly_check_limit(PG_FUNCTION_ARGS)
{
	return run_named_for_result(fcinfo, LIMIT_CHECK);
}

Datum
pattyly_peek_limit(PG_FUNCTION_ARGS)
{
	return run_named_for_result(fcinfo, LIMIT_CHECK);
}

Datum
pattyly_refund_limit(PG_FUNCTION_ARGS)
{
	return run_named_for_result(fcinfo, LIMIT_REFUND);
}

Datum
pattyly_enforce_limit(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_CHECK, .with_next = true};
	LimitResult result;

	if (run_named(fcinfo, &call, &result) && !result.allowed)
		limits_raise_refusal(&result, 1, call.now_us);
	PG_RETURN_VOID();
}

/* key, max_hits, per, cost, algorithm */
Datum
pattyly_check_limit_adhoc(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_CHECK};
	LimitKey	key;
	LimitRule	rule;
	const LimitRule *rules = &rule;
	LimitResult result;

	if (!limits_ready())
		return limits_unknown_datum(fcinfo);
	limits_catch_up();
	limits_arg_key(fcinfo, 0, &key);
	limits_reject_null(fcinfo, 1, "max_hits");
	call.cost = limits_arg_cost(fcinfo, 3);
	limits_reject_null(fcinfo, 4, "algorithm");
	limit_rule_adhoc(&rule, text_to_cstring(PG_GETARG_TEXT_PP(4)), PG_GETARG_INT64(1),
					 limits_arg_interval(fcinfo, 2, "per"));
	limits_check(&call, &key, &rules, 1, &result);
	return limits_result_datum(fcinfo, &result, call.now_us);
}

/* A name given twice counts once.  Returns how many rules there are then. */
static int
collect_rules(ArrayType *names, const LimitRule *rules[LIMITS_PER_CALL])
{
	Datum	   *elements;
	bool	   *nulls;
	int			n_elements;
	int			n = 0;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n_elements);
	for (int i = 0; i < n_elements; i++)
	{
		const LimitRule *rule;
		int			j = 0;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("names of a rate limit call must not contain null"),
					 errhint("Name the limits of table pattyly.limits to check.")));
		rule = limit_rule_get(VARDATA_ANY(DatumGetPointer(elements[i])),
							  VARSIZE_ANY_EXHDR(DatumGetPointer(elements[i])));
		while (j < n && rules[j] != rule)
			j++;
		if (j < n)
			continue;
		if (n == LIMITS_PER_CALL)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many rate limits in one call"),
					 errhint("Name at most %d.", LIMITS_PER_CALL)));
		rules[n++] = rule;
	}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("names of a rate limit call must not be empty"),
				 errhint("Name the limits of table pattyly.limits to check.")));
	return n;
}

/* names, key, cost */
Datum
pattyly_check_limits(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_CHECK};
	LimitKey	key;
	const LimitRule *rules[LIMITS_PER_CALL];
	LimitResult results[LIMITS_PER_CALL];
	int			n;

	if (!limits_ready())
		return limits_unknown_datum(fcinfo);
	limits_catch_up();
	limits_reject_null(fcinfo, 0, "names");
	n = collect_rules(PG_GETARG_ARRAYTYPE_P(0), rules);
	limits_arg_key(fcinfo, 1, &key);
	call.cost = limits_arg_cost(fcinfo, 2);
	limits_check(&call, &key, rules, n, results);
	return limits_result_datum(fcinfo, limits_tightest(results, n), call.now_us);
}
