/*
 * restoring.h
 *		Lets verify_backup() restore a dump without lending its superuser to what is
 *		in the dump.
 */
#ifndef BACKUPS_RESTORING_H
#define BACKUPS_RESTORING_H

/* For the environment of pg_restore. */
#define RESTORING_OPTIONS "PGOPTIONS=-c pattyly.restoring=on"

extern void restoring_init(void);

#endif							/* BACKUPS_RESTORING_H */
