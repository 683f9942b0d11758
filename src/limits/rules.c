/*
 * rules.c
 *		See rules.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "common/int.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/config.h"
#include "limits/rules.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Columns of pattyly.limits. */
enum
{
	COLUMN_NAME = 1,
	COLUMN_ALGORITHM,
	COLUMN_MAX_HITS,
	COLUMN_PER,
	COLUMN_BURST,
	COLUMN_BLOCK_FOR,
	COLUMN_COUNT_DENIED,
	COLUMN_MODE,
	COLUMN_MESSAGE,
	COLUMN_UPDATED_AT
};

typedef struct RuleSet
{
	LimitRule  *rules;			/* ordered by name */
	int			n;
	int			room;
} RuleSet;

static void *load_rules(Relation table);

static ConfigTable limits_table = {.name = "limits", .load = load_rules};

/* ---- what a rule may be ---- */

int64
limit_interval_us(const Interval *interval, const char *what)
{
	int64		us;

	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not contain months or years", what),
				 errdetail("Their length depends on the calendar."),
				 errhint("Write it in days, hours, minutes or seconds; a day is 24 hours.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, interval->time, &us))
		us = PG_INT64_MAX;
	return us;
}

static const char *
spec_fault(LimitSpecError error, const char **hint)
{
	switch (error)
	{
		case LIMIT_SPEC_OK:
			break;
		case LIMIT_SPEC_BAD_ALGORITHM:
			*hint = "Algorithms are gcra, fixed_window, calendar_window, sliding_window and sliding_log.";
			return "the algorithm is unknown";
		case LIMIT_SPEC_BAD_MAX_HITS:
			*hint = "Use 0 (refuse all) to 4294967295; for more, count in bigger units.";
			return "max_hits is out of range";
		case LIMIT_SPEC_BAD_PER:
			*hint = "Use an interval above zero, such as '1 hour'.";
			return "per is not above zero";
		case LIMIT_SPEC_PER_TOO_LONG:
			*hint = "Use at most 3650 days.";
			return "per is too long";
		case LIMIT_SPEC_BAD_BURST:
			*hint = "Use 1 to 4294967295, or NULL for the same as max_hits.";
			return "burst is out of range";
		case LIMIT_SPEC_BURST_NOT_GCRA:
			*hint = "Leave burst out, or use the algorithm gcra.";
			return "only gcra has a burst";
		case LIMIT_SPEC_LOG_TOO_LONG:
			*hint = "Use at most 64, or the algorithm sliding_window or gcra.";
			return "max_hits is too high for sliding_log";
		case LIMIT_SPEC_DRAIN_TOO_LONG:
			*hint = "Lower burst, or raise max_hits: burst * per / max_hits may be 36500 days.";
			return "a full burst would take too long to drain";
	}
	return NULL;
}

static void
make_spec(LimitRule *rule, const char *algorithm, int64 max_hits, const Interval *per, int64 burst)
{
	const char *hint = NULL;
	const char *fault = spec_fault(limit_spec_make(&rule->spec,
												   limit_algorithm_from_name(algorithm), max_hits,
												   limit_interval_us(per, "per"), burst), &hint);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("impossible rate limit: %s", fault),
				 errdetail("algorithm \"%s\", max_hits " INT64_FORMAT ", per \"%s\"", algorithm,
						   max_hits,
						   DatumGetCString(DirectFunctionCall1(interval_out,
															   IntervalPGetDatum(per)))),
				 errhint("%s", hint)));
	rule->tag = limit_spec_tag(&rule->spec);
}

static bool
name_is_good(const char *name)
{
	size_t		length = strlen(name);

	if (length == 0 || length >= LIMIT_NAME_SIZE)
		return false;
	for (; *name != '\0'; name++)
		if (*name < ' ' || *name > '~')
			return false;
	return true;
}

/*
 * Secret and owner are derived from what identifies the limit.  The table's oid
 * is part of it: two databases share no key, and an extension that was dropped
 * and made again starts afresh.
 */
static void
derive_identity(LimitRule *rule, const void *identity, size_t length)
{
	char		text[128];
	Oid			where[2] = {MyDatabaseId, limits_table.relid};
	SipHash		mark;

	Assert(length + sizeof(where) <= sizeof(text));
	memcpy(text, where, sizeof(where));
	memcpy(text + sizeof(where), identity, length);
	rule->secret = siphash_2_4(limit_store.secret, text, sizeof(where) + length);
	mark = siphash_2_4(rule->secret, "owner", 5);
	rule->owner = mark.lo | 1;
}

static void
derive_named_identity(LimitRule *rule)
{
	char		identity[LIMIT_NAME_SIZE + 1];

	/* Named limits and those without a rule differ in the first byte. */
	identity[0] = 'n';
	strlcpy(identity + 1, rule->name, LIMIT_NAME_SIZE);
	derive_identity(rule, identity, strlen(identity));
}

static void
identify_named(LimitRule *rule)
{
	derive_named_identity(rule);
	rule->stats = limit_stats_claim(rule->owner);
}

static void
identify_adhoc(LimitRule *rule)
{
	struct
	{
		int64		kind;
		int64		algorithm;
		int64		per_us;
	}			identity = {'a', rule->spec.algorithm, rule->spec.per_us};

	derive_identity(rule, &identity, sizeof(identity));
}

void
limit_rule_adhoc(LimitRule *rule, const char *algorithm, int64 max_hits, const Interval *per)
{
	memset(rule, 0, sizeof(*rule));
	make_spec(rule, algorithm, max_hits, per, -1);
	identify_adhoc(rule);
}

bool
limit_owner_is_adhoc(uint64 owner, const LimitSpec *spec)
{
	LimitRule	rule = {.spec = *spec};

	identify_adhoc(&rule);
	return rule.owner == owner;
}

/* ---- rows ---- */

static bool
parse_mode(const char *name, LimitMode *mode)
{
	if (strcmp(name, "enforce") == 0)
		*mode = LIMIT_ENFORCE;
	else if (strcmp(name, "shadow") == 0)
		*mode = LIMIT_SHADOW;
	else if (strcmp(name, "off") == 0)
		*mode = LIMIT_OFF;
	else
		return false;
	return true;
}

static Datum
column(HeapTuple tuple, TupleDesc desc, int number, bool *isnull)
{
	return heap_getattr(tuple, number, desc, isnull);
}

static Datum
required_column(HeapTuple tuple, TupleDesc desc, int number)
{
	return config_required(tuple, desc, number, "a rate limit",
						   "A limit needs a name, max_hits and per, for example set_limit('login', 10, '1 hour').");
}

static char *
optional_text(HeapTuple tuple, TupleDesc desc, int number)
{
	bool		isnull;
	Datum		value = column(tuple, desc, number, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
read_name(LimitRule *rule, HeapTuple tuple, TupleDesc desc)
{
	char	   *name = TextDatumGetCString(required_column(tuple, desc, COLUMN_NAME));

	if (!name_is_good(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unsuitable name for a rate limit: \"%s\"", name),
				 errhint("Use 1 to 63 printable ASCII characters; the name stands in HTTP headers.")));
	strlcpy(rule->name, name, sizeof(rule->name));
}

static void
read_mode(LimitRule *rule, HeapTuple tuple, TupleDesc desc)
{
	char	   *mode = TextDatumGetCString(required_column(tuple, desc, COLUMN_MODE));

	if (!parse_mode(mode, &rule->mode))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown mode \"%s\" of a rate limit", mode),
				 errhint("Modes are enforce, shadow and off.")));
}

static void
read_block(LimitRule *rule, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = column(tuple, desc, COLUMN_BLOCK_FOR, &isnull);

	rule->block_us = isnull ? 0 : limit_interval_us(DatumGetIntervalP(value), "block_for");
	if (!isnull && (rule->block_us <= 0 || rule->block_us > LIMIT_MAX_PER_US))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("block_for of a rate limit must be above zero and at most 3650 days"),
				 errhint("Leave it NULL not to block.")));
}

/* Errors for a row that makes no sense: here they are refused when written. */
static void
read_rule(LimitRule *rule, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	int64		burst;

	memset(rule, 0, sizeof(*rule));
	read_name(rule, tuple, desc);
	burst = DatumGetInt64(column(tuple, desc, COLUMN_BURST, &isnull));
	if (!isnull && burst < 1)
		burst = 0;				/* out of range, and not "left out" */
	make_spec(rule, TextDatumGetCString(required_column(tuple, desc, COLUMN_ALGORITHM)),
			  DatumGetInt64(required_column(tuple, desc, COLUMN_MAX_HITS)),
			  DatumGetIntervalP(required_column(tuple, desc, COLUMN_PER)), isnull ? -1 : burst);
	read_mode(rule, tuple, desc);
	read_block(rule, tuple, desc);
	rule->count_denied = DatumGetBool(required_column(tuple, desc, COLUMN_COUNT_DENIED));
	rule->message = optional_text(tuple, desc, COLUMN_MESSAGE);
	if (rule->message != NULL && rule->message[0] == '\0')
		rule->message = NULL;
}

/* ---- the backend's copy ---- */

static void
add_rule(HeapTuple tuple, TupleDesc desc, void *arg)
{
	RuleSet    *set = arg;

	if (set->n == set->room)
	{
		set->room *= 2;
		set->rules = repalloc(set->rules, set->room * sizeof(LimitRule));
	}
	read_rule(&set->rules[set->n++], tuple, desc);
}

static int
compare_rules(const void *a, const void *b)
{
	return strcmp(((const LimitRule *) a)->name, ((const LimitRule *) b)->name);
}

static void *
load_rules(Relation table)
{
	RuleSet    *set = palloc0(sizeof(RuleSet));

	set->room = 16;
	set->rules = palloc(set->room * sizeof(LimitRule));
	config_scan(table, add_rule, set);
	qsort(set->rules, set->n, sizeof(LimitRule), compare_rules);
	for (int i = 0; i < set->n; i++)
	{
		set->rules[i].place = i;
		if (limit_store.ready)
			identify_named(&set->rules[i]);
	}
	return set;
}

void
limit_rules_init(void)
{
	config_register(&limits_table);
}

uint64
limit_rules_catch_up(void)
{
	config_catch_up();
	config_get(&limits_table);
	return limits_table.generation;
}

void
limit_rules_read_again(void)
{
	config_forget(&limits_table);
	limit_rules_catch_up();
}

/* By halves: a site has a dozen limits, and the caller remembers the last one. */
const LimitRule *
limit_rule_find(const char *name, int length)
{
	const RuleSet *set = limits_table.data;
	int			low = 0;
	int			high = set->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		const LimitRule *rule = &set->rules[middle];
		int			order = strncmp(name, rule->name, length);

		if (order == 0 && rule->name[length] == '\0')
			return rule;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const LimitRule *
limit_rule_by_owner(uint64 owner)
{
	const RuleSet *set = limits_table.data;

	for (int i = 0; i < set->n; i++)
		if (set->rules[i].owner == owner)
			return &set->rules[i];
	return NULL;
}

const LimitRule *
limit_rule_get(const char *name, int length)
{
	const LimitRule *rule = length < LIMIT_NAME_SIZE ? limit_rule_find(name, length) : NULL;

	if (rule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rate limit \"%s\" does not exist", pnstrdup(name, Min(length, 100))),
				 errhint("Make it with pattyly.set_limit, or see table pattyly.limits.")));
	return rule;
}

const LimitRule *
limit_rules_all(int *n)
{
	const RuleSet *set = limits_table.data;

	*n = set->n;
	return set->rules;
}

PATTYLY_FUNCTION(pattyly_check_limit_row);

/* A rule that goes leaves its counters to others; should the DROP roll back, it still has them. */
static void
retire_rule(HeapTuple tuple, TupleDesc desc, Oid relid)
{
	LimitRule	rule = {.name = ""};
	bool		isnull;
	Datum		name = column(tuple, desc, COLUMN_NAME, &isnull);

	limits_table.relid = relid;
	text_to_cstring_buffer(DatumGetTextPP(name), rule.name, sizeof(rule.name));
	derive_named_identity(&rule);
	limit_stats_retire(rule.owner);
}

/* BEFORE trigger of pattyly.limits */
Datum
pattyly_check_limit_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	LimitRule	rule;
	int			updated_at = COLUMN_UPDATED_AT;
	Datum		now;
	bool		isnull = false;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("check_limit_row can only be called as a trigger"),
				 errhint("It stands on pattyly.limits already.")));
	desc = RelationGetDescr(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		if (limit_store.ready)
			retire_rule(trigger->tg_trigtuple, desc, RelationGetRelid(trigger->tg_relation));
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	read_rule(&rule, tuple, desc);

	/* A row that is inserted may come from a dump, and keeps its time. */
	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return PointerGetDatum(tuple);
	now = TimestampTzGetDatum(clock_to_timestamp(clock_now_us()));
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, 1, &updated_at, &now, &isnull));
}
