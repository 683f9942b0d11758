/*
 * planrun.c
 *		See planrun.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/planrun.h"
#include "executor/executor.h"
#include "tcop/dest.h"
#include "utils/snapmgr.h"

typedef struct RowReceiver
{
	DestReceiver pub;
	PlanRow		row;
	void	   *arg;
} RowReceiver;

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	return receiver->row(slot, receiver->arg);
}

static void
begin_receiving(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
end_receiving(DestReceiver *self)
{
}

void
plan_run(PlannedStmt *plan, const char *text, ParamListInfo params, uint64 limit,
		 PlanRow row, void *arg)
{
	RowReceiver receiver = {
		.pub = {receive, begin_receiving, end_receiving, end_receiving, DestNone},
		.row = row,
		.arg = arg
	};
	QueryDesc  *desc = CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot,
									   &receiver.pub, params, NULL, 0);

	ExecutorStart(desc, 0);
	compat_executor_run(desc, limit);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}
