/*
 * json.h
 *		Reads the JSON of test/vectors: enough for integers, booleans (as 0 and
 *		1), short strings, arrays and objects, and no more.  A file that does not
 *		fit ends the test.
 */
#ifndef TEST_UNIT_JSON_H
#define TEST_UNIT_JSON_H

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX_TEXT	(1 << 20)
#define JSON_MAX_VALUES	(1 << 16)

typedef enum JsonKind
{
	JSON_NULL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonKind;

typedef struct Json
{
	JsonKind	kind;
	int64_t		number;
	const char *string;
	const char *name;			/* in an object */
	int			n;
	struct Json *first;
	struct Json *next;
} Json;

static char json_text[JSON_MAX_TEXT];
static char *json_at;
static Json json_values[JSON_MAX_VALUES];
static int	json_used;

static inline void
json_bail(const char *what)
{
	printf("Bail out! JSON: %s, %d bytes from the start\n", what,
		   json_at ? (int) (json_at - json_text) : 0);
	exit(1);
}

static inline char
json_peek(void)
{
	while (isspace((unsigned char) *json_at))
		json_at++;
	return *json_at;
}

static inline void
json_expect(char c)
{
	if (json_peek() != c)
		json_bail("unexpected character");
	json_at++;
}

/* Taken out in place; of the escapes, those that stand for themselves. */
static inline const char *
json_string(void)
{
	char	   *start;
	char	   *to;

	json_expect('"');
	start = to = json_at;
	while (*json_at != '"')
	{
		if (*json_at == '\\' && strchr("\"\\/", *++json_at) == NULL)
			json_bail("unknown escape");
		if (*json_at == '\0')
			json_bail("string without end");
		*to++ = *json_at++;
	}
	json_at++;
	*to = '\0';
	return start;
}

static Json *json_value(void);

static inline void
json_members(Json *parent, char close)
{
	Json	  **link = &parent->first;

	json_at++;
	while (json_peek() != close)
	{
		const char *name = NULL;

		if (parent->n++ > 0)
			json_expect(',');
		if (parent->kind == JSON_OBJECT)
		{
			json_peek();
			name = json_string();
			json_expect(':');
		}
		*link = json_value();
		(*link)->name = name;
		link = &(*link)->next;
	}
	json_at++;
}

static inline void
json_number(Json *value)
{
	char	   *end;

	value->kind = JSON_NUMBER;
	value->number = strtoll(json_at, &end, 10);
	if (end == json_at || strchr(".eE", *end) != NULL)
		json_bail("not an integer");
	json_at = end;
}

static Json *
json_value(void)
{
	Json	   *value = &json_values[json_used++];
	char		c = json_peek();

	if (json_used == JSON_MAX_VALUES)
		json_bail("too many values");
	if (c == '{' || c == '[')
	{
		value->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
		json_members(value, c == '{' ? '}' : ']');
	}
	else if (c == '"')
	{
		value->kind = JSON_STRING;
		value->string = json_string();
	}
	else if (strncmp(json_at, "null", 4) == 0)
		json_at += 4;
	else if (strncmp(json_at, "true", 4) == 0 || strncmp(json_at, "false", 5) == 0)
	{
		value->kind = JSON_NUMBER;
		value->number = c == 't';
		json_at += c == 't' ? 4 : 5;
	}
	else
		json_number(value);
	return value;
}

static inline Json *
json_read(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	Json	   *value;
	size_t		length;

	if (file == NULL)
	{
		printf("Bail out! cannot open %s; run from the root of the repository\n", path);
		exit(1);
	}
	length = fread(json_text, 1, sizeof(json_text) - 1, file);
	fclose(file);
	json_at = json_text;
	value = json_value();
	if (json_peek() != '\0' || json_at != json_text + length)
		json_bail("more after the end");
	return value;
}

/* NULL when there is none of that name. */
static inline const Json *
json_get(const Json *object, const char *name)
{
	for (const Json *member = object->first; member != NULL; member = member->next)
		if (strcmp(member->name, name) == 0)
			return member;
	return NULL;
}

static inline const Json *
json_item(const Json *array, int i)
{
	const Json *item = array->first;

	while (i-- > 0 && item != NULL)
		item = item->next;
	if (item == NULL)
		json_bail("no such item");
	return item;
}

#endif							/* TEST_UNIT_JSON_H */
