/*
 * preload.h
 *		Whether the server loaded the library at start, as shared memory needs.
 */
#ifndef CORE_PRELOAD_H
#define CORE_PRELOAD_H

/* Called once by _PG_init. */
extern void preload_init(void);
extern bool preload_done(void);

#endif							/* CORE_PRELOAD_H */
