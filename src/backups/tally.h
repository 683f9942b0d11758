/*
 * tally.h
 *		How many rows of each table a dump copied, told by the sessions that copied
 *		them: so that nobody has to read the database a second time to count it.
 *
 * Whoever takes over a snapshot that was announced here, and has changed nothing
 * himself, sees what everybody with that snapshot sees: what a whole table that he
 * copies has is what it has in the dump.  He is believed when he logged in as one
 * who may read everything, a superuser or one with BYPASSRLS, and names the schema
 * of the table, as pg_dump does.
 */
#ifndef BACKUPS_TALLY_H
#define BACKUPS_TALLY_H

typedef struct Tally
{
	char	   *tables;			/* their OIDs, as the text of an array */
	char	   *rows;			/* how many, in the same order */
	int			n;				/* a table that was copied twice is there twice */
	bool		missed;			/* more was said than is here */
} Tally;

extern void tally_init(void);

/*
 * From now on who copies a table in this snapshot says how many rows it had, for
 * up to so many tables.  false: nobody will, because the library was not loaded at
 * server start, or there is no memory for it.  Needs no transaction.
 */
extern bool tally_begin(const char *snapshot, int64 tables);

/* What was said so far, palloc'd. */
extern Tally tally_read(void);

/* Harmless when nothing was begun; also done when this process ends. */
extern void tally_end(void);

#endif							/* BACKUPS_TALLY_H */
