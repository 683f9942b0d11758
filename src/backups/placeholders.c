/*
 * placeholders.c
 *		See placeholders.h.
 */
#include "backups/placeholders.h"

#include <string.h>

const char *
placeholders_unknown(const char *text, const char *letters)
{
	for (; *text; text++)
	{
		if (*text != '%')
			continue;
		if (text[1] == '\0' || (text[1] != '%' && strchr(letters, text[1]) == NULL))
			return text;
		text++;
	}
	return NULL;
}

bool
placeholders_has(const char *text, char letter)
{
	for (; *text; text++)
	{
		if (*text != '%')
			continue;
		if (text[1] == letter)
			return true;
		if (*++text == '\0')
			break;
	}
	return false;
}

static const char *
value_of(char letter, const Placeholder *placeholders)
{
	for (; placeholders->letter; placeholders++)
		if (placeholders->letter == letter)
			return placeholders->value ? placeholders->value : "";
	return letter == '%' ? "%" : "";
}

size_t
placeholders_expand(const char *text, const Placeholder *placeholders, char *result, size_t size)
{
	size_t		length = 0;

	while (*text)
	{
		bool		is_placeholder = text[0] == '%' && text[1] != '\0';
		const char *piece = is_placeholder ? value_of(text[1], placeholders) : text;
		size_t		bytes = is_placeholder ? strlen(piece) : 1;

		for (size_t i = 0; i < bytes; i++, length++)
			if (length + 1 < size)
				result[length] = piece[i];
		text += is_placeholder ? 2 : 1;
	}
	if (size > 0)
		result[length < size ? length : size - 1] = '\0';
	return length;
}
