/*
 * pipeline.h
 *		The stages of a backup: programs, each of which reads what the one before
 *		writes, and this process, which counts and hashes it all on its way.
 */
#ifndef BACKUPS_PIPELINE_H
#define BACKUPS_PIPELINE_H

#include "backups/program.h"
#include "backups/stream.h"

typedef struct Pipeline
{
	Stream		stream;
	int			first;			/* its programs among those of the set */
	int			n;
	int			exit_status;	/* of the first that failed */
} Pipeline;

extern void pipeline_init(Pipeline *pipeline);

/*
 * Starts the stages.  file >= 0: what the last one writes goes there; else the
 * last one stores what the others write.  A set of programs has to be begun.
 */
extern void pipeline_start(Pipeline *pipeline, const Stages *stages, int file);

/* Starts the first n stages, no more, each of which reads what the one before writes; what the last one writes, -1 of none. */
extern int	pipeline_chain(const Stages *stages, int n);

/* Until all of it is done; an error (38000) when a program failed, or nothing came. */
extern void pipeline_finish(Pipeline *pipeline);

/* After an error, and at the end. */
extern void pipeline_free(Pipeline *pipeline);

#endif							/* BACKUPS_PIPELINE_H */
