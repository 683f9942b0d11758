/*
 * config.h
 *		A backend's own copy of a configuration table, so that the hot path reads
 *		rules without SQL.
 *
 * The table carries a trigger (pattyly.config_changed) that sends a relcache
 * invalidation; PostgreSQL delivers it to every backend when the change commits
 * and to the changing backend at its next command, and takes it back on
 * ROLLBACK.  Any room may register tables.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/relcache.h"

typedef struct ConfigTable ConfigTable;

struct ConfigTable
{
	const char *name;			/* in schema pattyly */

	/* Reads the table into the current memory context, with config_scan(). */
	void	   *(*load) (Relation table);

	void	   *data;			/* what load made; stays until the next refresh */
	uint64		generation;		/* grows with every load; 0 is never loaded */
	Oid			relid;
	bool		fresh;
	MemoryContext context;
	ConfigTable *next;
};

extern void config_register(ConfigTable *table);

/* Takes in what other backends committed.  Once per SQL call, before config_get(). */
extern void config_catch_up(void);

/* Reads the table again; for config_get(). */
extern void config_load(ConfigTable *table);

/* The copy, read again if need be.  Raises an error when the extension is not there. */
static inline void *
config_get(ConfigTable *table)
{
	if (unlikely(!table->fresh))
		config_load(table);
	return table->data;
}

/* The next config_get() reads the table again. */
static inline void
config_forget(ConfigTable *table)
{
	table->fresh = false;
}

extern void config_scan(Relation table, void (*row) (HeapTuple tuple, TupleDesc desc, void *arg),
						void *arg);

/* A column that must not be null: the error says of what it is and hints at what to write. */
extern Datum config_required(HeapTuple tuple, TupleDesc desc, int number, const char *of_what,
							 const char *hint);

#endif							/* CORE_CONFIG_H */
