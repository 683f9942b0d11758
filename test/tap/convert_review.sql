-- convert_table(): writers and readers who come between its steps, and tables that have more than is usual.
SELECT no_plan();
\set VERBOSITY terse
SET client_min_messages = error;
SET pattyly.frozen_clock = '2031-06-15 00:00:00+00';
CREATE SCHEMA app;

-- The next steps of a conversion by "at", as the procedure takes them.
CREATE FUNCTION steps(t regclass, n integer, control name DEFAULT 'at') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	places text[];
	s pattyly.convert_step;
BEGIN
	FOR i IN 1 .. n LOOP
		s := pattyly.convert_next_step(t, pattyly.convert_options(t, control, '1 month', 0, NULL, 'detach', 'UTC', NULL, NULL), false, 'public');
		places := places || coalesce(s.place, s.busy, s.message, 'the end');
	END LOOP;
	RETURN array_to_string(places, ' ');
END
$$;
\set to_the_swap '''prepared rehearsed copying batch copied waiting swapped'''

---- Between the swap and the end, when the old table is still there ----

CREATE TABLE app.rooms (id int PRIMARY KEY);
INSERT INTO app.rooms SELECT generate_series(1, 3);
CREATE TABLE app.said (id int, at date NOT NULL, room int REFERENCES app.rooms, PRIMARY KEY (id, at));
INSERT INTO app.said SELECT g, '2031-06-01', g FROM generate_series(1, 3) AS g;
SELECT is(steps('app.said', 7), :to_the_swap, 'a table that refers to another is swapped');
DELETE FROM app.said WHERE room = 1;
SELECT lives_ok('DELETE FROM app.rooms WHERE id = 1', 'what nothing refers to any more can be deleted');
SELECT throws_ok('DELETE FROM app.rooms WHERE id = 2', '23503', NULL, 'what something refers to cannot');
SELECT is(steps('app.said', 2), 'secured the end', 'it ends');
SELECT is((SELECT count(*) FROM app.said), 2::bigint, 'with its rows');

CREATE TABLE app.heard (id int, at date NOT NULL, room int REFERENCES app.rooms ON DELETE CASCADE, PRIMARY KEY (id, at));
INSERT INTO app.heard SELECT g, '2031-06-01', 3 FROM generate_series(1, 3) AS g;
CREATE TABLE app.tally (n int);
INSERT INTO app.tally VALUES (0);
CREATE FUNCTION app.count_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE app.tally SET n = n + 1; RETURN NULL; END $$;
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
CREATE TRIGGER count_it AFTER DELETE ON app.heard FOR EACH ROW EXECUTE FUNCTION app.count_it();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON app.heard EXECUTE FUNCTION app.refuse();
CREATE TRIGGER no_truncate_ever BEFORE TRUNCATE ON app.heard EXECUTE FUNCTION app.refuse();
ALTER TABLE app.heard ENABLE ALWAYS TRIGGER no_truncate_ever;
REVOKE TRUNCATE ON app.heard FROM supabase_admin;
SELECT is(steps('app.heard', 7), :to_the_swap, 'one whose rows go with another''s is swapped');
DELETE FROM app.said;
DELETE FROM app.rooms WHERE id = 3;
SELECT is((SELECT count(*) FROM app.heard), 0::bigint, 'a deletion cascades to it');
SELECT is((SELECT n FROM app.tally), 3, 'and its triggers see each row once');
SELECT throws_ok('TRUNCATE app.heard', 'P0001', 'never', 'they are what they were');
SELECT is(steps('app.heard', 2), 'secured the end', 'it ends');

---- A table of assignments ----

CREATE TABLE app.assigned (who uuid, what bigint, at timestamptz NOT NULL DEFAULT '2031-06-01', PRIMARY KEY (who, what, at));
INSERT INTO app.assigned VALUES ('11111111-1111-1111-1111-111111111111', 1), ('11111111-1111-1111-1111-111111111111', 2);
SELECT pattyly.define_relation('things', 'app.assigned', 'who', 'what', filter => $$at > '2031-05-05' AND what = (SELECT max(a.what) FROM app.assigned AS a WHERE a.what = assigned.what)$$);
SELECT count(*) FROM pattyly.grant_api();
CREATE FUNCTION things() RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	result bigint[];
BEGIN
	PERFORM tests.act_as('authenticated', '{"sub": "11111111-1111-1111-1111-111111111111"}');
	result := pattyly.accessible_ids('things');
	PERFORM tests.act_as_self();
	RETURN result;
END
$$;
SELECT is(things(), '{1,2}', 'a relation');
SELECT is(steps('app.assigned', 7), :to_the_swap, 'whose table is swapped');
DELETE FROM app.assigned WHERE what = 2;
INSERT INTO app.assigned VALUES ('11111111-1111-1111-1111-111111111111', 3);
SELECT is(things(), '{1,3}', 'reads the new table');
SELECT is(steps('app.assigned', 2), 'secured the end', 'it ends');
SELECT is(things(), '{1,3}', 'and goes on reading it');
SELECT is((SELECT assignments FROM pattyly.relations WHERE name = 'things'), 'app.assigned'::regclass, 'as its row says');

---- Primary keys ----

CREATE TABLE app.computed (id int, at date NOT NULL, tenant int GENERATED ALWAYS AS (id % 10) STORED, v text, PRIMARY KEY (tenant, id, at));
INSERT INTO app.computed (id, at, v) SELECT g, '2031-06-01', 'old' FROM generate_series(1, 30) AS g;
SELECT is(steps('app.computed', 3), 'prepared rehearsed copying', 'a generated column in the key');
SELECT lives_ok($$ UPDATE app.computed SET v = 'new' WHERE id < 10 $$, 'keeps nobody from writing');
SELECT lives_ok($$ UPDATE app.computed SET id = id + 100 WHERE id > 20 $$, 'a key either');
SELECT lives_ok($$ DELETE FROM app.computed WHERE id = 15 $$, 'nor from deleting');
CREATE TABLE computed_before AS SELECT * FROM app.computed;
CALL pattyly.convert_table('app.computed', 'at', '1 month', premake => 0);
SELECT bag_eq('TABLE app.computed', 'TABLE computed_before', 'and all is there');

CREATE TYPE app.mood AS ENUM ('good', 'bad', 'well');
CREATE DOMAIN app.code AS text CHECK (VALUE <> '');
CREATE TABLE app.kinds (m app.mood, a int[], r int4range, c app.code COLLATE "C", i interval, at date NOT NULL, v int, PRIMARY KEY (m, a, r, c, i, at)) WITH (fillfactor = 60);
ALTER TABLE app.kinds DROP CONSTRAINT kinds_pkey, ADD PRIMARY KEY (m, a, r, c, i, at) INCLUDE (v) WITH (fillfactor = 70);
INSERT INTO app.kinds SELECT ('{good,bad,well}'::app.mood[])[1 + g % 3], ARRAY[g, -g], int4range(g, 2 * g), 'c' || g, g * interval '1 day 1 hour', '2031-06-01', g FROM generate_series(1, 2500) AS g;
SELECT is(steps('app.kinds', 4), 'prepared rehearsed copying batch', 'a key of unusual types');
UPDATE app.kinds SET v = -v WHERE v % 2 = 0;
UPDATE app.kinds SET m = 'bad', c = c || '''' WHERE v % 3 = 0;
DELETE FROM app.kinds WHERE v % 5 = 0;
CREATE TABLE kinds_before AS SELECT * FROM app.kinds;
CALL pattyly.convert_table('app.kinds', 'at', '1 month', premake => 0);
SELECT bag_eq('TABLE app.kinds', 'TABLE kinds_before', 'is copied and carried over');
SELECT is((SELECT reloptions FROM pg_class WHERE oid = 'app.kinds_pkey'::regclass), '{fillfactor=70}', 'the key keeps its options');
SELECT is((SELECT array_agg(DISTINCT x.reloptions::text) FROM pg_inherits AS i JOIN pg_index AS k ON k.indrelid = i.inhrelid JOIN pg_class AS x ON x.oid = k.indexrelid
		WHERE i.inhparent = 'app.kinds'::regclass), '{"{fillfactor=70}"}', 'in its partitions, too');

---- TRUNCATE of what it refers to ----

CREATE TABLE app.halls (id int PRIMARY KEY);
CREATE TABLE app.seats (id int, at date NOT NULL, hall int REFERENCES app.halls, PRIMARY KEY (id, at));
INSERT INTO app.halls VALUES (1);
INSERT INTO app.seats SELECT g, '2031-06-01', 1 FROM generate_series(1, 2000) AS g;
SELECT is(steps('app.seats', 4), 'prepared rehearsed copying batch', 'half of a table is copied');
BEGIN;
SELECT lives_ok('TRUNCATE app.halls CASCADE', 'what it refers to can be emptied, and it and its copy with that');
SELECT is((SELECT count(*) FROM app.seats), 0::bigint, 'nothing is left in it');
INSERT INTO app.halls VALUES (1);
INSERT INTO app.seats VALUES (1, '2031-06-01', 1);
ROLLBACK;
TRUNCATE app.halls CASCADE;
INSERT INTO app.halls VALUES (1);
INSERT INTO app.seats VALUES (5000, '2031-06-01', 1);
CALL pattyly.convert_table('app.seats', 'at', '1 month', premake => 0);
SELECT results_eq('SELECT id FROM app.seats', 'VALUES (5000)', 'nor in the partitioned table');

---- Triggers that write to the table themselves ----

CREATE TABLE app.ranks (id int, day date NOT NULL, place int, PRIMARY KEY (id, day), UNIQUE (day, place));
INSERT INTO app.ranks SELECT g, '2031-06-01', g FROM generate_series(1, 10) AS g;
CREATE FUNCTION app.close_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT id, row_number() OVER (ORDER BY place) AS n FROM app.ranks WHERE day = OLD.day ORDER BY place LOOP
		UPDATE app.ranks SET place = r.n WHERE id = r.id AND day = OLD.day AND place <> r.n;
	END LOOP;
	RETURN NULL;
END
$$;
CREATE TRIGGER close_gap AFTER DELETE ON app.ranks FOR EACH ROW EXECUTE FUNCTION app.close_gap();
SELECT is(steps('app.ranks', 4, 'day'), 'prepared rehearsed copying batch', 'a table whose trigger gives away what was unique to a row');
SELECT lives_ok('DELETE FROM app.ranks WHERE place = 3', 'can be written to');
SELECT lives_ok('DELETE FROM app.ranks WHERE place IN (2, 5)', 'with more than one row');
CREATE TABLE ranks_before AS SELECT * FROM app.ranks;
CALL pattyly.convert_table('app.ranks', 'day', '1 month', premake => 0);
SELECT bag_eq('TABLE app.ranks', 'TABLE ranks_before', 'and all is there');

---- The partition for the rest ----

CREATE TABLE app.full (id int, at date NOT NULL, v int, PRIMARY KEY (id, at));
ALTER TABLE app.full REPLICA IDENTITY FULL, ALTER v SET STATISTICS 77;
CREATE TABLE app.by_index (id int, at date NOT NULL, v int NOT NULL, PRIMARY KEY (id, at));
CREATE UNIQUE INDEX by_v ON app.by_index (v, at);
ALTER TABLE app.by_index REPLICA IDENTITY USING INDEX by_v;
SELECT is(steps(t, 3), 'prepared rehearsed copying', 'a replica identity of its own') FROM unnest('{app.full,app.by_index}'::regclass[]) AS t;
INSERT INTO app.full VALUES (1, '2044-04-04', 1);
INSERT INTO app.by_index VALUES (1, '2044-04-04', 1);
CALL pattyly.convert_table('app.full', 'at', '1 month', premake => 0);
CALL pattyly.convert_table('app.by_index', 'at', '1 month', premake => 0);
SELECT is((SELECT relreplident FROM pg_class WHERE oid = 'app.full_default'::regclass), 'f', 'the default partition has it');
SELECT is((SELECT attstattarget::int FROM pg_attribute WHERE attrelid = 'app.full_default'::regclass AND attname = 'v'), 77, 'and the statistics target');
SELECT is((SELECT array_agg(p.relname::text) FROM pg_index AS i JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid JOIN pg_class AS p ON p.oid = h.inhparent
		WHERE i.indrelid = 'app.by_index_default'::regclass AND i.indisreplident), '{by_v}', 'or that index');
SELECT is((SELECT relreplident FROM pg_class WHERE oid = 'app.by_index_default'::regclass), 'i', 'as its identity');

CREATE TABLE app.ever (id int, at timestamptz NOT NULL, PRIMARY KEY (id, at));
INSERT INTO app.ever VALUES (1, '-infinity'), (2, '2031-05-05');
SELECT is((tests.outcome($$ SELECT steps('app.ever', 1) $$)).sqlstate, '54000', 'a row from before all partitions is as wild as one from after');
DELETE FROM app.ever WHERE id = 1;
INSERT INTO app.ever VALUES (1, '0044-03-15 BC');
SELECT is((tests.outcome($$ SELECT steps('app.ever', 1) $$)).sqlstate, '54000', 'as is one from before the first year');

---- ONLY, which means nothing to an ordinary table ----

CREATE TABLE app."only one" (id int, at date NOT NULL, PRIMARY KEY (id, at));
CREATE VIEW app.only_view AS SELECT * FROM ONLY app."only one" AS o WHERE id > 0;
SELECT is((SELECT sqlstate || ' ' || (message LIKE 'app.only_view, %ONLY app."only one"%') FROM tests.outcome($$ SELECT steps('app."only one"', 1) $$)), '2BP01 true', 'a view that reads from ONLY the table');
CREATE OR REPLACE VIEW app.only_view AS SELECT * FROM app."only one" AS o WHERE id > 0;
SELECT lives_ok($$ SELECT pattyly.check_convert_dependents('app."only one"') $$, 'without it nothing is wrong');
CREATE TABLE app.judge (id int);
CREATE POLICY judge ON app.judge USING (EXISTS (SELECT FROM ONLY app."only one" AS o WHERE o.id = judge.id));
SELECT is((tests.outcome($$ SELECT steps('app."only one"', 1) $$)).sqlstate, '2BP01', 'nor may a policy');

---- Given up meanwhile ----

CREATE FUNCTION next_code(t regclass) RETURNS text LANGUAGE sql AS $$
	SELECT s.code FROM pattyly.convert_next_step(t, pattyly.convert_options(t, 'at', '1 month', 0, NULL, 'detach', 'UTC', NULL, NULL), true, 'public') AS s
$$;
CREATE TABLE app.given (id int, at date NOT NULL, PRIMARY KEY (id, at));
SELECT is(steps('app.given', 3), 'prepared rehearsed copying', 'a conversion');
SELECT pattyly.cancel_conversion('app.given');
SELECT is(next_code('app.given'), 'object_not_in_prerequisite_state', 'that another session gives up is no success');
SELECT 'app.given'::regclass::oid AS given \gset
CALL pattyly.convert_table('app.given', 'at', '1 month', premake => 0);
SELECT is(next_code(:given::oid::regclass), NULL, 'one that another session ends is');

---- Published ----

-- The copy would be, too, under a name that no subscriber knows.
CREATE TABLE app.news (id int, at date NOT NULL, PRIMARY KEY (id, at));
CREATE PUBLICATION tests_everything FOR ALL TABLES WITH (publish_via_partition_root);
SELECT is((SELECT sqlstate || ' ' || (message LIKE '%tests_everything%') FROM tests.outcome($$ SELECT steps('app.news', 1) $$)), '55000 true', 'a publication of all tables');
DROP PUBLICATION tests_everything;
CREATE PUBLICATION tests_schema FOR TABLES IN SCHEMA app WITH (publish_via_partition_root);
SELECT is((SELECT sqlstate || ' ' || (message LIKE '%tests_schema%') FROM tests.outcome($$ SELECT steps('app.news', 1) $$)), '55000 true', 'one of a schema');
DROP PUBLICATION tests_schema;

SELECT * FROM finish();
