/*
 * procedure.c
 *		See procedure.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/compat.h"
#include "core/procedure.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

void
procedure_must_not_be_atomic(FunctionCallInfo fcinfo, const char *name)
{
	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!((CallContext *) fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
			 errmsg("%s() cannot run inside a transaction block", name),
			 errhint("It ends transactions of its own: CALL it by itself, outside of BEGIN and COMMIT.")));
}

bool
procedure_is_top_level(FunctionCallInfo fcinfo)
{
	const PlannedStmt *statement;

	if (ActivePortal == NULL || list_length(ActivePortal->stmts) != 1 || IsInTransactionBlock(true))
		return false;
	statement = linitial_node(PlannedStmt, ActivePortal->stmts);
	return statement->utilityStmt != NULL && IsA(statement->utilityStmt, CallStmt) &&
		((CallStmt *) statement->utilityStmt)->funcexpr->funcid == fcinfo->flinfo->fn_oid;
}

void
procedure_must_stand_alone(FunctionCallInfo fcinfo, const char *name)
{
	procedure_must_not_be_atomic(fcinfo, name);
	if (procedure_is_top_level(fcinfo))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
			 errmsg("%s() cannot be called by another procedure or function", name),
			 errhint("It runs without a transaction: CALL it as a statement of its own.")));
}

/* Between transactions nobody owns what is opened; this one does. */
static ResourceOwner outside;
/* Where a commit goes back to: since 18, the context in which the transaction began, which must outlive it. */
static MemoryContext of_statement;

static void
step_outside(void)
{
	outside = ResourceOwnerCreate(NULL, "pattyly outside of a transaction");
	CurrentResourceOwner = outside;
}

/* What is written down waits for others, and must not fail because they were there. */
static void
start_transaction(void)
{
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
}

/* As a procedure's own COMMIT does, with time between its two halves. */
void
procedure_leave_transaction(void)
{
	ForgetPortalSnapshots();
	CommitTransactionCommand();
	of_statement = CurrentMemoryContext;
	step_outside();
}

void
procedure_commit(void)
{
	ForgetPortalSnapshots();
	CommitTransactionCommand();
	start_transaction();
}

void
procedure_enter_transaction(void)
{
	/* At the top: it has no parent that could take over locks, and holds none. */
	ResourceOwnerRelease(outside, RESOURCE_RELEASE_BEFORE_LOCKS, false, true);
	ResourceOwnerRelease(outside, RESOURCE_RELEASE_LOCKS, false, true);
	ResourceOwnerRelease(outside, RESOURCE_RELEASE_AFTER_LOCKS, false, true);
	CurrentResourceOwner = NULL;
	ResourceOwnerDelete(outside);
	outside = NULL;
	MemoryContextSwitchTo(of_statement);
	start_transaction();
}

void
procedure_in_transaction(void (*act) (void *argument), void *argument)
{
	MemoryContext memory = CurrentMemoryContext;

	HOLD_INTERRUPTS();
	PG_TRY();
	{
		procedure_enter_transaction();
		act(argument);
		procedure_leave_transaction();
	}
	PG_CATCH();
	{
		/* As SPI_commit() does; the error stays what is being raised. */
		AbortCurrentTransaction();
		/* Gone with the transaction; the next one has its own. */
		ActivePortal->portalSnapshot = NULL;
		step_outside();
		MemoryContextSwitchTo(memory);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	RESUME_INTERRUPTS();
}
