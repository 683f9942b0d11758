/*
 * run.c
 *		CALL run_backup(): from the settings to a file, and to a row that says what
 *		became of it.
 *
 * The row is written and committed first.  Then there is no transaction while
 * programs run, and whatever happens to them, or to us, ends in the row, too.
 */
#include "postgres.h"

#include "backups/backups.h"
#include "backups/catalogue.h"
#include "backups/check.h"
#include "backups/client.h"
#include "backups/directory.h"
#include "backups/pipeline.h"
#include "backups/redact.h"
#include "backups/snapshot.h"
#include "backups/words.h"
#include "commands/dbcommands.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/procedure.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"

typedef struct Run
{
	int64		id;
	char	   *label;
	char	   *database;
	char	   *file;			/* its name in the directory */
	bool		to_file;
	const char *const *environment;	/* made while catalogs can be read */

	int			directory;
	int			fd;
	Pipeline	pipeline;
	Checker		checker;
	DumpSnapshot snapshot;
	bool		counts;
	StringInfoData annotations;
	BackupEnd	end;
} Run;

PATTYLY_FUNCTION(pattyly_run_backup);

/* ---- before: in the transaction of the CALL ---- */

static char *
partial_name(const Run *run)
{
	return directory_partial_name(run->file, run->id);
}

static const Placeholder *
placeholders_of(const Run *run)
{
	Placeholder *list = palloc0(sizeof(Placeholder) * 6);

	list[0] = (Placeholder) {'d', run->database};
	list[1] = (Placeholder) {'l', run->label};
	list[2] = (Placeholder) {'f', run->file};
	list[3] = (Placeholder) {'i', psprintf(INT64_FORMAT, run->id)};
	if (run->counts)
		list[4] = (Placeholder) {'s', run->snapshot.name};
	return list;
}

static char *
location_of(const Run *run)
{
	return run->to_file ? directory_path(run->file) : stages_expand(backups_location, placeholders_of(run));
}

static const char *
tool_of_settings(void)
{
	Stages		stages;

	return stages_parse(backups_stages, STAGES_OF_RUN, &stages) == NULL ?
		last_dir_separator(stages.stages[0].args[0]) ? last_dir_separator(stages.stages[0].args[0]) + 1 :
		stages.stages[0].args[0] : NULL;
}

static void
must_be_configured(const Run *run)
{
	int			directory;

	if (!run->to_file)
		return;
	if (*backups_directory != '\0')
		return;
	/* Says what to do. */
	directory = directory_open();
	directory_close(&directory);
}

static void
open_row(Run *run, const char *label)
{
	catalogue_lock_runs();
	catalogue_sweep();
	run->id = catalogue_open(label, tool_of_settings(), &run->label);
	catalogue_lock_row(run->id);
	run->file = psprintf("%s.dump", run->label);
	run->end.location = location_of(run);
	catalogue_set_location(run->id, run->end.location);
	run->environment = client_environment(run->database, run->id, NULL);
}

/* ---- meanwhile: no transaction ---- */

/* The dump has taken over its snapshot before it writes anything. */
static void
on_first_bytes(void *argument)
{
	Run		   *run = argument;

	if (run->counts)
		snapshot_dump_has_it(&run->snapshot);
	checker_start(&run->checker, &run->pipeline.stream);
}

static void
on_end(void *argument)
{
	Run		   *run = argument;

	if (run->counts)
		snapshot_dump_ends(&run->snapshot);
}

static void
open_file(Run *run)
{
	run->directory = directory_open();
	if (directory_size(run->directory, run->file) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("file \"%s\" exists already", directory_path(run->file)),
				 errhint("Choose another label.")));
	run->fd = directory_create(run->directory, partial_name(run));
}

static void
take_snapshot(Run *run)
{
	run->counts = stages_have(backups_stages, 's');
	if (run->counts)
		snapshot_begin(&run->snapshot);
}

/* Options of pg_dump by which a table that is there need not be in the dump. */
static bool
is_partial(const Stages *stages)
{
	static const char *const options[] = {
		"-n", "-N", "-t", "-T", "-s", "--schema", "--exclude", "--table", "--filter", "--section", "--no-unlogged"
	};
	const Stage *dump = &stages->stages[0];

	for (int i = 1; i < dump->n; i++)
		for (int j = 0; j < lengthof(options); j++)
			if (strncmp(dump->args[i], options[j], strlen(options[j])) == 0)
				return true;
	return false;
}

static void
start_stages(Run *run)
{
	Stages		stages;

	stages_of_setting("pattyly.backup_stages", backups_stages, placeholders_of(run), &stages);
	words_annotate_stages(&run->annotations, &stages);
	run->snapshot.is_partial = is_partial(&stages);
	if (run->snapshot.is_partial)
		catalogue_annotate(&run->annotations, "partial", "the stages leave tables out");
	pipeline_start(&run->pipeline, &stages, run->fd);
	run->pipeline.stream.on_first = on_first_bytes;
	run->pipeline.stream.on_end = on_end;
	run->pipeline.stream.argument = run;
	if (run->counts)
		snapshot_dump_begins(&run->snapshot);
}

static void
doubt(Run *run, char *reason)
{
	if (reason == NULL || run->end.error != NULL)
		return;
	run->end.state = "suspect";
	run->end.error = words_clean(reason);
}

/*
 * What was read while it passed by need not be read again.  A file is, when there
 * was no verdict, or a bad one: what reads from a pipe may have its own troubles.
 */
static Verdict
read_verdict(Run *run, ArchiveFormat format, char **reason)
{
	Verdict		verdict = checker_finish(&run->checker, reason);

	return verdict == VERDICT_GOOD || !run->to_file ? verdict :
		check_file(format, directory_path(partial_name(run)), reason);
}

static void
check(Run *run)
{
	const Stream *stream = &run->pipeline.stream;
	ArchiveFormat format = check_format(stream);
	Verdict		verdict;
	char	   *reason;

	catalogue_annotate(&run->annotations, "format", check_format_name(format));
	doubt(run, check_ends(format, stream));
	verdict = read_verdict(run, format, &reason);
	if (verdict == VERDICT_BAD)
		doubt(run, reason);
	else if (verdict == VERDICT_NONE)
		catalogue_annotate(&run->annotations, "unread", words_clean(reason));
}

static char *
annotations_of(const Run *run)
{
	return run->annotations.len > 0 ? psprintf("%s}", run->annotations.data) : pstrdup("{}");
}

static void
note(void *argument)
{
	const Run  *run = argument;
	BackupEnd	known = run->end;

	catalogue_await_row(run->id);
	known.state = "running";
	known.annotations = annotations_of(run);
	catalogue_note(run->id, &known);
}

static void
make(Run *run)
{
	program_begin(run->environment);
	program_set_deadline(backups_timeout_s);
	if (run->to_file)
		open_file(run);
	take_snapshot(run);
	start_stages(run);
	pipeline_finish(&run->pipeline);
	run->end.bytes = run->pipeline.stream.bytes;
	run->end.checksum = run->pipeline.stream.checksum;
	if (run->counts)
		run->end.counts = snapshot_counts(&run->snapshot);
	fault_point("backup_written");
	check(run);
	words_annotate_complaints(&run->annotations);
	/* Should the server go away now, this is what is left to say whether the file is good. */
	procedure_in_transaction(note, run);
	fault_point("backup_noted");
	/* Last: what has its name is complete, and the row says so next. */
	if (run->to_file)
		directory_finish(run->directory, run->fd, partial_name(run), run->file);
	fault_point("backup_named");
}

static void
clean_up(Run *run, bool failed)
{
	HOLD_INTERRUPTS();
	program_end();
	pipeline_free(&run->pipeline);
	snapshot_free(&run->snapshot);
	directory_close(&run->fd);
	if (failed && run->directory >= 0)
		(void) directory_remove(run->directory, partial_name(run));
	directory_close(&run->directory);
	RESUME_INTERRUPTS();
}

/* Whatever goes wrong is returned, and is in the row. */
static ErrorData *
try_to_make(Run *run, MemoryContext memory)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		make(run);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		words_clean_error(error);
		run->end.state = "failed";
		run->end.error = words_of_error(error);
		run->end.exit_status = run->pipeline.exit_status;
	}
	PG_END_TRY();
	clean_up(run, error != NULL);
	return error;
}

/* ---- after ---- */

static void
write_down(Run *run)
{
	if (run->end.error == NULL)
		doubt(run, catalogue_doubt(run->id, run->end.bytes));
	run->end.annotations = annotations_of(run);
	catalogue_note(run->id, &run->end);
}

/* The row is written even by a process that is told to go. */
static void
end_row(Run *run, MemoryContext memory)
{
	HOLD_INTERRUPTS();
	procedure_enter_transaction();
	catalogue_await_row(run->id);
	/* What it says is reported when the transaction, and its memory, are gone. */
	MemoryContextSwitchTo(memory);
	write_down(run);
	procedure_commit();
	catalogue_unlock();
	MemoryContextSwitchTo(memory);
	RESUME_INTERRUPTS();
}

static void
report(const Run *run, ErrorData *error)
{
	CHECK_FOR_INTERRUPTS();
	if (error != NULL)
		ReThrowError(error);
	if (strcmp(run->end.state, "suspect") == 0)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("backup %s (id " INT64_FORMAT ") is suspect: %s", run->label, run->id, run->end.error),
				 errhint("It does not count as a backup; CALL pattyly.verify_backup(" INT64_FORMAT ") tells more.", run->id)));
	else
		ereport(NOTICE,
				(errmsg("backup %s (id " INT64_FORMAT ") is done: " INT64_FORMAT " bytes at %s",
						run->label, run->id, run->end.bytes, run->end.location)));
}

/* (label text) */
Datum
pattyly_run_backup(PG_FUNCTION_ARGS)
{
	MemoryContext memory = AllocSetContextCreate(PortalContext, "backup", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	Run			run = {
		.directory = -1, .fd = -1, .snapshot = {.in = -1, .out = -1},
		.end = {.state = "done", .bytes = -1}
	};
	ErrorData  *error;

	procedure_must_stand_alone(fcinfo, "run_backup");
	initStringInfo(&run.annotations);
	pipeline_init(&run.pipeline);
	run.to_file = *backups_location == '\0';
	run.database = get_database_name(MyDatabaseId);
	must_be_configured(&run);
	open_row(&run, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	procedure_leave_transaction();
	MemoryContextSwitchTo(memory);
	error = try_to_make(&run, memory);
	end_row(&run, memory);
	report(&run, error);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	PG_RETURN_VOID();
}
