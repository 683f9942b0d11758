/*
 * setting.h
 *		The value of a custom setting, such as PostgREST leaves behind for each
 *		request, cheap enough to be asked for every row.
 *
 * A SettingPlace remembers where a setting was found last.  It is checked at each
 * call, never trusted: settings come and go while a session lasts.
 */
#ifndef CORE_SETTING_H
#define CORE_SETTING_H

#define SETTING_NAME_SIZE 64

typedef struct SettingPlace
{
	const char *name;			/* in lower case */

	/* Where settings stand in the order of their names: between which two it was missing. */
	int			place;
	char		before[SETTING_NAME_SIZE];
	char		after[SETTING_NAME_SIZE];
} SettingPlace;

/*
 * NULL when unset or empty, which mean the same.  Good until anything can change
 * settings: copy what has to last.
 */
extern const char *setting_value(SettingPlace *place);

#endif							/* CORE_SETTING_H */
