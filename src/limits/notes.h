/*
 * notes.h
 *		Why an administrator blocked a key: a few dozen texts in the state file.
 *
 * When they run out, a note whose place the key's hash chooses gives way; the
 * block itself is in the key's entry and stays.
 */
#ifndef LIMITS_NOTES_H
#define LIMITS_NOTES_H

#include "limits/store.h"

/* reason NULL takes the note away. */
extern void limit_note_set(SipHash hash, const char *reason);

/* The reason, palloc'd, or NULL. */
extern char *limit_note_of(SipHash hash);

#endif							/* LIMITS_NOTES_H */
