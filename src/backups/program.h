/*
 * program.h
 *		Programs outside of the server: started without a shell, in a process group
 *		of their own, and gone when this process is, however it ends.
 *
 * One set of programs at a time.  Whoever waits calls program_look() again and
 * again; it reads what the programs complain about, so that none waits for us.
 * To be called outside of any transaction: programs take their time.
 */
#ifndef BACKUPS_PROGRAM_H
#define BACKUPS_PROGRAM_H

#include "backups/stages.h"
#include "lib/stringinfo.h"

/* Of what a program writes to its standard error, the end that is kept. */
#define PROGRAM_TAIL_BYTES	4000

typedef struct Program
{
	const char *name;
	pid_t		pid;
	bool		ended;
	int			status;			/* as waitpid() gives it, once ended */
	int			error_fd;		/* -1 when it is closed */
	char		tail[PROGRAM_TAIL_BYTES + 1];
	int			tail_length;
	bool		is_cut;			/* the tail begins in the middle of a line */
} Program;

/* "environment" ends with NULL: NAME=value, besides PATH, HOME and the locale. */
extern void program_begin(const char *const *environment);

/* Starts one; -1 for a file descriptor is /dev/null.  Closes those that it is given, also when it fails. */
extern Program *program_start(const Stage *stage, int in, int out);

/* A pipe whose ends no program inherits by accident; [0] is read.  What is not closed is, with the set. */
extern void program_pipe(int fds[2]);
extern void program_close(int *fd);

/* Notes which have ended and what they said; whether all have. */
extern bool program_look(void);

extern int	program_count(void);
extern Program *program_at(int i);

/* An error when this process was asked to stop, or when the time is over (57014). */
extern void program_check(void);

/*
 * Waits until the descriptor can be read (or written), or something else has
 * happened that is worth a look, at most 100 ms.  -1: no descriptor.  Then looks
 * and checks.
 */
extern void program_wait(int fd, bool to_write);

/* Until this one has ended, and all that it said is read. */
extern void program_wait_for(const Program *program);

/* From now on program_wait() gives up after so long. */
extern void program_set_deadline(int timeout_s);

/* Ends all that still run, forgets them, and gives everything back. */
extern void program_end(void);

/* 0, what it exited with, or minus its signal. */
extern int	program_exit_status(const Program *program);

/* "pg_dump exited with status 1", palloc'd. */
extern char *program_describe_end(const Program *program);

#endif							/* BACKUPS_PROGRAM_H */
