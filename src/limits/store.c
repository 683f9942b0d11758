/*
 * store.c
 *		See store.h.
 *
 * Locking: as keytable.c says; the statistics are atomics; the notes are under
 * the table lock.  The lock itself is in ordinary shared memory, so that a crash
 * frees it; what is mapped from the file holds numbers only.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/sharedmem.h"
#include "core/statefile.h"
#include "limits/store.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#define STATE_FILE		PG_STAT_TMP_DIR "/pattyly_limits.state"
#define STATE_FORMAT	1		/* grows with every change of what stands in the file */

LimitStore	limit_store;

static int	max_keys;
static StateFile state_file;
static LWLock *store_lock;

/* ---- what stands in the file ---- */

static uint32
stats_count(uint32 capacity)
{
	return Min(Max(capacity / 128, 32), 1024);
}

static uint32
notes_count(uint32 capacity)
{
	return Min(Max(capacity / 256, 16), 1024);
}

static Size
store_size(uint32 capacity)
{
	return TYPEALIGN(64, keytable_size(capacity)) +
		stats_count(capacity) * sizeof(LimitStats) +
		notes_count(capacity) * sizeof(LimitNote);
}

static int64 entry_load(const KeyTable *table, KeySlot slot, int64 now_us, int64 *until_us);

static void
attach_store(LimitStore *store, char *memory, uint32 capacity)
{
	keytable_attach(&store->keys, memory, capacity, store_lock, entry_load);
	memory += TYPEALIGN(64, keytable_size(capacity));
	store->stats = (LimitStats *) memory;
	store->n_stats = stats_count(capacity);
	memory += store->n_stats * sizeof(LimitStats);
	store->notes = (LimitNote *) memory;
	store->n_notes = notes_count(capacity);
}

/* Table lock held. */
static LimitStats *
find_or_take_stats(LimitStore *store, uint64 owner)
{
	LimitStats *oldest = &store->stats[0];
	LimitStats *free_one = NULL;

	/* To the end, since a process that was killed here may have left a free one before its own. */
	for (uint32 i = 0; i < store->n_stats; i++)
	{
		LimitStats *stats = &store->stats[(owner + i) % store->n_stats];
		uint64		found = pg_atomic_read_u64(&stats->owner);

		if (found == owner)
			return stats;
		if (found == 0 && free_one == NULL)
			free_one = stats;
		if (pg_atomic_read_u64(&stats->used_us) < pg_atomic_read_u64(&oldest->used_us))
			oldest = stats;
	}
	if (free_one != NULL)
		oldest = free_one;
	pg_atomic_write_u64(&oldest->owner, 0);
	pg_atomic_write_u64(&oldest->allowed, 0);
	pg_atomic_write_u64(&oldest->denied, 0);
	pg_atomic_write_u64(&oldest->shadow_denied, 0);
	pg_atomic_write_u64(&oldest->near, 0);
	pg_atomic_write_u64(&oldest->blocked, 0);
	pg_atomic_write_u64(&oldest->last_denied_us, 0);
	fault_point("limits_stats_taken");
	pg_write_barrier();
	pg_atomic_write_u64(&oldest->owner, owner);
	return oldest;
}

LimitStats *
limit_stats_claim(uint64 owner)
{
	LimitStats *stats;

	LWLockAcquire(limit_store.keys.lock, LW_EXCLUSIVE);
	stats = find_or_take_stats(&limit_store, owner);
	limit_stats_touch(stats);
	LWLockRelease(limit_store.keys.lock);
	return stats;
}

/* By the statement's time, never the frozen clock's: the order of use is that of the real world. */
void
limit_stats_touch(LimitStats *stats)
{
	uint64		now_us = clock_from_timestamp(GetCurrentStatementStartTimestamp());

	if (now_us - pg_atomic_read_u64(&stats->used_us) > USECS_PER_MINUTE)
		pg_atomic_write_u64(&stats->used_us, now_us);
}

void
limit_stats_retire(uint64 owner)
{
	LWLockAcquire(limit_store.keys.lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < limit_store.n_stats; i++)
		if (pg_atomic_read_u64(&limit_store.stats[i].owner) == owner)
			pg_atomic_write_u64(&limit_store.stats[i].used_us, 0);
	LWLockRelease(limit_store.keys.lock);
}

/* ---- entries ---- */

uint32
limit_spec_tag(const LimitSpec *spec)
{
	uint64		mix = (uint64) spec->per_us * UINT64CONST(0x9e3779b97f4a7c15);

	mix = (mix ^ (mix >> 32) ^ spec->max_hits) * UINT64CONST(0xd6e8feb86659fd93);
	mix = (mix ^ (mix >> 32) ^ spec->burst) * UINT64CONST(0xd6e8feb86659fd93);
	mix = (mix ^ (mix >> 32) ^ spec->algorithm) * UINT64CONST(0xd6e8feb86659fd93);
	return (uint32) (mix >> 32) | 1;
}

void
limit_entry_spec(const KeyTable *table, KeySlot slot, uint32 word, LimitSpec *spec)
{
	const KeyDetail *detail = keyslot_detail(table, slot);

	spec->algorithm = (LimitAlgorithm) (word & ENTRY_ALGORITHM);
	spec->per_us = detail->room64[1];
	spec->max_hits = detail->room32;
	spec->burst = spec->algorithm == LIMIT_GCRA ? detail->extra : detail->room32;
}

int
limit_spec_extents(const LimitSpec *spec)
{
	if (spec->algorithm != LIMIT_SLIDING_LOG)
		return 0;
	return (spec->max_hits + KEY_CELLS - 1) / KEY_CELLS;
}

/* In a sliding_log entry, state a is the cell of the oldest hit and b the number of hits. */
void
limit_entry_log(const KeyTable *table, KeySlot slot, uint32 word, LimitLog *log)
{
	const KeyState *state = keyslot_state(table, slot, word);
	int			cells = keytable_extents(table, slot) * KEY_CELLS;

	log->n = cells > 0 ? (int) Min(state->b, Min(cells, LIMIT_LOG_MAX)) : 0;
	log->dropped = 0;
	log->stepped_back = false;
	for (int i = 0; i < log->n; i++)
		log->at_us[i] = *keytable_cell(table, keyslot_detail(table, slot)->extra,
									   (int) ((state->a + i) % cells));
}

/* Writes the hits where the ring has them, so that a kill before the commit harms no hit that stays. */
void
limit_entry_store_log(const KeyTable *table, KeySlot slot, uint32 word, KeySlot extents,
					  const LimitLog *log, KeyState *spare)
{
	const KeyState *state = keyslot_state(table, slot, word);
	int			cells = 0;

	for (KeySlot extent = extents; extent != 0; extent = keyslot_entry(table, extent)->next)
		cells += KEY_CELLS;
	spare->a = (word & KEY_EXTENDED) ? (state->a + log->dropped) % cells : 0;
	spare->b = log->n;
	for (int i = 0; i < log->n; i++)
		*keytable_cell(table, extents, (int) ((spare->a + i) % cells)) = log->at_us[i];
}

static bool
log_is_valid(const KeyTable *table, KeySlot slot, uint32 word)
{
	static LimitLog log;
	const KeyState *state = keyslot_state(table, slot, word);

	if (state->a < 0 || state->b < 0 || state->b > LIMIT_LOG_MAX ||
		state->a >= Max(keytable_extents(table, slot) * KEY_CELLS, 1))
		return false;
	limit_entry_log(table, slot, word, &log);
	for (int i = 0; i < log.n; i++)
		if (log.at_us[i] < 0 || log.at_us[i] > PG_INT64_MAX - LIMIT_MAX_PER_US)
			return false;
	return true;
}

static bool
entry_is_valid(const KeyTable *table, KeySlot slot)
{
	uint32		word = pg_atomic_read_u32(&keyslot_entry(table, slot)->word);
	const KeyState *state = keyslot_state(table, slot, word);
	LimitSpec	spec;

	limit_entry_spec(table, slot, word, &spec);
	if (keyslot_entry(table, slot)->tag != limit_spec_tag(&spec) ||
		spec.algorithm < LIMIT_GCRA || spec.algorithm > LIMIT_SLIDING_LOG || spec.per_us <= 0)
		return false;
	if ((word & KEY_EXTENDED) && spec.algorithm != LIMIT_SLIDING_LOG)
		return false;
	if (spec.algorithm == LIMIT_SLIDING_LOG)
		return log_is_valid(table, slot, word);
	return state->a >= 0 && (spec.algorithm == LIMIT_SLIDING_WINDOW ||
							 spec.algorithm == LIMIT_GCRA || state->b >= 0);
}

/* KeyLoad: units used; a blocked or an exhausted key stays. */
static int64
entry_load(const KeyTable *table, KeySlot slot, int64 now_us, int64 *until_us)
{
	static LimitLog log;
	const KeyEntry *entry = keyslot_entry(table, slot);
	uint32		word = pg_atomic_read_u32(&unconstify(KeyEntry *, entry)->word);
	const KeyState *kept = keyslot_state(table, slot, word);
	LimitUse	state = {kept->a, kept->b};
	LimitSpec	spec;

	*until_us = keyslot_detail(table, slot)->room64[0];
	if ((word & ENTRY_BLOCKED) && *until_us > now_us)
		return KEY_PROTECTED;
	if (entry->tag == 0)
		return 0;
	limit_entry_spec(table, slot, word, &spec);
	if (spec.algorithm == LIMIT_SLIDING_LOG)
		limit_entry_log(table, slot, word, &log);
	limit_settle(&spec, &state, &log, now_us);
	if (limit_is_exhausted(&spec, &state, &log, now_us))
	{
		*until_us = limit_retry_us(&spec, &state, &log, now_us, 1);
		return KEY_PROTECTED;
	}
	return limit_used(&spec, &state, &log, now_us);
}

/* ---- start and stop ---- */

static void
count_restored(LimitStore *store)
{
	store->restored = 0;
	for (KeySlot slot = 1; slot <= store->keys.capacity; slot++)
		if (pg_atomic_read_u32(&keyslot_entry(&store->keys, slot)->word) & KEY_LIVE)
			store->restored++;
}

static void
recover_store(LimitStore *store)
{
	uint32		dropped = keytable_recover(&store->keys, clock_now_us(), entry_is_valid);

	if (dropped > 0)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("dropped %u damaged keys from the pattyly state file", dropped),
				 errdetail("They were being written when a process or the machine died."),
				 errhint("Nothing needs to be done; these keys start from zero.")));
}

/* The file was made under another pattyly.max_keys. */
static void
carry_over(LimitStore *store, const StateFile *old)
{
	LimitStore	from;

	attach_store(&from, old->memory, old->capacity);
	recover_store(&from);
	keytable_copy(&store->keys, &from.keys, clock_now_us());
	for (uint32 i = 0; i < from.n_stats; i++)
	{
		uint64		owner = pg_atomic_read_u64(&from.stats[i].owner);

		if (owner != 0)
			memcpy(find_or_take_stats(store, owner), &from.stats[i], sizeof(LimitStats));
	}
	memcpy(store->notes, from.notes, Min(store->n_notes, from.n_notes) * sizeof(LimitNote));
}

static void
open_store(void)
{
	StateFile	old;

	statefile_open(&state_file, STATE_FILE, STATE_FORMAT, max_keys, store_size(max_keys), &old);
	attach_store(&limit_store, state_file.memory, max_keys);
	if (state_file.is_new)
		keytable_format(&limit_store.keys);
	if (old.memory != NULL && old.size == store_size(old.capacity))
		carry_over(&limit_store, &old);
	else if (old.memory != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not use the pattyly state file: its size does not fit its capacity"),
				 errdetail("Counters start from zero."),
				 errhint("Nothing needs to be done.")));
	statefile_publish(&state_file, STATE_FILE, &old);
	limit_store.secret = state_file.secret;
	limit_store.saved_at = state_file.saved_at;
	limit_store.bytes = state_file.size + STATEFILE_HEADER_SIZE;
}

static void
save_store(int code, Datum arg)
{
	/* After a crash the file is as good as memory, but not sealed. */
	if (code == 0 && !IsUnderPostmaster)
		statefile_save(&state_file, GetCurrentTimestamp());
}

static void
make_ready(void *memory, LWLock *lock, bool is_new)
{
	store_lock = lock;

	/* The mapping outlives a crash of a backend; locks and links do not. */
	if (!limit_store.ready)
		open_store();
	else
		attach_store(&limit_store, state_file.memory, max_keys);
	recover_store(&limit_store);
	count_restored(&limit_store);
	limit_store.ready = true;
	if (!IsUnderPostmaster)
		on_shmem_exit(save_store, (Datum) 0);
}

static const SharedMemory store_memory = {"pattyly_limits", NULL, true, make_ready};

void
limit_store_init(void)
{
	DefineCustomIntVariable("pattyly.max_keys",
							"Keys that the rate limiter remembers at most.",
							"Each takes about 126 bytes of memory and of disk.",
							&max_keys,
							200000, 100, 100000000,
							PGC_POSTMASTER,
							0,
							NULL, NULL, NULL);
	sharedmem_request(&store_memory);
}
