/*
 * clock.h
 *		The one place that reads the time.  Every room asks here, once per call,
 *		and so pattyly.frozen_clock moves them all alike.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "datatype/timestamp.h"

/* PostgreSQL counts microseconds from 2000-01-01, the pure parts from 1970-01-01. */
#define CLOCK_EPOCH_SHIFT_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

extern void clock_init(void);

/* Microseconds since 1970-01-01 UTC; may step back when the system's clock does. */
extern int64 clock_now_us(void);

/* Waits so long, whatever the clock says; an interrupt ends it. */
extern void clock_pause(long ms);

static inline TimestampTz
clock_to_timestamp(int64 us)
{
	return us - CLOCK_EPOCH_SHIFT_US;
}

/* After 294246 PostgreSQL can still tell 30 years that we cannot: they are the end of time. */
static inline int64
clock_from_timestamp(TimestampTz at)
{
	return at > PG_INT64_MAX - CLOCK_EPOCH_SHIFT_US ? PG_INT64_MAX : at + CLOCK_EPOCH_SHIFT_US;
}

#endif							/* CORE_CLOCK_H */
