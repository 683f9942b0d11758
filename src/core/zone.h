/*
 * zone.h
 *		The time zones of PostgreSQL for the pure calendar (civil.h).
 */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include "core/civil.h"

/* The zone of a name that SET timezone takes; an error (22023) for any other. Stays valid. */
extern CivilZone zone_find(const char *name);

/* False instead of the error. */
extern bool zone_try(const char *name, CivilZone *zone);

#endif							/* CORE_ZONE_H */
