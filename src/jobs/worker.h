/*
 * worker.h
 *		What the scheduler gives a worker to begin with; its argument is the place
 *		in the crew.
 */
#ifndef JOBS_WORKER_H
#define JOBS_WORKER_H

typedef struct WorkerOrder
{
	int64		run_id;
} WorkerOrder;

#endif							/* JOBS_WORKER_H */
