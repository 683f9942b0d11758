/*
 * command.h
 *		SQL as one would type it at a prompt: each statement at top level, in a
 *		transaction of its own, so that VACUUM, CREATE INDEX CONCURRENTLY and a
 *		procedure that commits work.
 *
 * A worker calls command_run() outside of any transaction, as the role that is
 * connected.
 */
#ifndef JOBS_COMMAND_H
#define JOBS_COMMAND_H

#include "nodes/pg_list.h"

#define COMMAND_MAX_BYTES 100000

typedef struct CommandResult
{
	bool		succeeded;
	bool		timed_out;		/* by statement_timeout */
	int			statement;		/* the one that failed, from 1 */
	int			statements;
	char	   *tags;			/* "DELETE 3; VACUUM" */
	char	   *error;
	char		sqlstate[6];
} CommandResult;

/*
 * The statements of a text.  An error with its position in the text when it
 * does not parse (42601), and for what cannot be a statement of a job: BEGIN and
 * its kin, COPY from or to a client, LISTEN.
 */
extern List *command_parse(const char *text);

/* Raises nothing for what the command does; everything it returns is in the current memory context. */
extern CommandResult command_run(const char *text);

#endif							/* JOBS_COMMAND_H */
