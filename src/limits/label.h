/*
 * label.h
 *		What an entry remembers of its key's text, for an administrator to read:
 *		24 bytes, in which a canonical uuid fits whole.
 *
 * Pure C.  The bits are those of KeyEntry.word that store.h names.
 */
#ifndef LIMITS_LABEL_H
#define LIMITS_LABEL_H

#include <stdint.h>

#define LABEL_SIZE		24
#define LABEL_TEXT_SIZE	40

#define LABEL_CUT		UINT32_C(0x20)	/* the key is longer */
#define LABEL_UUID		UINT32_C(0x40)	/* 16 binary bytes */
#define LABEL_LENGTH(bits)	(((bits) >> 8) & 0x1f)

/* Fills the label and returns its bits. */
extern uint32_t limit_label_pack(const char *key, int length, char label[LABEL_SIZE]);

/* Writes the text without closing zero and returns its length; a cut one may end inside a character. */
extern int	limit_label_unpack(const char label[LABEL_SIZE], uint32_t bits,
							   char text[LABEL_TEXT_SIZE]);

#endif							/* LIMITS_LABEL_H */
