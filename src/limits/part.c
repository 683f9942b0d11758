/*
 * part.c
 *		See part.h.
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
#include "limits/label.h"
#include "limits/part.h"

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

	if (part->rule->spec.max_hits == 0)
		return false;
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
			keyslot_unlock(&limit_store.keys, parts[i]->slot, parts[i]->locked_word);
}

bool
parts_lock(Part **parts, int n)
{
	sort_by_slot(parts, n);
	for (int i = 0; i < n; i++)
	{
		Part	   *part = parts[i];

		if (part->slot == 0)
			continue;

		/* Keys of a call found in the same slot, one after the other: to lock it twice is to wait for oneself. */
		if (unlikely(i > 0 && part->slot == parts[i - 1]->slot))
		{
			unlock_parts(parts, i);
			return false;
		}
		if (!keytable_lock(&limit_store.keys, part->slot, part->hash, &part->locked_word))
		{
			unlock_parts(parts, i);
			return false;
		}
		if (unlikely(wants_other_extents(part) && !part->deferred))
		{
			unlock_parts(parts, i + 1);
			return false;
		}
		part->word = part->locked_word;
	}
	return true;
}

bool
parts_find(Part **parts, int n)
{
	for (int i = 0; i < n; i++)
	{
		parts[i]->slot = keytable_find(&limit_store.keys, parts[i]->hash);
		if (parts[i]->slot == 0)
			return false;
		fault_point("limits_part_found");
	}
	return true;
}

/* ---- between entry and algorithm; the entry is locked ---- */

/*
 * Whether the entry goes on under the spec it was counted under: there is no room
 * for the storage that the new one wants, or the rule is 0 for now and what was
 * used is kept for when it no longer is.
 */
static bool
spec_is_put_off(const Part *part)
{
	return part->rule->spec.max_hits == 0 || (part->deferred && wants_other_extents(part));
}

/* The rule's spec, unless that is put off. */
static void
choose_spec(Part *part)
{
	uint32		tag = part->slot != 0 ? keyslot_entry(&limit_store.keys, part->slot)->tag : 0;

	part->spec = part->rule->spec;
	part->tag = part->rule->tag;
	if (tag != 0 && unlikely(spec_is_put_off(part)))
	{
		limit_entry_spec(&limit_store.keys, part->slot, part->locked_word, &part->spec);
		part->tag = tag;
	}
}

static void
name_entry(Part *part, const LimitKey *key)
{
	KeyDetail  *detail = keyslot_detail(&limit_store.keys, part->slot);
	uint32		label_bits = 0;

	/* A scan that resets keys knows their hashes only. */
	if (key != NULL)
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
	limit_convert(&from, &part->spec, &part->use, part->log, now_us);
	part->word = (part->word & ~ENTRY_ALGORITHM) | part->spec.algorithm;
	part->converted = true;
	keytable_released(&limit_store.keys);
}

/* A log and what another rule left are not read yet, so of them it is not known. */
bool
part_may_be_ahead(const Part *part, int64 now_us)
{
	const LimitRule *rule = part->rule;
	const KeyState *state = keyslot_state(&limit_store.keys, part->slot, part->locked_word);
	LimitUse	use = {state->a, state->b};

	if (rule->spec.algorithm == LIMIT_SLIDING_LOG ||
		keyslot_entry(&limit_store.keys, part->slot)->tag != rule->tag)
		return true;
	if ((part->locked_word & ENTRY_AUTO_BLOCKED) &&
		keyslot_detail(&limit_store.keys, part->slot)->room64[0] > now_us + rule->block_us)
		return true;
	return limit_is_ahead(&rule->spec, &use, now_us);
}

/* An automatic block never outlasts what the rule says now, so a clock that steps back does not extend it. */
static void
load_block(Part *part, int64 now_us)
{
	int64	   *until_us = &keyslot_detail(&limit_store.keys, part->slot)->room64[0];

	if ((part->word & ENTRY_AUTO_BLOCKED) && part->rule->block_us > 0)
		*until_us = Min(*until_us, now_us + part->rule->block_us);
	if (*until_us > now_us)
		part->blocked_until_us = *until_us;
	else
		part->word &= ~(ENTRY_BLOCKED | ENTRY_AUTO_BLOCKED);
}

void
part_load(Part *part, const LimitKey *key, int64 now_us)
{
	const LimitSpec *spec = &part->spec;
	LimitUse	before;
	uint32		tag = 0;

	if (part->slot == 0)
		part->word = part->locked_word = 0;
	choose_spec(part);
	part->use.a = part->use.b = 0;
	part->log->n = part->log->dropped = 0;
	part->log->stepped_back = false;
	part->changed = part->converted = false;
	part->blocked_until_us = 0;
	if (part->slot != 0)
	{
		tag = keyslot_entry(&limit_store.keys, part->slot)->tag;
		if (spec->algorithm == LIMIT_SLIDING_LOG && tag == part->tag)
			limit_entry_log(&limit_store.keys, part->slot, part->locked_word, part->log);
		else
		{
			const KeyState *state = keyslot_state(&limit_store.keys, part->slot, part->locked_word);

			part->use.a = state->a;
			part->use.b = state->b;
		}
		if (unlikely(tag == 0))
		{
			name_entry(part, key);
			part->converted = true;
		}
		else if (unlikely(tag != part->tag))
			convert_use(part, now_us);
		if (unlikely(part->word & ENTRY_BLOCKED))
			load_block(part, now_us);
	}
	before = part->use;
	limit_settle(spec, &part->use, part->log, now_us);
	part->settled_anew = part->log->stepped_back || (part->converted && tag != 0) ||
		(before.a > now_us && (before.a != part->use.a || before.b != part->use.b));
	part->remaining = limit_remaining(spec, &part->use, part->log, now_us);
}

void
part_store(Part *part, KeySlot extents)
{
	KeyTable   *table = &limit_store.keys;
	const LimitSpec *spec = &part->spec;
	KeyState   *spare = keyslot_spare_state(table, part->slot, part->locked_word);

	if (spec->algorithm == LIMIT_SLIDING_LOG)
		limit_entry_store_log(table, part->slot, part->locked_word, extents, part->log, spare);
	else
	{
		spare->a = part->use.a;
		spare->b = part->use.b;
	}
	part->change.slot = part->slot;
	part->change.word = part->word ^ KEY_SECOND;
	part->change.tag = part->tag;
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
	KeySlot		extents;

	part->locked_word = pg_atomic_read_u32(&keyslot_entry(table, part->slot)->word);
	if (!wants_other_extents(part))
		return true;
	extents = keytable_claim_extents(table, part->slot, wanted, now_us);
	if (wanted > 0 && extents == 0)
		return false;

	part->word = part->locked_word = keyslot_lock(table, part->slot);

	/* Others may have used it since the call read the clock; see catch_up_with_clock() in check.c. */
	part_load(part, key, clock_now_us());
	old_extents = (part->locked_word & KEY_EXTENDED) ?
		keyslot_detail(table, part->slot)->extra : 0;
	part->word = wanted > 0 ? part->word | KEY_EXTENDED : part->word & ~KEY_EXTENDED;
	part->converted = true;
	part_store(part, extents);
	keytable_commit(table, &part->change, 1);
	keytable_free_extents(table, old_extents);
	return true;
}

/* Slots the part needs beyond what it has. */
static int
missing_slots(const Part *part)
{
	int			extents = limit_spec_extents(&part->rule->spec);

	if (part->slot == 0)
		return part->makes_key ? 1 + extents : 0;
	return wants_other_extents(part) ? extents : 0;
}

/*
 * There is no room.  A known key that only wants other storage goes on under the
 * rule it was counted under; one that never was counted is as good as not known.
 */
static bool
do_without_room(Part **parts, int n)
{
	bool		done = true;

	for (int i = 0; i < n; i++)
	{
		Part	   *part = parts[i];

		part->deferred = true;
		if (part->slot != 0 && wants_other_extents(part) &&
			keyslot_entry(&limit_store.keys, part->slot)->tag == 0)
			part->slot = 0;
		if (part->slot == 0 && part->makes_key)
			done = false;
	}
	return done;
}

/*
 * The keys of a call make no room for each other, and either all that it needs
 * is to be had or nobody is evicted for it.
 */
static bool
find_or_make(Part **parts, int n, const LimitKey *key, int64 now_us)
{
	KeyTable   *table = &limit_store.keys;
	int			missing = 0;
	bool		done = true;

	keytable_keep_none(table);
	for (int i = 0; i < n; i++)
	{
		Part	   *part = parts[i];

		part->slot = keytable_find_locked(table, part->hash);
		if (part->slot != 0)
		{
			keytable_keep(table, part->slot);
			part->locked_word = pg_atomic_read_u32(&keyslot_entry(table, part->slot)->word);
		}
		missing += missing_slots(part);
	}
	if (missing > 0 && !keytable_reserve(table, missing, now_us))
		return do_without_room(parts, n);
	for (int i = 0; i < n && done; i++)
	{
		if (parts[i]->slot == 0 && parts[i]->makes_key)
		{
			parts[i]->slot = keytable_insert(table, parts[i]->hash, now_us);
			done = parts[i]->slot != 0;
			if (done)
				keytable_keep(table, parts[i]->slot);
		}
		if (parts[i]->slot != 0)
			done = refit_extents(parts[i], key, now_us);
	}
	keytable_unreserve(table);
	return done;
}

bool
parts_make_and_lock(Part **parts, int n, const LimitKey *key, int64 now_us)
{
	if (find_or_make(parts, n, key, now_us) && parts_lock(parts, n))
		return true;
	keytable_count_refused(&limit_store.keys);
	return false;
}
