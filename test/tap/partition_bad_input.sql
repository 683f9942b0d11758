-- What partition_table() and its kin refuse, and what they say.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'UTC';
SET pattyly.frozen_clock = '2026-03-10 12:00+00';

CREATE TABLE t (at timestamptz NOT NULL, id bigint, PRIMARY KEY (at)) PARTITION BY RANGE (at);
CREATE TABLE d (k date NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE i (k integer NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE u (k uuid NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE txt (k text NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE num (k numeric NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE ordinary (at timestamptz);
CREATE TABLE list (k integer) PARTITION BY LIST (k);
CREATE TABLE two (a integer, b integer) PARTITION BY RANGE (a, b);
CREATE TABLE expr (at integer) PARTITION BY RANGE ((at + 1));
CREATE VIEW v AS SELECT 1 AS k;
CREATE TEMP TABLE temporary (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE taken (k date NOT NULL) PARTITION BY RANGE (k);
CREATE VIEW taken_2026 AS SELECT 1 AS one;
CREATE TYPE typed_2026 AS ENUM ();
CREATE TABLE typed (k date NOT NULL) PARTITION BY RANGE (k);

CREATE TABLE refused (call text, sqlstate text, message text, place integer GENERATED ALWAYS AS IDENTITY);
INSERT INTO refused (call, sqlstate, message) VALUES
	('NULL, ''at'', ''1 day''', '22004', 'no table was named'),
	('''t'', NULL, ''1 day''', '22004', 'no column was named'),
	('''t'', ''at'', NULL', '22004', 'every, the key and the time zone must not be null'),
	('''ordinary'', ''at'', ''1 day''', '42809', 'public.ordinary is not a partitioned table'),
	('''v'', ''k'', ''1 day''', '42809', 'public.v is not a partitioned table'),
	('''pg_class'', ''oid'', ''1 day''', '42809', 'pg_class is not a partitioned table'),
	('''list'', ''k'', ''1''', '42809', 'public.list is not partitioned by range'),
	('''two'', ''a'', ''1''', '42809', 'public.two is partitioned by 2 columns'),
	('''expr'', ''at'', ''1 day''', '42809', 'public.expr is partitioned by an expression'),
	('''temporary'', ''at'', ''1 day''', '42809', 'temporary is a temporary table'),
	('''t'', ''id'', ''1 day''', '22023', 'public.t is partitioned by column "at", not by "id"'),
	('''t'', ''nothing'', ''1 day''', '22023', 'public.t is partitioned by column "at", not by "nothing"'),
	('''txt'', ''k'', ''1 day''', '42804', 'cannot partition by a key of type text'),
	('''num'', ''k'', ''1''', '42804', 'cannot partition by a key of type numeric'),
	('''u'', ''k'', ''1 day''', '42804', 'cannot partition by a key of type uuid'),
	('''u'', ''k'', ''1 day'', encoding => ''epoch_s''', '22023', 'encoding "epoch_s" does not fit a key of type uuid'),
	('''t'', ''at'', ''1 day'', encoding => ''uuidv7''', '22023', 'encoding "uuidv7" does not fit a key of type timestamp with time zone'),
	('''i'', ''k'', ''1 day'', encoding => ''epoch_ms''', '22023', 'encoding "epoch_ms" does not fit a key of type integer'),
	('''i'', ''k'', ''1 day'', encoding => ''base64''', '22023', 'encoding "base64" does not fit a key of type integer'),
	('''t'', ''at'', ''100''', '22023', 'every is "100", which does not fit the key: a key that is a time is divided by a span of time'),
	('''i'', ''k'', ''1 day''', '22023', 'every is "1 day", which does not fit the key: a key that counts is divided by a number'),
	('''d'', ''k'', ''6 hours''', '22023', 'every is "6 hours", which does not fit the key: a date is divided by whole days'),
	('''i'', ''k'', ''3000000000''', '22023', 'every is "3000000000", which does not fit the key: it is wider than all keys of the type'),
	('''t'', ''at'', ''0 days''', '22023', 'every is "0 days": it is zero'),
	('''t'', ''at'', ''-1 day''', '22023', 'every is "-1 day": it is negative'),
	('''t'', ''at'', ''1 fortnight''', '22023', 'every is "1 fortnight": it is not one number and one unit'),
	('''t'', ''at'', ''1 day 12 hours''', '22023', 'every is "1 day 12 hours": it is not one number and one unit'),
	('''t'', ''at'', ''''', '22023', 'every is "": it does not begin with a number'),
	('''t'', ''at'', ''5000 years''', '22023', 'every is "5000 years": it is longer than a thousand years'),
	('''t'', ''at'', ''1 day'', timezone => ''Mars/Olympus''', '22023', 'time zone "Mars/Olympus" not recognized'),
	('''t'', ''at'', ''1 day'', timezone => NULL', '22004', 'every, the key and the time zone must not be null'),
	('''t'', ''at'', ''1 day'', premake => -1', '22023', 'premake is -1'),
	('''t'', ''at'', ''1 day'', premake => 1001', '22023', 'premake is 1001'),
	('''t'', ''at'', ''1 day'', premake => NULL', '22023', 'premake is null'),
	('''t'', ''at'', ''1 month'', retain => ''27 days''', '22023', 'retain is "27 days", shorter than one partition ("1 month")'),
	('''t'', ''at'', ''1 day'', retain => ''12 hours''', '22023', 'retain is "12 hours", shorter than one partition ("1 day")'),
	('''i'', ''k'', ''1000'', retain => ''999''', '22023', 'retain is "999", shorter than one partition ("1000")'),
	('''t'', ''at'', ''1 day'', retain => ''1000''', '22023', 'retain is "1000", which does not fit the key: a key that is a time is divided by a span of time'),
	('''t'', ''at'', ''1 day'', retain => ''forever''', '22023', 'retain is "forever": it does not begin with a number'),
	('''t'', ''at'', ''1 day'', on_expire => ''shred''', '22023', 'on_expire is ''shred'''),
	('''t'', ''at'', ''1 day'', on_expire => NULL', '22023', 'on_expire is null'),
	('''t'', ''at'', ''1 day'', on_expire => ''archive:''', '22023', 'on_expire is ''archive:'''),
	('''t'', ''at'', ''1 day'', on_expire => ''archive:nowhere''', '3F000', 'schema "nowhere" does not exist'),
	('''t'', ''at'', ''1 day'', start => ''soon''', '22007', 'start is ''soon'': invalid input syntax for type timestamp with time zone: "soon"'),
	('''t'', ''at'', ''1 day'', start => ''infinity''', '22008', 'start is ''infinity'', and there is no such key'),
	('''i'', ''k'', ''1000'', start => ''today''', '22P02', 'start is ''today'': invalid input syntax for type bigint: "today"'),
	('''t'', ''at'', ''1 hour'', start => ''2000-01-01''', '54000', 'more than 2000 partitions would be made at once'),
	('''taken'', ''k'', ''1 year''', '42P07', 'partition "taken_2026" from 2026-01-01 to 2027-01-01 cannot be made: the name is taken by a view'),
	('''typed'', ''k'', ''1 year''', '42P07', 'partition "typed_2026" from 2026-01-01 to 2027-01-01 cannot be made: the name is taken by a type');
SELECT is(o.sqlstate || ' ' || o.message, r.sqlstate || ' ' || r.message, r.call)
FROM refused AS r, tests.outcome(format('SELECT pattyly.partition_table(%s)', r.call)) AS o ORDER BY r.place;
SELECT isnt(o.hint, '', 'a hint: ' || r.call)
FROM refused AS r, tests.outcome(format('SELECT pattyly.partition_table(%s)', r.call)) AS o ORDER BY r.place;
SELECT is((SELECT count(*) FROM pattyly.partition_sets), 0::bigint, 'none of them is a set');
SELECT is((SELECT count(*) FROM pg_inherits AS i WHERE i.inhparent = 't'::regclass), 0::bigint, 'nothing was made');

---- What others have made --------------------------------------------------------------------------------------------

CREATE TABLE mine (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE mine_2026_03 PARTITION OF mine FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE odd_name PARTITION OF mine FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE old_times PARTITION OF mine FOR VALUES FROM ('2020-01-05') TO ('2020-01-17');
CREATE TABLE half PARTITION OF mine FOR VALUES FROM ('2026-05-01') TO ('2026-05-16');
CREATE TABLE other_half PARTITION OF mine FOR VALUES FROM ('2026-05-16') TO ('2026-06-01');
SELECT is(ARRAY(SELECT pattyly.partition_table('mine', 'at', '1 month', 3)), '{mine_2026_06}', 'what fits, under whatever name, is adopted');
CREATE TABLE mine_long PARTITION OF mine FOR VALUES FROM ('2026-07-10') TO (MAXVALUE);
SELECT is((tests.outcome($$SELECT pattyly.partition_table('mine', 'at', '1 month', 4)$$)).message,
	'partition "mine_2026_07" from 2026-07-01 00:00:00+00 to 2026-08-01 00:00:00+00 cannot be made: partition mine_long holds a part of this range',
	'what is in the way is named');
SELECT is((SELECT premake FROM pattyly.partition_sets WHERE parent = 'mine'::regclass), 3, 'and the set stays as it was');
SELECT is(ARRAY(SELECT pattyly.partition_table('mine', 'at', '1 month', 2)), '{}', 'fewer are wanted');
SELECT is((SELECT premake FROM pattyly.partition_sets WHERE parent = 'mine'::regclass), 2, 'called again it changes the set');

-- Partitions that are partitioned themselves.
CREATE TABLE deep (at timestamptz NOT NULL, k integer NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE deep_2026_03 PARTITION OF deep FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY LIST (k);
CREATE TABLE deep_rest PARTITION OF deep DEFAULT PARTITION BY LIST (k);
CREATE TABLE deep_rest_1 PARTITION OF deep_rest FOR VALUES IN (1);
INSERT INTO deep VALUES ('2026-04-04', 1);
SELECT is(ARRAY(SELECT pattyly.partition_table('deep', 'at', '1 month', 2)), '{deep_2026_05}', 'a default partition is looked into however deep it is');

---- Names ------------------------------------------------------------------------------------------------------------

CREATE TABLE "Long näme with ""quotes"" and more than enough characters in it!" (at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT is(ARRAY(SELECT pattyly.partition_table('"Long näme with ""quotes"" and more than enough characters in it!"', 'at', '1 hour', 1)),
	ARRAY['Long näme with "quotes" and more than enough cha_2026_03_10_12', 'Long näme with "quotes" and more than enough cha_2026_03_10_13'],
	'a long name is shortened and keeps its suffix');
SELECT is(max(octet_length(partition)), 63, 'to 63 bytes')
FROM (SELECT relname::text AS partition FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = '"Long näme with ""quotes"" and more than enough characters in it!"'::regclass) AS p;
CREATE SCHEMA "odd schema";
CREATE TABLE "odd schema"."it's" ("the ""key" timestamptz NOT NULL) PARTITION BY RANGE ("the ""key");
CREATE TABLE "odd schema"."it's rest" PARTITION OF "odd schema"."it's" DEFAULT;
SELECT pattyly.partition_table($$"odd schema"."it's"$$, 'the "key', '1 day', 1);
INSERT INTO "odd schema"."it's" VALUES ('2026-03-20');
SELECT set_config('pattyly.frozen_clock', '2026-03-12 12:00+00', false);
CALL pattyly.drain_default($$"odd schema"."it's"$$);
CALL pattyly.maintain_partitions($$"odd schema"."it's"$$);
SELECT is((SELECT array_agg(partition ORDER BY partition) FROM (SELECT partition::text COLLATE "C" AS partition FROM pattyly.partitions WHERE parent = $$"odd schema"."it's"$$::regclass) AS p),
	ARRAY[$$"odd schema"."it's rest"$$, $$"odd schema"."it's_2026_03_10"$$, $$"odd schema"."it's_2026_03_11"$$, $$"odd schema"."it's_2026_03_12"$$,
		$$"odd schema"."it's_2026_03_13"$$, $$"odd schema"."it's_2026_03_20"$$], 'odd names work all the way');

---- The other functions ----------------------------------------------------------------------------------------------

SELECT is((tests.outcome($$SELECT * FROM pattyly.partition_plan('t')$$)).sqlstate, '42704', 'no plan for what is no set');
SELECT is((tests.outcome($$SELECT pattyly.forget_partitions('t')$$)).sqlstate, '42704', 'nothing to forget');
SELECT is((tests.outcome($$SELECT pattyly.forget_partitions(NULL)$$)).sqlstate, '42704', 'NULL is no set');
SELECT is((tests.outcome($$CALL pattyly.maintain_partitions('t')$$)).sqlstate, '2D000', 'not within a transaction');
SELECT is((tests.outcome($$CALL pattyly.drain_default('mine')$$)).sqlstate, '2D000', 'nor draining');
SELECT pattyly.forget_partitions('mine');
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhparent = 'mine'::regclass), 7::bigint, 'what is forgotten stays');

-- A table that is gone stops nobody.
CREATE TABLE going (at date NOT NULL) PARTITION BY RANGE (at);
SELECT pattyly.partition_table('going', 'at', '1 year', 0);
SELECT 'going'::regclass::oid AS going \gset
DROP TABLE going;
CREATE TABLE staying (at date NOT NULL) PARTITION BY RANGE (at);
SELECT pattyly.partition_table('staying', 'at', '1 year', 0);
SELECT set_config('pattyly.frozen_clock', '2027-03-10 12:00+00', false);
CALL pattyly.maintain_partitions();
SELECT is((SELECT last_outcome FROM pattyly.partition_sets WHERE parent = :going), 'failed', 'a table that is gone is a set that failed');
SELECT is((SELECT last_outcome FROM pattyly.partition_sets WHERE parent = 'staying'::regclass), 'ok', 'and stops no other');
SELECT ok(to_regclass('staying_2027') IS NOT NULL, 'which has its partition');
SELECT is((tests.outcome(format('SELECT pattyly.forget_partitions(%s::oid::regclass)', :going))).sqlstate, '00000', 'it can be forgotten');

SELECT * FROM finish();
