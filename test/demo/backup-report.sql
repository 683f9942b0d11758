-- The report of the fourth scene, as text. See play_backups of run. Variables: seconds (the scene took), shell (what a
-- shell's status was), failed, refused (what run_backup() and verify_backup() said),
-- plan (the lines that were typed), restored (how many messages that gave).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET TIME ZONE 'UTC';

CREATE FUNCTION pg_temp.number(n numeric) RETURNS text LANGUAGE sql AS $$ SELECT to_char(n, 'FM999,999,990') $$;
CREATE FUNCTION pg_temp.shorten(line text, most integer) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN length(line) > most THEN left(line, most - 2) || ' …' ELSE line END
$$;

\pset footer off
\pset border 0
\t on
\pset format unaligned
\qecho '# THE ARCHIVE'
\qecho '  CALL pattyly.run_backup(''monday'');       CALL pattyly.verify_backup();'
SELECT format('dumped this database, %s MB, and counted the rows of its %s tables in the snapshot of the dump;',
              to_char(bytes / 1e6, 'FM990.0'), pg_temp.number((SELECT count(*) FROM jsonb_object_keys(manifest))))
FROM pattyly.backups WHERE label = 'monday';
SELECT format('restored it into a database of its own and compared: %s rows, %s tables that differ, in %s s.',
              pg_temp.number((verify_result ->> 'rows')::numeric), jsonb_array_length(verify_result -> 'differences'),
              to_char((verify_result ->> 'seconds')::numeric, 'FM990.0'))
FROM pattyly.backups WHERE label = 'monday';
\qecho
\qecho 'On Tuesday pg_dump cannot connect, in "pg_dump | gzip".'
SELECT format('  a shell says   status %s, and there is a file', :'shell');
SELECT format('  pattyly says   %s', pg_temp.shorten(:'failed', 92));
\qecho 'On Wednesday one bit of the file flips after it was written.'
SELECT format('  verify_backup  %s', pg_temp.shorten(:'refused', 92));
\qecho
\t off
\pset format aligned
SELECT label AS backup, state, coalesce(to_char(bytes / 1e6, 'FM990.0') || ' MB', '') AS size, pg_temp.shorten(split_part(error, E'\n', 1), 76) AS error
FROM pattyly.backups ORDER BY id;
\qecho 'How it stands:  SELECT * FROM pattyly.backup_status;'
SELECT date_trunc('second', age)::text AS "age of the last good one", rpo AS "may be", overdue, good, failed_since_good AS "failed since",
       last_verify_ok AS "last verification passed"
FROM pattyly.backup_status;
\t on
\pset format unaligned
\qecho 'What to type when it is needed:  SELECT pattyly.restore_plan(pattyly.backup_for(now()));'
-- Without the options that say where this server is, and without directories.
SELECT '  ' || pg_temp.shorten(regexp_replace(regexp_replace(line, '--host=.*--no-password', '…'), '/\S*/(?=[^/\s]+)', '…/', 'g'), 108)
FROM regexp_split_to_table(:'plan', E'\n') AS line WHERE line !~ '^#';
\qecho 'They were typed.'
SELECT format('The restored database has %s messages, this one %s.', pg_temp.number(:restored), pg_temp.number((SELECT count(*) FROM messages)));
SELECT format('This scene took %s.', to_char(:seconds, 'FM990.0') || ' s');
\qecho
