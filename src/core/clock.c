/*
 * clock.c
 *		See clock.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/clock.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

static char *frozen_clock_setting;
static int64 frozen_us;			/* 0: not frozen */

/* 293000-01-01: who adds some centuries to a time before it still has a number. */
#define FROZEN_END_US (INT64CONST(106296525) * USECS_PER_DAY)

/*
 * Reads an absolute date and time.  Not timestamptz_in(), which may raise an
 * error: a check hook also runs where that would take the server down.
 */
static bool
parse_timestamptz(const char *text, TimestampTz *result)
{
	char		workbuf[MAXDATELEN + MAXDATEFIELDS];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nf;
	int			dtype;
	int			tz;
	fsec_t		fsec;
	struct pg_tm tm;

	if (ParseDateTime(text, workbuf, sizeof(workbuf), field, ftype, MAXDATEFIELDS, &nf) != 0)
		return false;
	if (compat_decode_datetime(field, ftype, nf, &dtype, &tm, &fsec, &tz) != 0)
		return false;
	return dtype == DTK_DATE && tm2timestamp(&tm, fsec, &tz, result) == 0;
}

static bool
check_frozen_clock(char **newval, void **extra, GucSource source)
{
	TimestampTz at;
	int64	   *us;

	us = guc_malloc(LOG, sizeof(int64));
	if (us == NULL)
		return false;
	*us = 0;
	if (**newval != '\0')
	{
		if (!parse_timestamptz(*newval, &at) || clock_from_timestamp(at) <= 0 ||
			clock_from_timestamp(at) >= FROZEN_END_US)
		{
			guc_free(us);
			GUC_check_errdetail("The value must be empty or an absolute time after 1970 and before 293000.");
			GUC_check_errhint("Write it like \"2026-01-31 12:00:00+00\".");
			return false;
		}
		*us = clock_from_timestamp(at);
	}
	*extra = us;
	return true;
}

static void
assign_frozen_clock(const char *newval, void *extra)
{
	frozen_us = *(int64 *) extra;
}

void
clock_init(void)
{
	DefineCustomStringVariable("pattyly.frozen_clock",
							   "Stops the clock of pattyly at this time; empty is the real clock.",
							   "For tests only.",
							   &frozen_clock_setting,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   check_frozen_clock, assign_frozen_clock, NULL);
}

int64
clock_now_us(void)
{
	if (unlikely(frozen_us != 0))
		return frozen_us;
	return clock_from_timestamp(GetCurrentTimestamp());
}

PATTYLY_FUNCTION(pattyly_clock_now);

Datum
pattyly_clock_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_to_timestamp(clock_now_us()));
}

void
clock_pause(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
