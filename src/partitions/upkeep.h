/*
 * upkeep.h
 *		Steps of a long procedure: each a transaction of its own that waits only so
 *		long for a lock, is tried again, and whose error ends the step and not the
 *		procedure.  For the procedures of this room.
 */
#ifndef PARTITIONS_UPKEEP_H
#define PARTITIONS_UPKEEP_H

#include "fmgr.h"
#include "lib/stringinfo.h"

typedef enum Outcome
{
	OUTCOME_OK,
	OUTCOME_SKIPPED_LOCKED,
	OUTCOME_FAILED
} Outcome;

/* What goes on with one set. */
typedef struct Run
{
	MemoryContext memory;		/* outlives the transactions */
	bool		dry_run;
	bool		top_level;		/* DETACH CONCURRENTLY can be run */
	Oid			parent;
	Outcome		outcome;
	bool		worth_a_warning;	/* although it is ok */
	const char *hint;			/* of the last error, if it had one */
	StringInfoData detail;
} Run;

/* A row of a plan: texts, some of them NULL. */
typedef struct Action
{
	char	   *action;
	char	   *partition;
	char	   *from;
	char	   *to;
	char	   *reason;
	char	   *how;			/* concurrently, plainly, or afterwards: it is detached already */
	char	   *parent_name;	/* both quoted, with their schema */
	char	   *partition_name;
} Action;

#define ACTION_COLUMNS 8

typedef struct Actions
{
	int			n;
	Action	   *rows;
} Actions;

/* A query with the set's table as $1 and texts as $2; result, unless NULL, gets its rows. */
typedef struct Step
{
	const char *what;
	const char *sql;
	int			n;
	const char *const *texts;
	Actions    *result;
} Step;

/* With SPI connected until upkeep_end(); an error (2D000) where a procedure cannot end transactions. */
extern void upkeep_begin(Run *run, FunctionCallInfo fcinfo, const char *procedure);
extern void upkeep_end(Run *run);

/* Begins with a set; what was allocated for the one before is gone. */
extern void upkeep_set(Run *run, Oid parent);

/* False when it failed: the outcome and the detail are noted. */
extern bool upkeep_step(Run *run, Step step);

/* Calls "body" while no other session can change the set. */
extern void upkeep_locked(Run *run, void (*body) (Run *run));

extern void upkeep_note(Run *run, const char *what, const char *detail);
extern void upkeep_note_error(Run *run, const char *what, const ErrorData *error, bool locked);
extern bool upkeep_is_lock_error(const ErrorData *error);

extern const char *upkeep_outcome_name(const Run *run);

/* A message when not all is well, at that level. */
extern void upkeep_report(const Run *run, int level);

#endif							/* PARTITIONS_UPKEEP_H */
