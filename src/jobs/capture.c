/*
 * capture.c
 *		See capture.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "jobs/capture.h"
#include "mb/pg_wchar.h"
#include "utils/elog.h"
#include "utils/guc.h"

static emit_log_hook_type previous_hook;
static void (*tell_last_words) (const char *sqlstate, const char *message);
static bool keep_warnings;
static int	log_level;			/* log_min_messages as the DBA has it */
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

/* It is called while an error is reported: it must not raise one, and allocates nothing. */
static void
look_at_message(ErrorData *edata)
{
	if (edata->elevel == WARNING && keep_warnings && edata->message)
	{
		keep(edata->message);
		/* It came here only because of us. */
		if (log_level > WARNING && log_level != LOG)
			edata->output_to_server = false;
	}
	if (edata->elevel == FATAL && tell_last_words && edata->message)
		tell_last_words(unpack_sql_state(edata->sqlerrcode), edata->message);
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

/* Messages that the log does not want never come to the hook, so the log is made to want WARNINGs. */
void
capture_warnings(bool on)
{
	keep_warnings = on;
	if (!on)
		return;
	log_level = log_min_messages;
	if (log_level > WARNING)
		(void) set_config_option("log_min_messages", "warning", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
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
