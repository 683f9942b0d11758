/*
 * jsonpick.h
 *		Picks a few string members out of a JSON object, without building it.
 *
 * For what PostgREST leaves in settings: request.headers, request.jwt.claims.
 */
#ifndef CORE_JSONPICK_H
#define CORE_JSONPICK_H

/*
 * values[i] becomes the text of the member names[i], or NULL when it is missing or is no scalar; of several, the last.  Returns false
 * when the text is no JSON object.
 */
extern bool json_pick(const char *json, const char *const *names, int n, bool any_case,
					  char **values);

/* The value of a custom setting; NULL when unset or empty, which mean the same. */
extern const char *request_setting(const char *name);

#endif							/* CORE_JSONPICK_H */
