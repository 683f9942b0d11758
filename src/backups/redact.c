/*
 * redact.c
 *		See redact.h.
 */
#include "backups/redact.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const endings[] = {
	"password", "passwd", "passphrase", "pwd", "secret", "token", "key", "credential", "credentials"
};

static bool
is_name_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '-' || c == '.';
}

static bool
ends_like_secret(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
	{
		size_t		bytes = strlen(endings[i]);

		if (length >= bytes && strncasecmp(name + length - bytes, endings[i], bytes) == 0)
			return true;
	}
	return false;
}

static void
mask(char *from, const char *to)
{
	for (; from < to; from++)
		*from = '*';
}

/* Where the value that begins here ends: at its closing quote, else before white space and what separates. */
static char *
end_of_value(char *value)
{
	if (*value == '"' || *value == '\'')
	{
		char	   *end = strchr(value + 1, *value);

		return end ? end : value + strlen(value);
	}
	return value + strcspn(value, " \t\r\n\"'&;,}");
}

/* From the sign after a name: what follows is masked; returns where to go on. */
static char *
mask_value(char *sign)
{
	char	   *value = sign + 1;
	char	   *end;

	value += strspn(value, " \t");
	end = end_of_value(value);
	if (*value == '"' || *value == '\'')
		value++;
	mask(value, end);
	return end;
}

static char *
after_name(char *text)
{
	char	   *end = text;
	char	   *sign;

	while (is_name_char(*end))
		end++;
	sign = end;
	if (*sign == '"' || *sign == '\'')
		sign++;
	sign += strspn(sign, " \t");
	if ((*sign == '=' || (*sign == ':' && strncmp(sign, "://", 3) != 0)) && ends_like_secret(text, end - text))
		return mask_value(sign);
	return end;
}

/* "://user:secret@": the last @ before the path is the one that ends it. */
static void
mask_address(char *text)
{
	size_t		length = strcspn(text, "/ \t\r\n\"'");
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

bool
redact_names_secret(const char *argument)
{
	return argument[0] == '-' && strncmp(argument, "--no-", 5) != 0 && strchr(argument, '=') == NULL && ends_like_secret(argument, strlen(argument));
}
