/*
 * wording.c
 *		See wording.h.
 */
#include "limits/wording.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct Text
{
	char	   *bytes;
	size_t		size;
	size_t		length;
} Text;

static void
add_char(Text *text, char c)
{
	if (text->length + 1 < text->size)
		text->bytes[text->length] = c;
	text->length++;
}

static void
add_string(Text *text, const char *string)
{
	for (; *string != '\0'; string++)
		add_char(text, *string);
}

static void
add_number(Text *text, int64_t number)
{
	char		digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, number);
	add_string(text, digits);
}

static size_t
finish(Text *text)
{
	if (text->size > 0)
		text->bytes[text->length < text->size ? text->length : text->size - 1] = '\0';
	return text->length;
}

static const char *const wait_texts[] = {
	[LANGUAGE_FR] = "Trop de tentatives. Veuillez attendre {minutes}m {seconds}s avant de réessayer.",
	[LANGUAGE_EN] = "Too many attempts. Please wait {minutes}m {seconds}s before trying again.",
};

static const char *const closed_texts[] = {
	[LANGUAGE_FR] = "Accès refusé.",
	[LANGUAGE_EN] = "Access denied.",
};

static bool
promises_time(const char *template)
{
	return strstr(template, "{minutes}") || strstr(template, "{seconds}") ||
		strstr(template, "{retry_after}");
}

/* Writes the value of the placeholder that stands here and returns its length, else 0. */
static size_t
add_placeholder(Text *text, const char *template, int64_t retry_after_s, const char *limit_name)
{
	if (strncmp(template, "{minutes}", 9) == 0)
		return add_number(text, retry_after_s / 60), 9;
	if (strncmp(template, "{seconds}", 9) == 0)
		return add_number(text, retry_after_s % 60), 9;
	if (strncmp(template, "{retry_after}", 13) == 0)
		return add_number(text, retry_after_s), 13;
	if (strncmp(template, "{limit_name}", 12) == 0)
		return add_string(text, limit_name), 12;
	return 0;
}

size_t
wording_refusal(char *bytes, size_t size, const char *own, Language language,
				int64_t retry_after_s, const char *limit_name)
{
	Text		text = {bytes, size, 0};
	const char *template = own;

	if (template == NULL || (retry_after_s == NO_RETRY && promises_time(template)))
		template = retry_after_s == NO_RETRY ? closed_texts[language] : wait_texts[language];
	while (*template != '\0')
	{
		size_t		used = add_placeholder(&text, template, retry_after_s, limit_name);

		if (used == 0)
			add_char(&text, *template++);
		else
			template += used;
	}
	return finish(&text);
}

/* A structured field String: printable ASCII, with two characters escaped. */
static void
add_sf_string(Text *text, const char *string)
{
	add_char(text, '"');
	for (; *string != '\0'; string++)
	{
		if (*string == '"' || *string == '\\')
			add_char(text, '\\');
		add_char(text, *string >= ' ' && *string <= '~' ? *string : '?');
	}
	add_char(text, '"');
}

static void
add_parameter(Text *text, const char *name, int64_t value)
{
	add_char(text, ';');
	add_string(text, name);
	add_char(text, '=');
	add_number(text, value);
}

size_t
wording_policy(char *bytes, size_t size, const char *limit_name, int64_t max_hits, int64_t window_s)
{
	Text		text = {bytes, size, 0};

	add_sf_string(&text, limit_name);
	add_parameter(&text, "q", max_hits);
	if (window_s > 0)
		add_parameter(&text, "w", window_s);
	return finish(&text);
}

size_t
wording_status(char *bytes, size_t size, const char *limit_name, int64_t remaining, int64_t next_s)
{
	Text		text = {bytes, size, 0};

	add_sf_string(&text, limit_name);
	add_parameter(&text, "r", remaining);
	if (next_s > 0)
		add_parameter(&text, "t", next_s);
	return finish(&text);
}

int64_t
wording_seconds(int64_t us)
{
	return us <= 0 ? 0 : us / 1000000 + (us % 1000000 != 0);
}
