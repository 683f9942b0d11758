-- backup_status: one line, whatever is in the catalogue.
SELECT no_plan();
SELECT tests.at('0');

SELECT columns_are('pattyly'::name, 'backup_status'::name, '{last_good_at,age,rpo,overdue,last_verified_at,last_verify_ok,good,failed_since_good,next_run}'::name[], 'its columns');
SELECT results_eq('SELECT * FROM pattyly.backup_status',
	$$VALUES (NULL::timestamptz, NULL::interval, interval '26 hours', true, NULL::timestamptz, NULL::boolean, 0::bigint, 0::bigint, NULL::timestamptz)$$,
	'an empty catalogue');

CREATE FUNCTION made(finished interval, state text DEFAULT 'done', database text DEFAULT current_database(), kind text DEFAULT 'dump', cluster bigint DEFAULT NULL,
	parent bigint DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO pattyly.backups (label, kind, state, database, started_at, finished_at, system_identifier, parent_id)
	SELECT 'b', kind, state, database, pattyly.clock_now() - interval '1 hour' + finished, pattyly.clock_now() + finished,
		coalesce(cluster, c.system_identifier), parent FROM pg_control_system() AS c RETURNING id
$$;
CREATE FUNCTION said() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', coalesce(age::text, '-'), CASE WHEN overdue THEN 'overdue' ELSE 'in time' END, good, failed_since_good) FROM pattyly.backup_status
$$;

SELECT made('-26 hours') AS old \gset
SELECT is(said(), '1 day 03:00:00 | overdue | 1 | 0', 'older than the recovery point objective');
SET pattyly.backup_rpo = '27h';
SELECT is(said(), '1 day 03:00:00 | in time | 1 | 0', 'as old as it may be');
SELECT is((SELECT rpo FROM pattyly.backup_status), interval '27 hours', 'the objective is told');
RESET pattyly.backup_rpo;
SELECT is((SELECT last_good_at + age FROM pattyly.backup_status), pattyly.clock_now(), 'age is that of last_good_at');
SELECT made('-30 hours', 'failed'), made('-2 hours', 'failed'), made('-1 hour', 'suspect');
SELECT is(said(), '1 day 03:00:00 | overdue | 1 | 2', 'those that failed since then');
SELECT made('-1 minute', database => 'other'), made('-1 minute', kind => 'base', cluster => 7, database => NULL), made('1 hour'), made('-1 minute', 'expired'),
	made('-1 minute', kind => 'wal');
SELECT is(said(), '1 day 03:00:00 | overdue | 1 | 2', 'not another database''s, another cluster''s, one of tomorrow, one that is gone, WAL');
-- When it ends, a dump is as old as it took; what is copied file by file is not.
SELECT made('0') AS long \gset
UPDATE pattyly.backups SET started_at = pattyly.clock_now() - interval '5 hours' WHERE id = :long;
SELECT is(said(), '05:00:00 | in time | 2 | 0', 'a dump that took 5 hours');
UPDATE pattyly.backups SET started_at = pattyly.clock_now() - interval '27 hours' WHERE id = :long;
SELECT is(said(), '1 day 03:00:00 | overdue | 2 | 0', 'one that took longer than it may be old');
UPDATE pattyly.backups SET kind = 'base' WHERE id = :long;
SELECT is(said(), '00:00:00 | in time | 2 | 0', 'a base backup that took as long');
UPDATE pattyly.backups SET kind = 'snapshot' WHERE id = :long;
SELECT is(said(), '00:00:00 | in time | 2 | 0', 'a snapshot that took as long');
DELETE FROM pattyly.backups WHERE id = :long;
SELECT made('-20 hours', kind => 'base', database => NULL) AS base \gset
SELECT made('-10 hours', kind => 'incremental', database => NULL, parent => :base) AS part \gset
SELECT made('-5 hours', kind => 'incremental', database => NULL, parent => :part) AS part_of_part \gset
SELECT is(said(), '05:00:00 | in time | 4 | 2', 'a chain');
UPDATE pattyly.backups SET state = 'suspect' WHERE id = :part;
SELECT is(said(), '20:00:00 | in time | 2 | 3', 'is as good as its links');
UPDATE pattyly.backups SET state = 'done' WHERE id = :part;
INSERT INTO pattyly.backups (label, kind, state, started_at) VALUES ('imported', 'base', 'running', pattyly.clock_now() - interval '1 hour');
SELECT is(said(), '05:00:00 | in time | 4 | 2', 'one that runs');
INSERT INTO pattyly.backups (label, state, database, started_at, server_started_at) VALUES ('lost', 'running', current_database(), pattyly.clock_now() - interval '1 hour', '2020-01-01');
SELECT is(said(), '05:00:00 | in time | 4 | 3', 'one that cannot be running any more');
UPDATE pattyly.backups SET verified_at = '2029-12-30', verify_result = '{"ok": true}' WHERE id = :old;
UPDATE pattyly.backups SET verified_at = '2029-12-31', verify_result = '{"ok": false}' WHERE id = :part;
SELECT results_eq('SELECT last_verified_at, last_verify_ok FROM pattyly.backup_status', $$VALUES ('2029-12-31'::timestamptz, false)$$, 'the last verification');

-- Each look at a long chain, or at many rows, is one walk: what the planner believes of the table does not matter.
CREATE TEMP TABLE before AS SELECT * FROM pattyly.backups;
CREATE FUNCTION many(kind text, state text, links boolean) RETURNS void LANGUAGE sql AS $$
	DELETE FROM pattyly.backups;
	INSERT INTO pattyly.backups (id, label, kind, state, database, started_at, finished_at, system_identifier, parent_id, session, server_started_at)
	SELECT i, 'm' || i, CASE WHEN links AND i > 1 THEN 'incremental' ELSE kind END, state, current_database(), t, t, c.system_identifier,
		CASE WHEN links AND i > 1 THEN i - 1 END, 1, pattyly.server_incarnation()
	FROM pg_control_system() AS c, generate_series(1, 10000) AS i, LATERAL (SELECT pattyly.clock_now() - make_interval(mins => 20000 - i)) AS x (t);
$$;
ANALYZE pattyly.backups;
SELECT many('base', 'done', true);
SELECT performs_ok('SELECT * FROM pattyly.backup_status', 5000, 'a chain of 10,000');
SELECT is((SELECT good FROM pattyly.backup_status), 10000::bigint, 'all of which is good');
SELECT performs_ok('SELECT pattyly.backup_for(pattyly.clock_now())', 5000, 'found');
SELECT performs_ok('SELECT count(*) FROM pattyly.expiry_plan()', 5000, 'and planned');
UPDATE pattyly.backups SET state = 'suspect' WHERE id = 5001;
SELECT results_eq('SELECT good, failed_since_good FROM pattyly.backup_status', 'VALUES (5000::bigint, 1::bigint)', 'half of it');
SELECT many('dump', 'done', false);
SELECT performs_ok('SELECT * FROM pattyly.backup_status', 5000, '10,000 that are good');
SELECT many('dump', 'running', false);
SELECT performs_ok('SELECT * FROM pattyly.backup_status', 10000, '10,000 that died');
SELECT is((SELECT failed_since_good FROM pattyly.backup_status), 10000::bigint, 'are counted');
SELECT performs_ok('SELECT pattyly.close_lost_backups()', 10000, 'and closed');
SELECT is((SELECT count(*) FROM pattyly.backups WHERE state = 'failed' AND annotations ? 'leftover'), 10000::bigint, 'all of them');
DELETE FROM pattyly.backups;
-- A run that is still on in the database that this is a copy of: its file is not ours.
INSERT INTO pattyly.backups (label, state, database, system_identifier, session, server_started_at)
SELECT x.label, 'running', x.database, x.cluster, 1, '2020-01-01'
FROM pg_control_system() AS c, LATERAL (VALUES ('ours', current_database()::text, c.system_identifier), ('copied', 'original', c.system_identifier),
	('elsewhere', current_database(), 7)) AS x (label, database, cluster);
SELECT is(pattyly.close_lost_backups(), 3, 'three that cannot be running here');
SELECT results_eq($$SELECT label FROM pattyly.backups WHERE state = 'failed' AND annotations ? 'leftover'$$, $$VALUES ('ours')$$, 'one left something here');
DELETE FROM pattyly.backups;
INSERT INTO pattyly.backups SELECT * FROM before;

SELECT pattyly.schedule_job('other', '@hourly', E'-- beside run_backup()\nSELECT 1');
SELECT is((SELECT next_run FROM pattyly.backup_status), NULL, 'a comment calls nothing');
SELECT pattyly.schedule_job('mine', '15 2 * * *', 'CALL pattyly.run_backup();');
SELECT pattyly.schedule_job('later', '15 3 * * *', 'CALL pattyly.run_backup (NULL);');
SELECT is((SELECT next_run FROM pattyly.backup_status), (SELECT next_run FROM pattyly.jobs WHERE name = 'mine'), 'the next job');
SELECT pattyly.pause_job('mine');
SELECT is((SELECT next_run FROM pattyly.backup_status), (SELECT next_run FROM pattyly.jobs WHERE name = 'later'), 'that is not paused');

CREATE ROLE some_monitor NOLOGIN;
GRANT pg_monitor TO some_monitor;
SET ROLE some_monitor;
SELECT is((SELECT good FROM pattyly.backup_status), 4::bigint, 'monitoring sees it');
SET ROLE anon;
SELECT throws_ok('SELECT * FROM pattyly.backup_status', '42501', NULL, 'nobody else');
RESET ROLE;
DROP ROLE some_monitor;

SELECT * FROM finish();
