-- Rows in a default partition: told, and moved.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'UTC';
SELECT set_config('pattyly.frozen_clock', '2026-03-10 12:00+00', false);
CREATE FUNCTION parts(parent regclass) RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY(SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
				 WHERE i.inhparent = parent ORDER BY c.relname COLLATE "C")
$$;

CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, v integer, twice integer GENERATED ALWAYS AS (v * 2) STORED,
	gone integer, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE t_rest (v integer, twice integer GENERATED ALWAYS AS (v * 2) STORED, at timestamptz NOT NULL, filler integer, id bigint NOT NULL);
ALTER TABLE t DROP COLUMN gone;
ALTER TABLE t_rest DROP COLUMN filler;
ALTER TABLE t ATTACH PARTITION t_rest DEFAULT;
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER note AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER always AFTER DELETE ON t_rest FOR EACH STATEMENT EXECUTE FUNCTION note();
ALTER TABLE t_rest ENABLE ALWAYS TRIGGER always;
INSERT INTO t (at, v) VALUES ('2026-03-10 01:00', 1), ('2026-03-10 02:00', 2), ('2026-01-05', 3), ('2100-01-01', 4), ('infinity', 5), ('0020-01-01 BC', 6);
TRUNCATE log;

SELECT is(ARRAY(SELECT pattyly.partition_table('t', 'at', '1 day', 2)), '{t_2026_03_11,t_2026_03_12}', 'what can be made is made');
SELECT is((SELECT array_agg(action || ' ' || partition) FROM pattyly.partition_plan('t')), '{"skip t_2026_03_10","report t_rest"}', 'the rest is told');
CALL pattyly.maintain_partitions('t');
SELECT matches((SELECT last_outcome || ' ' || last_detail FROM pattyly.partition_sets), '^ok .*t_2026_03_10: the default partition public.t_rest holds rows.*drain_default', 'and written down');

SELECT jsonb_agg(x ORDER BY id) AS before FROM t AS x \gset
CALL pattyly.drain_default('t');
SELECT is(parts('t'), '{t_2026_01_05,t_2026_03_10,t_2026_03_11,t_2026_03_12,t_2100_01_01,t_rest}', 'a partition for each range that has rows, and no more');
SELECT is((SELECT jsonb_agg(x ORDER BY id) FROM t AS x), :'before'::jsonb, 'the rows are what they were');
SELECT is((SELECT array_agg(tableoid::regclass || ' ' || v ORDER BY v) FROM t),
	'{"t_2026_03_10 1","t_2026_03_10 2","t_2026_01_05 3","t_2100_01_01 4","t_rest 5","t_rest 6"}', 'each where it belongs; what no partition can hold stays');
SELECT is((SELECT count(*) FROM log), 0::bigint, 'no trigger took it for a deletion');
SELECT is((SELECT array_agg(tgname || tgenabled::text ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 't_rest'::regclass), '{alwaysA,noteO}', 'they are on again');
INSERT INTO t (at, v) VALUES ('2026-03-10', 7);
SELECT is((SELECT array_agg(what) FROM log), '{INSERT}', 'and fire, in the new partition as well');
CALL pattyly.drain_default('t');
SELECT is((SELECT count(*) FROM t), 7::bigint, 'again changes nothing');

-- A wild id makes one neighbour's partition at most, and nothing goes because of it.
CREATE TABLE n (id bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE n_rest PARTITION OF n DEFAULT;
INSERT INTO n VALUES (5), (250), (9223372036854775807), (-3);
SELECT pattyly.partition_table('n', 'id', '100', 1, '1000', 'drop', start => '300');
CALL pattyly.drain_default('n');
SELECT is(parts('n'), '{n_-100_-1,n_0_99,n_200_299,n_300_399,n_400_499,n_rest}', 'a wild id stays where it is');
CALL pattyly.maintain_partitions('n');
SELECT is((SELECT count(*) FROM n), 4::bigint, 'and takes no partition with it');

-- Foreign keys.
CREATE TABLE f (at date PRIMARY KEY) PARTITION BY RANGE (at);
CREATE TABLE f_rest PARTITION OF f DEFAULT;
CREATE TABLE f_ref (at date REFERENCES f ON DELETE CASCADE);
SELECT pattyly.partition_table('f', 'at', '1 year', 0);
INSERT INTO f VALUES ('2020-01-01');
INSERT INTO f_ref VALUES ('2020-01-01');
\set ON_ERROR_STOP off
CALL pattyly.drain_default('f');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55000', 'a cascade is refused');
SELECT is((SELECT count(*) FROM f_ref), 1::bigint, 'and has not happened');
CALL pattyly.drain_default('f', 0);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a batch of nothing is refused');
CREATE TABLE none (at date) PARTITION BY RANGE (at);
CALL pattyly.drain_default('none');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55000', 'what is no set is refused');

-- Policies do not hide rows from the move: it is refused.
CREATE TABLE p (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE p_rest PARTITION OF p DEFAULT;
INSERT INTO p VALUES ('2020-01-01'), ('2020-01-02');
SELECT pattyly.partition_table('p', 'at', '1 year', 0);
CREATE ROLE tests_owner;
ALTER TABLE p OWNER TO tests_owner;
ALTER TABLE p_rest OWNER TO tests_owner;
GRANT CREATE ON SCHEMA public TO tests_owner;
ALTER TABLE p_rest ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one ON p_rest USING (at = '2020-01-01');
CALL pattyly.drain_default('p');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55000', 'forced policies would hide rows from the move: refused');
SELECT is((SELECT count(*) FROM p), 2::bigint, 'and none is lost');
ALTER TABLE p_rest NO FORCE ROW LEVEL SECURITY;
CALL pattyly.drain_default('p');
SELECT is((SELECT count(*) FROM p_2020), 2::bigint, 'without FORCE they move');

SELECT * FROM finish();
DROP TABLE p;
DROP OWNED BY tests_owner;
DROP ROLE tests_owner;
