/*
 * stages.h
 *		What pattyly.backup_stages and its kin say: programs and their arguments,
 *		handed to the system as they are, never to a shell.
 */
#ifndef BACKUPS_STAGES_H
#define BACKUPS_STAGES_H

#include "backups/placeholders.h"

#define STAGES_MAX		8
#define STAGES_ARGS_MAX 64

/* %d database, %l label, %f file name, %s snapshot, %i id; %o the location of what is stored. */
#define STAGES_OF_RUN	"dlfsi"
#define STAGES_OF_STORED "dlfio"
#define PLACEHOLDERS_OF_LOCATION "dlfi"
#define PLACEHOLDERS_OF_LOCATION_TEXT "%d (database), %l (label), %f (file name), %i (id) and %%"

typedef struct Stage
{
	int			n;
	char	   *args[STAGES_ARGS_MAX + 1];	/* ends with NULL, as execv() wants it */
} Stage;

typedef struct Stages
{
	int			n;
	Stage		stages[STAGES_MAX];
} Stages;

/* NULL, or what is wrong with the text, palloc'd.  Raises nothing: check hooks call it. */
extern const char *stages_parse(const char *json, const char *placeholders, Stages *stages);

/* The stages of a setting, placeholders replaced; an error when there are none (55000). */
extern void stages_of_setting(const char *setting, const char *value, const Placeholder *placeholders,
							  Stages *stages);

/* A text with its placeholders replaced, palloc'd. */
extern char *stages_expand(const char *text, const Placeholder *placeholders);

/* The placeholder that a text begins with, palloc'd: a percent sign and a character of any length. */
extern char *stages_placeholder(const char *text);

extern bool stages_have(const char *value, char placeholder);

/* The whole path of a program: of the server's own directory, else of the system's; an error (58P01, 42501) that names it. */
extern char *stages_find_program(const char *name);

#endif							/* BACKUPS_STAGES_H */
