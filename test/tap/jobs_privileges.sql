-- Whose jobs are whose: what real roles may schedule, see and change.
SET client_min_messages = error;
SELECT plan(75);
SELECT tests.at('0');
GRANT USAGE ON SCHEMA public, tap, tests TO PUBLIC;

-- Roles are the server's, and other files make their own: these are dropped at the end.
CREATE ROLE job_alice LOGIN;
CREATE ROLE job_bob LOGIN;
CREATE ROLE job_team LOGIN;
CREATE ROLE job_watch LOGIN IN ROLE pg_monitor;
CREATE ROLE job_nobody LOGIN;
CREATE ROLE job_group NOLOGIN;
GRANT job_team TO job_alice;
GRANT job_group TO job_alice;
GRANT USAGE ON SCHEMA pattyly TO job_alice, job_bob, job_team, job_group;
GRANT SELECT ON pattyly.jobs, pattyly.job_runs, pattyly.job_status TO job_alice, job_bob, job_team, job_group;
GRANT EXECUTE ON FUNCTION
	pattyly.is_job_at_home(bigint, oid), pattyly.run_job(text), pattyly.cancel_job(text), pattyly.pause_job(text),
	pattyly.resume_job(text), pattyly.unschedule_job(text),
	pattyly.schedule_job(text, text, text, text, text, text, interval, integer, interval, jsonb, boolean)
TO job_alice, job_bob, job_team, job_group;

-- What a statement ends with when a role runs it: "42501: message".
CREATE FUNCTION as_role(role_name name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	PERFORM set_config('role', role_name, false);
	SELECT CASE WHEN o.sqlstate = '00000' THEN 'fine' ELSE o.sqlstate || ': ' || o.message END INTO said FROM tests.outcome(statement) AS o;
	PERFORM set_config('role', 'none', false);
	RETURN said;
END
$$;
CREATE FUNCTION names(query text, role_name name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	PERFORM set_config('role', role_name, false);
	EXECUTE 'SELECT string_agg(n, '' '' ORDER BY n) FROM (' || query || ') AS q(n)' INTO found;
	PERFORM set_config('role', 'none', false);
	RETURN found;
END
$$;

---- Scheduling as oneself ---------------------------------------------------------------------------------------------

SELECT is(as_role(r, format('SELECT pattyly.schedule_job(%L, ''@daily'', ''SELECT 1'')', r || '-job')), 'fine', format('%s schedules a job', r))
FROM unnest('{job_alice,job_bob,job_team}'::name[]) AS r;                                                       -- 3
SELECT pattyly.schedule_job('admin-job', '@daily', 'SELECT 1');
SELECT is((SELECT string_agg(owner::text, ' ' ORDER BY owner::text) FROM pattyly.jobs WHERE name ~ '^job_'), 'job_alice job_bob job_team', 'each is the owner of his own');
SELECT is(as_role('job_bob', $$SELECT pattyly.schedule_job('job_alice-job', '@daily', 'SELECT 2')$$),
	'42501: job "job_alice-job" belongs to another role', 'nobody takes over the job of another');
SELECT is(as_role('job_bob', $$SELECT pattyly.schedule_job('admin-job', '@daily', 'SELECT 2')$$),
	'42501: job "admin-job" belongs to another role', 'least of all a superuser''s');
SELECT is(as_role('job_alice', $$SELECT pattyly.schedule_job('job_team-job', '@daily', 'SELECT 2')$$),
	'42501: job "job_team-job" belongs to another role', 'a member of the owner''s role would replace it by a job of his own: refused');
SELECT is(as_role('job_alice', $$SET LOCAL ROLE job_team; SELECT pattyly.schedule_job('job_team-job', '@daily', 'SELECT 2')$$), 'fine',
	'as that role he may');
SELECT is((SELECT (owner, command)::text FROM pattyly.jobs WHERE name = 'job_team-job'), '(job_team,"SELECT 2")', 'and it stays the job of that role');
SELECT is((SELECT string_agg(command, ' ') FROM pattyly.jobs WHERE name IN ('job_alice-job', 'admin-job')), 'SELECT 1 SELECT 1', 'the others are as they were');

-- A function of the owner's rights schedules as the owner of the function: that is what it is for.
CREATE FUNCTION public.schedule_for_me() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
AS $$SELECT pattyly.schedule_job('by-definer', '@daily', 'SELECT 1')$$;
ALTER FUNCTION public.schedule_for_me() OWNER TO job_bob;
SELECT is(as_role('job_alice', 'SELECT public.schedule_for_me()'), 'fine', 'in a SECURITY DEFINER function');
SELECT is((SELECT owner FROM pattyly.jobs WHERE name = 'by-definer'), 'job_bob'::name, 'the job is its owner''s');
SELECT is(as_role('job_alice', 'SELECT pattyly.run_job(''by-definer'')'), '42501: job "by-definer" belongs to another role', 'not the caller''s');

-- Until 16 a worker connects as roles that may log in only.
SELECT is(as_role('job_group', $$SELECT pattyly.schedule_job('of-group', '@daily', 'SELECT 1')$$),
	CASE WHEN current_setting('server_version_num')::int < 170000
		THEN '28000: a job cannot run as role "job_group", which is not permitted to log in' ELSE 'fine' END, 'a role that cannot log in');
SELECT isnt(pattyly.unschedule_job('of-group'), current_setting('server_version_num')::int < 170000, 'is refused before 17, and taken since');

-- Settings that a superuser alone may set.
SELECT is(as_role('job_alice', format('SELECT pattyly.schedule_job(''set'', ''@daily'', ''SELECT 1'', settings => %L)', settings)), said,
	format('alice sets %s', settings))
FROM (VALUES
	('{"log_statement": "none"}', '42501: permission denied to set parameter "log_statement"'),
	('{"session_replication_role": "replica"}', '42501: permission denied to set parameter "session_replication_role"'),
	('{"pattyly.frozen_clock": "2030-01-01 00:00:00+00"}', '42501: permission denied to set parameter "pattyly.frozen_clock"'),
	('{"role": "job_team"}', 'fine'),
	('{"statement_timeout": "1min"}', 'fine')) AS v(settings, said);                                               -- 5
SELECT is(as_role('job_alice', 'SELECT pattyly.unschedule_job(''set'')'), 'fine', 'removed again');

---- Seeing ------------------------------------------------------------------------------------------------------------

SELECT pattyly.run_job(name) FROM pattyly.jobs ORDER BY name;
SELECT is(names(query, role_name), seen, format('%s sees %s by %s', role_name, seen, query))
FROM (VALUES
	('job_alice'::name, 'job_alice-job job_team-job'), ('job_bob', 'by-definer job_bob-job'), ('job_team', 'job_team-job'),
	('job_group', NULL), ('job_watch', 'admin-job by-definer job_alice-job job_bob-job job_team-job'),
	('supabase_admin', 'admin-job by-definer job_alice-job job_bob-job job_team-job')) AS v(role_name, seen),
	(VALUES ('SELECT name FROM pattyly.jobs'), ('SELECT job_name FROM pattyly.job_runs'), ('SELECT job FROM pattyly.job_status')) AS q(query);  -- 18
SELECT is(as_role('job_nobody', query), said, format('without a grant: %s', query))
FROM (VALUES ('SELECT 1 FROM pattyly.jobs', '42501: permission denied for schema pattyly'),
	('SELECT pattyly.schedule_job(''x'', ''@daily'', ''SELECT 1'')', '42501: permission denied for schema pattyly')) AS v(query, said);          -- 2
-- A cheap function in a condition is run before the policy unless the policy's wall holds.
CREATE FUNCTION public.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$BEGIN
	IF $1 !~ '^(by-definer|job_bob)' THEN RAISE EXCEPTION 'saw %', $1; END IF;
	RETURN true;
END$$;
SELECT is(as_role('job_bob', 'SELECT count(*) FROM pattyly.job_status WHERE public.tell(job)'), 'fine', 'no leak through the view');
SELECT is(as_role('job_bob', 'SELECT count(*) FROM pattyly.jobs WHERE public.tell(name)'), 'fine', 'nor through the table');

---- Changing ----------------------------------------------------------------------------------------------------------

SELECT is(as_role('job_bob', format('SELECT pattyly.%s(''job_alice-job'')', function)), '42501: job "job_alice-job" belongs to another role',
	format('bob does not %s alice''s', function))
FROM unnest('{run_job,cancel_job,pause_job,resume_job,unschedule_job}'::text[]) AS function;                     -- 5
SELECT is(as_role('job_alice', format('SELECT pattyly.%s(''job_team-job'')', function)), 'fine', format('a member of the owner''s role may %s', function))
FROM unnest('{run_job,cancel_job,pause_job,resume_job}'::text[]) AS function;                                    -- 4
SELECT is(as_role('job_watch', format('SELECT pattyly.%s(''job_team-job'')', function)), format('42501: permission denied for function %s', function),
	format('monitoring may not %s', function))
FROM unnest('{run_job,cancel_job,pause_job,resume_job,unschedule_job}'::text[]) AS function;                     -- 5
SELECT is(as_role('job_team', 'SELECT pattyly.unschedule_job(''admin-job'')'), '42501: job "admin-job" belongs to another role', 'nor the team a superuser''s');
SELECT is(as_role('job_alice', 'SELECT pattyly.resume_jobs()'), '42501: permission denied for function resume_jobs', 'a copy is told to run by the administrator');
SELECT is(as_role(role_name, statement), said, format('%s: %s', role_name, statement))
FROM unnest('{job_alice,job_watch}'::name[]) AS role_name,
	(VALUES ('INSERT INTO pattyly.jobs DEFAULT VALUES', '42501: permission denied for table jobs'),
		('UPDATE pattyly.jobs SET command = ''SELECT 3''', '42501: permission denied for table jobs'),
		('DELETE FROM pattyly.jobs', '42501: permission denied for table jobs'),
		('DELETE FROM pattyly.job_runs', '42501: permission denied for table job_runs'),
		('TRUNCATE pattyly.job_runs', '42501: permission denied for table job_runs')) AS v(statement, said);     -- 10
SELECT is(as_role('job_alice', 'SELECT pattyly.unschedule_job(''job_team-job'')'), 'fine', 'a member may remove it');

---- The API roles -----------------------------------------------------------------------------------------------------

SELECT count(*) FROM pattyly.grant_api();
SELECT is((SELECT count(*) FROM unnest('{anon,authenticated,service_role}'::name[]) AS r,
		(SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = 'pattyly'::regnamespace AND p.proname ~ '(job|next_runs|maintenance)') AS f
		WHERE has_function_privilege(r, f.oid, 'EXECUTE')), 0::bigint, 'no API role has a function of this room');
SELECT is((SELECT count(*) FROM unnest('{anon,authenticated,service_role}'::name[]) AS r, unnest('{jobs,job_runs,job_status}'::text[]) AS t
		WHERE has_table_privilege(r, 'pattyly.' || t, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
			OR has_any_column_privilege(r, 'pattyly.' || t, 'SELECT, INSERT, UPDATE, REFERENCES')), 0::bigint, 'nor a table');
SELECT is(as_role(r, 'SELECT pattyly.schedule_job(''x'', ''@daily'', ''SELECT 1'')'), '42501: permission denied for function schedule_job', format('%s does not schedule', r))
FROM unnest('{anon,authenticated,service_role}'::name[]) AS r;                                                   -- 3

SELECT pattyly.unschedule_job(name) FROM pattyly.jobs;
DROP OWNED BY job_alice, job_bob, job_team, job_watch, job_nobody, job_group;
DROP ROLE job_alice, job_bob, job_team, job_watch, job_nobody, job_group;
