-- Nobody but a superuser makes the server run a program, write a file or believe in a backup that is none: as the API's
-- roles, as the service's role, and as an owner of the extension who is no superuser.
SET client_min_messages = error;
GRANT USAGE ON SCHEMA public, tap, tests TO PUBLIC;
CREATE ROLE backup_owner LOGIN;
CREATE ROLE backup_guest LOGIN;
CREATE ROLE backup_watch LOGIN IN ROLE pg_monitor;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO backup_owner', current_database()); END$$;
DROP EXTENSION pattyly;
SET ROLE backup_owner;
CREATE EXTENSION pattyly;
RESET ROLE;

CREATE FUNCTION said_as(role_name name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM set_config('role', role_name, false);
	SELECT CASE WHEN o.sqlstate = '00000' THEN 'fine' ELSE o.sqlstate || ': ' || o.message END INTO answer FROM tests.outcome(statement) AS o;
	PERFORM set_config('role', 'none', false);
	RETURN answer;
END
$$;
CREATE TABLE who (role_name name);
INSERT INTO who VALUES ('anon'), ('authenticated'), ('service_role'), ('backup_guest'), ('backup_owner');
CREATE TABLE setting (name text, value text);
INSERT INTO setting VALUES ('backup_stages', '[["id"]]'), ('backup_fetch_stages', '[["id"]]'), ('backup_remove_stages', '[["id"]]'),
	('backup_directory', '/tmp'), ('backup_location', '/tmp/%f'), ('backup_timeout', '1s'), ('backup_rpo', '1d'), ('restoring', 'on');
SELECT plan(5 * 8 + 5 * 5 + 5 * 2 + 5 * 4 + 5 * 11 + 15);

SELECT is((SELECT extowner::regrole::text FROM pg_extension WHERE extname = 'pattyly'), 'backup_owner', 'the extension is of an owner who is no superuser');

SELECT matches(said_as(role_name, format('SET pattyly.%s = %L', name, value)), '^42501: ', format('%s cannot set %s', role_name, name)) FROM who, setting;
SELECT matches(said_as(role_name, format('SHOW pattyly.%s', name)), '^42501: ', format('%s cannot read %s', role_name, name))
FROM who, setting WHERE name IN ('backup_stages', 'backup_fetch_stages', 'backup_remove_stages', 'backup_directory', 'backup_location');
SELECT matches(said_as(role_name, call), '^42501: ', format('%s cannot: %s', role_name, call))
FROM who, unnest(ARRAY['CALL pattyly.run_backup()', 'CALL pattyly.verify_backup()']) AS call;
SELECT matches(said_as(role_name, statement), '^42501: ', format('%s cannot: %s', role_name, statement))
FROM who, unnest(ARRAY['INSERT INTO pattyly.backups (label) VALUES (''x'')', 'UPDATE pattyly.backups SET state = ''done''', 'DELETE FROM pattyly.backups', 'TRUNCATE pattyly.backups']) AS statement;
-- What the extension calls by itself.
SELECT ok(NOT has_function_privilege(role_name, p.oid, 'EXECUTE'), format('%s cannot call %s', role_name, p.proname))
FROM who, pg_proc AS p
WHERE p.pronamespace = 'pattyly'::regnamespace AND p.proname IN ('open_backup', 'close_backup', 'close_failed_backup', 'backup_to_end', 'open_run', 'note_run',
	'close_lost_backups', 'stored_backup_bytes', 'backup_to_verify', 'close_verification', 'scratch_statements');

SELECT matches(said_as(role_name, 'SELECT pattyly.begin_backup(''x'')'), '^42501: ', role_name || ' cannot note a backup')
FROM who WHERE role_name <> 'backup_owner';                                                                     -- 4
SELECT is(said_as('backup_owner', 'SELECT pattyly.begin_backup(''x'', location => ''/etc/passwd'')'), 'fine', 'the owner can');
SELECT is((SELECT begun_by FROM pattyly.backups WHERE label = 'x'), 'backup_owner', 'in his own name');
SELECT is(said_as('backup_owner', 'SELECT pattyly.finish_backup(max(id), 1) FROM pattyly.backups'), 'fine', 'and finish it');
SELECT is((SELECT pattyly.is_backup_trusted(b) FROM pattyly.backups AS b), false, 'nothing is restored or deleted for it');
SELECT matches((SELECT sqlstate || message FROM tests.outcome('SELECT pattyly.backup_to_verify(max(id)) FROM pattyly.backups')), '^42501backup \d+ was noted by role "backup_owner"', 'verify_backup() does not restore it');
SELECT matches((SELECT sqlstate || message FROM tests.outcome('SELECT pattyly.backup_to_verify(NULL)')), '^42704', 'nor by default');
SELECT is(said_as('backup_owner', 'SELECT count(*) FROM pattyly.backups'), 'fine', 'the owner sees the catalogue');
SELECT is(said_as('backup_owner', 'GRANT EXECUTE ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint) TO backup_guest'), 'fine', 'and lets others note backups');
SELECT is(said_as('backup_watch', 'SELECT count(*) FROM pattyly.backups'), 'fine', 'who watches sees it, too');
-- A function of his with a setting: it is the caller's right that counts.
SELECT matches(said_as('backup_owner', $$CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET pattyly.backup_stages = '[["id"]]' AS 'SELECT 1'$$), '^42501: ', 'a function does not set it either');

SELECT * FROM finish();
DROP EXTENSION pattyly CASCADE;
DROP OWNED BY backup_owner, backup_guest;
DROP ROLE backup_owner, backup_guest, backup_watch;
