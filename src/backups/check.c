/*
 * check.c
 *		See check.h.
 *
 * The list of an archive stands at its beginning and tells nothing of an end
 * that is missing.  A tar archive is read through and thrown away; to unpack
 * one of custom format takes nearly as long as it took to pack it, and so its
 * list and its end are looked at, and verify_backup() does the rest.
 */
#include "postgres.h"

#include "backups/check.h"
#include "backups/client.h"
#include "core/compat.h"

#define TAR_BLOCK 512
/* A sign and four bytes: that many more bytes of rows follow, none. */
#define CUSTOM_END_BYTES 5
#define PLAIN_END "PostgreSQL database dump complete"

static bool
contains(const char *bytes, int length, const char *text)
{
	return memmem(bytes, length, text, strlen(text)) != NULL;
}

ArchiveFormat
check_format(const Stream *stream)
{
	const unsigned char *head = (const unsigned char *) stream->head;
	int			length = stream->head_length;

	if (length >= 5 && memcmp(head, "PGDMP", 5) == 0)
		return ARCHIVE_CUSTOM;
	if (length >= 8 && memcmp(head, "toc.dat", 8) == 0)
		return ARCHIVE_TAR;
	if (length >= 2 && head[0] == 0x1f && head[1] == 0x8b)
		return ARCHIVE_GZIP;
	return contains(stream->head, length, "-- PostgreSQL database dump") ? ARCHIVE_PLAIN : ARCHIVE_UNKNOWN;
}

const char *
check_format_name(ArchiveFormat format)
{
	static const char *const names[] = {"unknown", "custom", "tar", "plain", "gzip"};

	return names[format];
}

/* pg_restore takes what is missing at the end of a tar archive for the end of its rows. */
static bool
ends_like_tar(const Stream *stream)
{
	for (int i = 0; i < stream->tail_length; i++)
		if (stream->tail[i] != '\0')
			return false;
	return stream->bytes % TAR_BLOCK == 0;
}

/* The marker after the last rows; without any, the place in the file of what comes last in the list, which is 0. */
static bool
ends_like_custom(const Stream *stream)
{
	static const char marker[CUSTOM_END_BYTES];

	return stream->tail_length >= CUSTOM_END_BYTES &&
		memcmp(stream->tail + stream->tail_length - CUSTOM_END_BYTES, marker, CUSTOM_END_BYTES) == 0;
}

char *
check_ends(ArchiveFormat format, const Stream *stream)
{
	if (format == ARCHIVE_UNKNOWN)
		return pstrdup("what was written is no dump that can be read: neither custom nor tar, nor SQL, nor SQL in gzip");
	if (format == ARCHIVE_CUSTOM && !ends_like_custom(stream))
		return pstrdup("the end of the archive is missing: it does not end as rows do");
	if (format == ARCHIVE_TAR && !ends_like_tar(stream))
		return pstrdup("the end of the archive is missing: it has no empty block there");
	if (format == ARCHIVE_PLAIN && !contains(stream->tail, stream->tail_length, PLAIN_END))
		return pstrdup("the end of the dump is missing: it does not say \"" PLAIN_END "\"");
	return NULL;
}

/* ---- reading all of it ---- */

/* What pg_restore says when it, and not what it reads, is the problem. */
static const char *const no_fault_of_the_archive[] = {
	"out of memory", "non-seekable", "could not run", "could not write", "could not open output file"
};

static Verdict
verdict_on(const Program *program, char **reason)
{
	int			status = program_exit_status(program);

	*reason = NULL;
	if (status == 0)
		return VERDICT_GOOD;
	*reason = psprintf("%s%s%s", program_describe_end(program), program->tail_length > 0 ? ": " : "", program->tail);
	if (status < 0 || status > 125)
		return VERDICT_NONE;
	for (int i = 0; i < lengthof(no_fault_of_the_archive); i++)
		if (strstr(program->tail, no_fault_of_the_archive[i]) != NULL)
			return VERDICT_NONE;
	*reason = psprintf("the archive cannot be read: %s", *reason);
	return VERDICT_BAD;
}

/* What reads such an archive from a file, or from its input; false when nothing here does. */
static bool
reader_of(ArchiveFormat format, const char *path, Stage *stage)
{
	if (format == ARCHIVE_CUSTOM)
		client_stage(stage, "pg_restore", "--list", path, NULL);
	else if (format == ARCHIVE_TAR)
		client_stage(stage, "pg_restore", "--file=/dev/null", path, NULL);
	else if (format == ARCHIVE_GZIP)
		client_stage(stage, "gzip", "--test", path, NULL);
	else
		return false;
	return true;
}

Verdict
check_file(ArchiveFormat format, const char *path, char **reason)
{
	Stage		stage;
	Program    *program;

	*reason = NULL;
	if (!reader_of(format, path, &stage))
		return VERDICT_GOOD;
	program = program_start(&stage, -1, -1);
	program_wait_for(program);
	return verdict_on(program, reason);
}

/* ---- while it passes by ---- */

static void
start_reader(Checker *checker)
{
	Stage		stage;
	int			fds[2];

	if (!reader_of(checker->format, NULL, &stage))
		return;
	program_pipe(fds);
	stream_unblock(fds[1]);
	checker->program = program_start(&stage, fds[0], -1);
	checker->stream->copy = fds[1];
}

void
checker_start(Checker *checker, Stream *stream)
{
	MemoryContext memory = CurrentMemoryContext;

	*checker = (Checker) {.stream = stream, .format = check_format(stream)};
	PG_TRY();
	{
		start_reader(checker);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		FlushErrorState();
	}
	PG_END_TRY();
}

Verdict
checker_finish(Checker *checker, char **reason)
{
	*reason = "there is no program for it";
	if (checker->program == NULL)
		return VERDICT_NONE;
	program_close(&checker->stream->copy);
	*reason = "what was to read it hangs";
	if (checker->stream->copy_is_slow)
		return VERDICT_NONE;
	program_wait_for(checker->program);
	return verdict_on(checker->program, reason);
}
