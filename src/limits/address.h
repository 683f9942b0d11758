/*
 * address.h
 *		Network addresses as clients and proxies write them: parsing, masking,
 *		and finding the client in a chain of hops.
 *
 * Pure C over libc's inet_pton and inet_ntop; no PostgreSQL header, no
 * allocation, no error.  The lists and the front door of this room call it.
 */
#ifndef LIMITS_ADDRESS_H
#define LIMITS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_SIZE 64	/* longest text of an address with its prefix length */

/* An IPv4-mapped IPv6 address is kept as the IPv4 address that it is. */
typedef struct Address
{
	uint8_t		bytes[16];		/* network order; IPv4 uses the first four, the rest is 0 */
	uint8_t		bits;			/* 32 or 128, which also tells the family */
} Address;

typedef struct Network
{
	Address		base;			/* masked */
	uint8_t		prefix;
} Network;

extern Address address_make(const uint8_t *bytes, int bits);

/*
 * Accepts "192.0.2.1", "192.0.2.1:8080", "2001:db8::1", "[2001:db8::1]:443",
 * "fe80::1%eth0" and blanks around; anything else is false.
 */
extern bool address_parse(const char *text, size_t length, Address *address);

/* An address, or a network in CIDR notation; bits behind the prefix are cleared. */
extern bool network_parse(const char *text, size_t length, Network *network);

extern Address address_mask(const Address *address, int prefix);
extern bool network_contains(const Network *network, const Address *address);

/* "192.0.2.1", "2001:db8::/56"; the prefix is left out when it covers one address only. */
extern size_t network_format(const Network *network, char text[ADDRESS_TEXT_SIZE]);

/*
 * The client in a list of hops "client, proxy, proxy", of which only what
 * trusted proxies wrote can be believed.  By number: the hops-th from the right.
 * By networks: the first from the right that is in none of them; when all are,
 * the leftmost.  False when there is none or it cannot be read.
 */
extern bool client_by_hops(const char *list, size_t length, int hops, Address *client);
extern bool client_by_networks(const char *list, size_t length, const Network *trusted, int n,
							   Address *client);

#endif							/* LIMITS_ADDRESS_H */
