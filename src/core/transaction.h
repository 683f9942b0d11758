/*
 * transaction.h
 *		When what is kept for a transaction goes.
 */
#ifndef CORE_TRANSACTION_H
#define CORE_TRANSACTION_H

#include "access/xact.h"

/* For a XactCallback: whether the transaction is over, in a parallel worker as well. */
static inline bool
transaction_has_ended(XactEvent event)
{
	return event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_PARALLEL_COMMIT || event == XACT_EVENT_PARALLEL_ABORT;
}

#endif							/* CORE_TRANSACTION_H */
