/*
 * asowner.h
 *		Who may change a table's partitions, and the lock of a set.  For the files of
 *		this room.
 */
#ifndef PARTITIONS_ASOWNER_H
#define PARTITIONS_ASOWNER_H

#include "storage/lock.h"

/* The table's owner; an error (42501) unless the current user has its rights. */
extern Oid	asowner_check(Oid table);

/* Taken in ExclusiveLock by whoever changes the set. */
extern LOCKTAG asowner_set_lock(Oid parent);

#endif							/* PARTITIONS_ASOWNER_H */
