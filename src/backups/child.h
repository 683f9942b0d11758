/*
 * child.h
 *		What a process does between fork and exec, where nothing of the server may
 *		be touched any more.
 */
#ifndef BACKUPS_CHILD_H
#define BACKUPS_CHILD_H

#include "backups/stages.h"
#include "core/compat.h"

/* As fork(), with signals blocked in the child until it has no handlers of the server's any more. */
extern pid_t child_fork(void);

/* Leads a group of its own until the other end of the pipe is closed or gone, and kills the group. */
pg_noreturn extern void child_keep(int fd);

/* Becomes a program of that group, with these as its input, output and errors; it does not outlive the parent. */
pg_noreturn extern void child_become(const Stage *stage, const int fds[3], char **environment, pid_t group,
									 pid_t parent);

#endif							/* BACKUPS_CHILD_H */
