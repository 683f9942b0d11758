/*
 * verify.c
 *		CALL verify_backup(): what was stored is read, restored into a database of
 *		its own, and counted.
 *
 * As in run.c there is no transaction meanwhile.  What is the backup's fault is a
 * result, and written into its row; what is not (no room, no time, a cancel) is
 * an error and says nothing about the backup.
 */
#include "postgres.h"

#include "backups/backups.h"
#include "backups/catalogue.h"
#include "backups/check.h"
#include "backups/client.h"
#include "backups/directory.h"
#include "backups/pipeline.h"
#include "backups/restoring.h"
#include "backups/scratch.h"
#include "backups/words.h"
#include "commands/dbcommands.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/ownspi.h"
#include "core/preload.h"
#include "core/procedure.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"

typedef struct Verification
{
	int64		id;
	char	   *label;
	char	   *location;
	char	   *checksum;		/* or NULL */
	int64		database_bytes;
	char	   *caller;
	const char *const *environment;
	Stages		fetch;
	bool		fetches;

	int			directory;
	char	   *file;			/* its name in the directory */
	bool		is_copy;		/* fetched, to be removed */
	Pipeline	pipeline;
	int			file_fd;
	Scratch		scratch;

	instr_time	start;
	char	   *failure;		/* of the backup */
	char	   *counts;
	StringInfoData details;
} Verification;

PATTYLY_FUNCTION(pattyly_verify_backup);

/* ---- before: in the transaction of the CALL ---- */

static void
read_row(Verification *v, int64 wanted, bool any)
{
	MemoryContext memory = CurrentMemoryContext;
	OwnSpi		own;
	OwnArgs		args = {0};

	own_spi_begin(&own);
	own_arg(&args, INT8OID, Int64GetDatum(wanted), any);
	own_spi_run("SELECT b.id, b.label, b.location, b.checksum, (b.annotations ->> 'database_bytes')::bigint "
				"FROM pattyly.backup_to_verify($1) AS b", &args);
	v->id = own_bigint(0, 1);
	v->label = MemoryContextStrdup(memory, own_text(0, 2));
	v->location = MemoryContextStrdup(memory, own_text(0, 3));
	v->checksum = own_text(0, 4) ? MemoryContextStrdup(memory, own_text(0, 4)) : NULL;
	v->database_bytes = own_bigint(0, 5);
	own_spi_end(&own);
}

static void
prepare_fetch(Verification *v)
{
	const char *name = directory_file_of(v->location);
	const Placeholder placeholders[] = {
		{'d', get_database_name(MyDatabaseId)}, {'l', v->label}, {'f', psprintf("%s.dump", v->label)},
		{'i', psprintf(INT64_FORMAT, v->id)}, {'o', v->location}, {0}
	};

	v->fetches = name == NULL;
	v->is_copy = name == NULL;
	v->file = name ? pstrdup(name) : directory_partial_name("verify", v->id);
	if (v->fetches)
		stages_of_setting("pattyly.backup_fetch_stages", backups_fetch_stages, placeholders, &v->fetch);
}

static void
prepare(Verification *v, int64 wanted, bool any)
{
	if (!preload_done())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pattyly was not loaded at server start, and a restore would not be safe"),
				 errhint("Add pattyly to shared_preload_libraries and restart the server.")));
	v->caller = GetUserNameFromId(GetUserId(), false);
	catalogue_lock_runs();
	catalogue_sweep();
	read_row(v, wanted, any);
	prepare_fetch(v);
	scratch_prepare(&v->scratch, v->id);
	v->environment = client_environment(get_database_name(MyDatabaseId), v->id, RESTORING_OPTIONS);
	ereport(NOTICE,
			(errmsg("verifying backup %s (id " INT64_FORMAT ") in database \"%s\"", v->label, v->id, v->scratch.name)));
}

/* ---- meanwhile: no transaction ---- */

static void
fail(Verification *v, char *reason)
{
	if (reason != NULL && v->failure == NULL)
		v->failure = words_clean(reason);
}

static void
fetch(Verification *v)
{
	(void) directory_remove(v->directory, v->file);
	v->file_fd = directory_create(v->directory, v->file);
	pipeline_start(&v->pipeline, &v->fetch, v->file_fd);
	pipeline_finish(&v->pipeline);
	directory_close(&v->file_fd);
}

static void
read_file(Verification *v)
{
	v->file_fd = directory_read(v->directory, v->file);
	v->pipeline.stream.in = v->file_fd;
	stream_copy(&v->pipeline.stream);
	v->pipeline.stream.in = -1;
	directory_close(&v->file_fd);
}

static void
check_stored(Verification *v)
{
	const Stream *stream = &v->pipeline.stream;
	ArchiveFormat format = check_format(stream);

	if (v->checksum && strncmp(v->checksum, "sha256:", 7) == 0 && strcmp(v->checksum, stream->checksum) != 0)
		fail(v, psprintf("what is stored has another checksum, %s, than what was written", stream->checksum));
	else if (format != ARCHIVE_CUSTOM && format != ARCHIVE_TAR)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("backup " INT64_FORMAT " is of format %s, which cannot be verified", v->id, check_format_name(format)),
				 errhint("Make dumps with pg_dump --format=custom.")));
}

/* Where its file is missing, the backup is no good; where the disk is full, it may be. */
static void
get_file(Verification *v)
{
	v->directory = directory_open();
	if (!v->fetches && directory_size(v->directory, v->file) < 0)
	{
		fail(v, psprintf("there is no file %s", v->location));
		return;
	}
	if (v->fetches)
		fetch(v);
	else
		read_file(v);
	check_stored(v);
}

static void
restore(Verification *v)
{
	scratch_create(&v->scratch, v->database_bytes);
	fault_point("scratch_created");
	fail(v, scratch_restore(&v->scratch, directory_path(v->file)));
	v->counts = client_run(v->scratch.name, client_count_rows, "count what was restored");
	if (v->scratch.left_out)
		catalogue_annotate(&v->details, "left_out", v->scratch.left_out);
}

static void
verify(Verification *v)
{
	program_begin(v->environment);
	program_set_deadline(backups_timeout_s);
	get_file(v);
	if (v->failure == NULL)
		restore(v);
}

static void
clean_up(Verification *v)
{
	HOLD_INTERRUPTS();
	program_end();
	pipeline_free(&v->pipeline);
	directory_close(&v->file_fd);
	if (v->is_copy && v->directory >= 0)
		(void) directory_remove(v->directory, v->file);
	directory_close(&v->directory);
	scratch_drop(&v->scratch, v->environment);
	RESUME_INTERRUPTS();
}

static ErrorData *
try_to_verify(Verification *v, MemoryContext memory)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		verify(v);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		words_clean_error(error);
	}
	PG_END_TRY();
	clean_up(v);
	return error;
}

/* ---- after ---- */

/* A line of JSON for each table, as an array. */
static char *
counts_array(const char *lines)
{
	StringInfoData array;

	if (lines == NULL)
		return NULL;
	initStringInfo(&array);
	appendStringInfoChar(&array, '[');
	for (const char *c = lines; *c; c++)
		appendStringInfoChar(&array, *c != '\n' ? *c : c[1] != '\0' ? ',' : ']');
	if (array.data[array.len - 1] != ']')
		appendStringInfoChar(&array, ']');
	return array.data;
}

static double
seconds_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* Why it did not pass, or NULL. */
static char *
write_down(Verification *v, MemoryContext memory)
{
	OwnSpi		own;
	OwnArgs		args = {0};
	char	   *verdict;

	appendStringInfoString(&v->details, v->details.len > 0 ? "}" : "{}");
	own_spi_begin(&own);
	own_arg_text(&args, v->caller);
	own_arg_bigint(&args, v->id);
	own_arg(&args, FLOAT8OID, Float8GetDatum(seconds_since(v->start)), false);
	own_arg_text(&args, counts_array(v->counts));
	own_arg_text(&args, v->failure);
	own_arg_text(&args, v->details.data);
	own_spi_run("SELECT pattyly.close_verification($1::name, $2, $3, $4::jsonb, $5, $6::jsonb)", &args);
	verdict = own_text(0, 1);
	if (verdict)
		verdict = MemoryContextStrdup(memory, verdict);
	own_spi_end(&own);
	return verdict;
}

static void
report(const Verification *v, const char *verdict)
{
	if (verdict)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("backup %s (id " INT64_FORMAT ") did not pass: %s", v->label, v->id, verdict),
				 errhint("It is suspect now and does not count; make another, and look at verify_result in pattyly.backups.")));
	ereport(NOTICE,
			(errmsg("backup %s (id " INT64_FORMAT ") was restored, and %s, in %.1f s", v->label, v->id,
					"its rows were counted", seconds_since(v->start))));
}

static void
finish(Verification *v, ErrorData *error, MemoryContext memory)
{
	char	   *verdict = NULL;

	procedure_enter_transaction();
	/* It may wait for the row, and who waits can be canceled. */
	if (error == NULL)
		verdict = write_down(v, memory);
	HOLD_INTERRUPTS();
	procedure_commit();
	catalogue_unlock();
	MemoryContextSwitchTo(memory);
	RESUME_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	if (error != NULL)
		ReThrowError(error);
	report(v, verdict);
}

/* (id bigint) */
Datum
pattyly_verify_backup(PG_FUNCTION_ARGS)
{
	MemoryContext memory = AllocSetContextCreate(PortalContext, "verification", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	Verification v = {.directory = -1, .file_fd = -1};
	ErrorData  *error;

	procedure_must_stand_alone(fcinfo, "verify_backup");
	INSTR_TIME_SET_CURRENT(v.start);
	initStringInfo(&v.details);
	pipeline_init(&v.pipeline);
	prepare(&v, PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0), PG_ARGISNULL(0));
	procedure_leave_transaction();
	MemoryContextSwitchTo(memory);
	error = try_to_verify(&v, memory);
	finish(&v, error, memory);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	PG_RETURN_VOID();
}
