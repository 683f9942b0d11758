/*
 * retention.h
 *		Which backups are kept, and why.  Knows no PostgreSQL header, allocates
 *		nothing, raises nothing.
 *
 * Times are microseconds since 1970-01-01 UTC, and so are days, weeks (ISO),
 * months and years.  A backup that is not good is suspect; those that are made,
 * failed or have expired are no part of a plan.
 */
#ifndef BACKUPS_RETENTION_H
#define BACKUPS_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#define RETENTION_PERIOD_SIZE 32
#define RETENTION_KINDS 3
/* Of each kind twice: first those that are trusted, then those that are other people's word. */
#define RETENTION_GROUPS (2 * RETENTION_KINDS)

/* Why; up to RETENTION_PARENT it is kept.  Where several apply, the first is told. */
typedef enum RetentionReason
{
	RETENTION_HELD,
	RETENTION_FOREIGN,
	RETENTION_FUTURE,
	RETENTION_NO_POLICY,
	/* The rules: each has a place in RetentionPolicy.keep. */
	RETENTION_LAST,
	RETENTION_DAILY,
	RETENTION_WEEKLY,
	RETENTION_MONTHLY,
	RETENTION_YEARLY,
	RETENTION_YOUNG,			/* there is only max_age */
	RETENTION_VERIFIED,
	RETENTION_MIN_GOOD,
	RETENTION_SUSPECT_FEW,		/* there are fewer good ones than min_good */
	RETENTION_SUSPECT_YOUNG,	/* the rules keep good ones that are older */
	RETENTION_NEEDED,			/* one that is being made builds on it */
	RETENTION_PARENT,			/* one that is kept builds on it */
	RETENTION_TOO_OLD,
	RETENTION_SUSPECT_OLD,
	RETENTION_NO_RULE
} RetentionReason;

#define RETENTION_RULES		(RETENTION_YEARLY - RETENTION_LAST + 1)

typedef struct RetentionBackup
{
	int64_t		id;				/* no two have the same */
	int64_t		at_us;
	int64_t		verified_us;	/* the last time with success; 0: never */
	int			parent;			/* the place of the one that it builds on; -1: none */
	int			group;			/* from 0, by retention_group(); the rules count in each for itself */
	bool		good;
	bool		held;
	bool		foreign;		/* its own tool, or server, removes it: it never counts */
	bool		needed;
} RetentionBackup;

typedef struct RetentionPolicy
{
	int			keep[RETENTION_RULES];	/* last, daily, weekly, monthly, yearly; 0: not used */
	int			min_good;
	int64_t		max_age_us;		/* 0: none */
} RetentionPolicy;

typedef struct RetentionFate
{
	RetentionReason reason;
	int			number;			/* of a rule: the how many-th, from 1; PARENT: the place of what builds on it */
} RetentionFate;

static inline int
retention_group(int kind, bool trusted)
{
	return trusted ? kind : kind + RETENTION_KINDS;
}

static inline int
retention_kind(int group)
{
	return group % RETENTION_KINDS;
}

static inline bool
retention_trusts(int group)
{
	return group < RETENTION_KINDS;
}

static inline bool
retention_keeps(RetentionFate fate)
{
	return fate.reason <= RETENTION_PARENT;
}

/*
 * The fate of each of n backups; "order" becomes their places, the newest first.
 * Without a policy (NULL), or with one that has neither rules nor an age, all are
 * kept.  Of those that are trusted, as many are kept as if there were no others,
 * or more: whoever may note backups makes none of them expire.
 */
extern void retention_plan(const RetentionBackup *backups, int n, const RetentionPolicy *policy,
						   int64_t now_us, int *order, RetentionFate *fates);

/* What a rule calls the period of a time: 2026-01-31, 2026-W05, 2026-01, 2026. */
extern void retention_period_name(RetentionReason rule, int64_t at_us, char *name);

#endif							/* BACKUPS_RETENTION_H */
