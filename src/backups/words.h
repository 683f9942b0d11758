/*
 * words.h
 *		What programs said and what they were called with, as it may be stored:
 *		valid in the database's encoding, and without secrets.
 */
#ifndef BACKUPS_WORDS_H
#define BACKUPS_WORDS_H

#include "backups/stages.h"
#include "lib/stringinfo.h"

extern char *words_clean(const char *text);

/* Message and detail of an error, before anybody sees it. */
extern void words_clean_error(ErrorData *error);
extern char *words_of_error(const ErrorData *error);

/* "stages": the programs and their arguments. */
extern void words_annotate_stages(StringInfo json, const Stages *stages);

/* "stderr": what the programs of the set complained about, although they succeeded. */
extern void words_annotate_complaints(StringInfo json);

#endif							/* BACKUPS_WORDS_H */
