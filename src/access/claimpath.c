/*
 * claimpath.c
 *		See claimpath.h.
 */
#include "access/claimpath.h"

#include <string.h>

typedef struct Reader
{
	const char *at;
	const char *end;
	char	   *out;
} Reader;

static bool
is_special(char c)
{
	return c == '.' || c == '[' || c == ']' || c == '"' || c == '\0';
}

static const char *
read_bare(Reader *reader)
{
	const char *start = reader->at;

	while (reader->at < reader->end && !is_special(*reader->at))
		*reader->out++ = *reader->at++;
	return reader->at == start ? "a name is missing" : NULL;
}

static const char *
read_quoted(Reader *reader)
{
	reader->at++;
	while (reader->at < reader->end)
	{
		char		c = *reader->at++;

		if (c == '\0')
			break;
		if (c == '"')
		{
			if (reader->at == reader->end || *reader->at != '"')
				return NULL;
			reader->at++;
		}
		*reader->out++ = c;
	}
	return "a quote is not closed";
}

static const char *
read_index(Reader *reader)
{
	const char *digits;

	reader->at++;
	if (reader->at < reader->end && *reader->at == '-')
		*reader->out++ = *reader->at++;
	digits = reader->at;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		*reader->out++ = *reader->at++;
	if (reader->at == digits)
		return "an index is not a number";
	if (reader->at == reader->end || *reader->at != ']')
		return "a bracket is not closed";
	reader->at++;
	return NULL;
}

static const char *
read_step(Reader *reader, bool first)
{
	if (*reader->at == '[' && !first)
		return read_index(reader);
	if (!first)
	{
		if (*reader->at != '.')
			return "a dot is missing between two names";
		reader->at++;
	}
	if (reader->at < reader->end && *reader->at == '"')
		return read_quoted(reader);
	return read_bare(reader);
}

const char *
claim_path_parse(const char *path, size_t length, char *buffer, ClaimPath *result)
{
	Reader		reader = {.at = path, .end = path + length, .out = buffer};

	result->n = 0;
	if (length == 0)
		return "it is empty";
	while (reader.at < reader.end)
	{
		const char *fault;

		if (result->n == CLAIM_PATH_MAX_STEPS)
			return "it is too long";
		result->steps[result->n] = reader.out;
		fault = read_step(&reader, result->n == 0);
		if (fault != NULL)
			return fault;
		*reader.out++ = '\0';
		result->n++;
	}
	return NULL;
}
