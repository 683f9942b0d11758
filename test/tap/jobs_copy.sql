-- Whose jobs are whose in a copy of the database on another server, where the owner's number is another role's, or nobody's.
SET client_min_messages = error;
SELECT plan(13);
SELECT tests.at('0');

-- Roles are the server's: these are dropped at the end.
CREATE ROLE job_original LOGIN;
CREATE ROLE job_namesake LOGIN;
GRANT USAGE ON SCHEMA pattyly TO job_original, job_namesake;
GRANT EXECUTE ON FUNCTION pattyly.schedule_job, pattyly.unschedule_job, pattyly.run_job, pattyly.is_job_at_home TO job_original, job_namesake;
GRANT SELECT ON pattyly.jobs, pattyly.job_status TO job_original, job_namesake;

SELECT is((SELECT result FROM (SELECT pattyly.schedule_job('other', '@daily', 'SELECT 1') > 0 AS result) AS s), true, 'somebody else''s job');
SET ROLE job_original;
SELECT ok(pattyly.schedule_job('moved', '@daily', 'SELECT ''a secret''') > 0, 'a job');
RESET ROLE;

-- The dump comes to a server where "job_namesake" has the number that "job_original" had.
UPDATE pattyly.jobs SET system_identifier = 1, owner_id = 'job_namesake'::regrole WHERE name = 'moved';

SET ROLE job_namesake;
SELECT is((SELECT count(*) FROM pattyly.jobs), 0::bigint, 'the role with the owner''s number does not see the job');
SELECT is((SELECT count(*) FROM pattyly.job_status), 0::bigint, 'nor its status');
SELECT throws_ok($$SELECT pattyly.unschedule_job('moved')$$, '42501', 'job "moved" belongs to another role', 'and cannot remove it');
SELECT throws_ok($$SELECT pattyly.schedule_job('moved', '@daily', 'SELECT 2')$$, '42501', 'job "moved" belongs to another role', 'or replace it');
SET ROLE job_original;
SELECT is((SELECT array_agg(command) FROM pattyly.jobs), '{"SELECT ''a secret''"}', 'the role with the owner''s name sees it');
SELECT is((SELECT array_agg(job || ': ' || state) FROM pattyly.job_status), '{"moved: paused, a copy"}', 'and its status');
SELECT throws_ok($$SELECT pattyly.run_job('moved')$$, '55000', NULL, 'it does not run');
SELECT ok(pattyly.schedule_job('moved', '@daily', 'SELECT 2') > 0, 'he brings it home by scheduling it again');
SELECT is((SELECT (pattyly.is_job_at_home(system_identifier, database_id), owner_id::regrole)::text FROM pattyly.jobs), '(t,job_original)', 'as his own');
RESET ROLE;

-- What was planned by the clock and is to run at the start of the server runs at the next one, not at the last.
UPDATE pattyly.jobs SET last_scheduled = '2020-01-01' WHERE name = 'moved';
SET ROLE job_original;
SELECT ok(pattyly.schedule_job('moved', '@reboot', 'SELECT 2') > 0, 'another schedule');
SELECT is((SELECT last_scheduled FROM pattyly.jobs), '2030-01-01 00:00+00', 'counts from now on');
RESET ROLE;

SELECT pattyly.unschedule_job(name) FROM pattyly.jobs;
DROP OWNED BY job_original, job_namesake;
DROP ROLE job_original, job_namesake;
