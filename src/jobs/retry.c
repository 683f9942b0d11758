/*
 * retry.c
 *		See retry.h.
 */
#include "jobs/retry.h"

#define LONGEST_US	(INT64_C(3600) * 1000000)

int64_t
retry_delay_us(int64_t delay_us, int attempt, double chance)
{
	int64_t		longest_us = delay_us > LONGEST_US ? delay_us : LONGEST_US;

	for (int i = 1; i < attempt && delay_us < longest_us; i++)
		delay_us = delay_us > longest_us / 2 ? longest_us : delay_us * 2;
	return delay_us + (int64_t) ((double) delay_us / 8 * (2 * chance - 1));
}
