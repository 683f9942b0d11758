/*
 * chores.h
 *		What another room wants done in each database when its scheduler begins,
 *		that is after every start and after every crash.
 */
#ifndef JOBS_CHORES_H
#define JOBS_CHORES_H

/*
 * To be called by a room's init.  The chore runs SQL with own_spi_run(); what it
 * raises is a line in the log and undoes nothing but the chore.
 */
extern void chores_add(void (*chore) (void));

/* The scheduler, between own_spi_begin() and own_spi_end(). */
extern void chores_run(void);

#endif							/* JOBS_CHORES_H */
