-- load_maintenance: the jobs that it schedules, what they find, and what they do when their commands are run.
SELECT no_plan();

-- What is not there in every version or server is made here.
SELECT to_regprocedure('pattyly.maintain_partitions(regclass,boolean)') IS NOT NULL AS has_partitions \gset

SELECT is(ARRAY(SELECT regexp_replace(line, ' \(.*| *: .*', '')
		FROM pattyly.load_maintenance() WITH ORDINALITY AS l(line, place)
		WHERE line NOT LIKE 'left out: %' AND line NOT LIKE 'pattyly-daily-partitions %' ORDER BY place),
	'{pattyly-daily-log-check,pattyly-daily-health-check,pattyly-daily-database-size,pattyly-weekly-vacuum}',
	'a line a job');
SELECT bag_eq($$SELECT split_part(line, ': ', 2) FROM pattyly.load_maintenance('supabase') AS line
		WHERE line LIKE 'left out: %' AND line NOT LIKE '%pattyly-daily-partitions%'$$,
	ARRAY['pattyly-weekly-log-cleanup', 'server log files', 'history of jobs', 'pattyly-nightly-backup',
		'pattyly-weekly-verify-backup'],
	'a line for each task that is left out');
SELECT is((SELECT line FROM pattyly.load_maintenance() AS line WHERE line LIKE '%pattyly-weekly-log-cleanup%'),
	'left out: pattyly-weekly-log-cleanup: no pg_cron here whose log would grow', 'and why');
SELECT is(exists(SELECT FROM pattyly.jobs WHERE name = 'pattyly-daily-partitions'), :'has_partitions'::boolean,
	'partitions are maintained when there is something that does');

SELECT results_eq($$SELECT name, owner, timezone, enabled, next_run IS NOT NULL FROM pattyly.jobs
		WHERE name <> 'pattyly-daily-partitions' ORDER BY name$$,
	$$SELECT name, current_user, 'UTC', true, true FROM unnest('{pattyly-daily-database-size,pattyly-daily-health-check,
		pattyly-daily-log-check,pattyly-weekly-vacuum}'::text[]) AS u(name)$$, 'called three times, they are there once');
SELECT ok(command ~ '^-- [^\n]+\n[A-Z][^\n]+;$', name || ': the command says what it does, and is one statement')
FROM pattyly.jobs ORDER BY name;

-- Backups: when there is a place for them, and the caller may.
SELECT to_regprocedure('pattyly.verify_backup(bigint)') IS NOT NULL AS has_verify \gset
SELECT is((SELECT line FROM pattyly.load_maintenance() AS line WHERE line LIKE '%pattyly-nightly-backup%'),
	'left out: pattyly-nightly-backup: neither pattyly.backup_directory nor pattyly.backup_location is set; backups that other tools make are brought in by pattyly.import_backups()',
	'no backups without a place for them');
BEGIN;
SET LOCAL pattyly.backup_location = 's3://bucket/%f';
SELECT is((SELECT count(*) FROM pattyly.load_maintenance() AS line WHERE line LIKE 'pattyly-nightly-backup (15 2 * * * UTC): %'), 1::bigint, 'with one, nightly');
SELECT is((SELECT count(*) FROM pattyly.load_maintenance() AS line WHERE line LIKE 'pattyly-weekly-verify-backup (30 4 * * sun UTC): %'),
	:'has_verify'::boolean::integer::bigint, 'and verified weekly, when there is something that does');
SELECT is((SELECT next_run FROM pattyly.backup_status), (SELECT next_run FROM pattyly.jobs WHERE name = 'pattyly-nightly-backup'), 'backup_status knows when');
ROLLBACK;
BEGIN;
CREATE ROLE some_owner NOLOGIN;
GRANT USAGE ON SCHEMA pattyly TO some_owner;
GRANT EXECUTE ON FUNCTION pattyly.maintenance_jobs(), pattyly.why_no_backup_job(text), pattyly.are_backups_configured() TO some_owner;
SET ROLE some_owner;
SELECT is((SELECT missing FROM pattyly.maintenance_jobs() WHERE name = 'pattyly-nightly-backup'),
	'role "some_owner" may not run it; a superuser can: GRANT EXECUTE ON PROCEDURE pattyly.run_backup(text) TO some_owner', 'not for those who may not');
RESET ROLE;
GRANT EXECUTE ON PROCEDURE pattyly.run_backup(text) TO some_owner;
SET ROLE some_owner;
SELECT is((SELECT missing FROM pattyly.maintenance_jobs() WHERE name = 'pattyly-nightly-backup'), NULL, 'those who may, but cannot read the settings, are trusted');
ROLLBACK;

-- What the user changed is put back.
SELECT pattyly.pause_job('pattyly-weekly-vacuum');
SELECT pattyly.schedule_job('pattyly-daily-log-check', '@hourly', 'SELECT 1');
SELECT pattyly.schedule_job('mine', '@hourly', 'SELECT 1');
SELECT count(*) AS jobs FROM pattyly.jobs \gset
SELECT lives_ok('SELECT pattyly.load_maintenance()', 'called again');
SELECT is((SELECT count(*) FROM pattyly.jobs), :jobs::bigint, 'it adds none');
SELECT is((SELECT enabled FROM pattyly.jobs WHERE name = 'pattyly-weekly-vacuum'), true, 'a paused one runs again');
SELECT is((SELECT schedule FROM pattyly.jobs WHERE name = 'pattyly-daily-log-check'), '0 3 * * *', 'a changed one is as it came');
SELECT is((SELECT command FROM pattyly.jobs WHERE name = 'mine'), 'SELECT 1', 'others are left alone');

SELECT is(tests.outcome($$SELECT pattyly.load_maintenance('heroku')$$),
	('22023'::text, 'unknown maintenance profile "heroku"'::text, 'There is one: ''supabase''.'::text), 'unknown profile');
SELECT is((tests.outcome($$SELECT pattyly.load_maintenance(NULL)$$)).sqlstate, '22004', 'NULL');

-- The procedure and the log of pg_cron, where they are missing.
BEGIN;
SELECT NOT :'has_partitions'::boolean AS make \gset
\if :make
CREATE PROCEDURE pattyly.maintain_partitions(parent regclass DEFAULT NULL, dry_run boolean DEFAULT false)
	LANGUAGE sql AS 'SELECT';
\endif
CREATE SCHEMA IF NOT EXISTS cron;
CREATE TABLE cron.job_run_details (runid bigint, start_time timestamptz, end_time timestamptz);
INSERT INTO cron.job_run_details VALUES (1, now() - interval '9 days', now() - interval '9 days'),
	(2, now() - interval '9 days', NULL), (3, now() - interval '6 days', NULL), (4, now(), now());
SELECT bag_eq($$SELECT split_part(line, ' (', 1) FROM pattyly.load_maintenance() AS line
		WHERE line ~ 'daily-partitions|weekly-log-cleanup'$$,
	ARRAY['pattyly-daily-partitions', 'pattyly-weekly-log-cleanup'], 'with partitions and pg_cron there are more');
SELECT command FROM pattyly.jobs WHERE name = 'pattyly-weekly-log-cleanup' \gexec
SELECT results_eq('SELECT runid FROM cron.job_run_details ORDER BY 1', ARRAY[3, 4]::bigint[],
	'runs that began or ended within 7 days are kept');
ROLLBACK;

-- The commands run as they stand.
CREATE TABLE to_vacuum AS SELECT 1 AS id FROM generate_series(1, 100);
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'to_vacuum'::regclass), -1::real, 'not vacuumed');
\o /dev/null
SELECT command FROM pattyly.jobs WHERE name LIKE 'pattyly-%' ORDER BY name \gexec
\o
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'to_vacuum'::regclass), 100::real, 'vacuumed');

-- Sizes.
SELECT is((SELECT bytes BETWEEN 1000000 AND pg_database_size(current_database()) * 2 FROM pattyly.size_history WHERE object = 'database'), true,
	'the size of the database was noted');
DELETE FROM pattyly.size_history;
CREATE TABLE parted (id integer, filler text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (500);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (500) TO (2000);
INSERT INTO parted SELECT g, repeat('x', 5000) FROM generate_series(1, 1000) AS g;
SELECT tests.at('0');
SELECT is_empty('SELECT pattyly.record_sizes()', 'nothing to compare with');
SELECT is((SELECT bytes FROM pattyly.size_history WHERE object = 'public.parted'),
	pg_total_relation_size('parted_1') + pg_total_relation_size('parted_2'), 'a partitioned table is all of its partitions');
SELECT is((SELECT count(*) FROM pattyly.size_history WHERE at = '2030-01-01 00:00+00' AND object <> 'database'), 20::bigint,
	'the 20 largest')
WHERE (SELECT count(*) FROM pg_class AS c WHERE relkind = 'r' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
	AND NOT relispartition AND pg_total_relation_size(oid) > 0) > 20;
SELECT is_empty('SELECT pattyly.record_sizes()', 'twice at one time is once');
UPDATE pattyly.size_history SET bytes = 1000 WHERE object = 'public.parted';
SELECT tests.at('8 days');
SELECT is_empty('SELECT pattyly.record_sizes()', 'a few megabytes more are no matter');
INSERT INTO pattyly.size_history VALUES ('2030-01-02 00:00+00', 'database', 0);
DELETE FROM pattyly.size_history WHERE object = 'database' AND at > '2030-01-02 00:00+00';
SELECT tests.at('9 days');
CREATE TABLE large AS SELECT g, repeat(md5(g::text), 40) AS filler FROM generate_series(1, 90000) AS g;
SELECT matches((SELECT pattyly.record_sizes()), '^database grew from 0 bytes to 1\d\d MB since 2030-01-02 00:00:00\+00$',
	'what grew is told');
SELECT tests.at('20 days');
SELECT is_empty('SELECT pattyly.record_sizes()', 'there is nothing from a week ago to compare with')
WHERE NOT exists(SELECT FROM pattyly.size_history WHERE at BETWEEN '2030-01-07 00:00+00' AND '2030-01-09 00:00+00');
SELECT tests.at('401 days');
SELECT lives_ok('SELECT pattyly.record_sizes()', 'after a year');
SELECT is((SELECT min(at) FROM pattyly.size_history) > '2030-01-01 12:00+00', true, 'the oldest are forgotten');

-- Errors.
SELECT tests.at('0');
DELETE FROM pattyly.error_counters;
SELECT is_empty('SELECT pattyly.check_errors()', 'the first look notes');
SELECT cmp_ok((SELECT count(*) FROM pattyly.error_counters), '>=', 6::bigint, 'where the counters stand');
SELECT tests.at('1 day');
UPDATE pattyly.error_counters SET total = total - 3 WHERE name = 'deadlocks';
UPDATE pattyly.error_counters SET total = total + 1000000000 WHERE name = 'recovery conflicts';
SELECT is(ARRAY(SELECT pattyly.check_errors()), ARRAY['deadlocks: 3 since 2030-01-01 00:00:00+00'],
	'what was counted since then; counters that were reset begin at 0');
SELECT is_empty('SELECT pattyly.check_errors()', 'it is told once');
UPDATE pattyly.error_counters SET total = total - 900 WHERE name = 'commits';
UPDATE pattyly.error_counters SET total = total - 1500 WHERE name = 'rollbacks';
SELECT matches((SELECT pattyly.check_errors()), '^rollbacks: 15\d\d of 2\d\d\d transactions since 2030-01-02 00:00:00\+00$', 'rollbacks');
INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, finished_at, error)
SELECT 1000, 'broken', 'postgres'::regrole, s.state, s.at, s.at, s.at, s.error
FROM (VALUES ('failed', '2030-01-01 12:00+00'::timestamptz, 'first'), ('timed_out', '2030-01-01 18:00+00', NULL),
	('succeeded', '2030-01-01 19:00+00', NULL), ('failed', '2029-12-31 20:00+00', 'long ago')) AS s(state, at, error);
SELECT is(ARRAY(SELECT pattyly.check_errors()), ARRAY['job "broken" failed 2 times in a day, last: timed_out'], 'jobs');
SELECT tests.at(NULL);

-- Health.
SELECT is_empty($$SELECT f FROM pattyly.check_health() AS f WHERE f !~ '^(process|[0-9]+ of)'$$, 'all is well');
CREATE TABLE doubled AS SELECT 1 AS id FROM generate_series(1, 2);
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY doubled_id ON doubled (id);
\set ON_ERROR_STOP on
CREATE SEQUENCE nearly_used AS integer;
SELECT setval('nearly_used', 2000000000);
SELECT pg_create_physical_replication_slot('left_behind', true) IS NOT NULL AS made \gset
SELECT bag_eq($$SELECT f FROM pattyly.check_health() AS f WHERE f !~ '^(process|[0-9]+ of)'$$,
	ARRAY['index public.doubled_id is invalid', 'sequence public.nearly_used has used 93 % of its numbers',
		'replication slot "left_behind" is not in use'], 'what is not well');
SELECT pg_drop_replication_slot('left_behind');
SET pattyly.backup_directory = '/nowhere';
SELECT ok('there is no good backup' IN (SELECT pattyly.check_health()), 'nor a database whose backups are not made');
RESET pattyly.backup_directory;
SELECT tests.at('0');
INSERT INTO pattyly.backups (label, state, database, started_at, finished_at) VALUES ('old', 'done', current_database(), '2029-12-30 00:00+00', '2029-12-30 00:00+00');
SELECT ok('the last good backup is of 2029-12-30 00:00:00+00, which is 2 days ago' IN (SELECT pattyly.check_health()), 'or are no longer');
UPDATE pattyly.backups SET finished_at = '2029-12-31 00:00+00';
SELECT ok('the last good backup is of 2029-12-30 00:00:00+00, which is 2 days ago' IN (SELECT pattyly.check_health()), 'whose data is not younger for how long they took');
UPDATE pattyly.backups SET started_at = '2029-12-31 00:00+00';
SELECT is_empty($$SELECT f FROM pattyly.check_health() AS f WHERE f ~ 'backup'$$, 'a backup in time is well');
DELETE FROM pattyly.backups;
SELECT tests.at(NULL);
SELECT is_empty($$SELECT f FROM pattyly.check_health() AS f WHERE f ~ 'backup'$$, 'and who has them made elsewhere is not nagged');
DROP INDEX doubled_id;
DROP SEQUENCE nearly_used;

-- The administrator, who owns a trusted extension and is no superuser: he may; nobody else.
CREATE ROLE some_dba NOLOGIN;
SELECT is(has_function_privilege('some_dba', 'pattyly.load_maintenance(text)', 'EXECUTE'), false, 'not everybody may');
SELECT is(has_table_privilege('anon', 'pattyly.size_history', 'SELECT'), false, 'nor read sizes');
SELECT is(has_table_privilege('pg_monitor', 'pattyly.size_history', 'SELECT'), true, 'but monitoring');
GRANT USAGE ON SCHEMA pattyly TO some_dba;
GRANT EXECUTE ON FUNCTION pattyly.check_health() TO some_dba;
SET ROLE some_dba;
SELECT ok('the sessions of other roles cannot be seen' IN (SELECT pattyly.check_health()),
	'whoever cannot see the sessions of others is told so');
RESET ROLE;

SELECT * FROM finish();
