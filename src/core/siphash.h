/*
 * siphash.h
 *		SipHash, a keyed hash that nobody can aim without the key: who chooses the
 *		input can neither fill one bucket nor make two inputs meet.
 *
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with the
 * 128-bit output of the reference code.  Pure C; any room may call it.
 */
#ifndef CORE_SIPHASH_H
#define CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct SipHash
{
	uint64_t	lo;
	uint64_t	hi;
} SipHash;

/*
 * A key is 16 bytes, kept as two words; so a hash can key another hash.
 * SipHash-2-4 is the cautious one, SipHash-1-3 is for the hot path.
 */
extern SipHash siphash_2_4(SipHash key, const void *data, size_t length);
extern SipHash siphash_1_3(SipHash key, const void *data, size_t length);

#endif							/* CORE_SIPHASH_H */
