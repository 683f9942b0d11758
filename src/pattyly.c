/*
 * pattyly.c
 *		The front door of the library: each room declares its settings and memory.
 *
 * Without shared_preload_libraries the library still loads, so that CREATE
 * EXTENSION works; functions that need shared memory protect themselves.
 */
#include "postgres.h"

#include "access/access.h"
#include "backups/backups.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/preload.h"
#include "jobs/jobs.h"
#include "limits/limits.h"
#include "utils/guc.h"

PATTYLY_MODULE_MAGIC;

extern PATTYLY_EXPORT void _PG_init(void);

void
_PG_init(void)
{
	preload_init();
	clock_init();
	fault_init();
	limits_init();
	access_init();
	jobs_init();
	backups_init();
	MarkGUCPrefixReserved("pattyly");
}
