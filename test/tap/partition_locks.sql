-- The table "Locks" of docs/partitions.md against pg_locks: an event trigger looks, within each transaction of a run, at what
-- its session holds. What is waited for is in test/t/partitions.pl.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'UTC';
SET pattyly.frozen_clock = '2026-03-10 12:00+00';

CREATE TABLE a_referred (id integer PRIMARY KEY);
CREATE TABLE b_referred (id integer PRIMARY KEY);
CREATE TABLE a (at date NOT NULL, id integer REFERENCES a_referred) PARTITION BY RANGE (at);
CREATE TABLE b (at date NOT NULL, id integer REFERENCES b_referred) PARTITION BY RANGE (at);
CREATE TABLE b_rest PARTITION OF b DEFAULT;
CREATE TABLE c (at date PRIMARY KEY) PARTITION BY RANGE (at);
CREATE TABLE c_referring (at date REFERENCES c);
CREATE TABLE d (at date PRIMARY KEY) PARTITION BY RANGE (at);
CREATE TABLE d_rest PARTITION OF d DEFAULT;
CREATE TABLE d_referring (at date REFERENCES d);

SET tests.step = '';
CREATE TABLE seen (at_step text, name name, mode text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen
	SELECT DISTINCT current_setting('tests.step'), c.relname, upper(regexp_replace(replace(l.mode, 'Lock', ''), '(?<=[a-z])(?=[A-Z])', ' ', 'g'))
	FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
	WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND c.relnamespace = 'public'::regnamespace;
END
$$;
CREATE EVENT TRIGGER tests_see_end ON ddl_command_end EXECUTE FUNCTION see();
CREATE EVENT TRIGGER tests_see_drop ON sql_drop EXECUTE FUNCTION see();

-- A cell of the table in the docs: a row by how it begins, a column by its number; the locks named there, in their order.
CREATE FUNCTION documented(row_begins text, column_no integer) RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY(SELECT m[1] FROM regexp_matches(split_part(line, '|', column_no + 2), '((?:ACCESS |SHARE UPDATE |SHARE ROW )EXCLUSIVE)', 'g') AS m)
	FROM regexp_split_to_table(pg_read_file(current_setting('tests.top') || '/docs/partitions.md'), E'\n') AS line
	WHERE line LIKE '| ' || row_begins || '%'
$$;
-- The strongest one that a step took on a table; NULL when nobody notices it.
CREATE FUNCTION strongest(step text, name name) RETURNS text LANGUAGE sql AS $$
	SELECT s.mode FROM seen AS s JOIN unnest('{SHARE UPDATE EXCLUSIVE,SHARE,SHARE ROW EXCLUSIVE,EXCLUSIVE,ACCESS EXCLUSIVE}'::text[])
		WITH ORDINALITY AS o (mode, strength) ON o.mode = s.mode
	WHERE s.at_step = step AND s.name = strongest.name ORDER BY o.strength DESC LIMIT 1
$$;

SELECT pattyly.partition_table(t, 'at', '1 day', 0, start => '2026-03-01') FROM unnest('{a,b,c,d}'::regclass[]) AS t;
INSERT INTO b VALUES ('2026-04-10');
INSERT INTO d VALUES ('2026-04-10');
SET pattyly.frozen_clock = '2026-03-11 12:00+00';
SET tests.step = 'made';
CALL pattyly.maintain_partitions();
SET tests.step = '';
SELECT pattyly.partition_table(t, 'at', '1 day', 0, '8 days') FROM unnest('{a,b,c,d}'::regclass[]) AS t;
SET tests.step = 'detached';
CALL pattyly.maintain_partitions();
SET tests.step = '';
SELECT pattyly.partition_table(t, 'at', '1 day', 0, '6 days', 'drop') FROM unnest('{a,b,c,d}'::regclass[]) AS t;
SET tests.step = 'dropped';
CALL pattyly.maintain_partitions();
SELECT is(last_outcome, 'ok', parent || ' is kept') FROM pattyly.partition_sets ORDER BY parent;
SET tests.step = 'drained';
CALL pattyly.drain_default('b');
CALL pattyly.drain_default('d');
SET tests.step = '';
SELECT pattyly.partition_table('a', 'at', '1 day', 0, '4 days');
CREATE PROCEDURE other() LANGUAGE plpgsql AS $$ BEGIN CALL pattyly.maintain_partitions('a'); END $$;
SET tests.step = 'nested';
CALL other();
SET tests.step = '';

-- Row, column, step, table. Where a cell names two locks, the last one is for a partition that is dropped.
SELECT is(coalesce(strongest(step, name), 'none'), (documented(row_begins, column_no))[CASE WHEN step = 'dropped' THEN cardinality(documented(row_begins, column_no)) ELSE 1 END],
	format('%s: lock on %s, %s', row_begins, name, step))
FROM (VALUES
	('a partition is made, no default', 1, 'made', 'a'), ('a partition is made, no default', 1, 'made', 'c'),
	('a partition is made, no default', 3, 'made', 'a_referred'), ('a partition is made, no default', 4, 'made', 'c_referring'),
	('a partition is made, with a default', 1, 'made', 'b'), ('a partition is made, with a default', 1, 'made', 'd'),
	('a partition is made, with a default', 2, 'made', 'b_rest'), ('a partition is made, with a default', 2, 'made', 'd_rest'),
	('a partition is made, with a default', 3, 'made', 'b_referred'), ('a partition is made, with a default', 4, 'made', 'd_referring'),
	('it expires, no default', 1, 'detached', 'a'), ('it expires, no default', 1, 'dropped', 'a'),
	('it expires, no default', 3, 'detached', 'a_referred'), ('it expires, no default', 3, 'dropped', 'a_referred'),
	('it expires otherwise', 1, 'detached', 'b'), ('it expires otherwise', 1, 'dropped', 'b'), ('it expires otherwise', 1, 'detached', 'c'),
	('it expires otherwise', 1, 'dropped', 'c'), ('it expires otherwise', 1, 'detached', 'd'), ('it expires otherwise', 1, 'dropped', 'd'),
	('it expires otherwise', 1, 'nested', 'a'), ('it expires otherwise', 3, 'nested', 'a_referred'),
	('it expires otherwise', 2, 'detached', 'b_rest'), ('it expires otherwise', 2, 'dropped', 'd_rest'),
	('it expires otherwise', 3, 'detached', 'b_referred'), ('it expires otherwise', 3, 'dropped', 'b_referred'),
	('it expires otherwise', 4, 'detached', 'c_referring'), ('it expires otherwise', 4, 'dropped', 'c_referring'),
	('it expires otherwise', 4, 'detached', 'd_referring'), ('it expires otherwise', 4, 'dropped', 'd_referring'),
	('`drain_default`', 1, 'drained', 'b'), ('`drain_default`', 1, 'drained', 'd'), ('`drain_default`', 2, 'drained', 'b_rest'),
	('`drain_default`', 3, 'drained', 'b_referred'), ('`drain_default`', 4, 'drained', 'd_referring')
) AS v (row_begins, column_no, step, name);
SELECT is(strongest('detached', 'a_2026_03_01'), 'ACCESS EXCLUSIVE', 'what is detached without blocking is locked itself at the end');
SELECT is((SELECT count(*) FROM seen WHERE at_step <> '' AND name LIKE 'a\_2026\_03\_0%' AND name > 'a_2026_03_07'), 0::bigint, 'and no other partition');

-- While rows are looked for, nobody may drop or empty the table where they are looked for, be it a single one.
BEGIN;
SELECT pattyly.partition_extreme('b_rest', 'at', NULL, NULL, true);
SELECT is((SELECT array_agg(mode) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'b_rest'::regclass), '{AccessShareLock}',
	'a default partition is locked while it is read');
COMMIT;

DROP EVENT TRIGGER tests_see_end;
DROP EVENT TRIGGER tests_see_drop;
SELECT * FROM finish();
