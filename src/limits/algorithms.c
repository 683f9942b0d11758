/*
 * algorithms.c
 *		See algorithms.h.  One section an algorithm, each the same seven small
 *		functions; the public ones at the end choose among them.
 *
 * GCRA: ITU-T I.371 generic cell rate algorithm, with the emission interval
 * per / max_hits kept as a fraction so that nothing is ever rounded away.
 */
#include "limits/algorithms.h"

#include <stddef.h>
#include <string.h>

#ifndef __SIZEOF_INT128__
#error "pattyly needs a compiler with 128-bit integers (any 64-bit platform)"
#endif

typedef __int128 wide;

static inline int64_t
min64(int64_t x, int64_t y)
{
	return x < y ? x : y;
}

static inline int64_t
max64(int64_t x, int64_t y)
{
	return x > y ? x : y;
}

/* Division by a positive number in 64 bits where that is enough: it is several times faster. */
static inline int64_t
div_floor(wide dividend, int64_t divisor)
{
	if (dividend == (int64_t) dividend)
		return (int64_t) dividend / divisor;
	return (int64_t) (dividend / divisor);
}

static inline int64_t
div_ceil(wide dividend, int64_t divisor)
{
	return div_floor(dividend + divisor - 1, divisor);
}

/* The beginning of the epoch-aligned window that now_us is in. */
static inline int64_t
window_start(int64_t per_us, int64_t now_us)
{
	return now_us - now_us % per_us;
}

/* ---- gcra ----
 *
 * Debt is the time until the key is full, scaled by max_hits: one unit adds
 * exactly per_us, one microsecond pays max_hits, and full is burst * per_us.
 *
 * More debt than full can come from a clock that stepped back, and then it is
 * forgiven, or from a limit that was lowered below what is in use, and then it
 * stands.  The fraction tells: it is kept as -1 - b where the debt stands.
 */

static inline wide
gcra_full(const LimitSpec *spec)
{
	return (wide) spec->burst * spec->per_us;
}

static inline wide
gcra_debt(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	if (use->a < now_us)
		return 0;
	return (wide) (use->a - now_us) * spec->max_hits + (use->b < 0 ? -1 - use->b : use->b);
}

static inline void
gcra_store(const LimitSpec *spec, LimitUse *use, int64_t now_us, wide debt)
{
	int64_t		whole;

	if (debt <= 0 || spec->max_hits == 0)
	{
		use->a = use->b = 0;
		return;
	}
	whole = div_floor(debt, spec->max_hits);
	use->a = now_us + whole;
	use->b = (int64_t) (debt - (wide) whole * spec->max_hits);
	if (debt > gcra_full(spec))
		use->b = -1 - use->b;
}

/* The debt that counts now. */
static inline wide
gcra_settled_debt(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	wide		debt = gcra_debt(spec, use, now_us);
	wide		most = gcra_full(spec);

	/* What stands over full is no more than any limit could have let pass, and than time can tell. */
	if (use->b < 0)
	{
		most = (wide) LIMIT_MAX_DRAIN_US * spec->max_hits;
		if (most > (wide) LIMIT_MAX_HITS * spec->per_us)
			most = (wide) LIMIT_MAX_HITS * spec->per_us;
	}
	return debt < most ? debt : most;
}

static inline void
gcra_settle(const LimitSpec *spec, LimitUse *use, int64_t now_us)
{
	gcra_store(spec, use, now_us, gcra_settled_debt(spec, use, now_us));
}

static inline int64_t
gcra_units_left(const LimitSpec *spec, wide debt)
{
	return debt >= gcra_full(spec) ? 0 : div_floor(gcra_full(spec) - debt, spec->per_us);
}

static inline int64_t
gcra_remaining(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	return gcra_units_left(spec, gcra_debt(spec, use, now_us));
}

static inline int64_t
gcra_reset(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	return now_us + div_ceil(gcra_debt(spec, use, now_us), spec->max_hits);
}

static inline int64_t
gcra_retry(const LimitSpec *spec, const LimitUse *use, int64_t now_us, int64_t cost)
{
	wide		over = gcra_debt(spec, use, now_us) + (wide) cost * spec->per_us - gcra_full(spec);

	return now_us + div_ceil(over, spec->max_hits);
}

static inline void
gcra_take(const LimitSpec *spec, LimitUse *use, int64_t now_us, int64_t cost)
{
	wide		before = gcra_debt(spec, use, now_us);
	wide		debt = before + (wide) cost * spec->per_us;

	if (debt > gcra_full(spec))
		debt = before > gcra_full(spec) ? before : gcra_full(spec);
	gcra_store(spec, use, now_us, debt);
}

static inline void
gcra_give(const LimitSpec *spec, LimitUse *use, int64_t now_us, int64_t cost)
{
	gcra_store(spec, use, now_us,
			   gcra_debt(spec, use, now_us) - (wide) cost * spec->per_us);
}

/*
 * Rounded up to the new fraction: a whole number of units stays exactly that.
 * It may be more than the new limit holds, but no more than time can tell.
 */
static void
gcra_convert(const LimitSpec *from, const LimitSpec *to, LimitUse *use, int64_t now_us)
{
	wide		old = gcra_debt(from, use, now_us);
	wide		units = old / from->per_us;
	wide		part = old % from->per_us;
	wide		debt = units * to->per_us + (part * to->per_us + from->per_us - 1) / from->per_us;
	wide		most = (wide) LIMIT_MAX_DRAIN_US * to->max_hits;

	gcra_store(to, use, now_us, debt < most ? debt : most);
}

/* ---- fixed_window and calendar_window ---- */

static inline void
fixed_settle(const LimitSpec *spec, LimitUse *use, int64_t now_us)
{
	if (use->b == 0 || (use->a <= now_us && now_us - use->a >= spec->per_us))
		use->a = use->b = 0;
	else if (use->a > now_us)
		use->a = now_us;
}

static inline int64_t
fixed_reset(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	return use->b == 0 ? now_us : use->a + spec->per_us;
}

static inline void
calendar_settle(const LimitSpec *spec, LimitUse *use, int64_t now_us)
{
	int64_t		start = window_start(spec->per_us, now_us);

	if (use->a < start)
		use->b = 0;
	use->a = start;
}

static inline int64_t
counter_remaining(const LimitSpec *spec, const LimitUse *use)
{
	return max64(spec->max_hits - use->b, 0);
}

static inline void
counter_take(LimitUse *use, int64_t cost)
{
	use->b = min64(use->b, LIMIT_MAX_HITS) + cost;
}

static inline void
fixed_take(LimitUse *use, int64_t now_us, int64_t cost)
{
	if (use->b == 0)
		use->a = now_us;
	counter_take(use, cost);
}

static inline void
counter_give(LimitUse *use, int64_t cost)
{
	use->b = max64(use->b - cost, 0);
}

/* ---- sliding_window ---- */

static inline int64_t
sliding_before(const LimitUse *use)
{
	return (int64_t) ((uint64_t) use->b >> 32);
}

static inline int64_t
sliding_now(const LimitUse *use)
{
	return use->b & INT64_C(0xffffffff);
}

static inline void
sliding_store(LimitUse *use, int64_t start_us, int64_t before, int64_t now)
{
	use->a = start_us;
	use->b = (int64_t) ((uint64_t) before << 32 | (uint64_t) min64(now, LIMIT_MAX_HITS));
}

static inline void
sliding_settle(const LimitSpec *spec, LimitUse *use, int64_t now_us)
{
	int64_t		start = window_start(spec->per_us, now_us);

	if (use->a == start)
		return;

	/* The clock stepped back: what was used counts here, and nothing is given. */
	if (use->a > start)
		sliding_store(use, start, 0, min64(sliding_now(use) + sliding_before(use),
											 spec->max_hits));
	else if (start - use->a == spec->per_us)
		sliding_store(use, start, sliding_now(use), 0);
	else
		sliding_store(use, start, 0, 0);
}

/* The bucket before counts for the share of it that the sliding window still covers. */
static inline int64_t
sliding_used(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	int64_t		left_us = spec->per_us - (now_us - use->a);

	return sliding_now(use) + div_floor((wide) sliding_before(use) * left_us, spec->per_us);
}

/*
 * The first moment when floor(before * left / per) has come down to room.  Seen
 * from the other side: the largest left with before * left < (room + 1) * per.
 */
static inline int64_t
sliding_wait(int64_t start_us, int64_t per_us, int64_t before, int64_t room)
{
	if (before <= room)
		return start_us;
	return start_us + per_us - (div_ceil((wide) (room + 1) * per_us, before) - 1);
}

static inline int64_t
sliding_retry(const LimitSpec *spec, const LimitUse *use, int64_t cost)
{
	int64_t		now = sliding_now(use);
	int64_t		room = spec->max_hits - now - cost;

	if (room >= 0)
		return sliding_wait(use->a, spec->per_us, sliding_before(use), room);
	return sliding_wait(use->a + spec->per_us, spec->per_us, now, spec->max_hits - cost);
}

static inline void
sliding_take(LimitUse *use, int64_t cost)
{
	sliding_store(use, use->a, sliding_before(use), sliding_now(use) + cost);
}

static inline void
sliding_give(LimitUse *use, int64_t cost)
{
	sliding_store(use, use->a, sliding_before(use), max64(sliding_now(use) - cost, 0));
}

/* ---- sliding_log ---- */

static void
log_drop_oldest(LimitLog *log, int n)
{
	log->n -= n;
	log->dropped += n;
	memmove(log->at_us, log->at_us + n, log->n * sizeof(log->at_us[0]));
}

static void
log_settle(const LimitSpec *spec, LimitLog *log, int64_t now_us)
{
	int			ended = 0;

	for (int i = 0; i < log->n; i++)
	{
		if (log->at_us[i] > now_us)
		{
			log->at_us[i] = now_us;
			log->stepped_back = true;
		}
		if (now_us - log->at_us[i] >= spec->per_us)
			ended = i + 1;
	}
	if (ended > 0)
		log_drop_oldest(log, ended);
}

static inline int64_t
log_reset(const LimitSpec *spec, const LimitLog *log, int64_t now_us)
{
	return log->n == 0 ? now_us : log->at_us[log->n - 1] + spec->per_us;
}

static inline int64_t
log_retry(const LimitSpec *spec, const LimitLog *log, int64_t now_us, int64_t cost)
{
	int64_t		first = log->n + cost - (int64_t) spec->max_hits - 1;

	/* A cost that passes has nothing to wait for. */
	return first < 0 ? now_us : log->at_us[first] + spec->per_us;
}

static void
log_take(const LimitSpec *spec, LimitLog *log, int64_t now_us, int64_t cost)
{
	int			room = spec->max_hits;
	int			add = (int) min64(cost, room);

	if (log->n + add > room)
		log_drop_oldest(log, log->n + add - room);
	for (int i = 0; i < add; i++)
		log->at_us[log->n++] = now_us;
}

static inline void
log_give(LimitLog *log, int64_t cost)
{
	log->n -= (int) min64(cost, log->n);
}

static void
log_fill(LimitLog *log, int64_t now_us, int64_t units)
{
	log->n = (int) min64(units, LIMIT_LOG_MAX);
	for (int i = 0; i < log->n; i++)
		log->at_us[i] = now_us;
}

/* ---- what the room calls ---- */

bool
limit_is_ahead(const LimitSpec *spec, const LimitUse *use, int64_t now_us)
{
	if (use->a <= now_us)
		return false;
	return spec->algorithm != LIMIT_GCRA ||
		(use->b >= 0 && gcra_debt(spec, use, now_us) > gcra_full(spec));
}

void
limit_settle(const LimitSpec *spec, LimitUse *use, LimitLog *log, int64_t now_us)
{
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			gcra_settle(spec, use, now_us);
			break;
		case LIMIT_FIXED_WINDOW:
			fixed_settle(spec, use, now_us);
			break;
		case LIMIT_CALENDAR_WINDOW:
			calendar_settle(spec, use, now_us);
			break;
		case LIMIT_SLIDING_WINDOW:
			sliding_settle(spec, use, now_us);
			break;
		case LIMIT_SLIDING_LOG:
			log_settle(spec, log, now_us);
			break;
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
}

int64_t
limit_remaining(const LimitSpec *spec, const LimitUse *use, const LimitLog *log, int64_t now_us)
{
	if (spec->max_hits == 0)
		return 0;
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			return gcra_remaining(spec, use, now_us);
		case LIMIT_FIXED_WINDOW:
		case LIMIT_CALENDAR_WINDOW:
			return counter_remaining(spec, use);
		case LIMIT_SLIDING_WINDOW:
			return max64(spec->max_hits - sliding_used(spec, use, now_us), 0);
		case LIMIT_SLIDING_LOG:
			return max64((int64_t) spec->max_hits - log->n, 0);
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
	return 0;
}

int64_t
limit_reset_us(const LimitSpec *spec, const LimitUse *use, const LimitLog *log, int64_t now_us)
{
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			return spec->max_hits == 0 ? now_us : gcra_reset(spec, use, now_us);
		case LIMIT_FIXED_WINDOW:
			return fixed_reset(spec, use, now_us);
		case LIMIT_CALENDAR_WINDOW:
		case LIMIT_SLIDING_WINDOW:
			return use->a + spec->per_us;
		case LIMIT_SLIDING_LOG:
			return log_reset(spec, log, now_us);
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
	return now_us;
}

int64_t
limit_retry_us(const LimitSpec *spec, const LimitUse *use, const LimitLog *log, int64_t now_us,
			   int64_t cost)
{
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			return gcra_retry(spec, use, now_us, cost);
		case LIMIT_FIXED_WINDOW:
		case LIMIT_CALENDAR_WINDOW:
			return use->a + spec->per_us;
		case LIMIT_SLIDING_WINDOW:
			return sliding_retry(spec, use, cost);
		case LIMIT_SLIDING_LOG:
			return log_retry(spec, log, now_us, cost);
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
	return 0;
}

void
limit_judge(const LimitSpec *spec, const LimitUse *use, const LimitLog *log, int64_t now_us,
			int64_t cost, LimitVerdict *verdict)
{
	int64_t		wanted = cost > 0 ? cost : 1;

	verdict->remaining = limit_remaining(spec, use, log, now_us);
	verdict->reset_us = limit_reset_us(spec, use, log, now_us);
	verdict->allowed = wanted <= verdict->remaining;
	verdict->never = wanted > limit_capacity(spec);
	verdict->retry_us = verdict->allowed || verdict->never ? 0 :
		limit_retry_us(spec, use, log, now_us, wanted);
}

void
limit_take(const LimitSpec *spec, LimitUse *use, LimitLog *log, int64_t now_us, int64_t cost)
{
	if (spec->max_hits == 0 || cost <= 0)
		return;
	cost = min64(cost, LIMIT_MAX_HITS);
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			gcra_take(spec, use, now_us, cost);
			break;
		case LIMIT_FIXED_WINDOW:
			fixed_take(use, now_us, cost);
			break;
		case LIMIT_CALENDAR_WINDOW:
			counter_take(use, cost);
			break;
		case LIMIT_SLIDING_WINDOW:
			sliding_take(use, cost);
			break;
		case LIMIT_SLIDING_LOG:
			log_take(spec, log, now_us, cost);
			break;
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
}

static int64_t
gcra_hit(const LimitSpec *spec, LimitUse *use, int64_t now_us, int64_t cost)
{
	wide		debt = gcra_settled_debt(spec, use, now_us);
	int64_t		remaining = gcra_units_left(spec, debt);

	gcra_store(spec, use, now_us, cost <= remaining ? debt + (wide) cost * spec->per_us : debt);
	return remaining;
}

int64_t
limit_hit(const LimitSpec *spec, LimitUse *use, int64_t now_us, int64_t cost)
{
	int64_t		remaining;

	if (spec->algorithm == LIMIT_GCRA && spec->max_hits > 0)
		return gcra_hit(spec, use, now_us, cost);
	limit_settle(spec, use, NULL, now_us);
	remaining = limit_remaining(spec, use, NULL, now_us);
	if (cost <= remaining)
		limit_take(spec, use, NULL, now_us, cost);
	return remaining;
}

void
limit_give(const LimitSpec *spec, LimitUse *use, LimitLog *log, int64_t now_us, int64_t cost)
{
	if (spec->max_hits == 0 || cost <= 0)
		return;
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			gcra_give(spec, use, now_us, cost);
			break;
		case LIMIT_FIXED_WINDOW:
		case LIMIT_CALENDAR_WINDOW:
			counter_give(use, cost);
			break;
		case LIMIT_SLIDING_WINDOW:
			sliding_give(use, cost);
			break;
		case LIMIT_SLIDING_LOG:
			log_give(log, cost);
			break;
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
}

int64_t
limit_used(const LimitSpec *spec, const LimitUse *use, const LimitLog *log, int64_t now_us)
{
	switch (spec->algorithm)
	{
		case LIMIT_GCRA:
			return div_ceil(gcra_debt(spec, use, now_us), spec->per_us);
		case LIMIT_FIXED_WINDOW:
		case LIMIT_CALENDAR_WINDOW:
			return use->b;
		case LIMIT_SLIDING_WINDOW:
			return sliding_used(spec, use, now_us);
		case LIMIT_SLIDING_LOG:
			return log->n;
		case LIMIT_ALGORITHM_INVALID:
			break;
	}
	return 0;
}

bool
limit_is_exhausted(const LimitSpec *spec, const LimitUse *use, const LimitLog *log,
				   int64_t now_us)
{
	return spec->max_hits > 0 && limit_remaining(spec, use, log, now_us) == 0;
}

/* Starts afresh with that many units used, as of now. */
static void
restart_with(const LimitSpec *spec, LimitUse *use, LimitLog *log, int64_t now_us, int64_t used)
{
	use->a = use->b = 0;
	if (log)
		log->n = 0;
	limit_settle(spec, use, log, now_us);
	if (spec->algorithm == LIMIT_SLIDING_LOG)
		log_fill(log, now_us, used);
	else
		limit_take(spec, use, log, now_us, used);
}

void
limit_convert(const LimitSpec *from, const LimitSpec *to, LimitUse *use, LimitLog *log,
			  int64_t now_us)
{
	bool		same = from->algorithm == to->algorithm;

	limit_settle(from, use, log, now_us);
	if (to->max_hits == 0)
		restart_with(to, use, log, now_us, 0);
	else if (same && to->algorithm == LIMIT_GCRA && from->max_hits > 0)
		gcra_convert(from, to, use, now_us);
	else if (!same || (from->per_us != to->per_us && (to->algorithm == LIMIT_CALENDAR_WINDOW ||
													  to->algorithm == LIMIT_SLIDING_WINDOW)))
		restart_with(to, use, log, now_us, limit_used(from, use, log, now_us));
	limit_settle(to, use, log, now_us);
}

int64_t
limit_next_unit_us(const LimitSpec *spec, int64_t reset_us, int64_t now_us)
{
	int64_t		left_us = max64(reset_us - now_us, 0);

	if (spec->algorithm != LIMIT_GCRA || spec->max_hits == 0 || left_us == 0)
		return left_us;

	/* The time past the last whole unit.  The reset was rounded up: what lies before its last us is sure. */
	return (int64_t) ((wide) (left_us - 1) * spec->max_hits % spec->per_us) / spec->max_hits + 1;
}
