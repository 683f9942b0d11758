/*
 * estimate.h
 *		How many objects the caller may see, as the statistics have it: for the
 *		planner, which must know before anything is read.
 */
#ifndef ACCESS_ESTIMATE_H
#define ACCESS_ESTIMATE_H

#include "access/relations.h"

/* At least 1. */
extern double access_estimate(const AccessRelation *relation);

#endif							/* ACCESS_ESTIMATE_H */
