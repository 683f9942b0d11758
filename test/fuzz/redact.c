/* link: src/backups/redact.c */
/*
 * redact.c
 *		Any text: its length stays, what changes becomes stars, and a secret on a
 *		line of its own does not survive, whatever stands before it.
 */
#include "bytes.h"

#include "backups/redact.h"

#define SECRET "x1Y2z3W4"

static const char *const lines[] = {
	"\nPGPASSWORD=" SECRET, "\n{\"password\": \"" SECRET "\"}", "\naws_secret_access_key = " SECRET,
	"\nAuthorization: Bearer " SECRET, "\npostgres://me:" SECRET "@host/db", "\n--password " SECRET,
	"\nhttps://h/o?X-Amz-Date=1&X-Amz-Signature=" SECRET
};

static char *
text_of(const char *data, size_t size, const char *line)
{
	char	   *text = malloc(size + strlen(line) + 1);

	if (size > 0)
		memcpy(text, data, size);
	strcpy(text + size, line);
	return text;
}

static void
must_be_stars(const char *before, const char *after)
{
	must(strlen(before) == strlen(after));
	for (; *before; before++, after++)
		must(*before == *after || *after == '*');
}

static void
try(const uint8_t *data, size_t size, const char *line)
{
	char	   *text;
	char	   *copy;

	if (size > 0 && memchr(data, '\0', size) != NULL)
		return;
	text = text_of((const char *) data, size, line);
	copy = strdup(text);
	redact_text(copy);
	must_be_stars(text, copy);
	if (line[0] != '\0' && strstr(text, SECRET) >= text + size)
		must(strstr(copy, SECRET) == NULL);
	free(copy);
	copy = strdup(text);
	redact_argument(copy, size % 2 ? "--password" : "-u");
	must_be_stars(text, copy);
	free(copy);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size, "");
	if (size > 0)
		try(data + 1, size - 1, lines[data[0] % (sizeof(lines) / sizeof(lines[0]))]);
	return 0;
}
