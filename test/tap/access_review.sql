-- What a review of the access room found: each of these was wrong once.
SELECT plan(18);

SET client_min_messages = warning;
DO $$ BEGIN PERFORM pattyly.grant_api(); END $$;
CREATE SCHEMA private;
CREATE TABLE duty (who uuid NOT NULL, what integer NOT NULL, status text NOT NULL DEFAULT 'active', due text);
INSERT INTO duty (who, what)
SELECT format('00000000-0000-0000-0000-00000000000%s', 1 + i % 2)::uuid, i FROM generate_series(1, 400) AS i;
CREATE FUNCTION act_as_one() RETURNS void LANGUAGE sql AS $$
	SELECT tests.act_as('authenticated', '{"sub": "00000000-0000-0000-0000-000000000001"}')
$$;

---- An index over (day, what) in the order of the days, read for a list of whats ----

CREATE TABLE visits (what integer NOT NULL, day integer NOT NULL);
INSERT INTO visits SELECT i % 400, i % 97 FROM generate_series(1, 4000) AS i;
CREATE INDEX ON visits (day, what);
CREATE TABLE days (day integer PRIMARY KEY);
INSERT INTO days SELECT generate_series(1, 90);
ANALYZE visits, days, duty;
SELECT pattyly.define_relation('duty', 'duty', 'who', 'what');
GRANT SELECT ON visits, days TO authenticated;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SELECT act_as_one();
SELECT ok(array_agg(day ORDER BY place) = array_agg(day ORDER BY day), 'rows come in the order of a two-column index')
FROM (SELECT day, row_number() OVER () AS place
	FROM (SELECT day FROM visits WHERE day BETWEEN 1 AND 90 AND pattyly.has_access('duty', what) ORDER BY day) AS v) AS w;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT is((SELECT count(*) FROM visits AS v JOIN days AS d ON d.day = v.day
	WHERE v.day > 0 AND pattyly.has_access('duty', v.what)), 1848::bigint, 'and can be merged with another table');
RESET enable_hashjoin;
RESET enable_nestloop;
RESET enable_sort;
RESET enable_bitmapscan;
RESET enable_seqscan;
SELECT tests.act_as_self();

---- A function of the filter that works under other claims ----

CREATE FUNCTION private.as_another(status text) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
SET request.jwt.claims = '{"sub": "00000000-0000-0000-0000-000000000002"}' AS $$
BEGIN
	RETURN status = 'active' AND pattyly.uid() IS NOT NULL;
END
$$;
SELECT pattyly.define_relation('another', 'duty', 'who', 'what', 'private.as_another(status)');
SELECT act_as_one();
SELECT is(pattyly.accessible_ids('another'), ARRAY(SELECT i::bigint FROM generate_series(2, 400, 2) AS i),
	'a filter that changes the claims changes nobody''s list');
SELECT ok(pattyly.has_access('another', 2) AND NOT pattyly.has_access('another', 3), 'nor what he is assigned to');
SELECT tests.act_as_self();

---- What the filter names is the owner's to find, not the caller's ----

CREATE TABLE private.open (status text PRIMARY KEY);
INSERT INTO private.open VALUES ('active');
CREATE FUNCTION private.is_open(status text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT status = 'active' $$;
SELECT pattyly.define_relation('by_function', 'duty', 'who', 'what', 'private.is_open(status)');
SELECT pattyly.define_relation('by_table', 'duty', 'who', 'what',
	'EXISTS (SELECT FROM private.open AS o WHERE o.status = duty.status)');
SELECT act_as_one();
SELECT is(has_schema_privilege('private', 'USAGE'), false, 'the caller may not look into the schema');
SELECT is((tests.outcome($$SELECT pattyly.has_access('by_function', 2)$$)).message, NULL, 'and its function serves him in a filter');
SELECT is((tests.outcome($$SELECT pattyly.has_access('by_table', 2)$$)).message, NULL, 'and its table');
SELECT is(current_user, 'authenticated', 'he is who he was');
SELECT tests.act_as_self();

---- What a filter makes of a text is not the caller's to choose ----

UPDATE duty SET due = '05-06-2026';
SELECT pattyly.define_relation('dated', 'duty', 'who', 'what', 'due::date = ''2026-05-06''');
SELECT act_as_one();
SET datestyle = 'ISO, MDY';
SELECT ok(pattyly.has_access('dated', 2), 'a date in a text is read in one way');
SET datestyle = 'ISO, DMY';
SELECT ok(pattyly.has_access('dated', 2), 'whatever the caller''s datestyle');
SELECT is(current_setting('datestyle'), 'ISO, DMY', 'which stays his');
SELECT tests.act_as_self();
RESET datestyle;

---- A filter that asks for its own relation while that is planned ----

CREATE FUNCTION private.asks_again() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF current_setting('tests.asks', true) = '1' THEN
		RETURN 'active';
	END IF;
	PERFORM set_config('tests.asks', '1', false);
	PERFORM pattyly.has_access('again', 2);
	PERFORM set_config('tests.asks', '', false);
	RETURN 'active';
END
$$;
CREATE INDEX ON duty (status);
ANALYZE duty;
SELECT pattyly.define_relation('again', 'duty', 'who', 'what');
UPDATE pattyly.relations SET filter = 'status = private.asks_again()' WHERE name = 'again';
SELECT act_as_one();
SELECT ok(pattyly.has_access('again', 2), 'it is answered');
SELECT tests.act_as_self();
CREATE TABLE changes_the_catalogs ();
SELECT pass('and a plan that was made twice is forgotten once');

---- Plans that are made again and again, in one transaction ----

CREATE FUNCTION bytes_of_plans() RETURNS numeric LANGUAGE sql AS $$
	SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name = 'pattyly plan'
$$;
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		CREATE TEMPORARY TABLE changes_them_again ();
		PERFORM set_config('request.jwt.claims', '{"sub": "00000000-0000-0000-0000-000000000001"}', true);
		PERFORM pattyly.has_access('duty', 2);
		DROP TABLE changes_them_again;
	END LOOP;
	PERFORM set_config('tests.bytes', bytes_of_plans()::text, false);
END
$$;
SELECT cmp_ok(current_setting('tests.bytes')::numeric, '<', 100000::numeric, 'those that are not good any more are freed');

---- What may be defined ----

SELECT is((tests.outcome($$SELECT pattyly.define_relation('locks', 'duty', 'who', 'what',
		'EXISTS (SELECT FROM days AS d WHERE d.day = what FOR UPDATE)')$$)).sqlstate, '0A000',
	'a filter that locks rows is refused');
CREATE ROLE relations_writer;
GRANT USAGE ON SCHEMA pattyly TO relations_writer;
GRANT SELECT, INSERT ON pattyly.relations TO relations_writer;
SET ROLE relations_writer;
SELECT is((tests.outcome($$INSERT INTO pattyly.relations VALUES ('other', 'duty', 'nothing', 'what')$$)).sqlstate, '42501',
	'whose table it is comes before which columns it has');
RESET ROLE;

---- Long names in messages ----

SELECT is((tests.outcome(format('SELECT pattyly.has_access(%L, 1)', repeat('x', 99) || repeat('é', 20)))).message,
	format('relation "%s" is not defined', repeat('x', 99)), 'a long name is not cut within a character');
SELECT is((tests.outcome(format('SELECT pattyly.define_relation(%L, ''duty'', ''who'', ''what'')',
		repeat('x', 99) || repeat('é', 20)))).message,
	format('unsuitable name for a relation: "%s"', repeat('x', 99)), 'neither here');

SELECT * FROM finish();
