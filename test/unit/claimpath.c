/* link: src/access/claimpath.c */
/*
 * claimpath.c
 *		Paths into the claims: which steps each means, and what is none.
 */
#include "tap.h"

#include "access/claimpath.h"

#include <stdlib.h>
#include <string.h>

/* The steps with bars between them, or "!" and the fault; memory is as tight as the header allows. */
static void
parse(const char *path, size_t length, char *said, size_t size)
{
	char	   *copy = malloc(length > 0 ? length : 1);
	char	   *buffer = malloc(2 * length + 1);
	ClaimPath	result;
	const char *fault;

	memcpy(copy, path, length);
	fault = claim_path_parse(copy, length, buffer, &result);
	said[0] = '\0';
	if (fault != NULL)
		snprintf(said, size, "!%s", fault);
	else
		for (int i = 0; i < result.n; i++)
			snprintf(said + strlen(said), size - strlen(said), "%s%s", i > 0 ? "|" : "", result.steps[i]);
	free(buffer);
	free(copy);
}

static const char *const good[][2] = {
	{"sub", "sub"},
	{"a", "a"},
	{"a.b", "a|b"},
	{"a.b.c.d", "a|b|c|d"},
	{"app_metadata.roles[0]", "app_metadata|roles|0"},
	{"app_metadata.roles.0", "app_metadata|roles|0"},
	{"roles[-1]", "roles|-1"},
	{"roles[007]", "roles|007"},
	{"roles[0][1]", "roles|0|1"},
	{"roles[0].name", "roles|0|name"},
	{"roles[99999999999999999999]", "roles|99999999999999999999"},
	{"\"https://example.com/claims\".tenant", "https://example.com/claims|tenant"},
	{"a.\"b.c\"", "a|b.c"},
	{"\"a\"\"b\"", "a\"b"},
	{"\"\"\"\"", "\""},
	{"\"\"", ""},
	{"\"a\"[0]", "a|0"},
	{"\"[0]\"", "[0]"},
	{" a . b ", " a | b "},
	{"a-b/c:d", "a-b/c:d"},
	{"été.naïve", "été|naïve"},
	{"-1", "-1"},
};

static const char *const bad[] = {
	"", ".", "..", ".a", "a.", "a..b", "[0]", "a[", "a[0", "a[]", "a[-]", "a[--1]", "a[x]", "a[0x1]", "a[ 0]", "a[0]]",
	"a[0]b", "a]", "a\"b", "\"", "\"a", "\"a\"\"", "\"a\"b", "a.\"b", "a.[0]", "a.\"b\"c", "a[+1]", "a[1.5]", "a[1",
};

static void
test_tables(void)
{
	char		said[512];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		parse(good[i][0], strlen(good[i][0]), said, sizeof(said));
		ok(strcmp(said, good[i][1]) == 0, "%s means %s", good[i][0], said);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		parse(bad[i], strlen(bad[i]), said, sizeof(said));
		ok(said[0] == '!' && said[1] != '\0', "no path: '%s'%s", bad[i], said);
	}
}

/* The steps are C strings: a NUL would make a name of another. */
static void
test_nul(void)
{
	char		said[512];

	parse("sub\0x", 5, said, sizeof(said));
	ok(said[0] == '!', "a NUL in a name%s", said);
	parse("\"sub\0x\"", 7, said, sizeof(said));
	ok(said[0] == '!', "a NUL in a quoted name%s", said);
	parse("\0", 1, said, sizeof(said));
	ok(said[0] == '!', "a NUL alone%s", said);
	parse("a[1\0]", 5, said, sizeof(said));
	ok(said[0] == '!', "a NUL in an index%s", said);
}

static void
test_number_of_steps(void)
{
	char		path[4 * CLAIM_PATH_MAX_STEPS];
	char		said[512];
	size_t		length = 0;

	for (int i = 0; i <= CLAIM_PATH_MAX_STEPS; i++)
	{
		if (i > 0)
			path[length++] = '.';
		path[length++] = 'a';
		parse(path, length, said, sizeof(said));
		if (i == CLAIM_PATH_MAX_STEPS - 1)
			ok(said[0] == 'a', "as many steps as there is room for");
	}
	ok(said[0] == '!', "one more%s", said);
}

int
main(void)
{
	test_tables();
	test_nul();
	test_number_of_steps();
	return tap_done();
}
