/*
 * scratch.c
 *		See scratch.h.
 *
 * Restored in three parts: what pg_restore makes first knows no rows; then owners
 * get rights on their tables and schemas, because rows are copied as they
 * (restoring.c), and they need not have kept them; indexes and
 * constraints come last.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "backups/client.h"
#include "backups/restoring.h"
#include "backups/scratch.h"
#include "backups/stream.h"
#include "core/compat.h"
#include "core/ownspi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Extensions of which there can be one in a server only: left out, with their tables. */
#define SINGLETON "pg_cron"
#define SINGLETON_SCHEMA "cron"

/* Free space beyond what the database has: WAL, and sorting for indexes. */
#define ROOM_FACTOR 1.2

void
scratch_prepare(Scratch *scratch, int64 backup_id)
{
	MemoryContext memory = CurrentMemoryContext;
	OwnSpi		own;
	OwnArgs		args = {0};

	scratch->name = psprintf("pattyly_verify_%u_" INT64_FORMAT, MyDatabaseId, backup_id);
	own_spi_begin(&own);
	own_arg_text(&args, scratch->name);
	own_spi_run("SELECT pattyly.scratch_statements($1), coalesce(pattyly.extension_statements($1), '')", &args);
	scratch->statements = MemoryContextStrdup(memory, own_text(0, 1));
	scratch->extension = MemoryContextStrdup(memory, own_text(0, 2));
	own_spi_end(&own);
}

static void
must_have_room(int64 bytes)
{
	struct statvfs vfs;
	double		free_bytes;

	if (statvfs(DataDir, &vfs) != 0)
		return;
	free_bytes = (double) vfs.f_bavail * vfs.f_frsize;
	if (free_bytes < bytes * ROOM_FACTOR)
		ereport(ERROR,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("there is no room to restore a database of " INT64_FORMAT " bytes: %.0f are free", bytes, free_bytes),
				 errhint("Free some, or verify the dump on another server.")));
}

void
scratch_create(Scratch *scratch, int64 bytes)
{
	must_have_room(bytes);
	scratch->created = true;
	(void) client_run(NULL, scratch->statements, "make a database to restore into");
	if (*scratch->extension != '\0')
		(void) client_run(scratch->name, scratch->extension, "make the extension of its owner");
}

/* ---- what to restore ---- */

/*
 * A line of a list is "number; number number what schema name owner", with "-" for
 * no schema.  What lies in the schema is left out by pg_restore itself; this is the
 * rest.
 */
static const char *const singleton[] = {
	"EXTENSION - " SINGLETON " ", "COMMENT - EXTENSION " SINGLETON " ", "SCHEMA - " SINGLETON_SCHEMA " ",
	"ACL - SCHEMA " SINGLETON_SCHEMA " ", "COMMENT - SCHEMA " SINGLETON_SCHEMA " "
};

/* Not with sscanf(), which looks for the end of all lines each time.  A line of another form is returned as it is. */
static const char *
entry_of(const char *line)
{
	static const char *const after[] = {"; ", " ", " "};
	const char *at = line;

	for (int i = 0; i < lengthof(after); i++)
	{
		size_t		digits = strspn(at, "0123456789");

		if (digits == 0 || strncmp(at + digits, after[i], strlen(after[i])) != 0)
			return line;
		at += digits + strlen(after[i]);
	}
	return at;
}

static bool
is_singleton(const char *line)
{
	return strncmp(entry_of(line), singleton[0], strlen(singleton[0])) == 0;
}

static bool
is_of_singleton(const char *line)
{
	for (int i = 0; i < lengthof(singleton); i++)
		if (strncmp(entry_of(line), singleton[i], strlen(singleton[i])) == 0)
			return true;
	return false;
}

static bool
has_singleton(const char *list)
{
	for (const char *line = list; line != NULL; line = strchr(line, '\n'))
	{
		line += *line == '\n';
		if (is_singleton(line))
			return true;
	}
	return false;
}

/* ---- restoring ---- */

static const char *const no_fault_of_the_dump[] = {
	"No space left on device", "could not connect", "connection to server", "out of memory", "terminating connection",
	"while a dump is restored"
};

static bool
is_its_own_fault(const char *text)
{
	for (int i = 0; i < lengthof(no_fault_of_the_dump); i++)
		if (strstr(text, no_fault_of_the_dump[i]) != NULL)
			return false;
	return true;
}

static char *
judge(const Program *program)
{
	if (program_exit_status(program) == 0)
		return NULL;
	if (program_exit_status(program) > 0 && is_its_own_fault(program->tail))
		return psprintf("%s: %s", program_describe_end(program), program->tail);
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("the dump could not be restored for a reason that may not be its own: %s", program_describe_end(program)),
			 errdetail("%s", program->tail),
			 errhint("Mend that, and verify it again.")));
}

/* Why it cannot be read, or NULL; "without": the schema that is not wanted, or NULL. */
static char *
read_entries(const char *path, const char *without, char **entries)
{
	Stage		stage;
	Program    *program;

	client_stage(&stage, "pg_restore", "--list", path, without ? psprintf("--exclude-schema=%s", without) : NULL, NULL);
	*entries = client_read(&stage, &program);
	return judge(program);
}

/*
 * *list: that of the archive without what is left out, for --use-list; NULL: all
 * of it.  Returns why it cannot be read, or NULL.
 */
static char *
read_list(Scratch *scratch, const char *path, char **list)
{
	char	   *entries;
	char	   *failure = read_entries(path, NULL, &entries);
	StringInfoData kept;

	*list = NULL;
	if (failure || !has_singleton(entries))
		return failure;
	failure = read_entries(path, SINGLETON_SCHEMA, &entries);
	if (failure)
		return failure;
	scratch->left_out = SINGLETON;
	initStringInfo(&kept);
	for (char *line = strtok(entries, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (!is_of_singleton(line))
			appendStringInfo(&kept, "%s\n", line);
	*list = kept.data;
	return NULL;
}

static char *
restore_section(const Scratch *scratch, const char *path, const char *section, const char *list)
{
	Stage		stage;
	int			fds[2] = {-1, -1};
	Program    *program;

	/* A database with a subscription cannot be dropped. */
	client_stage(&stage, "pg_restore", "--exit-on-error", "--no-password", "--no-subscriptions", psprintf("--dbname=%s", scratch->name),
				 psprintf("--section=%s", section), path, list ? "--use-list=/dev/stdin" : NULL, NULL);
	if (list)
	{
		program_pipe(fds);
		stream_unblock(fds[1]);
	}
	program = program_start(&stage, fds[0], -1);
	if (list)
		client_send(fds[1], list);
	program_close(&fds[1]);
	program_wait_for(program);
	return judge(program);
}

/* No more than that: to PUBLIC, a schema would open what is in it to the owners of other tables. */
static const char open_tables[] =
	"SELECT DISTINCT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %s', n.nspname, c.relowner::pg_catalog.regrole)\n"
	"FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace\n"
	"WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' \\gexec\n"
	"SELECT pg_catalog.format('GRANT INSERT ON TABLE %I.%I TO %s', n.nspname, c.relname, c.relowner::pg_catalog.regrole)\n"
	"FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace\n"
	"WHERE c.relkind IN ('r', 'p') AND c.relacl IS NOT NULL AND n.nspname !~ '^pg_' \\gexec\n";

char *
scratch_restore(Scratch *scratch, const char *path)
{
	char	   *list;
	char	   *failure = read_list(scratch, path, &list);

	if (failure == NULL)
		failure = restore_section(scratch, path, "pre-data", list);
	if (failure)
		return failure;
	(void) client_run(scratch->name, open_tables, "let owners copy into what was restored");
	failure = restore_section(scratch, path, "data", list);
	return failure ? failure : restore_section(scratch, path, "post-data", list);
}

/* ---- the end ---- */

#define DROP_PATIENCE_S 60

/* First who was making it, and has not heard yet that nobody waits for him. */
static const char end_others[] =
	"SELECT pg_catalog.pg_terminate_backend(a.pid, 10000) FROM pg_catalog.pg_stat_activity AS a\n"
	"WHERE a.application_name = pg_catalog.current_setting('application_name') AND a.usename = SESSION_USER\n"
	"  AND a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid();\n";

void
scratch_drop(Scratch *scratch, const char *const *environment)
{
	MemoryContext memory = CurrentMemoryContext;
	uint32		held = InterruptHoldoffCount;

	if (!scratch->created)
		return;
	scratch->created = false;
	PG_TRY();
	{
		program_begin(environment);
		program_set_deadline(DROP_PATIENCE_S);
		(void) client_run(NULL, psprintf("%sDROP DATABASE IF EXISTS %s WITH (FORCE);\n", end_others, scratch->name), "drop it");
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		FlushErrorState();
		/* An error lets go of all interrupts, and the caller will let go of his. */
		InterruptHoldoffCount = held;
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("database \"%s\" could not be dropped", scratch->name),
				 errhint("Drop it; the next verify_backup() of this database does, too.")));
	}
	PG_END_TRY();
	program_end();
}
