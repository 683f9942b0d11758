/*
 * pipeline.c
 *		See pipeline.h.
 */
#include "postgres.h"

#include <signal.h>

#include "backups/pipeline.h"
#include "core/compat.h"

void
pipeline_init(Pipeline *pipeline)
{
	*pipeline = (Pipeline) {.stream = {.in = -1, .out = -1, .copy = -1}};
}

int
pipeline_chain(const Stages *stages, int n)
{
	int			in = -1;

	for (int i = 0; i < n; i++)
	{
		int			fds[2];

		program_pipe(fds);
		(void) program_start(&stages->stages[i], in, fds[1]);
		in = fds[0];
	}
	return in;
}

static void
start_store(Pipeline *pipeline, const Stage *stage)
{
	int			fds[2];

	program_pipe(fds);
	(void) program_start(stage, fds[0], -1);
	pipeline->stream.out = fds[1];
	pipeline->stream.out_is_pipe = true;
	stream_unblock(fds[1]);
}

void
pipeline_start(Pipeline *pipeline, const Stages *stages, int file)
{
	int			sources = file >= 0 ? stages->n : stages->n - 1;

	if (sources == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("one stage cannot make a backup and store it"),
				 errhint("With pattyly.backup_location set, pattyly.backup_stages needs one that writes the backup to its output, and a last one that stores its input.")));
	pipeline->first = program_count();
	pipeline->n = stages->n;
	pipeline->stream.in = pipeline_chain(stages, sources);
	stream_unblock(pipeline->stream.in);
	pipeline->stream.out = file;
	if (file < 0)
		start_store(pipeline, &stages->stages[sources]);
}

/* ---- the end ---- */

static bool
have_ended(const Pipeline *pipeline, int n)
{
	bool		all = true;

	for (int i = 0; i < n; i++)
		all &= program_at(pipeline->first + i)->ended;
	return all;
}

static bool
failed(const Program *program)
{
	return program_exit_status(program) != 0;
}

/* Ended because the next one did not want any more. */
static bool
is_follower(const Program *program)
{
	int			status = program_exit_status(program);

	return status == -SIGPIPE || status == 128 + SIGPIPE;
}

/* The first that failed by itself; a follower only when there is none, and whom it followed is one of the programs. */
static const Program *
culprit(const Pipeline *pipeline, int n)
{
	const Program *found = NULL;

	for (int i = 0; i < n; i++)
	{
		const Program *program = program_at(pipeline->first + i);

		if (failed(program) && !is_follower(program))
			return program;
		if (failed(program) && found == NULL && !pipeline->stream.out_closed)
			found = program;
	}
	return found;
}

static void
report(const Program *program, int stage)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("stage %d of the backup failed: %s", stage, program_describe_end(program)),
			 program->tail_length > 0 ? errdetail("%s", program->tail) : 0,
			 errhint("Run it by hand, as the server's account.")));
}

/* Waits for the first n of its programs; an error when one of them failed. */
static void
wait_for_ends(Pipeline *pipeline, int n)
{
	const Program *found;

	while (!have_ended(pipeline, n))
		program_wait(-1, false);
	(void) program_look();
	found = culprit(pipeline, n);
	/* Then the last stage is to blame. */
	if (found != NULL && is_follower(found) && pipeline->stream.out_closed)
		return;
	for (int i = 0; i < n; i++)
	{
		const Program *program = program_at(pipeline->first + i);

		if (program != found)
			continue;
		pipeline->exit_status = program_exit_status(program);
		report(program, i + 1);
	}
}

static void
must_have_bytes(const Pipeline *pipeline)
{
	if (pipeline->stream.bytes == 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("all programs succeeded, but none wrote a backup"),
				 errhint("The last stage has to write to its output, not to a file of its own; or set pattyly.backup_location.")));
}

/*
 * Whoever stores takes the end of its input for the end of the backup: it must
 * not come to that when a program before it failed.
 */
static void
finish_store(Pipeline *pipeline)
{
	if (!pipeline->stream.out_closed)
	{
		wait_for_ends(pipeline, pipeline->n - 1);
		must_have_bytes(pipeline);
	}
	program_close(&pipeline->stream.out);
}

void
pipeline_finish(Pipeline *pipeline)
{
	stream_copy(&pipeline->stream);
	program_close(&pipeline->stream.in);
	if (pipeline->stream.out_is_pipe)
		finish_store(pipeline);
	wait_for_ends(pipeline, pipeline->n);
	if (pipeline->stream.out_closed)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("stage %d of the backup did not read all that it was to store", pipeline->n),
				 errhint("Run it by hand, as the server's account.")));
	must_have_bytes(pipeline);
}

void
pipeline_free(Pipeline *pipeline)
{
	stream_free(&pipeline->stream);
	program_close(&pipeline->stream.in);
	program_close(&pipeline->stream.copy);
	if (pipeline->stream.out_is_pipe)
		program_close(&pipeline->stream.out);
}
