/*
 * backups.h
 *		What the files of this room share: its settings, and its beginnings.
 *		The front door calls backups_init().
 */
#ifndef BACKUPS_BACKUPS_H
#define BACKUPS_BACKUPS_H

extern void backups_init(void);

/* Registered by the room as well. */
extern void incarnation_init(void);

/* Settings; only a superuser changes them.  Texts are '' when not set. */
extern char *backups_directory;
extern char *backups_location;
extern char *backups_stages;
extern char *backups_fetch_stages;
extern char *backups_remove_stages;
extern int	backups_timeout_s;
extern int	backups_rpo_min;

#endif							/* BACKUPS_BACKUPS_H */
