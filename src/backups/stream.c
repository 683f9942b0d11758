/*
 * stream.c
 *		See stream.h.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "backups/program.h"
#include "backups/stream.h"
#include "core/compat.h"
#include "core/fault.h"
#include "miscadmin.h"
#include "portability/instr_time.h"

#define BUFFER_BYTES	(256 * 1024)
/* So much at a time is handed to the disk, that the fsync at the end has little left to do. */
#define FLUSH_BYTES		(8 * 1024 * 1024)
/* Who looks on may be held up by others, but not for ever. */
#define COPY_PATIENCE_S	60

void
stream_unblock(int fd)
{
	int			flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		elog(ERROR, "fcntl failed: %m");
#ifdef F_SETPIPE_SZ
	(void) fcntl(fd, F_SETPIPE_SZ, 1024 * 1024);
#endif
}

static void
hash_failed(Stream *stream)
{
	elog(ERROR, "could not compute a checksum: %s", pg_cryptohash_error(stream->hash));
}

static void
begin_hash(Stream *stream)
{
	stream->hash = pg_cryptohash_create(PG_SHA256);
	if (stream->hash == NULL || pg_cryptohash_init(stream->hash) < 0)
		hash_failed(stream);
}

static void
end_hash(Stream *stream)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *to = stream->checksum + sprintf(stream->checksum, "sha256:");

	if (pg_cryptohash_final(stream->hash, digest, sizeof(digest)) < 0)
		hash_failed(stream);
	for (int i = 0; i < sizeof(digest); i++)
		to += sprintf(to, "%02x", digest[i]);
	stream_free(stream);
}

void
stream_free(Stream *stream)
{
	if (stream->hash)
		pg_cryptohash_free(stream->hash);
	stream->hash = NULL;
}

static void
remember_ends(Stream *stream, const char *data, int length)
{
	int			head = Min(length, STREAM_ENDS_BYTES - stream->head_length);
	int			keep;

	memcpy(stream->head + stream->head_length, data, head);
	stream->head_length += head;
	if (length >= STREAM_ENDS_BYTES)
	{
		memcpy(stream->tail, data + length - STREAM_ENDS_BYTES, STREAM_ENDS_BYTES);
		stream->tail_length = STREAM_ENDS_BYTES;
		return;
	}
	keep = Min(stream->tail_length, STREAM_ENDS_BYTES - length);
	memmove(stream->tail, stream->tail + stream->tail_length - keep, keep);
	memcpy(stream->tail + keep, data, length);
	stream->tail_length = keep + length;
}

static bool
is_over(instr_time start, double seconds)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_DOUBLE(now) >= seconds;
}

static void
write_failed(const Stream *stream)
{
	/* A write that is cut short says so only at the next attempt. */
	if (errno == 0)
		errno = ENOSPC;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write the backup after " INT64_FORMAT " bytes: %m", stream->bytes),
			 errhint("Look at the disk of the backup directory.")));
}

static void
write_all(Stream *stream, const char *data, int length)
{
	while (length > 0 && !stream->out_closed)
	{
		ssize_t		written;

		errno = 0;
		written = write(stream->out, data, length);
		if (written > 0)
		{
			data += written;
			length -= (int) written;
		}
		else if (written < 0 && errno == EAGAIN && stream->out_is_pipe)
			program_wait(stream->out, true);
		else if (written < 0 && errno == EPIPE && stream->out_is_pipe)
			stream->out_closed = true;
		else if (written == 0 || errno != EINTR)
			write_failed(stream);
	}
}

/* Whatever is wrong with who looks on is no reason to end the backup. */
static void
write_copy(Stream *stream, const char *data, int length)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	while (length > 0 && stream->copy >= 0)
	{
		ssize_t		written = write(stream->copy, data, length);

		if (written > 0)
		{
			data += written;
			length -= (int) written;
			INSTR_TIME_SET_CURRENT(start);
		}
		else if (written < 0 && errno == EAGAIN && !is_over(start, COPY_PATIENCE_S))
			program_wait(stream->copy, true);
		else if (written == 0 || errno != EINTR)
		{
			stream->copy_is_slow = written < 0 && errno == EAGAIN;
			program_close(&stream->copy);
		}
	}
}

/* Once, when the head is there or there is no more; who looks on from then on gets what went before. */
static void
announce(Stream *stream)
{
	if (stream->announced || stream->head_length == 0)
		return;
	stream->announced = true;
	if (stream->on_first)
		stream->on_first(stream->argument);
	write_copy(stream, stream->head, (int) stream->bytes);
}

/*
 * Not pg_flush_data(), for which a disk that is broken is one of the database, and
 * the whole server panics.  What fails here fails at the fsync, too.
 */
static void
begin_flush(int fd, int64 from)
{
#ifdef HAVE_SYNC_FILE_RANGE
	if (enableFsync)
		(void) sync_file_range(fd, from, FLUSH_BYTES, SYNC_FILE_RANGE_WRITE);
#endif
}

static void
take(Stream *stream, const char *data, int length)
{
	int64		before = stream->bytes / FLUSH_BYTES;

	if (pg_cryptohash_update(stream->hash, (const uint8 *) data, length) < 0)
		hash_failed(stream);
	remember_ends(stream, data, length);
	if (stream->head_length == STREAM_ENDS_BYTES)
		announce(stream);
	if (stream->out >= 0)
		write_all(stream, data, length);
	write_copy(stream, data, length);
	stream->bytes += length;
	if (stream->out >= 0 && !stream->out_is_pipe && stream->bytes / FLUSH_BYTES > before)
		begin_flush(stream->out, before * FLUSH_BYTES);
}

void
stream_copy(Stream *stream)
{
	char	   *buffer = palloc(BUFFER_BYTES);
	ssize_t		length;

	begin_hash(stream);
	while (!stream->out_closed && (length = read(stream->in, buffer, BUFFER_BYTES)) != 0)
	{
		if (length > 0)
			take(stream, buffer, (int) length);
		else if (errno != EAGAIN && errno != EINTR)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read the backup: %m"),
					 errhint("Look at the disk.")));
		if (length < 0)
			program_wait(stream->in, false);
		else
			program_check();
		fault_point("backup_stream");
	}
	announce(stream);
	if (stream->on_end)
		stream->on_end(stream->argument);
	end_hash(stream);
	pfree(buffer);
}
