/*
 * key.h
 *		One key under one limit, as the tests of the algorithms drive it: the same
 *		order of calls as the shell of the limits room.
 */
#ifndef TEST_UNIT_KEY_H
#define TEST_UNIT_KEY_H

#include "limits/algorithms.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US	INT64_C(1000000)
#define MINUTE_US	(60 * SECOND_US)
#define HOUR_US		(60 * MINUTE_US)
#define DAY_US		(24 * HOUR_US)
#define START_US	INT64_C(1795000000123457)	/* some odd moment of 2026 */

#define ANY_BURST	(-1)

typedef struct Key
{
	LimitUse	use;
	LimitLog	log;
} Key;

static inline LimitSpec
make_spec(LimitAlgorithm algorithm, int64_t max_hits, int64_t per_us, int64_t burst)
{
	LimitSpec	spec;
	LimitSpecError error = limit_spec_make(&spec, algorithm, max_hits, per_us, burst);

	if (error != LIMIT_SPEC_OK)
	{
		printf("Bail out! %s %" PRId64 " per %" PRId64 " us burst %" PRId64 " is refused with %d\n",
			   limit_algorithm_name(algorithm), max_hits, per_us, burst, (int) error);
		exit(1);
	}
	return spec;
}

/* Zeroes what a test compares; of the log, what lies behind n is never read. */
static inline void
clear_key(Key *key)
{
	memset(key, 0, sizeof(*key));
}

static inline void
copy_key(Key *to, const Key *from)
{
	to->use = from->use;
	to->log.n = from->log.n;
	to->log.dropped = from->log.dropped;
	memcpy(to->log.at_us, from->log.at_us, from->log.n * sizeof(from->log.at_us[0]));
}

static inline void
settle(const LimitSpec *spec, Key *key, int64_t now_us)
{
	limit_settle(spec, &key->use, &key->log, now_us);
}

static inline void
take(const LimitSpec *spec, Key *key, int64_t now_us, int64_t cost)
{
	limit_take(spec, &key->use, &key->log, now_us, cost);
}

static inline void
give(const LimitSpec *spec, Key *key, int64_t now_us, int64_t cost)
{
	limit_give(spec, &key->use, &key->log, now_us, cost);
}

/* Judges at a moment without a trace. */
static inline LimitVerdict
peek(const LimitSpec *spec, const Key *key, int64_t now_us, int64_t cost)
{
	Key			copy;
	LimitVerdict verdict;

	copy_key(&copy, key);
	settle(spec, &copy, now_us);
	limit_judge(spec, &copy.use, &copy.log, now_us, cost, &verdict);
	return verdict;
}

static inline int64_t
remaining(const LimitSpec *spec, const Key *key, int64_t now_us)
{
	return peek(spec, key, now_us, 1).remaining;
}

static inline bool
passes(const LimitSpec *spec, const Key *key, int64_t now_us, int64_t cost)
{
	return peek(spec, key, now_us, cost).allowed;
}

/* A call: judged, counted when allowed; remaining and reset are those after it. */
static inline LimitVerdict
hit(const LimitSpec *spec, Key *key, int64_t now_us, int64_t cost)
{
	LimitVerdict verdict;

	settle(spec, key, now_us);
	limit_judge(spec, &key->use, &key->log, now_us, cost, &verdict);
	if (verdict.allowed && cost > 0)
	{
		take(spec, key, now_us, cost);
		verdict.remaining = limit_remaining(spec, &key->use, &key->log, now_us);
		verdict.reset_us = limit_reset_us(spec, &key->use, &key->log, now_us);
	}
	return verdict;
}

#endif							/* TEST_UNIT_KEY_H */
