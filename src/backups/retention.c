/*
 * retention.c
 *		See retention.h.
 *
 * Everything is walked in one order, the newest first, so that it does not
 * matter in which one the backups came.
 */
#include "backups/retention.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "core/civil.h"

#define DAY_US	(CIVIL_DAY_S * INT64_C(1000000))

typedef struct Plan
{
	const RetentionBackup *backups;
	int			n;
	const RetentionPolicy *policy;
	int64_t		now_us;
	int64_t		oldest_us;		/* what is older is too old */
	const int  *order;
	RetentionFate *fates;
	/* Of the group whose turn it is: */
	int			group;
	int			good;			/* how many count */
	int			good_kept;
	int			last_place;		/* in the order: the oldest good one that the policy keeps; -1: none */
} Plan;

/* ---- periods ---- */

static int64_t
day_of(int64_t at_us)
{
	return civil_floor(at_us, DAY_US);
}

/* Weeks since the one of 1970-01-01, a Thursday. */
static int64_t
week_of(int64_t day)
{
	return civil_floor(day + 3, 7);
}

/* Its number: periods that follow each other have ascending ones. */
static int64_t
period_of(RetentionReason rule, int64_t at_us)
{
	int64_t		day = day_of(at_us);
	CivilDate	date = civil_date(day);

	switch (rule)
	{
		case RETENTION_DAILY:
			return day;
		case RETENTION_WEEKLY:
			return week_of(day);
		case RETENTION_MONTHLY:
			return date.year * 12 + date.month;
		default:
			return date.year;
	}
}

/* A week belongs to the year of its Thursday. */
static void
name_week(int64_t day, char *name)
{
	int64_t		thursday = week_of(day) * 7;
	int64_t		year = civil_date(thursday).year;

	snprintf(name, RETENTION_PERIOD_SIZE, "%04" PRId64 "-W%02d", year,
			 (int) ((thursday - civil_days(year, 1, 1)) / 7) + 1);
}

void
retention_period_name(RetentionReason rule, int64_t at_us, char *name)
{
	CivilDate	date = civil_date(day_of(at_us));

	if (rule == RETENTION_WEEKLY)
		name_week(day_of(at_us), name);
	else if (rule == RETENTION_YEARLY)
		snprintf(name, RETENTION_PERIOD_SIZE, "%04" PRId64, date.year);
	else if (rule == RETENTION_MONTHLY)
		snprintf(name, RETENTION_PERIOD_SIZE, "%04" PRId64 "-%02d", date.year, date.month);
	else
		snprintf(name, RETENTION_PERIOD_SIZE, "%04" PRId64 "-%02d-%02d", date.year, date.month, date.day);
}

/* ---- order: a heap sort, which needs neither memory nor a deep stack ---- */

static bool
is_newer(const RetentionBackup *a, const RetentionBackup *b)
{
	return a->at_us != b->at_us ? a->at_us > b->at_us : a->id > b->id;
}

/* The oldest of those below "root" comes to the root. */
static void
sift(const RetentionBackup *backups, int *order, int root, int n)
{
	int			moving = order[root];
	int			child;

	while ((child = 2 * root + 1) < n)
	{
		if (child + 1 < n && is_newer(&backups[order[child]], &backups[order[child + 1]]))
			child++;
		if (!is_newer(&backups[moving], &backups[order[child]]))
			break;
		order[root] = order[child];
		root = child;
	}
	order[root] = moving;
}

static void
sort(const RetentionBackup *backups, int *order, int n)
{
	for (int i = 0; i < n; i++)
		order[i] = i;
	for (int i = n / 2 - 1; i >= 0; i--)
		sift(backups, order, i, n);
	for (int i = n - 1; i > 0; i--)
	{
		int			oldest = order[0];

		order[0] = order[i];
		order[i] = oldest;
		sift(backups, order, 0, i);
	}
}

/* ---- keeping ---- */

static bool
is_kept(const Plan *plan, int i)
{
	return retention_keeps(plan->fates[i]);
}

static bool
counts(const Plan *plan, int i)
{
	const RetentionBackup *b = &plan->backups[i];

	return b->group == plan->group && b->good && !b->foreign && b->at_us <= plan->now_us;
}

static bool
is_too_old(const Plan *plan, int i)
{
	return plan->backups[i].at_us < plan->oldest_us;
}

static void
begin_to_keep(Plan *plan, int i, RetentionReason reason, int number)
{
	plan->fates[i] = (RetentionFate) {reason, number};
	if (counts(plan, i))
		plan->good_kept++;
}

/* What is kept has its parents kept, always: so the walk ends at one that is kept already. */
static void
keep_parents(Plan *plan, int child)
{
	int			parent;

	while ((parent = plan->backups[child].parent) >= 0 && !is_kept(plan, parent))
	{
		begin_to_keep(plan, parent, RETENTION_PARENT, child);
		child = parent;
	}
}

static void
keep(Plan *plan, int i, RetentionReason reason, int number)
{
	if (is_kept(plan, i))
	{
		if (reason < plan->fates[i].reason)
			plan->fates[i] = (RetentionFate) {reason, number};
		return;
	}
	begin_to_keep(plan, i, reason, number);
	keep_parents(plan, i);
}

/* As keep(), for good ones that the policy wants. */
static void
keep_by_policy(Plan *plan, int place, RetentionReason reason, int number)
{
	keep(plan, plan->order[place], reason, number);
	if (place > plan->last_place)
		plan->last_place = place;
}

/* ---- the rules ---- */

static bool
has_rules(const RetentionPolicy *policy)
{
	for (int i = 0; i < RETENTION_RULES; i++)
		if (policy->keep[i] > 0)
			return true;
	return false;
}

static bool
trusts(const Plan *plan, int i)
{
	return retention_trusts(plan->backups[i].group);
}

static void
keep_exceptions(Plan *plan, bool trusted)
{
	for (int k = 0; k < plan->n; k++)
	{
		int			i = plan->order[k];
		const RetentionBackup *b = &plan->backups[i];

		if (trusts(plan, i) != trusted)
			continue;
		if (b->held)
			keep(plan, i, RETENTION_HELD, 0);
		if (b->foreign)
			keep(plan, i, RETENTION_FOREIGN, 0);
		if (b->at_us > plan->now_us)
			keep(plan, i, RETENTION_FUTURE, 0);
	}
}

/* Whoever says that one is being made: what it needs counts for nothing. */
static void
keep_needed(Plan *plan)
{
	for (int k = 0; k < plan->n; k++)
		if (plan->backups[plan->order[k]].needed)
			keep(plan, plan->order[k], RETENTION_NEEDED, 0);
}

static void
keep_all(Plan *plan)
{
	for (int k = 0; k < plan->n; k++)
		keep(plan, plan->order[k], RETENTION_NO_POLICY, 0);
}

/* The newest of each of the last "most" periods that have one; of keep_last, each is a period of its own. */
static void
apply_rule(Plan *plan, RetentionReason rule)
{
	int			most = plan->policy->keep[rule - RETENTION_LAST];
	int			periods = 0;
	int64_t		last = 0;

	for (int k = 0; k < plan->n && periods < most; k++)
	{
		int			i = plan->order[k];
		int64_t		period;

		if (!counts(plan, i) || is_too_old(plan, i))
			continue;
		period = rule == RETENTION_LAST ? periods : period_of(rule, plan->backups[i].at_us);
		if (rule != RETENTION_LAST && periods > 0 && period == last)
			continue;
		last = period;
		keep_by_policy(plan, k, rule, ++periods);
	}
}

static void
apply_rules(Plan *plan)
{
	for (RetentionReason rule = RETENTION_LAST; rule <= RETENTION_YEARLY; rule++)
		apply_rule(plan, rule);
}

/* Good or not. */
static void
keep_young(Plan *plan)
{
	for (int k = 0; k < plan->n && !is_too_old(plan, plan->order[k]); k++)
	{
		int			i = plan->order[k];

		if (counts(plan, i))
			keep_by_policy(plan, k, RETENTION_YOUNG, 0);
		else if (plan->backups[i].group == plan->group)
			keep(plan, i, RETENTION_YOUNG, 0);
	}
}

static void
keep_verified(Plan *plan)
{
	int			found = -1;

	for (int k = 0; k < plan->n; k++)
	{
		int			i = plan->order[k];
		int64_t		verified_us = plan->backups[i].verified_us;

		if (counts(plan, i) && verified_us != 0 &&
			(found < 0 || verified_us > plan->backups[found].verified_us))
			found = i;
	}
	if (found >= 0)
		keep(plan, found, RETENTION_VERIFIED, 0);
}

static void
keep_enough(Plan *plan)
{
	for (int k = 0; k < plan->n && plan->good_kept < plan->policy->min_good; k++)
		if (counts(plan, plan->order[k]) && !is_kept(plan, plan->order[k]))
			keep_by_policy(plan, k, RETENTION_MIN_GOOD, 0);
}

/* They may be all that is left of their time, until something good is both there and older. */
static void
keep_suspects(Plan *plan)
{
	bool		few = plan->good == 0 || plan->good < plan->policy->min_good;

	for (int k = 0; k < plan->n; k++)
	{
		int			i = plan->order[k];

		if (plan->backups[i].good || plan->backups[i].group != plan->group)
			continue;
		if (few)
			keep(plan, i, RETENTION_SUSPECT_FEW, 0);
		else if (!is_too_old(plan, i) && (plan->last_place < 0 || k < plan->last_place))
			keep(plan, i, RETENTION_SUSPECT_YOUNG, 0);
	}
}

static void
give_up_rest(Plan *plan)
{
	for (int i = 0; i < plan->n; i++)
	{
		if (is_kept(plan, i))
			continue;
		plan->fates[i].reason = is_too_old(plan, i) ? RETENTION_TOO_OLD :
			plan->backups[i].good ? RETENTION_NO_RULE : RETENTION_SUSPECT_OLD;
	}
}

static void
begin_group(Plan *plan, int group)
{
	plan->group = group;
	plan->good = plan->good_kept = 0;
	plan->last_place = -1;
	for (int i = 0; i < plan->n; i++)
	{
		plan->good += counts(plan, i);
		plan->good_kept += counts(plan, i) && is_kept(plan, i);
	}
}

static void
plan_group(Plan *plan, int group, bool rules)
{
	begin_group(plan, group);
	if (rules)
		apply_rules(plan);
	else
		keep_young(plan);
	keep_verified(plan);
	keep_enough(plan);
	keep_suspects(plan);
}

/* Those that are trusted first: by then nothing that others noted has kept, and so counted, any of them. */
static void
plan_groups(Plan *plan, bool rules)
{
	keep_exceptions(plan, true);
	for (int kind = 0; kind < RETENTION_KINDS; kind++)
		plan_group(plan, retention_group(kind, true), rules);
	keep_exceptions(plan, false);
	for (int kind = 0; kind < RETENTION_KINDS; kind++)
		plan_group(plan, retention_group(kind, false), rules);
	keep_needed(plan);
	give_up_rest(plan);
}

/* Whether time is a rule, and from when on. */
static int64_t
oldest_of(const RetentionPolicy *policy, int64_t now_us)
{
	if (policy == NULL || policy->max_age_us <= 0 || now_us < INT64_MIN + policy->max_age_us)
		return INT64_MIN;
	return now_us - policy->max_age_us;
}

void
retention_plan(const RetentionBackup *backups, int n, const RetentionPolicy *policy, int64_t now_us,
			   int *order, RetentionFate *fates)
{
	bool		rules = policy != NULL && has_rules(policy);
	bool		age = policy != NULL && policy->max_age_us > 0;
	Plan		plan = {
		.backups = backups, .n = n, .policy = policy, .now_us = now_us,
		.oldest_us = oldest_of(policy, now_us), .order = order, .fates = fates
	};

	sort(backups, order, n);
	for (int i = 0; i < n; i++)
		fates[i] = (RetentionFate) {RETENTION_NO_RULE, 0};
	if (rules || age)
		plan_groups(&plan, rules);
	else
	{
		keep_exceptions(&plan, true);
		keep_exceptions(&plan, false);
		keep_needed(&plan);
		keep_all(&plan);
	}
}
