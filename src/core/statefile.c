/*
 * statefile.c
 *		See statefile.h.
 *
 * Why a mapping and not a dump: a dump loses what came after it, costs I/O in
 * proportion to the table each time, and can be cut off half-way.  The pages of
 * a mapping are the kernel's: they are in the file the moment they are written
 * to memory, whoever dies.  Only a crash of the operating system can lose some,
 * namely what the kernel had not written back yet (30 seconds on a stock Linux).
 *
 * The file is written with zeros before it is mapped: a hole would turn a full
 * disk into a SIGBUS later, and would cost a block allocation at the first hit.
 *
 * It lives in pg_stat_tmp, which base backups and pg_rewind leave out, so that a
 * standby never starts with the counters of its primary.
 *
 * Locking: none here.  Everything runs in the postmaster (or a single-user
 * backend) while nobody else is attached; PostgreSQL's own shared memory
 * interlock guarantees that before the hook runs.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "core/compat.h"
#include "core/statefile.h"
#include "port/atomics.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#define STATEFILE_MAGIC "pattyly\n"

/* Written once, when the file is made. */
typedef struct FileIdentity
{
	char		magic[8];
	uint32		format;
	uint32		capacity;
	uint64		size;			/* of the whole file */
	uint64		system_identifier;
	SipHash		secret;
	pg_crc32c	crc;			/* of what stands before */
} FileIdentity;

/* Written by a clean shutdown, cleared by the next start. */
typedef struct FileSeal
{
	TimestampTz saved_at;
	uint32		sealed;
	pg_crc32c	body_crc;
	pg_crc32c	crc;			/* of what stands before */
} FileSeal;

typedef struct FileHeader
{
	FileIdentity identity;
	FileSeal	seal;
} FileHeader;

StaticAssertDecl(sizeof(FileHeader) <= STATEFILE_HEADER_SIZE, "the header has one page");

static pg_crc32c
crc_of(const void *data, Size length)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, length);
	FIN_CRC32C(crc);
	return crc;
}

const char *
statefile_fault(const char *bytes, Size length, uint32 format, uint64 system_identifier)
{
	FileHeader	header;

	if (length < STATEFILE_HEADER_SIZE)
		return "it is cut off in its header";
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.identity.magic, STATEFILE_MAGIC, sizeof(header.identity.magic)) != 0)
		return "it is no pattyly state file";
	if (header.identity.format != format)
		return header.identity.format < format ?
			"it was written by an older version" : "it was written by a newer version";
	if (header.identity.crc != crc_of(&header.identity, offsetof(FileIdentity, crc)))
		return "its header is damaged";
	if (header.identity.system_identifier != system_identifier)
		return "it belongs to another database system";
	if (header.identity.size != length)
		return length < header.identity.size ? "it is cut off" : "it is too long";
	if (!header.seal.sealed)
		return NULL;
	if (header.seal.crc != crc_of(&header.seal, offsetof(FileSeal, crc)) ||
		header.seal.body_crc != crc_of(bytes + STATEFILE_HEADER_SIZE,
									   length - STATEFILE_HEADER_SIZE))
		return "its contents are damaged";
	return NULL;
}

static void
set_aside(const char *path, const char *why)
{
	char		aside[MAXPGPATH];

	snprintf(aside, sizeof(aside), "%s.set-aside", path);
	ereport(WARNING,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not use pattyly state file \"%s\": %s", path, why),
			 errdetail("Counters start from zero."),
			 errhint("The file was kept as \"%s\"; remove it when nobody wants to look at it.",
					 aside)));
	if (rename(path, aside) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\" to \"%s\": %m", path, aside)));
}

/* Maps the file that stands there, or NULL when there is none or it is of no use. */
static char *
map_existing(const char *path, uint32 format, Size *size)
{
	int			fd = OpenTransientFile(path, O_RDWR | PG_BINARY);
	struct stat st;
	char	   *base = NULL;
	const char *fault = "it cannot be read";

	if (fd < 0)
	{
		if (errno != ENOENT)
			set_aside(path, "it cannot be opened");
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
	{
		*size = st.st_size;
		fault = "it is cut off in its header";
		if (*size >= STATEFILE_HEADER_SIZE)
		{
			base = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			fault = base == MAP_FAILED ? "it cannot be mapped" :
				statefile_fault(base, *size, format, GetSystemIdentifier());
		}
	}
	CloseTransientFile(fd);
	if (fault == NULL)
		return base;
	if (base != NULL && base != MAP_FAILED)
		munmap(base, *size);
	set_aside(path, fault);
	return NULL;
}

static bool
write_zeros(int fd, Size size)
{
	PGAlignedBlock zeros;

	memset(&zeros, 0, sizeof(zeros));
	for (Size done = 0; done < size;)
	{
		ssize_t		n = pg_pwrite(fd, zeros.data, Min(size - done, BLCKSZ), done);

		if (n <= 0)
		{
			errno = errno ? errno : ENOSPC;
			return false;
		}
		done += n;
	}
	return pg_fsync(fd) == 0;
}

static void
warn_not_durable(const char *path)
{
	ereport(WARNING,
			(errcode_for_file_access(),
			 errmsg("could not make pattyly state file \"%s\": %m", path),
			 errdetail("Counters will not survive a restart."),
			 errhint("Make room or mend the rights of the directory, and restart.")));
}

/* Makes a file of zeros under a temporary name and maps it. */
static char *
map_new(const char *path, Size size)
{
	char		temporary[MAXPGPATH];
	char	   *base = MAP_FAILED;
	int			fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = OpenTransientFile(temporary, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY);
	if (fd >= 0)
	{
		if (write_zeros(fd, size))
			base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (base == MAP_FAILED)
			warn_not_durable(path);
		CloseTransientFile(fd);
	}
	else
		warn_not_durable(path);
	if (base != MAP_FAILED)
		return base;
	unlink(temporary);
	return NULL;
}

static FileHeader *
header_of(const StateFile *file)
{
	return (FileHeader *) (file->memory - STATEFILE_HEADER_SIZE);
}

static void
write_back(StateFile *file, Size length)
{
	if (msync(header_of(file), length, MS_SYNC) != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write the pattyly state file: %m")));
}

/* At once, before anything else: a machine that stops may not leave the seal over what comes now. */
static void
unseal(StateFile *file)
{
	header_of(file)->seal.sealed = 0;
	write_back(file, STATEFILE_HEADER_SIZE);
}

static void
describe(StateFile *file, char *base, Size size)
{
	FileHeader *header = (FileHeader *) base;

	file->memory = base + STATEFILE_HEADER_SIZE;
	file->size = size - STATEFILE_HEADER_SIZE;
	file->capacity = header->identity.capacity;
	file->secret = header->identity.secret;
	file->saved_at = header->seal.saved_at;
	file->is_new = false;
	file->durable = true;
}

static void
write_identity(StateFile *file, uint32 format, const StateFile *old)
{
	FileIdentity *identity = &header_of(file)->identity;

	memcpy(identity->magic, STATEFILE_MAGIC, sizeof(identity->magic));
	identity->format = format;
	identity->capacity = file->capacity;
	identity->size = file->size + STATEFILE_HEADER_SIZE;
	identity->system_identifier = GetSystemIdentifier();
	if (old->memory != NULL)
		identity->secret = old->secret;
	else if (!pg_strong_random(&identity->secret, sizeof(identity->secret)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random secret for the pattyly state file"),
				 errhint("Without a secret, clients could choose keys that collide.")));
	identity->crc = crc_of(identity, offsetof(FileIdentity, crc));
	file->secret = identity->secret;
}

void
statefile_open(StateFile *file, const char *path, uint32 format, uint32 capacity, Size size,
			   StateFile *old)
{
	Size		wanted = size + STATEFILE_HEADER_SIZE;
	Size		found;
	char	   *base = map_existing(path, format, &found);

	memset(old, 0, sizeof(*old));
	if (base != NULL)
	{
		describe(file, base, found);
		unseal(file);
		if (file->capacity == capacity && found == wanted)
		{
			file->published = true;
			return;
		}
		*old = *file;
	}

	base = map_new(path, wanted);
	file->durable = base != NULL;
	if (base == NULL)
		base = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map %zu bytes for pattyly: %m", wanted),
				 errhint("Lower pattyly.max_keys.")));
	file->memory = base + STATEFILE_HEADER_SIZE;
	file->size = size;
	file->capacity = capacity;
	file->is_new = true;
	file->published = false;
	file->saved_at = old->saved_at;
	write_identity(file, format, old);
}

void
statefile_publish(StateFile *file, const char *path, StateFile *old)
{
	char		temporary[MAXPGPATH];

	if (file->durable && !file->published)
	{
		snprintf(temporary, sizeof(temporary), "%s.new", path);
		file->published = durable_rename(temporary, path, LOG) == 0;
		if (!file->published)
		{
			warn_not_durable(path);
			file->durable = false;
		}
	}
	if (old->memory != NULL)
		munmap((char *) header_of(old), old->size + STATEFILE_HEADER_SIZE);
	old->memory = NULL;
}

void
statefile_save(StateFile *file, TimestampTz now)
{
	FileSeal	seal = {.saved_at = now, .sealed = 1};

	if (!file->durable)
		return;
	write_back(file, file->size + STATEFILE_HEADER_SIZE);
	seal.body_crc = crc_of(file->memory, file->size);
	seal.crc = crc_of(&seal, offsetof(FileSeal, crc));

	/* After what it is of, and the word that says so last, lest a kill in between leave a seal that does not hold. */
	header_of(file)->seal.saved_at = seal.saved_at;
	header_of(file)->seal.body_crc = seal.body_crc;
	header_of(file)->seal.crc = seal.crc;
	pg_write_barrier();
	header_of(file)->seal.sealed = 1;
	write_back(file, STATEFILE_HEADER_SIZE);
}
