/*
 * keytable.h
 *		A bounded map from 128-bit key hashes to small states, shared by all
 *		backends, fixed in size when the server starts.
 *
 * It knows nothing of what the states mean: the room that owns a table tells it
 * how loaded an entry is (KeyLoad), and when the table is full the least loaded
 * entry makes room, never a protected one.  The memory is the owner's, usually
 * a mapped state file, so it holds numbers only and survives the process.
 *
 * Locking is described in keytable.c.
 */
#ifndef CORE_KEYTABLE_H
#define CORE_KEYTABLE_H

#include "core/siphash.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#define KEY_LABEL_SIZE		24
#define KEY_CELLS			13	/* numbers in one extra slot */
#define KEY_COMMIT_MAX		16	/* entries that change in one step */

/* KeyEntry.word: the lock, what the slot is, and 24 bits that are the owner's. */
#define KEY_LOCKED			((uint32) 1 << 31)
#define KEY_SECOND			((uint32) 1 << 30)	/* state[1] is the true one */
#define KEY_LIVE			((uint32) 1 << 29)	/* holds a key */
#define KEY_EXTENT			((uint32) 1 << 28)	/* extra storage of another slot */
#define KEY_EXTENDED		((uint32) 1 << 27)	/* KeyDetail.extra is the first extra slot */
#define KEY_OWNER_BITS		((uint32) 0x00ffffff)

/* What a load function answers for an entry that must stay. */
#define KEY_PROTECTED		PG_INT64_MAX

typedef uint32 KeySlot;			/* 1 .. capacity; 0 is none */

typedef struct KeyState
{
	int64		a;
	int64		b;
} KeyState;

/* What a check touches: one cache line. */
typedef struct KeyEntry
{
	SipHash		hash;			/* entry lock to write; read without, then verified */
	KeyState	state[2];		/* entry lock; the copy not in use is written first */
	KeySlot		next;			/* table lock; chain of the bucket, or of extra slots */
	KeySlot		queue_next;		/* table lock; eviction queue or free list */
	uint32		tag;			/* entry lock; the owner's fingerprint of the detail */
	pg_atomic_uint32 word;		/* the entry lock itself, see KEY_LOCKED */
} KeyEntry;

/* What is needed more rarely.  All of it: entry lock. */
typedef struct KeyDetail
{
	uint64		owner;			/* to whom the key belongs, for scans */
	int64		room64[2];
	uint32		room32;
	uint32		extra;			/* first extra slot when KEY_EXTENDED, else the room's */
	char		label[KEY_LABEL_SIZE];
} KeyDetail;

StaticAssertDecl(sizeof(KeyEntry) == 64, "a KeyEntry is one cache line");
StaticAssertDecl(sizeof(KeyDetail) == 56, "the layout of a state file is fixed");

typedef struct KeyTableHeader KeyTableHeader;
typedef struct KeyTable KeyTable;

/* Units an entry holds at that time, or KEY_PROTECTED.  Called with the entry locked. */
typedef int64 (*KeyLoad) (const KeyTable *table, KeySlot slot, int64 now_us);

/* A process's view of a table. */
struct KeyTable
{
	KeyTableHeader *header;
	KeySlot    *heads;
	KeyEntry   *entries;		/* [slot - 1] */
	KeyDetail  *details;		/* [slot - 1] */
	uint32		capacity;
	uint32		buckets;
	LWLock	   *lock;			/* the table lock */
	KeyLoad		load;
};

/* One entry of a step: its new state stands in the copy not in use already. */
typedef struct KeyChange
{
	KeySlot		slot;
	uint32		word;			/* as it will be, without KEY_LOCKED */
	uint32		tag;
	bool		new_detail;		/* room64[1], room32 and extra change as well */
	int64		room64;
	uint32		room32;
	uint32		extra;
} KeyChange;

typedef struct KeyTableUsage
{
	uint32		capacity;
	uint32		used;			/* slots that hold a key or extra storage */
	uint64		evicted_drained;
	uint64		evicted_live;
	uint64		refused;		/* fresh keys that found nothing to evict */
} KeyTableUsage;

extern Size keytable_size(uint32 capacity);
extern void keytable_attach(KeyTable *table, void *memory, uint32 capacity, LWLock *lock,
							KeyLoad load);

/* Makes an empty table of memory that is all zero. */
extern void keytable_format(KeyTable *table);

/*
 * Start-up only.  Finishes or forgets what a killed process left half done,
 * drops the entries that "valid" rejects, and rebuilds every chain and queue.
 * Returns the number of entries dropped.
 */
extern uint32 keytable_recover(KeyTable *table, int64 now_us,
							   bool (*valid) (const KeyTable *table, KeySlot slot));

/* Start-up only.  Carries the entries of a recovered table over, the least loaded last to stay. */
extern uint32 keytable_copy(KeyTable *to, const KeyTable *from, int64 now_us);

/* Looks without any lock: 0 is "maybe not", anything else must be verified with keytable_lock(). */
extern KeySlot keytable_find(const KeyTable *table, SipHash hash);

/* Table lock held, shared for find and exclusive for the rest. */
extern KeySlot keytable_find_locked(const KeyTable *table, SipHash hash);
extern KeySlot keytable_insert(KeyTable *table, SipHash hash, int64 now_us);

/*
 * Extra slots for an entry: a chain that belongs to nobody until a KeyChange of
 * the entry names its first; 0 when there is no room.  The chain that the entry
 * had before is then to be freed.  keytable_extents() counts those it has.
 */
extern KeySlot keytable_claim_extents(KeyTable *table, KeySlot owner, int n, int64 now_us);
extern void keytable_free_extents(KeyTable *table, KeySlot first_extent);
extern int	keytable_extents(const KeyTable *table, KeySlot slot);

/* The i-th number of an entry's extra storage. */
extern int64 *keytable_cell(const KeyTable *table, KeySlot first_extent, int i);

/*
 * Locks an entry and says whether it (still) holds that key; when not, it is
 * not locked.  Hold it for arithmetic only: no error, no allocation, no LWLock.
 */
extern bool keytable_lock(const KeyTable *table, KeySlot slot, SipHash hash, uint32 *word);

/* Locks whatever is in the slot; for scans. */
extern uint32 keytable_lock_slot(const KeyTable *table, KeySlot slot);

/* Unlocks and, in the same store, makes word the entry's. */
extern void keytable_unlock(const KeyTable *table, KeySlot slot, uint32 word);

/* Applies changes to locked entries and unlocks them: all, even if killed half-way, or none. */
extern void keytable_commit(const KeyTable *table, const KeyChange *changes, int n);

extern void keytable_usage(const KeyTable *table, KeyTableUsage *usage);

static inline KeyEntry *
keytable_entry(const KeyTable *table, KeySlot slot)
{
	return &table->entries[slot - 1];
}

static inline KeyDetail *
keytable_detail(const KeyTable *table, KeySlot slot)
{
	return &table->details[slot - 1];
}

static inline KeyState *
keytable_state(const KeyTable *table, KeySlot slot, uint32 word)
{
	return &table->entries[slot - 1].state[(word & KEY_SECOND) != 0];
}

static inline KeyState *
keytable_spare_state(const KeyTable *table, KeySlot slot, uint32 word)
{
	return &table->entries[slot - 1].state[(word & KEY_SECOND) == 0];
}

#endif							/* CORE_KEYTABLE_H */
