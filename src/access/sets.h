/*
 * sets.h
 *		What the caller may see of a relation, for the statement that is running.
 *
 * A few objects are looked up one by one in the table of assignments; when more
 * are asked for, all of the caller's objects are fetched once.
 */
#ifndef ACCESS_SETS_H
#define ACCESS_SETS_H

#include "access/relations.h"
#include "utils/array.h"

typedef struct AccessSet AccessSet;

/* What a call site keeps from one call to the next; zeroed at first. */
typedef struct AccessSite
{
	AccessSet  *set;
	uint64		serial;			/* of the set when it was found */
	uint64		epoch;			/* relations_epoch() at that time */
	int			name_length;
	char		name[NAMEDATALEN];	/* of the relation */
} AccessSite;

extern void sets_init(void);

/* The set for who asks now, about the data that the current statement sees. */
extern AccessSet *access_set(AccessSite *site, const char *name, int name_length);

extern AccessRelation *access_set_relation(const AccessSet *set);

/* Whether the key, of the relation's kind of objects, is one of the caller's. */
extern bool access_set_has(AccessSet *set, Datum key);

/* All of them in order, each once, in the current memory context. */
extern ArrayType *access_set_array(AccessSet *set);

#endif							/* ACCESS_SETS_H */
