/* link: src/limits/address.c */
/*
 * address.c
 *		Addresses as clients and proxies write them, and who the client is in a
 *		chain of hops.
 */
#include "tap.h"

#include "limits/address.h"

#include <stdlib.h>
#include <string.h>

#define NONE "none"

/* In memory of its own length, so that a byte read behind the end is caught. */
static char *
exact_copy(const char *text, size_t length)
{
	char	   *copy = malloc(length > 0 ? length : 1);

	if (length > 0)
		memcpy(copy, text, length);
	return copy;
}

static void
format_address(const Address *address, char text[ADDRESS_TEXT_SIZE])
{
	Network		network = {*address, address->bits};

	network_format(&network, text);
}

/* ---- addresses ---- */

typedef struct TextCase
{
	const char *text;
	const char *want;
} TextCase;

static const TextCase addresses[] = {
	{"192.0.2.1", "192.0.2.1"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	{"2001:db8::1", "2001:db8::1"},
	{"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
	{"::", "::"},
	{"::1", "::1"},

	/* blanks around */
	{" 192.0.2.1", "192.0.2.1"},
	{"\t 192.0.2.1 \t ", "192.0.2.1"},
	{"192.0.2.1\n", NONE},
	{"192.0.2 .1", NONE},

	/* ports and brackets */
	{"192.0.2.1:8080", "192.0.2.1"},
	{"192.0.2.1:0", "192.0.2.1"},
	{"192.0.2.1:65535", "192.0.2.1"},
	{"192.0.2.1:", NONE},
	{"192.0.2.1:http", NONE},
	{"192.0.2.1:-1", NONE},
	{"192.0.2.1:123456", NONE},
	{"192.0.2.1 :80", NONE},
	{":80", NONE},
	{"[2001:db8::1]", "2001:db8::1"},
	{"[2001:db8::1]:443", "2001:db8::1"},
	{" [::1]:443 ", "::1"},
	{"[2001:db8::1]:", NONE},
	{"[2001:db8::1]443", NONE},
	{"[2001:db8::1]:443x", NONE},
	{"[2001:db8::1", NONE},
	{"2001:db8::1]", NONE},
	{"[]", NONE},
	{"[]:80", NONE},
	{"[[::1]]", NONE},
	{"[192.0.2.1]", NONE},
	{"[192.0.2.1]:80", NONE},

	/* a group too many for an address is no port */
	{"2001:db8::1:443", "2001:db8::1:443"},
	{"1:2:3:4:5:6:7:8:443", NONE},

	/* zones */
	{"fe80::1%eth0", "fe80::1"},
	{"[fe80::1%eth0]:443", "fe80::1"},
	{"%eth0", NONE},
	{"192.0.2.1%eth0", NONE},

	/* IPv4 in IPv6 */
	{"::ffff:1.2.3.4", "1.2.3.4"},
	{"::FFFF:1.2.3.4", "1.2.3.4"},
	{"::ffff:102:304", "1.2.3.4"},
	{"0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"},
	{"0000:0000:0000:0000:0000:ffff:192.168.100.200", "192.168.100.200"},
	{"[::ffff:1.2.3.4]:443", "1.2.3.4"},
	{"::ffff:0:1.2.3.4", "::ffff:0:102:304"},
	{"::1.2.3.4", "::1.2.3.4"},
	{"64:ff9b::1.2.3.4", "64:ff9b::102:304"},

	/* what other parsers take for an address */
	{"", NONE},
	{" ", NONE},
	{"unknown", NONE},
	{"_hidden", NONE},
	{"localhost", NONE},
	{"127.1", NONE},
	{"2130706433", NONE},
	{"0x7f.0.0.1", NONE},
	{"0x7f000001", NONE},
	{"010.0.0.1", NONE},
	{"1.2.3.4.5", NONE},
	{"1.2.3.256", NONE},
	{"1.2.3.-4", NONE},
	{"+1.2.3.4", NONE},
	{"1.2.3.4/32", NONE},
	{"1.2.3.4, 5.6.7.8", NONE},
	{"\"1.2.3.4\"", NONE},
	{"2001:db8::1::2", NONE},
	{"12345::", NONE},
	{":::", NONE},
	{"g::1", NONE},
	{"2001:db8", NONE},
};

static bool
parse_copy(const char *text, size_t length, Address *address)
{
	char	   *copy = exact_copy(text, length);
	bool		good = address_parse(copy, length, address);

	free(copy);
	return good;
}

static void
test_addresses(void)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
	{
		const TextCase *one = &addresses[i];
		char		text[ADDRESS_TEXT_SIZE] = NONE;
		Address		address;

		if (parse_copy(one->text, strlen(one->text), &address))
			format_address(&address, text);
		ok(strcmp(text, one->want) == 0, "address \"%s\" is %s", one->text[strcspn(one->text, "\n#")] ?
		   "with a newline" : one->text, text);
	}
}

static void
test_odd_bytes(void)
{
	static const char with_zero[] = "192.0.2.1\0";
	char		hops[5000];
	Address		address;

	ok(!parse_copy(with_zero, sizeof(with_zero) - 1, &address), "a zero byte at the end is none");
	ok(!parse_copy("192.0.2.1\0:80", 13, &address), "a zero byte within is none");
	ok(parse_copy("192.0.2.100", 10, &address) && address.bytes[3] == 10, "the length is obeyed");
	ok(!parse_copy("192.0.2.1\xc3\xa9", 11, &address), "an accent is none");
	memset(hops, '1', sizeof(hops));
	ok(!parse_copy(hops, sizeof(hops), &address), "5000 digits are none");
	memset(hops, ':', sizeof(hops));
	ok(!parse_copy(hops, sizeof(hops), &address), "5000 colons are none");
	memset(hops, '[', sizeof(hops));
	ok(!parse_copy(hops, sizeof(hops), &address), "5000 brackets are none");
	memset(hops, ' ', sizeof(hops));
	ok(!parse_copy(hops, sizeof(hops), &address), "5000 blanks are none");
	memcpy(hops + 4000, "::1", 3);
	ok(parse_copy(hops, sizeof(hops), &address) && address.bits == 128, "blanks around are no matter");
}

static void
test_make(void)
{
	static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4};
	static const uint8_t plain[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4};
	Address		four = address_make(mapped + 12, 32);
	Address		from_mapped = address_make(mapped, 128);
	Address		six = address_make(plain, 128);

	ok(four.bits == 32 && memcmp(&four, &from_mapped, sizeof(four)) == 0,
	   "a mapped address is its IPv4, byte for byte");
	ok(six.bits == 128 && memcmp(six.bytes, plain, 16) == 0, "another IPv6 stays as it is");
}

/* ---- networks ---- */

static const TextCase networks[] = {
	{"10.0.0.0/8", "10.0.0.0/8"},
	{"10.1.2.3/8", "10.0.0.0/8"},
	{" 10.0.0.0/8\t", "10.0.0.0/8"},
	{"192.0.2.1", "192.0.2.1"},
	{"192.0.2.1/32", "192.0.2.1"},
	{"0.0.0.0/0", "0.0.0.0/0"},
	{"1.2.3.255/25", "1.2.3.128/25"},
	{"1.2.3.255/31", "1.2.3.254/31"},
	{"2001:db8::1", "2001:db8::1"},
	{"2001:db8::/32", "2001:db8::/32"},
	{"2001:db8:1:2ff:3::1/56", "2001:db8:1:200::/56"},
	{"2001:db8:1:2ff:3::1/57", "2001:db8:1:280::/57"},
	{"2001:db8:1:2ff:3::1/128", "2001:db8:1:2ff:3::1"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
	{"::/0", "::/0"},
	{"::ffff:10.1.2.3/104", "10.0.0.0/8"},
	{"::ffff:10.1.2.3/128", "10.1.2.3"},
	{"::ffff:10.1.2.3", "10.1.2.3"},
	{"::ffff:0:0/96", "0.0.0.0/0"},
	{"::ffff:10.1.2.3/95", NONE},
	{"::ffff:10.1.2.3/8", NONE},

	{"10.0.0.0/33", NONE},
	{"10.0.0.0/", NONE},
	{"10.0.0.0/-1", NONE},
	{"10.0.0.0/8/8", NONE},
	{"10.0.0.0/8 8", NONE},
	{"10.0.0.0/0x8", NONE},
	{"10.0.0.0/99999", NONE},
	{"10.0.0.0/255.0.0.0", NONE},
	{"2001:db8::/129", NONE},
	{"2001:db8::/999", NONE},
	{"/8", NONE},
	{"/", NONE},
	{"", NONE},
	{"10", NONE},
	{"10.0.0.0:80/8", NONE},
	{"[::1]/64", NONE},
	{"all", NONE},
};

static bool
parse_network(const char *text, Network *network)
{
	char	   *copy = exact_copy(text, strlen(text));
	bool		good = network_parse(copy, strlen(text), network);

	free(copy);
	return good;
}

static void
test_networks(void)
{
	for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++)
	{
		const TextCase *one = &networks[i];
		char		text[ADDRESS_TEXT_SIZE] = NONE;
		size_t		length = strlen(NONE);
		Network		network;

		if (parse_network(one->text, &network))
			length = network_format(&network, text);
		ok(strcmp(text, one->want) == 0 && length == strlen(text), "network \"%s\" is %s", one->text,
		   text);
	}
}

typedef struct ContainsCase
{
	const char *network;
	const char *address;
	bool		want;
} ContainsCase;

static const ContainsCase contains[] = {
	{"10.0.0.0/8", "10.255.255.255", true},
	{"10.0.0.0/8", "11.0.0.0", false},
	{"10.0.0.0/8", "::ffff:10.1.1.1", true},
	{"::ffff:10.0.0.0/104", "10.1.1.1", true},
	{"10.0.0.0/31", "10.0.0.1", true},
	{"10.0.0.0/31", "10.0.0.2", false},
	{"10.0.0.1", "10.0.0.1", true},
	{"10.0.0.1", "10.0.0.0", false},
	{"0.0.0.0/0", "255.1.2.3", true},
	{"0.0.0.0/0", "::1", false},
	{"::/0", "::1", true},
	{"::/0", "1.2.3.4", false},
	{"::/0", "::ffff:1.2.3.4", false},
	{"2001:db8::/56", "2001:db8:0:ff:1::", true},
	{"2001:db8::/56", "2001:db8:0:100::", false},
	{"a00::/8", "10.0.0.1", false},
};

static void
test_contains(void)
{
	for (size_t i = 0; i < sizeof(contains) / sizeof(contains[0]); i++)
	{
		const ContainsCase *one = &contains[i];
		Network		network;
		Address		address;
		bool		read = parse_network(one->network, &network) &&
			parse_copy(one->address, strlen(one->address), &address);

		ok(read && network_contains(&network, &address) == one->want, "%s %s %s", one->network,
		   one->want ? "has" : "has not", one->address);
	}
}

/* The definition, bit by bit. */
static bool
bit_of(const Address *address, int bit)
{
	return address->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static void
test_mask(void)
{
	Address		ones;

	property_begin("a mask keeps the prefix and nothing else");
	for (int bits = 32; bits <= 128; bits += 96)
		for (int prefix = -1; prefix <= bits; prefix++)
		{
			Address		masked;

			memset(&ones, 0, sizeof(ones));
			memset(ones.bytes, 0xff, bits / 8);
			ones.bits = (uint8_t) bits;
			masked = address_mask(&ones, prefix);
			check(masked.bits == bits, "%d", masked.bits);
			for (int bit = 0; bit < 128; bit++)
				check(bit_of(&masked, bit) == (bit < prefix), "bit %d of /%d", bit, prefix);
		}
	property_end();
}

/* ---- the client ---- */

typedef struct HopsCase
{
	const char *list;
	int			hops;
	const char *want;
} HopsCase;

static const HopsCase by_hops[] = {
	{"203.0.113.7", 1, "203.0.113.7"},
	{"203.0.113.7", 2, NONE},
	{"203.0.113.7", 0, NONE},
	{"203.0.113.7", -1, NONE},
	{"6.6.6.6, 203.0.113.7, 10.0.0.1", 1, "10.0.0.1"},
	{"6.6.6.6, 203.0.113.7, 10.0.0.1", 2, "203.0.113.7"},
	{"6.6.6.6, 203.0.113.7, 10.0.0.1", 3, "6.6.6.6"},
	{"6.6.6.6, 203.0.113.7, 10.0.0.1", 4, NONE},
	{"6.6.6.6,203.0.113.7:1234 ,\t[2001:db8::1]:443", 1, "2001:db8::1"},
	{"6.6.6.6,203.0.113.7:1234 ,\t[2001:db8::1]:443", 2, "203.0.113.7"},
	{"unknown, 203.0.113.7", 1, "203.0.113.7"},
	{"unknown, 203.0.113.7", 2, NONE},
	{"203.0.113.7, unknown", 1, NONE},
	{"203.0.113.7, unknown", 2, "203.0.113.7"},
	{"203.0.113.7,", 1, NONE},
	{"203.0.113.7,", 2, "203.0.113.7"},
	{"203.0.113.7,,10.0.0.1", 2, NONE},
	{"203.0.113.7,,10.0.0.1", 3, "203.0.113.7"},
	{",203.0.113.7", 2, NONE},
	{"", 1, NONE},
	{"", 2, NONE},
	{",", 1, NONE},
	{",", 2, NONE},
	{",", 3, NONE},
	{" , ", 2, NONE},
	{"::ffff:203.0.113.7", 1, "203.0.113.7"},
	{"203.0.113.7; 10.0.0.1", 1, NONE},
	{"203.0.113.7 10.0.0.1", 1, NONE},
};

static void
find_by_hops(const char *list, size_t length, int hops, char text[ADDRESS_TEXT_SIZE])
{
	char	   *copy = exact_copy(list, length);
	Address		client;

	strcpy(text, NONE);
	if (client_by_hops(copy, length, hops, &client))
		format_address(&client, text);
	free(copy);
}

static void
test_by_hops(void)
{
	for (size_t i = 0; i < sizeof(by_hops) / sizeof(by_hops[0]); i++)
	{
		const HopsCase *one = &by_hops[i];
		char		text[ADDRESS_TEXT_SIZE];

		find_by_hops(one->list, strlen(one->list), one->hops, text);
		ok(strcmp(text, one->want) == 0, "hop %d of \"%s\" is %s", one->hops, one->list, text);
	}
}

/* 10.0.0.0/8 and 2001:db8::/32 are the proxies; what stands left of the first stranger is a claim. */
static const TextCase by_networks[] = {
	{"203.0.113.7", "203.0.113.7"},
	{"203.0.113.7, 10.0.0.1", "203.0.113.7"},
	{"6.6.6.6, 203.0.113.7, 10.0.0.1, 10.0.0.2", "203.0.113.7"},
	{"10.0.0.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"},
	{"203.0.113.7, ::ffff:10.0.0.1, [2001:db8::2]:443", "203.0.113.7"},
	{"unknown, 203.0.113.7, 10.0.0.1", "203.0.113.7"},
	{"<script>, , 203.0.113.7", "203.0.113.7"},
	{"203.0.113.7, unknown, 10.0.0.1", NONE},
	{"203.0.113.7, , 10.0.0.1", NONE},
	{"203.0.113.7, 10.0.0.1,", NONE},
	{"10.0.0.9, 10.0.0.1", "10.0.0.9"},
	{"10.0.0.1", "10.0.0.1"},
	{"unknown, 10.0.0.1", NONE},
	{",10.0.0.1", NONE},
	{"", NONE},
	{",", NONE},
};

static void
find_by_networks(const char *list, size_t length, int n, char text[ADDRESS_TEXT_SIZE])
{
	char	   *copy = exact_copy(list, length);
	Network		trusted[2];
	Address		client;

	strcpy(text, NONE);
	if (parse_network("10.0.0.0/8", &trusted[0]) && parse_network("2001:db8::/32", &trusted[1]) &&
		client_by_networks(copy, length, trusted, n, &client))
		format_address(&client, text);
	free(copy);
}

static void
test_by_networks(void)
{
	char		text[ADDRESS_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(by_networks) / sizeof(by_networks[0]); i++)
	{
		const TextCase *one = &by_networks[i];

		find_by_networks(one->text, strlen(one->text), 2, text);
		ok(strcmp(text, one->want) == 0, "client of \"%s\" is %s", one->text, text);
	}
	find_by_networks("203.0.113.7, 10.0.0.1", 21, 0, text);
	ok(strcmp(text, "10.0.0.1") == 0, "with no trusted network the last hop is the client");
}

/* A list that a client made long: 200 claims, then what the proxy saw. */
static void
test_many_hops(void)
{
	char		list[4096] = "";
	char		text[ADDRESS_TEXT_SIZE];
	size_t		length;

	for (int i = 0; i < 199; i++)
		strcat(list, "10.6.6.6, ");
	strcat(list, "10.0.0.1");
	length = strlen(list);
	find_by_hops(list, length, 200, text);
	ok(strcmp(text, "10.6.6.6") == 0, "hop 200 of 200 is %s", text);
	find_by_hops(list, length, 201, text);
	ok(strcmp(text, NONE) == 0, "hop 201 of 200 is %s", text);
	find_by_networks(list, length, 2, text);
	ok(strcmp(text, "10.6.6.6") == 0, "of 200 trusted hops the leftmost is the client");
	memcpy(list + 1000, "7.7.7.77", 8);
	find_by_networks(list, length, 2, text);
	ok(strcmp(text, "7.7.7.77") == 0, "among 200 hops the stranger is the client");
}

int
main(void)
{
	test_addresses();
	test_odd_bytes();
	test_make();
	test_networks();
	test_contains();
	test_mask();
	test_by_hops();
	test_by_networks();
	test_many_hops();
	return tap_done();
}
