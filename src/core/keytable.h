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

#include "core/keyslot.h"

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

/* Start-up only.  Carries the entries of a recovered table over to an empty one, the most loaded first. */
extern void keytable_copy(KeyTable *to, const KeyTable *from, int64 now_us);

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

/*
 * Claims n slots ahead, which the inserts and extents that follow take, or none.
 * keytable_unreserve() gives back what they left.
 */
extern bool keytable_reserve(KeyTable *table, int n, int64 now_us);
extern void keytable_unreserve(KeyTable *table);

/* Until keytable_keep_none(), the slot makes no room for others that this process makes. */
extern void keytable_keep(KeyTable *table, KeySlot slot);
extern void keytable_keep_none(KeyTable *table);

/* A protected entry may have become less so before its time: look again when room is needed. */
extern void keytable_released(const KeyTable *table);

/* Counts a key that found no room; table lock held. */
extern void keytable_count_refused(KeyTable *table);

/* The i-th number of an entry's extra storage. */
extern int64 *keytable_cell(const KeyTable *table, KeySlot first_extent, int i);

/*
 * Locks an entry and says whether it (still) holds that key; when not, it is
 * not locked.  Hold it for arithmetic only: no error, no allocation, no LWLock.
 */
extern bool keytable_lock(const KeyTable *table, KeySlot slot, SipHash hash, uint32 *word);

/* Applies changes to locked entries and unlocks them: all, even if killed half-way, or none. */
extern void keytable_commit(const KeyTable *table, const KeyChange *changes, int n);

extern void keytable_usage(const KeyTable *table, KeyTableUsage *usage);

#endif							/* CORE_KEYTABLE_H */
