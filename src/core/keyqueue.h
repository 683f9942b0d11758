/*
 * keyqueue.h
 *		Which entry of a full keytable makes room.  Private to keytable.c.
 *
 * Every entry stands in one queue, chosen by how loaded it was when it was last
 * looked at; see keyqueue.c.  All functions want the table lock, exclusive.
 */
#ifndef CORE_KEYQUEUE_H
#define CORE_KEYQUEUE_H

#include "core/keyslot.h"

extern void keyqueue_format(KeyTable *table);
extern void keyqueue_reset(KeyTable *table);
extern void keyqueue_push(KeyTable *table, KeySlot slot, int64 load);
extern void keyqueue_free(KeyTable *table, KeySlot slot);

/*
 * A slot in no queue any more, free or to be evicted, but none that is kept; 0
 * when all are protected.  *load is what an entry in it holds, -1 when it was free.
 */
extern KeySlot keyqueue_claim(KeyTable *table, int64 now_us, int64 *load);

#endif							/* CORE_KEYQUEUE_H */
