/*
 * restoring.h
 *		Lets the sessions of run_backup() and verify_backup() work on what others own
 *		without lending them their superuser.
 */
#ifndef BACKUPS_RESTORING_H
#define BACKUPS_RESTORING_H

/* For the environment of pg_restore; a session of psql sets it itself. */
#define RESTORING_OPTIONS "PGOPTIONS=-c pattyly.restoring=on -c lc_messages=C"

extern void restoring_init(void);

#endif							/* BACKUPS_RESTORING_H */
