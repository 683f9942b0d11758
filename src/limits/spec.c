/*
 * spec.c
 *		What a limit may ask for: names of algorithms and the bounds that keep
 *		algorithms.c from overflowing.  Declared in algorithms.h, pure C as it is.
 */
#include "limits/algorithms.h"

#include <stddef.h>
#include <string.h>

static const char *const algorithm_names[] = {
	[LIMIT_GCRA] = "gcra",
	[LIMIT_FIXED_WINDOW] = "fixed_window",
	[LIMIT_CALENDAR_WINDOW] = "calendar_window",
	[LIMIT_SLIDING_WINDOW] = "sliding_window",
	[LIMIT_SLIDING_LOG] = "sliding_log",
};

LimitAlgorithm
limit_algorithm_from_name(const char *name)
{
	for (int i = LIMIT_GCRA; i <= LIMIT_SLIDING_LOG; i++)
		if (strcmp(name, algorithm_names[i]) == 0)
			return (LimitAlgorithm) i;
	return LIMIT_ALGORITHM_INVALID;
}

const char *
limit_algorithm_name(LimitAlgorithm algorithm)
{
	return algorithm >= LIMIT_GCRA && algorithm <= LIMIT_SLIDING_LOG ?
		algorithm_names[algorithm] : "unknown";
}

static LimitSpecError
spec_check(LimitAlgorithm algorithm, int64_t max_hits, int64_t per_us, int64_t burst)
{
	if (algorithm < LIMIT_GCRA || algorithm > LIMIT_SLIDING_LOG)
		return LIMIT_SPEC_BAD_ALGORITHM;
	if (max_hits < 0 || max_hits > LIMIT_MAX_HITS)
		return LIMIT_SPEC_BAD_MAX_HITS;
	if (per_us <= 0)
		return LIMIT_SPEC_BAD_PER;
	if (per_us > LIMIT_MAX_PER_US)
		return LIMIT_SPEC_PER_TOO_LONG;
	if (algorithm == LIMIT_SLIDING_LOG && max_hits > LIMIT_LOG_MAX)
		return LIMIT_SPEC_LOG_TOO_LONG;
	if (burst >= 0 && algorithm != LIMIT_GCRA)
		return LIMIT_SPEC_BURST_NOT_GCRA;
	if (burst == 0 || burst > LIMIT_MAX_HITS)
		return LIMIT_SPEC_BAD_BURST;
	if (burst > 0 && max_hits > 0 && (__int128) burst * per_us / max_hits > LIMIT_MAX_DRAIN_US)
		return LIMIT_SPEC_DRAIN_TOO_LONG;
	return LIMIT_SPEC_OK;
}

LimitSpecError
limit_spec_make(LimitSpec *spec, LimitAlgorithm algorithm, int64_t max_hits, int64_t per_us,
				int64_t burst)
{
	LimitSpecError error = spec_check(algorithm, max_hits, per_us, burst);

	if (error != LIMIT_SPEC_OK)
		return error;
	spec->algorithm = algorithm;
	spec->per_us = per_us;
	spec->max_hits = (uint32_t) max_hits;
	spec->burst = (uint32_t) (burst > 0 ? burst : max_hits);
	return LIMIT_SPEC_OK;
}

/* What a key that used nothing could spend at once; a limit of 0 has no room whatever its burst. */
int64_t
limit_capacity(const LimitSpec *spec)
{
	return spec->max_hits == 0 ? 0 : spec->burst;
}
