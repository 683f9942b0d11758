/*
 * stages.c
 *		See stages.h.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "backups/stages.h"
#include "core/compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

/* Where programs are that do not come with the server; what PATH the server was started with does not matter. */
static const char *const system_directories[] = {"/usr/local/bin", "/usr/bin", "/bin"};

/* Of arrays in arrays; two are right, and the parser says what is wrong with some more. */
#define DEPTH_MAX	32

/* ---- parsing: [[text, ...], ...] and nothing else ---- */

typedef struct Parse
{
	Stages	   *stages;
	const char *placeholders;
	int			depth;
	const char *problem;		/* the first */
} Parse;

static void
note_problem(Parse *parse, const char *problem)
{
	if (parse->problem == NULL)
		parse->problem = problem;
}

static void
begin_stage(Parse *parse)
{
	if (parse->stages->n == STAGES_MAX)
		note_problem(parse, psprintf("There are more than %d stages", STAGES_MAX));
	else
		parse->stages->stages[parse->stages->n++].n = 0;
}

static CompatJsonAnswer
on_array_start(void *state)
{
	Parse	   *parse = state;

	if (++parse->depth > 2)
		note_problem(parse, "An argument is an array");
	else if (parse->depth == 2)
		begin_stage(parse);
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
on_array_end(void *state)
{
	Parse	   *parse = state;

	if (parse->depth-- == 2 && parse->problem == NULL &&
		parse->stages->stages[parse->stages->n - 1].n == 0)
		note_problem(parse, psprintf("Stage %d is empty", parse->stages->n));
	COMPAT_JSON_GO_ON;
}

static CompatJsonAnswer
on_object_start(void *state)
{
	note_problem(state, "There is an object in it");
	COMPAT_JSON_GO_ON;
}

char *
stages_placeholder(const char *text)
{
	return pnstrdup(text, text[1] == '\0' ? 1 : 1 + pg_mblen(text + 1));
}

static const char *
problem_of_argument(const Parse *parse, const Stage *stage, const char *text)
{
	const char *unknown = placeholders_unknown(text, parse->placeholders);

	if (stage->n == STAGES_ARGS_MAX)
		return psprintf("Stage %d has more than %d arguments", parse->stages->n, STAGES_ARGS_MAX);
	if (stage->n == 0 && (text[0] == '\0' || strchr(text, '%') != NULL))
		return psprintf("Stage %d has no program", parse->stages->n);
	if (unknown != NULL)
		return psprintf("Stage %d has the unknown placeholder \"%s\"", parse->stages->n, stages_placeholder(unknown));
	return NULL;
}

static void
add_argument(Parse *parse, char *text)
{
	Stage	   *stage = &parse->stages->stages[parse->stages->n - 1];
	const char *problem = problem_of_argument(parse, stage, text);

	if (problem != NULL)
	{
		note_problem(parse, problem);
		return;
	}
	stage->args[stage->n++] = text;
	stage->args[stage->n] = NULL;
}

static CompatJsonAnswer
on_scalar(void *state, char *token, JsonTokenType type)
{
	Parse	   *parse = state;

	if (parse->problem == NULL && parse->depth != 2)
		note_problem(parse, "A stage is not an array");
	else if (parse->problem == NULL && type != JSON_TOKEN_STRING)
		note_problem(parse, psprintf("Stage %d has an argument that is no string", parse->stages->n));
	else if (parse->problem == NULL)
		add_argument(parse, pstrdup(token));
	COMPAT_JSON_GO_ON;
}

/*
 * The parser of the server goes as deep as it is told, and raises an error when
 * its stack is used up; in the postmaster, who reads settings, too, that would be
 * its end.
 */
static bool
is_too_deep(const char *json)
{
	int			depth = 0;
	bool		quoted = false;

	for (; *json; json++)
	{
		if (quoted && *json == '\\' && json[1] != '\0')
			json++;
		else if (*json == '"')
			quoted = !quoted;
		else if (!quoted && (*json == '[' || *json == '{') && ++depth > DEPTH_MAX)
			return true;
		else if (!quoted && (*json == ']' || *json == '}'))
			depth--;
	}
	return false;
}

/* Nor can the postmaster, who has no encoding, make a character of a number. */
static bool
has_numbered_character(const char *json)
{
	for (; *json; json++)
	{
		if (*json != '\\')
			continue;
		if (json[1] == 'u' && strncmp(json + 2, "00", 2) != 0)
			return true;
		if (json[1] == 'u' && json[4] > '7')
			return true;
		if (json[1] == '\0')
			break;
		json++;
	}
	return false;
}

const char *
stages_parse(const char *json, const char *placeholders, Stages *stages)
{
	Parse		parse = {.stages = stages, .placeholders = placeholders};
	JsonSemAction actions = {
		.semstate = &parse,
		.array_start = on_array_start,
		.array_end = on_array_end,
		.object_start = on_object_start,
		.scalar = on_scalar
	};
	JsonLexContext *lexer = compat_json_lexer(unconstify(char *, json), strlen(json), true);

	stages->n = 0;
	if (is_too_deep(json))
		return "An argument is an array";
	if (has_numbered_character(json))
		return "A character is written as \\u and a number: write the character itself";
	if (pg_parse_json(lexer, &actions) != JSON_SUCCESS)
		return "It is not valid JSON";
	if (parse.problem == NULL && stages->n == 0)
		return "There is no stage in it";
	return parse.problem;
}

/* ---- using ---- */

char *
stages_expand(const char *text, const Placeholder *placeholders)
{
	size_t		bytes = placeholders_expand(text, placeholders, NULL, 0) + 1;
	char	   *result = palloc(bytes);

	(void) placeholders_expand(text, placeholders, result, bytes);
	return result;
}

void
stages_of_setting(const char *setting, const char *value, const Placeholder *placeholders, Stages *stages)
{
	char		letters[16] = "";
	const char *problem;

	for (int i = 0; placeholders[i].letter; i++)
		strncat(letters, &placeholders[i].letter, 1);
	problem = *value ? stages_parse(value, letters, stages) : "It is empty";
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("setting \"%s\" names no programs that can be run", setting),
				 errdetail("%s.", problem),
				 errhint("A superuser sets it: an array of stages, each an array of a program and its arguments.")));
	for (int i = 0; i < stages->n; i++)
	{
		stages->stages[i].args[0] = stages_find_program(stages->stages[i].args[0]);
		for (int j = 1; j < stages->stages[i].n; j++)
			stages->stages[i].args[j] = stages_expand(stages->stages[i].args[j], placeholders);
	}
}

bool
stages_have(const char *value, char placeholder)
{
	return placeholders_has(value, placeholder);
}

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *
server_directory(void)
{
	char	   *directory = pstrdup(my_exec_path);

	get_parent_directory(directory);
	return directory;
}

static char *
search(const char *name)
{
	char	   *path = psprintf("%s/%s", server_directory(), name);

	for (int i = 0; !is_program(path) && i < lengthof(system_directories); i++)
		path = psprintf("%s/%s", system_directories[i], name);
	return path;
}

char *
stages_find_program(const char *name)
{
	char	   *path = is_absolute_path(name) ? pstrdup(name) :
		strchr(name, '/') == NULL ? search(name) : NULL;

	if (path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("program \"%s\" is a relative path", name),
				 errhint("Write the whole path, or the name alone.")));
	if (access(path, F_OK) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("program \"%s\" was not found", name),
				 errhint("Install it, or name it with its whole path; looked for in the server's own directory, /usr/local/bin, /usr/bin and /bin.")));
	if (!is_program(path))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("program \"%s\" cannot be run by the server's account", path),
				 errhint("Look at its permissions: it has to be an executable file.")));
	return path;
}
