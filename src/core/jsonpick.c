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
	char	  **values;
	int			depth;
	int			wanted;			/* index of the member we are in, or -1 */
	bool		is_object;
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

static CompatJsonAnswer
field_start(void *state, char *name, bool isnull)
{
	Pick	   *pick = state;

	if (pick->depth == 1)
	{
		pick->wanted = -1;
		for (int i = 0; i < pick->n; i++)
			if (pg_strcasecmp(name, pick->names[i]) == 0)
				pick->wanted = i;
	}
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
scalar(void *state, char *token, JsonTokenType type)
{
	Pick	   *pick = state;

	if (pick->depth == 1 && pick->wanted >= 0)
		pick->values[pick->wanted] = type == JSON_TOKEN_NULL ? NULL : token;
	COMPAT_JSON_GO_ON;
}

bool
json_pick(const char *json, const char *const *names, int n, char **values)
{
	Pick		pick = {.names = names, .n = n, .values = values, .wanted = -1};
	JsonSemAction action = {
		.semstate = &pick,
		.object_start = object_start,
		.object_end = any_end,
		.array_start = array_start,
		.array_end = any_end,
		.object_field_start = field_start,
		.scalar = scalar
	};
	JsonLexContext *lexer;

	memset(values, 0, n * sizeof(char *));
	lexer = compat_json_lexer(unconstify(char *, json), strlen(json), true);
	return pg_parse_json(lexer, &action) == JSON_SUCCESS && pick.is_object;
}

const char *
request_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value == NULL || value[0] == '\0' ? NULL : value;
}
