/*
 * check.h
 *		The check: what an operation on one key does under one or several limits.
 *
 * The way of a check: rules (already found) -> lists -> hash of the key -> one
 * probe of the key table -> the algorithm under the entry's own lock -> result.
 * No SQL, no allocation and no error between lock and unlock.
 */
#ifndef LIMITS_CHECK_H
#define LIMITS_CHECK_H

#include "limits/address.h"
#include "limits/rules.h"

#define LIMITS_PER_CALL KEY_COMMIT_MAX

typedef enum LimitReason
{
	REASON_NONE,
	REASON_LIMITED,
	REASON_BLOCKED,
	REASON_DENIED,
	REASON_COST
} LimitReason;

typedef enum LimitOperation
{
	LIMIT_CHECK,				/* counts; cost 0 only looks */
	LIMIT_REFUND,
	LIMIT_RESET,
	LIMIT_BLOCK,
	LIMIT_UNBLOCK
} LimitOperation;

typedef struct LimitKey
{
	const char *text;
	int			length;
	bool		is_address;		/* address is set: the lists are asked */
	Address		address;
} LimitKey;

typedef struct LimitCall
{
	LimitOperation operation;
	int64		cost;
	int64		now_us;			/* of the call; limits_run may read the clock once more */
	int64		until_us;		/* LIMIT_BLOCK */
	const char *note;			/* LIMIT_BLOCK: why; may be NULL */
	bool		allow_only;		/* the caller wants "allowed" and nothing else */
	bool		with_next;		/* the caller wants next_us too */
} LimitCall;

typedef struct LimitResult
{
	const LimitRule *rule;
	bool		allowed;
	bool		existed;		/* the key was known, or was blocked (unblock), or had used something (reset) */
	bool		unknown;		/* the limiter failed and on_limiter_failure lets calls pass */
	LimitReason reason;
	int64		remaining;
	int64		reset_us;
	int64		retry_us;		/* 0: none */
	int64		next_us;		/* when one more unit is there; 0: full, or not asked for */
} LimitResult;

/*
 * Runs the operation under n rules (at most LIMITS_PER_CALL, none twice), all or
 * none, and fills results[n].  Returns false when the key table had no room;
 * then nothing happened.
 */
extern bool limits_run(LimitCall *call, const LimitKey *key,
					   const LimitRule *const *rules, int n, LimitResult *results);

/* Resets whatever key is in the slot, if it belongs to the rule; says whether it had used anything. */
extern bool limits_reset_slot(const LimitRule *rule, KeySlot slot, int64 now_us);

/* The one to report: the refused one to wait longest for, else the one with least left. */
extern const LimitResult *limits_tightest(const LimitResult *results, int n);

#endif							/* LIMITS_CHECK_H */
