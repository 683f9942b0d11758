/*
 * algorithms.h
 *		The five rate limit algorithms: exact integer arithmetic over plain structs.
 *
 * Pure C: no PostgreSQL header, no allocation, no error, no global, no clock.
 * Times are microseconds since 1970-01-01 UTC and are passed in.  The rest of
 * the room calls this; when you look for why a call was refused, read
 * algorithms.c.
 *
 * "Units" are what a call costs: a call of cost 3 uses 3 units.
 */
#ifndef LIMITS_ALGORITHMS_H
#define LIMITS_ALGORITHMS_H

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_LOG_MAX		64	/* max_hits of a sliding log, at most */
#define LIMIT_MAX_HITS		INT64_C(4294967295)
#define LIMIT_MAX_PER_US	(INT64_C(3650) * 86400 * 1000000)
#define LIMIT_MAX_DRAIN_US	(INT64_C(36500) * 86400 * 1000000)

/* Stored in the state file: numbers may be added, never changed. */
typedef enum LimitAlgorithm
{
	LIMIT_ALGORITHM_INVALID = 0,
	LIMIT_GCRA = 1,				/* smooth, one unit back every per / max_hits */
	LIMIT_FIXED_WINDOW = 2,		/* opens at the key's first hit */
	LIMIT_CALENDAR_WINDOW = 3,	/* aligned to the epoch */
	LIMIT_SLIDING_WINDOW = 4,	/* this bucket plus a share of the one before */
	LIMIT_SLIDING_LOG = 5		/* every hit's time */
} LimitAlgorithm;

/* What a rule asks for.  Valid only after limit_spec_check() said LIMIT_SPEC_OK. */
typedef struct LimitSpec
{
	int64_t		per_us;
	uint32_t	max_hits;		/* 0 refuses all */
	uint32_t	burst;			/* gcra: capacity in units; else equal to max_hits */
	LimitAlgorithm algorithm;
} LimitSpec;

/*
 * What a key has used.  All zero means "nothing", for every algorithm.
 *
 *	gcra			a: theoretical arrival time in whole us, b: its fraction in
 *					1/max_hits us, or -1 - fraction.  Kept under the spec that
 *					wrote it.
 *	fixed_window	a: when the window opened, b: units used in it
 *	calendar_window	a: when the window began, b: units used in it
 *	sliding_window	a: when the bucket began, b: units (before << 32 | now)
 *	sliding_log		a, b are the keeper's; the hits are in LimitLog
 */
typedef struct LimitUse
{
	int64_t		a;
	int64_t		b;
} LimitUse;

/* The hits of a sliding log, oldest first. */
typedef struct LimitLog
{
	int			n;
	int			dropped;		/* hits that fell off the old end since it was loaded */
	bool		stepped_back;	/* hits were later than the clock, and were set to it */
	int64_t		at_us[LIMIT_LOG_MAX];
} LimitLog;

typedef struct LimitVerdict
{
	bool		allowed;
	bool		never;			/* refused, and no waiting will help */
	int64_t		remaining;		/* units left after this call */
	int64_t		reset_us;		/* when the key is full again; windows: when the window ends */
	int64_t		retry_us;		/* when this cost would pass; 0 when allowed or never */
} LimitVerdict;

typedef enum LimitSpecError
{
	LIMIT_SPEC_OK = 0,
	LIMIT_SPEC_BAD_ALGORITHM,
	LIMIT_SPEC_BAD_MAX_HITS,	/* negative or above LIMIT_MAX_HITS */
	LIMIT_SPEC_BAD_PER,			/* not above zero */
	LIMIT_SPEC_PER_TOO_LONG,	/* above LIMIT_MAX_PER_US */
	LIMIT_SPEC_BAD_BURST,		/* below 1 or above LIMIT_MAX_HITS */
	LIMIT_SPEC_BURST_NOT_GCRA,
	LIMIT_SPEC_LOG_TOO_LONG,	/* max_hits above LIMIT_LOG_MAX */
	LIMIT_SPEC_DRAIN_TOO_LONG	/* burst * per / max_hits above LIMIT_MAX_DRAIN_US */
} LimitSpecError;

extern LimitAlgorithm limit_algorithm_from_name(const char *name);
extern const char *limit_algorithm_name(LimitAlgorithm algorithm);

/* Checks and fills a spec; burst < 0 means "as max_hits". */
extern LimitSpecError limit_spec_make(LimitSpec *spec, LimitAlgorithm algorithm,
									  int64_t max_hits, int64_t per_us, int64_t burst);
extern int64_t limit_capacity(const LimitSpec *spec);

/*
 * Whether no call before now_us can have left this state: a window that begins
 * later, more debt than is full.  Either the clock stepped back, or another process,
 * which read it later, was first to lock the key.  A caller whose clock runs reads it
 * again: what is in use would be moved back to now_us, and end too soon.  For a log
 * the caller always reads it again.
 */
extern bool limit_is_ahead(const LimitSpec *spec, const LimitUse *use, int64_t now_us);

/* Brings the state to "now": closes ended windows, forgives a clock that stepped back. */
extern void limit_settle(const LimitSpec *spec, LimitUse *use, LimitLog *log, int64_t now_us);

/* Those below want a settled state.  log is used by sliding_log only. */

/* Units left: a cost passes when it is no more. */
extern int64_t limit_remaining(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
							   int64_t now_us);

/* When the key is full again; windows: when the window ends. */
extern int64_t limit_reset_us(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
							  int64_t now_us);

/* When a cost that is within capacity but does not pass now will pass. */
extern int64_t limit_retry_us(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
							  int64_t now_us, int64_t cost);

/* The three in one.  Changes nothing; cost 0 answers for a cost of 1. */
extern void limit_judge(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
						int64_t now_us, int64_t cost, LimitVerdict *verdict);

/*
 * Settles, and uses cost units if they pass; for all but sliding_log.  Returns
 * what limit_remaining() would have returned before: the cost passed when it is
 * no more.  The hot path in one call.
 */
extern int64_t limit_hit(const LimitSpec *spec, LimitUse *use, int64_t now_us, int64_t cost);

/* Uses cost units, at most up to full where the algorithm has no room for more. */
extern void limit_take(const LimitSpec *spec, LimitUse *use, LimitLog *log,
					   int64_t now_us, int64_t cost);

/* Gives back up to cost units of the current window; never above full. */
extern void limit_give(const LimitSpec *spec, LimitUse *use, LimitLog *log,
					   int64_t now_us, int64_t cost);

/* Units in use, rounded up, and whether not even one more fits. */
extern int64_t limit_used(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
						  int64_t now_us);
extern bool limit_is_exhausted(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
							   int64_t now_us);

/*
 * Carries a state kept under one spec over to another: units already used stay
 * used, so raising a limit never refuses a key that had room.
 */
extern void limit_convert(const LimitSpec *from, const LimitSpec *to, LimitUse *use,
						  LimitLog *log, int64_t now_us);

/* When the next unit comes back (RateLimit "t"), 0 when full; for a settled state. */
extern int64_t limit_next_unit_us(const LimitSpec *spec, int64_t reset_us, int64_t now_us);

#endif							/* LIMITS_ALGORITHMS_H */
