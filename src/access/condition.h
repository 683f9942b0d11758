/*
 * condition.h
 *		A condition over one table that somebody gives as text: the filter of a
 *		relation, the expression of a policy.
 */
#ifndef ACCESS_CONDITION_H
#define ACCESS_CONDITION_H

#include "nodes/nodes.h"
#include "parser/parse_node.h"
#include "utils/rel.h"

/*
 * The text as a boolean expression over the table, names found by the current
 * search_path.  Errors for anything that is more, or less, than one expression.
 */
extern Node *condition_parse(Relation table, const char *text, ParseExprKind kind);

/* The expression as text that means the same wherever pg_catalog alone is searched. */
extern char *condition_text(Relation table, Node *condition);

/* NULL, or the name of a volatile function that the condition calls. */
extern char *condition_volatile_function(Node *condition);

/* Whether a sub-select in it says FOR UPDATE or the like. */
extern bool condition_locks_rows(Node *condition);

/* NULL, or the name of a temporary table that it reads. */
extern char *condition_temporary_table(Node *condition);

/*
 * Whether the condition can change between two statements that see the same data:
 * it reads a setting, say.  now() cannot, within a transaction.
 */
extern bool condition_is_unsteady(Node *condition);

/*
 * Settings under which our text means the same for everybody, and under which no
 * caller's search_path gets into code that runs as somebody else.  Until
 * condition_end_settings(); an error ends them as well.
 */
extern int	condition_begin_settings(void);
extern void condition_end_settings(int nest_level);

#endif							/* ACCESS_CONDITION_H */
