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

static bool
is_named(struct config_generic **settings, int n, int i, const char *name)
{
	return i >= 0 && i < n && strcmp(settings[i]->name, name) == 0;
}

/* The name of a neighbour; one that is missing or too long is no neighbour to know a place by. */
static void
note_neighbour(char *name, struct config_generic **settings, int n, int i)
{
	name[0] = '\0';
	if (i >= 0 && i < n && strlen(settings[i]->name) < SETTING_NAME_SIZE)
		strcpy(name, settings[i]->name);
}

static struct config_generic *
find_anew(SettingPlace *place, struct config_generic **settings, int n)
{
	int			i = search(settings, n, place->name);

	place->place = i;
	if (i < n && compare_names(settings[i]->name, place->name) == 0)
		return settings[i];
	note_neighbour(place->before, settings, n, i - 1);
	note_neighbour(place->after, settings, n, i);
	return NULL;
}

/* It is at its place, or it is not there, for its neighbours are next to each other; else it is looked for. */
static struct config_generic *
find(SettingPlace *place)
{
	struct config_generic **settings = get_guc_variables();
	int			n = GetNumConfigOptions();
	int			i = place->place;

	if (is_named(settings, n, i, place->name))
		return settings[i];
	if (is_named(settings, n, i - 1, place->before) && is_named(settings, n, i, place->after))
		return NULL;
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
