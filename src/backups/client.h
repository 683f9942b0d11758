/*
 * client.h
 *		The server's own client programs: what they are told about the server, and
 *		psql as a way to do what takes another session.
 */
#ifndef BACKUPS_CLIENT_H
#define BACKUPS_CLIENT_H

#include "backups/program.h"

/*
 * How to get to this server and a database of it, as the bootstrap superuser, and
 * one thing more or NULL; ends with NULL.  Reads catalogs.
 */
extern const char *const *client_environment(const char *database, int64 backup_id, const char *more);

/* The directory of the server's socket, and its port. */
extern const char *client_host(void);

/*
 * Descriptors that are to be closed after an error, too, are the caller's.
 * database: a name of ours, or NULL for that of the environment.
 */

/* psql that reads statements from *in and answers on *out, a row a line. */
extern Program *client_psql(const char *database, int *in, int *out);

/* Waits with program_wait() while the other end does not read. */
extern void client_send(int fd, const char *text);

/* The next line, without its end, palloc'd; NULL when there is no more. */
extern char *client_line(int fd, StringInfo buffer);

/* Closes both and waits for it; an error (38000) with what it said when it fails. */
extern void client_finish(Program *program, int *in, int *out, const char *purpose);

/*
 * Runs statements, each at top level, in a session of their own; returns what
 * they print.  An error (38000) with what psql said when one fails.
 */
extern char *client_run(const char *database, const char *statements, const char *purpose);

/* Runs one program to its end, whatever that is, and returns what it prints. */
extern char *client_read(const Stage *stage, Program **program);

/* A program of the server with these arguments, ended by NULL. */
extern void client_stage(Stage *stage, const char *program,...);

/*
 * For psql: how many rows each table has, as lines of JSON {"t": table, "n": rows}.
 * Those in the variable "known" (OIDs, as the text of an array) are not counted;
 * the other one says what the variable "rows" has for them.
 */
extern const char client_count_rows[];
extern const char client_known_rows[];

/* For psql in a transaction: nobody drops, empties or alters these tables until its end. */
extern const char client_lock_tables[];

#endif							/* BACKUPS_CLIENT_H */
