/*
 * pinned.h
 *		Settings that we need as they are here, whatever the caller, his role or the
 *		database have made of them.
 *
 * A setting that this version of the server has not is left out.
 */
#ifndef CORE_PINNED_H
#define CORE_PINNED_H

/* No schema that anybody else may write comes before the system's. */
#define PINNED_SEARCH_PATH "pg_catalog, pg_temp"

/* Until AtEOXact_GUC() ends the nest level; an error ends it as well. */
extern void pinned_set(const char *name, const char *value);

/* Begins such a level and returns it; NULL leaves the search_path as it is. */
extern int	pinned_begin(const char *search_path);

extern void pinned_set_for_transaction(const char *name, const char *value);

/* For a process of our own: a reload does not change it, and RESET comes back to it. */
extern void pinned_set_for_process(const char *name, const char *value);

#endif							/* CORE_PINNED_H */
