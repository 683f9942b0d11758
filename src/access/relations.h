/*
 * relations.h
 *		Who may see what: named relations between a subject (the caller) and
 *		objects, kept in a table of the application, as pattyly.relations tells.
 *
 * Pointers to relations are good until the end of the transaction, or until
 * relations_epoch() gives another number, whichever comes first is safe to use.
 */
#ifndef ACCESS_RELATIONS_H
#define ACCESS_RELATIONS_H

#include "access/keybag.h"
#include "access/ownerquery.h"

typedef struct AccessRelation
{
	char		name[NAMEDATALEN];
	Oid			assignments;
	Oid			owner;			/* whose rights the queries have */
	AttrNumber	subject_column;
	KeyKind		subject_kind;
	KeyKind		object_kind;
	bool		include_self;
	bool		is_unsteady;	/* see condition_is_unsteady() */
	int			lookups_at_first;	/* of sets.c; 0: not known yet */
	OwnerQuery	probe;			/* subject, object: a row when assigned */
	OwnerQuery	fetch;			/* subject: the objects */
	struct AccessRelation *next;
	MemoryContext context;
} AccessRelation;

extern void relations_init(void);

/* Grows whenever what was found before may be another now, and with every transaction. */
extern uint64 relations_epoch(void);

/* The relation of that name, ready to be read, or the error that says why it cannot be. */
extern AccessRelation *relation_get(const char *name, int length);

/* The same, but NULL when there is no such relation: for the planner, which does not complain of that. */
extern AccessRelation *relation_find(const char *name, int length);

#endif							/* ACCESS_RELATIONS_H */
