/* link: src/limits/wording.c */
/*
 * wording.c
 *		Any template and name: nothing is written behind the end, a cut text is the
 *		beginning of the whole, and a header field stays a structured field.
 */
#include "bytes.h"

#include "limits/wording.h"

#define MAX_TEXT 160

typedef struct Input
{
	char		own[MAX_TEXT];
	char		name[MAX_TEXT];
	Language	language;
	int64_t		first;
	int64_t		second;
} Input;

static const char *const pieces[] = {
	"{minutes}", "{seconds}", "{retry_after}", "{limit_name}", "{", "}", "{minutes", "é"
};

static void
choose_text(Bytes *bytes, char *text)
{
	size_t		length = 0;
	int			n = bytes_one(bytes) % 24;

	while (n-- > 0)
	{
		uint8_t		choice = bytes_one(bytes);
		const char	letter[2] = {(char) choice, '\0'};
		const char *more = choice < 8 ? pieces[choice] : letter;

		if (length + strlen(more) < MAX_TEXT)
			length += strlen(strcpy(text + length, more));
	}
	text[length] = '\0';
}

/* ---- the three writers, by number ---- */

static size_t
write_one(const Input *input, int which, char *text, size_t size)
{
	switch (which)
	{
		case 0:
			return wording_refusal(text, size, input->own, input->language, input->first, input->name);
		case 1:
			return wording_refusal(text, size, NULL, input->language, input->first, input->name);
		case 2:
			return wording_policy(text, size, input->name, input->first, input->second);
		default:
			return wording_status(text, size, input->name, input->first, input->second);
	}
}

/* ---- RFC 9651: sf-string *( ";" key "=" sf-integer ) ---- */

static const char *
skip_string(const char *at)
{
	must(*at++ == '"');
	while (*at != '"')
	{
		must(*at >= ' ' && *at <= '~');
		if (*at == '\\')
			must(*++at == '"' || *at == '\\');
		at++;
	}
	return at + 1;
}

static void
must_be_field(const char *at)
{
	at = skip_string(at);
	while (*at != '\0')
	{
		must(*at++ == ';');
		must(*at >= 'a' && *at <= 'z');
		must(*++at == '=');
		must(*++at >= '0' && *at <= '9');
		while (*at >= '0' && *at <= '9')
			at++;
	}
}

static void
try_one(const Input *input, int which, size_t size)
{
	size_t		length = write_one(input, which, NULL, 0);
	char	   *whole = malloc(length + 1);
	char	   *text = malloc(size);
	size_t		kept = size - 1 < length ? size - 1 : length;

	must(write_one(input, which, whole, length + 1) == length);
	must(strlen(whole) == length);
	must(write_one(input, which, text, size) == length);
	must(strnlen(text, size) == kept && memcmp(text, whole, kept) == 0);
	if (which >= 2)
		must_be_field(whole);
	free(text);
	free(whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes		bytes = {data, size};
	Input		input;
	size_t		room;
	int			which;

	input.language = bytes_one(&bytes) % 2 ? LANGUAGE_FR : LANGUAGE_EN;
	input.first = bytes_number(&bytes, INT64_MAX);
	input.second = bytes_number(&bytes, INT64_MAX);
	room = 1 + bytes_one(&bytes);
	choose_text(&bytes, input.own);
	choose_text(&bytes, input.name);
	which = bytes_one(&bytes) % 8;
	if (which >= 4)
		input.first = NO_RETRY;
	try_one(&input, which >= 4 ? which % 2 : which, room);
	must(wording_seconds(input.second) >= input.second / 1000000);
	return 0;
}
