/*
 * chores.c
 *		See chores.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/compat.h"
#include "jobs/chores.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define CHORES_MAX 4

static void (*chores[CHORES_MAX]) (void);
static int	n_chores;

void
chores_add(void (*chore) (void))
{
	Assert(n_chores < CHORES_MAX);
	chores[n_chores++] = chore;
}

static void
run_one(void (*chore) (void))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		chore();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

void
chores_run(void)
{
	for (int i = 0; i < n_chores; i++)
		run_one(chores[i]);
}
