/*
 * planrun.h
 *		Runs a plan that was made without SPI, and hands its rows to a function.
 */
#ifndef CORE_PLANRUN_H
#define CORE_PLANRUN_H

#include "executor/tuptable.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"

/* Gets a row; false ends the run. */
typedef bool (*PlanRow) (TupleTableSlot *slot, void *arg);

/* With the active snapshot, as the current user; at most limit rows, 0 is all. */
extern void plan_run(PlannedStmt *plan, const char *text, ParamListInfo params, uint64 limit,
					 PlanRow row, void *arg);

#endif							/* CORE_PLANRUN_H */
