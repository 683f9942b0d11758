/*
 * jobs.h
 *		What the files of this room share: its settings, and its beginnings.
 *		The front door calls jobs_init().
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "nodes/pg_list.h"

extern void jobs_init(void);

extern int	jobs_max_running;	/* pattyly.max_running_jobs */
extern int	jobs_history_days;	/* pattyly.job_history_days */

/* The names in pattyly.databases, palloc'd. */
extern List *jobs_database_names(void);

/* Also registered by the room. */
extern void jobs_watch_utilities(void);

/* Names of functions that processes begin with. */
#define JOBS_LAUNCHER_MAIN	"pattyly_job_launcher_main"
#define JOBS_SCHEDULER_MAIN	"pattyly_job_scheduler_main"
#define JOBS_WORKER_MAIN	"pattyly_job_worker_main"

#endif							/* JOBS_JOBS_H */
