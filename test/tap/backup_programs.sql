-- Whatever becomes of the programs of a backup: the session that ran them has no descriptor, no process and no memory
-- more than before.
SELECT no_plan();
SET client_min_messages = error;
\set VERBOSITY terse
\set QUIET 1

SELECT set_config('tests.directory', current_setting('data_directory') || '-backups', false) AS directory \gset
-- Without the files of tables, which the server itself keeps open as it likes.
CREATE TABLE lines (line text);
CREATE FUNCTION tests.lines_of(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE lines;
	EXECUTE format('COPY lines FROM PROGRAM %L', command);
	RETURN QUERY SELECT line FROM lines;
END
$$;
CREATE FUNCTION pg_temp.descriptors() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM tests.lines_of(format('ls -l /proc/%s/fd', pg_backend_pid())) AS line WHERE line NOT LIKE '%/base/%' AND line NOT LIKE '%/global/%' AND line NOT LIKE '%/pg_wal/%'
$$;
CREATE FUNCTION pg_temp.children() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(trim(pg_read_file(format('/proc/%1$s/task/%1$s/children', pg_backend_pid()))), ' '), '')
$$;
CREATE FUNCTION pg_temp.bytes(OUT top bigint, OUT contexts bigint) LANGUAGE sql AS $$
	SELECT sum(used_bytes) FILTER (WHERE name = 'TopMemoryContext'), count(*) FILTER (WHERE name IN ('pattyly programs', 'backup', 'verification'))
	FROM pg_backend_memory_contexts
$$;

-- A way to fail each: what is set, what is called, how the error begins.
CREATE TABLE ways (n integer GENERATED ALWAYS AS IDENTITY, name text, stages text, "fetch" text, call text DEFAULT 'CALL pattyly.run_backup()', timeout text DEFAULT '0');
INSERT INTO ways (name, stages) VALUES
	('not found', '[["no-such-program"], ["cat"]]'),
	('the second is not found', '[["pg_dump", "--snapshot=%s", "-Fc"], ["no-such-program"]]'),
	('the first fails', '[["sh", "-c", "echo x; echo sorry >&2; exit 3"], ["dd", "status=none", "of=/dev/null"]]'),
	('the last fails', '[["pg_dump", "--snapshot=%s", "-Fc"], ["sh", "-c", "exit 4"]]'),
	('is killed', '[["sh", "-c", "kill -9 $$"], ["cat"]]'),
	('writes nothing', '[["true"], ["cat"]]'),
	('leaves a child behind', '[["sh", "-c", "sleep 100 >/dev/null 2>&1 & exit 5"], ["cat"]]'),
	('eight stages, of which one fails', '[["echo", "x"], ["cat"], ["cat"], ["cat"], ["sh", "-c", "exit 6"], ["cat"], ["cat"], ["dd", "status=none", "of=/dev/null"]]'),
	('one stage', '[["echo", "x"]]');
INSERT INTO ways (name, stages, timeout) VALUES ('hangs until it is canceled', '[["sleep", "100"], ["cat"]]', '200ms'),
	('hangs while it writes', '[["cat", "/dev/zero"], ["sleep", "100"]]', '200ms');
INSERT INTO ways (name, "fetch", call) VALUES
	('fetching fails', '[["sh", "-c", "exit 7"]]', 'CALL pattyly.verify_backup(1)'),
	('eight stages fetch what is no archive', '[["echo", "x"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"]]',
		'CALL pattyly.verify_backup(1)'),
	('eight stages fetch an archive that cannot be restored', '[["printf", "PGDMP\\001\\017\\000"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"], ["cat"]]',
		'CALL pattyly.verify_backup(1)');

-- A backup that is stored nowhere, noted by a superuser, so that there is something to verify.
SELECT pattyly.finish_backup(pattyly.begin_backup('outside', location => 's3://nowhere/outside'), 100);
DO $$BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'mkdir -p ' || current_setting('tests.directory')); END$$;
SET pattyly.backup_location = 's3://nowhere/%f';
SET pattyly.backup_directory = :'directory';

-- Statements at top level, as psql sends them.
CREATE FUNCTION pg_temp.statements(rounds integer) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT s FROM generate_series(1, rounds) AS round, ways, LATERAL (VALUES
		(1, format('SET pattyly.backup_stages = %L', coalesce(stages, '[["pg_dump"]]'))), (2, format('SET pattyly.backup_fetch_stages = %L', coalesce("fetch", ''))),
		(3, format('SET statement_timeout = %L', timeout)), (4, call), (5, 'SET statement_timeout = 0')) AS t (i, s)
	ORDER BY round, n, i
$$;

\set ON_ERROR_STOP 0
\o /dev/null
SELECT pg_temp.statements(1) \gexec
\o
SELECT top, contexts, pg_temp.descriptors() AS descriptors, pg_temp.children() AS children FROM pg_temp.bytes() \gset before_
\o /dev/null
SELECT pg_temp.statements(5) \gexec
\o
\set ON_ERROR_STOP 1
SELECT top, contexts, pg_temp.descriptors() AS descriptors, pg_temp.children() AS children FROM pg_temp.bytes() \gset after_

SELECT is((SELECT count(*) FROM pattyly.backups WHERE state = 'failed'), 6 * (SELECT count(*) FROM ways WHERE "fetch" IS NULL), 'all have failed');
SELECT is((SELECT state FROM pattyly.backups WHERE label = 'outside'), 'suspect', 'what cannot be restored is suspect');
SELECT cmp_ok((SELECT count(*) FROM pattyly.backups WHERE state = 'failed'), '>=', 50::bigint, 'at least fifty');
SELECT is((SELECT count(*) FROM pattyly.backups WHERE error ~ 'canceled'), 12::bigint, 'some by a timeout');
SELECT cmp_ok(:after_descriptors::bigint, '<=', :before_descriptors::bigint, 'no descriptor more than before');
SELECT is(:'after_children'::text, '', 'no child, dead or alive');
SELECT is(:after_contexts, 0, 'no memory context of a backup is left');
SELECT cmp_ok(:after_top - :before_top, '<', 8192, 'nor has the memory of the session grown');
SELECT is((SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pattyly backup %'), 0::bigint, 'no session of the programs');
SELECT is((SELECT count(*) FROM pg_database WHERE datname LIKE 'pattyly_verify_%'), 0::bigint, 'no database to restore into');
SELECT is((SELECT count(*) FROM pg_ls_dir(:'directory')), 0::bigint, 'no file');
DO $$BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'rmdir ' || current_setting('tests.directory')); END$$;

SELECT * FROM finish();
