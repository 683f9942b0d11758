/* link: src/backups/placeholders.c */
/*
 * placeholders.c
 *		Any text: what is known is replaced whole, the length is told beforehand,
 *		and nothing is written behind the end.
 */
#include "bytes.h"

#include "backups/placeholders.h"

static char *
text_of(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);

	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Simpler, and without an end: each piece by itself. */
static void
must_be_pieces(const char *text, const Placeholder *list, const char *result)
{
	for (; *text; text++)
	{
		const char *value = NULL;
		char		itself[2] = {*text, '\0'};

		for (int i = 0; *text == '%' && list[i].letter; i++)
			if (text[1] == list[i].letter)
				value = list[i].value;
		if (*text == '%')
			text++;
		value = value ? value : itself;
		must(strncmp(result, value, strlen(value)) == 0);
		result += strlen(value);
	}
	must(*result == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const Placeholder list[] = {{'d', "database"}, {'f', "%d%%"}, {'i', ""}, {0}};
	char	   *text = text_of(data, size);
	size_t		length = placeholders_expand(text, list, NULL, 0);
	size_t		room = size > 0 ? data[0] % 64 : 1;
	char	   *result = malloc(length + 1);
	char	   *cut = malloc(room > 0 ? room : 1);

	must(placeholders_expand(text, list, result, length + 1) == length);
	must(strlen(result) == length);
	must(placeholders_expand(text, list, cut, room) == length);
	if (room > 0)
		must(strncmp(cut, result, room - 1) == 0 && strlen(cut) == (length < room ? length : room - 1));
	if (placeholders_unknown(text, "dfi") == NULL)
		must_be_pieces(text, list, result);
	else
		must(*placeholders_unknown(text, "dfi") == '%');
	if (placeholders_has(text, 'd'))
		must(strstr(text, "%d") != NULL);
	free(cut);
	free(result);
	free(text);
	return 0;
}
