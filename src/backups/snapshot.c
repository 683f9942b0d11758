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
#include "backups/tally.h"
#include "core/compat.h"

static char *
answer(DumpSnapshot *snapshot)
{
	char	   *line = client_line(snapshot->out, &snapshot->buffer);

	if (line != NULL)
		return line;
	client_finish(snapshot->session, &snapshot->in, &snapshot->out, "take a snapshot of the database");
	elog(ERROR, "psql did not say what its snapshot is");
}

void
snapshot_begin(DumpSnapshot *snapshot)
{
	int64		tables;

	initStringInfo(&snapshot->buffer);
	snapshot->session = client_psql(NULL, &snapshot->in, &snapshot->out);
	client_send(snapshot->in, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n");
	/* What is dropped or emptied before it is counted would be missing, although it is in the dump. */
	client_send(snapshot->in, client_lock_tables);
	client_send(snapshot->in, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE relkind = 'r';\n");
	client_send(snapshot->in, "SELECT pg_catalog.pg_export_snapshot();\n");
	tables = strtoi64(answer(snapshot), NULL, 10);
	snapshot->name = answer(snapshot);
	snapshot->is_told = tally_begin(snapshot->name, tables);
}

void
snapshot_dump_begins(DumpSnapshot *snapshot)
{
	if (!snapshot->is_told)
		client_send(snapshot->in, client_count_rows);
}

void
snapshot_dump_has_it(DumpSnapshot *snapshot)
{
	if (!snapshot->is_told)
		program_close(&snapshot->in);
}

void
snapshot_dump_ends(DumpSnapshot *snapshot)
{
	Tally		tally;

	if (!snapshot->is_told)
		return;
	tally = tally_read();
	tally_end();
	client_send(snapshot->in, psprintf("\\set known %s\n\\set rows %s\n", tally.tables, tally.rows));
	client_send(snapshot->in, client_known_rows);
	if (!snapshot->is_partial || tally.n == 0 || tally.missed)
		client_send(snapshot->in, client_count_rows);
	program_close(&snapshot->in);
}

char *
snapshot_counts(DumpSnapshot *snapshot)
{
	StringInfoData counts;
	char	   *line;

	program_close(&snapshot->in);
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
	tally_end();
	program_close(&snapshot->in);
	program_close(&snapshot->out);
}
