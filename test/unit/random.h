/*
 * random.h
 *		Numbers that look random and are the same in every run (splitmix64).
 */
#ifndef TEST_UNIT_RANDOM_H
#define TEST_UNIT_RANDOM_H

#include <stdint.h>

typedef struct Random
{
	uint64_t	seed;
} Random;

static inline uint64_t
random_bits(Random *random)
{
	uint64_t	z = (random->seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* From low to high, both included. */
static inline int64_t
random_in(Random *random, int64_t low, int64_t high)
{
	return low + (int64_t) (random_bits(random) % ((uint64_t) (high - low) + 1));
}

/* True once in n times. */
static inline bool
random_once_in(Random *random, int n)
{
	return random_bits(random) % (uint64_t) n == 0;
}

/* From 0 to high, small numbers as likely as large ones: each power of two gets its share. */
static inline int64_t
random_scaled(Random *random, int64_t high)
{
	int			bits = (int) (random_bits(random) % 64);
	int64_t		number = (int64_t) (random_bits(random) >> bits >> 1);

	return number <= high ? number : random_in(random, 0, high);
}

#endif							/* TEST_UNIT_RANDOM_H */
