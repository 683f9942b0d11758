/* link: src/backups/placeholders.c */
/*
 * placeholders.c
 *		What stands for what, and what is no placeholder.
 */
#include "tap.h"

#include "backups/placeholders.h"

#include <stdlib.h>
#include <string.h>

static const Placeholder list[] = {{'d', "app"}, {'f', "app-1.dump"}, {'s', NULL}, {'p', "100%f"}, {0}};

/* Text, what it becomes. */
static const char *const expanded[][2] = {
	{"", ""}, {"plain", "plain"}, {"%d", "app"}, {"s3://b/%d/%f", "s3://b/app/app-1.dump"}, {"%d%d", "appapp"},
	{"%%", "%"}, {"%%d", "%d"}, {"%%%d", "%app"}, {"100%%", "100%"}, {"%s", ""}, {"a%sb", "ab"}, {"%", "%"}, {"a%", "a%"},
	{"%x", ""}, {"%p", "100%f"}, {"\xc3\xa9%d\xc3\xa9", "\xc3\xa9" "app\xc3\xa9"},
};

static void
test_expand(void)
{
	for (size_t i = 0; i < sizeof(expanded) / sizeof(expanded[0]); i++)
	{
		size_t		length = placeholders_expand(expanded[i][0], list, NULL, 0);
		char	   *result = malloc(length + 1);

		ok(placeholders_expand(expanded[i][0], list, result, length + 1) == length &&
		   strcmp(result, expanded[i][1]) == 0 && length == strlen(result), "\"%s\" is \"%s\"", expanded[i][0], result);
		free(result);
	}
}

static void
test_room(void)
{
	property_begin("no more is written than there is room for");
	for (size_t size = 0; size < 30; size++)
	{
		char	   *result = malloc(size > 0 ? size : 1);
		size_t		length = placeholders_expand("%f and %f", list, result, size);

		check(length == 25, "length %zu", length);
		if (size > 0)
			check(strlen(result) == (length < size ? length : size - 1) && strncmp(result, "app-1.dump and app-1.dump", size - 1) == 0,
				  "size %zu: %s", size, result);
		free(result);
	}
	property_end();
}

static void
test_unknown(void)
{
	static const char *const good[] = {"", "a", "%d", "%%", "%%x", "%d%%%f", "100%%"};
	static const char *const bad[][2] = {{"%", "%"}, {"a%", "%"}, {"%x", "%x"}, {"%d%x%y", "%x%y"}, {"%%%", "%"}, {"%%%x", "%x"}, {"% d", "% d"}, {"%D", "%D"}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(placeholders_unknown(good[i], "df") == NULL, "known: \"%s\"", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		const char *found = placeholders_unknown(bad[i][0], "df");

		ok(found && strcmp(found, bad[i][1]) == 0, "unknown in \"%s\": \"%s\"", bad[i][0], found ? found : "nothing");
	}
}

static void
test_has(void)
{
	ok(placeholders_has("--snapshot=%s", 's'), "it is there");
	ok(placeholders_has("%%%s", 's'), "after a percent sign");
	ok(!placeholders_has("%%s", 's'), "a percent sign and a letter are not it");
	ok(!placeholders_has("%d", 's') && !placeholders_has("s", 's') && !placeholders_has("", 's') && !placeholders_has("%", 's'), "others are not it");
}

int
main(void)
{
	test_expand();
	test_room();
	test_unknown();
	test_has();
	return tap_done();
}
