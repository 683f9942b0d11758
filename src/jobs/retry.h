/*
 * retry.h
 *		How long a failed run waits for its next attempt.  Pure C.
 */
#ifndef JOBS_RETRY_H
#define JOBS_RETRY_H

#include <stdint.h>

/*
 * The delay doubles with each attempt (1 is the first) until it would pass an
 * hour, or stays when it is longer from the start; then an eighth more or less,
 * by "chance" from 0 to 1, so that what failed together does not come together.
 */
extern int64_t retry_delay_us(int64_t delay_us, int attempt, double chance);

#endif							/* JOBS_RETRY_H */
