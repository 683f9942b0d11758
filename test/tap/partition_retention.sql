-- What goes, how, and that a run does what the plan said.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'Asia/Tokyo';

CREATE FUNCTION parts(parent regclass) RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY(SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
				 WHERE i.inhparent = parent ORDER BY c.relname COLLATE "C")
$$;
CREATE FUNCTION planned(parent regclass, upto timestamptz DEFAULT NULL) RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY(SELECT action || ' ' || partition FROM pattyly.partition_plan(parent, upto))
$$;
SELECT set_config('pattyly.frozen_clock', '2026-03-10 12:00+00', false);

CREATE TABLE a (at timestamptz NOT NULL, v integer) PARTITION BY RANGE (at);
SELECT pattyly.partition_table('a', 'at', '1 day', 1, '2 days', 'drop', start => '2026-03-08');
INSERT INTO a SELECT timestamptz '2026-03-08 00:00+00' + i * interval '1 hour', i FROM generate_series(12, 80) AS i;
SELECT is(planned('a'), '{}', 'nothing to do');

SELECT set_config('pattyly.frozen_clock', '2026-03-10 23:59:59.999999+00', false);
SELECT is(planned('a'), '{}', 'not a microsecond too early');
SELECT set_config('pattyly.frozen_clock', '2026-03-11 00:00+00', false);
SELECT is(planned('a'), '{create a_2026_03_12,drop a_2026_03_08}', 'but then');
SELECT is(planned('a', '2026-03-13 00:00+00'),
	'{create a_2026_03_12,create a_2026_03_13,create a_2026_03_14,drop a_2026_03_08,drop a_2026_03_09,drop a_2026_03_10}', 'and all until a time');
SELECT is((SELECT reason FROM pattyly.partition_plan('a') WHERE action = 'drop'), 'it ends at 2026-03-09 00:00:00+00 and 2 days are retained', 'the reason');
SELECT parts('a') AS before \gset
CALL pattyly.maintain_partitions('a', dry_run => true);
SELECT is(parts('a'), :'before'::text[], 'a dry run changes nothing');
SELECT is((SELECT last_run_at FROM pattyly.partition_sets WHERE parent = 'a'::regclass), NULL, 'and is no run');
CALL pattyly.maintain_partitions('a');
SELECT is(parts('a'), '{a_2026_03_09,a_2026_03_10,a_2026_03_11,a_2026_03_12}', 'the run did what the plan said');
SELECT is(to_regclass('a_2026_03_08'), NULL, 'what is dropped is gone');
SELECT is((SELECT last_outcome || ': ' || last_detail FROM pattyly.partition_sets WHERE parent = 'a'::regclass),
	'ok: created: a_2026_03_12; drop: a_2026_03_08', 'and says so');
SELECT is(planned('a'), '{}', 'there is nothing left to do');
SELECT is((SELECT count(*) FROM pattyly.leaving_partitions), 0::bigint, 'nor half done');

-- An idle set: first what now needs; the last one of those that were there stays.
SELECT set_config('pattyly.frozen_clock', '2031-07-01 00:00+00', false);
SELECT is(planned('a'), '{create a_2031_07_01,create a_2031_07_02,drop a_2026_03_09,drop a_2026_03_10,drop a_2026_03_11}', 'after years');
CALL pattyly.maintain_partitions('a');
SELECT is(parts('a'), '{a_2026_03_12,a_2031_07_01,a_2031_07_02}', 'no thousands in between');
CALL pattyly.maintain_partitions('a');
SELECT is(parts('a'), '{a_2031_07_01,a_2031_07_02}', 'the next run has newer ones');

---- detach and archive -----------------------------------------------------------------------------------------------

CREATE SCHEMA attic;
SELECT set_config('pattyly.frozen_clock', '2026-03-10 12:00+00', false);
CREATE TABLE b (at date NOT NULL, v integer, PRIMARY KEY (at)) PARTITION BY RANGE (at);
ALTER TABLE b ENABLE ROW LEVEL SECURITY;
CREATE TABLE b_old PARTITION OF b FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
GRANT SELECT ON b_old TO anon;
CREATE PUBLICATION tests_b FOR TABLE b_old;
SELECT pattyly.partition_table('b', 'at', '1 year', 0, '1 year', 'archive:attic');
CALL pattyly.maintain_partitions('b');
SELECT is(to_regclass('b_old'), NULL, 'archived: not here any more');
SELECT is((SELECT relrowsecurity FROM pg_class WHERE oid = 'attic.b_old'::regclass), true, 'but there, closed as its parent was');
SELECT is(has_table_privilege('anon', 'attic.b_old', 'SELECT'), false, 'to anon, too');
SELECT is((SELECT count(*) FROM pg_publication_rel WHERE prrelid = 'attic.b_old'::regclass), 0::bigint, 'and published no more');
DROP PUBLICATION tests_b;

CREATE TABLE c (id bigint NOT NULL, at timestamp NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE c_ref (id bigint, at timestamp, FOREIGN KEY (id, at) REFERENCES c);
SELECT pattyly.partition_table('c', 'at', '1 month', 1, '1 month', start => '2026-01-01');
INSERT INTO c VALUES (1, '2026-01-05'), (2, '2026-02-05');
INSERT INTO c_ref VALUES (1, '2026-01-05');
SELECT set_config('pattyly.frozen_clock', '2026-04-15 12:00+00', false);
SELECT is(planned('c'), '{create c_2026_05,detach c_2026_01,detach c_2026_02}', 'with a foreign key to it');
CALL pattyly.maintain_partitions();
SELECT is((SELECT last_outcome FROM pattyly.partition_sets WHERE parent = 'c'::regclass), 'failed', 'what is referenced does not go');
SELECT matches((SELECT last_detail FROM pattyly.partition_sets WHERE parent = 'c'::regclass), 'removing partition "c_2026_01" violates foreign key', 'and says why');
SELECT is(parts('c'), '{c_2026_01,c_2026_02,c_2026_03,c_2026_04,c_2026_05}', 'what was to be made has been made');
DELETE FROM c_ref;
CALL pattyly.maintain_partitions('c');
SELECT is(parts('c'), '{c_2026_03,c_2026_04,c_2026_05}', 'it goes when nothing refers to it');
SELECT is((SELECT count(*) FROM c_2026_01), 1::bigint, 'detached, its rows are kept');

-- With a default partition there is no CONCURRENTLY.
CREATE TABLE e (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE e_rest PARTITION OF e DEFAULT;
SELECT pattyly.partition_table('e', 'at', '1 hour', 1, '2 hours', 'drop', 'Europe/Paris', '2026-04-15 11:00');
SELECT is(parts('e'), '{e_2026_04_15_11,e_2026_04_15_12,e_2026_04_15_13,e_2026_04_15_14,e_2026_04_15_15,e_rest}', 'names by the clock of the zone');
CALL pattyly.maintain_partitions('e');
SELECT is(parts('e'), '{e_2026_04_15_12,e_2026_04_15_13,e_2026_04_15_14,e_2026_04_15_15,e_rest}', 'dropped all the same');

-- Called by another procedure: not at the top.
CREATE PROCEDURE nightly() LANGUAGE plpgsql AS $$ BEGIN CALL pattyly.maintain_partitions('a'); COMMIT; CALL pattyly.maintain_partitions('e'); END $$;
SELECT set_config('pattyly.frozen_clock', '2031-07-05 00:00+00', false);
CALL nightly();
SELECT is(parts('a'), '{a_2031_07_02,a_2031_07_05,a_2031_07_06}', 'within another procedure');

-- Partitions of one name, in schemas of their own: each is only itself.
CREATE SCHEMA y2024;
CREATE SCHEMA y2025;
SELECT set_config('pattyly.frozen_clock', '2026-03-10 12:00+00', false);
CREATE TABLE concurrent (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE y2025.concurrent PARTITION OF concurrent FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE y2024.concurrent PARTITION OF concurrent FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE plain (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE y2025.plain PARTITION OF plain FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE y2024.plain PARTITION OF plain FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE plain_rest PARTITION OF plain DEFAULT;
REVOKE ALL ON plain, y2024.plain, y2025.plain FROM anon, authenticated;
GRANT SELECT ON y2024.plain TO anon;
INSERT INTO concurrent VALUES ('2024-04-04'), ('2025-05-05');
INSERT INTO plain VALUES ('2024-04-04'), ('2025-05-05');
SELECT pattyly.partition_table(t, 'at', '1 year', 0, '1 year', 'drop') FROM unnest('{concurrent,plain}'::regclass[]) AS t;
SELECT is(has_table_privilege('anon', 'y2024.plain', 'SELECT'), false, 'closed is the one that is open');
CALL pattyly.maintain_partitions('concurrent');
SELECT results_eq('SELECT at, tableoid::regclass::text FROM concurrent', $$ VALUES ('2025-05-05'::date, 'y2025.concurrent') $$, 'what has expired goes, another of its name does not');
CALL pattyly.maintain_partitions('plain');
SELECT results_eq('SELECT at, tableoid::regclass::text FROM plain', $$ VALUES ('2025-05-05'::date, 'y2025.plain') $$, 'with a default partition, too');
SELECT is(to_regclass('y2024.' || t), NULL, t || ': and what is dropped is gone') FROM unnest('{concurrent,plain}'::text[]) AS t;
SELECT is((SELECT count(*) FROM pattyly.leaving_partitions), 0::bigint, 'nothing is half done');

-- What a run has not come to, nobody wants any more.
CREATE TABLE kept (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE moved (at date NOT NULL) PARTITION BY RANGE (at);
SELECT pattyly.partition_table(t, 'at', '1 year', 0, '1 year', 'drop', start => '2023-01-01') FROM unnest('{kept,moved}'::regclass[]) AS t;
SELECT pattyly.begin_leaving(t::regclass, 'public.' || t || '_2023') FROM unnest('{kept,moved}'::text[]) AS t;
ALTER TABLE kept DETACH PARTITION kept_2023;
ALTER TABLE moved DETACH PARTITION moved_2023;
SELECT is(planned('kept'), '{drop kept_2023,drop kept_2024}', 'a run died before it dropped what it had detached');
SELECT pattyly.partition_table('kept', 'at', '1 year', 0);
SELECT pattyly.partition_table('moved', 'at', '1 year', 0, '5 years', 'archive:attic');
SELECT is(planned('kept'), '{detach kept_2023}', 'then all was to be kept');
CALL pattyly.maintain_partitions('kept');
SELECT isnt(to_regclass('kept_2023'), NULL, 'the next run drops nothing');
CALL pattyly.maintain_partitions('moved');
SELECT isnt(to_regclass('attic.moved_2023'), NULL, 'or moves what was to be dropped, as the set says now');

-- Foreign tables expire as others do, though they know no row security.
CREATE FOREIGN DATA WRAPPER tests_nothing;
CREATE SERVER tests_nowhere FOREIGN DATA WRAPPER tests_nothing;
CREATE TABLE afar (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE gone (at date NOT NULL) PARTITION BY RANGE (at);
ALTER TABLE afar ENABLE ROW LEVEL SECURITY;
CREATE FOREIGN TABLE afar_2023 PARTITION OF afar FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') SERVER tests_nowhere;
CREATE FOREIGN TABLE gone_2023 PARTITION OF gone FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') SERVER tests_nowhere;
GRANT SELECT ON afar_2023 TO anon;
SELECT pattyly.partition_table('afar', 'at', '1 year', 0, '1 year');
SELECT pattyly.partition_table('gone', 'at', '1 year', 0, '1 year', 'drop');
CALL pattyly.maintain_partitions('afar');
CALL pattyly.maintain_partitions('gone');
SELECT is(parts('afar') || parts('gone'), '{afar_2026,gone_2026}', 'foreign tables go');
SELECT is(has_table_privilege('anon', 'afar_2023', 'SELECT'), false, 'what is left of one is closed');
SELECT is(to_regclass('gone_2023'), NULL, 'the other is dropped');
SELECT is((SELECT count(*) FROM pattyly.leaving_partitions), 0::bigint, 'and that is all');

-- What is detached keeps nothing that API roles could use: not on columns, nor on its own partitions.
CREATE TABLE tree (at date NOT NULL, v int) PARTITION BY RANGE (at);
GRANT SELECT ON tree TO anon;
CREATE TABLE tree_2024 PARTITION OF tree FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (v);
CREATE TABLE tree_2024_1 PARTITION OF tree_2024 FOR VALUES IN (1);
CREATE TABLE tree_2023 PARTITION OF tree FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
REVOKE ALL ON tree_2024, tree_2024_1, tree_2023 FROM anon, authenticated;
GRANT SELECT ON tree_2024_1 TO anon;
GRANT SELECT (at) ON tree_2023 TO anon;
SELECT pattyly.partition_table('tree', 'at', '1 year', 0, '1 year');
CALL pattyly.maintain_partitions('tree');
SELECT is(parts('tree'), '{tree_2026}', 'two are detached');
SELECT is(has_table_privilege('anon', 'tree_2024_1', 'SELECT'), false, 'a partition of one');
SELECT is(has_any_column_privilege('anon', 'tree_2023', 'SELECT'), false, 'a column of one');

---- ids --------------------------------------------------------------------------------------------------------------

CREATE TABLE n (id integer NOT NULL PRIMARY KEY) PARTITION BY RANGE (id);
SELECT is(ARRAY(SELECT pattyly.partition_table('n', 'id', '100', 2, '200', 'drop')), '{n_0_99,n_100_199,n_200_299}', 'ids begin at 0');
INSERT INTO n SELECT generate_series(0, 149);
SELECT is(planned('n'), '{create n_300_399}', 'ahead of the highest');
CALL pattyly.maintain_partitions('n');
INSERT INTO n SELECT generate_series(150, 299);
SELECT is(planned('n'), '{create n_400_499}', 'retained: so many behind the highest');
INSERT INTO n VALUES (300);
SELECT is(planned('n'), '{create n_400_499,create n_500_599,drop n_0_99}', 'and no more');
SELECT is((tests.outcome($$SELECT pattyly.partition_plan('n', now())$$)).sqlstate, '00000', 'a time means nothing to ids');

---- other keys -------------------------------------------------------------------------------------------------------

SELECT set_config('pattyly.frozen_clock', '2026-03-10 12:00+00', false);
CREATE TABLE keys_s (k bigint NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE keys_ms (k bigint NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE keys_u (k uuid NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE keys_small (k smallint NOT NULL) PARTITION BY RANGE (k);
SELECT pattyly.partition_table('keys_s', 'k', '1 day', 1, '1 day', 'drop', encoding => 'epoch_s');
SELECT pattyly.partition_table('keys_ms', 'k', '1 day', 1, '1 day', 'drop', encoding => 'epoch_ms');
SELECT pattyly.partition_table('keys_u', 'k', '1 day', 1, '1 day', 'drop', encoding => 'uuidv7');
SELECT pattyly.partition_table('keys_small', 'k', '10000', 5, start => '30000');
INSERT INTO keys_s VALUES (extract(epoch FROM timestamptz '2026-03-10 12:00+00'));
INSERT INTO keys_ms VALUES (extract(epoch FROM timestamptz '2026-03-11 23:59:59.999+00') * 1000);
INSERT INTO keys_u VALUES (('0' || to_hex((extract(epoch FROM timestamptz '2026-03-10 23:59:59.999+00') * 1000)::bigint) || '7fffffffffffffffffff')::uuid);
INSERT INTO keys_small VALUES (32767);
SELECT is((SELECT tableoid::regclass::text FROM keys_s), 'keys_s_2026_03_10', 'epoch_s');
SELECT is((SELECT tableoid::regclass::text FROM keys_ms), 'keys_ms_2026_03_11', 'epoch_ms');
SELECT is((SELECT tableoid::regclass::text FROM keys_u), 'keys_u_2026_03_10', 'uuidv7');
SELECT is(parts('keys_small'), '{keys_small_30000_32767}', 'the end of a type');
SELECT set_config('pattyly.frozen_clock', '2026-03-12 12:00+00', false);
CALL pattyly.maintain_partitions('keys_s');
CALL pattyly.maintain_partitions('keys_ms');
CALL pattyly.maintain_partitions('keys_u');
SELECT is(parts('keys_s'), '{keys_s_2026_03_11,keys_s_2026_03_12,keys_s_2026_03_13}', 'epoch_s goes on');
SELECT is(parts('keys_ms'), '{keys_ms_2026_03_11,keys_ms_2026_03_12,keys_ms_2026_03_13}', 'epoch_ms goes on');
SELECT is(parts('keys_u'), '{keys_u_2026_03_11,keys_u_2026_03_12,keys_u_2026_03_13}', 'uuidv7 goes on');

---- the long day -----------------------------------------------------------------------------------------------------

SELECT set_config('pattyly.frozen_clock', '2026-10-24 22:00+00', false);
CREATE TABLE long (at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT is((SELECT count(*) FROM pattyly.partition_table('long', 'at', '1 hour', 24, timezone => 'Europe/Paris')), 25::bigint, 'the long day has 25 hours');
INSERT INTO long SELECT timestamptz '2026-10-24 22:00+00' + i * interval '1 second' FROM generate_series(0, 25 * 3600 - 1) AS i;
SELECT is((SELECT count(DISTINCT n) FROM (SELECT count(*) AS n FROM long GROUP BY tableoid) AS x), 1::bigint, 'all of them of the same length, and none missing');

---- privileges -------------------------------------------------------------------------------------------------------

SELECT is(has_function_privilege(r, p.oid, 'EXECUTE'), false, format('%s may not call %s', r, p.oid::regprocedure))
FROM pg_proc AS p, unnest('{anon,authenticated,service_role}'::name[]) AS r
WHERE p.pronamespace = 'pattyly'::regnamespace AND p.proname ~ 'partition|drain|leaving|run_as_owner';
SELECT is(has_table_privilege('pg_monitor', 'pattyly.partitions', 'SELECT'), true, 'monitoring sees the partitions');
SELECT tests.act_as('pg_monitor');
SELECT cmp_ok((SELECT count(*) FROM pattyly.partitions), '>', 20::bigint, 'all of them');
SELECT tests.act_as_self();

SELECT * FROM finish();
