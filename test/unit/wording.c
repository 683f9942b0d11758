/* link: src/limits/wording.c */
/*
 * wording.c
 *		What a refused client reads: the text and the RateLimit fields, to the byte.
 */
#include "tap.h"

#include "limits/wording.h"

#include <stdlib.h>
#include <string.h>

/* ---- the refusal ---- */

typedef struct RefusalCase
{
	const char *own;
	Language	language;
	int64_t		retry_after_s;
	const char *want;
} RefusalCase;

static const RefusalCase refusals[] = {
	{NULL, LANGUAGE_FR, 1, "Trop de tentatives. Veuillez attendre 0m 1s avant de réessayer."},
	{NULL, LANGUAGE_FR, 59, "Trop de tentatives. Veuillez attendre 0m 59s avant de réessayer."},
	{NULL, LANGUAGE_FR, 60, "Trop de tentatives. Veuillez attendre 1m 0s avant de réessayer."},
	{NULL, LANGUAGE_FR, 3599, "Trop de tentatives. Veuillez attendre 59m 59s avant de réessayer."},
	{NULL, LANGUAGE_FR, 3600, "Trop de tentatives. Veuillez attendre 60m 0s avant de réessayer."},
	{NULL, LANGUAGE_EN, 61, "Too many attempts. Please wait 1m 1s before trying again."},
	{NULL, LANGUAGE_EN, INT64_C(315360000),
	"Too many attempts. Please wait 5256000m 0s before trying again."},
	{NULL, LANGUAGE_EN, 0, "Too many attempts. Please wait 0m 0s before trying again."},
	{NULL, LANGUAGE_FR, NO_RETRY, "Accès refusé."},
	{NULL, LANGUAGE_EN, NO_RETRY, "Access denied."},

	{"Slow down.", LANGUAGE_FR, 61, "Slow down."},
	{"Slow down.", LANGUAGE_FR, NO_RETRY, "Slow down."},
	{"{limit_name}: {retry_after} ({minutes}:{seconds})", LANGUAGE_EN, 125, "login: 125 (2:5)"},
	{"{retry_after}{retry_after}", LANGUAGE_EN, 7, "77"},
	{"{limit_name} is closed", LANGUAGE_FR, NO_RETRY, "login is closed"},
	{"Wait {minutes} minutes", LANGUAGE_FR, NO_RETRY, "Accès refusé."},
	{"Wait {seconds} seconds", LANGUAGE_EN, NO_RETRY, "Access denied."},
	{"Wait {retry_after}", LANGUAGE_EN, NO_RETRY, "Access denied."},

	/* what looks like a placeholder and is none */
	{"{", LANGUAGE_EN, 7, "{"},
	{"{}", LANGUAGE_EN, 7, "{}"},
	{"{hours}{Minutes}{minutes", LANGUAGE_EN, 7, "{hours}{Minutes}{minutes"},
	{"{{seconds}}", LANGUAGE_EN, 7, "{7}"},
	{"%s %d %n", LANGUAGE_EN, 7, "%s %d %n"},
	{"100 % {seconds}", LANGUAGE_EN, 7, "100 % 7"},
};

static void
test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
	{
		const RefusalCase *one = &refusals[i];
		char		text[256];
		size_t		length = wording_refusal(text, sizeof(text), one->own, one->language,
											 one->retry_after_s, "login");

		ok(strcmp(text, one->want) == 0 && length == strlen(one->want), "%s, %lld s: %s",
		   one->own ? one->own : "default", (long long) one->retry_after_s, text);
	}
}

/* The name is data: braces and percents in it are not looked at. */
static void
test_name_is_data(void)
{
	char		text[256];

	wording_refusal(text, sizeof(text), "no {limit_name}", LANGUAGE_EN, 5, "{seconds}%s{limit_name}");
	ok(strcmp(text, "no {seconds}%s{limit_name}") == 0, "a name is not expanded: %s", text);
	wording_refusal(text, sizeof(text), "no {limit_name}", LANGUAGE_EN, 5, "");
	ok(strcmp(text, "no ") == 0, "a name may be empty");
}

/* ---- header fields ---- */

typedef struct FieldCase
{
	const char *name;
	int64_t		first;
	int64_t		second;
	const char *policy;
	const char *status;
} FieldCase;

static const FieldCase fields[] = {
	{"login", 10, 3600, "\"login\";q=10;w=3600", "\"login\";r=10;t=3600"},
	{"login", 0, 0, "\"login\";q=0", "\"login\";r=0"},
	{"login", 10, -1, "\"login\";q=10", "\"login\";r=10"},
	{"api v1", 4294967295, 315360000, "\"api v1\";q=4294967295;w=315360000",
	"\"api v1\";r=4294967295;t=315360000"},
	{"", 1, 1, "\"\";q=1;w=1", "\"\";r=1;t=1"},
	{"a\"b\\c", 1, 1, "\"a\\\"b\\\\c\";q=1;w=1", "\"a\\\"b\\\\c\";r=1;t=1"},
	{"a\r\nSet-Cookie: x", 1, 1, "\"a??Set-Cookie: x\";q=1;w=1", "\"a??Set-Cookie: x\";r=1;t=1"},
	{"\xc3\xa9t\xc3\xa9", 1, 1, "\"??t??\";q=1;w=1", "\"??t??\";r=1;t=1"},
	{"\x01\x1f\x7f\x80\xff ~", 1, 1, "\"????\? ~\";q=1;w=1", "\"????\? ~\";r=1;t=1"},
};

static void
test_fields(void)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		const FieldCase *one = &fields[i];
		char		text[256];
		size_t		length = wording_policy(text, sizeof(text), one->name, one->first, one->second);

		ok(strcmp(text, one->policy) == 0 && length == strlen(text), "policy %s", text);
		length = wording_status(text, sizeof(text), one->name, one->first, one->second);
		ok(strcmp(text, one->status) == 0 && length == strlen(text), "status %s", text);
	}
}

/* ---- size ---- */

typedef size_t (*Writer) (char *text, size_t size);

static size_t
write_default(char *text, size_t size)
{
	return wording_refusal(text, size, NULL, LANGUAGE_FR, 3599, "login");
}

static size_t
write_own(char *text, size_t size)
{
	return wording_refusal(text, size, "{limit_name} {retry_after} {x", LANGUAGE_FR, 3599, "login");
}

static size_t
write_policy(char *text, size_t size)
{
	return wording_policy(text, size, "a\"b\\c\n", 4294967295, 3600);
}

static size_t
write_status(char *text, size_t size)
{
	return wording_status(text, size, "login", INT64_MAX, INT64_MAX);
}

/* In memory of just that size, the text is cut, closed, and as long as it would like to be. */
static void
test_size(const char *name, Writer write)
{
	char		whole[512];
	size_t		length = write(whole, sizeof(whole));

	property_begin(name);
	check(length > 0 && length == strlen(whole), "%d", (int) length);
	check(write(NULL, 0) == length, "%d", (int) write(NULL, 0));
	for (size_t size = 1; size <= length + 2; size++)
	{
		char	   *text = malloc(size);
		size_t		kept = size - 1 < length ? size - 1 : length;

		memset(text, 'x', size);
		check(write(text, size) == length, "size %d", (int) size);
		check(strnlen(text, size) == kept && memcmp(text, whole, kept) == 0, "size %d", (int) size);
		free(text);
	}
	property_end();
}

/* ---- seconds ---- */

static void
test_seconds(void)
{
	static const int64_t cases[][2] = {
		{INT64_MIN, 0}, {-1, 0}, {0, 0}, {1, 1}, {999999, 1}, {1000000, 1}, {1000001, 2},
		{1999999, 2}, {2000000, 2}, {898500000, 899}, {INT64_MAX, INT64_C(9223372036855)}
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(wording_seconds(cases[i][0]) == cases[i][1], "%lld us are %lld s", (long long) cases[i][0],
		   (long long) wording_seconds(cases[i][0]));
}

int
main(void)
{
	test_refusals();
	test_name_is_data();
	test_fields();
	test_size("the default text in any size", write_default);
	test_size("a text of one's own in any size", write_own);
	test_size("a policy in any size", write_policy);
	test_size("a status in any size", write_status);
	test_seconds();
	return tap_done();
}
