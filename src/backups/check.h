/*
 * check.h
 *		Whether what was written looks like a backup that can be read again.
 */
#ifndef BACKUPS_CHECK_H
#define BACKUPS_CHECK_H

#include "backups/stream.h"

typedef enum ArchiveFormat
{
	ARCHIVE_UNKNOWN,
	ARCHIVE_CUSTOM,				/* pg_dump --format=custom */
	ARCHIVE_TAR,				/* pg_dump --format=tar */
	ARCHIVE_PLAIN,				/* SQL of pg_dump */
	ARCHIVE_GZIP
} ArchiveFormat;

extern ArchiveFormat check_format(const Stream *stream);
extern const char *check_format_name(ArchiveFormat format);

/* Of what is in a file: why it is no good, palloc'd, or NULL.  Runs programs; a set has to be begun. */
extern char *check_file(ArchiveFormat format, const char *path);

/* Of what has only passed by. */
extern char *check_ends(ArchiveFormat format, const Stream *stream);

#endif							/* BACKUPS_CHECK_H */
