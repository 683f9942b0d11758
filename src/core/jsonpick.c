/*
 * jsonpick.c
 *		See jsonpick.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/jsonpick.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"

typedef struct Pick
{
	const char *const *names;
	int			n;
	bool		any_case;
	char	  **values;
	int			depth;
	int			wanted;			/* index of the member we are in, or -1 */
	bool		is_object;
	JsonLexContext *lexer;
	bool		unescapes;		/* the lexer makes a plain copy of every string */
	bool		met_escape;		/* it made none, but here one is needed */
	const char *value_start;	/* where the text of the wanted member begins */
} Pick;

static CompatJsonAnswer
object_start(void *state)
{
	Pick	   *pick = state;

	if (pick->depth++ == 0)
		pick->is_object = true;
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
array_start(void *state)
{
	((Pick *) state)->depth++;
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
any_end(void *state)
{
	((Pick *) state)->depth--;
	COMPAT_JSON_GO_ON;
}

/*
 * The lexer's own plain copies of strings are not asked for: of the time to parse
 * the headers of a request they took a third, and all but one or two are thrown
 * away.  What is wanted is cut out of the text, between the places where the
 * lexer says that tokens begin and end.  Where a name or a wanted value has a
 * backslash, all is parsed once more, with copies.
 */

/*
 * The name whose colon the lexer has just passed, as it is written, without its
 * quotes.  A quote with a backslash before it does not begin a string.
 */
static const char *
name_before_colon(const JsonLexContext *lexer, size_t *length)
{
	const char *end = lexer->prev_token_terminator - 1;
	const char *start;

	while (end[-1] != '"')
		end--;
	start = --end;
	while (start[-1] != '"' || start[-2] == '\\')
		start--;
	*length = end - start;
	return start;
}

static CompatJsonAnswer
field_start(void *state, char *name, bool isnull)
{
	Pick	   *pick = state;
	const char *text = name;
	size_t		length;

	if (pick->depth != 1)
		COMPAT_JSON_GO_ON;
	if (pick->unescapes)
		length = strlen(name);
	else
	{
		text = name_before_colon(pick->lexer, &length);
		pick->met_escape |= memchr(text, '\\', length) != NULL;
	}
	pick->wanted = -1;
	pick->value_start = pick->lexer->token_start;
	for (int i = 0; i < pick->n; i++)
		if (strlen(pick->names[i]) == length &&
			(pick->any_case ? pg_strncasecmp(text, pick->names[i], length) :
			 strncmp(text, pick->names[i], length)) == 0)
			pick->wanted = i;
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
scalar(void *state, char *token, JsonTokenType type)
{
	Pick	   *pick = state;

	if (pick->depth != 1 || pick->wanted < 0)
		COMPAT_JSON_GO_ON;
	if (type == JSON_TOKEN_STRING && !pick->unescapes)
	{
		const char *start = pick->value_start + 1;
		size_t		length = pick->lexer->prev_token_terminator - 1 - start;

		pick->met_escape |= memchr(start, '\\', length) != NULL;
		token = pnstrdup(start, length);
	}
	pick->values[pick->wanted] = type == JSON_TOKEN_NULL ? NULL : token;
	COMPAT_JSON_GO_ON;
}

static bool
parse(Pick *pick, const char *json)
{
	JsonSemAction action = {
		.semstate = pick,
		.object_start = object_start,
		.object_end = any_end,
		.array_start = array_start,
		.array_end = any_end,
		.object_field_start = field_start,
		.scalar = scalar
	};

	memset(pick->values, 0, pick->n * sizeof(char *));
	pick->lexer = compat_json_lexer(unconstify(char *, json), strlen(json), pick->unescapes);
	return pg_parse_json(pick->lexer, &action) == JSON_SUCCESS && pick->is_object;
}

/* Most of the time goes into plain copies of strings; only an escape where it matters is worth them. */
bool
json_pick(const char *json, const char *const *names, int n, bool any_case, char **values)
{
	Pick		pick = {.names = names, .n = n, .any_case = any_case, .values = values, .wanted = -1};
	Pick		careful = pick;

	careful.unescapes = true;
	if (!parse(&pick, json))
	{
		memset(values, 0, n * sizeof(char *));
		return false;
	}
	return pick.met_escape ? parse(&careful, json) : true;
}

const char *
request_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value == NULL || value[0] == '\0' ? NULL : value;
}
