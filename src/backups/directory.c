/*
 * directory.c
 *		See directory.h.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backups/backups.h"
#include "backups/directory.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"

static char *
clean_path(const char *path)
{
	char	   *copy = pstrdup(path);

	canonicalize_path(copy);
	return copy;
}

/* The data directory is copied, checksummed and deleted by others. */
static void
must_be_outside_of_data(const char *path)
{
	char		resolved[PATH_MAX];

	if (realpath(path, resolved) == NULL || !path_is_prefix_of_path(DataDir, resolved))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("backup directory \"%s\" is inside of the data directory", path),
			 errhint("Set pattyly.backup_directory to a directory elsewhere, best on another disk.")));
}

static void
cannot_open(const char *path)
{
	if (errno == ELOOP || errno == ENOTDIR)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("backup directory \"%s\" is a symbolic link, or no directory", path),
				 errhint("Set pattyly.backup_directory to the directory itself.")));
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open backup directory \"%s\": %m", path),
			 errhint("Make it as the server's account, with mode 0700: mkdir -m 700.")));
}

static int
open_directory(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
directory_open(void)
{
	char	   *path = clean_path(backups_directory);
	int			directory;

	if (*path == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no directory for backups"),
				 errhint("A superuser names one: ALTER SYSTEM SET pattyly.backup_directory = '/var/backups/postgresql', then SELECT pg_reload_conf().")));
	must_be_outside_of_data(path);
	directory = open_directory(path);
	if (directory < 0)
		cannot_open(path);
	ReserveExternalFD();
	return directory;
}

void
directory_close(int *fd)
{
	if (*fd < 0)
		return;
	close(*fd);
	ReleaseExternalFD();
	*fd = -1;
}

char *
directory_path(const char *name)
{
	return psprintf("%s/%s", clean_path(backups_directory), name);
}

char *
directory_partial_name(const char *name, int64 id)
{
	return psprintf("%s.%u-" INT64_FORMAT DIRECTORY_PARTIAL, name, MyDatabaseId, id);
}

int
directory_create(int directory, const char *name)
{
	int			fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", directory_path(name)),
				 errhint("The server's account needs the right to write into the backup directory.")));
	ReserveExternalFD();
	return fd;
}

/* Where there are no hard links, a name that somebody takes at the very moment is lost. */
static int
give_name(int directory, const char *partial, const char *name)
{
	if (linkat(directory, partial, directory, name, 0) == 0)
		return unlinkat(directory, partial, 0);
	if (errno != EPERM && errno != ENOTSUP && errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
	{
		errno = EEXIST;
		return -1;
	}
	return renameat(directory, partial, directory, name);
}

void
directory_finish(int directory, int fd, const char *partial, const char *name)
{
	if (pg_fsync(fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", directory_path(partial)),
				 errhint("The disk may be full or broken; the backup is not safe.")));
	if (give_name(directory, partial, name) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not name file \"%s\": %m", directory_path(name)),
				 errhint("Choose a label of which there is no backup yet.")));
	/* Some file systems cannot do that with a directory; the server does not mind, either. */
	if (fsync(directory) != 0 && errno != EBADF && errno != EINVAL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync directory \"%s\": %m", backups_directory),
				 errhint("The disk may be broken; the backup is not safe.")));
}

int
directory_read(int directory, const char *name)
{
	struct stat st;
	int			fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
	{
		if (fd >= 0)
			close(fd);
		ereport(ERROR,
				(fd < 0 ? errcode_for_file_access() : errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 fd < 0 ? errmsg("could not open file \"%s\": %m", directory_path(name)) :
				 errmsg("\"%s\" is no plain file", directory_path(name)),
				 errhint("Somebody has moved, removed or replaced it.")));
	}
	ReserveExternalFD();
	return fd;
}

int
directory_remove(int directory, const char *name)
{
	if (unlinkat(directory, name, 0) != 0)
		return errno;
	(void) fsync(directory);
	return 0;
}

int64
directory_size(int directory, const char *name)
{
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) ? st.st_size : -1;
	if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not look at file \"%s\": %m", directory_path(name)),
				 errhint("That says nothing about the backup: look at the disk of the backup directory.")));
	return -1;
}

const char *
directory_file_of(const char *location)
{
	char	   *path = clean_path(backups_directory);
	size_t		length = strlen(path);
	const char *name = location + length + 1;

	if (length == 0 || strncmp(location, path, length) != 0 || location[length] != '/' ||
		*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return NULL;
	return name;
}

int64
directory_free_bytes(int directory)
{
	struct statvfs vfs;

	return fstatvfs(directory, &vfs) == 0 ? (int64) vfs.f_bavail * vfs.f_frsize : 0;
}

PATTYLY_FUNCTION(pattyly_stored_backup_bytes);

/* (location text): only of the directory that a superuser named. */
Datum
pattyly_stored_backup_bytes(PG_FUNCTION_ARGS)
{
	const char *name = PG_ARGISNULL(0) ? NULL :
		directory_file_of(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	int			directory;
	int64		bytes;

	if (name == NULL)
		PG_RETURN_NULL();
	/* A directory that is gone has no files: that ends in doubt, not in an error. */
	directory = open_directory(clean_path(backups_directory));
	if (directory < 0)
		PG_RETURN_INT64(-1);
	bytes = directory_size(directory, name);
	close(directory);
	PG_RETURN_INT64(bytes);
}
