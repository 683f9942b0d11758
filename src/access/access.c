/*
 * access.c
 *		See access.h: the room declares what it needs.
 */
#include "postgres.h"

#include "access/access.h"
#include "access/claims.h"
#include "access/login.h"
#include "access/relations.h"
#include "access/sets.h"
#include "core/compat.h"

void
access_init(void)
{
	claims_init();
	login_init();
	relations_init();
	sets_init();
}
