/*
 * ownerquery.h
 *		A SELECT that is planned once and then run, as often as need be, with the
 *		rights of a table's owner: past the row policies of his own tables, and
 *		past nothing else.
 *
 * It is what referential integrity does, without SPI: the plan depends on neither
 * the caller's role nor his search_path, and nothing is looked up for a run.
 */
#ifndef ACCESS_OWNERQUERY_H
#define ACCESS_OWNERQUERY_H

#include "nodes/plannodes.h"
#include "utils/snapshot.h"

#define OWNER_QUERY_MAX_PARAMS 2

typedef struct OwnerQuery
{
	const char *text;			/* every name qualified but those of pg_catalog */
	Oid			owner;
	Oid			table;			/* that it reads first: not another one that has its name now */
	bool		is_unsteady;	/* its result depends on settings, perhaps */
	int			n_params;
	Oid			types[OWNER_QUERY_MAX_PARAMS];

	PlannedStmt *plan;			/* NULL when to be made (again) */
	MemoryContext context;		/* of the plan */
	struct OwnerQuery *next;	/* among those with a plan */
} OwnerQuery;

/* Gets the first column of a row; false ends the run. */
typedef bool (*OwnerQueryRow) (Datum value, bool isnull, void *arg);

extern void ownerquery_init(void);

/* Runs with the caller's snapshot, so it sees what the caller's statement sees. At most limit rows; 0 is all. */
extern void ownerquery_run(OwnerQuery *query, const Datum *params, uint64 limit,
						   OwnerQueryRow row, void *arg);

/* What the planner thinks that a run costs. */
extern Cost ownerquery_cost(OwnerQuery *query);

/* Forgets the plan, which stays in memory until no query runs: it may be one of them. */
extern void ownerquery_forget(OwnerQuery *query);

#endif							/* ACCESS_OWNERQUERY_H */
