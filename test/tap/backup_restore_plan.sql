-- backup_for() and the lines of restore_plan(); test/t/backup_tools.pl runs them.
SELECT no_plan();
SELECT tests.at('0');

SELECT is(pattyly.shell_quote(word), quoted, 'shell_quote of ' || quote_literal(word)) FROM (VALUES
	('/var/lib/x-1.dump', '/var/lib/x-1.dump'), ('', ''''''), ('a b', '''a b'''), ('it''s', '''it''\''''s'''), ('$HOME', '''$HOME'''),
	('`id`', '''`id`'''), ('a"b\', '''a"b\'''), ('x=1', '''x=1'''), ('~', '''~'''), (E'a\nb', E'''a\nb'''), (E'a\n', E'''a\n'''), ('é', '''é'''), ('a;b', '''a;b''')) AS v (word, quoted);
SELECT is(pattyly.shell_quote(NULL), NULL::text, 'NULL');

CREATE FUNCTION made(label text, finished interval, kind text DEFAULT 'dump', state text DEFAULT 'done', tool text DEFAULT NULL, database text DEFAULT current_database(),
	location text DEFAULT '/b/x.dump', annotations jsonb DEFAULT '{"format": "custom"}', cluster bigint DEFAULT NULL, checksum text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO pattyly.backups (label, kind, tool, state, database, started_at, finished_at, system_identifier, location, annotations, checksum, error)
	SELECT label, kind, tool, state, database, pattyly.clock_now() - interval '1 hour' + finished, pattyly.clock_now() + finished, coalesce(cluster, c.system_identifier),
		location, annotations, checksum, CASE state WHEN 'suspect' THEN E'too small\nrm -rf /' END FROM pg_control_system() AS c RETURNING id
$$;
CREATE FUNCTION commands_of(id bigint) RETURNS SETOF text LANGUAGE sql
	AS $$ SELECT line FROM pattyly.restore_plan(id) WITH ORDINALITY AS p (line, place) WHERE line NOT LIKE '#%' ORDER BY place $$;
CREATE FUNCTION at(since interval) RETURNS timestamptz LANGUAGE sql AS $$ SELECT pattyly.clock_now() + since $$;

---- which one ----
SELECT is((tests.outcome('SELECT pattyly.backup_for(NULL)')).sqlstate, '22004', 'NULL');
SELECT is(tests.outcome('SELECT pattyly.backup_for(at(''0''))'), ('42704'::text, 'there is no good backup from before 2030-01-01 00:00:00+00'::text,
	'There is none at all: CALL pattyly.run_backup(), or bring in those of another tool with import_backups().'::text), 'none at all');
SELECT made('first', '-3 days') AS first, made('second', '-2 days') AS second, made('base', '-1 day', 'base', database => NULL, tool => 'pgbackrest') AS base \gset
SELECT made('other', '-1 hour', database => 'other'), made('foreign', '-1 hour', 'base', cluster => 7, database => NULL), made('bad', '-1 hour', state => 'suspect'),
	made('tomorrow', '1 day'), made('wal', '-1 hour', 'wal');
SELECT is(pattyly.backup_for(at(since)), id, since || ': ' || id) FROM (VALUES ('-3 days'::interval, :first::bigint), ('-50 hours', :first), ('-49 hours -1 second', :first),
	('-49 hours', :second), ('-2 days', :second), ('-24 hours -1 second', :second),
	('-1 day', :base), ('0', :base), ('2 days', :base)) AS v (since, id);
-- Both began before the target and ended after it: the dump has the state before it, the base backup has not.
SELECT made('long', '-10 hours') AS long, made('long base', '-10 hours', 'base', tool => 'pgbackrest', database => NULL) AS long_base \gset
UPDATE pattyly.backups SET started_at = at('-15 hours') WHERE id IN (:long, :long_base);
SELECT is(pattyly.backup_for(at(since)), id, 'begun at -15 hours, ended at -10 hours, ' || since || ': ' || id) FROM (VALUES
	('-15 hours -1 second'::interval, :base::bigint), ('-15 hours', :long), ('-12 hours', :long), ('-10 hours -1 second', :long), ('-10 hours', :long_base)) AS v (since, id);
DELETE FROM pattyly.backups WHERE id IN (:long, :long_base);
SELECT is(tests.outcome('SELECT pattyly.backup_for(at(''-80 hours''))'), ('42704'::text, 'there is no good backup from before 2029-12-28 16:00:00+00'::text,
	format('The oldest is first (id %s): it has the data of 2029-12-28 23:00:00+00, and nothing from before can be restored.', :first)), 'none that old');
UPDATE pattyly.backups SET system_identifier = 7 WHERE id = :second;
SELECT is(pattyly.backup_for(at('-25 hours')), :second::bigint, 'a dump that another cluster made of this database');

---- how: dumps ----
SELECT set_config('tests.to', pattyly.plan_connection(), false) AS to \gset
SELECT matches(:'to'::text, '^--host=/[^ ]+ --port=\d+ --username=[a-z_]+ --no-password$', 'the socket, port and superuser of this server');
SELECT made('a', '-1 hour', location => '/b/it''s $1.dump', checksum => 'sha256:' || repeat('ab', 32)) AS a \gset
SELECT is(ARRAY(SELECT commands_of(:a)), ARRAY[format('echo ''%s  /b/it''\''''s $1.dump'' | sha256sum -c -', repeat('ab', 32)),
	pattyly.plan_createdb(current_database() || '_restored'), format('pg_restore --exit-on-error %s --dbname=%s_restored ''/b/it''\''''s $1.dump''', :'to', current_database()),
	format('vacuumdb --analyze-only %s --dbname=%s_restored', :'to', current_database())], 'custom format');
SELECT is(array_to_string(ARRAY(SELECT replace(replace(line, :'to', 'TO'), current_database(), 'DB') FROM commands_of(made('x', '-1 hour', annotations => jsonb_build_object('format', format))) AS line
	WHERE line !~ '^(createdb|vacuumdb)'), E'\n'), expected, format) FROM (VALUES
	('tar', 'pg_restore --exit-on-error TO --dbname=DB_restored /b/x.dump'),
	('plain', 'psql -X -q -v ON_ERROR_STOP=1 TO --dbname=DB_restored -f /b/x.dump'),
	('gzip', E'gunzip -t < /b/x.dump\ngunzip -c < /b/x.dump | psql -X -q -v ON_ERROR_STOP=1 TO --dbname=DB_restored'),
	('unknown', 'if pg_restore --list /b/x.dump > /dev/null 2>&1; then pg_restore --exit-on-error TO --dbname=DB_restored /b/x.dump; else psql -X -q -v ON_ERROR_STOP=1 TO --dbname=DB_restored -f /b/x.dump; fi')) AS v (format, expected);
SELECT ok('# There is no sha256 to compare it with.' IN (SELECT pattyly.restore_plan(:first)), 'no checksum');
SELECT is(pattyly.plan_checksum('sha256:' || repeat('a', 64), E'/b/\\n'), E'test "$(sha256sum < ''/b/\\n'')" = ''' || repeat('a', 64) || '  -'' && echo OK', 'a name that sha256sum would escape');
SELECT made('bad', '-1 hour', state => 'suspect') AS suspect \gset
SELECT ok('# WARNING: it is suspect: too small rm -rf /' IN (SELECT pattyly.restore_plan(:suspect)), 'a suspect one comes with a warning, on one line');

-- Who may note backups names a file, and a superuser would run what is in it.
SELECT is_empty($$SELECT line FROM pattyly.restore_plan($$ || :first || $$) AS line WHERE line ~ '^false|noted by'$$, 'one that a superuser noted stops nowhere');
SELECT made('told', '-1 minute') AS told \gset
UPDATE pattyly.backups SET vouched = false, begun_by = E'a\nrm -rf /' WHERE id = :told;
SELECT is(ARRAY(SELECT line FROM pattyly.restore_plan(:told) AS line LIMIT 3 OFFSET 1), ARRAY[
	'# WARNING: it was noted by role "a rm -rf /", not by superusers from begin to end. What is in the file is run as a superuser.',
	'false # Ends "sh -e". Take this line out when you are sure that the file is what that role says.',
	format('# It goes into a new database, "%s_restored"; nothing that is there changes. It has the data of 2029-12-31 22:59:00+00.', current_database())], 'one that another role noted stops before anything else');
SELECT is((SELECT line FROM commands_of(:told) AS line LIMIT 1), 'false # Ends "sh -e". Take this line out when you are sure that the file is what that role says.', 'at its first command');
UPDATE pattyly.backups SET session = 1 WHERE id = :told;
SELECT is_empty($$SELECT line FROM pattyly.restore_plan($$ || :told || $$) AS line WHERE line ~ '^false|noted by'$$, 'a run of that role does not');
DELETE FROM pattyly.backups WHERE id = :told;

SELECT made('i', '-1 hour', 'incremental', tool => 'pgbackrest', database => NULL, annotations => '{"stanza": "main"}') AS child \gset
UPDATE pattyly.backups SET parent_id = :base WHERE id = :child;
SELECT ok('# WARNING: a backup that it builds on is not good, or not known.' NOT IN (SELECT pattyly.restore_plan(:child)), 'a whole chain');
UPDATE pattyly.backups SET state = 'suspect' WHERE id = :base;
SELECT ok('# WARNING: a backup that it builds on is not good, or not known.' IN (SELECT pattyly.restore_plan(:child)), 'a broken one comes with a warning');
UPDATE pattyly.backups SET state = 'done' WHERE id = :base;
DELETE FROM pattyly.backups WHERE id = :child;

SELECT made('s3', '-1 hour', location => 's3://b/s3.dump', database => E'a''b\n"') AS s3 \gset
SELECT is(tests.outcome('SELECT pattyly.restore_plan(' || :s3 || ')'), ('55000'::text, format('backup s3 (id %s) is at s3://b/s3.dump, and nothing says how it is fetched', :s3),
	'Set pattyly.backup_fetch_stages.'::text), 'nobody knows how');
SET pattyly.backup_fetch_stages = '[["rclone", "cat", "%o", "%d", "100%%", "%f %l %i"], ["gunzip"]]';
SELECT is((SELECT line FROM commands_of(:s3) AS line LIMIT 1), E'rclone cat s3://b/s3.dump ''a''\\''''b\n"'' 100% ''s3.dump s3 ' || :s3 || ''' | gunzip > ./s3.dump', 'fetched by stages');
SELECT is_empty($$SELECT line FROM pattyly.restore_plan($$ || :s3 || $$) AS line WHERE line LIKE '#%' AND line ~ '[\n\r]'$$, 'a comment ends where its line does');
SELECT is((SELECT count(*) FROM commands_of(:first) AS line WHERE line LIKE '%rclone%'), 1::bigint, 'a path that is not of the directory, too');
SET pattyly.backup_directory = '/b';
SELECT is((SELECT count(*) FROM commands_of(:first) AS line WHERE line LIKE '%rclone%'), 0::bigint, 'one of the directory is read');
RESET pattyly.backup_directory;

---- how: clusters ----
SELECT made('L', '-1 hour', 'base', tool => 'pgbackrest', database => NULL, annotations => '{"stanza": "my stanza", "repo": 2}') AS p,
	made('L', '-1 hour', 'base', tool => 'barman', database => NULL, annotations => '{"server": "pg"}') AS b,
	made('L', '-1 hour', 'incremental', tool => 'wal-g', database => NULL) AS w,
	made('L', '-1 hour', 'base', tool => 'pg_basebackup', database => NULL) AS unknown \gset
SELECT matches((SELECT string_agg(line, E'\n') FROM commands_of(:p) AS line), '^mkdir -m 700 (\S+_restored_' || :p || ')\npgbackrest --stanza=''my stanza'' --repo=2 --set=L --pg1-path=\1 --type=immediate --target-action=promote restore\n\S+pg_ctl -D \1 -w .*archive_mode=off'' start$', 'pgbackrest');
SELECT matches((SELECT string_agg(line, E'\n') FROM commands_of(:b) AS line), '^barman recover --target-immediate --target-action promote pg L (\S+_restored_' || :b || ')\n\S+pg_ctl -D \1 ', 'barman');
SELECT matches((SELECT string_agg(line, E'\n') FROM commands_of(:w) AS line), '^wal-g backup-fetch (\S+) L\nprintf .*restore_command.* >> \1/postgresql.auto.conf\ntouch \1/recovery.signal\n', 'WAL-G');
SELECT is((tests.outcome('SELECT pattyly.restore_plan(' || :unknown || ')')).sqlstate, '0A000', 'another tool');

---- what cannot be ----
SELECT is((tests.outcome('SELECT pattyly.restore_plan(0)')).sqlstate, '42704', 'no such backup');
SELECT is((tests.outcome('SELECT pattyly.restore_plan(NULL)')).sqlstate, '42704', 'nor NULL');
SELECT is((tests.outcome('SELECT pattyly.restore_plan(' || made('n', '-1 hour', state => state) || ')')).sqlstate, '55000', state) FROM unnest('{failed,expired,running}'::text[]) AS state;
SELECT is(has_function_privilege('anon', 'pattyly.restore_plan(bigint)', 'EXECUTE') OR has_function_privilege('pg_monitor', 'pattyly.backup_for(timestamptz)', 'EXECUTE'), false, 'not everybody may');

SELECT * FROM finish();
