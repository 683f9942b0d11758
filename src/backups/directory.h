/*
 * directory.h
 *		The files of pattyly.backup_directory.  All is done relative to the open
 *		directory, and follows no link, so that nobody who can rename things nearby
 *		makes the server write elsewhere.
 */
#ifndef BACKUPS_DIRECTORY_H
#define BACKUPS_DIRECTORY_H

#define DIRECTORY_PARTIAL ".partial"

/* Opens it; an error that says what is wrong with it (55000, 58P01, 42501 ...). */
extern int	directory_open(void);

/* The directory, or a file of it. */
extern void directory_close(int *fd);

/* What a file is called until it is complete, palloc'd: databases may share the directory. */
extern char *directory_partial_name(const char *name, int64 id);

/* A new file for writing; an error when there is one. */
extern int	directory_create(int directory, const char *name);

/* Names a file that is complete and safe on disk; an error when the name is taken. */
extern void directory_finish(int directory, int fd, const char *partial, const char *name);

/* A file for reading; an error when it is not there or is no plain file. */
extern int	directory_read(int directory, const char *name);

/* 0, or the errno that it failed with. */
extern int	directory_remove(int directory, const char *name);

/* The size of a file; -1 when it is not there or is no plain file. */
extern int64 directory_size(int directory, const char *name);

/* The name of a file of the directory, within the text; NULL when the location is somewhere else. */
extern const char *directory_file_of(const char *location);

extern char *directory_path(const char *name);

/* Bytes that are free for it. */
extern int64 directory_free_bytes(int directory);

#endif							/* BACKUPS_DIRECTORY_H */
