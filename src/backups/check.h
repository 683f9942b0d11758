/*
 * check.h
 *		Whether what was written looks like a backup that can be read again.
 */
#ifndef BACKUPS_CHECK_H
#define BACKUPS_CHECK_H

#include "backups/program.h"
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

/*
 * A program that reads what passes by as if it were to be restored.  It costs no
 * time of its own where there is a processor to spare.
 */
typedef struct Checker
{
	Stream	   *stream;
	Program    *program;		/* NULL: there is none for such a format, or it could not be started */
	ArchiveFormat format;
} Checker;

typedef enum Verdict
{
	VERDICT_GOOD,
	VERDICT_BAD,				/* it complains */
	VERDICT_NONE				/* nothing was found out, and it is not the backup's fault */
} Verdict;

/* When the head of the stream is there.  Raises nothing: a backup does not fail for it. */
extern void checker_start(Checker *checker, Stream *stream);

/* When the stream has ended.  *reason: what it said, or why there is no verdict, palloc'd. */
extern Verdict checker_finish(Checker *checker, char **reason);

/* The same, of a file, which takes as long as reading all of it takes. */
extern Verdict check_file(ArchiveFormat format, const char *path, char **reason);

/* Of what has only passed by. */
extern char *check_ends(ArchiveFormat format, const Stream *stream);

#endif							/* BACKUPS_CHECK_H */
