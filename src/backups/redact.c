/*
 * redact.c
 *		See redact.h.
 */
#include "backups/redact.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const endings[] = {
	"password", "passwd", "passphrase", "pwd", "secret", "token", "key", "signature", "credential", "credentials"
};

/* Too short to be looked for at the end of any word: "compass", "config". */
static const char *const words[] = {"pass", "sig", "auth"};

#define BLANKS			" \t"
#define WHITE			" \t\r\n"
#define LENGTH_OF(a)	(sizeof(a) / sizeof((a)[0]))

/* The locale has no say in it. */
static bool
is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
is_name_char(char c)
{
	return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool
is_quote(char c)
{
	return c == '"' || c == '\'';
}

static bool
ends_with(const char *name, size_t length, const char *ending)
{
	size_t		bytes = strlen(ending);

	return length >= bytes && strncasecmp(name + length - bytes, ending, bytes) == 0;
}

static bool
ends_with_word(const char *name, size_t length, const char *word)
{
	size_t		before = length - strlen(word);

	return ends_with(name, length, word) && (before == 0 || !is_letter_or_digit(name[before - 1]));
}

static bool
is_of_secret(const char *name, size_t length)
{
	if (length >= 5 && strncmp(name, "--no-", 5) == 0)
		return false;
	for (size_t i = 0; i < LENGTH_OF(endings); i++)
		if (ends_with(name, length, endings[i]))
			return true;
	for (size_t i = 0; i < LENGTH_OF(words); i++)
		if (ends_with_word(name, length, words[i]))
			return true;
	return false;
}

static bool
is_option(const char *name)
{
	return name[0] == '-' && name[1] == '-';
}

static void
mask(char *from, const char *to)
{
	for (; from < to; from++)
		*from = '*';
}

/* A quote, or one that is escaped because it stands within a text in quotes itself. */
static char *
skip_quote(char *text)
{
	if (text[0] == '\\' && is_quote(text[1]))
		return text + 2;
	return is_quote(text[0]) ? text + 1 : text;
}

/* Before the closing quote, which is escaped when the opening one was, and in the same line in any case. */
static char *
end_of_quoted(char *value, char quote, bool escaped)
{
	for (; *value; value++)
	{
		if (*value == '\n' || (escaped && value[0] == '\\' && value[1] == quote))
			return value;
		if (!escaped && *value == quote)
			return value;
		if (*value == '\\' && value[1] != '\0')
			value++;
	}
	return value;
}

/* Masks the value that begins here, without its quotes; ends: what an unquoted one ends at. */
static char *
mask_value(char *value, const char *ends)
{
	char	   *from;
	char	   *to;

	/* As Python prints bytes. */
	if (value[0] == 'b' && is_quote(value[1]))
		value++;
	from = skip_quote(value);
	to = from == value ? value + strcspn(value, ends) : end_of_quoted(from, from[-1], from - value == 2);
	mask(from, to);
	return to;
}

/* "Authorization: Bearer x" has two words, others more: until the end of the line, or of the text in quotes. */
static char *
mask_line(char *text)
{
	return mask_value(text, "\r\n\"'");
}

/* What stands between a name and its value: "=", ": ", "\":\"", "=>", ":="; NULL when there is something else. */
static char *
after_sign(char *end)
{
	char	   *sign = skip_quote(end);

	sign += strspn(sign, BLANKS);
	if ((*sign != '=' && *sign != ':') || strncmp(sign, "://", 3) == 0)
		return NULL;
	sign += strspn(sign, "=:>");
	return sign + strspn(sign, BLANKS);
}

/* "--name value", "'--name' 'value'": an option that begins there is none. */
static char *
after_blank(char *end)
{
	char	   *quoted = skip_quote(end);
	char	   *value = quoted + strspn(quoted, BLANKS);

	return value > quoted && *value != '-' && *value != '\0' ? value : NULL;
}

static bool
is_word(const char *name, size_t length, const char *word)
{
	return length == strlen(word) && strncasecmp(name, word, length) == 0;
}

/* From the first character of a name on; returns where to go on. */
static char *
after_name(char *name)
{
	char	   *end = name;
	char	   *value;
	size_t		length;

	while (is_name_char(*end))
		end++;
	length = end - name;
	value = after_sign(end);
	if (value && ends_with_word(name, length, "authorization"))
		return mask_line(value);
	if (value && is_of_secret(name, length))
		return mask_value(value, WHITE "\"'&");
	value = after_blank(end);
	if (value && ((is_option(name) && is_of_secret(name, length)) || is_word(name, length, "bearer")))
		return mask_value(value, WHITE "\"'&");
	return end;
}

/* "://user:secret@": the last @ before the path is the one that ends it. */
static void
mask_address(char *text)
{
	size_t		length = strcspn(text, "/" WHITE);
	char	   *colon = memchr(text, ':', length);
	char	   *at = NULL;

	for (size_t i = 0; i < length; i++)
		if (text[i] == '@')
			at = text + i;
	if (colon && at && colon < at)
		mask(colon + 1, at);
}

void
redact_text(char *text)
{
	while (*text)
	{
		if (strncmp(text, "://", 3) == 0)
		{
			text += 3;
			mask_address(text);
		}
		else if (is_name_char(*text))
			text = after_name(text);
		else
			text++;
	}
}

/* ---- arguments ---- */

/* "--password", and what curl and its like take as "-u user:secret". */
static char *
secret_after(char *argument, const char *previous)
{
	char	   *colon = strchr(argument, ':');

	if (previous[0] == '-' && strchr(previous, '=') == NULL && is_of_secret(previous, strlen(previous)))
		return argument;
	if (colon && (strcmp(previous, "-u") == 0 || strcmp(previous, "-U") == 0 || strcmp(previous, "--user") == 0 || strcmp(previous, "--proxy-user") == 0))
		return colon + 1;
	return NULL;
}

static char *
secret_within(char *argument)
{
	size_t		length = 0;

	while (is_name_char(argument[length]))
		length++;
	return argument[length] == '=' && is_of_secret(argument, length) ? argument + length + 1 : NULL;
}

void
redact_argument(char *argument, const char *previous)
{
	char	   *secret = previous ? secret_after(argument, previous) : NULL;

	if (secret == NULL)
		secret = secret_within(argument);
	if (secret)
		mask(secret, secret + strlen(secret));
	redact_text(argument);
}
