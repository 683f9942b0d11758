/*
 * retentionplan.c
 *		See retentionplan.h; and expiry_plan().
 */
#include "postgres.h"

#include "backups/retentionplan.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PATTYLY_FUNCTION(pattyly_expiry_plan);

/* ---- reading ---- */

static const char backups_query[] =
	"SELECT b.id, b.label, coalesce(b.finished_at, b.started_at),"
	"  CASE WHEN b.verify_result ->> 'ok' IS DISTINCT FROM 'false' THEN b.verified_at END,"
	"  b.state = 'done', b.kind = 'incremental',"
	"  EXISTS (SELECT FROM pattyly.backups AS r WHERE r.parent_id = b.id AND r.state = 'running'),"
	"  coalesce(b.parent_id, b.id),"
	"  CASE WHEN b.tool IN ('pgbackrest', 'barman', 'wal-g') THEN 'kept by its own tool, ' || b.tool"
	"       WHEN b.system_identifier <> c.system_identifier THEN 'made by another server, which may need it'"
	"       WHEN b.database <> current_database() THEN format('made in database \"%s\", which may need it', b.database)"
	"       WHEN b.kind = 'wal' THEN 'WAL, which base backups may need: no rule counts it' END,"
	"  CASE WHEN coalesce(b.hold_until, 'infinity') = 'infinity' THEN b.hold_reason"
	"       WHEN b.hold_until > pattyly.clock_now()"
	"       THEN b.hold_reason || ', until ' || to_char(b.hold_until AT TIME ZONE 'UTC',"
	"            CASE WHEN date_trunc('day', b.hold_until AT TIME ZONE 'UTC') = b.hold_until AT TIME ZONE 'UTC'"
	"                 THEN 'YYYY-MM-DD' ELSE 'YYYY-MM-DD HH24:MI:SS UTC' END) END,"
	"  to_char(b.verified_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC'),"
	"  CASE b.kind WHEN 'dump' THEN 0 WHEN 'snapshot' THEN 1 ELSE 2 END::bigint, pattyly.is_backup_vouched(b)"
	" FROM pattyly.backups AS b, pg_control_system() AS c WHERE b.state IN ('done', 'suspect') ORDER BY b.id";

static const char policy_query[] =
	"SELECT coalesce(r.keep_last, 0)::bigint, coalesce(r.keep_daily, 0)::bigint, coalesce(r.keep_weekly, 0)::bigint,"
	"  coalesce(r.keep_monthly, 0)::bigint, coalesce(r.keep_yearly, 0)::bigint, r.min_good::bigint,"
	"  (extract(epoch FROM r.max_age) * 1000000)::bigint, r.max_age::text"
	" FROM pattyly.backup_retention AS r";

/* Infinite times are at the ends of the line. */
static int64
time_us(uint64 row, int column)
{
	bool		isnull;
	TimestampTz at = DatumGetTimestampTz(own_column(row, column, &isnull));

	if (isnull)
		return 0;
	if (TIMESTAMP_IS_NOBEGIN(at))
		return PG_INT64_MIN;
	return TIMESTAMP_IS_NOEND(at) ? PG_INT64_MAX : clock_from_timestamp(at);
}

static bool
is_true(uint64 row, int column)
{
	bool		isnull;
	Datum		value = own_column(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static char *
kept_text(uint64 row, int column, MemoryContext memory)
{
	char	   *text = own_text(row, column);

	return text ? MemoryContextStrdup(memory, text) : NULL;
}

/* Until all are read, the parent is an id; its own for none. */
static void
read_backup(RetentionPlan *plan, int64 *parents, int i, MemoryContext memory)
{
	plan->backups[i] = (RetentionBackup) {
		.id = own_bigint(i, 1),
		.at_us = time_us(i, 3),
		.verified_us = time_us(i, 4),
		.good = is_true(i, 5),
		.needed = is_true(i, 7),
		.group = retention_group((int) own_bigint(i, 12), is_true(i, 13))
	};
	parents[i] = own_bigint(i, 8);
	plan->details[i] = (PlannedBackup) {
		.label = kept_text(i, 2, memory),
		.keeper = kept_text(i, 9, memory),
		.suspect = !is_true(i, 5),
		.hold = kept_text(i, 10, memory),
		.verified = kept_text(i, 11, memory)
	};
	plan->backups[i].held = plan->details[i].hold != NULL;
	plan->backups[i].foreign = plan->details[i].keeper != NULL;
}

int
retentionplan_find(const RetentionPlan *plan, int64 id)
{
	int			low = 0;
	int			high = plan->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (plan->backups[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->n && plan->backups[low].id == id ? low : -1;
}

static void
find_parents(RetentionPlan *plan, const int64 *parents)
{
	for (int i = 0; i < plan->n; i++)
		plan->backups[i].parent = parents[i] == plan->backups[i].id ? -1 :
			retentionplan_find(plan, parents[i]);
}

/* Whether anything changed. */
static bool
follow_parent(RetentionPlan *plan, RetentionBackup *b)
{
	const RetentionBackup *parent = b->parent >= 0 ? &plan->backups[b->parent] : NULL;
	bool		good = b->good && parent != NULL && parent->good;
	int			group = parent == NULL ? b->group :
		retention_group(retention_kind(parent->group), retention_trusts(b->group));
	bool		changed = good != b->good || group != b->group;

	b->good = good;
	b->group = group;
	return changed;
}

/*
 * An incremental one is as good as the one that it builds on, and of its kind,
 * whoever noted which; mostly that has the lower id, and one round is enough.
 */
static void
follow_parents(RetentionPlan *plan, const bool *builds)
{
	bool		again = true;

	while (again)
	{
		again = false;
		for (int i = 0; i < plan->n; i++)
			again |= builds[i] && follow_parent(plan, &plan->backups[i]);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
read_backups(RetentionPlan *plan, MemoryContext memory)
{
	OwnArgs		args = {0};
	int64	   *parents;
	bool	   *builds;

	plan->n = (int) own_spi_run(backups_query, &args);
	plan->backups = MemoryContextAlloc(memory, sizeof(RetentionBackup) * (plan->n + 1));
	plan->details = MemoryContextAlloc(memory, sizeof(PlannedBackup) * (plan->n + 1));
	plan->order = MemoryContextAlloc(memory, sizeof(int) * (plan->n + 1));
	plan->fates = MemoryContextAlloc(memory, sizeof(RetentionFate) * (plan->n + 1));
	parents = palloc(sizeof(int64) * (plan->n + 1));
	builds = palloc(sizeof(bool) * (plan->n + 1));
	for (int i = 0; i < plan->n; i++)
	{
		read_backup(plan, parents, i, memory);
		builds[i] = is_true(i, 6);
	}
	find_parents(plan, parents);
	follow_parents(plan, builds);
}

static bool
read_policy(RetentionPlan *plan, MemoryContext memory)
{
	OwnArgs		args = {0};

	if (own_spi_run(policy_query, &args) == 0)
		return false;
	for (int i = 0; i < RETENTION_RULES; i++)
		plan->policy.keep[i] = (int) own_bigint(0, i + 1);
	plan->policy.min_good = (int) own_bigint(0, 6);
	plan->policy.max_age_us = own_bigint(0, 7);
	plan->max_age = kept_text(0, 8, memory);
	return true;
}

RetentionPlan *
retentionplan_make(void)
{
	MemoryContext memory = CurrentMemoryContext;
	RetentionPlan *plan = palloc0(sizeof(RetentionPlan));
	OwnSpi		own;
	bool		has_policy;

	own_spi_begin(&own);
	has_policy = read_policy(plan, memory);
	read_backups(plan, memory);
	own_spi_end(&own);
	retention_plan(plan->backups, plan->n, has_policy ? &plan->policy : NULL, clock_now_us(),
				   plan->order, plan->fates);
	return plan;
}

/* ---- words ---- */

static char *
reason_of_rule(const RetentionPlan *plan, int i)
{
	static const char *const periods[] = {"", "day", "week", "month", "year"};
	RetentionFate fate = plan->fates[i];
	int			rule = fate.reason - RETENTION_LAST;
	char		name[RETENTION_PERIOD_SIZE];

	if (fate.reason == RETENTION_LAST)
		return psprintf("number %d of the last %d", fate.number, plan->policy.keep[rule]);
	retention_period_name(fate.reason, plan->backups[i].at_us, name);
	return psprintf("the newest of %s (%s %d of %d)", name, periods[rule], fate.number, plan->policy.keep[rule]);
}

static char *
reason_of_parent(const RetentionPlan *plan, int child)
{
	return psprintf("%s (id " INT64_FORMAT "), which is kept, builds on it", plan->details[child].label,
					plan->backups[child].id);
}

static char *
reason_of_age(const RetentionPlan *plan, int i)
{
	return psprintf("older than %s%s", plan->max_age, plan->details[i].suspect ? ", and suspect" : "");
}

/* Of one that is not good. */
static const char *
flaw_of(const RetentionPlan *plan, int i)
{
	return plan->details[i].suspect ? "suspect" : "builds on what is not good";
}

char *
retentionplan_reason(const RetentionPlan *plan, int i)
{
	const PlannedBackup *details = &plan->details[i];

	switch (plan->fates[i].reason)
	{
		case RETENTION_HELD:
			return psprintf("held: %s", details->hold);
		case RETENTION_FOREIGN:
			return pstrdup(details->keeper);
		case RETENTION_FUTURE:
			return pstrdup("dated in the future: it does not count until then");
		case RETENTION_NO_POLICY:
			return pstrdup("no retention is set, so all are kept");
		case RETENTION_LAST:
		case RETENTION_DAILY:
		case RETENTION_WEEKLY:
		case RETENTION_MONTHLY:
		case RETENTION_YEARLY:
			return reason_of_rule(plan, i);
		case RETENTION_YOUNG:
			return psprintf("not older than %s", plan->max_age);
		case RETENTION_VERIFIED:
			return psprintf("the last one that was verified, at %s", details->verified);
		case RETENTION_MIN_GOOD:
			return psprintf("one of the newest %d good ones, which are always kept", plan->policy.min_good);
		case RETENTION_SUSPECT_FEW:
			return psprintf("%s, but there are fewer than %d good ones", flaw_of(plan, i), Max(plan->policy.min_good, 1));
		case RETENTION_SUSPECT_YOUNG:
			return psprintf("%s, but not older than all good ones that the rules keep", flaw_of(plan, i));
		case RETENTION_NEEDED:
			return pstrdup("a backup that is being made builds on it");
		case RETENTION_PARENT:
			return reason_of_parent(plan, plan->fates[i].number);
		case RETENTION_TOO_OLD:
			return reason_of_age(plan, i);
		case RETENTION_SUSPECT_OLD:
			return psprintf("%s, and older than all good ones that the rules keep", flaw_of(plan, i));
		case RETENTION_NO_RULE:
			break;
	}
	return pstrdup("no rule keeps it");
}

/* () */
Datum
pattyly_expiry_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RetentionPlan *plan = retentionplan_make();

	InitMaterializedSRF(fcinfo, 0);
	for (int k = 0; k < plan->n; k++)
	{
		int			i = plan->order[k];
		Datum		values[] = {
			Int64GetDatum(plan->backups[i].id),
			CStringGetTextDatum(plan->details[i].label),
			BoolGetDatum(retention_keeps(plan->fates[i])),
			CStringGetTextDatum(retentionplan_reason(plan, i))
		};
		bool		nulls[] = {false, false, false, false};

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
