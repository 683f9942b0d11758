/*
 * keyposition.h
 *		PostgreSQL's values as positions of a grid (grid.h): numbers in their order.
 *		For the files of this room.
 */
#ifndef PARTITIONS_KEYPOSITION_H
#define PARTITIONS_KEYPOSITION_H

#include "partitions/grid.h"

/* Whether values of the type can be keys. */
extern bool keyposition_is_known(Oid type);

/* The kind of key it is by itself, without an encoding; a UUID's is of version 7. */
extern GridKey keyposition_grid_key(Oid type);

/* Infinite times lie at the ends; of a UUID only the first 8 bytes count. */
extern int64 keyposition(Oid type, Datum value);
extern bool keyposition_is_infinite(Oid type, Datum value);

#endif							/* PARTITIONS_KEYPOSITION_H */
