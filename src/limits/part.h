/*
 * part.h
 *		One limit of a call and its entry in the key table: finding, locking,
 *		reading and writing it.  Private to check.c.
 */
#ifndef LIMITS_PART_H
#define LIMITS_PART_H

#include "limits/check.h"

/* One limit of a call. */
typedef struct Part
{
	const LimitRule *rule;
	LimitResult *result;
	SipHash		hash;
	KeySlot		slot;			/* 0: the key is not known and is not made */
	uint32		locked_word;	/* as it was when locked */
	uint32		word;			/* as it will be, but for the state in use */
	bool		changed;

	/*
	 * The entry was ahead of the clock, or counted under an older rule, and must
	 * be written even if refused: it would stay ahead, or drain at the old rate.
	 */
	bool		settled_anew;
	bool		makes_key;		/* when the key is not known */
	bool		deferred;		/* no room for the storage that a changed rule wants */
	LimitSpec	spec;			/* what counts: the rule's, or the entry's own while that is put off */
	uint32		tag;			/* of spec */
	bool		converted;		/* the rule is not the one the entry was counted under */
	bool		passes;			/* under this limit alone */
	int64		blocked_until_us;	/* 0: not blocked */
	int64		remaining;
	LimitUse	use;
	LimitLog   *log;
	KeyChange	change;
} Part;

/* Of all parts, or the call must go by parts_make_and_lock(). */
extern bool parts_find(Part **parts, int n);

/* Locks all or none; false when an entry went or wants other storage. */
extern bool parts_lock(Part **parts, int n);

/*
 * The same under the table lock (exclusive), which keeps others from evicting
 * what we make; false when the table has no room.  A part whose key is not known
 * and not to be made has slot 0.
 */
extern bool parts_make_and_lock(Part **parts, int n, const LimitKey *key, int64 now_us);

/*
 * Whether a locked entry is, or may be, as no call before now_us can have left it;
 * see limit_is_ahead().
 */
extern bool part_may_be_ahead(const Part *part, int64 now_us);

/* Reads a locked entry, under the rule as it is now and at that time. */
extern void part_load(Part *part, const LimitKey *key, int64 now_us);

/* Writes the new state beside the old one and fills part->change, to be committed. */
extern void part_store(Part *part, KeySlot extents);

#endif							/* LIMITS_PART_H */
