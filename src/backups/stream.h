/*
 * stream.h
 *		A backup on its way: read from a program or a file, counted and hashed,
 *		written into a file or to another program.
 */
#ifndef BACKUPS_STREAM_H
#define BACKUPS_STREAM_H

#include "common/cryptohash.h"
#include "common/sha2.h"

#define STREAM_ENDS_BYTES	512
#define STREAM_CHECKSUM_CHARS (7 + PG_SHA256_DIGEST_STRING_LENGTH)

typedef struct Stream
{
	int			in;				/* where it comes from: a pipe that does not block, or a file */
	int			out;			/* a file, a pipe, or -1: it is only read */
	bool		out_is_pipe;
	bool		out_closed;		/* nobody reads from that pipe any more: copying has stopped */
	int			copy;			/* a pipe to who looks on, or -1; closed when he does not want any more */
	bool		copy_is_slow;	/* he took nothing for so long that he was given up */
	bool		announced;
	void		(*on_first) (void *argument);	/* called once, when the head is there */
	void		(*on_end) (void *argument); /* called at the end of what comes in */
	void	   *argument;

	int64		bytes;
	char		head[STREAM_ENDS_BYTES];	/* how it begins and ends */
	char		tail[STREAM_ENDS_BYTES];
	int			head_length;
	int			tail_length;
	char		checksum[STREAM_CHECKSUM_CHARS];	/* "sha256:..." */
	pg_cryptohash_ctx *hash;
} Stream;

/* Until the end of what comes in.  Waits with program_wait(); an error when writing fails. */
extern void stream_copy(Stream *stream);

/* After an error: what would leak.  Harmless when there is nothing. */
extern void stream_free(Stream *stream);

/* Reading and writing such a descriptor does not block. */
extern void stream_unblock(int fd);

#endif							/* BACKUPS_STREAM_H */
