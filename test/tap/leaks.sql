-- Nothing of all this lets a role see a row, an id or a count that its policies would not show. Tried as authenticated and
-- anon after grant_api(), with more rights than PostgREST leaves them: a session of their own, schemas, functions, settings.
SELECT plan(99);
SET client_min_messages = warning;
CREATE FUNCTION e(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-e' || lpad(n::text, 11, '0'))::uuid $$;
CREATE FUNCTION c(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-c' || lpad(n::text, 11, '0'))::uuid $$;
CREATE FUNCTION who(sub text) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('request.jwt.claims', CASE WHEN sub IS NULL THEN '' ELSE jsonb_build_object('sub', sub)::text END, false)
$$;
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT sqlstate || coalesce(' ' || message, '') || coalesce(' ' || nullif(hint, ''), '') FROM tests.outcome(statement)
$$;
CREATE SCHEMA app;
CREATE TABLE app.closed (client_id uuid); INSERT INTO app.closed VALUES (c(3));
CREATE TABLE app.expertassignment (expert_id uuid, client_id uuid, status text DEFAULT 'active', note text DEFAULT '1', open boolean DEFAULT true);
CREATE TABLE app."Client" (id uuid PRIMARY KEY, secret text);
INSERT INTO app."Client" SELECT c(i), 'secret ' || i FROM generate_series(1, 3000) AS i;
INSERT INTO app.expertassignment SELECT e(1), c(i) FROM generate_series(1, 3) AS i;
INSERT INTO app.expertassignment SELECT e(2), c(i), 'active', 'secret note ' || i FROM generate_series(4, 2000) AS i;
CREATE INDEX ON app.expertassignment (client_id);
ANALYZE app."Client"; ANALYZE app.expertassignment;
-- A function of a filter, as they are written: names without a schema, for which the owner's own search_path would do.
CREATE FUNCTION app.careless(client uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NOT EXISTS (SELECT FROM closed WHERE closed.client_id = client); END $$;
CREATE FUNCTION app.careful(client uuid) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = app, pg_temp AS $$ BEGIN RETURN NOT EXISTS (SELECT FROM closed WHERE closed.client_id = client); END $$;
CREATE FUNCTION app.helped(client uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN lower('X') = 'x' AND app.careful(client); END $$;
SELECT pattyly.define_relation('client', 'app.expertassignment', 'expert_id', 'client_id');
SELECT pattyly.define_relation('numbered', 'app.expertassignment', 'expert_id', 'client_id', 'note::integer > 0');
SELECT pattyly.define_relation('careless', 'app.expertassignment', 'expert_id', 'client_id', 'app.careless(client_id)');
SELECT pattyly.define_relation('careful', 'app.expertassignment', 'expert_id', 'client_id', 'app.careful(client_id)');
SELECT pattyly.define_relation('helped', 'app.expertassignment', 'expert_id', 'client_id', 'app.helped(client_id)');
SELECT pattyly.define_relation('open', 'app.expertassignment', 'expert_id', 'client_id', 'open');
ALTER TABLE app."Client" ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON app."Client" FOR SELECT USING (pattyly.has_access('client', id));
SELECT count(*) FROM pattyly.grant_api();
CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT USAGE ON SCHEMA app, public, tests TO PUBLIC;
GRANT SELECT, UPDATE, DELETE ON app."Client" TO authenticated, anon;
SELECT current_database() AS this \gset
GRANT TEMP ON DATABASE :"this" TO PUBLIC;

---- What API roles have no business with -------------------------------------------------------------------------------

CREATE FUNCTION tried(role_name name) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	PERFORM who(e(1)::text), set_config('role', role_name, false);
	FOREACH statement IN ARRAY ARRAY['SELECT * FROM pattyly.relations', 'SELECT count(*) FROM pattyly.relations', 'UPDATE pattyly.relations SET filter = NULL', 'DELETE FROM pattyly.relations',
		'INSERT INTO pattyly.relations VALUES (''x'', ''app."Client"'', ''id'', ''id'')', 'TRUNCATE pattyly.relations',
		'SELECT pattyly.define_relation(''client'', ''app.expertassignment'', ''expert_id'', ''client_id'', ''true'')', 'SELECT pattyly.drop_relation(''client'')',
		'SELECT pattyly.check_relation_row()',
		'SELECT * FROM app.expertassignment', 'SELECT app.careless(NULL) FROM app.closed', 'ALTER TABLE app."Client" DISABLE ROW LEVEL SECURITY', 'DROP POLICY p ON app."Client"',
		'CREATE FUNCTION pattyly.has_access(text, name) RETURNS boolean LANGUAGE sql AS ''SELECT true''', 'CREATE OR REPLACE FUNCTION pattyly.uid() RETURNS uuid LANGUAGE sql AS ''SELECT NULL::uuid''',
		'CREATE TABLE pattyly.mine (x integer)', 'ALTER FUNCTION pattyly.has_access(text, uuid) COST 1'] LOOP
		RETURN NEXT is(left(said(statement), 5), '42501', role_name || ' may not: ' || statement);
	END LOOP;
	-- Two functions of the caller's claims only; there is no way to name somebody else.
	RETURN NEXT is((SELECT count(*) FROM app."Client"), 3::bigint, role_name || ' sees the rows of who asks');
	RETURN NEXT ok(NOT pattyly.has_access('client', c(4)) AND NOT pattyly.has_access('client', c(4)::text), role_name || ' has no access to others');
	RETURN NEXT is(pattyly.accessible_uuids('client'), ARRAY[c(1), c(2), c(3)], role_name || ' lists his own');
	PERFORM set_config('role', 'none', false);
END
$$;
SELECT tried('authenticated');
SELECT tried('anon');
SELECT is(count(*), 0::bigint, 'no function that API roles may call takes a subject') FROM pg_proc AS p JOIN pattyly.api_bundles AS b ON b.object = 'pattyly.' || regexp_replace(p.oid::regprocedure::text, '^pattyly\.', '')
WHERE p.proname ~ '^(has_access|accessible)' AND p.pronargs > 2;

---- Crafted claims -----------------------------------------------------------------------------------------------------

CREATE FUNCTION crafted(claims text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen bigint;
BEGIN
	PERFORM set_config('request.jwt.claims', claims, true), set_config('role', 'authenticated', true);
	SELECT count(*) INTO seen FROM app."Client";
	PERFORM set_config('role', 'none', true);
	RETURN seen::text;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
SELECT ok(crafted(claims) IN ('0', '22P02', '54001', '22P05'), 'crafted claims see nothing: ' || left(claims, 60)) FROM unnest(ARRAY[
	'', ' ', '{}', '[]', 'null', '"' || e(2) || '"', '["' || e(2) || '"]', '[{"sub":"' || e(2) || '"}]', '{"sub":["' || e(2) || '"]}', '{"sub":{"sub":"' || e(2) || '"}}', '{"SUB":"' || e(2) || '"}', '{"sub ":"' || e(2) || '"}',
	'{"sub":"' || e(2) || ' or true"}', '{"sub":"'' or true --"}', '{"sub":"%"}', '{"sub":"*"}', '{"sub":null}', '{"sub":""}', '{"sub":"' || e(2) || '"', '{"role":"service_role"}', '{"role":"postgres","sub":"x"}',
	'{"sub":"' || e(2) || '","sub":"' || e(9) || '"}', '{"sub":"' || e(2) || '\u0000"}', '{"sub":"' || repeat('0', 10000) || '"}', repeat('[', 100000), '{"a":{"sub":"' || e(2) || '"}}', '{"user_id":"' || e(2) || '"}']) AS claims;

---- Leaky functions in WHERE, EXPLAIN, errors --------------------------------------------------------------------------

CREATE TABLE evil.seen (text text); GRANT ALL ON evil.seen TO PUBLIC;
SELECT who(e(1)::text);
SET ROLE authenticated;
CREATE FUNCTION evil.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO evil.seen VALUES ($1); RETURN true; END $$;
CREATE FUNCTION evil.leak_eq(uuid, uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO evil.seen VALUES ($1::text); RETURN true; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.leak_eq, LEFTARG = uuid, RIGHTARG = uuid, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE FUNCTION evil.has_access(text, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.uid() RETURNS uuid LANGUAGE sql AS $$ SELECT '00000000-0000-0000-0000-e00000000002'::uuid $$;
CREATE FUNCTION evil.leaks(plan text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	DELETE FROM evil.seen;
	EXECUTE plan;
	SELECT count(DISTINCT text) INTO n FROM evil.seen;
	RETURN n;
END
$$;
SELECT is(evil.leaks(q), 3::bigint, 'a leaky function sees the caller''s rows only: ' || q) FROM unnest(ARRAY[
	'SELECT count(*) FROM app."Client" WHERE evil.leak(secret)', 'SELECT count(*) FROM app."Client" WHERE evil.leak(secret) AND id IS NOT NULL', 'SELECT count(*) FROM app."Client" WHERE evil.leak(secret) OR evil.leak(id::text)',
	'SELECT count(*) FROM app."Client" WHERE id OPERATOR(evil.=) gen_random_uuid()', 'SELECT count(*) FROM app."Client" AS c JOIN (VALUES (1)) AS v (x) ON evil.leak(c.secret)',
	'SELECT evil.leak(secret) FROM app."Client" ORDER BY 1', 'SELECT count(*) FROM app."Client" GROUP BY evil.leak(secret)', 'DELETE FROM app."Client" WHERE evil.leak(secret)', 'UPDATE app."Client" SET secret = ''x'' WHERE evil.leak(secret)']) AS q WHERE q NOT LIKE 'DELETE%' AND q NOT LIKE 'UPDATE%';
SELECT is(evil.leaks('DELETE FROM app."Client" WHERE evil.leak(secret)'), 0::bigint, 'none where no policy lets one delete');
SET enable_indexscan = off; SET enable_bitmapscan = off;
SELECT is(evil.leaks('SELECT count(*) FROM app."Client" WHERE evil.leak(secret)'), 3::bigint, 'nor in a sequential scan');
SET enable_seqscan = off; RESET enable_bitmapscan;
SELECT is(evil.leaks('SELECT count(*) FROM app."Client" WHERE evil.leak(secret) AND id > (SELECT c(0))'), 3::bigint, 'nor in a bitmap scan');
RESET enable_seqscan; RESET enable_indexscan;
SET search_path = evil, pg_catalog, public, extensions, tap;
SELECT is((SELECT pg_catalog.count(*) FROM app."Client"), 3::bigint, 'own functions of those names count for nothing in a policy');
SELECT is(pattyly.accessible_uuids('client')::text, format('{%s,%s,%s}', c(1), c(2), c(3)), 'nor do operators in a search_path');
RESET search_path;

CREATE FUNCTION evil.estimate(query text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN (plan #>> '{0,Plan,Plan Rows}')::integer;
END
$$;
SELECT cmp_ok(evil.estimate('SELECT * FROM app."Client"'), '<', 30, 'EXPLAIN estimates the caller''s rows, not another''s 1,997');
SELECT unalike((SELECT string_agg(line, '') FROM (SELECT said(q) AS line FROM unnest(ARRAY[
		'SELECT pattyly.accessible_ids(''client'')', 'SELECT pattyly.has_access(''client'', 1)', 'SELECT pattyly.has_access(''nothing'', c(4))', 'SELECT pattyly.has_access(''client'', ''x'')',
		'INSERT INTO app."Client" VALUES (c(4))', 'SELECT pattyly.accessible_uuids(''careless'')', 'SELECT pattyly.has_access(''careless'', c(1))']) AS q) AS s), '%00000000-0000-0000-0000-%', 'no error names an id');
RESET ROLE;
-- Errors of a filter are about the caller's rows: what others have written does not come up.
SELECT who(e(1)::text);
SELECT is(pattyly.accessible_uuids('numbered'), ARRAY[c(1), c(2), c(3)], 'a filter is not asked about the rows of others');
SELECT is((SELECT count(*) FROM generate_series(1, 60) AS i WHERE pattyly.has_access('numbered', c(i))), 3::bigint, 'nor where others'' objects are asked for');
SELECT is((SELECT count(*) FROM generate_series(1990, 1996) AS i WHERE pattyly.has_access('numbered', c(i))), 0::bigint, 'one by one');

---- Functions of a filter run with the owner's rights ------------------------------------------------------------------

SELECT who(e(1)::text);
SET ROLE authenticated;
CREATE TABLE evil.closed (client_id uuid); GRANT SELECT ON evil.closed TO PUBLIC;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.seen VALUES ('as ' || current_user); RETURN 'x'; END $$;
CREATE FUNCTION evil.eq(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.seen VALUES ('as ' || current_user); RETURN false; END $$;
DELETE FROM evil.seen;
SELECT is(pattyly.accessible_uuids('careful'), ARRAY[c(1), c(2)], 'a function that says where it looks');
SET search_path = evil, pg_catalog, public, extensions, tap;
SELECT is(pattyly.accessible_uuids('careful')::text, format('{%s,%s}', c(1), c(2)), 'looks there under every search_path');
SELECT is(pattyly.accessible_uuids('helped')::text, format('{%s,%s}', c(1), c(2)), 'names without a schema are the server''s own');
SELECT ok(NOT pattyly.has_access('helped', c(3)) AND pattyly.has_access('helped', c(1)), 'one by one, too');
SELECT is(pg_catalog.left(said('SELECT pattyly.accessible_uuids(''careless'')'), 5)::text, '42P01', 'a function that does not say finds nothing of the caller''s, who has a table of that name');
SELECT is(pg_catalog.left(said('SELECT pattyly.has_access(''careless'', c(3))'), 5)::text, '42P01', 'and nothing passes');
SELECT is((SELECT pg_catalog.count(*) FROM evil.seen), 0::bigint, 'no function of the caller''s ran as the owner');
SELECT is(pg_catalog.current_setting('search_path'), 'evil, pg_catalog, public, extensions, tap', 'the search_path is the caller''s again');
SELECT is(current_user::text, 'authenticated', 'and so is the role, after an error');
RESET search_path;
CREATE TEMP TABLE relations AS SELECT 'client'::text AS name, 'app."Client"'::regclass AS assignments; CREATE TEMP TABLE expertassignment AS SELECT e(1) AS expert_id, c(i) AS client_id FROM generate_series(1, 100) AS i; CREATE TEMP TABLE closed (client_id uuid);
GRANT ALL ON relations, expertassignment, closed TO PUBLIC;
SET search_path = pg_temp, app, pattyly, public, extensions, tap;
SELECT is((SELECT count(*) FROM app."Client"), 3::bigint, 'temporary tables with the names of the catalogue change nothing');
SELECT is(pattyly.accessible_uuids('client'), ARRAY[c(1), c(2), c(3)], 'for sets neither');
SELECT is(pattyly.accessible_uuids('careful'), ARRAY[c(1), c(2)], 'nor for functions that say where they look');
RESET search_path;
-- What a filter calls cannot become somebody else.
RESET ROLE;
CREATE FUNCTION app.climb(uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('role', 'authenticated', false); RETURN true; END $$;
SELECT pattyly.define_relation('climb', 'app.expertassignment', 'expert_id', 'client_id', 'app.climb(client_id)');
SELECT is(left(said('SELECT pattyly.accessible_uuids(''climb'')'), 5), '42501', 'a function of a filter does not change the role');
SELECT is(current_setting('role'), 'none', 'and it is not changed');
SELECT * FROM finish();
