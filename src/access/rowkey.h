/*
 * rowkey.h
 *		A row of a table, named by its primary key as text.
 */
#ifndef ACCESS_ROWKEY_H
#define ACCESS_ROWKEY_H

#include "nodes/params.h"
#include "utils/rel.h"

/*
 * A SELECT of a constant from the row with that key, as a query that is analyzed and
 * not rewritten, so that no row policy is in it; the table is its first relation.
 * Reads with the privileges of the table's owner.  *params are its parameters.
 *
 * The key is the text of a single column, or a JSON object of several.
 */
extern Query *rowkey_query(Relation table, const char *key, ParamListInfo *params);

#endif							/* ACCESS_ROWKEY_H */
