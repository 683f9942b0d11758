/*
 * keybag.c
 *		See keybag.h.
 *
 * Keys of a fixed size stand in an array, in the order of their type, in which the
 * btree wants them.  What is asked for one by one gets a hash table on top, when
 * it is asked for the first time: an index condition needs none.
 */
#include "postgres.h"

#include "access/keybag.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/compat.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

/* So few are compared one after the other. */
#define FEW_KEYS 4

/* A uuid or a bigint as numbers in their order: the first decides. */
typedef struct FixedKey
{
	uint64		high;
	uint64		low;
} FixedKey;

typedef struct FixedEntry
{
	FixedKey	key;
	char		status;
} FixedEntry;

typedef struct TextEntry
{
	text	   *key;
	uint32		hash;
	char		status;
} TextEntry;

static inline uint32
hash_fixed(FixedKey key)
{
	uint64		mixed = (key.high ^ (key.low >> 29)) * UINT64CONST(0x9e3779b97f4a7c15) + key.low;

	return murmurhash32((uint32) (mixed ^ (mixed >> 32)));
}

static inline bool
fixed_equal(FixedKey a, FixedKey b)
{
	return a.high == b.high && a.low == b.low;
}

static inline uint32
hash_text(const text *key)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

static int
compare_texts(const text *a, const text *b)
{
	size_t		a_length = VARSIZE_ANY_EXHDR(a);
	size_t		b_length = VARSIZE_ANY_EXHDR(b);
	int			order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(a_length, b_length));

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static inline bool
texts_equal(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

#define SH_PREFIX fixedset
#define SH_ELEMENT_TYPE FixedEntry
#define SH_KEY_TYPE FixedKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_fixed(key)
#define SH_EQUAL(table, a, b) fixed_equal(a, b)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define SH_PREFIX textset
#define SH_ELEMENT_TYPE TextEntry
#define SH_KEY_TYPE text *
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_text(key)
#define SH_EQUAL(table, a, b) texts_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define ST_SORT sort_fixed
#define ST_ELEMENT_TYPE FixedKey
#define ST_COMPARE(a, b) \
	((a)->high != (b)->high ? ((a)->high > (b)->high ? 1 : -1) : \
	 ((a)->low > (b)->low) - ((a)->low < (b)->low))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

typedef text *TextPointer;

#define ST_SORT sort_texts
#define ST_ELEMENT_TYPE TextPointer
#define ST_COMPARE(a, b) compare_texts(*(a), *(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

struct KeyBag
{
	KeyKind		kind;
	MemoryContext context;
	size_t		n;
	size_t		room;
	FixedKey   *fixed;			/* of KEY_UUID and KEY_BIGINT */
	text	  **texts;			/* of KEY_TEXT */
	fixedset_hash *fixed_hash;	/* NULL: not needed yet */
	textset_hash *text_hash;
};

/* ---- kinds ---- */

Oid
key_kind_type(KeyKind kind)
{
	switch (kind)
	{
		case KEY_UUID:
			return UUIDOID;
		case KEY_BIGINT:
			return INT8OID;
		case KEY_TEXT:
			return TEXTOID;
	}
	return InvalidOid;
}

const char *
key_kind_name(KeyKind kind)
{
	return format_type_be(key_kind_type(kind));
}

static inline FixedKey
fixed_of(KeyKind kind, Datum value)
{
	FixedKey	key = {0, 0};

	if (kind == KEY_UUID)
	{
		memcpy(&key, DatumGetUUIDP(value), UUID_LEN);
		key.high = pg_ntoh64(key.high);
		key.low = pg_ntoh64(key.low);
	}
	else
		key.high = (uint64) DatumGetInt64(value) ^ (UINT64CONST(1) << 63);
	return key;
}

bool
keys_equal(KeyKind kind, Datum a, Datum b)
{
	if (kind == KEY_TEXT)
		return texts_equal((text *) DatumGetPointer(a), (text *) DatumGetPointer(b));
	return fixed_equal(fixed_of(kind, a), fixed_of(kind, b));
}

/* ---- filling ---- */

KeyBag *
keybag_create(KeyKind kind, MemoryContext context)
{
	KeyBag	   *bag = MemoryContextAllocZero(context, sizeof(KeyBag));

	bag->kind = kind;
	bag->context = context;
	bag->room = 64;
	if (kind == KEY_TEXT)
		bag->texts = MemoryContextAlloc(context, bag->room * sizeof(text *));
	else
		bag->fixed = MemoryContextAlloc(context, bag->room * sizeof(FixedKey));
	return bag;
}

static void
make_room(KeyBag *bag)
{
	if (bag->n < bag->room)
		return;
	bag->room *= 2;
	if (bag->kind == KEY_TEXT)
		bag->texts = repalloc_huge(bag->texts, bag->room * sizeof(text *));
	else
		bag->fixed = repalloc_huge(bag->fixed, bag->room * sizeof(FixedKey));
}

void
keybag_add(KeyBag *bag, Datum key)
{
	make_room(bag);
	if (bag->kind == KEY_TEXT)
	{
		text	   *value = PG_DETOAST_DATUM_PACKED(key);

		bag->texts[bag->n++] = memcpy(MemoryContextAlloc(bag->context, VARSIZE_ANY(value)), value,
									  VARSIZE_ANY(value));
	}
	else
		bag->fixed[bag->n++] = fixed_of(bag->kind, key);
}

static void
close_fixed(KeyBag *bag)
{
	size_t		kept = 0;

	sort_fixed(bag->fixed, bag->n);
	for (size_t i = 0; i < bag->n; i++)
		if (kept == 0 || !fixed_equal(bag->fixed[i], bag->fixed[kept - 1]))
			bag->fixed[kept++] = bag->fixed[i];
	bag->n = kept;
}

static void
close_texts(KeyBag *bag)
{
	size_t		kept = 0;

	sort_texts(bag->texts, bag->n);
	for (size_t i = 0; i < bag->n; i++)
		if (kept == 0 || !texts_equal(bag->texts[i], bag->texts[kept - 1]))
			bag->texts[kept++] = bag->texts[i];
	bag->n = kept;
}

void
keybag_close(KeyBag *bag)
{
	if (bag->kind == KEY_TEXT)
		close_texts(bag);
	else
		close_fixed(bag);
}

/* ---- asking ---- */

static void
make_fixed_hash(KeyBag *bag)
{
	bool		found;

	bag->fixed_hash = fixedset_create(bag->context, bag->n, NULL);
	for (size_t i = 0; i < bag->n; i++)
		fixedset_insert(bag->fixed_hash, bag->fixed[i], &found);
}

static void
make_text_hash(KeyBag *bag)
{
	bool		found;

	bag->text_hash = textset_create(bag->context, bag->n, NULL);
	for (size_t i = 0; i < bag->n; i++)
		textset_insert(bag->text_hash, bag->texts[i], &found);
}

static inline bool
has_fixed(KeyBag *bag, FixedKey key)
{
	if (bag->n <= FEW_KEYS)
	{
		for (size_t i = 0; i < bag->n; i++)
			if (fixed_equal(bag->fixed[i], key))
				return true;
		return false;
	}
	if (unlikely(bag->fixed_hash == NULL))
		make_fixed_hash(bag);
	return fixedset_lookup(bag->fixed_hash, key) != NULL;
}

bool
keybag_has(KeyBag *bag, Datum key)
{
	if (bag->kind != KEY_TEXT)
		return has_fixed(bag, fixed_of(bag->kind, key));
	if (unlikely(bag->text_hash == NULL))
		make_text_hash(bag);
	return textset_lookup(bag->text_hash, (text *) DatumGetPointer(key)) != NULL;
}

/* ---- as an array ---- */

/* An array of elements of a fixed size, to be filled in. */
static ArrayType *
empty_array(Oid type, size_t n, size_t element_size)
{
	size_t		size = ARR_OVERHEAD_NONULLS(1) + n * element_size;
	ArrayType  *array;

	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the caller has too many objects for an array: %zu", n),
				 errhint("Use has_access() instead.")));
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = type;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

static ArrayType *
uuid_array(const KeyBag *bag)
{
	ArrayType  *array = empty_array(UUIDOID, bag->n, UUID_LEN);
	FixedKey   *elements = (FixedKey *) ARR_DATA_PTR(array);

	for (size_t i = 0; i < bag->n; i++)
	{
		elements[i].high = pg_hton64(bag->fixed[i].high);
		elements[i].low = pg_hton64(bag->fixed[i].low);
	}
	return array;
}

static ArrayType *
bigint_array(const KeyBag *bag)
{
	ArrayType  *array = empty_array(INT8OID, bag->n, sizeof(int64));
	int64	   *elements = (int64 *) ARR_DATA_PTR(array);

	for (size_t i = 0; i < bag->n; i++)
		elements[i] = (int64) (bag->fixed[i].high ^ (UINT64CONST(1) << 63));
	return array;
}

static ArrayType *
text_array(const KeyBag *bag)
{
	Datum	   *elements = palloc_extended(bag->n * sizeof(Datum), MCXT_ALLOC_HUGE);

	for (size_t i = 0; i < bag->n; i++)
		elements[i] = PointerGetDatum(bag->texts[i]);
	return construct_array(elements, bag->n, TEXTOID, -1, false, TYPALIGN_INT);
}

ArrayType *
keybag_array(const KeyBag *bag)
{
	if (bag->n == 0)
		return construct_empty_array(key_kind_type(bag->kind));
	switch (bag->kind)
	{
		case KEY_UUID:
			return uuid_array(bag);
		case KEY_BIGINT:
			return bigint_array(bag);
		default:
			return text_array(bag);
	}
}
