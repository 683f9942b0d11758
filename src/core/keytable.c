/*
 * keytable.c
 *		See keytable.h.  Eviction stands in keyqueue.c.
 *
 * Locking
 *		The table lock (an LWLock) guards the bucket chains, the queues, the free
 *		list and the counters of the header: exclusive to change them.  A known
 *		key is found without it.  Every slot has an entry lock, one bit of
 *		KeyEntry.word, taken like a buffer header's; it guards the rest of the
 *		entry and its detail.  The numbers in an extra slot are under the lock of
 *		the entry that it belongs to, but its word is under its own as any other:
 *		who comes with an old look at the table locks whatever is there now.
 *
 *		Order: table lock, then entry locks, several of them in ascending slot
 *		order only.  Nobody waits for the table lock with an entry locked.
 *
 *		Readers without the table lock may follow a chain while an entry moves to
 *		another one.  They come to no harm: slots never cease to be slots, the
 *		walk is bounded, what is found is verified under the entry lock, and what
 *		is not found is looked for again under the table lock.
 *
 * A process killed at any point
 *		The state of an entry is written to the copy not in use, and one store of
 *		word makes it the true one and unlocks.  A step over several entries, or
 *		one that also changes the detail, is first written to a journal; what
 *		keytable_recover() finds there complete, it applies again.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/fault.h"
#include "core/keytable.h"
#include "core/keyqueue.h"
#include "storage/s_lock.h"

/* A walk without lock gives up after so many entries; the locked one will find. */
#define WALK_MAX	64

/* A quarter more than keys: a known key is then found at the second cache line, mostly. */
static uint32
bucket_count(uint32 capacity)
{
	return capacity + capacity / 4;
}

Size
keytable_size(uint32 capacity)
{
	return TYPEALIGN(64, sizeof(KeyTableHeader)) +
		TYPEALIGN(64, bucket_count(capacity) * sizeof(KeySlot)) +
		(Size) capacity * (sizeof(KeyEntry) + sizeof(KeyDetail));
}

void
keytable_attach(KeyTable *table, void *memory, uint32 capacity, LWLock *lock, KeyLoad load)
{
	char	   *next = memory;

	Assert(memory == (void *) TYPEALIGN(64, memory));
	table->header = (KeyTableHeader *) next;
	next += TYPEALIGN(64, sizeof(KeyTableHeader));
	table->heads = (KeySlot *) next;
	next += TYPEALIGN(64, bucket_count(capacity) * sizeof(KeySlot));
	table->entries = (KeyEntry *) next;
	next += capacity * sizeof(KeyEntry);
	table->details = (KeyDetail *) next;
	table->capacity = capacity;
	table->buckets = bucket_count(capacity);
	table->lock = lock;
	table->load = load;
	table->n_reserved = 0;
	table->n_kept = 0;
}

/* Scales the hash down to the number of buckets, which need not be a power of two. */
static inline KeySlot *
bucket_head(const KeyTable *table, SipHash hash)
{
	return &table->heads[((hash.lo >> 32) * table->buckets) >> 32];
}

static inline bool
same_hash(SipHash x, SipHash y)
{
	return x.lo == y.lo && x.hi == y.hi;
}

KeySlot
keytable_find(const KeyTable *table, SipHash hash)
{
	KeySlot		slot = *(volatile KeySlot *) bucket_head(table, hash);

	for (int steps = 0; slot != 0 && slot <= table->capacity && steps < WALK_MAX; steps++)
	{
		KeyEntry   *entry = keyslot_entry(table, slot);

		if (same_hash(entry->hash, hash))
			return slot;
		slot = *(volatile KeySlot *) &entry->next;
	}
	return 0;
}

KeySlot
keytable_find_locked(const KeyTable *table, SipHash hash)
{
	KeySlot		slot = *bucket_head(table, hash);

	Assert(LWLockHeldByMe(table->lock));
	while (slot != 0 && !same_hash(keyslot_entry(table, slot)->hash, hash))
		slot = keyslot_entry(table, slot)->next;
	return slot;
}

static void
link_entry(KeyTable *table, KeySlot slot)
{
	KeyEntry   *entry = keyslot_entry(table, slot);
	KeySlot    *head = bucket_head(table, entry->hash);

	entry->next = *head;
	pg_write_barrier();
	*(volatile KeySlot *) head = slot;
}

static void
unlink_entry(KeyTable *table, KeySlot slot)
{
	KeyEntry   *entry = keyslot_entry(table, slot);
	KeySlot    *link = bucket_head(table, entry->hash);

	while (*link != slot)
		link = &keyslot_entry(table, *link)->next;
	*(volatile KeySlot *) link = entry->next;
}

bool
keytable_lock(const KeyTable *table, KeySlot slot, SipHash hash, uint32 *word)
{
	*word = keyslot_lock(table, slot);
	if (likely((*word & KEY_LIVE) && same_hash(keyslot_entry(table, slot)->hash, hash)))
		return true;
	keyslot_unlock(table, slot, *word);
	return false;
}

/* ---- extra storage ---- */

int64 *
keytable_cell(const KeyTable *table, KeySlot first_extent, int i)
{
	KeySlot		slot = first_extent;
	KeyEntry   *entry;

	for (; i >= KEY_CELLS; i -= KEY_CELLS)
		slot = keyslot_entry(table, slot)->next;
	entry = keyslot_entry(table, slot);

	/* Two numbers where a key has its hash, four in the states, seven in the detail. */
	if (i < 2)
		return (int64 *) &entry->hash + i;
	if (i < 6)
		return (int64 *) entry->state + (i - 2);
	return (int64 *) keyslot_detail(table, slot) + (i - 6);
}

StaticAssertDecl(KEY_CELLS == (sizeof(SipHash) + 2 * sizeof(KeyState) + sizeof(KeyDetail)) / 8,
				 "keytable_cell() knows the layout");

int
keytable_extents(const KeyTable *table, KeySlot slot)
{
	KeySlot		extent;
	int			n = 0;

	if (!(pg_atomic_read_u32(&keyslot_entry(table, slot)->word) & KEY_EXTENDED))
		return 0;
	for (extent = keyslot_detail(table, slot)->extra; extent != 0;
		 extent = keyslot_entry(table, extent)->next)
		n++;
	return n;
}

void
keytable_free_extents(KeyTable *table, KeySlot first_extent)
{
	for (KeySlot extent = first_extent; extent != 0;)
	{
		KeySlot		next = keyslot_entry(table, extent)->next;

		/* Somebody may look at it, and would put back what it was. */
		(void) keyslot_lock(table, extent);
		keyslot_unlock(table, extent, 0);
		keyqueue_free(table, extent);
		extent = next;
	}
}

bool
keytable_reserve(KeyTable *table, int n, int64 now_us)
{
	int			freed = 0;		/* slots that become free with the entries they extend */

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	table->n_reserved = 0;
	while (table->n_reserved + freed < n)
	{
		int			i = table->n_reserved;

		if (i == KEY_RESERVE_MAX ||
			(table->reserved[i] = keyqueue_claim(table, now_us, &table->reserved_load[i])) == 0)
		{
			keytable_unreserve(table);
			return false;
		}
		if (table->reserved_load[i] >= 0)
			freed += keytable_extents(table, table->reserved[i]);
		table->n_reserved++;
	}
	return true;
}

void
keytable_unreserve(KeyTable *table)
{
	while (table->n_reserved > 0)
	{
		int			i = --table->n_reserved;

		if (table->reserved_load[i] < 0)
			keyqueue_free(table, table->reserved[i]);
		else
			keyqueue_push(table, table->reserved[i], table->reserved_load[i]);
	}
}

/* A reserved slot, or one from the free list, or that of the least loaded entry; in no queue any more. */
static KeySlot
next_slot(KeyTable *table, int64 now_us, int64 *load)
{
	if (table->n_reserved == 0)
		return keyqueue_claim(table, now_us, load);
	table->n_reserved--;
	*load = table->reserved_load[table->n_reserved];
	return table->reserved[table->n_reserved];
}

/*
 * Empties a slot for new use.  Since it was chosen, others may have hit the key
 * that is in it; one that is protected by now goes back and another is chosen.
 */
static KeySlot
claim_slot(KeyTable *table, int64 now_us)
{
	KeySlot		slot;
	int64		load;

	while ((slot = next_slot(table, now_us, &load)) != 0)
	{
		uint32		word = keyslot_lock(table, slot);
		KeySlot		extents = (word & KEY_EXTENDED) ? keyslot_detail(table, slot)->extra : 0;
		int64		until_us;

		if (word & KEY_LIVE)
			load = table->load(table, slot, now_us, &until_us);
		if (load == KEY_PROTECTED)
		{
			keyslot_unlock(table, slot, word);
			keyqueue_push(table, slot, load);
			continue;
		}
		keyslot_unlock(table, slot, 0);
		if (word & KEY_LIVE)
		{
			unlink_entry(table, slot);
			keytable_free_extents(table, extents);
			if (load > 0)
				table->header->evicted_live++;
			else
				table->header->evicted_drained++;
		}
		return slot;
	}
	return 0;
}

KeySlot
keytable_claim_extents(KeyTable *table, KeySlot owner, int n, int64 now_us)
{
	KeySlot		first = 0;

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	for (; n > 0; n--)
	{
		KeySlot		extent = claim_slot(table, now_us);

		if (extent == 0)
		{
			keytable_free_extents(table, first);
			return 0;
		}
		(void) keyslot_lock(table, extent);
		keyslot_entry(table, extent)->tag = owner;
		keyslot_entry(table, extent)->next = first;
		keyslot_unlock(table, extent, KEY_EXTENT);
		first = extent;
	}
	return first;
}

/* The new entry is live, unlocked, all zero, and counts as lightly loaded. */
KeySlot
keytable_insert(KeyTable *table, SipHash hash, int64 now_us)
{
	KeySlot		slot;
	KeyEntry   *entry;

	Assert(LWLockHeldByMeInMode(table->lock, LW_EXCLUSIVE));
	slot = claim_slot(table, now_us);
	if (slot == 0)
		return 0;
	entry = keyslot_entry(table, slot);
	(void) keyslot_lock(table, slot);
	entry->hash = hash;
	memset(entry->state, 0, sizeof(entry->state));
	entry->tag = 0;
	memset(keyslot_detail(table, slot), 0, sizeof(KeyDetail));
	link_entry(table, slot);
	keyslot_unlock(table, slot, KEY_LIVE);
	keyqueue_push(table, slot, 1);
	return slot;
}

void
keytable_keep(KeyTable *table, KeySlot slot)
{
	Assert(table->n_kept < KEY_COMMIT_MAX);
	table->kept[table->n_kept++] = slot;
}

void
keytable_keep_none(KeyTable *table)
{
	table->n_kept = 0;
}

void
keytable_released(const KeyTable *table)
{
	pg_atomic_write_u64(&table->header->all_protected_until, 0);
}

void
keytable_count_refused(KeyTable *table)
{
	table->header->refused++;
}

/* ---- one step over several entries ---- */

/* keep_locked: KEY_LOCKED or 0 */
static void
apply_change(const KeyTable *table, const KeyChange *change, uint32 keep_locked)
{
	KeyDetail  *detail = keyslot_detail(table, change->slot);

	keyslot_entry(table, change->slot)->tag = change->tag;
	if (change->new_detail)
	{
		detail->room64[1] = change->room64;
		detail->room32 = change->room32;
		detail->extra = change->extra;
	}
	pg_write_barrier();
	pg_atomic_write_u32(&keyslot_entry(table, change->slot)->word, change->word | keep_locked);
}

static KeyJournal *
lock_journal(const KeyTable *table)
{
	KeyJournal *journal =
		&table->header->journals[compat_backend_number() % KEY_JOURNALS];
	SpinDelayStatus delay;

	init_local_spin_delay(&delay);
	while (pg_atomic_exchange_u32(&journal->locked, 1) != 0)
		perform_spin_delay(&delay);
	finish_spin_delay(&delay);
	return journal;
}

void
keytable_commit(const KeyTable *table, const KeyChange *changes, int n)
{
	KeyJournal *journal;

	fault_point("keytable_before_commit");
	if (n == 1 && !changes[0].new_detail)
	{
		apply_change(table, &changes[0], 0);
		return;
	}
	journal = lock_journal(table);
	memcpy(journal->changes, changes, n * sizeof(KeyChange));
	pg_write_barrier();
	*(volatile uint32 *) &journal->n = n;
	pg_write_barrier();
	for (int i = 0; i < n; i++)
	{
		apply_change(table, &changes[i], KEY_LOCKED);
		fault_point("keytable_amid_commit");
	}
	pg_write_barrier();
	*(volatile uint32 *) &journal->n = 0;
	pg_write_barrier();
	pg_atomic_write_u32(&journal->locked, 0);

	/* Only now: had others been let in before, a replay would undo what they did. */
	for (int i = 0; i < n; i++)
		keyslot_unlock(table, changes[i].slot, changes[i].word);
}

/* ---- start-up ---- */

void
keytable_format(KeyTable *table)
{
	for (KeySlot slot = 1; slot <= table->capacity; slot++)
		pg_atomic_init_u32(&keyslot_entry(table, slot)->word, 0);
	for (int i = 0; i < KEY_JOURNALS; i++)
	{
		table->header->journals[i].n = 0;
		pg_atomic_init_u32(&table->header->journals[i].locked, 0);
	}
	keyqueue_format(table);
}

static void
replay_journals(KeyTable *table)
{
	for (int i = 0; i < KEY_JOURNALS; i++)
	{
		KeyJournal *journal = &table->header->journals[i];

		if (journal->n <= KEY_COMMIT_MAX)
			for (int j = 0; j < journal->n; j++)
				if (journal->changes[j].slot >= 1 && journal->changes[j].slot <= table->capacity)
					apply_change(table, &journal->changes[j], 0);
		journal->n = 0;
		pg_atomic_init_u32(&journal->locked, 0);
	}
}

/* Whether the chain of extra slots that the entry names can be followed, and is its own. */
static bool
extents_are_sound(KeyTable *table, KeySlot owner)
{
	KeySlot		slot = keyslot_detail(table, owner)->extra;

	for (int n = 0; slot != 0; n++)
	{
		KeyEntry   *extent;

		if (slot > table->capacity || n > KEY_COMMIT_MAX)
			return false;
		extent = keyslot_entry(table, slot);
		if (!(pg_atomic_read_u32(&extent->word) & KEY_EXTENT) || extent->tag != owner)
			return false;
		slot = extent->next;
	}
	return true;
}

static bool
entry_is_sound(KeyTable *table, KeySlot slot, uint32 word,
			   bool (*valid) (const KeyTable *table, KeySlot slot))
{
	if ((word & KEY_EXTENDED) && !extents_are_sound(table, slot))
		return false;
	return keytable_find_locked(table, keyslot_entry(table, slot)->hash) == 0 &&
		valid(table, slot);
}

/* Whether an extra slot belongs to an entry that was kept. */
static bool
extent_is_owned(KeyTable *table, KeySlot slot)
{
	KeySlot		owner = keyslot_entry(table, slot)->tag;
	KeySlot		extent;

	uint32		word;

	if (owner < 1 || owner > table->capacity)
		return false;

	/* Only a live entry was looked at by entry_is_sound(), so only its chain can be followed. */
	word = pg_atomic_read_u32(&keyslot_entry(table, owner)->word);
	if (!(word & KEY_LIVE) || !(word & KEY_EXTENDED))
		return false;
	for (extent = keyslot_detail(table, owner)->extra; extent != 0;
		 extent = keyslot_entry(table, extent)->next)
		if (extent == slot)
			return true;
	return false;
}

static uint32
keep_sound_entries(KeyTable *table, bool (*valid) (const KeyTable *table, KeySlot slot))
{
	uint32		dropped = 0;

	for (KeySlot slot = 1; slot <= table->capacity; slot++)
	{
		KeyEntry   *entry = keyslot_entry(table, slot);
		uint32		word = pg_atomic_read_u32(&entry->word) & ~KEY_LOCKED;

		pg_atomic_write_u32(&entry->word, word);
		if (!(word & KEY_LIVE))
			continue;
		if (entry->tag != 0 && entry_is_sound(table, slot, word, valid))
		{
			link_entry(table, slot);
			continue;
		}

		/* Without a tag it was made for a call that was killed before it counted. */
		if (entry->tag != 0)
			dropped++;
		pg_atomic_write_u32(&entry->word, 0);
	}
	return dropped;
}

static void
queue_all_slots(KeyTable *table, int64 now_us)
{
	int64		until_us;

	for (KeySlot slot = 1; slot <= table->capacity; slot++)
	{
		uint32		word = pg_atomic_read_u32(&keyslot_entry(table, slot)->word);

		if (word & KEY_LIVE)
			keyqueue_push(table, slot, table->load(table, slot, now_us, &until_us));
		else if (!(word & KEY_EXTENT) || !extent_is_owned(table, slot))
		{
			pg_atomic_write_u32(&keyslot_entry(table, slot)->word, 0);
			keyqueue_free(table, slot);
		}
	}
}

uint32
keytable_recover(KeyTable *table, int64 now_us,
				 bool (*valid) (const KeyTable *table, KeySlot slot))
{
	uint32		dropped;

	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	replay_journals(table);
	memset(table->heads, 0, table->buckets * sizeof(KeySlot));
	keyqueue_reset(table);
	dropped = keep_sound_entries(table, valid);
	queue_all_slots(table, now_us);
	LWLockRelease(table->lock);
	return dropped;
}

/* There is room: nothing is evicted for it. */
static void
copy_entry(KeyTable *to, const KeyTable *from, KeySlot source, int extents, int64 now_us)
{
	KeyEntry   *entry = keyslot_entry(from, source);
	uint32		word = pg_atomic_read_u32(&entry->word);
	KeySlot		slot = keytable_insert(to, entry->hash, now_us);
	KeySlot		first = keytable_claim_extents(to, slot, extents, now_us);

	for (int i = 0; i < extents * KEY_CELLS; i++)
		*keytable_cell(to, first, i) =
			*keytable_cell(from, keyslot_detail(from, source)->extra, i);
	memcpy(keyslot_entry(to, slot)->state, entry->state, sizeof(entry->state));
	keyslot_entry(to, slot)->tag = entry->tag;
	*keyslot_detail(to, slot) = *keyslot_detail(from, source);
	if (extents > 0)
		keyslot_detail(to, slot)->extra = first;
	keyslot_unlock(to, slot, word);
}

typedef struct LoadedSlot
{
	KeySlot		slot;
	int64		load;
} LoadedSlot;

static int
compare_loads(const void *a, const void *b)
{
	int64		x = ((const LoadedSlot *) a)->load;
	int64		y = ((const LoadedSlot *) b)->load;

	return x > y ? -1 : x < y;
}

void
keytable_copy(KeyTable *to, const KeyTable *from, int64 now_us)
{
	LoadedSlot *live = palloc_extended(from->capacity * sizeof(LoadedSlot), MCXT_ALLOC_HUGE);
	uint32		n = 0;
	int64		until_us;

	for (KeySlot slot = 1; slot <= from->capacity; slot++)
	{
		if (!(pg_atomic_read_u32(&keyslot_entry(from, slot)->word) & KEY_LIVE))
			continue;
		live[n].slot = slot;
		live[n++].load = from->load(from, slot, now_us, &until_us);
	}
	qsort(live, n, sizeof(LoadedSlot), compare_loads);

	LWLockAcquire(to->lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < n; i++)
	{
		int			extents = keytable_extents(from, live[i].slot);

		if (to->header->free_slots > extents)
			copy_entry(to, from, live[i].slot, extents, now_us);
		else if (live[i].load > 0)
			to->header->evicted_live++;
		else
			to->header->evicted_drained++;
	}
	LWLockRelease(to->lock);
	pfree(live);
}

void
keytable_usage(const KeyTable *table, KeyTableUsage *usage)
{
	LWLockAcquire(table->lock, LW_SHARED);
	usage->capacity = table->capacity;
	usage->used = table->capacity - table->header->free_slots;
	usage->evicted_drained = table->header->evicted_drained;
	usage->evicted_live = table->header->evicted_live;
	usage->refused = table->header->refused;
	LWLockRelease(table->lock);
}
