/*
 * check.c
 *		See check.h.
 *
 * The list of an archive stands at its beginning and tells nothing of an end
 * that is missing: pg_restore reads all of it, and throws it away.
 */
#include "postgres.h"

#include "backups/check.h"
#include "backups/client.h"
#include "core/compat.h"

#define TAR_BLOCK 512
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

char *
check_ends(ArchiveFormat format, const Stream *stream)
{
	if (format == ARCHIVE_TAR && !ends_like_tar(stream))
		return pstrdup("the end of the archive is missing: it has no empty block there");
	if (format == ARCHIVE_PLAIN && !contains(stream->tail, stream->tail_length, PLAIN_END))
		return pstrdup("the end of the dump is missing: it does not say \"" PLAIN_END "\"");
	return NULL;
}

static char *
complaint(const Program *program, const char *what)
{
	return psprintf("%s: %s%s%s", what, program_describe_end(program), program->tail_length > 0 ? ": " : "", program->tail);
}

char *
check_file(ArchiveFormat format, const char *path)
{
	Stage		stage;
	Program    *program;

	if (format == ARCHIVE_CUSTOM || format == ARCHIVE_TAR)
		client_stage(&stage, "pg_restore", "--file=/dev/null", path, NULL);
	else if (format == ARCHIVE_GZIP)
		client_stage(&stage, "gzip", "--test", path, NULL);
	else
		return NULL;
	program = program_start(&stage, -1, -1);
	while (!program->ended)
		program_wait(program->error_fd, false);
	return program_exit_status(program) == 0 ? NULL : complaint(program, "the archive cannot be read");
}
