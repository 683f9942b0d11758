/*
 * fault.c
 *		See fault.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/fault.h"

#ifdef PATTYLY_FAULT_POINTS

#include <signal.h>
#include <unistd.h>

#include "utils/guc.h"

static char *fault_point_setting;
static int	fault_pause_ms;

void
fault_init(void)
{
	DefineCustomStringVariable("pattyly.fault_point",
							   "The process kills itself when it comes to the place of this name.",
							   "Exists in test builds only.",
							   &fault_point_setting,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("pattyly.fault_pause",
							"The process sleeps there so long instead, as one that is preempted.",
							"Exists in test builds only.",
							&fault_pause_ms,
							0, 0, 60000,
							PGC_SUSET,
							GUC_NOT_IN_SAMPLE | GUC_UNIT_MS,
							NULL, NULL, NULL);
}

void
fault_point(const char *name)
{
	if (fault_point_setting == NULL || strcmp(fault_point_setting, name) != 0)
		return;
	if (fault_pause_ms == 0)
		kill(getpid(), SIGKILL);
	pg_usleep(fault_pause_ms * 1000L);
}

#endif
