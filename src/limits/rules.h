/*
 * rules.h
 *		Named rate limit rules: the backend's copy of pattyly.limits, compiled.
 *
 * Pointers to rules are good until the next limit_rules_catch_up().
 */
#ifndef LIMITS_RULES_H
#define LIMITS_RULES_H

#include "core/siphash.h"
#include "datatype/timestamp.h"
#include "limits/algorithms.h"
#include "limits/store.h"

#define LIMIT_NAME_SIZE 64

typedef enum LimitMode
{
	LIMIT_ENFORCE,
	LIMIT_SHADOW,
	LIMIT_OFF
} LimitMode;

typedef struct LimitRule
{
	char		name[LIMIT_NAME_SIZE];	/* empty for a limit without a rule */
	LimitSpec	spec;
	uint32		tag;			/* limit_spec_tag(spec) */
	LimitMode	mode;
	bool		count_denied;
	int64		block_us;		/* 0: does not block */
	char	   *message;		/* NULL: the language's default */
	SipHash		secret;			/* keys the hash of this rule's keys */
	uint64		owner;			/* marks this rule's entries and statistics */
	LimitStats *stats;			/* NULL for a limit without a rule */
	int			place;			/* among the rules, by name */
} LimitRule;

extern void limit_rules_init(void);

/* Takes in committed changes; the number grows whenever rules were read again. */
extern uint64 limit_rules_catch_up(void);

/* The same, whether or not there was word of a change. */
extern void limit_rules_read_again(void);

/* NULL when there is no such rule. */
extern const LimitRule *limit_rule_find(const char *name, int length);
extern const LimitRule *limit_rule_by_owner(uint64 owner);

/* The same, or the error that names the next step. */
extern const LimitRule *limit_rule_get(const char *name, int length);

/* All rules, in the order of their names. */
extern const LimitRule *limit_rules_all(int *n);

/* A limit given in the call; errors for an impossible one. */
extern void limit_rule_adhoc(LimitRule *rule, const char *algorithm, int64 max_hits,
							 const Interval *per);

/* Whether an owner marks limits of this database that have no rule. */
extern bool limit_owner_is_adhoc(uint64 owner, const LimitSpec *spec);

/* An interval as microseconds: a day is 24 hours, months and years are an error. */
extern int64 limit_interval_us(const Interval *interval, const char *what);

#endif							/* LIMITS_RULES_H */
