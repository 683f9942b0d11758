/* link: src/limits/address.c */
/*
 * address.c
 *		Any bytes as addresses, networks and chains of hops, with a plain search
 *		from the left to tell which hop is which.
 */
#include "bytes.h"

#include "limits/address.h"

#define MAX_HOPS 48			/* trying each hop of a longer list takes too long */

/* Pieces that are worth joining: a mutation of bytes seldom finds a whole address. */
static const char *const pieces[] = {
	"192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:", "::", "[", "]", ":80", ":443", "%eth0", ", ", ",",
	" ", "\t", "unknown", "/8", "/56", "/128", "255", ".", "fe80::", "1:2:3:4:5:6:7:8", "0", "f"
};

#define N_PIECES (sizeof(pieces) / sizeof(pieces[0]))

static size_t
compose(Bytes *bytes, char *text, size_t size)
{
	size_t		length = 0;

	while (bytes->left > 0)
	{
		uint8_t		choice = bytes_one(bytes);
		size_t		more = choice < 200 ? strlen(pieces[choice % N_PIECES]) : 1;

		if (length + more > size)
			break;
		if (choice < 200)
			memcpy(text + length, pieces[choice % N_PIECES], more);
		else
			text[length] = (char) bytes_one(bytes);
		length += more;
	}
	return length;
}

static bool
same(const Address *x, const Address *y)
{
	return x->bits == y->bits && memcmp(x->bytes, y->bytes, sizeof(x->bytes)) == 0;
}

/* ---- one address, one network ---- */

static void
must_be_whole(const Address *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t zeros[12];

	must(address->bits == 32 || address->bits == 128);
	if (address->bits == 32)
		must(memcmp(address->bytes + 4, zeros, sizeof(zeros)) == 0);
	else
		must(memcmp(address->bytes, mapped, sizeof(mapped)) != 0);
}

static void
must_round_trip(const Network *network)
{
	char		text[ADDRESS_TEXT_SIZE];
	size_t		length = network_format(network, text);
	Network		again;

	must(length > 0 && length < ADDRESS_TEXT_SIZE && length == strlen(text));
	must(network_parse(text, length, &again));
	must(same(&again.base, &network->base) && again.prefix == network->prefix);
}

static void
try_address(const char *text, size_t length)
{
	Address		address;
	Network		network;

	if (!address_parse(text, length, &address))
		return;
	must_be_whole(&address);
	for (int prefix = 0; prefix <= address.bits; prefix += 8)
	{
		network.base = address_mask(&address, prefix);
		network.prefix = (uint8_t) prefix;
		must(network_contains(&network, &address));
		must_round_trip(&network);
	}
}

static void
try_network(const char *text, size_t length)
{
	Network		network;
	Address		masked;

	if (!network_parse(text, length, &network))
		return;
	must_be_whole(&network.base);
	must(network.prefix <= network.base.bits);
	masked = address_mask(&network.base, network.prefix);
	must(same(&masked, &network.base));
	must_round_trip(&network);
}

/* ---- chains ---- */

typedef struct Hop
{
	const char *text;
	size_t		length;
} Hop;

static int
split(const char *list, size_t length, Hop *hops)
{
	const char *start = list;
	int			n = 0;

	for (size_t i = 0; i <= length && n < MAX_HOPS; i++)
		if (i == length || list[i] == ',')
		{
			hops[n++] = (Hop) {start, list + i - start};
			start = list + i + 1;
		}
	return n;
}

static void
try_hops(const char *list, size_t length, const Hop *hops, int n)
{
	for (int i = -1; i <= n + 1; i++)
	{
		Address		client;
		Address		want;
		bool		found = client_by_hops(list, length, i, &client);

		must(found == (i >= 1 && i <= n && address_parse(hops[n - i].text, hops[n - i].length, &want)));
		if (found)
			must(same(&client, &want));
	}
}

static void
try_networks(const char *list, size_t length, const Hop *hops, int n)
{
	Network		trusted[2];
	Address		client;
	Address		want;
	bool		found;
	bool		wanted = false;

	must(network_parse("10.0.0.0/8", 10, &trusted[0]));
	must(network_parse("2001:db8::/32", 13, &trusted[1]));
	found = client_by_networks(list, length, trusted, 2, &client);
	for (int i = n - 1; i >= 0; i--)
	{
		wanted = address_parse(hops[i].text, hops[i].length, &want);
		if (!wanted || !(network_contains(&trusted[0], &want) || network_contains(&trusted[1], &want)))
			break;
	}
	must(found == wanted);
	if (found)
		must(same(&client, &want));
}

static void
try_list(const char *list, size_t length)
{
	static Hop	hops[MAX_HOPS];
	int			n = split(list, length, hops);

	if (n == MAX_HOPS)
		return;
	try_hops(list, length, hops, n);
	try_networks(list, length, hops, n);
}

static void
try_all(const char *text, size_t length)
{
	char	   *copy = bytes_copy(text, length);

	try_address(copy, length);
	try_network(copy, length);
	try_list(copy, length);
	free(copy);
}

/* Text as it is, or, from a byte that no text begins with, put together of pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		text[1024];
	Bytes		bytes = {data, size};

	if (bytes_one(&bytes) < 0x80)
		try_all((const char *) data, size);
	else
		try_all(text, compose(&bytes, text, sizeof(text)));
	return 0;
}
