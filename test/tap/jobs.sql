-- pattyly.schedule_job() and its kin: arguments, what is refused, and what is stored. No job runs here: this database is
-- not in pattyly.databases, which is one of the things tested.
SET client_min_messages = error;
SELECT plan(184);
SELECT tests.at('0');

-- What a statement ends with: "22023: message (hint)".
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN o.sqlstate = '00000' THEN 'fine' ELSE format('%s: %s (%s)', o.sqlstate, o.message, o.hint) END
	FROM tests.outcome(statement) AS o
$$;

-- Of schedule_job() with these arguments after the name.
CREATE FUNCTION scheduled(arguments text) RETURNS text LANGUAGE sql AS $$
	SELECT said('SELECT pattyly.schedule_job(''bad'', ' || arguments || ')')
$$;

CREATE FUNCTION next_of(job text) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT next_run FROM pattyly.jobs WHERE name = job
$$;

---- What is stored ---------------------------------------------------------------------------------------------------

SELECT ok(pattyly.schedule_job('nightly', '30 3 * * *', 'VACUUM') > 0, 'it returns an id');
SELECT is((SELECT (id IS NOT NULL, schedule, command, timezone, overlap, catch_up, max_runtime, max_retries, retry_delay, settings, enabled)::text
           FROM pattyly.jobs WHERE name = 'nightly'),
	'(t,"30 3 * * *",VACUUM,UTC,skip,run_once,,0,00:01:00,{},t)', 'the defaults');
SELECT is((SELECT owner FROM pattyly.jobs WHERE name = 'nightly'), current_user::name, 'it belongs to whoever schedules it');
SELECT is((SELECT owner_id FROM pattyly.jobs WHERE name = 'nightly'), (SELECT oid FROM pg_roles WHERE rolname = current_user),
	'by the number of the role');
SELECT is(next_of('nightly'), '2030-01-01 03:30+00', 'the next run, by the clock of pattyly');
SELECT ok(pattyly.schedule_job('berlin', '0 8 * * *', 'SELECT 1', timezone => 'Europe/Berlin') > 0, 'in a timezone');
SELECT is(next_of('berlin'), '2030-01-01 07:00+00', 'the next run there');
SELECT ok(pattyly.schedule_job('every', 'every 90 seconds', 'SELECT 1', 'UTC', 'queue_one', 'skip', '2 hours', 3, '10 s',
	'{"statement_timeout": "5min", "work_mem": 8192, "enable_seqscan": false}') > 0, 'all arguments by place');
SELECT is((SELECT (timezone, overlap, catch_up, max_runtime, max_retries, retry_delay, settings, next_run)::text FROM pattyly.jobs WHERE name = 'every'),
	'(UTC,queue_one,skip,02:00:00,3,00:00:10,"{""work_mem"": 8192, ""enable_seqscan"": false, ""statement_timeout"": ""5min""}","2030-01-01 00:01:30+00")',
	'all of them stored');
SELECT lives_ok($$SELECT pattyly.schedule_job('boot', '@reboot', 'SELECT 1')$$, '@reboot');
SELECT is(next_of('boot'), NULL, '@reboot is never planned by the clock');
SELECT lives_ok($$SELECT pattyly.schedule_job('asleep', '@daily', 'SELECT 1', enabled => false)$$, 'not enabled');
SELECT is(next_of('asleep'), NULL, 'so not planned');
SELECT lives_ok($$SELECT pattyly.schedule_job('ünïcode "quoted" ''name''', '@daily', 'SELECT 1')$$, 'any name that can be read');
SELECT lives_ok(format('SELECT pattyly.schedule_job(%L, ''@daily'', ''SELECT 1'')', repeat('x', 200)), 'of 200 bytes');
SELECT lives_ok($$SELECT pattyly.schedule_job('leap', '0 0 29 2 *', 'SELECT 1')$$, 'a day that comes every four years');
SELECT is(next_of('leap'), '2032-02-29 00:00+00', 'in its year');

---- A command that cannot be one --------------------------------------------------------------------------------------

CREATE FUNCTION command(command text) RETURNS text LANGUAGE sql AS $$
	SELECT scheduled(format('''@daily'', %L', command))
$$;
SELECT is(command(refused), said, format('refused: %s', translate(refused, E'\n\t', '  ')))
FROM (VALUES
	('SELEC 1', '42601: syntax error at or near "SELEC" ()'),
	('SELECT 1; SELECT (', '42601: syntax error at end of input ()'),
	('SELECT ''open', '42601: unterminated quoted string at or near "''open" ()'),
	('', '22023: the command of a job is empty (Write one or more SQL statements, separated by semicolons.)'),
	(E' \n\t ', '22023: the command of a job is empty (Write one or more SQL statements, separated by semicolons.)'),
	(';;', '22023: the command of a job is empty (Write one or more SQL statements, separated by semicolons.)'),
	('-- nothing', '22023: the command of a job is empty (Write one or more SQL statements, separated by semicolons.)'),
	('/* nothing /* at all */ */;', '22023: the command of a job is empty (Write one or more SQL statements, separated by semicolons.)'),
	('COPY t FROM STDIN', '0A000: a job cannot run COPY from or to a client (There is no client; name a file, or use INSERT ... SELECT.)'),
	('COPY t TO STDOUT', '0A000: a job cannot run COPY from or to a client (There is no client; name a file, or use INSERT ... SELECT.)'),
	('COPY (SELECT 1) TO STDOUT', '0A000: a job cannot run COPY from or to a client (There is no client; name a file, or use INSERT ... SELECT.)'),
	('LISTEN x', '0A000: a job cannot run LISTEN (Its process ends with the job; listen in a session of a client.)')
) AS v(refused, said);                                                                                          -- 12
SELECT is(command(refused), format(
	'0A000: a job cannot run %s (Each statement is a transaction of its own; put those that belong together into one DO block or procedure.)', tag),
	format('refused: %s', refused))
FROM (VALUES ('BEGIN', 'BEGIN'), ('START TRANSACTION', 'START TRANSACTION'), ('COMMIT', 'COMMIT'), ('END', 'COMMIT'),
	('ROLLBACK', 'ROLLBACK'), ('ABORT', 'ROLLBACK'), ('SAVEPOINT a', 'SAVEPOINT'), ('ROLLBACK TO a', 'ROLLBACK'),
	('RELEASE a', 'RELEASE'), ('PREPARE TRANSACTION ''a''', 'PREPARE TRANSACTION'), ('COMMIT PREPARED ''a''', 'COMMIT PREPARED'),
	('ROLLBACK PREPARED ''a''', 'ROLLBACK PREPARED'), ('BEGIN; DELETE FROM t; COMMIT', 'BEGIN'),
	('SELECT 1; COMMIT AND CHAIN', 'COMMIT'), ('/* a comment */ BEGIN', 'BEGIN')) AS v(refused, tag);             -- 15
SELECT is(command(repeat('x', 1000000)), '54000: the command of a job is longer than 100000 bytes (Put it into a procedure and let the job CALL it.)',
	'refused: a million characters');
SELECT matches(command('SELECT ' || repeat('(', 50000)), '^(42601|54001): ', 'refused: what no parser can read');
SELECT is(command('SELECT 1' || repeat(' ', 99992)), 'fine', 'taken: a hundred thousand bytes');
SELECT is(command(taken), 'fine', format('taken: %s', translate(taken, chr(10), ' ')))
FROM (VALUES ('VACUUM (ANALYZE)'), ('CREATE INDEX CONCURRENTLY i ON t (a)'), ('CALL p()'), ('DO $$ BEGIN COMMIT; END $$'),
	('ALTER TABLE t DETACH PARTITION p CONCURRENTLY'), ('SELECT ''BEGIN; COMMIT'''), ('COPY t FROM ''/tmp/file'''),
	('SELECT 1;;SELECT 2'), ('SET work_mem = ''1MB''; VACUUM no_such_table_yet'), ('-- why' || chr(10) || 'SELECT 1')) AS v(taken);                                                                                        -- 10

-- The position is one in the command; how it is reported is seen by psql only, so the fields are asked for.
CREATE FUNCTION context_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE context text;
BEGIN
	EXECUTE statement;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RETURN split_part(context, E'\n', 1);
END
$$;
SELECT is(context_of($$SELECT pattyly.schedule_job('bad', '@daily', 'SELECT 1; SELEC 2')$$), 'command of a job', 'the error says that it is in the command');
SELECT is(context_of($$SELECT pattyly.schedule_job('bad', '@daily', 'SELECT 1; BEGIN')$$), 'command of a job', 'also of what is refused');

---- A schedule, a timezone --------------------------------------------------------------------------------------------

SELECT matches(scheduled(format('%L, ''SELECT 1''', schedule)), '^22023: invalid schedule ', format('no schedule: "%s"', schedule))
FROM (VALUES (''), (' '), ('* * * *'), ('60 * * * *'), ('every 0 seconds'), ('every 500 milliseconds'), ('every 0.5 seconds'),
	('every -1 seconds'), ('every 400 days'), ('@sometimes'), (repeat('*', 100000))) AS v(schedule);               -- 11
SELECT is(scheduled($$'0 0 30 2 *', 'SELECT 1'$$), '22023: schedule "0 0 30 2 *" never comes (See what a schedule does with pattyly.next_runs().)', '30 February');
SELECT is(scheduled($$'0 0 31 4,6,9,11 *', 'SELECT 1'$$), '22023: schedule "0 0 31 4,6,9,11 *" never comes (See what a schedule does with pattyly.next_runs().)', 'the 31st of short months');
SELECT matches(scheduled(format('''@daily'', ''SELECT 1'', %L', timezone)), '^22023: time zone .*\(.+\)$', format('no timezone: "%s"', timezone))
FROM (VALUES ('Mars/Olympus'), (''), ('Europe/'), ('../../etc/passwd'), (repeat('x', 10000))) AS v(timezone);              -- 5

---- Other arguments ---------------------------------------------------------------------------------------------------

SELECT is(scheduled('''@daily'', ''SELECT 1'', ' || arguments), said, format('refused: %s', arguments))
FROM (VALUES
	('overlap => ''both''', '22023: invalid overlap of a job: "both" (Use skip, queue_one or cancel_running.)'),
	('overlap => ''''', '22023: invalid overlap of a job: "" (Use skip, queue_one or cancel_running.)'),
	('overlap => ''SKIP''', '22023: invalid overlap of a job: "SKIP" (Use skip, queue_one or cancel_running.)'),
	('catch_up => ''all''', '22023: invalid catch_up of a job: "all" (Use run_once or skip.)'),
	('max_runtime => ''1 month''', '22023: invalid max_runtime of a job: 1 mon (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''-1 min''', '22023: invalid max_runtime of a job: -00:01:00 (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''0''', '22023: invalid max_runtime of a job: 00:00:00 (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''999 ms''', '22023: invalid max_runtime of a job: 00:00:00.999 (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''25 days''', '22023: invalid max_runtime of a job: 25 days (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''24 days 1 us''', '22023: invalid max_runtime of a job: 24 days 00:00:00.000001 (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''2147483647 days''', '22023: invalid max_runtime of a job: 2147483647 days (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_runtime => ''1 mon -30 days''', '22023: invalid max_runtime of a job: 1 mon -30 days (Use 1 second to 24 days, without months or years; NULL is no limit.)'),
	('max_retries => -1', '22023: invalid max_retries of a job: -1 (Use 0 to 100.)'),
	('max_retries => 101', '22023: invalid max_retries of a job: 101 (Use 0 to 100.)'),
	('retry_delay => ''-1 s''', '22023: invalid retry_delay of a job: -00:00:01 (Use 0 to 1 day.)'),
	('retry_delay => ''25 hours''', '22023: invalid retry_delay of a job: 25:00:00 (Use 0 to 1 day.)'),
	('retry_delay => ''1 mon''', '22023: invalid retry_delay of a job: 1 mon (Use 0 to 1 day.)')
) AS v(arguments, said);                                                                                        -- 17
SELECT is(scheduled('''@daily'', ''SELECT 1'', max_runtime => ''24 days'', max_retries => 100, retry_delay => ''24 hours'''), 'fine', 'the most that is taken');
SELECT is(scheduled('''@daily'', ''SELECT 1'', max_runtime => ''1 s'', retry_delay => ''0'''), 'fine', 'the least');

CREATE FUNCTION settings(settings text) RETURNS text LANGUAGE sql AS $$
	SELECT scheduled(format('''@daily'', ''SELECT 1'', settings => %L', settings))
$$;
SELECT matches(settings(settings), said, format('settings: %s', settings))
FROM (VALUES
	('{"no_such_setting": "1"}', '^42704: unrecognized configuration parameter "no_such_setting"'),
	('{"": "1"}', '^42704: unrecognized configuration parameter ""'),
	('{"statement_timeout": "soon"}', '^22023: invalid value for parameter "statement_timeout": "soon"'),
	('{"statement_timeout": -5}', '^22023: -5 ms is outside the valid range'),
	('{"work_mem": 1.5e300}', '^22023: '),
	('{"max_connections": 10}', '^55P02: parameter "max_connections" cannot be changed'),
	('{"statement_timeout": null}', '^22023: setting "statement_timeout" of a job must be text, a number or a boolean \(Write it like '),
	('{"search_path": ["a", "b"]}', '^22023: setting "search_path" of a job must be text, a number or a boolean \(Write it like '),
	('{"search_path": {"a": "b"}}', '^22023: setting "search_path" of a job must be text, a number or a boolean \(Write it like '),
	('[]', '^22023: the settings of a job must be a JSON object \(Write it like '),
	('[{"work_mem": "1MB"}]', '^22023: the settings of a job must be a JSON object \(Write it like '),
	('"work_mem"', '^22023: the settings of a job must be a JSON object \(Write it like '),
	('1', '^22023: the settings of a job must be a JSON object \(Write it like '),
	('null', '^22023: the settings of a job must be a JSON object \(Write it like '),
	('{"work_mem": "1MB", "app.tenant": "a", "enable_seqscan": true, "jit": "off", "vacuum_cost_delay": 2}', '^fine$')
) AS v(settings, said);                                                                                         -- 15
SELECT is(current_setting('app.tenant', true) || current_setting('work_mem'), '4MB', 'the settings are tried, not set');

SELECT is(said(format('SELECT pattyly.schedule_job(%s)', arguments)),
	format('22004: %s of a job must not be null (Leave it out for its default, if it has one.)', name), format('NULL is refused: %s', name))
FROM (VALUES ('name', 'NULL, ''@daily'', ''SELECT 1'''), ('schedule', '''bad'', NULL, ''SELECT 1'''), ('command', '''bad'', ''@daily'', NULL'),
	('timezone', '''bad'', ''@daily'', ''SELECT 1'', timezone => NULL'), ('overlap', '''bad'', ''@daily'', ''SELECT 1'', overlap => NULL'),
	('catch_up', '''bad'', ''@daily'', ''SELECT 1'', catch_up => NULL'), ('max_retries', '''bad'', ''@daily'', ''SELECT 1'', max_retries => NULL'),
	('retry_delay', '''bad'', ''@daily'', ''SELECT 1'', retry_delay => NULL'), ('settings', '''bad'', ''@daily'', ''SELECT 1'', settings => NULL'),
	('enabled', '''bad'', ''@daily'', ''SELECT 1'', enabled => NULL')) AS v(name, arguments);                       -- 10
SELECT is(scheduled('''@daily'', ''SELECT 1'', max_runtime => NULL'), 'fine', 'but not of max_runtime');

SELECT matches(said(format('SELECT pattyly.schedule_job(%L, ''@daily'', ''SELECT 1'')', name)),
	'^22023: invalid name of a job \(Use 1 to 200 bytes without control characters.\)$', format('no name: %s bytes', octet_length(name)))
FROM (VALUES (''), (repeat('x', 201)), (repeat('ü', 101)), (E'a\nb'), (E'a\tb'), (E'\x7f')) AS v(name);          -- 6

---- Again under the same name -----------------------------------------------------------------------------------------

DELETE FROM pattyly.jobs WHERE name = 'bad';
SELECT pattyly.schedule_job('hourly', '@hourly', 'SELECT 1', overlap => 'queue_one', max_retries => 5) AS id \gset
SELECT tests.at('40 min');
SELECT is(pattyly.schedule_job('hourly', '@hourly', 'SELECT 2'), :id::bigint, 'a job that is scheduled again keeps its id');
SELECT is((SELECT (command, overlap, max_retries)::text FROM pattyly.jobs WHERE name = 'hourly'), '("SELECT 2",skip,0)',
	'and is the new one in everything');
SELECT pattyly.schedule_job('each', 'every 50 minutes', 'SELECT 1');
SELECT tests.at('80 min');
SELECT is(pattyly.schedule_job('each', 'every 50 minutes', 'SELECT 2'), (SELECT id FROM pattyly.jobs WHERE name = 'each'), 'again');
SELECT is(next_of('each'), '2030-01-01 01:30+00', 'the same schedule keeps the next run, so that deployments do not put it off');
SELECT pattyly.schedule_job('each', 'every 51 minutes', 'SELECT 2');
SELECT is(next_of('each'), '2030-01-01 02:11+00', 'another schedule is planned anew');
SELECT pattyly.schedule_job('each', '0 12 * * *', 'SELECT 2');
SELECT pattyly.schedule_job('each', '0 12 * * *', 'SELECT 2', timezone => 'America/New_York');
SELECT is(next_of('each'), '2030-01-01 17:00+00', 'another timezone too');
SELECT pattyly.schedule_job('each', '0 12 * * *', 'SELECT 2', timezone => 'America/New_York', enabled => false);
SELECT is(next_of('each'), NULL, 'not enabled any more');
SELECT pattyly.schedule_job('each', '0 12 * * *', 'SELECT 2', timezone => 'America/New_York');
SELECT is(next_of('each'), '2030-01-01 17:00+00', 'enabled again');
SELECT is((SELECT updated_at FROM pattyly.jobs WHERE name = 'each'), '2030-01-01 01:20+00', 'when it was scheduled last');
SELECT is(said($$SELECT pattyly.schedule_job('hourly', '@hourly', 'SELEC')$$), '42601: syntax error at or near "SELEC" ()',
	'what is refused');
SELECT is((SELECT command FROM pattyly.jobs WHERE name = 'hourly'), 'SELECT 2', 'changes nothing');

---- Pause, resume, remove ---------------------------------------------------------------------------------------------

SELECT pattyly.pause_job('hourly');
SELECT is((SELECT (enabled, next_run)::text FROM pattyly.jobs WHERE name = 'hourly'), '(f,)', 'paused');
SELECT is((SELECT state FROM pattyly.job_status WHERE job = 'hourly'), 'paused', 'job_status says so');
SELECT lives_ok($$SELECT pattyly.pause_job('hourly')$$, 'twice');
SELECT tests.at('5 hours 1 min');
SELECT pattyly.resume_job('hourly');
SELECT is((SELECT (enabled, next_run)::text FROM pattyly.jobs WHERE name = 'hourly'), '(t,"2030-01-01 06:00:00+00")',
	'resumed: planned from now on');
SELECT pattyly.schedule_job('each', 'every 50 minutes', 'SELECT 2');
SELECT tests.at('5 hours 11 min');
SELECT pattyly.resume_job('each');
SELECT is(next_of('each'), '2030-01-01 05:51+00', 'to resume what is not paused does not put it off');
SELECT is(pattyly.unschedule_job('hourly'), true, 'removed');
SELECT is(pattyly.unschedule_job('hourly'), false, 'there is none any more');
SELECT is(said(format('SELECT pattyly.%s(''hourly'')', function)),
	'42704: job "hourly" does not exist (See pattyly.job_status for the names of jobs.)', format('%s: no such job', function))
FROM unnest('{run_job,cancel_job,pause_job,resume_job}'::text[]) AS function;                                   -- 4
SELECT is(said(format('SELECT pattyly.%s(NULL)', function)),
	'22004: name of a job must not be null (See pattyly.job_status for the names of jobs.)', format('%s: NULL', function))
FROM unnest('{run_job,cancel_job,pause_job,resume_job,unschedule_job}'::text[]) AS function;                    -- 5
SELECT ok(pattyly.schedule_job('hourly', '@hourly', 'SELECT 1') > :id, 'another job of the same name has another id');

---- Runs that wait (nobody runs them here) ----------------------------------------------------------------------------

SELECT pattyly.run_job('hourly') AS first \gset
SELECT pattyly.run_job('hourly') AS second \gset
SELECT ok(:first < :second, 'a run each time it is asked for');
SELECT is((SELECT (state, scheduled_at, start_after, started_at, finished_at, attempt, job_name)::text FROM pattyly.job_runs WHERE id = :first),
	'(starting,"2030-01-01 05:11:00+00","2030-01-01 05:11:00+00",,,1,hourly)', 'it waits for a worker');
SELECT is((SELECT s::text FROM (SELECT job, schedule, timezone, next_run, state, last_run, last_status, last_duration, consecutive_failures
                                FROM pattyly.job_status) AS s WHERE job = 'hourly'),
	'(hourly,@hourly,UTC,"2030-01-01 06:00:00+00",starting,,,,0)', 'job_status');
SELECT columns_are('pattyly', 'job_status', ARRAY['job', 'schedule', 'timezone', 'next_run', 'state', 'last_run', 'last_status',
	'last_duration', 'consecutive_failures']);
SELECT is(pattyly.cancel_job('hourly'), 2, 'both are canceled');
SELECT is((SELECT array_agg((state, finished_at, error)::text ORDER BY id) FROM pattyly.job_runs WHERE job_name = 'hourly'),
	array_fill('(canceled,"2030-01-01 05:11:00+00","canceled before it began")'::text, ARRAY[2]), 'with the reason');
SELECT is(pattyly.cancel_job('hourly'), 0, 'nothing is left to be canceled');
SELECT pattyly.pause_job('hourly');
SELECT ok(pattyly.run_job('hourly') > 0, 'a paused job can be run by hand');
SELECT is(pattyly.unschedule_job('hourly'), true, 'a job with a run that waits is removed');
SELECT is((SELECT (state, error)::text FROM pattyly.job_runs WHERE job_name = 'hourly' ORDER BY id DESC LIMIT 1),
	'(canceled,"the job was removed")', 'and the run with it');

---- job_status ------------------------------------------------------------------------------------------------------

SELECT pattyly.schedule_job('seen', '@daily', 'SELECT 1') AS seen \gset
CREATE FUNCTION ran(state text, started interval, took interval, warnings text[] DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, started_at, finished_at, warnings)
	SELECT id, name, owner_id, ran.state, t, t, t, t + took, ran.warnings
	FROM pattyly.jobs, LATERAL (SELECT timestamptz '2030-01-01 00:00+00' + started) AS at(t) WHERE name = 'seen'
$$;
CREATE FUNCTION status() RETURNS text LANGUAGE sql AS $$
	SELECT (state, last_run, last_status, last_duration, consecutive_failures)::text FROM pattyly.job_status WHERE job = 'seen'
$$;
SELECT is(status(), '(waiting,,,,0)', 'before the first run');
SELECT ran('failed', '1 h', '1 min');
SELECT is(status(), '(waiting,"2030-01-01 01:00:00+00",failed,00:01:00,1)', 'one that failed');
SELECT ran('timed_out', '2 h', '2 min'), ran('lost', '3 h', '3 min');
SELECT is(status(), '(waiting,"2030-01-01 03:00:00+00",lost,00:03:00,3)', 'what timed out and what was lost failed, too');
SELECT ran('canceled', '4 h', '4 min'), ran('skipped', '5 h', '0');
SELECT is(status(), '(waiting,"2030-01-01 04:00:00+00",canceled,00:04:00,3)', 'what was canceled did not, and what was skipped is no run');
SELECT ran('running', '6 h', NULL);
SELECT is(status(), '(running,"2030-01-01 04:00:00+00",canceled,00:04:00,3)', 'one runs');
SELECT ran('succeeded', '7 h', '7 min', '{careful}');
SELECT is(status(), '(running,"2030-01-01 07:00:00+00","succeeded with warnings",00:07:00,0)', 'one succeeded, with a warning');
DELETE FROM pattyly.job_runs WHERE state = 'running';
SELECT ran('succeeded', '8 h', '8 min');
SELECT is(status(), '(waiting,"2030-01-01 08:00:00+00",succeeded,00:08:00,0)', 'one without');
UPDATE pattyly.jobs SET database_id = 1 WHERE name = 'seen';
SELECT is((SELECT state FROM pattyly.job_status WHERE job = 'seen'), 'paused, a copy', 'scheduled elsewhere');
SELECT is(said(format('SELECT pattyly.%s(''seen'')', function)),
	'55000: job "seen" was scheduled in a database of which this is a copy (Run SELECT pattyly.resume_jobs() if the jobs of the copy are to run here as well.)',
	format('%s: not before the copy is told to', function))
FROM unnest('{run_job,resume_job}'::text[]) AS function;                                                        -- 2
SELECT is(pattyly.resume_jobs(), 1, 'resume_jobs() lets it run here');
SELECT is((SELECT state FROM pattyly.job_status WHERE job = 'seen'), 'waiting', 'as a job of this database');
SELECT is(pattyly.resume_jobs(), 0, 'none is left');
UPDATE pattyly.jobs SET owner_id = 1, database_id = 1, owner = 'nobody such' WHERE name = 'seen';
SELECT is(pattyly.resume_jobs(), 0, 'its owner is not there');
UPDATE pattyly.jobs SET database_id = (SELECT oid FROM pg_database WHERE datname = current_database()) WHERE name = 'seen';
SELECT is((SELECT state FROM pattyly.job_status WHERE job = 'seen'), 'owner missing', 'job_status: the owner is missing');

---- Transactions ------------------------------------------------------------------------------------------------------

BEGIN;
SELECT pattyly.schedule_job('unseen', '@daily', 'SELECT 1');
ROLLBACK;
SELECT is((SELECT count(*) FROM pattyly.jobs WHERE name = 'unseen'), 0::bigint, 'a job that is rolled back was never scheduled');
BEGIN READ ONLY;
SELECT said($$SELECT pattyly.schedule_job('unseen', '@daily', 'SELECT 1')$$) AS said \gset
ROLLBACK;
SELECT is(:'said'::text, '25006: cannot execute INSERT in a read-only transaction ()', 'none in a read-only transaction');
