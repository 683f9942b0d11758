-- import_backups(): what pgbackrest 2.45 and barman 3.4 of Debian 12 printed of a real cluster, and WAL-G's list by its
-- documentation, in test/vectors/backup_infos.json.
SELECT no_plan();

CREATE TABLE infos AS SELECT key AS name, value AS info FROM jsonb_each(tests.vectors('test/vectors/backup_infos.json'));
GRANT SELECT ON infos TO PUBLIC;
CREATE FUNCTION taken(tool text, name text) RETURNS integer LANGUAGE sql
	AS $$ SELECT pattyly.import_backups(tool, (SELECT i.info FROM infos AS i WHERE i.name = taken.name)) $$;
CREATE FUNCTION taken(tool text, name text, path text[], value jsonb) RETURNS integer LANGUAGE sql
	AS $$ SELECT pattyly.import_backups(tool, (SELECT jsonb_set(i.info, path, value) FROM infos AS i WHERE i.name = taken.name)) $$;
CREATE FUNCTION states(of text) RETURNS text LANGUAGE sql
	AS $$ SELECT string_agg(state, ' ' ORDER BY id) FROM pattyly.backups WHERE tool = of $$;
CREATE FUNCTION refused(tool text, info jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	o record := tests.outcome(format('SELECT pattyly.import_backups(%L, %L)', tool, info));
BEGIN
	RETURN o.sqlstate || ': ' || o.message || ' / ' || o.hint;
END
$$;

SELECT tests.at('0');
SELECT pattyly.begin_backup('20261125-230225F', 'base', 'pgbackrest') AS of_script \gset
SELECT pattyly.finish_backup(:of_script, 1000);
CREATE TABLE before AS SELECT * FROM pattyly.backups;

---- pgbackrest ----
SELECT is(taken('pgbackrest', 'pgbackrest_no_stanza'), 0, 'a stanza that is not there');
SELECT is(taken('pgbackrest', 'pgbackrest_empty'), 0, 'no backups');
SELECT is(taken('pgbackrest', 'pgbackrest'), 3, 'three');
SELECT is(taken('pgbackrest', 'pgbackrest'), 0, 'the same again changes nothing');
SELECT results_eq($$SELECT label, kind, state, bytes, stored_bytes, location, server_version, system_identifier, timeline, start_lsn, stop_lsn,
		started_at, finished_at, annotations ->> 'stanza', checksum, database, begun_by
	FROM pattyly.backups WHERE server_started_at IS NULL ORDER BY id LIMIT 1$$,
	$$VALUES ('20261125-230225F', 'base', 'done', 23214202::bigint, 3062721::bigint, 'repo1/backup/demo/20261125-230225F', '15',
		7712248320571726773, 1, '0/2000028'::pg_lsn, '0/2000100'::pg_lsn, '2026-11-25 23:02:25+00'::timestamptz,
		'2026-11-25 23:02:33+00'::timestamptz, 'demo', NULL::text, NULL::text, current_user)$$, 'a full one');
SELECT results_eq($$SELECT b.kind, p.label FROM pattyly.backups AS b JOIN pattyly.backups AS p ON p.id = b.parent_id
		WHERE p.server_started_at IS NULL ORDER BY b.id$$,
	$$VALUES ('incremental', '20261125-230225F'), ('incremental', '20261125-230225F')$$, 'the chain');
SELECT is(taken('pgbackrest', 'pgbackrest_set'), 1, 'info --set tells more of one');
SELECT is(states('pgbackrest'), 'done done done done', 'and the others stay');
SELECT is(taken('pgbackrest', 'pgbackrest'), 0, 'which less does not take away');

SELECT is(taken('pgbackrest', 'pgbackrest_set', '{0,backup,0}', (SELECT info #> '{0,backup,0}'
		|| '{"error": true, "error-list": [{"name": "base/5/1255", "checksum-page": [3]}]}' FROM infos WHERE name = 'pgbackrest_set')), 1, 'page checksums');
SELECT is((SELECT state || ': ' || error FROM pattyly.backups WHERE label LIKE '%I'), 'suspect: page checksum errors: base/5/1255', 'make it suspect');
SELECT is(taken('pgbackrest', 'pgbackrest', '{0,backup,1,error}', 'true'), 0, 'an info without the list takes nothing away');
SELECT is((SELECT annotations #>> '{error_list,0,checksum-page,0}' FROM pattyly.backups WHERE label LIKE '%I'), '3', 'the list is kept');
SELECT is(taken('pgbackrest', 'pgbackrest'), 1, 'without an error');
SELECT is((SELECT state || coalesce(error, '') FROM pattyly.backups WHERE label LIKE '%I'), 'done', 'it is good again');

-- What people know of it stays.
UPDATE pattyly.backups SET hold_reason = 'audit', verified_at = pattyly.clock_now(), verify_result = '{"ok": true}' WHERE label LIKE '%D';
UPDATE pattyly.backups SET state = 'suspect', error = 'rows differ', verified_at = pattyly.clock_now(), verify_result = '{"ok": false}' WHERE label LIKE '%I';
SELECT is(taken('pgbackrest', 'pgbackrest'), 0, 'a failed verification');
SELECT is((SELECT state || ': ' || error FROM pattyly.backups WHERE label LIKE '%I'), 'suspect: rows differ', 'is believed');
SELECT tests.at('1 hour');
SELECT is(taken('pgbackrest', 'pgbackrest_empty'), 3, 'all are gone');
SELECT results_eq($$SELECT DISTINCT state, expired_at FROM pattyly.backups WHERE server_started_at IS NULL$$,
	$$VALUES ('expired', '2030-01-01 01:00+00'::timestamptz)$$, 'expired, with the time');
SELECT is(taken('pgbackrest', 'pgbackrest_empty'), 0, 'and no more');
SELECT is((SELECT hold_reason || (verify_result ->> 'ok') FROM pattyly.backups WHERE label LIKE '%D'), 'audittrue', 'hold and evidence stay');
SELECT is(taken('pgbackrest', 'pgbackrest'), 3, 'they can come back');
SELECT is((SELECT count(*) FROM pattyly.backups WHERE expired_at IS NOT NULL), 0::bigint, 'then they are not expired');
SELECT is(taken('pgbackrest', 'pgbackrest_empty', '{0,repo,0,status,code}', '99'), 0, 'a repository that cannot be read has lost nothing');
SELECT is(pattyly.import_backups('pgbackrest', '[]'), 0, 'nor do no stanzas say anything of this one');
SELECT is(taken('pgbackrest', 'pgbackrest_empty', '{0,db,0,system-id}', '7'), 0, 'another cluster''s stanza of that name');
SELECT is(taken('pgbackrest', 'pgbackrest_empty', '{0,name}', '"other"'), 0, 'another stanza');
SELECT is(taken('pgbackrest', 'pgbackrest', '{0,name}', '"other"'), 3, 'it has its own');
SELECT is(taken('pgbackrest', 'pgbackrest', '{0,backup,0,timestamp,stop}', '4102444800'), 1, 'a time to come');
SELECT is((SELECT finished_at FROM pattyly.backups WHERE label LIKE '%F' AND annotations ->> 'stanza' = 'demo'), '2100-01-01 00:00+00'::timestamptz, 'is kept as it is');

---- barman ----
SELECT is(taken('barman', 'barman_empty'), 0, 'barman has none');
SELECT is(taken('barman', 'barman_list'), 2, 'two');
SELECT is(taken('barman', 'barman_list_all'), 0, 'list-backups all has the same');
SELECT results_eq($$SELECT label, kind, state, started_at, finished_at, bytes, stored_bytes, location FROM pattyly.backups
		WHERE tool = 'barman' ORDER BY label DESC LIMIT 1$$,
	$$VALUES ('20261125T230259', 'base', 'done', '2026-11-25 23:02:59+00'::timestamptz, '2026-11-25 23:03:06+00'::timestamptz, NULL::bigint,
		40579790::bigint, 'demo/base/20261125T230259')$$, 'what a list tells');
SELECT is(taken('barman', 'barman_show'), 1, 'show-backup');
SELECT results_eq($$SELECT started_at, finished_at, bytes, server_version, timeline, start_lsn, stop_lsn FROM pattyly.backups WHERE label = '20261125T230259'$$,
	$$VALUES ('2026-11-25 23:02:59.304687+00'::timestamptz, '2026-11-25 23:03:06.824227+00'::timestamptz, 23802574::bigint, '15.20', 1,
		'0/B000028'::pg_lsn, '0/C000000'::pg_lsn)$$, 'tells more');
SELECT is(taken('barman', 'barman_list'), 0, 'which a list does not take away');
SELECT is(pattyly.import_backups('barman', (SELECT jsonb_build_array(info, info) FROM infos WHERE name = 'barman_show')), 0, 'several in an array');
SELECT is(states('barman'), 'done done', 'show-backup of one says nothing of others');
SELECT is(taken('barman', 'barman_list_failed'), 1, 'one failed');
SELECT is(taken('barman', 'barman_show_failed'), 1, 'and why');
SELECT is(taken('barman', 'barman_list_failed'), 0, 'is kept');
SELECT is((SELECT state || ': ' || error FROM pattyly.backups WHERE label = '20261125T230259'), 'failed: barman says that it failed: failure somewhere (rc 1)', 'state and error');
SELECT is(taken('barman', 'barman_list', '{demo,1,retention_status}', '"KEEP:FULL"'), 2, 'kept for ever');
SELECT is((SELECT hold_reason FROM pattyly.backups WHERE label = '20261125T230251'), 'barman keeps it', 'is held');
SELECT is(taken('barman', 'barman_list'), 0, '"-" says nothing of it');
SELECT is(taken('barman', 'barman_list', '{demo,1,retention_status}', '"VALID"'), 1, 'let go');
SELECT is((SELECT hold_reason FROM pattyly.backups WHERE label = '20261125T230251'), NULL, 'is not held');
SELECT is(taken('barman', 'barman_list', '{demo,0,status}', '"WAITING_FOR_WALS"'), 1, 'without its WAL');
SELECT is(states('barman'), 'done running', 'it is not done');
SELECT is(pattyly.close_lost_backups(), 0, 'an import that runs is its tool''s matter');
SELECT is(taken('barman', 'barman_empty'), 2, 'all gone');
SELECT is(states('barman'), 'expired expired', 'expired');

---- WAL-G ----
SELECT is(taken('wal-g', 'walg'), 2, 'WAL-G');
SELECT is(taken('wal-g', 'walg'), 0, 'again');
SELECT results_eq($$SELECT b.kind, b.bytes, b.stored_bytes, b.server_version, b.timeline, b.start_lsn, b.stop_lsn, b.started_at, p.label, b.hold_reason, b.location
		FROM pattyly.backups AS b LEFT JOIN pattyly.backups AS p ON p.id = b.parent_id WHERE b.tool = 'wal-g' ORDER BY b.id$$,
	$$VALUES ('base', 24000000::bigint, 3000000::bigint, '15.4', 1, '0/4000028'::pg_lsn, '0/4000118'::pg_lsn, '2026-11-20 02:00:01.123456+00'::timestamptz,
			NULL, 'wal-g keeps it', 'default:basebackups_005/base_000000010000000000000004'),
		('incremental', 1000000, 300000, '15.4', 1, '0/9000068', '0/9000158', '2026-11-21 02:00:01+00', 'base_000000010000000000000004', NULL,
			'basebackups_005/base_000000010000000000000009_D_000000010000000000000004')$$, 'columns, chain, permanence');
UPDATE pattyly.backups SET hold_reason = NULL WHERE tool = 'wal-g';
SELECT is(taken('wal-g', 'walg'), 0, 'what was released by hand is not held again');
SELECT is(pattyly.import_backups('wal-g', (SELECT info - 1 FROM infos WHERE name = 'walg')), 1, 'one less');
SELECT is(states('wal-g'), 'done expired', 'is expired');
SELECT is(pattyly.import_backups('wal-g', '[{"backup_name": "base_000000010000000000000020", "time": "2026-11-22T02:05:06Z", "wal_file_name": "000000010000000000000020"}]') > 0,
	true, 'without --detail');
-- Marking a parent as permanent makes it the younger file.
SELECT set_config('tests.marked', '[{"backup_name": "base_000000010000000000000030", "time": "2026-11-24T00:00:00Z"},
	{"backup_name": "base_000000010000000000000034_D_000000010000000000000030", "time": "2026-11-23T00:00:00Z"}]', false);
SELECT cmp_ok(pattyly.import_backups('wal-g', current_setting('tests.marked')::jsonb), '>=', 2, 'a child that seems older than its parent');
SELECT is((SELECT p.label FROM pattyly.backups AS b JOIN pattyly.backups AS p ON p.id = b.parent_id WHERE b.label ~ '0034_D_'), 'base_000000010000000000000030', 'has it');
SELECT is(pattyly.import_backups('wal-g', current_setting('tests.marked')::jsonb), 0, 'and again nothing is new');

---- what is refused ----
SELECT is((tests.outcome('SELECT pattyly.import_backups(NULL, ''[]'')')).sqlstate, '22004', 'no tool');
SELECT is((tests.outcome('SELECT pattyly.import_backups(''barman'', NULL)')).sqlstate, '22004', 'no info');
SELECT is(refused('restic', '[]'), '22023: unknown backup tool ''restic'' / It is one of pgbackrest, barman, wal-g.', 'another tool');
SELECT is(refused('pgbackrest', (SELECT info FROM infos WHERE name = 'barman_list')),
	'22023: info is not what pgbackrest prints: it is not an array of stanzas with name, backup and db / Pass, as it is, what is printed by "pgbackrest info --output=json".',
	'the wrong tool''s');
SELECT matches(refused(tool, info), '^22023: info is not what ' || tool || ' prints: .* / Pass, as it is, what is printed by "' || tool, tool || ', ' || left(info::text, 60))
FROM (SELECT v.tool, i.info FROM (VALUES ('pgbackrest'), ('barman'), ('wal-g')) AS v (tool), infos AS i
	WHERE v.tool <> replace(split_part(i.name, '_', 1), 'walg', 'wal-g')
	UNION ALL SELECT 'barman', info FROM infos WHERE name IN ('barman_servers', 'barman_error')
	UNION ALL SELECT v.tool, w.info FROM (VALUES ('pgbackrest'), ('barman'), ('wal-g')) AS v (tool),
		(VALUES ('null'::jsonb), ('1'), ('"x"'), ('[1]'), ('[[]]'), ('[null]'), ('{"a": 1}'), ('[{"a": []}, 3]')) AS w (info)
	UNION ALL SELECT 'pgbackrest', jsonb_set(i.info, '{0,backup,0}', i.info #> '{0,backup,0}' || w.part) FROM infos AS i,
		(VALUES ('{"label": "../x"}'::jsonb), ('{"label": null}'), ('{"type": "huge"}'), ('{"timestamp": null}'), ('{"timestamp": {"start": "a", "stop": 1}}'),
			('{"lsn": {"start": "x"}}'), ('{"info": {"size": -1.5}}'), ('{"info": {"size": -1}}'), ('{"info": {"size": 1e30}}')) AS w (part) WHERE i.name = 'pgbackrest'
	UNION ALL SELECT 'barman', jsonb_set(i.info, '{demo,0}', i.info #> '{demo,0}' || w.part) FROM infos AS i,
		(VALUES ('{"backup_id": "a;b"}'::jsonb), ('{"status": "GREAT"}'), ('{"end_time_timestamp": "x"}')) AS w (part) WHERE i.name = 'barman_list'
	UNION ALL SELECT 'wal-g', jsonb_set(i.info, '{0}', i.info #> '{0}' || w.part) FROM infos AS i,
		(VALUES ('{"backup_name": "base_ x"}'::jsonb), ('{"finish_time": "x"}'), ('{"start_lsn": -1}'), ('{"uncompressed_size": -5}'), ('{"compressed_size": -5}'), ('{"backup_name": "stream_20210427T070815Z"}')) AS w (part) WHERE i.name = 'walg'
) AS bad;
SELECT is_empty('SELECT * FROM before EXCEPT SELECT * FROM pattyly.backups', 'rows that were not imported are as they were');

---- who ----
SELECT is(has_function_privilege('anon', 'pattyly.import_backups(text, jsonb)', 'EXECUTE'), false, 'not everybody may');
CREATE ROLE some_importer NOLOGIN;
GRANT USAGE ON SCHEMA pattyly TO some_importer;
GRANT EXECUTE ON FUNCTION pattyly.import_backups(text, jsonb) TO some_importer;
SET ROLE some_importer;
SELECT is(taken('pgbackrest', 'pgbackrest', '{0,name}', '"third"'), 3, 'whoever was given the right may');
RESET ROLE;
SELECT is((SELECT DISTINCT begun_by FROM pattyly.backups WHERE annotations ->> 'stanza' = 'third'), 'some_importer', 'and it is written down');
DROP OWNED BY some_importer;
DROP ROLE some_importer;

SELECT * FROM finish();
