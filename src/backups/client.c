/*
 * client.c
 *		See client.h.
 */
#include "postgres.h"

#include <unistd.h>

#include "backups/client.h"
#include "backups/stream.h"
#include "catalog/pg_authid.h"
#include "core/compat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "postmaster/postmaster.h"
#include "storage/latch.h"
#include "utils/varlena.h"

/*
 * What pg_dump dumps the rows of: no foreign tables, no materialized views (made
 * anew, they may have others), no tables of extensions.
 */
#define TABLES \
	"FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace\n"
#define WITH_ROWS \
	"WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'\n" \
	"  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n" \
	"                  AND d.objid = c.oid AND d.deptype = 'e')\n"
#define FOR_EACH "ORDER BY n.nspname, c.relname \\gexec\n"

const char client_lock_tables[] =
	"SELECT pg_catalog.format('LOCK TABLE ONLY %I.%I IN ACCESS SHARE MODE', n.nspname, c.relname)\n"
	TABLES WITH_ROWS FOR_EACH;

const char client_count_rows[] =
	"SELECT pg_catalog.format('SELECT pg_catalog.json_build_object(''t'', %L, ''n'', pg_catalog.count(*)) FROM ONLY %I.%I',\n"
	"  pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)\n"
	TABLES WITH_ROWS "  AND c.oid <> ALL (:'known'::pg_catalog.oid[])\n" FOR_EACH;

const char client_known_rows[] =
	"SELECT pg_catalog.json_build_object('t', pg_catalog.format('%I.%I', n.nspname, c.relname), 'n', k.n)\n"
	TABLES
	"JOIN (SELECT r.id, pg_catalog.max(r.n)\n"
	"      FROM ROWS FROM (pg_catalog.unnest(:'known'::pg_catalog.oid[]), pg_catalog.unnest(:'rows'::bigint[])) AS r(id, n)\n"
	"      GROUP BY r.id) AS k(id, n) ON k.id = c.oid\n"
	WITH_ROWS ";\n";

static const char quiet_session[] =
	"\\set ON_ERROR_STOP 1\n"
	"\\set known {}\n"
	"SET search_path = pg_catalog, pg_temp;\n"
	"SET client_min_messages = warning;\n"
	"LOAD 'pattyly';\n"
	"SET pattyly.restoring = on;\n"
	"SET statement_timeout = 0;\n"
	"SET lock_timeout = 0;\n"
	"SET idle_in_transaction_session_timeout = 0;\n"
	"SET row_security = off;\n"
#if PG_VERSION_NUM >= 170000
	"SET transaction_timeout = 0;\n"
#endif
	;

/* ---- how to get here ---- */

const char *
client_host(void)
{
	List	   *names = NIL;

	if (!SplitDirectoriesString(pstrdup(Unix_socket_directories), ',', &names) || names == NIL)
		return "localhost";
	if (is_absolute_path((char *) linitial(names)) || *(char *) linitial(names) == '@')
		return linitial(names);
	return psprintf("%s/%s", DataDir, (char *) linitial(names));
}

const char *const *
client_environment(const char *database, int64 backup_id, const char *more)
{
	const char **environment = palloc0(sizeof(char *) * 10);
	int			n = 0;

	environment[n++] = psprintf("PGHOST=%s", client_host());
	environment[n++] = psprintf("PGPORT=%d", PostPortNumber);
	environment[n++] = psprintf("PGUSER=%s", GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false));
	environment[n++] = psprintf("PGDATABASE=%s", database);
	environment[n++] = psprintf("PGAPPNAME=pattyly backup " INT64_FORMAT, backup_id);
	environment[n++] = "PGCONNECT_TIMEOUT=30";
	environment[n++] = psprintf("PATTYLY_BACKUP_ID=" INT64_FORMAT, backup_id);
	environment[n++] = more;
	return environment;
}

/* ---- programs ---- */

void
client_stage(Stage *stage, const char *program,...)
{
	va_list		list;
	char	   *argument;

	stage->n = 0;
	stage->args[stage->n++] = stages_find_program(program);
	va_start(list, program);
	while ((argument = va_arg(list, char *)) != NULL)
		stage->args[stage->n++] = argument;
	va_end(list);
	stage->args[stage->n] = NULL;
}

static void
must_have_succeeded(const Program *program, const char *purpose)
{
	if (program_exit_status(program) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("could not %s: %s", purpose, program_describe_end(program)),
			 program->tail_length > 0 ? errdetail("%s", program->tail) : 0,
			 errhint("Run it by hand, as the server's account.")));
}

/* ---- psql ---- */

static const char *
database_argument(const char *database)
{
	/* Of the environment, where its name cannot be taken for connection parameters. */
	return database ? psprintf("--dbname=%s", database) : "--no-password";
}

Program *
client_psql(const char *database, int *in, int *out)
{
	Stage		stage;
	Program    *program;
	int			to[2];
	int			from[2];

	client_stage(&stage, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password",
				 database_argument(database), NULL);
	program_pipe(to);
	program_pipe(from);
	program = program_start(&stage, to[0], from[1]);
	*in = to[1];
	*out = from[0];
	stream_unblock(*in);
	stream_unblock(*out);
	client_send(*in, quiet_session);
	/* When psql is killed, what it asked for is to end as well. */
	if (WaitEventSetCanReportClosed())
		client_send(*in, "SET client_connection_check_interval = '500ms';\n");
	/* What it prints is stored in this database, or compared with what is. */
	client_send(*in, psprintf("SET client_encoding = '%s';\n", GetDatabaseEncodingName()));
	return program;
}

void
client_send(int fd, const char *text)
{
	size_t		length = strlen(text);

	while (length > 0)
	{
		ssize_t		written = write(fd, text, length);

		if (written < 0 && errno == EPIPE)
			return;				/* its end tells more */
		if (written < 0 && errno == EAGAIN)
			program_wait(fd, true);
		else if (written < 0 && errno != EINTR)
			elog(ERROR, "could not write to a program: %m");
		if (written > 0)
		{
			text += written;
			length -= written;
		}
	}
}

/* Takes the first line out of the buffer. */
static char *
line_of(StringInfo buffer)
{
	char	   *end = memchr(buffer->data, '\n', buffer->len);
	char	   *line;
	int			length;

	if (end == NULL)
		return NULL;
	length = (int) (end - buffer->data);
	line = pnstrdup(buffer->data, length);
	memmove(buffer->data, end + 1, buffer->len - length);
	buffer->len -= length + 1;
	return line;
}

/* What there is to read now; false at the end. */
static bool
read_some(int fd, StringInfo buffer)
{
	char		bytes[4096];
	ssize_t		length = read(fd, bytes, sizeof(bytes));

	if (length > 0)
		appendBinaryStringInfo(buffer, bytes, (int) length);
	else if (length < 0 && errno != EAGAIN && errno != EINTR)
		elog(ERROR, "could not read from psql: %m");
	else if (length < 0)
		program_wait(fd, false);
	return length != 0;
}

char *
client_line(int fd, StringInfo buffer)
{
	char	   *line;

	while ((line = line_of(buffer)) == NULL)
		if (!read_some(fd, buffer))
			return NULL;
	return line;
}

void
client_finish(Program *program, int *in, int *out, const char *purpose)
{
	program_close(in);
	program_close(out);
	program_wait_for(program);
	must_have_succeeded(program, purpose);
}

/* What a program writes until it closes its output. */
static char *
read_all(int fd)
{
	StringInfoData output;

	initStringInfo(&output);
	while (read_some(fd, &output))
		;
	return output.data;
}

char *
client_read(const Stage *stage, Program **program)
{
	int			fds[2];
	char	   *output;

	program_pipe(fds);
	*program = program_start(stage, -1, fds[1]);
	stream_unblock(fds[0]);
	output = read_all(fds[0]);
	program_close(&fds[0]);
	program_wait_for(*program);
	return output;
}

char *
client_run(const char *database, const char *statements, const char *purpose)
{
	int			in;
	int			out;
	Program    *psql = client_psql(database, &in, &out);
	char	   *output;

	client_send(in, statements);
	program_close(&in);
	output = read_all(out);
	client_finish(psql, &in, &out, purpose);
	return output;
}
