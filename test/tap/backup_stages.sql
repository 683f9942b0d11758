-- What pattyly.backup_stages and its kin take and what they refuse, and programs that cannot be run.
SELECT no_plan();
SET client_min_messages = error;

-- What a setting becomes, or "SQLSTATE detail".
CREATE FUNCTION said(setting text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN set_config('pattyly.' || setting, value, true);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || detail;
END
$$;

CREATE FUNCTION stages(n integer, arguments integer) RETURNS text LANGUAGE sql AS $$
	SELECT jsonb_agg((SELECT jsonb_agg('a'::text) FROM generate_series(1, arguments)))::text FROM generate_series(1, n)
$$;

SELECT is(current_setting('pattyly.backup_stages'), '[["pg_dump", "--format=custom", "--no-password", "--snapshot=%s"]]', 'the stages that nobody has set');

-- ---- good ----

SELECT is(said('backup_stages', value), value, 'good: ' || left(value, 60))
FROM unnest(ARRAY['', '[["pg_dump"]]', '[["/usr/bin/env", "", "%d%l%f%s%i%%"]]', ' [ [ "a" ] , [ "b" ] ] ', '[["a", "é\u0041\t\"\\u00e9[[[{"]]', '[["a","' || repeat('[', 100) || '"]]',
	stages(8, 64)]) AS value;
SELECT is(said(setting, value), value, setting || ': ' || value)
FROM (VALUES ('backup_fetch_stages', '[["cat", "%o"]]'), ('backup_remove_stages', '[["rm", "%o"]]'), ('backup_location', 's3://b/%d/%l/%f%i%%'), ('backup_location', ''),
	('backup_directory', '/var/backups'), ('backup_directory', '')) AS t (setting, value);

-- ---- bad ----

SELECT is(said('backup_stages', value), '22023 ' || wanted || '.', 'refused: ' || left(value, 60))
FROM (VALUES
	('[]', 'There is no stage in it'),
	(' ', 'It is not valid JSON'),
	('pg_dump -Fc', 'It is not valid JSON'),
	('[["pg_dump"]', 'It is not valid JSON'),
	('[["pg_dump"]] x', 'It is not valid JSON'),
	('[["pg_dump",]]', 'It is not valid JSON'),
	('[["a\u0000b"]]', 'It is not valid JSON'),
	('[["a", "\u00e9"]]', 'A character is written as \u and a number: write the character itself'),
	('[["a", "\ud83d\ude00"]]', 'A character is written as \u and a number: write the character itself'),
	('"pg_dump"', 'A stage is not an array'),
	('7', 'A stage is not an array'),
	('null', 'A stage is not an array'),
	('["pg_dump", "-Fc"]', 'A stage is not an array'),
	('[["pg_dump"], null]', 'A stage is not an array'),
	('{}', 'There is an object in it'),
	('{"stages": [["pg_dump"]]}', 'There is an object in it'),
	('[{"program": "pg_dump"}]', 'There is an object in it'),
	('[["pg_dump", {"a": "b"}]]', 'There is an object in it'),
	('[["pg_dump", ["-Fc"]]]', 'An argument is an array'),
	('[[["pg_dump"]]]', 'An argument is an array'),
	(repeat('[', 100000), 'An argument is an array'),
	(repeat('[', 33) || repeat(']', 33), 'An argument is an array'),
	('[["pg_dump", 7]]', 'Stage 1 has an argument that is no string'),
	('[["a"], ["b", true]]', 'Stage 2 has an argument that is no string'),
	('[["a", null]]', 'Stage 1 has an argument that is no string'),
	('[["a"], []]', 'Stage 2 is empty'),
	('[[]]', 'Stage 1 is empty'),
	('[[""]]', 'Stage 1 has no program'),
	('[["a"], ["", "b"]]', 'Stage 2 has no program'),
	('[["%d"]]', 'Stage 1 has no program'),
	('[["a", "%x"]]', 'Stage 1 has the unknown placeholder "%x"'),
	('[["a", "100%"]]', 'Stage 1 has the unknown placeholder "%"'),
	('[["a", "%é"]]', 'Stage 1 has the unknown placeholder "%é"'),
	('[["a"], ["b", "%o"]]', 'Stage 2 has the unknown placeholder "%o"'),
	(stages(9, 1), 'There are more than 8 stages'),
	(stages(1, 65), 'Stage 1 has more than 64 arguments'),
	(stages(2, 65), 'Stage 1 has more than 64 arguments')) AS t (value, wanted);
SELECT is(said('backup_fetch_stages', '[["cat", "%s"]]'), '22023 Stage 1 has the unknown placeholder "%s".', 'there is no snapshot when a backup is fetched');
SELECT is(said('backup_remove_stages', '[["rm", "%s"]]'), '22023 Stage 1 has the unknown placeholder "%s".', 'nor when it is removed');
SELECT is(said('backup_location', 's3://b/%s'), '22023 Unknown placeholder "%s"; known are %d (database), %l (label), %f (file name), %i (id) and %%.', 'nor in a location');
SELECT is(said('backup_location', 's3://b/%ü'), '22023 Unknown placeholder "%ü"; known are %d (database), %l (label), %f (file name), %i (id) and %%.', 'a letter of two bytes');
SELECT is(said('backup_directory', 'backups'), '22023 It is a directory on the server, as an absolute path.', 'a relative directory');

-- ---- who may ----

SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM pg_settings WHERE name ~ '^pattyly\.backup_' AND context <> 'superuser'), NULL, 'only superusers set any of them');
SET ROLE postgres;
SELECT is((SELECT string_agg(DISTINCT split_part(said(s, '[["id"]]'), ' ', 1), ',') FROM unnest(ARRAY['backup_stages', 'backup_fetch_stages', 'backup_remove_stages', 'backup_location', 'backup_directory']) AS s),
	'42501', 'the owner of the database does not');
SELECT throws_ok('CALL pattyly.run_backup()', '42501', NULL, 'nor makes the server run them');
SET ROLE anon;
SELECT throws_ok('SELECT current_setting(''pattyly.backup_stages'')', '42501', NULL, 'others do not even read what may be in the arguments');
RESET ROLE;

-- ---- what cannot be run ----

-- run_backup() is called at top level, so psql keeps what it said; each is a failed row.
\set ON_ERROR_STOP 0
\set QUIET 1
CREATE TABLE outcomes (name text, sqlstate text, message text);
SET pattyly.backup_location = 's3://nowhere/%f';
\o /dev/null
SET pattyly.backup_stages = '[["no-such-program"], ["cat"]]';
CALL pattyly.run_backup('not-found');
INSERT INTO outcomes VALUES ('not found', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["/no/such/program"], ["cat"]]';
CALL pattyly.run_backup('no-path');
INSERT INTO outcomes VALUES ('path not found', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["/etc/passwd"], ["cat"]]';
CALL pattyly.run_backup('not-executable');
INSERT INTO outcomes VALUES ('not executable', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["/usr/bin"], ["cat"]]';
CALL pattyly.run_backup('a-directory');
INSERT INTO outcomes VALUES ('a directory', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["bin/cat"], ["cat"]]';
CALL pattyly.run_backup('relative');
INSERT INTO outcomes VALUES ('relative', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["echo", "x"], ["../cat"]]';
CALL pattyly.run_backup('relative-2');
INSERT INTO outcomes VALUES ('relative, the second', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["echo", "x"]]';
CALL pattyly.run_backup('one');
INSERT INTO outcomes VALUES ('one stage', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '';
CALL pattyly.run_backup('none');
INSERT INTO outcomes VALUES ('none', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["seq", "1000000"], ["true"]]';
CALL pattyly.run_backup('unread');
INSERT INTO outcomes VALUES ('does not read', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["true"], ["cat"]]';
CALL pattyly.run_backup('nothing');
INSERT INTO outcomes VALUES ('writes nothing', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["ls", "/no/such/dir"], ["cat"]]';
CALL pattyly.run_backup('fails');
INSERT INTO outcomes VALUES ('fails', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["echo", "x"], ["ls", "--api-token=x1Y2", "/no/PGPASSWORD=x1Y2"]]';
CALL pattyly.run_backup('secret');
INSERT INTO outcomes VALUES ('fails with a secret', :'LAST_ERROR_SQLSTATE', :'LAST_ERROR_MESSAGE');
SET pattyly.backup_stages = '[["echo", "-- PostgreSQL database dump, and PostgreSQL database dump complete"], ["dd", "status=none"]]';
CALL pattyly.run_backup('works');
INSERT INTO outcomes VALUES ('works', '00000', '');
\o
\set ON_ERROR_STOP 1

SELECT is(o.sqlstate || ' ' || o.message, wanted, o.name)
FROM (VALUES
	('not found', '58P01 program "no-such-program" was not found'),
	('path not found', '58P01 program "/no/such/program" was not found'),
	('not executable', '42501 program "/etc/passwd" cannot be run by the server''s account'),
	('a directory', '42501 program "/usr/bin" cannot be run by the server''s account'),
	('relative', '42602 program "bin/cat" is a relative path'),
	('relative, the second', '42602 program "../cat" is a relative path'),
	('one stage', '55000 one stage cannot make a backup and store it'),
	('none', '55000 setting "pattyly.backup_stages" names no programs that can be run'),
	('does not read', '38000 stage 2 of the backup did not read all that it was to store'),
	('writes nothing', '38000 all programs succeeded, but none wrote a backup'),
	('fails', '38000 stage 1 of the backup failed: ls exited with status 2'),
	('fails with a secret', '38000 stage 2 of the backup failed: ls exited with status 2'),
	('works', '00000 ')) AS t (name, wanted) LEFT JOIN outcomes AS o USING (name);
SELECT is((SELECT string_agg(state, ' ' ORDER BY id) FROM pattyly.backups), 'failed failed failed failed failed failed failed failed failed failed failed failed done', 'each is a row');
SELECT is((SELECT count(*) FROM pattyly.backups WHERE state = 'failed' AND finished_at IS NOT NULL AND error <> '' AND stop_lsn IS NULL AND bytes IS NULL), 12::bigint, 'that says why, when, and no more');
SELECT is((SELECT string_agg(exit_status::text, ' ') FROM pattyly.backups WHERE label IN ('fails', 'secret')), '2 2', 'with the status of the program');
SELECT alike((SELECT error FROM pattyly.backups WHERE label = 'fails'), E'stage 1 of the backup failed: ls exited with status 2\n%ls: cannot access ''/no/such/dir'': No such file or directory', 'and what it said');
SELECT unalike((SELECT b::text FROM pattyly.backups AS b WHERE label = 'secret'), '%x1Y2%', 'but no secret');
SELECT alike((SELECT annotations ->> 'stages' FROM pattyly.backups WHERE label = 'secret'), '/%/echo x | /%/ls --api-token=**** /no/PGPASSWORD=****', 'the programs and their arguments are kept');
SELECT is((SELECT array[bytes::text, checksum, location] FROM pattyly.backups WHERE label = 'works'),
	ARRAY['67', 'sha256:' || encode(sha256(E'-- PostgreSQL database dump, and PostgreSQL database dump complete\n'), 'hex'), 's3://nowhere/works.dump'], 'what passed by was counted and hashed');
SELECT is((SELECT annotations ->> 'unread' FROM pattyly.backups WHERE label = 'works'), 'there is no program for it', 'and nobody read it');

-- ---- what reads the archive while it passes by ----

\set ON_ERROR_STOP 0
\o /dev/null
-- In the order of their sizes: one that is much smaller than the last good one is suspect for that.
SET pattyly.backup_stages = '[["pg_dump", "--format=plain", "--snapshot=%s"], ["gzip"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('gzip');
SET pattyly.backup_stages = '[["pg_dump", "--format=plain", "--snapshot=%s"], ["gzip"], ["sh", "-c", "dd bs=1 count=3000 status=none; cat >/dev/null"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('gzip-cut');
SET pattyly.backup_stages = '[["pg_dump", "--format=custom", "--snapshot=%s"], ["sh", "-c", "dd bs=1 count=3000 status=none; cat >/dev/null"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('cut');
SET pattyly.backup_stages = '[["pg_dump", "--format=custom", "--snapshot=%s"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('whole');
SET pattyly.backup_stages = '[["pg_dump", "--format=custom", "--snapshot=%s"],
	["sh", "-c", "dd bs=1 count=3000 status=none; sleep 0.3; kill -9 $(pgrep -P $PPID -x pg_restore); cat"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('reader-killed');
SET pattyly.backup_stages = '[["pg_dump", "--format=tar", "--snapshot=%s"], ["dd", "of=/dev/null", "status=none"]]';
CALL pattyly.run_backup('tar');
\o
\set ON_ERROR_STOP 1

CREATE FUNCTION outcome_of(label text, OUT state text, OUT error text, OUT unread text) LANGUAGE sql AS $$
	SELECT b.state, left(b.error, 27), b.annotations ->> 'unread' FROM pattyly.backups AS b WHERE b.label = outcome_of.label
$$;
SELECT is(outcome_of(label)::text, wanted, 'passes by: ' || label)
FROM (VALUES ('whole', '(done,,)'), ('tar', '(done,,)'), ('gzip', '(done,,)'),
	('gzip-cut', '(suspect,"the archive cannot be read:",)'), ('reader-killed', '(done,,"pg_restore was ended by signal 9")')) AS t (label, wanted);
-- Where it is cut, within the list, decides which of both is noticed first.
SELECT ok(o.state = 'suspect' AND o.error IN ('the end of the archive is m', 'the archive cannot be read:'), 'passes by: cut') FROM outcome_of('cut') AS o;

SELECT * FROM finish();
