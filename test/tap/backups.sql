-- The catalogue of backups as outside scripts write it: begin_backup(), finish_backup(), fail_backup().
SET client_min_messages = error;
SELECT plan(107);
SELECT tests.at('0');
GRANT USAGE ON SCHEMA public, tap, tests TO PUBLIC;
CREATE ROLE backup_alice LOGIN;
CREATE ROLE backup_bob LOGIN;
CREATE ROLE backup_member LOGIN IN ROLE backup_alice;
GRANT USAGE ON SCHEMA pattyly TO backup_alice, backup_bob;
GRANT EXECUTE ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint), pattyly.finish_backup(bigint, bigint, text, text, jsonb),
	pattyly.fail_backup(bigint, text) TO backup_alice, backup_bob;

-- What a statement ends with: "42501: message".
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN o.sqlstate = '00000' THEN 'fine' ELSE o.sqlstate || ': ' || o.message END FROM tests.outcome(statement) AS o
$$;
CREATE FUNCTION said_as(role_name name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM set_config('role', role_name, false);
	answer := said(statement);
	PERFORM set_config('role', 'none', false);
	RETURN answer;
END
$$;
-- What is in a row, by label.
CREATE FUNCTION row_of(wanted text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('|', state, bytes, stored_bytes, coalesce(error, '-')) FROM pattyly.backups WHERE label = wanted
$$;
CREATE FUNCTION id_of(wanted text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT max(id) FROM pattyly.backups WHERE label = wanted $$;

---- From begin to end -------------------------------------------------------------------------------------------------

SELECT ok(pattyly.begin_backup('one', tool => 'pg_dump', location => 's3://bucket/one') > 0, 'begin_backup() returns an id');
SELECT is(row_of('one'), 'running|-', 'it runs');
SELECT is((SELECT (kind, tool, database = current_database(), begun_by = current_user, session, timeline, start_lsn IS NOT NULL, finished_at)::text FROM pattyly.backups WHERE label = 'one'),
	'(dump,pg_dump,t,t,,1,t,)', 'what the server knows is filled in');
SELECT is((SELECT system_identifier FROM pattyly.backups WHERE label = 'one'), (SELECT system_identifier FROM pg_control_system()), 'which server it is');
SELECT tests.at('1 hour');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('one'), 1000, 'sha256:x', NULL, '{"host": "db1"}')$$), 'fine', 'it is finished');
SELECT is(row_of('one'), 'done|1000|1000|-', 'and done');
SELECT is((SELECT (finished_at - started_at, checksum, location, exit_status, annotations, stop_lsn >= start_lsn)::text FROM pattyly.backups WHERE label = 'one'),
	'(01:00:00,sha256:x,s3://bucket/one,0,"{""host"": ""db1""}",t)', 'as it was told');
SELECT is(pattyly.begin_backup('two', 'base') IS NOT NULL, true, 'another kind');
SELECT is(said($$SELECT pattyly.fail_backup(id_of('two'), 'no route to host')$$), 'fine', 'one that fails');
SELECT is(row_of('two'), 'failed|no route to host', 'why it failed');
SELECT is((SELECT (finished_at IS NOT NULL, stop_lsn)::text FROM pattyly.backups WHERE label = 'two'), '(t,)', 'it has an end');

---- Once only, and by whom --------------------------------------------------------------------------------------------

SELECT matches(said($$SELECT pattyly.finish_backup(id_of('one'), 1)$$), '^55000: backup \d+ is done, not running', 'finished twice');
SELECT matches(said($$SELECT pattyly.fail_backup(id_of('one'), 'x')$$), '^55000: backup \d+ is done, not running', 'failed after it was finished');
SELECT matches(said($$SELECT pattyly.finish_backup(id_of('two'), 1)$$), '^55000: backup \d+ is failed, not running', 'finished after it failed');
SELECT is(row_of('one'), 'done|1000|1000|-', 'what is done stays');
SELECT is(said($$SELECT pattyly.finish_backup(999999, 1)$$), '42704: there is no backup 999999', 'one that nobody began');
SELECT is(said($$SELECT pattyly.finish_backup(NULL, 1)$$), '42704: there is no backup NULL', 'none');
SELECT is(said($$SELECT pattyly.fail_backup(NULL, NULL)$$), '42704: there is no backup NULL', 'none that fails');
SELECT is(said_as('backup_alice', $$SELECT pattyly.begin_backup('hers')$$), 'fine', 'alice begins one');
SELECT is((SELECT begun_by FROM pattyly.backups WHERE label = 'hers'), 'backup_alice', 'which is hers');
SELECT matches(said_as('backup_bob', $$SELECT pattyly.finish_backup(id_of('hers'), 1)$$), '^42501: backup \d+ was begun by role "backup_alice"', 'bob may not finish it');
SELECT matches(said_as('backup_bob', $$SELECT pattyly.fail_backup(id_of('hers'), 'x')$$), '^42501: ', 'nor let it fail');
SELECT matches(said_as('backup_alice', $$SELECT pattyly.finish_backup(id_of('one'), 1)$$), '^42501: ', 'she learns nothing of others'' but whose they are');
SELECT is(said_as('backup_member', $$SELECT pattyly.finish_backup(id_of('hers'), 1000)$$), 'fine', 'a member of her role may');
SELECT is(said_as('backup_alice', $$SELECT pattyly.begin_backup('hers2')$$), 'fine', 'alice begins another');
SELECT is(said($$SELECT pattyly.fail_backup(id_of('hers2'), NULL)$$), 'fine', 'a superuser may, too');
SELECT is(row_of('hers2'), 'failed|no reason was given', 'with no reason');

---- Bad input ---------------------------------------------------------------------------------------------------------

SELECT matches(said(format('SELECT pattyly.begin_backup(%L)', label)), '^22023: label of a backup is not valid', 'label ' || left(quote_literal(label), 20))
FROM unnest(ARRAY['', ' ', 'a b', 'a''b', 'a"b', E'a\nb', E'a\n', 'a/b', '../a', 'a..b', '-a', '.a', '%f', 'a;b', '$(a)', 'é', repeat('a', 129)]) AS label;   -- 17
SELECT is(said('SELECT pattyly.begin_backup(NULL)'), '22004: label of a backup must not be null', 'no label');
SELECT matches(said($$SELECT pattyly.begin_backup('a', 'tape')$$), '^22023: kind of a backup is not valid: ''tape''', 'no such kind');
SELECT matches(said($$SELECT pattyly.begin_backup('a', NULL)$$), '^22023: kind of a backup is not valid: NULL', 'no kind');
SELECT is(said($$SELECT pattyly.begin_backup('a', 'dump', repeat('x', 256))$$), '22023: tool of a backup must have at most 255 characters, not 256', 'a very long tool');
SELECT is(said($$SELECT pattyly.begin_backup('a', 'dump', 'x', repeat('/x', 2049))$$), '22023: location of a backup must have at most 4096 characters, not 4098', 'a very long location');
SELECT matches(said($$SELECT pattyly.begin_backup('a', 'incremental')$$), '^22004: an incremental backup needs', 'an incremental one of nothing');
SELECT matches(said($$SELECT pattyly.begin_backup('a', 'incremental', parent_id => id_of('two'))$$), '^42704: there is no good backup', 'of one that failed');
SELECT is(said($$SELECT pattyly.begin_backup('inc', 'incremental', parent_id => id_of('one'))$$), 'fine', 'of a good one');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('inc'), -1)$$), '22023: bytes of a backup must be 0 or more, not -1', 'a negative size');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('inc'), 1, annotations => jsonb_build_object('log', repeat('x', 100000)))$$),
	'22023: annotations of a backup must have at most 100000 bytes as text, not 100011', 'a log as annotation');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('inc'), NULL)$$), '22023: bytes of a backup must be 0 or more, not NULL', 'no size');
SELECT is(said(format('SELECT pattyly.finish_backup(id_of(%L), 1, annotations => %L)', 'inc', a)), '22023: annotations of a backup must be a JSON object', 'annotations ' || coalesce(a, 'NULL'))
FROM unnest(ARRAY['[]', '1', NULL, 'null']) AS a;                                                               -- 4
SELECT is(said($$SELECT pattyly.finish_backup(id_of('inc'), 1, repeat('é', 201))$$), '22023: checksum of a backup must have at most 200 characters, not 201', 'a checksum that is none');
SELECT matches((SELECT hint FROM tests.outcome($$SELECT pattyly.finish_backup(id_of('inc'), 1, repeat('x', 100000))$$)), '^Pass what identifies it', 'with a hint');
SELECT is(row_of('inc'), 'running|-', 'none of these ended it');
SELECT is_empty($$SELECT statement, o.sqlstate, o.hint FROM unnest(ARRAY['begin_backup(''a/b'')', 'begin_backup(NULL)', 'begin_backup(''a'', ''tape'')', 'begin_backup(''a'', ''incremental'')',
	'begin_backup(''a'', parent_id => 0)', 'begin_backup(''a'', location => '''')', 'finish_backup(id_of(''inc''), -1)', 'finish_backup(id_of(''inc''), 1, annotations => ''[]'')',
	'finish_backup(id_of(''one''), 1)', 'finish_backup(0, 1)', 'fail_backup(0, NULL)']) AS statement, tests.outcome('SELECT pattyly.' || statement) AS o WHERE coalesce(o.hint, '') = '' OR o.sqlstate = '00000'$$,
	'and each says what to do next');
SELECT is(said($$SELECT pattyly.finish_backup(pattyly.begin_backup('long-checksum', 'base', 'sums'), 1, repeat('é', 200))$$), 'fine', 'one of 200 characters');

---- Doubts ------------------------------------------------------------------------------------------------------------

SELECT tests.at('2 hours');
CREATE FUNCTION made(new_label text, bytes bigint, new_location text DEFAULT NULL, of_kind text DEFAULT 'dump', of_tool text DEFAULT 'pg_dump') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	new_id bigint := pattyly.begin_backup(new_label, of_kind, of_tool);
BEGIN
	PERFORM pattyly.finish_backup(new_id, bytes, location => new_location);
	RETURN (SELECT state || coalesce(': ' || error, '') FROM pattyly.backups WHERE id = new_id);
END
$$;
SELECT matches(made('small', 499), '^suspect: it has 499 bytes, less than half of the 1000 of the last good one, one \(id \d+\)', 'less than half of the last good one');
SELECT is(made('half', 500), 'done', 'half of it');
SELECT is(made('small2', 250), 'done', 'what is suspect is no measure, what is done is');
SELECT is(made('empty', 0, of_tool => 'new'), 'suspect: it is empty', 'nothing');
SELECT is(made('other', 1, of_kind => 'base'), 'done', 'another kind is not compared');
SELECT is(made('tool', 1, of_tool => 'other'), 'done', 'nor another tool');
SELECT is(made('boast', 1000000000000, of_tool => 'boaster'), 'done', 'what a script says');
SELECT is((SELECT ARRAY(SELECT pattyly.doubt_of_size(jsonb_populate_record(b, jsonb_build_object('id', 0, 'session', x.session)), 1000) IS NULL
	FROM unnest(ARRAY[NULL, 1]) AS x (session)) FROM pattyly.backups AS b WHERE b.label = 'boast'), '{f,t}', 'is no measure for run_backup()');

---- Where it is -------------------------------------------------------------------------------------------------------

SELECT matches(said($$SELECT pattyly.begin_backup('again', location => 's3://bucket/one')$$), '^23505: backup one \(id \d+\) is at this location: s3://bucket/one', 'begun where another is');
SELECT matches((SELECT hint FROM tests.outcome($$SELECT pattyly.begin_backup('again', location => 's3://bucket/one')$$)), '^Store each backup', 'with a hint');
SELECT matches(said($$SELECT pattyly.finish_backup(pattyly.begin_backup('again'), 1000, NULL, 's3://bucket/one')$$), '^23505: ', 'finished where another is');
SELECT is(said_as('backup_alice', $$SELECT pattyly.begin_backup('squat', location => 's3://bucket/three')$$), 'fine', 'begun by alice');
SELECT matches(said_as('backup_bob', $$SELECT pattyly.begin_backup('three', location => 's3://bucket/three')$$), '^23505: ', 'one that runs has its place');
SELECT is(said($$SELECT pattyly.begin_backup('over', location => 's3://bucket/three')$$), 'fine', 'which keeps no superuser out');
SELECT is(said($$SELECT pattyly.open_run(current_user, 'run', 'pg_dump', 1)$$), 'fine', 'nor run_backup()');
SELECT is(said($$SELECT pattyly.check_backup_location(id, 's3://bucket/three', pattyly.is_backup_vouched(b)) FROM pattyly.backups AS b WHERE label = 'run'$$),
	format('23505: backup over (id %s) is at this location: s3://bucket/three', id_of('over')), 'which another superuser''s does');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('over'), 1000)$$), 'fine', 'it ends there');
SELECT matches(said_as('backup_alice', $$SELECT pattyly.finish_backup(id_of('squat'), 1000)$$), '^23505: ', 'and hers no longer can');
UPDATE pattyly.backups SET state = 'expired' WHERE label IN ('over', 'run');
SELECT matches(said(format('SELECT pattyly.begin_backup(%L, location => %L)', 'a', location)), '^22023: location of a backup is not valid', 'location ' || quote_literal(location))
FROM unnest(ARRAY['', '-', '--all']) AS location;                                                               -- 3
SELECT is(said_as('backup_alice', $$SELECT pattyly.fail_backup(id_of('squat'), 'x')$$), 'fine', 'it fails');
SELECT is(said($$SELECT pattyly.begin_backup('three', location => 's3://bucket/three')$$), 'fine', 'and leaves its place');
SELECT is(said($$SELECT pattyly.finish_backup(id_of('three'), 1000, NULL, 's3://bucket/three')$$), 'fine', 'its own location is none of another');
UPDATE pattyly.backups SET state = 'expired' WHERE label = 'one';
SELECT is(said($$SELECT pattyly.begin_backup('again', location => 's3://bucket/one')$$), 'fine', 'what has expired has no place');

SELECT set_config('tests.directory', current_setting('unix_socket_directories') || '/tap-backups', false);
COPY (SELECT 1) TO PROGRAM 'mkdir -m 700 "$(dirname "$PWD")/tap-backups"';
DO $$BEGIN PERFORM set_config('pattyly.backup_directory', current_setting('tests.directory'), false); END$$;
DO $$BEGIN EXECUTE format('COPY (SELECT repeat(''x'', 999)) TO %L', current_setting('tests.directory') || '/file'); END$$;
SELECT is(made('right', 1000, current_setting('tests.directory') || '/file', of_tool => 'f'), 'done', 'a file in the directory of backups');
UPDATE pattyly.backups SET state = 'failed' WHERE label = 'right';
SELECT is(made('wrong', 1001, current_setting('tests.directory') || '/file', of_tool => 'f'), 'suspect: its file has 1000 bytes, not 1001', 'of another size');
SELECT is(row_of('wrong'), 'suspect|1001|1000|its file has 1000 bytes, not 1001', 'in the row');
SELECT is(made('missing', 1000, current_setting('tests.directory') || '/none', of_tool => 'f'), 'suspect: there is no file ' || current_setting('tests.directory') || '/none', 'that is not there');
SELECT is(made('outside', 1000, current_setting('tests.directory') || '/../file', of_tool => 'f'), 'done', 'elsewhere nobody looks');
SELECT set_config('pattyly.backup_directory', '/nonexistent', false);
SELECT is(made('gone', 1000, '/nonexistent/file', of_tool => 'f'), 'suspect: there is no file /nonexistent/file', 'a directory that is not there');

---- Never finished ----------------------------------------------------------------------------------------------------

SELECT tests.at('3 hours');
SELECT is(said($$SELECT pattyly.begin_backup('lost')$$), 'fine', 'one begins');
SELECT tests.at('14 hours 59 minutes');
SELECT is(said($$SELECT pattyly.begin_backup('later')$$), 'fine', 'another nearly 12 hours later');
SELECT is(row_of('lost'), 'running|-', 'which leaves the first alone');
SELECT tests.at('15 hours 1 minute');
SELECT is(said($$SELECT pattyly.begin_backup('later2')$$), 'fine', 'one more than 12 hours later');
SELECT is(row_of('lost'), 'failed|nobody finished it within 12h', 'takes it for lost');
SELECT is((SELECT finished_at - started_at FROM pattyly.backups WHERE label = 'lost'), '12:01:00', 'with an end');
SELECT is(row_of('later'), 'running|-', 'but not the other');
UPDATE pattyly.backups SET server_started_at = '2020-01-01' WHERE label = 'later';
SELECT tests.at('-1 hour');
SELECT is(pattyly.close_lost_backups(), 1, 'of a server that was restarted since');
SELECT is(row_of('later'), 'failed|the server was restarted, or is another one, since it began', 'is lost');
SELECT is((SELECT finished_at = started_at FROM pattyly.backups WHERE label = 'later'), true, 'a clock that steps back ends nothing before it began');
UPDATE pattyly.backups SET system_identifier = 1 WHERE label = 'later2';
SELECT is(pattyly.close_lost_backups(), 1, 'of another server');
SELECT is(said($$SELECT pattyly.finish_backup(pattyly.begin_backup('rolled'), 1)$$), 'fine', 'both in one transaction');

SELECT * FROM finish();
DROP OWNED BY backup_alice, backup_bob;
DROP ROLE backup_member, backup_alice, backup_bob;
