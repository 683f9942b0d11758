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

typedef struct SettingPlace
{
	const char *name;			/* in lower case */

	/* Where settings stand in the order of their names: it, or the two that it was missing between. */
	int			place;
	int			n;				/* how many settings there were */
	const void *before;
	const void *here;
	bool		found;
} SettingPlace;

/*
 * NULL when unset or empty, which mean the same.  Good until anything can change
 * settings: copy what has to last.
 */
extern const char *setting_value(SettingPlace *place);

#endif							/* CORE_SETTING_H */
