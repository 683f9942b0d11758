/*
 * keyqueue.h
 *		Which entry of a full keytable makes room.  Private to keytable.c.
 *
 * Every entry stands in one queue, chosen by how loaded it was when it was last
 * looked at; see keyqueue.c.  All functions want the table lock, exclusive.
 */
#ifndef CORE_KEYQUEUE_H
#define CORE_KEYQUEUE_H

#include "core/keytable.h"

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
struct KeyTableHeader
{
	KeyJournal	journals[KEY_JOURNALS];
	KeyQueue	queues[KEY_CLASSES];
	KeyQueue	free;
	uint32		free_slots;
	uint32		sweep_class;	/* where the sweep goes on */
	uint64		evicted_drained;
	uint64		evicted_live;
	uint64		refused;
};

extern void keyqueue_format(KeyTable *table);
extern void keyqueue_reset(KeyTable *table);
extern void keyqueue_push(KeyTable *table, KeySlot slot, int64 load);
extern void keyqueue_free(KeyTable *table, KeySlot slot);

/* A slot in no queue any more, free or to be evicted, but not "keep"; 0 when all are protected. */
extern KeySlot keyqueue_claim(KeyTable *table, KeySlot keep, int64 now_us);

#endif							/* CORE_KEYQUEUE_H */
