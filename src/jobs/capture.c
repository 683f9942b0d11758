/*
 * capture.c
 *		See capture.h.
 */
#include "postgres.h"

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
static int	n_warnings;
static char warnings[CAPTURE_MAX][CAPTURE_LENGTH];

static void
keep(const char *message)
{
	if (n_warnings < CAPTURE_MAX)
	{
		int			length = pg_mbcliplen(message, (int) strlen(message), CAPTURE_LENGTH - 1);

		memcpy(warnings[n_warnings], message, length);
		warnings[n_warnings][length] = '\0';
	}
	n_warnings++;
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
		keep(edata->message);
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

const char *
capture_text(int i)
{
	return warnings[i];
}
