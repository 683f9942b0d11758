/*
 * claimpath.h
 *		Paths into the claims, as pattyly.claim() takes them: app_metadata.roles[0],
 *		app_metadata.roles.0, "https://example.com/claims".tenant.
 *
 * Pure: knows no PostgreSQL header, allocates nothing, raises nothing.
 */
#ifndef ACCESS_CLAIMPATH_H
#define ACCESS_CLAIMPATH_H

#include <stdbool.h>
#include <stddef.h>

#define CLAIM_PATH_MAX_STEPS 32

typedef struct ClaimPath
{
	int			n;
	const char *steps[CLAIM_PATH_MAX_STEPS];	/* names and indexes, NUL-terminated */
} ClaimPath;

/*
 * The steps stand in buffer, which takes 2 * length + 1 bytes.  A step is a bare name, or one in double quotes, in
 * which two quotes are one; [n] is an index, from the end when negative.  Returns NULL, or what is wrong.
 */
extern const char *claim_path_parse(const char *path, size_t length, char *buffer, ClaimPath *result);

#endif							/* ACCESS_CLAIMPATH_H */
