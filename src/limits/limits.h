/*
 * limits.h
 *		The front door of the limits room: rate limits with named rules, lists of
 *		networks, and the hook for PostgREST.
 *
 * pattyly.c calls limits_init.  Settings and failure handling, which the files
 * of this room share, are declared here too.
 */
#ifndef LIMITS_LIMITS_H
#define LIMITS_LIMITS_H

#include "limits/address.h"
#include "limits/check.h"
#include "limits/wording.h"

/* Settings, see settings.c. */
extern int	limits_language;		/* Language */
extern char *limits_client_ip_header;
extern int	limits_ipv6_prefix;

/* pattyly.trusted_proxies, parsed. */
typedef struct TrustedProxies
{
	int			hops;			/* when n_networks is 0 */
	int			n_networks;
	Network		networks[FLEXIBLE_ARRAY_MEMBER];
} TrustedProxies;

extern const TrustedProxies *limits_trusted_proxies;

extern bool limits_is_header_name(const char *name);

extern void limits_init(void);
extern void limits_settings_init(void);
extern void limit_routes_init(void);

/*
 * Whether the limiter can work.  When not (the library is not preloaded): an
 * error, or false where pattyly.on_limiter_failure says to allow.
 */
extern bool limits_ready(void);

/* Takes in committed changes of rules and lists, once per SQL call. */
extern uint64 limits_catch_up(void);

/*
 * limits_run() with what every caller needs around it: the current time, the
 * key's address for the lists, and on failure results that allow, or an error.
 */
extern void limits_check(LimitCall *call, LimitKey *key, const LimitRule *const *rules, int n,
						 LimitResult *results);

/* Raises what tells the caller that he was refused; see prerequest.c. */
pg_noreturn extern void limits_raise_refusal(const LimitResult *results, int n, int64 now_us);

/* "Retry-After" of a result in seconds, or NO_RETRY. */
extern int64 limits_retry_after_s(const LimitResult *result, int64 now_us);

/* The longest header text that n limits can have. */
#define LIMIT_HEADER_SIZE	(LIMITS_PER_CALL * (LIMIT_NAME_SIZE * 2 + 80))

/* RateLimit and RateLimit-Policy of several results, as StringInfo-free text. */
extern void limits_header_status(char *text, size_t size, const LimitResult *results, int n,
								 int64 now_us);
extern void limits_header_policy(char *text, size_t size, const LimitResult *results, int n);

/* The key text that stands for an address; see pattyly.client_key. */
extern size_t limits_address_key(const Address *address, char text[ADDRESS_TEXT_SIZE]);

#endif							/* LIMITS_LIMITS_H */
