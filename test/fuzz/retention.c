/* link: src/backups/retention.c src/core/civil.c */
/*
 * retention.c
 *		Any catalogue, chains that are loops among them, and any policy: the plan
 *		keeps its promises, and the order of the backups does not matter.
 */
#include "bytes.h"

#include "../unit/retention.h"

#define BACKUPS_MAX 60
#define DAY_US INT64_C(86400000000)

/* Mostly within two years before and a little after, so that periods are shared. */
static int64_t
time_of(Bytes *bytes, int64_t now_us)
{
	uint8_t		kind = bytes_one(bytes);

	if (kind >= 250)
		return (int64_t) bytes_word(bytes, 8);
	return (int64_t) ((uint64_t) now_us + DAY_US * 10 - bytes_word(bytes, 2) * (DAY_US / 80));
}

static void
policy_of(Bytes *bytes, Catalogue *c)
{
	c->has_policy = bytes_one(bytes) % 16 != 0;
	for (int i = 0; i < RETENTION_RULES; i++)
		c->policy.keep[i] = bytes_one(bytes) % 3 == 0 ? bytes_one(bytes) % 20 : 0;
	c->policy.min_good = bytes_one(bytes) % 6;
	c->policy.max_age_us = bytes_one(bytes) % 2 ? bytes_number(bytes, INT64_MAX) : 0;
}

static void
backup_of(Bytes *bytes, Catalogue *c, int i)
{
	RetentionBackup *b = &c->backups[i];
	uint8_t		flags = bytes_one(bytes);

	/* An odd factor: all are different, and in no order. */
	b->id = (int64_t) ((uint32_t) (i + 1) * UINT32_C(2654435761));
	b->at_us = time_of(bytes, c->now_us);
	b->good = (flags & 3) != 0;
	b->held = (flags >> 2) % 16 == 1;
	b->foreign = (flags >> 2) % 16 == 2;
	b->needed = (flags >> 2) % 16 == 3;
	b->verified_us = (flags >> 2) % 16 == 4 ? time_of(bytes, c->now_us) : 0;
	b->parent = flags >= 192 ? bytes_one(bytes) % c->n : -1;
	b->group = bytes_one(bytes) % RETENTION_GROUPS;
}

static void
must_not_depend_on_order(const Catalogue *c, int step)
{
	int			places[BACKUPS_MAX];

	for (int i = 0; i < c->n; i++)
		places[i] = (i + step) % c->n;
	must(order_does_not_matter(c, places));
	for (int i = 0; i < c->n; i++)
		places[i] = c->n - 1 - i;
	must(order_does_not_matter(c, places));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes		bytes = {data, size};
	Catalogue	c;
	const char *broken;
	char		name[RETENTION_PERIOD_SIZE];

	catalogue_make(&c, bytes_one(&bytes) % (BACKUPS_MAX + 1));
	c.now_us = bytes_one(&bytes) < 240 ? INT64_C(1800000000000000) + bytes_one(&bytes) * DAY_US : (int64_t) bytes_word(&bytes, 8);
	policy_of(&bytes, &c);
	for (int i = 0; i < c.n; i++)
		backup_of(&bytes, &c, i);
	catalogue_plan(&c);
	broken = broken_promise(&c);
	if (broken != NULL)
		fprintf(stderr, "broken: %s\n", broken);
	must(broken == NULL);
	must_not_depend_on_order(&c, bytes_one(&bytes));
	must(trusted_fare_no_worse(&c));
	for (int i = 0; i < c.n; i++)
		for (RetentionReason rule = RETENTION_DAILY; rule <= RETENTION_YEARLY; rule++)
			retention_period_name(rule, c.backups[i].at_us, name);
	catalogue_free(&c);
	return 0;
}
