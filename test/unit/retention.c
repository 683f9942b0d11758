/* link: src/backups/retention.c src/core/civil.c */
/*
 * retention.c
 *		Which backups are kept: the vectors, single rules by hand, and promises and a
 *		naive count for many catalogues.
 */
#include "tap.h"

#include <time.h>

#include "json.h"
#include "random.h"
#include "retention.h"

#include "core/civil.h"

#define DAY_US INT64_C(86400000000)

/* "2014-11-13 10:20:30.1" */
static int64_t
at(const char *text)
{
	int			year, month, day, hour, minute, second;
	int			used = 0;
	int64_t		us = 0;

	if (sscanf(text, "%d-%d-%d %d:%d:%d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6)
	{
		printf("Bail out! no time: %s\n", text);
		exit(1);
	}
	if (text[used] == '.')
		us = (int64_t) (atof(text + used) * 1000000 + 0.5);
	return (civil_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * INT64_C(1000000) + us;
}

/* ---- the vectors ---- */

static RetentionPolicy
policy_of(const Json *json)
{
	static const char *const names[] = {"keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"};
	RetentionPolicy policy = {.min_good = 1};

	for (const Json *member = json->first; member != NULL; member = member->next)
	{
		bool		known = false;

		for (int i = 0; i < RETENTION_RULES; i++)
			if (strcmp(member->name, names[i]) == 0)
			{
				policy.keep[i] = (int) member->number;
				known = true;
			}
		if (!known)
			json_bail("unknown rule");
	}
	return policy;
}

static void
catalogue_of(const Json *times, Catalogue *c)
{
	catalogue_make(c, times->n);
	for (int i = 0; i < times->n; i++)
		c->backups[i] = (RetentionBackup) {
			.id = i + 1, .at_us = at(json_item(times, i)->string), .good = true, .parent = -1
		};
	c->now_us = at("2016-02-01 00:00:00");
	c->has_policy = true;
}

/* Those that are kept, newest first, are those of the vector; of equal times, the highest id. */
static bool
is_as_expected(const Catalogue *c, const Json *keep)
{
	int			n = 0;

	for (int k = 0; k < c->n; k++)
	{
		int			i = c->order[k];

		if (!is_kept(c, i))
			continue;
		if (n == keep->n || c->backups[i].at_us != at(json_item(keep, n)->string))
			return false;
		n++;
	}
	return n == keep->n;
}

static void
vectors(void)
{
	const Json *file = json_read("test/vectors/retention.json");
	const Json *cases = json_get(file, "cases");
	Catalogue	c;

	catalogue_of(json_get(file, "backups"), &c);
	for (int i = 0; i < cases->n; i++)
	{
		const Json *one = json_item(cases, i);

		c.policy = policy_of(json_get(one, "policy"));
		catalogue_plan(&c);
		ok(is_as_expected(&c, json_get(one, "keep")) && broken_promise(&c) == NULL, "vector %s",
		   json_get(one, "id")->string);
	}
	catalogue_free(&c);
}

/* ---- by hand ---- */

static void
period_names(void)
{
	static const struct
	{
		const char *at;
		const char *week;
	}			weeks[] = {
		{"2016-01-01 00:00:00", "2015-W53"}, {"2016-01-03 23:59:59", "2015-W53"}, {"2016-01-04 00:00:00", "2016-W01"},
		{"2024-12-30 00:00:00", "2025-W01"}, {"2026-01-18 12:00:00", "2026-W03"}, {"1969-12-28 12:00:00", "1969-W52"},
		{"1969-12-29 00:00:00", "1970-W01"}
	};
	char		name[RETENTION_PERIOD_SIZE];

	for (size_t i = 0; i < sizeof(weeks) / sizeof(weeks[0]); i++)
	{
		retention_period_name(RETENTION_WEEKLY, at(weeks[i].at), name);
		ok(strcmp(name, weeks[i].week) == 0, "%s is in %s: %s", weeks[i].at, weeks[i].week, name);
	}
	retention_period_name(RETENTION_DAILY, at("2026-01-18 12:00:00"), name);
	ok(strcmp(name, "2026-01-18") == 0, "a day is called %s", name);
	retention_period_name(RETENTION_MONTHLY, at("2026-01-18 12:00:00"), name);
	ok(strcmp(name, "2026-01") == 0, "a month is called %s", name);
	retention_period_name(RETENTION_YEARLY, at("2026-01-18 12:00:00"), name);
	ok(strcmp(name, "2026") == 0, "a year is called %s", name);
}

/* A good one a day, the first today at noon; the id is how many days old it is, from 1. */
static void
daily(Catalogue *c, int n)
{
	catalogue_make(c, n);
	c->now_us = at("2026-11-25 13:00:00");
	c->has_policy = true;
	c->policy.min_good = 1;
	for (int i = 0; i < n; i++)
		c->backups[i] = (RetentionBackup) {
			.id = i + 1, .at_us = at("2026-11-25 12:00:00") - i * DAY_US, .good = true, .parent = -1
		};
}

/* One letter a backup: the reason. */
static void
is_plan(Catalogue *c, const char *expected, const char *name)
{
	static const char letters[] = "HFfnLDWMYyVmsSNPOoX";
	char		got[100];

	catalogue_plan(c);
	for (int i = 0; i < c->n; i++)
		got[i] = letters[c->fates[i].reason];
	got[c->n] = '\0';
	ok(strcmp(got, expected) == 0 && broken_promise(c) == NULL, "%s: %s, wanted %s", name, got, expected);
	catalogue_free(c);
}

static void
by_hand(void)
{
	Catalogue	c;

	daily(&c, 4);
	c.has_policy = false;
	is_plan(&c, "nnnn", "no policy");
	daily(&c, 4);
	is_plan(&c, "nnnn", "a policy that says nothing");
	daily(&c, 6);
	c.policy.keep[0] = 2;
	is_plan(&c, "LLXXXX", "the last 2");
	daily(&c, 6);
	c.policy.keep[0] = 1;
	c.policy.keep[1] = 3;
	is_plan(&c, "LDDXXX", "rules are joined by OR");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.policy.min_good = 3;
	is_plan(&c, "LmmXX", "min_good adds the newest");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	c.backups[4].held = true;
	is_plan(&c, "LXXXH", "a held one counts for min_good");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.backups[3].verified_us = at("2026-11-24 00:00:00");
	c.backups[2].verified_us = at("2026-11-23 00:00:00");
	is_plan(&c, "LXXVX", "the one verified last");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.backups[1].verified_us = at("2026-11-24 00:00:00");
	c.backups[1].good = false;
	c.backups[3].verified_us = at("2026-11-23 00:00:00");
	is_plan(&c, "LoXVX", "a suspect one that was verified is not it");
	daily(&c, 5);
	c.policy.keep[0] = 2;
	c.backups[0].at_us = c.now_us + 1;
	is_plan(&c, "fLLXX", "the future does not count");
	daily(&c, 5);
	c.policy.keep[0] = 2;
	c.backups[0].at_us = c.now_us;
	is_plan(&c, "LLXXX", "now is no future");
	daily(&c, 5);
	c.policy.keep[0] = 2;
	c.backups[1].foreign = true;
	is_plan(&c, "LFLXX", "nor do those of other tools");
}

static void
ages(void)
{
	Catalogue	c;

	daily(&c, 5);
	c.policy.max_age_us = 2 * DAY_US + 3600 * INT64_C(1000000);
	is_plan(&c, "yyyOO", "an age alone keeps what is younger, and what is just as old");
	daily(&c, 5);
	c.policy.max_age_us = 2 * DAY_US;
	c.policy.keep[1] = 4;
	is_plan(&c, "DDOOO", "an age ends what a rule would keep");
	daily(&c, 5);
	c.policy.max_age_us = 1;
	c.policy.min_good = 2;
	c.backups[3].held = true;
	c.backups[4].verified_us = 1;
	is_plan(&c, "OOOHV", "but no held and no last verified one; they are min_good");
	daily(&c, 5);
	c.policy.max_age_us = 1;
	c.policy.min_good = 2;
	is_plan(&c, "mmOOO", "nor goes below min_good");
	daily(&c, 5);
	c.policy.max_age_us = 2 * DAY_US;
	c.policy.keep[1] = 1;
	c.backups[0].parent = 4;
	is_plan(&c, "DXOOP", "nor breaks a chain");
	daily(&c, 3);
	c.policy.max_age_us = 2 * DAY_US;
	c.backups[0].good = c.backups[2].good = false;
	is_plan(&c, "yyO", "suspect ones go by age, too");
}

static void
chains(void)
{
	Catalogue	c;

	daily(&c, 5);
	c.policy.keep[0] = 1;
	for (int i = 0; i < 4; i++)
		c.backups[i].parent = i + 1;
	is_plan(&c, "LPPPP", "a chain");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.backups[0].parent = 3;
	c.backups[3].parent = 0;
	is_plan(&c, "LXXPX", "a chain that is a loop");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.backups[0].parent = 2;
	c.backups[2].good = false;
	is_plan(&c, "LXPXX", "a parent may be suspect");
	daily(&c, 5);
	c.policy.keep[0] = 1;
	c.backups[4].needed = true;
	c.backups[4].parent = 3;
	is_plan(&c, "LXXPN", "what is being made needs its parents");
	daily(&c, 5);
	c.policy.keep[0] = 3;
	c.backups[0].parent = 2;
	is_plan(&c, "LLLXX", "a rule is the better reason");
}

static void
suspects(void)
{
	Catalogue	c;

	daily(&c, 6);
	c.policy.keep[0] = 2;
	c.backups[0].good = c.backups[2].good = c.backups[4].good = false;
	is_plan(&c, "SLSLoX", "kept while the rules keep an older good one");
	daily(&c, 3);
	c.policy.keep[0] = 1;
	for (int i = 0; i < 3; i++)
		c.backups[i].good = false;
	is_plan(&c, "sss", "kept when there is nothing else");
	daily(&c, 3);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	c.backups[1].good = c.backups[2].good = false;
	is_plan(&c, "Lss", "kept when there are too few good ones");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	c.backups[1].good = false;
	c.backups[2].held = true;
	is_plan(&c, "LoHX", "a held one is not what the rules keep");
}

static void
groups(void)
{
	Catalogue	c;

	daily(&c, 8);
	c.policy.keep[0] = 2;
	for (int i = 1; i < 8; i += 2)
		c.backups[i].group = 1;
	is_plan(&c, "LLLLXXXX", "each group has its own last ones");
	daily(&c, 8);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	for (int i = 4; i < 8; i++)
		c.backups[i].group = 2;
	c.backups[3].verified_us = 2;
	c.backups[7].verified_us = 1;
	c.backups[4].good = false;
	is_plan(&c, "LXXVSLXV", "its own min_good, last verified and suspects");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	for (int i = 2; i < 4; i++)
		c.backups[i].group = 1;
	c.backups[0].parent = 3;
	is_plan(&c, "LXLP", "a parent of another group");
	daily(&c, 6);
	c.policy.max_age_us = 2 * DAY_US;
	c.policy.min_good = 2;
	for (int i = 2; i < 6; i++)
		c.backups[i].group = 1;
	is_plan(&c, "yymmOO", "an age");
}

/* One that somebody noted who is not trusted. */
static void
noted(Catalogue *c, int i)
{
	c->backups[i].group = retention_group(retention_kind(c->backups[i].group), false);
}

static void
of_others(void)
{
	Catalogue	c;

	daily(&c, 8);
	c.policy.keep[0] = 2;
	for (int i = 0; i < 4; i++)
		noted(&c, i);
	is_plan(&c, "LLXXLLXX", "what others noted takes no trusted one's place");
	daily(&c, 6);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	for (int i = 0; i < 3; i++)
		noted(&c, i);
	is_plan(&c, "LmXLmX", "nor counts for their min_good");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	noted(&c, 0);
	c.backups[0].parent = 3;
	is_plan(&c, "LLmP", "nor does a parent that only one of theirs keeps");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	noted(&c, 0);
	c.backups[0].held = true;
	c.backups[0].parent = 3;
	is_plan(&c, "HLmP", "held or not");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	c.policy.min_good = 2;
	c.backups[3].needed = true;
	is_plan(&c, "LmXN", "nor one that is needed, whoever says so");
	daily(&c, 4);
	c.policy.max_age_us = DAY_US / 2;
	noted(&c, 0);
	c.backups[0].parent = 3;
	is_plan(&c, "ymOP", "with an age alone, too");
	daily(&c, 4);
	c.policy.keep[0] = 1;
	noted(&c, 3);
	c.backups[1].good = c.backups[2].good = false;
	is_plan(&c, "LooL", "an old one of theirs keeps no suspect one");
}

/* ---- at random ---- */

static void
random_catalogue(Random *random, Catalogue *c)
{
	catalogue_make(c, (int) random_in(random, 0, 60));
	c->now_us = at("2026-11-25 13:00:00");
	c->has_policy = true;
	for (int i = 0; i < RETENTION_RULES; i++)
		c->policy.keep[i] = random_once_in(random, 2) ? (int) random_in(random, 1, 8) : 0;
	c->policy.min_good = (int) random_in(random, 1, 4);
	c->policy.max_age_us = random_once_in(random, 3) ? random_in(random, 1, 500 * DAY_US) : 0;
	for (int i = 0; i < c->n; i++)
		c->backups[i] = (RetentionBackup) {
			.id = i * 7919 % 100003 + 1,
			.at_us = c->now_us - random_scaled(random, 900 * DAY_US) + (random_once_in(random, 20) ? DAY_US : 0),
			.verified_us = random_once_in(random, 8) ? random_in(random, 1, c->now_us) : 0,
			.group = random_once_in(random, 3) ? (int) random_in(random, 0, RETENTION_GROUPS - 1) : 0,
			.good = !random_once_in(random, 4),
			.held = random_once_in(random, 15),
			.foreign = random_once_in(random, 15),
			.needed = random_once_in(random, 30),
			.parent = random_once_in(random, 4) ? (int) random_in(random, 0, c->n - 1) : -1
		};
}

/* As the documentation says it: nobody in the same period is newer, and fewer than so many periods are. */
static bool
rule_keeps(const Catalogue *c, int i, RetentionReason rule)
{
	char		mine[RETENTION_PERIOD_SIZE];
	char		other[RETENTION_PERIOD_SIZE];
	char		last[RETENTION_PERIOD_SIZE] = "";
	int			newer = 0;

	if (!is_counted(c, i) || is_over_age(c, i))
		return false;
	retention_period_name(rule, c->backups[i].at_us, mine);
	for (int k = 0; c->order[k] != i; k++)
	{
		if (!is_counted_in(c, c->order[k], c->backups[i].group))
			continue;
		retention_period_name(rule, c->backups[c->order[k]].at_us, other);
		if (rule != RETENTION_LAST && strcmp(mine, other) == 0)
			return false;
		if (rule == RETENTION_LAST || strcmp(last, other) != 0)
			newer++;
		strcpy(last, other);
	}
	return newer < c->policy.keep[rule - RETENTION_LAST];
}

static bool
any_rule_keeps(const Catalogue *c, int i)
{
	for (RetentionReason rule = RETENTION_LAST; rule <= RETENTION_YEARLY; rule++)
		if (rule_keeps(c, i, rule))
			return true;
	return false;
}

static void
at_random(void)
{
	Random		random = {5};

	property_begin("promises are kept");
	for (int round = 0; round < 8000; round++)
	{
		Catalogue	c;
		int			places[64];

		random_catalogue(&random, &c);
		catalogue_plan(&c);
		check(broken_promise(&c) == NULL, "round %d: %s", round, broken_promise(&c));
		for (int i = 0; i < c.n; i++)
			places[i] = (i + round) % c.n;
		check(order_does_not_matter(&c, places), "round %d", round);
		check(trusted_fare_no_worse(&c), "round %d: what others noted makes a trusted one expire", round);
		catalogue_free(&c);
	}
	property_end();
	property_begin("rules keep what the documentation says, and nothing else is said to be kept by one");
	for (int round = 0; round < 2000; round++)
	{
		Catalogue	c;

		random_catalogue(&random, &c);
		catalogue_plan(&c);
		for (int i = 0; i < c.n && has_rule(&c); i++)
		{
			RetentionReason reason = c.fates[i].reason;
			bool		said = reason >= RETENTION_LAST && reason <= RETENTION_YEARLY;

			check(said == (any_rule_keeps(&c, i) && reason > RETENTION_NO_POLICY), "round %d, backup %d: reason %d", round, i, reason);
			check(!any_rule_keeps(&c, i) || is_kept(&c, i), "round %d, backup %d", round, i);
		}
		catalogue_free(&c);
	}
	property_end();
}

/* Quadratic would be 10^10 steps. */
static void
many(void)
{
	Catalogue	c;
	clock_t		before = clock();

	daily(&c, 100000);
	c.now_us = at("2026-11-25 13:00:00");
	for (int i = 0; i < RETENTION_RULES; i++)
		c.policy.keep[i] = 50;
	for (int i = 0; i < c.n; i++)
	{
		c.backups[i].at_us = c.now_us - (int64_t) i * 7919 % c.n * (DAY_US / 24);
		c.backups[i].parent = i > 0 ? i - 1 : -1;
	}
	catalogue_plan(&c);
	ok(clock() - before < 5 * CLOCKS_PER_SEC, "100,000 backups in a chain take %ld ms",
	   (long) ((clock() - before) * 1000 / CLOCKS_PER_SEC));
	ok(broken_promise(&c) == NULL, "with promises kept");
	catalogue_free(&c);
}

int
main(void)
{
	vectors();
	period_names();
	by_hand();
	ages();
	chains();
	suspects();
	groups();
	of_others();
	at_random();
	many();
	return tap_done();
}
