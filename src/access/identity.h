/*
 * identity.h
 *		Somebody to be: a role and the claims of his token, as PostgREST would leave
 *		them in the settings for a request of his.
 *
 * login.c takes one on for the rest of a transaction, explain.c for one query.
 */
#ifndef ACCESS_IDENTITY_H
#define ACCESS_IDENTITY_H

#include "fmgr.h"
#include "utils/guc.h"

typedef struct Identity
{
	Oid			role;
	char	   *role_name;
	char	   *claims;			/* sub and role included */
} Identity;

/* So many settings make an identity: the role, the claims, and the older ones, which win over the claims unless empty. */
#define IDENTITY_SETTINGS 17

/* What the setting is now, copied; "" when unset. */
extern char *identity_setting_value(int i);

extern void identity_set(int i, const char *value, GucAction action);

/* From the arguments uid, role and claims of a call, with the errors that are due. */
extern void identity_from_args(FunctionCallInfo fcinfo, int uid, int role, int claims,
							   Identity *identity);

/* Sets all settings; PostgreSQL's own error when the session may not become that role. */
extern void identity_take_on(const Identity *identity, GucAction action);

/* What to go back to. */
typedef struct Disguise
{
	int			nest_level;
	Oid			user;
	int			security;
} Disguise;

/*
 * Be somebody until identity_undisguise(); an error ends it as well.  Whatever
 * runs meanwhile cannot be who called us: it can neither change the role nor leave
 * anything, such as a deferred trigger, that would run later.
 */
extern void identity_disguise(const Identity *identity, Disguise *disguise);
extern void identity_undisguise(const Disguise *disguise);

#endif							/* ACCESS_IDENTITY_H */
