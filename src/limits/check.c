/*
 * check.c
 *		See check.h.
 *
 * Locking: the known keys of a call are found without lock and then locked in
 * ascending slot order.  When one is not known, or needs extra storage, the same
 * is done again under the table lock, which keeps others from evicting what we
 * just made.  Entry locks are held for arithmetic only.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "limits/check.h"
#include "limits/label.h"
#include "limits/lists.h"

/* One limit of a call. */
typedef struct Part
{
	const LimitRule *rule;
	LimitResult *result;
	SipHash		hash;
	KeySlot		slot;			/* 0: the key is not known and is not made */
	uint32		locked_word;	/* as it was when locked */
	uint32		word;			/* as it will be, but for the state in use */
	bool		counted;		/* takes part; else lists or mode decided already */
	bool		changed;
	bool		converted;		/* the rule is not the one the entry was counted under */
	bool		passes;			/* under this limit alone */
	int64		blocked_until_us;	/* 0: not blocked */
	int64		remaining;
	LimitUse	use;
	LimitLog   *log;
	KeyChange	change;
} Part;

/* A backend runs one call at a time; a log is too big for every stack frame. */
static LimitLog logs[LIMITS_PER_CALL];

SipHash
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
	result->retry_us = 0;
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

/* ---- finding and locking ---- */

static inline bool
makes_keys(const LimitCall *call)
{
	return call->operation == LIMIT_BLOCK ||
		(call->operation == LIMIT_CHECK && call->cost > 0);
}

static void
sort_by_slot(Part **parts, int n)
{
	for (int i = 1; i < n; i++)
	{
		Part	   *part = parts[i];
		int			j = i;

		for (; j > 0 && parts[j - 1]->slot > part->slot; j--)
			parts[j] = parts[j - 1];
		parts[j] = part;
	}
}

/* The entry's extra storage is not what the rule wants: a matter for the table lock. */
static bool
wants_other_extents(const Part *part)
{
	bool		is_log = part->rule->spec.algorithm == LIMIT_SLIDING_LOG;

	if (likely(!is_log && !(part->locked_word & KEY_EXTENDED)))
		return false;
	return !is_log ||
		keytable_extents(&limit_store.keys, part->slot) < limit_spec_extents(&part->rule->spec);
}

static void
unlock_parts(Part **parts, int n)
{
	for (int i = 0; i < n; i++)
		if (parts[i]->slot != 0)
			keytable_unlock(&limit_store.keys, parts[i]->slot, parts[i]->locked_word);
}

static bool
lock_parts(Part **parts, int n)
{
	sort_by_slot(parts, n);
	for (int i = 0; i < n; i++)
	{
		Part	   *part = parts[i];

		if (part->slot == 0)
			continue;
		if (!keytable_lock(&limit_store.keys, part->slot, part->hash, &part->locked_word))
		{
			unlock_parts(parts, i);
			return false;
		}
		if (unlikely(wants_other_extents(part)))
		{
			unlock_parts(parts, i + 1);
			return false;
		}
		part->word = part->locked_word;
	}
	return true;
}

static bool
find_known(Part **parts, int n)
{
	for (int i = 0; i < n; i++)
	{
		parts[i]->slot = keytable_find(&limit_store.keys, parts[i]->hash);
		if (parts[i]->slot == 0)
			return false;
	}
	return true;
}

/* ---- between entry and algorithm; the entry is locked ---- */

static void
name_entry(Part *part, const LimitKey *key)
{
	KeyDetail  *detail = keytable_detail(&limit_store.keys, part->slot);
	uint32		label_bits;

	label_bits = limit_label_pack(key->text, key->length, detail->label);
	detail->owner = part->rule->owner;
	part->word = (part->word & ~KEY_OWNER_BITS) | part->rule->spec.algorithm | label_bits;
}

static void
convert_use(Part *part, int64 now_us)
{
	LimitSpec	from;

	limit_entry_spec(&limit_store.keys, part->slot, part->locked_word, &from);
	if (from.algorithm == LIMIT_SLIDING_LOG)
		limit_entry_log(&limit_store.keys, part->slot, part->locked_word, part->log);
	limit_convert(&from, &part->rule->spec, &part->use, part->log, now_us);
	part->word = (part->word & ~ENTRY_ALGORITHM) | part->rule->spec.algorithm;
	part->converted = true;
}

/* An automatic block never outlasts what the rule says now, so a clock that steps back does not extend it. */
static void
load_block(Part *part, int64 now_us)
{
	int64		until_us = keytable_detail(&limit_store.keys, part->slot)->room64[0];

	if (part->word & ENTRY_AUTO_BLOCKED)
		until_us = Min(until_us, now_us + part->rule->block_us);
	if (until_us > now_us)
		part->blocked_until_us = until_us;
	else
		part->word &= ~(ENTRY_BLOCKED | ENTRY_AUTO_BLOCKED);
}

static void
load_part(Part *part, const LimitKey *key, int64 now_us)
{
	const LimitSpec *spec = &part->rule->spec;
	uint32		tag;

	part->use.a = part->use.b = 0;
	part->log->n = part->log->dropped = 0;
	part->changed = part->converted = false;
	part->blocked_until_us = 0;
	if (part->slot != 0)
	{
		tag = keytable_entry(&limit_store.keys, part->slot)->tag;
		if (spec->algorithm == LIMIT_SLIDING_LOG && tag == part->rule->tag)
			limit_entry_log(&limit_store.keys, part->slot, part->locked_word, part->log);
		else
		{
			const KeyState *state = keytable_state(&limit_store.keys, part->slot, part->locked_word);

			part->use.a = state->a;
			part->use.b = state->b;
		}
		if (unlikely(tag == 0))
		{
			name_entry(part, key);
			part->converted = true;
		}
		else if (unlikely(tag != part->rule->tag))
			convert_use(part, now_us);
		if (unlikely(part->word & ENTRY_BLOCKED))
			load_block(part, now_us);
	}
	limit_settle(spec, &part->use, part->log, now_us);
	part->remaining = limit_remaining(spec, &part->use, part->log, now_us);
}

/* Writes the new state beside the old one, to be made the true one by the commit. */
static void
store_part(Part *part, KeySlot extents)
{
	KeyTable   *table = &limit_store.keys;
	const LimitSpec *spec = &part->rule->spec;
	KeyState   *spare = keytable_spare_state(table, part->slot, part->locked_word);

	if (spec->algorithm == LIMIT_SLIDING_LOG)
		limit_entry_store_log(table, part->slot, part->locked_word, extents, part->log, spare);
	else
	{
		spare->a = part->use.a;
		spare->b = part->use.b;
	}
	part->change.slot = part->slot;
	part->change.word = part->word ^ KEY_SECOND;
	part->change.tag = part->rule->tag;
	part->change.new_detail = part->converted;
	part->change.room64 = spec->per_us;
	part->change.room32 = spec->max_hits;
	part->change.extra = spec->algorithm == LIMIT_SLIDING_LOG ? extents : spec->burst;
}

/* ---- under the table lock ---- */

/*
 * Gives an entry the extra storage its rule wants, or takes away what it no
 * longer wants, keeping what it has used.
 */
static bool
refit_extents(Part *part, const LimitKey *key, int64 now_us)
{
	KeyTable   *table = &limit_store.keys;
	int			wanted = limit_spec_extents(&part->rule->spec);
	KeySlot		old_extents;
	KeySlot		extents = 0;

	part->locked_word = pg_atomic_read_u32(&keytable_entry(table, part->slot)->word);
	if (!wants_other_extents(part))
		return true;
	if (wanted > 0 && (extents = keytable_claim_extents(table, part->slot, wanted, now_us)) == 0)
		return false;

	part->word = part->locked_word = keytable_lock_slot(table, part->slot);
	load_part(part, key, now_us);
	old_extents = (part->locked_word & KEY_EXTENDED) ?
		keytable_detail(table, part->slot)->extra : 0;
	part->word = wanted > 0 ? part->word | KEY_EXTENDED : part->word & ~KEY_EXTENDED;
	part->converted = true;
	store_part(part, extents);
	keytable_commit(table, &part->change, 1);
	keytable_free_extents(table, old_extents);
	return true;
}

static bool
find_or_make(Part **parts, int n, const LimitKey *key, bool make, int64 now_us)
{
	for (int i = 0; i < n; i++)
	{
		parts[i]->slot = keytable_find_locked(&limit_store.keys, parts[i]->hash);
		if (parts[i]->slot == 0 && make)
		{
			parts[i]->slot = keytable_insert(&limit_store.keys, parts[i]->hash, now_us);
			if (parts[i]->slot == 0)
				return false;
		}
		if (parts[i]->slot != 0 && !refit_extents(parts[i], key, now_us))
			return false;
	}
	return true;
}

/* In a table so small that the keys of one call evict each other, a few rounds must do. */
static bool
make_and_lock(Part **parts, int n, const LimitKey *key, bool make, int64 now_us)
{
	for (int round = 0; round < 3; round++)
		if (find_or_make(parts, n, key, make, now_us) && lock_parts(parts, n))
			return true;
	return false;
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
	limit_take(&part->rule->spec, &part->use, part->log, call->now_us, call->cost);
	part->remaining = Max(part->remaining - call->cost, 0);
	part->changed = true;
}

static void
set_block(Part *part, int64 until_us, uint32 kind)
{
	keytable_detail(&limit_store.keys, part->slot)->room64[0] = until_us;
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
	if (part->blocked_until_us != 0 || call->cost > limit_capacity(&part->rule->spec))
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
	const LimitSpec *spec = &part->rule->spec;

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
	part->remaining = limit_remaining(spec, &part->use, part->log, call->now_us);
	part->passes = cost_fits(part, 1);
}

static void
fill_result(const Part *part, const LimitCall *call)
{
	LimitResult *result = part->result;
	const LimitSpec *spec = &part->rule->spec;
	int64		wanted = call->operation == LIMIT_CHECK ? Max(call->cost, 1) : 1;
	bool		was_blocked = part->blocked_until_us != 0 &&
		(part->locked_word & ENTRY_BLOCKED) != 0;

	result->allowed = part->passes || part->rule->mode != LIMIT_ENFORCE;
	if (part->passes)
		result->reason = REASON_NONE;
	else if (wanted > limit_capacity(spec))
		result->reason = REASON_COST;
	else
		result->reason = was_blocked || call->operation == LIMIT_BLOCK ?
			REASON_BLOCKED : REASON_LIMITED;
	result->remaining = part->blocked_until_us != 0 ? 0 : part->remaining;
	if (call->allow_only)
		return;
	result->reset_us = Max(limit_reset_us(spec, &part->use, part->log, call->now_us),
						   part->blocked_until_us);
	if (result->reason == REASON_LIMITED || result->reason == REASON_BLOCKED)
	{
		result->retry_us = part->blocked_until_us;
		if (wanted > part->remaining)
			result->retry_us = Max(result->retry_us,
								   limit_retry_us(spec, &part->use, part->log, call->now_us,
												  wanted));
	}
}

/* Who read the clock before others, but locked the key after them, reads it again; see limit_is_ahead(). */
static void
catch_up_with_clock(Part **parts, int n, LimitCall *call)
{
	for (int i = 0; i < n; i++)
	{
		const KeyState *state;
		LimitUse	use;

		if (parts[i]->slot == 0)
			continue;
		state = keytable_state(&limit_store.keys, parts[i]->slot, parts[i]->locked_word);
		use.a = state->a;
		if (limit_is_ahead(&parts[i]->rule->spec, &use, call->now_us))
		{
			call->now_us = clock_now_us();
			return;
		}
	}
}

static void
work_on_parts(Part **parts, int n, LimitCall *call, const LimitKey *key, bool refused_already)
{
	KeyChange	changes[LIMITS_PER_CALL];
	int			n_changes = 0;

	catch_up_with_clock(parts, n, call);
	for (int i = 0; i < n; i++)
		load_part(parts[i], key, call->now_us);
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
		if (parts[i]->changed)
		{
			store_part(parts[i], keytable_detail(&limit_store.keys, parts[i]->slot)->extra);
			changes[n_changes++] = parts[i]->change;
		}
		else
			keytable_unlock(&limit_store.keys, parts[i]->slot, parts[i]->locked_word);
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
	done = make_and_lock(parts, n, key, makes_keys(call), call->now_us);
	if (done)
		work_on_parts(parts, n, call, key, refused_already);
	LWLockRelease(lock);
	return done;
}

static bool
run_parts(Part **parts, int n, LimitCall *call, const LimitKey *key, bool refused_already)
{
	if (unlikely(!find_known(parts, n) || !lock_parts(parts, n)))
		return run_under_table_lock(parts, n, call, key, refused_already);
	work_on_parts(parts, n, call, key, refused_already);
	return true;
}

static void
count_call(const LimitCall *call, const LimitResult *results, int n, bool all_allowed)
{
	for (int i = 0; i < n; i++)
	{
		const LimitResult *result = &results[i];
		LimitStats *stats = result->rule->stats;

		if (stats == NULL || result->rule->mode == LIMIT_OFF ||
			pg_atomic_read_u64(&stats->owner) != result->rule->owner)
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
	result->retry_us = 0;
	if (call->allow_only)
		return;
	result->reset_us = limit_reset_us(&rule->spec, use, NULL, call->now_us);
	if (result->reason == REASON_LIMITED)
		result->retry_us = limit_retry_us(&rule->spec, use, NULL, call->now_us, call->cost);
}

static void
note_block(SipHash hash, const char *reason)
{
	LimitNote  *note = NULL;

	LWLockAcquire(limit_store.keys.lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < limit_store.n_notes; i++)
	{
		LimitNote  *other = &limit_store.notes[i];

		if (other->hash.lo == hash.lo && other->hash.hi == hash.hi)
		{
			note = other;
			break;
		}
		if (note == NULL && other->hash.lo == 0 && other->hash.hi == 0)
			note = other;
	}
	if (note == NULL)
		note = &limit_store.notes[hash.lo % limit_store.n_notes];
	memset(note, 0, sizeof(*note));
	if (reason != NULL)
	{
		note->hash = hash;
		strlcpy(note->reason, reason, sizeof(note->reason));
	}
	LWLockRelease(limit_store.keys.lock);
}

const char *
limit_note_of(SipHash hash)
{
	char	   *reason = NULL;
	char		copy[LIMIT_REASON_SIZE];

	LWLockAcquire(limit_store.keys.lock, LW_SHARED);
	for (uint32 i = 0; i < limit_store.n_notes && reason == NULL; i++)
		if (limit_store.notes[i].hash.lo == hash.lo && limit_store.notes[i].hash.hi == hash.hi)
		{
			memcpy(copy, limit_store.notes[i].reason, sizeof(copy));
			reason = copy;
		}
	LWLockRelease(limit_store.keys.lock);
	return reason ? pstrdup(reason) : NULL;
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
	if (unlikely(keytable_entry(table, slot)->tag != rule->tag || (word & ENTRY_BLOCKED)))
	{
		keytable_unlock(table, slot, word);
		return false;
	}
	state = keytable_state(table, slot, word);
	use.a = state->a;
	use.b = state->b;
	if (unlikely(limit_is_ahead(&rule->spec, &use, call->now_us)))
		call->now_us = clock_now_us();
	remaining = limit_hit(&rule->spec, &use, call->now_us, call->cost);
	if (unlikely(call->cost > remaining))
	{
		keytable_unlock(table, slot, word);
		if (rule->count_denied || rule->block_us > 0)
			return false;
		limit_settle(&rule->spec, &use, NULL, call->now_us);
	}
	else
	{
		spare = keytable_spare_state(table, slot, word);
		spare->a = use.a;
		spare->b = use.b;
		fault_point("keytable_before_commit");
		keytable_unlock(table, slot, word ^ KEY_SECOND);
	}
	result_of_hit(call, rule, &use, remaining, result);
	return true;
}

bool
limits_run(LimitCall *call, const LimitKey *key, const LimitRule *const *rules, int n,
		   LimitResult *results)
{
	Part		all[LIMITS_PER_CALL];
	Part	   *parts[LIMITS_PER_CALL];
	int			n_parts = 0;
	bool		all_allowed = true;

	Assert(limit_store.ready && n <= LIMITS_PER_CALL);
	if (likely(n == 1 && is_plain_hit(call, key, rules[0])) &&
		likely(run_known_key(call, key, rules[0], results)))
	{
		count_call(call, results, 1, results[0].allowed);
		return true;
	}
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
		parts[n_parts++] = part;
	}
	if (n_parts > 0 && !run_parts(parts, n_parts, call, key, !all_allowed))
		return false;
	if (call->operation == LIMIT_BLOCK)
		for (int i = 0; i < n_parts; i++)
			note_block(parts[i]->hash, call->note);
	if (call->operation == LIMIT_CHECK && call->cost > 0)
	{
		for (int i = 0; i < n; i++)
			all_allowed &= results[i].allowed;
		count_call(call, results, n, all_allowed);
	}
	return true;
}

bool
limits_reset_slot(const LimitRule *rule, KeySlot slot, int64 now_us)
{
	LimitCall	call = {.operation = LIMIT_RESET, .now_us = now_us};
	LimitResult result = {.rule = rule};
	Part		part = {.rule = rule, .result = &result, .log = &logs[0]};
	Part	   *parts = &part;
	const KeyTable *table = &limit_store.keys;
	uint32		word = keytable_lock_slot(table, slot);
	bool		ours = (word & KEY_LIVE) && keytable_detail(table, slot)->owner == rule->owner &&
		keytable_entry(table, slot)->tag != 0;

	part.hash = keytable_entry(table, slot)->hash;
	keytable_unlock(table, slot, word);
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
