/*
 * result.h
 *		Results of checks as SQL values, and arguments of checks as C values.
 *		Private to functions.c and admin.c.
 */
#ifndef LIMITS_RESULT_H
#define LIMITS_RESULT_H

#include "fmgr.h"
#include "limits/limits.h"

/* Keeps what a call site needs again: the rule it named last and the result's row type. */
typedef struct CallSite
{
	uint64		generation;		/* of the rules that "rule" belongs to */
	const LimitRule *rule;
	int			name_length;
	char		name[LIMIT_NAME_SIZE];
	TupleDesc	desc;
} CallSite;

extern CallSite *limits_call_site(FunctionCallInfo fcinfo);

/* Arguments by position; each raises an error that says what to pass. */
extern const LimitRule *limits_arg_rule(FunctionCallInfo fcinfo, int arg, uint64 generation);
extern void limits_arg_key(FunctionCallInfo fcinfo, int arg, LimitKey *key);
extern int64 limits_arg_cost(FunctionCallInfo fcinfo, int arg);
extern Interval *limits_arg_interval(FunctionCallInfo fcinfo, int arg, const char *name);
extern void limits_reject_null(FunctionCallInfo fcinfo, int arg, const char *name);

/* A pattyly.limit_result. */
extern Datum limits_result_datum(FunctionCallInfo fcinfo, const LimitResult *result, int64 now_us);

/* The result when the limiter does not work and may let pass: allowed, all else unknown. */
extern Datum limits_unknown_datum(FunctionCallInfo fcinfo);

extern const char *limits_reason_text(LimitReason reason);

#endif							/* LIMITS_RESULT_H */
