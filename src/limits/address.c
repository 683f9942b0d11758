/*
 * address.c
 *		See address.h.
 */
#include "limits/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Address
address_make(const uint8_t *bytes, int bits)
{
	Address		address;

	memset(&address, 0, sizeof(address));
	if (bits == 128 && memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
	{
		bytes += sizeof(mapped_prefix);
		bits = 32;
	}
	memcpy(address.bytes, bytes, bits / 8);
	address.bits = (uint8_t) bits;
	return address;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
trim(const char **text, size_t *length)
{
	while (*length > 0 && is_blank((*text)[0]))
	{
		(*text)++;
		(*length)--;
	}
	while (*length > 0 && is_blank((*text)[*length - 1]))
		(*length)--;
}

static bool
parse_number(const char *text, size_t length, int most, int *number)
{
	*number = 0;
	if (length < 1 || length > 5)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = *number * 10 + (text[i] - '0');
	}
	return *number <= most;
}

static bool
is_port(const char *text, size_t length)
{
	int			port;

	return parse_number(text, length, 65535, &port);
}

/* Reduces "[host]:port", "[host]" and "ipv4:port" to the host. */
static bool
strip_port(const char **text, size_t *length)
{
	const char *colon = memchr(*text, ':', *length);
	const char *end;

	if (*length > 0 && (*text)[0] == '[')
	{
		end = memchr(*text, ']', *length);
		if (end == NULL)
			return false;
		if (end + 1 != *text + *length &&
			(end[1] != ':' || !is_port(end + 2, *length - (end + 2 - *text))))
			return false;
		(*text)++;
		*length = end - *text;
		return memchr(*text, ':', *length) != NULL;
	}
	if (colon != NULL && memchr(colon + 1, ':', *length - (colon + 1 - *text)) == NULL)
	{
		if (!is_port(colon + 1, *length - (colon + 1 - *text)))
			return false;
		*length = colon - *text;
	}
	return true;
}

/* An address alone: no port, no bracket, no blank. */
static bool
parse_bare(const char *text, size_t length, Address *address)
{
	char		copy[INET6_ADDRSTRLEN];
	uint8_t		bytes[16];
	const char *zone = memchr(text, '%', length);

	if (zone != NULL && memchr(text, ':', zone - text) != NULL)
		length = zone - text;
	if (length == 0 || length >= sizeof(copy) || memchr(text, '\0', length) != NULL)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (inet_pton(AF_INET, copy, bytes) == 1)
		*address = address_make(bytes, 32);
	else if (inet_pton(AF_INET6, copy, bytes) == 1)
		*address = address_make(bytes, 128);
	else
		return false;
	return true;
}

bool
address_parse(const char *text, size_t length, Address *address)
{
	trim(&text, &length);
	return strip_port(&text, &length) && parse_bare(text, length, address);
}

bool
network_parse(const char *text, size_t length, Network *network)
{
	const char *slash;
	Address		address;
	bool		written_v6;
	int			prefix;

	trim(&text, &length);
	slash = memchr(text, '/', length);
	if (!parse_bare(text, slash ? (size_t) (slash - text) : length, &address))
		return false;
	prefix = address.bits;
	if (slash != NULL)
	{
		/* The prefix of a mapped address counts from the start of its IPv6 form. */
		written_v6 = memchr(text, ':', slash - text) != NULL;
		if (!parse_number(slash + 1, length - (slash + 1 - text), written_v6 ? 128 : 32, &prefix))
			return false;
		if (written_v6 && address.bits == 32)
			prefix -= 96;
		if (prefix < 0)
			return false;
	}
	network->base = address_mask(&address, prefix);
	network->prefix = (uint8_t) prefix;
	return true;
}

Address
address_mask(const Address *address, int prefix)
{
	Address		masked = *address;

	for (int i = 0; i < 16; i++)
	{
		int			keep = prefix - i * 8;

		if (keep <= 0)
			masked.bytes[i] = 0;
		else if (keep < 8)
			masked.bytes[i] &= (uint8_t) (0xff << (8 - keep));
	}
	return masked;
}

bool
network_contains(const Network *network, const Address *address)
{
	Address		masked;

	if (network->base.bits != address->bits)
		return false;
	masked = address_mask(address, network->prefix);
	return memcmp(masked.bytes, network->base.bytes, sizeof(masked.bytes)) == 0;
}

size_t
network_format(const Network *network, char text[ADDRESS_TEXT_SIZE])
{
	int			family = network->base.bits == 32 ? AF_INET : AF_INET6;
	size_t		length;

	if (inet_ntop(family, network->base.bytes, text, ADDRESS_TEXT_SIZE) == NULL)
		text[0] = '\0';
	length = strlen(text);
	if (network->prefix < network->base.bits)
		length += snprintf(text + length, ADDRESS_TEXT_SIZE - length, "/%d", network->prefix);
	return length;
}

/* Cuts the rightmost hop off; false when nothing is left. */
static bool
last_hop(const char *list, size_t *length, const char **hop, size_t *hop_length)
{
	size_t		start;

	if (*length == (size_t) -1)
		return false;
	for (start = *length; start > 0 && list[start - 1] != ','; start--)
		;
	*hop = list + start;
	*hop_length = *length - start;
	*length = start == 0 ? (size_t) -1 : start - 1;
	return true;
}

bool
client_by_hops(const char *list, size_t length, int hops, Address *client)
{
	const char *hop = list;
	size_t		hop_length = 0;

	for (; hops > 0; hops--)
		if (!last_hop(list, &length, &hop, &hop_length))
			return false;
	return address_parse(hop, hop_length, client);
}

static bool
is_trusted(const Network *trusted, int n, const Address *address)
{
	for (int i = 0; i < n; i++)
		if (network_contains(&trusted[i], address))
			return true;
	return false;
}

bool
client_by_networks(const char *list, size_t length, const Network *trusted, int n, Address *client)
{
	const char *hop;
	size_t		hop_length;
	bool		found = false;

	while (last_hop(list, &length, &hop, &hop_length))
	{
		if (!address_parse(hop, hop_length, client))
			return false;
		found = true;
		if (!is_trusted(trusted, n, client))
			return true;
	}
	return found;
}
