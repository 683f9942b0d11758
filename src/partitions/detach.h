/*
 * detach.h
 *		ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY from within a procedure.
 */
#ifndef PARTITIONS_DETACH_H
#define PARTITIONS_DETACH_H

#include "utils/palloc.h"

/*
 * As the current user, without a lock_timeout, for at most so long, and not so
 * long for a lock that others have to stand in line behind.  SPI must
 * not be connected, nothing must be unsaved: it ends the transaction and leaves
 * a new one.  Returns NULL or the error, in "memory", a cancel included;
 * *waited_too_long tells that it is because the time was over.  Either way the
 * detaching may have begun, and then is pending.
 */
extern ErrorData *detach_concurrently(const char *parent, const char *partition, int timeout_ms,
									  MemoryContext memory, bool *waited_too_long);

#endif							/* PARTITIONS_DETACH_H */
