/*
 * admin.c
 *		What an administrator does to keys, and what he sees of them.
 *
 * Scans look at one entry at a time under its own lock: what they return is true
 * for each key, not for one moment.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "funcapi.h"
#include "limits/label.h"
#include "limits/limits.h"
#include "limits/notes.h"
#include "limits/result.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PATTYLY_FUNCTION(pattyly_reset_key);
PATTYLY_FUNCTION(pattyly_reset_limit);
PATTYLY_FUNCTION(pattyly_block_key);
PATTYLY_FUNCTION(pattyly_unblock_key);
PATTYLY_FUNCTION(pattyly_top_keys);
PATTYLY_FUNCTION(pattyly_read_limit_stats);
PATTYLY_FUNCTION(pattyly_read_limit_memory);

#define SCAN_INTERRUPT_MASK 0x3ff	/* looks for a cancel every so many slots */

/* An administrator's call has nothing to be let pass, so it fails whatever on_limiter_failure says. */
static void
require_store(void)
{
	if (!limit_store.ready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pattyly was not loaded at server start"),
				 errhint("Add pattyly to shared_preload_libraries and restart the server.")));
}

/* name, key: runs the operation and tells whether there was something to do. */
static bool
administer_key(FunctionCallInfo fcinfo, LimitCall *call)
{
	LimitKey	key;
	LimitResult result;
	const LimitRule *rule;

	require_store();
	rule = limits_arg_rule(fcinfo, 0, limits_catch_up());
	limits_arg_key(fcinfo, 1, &key);
	limits_check(call, &key, &rule, 1, &result);
	if (result.unknown)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another rate limit key"),
				 errhint("Raise pattyly.max_keys and restart the server, or deny the address in pattyly.ip_list.")));
	return result.existed;
}

Datum
pattyly_reset_key(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_RESET};

	PG_RETURN_BOOL(administer_key(fcinfo, &call));
}

Datum
pattyly_unblock_key(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_UNBLOCK};

	PG_RETURN_BOOL(administer_key(fcinfo, &call));
}

/* name, key, duration, reason */
Datum
pattyly_block_key(PG_FUNCTION_ARGS)
{
	LimitCall	call = {.operation = LIMIT_BLOCK};
	int64		duration_us = limit_interval_us(limits_arg_interval(fcinfo, 2, "duration"),
												"duration");

	if (duration_us <= 0 || duration_us > LIMIT_MAX_DRAIN_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("duration of a block must be above zero and at most 36500 days"),
				 errhint("Use pattyly.unblock_key to end a block.")));
	call.until_us = clock_now_us() + duration_us;
	if (!PG_ARGISNULL(3))
		call.note = text_to_cstring(PG_GETARG_TEXT_PP(3));
	administer_key(fcinfo, &call);
	PG_RETURN_VOID();
}

Datum
pattyly_reset_limit(PG_FUNCTION_ARGS)
{
	const LimitRule *rule;
	int64		now_us = clock_now_us();
	int64		n = 0;

	require_store();
	rule = limits_arg_rule(fcinfo, 0, limits_catch_up());
	for (KeySlot slot = 1; slot <= limit_store.keys.capacity; slot++)
	{
		if (limits_reset_slot(rule, slot, now_us))
			n++;
		if ((slot & SCAN_INTERRUPT_MASK) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_INT64(n);
}

/* ---- top_keys ---- */

typedef struct TopKey
{
	const LimitRule *rule;		/* NULL: a limit without a rule */
	SipHash		hash;
	int64		used;
	int64		remaining;
	int64		reset_us;
	int64		blocked_until_us;	/* 0: not blocked */
	uint32		word;
	char		label[KEY_LABEL_SIZE];
} TopKey;

static int
compare_top_keys(const void *a, const void *b)
{
	const TopKey *x = a;
	const TopKey *y = b;

	if (x->blocked_until_us != y->blocked_until_us)
		return x->blocked_until_us > y->blocked_until_us ? -1 : 1;
	if (x->used != y->used)
		return x->used > y->used ? -1 : 1;
	return 0;
}

/* What the entry holds, if it is a key of this database that used something or is blocked. */
static bool
read_key(KeySlot slot, const LimitRule *only, int64 now_us, TopKey *top)
{
	static LimitLog log;
	const KeyTable *table = &limit_store.keys;
	KeyDetail  *detail = keyslot_detail(table, slot);
	uint32		word = keyslot_lock(table, slot);
	uint64		owner = detail->owner;
	bool		wanted = (word & KEY_LIVE) && keyslot_entry(table, slot)->tag != 0 &&
		(only == NULL || only->owner == owner);
	LimitSpec	spec;
	LimitUse	use;

	if (wanted)
	{
		use.a = keyslot_state(table, slot, word)->a;
		use.b = keyslot_state(table, slot, word)->b;
		limit_entry_spec(table, slot, word, &spec);
		if (spec.algorithm == LIMIT_SLIDING_LOG)
			limit_entry_log(table, slot, word, &log);
		top->hash = keyslot_entry(table, slot)->hash;
		top->blocked_until_us = (word & ENTRY_BLOCKED) && detail->room64[0] > now_us ?
			detail->room64[0] : 0;
		memcpy(top->label, detail->label, sizeof(top->label));
	}
	keyslot_unlock(table, slot, word);
	if (!wanted)
		return false;

	top->rule = only != NULL ? only : limit_rule_by_owner(owner);
	if (top->rule != NULL && top->rule->spec.max_hits > 0)
	{
		limit_convert(&spec, &top->rule->spec, &use, &log, now_us);
		spec = top->rule->spec;
	}
	limit_settle(&spec, &use, &log, now_us);
	top->used = limit_used(&spec, &use, &log, now_us);
	top->remaining = top->blocked_until_us != 0 ? 0 : limit_remaining(&spec, &use, &log, now_us);
	top->reset_us = limit_reset_us(&spec, &use, &log, now_us);
	top->word = word;
	if (top->used == 0 && top->blocked_until_us == 0)
		return false;
	return top->rule != NULL || limit_owner_is_adhoc(owner, &spec);
}

/* The best n, kept by cutting a buffer of twice that in half whenever it is full. */
static int
collect_top_keys(const LimitRule *only, int n, TopKey *buffer)
{
	int64		now_us = clock_now_us();
	int			filled = 0;

	for (KeySlot slot = 1; slot <= limit_store.keys.capacity; slot++)
	{
		if (read_key(slot, only, now_us, &buffer[filled]) && ++filled == n * 2)
		{
			qsort(buffer, filled, sizeof(TopKey), compare_top_keys);
			filled = n;
		}
		if ((slot & SCAN_INTERRUPT_MASK) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	qsort(buffer, filled, sizeof(TopKey), compare_top_keys);
	return Min(filled, n);
}

/* A key that was cut is cut once more, between characters, and says so. */
static text *
label_text(const TopKey *top)
{
	char		text[LABEL_TEXT_SIZE];
	int			length = limit_label_unpack(top->label, top->word, text);

	if (!(top->word & LABEL_CUT))
		return cstring_to_text_with_len(text, length);
	length = pg_mbcliplen(text, length, length - 1);
	return cstring_to_text(psprintf("%.*s%s", length, text,
									GetDatabaseEncoding() == PG_UTF8 ? "\xe2\x80\xa6" : "..."));
}

static Datum
time_or_null(int64 us, bool *isnull)
{
	*isnull = us == 0;
	return TimestampTzGetDatum(clock_to_timestamp(us));
}

static void
put_top_key(ReturnSetInfo *rsinfo, const TopKey *top)
{
	Datum		values[7] = {0};
	bool		nulls[7] = {0};
	bool		by_hand = top->blocked_until_us != 0 && !(top->word & ENTRY_AUTO_BLOCKED);
	const char *reason = by_hand ? limit_note_of(top->hash) : NULL;

	nulls[0] = top->rule == NULL;
	if (top->rule != NULL)
		values[0] = CStringGetTextDatum(top->rule->name);
	values[1] = PointerGetDatum(label_text(top));
	values[2] = Int64GetDatum(top->used);
	values[3] = Int64GetDatum(top->remaining);
	values[4] = TimestampTzGetDatum(clock_to_timestamp(top->reset_us));
	values[5] = time_or_null(top->blocked_until_us, &nulls[5]);
	nulls[6] = reason == NULL;
	if (reason != NULL)
		values[6] = CStringGetTextDatum(reason);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* limit_name, n */
Datum
pattyly_top_keys(PG_FUNCTION_ARGS)
{
	const LimitRule *only = NULL;
	TopKey	   *buffer;
	int			n;

	require_store();
	limits_catch_up();
	if (!PG_ARGISNULL(0))
	{
		text	   *name = PG_GETARG_TEXT_PP(0);

		only = limit_rule_get(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	}
	limits_reject_null(fcinfo, 1, "n");
	n = PG_GETARG_INT32(1);
	if (n < 1 || n > 100000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n must be from 1 to 100000: %d", n),
				 errhint("top_keys is for looking; use a few dozen.")));
	InitMaterializedSRF(fcinfo, 0);
	buffer = palloc(sizeof(TopKey) * n * 2);
	n = collect_top_keys(only, n, buffer);
	for (int i = 0; i < n; i++)
		put_top_key((ReturnSetInfo *) fcinfo->resultinfo, &buffer[i]);
	return (Datum) 0;
}

/* ---- limit_stats, limit_memory ---- */

static int64 *
count_keys_by_rule(int n_rules)
{
	int64	   *counts = palloc0(Max(n_rules, 1) * sizeof(int64));
	const KeyTable *table = &limit_store.keys;

	for (KeySlot slot = 1; slot <= table->capacity; slot++)
	{
		uint32		word = keyslot_lock(table, slot);
		uint64		owner = (word & KEY_LIVE) ? keyslot_detail(table, slot)->owner : 0;
		const LimitRule *rule;

		if (word & KEY_EXTENT)
			fault_point("limits_at_extra_slot");
		keyslot_unlock(table, slot, word);
		rule = owner != 0 ? limit_rule_by_owner(owner) : NULL;
		if (rule != NULL)
			counts[rule->place]++;
		if ((slot & SCAN_INTERRUPT_MASK) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return counts;
}

static void
put_stats(ReturnSetInfo *rsinfo, const LimitRule *rule, int64 keys)
{
	LimitStats *stats = rule->stats != NULL &&
		pg_atomic_read_u64(&rule->stats->owner) == rule->owner ? rule->stats : NULL;
	Datum		values[8] = {0};
	bool		nulls[8] = {0};

	values[0] = CStringGetTextDatum(rule->name);
	memset(&nulls[1], stats == NULL, 5);
	values[6] = Int64GetDatum(keys);
	nulls[7] = true;
	if (stats != NULL)
	{
		values[1] = Int64GetDatum(pg_atomic_read_u64(&stats->allowed));
		values[2] = Int64GetDatum(pg_atomic_read_u64(&stats->denied));
		values[3] = Int64GetDatum(pg_atomic_read_u64(&stats->shadow_denied));
		values[4] = Int64GetDatum(pg_atomic_read_u64(&stats->near));
		values[5] = Int64GetDatum(pg_atomic_read_u64(&stats->blocked));
		values[7] = time_or_null(pg_atomic_read_u64(&stats->last_denied_us), &nulls[7]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pattyly_read_limit_stats(PG_FUNCTION_ARGS)
{
	const LimitRule *rules;
	int64	   *keys;
	int			n;

	require_store();
	limits_catch_up();
	InitMaterializedSRF(fcinfo, 0);
	rules = limit_rules_all(&n);
	keys = count_keys_by_rule(n);
	for (int i = 0; i < n; i++)
		put_stats((ReturnSetInfo *) fcinfo->resultinfo, &rules[i], keys[i]);
	return (Datum) 0;
}

Datum
pattyly_read_limit_memory(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	KeyTableUsage usage;
	Datum		values[9] = {0};
	bool		nulls[9] = {0};

	require_store();
	InitMaterializedSRF(fcinfo, 0);
	keytable_usage(&limit_store.keys, &usage);
	values[0] = Int64GetDatum(usage.capacity);
	values[1] = Int64GetDatum(usage.used);
	values[2] = Int64GetDatum(usage.evicted_drained + usage.evicted_live);
	values[3] = Int64GetDatum(usage.evicted_live);
	values[4] = Int64GetDatum(usage.refused);
	values[5] = Int64GetDatum(limit_store.bytes);
	values[6] = DirectFunctionCall2(numeric_round,
									DirectFunctionCall2(numeric_div,
														NumericGetDatum(int64_to_numeric(limit_store.bytes)),
														NumericGetDatum(int64_to_numeric(usage.capacity))),
									Int32GetDatum(1));
	values[7] = Int64GetDatum(limit_store.restored);
	nulls[8] = limit_store.saved_at == 0;
	values[8] = TimestampTzGetDatum(limit_store.saved_at);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}
