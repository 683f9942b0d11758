/*
 * capture.c
 *		See capture.h.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "core/compat.h"
#include "core/pinned.h"
#include "jobs/capture.h"
#include "mb/pg_wchar.h"
#include "utils/elog.h"
#include "utils/guc.h"

static emit_log_hook_type previous_hook;
static void (*tell_last_words) (const char *sqlstate, const char *message);
static bool keep_warnings;
static int	log_level;			/* log_min_messages as the DBA has it */
static bool lowered;			/* and not as it is now */

typedef struct Warning
{
	uint32		kind;
	int			more;			/* of its kind, that came after it and were not kept */
	char		text[CAPTURE_LENGTH];
} Warning;

static Warning warnings[CAPTURE_MAX];
static int	n_warnings;
static int	n_others;

/* Of one kind are those that the server makes from one format.  RAISE has one for all of them: there it is the text. */
static uint32
kind_of(const ErrorData *edata)
{
	bool		has_format = edata->message_id && strcmp(edata->message_id, "%s") != 0;
	const char *words = has_format ? edata->message_id : edata->message;

	return hash_bytes((const unsigned char *) words, (int) strlen(words));
}

static void
keep_text(Warning *warning, const char *message)
{
	int			length = pg_mbcliplen(message, (int) strlen(message), CAPTURE_LENGTH - 1);

	memcpy(warning->text, message, length);
	warning->text[length] = '\0';
}

static void
keep(const ErrorData *edata)
{
	uint32		kind = kind_of(edata);
	Warning    *last = NULL;
	int			alike = 0;

	for (int i = 0; i < n_warnings; i++)
		if (warnings[i].kind == kind)
		{
			last = &warnings[i];
			alike++;
		}
	if (n_warnings < CAPTURE_MAX && alike < CAPTURE_ALIKE_MAX)
	{
		warnings[n_warnings].kind = kind;
		keep_text(&warnings[n_warnings++], edata->message);
	}
	else if (last)
		last->more++;
	else
		n_others++;
}

/* Whether the DBA wants it in the log: LOG stands between ERROR and FATAL there. */
static bool
is_wanted(int elevel)
{
	if (elevel == LOG || elevel == LOG_SERVER_ONLY)
		return log_level == LOG || log_level <= ERROR;
	return elevel >= (log_level == LOG ? FATAL : log_level);
}

/* It is called while an error is reported: it must not raise one, and allocates nothing. */
static void
look_at_message(ErrorData *edata)
{
	if (edata->elevel == WARNING && keep_warnings && edata->message)
		keep(edata);
	if (edata->elevel >= ERROR && edata->message)
		tell_last_words(unpack_sql_state(edata->sqlerrcode), edata->message);
	if (lowered && !is_wanted(edata->elevel))
		edata->output_to_server = false;
	if (previous_hook)
		previous_hook(edata);
}

void
capture_begin(void (*last_words) (const char *sqlstate, const char *message))
{
	tell_last_words = last_words;
	previous_hook = emit_log_hook;
	emit_log_hook = look_at_message;
}

/*
 * Messages that the log does not want never come to the hook, so it is made to
 * want WARNINGs; not by a SET, which RESET ALL would undo.
 */
void
capture_warnings(bool on)
{
	keep_warnings = on;
	if (!on)
		return;
	log_level = log_min_messages;
	lowered = log_level > WARNING || log_level == LOG;
	if (lowered)
		pinned_set_for_process("log_min_messages", "warning");
}

int
capture_count(void)
{
	return n_warnings;
}

char *
capture_text(int i)
{
	if (warnings[i].more == 0)
		return pstrdup(warnings[i].text);
	return psprintf("%s (and %d more like it)", warnings[i].text, warnings[i].more);
}

int
capture_others(void)
{
	return n_others;
}
