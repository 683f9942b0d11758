/*
 * keyqueue.c
 *		See keyqueue.h.
 *
 * A hit does not touch the queues: that would put a global lock on the hot path.
 * So an entry may hold more or less than its queue says, and the truth is asked
 * for (KeyLoad) when it comes to the head.  Holding more, it moves up, which a
 * hit since then has paid for; holding less, it moves down.  Because drained
 * entries may wait in upper queues, every claim of a live entry first sweeps a
 * few heads of the others.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/fault.h"
#include "core/keyqueue.h"
#include "port/pg_bitutils.h"

#define SWEEP_HEADS		16		/* heads looked at before a live entry is evicted */
#define CLAIM_HEADS		65536	/* heads looked at, at most, for the least loaded */

/* all_protected_until while somebody looks: another value at the end says that a key was released meanwhile. */
#define LOOKING			1

static int
load_class(int64 load)
{
	int			octave;

	if (load == KEY_PROTECTED)
		return KEY_CLASS_PROTECTED;
	if (load < KEY_EXACT_CLASSES)
		return (int) Max(load, 0);
	octave = pg_leftmost_one_pos64(load);
	return Min(KEY_EXACT_CLASSES + (octave - 6) * KEY_OCTAVE_CLASSES +
			   (int) ((load >> (octave - 3)) & (KEY_OCTAVE_CLASSES - 1)),
			   KEY_CLASS_PROTECTED - 1);
}

static void
queue_append(KeyTable *table, KeyQueue *queue, KeySlot slot)
{
	keyslot_entry(table, slot)->queue_next = 0;
	if (queue->first == 0)
		queue->first = slot;
	else
		keyslot_entry(table, queue->last)->queue_next = slot;
	queue->last = slot;
}

static KeySlot
queue_pop(KeyTable *table, KeyQueue *queue)
{
	KeySlot		slot = queue->first;

	if (slot != 0)
		queue->first = keyslot_entry(table, slot)->queue_next;
	return slot;
}

void
keyqueue_reset(KeyTable *table)
{
	memset(table->header->queues, 0, sizeof(table->header->queues));
	memset(&table->header->free, 0, sizeof(KeyQueue));
	table->header->free_slots = 0;
	table->header->sweep_class = 0;
	pg_atomic_write_u64(&table->header->all_protected_until, 0);
}

void
keyqueue_format(KeyTable *table)
{
	keyqueue_reset(table);
	for (KeySlot slot = 1; slot <= table->capacity; slot++)
		keyqueue_free(table, slot);
}

void
keyqueue_push(KeyTable *table, KeySlot slot, int64 load)
{
	queue_append(table, &table->header->queues[load_class(load)], slot);
}

void
keyqueue_free(KeyTable *table, KeySlot slot)
{
	queue_append(table, &table->header->free, slot);
	table->header->free_slots++;
}

static bool
is_kept(const KeyTable *table, KeySlot slot)
{
	for (int i = 0; i < table->n_kept; i++)
		if (table->kept[i] == slot)
			return true;
	return false;
}

/* *until_us: when a protected entry may no longer be so; a kept one counts as protected for now. */
static int64
true_load(KeyTable *table, KeySlot slot, int64 now_us, int64 *until_us)
{
	uint32		word;
	int64		load;

	*until_us = 0;
	if (is_kept(table, slot))
		return KEY_PROTECTED;
	word = keyslot_lock(table, slot);
	load = (word & KEY_LIVE) ? table->load(table, slot, now_us, until_us) : 0;
	keyslot_unlock(table, slot, word);
	return load;
}

/*
 * Looks at the heads of the queues, a few at each call, where the last one ended,
 * and puts them where they belong.  Returns a drained entry, if it met one.
 */
static KeySlot
sweep(KeyTable *table, int64 now_us)
{
	KeyQueue   *queues = table->header->queues;
	int			class = table->header->sweep_class;

	for (int looked = 0, skipped = 0; looked < SWEEP_HEADS && skipped <= KEY_CLASSES;)
	{
		KeySlot		slot;
		int64		load;
		int64		until_us;

		class = class <= 1 ? KEY_CLASS_PROTECTED : class - 1;
		slot = queue_pop(table, &queues[class]);
		if (slot == 0)
		{
			skipped++;
			continue;
		}
		skipped = 0;
		looked++;
		load = true_load(table, slot, now_us, &until_us);
		if (load == 0)
		{
			table->header->sweep_class = class;
			return slot;
		}
		keyqueue_push(table, slot, load);
	}
	table->header->sweep_class = class;
	return 0;
}

static int
lowest_class(KeyTable *table)
{
	int			class = 0;

	while (class < KEY_CLASS_PROTECTED && table->header->queues[class].first == 0)
		class++;
	return class;
}

/* The least loaded entry that may go: the first head that is no more loaded than its queue says. */
static KeySlot
least_loaded(KeyTable *table, int64 now_us, int64 *load)
{
	for (int looked = 0; looked < CLAIM_HEADS; looked++)
	{
		int			class = lowest_class(table);
		KeySlot		slot;
		int64		until_us;

		if (class == KEY_CLASS_PROTECTED)
			break;
		slot = queue_pop(table, &table->header->queues[class]);
		*load = true_load(table, slot, now_us, &until_us);
		if (load_class(*load) <= class)
			return slot;
		keyqueue_push(table, slot, *load);
	}
	return 0;
}

/*
 * Only protected entries are left as far as is known: looks whether one of them
 * no longer is.  When none is, it remembers the first moment when one may be, so
 * that a flood of refused keys does not look through the whole table each time.
 */
static KeySlot
released(KeyTable *table, int64 now_us, int64 *load)
{
	KeyQueue   *queue = &table->header->queues[KEY_CLASS_PROTECTED];
	pg_atomic_uint64 *all_protected_until = &table->header->all_protected_until;
	int64		first_us = PG_INT64_MAX;
	uint64		expected = LOOKING;

	if (now_us < (int64) pg_atomic_read_u64(all_protected_until))
		return 0;
	pg_atomic_write_u64(all_protected_until, LOOKING);
	for (uint32 looked = 0; looked < table->capacity; looked++)
	{
		KeySlot		slot = queue_pop(table, queue);
		int64		until_us;

		if (slot == 0)
			break;
		*load = true_load(table, slot, now_us, &until_us);
		if (*load != KEY_PROTECTED)
			return slot;
		first_us = Min(first_us, until_us);
		queue_append(table, queue, slot);
	}
	fault_point("keyqueue_looked");
	(void) pg_atomic_compare_exchange_u64(all_protected_until, &expected, first_us);
	return 0;
}

static KeySlot
evict(KeyTable *table, int64 now_us, int64 *load)
{
	KeySlot		slot = least_loaded(table, now_us, load);

	if (slot == 0 || *load > 0)
	{
		KeySlot		drained = sweep(table, now_us);

		if (drained != 0)
		{
			if (slot != 0)
				keyqueue_push(table, slot, *load);
			*load = 0;
			return drained;
		}
		if (slot == 0)
			slot = least_loaded(table, now_us, load);
	}
	return slot != 0 ? slot : released(table, now_us, load);
}

KeySlot
keyqueue_claim(KeyTable *table, int64 now_us, int64 *load)
{
	KeySlot		slot = queue_pop(table, &table->header->free);

	if (slot == 0)
		return evict(table, now_us, load);
	table->header->free_slots--;
	*load = -1;
	return slot;
}
