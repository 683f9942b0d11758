/*
 * words.c
 *		See words.h.
 */
#include "postgres.h"

#include "backups/catalogue.h"
#include "backups/program.h"
#include "backups/redact.h"
#include "backups/words.h"
#include "core/compat.h"
#include "mb/pg_wchar.h"

/* A tail may begin in the middle of a character. */
char *
words_clean(const char *text)
{
	char	   *copy = pstrdup(text);
	size_t		length = strlen(copy);

	redact_text(copy);
	while (length > 0 && strchr(" \t\r\n", copy[length - 1]) != NULL)
		copy[--length] = '\0';
	if (pg_verify_mbstr(GetDatabaseEncoding(), copy, (int) strlen(copy), true))
		return copy;
	for (char *c = copy; *c; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	return copy;
}

void
words_clean_error(ErrorData *error)
{
	error->message = words_clean(error->message ? error->message : "unknown error");
	if (error->detail)
		error->detail = words_clean(error->detail);
}

char *
words_of_error(const ErrorData *error)
{
	return psprintf("%s%s%s", error->message, error->detail ? "\n" : "", error->detail ? error->detail : "");
}

static char *
clean_argument(const Stage *stage, int i)
{
	char	   *argument = pstrdup(stage->args[i]);

	redact_argument(argument, i > 0 ? stage->args[i - 1] : NULL);
	return words_clean(argument);
}

void
words_annotate_stages(StringInfo json, const Stages *stages)
{
	StringInfoData line;

	initStringInfo(&line);
	for (int i = 0; i < stages->n; i++)
	{
		appendStringInfoString(&line, i > 0 ? " | " : "");
		for (int j = 0; j < stages->stages[i].n; j++)
			appendStringInfo(&line, "%s%s", j > 0 ? " " : "", clean_argument(&stages->stages[i], j));
	}
	catalogue_annotate(json, "stages", line.data);
}

void
words_annotate_complaints(StringInfo json)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < program_count(); i++)
		if (program_at(i)->tail_length > 0)
			appendStringInfo(&text, "%s: %s", program_at(i)->name, program_at(i)->tail);
	if (text.len > 0)
		catalogue_annotate(json, "stderr", words_clean(text.data));
}
