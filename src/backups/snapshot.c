/*
 * snapshot.c
 *		See snapshot.h.
 *
 * It is a psql, and not this backend: this backend holds no snapshot, and waits
 * for what the dump writes.
 */
#include "postgres.h"

#include "backups/client.h"
#include "backups/snapshot.h"
#include "core/compat.h"

void
snapshot_begin(DumpSnapshot *snapshot)
{
	*snapshot = (DumpSnapshot) {.in = -1, .out = -1};
	initStringInfo(&snapshot->buffer);
	snapshot->session = client_psql(NULL, &snapshot->in, &snapshot->out);
	client_send(snapshot->in, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n");
	/* What is dropped or emptied before it is counted would be missing, although it is in the dump. */
	client_send(snapshot->in, client_lock_tables);
	client_send(snapshot->in, "SELECT pg_catalog.pg_export_snapshot();\n");
	snapshot->name = client_line(snapshot->out, &snapshot->buffer);
	if (snapshot->name == NULL)
	{
		client_finish(snapshot->session, &snapshot->in, &snapshot->out, "take a snapshot of the database");
		elog(ERROR, "psql did not say the name of a snapshot");
	}
}

void
snapshot_count(DumpSnapshot *snapshot)
{
	client_send(snapshot->in, client_count_rows);
}

void
snapshot_let_go(DumpSnapshot *snapshot)
{
	program_close(&snapshot->in);
}

char *
snapshot_counts(DumpSnapshot *snapshot)
{
	StringInfoData counts;
	char	   *line;

	snapshot_let_go(snapshot);
	initStringInfo(&counts);
	while ((line = client_line(snapshot->out, &snapshot->buffer)) != NULL)
		appendStringInfo(&counts, "%c%s", counts.len > 0 ? ',' : '[', line);
	client_finish(snapshot->session, &snapshot->in, &snapshot->out, "count the rows of the tables");
	appendStringInfoString(&counts, counts.len > 0 ? "]" : "[]");
	return counts.data;
}

void
snapshot_free(DumpSnapshot *snapshot)
{
	program_close(&snapshot->in);
	program_close(&snapshot->out);
}
