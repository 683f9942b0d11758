/*
 * keyslot.h
 *		What a keytable is made of: slots, their lock, and the shared header.
 *		For keytable.c, keyqueue.c and the room that owns a table.
 *
 * Locking is described in keytable.c.
 */
#ifndef CORE_KEYSLOT_H
#define CORE_KEYSLOT_H

#include "core/siphash.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#define KEY_LABEL_SIZE		24
#define KEY_CELLS			13	/* numbers in one extra slot */
#define KEY_COMMIT_MAX		16	/* entries that change in one step */
#define KEY_RESERVE_MAX		128	/* slots that one call may need */

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

typedef struct KeyTable KeyTable;

/*
 * Units an entry holds at that time, or KEY_PROTECTED, and then *until_us is when
 * it may no longer be.  Called with the entry locked.
 */
typedef int64 (*KeyLoad) (const KeyTable *table, KeySlot slot, int64 now_us, int64 *until_us);

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

#define KEY_JOURNALS		8
#define KEY_EXACT_CLASSES	64	/* loads 0 .. 63 have a queue each */
#define KEY_OCTAVE_CLASSES	8	/* above, so many queues for each doubling */
#define KEY_OCTAVES			27	/* up to 2^33 units */
#define KEY_CLASSES			(KEY_EXACT_CLASSES + KEY_OCTAVE_CLASSES * KEY_OCTAVES + 1)
#define KEY_CLASS_PROTECTED	(KEY_CLASSES - 1)

typedef struct KeyJournal
{
	pg_atomic_uint32 locked;
	uint32		n;				/* changes to apply; 0 when none is pending */
	KeyChange	changes[KEY_COMMIT_MAX];
} KeyJournal;

typedef struct KeyQueue
{
	KeySlot		first;
	KeySlot		last;
} KeyQueue;

/* All of it: table lock, but for the journals, which have a lock each. */
typedef struct KeyTableHeader
{
	KeyJournal	journals[KEY_JOURNALS];
	KeyQueue	queues[KEY_CLASSES];
	KeyQueue	free;
	uint32		free_slots;
	uint32		sweep_class;	/* where the sweep goes on */
	pg_atomic_uint64 all_protected_until;	/* no lock; see keyqueue.c */
	uint64		evicted_drained;
	uint64		evicted_live;
	uint64		refused;
} KeyTableHeader;

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
	int			n_reserved;		/* slots claimed ahead for a call, and what they hold */
	KeySlot		reserved[KEY_RESERVE_MAX];
	int64		reserved_load[KEY_RESERVE_MAX];
	int			n_kept;			/* slots that make no room for now, whatever they hold */
	KeySlot		kept[KEY_COMMIT_MAX];
};

static inline KeyEntry *
keyslot_entry(const KeyTable *table, KeySlot slot)
{
	return &table->entries[slot - 1];
}

static inline KeyDetail *
keyslot_detail(const KeyTable *table, KeySlot slot)
{
	return &table->details[slot - 1];
}

static inline KeyState *
keyslot_state(const KeyTable *table, KeySlot slot, uint32 word)
{
	return &table->entries[slot - 1].state[(word & KEY_SECOND) != 0];
}

static inline KeyState *
keyslot_spare_state(const KeyTable *table, KeySlot slot, uint32 word)
{
	return &table->entries[slot - 1].state[(word & KEY_SECOND) == 0];
}

/* Locks whatever is in the slot.  Hold it for arithmetic only: no error, no allocation, no LWLock. */
extern uint32 keyslot_lock(const KeyTable *table, KeySlot slot);

/* Unlocks and, in the same store, makes word the entry's. */
extern void keyslot_unlock(const KeyTable *table, KeySlot slot, uint32 word);

#endif							/* CORE_KEYSLOT_H */
