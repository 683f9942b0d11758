/*
 * login.c
 *		See login.h.
 *
 * PostgreSQL itself takes the settings back when the transaction or a savepoint
 * ends.  What we remember, for logout(), is what they were before, and it has to
 * go the same way: a login belongs to the subtransaction in which it was made, and
 * so does a logout, whose ROLLBACK brings the login back.
 */
#include "postgres.h"

#include "access/identity.h"
#include "access/login.h"
#include "core/compat.h"
#include "core/transaction.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"

PATTYLY_FUNCTION(pattyly_login_as);
PATTYLY_FUNCTION(pattyly_logout);

/* The settings before a login; in the memory of the transaction. */
typedef struct Before
{
	char	   *values[IDENTITY_SETTINGS];
} Before;

/* What a subtransaction has made of it; at most one each, the innermost first. */
typedef struct LoginState
{
	SubTransactionId made_in;
	Before	   *before;			/* NULL: nobody is logged in */
	struct LoginState *outer;
} LoginState;

static LoginState *state;

static Before *
logged_in(void)
{
	return state == NULL ? NULL : state->before;
}

static void
change_state(Before *before)
{
	if (state == NULL || state->made_in != GetCurrentSubTransactionId())
	{
		LoginState *inner = MemoryContextAlloc(TopTransactionContext, sizeof(LoginState));

		inner->made_in = GetCurrentSubTransactionId();
		inner->outer = state;
		state = inner;
	}
	state->before = before;
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId ended, SubTransactionId parent, void *arg)
{
	if (state == NULL || state->made_in != ended)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		state = state->outer;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (state->outer != NULL && state->outer->made_in == parent)
		{
			state->outer->before = state->before;
			state = state->outer;
		}
		else
			state->made_in = parent;
	}
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (transaction_has_ended(event))
		state = NULL;
}

void
login_init(void)
{
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	RegisterXactCallback(end_of_transaction, NULL);
}

/* ---- login_as ---- */

/* Whether the transaction, and the login with it, ends with the statement; DO and CALL can have more to do. */
static bool
ends_with_statement(void)
{
	return !IsTransactionBlock() && !IsSubTransaction() &&
		!(ActivePortal != NULL &&
		  (ActivePortal->commandTag == CMDTAG_DO || ActivePortal->commandTag == CMDTAG_CALL));
}

static Before *
remember_settings(void)
{
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);
	Before	   *before = palloc(sizeof(Before));

	for (int i = 0; i < IDENTITY_SETTINGS; i++)
		before->values[i] = identity_setting_value(i);
	MemoryContextSwitchTo(context);
	return before;
}

/* uid, role, claims */
Datum
pattyly_login_as(PG_FUNCTION_ARGS)
{
	Identity	identity;
	Before	   *before = logged_in();

	identity_from_args(fcinfo, 0, 1, 2, &identity);
	if (ends_with_statement())
		ereport(WARNING,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("login_as can only be used in transaction blocks"),
				 errhint("Start one with BEGIN; the login ends with it.")));
	if (before == NULL)
		before = remember_settings();
	identity_take_on(&identity, GUC_ACTION_LOCAL);
	change_state(before);
	PG_RETURN_VOID();
}

/* ---- logout ---- */

Datum
pattyly_logout(PG_FUNCTION_ARGS)
{
	const Before *before = logged_in();

	if (before == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nobody is logged in"),
				 errdetail("A login ends with the transaction it was made in."),
				 errhint("Log in with pattyly.login_as, in the same transaction.")));
	for (int i = 0; i < IDENTITY_SETTINGS; i++)
	{
		char	   *value = identity_setting_value(i);

		if (strcmp(value, before->values[i]) != 0)
			identity_set(i, before->values[i], GUC_ACTION_LOCAL);
	}
	change_state(NULL);
	PG_RETURN_VOID();
}
