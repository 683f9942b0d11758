/*
 * siphash.c
 *		See siphash.h.
 */
#include "core/siphash.h"

#include <string.h>

static inline uint64_t
rotate_left(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t
read_word(const unsigned char *p)
{
	uint64_t	word;

	memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline __attribute__((always_inline)) void
sip_rounds(uint64_t v[4], int rounds)
{
	while (rounds-- > 0)
	{
		v[0] += v[1];
		v[1] = rotate_left(v[1], 13) ^ v[0];
		v[0] = rotate_left(v[0], 32);
		v[2] += v[3];
		v[3] = rotate_left(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate_left(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate_left(v[1], 17) ^ v[2];
		v[2] = rotate_left(v[2], 32);
	}
}

static inline __attribute__((always_inline)) void
absorb(uint64_t v[4], uint64_t word, int rounds)
{
	v[3] ^= word;
	sip_rounds(v, rounds);
	v[0] ^= word;
}

/* The numbers of rounds are constants in each use, so that no loop over them remains. */
static inline __attribute__((always_inline)) SipHash
siphash128(SipHash key, const void *data, size_t length, int c_rounds, int d_rounds)
{
	const unsigned char *p = data;
	const unsigned char *end = p + (length & ~(size_t) 7);
	uint64_t	last = (uint64_t) length << 56;
	uint64_t	v[4] = {
		UINT64_C(0x736f6d6570736575) ^ key.lo,
		UINT64_C(0x646f72616e646f6d) ^ key.hi ^ 0xee,
		UINT64_C(0x6c7967656e657261) ^ key.lo,
		UINT64_C(0x7465646279746573) ^ key.hi
	};
	SipHash		hash;

	for (; p != end; p += 8)
		absorb(v, read_word(p), c_rounds);
	for (int i = 0; i < (int) (length & 7); i++)
		last |= (uint64_t) p[i] << (8 * i);
	absorb(v, last, c_rounds);

	v[2] ^= 0xee;
	sip_rounds(v, d_rounds);
	hash.lo = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	sip_rounds(v, d_rounds);
	hash.hi = v[0] ^ v[1] ^ v[2] ^ v[3];
	return hash;
}

SipHash
siphash_2_4(SipHash key, const void *data, size_t length)
{
	return siphash128(key, data, length, 2, 4);
}

SipHash
siphash_1_3(SipHash key, const void *data, size_t length)
{
	return siphash128(key, data, length, 1, 3);
}
