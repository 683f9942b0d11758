/*
 * placeholders.h
 *		%f and its kin in the arguments of programs and in locations.  Pure: no
 *		server, no allocation.
 */
#ifndef BACKUPS_PLACEHOLDERS_H
#define BACKUPS_PLACEHOLDERS_H

#include <stdbool.h>
#include <stddef.h>

/* A letter, and what stands for it; a list ends with letter 0. */
typedef struct Placeholder
{
	char		letter;
	const char *value;
} Placeholder;

/* The first % that is followed by neither another % nor one of the letters, or NULL. */
extern const char *placeholders_unknown(const char *text, const char *letters);

extern bool placeholders_has(const char *text, char letter);

/* The length of the result without its end; it is written as far as there is room. */
extern size_t placeholders_expand(const char *text, const Placeholder *placeholders, char *result,
								  size_t size);

#endif							/* BACKUPS_PLACEHOLDERS_H */
