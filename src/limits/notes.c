/*
 * notes.c
 *		See notes.h.  Locking: the table lock of the key table.
 */
#include "postgres.h"

#include "core/compat.h"
#include "limits/notes.h"
#include "mb/pg_wchar.h"

void
limit_note_set(SipHash hash, const char *reason)
{
	LimitNote  *note = NULL;
	int			length = reason == NULL ? 0 :
		pg_mbcliplen(reason, strlen(reason), LIMIT_REASON_SIZE - 1);

	LWLockAcquire(limit_store.keys.lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < limit_store.n_notes; i++)
	{
		LimitNote  *other = &limit_store.notes[i];

		if (other->hash.lo == hash.lo && other->hash.hi == hash.hi)
		{
			note = other;
			break;
		}
		if (note == NULL && other->hash.lo == 0 && other->hash.hi == 0)
			note = other;
	}
	if (note == NULL && reason != NULL)
		note = &limit_store.notes[hash.lo % limit_store.n_notes];
	if (note != NULL)
		memset(note, 0, sizeof(*note));
	if (reason != NULL)
	{
		note->hash = hash;
		memcpy(note->reason, reason, length);
	}
	LWLockRelease(limit_store.keys.lock);
}

char *
limit_note_of(SipHash hash)
{
	char	   *reason = NULL;
	char		copy[LIMIT_REASON_SIZE];

	LWLockAcquire(limit_store.keys.lock, LW_SHARED);
	for (uint32 i = 0; i < limit_store.n_notes && reason == NULL; i++)
		if (limit_store.notes[i].hash.lo == hash.lo && limit_store.notes[i].hash.hi == hash.hi)
		{
			strlcpy(copy, limit_store.notes[i].reason, sizeof(copy));
			reason = copy;
		}
	LWLockRelease(limit_store.keys.lock);
	return reason ? pstrdup(reason) : NULL;
}
