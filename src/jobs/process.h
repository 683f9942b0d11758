/*
 * process.h
 *		What launcher and scheduler have in common: signals, waiting, and the
 *		start of another process.
 */
#ifndef JOBS_PROCESS_H
#define JOBS_PROCESS_H

#include "postmaster/bgworker.h"

/* Declares the function that a process begins with; the postmaster finds it by its name. */
#define PROCESS_MAIN(name) \
	pg_noreturn extern PATTYLY_EXPORT void name(Datum argument)

/* Most that anybody of the crew sleeps, so that a wake-up that got lost costs no more. */
#define PROCESS_LONGEST_WAIT_MS 60000

/* Signals as in a backend: SIGTERM ends the process at its next look, SIGHUP reads the settings. */
extern void process_begin(void);

/* Sleeps until woken; no transaction may be open. */
extern void process_wait(long timeout_ms, const char *what);

/* A process of this library that is never restarted by itself; false when the server has no room for one. */
extern bool process_start(const char *function, const char *type, const char *name, Datum argument,
						  const void *extra, Size extra_size, BackgroundWorkerHandle **handle);

#endif							/* JOBS_PROCESS_H */
