/*
 * peer.h
 *		Who is behind a request: address, user, and a header to tell clients apart.
 */
#ifndef LIMITS_PEER_H
#define LIMITS_PEER_H

#include "limits/address.h"

typedef struct Peer
{
	bool		has_address;
	Address		address;
	char	   *user;			/* sub of the JWT; NULL when there is none or it was not asked for */
	char	   *header;			/* the header asked for, or NULL */
} Peer;

/* header may be NULL.  Errors when request.headers or request.jwt.claims is no JSON object. */
extern void limit_peer_find(Peer *peer, const char *header, bool with_user);

#endif							/* LIMITS_PEER_H */
