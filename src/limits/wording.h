/*
 * wording.h
 *		What a refused or counted call is told over HTTP: the text of a refusal
 *		and the RateLimit header fields.
 *
 * Pure C.  Every function writes at most size bytes with the closing zero and
 * returns the length it would have liked, as snprintf does.
 *
 * Header fields: draft-ietf-httpapi-ratelimit-headers-10, in the syntax of
 * RFC 9651 (structured field values).
 */
#ifndef LIMITS_WORDING_H
#define LIMITS_WORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Language
{
	LANGUAGE_FR,
	LANGUAGE_EN
} Language;

#define NO_RETRY (-1)			/* retry_after_s of a refusal that no waiting ends */

/* A rule's own text, or the language's when there is none or it promises a time and there is none. */
extern size_t wording_refusal(char *text, size_t size, const char *own, Language language,
							  int64_t retry_after_s, const char *limit_name);

/* "login";q=10;w=3600		w is left out when 0 */
extern size_t wording_policy(char *text, size_t size, const char *limit_name, int64_t max_hits,
							 int64_t window_s);

/* "login";r=9;t=3600		t is left out when 0 */
extern size_t wording_status(char *text, size_t size, const char *limit_name, int64_t remaining,
							 int64_t next_s);

/* Microseconds to whole seconds, rounded up. */
extern int64_t wording_seconds(int64_t us);

#endif							/* LIMITS_WORDING_H */
