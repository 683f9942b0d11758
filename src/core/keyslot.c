/*
 * keyslot.c
 *		See keyslot.h.  The lock is taken as a buffer header's is.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/keyslot.h"
#include "storage/s_lock.h"

uint32
keyslot_lock(const KeyTable *table, KeySlot slot)
{
	pg_atomic_uint32 *word = &keyslot_entry(table, slot)->word;
	uint32		old = pg_atomic_fetch_or_u32(word, KEY_LOCKED);

	if (unlikely(old & KEY_LOCKED))
	{
		SpinDelayStatus delay;

		init_local_spin_delay(&delay);
		do
		{
			perform_spin_delay(&delay);
			old = pg_atomic_fetch_or_u32(word, KEY_LOCKED);
		} while (old & KEY_LOCKED);
		finish_spin_delay(&delay);
	}
	return old;
}

void
keyslot_unlock(const KeyTable *table, KeySlot slot, uint32 word)
{
	Assert((word & KEY_LOCKED) == 0);
	pg_write_barrier();
	pg_atomic_write_u32(&keyslot_entry(table, slot)->word, word);
}
