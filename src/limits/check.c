/*
 * check.c
 *		See check.h.  How entries are found and locked is in part.c.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "limits/check.h"
#include "limits/lists.h"
#include "limits/notes.h"
#include "limits/part.h"

/* A backend runs one call at a time; a log is too big for every stack frame. */
static LimitLog logs[LIMITS_PER_CALL];

static SipHash
limit_key_hash(const LimitRule *rule, const LimitKey *key)
{
	return siphash_1_3(rule->secret, key->text, key->length);
}

/* ---- what the lists and the mode decide before any counting ---- */

static void
result_full(LimitResult *result, const LimitRule *rule, int64 now_us)
{
	result->rule = rule;
	result->allowed = true;
	result->existed = false;
	result->unknown = false;
	result->reason = REASON_NONE;
	result->remaining = limit_capacity(&rule->spec);
	result->reset_us = now_us;
	result->retry_us = result->next_us = 0;
}

static void
result_refused(LimitResult *result, LimitReason reason)
{
	result->allowed = result->rule->mode == LIMIT_SHADOW;
	result->reason = reason;
	result->remaining = 0;
}

static bool
needs_counting(const LimitCall *call, const LimitKey *key, const LimitRule *rule,
			   LimitResult *result)
{
	ListAction	action = LIST_NONE;

	result_full(result, rule, call->now_us);
	if (call->operation != LIMIT_CHECK)
		return true;
	if (rule->mode == LIMIT_OFF)
		return false;
	if (key->is_address)
		action = limit_lists_find(&key->address, rule->name, call->now_us);
	if (action == LIST_DENY)
		result_refused(result, REASON_DENIED);
	else if (action != LIST_ALLOW && rule->spec.max_hits == 0)
		result_refused(result, REASON_COST);
	else
		return action != LIST_ALLOW;
	return false;
}

/* A call that can never pass, or only looks, makes no key. */
static bool
makes_key(const LimitCall *call, const LimitRule *rule)
{
	return call->operation == LIMIT_BLOCK ||
		(call->operation == LIMIT_CHECK && call->cost > 0 &&
		 call->cost <= limit_capacity(&rule->spec));
}

/* ---- the operations; all entries are locked ---- */

static bool
cost_fits(const Part *part, int64 cost)
{
	return part->blocked_until_us == 0 && Max(cost, 1) <= part->remaining;
}

static void
take(Part *part, const LimitCall *call)
{
	limit_take(&part->spec, &part->use, part->log, call->now_us, call->cost);
	part->remaining = Max(part->remaining - call->cost, 0);
	part->changed = true;
}

static void
set_block(Part *part, int64 until_us, uint32 kind)
{
	keyslot_detail(&limit_store.keys, part->slot)->room64[0] = until_us;
	part->blocked_until_us = until_us;
	part->word = (part->word & ~ENTRY_AUTO_BLOCKED) | ENTRY_BLOCKED | kind;
	part->changed = true;
}

static void
clear_block(Part *part)
{
	part->blocked_until_us = 0;
	part->word &= ~(ENTRY_BLOCKED | ENTRY_AUTO_BLOCKED);
	part->changed = true;
}

/* What a refusal under this very limit does to the key. */
static void
refuse(Part *part, const LimitCall *call)
{
	if (part->blocked_until_us != 0 || call->cost > limit_capacity(&part->spec))
		return;
	if (part->rule->count_denied)
		take(part, call);
	if (part->rule->block_us > 0)
		set_block(part, call->now_us + part->rule->block_us, ENTRY_AUTO_BLOCKED);
}

static void
check_parts(Part **parts, int n, const LimitCall *call, bool refused_already)
{
	bool		all_pass = !refused_already;

	for (int i = 0; i < n; i++)
	{
		parts[i]->passes = cost_fits(parts[i], call->cost);
		if (!parts[i]->passes && parts[i]->rule->mode == LIMIT_ENFORCE)
			all_pass = false;
	}
	if (call->cost == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		if (!parts[i]->passes)
			refuse(parts[i], call);
		else if (all_pass)
			take(parts[i], call);
	}
}

static void
administer_part(Part *part, const LimitCall *call)
{
	LimitResult *result = part->result;
	const LimitSpec *spec = &part->spec;

	if (part->remaining == 0 || part->blocked_until_us != 0)
		keytable_released(&limit_store.keys);
	result->existed = part->slot != 0;
	switch (call->operation)
	{
		case LIMIT_CHECK:
			break;
		case LIMIT_REFUND:
			limit_give(spec, &part->use, part->log, call->now_us, call->cost);
			part->changed = true;
			break;
		case LIMIT_RESET:
			result->existed = limit_used(spec, &part->use, part->log, call->now_us) > 0 ||
				(part->word & ENTRY_AUTO_BLOCKED) != 0;
			part->use.a = part->use.b = 0;
			part->log->dropped += part->log->n;
			part->log->n = 0;
			if (part->word & ENTRY_AUTO_BLOCKED)
				clear_block(part);
			part->changed = true;
			limit_settle(spec, &part->use, part->log, call->now_us);
			break;
		case LIMIT_BLOCK:
			set_block(part, call->until_us, 0);
			break;
		case LIMIT_UNBLOCK:
			result->existed = part->blocked_until_us != 0;
			clear_block(part);
			break;
	}
	part->remaining = part->rule->spec.max_hits == 0 ? 0 :
		limit_remaining(spec, &part->use, part->log, call->now_us);
	part->passes = cost_fits(part, 1);
}

static void
fill_result(const Part *part, const LimitCall *call)
{
	LimitResult *result = part->result;
	const LimitSpec *spec = &part->spec;
	int64		capacity = limit_capacity(&part->rule->spec);
	int64		most = Min(capacity, limit_capacity(spec));	/* less while the rule is put off */
	int64		wanted = call->operation == LIMIT_CHECK ? Max(call->cost, 1) : 1;
	bool		was_blocked = part->blocked_until_us != 0 &&
		(part->locked_word & ENTRY_BLOCKED) != 0;

	result->allowed = part->passes || part->rule->mode != LIMIT_ENFORCE;
	if (part->passes)
		result->reason = REASON_NONE;
	else if (was_blocked || call->operation == LIMIT_BLOCK)
		result->reason = REASON_BLOCKED;
	else
		result->reason = wanted > capacity ? REASON_COST : REASON_LIMITED;
	result->remaining = part->blocked_until_us != 0 ? 0 : part->remaining;
	if (call->allow_only)
		return;
	result->reset_us = Max(limit_reset_us(spec, &part->use, part->log, call->now_us),
						   part->blocked_until_us);
	if (call->with_next)
	{
		result->next_us = part->blocked_until_us;
		if (part->remaining < most)
			result->next_us = Max(result->next_us,
								  limit_retry_us(spec, &part->use, part->log, call->now_us,
												 part->remaining + 1));
	}
	if (result->reason != REASON_NONE && wanted <= capacity)
	{
		result->retry_us = part->blocked_until_us;
		if (wanted > most)
			result->retry_us = result->reset_us;
		else if (wanted > part->remaining)
			result->retry_us = Max(result->retry_us,
								   limit_retry_us(spec, &part->use, part->log, call->now_us,
												  wanted));
	}
}

/*
 * Who read the clock before others, but locked the key after them, reads it again:
 * the older time would be taken for a clock that stepped back, and age what others
 * used.
 */
static void
catch_up_with_clock(Part **parts, int n, LimitCall *call)
{
	for (int i = 0; i < n; i++)
		if (parts[i]->slot != 0 && part_may_be_ahead(parts[i], call->now_us))
		{
			call->now_us = clock_now_us();
			return;
		}
}

static void
work_on_parts(Part **parts, int n, LimitCall *call, const LimitKey *key, bool refused_already)
{
	KeyChange	changes[LIMITS_PER_CALL];
	int			n_changes = 0;
	bool		only_looks = call->operation == LIMIT_CHECK && call->cost == 0;

	catch_up_with_clock(parts, n, call);
	for (int i = 0; i < n; i++)
		part_load(parts[i], key, call->now_us);
	if (call->operation == LIMIT_CHECK)
		check_parts(parts, n, call, refused_already);
	else
		for (int i = 0; i < n; i++)
			administer_part(parts[i], call);
	for (int i = 0; i < n; i++)
	{
		fill_result(parts[i], call);
		if (parts[i]->slot == 0)
			continue;
		if (parts[i]->changed || (parts[i]->settled_anew && !only_looks))
		{
			part_store(parts[i], keyslot_detail(&limit_store.keys, parts[i]->slot)->extra);
			changes[n_changes++] = parts[i]->change;
		}
		else
			keyslot_unlock(&limit_store.keys, parts[i]->slot, parts[i]->locked_word);
	}
	if (n_changes > 0)
		keytable_commit(&limit_store.keys, changes, n_changes);
}

/* ---- one call ---- */

static bool
run_under_table_lock(Part **parts, int n, LimitCall *call, const LimitKey *key,
					 bool refused_already)
{
	LWLock	   *lock = limit_store.keys.lock;
	bool		done;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	done = parts_make_and_lock(parts, n, key, call->now_us);
	if (done)
		work_on_parts(parts, n, call, key, refused_already);
	LWLockRelease(lock);
	return done;
}

static bool
run_parts(Part **parts, int n, LimitCall *call, const LimitKey *key, bool refused_already)
{
	if (unlikely(!parts_find(parts, n) || !parts_lock(parts, n)))
		return run_under_table_lock(parts, n, call, key, refused_already);
	work_on_parts(parts, n, call, key, refused_already);
	return true;
}

/* Claims the counters again if a flood of other rules took them meanwhile. */
static LimitStats *
stats_of(const LimitRule *rule)
{
	LimitStats *stats = rule->stats;

	if (stats == NULL || rule->mode == LIMIT_OFF)
		return NULL;
	if (unlikely(pg_atomic_read_u64(&stats->owner) != rule->owner))
		stats = unconstify(LimitRule *, rule)->stats = limit_stats_claim(rule->owner);
	limit_stats_touch(stats);
	return stats;
}

static void
count_call(const LimitCall *call, const LimitResult *results, int n, bool all_allowed)
{
	for (int i = 0; i < n; i++)
	{
		const LimitResult *result = &results[i];
		LimitStats *stats = stats_of(result->rule);

		if (stats == NULL)
			continue;
		if (result->reason == REASON_NONE)
		{
			if (!all_allowed)
				continue;
			pg_atomic_fetch_add_u64(&stats->allowed, 1);
			if (result->remaining * 5 <= limit_capacity(&result->rule->spec))
				pg_atomic_fetch_add_u64(&stats->near, 1);
			continue;
		}
		if (result->allowed && !all_allowed)
			continue;
		pg_atomic_fetch_add_u64(result->allowed ? &stats->shadow_denied : &stats->denied, 1);
		if (result->reason == REASON_BLOCKED)
			pg_atomic_fetch_add_u64(&stats->blocked, 1);
		pg_atomic_write_u64(&stats->last_denied_us, call->now_us);
	}
}

static void
result_of_hit(const LimitCall *call, const LimitRule *rule, const LimitUse *use, int64 remaining,
			  LimitResult *result)
{
	bool		passes = call->cost <= remaining;

	result->rule = rule;
	result->allowed = passes || rule->mode != LIMIT_ENFORCE;
	result->existed = true;
	result->unknown = false;
	result->reason = passes ? REASON_NONE :
		call->cost > limit_capacity(&rule->spec) ? REASON_COST : REASON_LIMITED;
	result->remaining = passes ? remaining - call->cost : remaining;
	result->retry_us = result->next_us = 0;
	if (call->allow_only)
		return;
	result->reset_us = limit_reset_us(&rule->spec, use, NULL, call->now_us);
	if (call->with_next && result->remaining < limit_capacity(&rule->spec))
		result->next_us = limit_retry_us(&rule->spec, use, NULL, call->now_us,
										 result->remaining + 1);
	if (result->reason == REASON_LIMITED)
		result->retry_us = limit_retry_us(&rule->spec, use, NULL, call->now_us, call->cost);
}

static inline bool
is_plain_hit(const LimitCall *call, const LimitKey *key, const LimitRule *rule)
{
	return call->operation == LIMIT_CHECK && call->cost > 0 && rule->mode != LIMIT_OFF &&
		!key->is_address && rule->spec.max_hits > 0 &&
		rule->spec.algorithm != LIMIT_SLIDING_LOG;
}

/*
 * The hot path: one limit that counts a key it knows, in a few steps of its own.
 * Everything else (a list, a block, a changed rule, several limits, a refusal
 * that has consequences) is left, untouched, to the general way: false.
 */
static bool
run_known_key(LimitCall *call, const LimitKey *key, const LimitRule *rule,
			  LimitResult *result)
{
	const KeyTable *table = &limit_store.keys;
	SipHash		hash = limit_key_hash(rule, key);
	KeySlot		slot = keytable_find(table, hash);
	const KeyState *state;
	KeyState   *spare;
	LimitUse	use;
	uint32		word;
	int64		remaining;

	if (slot == 0 || !keytable_lock(table, slot, hash, &word))
		return false;
	if (unlikely(keyslot_entry(table, slot)->tag != rule->tag || (word & ENTRY_BLOCKED)))
	{
		keyslot_unlock(table, slot, word);
		return false;
	}
	state = keyslot_state(table, slot, word);
	use.a = state->a;
	use.b = state->b;
	if (unlikely(limit_is_ahead(&rule->spec, &use, call->now_us)))
		call->now_us = clock_now_us();
	remaining = limit_hit(&rule->spec, &use, call->now_us, call->cost);
	if (unlikely(call->cost > remaining))
	{
		bool		stepped_back = state->a > call->now_us &&
			(use.a != state->a || use.b != state->b);

		keyslot_unlock(table, slot, word);
		if (rule->count_denied || rule->block_us > 0 || stepped_back)
			return false;
	}
	else
	{
		spare = keyslot_spare_state(table, slot, word);
		spare->a = use.a;
		spare->b = use.b;
		fault_point("keytable_before_commit");
		keyslot_unlock(table, slot, word ^ KEY_SECOND);
	}
	result_of_hit(call, rule, &use, remaining, result);
	return true;
}

/* The general way. */
static pg_noinline bool
run_any(LimitCall *call, const LimitKey *key, const LimitRule *const *rules, int n,
		LimitResult *results)
{
	Part		all[LIMITS_PER_CALL];
	Part	   *parts[LIMITS_PER_CALL];
	int			n_parts = 0;
	bool		all_allowed = true;

	for (int i = 0; i < n; i++)
	{
		Part	   *part = &all[n_parts];

		if (!needs_counting(call, key, rules[i], &results[i]))
		{
			all_allowed &= results[i].allowed;
			continue;
		}
		part->rule = rules[i];
		part->result = &results[i];
		part->log = &logs[n_parts];
		part->hash = limit_key_hash(rules[i], key);
		part->deferred = false;
		part->makes_key = makes_key(call, rules[i]);
		parts[n_parts++] = part;
	}
	if (n_parts > 0 && !run_parts(parts, n_parts, call, key, !all_allowed))
		return false;
	if (call->operation == LIMIT_BLOCK || call->operation == LIMIT_UNBLOCK)
		for (int i = 0; i < n_parts; i++)
			limit_note_set(parts[i]->hash, call->note);
	if (call->operation == LIMIT_CHECK && call->cost > 0)
	{
		for (int i = 0; i < n; i++)
			all_allowed &= results[i].allowed;
		count_call(call, results, n, all_allowed);
	}
	return true;
}

bool
limits_run(LimitCall *call, const LimitKey *key, const LimitRule *const *rules, int n,
		   LimitResult *results)
{
	Assert(limit_store.ready && n <= LIMITS_PER_CALL);
	fault_point("limits_clock_read");
	if (likely(n == 1 && is_plain_hit(call, key, rules[0])) &&
		likely(run_known_key(call, key, rules[0], results)))
	{
		count_call(call, results, 1, results[0].allowed);
		return true;
	}
	return run_any(call, key, rules, n, results);
}

bool
limits_reset_slot(const LimitRule *rule, KeySlot slot, int64 now_us)
{
	LimitCall	call = {.operation = LIMIT_RESET, .now_us = now_us};
	LimitResult result = {.rule = rule};
	Part		part = {.rule = rule, .result = &result, .log = &logs[0]};
	Part	   *parts = &part;
	const KeyTable *table = &limit_store.keys;
	uint32		word = keyslot_lock(table, slot);
	bool		ours = (word & KEY_LIVE) && keyslot_detail(table, slot)->owner == rule->owner &&
		keyslot_entry(table, slot)->tag != 0;

	part.hash = keyslot_entry(table, slot)->hash;
	keyslot_unlock(table, slot, word);
	if (!ours || !run_parts(&parts, 1, &call, NULL, false))
		return false;
	return result.existed;
}

/* Time to wait, for comparing: never is longest, allowed shortest. */
static int64
wait_of(const LimitResult *result)
{
	if (result->allowed)
		return 0;
	return result->retry_us > 0 ? result->retry_us : PG_INT64_MAX;
}

static bool
is_tighter(const LimitResult *result, const LimitResult *than)
{
	if (wait_of(result) != wait_of(than))
		return wait_of(result) > wait_of(than);
	if (result->remaining != than->remaining)
		return result->remaining < than->remaining;
	return result->reset_us > than->reset_us;
}

const LimitResult *
limits_tightest(const LimitResult *results, int n)
{
	const LimitResult *tightest = &results[0];

	for (int i = 1; i < n; i++)
		if (is_tighter(&results[i], tightest))
			tightest = &results[i];
	return tightest;
}
