/*
 * procedure.h
 *		For procedures that end transactions of their own: whether they may, and
 *		how to have none at all for a while.
 */
#ifndef CORE_PROCEDURE_H
#define CORE_PROCEDURE_H

#include "fmgr.h"

/* An error (2D000) inside of a transaction block, a function or a DO block that is one. */
extern void procedure_must_not_be_atomic(FunctionCallInfo fcinfo, const char *name);

/*
 * Whether this procedure is the statement that the client sent, by itself and
 * outside of a transaction block: nothing else can commit at its own pace.
 */
extern bool procedure_is_top_level(FunctionCallInfo fcinfo);

/* An error (2D000) when it is not. */
extern void procedure_must_stand_alone(FunctionCallInfo fcinfo, const char *name);

/*
 * For one that is at top level, SPI not connected: commits, and then there is no
 * transaction until the other is called.  An error in between has to be caught,
 * and the other called, before anything else.  In between catalogs cannot be
 * read, not even for a name, and memory has to be used that no transaction owns.
 */
extern void procedure_leave_transaction(void);
extern void procedure_enter_transaction(void);

/*
 * In between: a short transaction, which nothing interrupts.  Whatever goes wrong
 * in it is raised when there is none again; locks that outlive transactions are
 * then gone.  The current memory context stays.
 */
extern void procedure_in_transaction(void (*act) (void *argument), void *argument);

/* Ends the transaction and begins the next, which is READ COMMITTED, as are those above. */
extern void procedure_commit(void);

#endif							/* CORE_PROCEDURE_H */
