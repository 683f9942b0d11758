/*
 * store.h
 *		Where the limits room keeps its counts: a keytable, statistics and block
 *		reasons, in one mapped state file.
 *
 * The rest of the room reads limit_store; who is not preloaded finds
 * limit_store.ready false and must not touch the rest.
 */
#ifndef LIMITS_STORE_H
#define LIMITS_STORE_H

#include "core/keytable.h"
#include "core/siphash.h"
#include "datatype/timestamp.h"
#include "limits/algorithms.h"
#include "port/atomics.h"

/* KeyEntry.word, the bits of the owner. */
#define ENTRY_ALGORITHM		((uint32) 0x07)
#define ENTRY_BLOCKED		((uint32) 0x08)	/* until LimitDetail.blocked_until_us */
#define ENTRY_AUTO_BLOCKED	((uint32) 0x10)	/* by block_for, not by an administrator */
/* 0x0020 to 0x1fff: the label, see label.h */

/*
 * Counters of one rule; numbers only grow.  Who counts compares the owner first:
 * when slots run out, the rule that was not used for longest loses its own.
 */
typedef struct LimitStats
{
	pg_atomic_uint64 owner;		/* table lock to change; 0 is a free slot */
	pg_atomic_uint64 allowed;
	pg_atomic_uint64 denied;
	pg_atomic_uint64 shadow_denied;
	pg_atomic_uint64 near;
	pg_atomic_uint64 blocked;
	pg_atomic_uint64 last_denied_us;
	pg_atomic_uint64 used_us;	/* when it was last claimed or counted, to the minute */
} LimitStats;

StaticAssertDecl(sizeof(LimitStats) == 64, "the layout of a state file is fixed");

#define LIMIT_REASON_SIZE 80

/* Why an administrator blocked a key.  Guarded by the table lock of the keytable. */
typedef struct LimitNote
{
	SipHash		hash;			/* of the key; all zero is a free note */
	char		reason[LIMIT_REASON_SIZE];
} LimitNote;

typedef struct LimitStore
{
	bool		ready;
	KeyTable	keys;
	LimitStats *stats;
	uint32		n_stats;
	LimitNote  *notes;
	uint32		n_notes;
	SipHash		secret;
	Size		bytes;
	uint32		restored;		/* keys found at the last start */
	TimestampTz saved_at;		/* last clean shutdown, 0 when none */
} LimitStore;

extern LimitStore limit_store;

/* _PG_init while preloading, and only then. */
extern void limit_store_init(void);

/* The counters of a rule, claimed when a backend reads the rule, and again when another rule took them. */
extern LimitStats *limit_stats_claim(uint64 owner);

/* The rule is being dropped: its counters are the first to be taken for another, unless it comes back. */
extern void limit_stats_retire(uint64 owner);

/* Keeps a rule's counters from being taken; now and then, when it counts. */
extern void limit_stats_touch(LimitStats *stats);

/* The spec an entry was last counted under; its entry is locked. */
extern void limit_entry_spec(const KeyTable *table, KeySlot slot, uint32 word, LimitSpec *spec);

/* Never 0, which an entry has that was never counted. */
extern uint32 limit_spec_tag(const LimitSpec *spec);

/* The hits of a sliding_log entry; its entry is locked. */
extern void limit_entry_log(const KeyTable *table, KeySlot slot, uint32 word, LimitLog *log);

/* Puts the hits into the extra slots from "extents" on, the entry's own or new ones. */
extern void limit_entry_store_log(const KeyTable *table, KeySlot slot, uint32 word,
								  KeySlot extents, const LimitLog *log, KeyState *spare);

/* Extra slots a key of this spec needs. */
extern int	limit_spec_extents(const LimitSpec *spec);

#endif							/* LIMITS_STORE_H */
