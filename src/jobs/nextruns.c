/*
 * nextruns.c
 *		pattyly.next_runs, and the error for a text that is no schedule.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/zone.h"
#include "funcapi.h"
#include "jobs/schedules.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define MAX_RUNS 1000
#define MAX_SHOWN 100			/* bytes of a text in a message */

PATTYLY_FUNCTION(pattyly_next_runs);

void
schedule_read(const char *text, Schedule *schedule)
{
	size_t		length = strlen(text);
	int			at;
	const char *fault = schedule_parse(text, length, schedule, &at);
	int			shown;

	if (fault == NULL)
		return;
	shown = pg_mbcliplen(text, (int) Min(length, INT_MAX), MAX_SHOWN);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid schedule \"%.*s%s\"", shown, text, shown < length ? "..." : ""),
			 errdetail("At character %d: %s.", pg_mbstrlen_with_len(text, at) + 1, fault),
			 errhint("Write five fields such as \"30 2 * * mon-fri\" or \"*/15 * * * *\", a name such as @daily, or an interval such as \"every 90 seconds\".")));
}

static void
reject_nulls(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"schedule", "timezone", "after", "n"};

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s of next_runs must not be null", names[i]),
					 errhint("Leave it out to get its default; a schedule has none.")));
}

static int
arg_n(FunctionCallInfo fcinfo)
{
	int			n = PG_GETARG_INT32(3);

	if (n < 1 || n > MAX_RUNS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n of next_runs must be from 1 to %d, not %d", MAX_RUNS, n),
				 errhint("Ask for later runs with the last one as \"after\".")));
	return n;
}

/* "after" is the transaction's now() when it is left out; a frozen clock stands for that, too. */
static TimestampTz
arg_after(FunctionCallInfo fcinfo)
{
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(2);
	const char *frozen = GetConfigOption("pattyly.frozen_clock", true, false);

	if (frozen != NULL && *frozen != '\0' && after == GetCurrentTransactionStartTimestamp())
		return clock_to_timestamp(clock_now_us());
	if (TIMESTAMP_IS_NOBEGIN(after))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no run is the first one after -infinity"),
				 errhint("Pass the time from which on the runs are wanted.")));
	return after;
}

/* schedule, timezone, after, n */
Datum
pattyly_next_runs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Schedule	schedule;
	CivilZone	zone;
	TimestampTz after;
	int64		at_us;
	int			n;

	reject_nulls(fcinfo);
	schedule_read(text_to_cstring(PG_GETARG_TEXT_PP(0)), &schedule);
	zone = zone_find(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	after = arg_after(fcinfo);
	n = arg_n(fcinfo);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (TIMESTAMP_IS_NOEND(after) || after > clock_to_timestamp(PG_INT64_MAX))
		PG_RETURN_NULL();
	at_us = clock_from_timestamp(after);
	while (n-- > 0 && schedule_next(&schedule, &zone, at_us, &at_us))
	{
		Datum		run = TimestampTzGetDatum(clock_to_timestamp(at_us));
		bool		null = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &run, &null);
	}
	PG_RETURN_NULL();
}
