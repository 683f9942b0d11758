/*
 * retention.h
 *		What every plan of retention promises, whatever the backups and the policy
 *		are; for the unit test and the fuzzer.  Written anew and naively, as the
 *		documentation says it.
 */
#ifndef TEST_UNIT_RETENTION_H
#define TEST_UNIT_RETENTION_H

#include <stdlib.h>
#include <string.h>

#include "backups/retention.h"

typedef struct Catalogue
{
	RetentionBackup *backups;
	int			n;
	RetentionPolicy policy;
	bool		has_policy;
	int64_t		now_us;
	int		   *order;
	RetentionFate *fates;
} Catalogue;

static inline void
catalogue_make(Catalogue *c, int n)
{
	*c = (Catalogue) {.n = n};
	c->backups = calloc(n + 1, sizeof(RetentionBackup));
	c->order = calloc(n + 1, sizeof(int));
	c->fates = calloc(n + 1, sizeof(RetentionFate));
}

static inline void
catalogue_free(Catalogue *c)
{
	free(c->backups);
	free(c->order);
	free(c->fates);
}

static inline void
catalogue_plan(Catalogue *c)
{
	retention_plan(c->backups, c->n, c->has_policy ? &c->policy : NULL, c->now_us, c->order, c->fates);
}

static inline bool
is_kept(const Catalogue *c, int i)
{
	return retention_keeps(c->fates[i]);
}

static inline bool
is_counted(const Catalogue *c, int i)
{
	return c->backups[i].good && !c->backups[i].foreign && c->backups[i].at_us <= c->now_us;
}

static inline bool
is_over_age(const Catalogue *c, int i)
{
	const RetentionBackup *b = &c->backups[i];

	return c->has_policy && c->policy.max_age_us > 0 && b->at_us <= c->now_us &&
		(uint64_t) c->now_us - (uint64_t) b->at_us > (uint64_t) c->policy.max_age_us;
}

static inline bool
has_rule(const Catalogue *c)
{
	for (int i = 0; c->has_policy && i < RETENTION_RULES; i++)
		if (c->policy.keep[i] > 0)
			return true;
	return false;
}

static inline bool
keeps_all(const Catalogue *c)
{
	return !has_rule(c) && !(c->has_policy && c->policy.max_age_us > 0);
}

static inline bool
is_counted_in(const Catalogue *c, int i, int group)
{
	return c->backups[i].group == group && is_counted(c, i);
}

/* How many count, or of these are kept. */
static inline int
count_good(const Catalogue *c, int group, bool only_kept)
{
	int			n = 0;

	for (int i = 0; i < c->n; i++)
		n += is_counted_in(c, i, group) && (!only_kept || is_kept(c, i));
	return n;
}

static inline bool
keeps_min_good(const Catalogue *c, int group)
{
	int			want = c->has_policy ? c->policy.min_good : 0;
	int			good = count_good(c, group, false);

	return count_good(c, group, true) >= (good < want ? good : want);
}

/* No other one that counts was verified later. */
static inline bool
keeps_last_verified(const Catalogue *c, int group)
{
	int64_t		last = INT64_MIN;
	bool		any = false;
	bool		kept = false;

	for (int i = 0; i < c->n; i++)
		if (is_counted_in(c, i, group) && c->backups[i].verified_us != 0 && c->backups[i].verified_us > last)
		{
			last = c->backups[i].verified_us;
			any = true;
		}
	for (int i = 0; i < c->n; i++)
		if (is_counted_in(c, i, group) && c->backups[i].verified_us == last && is_kept(c, i))
			kept = true;
	return !any || kept;
}

static inline bool
keeps_what_must_be(const Catalogue *c, int i)
{
	const RetentionBackup *b = &c->backups[i];
	bool		must = b->held || b->foreign || b->needed || b->at_us > c->now_us || keeps_all(c);

	return !must || is_kept(c, i);
}

static inline bool
keeps_parent(const Catalogue *c, int i)
{
	int			parent = c->backups[i].parent;

	return !is_kept(c, i) || parent < 0 || is_kept(c, parent);
}

static inline bool
ends_at_age(const Catalogue *c, int i)
{
	RetentionReason reason = c->fates[i].reason;

	return !is_over_age(c, i) || !is_kept(c, i) ||
		(reason != RETENTION_SUSPECT_YOUNG && (reason < RETENTION_LAST || reason > RETENTION_YOUNG));
}

static inline bool
keeps_young(const Catalogue *c, int i)
{
	return !c->has_policy || has_rule(c) || is_over_age(c, i) || is_kept(c, i);
}

/* As long as there are too few good ones, suspect ones are better than nothing. */
static inline bool
keeps_suspect(const Catalogue *c, int i)
{
	int			good = count_good(c, c->backups[i].group, false);
	bool		few = good == 0 || (c->has_policy && good < c->policy.min_good);

	return c->backups[i].good || !few || is_kept(c, i);
}

static inline bool
is_in_order(const Catalogue *c, int k)
{
	const RetentionBackup *a = &c->backups[c->order[k]];
	const RetentionBackup *b = &c->backups[c->order[k + 1]];

	return a->at_us > b->at_us || (a->at_us == b->at_us && a->id > b->id);
}

/* NULL, or the first promise that is broken. */
static inline const char *
broken_promise(const Catalogue *c)
{
	for (int k = 0; k + 1 < c->n; k++)
		if (!is_in_order(c, k))
			return "newest first";
	for (int i = 0; i < c->n; i++)
	{
		if (!keeps_what_must_be(c, i))
			return "held, foreign, needed and future ones are kept, and all without a policy";
		if (!keeps_parent(c, i))
			return "parents are kept";
		if (!ends_at_age(c, i))
			return "no rule keeps what is too old";
		if (!keeps_young(c, i))
			return "with an age alone, all that is younger is kept";
	}
	if (c->n <= 64)
		for (int i = 0; i < c->n; i++)
			if (!keeps_suspect(c, i))
				return "suspect ones are kept while there are too few good ones";
	for (int group = 0; group < RETENTION_GROUPS; group++)
	{
		if (!keeps_min_good(c, group))
			return "min_good";
		if (!keeps_last_verified(c, group))
			return "the last verified one is kept";
	}
	return NULL;
}

/* Two backups of two plans of the same catalogue, in other orders, fare alike. */
static inline bool
fare_alike(const Catalogue *a, int i, const Catalogue *b, int j)
{
	RetentionFate x = a->fates[i];
	RetentionFate y = b->fates[j];

	if (x.reason != y.reason)
		return false;
	return x.reason == RETENTION_PARENT ? a->backups[x.number].id == b->backups[y.number].id : x.number == y.number;
}

/* The same catalogue with its backups at other places: [i] is where the i-th comes. */
static inline void
catalogue_move(const Catalogue *from, Catalogue *to, const int *places)
{
	catalogue_make(to, from->n);
	to->policy = from->policy;
	to->has_policy = from->has_policy;
	to->now_us = from->now_us;
	for (int i = 0; i < from->n; i++)
	{
		RetentionBackup *b = &to->backups[places[i]];

		*b = from->backups[i];
		if (b->parent >= 0)
			b->parent = places[b->parent];
	}
	catalogue_plan(to);
}

static inline bool
order_does_not_matter(const Catalogue *c, const int *places)
{
	Catalogue	moved;
	bool		alike = true;

	catalogue_move(c, &moved, places);
	for (int i = 0; i < c->n; i++)
		alike &= fare_alike(c, i, &moved, places[i]);
	catalogue_free(&moved);
	return alike;
}

/*
 * The same catalogue, of the trusted ones only, or of all; whoever is trusted
 * builds on none of the others.  [i] is where the i-th is in it, -1: not.
 */
static inline void
catalogue_part(const Catalogue *from, Catalogue *to, bool all, int *places)
{
	catalogue_make(to, from->n);
	to->policy = from->policy;
	to->has_policy = from->has_policy;
	to->now_us = from->now_us;
	to->n = 0;
	for (int i = 0; i < from->n; i++)
		places[i] = all || retention_trusts(from->backups[i].group) ? to->n++ : -1;
	for (int i = 0; i < from->n; i++)
	{
		RetentionBackup *b = &to->backups[places[i] >= 0 ? places[i] : 0];
		int			parent = from->backups[i].parent;

		if (places[i] < 0)
			continue;
		*b = from->backups[i];
		if (parent >= 0 && retention_trusts(b->group) && !retention_trusts(from->backups[parent].group))
			parent = -1;
		b->parent = parent >= 0 ? places[parent] : -1;
		/* Who needs it may have been one of the others. */
		b->needed &= all;
	}
	catalogue_plan(to);
}

/* Whoever may note backups has more of the trusted ones kept, or as many, but never fewer. */
static inline bool
trusted_fare_no_worse(const Catalogue *c)
{
	Catalogue	with;
	Catalogue	without;
	int		   *places = calloc(c->n + 1, sizeof(int));
	int		   *same = calloc(c->n + 1, sizeof(int));
	bool		no_worse = true;

	catalogue_part(c, &with, true, same);
	catalogue_part(c, &without, false, places);
	for (int i = 0; i < c->n; i++)
		if (places[i] >= 0 && is_kept(&without, places[i]))
			no_worse &= is_kept(&with, same[i]);
	catalogue_free(&with);
	catalogue_free(&without);
	free(places);
	free(same);
	return no_worse;
}

#endif							/* TEST_UNIT_RETENTION_H */
