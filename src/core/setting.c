/*
 * setting.c
 *		See setting.h.
 *
 * GetConfigOption() searches all settings by name, which takes longer than all
 * the rest that a row policy does for a row.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/setting.h"
#include "utils/guc_tables.h"

#ifdef COMPAT_SETTINGS_IN_ORDER

/* The order in which the server keeps its settings: ASCII case does not count, char is as signed as it is there. */
static int
compare_names(const char *a, const char *b)
{
	for (; *a != '\0' || *b != '\0'; a++, b++)
	{
		char		x = *a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a;
		char		y = *b >= 'A' && *b <= 'Z' ? *b + ('a' - 'A') : *b;

		if (x != y)
			return x - y;
	}
	return 0;
}

/* Where the name stands, or would stand, among the settings. */
static int
search(struct config_generic **settings, int n, const char *name)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_names(settings[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct config_generic *
find_anew(SettingPlace *place, struct config_generic **settings, int n)
{
	int			i = search(settings, n, place->name);

	place->place = i;
	place->n = n;
	place->before = i > 0 ? settings[i - 1] : NULL;
	place->here = i < n ? settings[i] : NULL;
	place->found = i < n && compare_names(settings[i]->name, place->name) == 0;
	return place->found ? settings[i] : NULL;
}

/*
 * It is where it was.  Or it is still missing: were it there, its neighbours would
 * not be next to each other.
 */
static struct config_generic *
find(SettingPlace *place)
{
	struct config_generic **settings = get_guc_variables();
	int			n = GetNumConfigOptions();
	int			i = place->place;

	if (i < n && settings[i] == place->here)
	{
		if (place->found && strcmp(settings[i]->name, place->name) == 0)
			return settings[i];
		if (!place->found && n == place->n && i > 0 && settings[i - 1] == place->before)
			return NULL;
	}
	return find_anew(place, settings, n);
}

#else

static struct config_generic *
find(SettingPlace *place)
{
	return find_option(place->name, false, true, 0);
}

#endif

const char *
setting_value(SettingPlace *place)
{
	struct config_generic *setting = find(place);
	const char *value;

	if (setting == NULL || setting->vartype != PGC_STRING)
		return NULL;
	value = *((struct config_string *) setting)->variable;
	return value == NULL || value[0] == '\0' ? NULL : value;
}
