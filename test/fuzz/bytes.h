/*
 * bytes.h
 *		Turns a fuzzer's bytes into decisions, and a broken promise into a crash.
 */
#ifndef TEST_FUZZ_BYTES_H
#define TEST_FUZZ_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bytes
{
	const uint8_t *at;
	size_t		left;
} Bytes;

/* 0 once there are none left. */
static inline uint8_t
bytes_one(Bytes *bytes)
{
	if (bytes->left == 0)
		return 0;
	bytes->left--;
	return *bytes->at++;
}

static inline uint64_t
bytes_word(Bytes *bytes, int n)
{
	uint64_t	word = 0;

	while (n-- > 0)
		word = word << 8 | bytes_one(bytes);
	return word;
}

/* 0 to most; a byte says how many bytes follow, so that small numbers come often. */
static inline int64_t
bytes_number(Bytes *bytes, int64_t most)
{
	uint64_t	word = bytes_word(bytes, bytes_one(bytes) % 9);

	return word <= (uint64_t) most ? (int64_t) word : (int64_t) (word % ((uint64_t) most + 1));
}

/* In memory of its own length, so that a byte read behind the end is caught. */
static inline char *
bytes_copy(const void *data, size_t length)
{
	char	   *copy = malloc(length > 0 ? length : 1);

	if (length > 0)
		memcpy(copy, data, length);
	return copy;
}

#define must(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif							/* TEST_FUZZ_BYTES_H */
