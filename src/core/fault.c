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
}

void
fault_point(const char *name)
{
	if (fault_point_setting && strcmp(fault_point_setting, name) == 0)
		kill(getpid(), SIGKILL);
}

#endif
