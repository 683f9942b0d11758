/*
 * pinned.c
 *		See pinned.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/pinned.h"
#include "utils/guc.h"

static void
set(const char *name, const char *value, GucContext context, GucSource source, GucAction action)
{
	if (GetConfigOption(name, true, false) != NULL)
		(void) set_config_option(name, value, context, source, action, true, 0, false);
}

void
pinned_set(const char *name, const char *value)
{
	set(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
}

int
pinned_begin(const char *search_path)
{
	int			level = NewGUCNestLevel();

	if (search_path)
		pinned_set("search_path", search_path);
	return level;
}

void
pinned_set_for_transaction(const char *name, const char *value)
{
	set(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL);
}

void
pinned_set_for_process(const char *name, const char *value)
{
	set(name, value, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET);
}
