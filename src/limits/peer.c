/*
 * peer.c
 *		See peer.h.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "core/compat.h"
#include "core/jsonpick.h"
#include "limits/limits.h"
#include "limits/peer.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"

PATTYLY_FUNCTION(pattyly_client_ip);
PATTYLY_FUNCTION(pattyly_client_key);

static void
pick_setting(const char *setting, const char *const *names, int n, bool any_case, char **values)
{
	const char *json = request_setting(setting);

	memset(values, 0, n * sizeof(char *));
	if (json != NULL && !json_pick(json, names, n, any_case, values))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("%s is no JSON object", setting),
				 errhint("PostgREST sets it to one; something else has changed it.")));
}

/* An inet value as an address; its prefix length does not matter. */
static Address
address_of_inet(const inet *value)
{
	return address_make(ip_addr(value), ip_family(value) == PGSQL_AF_INET ? 32 : 128);
}

/* The other end of the database connection; none on a unix socket. */
static bool
connection_address(Address *address)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		peer;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	peer = inet_client_addr(fcinfo);
	if (fcinfo->isnull)
		return false;
	*address = address_of_inet(DatumGetInetPP(peer));
	return true;
}

static bool
trusts_header(void)
{
	return limits_trusted_proxies->hops > 0 || limits_trusted_proxies->n_networks > 0;
}

static bool
header_address(const char *value, Address *address)
{
	const TrustedProxies *trusted = limits_trusted_proxies;

	if (value == NULL)
		return false;
	if (trusted->n_networks > 0)
		return client_by_networks(value, strlen(value), trusted->networks, trusted->n_networks,
								  address);
	return client_by_hops(value, strlen(value), trusted->hops, address);
}

void
limit_peer_find(Peer *peer, const char *header, bool with_user)
{
	static const char *const claims[] = {"sub"};
	const char *names[2] = {limits_client_ip_header, header};
	char	   *values[2] = {NULL, NULL};

	memset(peer, 0, sizeof(*peer));
	if (trusts_header() || header != NULL)
		pick_setting("request.headers", names, header != NULL ? 2 : 1, true, values);

	/* Asked for twice under one name, the last of the two has it. */
	if (header != NULL && pg_strcasecmp(header, limits_client_ip_header) == 0)
		values[0] = values[1];
	peer->has_address = trusts_header() ? header_address(values[0], &peer->address) :
		connection_address(&peer->address);
	peer->header = values[1];
	if (with_user)
	{
		const char *older = request_setting("request.jwt.claim.sub");

		if (older != NULL)
			peer->user = pstrdup(older);
		else
			pick_setting("request.jwt.claims", claims, 1, false, &peer->user);
		if (peer->user != NULL && peer->user[0] == '\0')
			peer->user = NULL;
	}
}

size_t
limits_address_key(const Address *address, char text[ADDRESS_TEXT_SIZE])
{
	Network		network;

	network.prefix = address->bits == 32 ? 32 : limits_ipv6_prefix;
	network.base = address_mask(address, network.prefix);
	return network_format(&network, text);
}

Datum
pattyly_client_ip(PG_FUNCTION_ARGS)
{
	Peer		peer;
	Network		network;
	char		text[ADDRESS_TEXT_SIZE];

	limit_peer_find(&peer, NULL, false);
	if (!peer.has_address)
		PG_RETURN_NULL();
	network.base = peer.address;
	network.prefix = peer.address.bits;
	network_format(&network, text);
	PG_RETURN_DATUM(DirectFunctionCall1(inet_in, CStringGetDatum(text)));
}

Datum
pattyly_client_key(PG_FUNCTION_ARGS)
{
	Address		address;
	char		text[ADDRESS_TEXT_SIZE];

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	address = address_of_inet(PG_GETARG_INET_PP(0));
	limits_address_key(&address, text);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}
