/*
 * claims.h
 *		Who is asking: the claims of the token that PostgREST left in
 *		request.jwt.claims, or in the older settings, one a claim.
 *
 * They are parsed once for each text that they come in.  What is kept is kept by
 * content: neither an address nor the session says whose claims these are.
 */
#ifndef ACCESS_CLAIMS_H
#define ACCESS_CLAIMS_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

extern void claims_init(void);

/*
 * Looks at the settings again, which is cheap, and says by a number whether they
 * are the same as ever before in this backend: another text has another number.
 */
extern uint64 claims_version(void);

/* Of the claims that claims_version() saw last.  NULL when there is no such claim. */
extern const char *claims_sub(void);

/* The same as a uuid; an error when it is none. */
extern const pg_uuid_t *claims_uid(void);

/* request.jwt.claims, parsed; NULL when unset.  Good until the claims change. */
extern Jsonb *claims_json(void);

/* The setting request.jwt.claim.NAME, or NULL. */
extern const char *claims_older(const char *name, size_t length);

#endif							/* ACCESS_CLAIMS_H */
