/*
 * keybag.h
 *		The keys of many objects of one kind: collected once, then asked for one, or
 *		handed out as an array.
 */
#ifndef ACCESS_KEYBAG_H
#define ACCESS_KEYBAG_H

#include "utils/array.h"

typedef enum KeyKind
{
	KEY_UUID,
	KEY_BIGINT,					/* smallint and integer columns, too */
	KEY_TEXT					/* compared byte by byte */
} KeyKind;

typedef struct KeyBag KeyBag;

/* The type in which keys of a kind are handed over. */
extern Oid	key_kind_type(KeyKind kind);

extern const char *key_kind_name(KeyKind kind);

extern bool keys_equal(KeyKind kind, Datum a, Datum b);

/* All of it is in the context. */
extern KeyBag *keybag_create(KeyKind kind, MemoryContext context);

extern void keybag_add(KeyBag *bag, Datum key);

/* Once, after the last key; what follows is for a closed bag. */
extern void keybag_close(KeyBag *bag);

extern bool keybag_has(KeyBag *bag, Datum key);

/* In order, each once, in the current memory context. */
extern ArrayType *keybag_array(const KeyBag *bag);

#endif							/* ACCESS_KEYBAG_H */
