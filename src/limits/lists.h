/*
 * lists.h
 *		Allowed and denied networks: the backend's copy of pattyly.ip_list.
 */
#ifndef LIMITS_LISTS_H
#define LIMITS_LISTS_H

#include "limits/address.h"

typedef enum ListAction
{
	LIST_NONE,
	LIST_ALLOW,
	LIST_DENY
} ListAction;

extern void limit_lists_init(void);
extern void limit_lists_catch_up(void);

/* False when no row is there, so that nobody need parse an address. */
extern bool limit_lists_any(void);

/* Whether some network is denied, so that an address that cannot be told might be. */
extern bool limit_lists_deny_any(int64 now_us);

/*
 * What the most specific unexpired network says under this limit.  limit_name
 * NULL asks for rows that hold for every limit only.
 */
extern ListAction limit_lists_find(const Address *address, const char *limit_name, int64 now_us);

#endif							/* LIMITS_LISTS_H */
