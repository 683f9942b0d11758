/* link: src/core/siphash.c */
/*
 * siphash.c
 *		The 128-bit SipHash: published outputs, and that it mixes.
 *
 * SipHash-2-4: the table vectors_sip128 of the reference code by its authors.
 * SipHash-1-3: the same inputs through OpenSSL 3.0 (openssl mac -macopt
 * c-rounds:1 -macopt d-rounds:3 -macopt size:16 SIPHASH).
 * In both, the key is 00 01 .. 0f and row n is the hash of 00 01 .. n-1.
 */
#include "tap.h"
#include "random.h"

#include "core/siphash.h"

#include <string.h>

#define N_VECTORS 64

typedef struct Vector
{
	const char *sip24;
	const char *sip13;
} Vector;

static const Vector vectors[N_VECTORS] = {
	{"a3817f04ba25a8e66df67214c7550293", "e77ebcb22788a5befd62db6add303001"},
	{"da87c1d86b99af44347659119b22fc45", "fc6f370460d3eda85e0573cc2b2ff063"},
	{"8177228da4a45dc7fca38bdef60affe4", "75787f090569839b855bc9548c6aea95"},
	{"9c70b60c5267a94e5f33b6b02985ed51", "6bc5ccfa1edcf79f4823187712ebd743"},
	{"f88164c12d9c8faf7d0f6e7c7bcd5579", "0c784e71ac2b285a9f8e92e78fbf2c25"},
	{"1368875980776f8854527a07690e9627", "f328db89345b620c795229a42695843e"},
	{"14eeca338b208613485ea0308fd7a15e", "dcd03d29f743e7100951b0e83985a6f8"},
	{"a1f1ebbed8dbc153c0b84aa61ff08239", "1084b923f2aae0c3a62f2ec80848ab77"},
	{"3b62a9ba6258f5610f83e264f31497b4", "aa12fee1d5e3dab4724f16ab35f9c799"},
	{"264499060ad9baabc47f8b02bb6d71ed", "81ddb8042cf33994f4720e0094137c42"},
	{"00110dc378146956c95447d3f3d0fbba", "4faa541d5d498e89ba0ea4c387b22fb4"},
	{"0151c568386b6677a2b4dc6f81e5dc18", "723b9af3554491dbb1d6633dfc6e0c4e"},
	{"d626b266905ef35882634df68532c125", "e53f92859e4819a8dc0695739fea8c65"},
	{"9869e247e9c08b10d029934fc4b952f7", "b2f858c7c9ea801d53d603596d657844"},
	{"31fcefac66d7de9c7ec7485fe4494902", "87e76268dbc9227226b0ca665f64e378"},
	{"5493e99933b0a8117e08ec0f97cfc3d9", "c17e5505b2bd526c2921cdec1e7e0109"},
	{"6ee2a4ca67b054bbfd3315bf85230577", "d0a8d95715518eebb513b0f83d9e1793"},
	{"473d06e8738db89854c066c47ae47740", "234126f93fbb668d975112e8febdf7ec"},
	{"a426e5e423bf4885294da481feaef723", "ef42f03db78f704d023c449f16b7092b"},
	{"78017731cf65fab074d5208952512eb1", "abf76238c20af161b2314b4d5526bce9"},
	{"9e25fc833f2290733e9344a5e83839eb", "3c2c2f11bb90cf0be335ca9b2e91e9b7"},
	{"568e495abe525a218a2214cd3e071d12", "2a7a680f22a02a92f45149d20fece0ef"},
	{"4a29b54552d16b9a469c10528eff0aae", "c9a8d130231dd43e42e6456957f83779"},
	{"c9d184ddd5a9f5e0cf8ce29a9abf691c", "1d127b84405ceab99fd8775a9be6c559"},
	{"2db479ae78bd50d8882a8a178a6132ad", "9e4bf837bcfd92cace09d2061a84d04a"},
	{"8ece5f042d5e447b5051b9eacb8d8f6f", "39031a965d73b4af5a274d18f973b1d2"},
	{"9c0b53b4b3c307e87eaee08678141f66", "7f4d0a1209d67e4ed06f7538e1cfad64"},
	{"abf248af69a6eae4bfd3eb2f129eeb94", "e61ee240fbdcce38969f4cd24927dd93"},
	{"0664da1668574b88b935f3027358aef4", "4c3ba2b37b0fdd8cfa5e95c189b29414"},
	{"aa4b9dc4bf337de90cd4fd3c467c6ab7", "e06fd4ca066fecdd54068a5ad8896f86"},
	{"ea5c7f471faf6bde2b1ad7d4686d2287", "5ca84c34139c6580a88af24990720706"},
	{"2939b0183223fafc1723de4f52c43d35", "42ea961c5b3c858b17c3e550dfa79010"},
	{"7c3956ca5eeafc3e363e9d556546eb68", "406c44dee67857b2943160f30c7417d3"},
	{"77c6077146f01c32b6b69d5f4ea9ffcf", "c5f57bae1320fcf4b4e868e71d56c66b"},
	{"37a6986cb8847edf0925f0f1309b54de", "04bf737a5b676be7c3de05017df4bff9"},
	{"a705f0e69da9a8f907241a2e923c8cc8", "5163c9c03f1907ea1044ed5c30727b4f"},
	{"3dc47d1f29c448461e9e76ed904f6711", "37a110f002718edad24b3f9ee453f140"},
	{"0d62bf01e6fc0e1a0d3c4751c5d3692b", "b9877e381aedd3da08c33e75ff23ac10"},
	{"8c03468bca7c669ee4fd5e084bbee7b5", "7c5004005ec5da4c5ac9440e5c723193"},
	{"528a5bb93baf2c9c4473cce5d0d22bd9", "81b8243783dbc646ca9d0cd82abdb46c"},
	{"df6a301e95c95dad97ae0cc8c6913bd8", "505720543eb9b413d50b3cfad9eef938"},
	{"801189902c857f39e73591285e70b6db", "945f594de72411e4d335be874456d8f3"},
	{"e617346ac9c231bb3650ae34ccca0c5b", "37923b3e371777b21170bf9d7e62f602"},
	{"27d93437efb721aa401821dcec5adf89", "3ad4e7c85764964611eb0a6c4d62de56"},
	{"89237d9ded9c5e78d8b1c9b166cc7342", "cd91396c44af4f5185578d9dd9803f0a"},
	{"4a6d8091bf5e7d651189fa94a250b14c", "fe28158e727b868f3903c9acda64a258"},
	{"0e33f96055e7ae893ffc0e3dcf492902", "40cc10b8288ce5f0bc3ac0b68a0eebc8"},
	{"e61c432b720b19d18ec8d84bdc63151b", "6f1490f540699a3cd4974420ecc92737"},
	{"f7e5aef549f782cf379055a608269b16", "d505f1b75e1a84a603c43583b2ed0308"},
	{"438d030fd0b7a54fa837f2ad201a6403", "491573cfd72bb4682b7ca5880e1c8d6f"},
	{"a590d3ee4fbf04e3247e0d27f286423f", "3ed69cfe45ab403f2fd2ad959ba27666"},
	{"5fe2c1a172fe93c4b15cd37caef9f538", "8be839ef1b20b57c83ba7eb6a8c22b6a"},
	{"2c97325cbd06b36eb2133dd08b3a017c", "1409186ab42231fedee18162cf1cb4ca"},
	{"92c814227a6bca949ff0659f002ad39e", "2bf3ccc24ab672cf151fb8d2f3f3069b"},
	{"dce850110bd8328cfbd50841d6911d87", "b9b93a2882d6025cdb8c56fa13f7537b"},
	{"67f14984c7da791248e32bb5922583da", "d97cca3694fb206db8bd1f3650c33322"},
	{"1938f2cf72d54ee97e94166fa91d2a36", "94ec2e19a40be41af3940d6b30c49384"},
	{"74481e9646ed49fe0f6224301604698e", "4b41603f209a045be140a341a3dffe10"},
	{"57fca5de98a9d6d8006438d0583d8a1d", "23fbcb309f1cf094890755ab1b426569"},
	{"9fecde1cefdc1cbed4763674d9575359", "e7d9b65690918a2b232f2f5c12c8300e"},
	{"e3040c00eb28f15366ca73cbd872e740", "ade83cf7e7f3847b36fa4b54b00dce61"},
	{"7697009a6a831dfecca91c5993670f7a", "0610c5f2ee571c8ac80cbfe538bdf1c7"},
	{"5853542321f567a005d547a4f04759bd", "271d5d00fbdb5d155d9dcea97cb40218"},
	{"5150d1772f50834a503e069a973fbd7c", "4c5800e34efe426f079f6b0aa75260ad"},
};

static SipHash
reference_key(void)
{
	return (SipHash) {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
}

/* As the reference code writes it: both words, the lowest byte first. */
static void
word_text(uint64_t word, char text[17])
{
	for (int i = 0; i < 8; i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned) (word >> (8 * i)) & 0xff);
}

static void
check_vector(int n, const char *want, SipHash got)
{
	char		text[33];

	word_text(got.lo, text);
	word_text(got.hi, text + 16);
	check(strcmp(text, want) == 0, "%d bytes: %s, want %s", n, text, want);
}

/* At each of eight alignments: words are read from where the data happens to be. */
static void
test_vectors(void)
{
	unsigned char memory[N_VECTORS + 8];

	property_begin("published vectors of 2-4 and 1-3");
	for (int shift = 0; shift < 8; shift++)
		for (int n = 0; n < N_VECTORS; n++)
		{
			for (int i = 0; i < n; i++)
				memory[shift + i] = (unsigned char) i;
			check_vector(n, vectors[n].sip24, siphash_2_4(reference_key(), memory + shift, n));
			check_vector(n, vectors[n].sip13, siphash_1_3(reference_key(), memory + shift, n));
		}
	property_end();
}

static int
bits_set(SipHash x, SipHash y)
{
	return __builtin_popcountll(x.lo ^ y.lo) + __builtin_popcountll(x.hi ^ y.hi);
}

static SipHash
hash_by(int rounds, SipHash key, const void *data, size_t length)
{
	return rounds == 2 ? siphash_2_4(key, data, length) : siphash_1_3(key, data, length);
}

/*
 * About half of 128 bits: fewer than 24 or more than 104 would be seven standard
 * deviations off, and the mean over thousands stays within one bit of 64.
 */
static void
test_flips(int rounds)
{
	Random		random = {(uint64_t) rounds};
	char		name[64];
	int64_t		sum = 0;
	int64_t		n = 0;

	snprintf(name, sizeof(name), "%d rounds: one bit changes about half of the bits", rounds);
	property_begin(name);
	for (int i = 0; i < 200; i++)
	{
		SipHash		key = {random_bits(&random), random_bits(&random)};
		unsigned char data[40];
		size_t		length = random_in(&random, 1, sizeof(data));
		SipHash		hash;

		for (size_t j = 0; j < length; j++)
			data[j] = (unsigned char) random_bits(&random);
		hash = hash_by(rounds, key, data, length);
		for (size_t bit = 0; bit < length * 8 + 128; bit++)
		{
			SipHash		other = key;
			int			changed;

			if (bit < length * 8)
				data[bit / 8] ^= 1 << bit % 8;
			else if (bit < length * 8 + 64)
				other.lo ^= UINT64_C(1) << (bit - length * 8);
			else
				other.hi ^= UINT64_C(1) << (bit - length * 8 - 64);
			changed = bits_set(hash, hash_by(rounds, other, data, length));
			if (bit < length * 8)
				data[bit / 8] ^= 1 << bit % 8;
			check(changed >= 24 && changed <= 104, "bit %d: %d", (int) bit, changed);
			sum += changed;
			n++;
		}
	}
	check(sum >= 63 * n && sum <= 65 * n, "on average %.2f", (double) sum / n);
	property_end();
}

/* Zeros and nothing at the end are part of the message. */
static void
test_lengths(void)
{
	static const unsigned char zeros[300];

	property_begin("every length of zeros has its own hash");
	for (size_t n = 0; n < sizeof(zeros); n++)
		for (size_t m = 0; m < n; m++)
			check(bits_set(siphash_1_3(reference_key(), zeros, n),
						   siphash_1_3(reference_key(), zeros, m)) > 0, "%d and %d", (int) n, (int) m);
	property_end();
}

/* The length counts modulo 256 in the last word; the blocks before it must tell them apart. */
static void
test_long(void)
{
	static const unsigned char zeros[1024];
	SipHash		key = reference_key();

	ok(bits_set(siphash_1_3(key, zeros, 3), siphash_1_3(key, zeros, 3 + 256)) > 0,
	   "3 and 259 zeros differ");
	ok(bits_set(siphash_1_3(key, zeros, 512), siphash_2_4(key, zeros, 512)) > 0, "1-3 is not 2-4");
}

int
main(void)
{
	test_vectors();
	test_flips(1);
	test_flips(2);
	test_lengths();
	test_long();
	return tap_done();
}
