/*
 * limits.c
 *		See limits.h: the room declares what it needs.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/preload.h"
#include "limits/limits.h"
#include "limits/lists.h"

void
limits_init(void)
{
	limits_settings_init();
	limit_rules_init();
	limit_lists_init();
	limit_routes_init();
	if (preload_done())
		limit_store_init();
}
