-- Which backups are kept, told by expiry_plan(): the vectors, then each rule, holds, and who may set them.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'UTC';
SELECT set_config('pattyly.frozen_clock', '2026-11-25 13:00:00+00', false);

CREATE FUNCTION kept() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(label, ' ' ORDER BY b.started_at DESC, b.id DESC), '')
	FROM pattyly.expiry_plan() AS p JOIN pattyly.backups AS b USING (id, label) WHERE p.keep
$$;
CREATE FUNCTION reason(of text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN keep THEN '+ ' ELSE '- ' END || reason FROM pattyly.expiry_plan() WHERE label = of
$$;
CREATE FUNCTION id_of(of text) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM pattyly.backups WHERE label = of $$;
-- A good one a day, at noon: d1 is today's.
CREATE FUNCTION daily(n integer) RETURNS void LANGUAGE sql AS $$
	DELETE FROM pattyly.backups;
	DELETE FROM pattyly.backup_retention;
	INSERT INTO pattyly.backups (label, state, started_at, finished_at)
	SELECT 'd' || i, 'done', t, t FROM generate_series(1, n) AS i,
		LATERAL (SELECT timestamptz '2026-11-26 12:00+00' - make_interval(days => i)) AS x(t);
$$;

---- The vectors -------------------------------------------------------------------------------------------------------

CREATE TEMP TABLE vectors AS SELECT tests.vectors('test/vectors/retention.json') AS v;
SELECT daily(0);
INSERT INTO pattyly.backups (label, state, started_at, finished_at)
SELECT 'v' || o, 'done', t::timestamptz, t::timestamptz
FROM vectors, jsonb_array_elements_text(v -> 'backups') WITH ORDINALITY AS x(t, o);
CREATE FUNCTION set_policy(p jsonb) RETURNS void LANGUAGE sql AS $$
	SELECT pattyly.set_retention((p ->> 'keep_last')::integer, (p ->> 'keep_daily')::integer, (p ->> 'keep_weekly')::integer,
		(p ->> 'keep_monthly')::integer, (p ->> 'keep_yearly')::integer, min_good => 1)
$$;
CREATE FUNCTION kept_times(p jsonb) RETURNS timestamptz[] LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_policy(p);
	RETURN ARRAY(SELECT b.finished_at FROM pattyly.expiry_plan() AS p JOIN pattyly.backups AS b USING (id) WHERE p.keep);
END
$$;
SELECT is(kept_times(c -> 'policy'),
	ARRAY(SELECT t::timestamptz FROM jsonb_array_elements_text(c -> 'keep') WITH ORDINALITY AS x(t, o) ORDER BY o),
	'vector ' || (c ->> 'id'))
FROM vectors, jsonb_array_elements(v -> 'cases') AS c;
SELECT is((SELECT count(*) FROM pattyly.expiry_plan()), 103::bigint, 'every one has a line');
-- Five at the same time.
SELECT set_policy('{"keep_monthly": 3}');
SELECT is((SELECT p.id FROM pattyly.expiry_plan() AS p JOIN pattyly.backups AS b USING (id)
		   WHERE p.keep AND b.finished_at = '2015-10-22 10:20:30+00'),
		  (SELECT max(id) FROM pattyly.backups WHERE finished_at = '2015-10-22 10:20:30+00'), 'of equal times the highest id');

---- Rules -------------------------------------------------------------------------------------------------------------

SELECT daily(5);
SELECT is(kept(), 'd1 d2 d3 d4 d5', 'without a policy all are kept');
SELECT is(reason('d5'), '+ no retention is set, so all are kept', 'and it says so');
SELECT pattyly.set_retention(2, NULL, NULL, NULL, NULL);
SELECT is(kept(), 'd1 d2', 'the last 2');
SELECT is(reason('d2'), '+ number 2 of the last 2', 'the second');
SELECT is(reason('d3'), '- no rule keeps it', 'the third');
SELECT results_eq('SELECT label FROM pattyly.expiry_plan()', $$VALUES ('d1'), ('d2'), ('d3'), ('d4'), ('d5')$$, 'newest first');

SELECT daily(40);
SELECT pattyly.set_retention(NULL, 2, 2, 2, 1);
SELECT is(kept(), 'd1 d2 d4 d26', 'days, weeks and months, joined by OR');
SELECT is(reason('d1'), '+ the newest of 2026-11-25 (day 1 of 2)', 'a day in words');
SELECT is(reason('d4'), '+ the newest of 2026-W47 (week 2 of 2)', 'a week');
SELECT is(reason('d26'), '+ the newest of 2026-10 (month 2 of 2)', 'a month');
SELECT pattyly.set_retention(0, 0, 0, 0, 1, min_good => 1);
SELECT is(reason('d1'), '+ the newest of 2026 (year 1 of 1)', 'a year; and 0 is no rule');

SELECT daily(5);
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 3);
SELECT is(kept(), 'd1 d2 d3', 'never fewer than min_good');
SELECT is(reason('d3'), '+ one of the newest 3 good ones, which are always kept', 'and it says so');
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL);
SELECT is(kept(), 'd1 d2', 'min_good is 2 by default');

UPDATE pattyly.backups SET verified_at = '2026-11-23 10:00+00', verify_result = '{"ok": true}' WHERE label = 'd4';
UPDATE pattyly.backups SET verified_at = '2026-11-24 10:00+00', verify_result = '{"ok": false}' WHERE label = 'd5';
UPDATE pattyly.backups SET verified_at = '2026-11-22 10:00+00', verify_result = '{"ok": true}' WHERE label = 'd3';
SELECT is(kept(), 'd1 d4', 'the last verified one; it counts for min_good, and one that did not verify is not it');
SELECT is(reason('d4'), '+ the last one that was verified, at 2026-11-23 10:00 UTC', 'and it says so');

SELECT daily(5);
UPDATE pattyly.backups SET finished_at = '2026-11-25 13:00:01+00' WHERE label = 'd1';
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 1);
SELECT is(kept(), 'd1 d2', 'what is dated in the future is kept and does not count');
SELECT is(reason('d1'), '+ dated in the future: it does not count until then', 'and it says so');
UPDATE pattyly.backups SET finished_at = 'infinity' WHERE label = 'd1';
UPDATE pattyly.backups SET finished_at = '-infinity' WHERE label = 'd3';
SELECT is(kept(), 'd1 d2', 'times without end');
SELECT is((SELECT label FROM pattyly.expiry_plan() OFFSET 4), 'd3', 'have their places');
UPDATE pattyly.backups SET finished_at = NULL, started_at = '2026-11-25 12:59+00' WHERE label = 'd5';
SELECT is(reason('d5'), '+ number 1 of the last 1', 'without an end the beginning counts');

SELECT daily(4);
UPDATE pattyly.backups SET state = 'failed' WHERE label = 'd1';
UPDATE pattyly.backups SET state = 'running', finished_at = NULL WHERE label = 'd2';
UPDATE pattyly.backups SET state = 'expired' WHERE label = 'd3';
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL);
SELECT results_eq('SELECT label FROM pattyly.expiry_plan()', $$VALUES ('d4')$$, 'failed, running and expired ones are not in the plan');

SELECT daily(4);
UPDATE pattyly.backups SET tool = t.tool FROM (VALUES ('d1', 'pgbackrest'), ('d2', 'barman'), ('d4', 'wal-g')) AS t(label, tool)
WHERE t.label = backups.label;
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 1);
SELECT is(kept(), 'd1 d2 d3 d4', 'those of other tools are kept and do not count');
SELECT is(reason('d4'), '+ kept by its own tool, wal-g', 'and it says so');

UPDATE pattyly.backups SET tool = 'pg_dump', system_identifier = 1 WHERE label IN ('d1', 'd4');
UPDATE pattyly.backups SET system_identifier = (SELECT system_identifier FROM pg_control_system()) WHERE label = 'd3';
SELECT is(kept(), 'd1 d2 d3 d4', 'and so are those of the server that this database was copied from');
SELECT is(reason('d4'), '+ made by another server, which may need it', 'and it says so');

---- Age ---------------------------------------------------------------------------------------------------------------

SELECT daily(6);
SELECT pattyly.set_retention(NULL, NULL, NULL, NULL, NULL, max_age => '2 days 1 hour');
SELECT is(kept(), 'd1 d2 d3', 'an age alone keeps what is younger');
SELECT is(reason('d3'), '+ not older than 2 days 01:00:00', 'in words');
SELECT is(reason('d4'), '- older than 2 days 01:00:00', 'and what is older');
SELECT pattyly.set_retention(NULL, 6, NULL, NULL, NULL, max_age => '2 days 1 hour');
SELECT is(kept(), 'd1 d2 d3', 'an age ends what a rule would keep');
SELECT pattyly.set_retention(NULL, 6, NULL, NULL, NULL, min_good => 4, max_age => '1 second');
SELECT is(kept(), 'd1 d2 d3 d4', 'but does not go below min_good');

---- Holds -------------------------------------------------------------------------------------------------------------

SELECT daily(5);
SELECT pattyly.set_retention(2, NULL, NULL, NULL, NULL, max_age => '3 days');
SELECT lives_ok($$SELECT pattyly.hold_backup(id_of('d5'), ' legal case ', '2027-01-01 00:00+00')$$, 'a hold');
SELECT is(reason('d5'), '+ held: legal case, until 2027-01-01', 'keeps it');
SELECT pattyly.hold_backup(id_of('d5'), 'audit', '2027-01-01 10:30+00');
SELECT is(reason('d5'), '+ held: audit, until 2027-01-01 10:30:00 UTC', 'another one replaces it');
SELECT pattyly.hold_backup(id_of('d5'), 'audit', 'infinity');
SELECT is(reason('d5'), '+ held: audit', 'infinity is no end');
UPDATE pattyly.backups SET hold_until = 'infinity' WHERE label = 'd5';
SELECT is(reason('d5'), '+ held: audit', 'nor in the table');
SELECT pattyly.hold_backup(id_of('d5'), 'audit', '2026-11-26 00:00+00');
SELECT set_config('pattyly.frozen_clock', '2026-11-26 00:00:00+00', false);
SELECT is(reason('d5'), '- older than 3 days', 'it ends by itself');
SELECT set_config('pattyly.frozen_clock', '2026-11-25 13:00:00+00', false);
SELECT is(reason('d5'), '+ held: audit, until 2026-11-26', 'and was there before');
SELECT lives_ok($$SELECT pattyly.release_backup(id_of('d5'))$$, 'or with release_backup()');
SELECT is(reason('d5'), '- older than 3 days', 'so it goes');
SELECT lives_ok($$SELECT pattyly.release_backup(id_of('d5'))$$, 'which does no harm twice');

CREATE FUNCTION fails(statement text, state text, name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	o record := tests.outcome(statement);
BEGIN
	RETURN NEXT is(o.sqlstate, state, name || ': ' || coalesce(o.message, ''));
	RETURN NEXT ok(o.hint <> '', name || ': a hint');
END
$$;
SELECT fails('SELECT pattyly.hold_backup(0, ''x'')', '42704', 'no such backup');
SELECT fails('SELECT pattyly.hold_backup(NULL, ''x'')', '42704', 'no id');
SELECT fails('SELECT pattyly.release_backup(0)', '42704', 'no such backup to release');
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), E' \n')$$, '22023', 'an empty reason');
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), NULL)$$, '22023', 'no reason');
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), repeat('x', 1001))$$, '22023', 'a very long reason');
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), 'x', '2026-11-25 13:00+00')$$, '22023', 'until now');
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), 'x', '-infinity')$$, '22023', 'until never');
UPDATE pattyly.backups SET state = 'expired' WHERE label = 'd5';
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), 'x')$$, '55000', 'one that has expired');
UPDATE pattyly.backups SET state = 'running', session = 1 WHERE label = 'd5';
SELECT fails($$SELECT pattyly.hold_backup(id_of('d5'), 'x')$$, '55000', 'one that run_backup() is making');
SELECT fails($$SELECT pattyly.release_backup(id_of('d5'))$$, '55000', 'nor can that be released');
SELECT ok((SELECT bool_and(hold_reason IS NULL) FROM pattyly.backups), 'none of these left a hold');

---- Suspects and chains -----------------------------------------------------------------------------------------------

SELECT daily(6);
UPDATE pattyly.backups SET state = 'suspect' WHERE label IN ('d1', 'd3', 'd5');
SELECT pattyly.set_retention(2, NULL, NULL, NULL, NULL);
SELECT is(kept(), 'd1 d2 d3 d4', 'suspect ones do not count, and stay while a good one that is kept is older');
SELECT is(reason('d3'), '+ suspect, but not older than all good ones that the rules keep', 'in words');
SELECT is(reason('d5'), '- suspect, and older than all good ones that the rules keep', 'and then they go');
UPDATE pattyly.backups SET state = 'suspect' WHERE label <> 'd2';
SELECT is(kept(), 'd1 d2 d3 d4 d5 d6', 'all are kept while there are too few good ones');
SELECT is(reason('d6'), '+ suspect, but there are fewer than 2 good ones', 'in words');

SELECT daily(6);
UPDATE pattyly.backups SET kind = 'incremental', parent_id = id_of('d3') WHERE label = 'd1';
UPDATE pattyly.backups SET kind = 'incremental', parent_id = id_of('d6'), state = 'suspect' WHERE label = 'd3';
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 1);
SELECT is(kept(), 'd1 d2 d3 d6', 'parents are kept, whatever their state');
SELECT is(reason('d1'), '+ builds on what is not good, but not older than all good ones that the rules keep', 'one that cannot be restored does not count');
SELECT is(reason('d6'), format('+ d3 (id %s), which is kept, builds on it', id_of('d3')), 'in words');
INSERT INTO pattyly.backups (label, kind, state, parent_id) VALUES ('now', 'incremental', 'running', id_of('d5'));
SELECT is(reason('d5'), '+ a backup that is being made builds on it', 'of one that is being made, too');
UPDATE pattyly.backups SET parent_id = 0 WHERE label = 'd2';
UPDATE pattyly.backups SET parent_id = id WHERE label = 'd4';
SELECT is(kept(), 'd1 d2 d3 d5 d6', 'parents that there are not do no harm');

-- A broken chain is younger than the last whole one, or not.
SELECT daily(6);
UPDATE pattyly.backups SET kind = 'base' WHERE label IN ('d2', 'd4', 'd5', 'd6');
UPDATE pattyly.backups SET kind = 'incremental', parent_id = id_of('d2') WHERE label = 'd1';
UPDATE pattyly.backups SET kind = 'incremental', parent_id = id_of('d5') WHERE label = 'd3';
UPDATE pattyly.backups SET state = 'suspect' WHERE label = 'd5';
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 2);
SELECT is(kept(), 'd1 d2', 'min_good is of what can be restored');
UPDATE pattyly.backups SET state = 'expired' WHERE label = 'd2';
SELECT is(kept(), 'd1 d3 d4 d5 d6', 'what builds on what is gone does not count');
SELECT is(reason('d1'), '+ builds on what is not good, but not older than all good ones that the rules keep', 'and it says so');

-- Dumps, base backups and snapshots do not take each other's places; WAL has none.
SELECT daily(12);
UPDATE pattyly.backups AS b SET kind = k.kind
FROM (VALUES ('d2', 'base'), ('d5', 'base'), ('d8', 'base'), ('d3', 'wal'), ('d9', 'wal'), ('d4', 'snapshot'), ('d7', 'snapshot'), ('d10', 'snapshot')) AS k (label, kind)
WHERE b.label = k.label;
SELECT pattyly.set_retention(2, NULL, NULL, NULL, NULL);
SELECT is(kept(), 'd1 d2 d3 d4 d5 d6 d7 d9', 'the last two of each kind');
SELECT is(reason('d5'), '+ number 2 of the last 2', 'a base backup');
SELECT is(reason('d9'), '+ WAL, which base backups may need: no rule counts it', 'WAL is not removed');

-- Whoever may note backups can make up as many as he likes, and some that build on others': none that run_backup() made
-- or a superuser noted goes for it.
SELECT daily(6);
CREATE ROLE tests_retention_script;
GRANT USAGE ON SCHEMA pattyly TO tests_retention_script;
GRANT EXECUTE ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint), pattyly.finish_backup(bigint, bigint, text, text, jsonb) TO tests_retention_script;
CREATE FUNCTION noted(label text, kind text DEFAULT 'dump', parent bigint DEFAULT NULL, bytes bigint DEFAULT 10) RETURNS text LANGUAGE sql AS $$
	SELECT pattyly.finish_backup(pattyly.begin_backup(label, kind, parent_id => parent), bytes)::text
$$;
SELECT id_of('d5') AS d5, id_of('d6') AS d6 \gset
UPDATE pattyly.backups SET session = 1 WHERE label IN ('d1', 'd2');
SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 3);
SELECT is(kept(), 'd1 d2 d3', 'without them');
SET ROLE tests_retention_script;
SELECT noted('s' || i) FROM generate_series(1, 9) AS i;
RESET ROLE;
SELECT is(kept(), 's9 s8 s7 d1 d2 d3', 'with them: they have as many of their own');
SELECT is(reason('d1'), '+ number 1 of the last 1', 'the last one that is trusted');
SELECT is(reason('s9'), '+ number 1 of the last 1', 'and that of the others');
SET ROLE tests_retention_script;
SELECT noted('on-d6', 'incremental', :d6);
RESET ROLE;
SELECT is(kept(), 'on-d6 s9 s8 d1 d2 d3 d6', 'what builds on an old one keeps it, and no other goes for that');
SELECT is(reason('on-d6'), '+ number 1 of the last 1', 'it counts among theirs, whatever it builds on');
SET ROLE tests_retention_script;
SELECT pattyly.begin_backup('on-d5', 'incremental', parent_id => :d5) AS running \gset
RESET ROLE;
SELECT is(kept(), 'on-d6 s9 s8 d1 d2 d3 d5 d6', 'nor for what is being made');
SET ROLE tests_retention_script;
SELECT pattyly.finish_backup(:running, 10), noted('huge', bytes => 1000000000);
RESET ROLE;
SELECT is(noted('mine'), '', 'a superuser notes one');
SELECT is((SELECT state FROM pattyly.backups WHERE label = 'mine'), 'done', 'which is not measured against theirs');
SET ROLE tests_retention_script;
SELECT noted('tiny');
RESET ROLE;
SELECT is((SELECT state FROM pattyly.backups WHERE label = 'tiny'), 'suspect', 'as theirs are');
UPDATE pattyly.backups SET vouched = false WHERE label IN ('d1', 'd3');
SELECT ok(reason('d1') ~ '^\+' AND reason('d3') ~ '^-', 'a run is trusted whoever called it');
SELECT is(pattyly.is_backup_vouched(b), label <> 'd3', label) FROM pattyly.backups AS b WHERE label ~ '^d[123]$' ORDER BY label;

-- It is what the role was when it said so that counts, not who has the name later.
DELETE FROM pattyly.backups;
CREATE FUNCTION trusted() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(label || CASE WHEN pattyly.is_backup_vouched(b) THEN '+' ELSE '-' END, ' ' ORDER BY label) FROM pattyly.backups AS b
$$;
CREATE ROLE tests_retention_chief SUPERUSER;
CREATE ROLE tests_retention_clerk IN ROLE tests_retention_chief;
GRANT tests_retention_script TO tests_retention_clerk;
SET ROLE tests_retention_chief;
SELECT noted('chief');
SELECT pattyly.begin_backup('clerk') AS clerk \gset
SET ROLE tests_retention_script;
SELECT noted('script');
SELECT pattyly.begin_backup('helped') AS helped \gset
SET ROLE tests_retention_clerk;
SELECT pattyly.finish_backup(:clerk, 10);
RESET ROLE;
SELECT pattyly.finish_backup(:helped, 10);
SELECT is(trusted(), 'chief+ clerk- helped- script-', 'both who begins and who ends it have to be superusers');
ALTER ROLE tests_retention_chief NOSUPERUSER;
ALTER ROLE tests_retention_script SUPERUSER;
SELECT is(trusted(), 'chief+ clerk- helped- script-', 'rights that come or go later');
ALTER ROLE tests_retention_chief RENAME TO tests_retention_other;
DROP OWNED BY tests_retention_script;
DROP ROLE tests_retention_script;
CREATE ROLE tests_retention_script SUPERUSER;
CREATE ROLE tests_retention_chief;
SELECT is(trusted(), 'chief+ clerk- helped- script-', 'names that others have later');
SELECT is((tests.outcome('SELECT pattyly.backup_to_verify(' || id_of('script') || ')')).sqlstate, '42501', 'no restore of what a role noted that had the name before');
DELETE FROM pattyly.backups;
DROP ROLE tests_retention_script, tests_retention_chief, tests_retention_clerk, tests_retention_other;

-- A copy of the database in the same cluster has the catalogue, but not the files.
SELECT daily(4);
UPDATE pattyly.backups SET database = CASE label WHEN 'd2' THEN current_database() ELSE 'the original' END;
SELECT is(kept(), 'd1 d2 d3 d4', 'what another database made is not ours');
SELECT is(reason('d3'), '+ made in database "the original", which may need it', 'and it says so');

-- More than anybody has.
SELECT daily(10000);
SELECT pattyly.set_retention(10, 10, 10, 10, 10);
SELECT performs_ok('SELECT count(*) FROM pattyly.expiry_plan()', 5000, '10,000 backups');

---- Bad input ---------------------------------------------------------------------------------------------------------

SELECT daily(3);
SELECT fails(format('SELECT pattyly.set_retention(%s)', arguments), '22023', arguments)
FROM unnest(ARRAY[
	'NULL, NULL, NULL, NULL, NULL', '0, 0, 0, 0, 0, 2', '-1, 7, 4, 12, 1', '1, -7, 4, 12, 1', '1, 7, 10001, 12, 1',
	'1, 7, 4, 2147483647, 1', '1, 7, 4, 12, -2147483647', '1, 7, 4, 12, 1, 0', '1, 7, 4, 12, 1, -1', '1, 7, 4, 12, 1, NULL',
	'1, 7, 4, 12, 1, 10001', '1, 7, 4, 12, 1, 2, ''1 month''', '1, 7, 4, 12, 1, 2, ''1 year -360 days''',
	'1, 7, 4, 12, 1, 2, ''0''', '1, 7, 4, 12, 1, 2, ''-1 day''', '1, 7, 4, 12, 1, 2, ''1 day -25 hours''',
	'1, 7, 4, 12, 1, 2, ''1 microsecond''', '1, 7, 4, 12, 1, 2, ''36526 days'''] ||
	CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN '{"1, 7, 4, 12, 1, 2, ''infinity''"}' ELSE '{}'::text[] END)
	AS arguments;
SELECT is((SELECT count(*) FROM pattyly.backup_retention), 0::bigint, 'none of these was stored');
SELECT pattyly.set_retention(keep_last => 1, keep_daily => 0, keep_weekly => NULL, keep_monthly => 12, keep_yearly => 10000,
	min_good => 3, max_age => '36525 days');
SELECT pattyly.set_retention(7, 0, NULL, 12, 10000, max_age => '400 days');
SELECT results_eq('SELECT keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_good, max_age FROM pattyly.backup_retention',
	$$VALUES (7, NULL::integer, NULL::integer, 12, 10000, 2, interval '400 days')$$, 'one row, the last that was set');
SELECT fails('CALL pattyly.expire_backups(NULL)', '22004', 'expire_backups(NULL)');
SELECT lives_ok('CALL pattyly.expire_backups()', 'a dry run goes anywhere');
SELECT fails('CALL pattyly.expire_backups(false)', '2D000', 'the real one not inside of a function');

---- Who may -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION outcomes_as(who text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', who, true);
	RETURN NEXT (tests.outcome('SELECT pattyly.set_retention(3, 7, 4, 12, 1)')).sqlstate;
	RETURN NEXT (tests.outcome('SELECT * FROM pattyly.expiry_plan()')).sqlstate;
	RETURN NEXT (tests.outcome('SELECT pattyly.hold_backup(current_setting(''tests.id'')::bigint, ''x'')')).sqlstate;
	RETURN NEXT (tests.outcome('SELECT pattyly.release_backup(current_setting(''tests.id'')::bigint)')).sqlstate;
	RETURN NEXT (tests.outcome('CALL pattyly.expire_backups()')).sqlstate;
	RETURN NEXT (tests.outcome('CALL pattyly.expire_backups(false)')).sqlstate;
	RETURN NEXT (tests.outcome('SELECT pattyly.write_hold(1, ''x'', NULL)')).sqlstate;
	RETURN NEXT (tests.outcome('UPDATE pattyly.backups SET hold_reason = ''x''')).sqlstate;
	RETURN NEXT (tests.outcome('DELETE FROM pattyly.backup_retention')).sqlstate;
	PERFORM set_config('role', 'none', true);
END
$$;
SELECT set_config('tests.id', id_of('d1')::text, false);
SELECT results_eq(format('SELECT outcomes_as(%L)', who), $$SELECT '42501' FROM generate_series(1, 9)$$, who || ' may nothing')
FROM unnest('{anon,authenticated,service_role}'::text[]) AS who;
SELECT pattyly.grant_api();
SELECT results_eq(format('SELECT outcomes_as(%L)', who), $$SELECT '42501' FROM generate_series(1, 9)$$, who || ' may nothing after grant_api()')
FROM unnest('{anon,authenticated,service_role}'::text[]) AS who;

DO $$
BEGIN
	DROP EXTENSION pattyly;
	DROP SCHEMA IF EXISTS pattyly;
	DROP ROLE IF EXISTS tests_retention_owner;
	CREATE ROLE tests_retention_owner;
	EXECUTE format('GRANT CREATE ON DATABASE %I TO tests_retention_owner', current_database());
END
$$;
SET ROLE tests_retention_owner;
CREATE EXTENSION pattyly;
SELECT set_config('tests.id', pattyly.begin_backup('mine')::text, false);
SELECT pattyly.finish_backup(current_setting('tests.id')::bigint, 10);
RESET ROLE;
SELECT results_eq($$SELECT outcomes_as('tests_retention_owner')$$,
	$$VALUES ('00000'), ('00000'), ('00000'), ('00000'), ('42501'), ('42501'), ('42501'), ('42501'), ('42501')$$,
	'an owner who is no superuser sets retention and holds; he removes nothing and writes no table');
SELECT is((SELECT keep_daily FROM pattyly.backup_retention), 7, 'he did');

-- His search_path and objects of his own change nothing.
SET ROLE tests_retention_owner;
CREATE SCHEMA traps;
CREATE FUNCTION traps.is_less(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR traps.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = traps.is_less);
CREATE FUNCTION traps.btrim(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
SET search_path = traps, pg_catalog, pattyly, tap, public;
SELECT lives_ok($$SELECT hold_backup(current_setting('tests.id')::bigint, 'x', 'tomorrow'::timestamptz + '100 years'), set_retention(1, 2, 3, 4, 5)$$,
	'whatever his search_path is');
RESET search_path;
RESET ROLE;
SELECT pattyly.hold_backup(current_setting('tests.id')::bigint, 'x');
SELECT is(reason('mine'), '+ held: x', 'the plan of his own backup');

SELECT * FROM finish();
