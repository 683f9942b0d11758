-- has_access() gives what EXISTS over the assignments would give in its place, in every kind of statement, transaction and
-- plan; EXISTS is the oracle throughout.
SELECT plan(376);
SET client_min_messages = warning;

CREATE FUNCTION who(sub text) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('request.jwt.claims', CASE WHEN sub IS NULL THEN '' ELSE jsonb_build_object('sub', sub)::text END, false)
$$;
CREATE FUNCTION e(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-e' || lpad(n::text, 11, '0'))::uuid $$;
CREATE FUNCTION c(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-c' || lpad(n::text, 11, '0'))::uuid $$;
CREATE TABLE "Client" (id uuid PRIMARY KEY, n integer, note text);
CREATE TABLE expertassignment (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, expert_id uuid, client_id uuid, status text DEFAULT 'active');
CREATE INDEX ON expertassignment (expert_id, client_id);
INSERT INTO "Client" SELECT c(i), i, 'note ' || i FROM generate_series(1, 12000) AS i;
-- Expert k has so many clients as these sizes say, the ones around where lookups end and fetching begins.
CREATE TABLE sizes (k integer PRIMARY KEY, size integer);
INSERT INTO sizes VALUES (0, 0), (1, 1), (2, 7), (3, 8), (4, 9), (5, 999), (6, 1000), (7, 1001), (8, 5000);
INSERT INTO expertassignment (expert_id, client_id) SELECT e(k), c(1 + (k * 131 + i * 7) % 12000) FROM sizes, LATERAL generate_series(1, size) AS i;
-- Twice, to nobody, of nobody, of a client that is not there.
INSERT INTO expertassignment (expert_id, client_id) SELECT e(4), c(1 + (4 * 131 + 7) % 12000) FROM generate_series(1, 5);
INSERT INTO expertassignment (expert_id, client_id) VALUES (e(2), NULL), (NULL, c(1)), (e(2), c(99999));
ANALYZE "Client"; ANALYZE expertassignment;
SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id');
SELECT pattyly.define_relation('active', 'expertassignment', 'expert_id', 'client_id', 'status = ''active''', true);
SELECT pattyly.grant_api();
ALTER TABLE "Client" ENABLE ROW LEVEL SECURITY;
CREATE POLICY ours ON "Client" TO authenticated USING (pattyly.has_access('client', id));
GRANT ALL ON "Client", expertassignment TO authenticated; REVOKE ALL ON expertassignment FROM anon;

---- The same rows, whatever the plan and the size of the set -----------------------------------------------------------

CREATE FUNCTION same_rows(setting text, k integer, part text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ours text;
	oracle text;
BEGIN
	PERFORM who(e(k)::text);
	EXECUTE 'SELECT count(*) || '' '' || coalesce(md5(string_agg(id::text, '','' ORDER BY id)), '''') FROM "Client" WHERE pattyly.has_access(''client'', id) AND ' || part INTO ours;
	EXECUTE 'SELECT count(*) || '' '' || coalesce(md5(string_agg(id::text, '','' ORDER BY id)), '''') FROM "Client" AS c WHERE EXISTS (
		SELECT FROM expertassignment AS a WHERE a.expert_id = (SELECT auth.uid()) AND a.client_id = c.id) AND ' || part INTO oracle;
	RETURN is(ours, oracle, format('%s: expert with %s, %s', setting, (SELECT size FROM sizes AS s WHERE s.k = same_rows.k), part));
END
$$;
CREATE TABLE shapes (name text, off text[]);
INSERT INTO shapes VALUES ('as the planner likes', '{}'), ('index only or index', '{enable_seqscan,enable_bitmapscan}'), ('bitmap', '{enable_seqscan,enable_indexscan,enable_indexonlyscan}'), ('sequential', '{enable_indexscan,enable_indexonlyscan,enable_bitmapscan}');
CREATE FUNCTION in_every_shape() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	shape shapes;
	setting text;
	part text;
	k integer;
BEGIN
	FOR shape IN TABLE shapes LOOP
		FOREACH setting IN ARRAY shape.off LOOP PERFORM set_config(setting, 'off', false); END LOOP;
		FOR k IN SELECT s.k FROM sizes AS s ORDER BY s.k LOOP
			FOREACH part IN ARRAY ARRAY['true', 'n <= 8', 'n <= 9', 'n BETWEEN 100 AND 700', 'id = c(532)', 'id IN (c(8), c(532), c(139))', 'id > c(11000)'] LOOP
				RETURN NEXT same_rows(shape.name, k, part);
			END LOOP;
		END LOOP;
		FOREACH setting IN ARRAY shape.off LOOP PERFORM set_config(setting, 'on', false); END LOOP;
	END LOOP;
END
$$;
SELECT in_every_shape();                                                                                         -- 252

-- Random questions, random users and random assignments.
SELECT setseed(0.5);
CREATE TABLE random_keys AS SELECT c(i) AS id, i FROM generate_series(1, 2000) AS i ORDER BY random();
CREATE TABLE random_assignments AS SELECT e((20 * random() * random())::int) AS expert_id, c((2000 * random())::int) AS client_id FROM generate_series(1, 4000);
CREATE INDEX ON random_keys (id); ANALYZE random_keys; ANALYZE random_assignments;
SELECT pattyly.define_relation('random', 'random_assignments', 'expert_id', 'client_id');
CREATE FUNCTION random_differences(rounds integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint := 0;
	differences bigint;
	low integer;
	high integer;
BEGIN
	FOR round IN 1..rounds LOOP
		PERFORM who(e((20 * random())::int)::text);
		low := (2000 * random())::int;
		high := low + (2000 * random() * random() * random())::int;
		SELECT count(*) INTO differences FROM random_keys AS k WHERE i BETWEEN low AND high AND pattyly.has_access('random', id)
			IS DISTINCT FROM EXISTS (SELECT FROM random_assignments AS a WHERE a.expert_id = (SELECT auth.uid()) AND a.client_id = k.id);
		wrong := wrong + differences;
		IF round % 3 = 0 THEN
			DELETE FROM random_assignments WHERE client_id = c((2000 * random())::int);
		ELSIF round % 3 = 1 THEN
			INSERT INTO random_assignments VALUES (auth.uid(), c(low)), (e((20 * random())::int), c(high));
		END IF;
		IF pattyly.has_access('random', c(low)) <> EXISTS (SELECT FROM random_assignments AS a WHERE a.expert_id = auth.uid() AND a.client_id = c(low)) THEN
			wrong := wrong + 1;
		END IF;
	END LOOP;
	RETURN wrong;
END
$$;
SELECT is(random_differences(400), 0::bigint, 'random questions between random writes');

---- The plans ----------------------------------------------------------------------------------------------------------

SELECT who(e(4)::text);
SET ROLE authenticated;
SELECT matches(tests.plan_of('SELECT count(*) FROM "Client"'), 'Index Cond: \(id = ANY \(pattyly\.accessible_uuids\(''client''::text\)\)\)', 'count(*) goes by the index');
SELECT matches(tests.plan_of(format('SELECT * FROM "Client" WHERE id = %L', c(5))), 'Index Cond: \(id = ''[^'']*''::uuid\)\s+Filter: pattyly\.has_access', 'a lookup by id does not fetch the set');
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT matches(tests.plan_of('SELECT * FROM (SELECT c(i) AS id FROM generate_series(1, 3) AS i OFFSET 0) AS wanted JOIN "Client" USING (id)'), 'Nested Loop.*Index Cond: \(id = .*id\).*Filter: pattyly\.has_access', 'nor does the inner side of a nested loop');
SELECT is((SELECT count(*) FROM (SELECT c(i) AS id FROM generate_series(1, 12000, 3) AS i OFFSET 0) AS wanted JOIN "Client" USING (id)),
	(SELECT count(DISTINCT client_id) FROM expertassignment WHERE expert_id = e(4) AND (ltrim(right(client_id::text, 11), '0')::int - 1) % 3 = 0), 'whose rows are right');
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;
RESET ROLE;

---- The assignments change in the same transaction ---------------------------------------------------------------------

-- has_access, accessible_uuids and a policied count beside EXISTS, after each step; "many" makes the set be fetched.
CREATE FUNCTION agree(what text, client integer, wanted boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	many bigint;
	oracle bigint;
BEGIN
	SELECT count(*) INTO many FROM "Client" WHERE n <= 500 AND pattyly.has_access('client', id);
	SELECT count(*) INTO oracle FROM "Client" AS c WHERE n <= 500 AND EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = (SELECT auth.uid()) AND a.client_id = c.id);
	RETURN is(format('%s %s %s', pattyly.has_access('client', c(client)), c(client) = ANY (pattyly.accessible_uuids('client')), many),
		format('%s %s %s', wanted, wanted, oracle), what);
END
$$;
CREATE TABLE levels (level text);
INSERT INTO levels VALUES ('READ COMMITTED'), ('REPEATABLE READ'), ('SERIALIZABLE');
CREATE PROCEDURE walk(level text) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO results SELECT agree(level || ': at first', 400, false);
	INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(400));
	INSERT INTO results SELECT agree(level || ': inserted', 400, true);
	UPDATE expertassignment SET client_id = c(411) WHERE expert_id = auth.uid() AND client_id = c(400);
	INSERT INTO results SELECT agree(level || ': updated away', 400, false);
	INSERT INTO results SELECT agree(level || ': updated to', 411, true);
	BEGIN
		DELETE FROM expertassignment WHERE client_id = c(411);
		IF pattyly.has_access('client', c(411)) THEN RAISE 'still there'; END IF;
		PERFORM count(*) FROM "Client" WHERE pattyly.has_access('client', id);
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO results SELECT agree(level || ': deleted in a block that failed', 411, true);
	END;
	BEGIN
		INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(402));
		IF NOT pattyly.has_access('client', c(402)) THEN RAISE 'not seen'; END IF;
		PERFORM count(*) FROM "Client" WHERE pattyly.has_access('client', id);
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO results SELECT agree(level || ': inserted in a block that failed', 402, false);
	END;
	BEGIN
		INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(403));
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
	INSERT INTO results SELECT agree(level || ': inserted in a block that did not', 403, true);
	DELETE FROM expertassignment WHERE expert_id = auth.uid() AND client_id IN (c(411), c(403));
	INSERT INTO results SELECT agree(level || ': deleted', 411, false);
	TRUNCATE expertassignment;
	INSERT INTO results SELECT agree(level || ': emptied', 139, false);
END
$$;
CREATE TABLE results (line text);
SELECT who(e(3)::text);
BEGIN ISOLATION LEVEL READ COMMITTED; CALL walk('READ COMMITTED'); SELECT * FROM results; ROLLBACK;              -- 9
BEGIN ISOLATION LEVEL REPEATABLE READ; CALL walk('REPEATABLE READ'); SELECT * FROM results; ROLLBACK;            -- 9
BEGIN ISOLATION LEVEL SERIALIZABLE; CALL walk('SERIALIZABLE'); SELECT * FROM results; ROLLBACK;                  -- 9
SELECT agree('all rolled back', 400, false);

BEGIN;
SELECT agree('before a savepoint', 400, false);
SAVEPOINT s; INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(400));
SELECT agree('after an insert', 400, true);
ROLLBACK TO s; SELECT agree('ROLLBACK TO', 400, false);
SAVEPOINT t; INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(400)); RELEASE t;
SELECT agree('RELEASE', 400, true);
ROLLBACK TO s; SELECT agree('ROLLBACK TO the outer one', 400, false);
ROLLBACK;

-- Within one statement everybody sees what was there before it.
WITH added AS (INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(400)) RETURNING client_id)
SELECT is(pattyly.has_access('client', client_id), EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = added.client_id),
	'a CTE that inserts is not seen by its own statement') FROM added;
SELECT agree('but by the next', 400, true);
WITH gone AS (DELETE FROM expertassignment WHERE expert_id = auth.uid() AND client_id = c(400) RETURNING client_id)
SELECT is(pattyly.has_access('client', client_id), EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = gone.client_id),
	'nor is one that deletes') FROM gone;
SELECT agree('gone', 400, false);
CREATE FUNCTION add_and_ask(n integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(n));
	RETURN pattyly.has_access('client', c(n));
END
$$;
BEGIN;
SELECT is(string_agg(concat(inside, outside), ' ' ORDER BY i), 'tf tf tf tf tf tf tf tf tf tf tf tf', 'a volatile function sees its own rows, the statement around it does not') FROM (
	SELECT i, add_and_ask(500 + i) AS inside, pattyly.has_access('client', c(500 + i)) AS outside FROM generate_series(1, 12) AS i) AS s;
ROLLBACK;

-- Call sites in PL/pgSQL outlive their statements.
CREATE FUNCTION wrong_in_loop() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	wrong integer := 0;
	has boolean;
BEGIN
	FOR i IN 1..60 LOOP
		PERFORM who(e(100 + i % 3)::text);
		IF pattyly.has_access('client', c(600)) <> EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = c(600)) THEN wrong := wrong + 1; END IF;
		IF i % 2 = 0 THEN INSERT INTO expertassignment (expert_id, client_id) VALUES (auth.uid(), c(600)); END IF;
		has := pattyly.has_access('client', c(600));
		IF has <> EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = c(600)) THEN wrong := wrong + 1; END IF;
		IF i % 5 = 0 THEN DELETE FROM expertassignment WHERE client_id = c(600); END IF;
		IF (c(600) = ANY (pattyly.accessible_uuids('client'))) <> EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = c(600)) THEN wrong := wrong + 1; END IF;
	END LOOP;
	RETURN wrong;
END
$$;
SELECT is(wrong_in_loop(), 0, 'a loop that changes claims and rows');
-- A filter may read what no snapshot shows.
SELECT pattyly.define_relation('tenant', 'expertassignment', 'expert_id', 'client_id', 'status = current_setting(''tests.status'', true)');
CREATE VIEW current_status AS SELECT current_setting('tests.status', true) AS status;
SELECT pattyly.define_relation('view', 'expertassignment', 'expert_id', 'client_id', 'status = (select v.status from current_status v)');
CREATE FUNCTION by_setting(relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := '';
BEGIN
	FOR i IN 1..24 LOOP
		PERFORM set_config('tests.status', CASE WHEN i % 2 = 0 THEN 'active' ELSE 'x' END, true);
		result := result || CASE WHEN pattyly.has_access(relation, c(1 + (3 * 131 + 7) % 12000)) THEN 't' ELSE 'f' END;
	END LOOP;
	RETURN result;
END
$$;
SELECT who(e(3)::text);
SELECT is(by_setting('tenant'), repeat('ft', 12), 'a filter that reads a setting, in a loop');
SELECT is(by_setting('view'), repeat('ft', 12), 'a filter that reads it through a view');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL tests.status = 'active';
SELECT is(count(*), 8::bigint, 'one statement') FROM "Client" WHERE pattyly.has_access('view', id) AND pattyly.has_access('tenant', id);
SET LOCAL tests.status = 'x';
SELECT is(count(*), 0::bigint, 'the next, with the same snapshot') FROM "Client" WHERE pattyly.has_access('view', id) OR pattyly.has_access('tenant', id);
ROLLBACK;

---- Cursors ------------------------------------------------------------------------------------------------------------

BEGIN;
SELECT who(e(1)::text);
DECLARE before_insert CURSOR FOR SELECT n FROM "Client" WHERE n BETWEEN 700 AND 740 AND pattyly.has_access('client', id) ORDER BY n;
INSERT INTO expertassignment (expert_id, client_id) SELECT e(1), c(i) FROM generate_series(700, 730) AS i;
DECLARE after_insert CURSOR FOR SELECT n FROM "Client" WHERE n BETWEEN 700 AND 740 AND pattyly.has_access('client', id) ORDER BY n;
CREATE FUNCTION fetched(cursor_name refcursor, OUT n integer) LANGUAGE plpgsql AS $$ BEGIN FETCH cursor_name INTO n; END $$;
SELECT is(concat_ws(' ', fetched('after_insert'), fetched('before_insert'), fetched('after_insert'), fetched('before_insert')), '700 701', 'two cursors with different snapshots, in turns');
DELETE FROM expertassignment WHERE client_id = c(702);
SELECT is(fetched('after_insert'), 702, 'a row deleted since is there for a cursor opened before');
SAVEPOINT s; DELETE FROM expertassignment WHERE client_id = c(704); ROLLBACK TO s;
SELECT is(concat_ws(' ', fetched('after_insert'), fetched('after_insert'), fetched('before_insert')), '703 704', 'a rollback in between changes nothing');
ROLLBACK;
BEGIN;
SELECT who(e(8)::text);
DECLARE theirs NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM "Client" WHERE pattyly.has_access('client', id);
CREATE FUNCTION fetched_id(cursor_name refcursor, OUT id uuid) LANGUAGE plpgsql AS $$ BEGIN FETCH cursor_name INTO id; END $$;
SELECT ok(EXISTS (SELECT FROM expertassignment WHERE expert_id = e(8) AND client_id = (SELECT fetched_id('theirs'))), 'a cursor');
SELECT who(e(0)::text);
SELECT is(count(*), 0::bigint, 'the next one asks with the cursor of another open') FROM "Client" WHERE pattyly.has_access('client', id);
CREATE TABLE fetched_later AS SELECT fetched_id('theirs') AS id;
SELECT ok(id IS NULL OR EXISTS (SELECT FROM expertassignment WHERE expert_id = e(8) AND client_id = f.id), 'an open cursor shows nothing that neither could see') FROM fetched_later AS f;
SELECT who(e(8)::text);
COMMIT;
SELECT who(NULL);
MOVE ALL FROM theirs;
CLOSE theirs;
SELECT pass('a cursor WITH HOLD outlives its transaction');

---- Plans are nobody's -------------------------------------------------------------------------------------------------

PREPARE counted AS SELECT count(*) FROM "Client";
PREPARE by_id (uuid) AS SELECT count(*) FROM "Client" WHERE id = $1;
CREATE FUNCTION by_plan(mode text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	k integer;
	got bigint;
	wrong text := '';
BEGIN
	PERFORM set_config('plan_cache_mode', mode, false);
	PERFORM set_config('role', 'authenticated', false);
	FOR round IN 1..3 LOOP
		FOREACH k IN ARRAY ARRAY[8, 0, 3, 7, 1, 4] LOOP
			PERFORM who(e(k)::text);
			EXECUTE 'EXECUTE counted' INTO got;
			IF got <> (SELECT count(DISTINCT client_id) FROM expertassignment WHERE expert_id = e(k) AND client_id <> c(99999)) THEN wrong := wrong || format(' count of %s: %s', k, got); END IF;
			EXECUTE format('EXECUTE by_id(%L)', c(1 + (131 + 7) % 12000)) INTO got;
			IF (got = 1) <> EXISTS (SELECT FROM expertassignment WHERE expert_id = e(k) AND client_id = c(1 + (131 + 7) % 12000)) THEN wrong := wrong || format(' id of %s: %s', k, got); END IF;
		END LOOP;
	END LOOP;
	PERFORM set_config('role', 'none', false);
	RETURN NEXT is(wrong, '', mode || ': one prepared statement, users in turns');
END
$$;
SELECT by_plan(mode) FROM unnest(ARRAY['force_generic_plan', 'force_custom_plan', 'auto']) AS mode;              -- 3
RESET plan_cache_mode;

-- Workers.
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;
SELECT matches(tests.plan_of('SELECT count(*) FROM "Client" WHERE pattyly.has_access(''client'', id)'), 'Parallel Seq Scan.*has_access', 'a plan with workers');
SELECT same_rows('workers', k, 'true') FROM sizes;                                                               -- 9
BEGIN;
SELECT who(e(0)::text);
INSERT INTO expertassignment (expert_id, client_id) SELECT e(0), c(i) FROM generate_series(1, 40) AS i;
SELECT pattyly.define_relation('fresh', 'expertassignment', 'expert_id', 'client_id');
SELECT is(count(*), 40::bigint, 'workers see rows and relations that are not committed') FROM "Client" WHERE pattyly.has_access('fresh', id);
ROLLBACK;
RESET enable_indexscan; RESET enable_bitmapscan; RESET enable_indexonlyscan;
SELECT same_rows('workers, any plan', k, 'true') FROM sizes;                                                     -- 9
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET min_parallel_index_scan_size;

---- Views, writes, roles -----------------------------------------------------------------------------------------------

CREATE ROLE tests_view_owner; GRANT ALL ON "Client", expertassignment TO tests_view_owner; GRANT CREATE, USAGE ON SCHEMA public TO tests_view_owner;
GRANT USAGE ON SCHEMA pattyly TO tests_view_owner; GRANT EXECUTE ON FUNCTION pattyly.has_access(text, uuid), pattyly.accessible_uuids(text) TO tests_view_owner;
CREATE POLICY view_owner ON "Client" TO tests_view_owner USING (n <= 3);
SET ROLE tests_view_owner;
CREATE VIEW as_owner AS SELECT * FROM "Client"; CREATE VIEW as_invoker WITH (security_invoker) AS SELECT * FROM "Client";
CREATE VIEW asks WITH (security_barrier) AS SELECT * FROM "Client" WHERE pattyly.has_access('client', id);
GRANT SELECT ON as_owner, as_invoker, asks TO authenticated;
RESET ROLE;
SELECT who(e(3)::text);
SET ROLE authenticated;
SELECT is(count(*), 3::bigint, 'a view shows what its owner''s policies show') FROM as_owner;
SELECT is(count(*), 8::bigint, 'a security_invoker view what the caller''s do') FROM as_invoker;
SELECT is(count(*), 0::bigint, 'a view that asks asks for the caller') FROM asks;

SELECT is((SELECT count(*) FROM "Client"), 8::bigint, 'SET ROLE authenticated');
WITH u AS (UPDATE "Client" SET note = 'mine' RETURNING id) SELECT is(count(*), 8::bigint, 'UPDATE ... RETURNING touches the caller''s rows') FROM u;
WITH u AS (UPDATE "Client" SET note = 'not mine' WHERE id = c(2) RETURNING id) SELECT is(count(*), 0::bigint, 'and no other by its id') FROM u;
SELECT throws_ok($$UPDATE "Client" SET id = c(20000) WHERE n = (SELECT min(n) FROM "Client")$$, '42501', NULL, 'nor may a row leave');
SELECT throws_ok($$INSERT INTO "Client" VALUES (c(20001), 1, 'x')$$, '42501', NULL, 'INSERT of a client that is not assigned');
SELECT throws_ok($$INSERT INTO "Client" VALUES (c(2), 1, 'x') ON CONFLICT (id) DO UPDATE SET note = 'taken'$$, '42501', NULL, 'ON CONFLICT with the row of another');
INSERT INTO expertassignment (expert_id, client_id) VALUES (e(3), c(20001));
SELECT lives_ok($$INSERT INTO "Client" VALUES (c(20001), 20001, 'x') RETURNING id$$, 'INSERT of one that is, assigned in the session');
SELECT lives_ok($$INSERT INTO "Client" VALUES (c(20001), 20001, 'x') ON CONFLICT (id) DO UPDATE SET note = 'again' RETURNING id$$, 'ON CONFLICT with an own row');
SELECT is(note, 'again', 'it is updated') FROM "Client" WHERE id = c(20001);
SELECT throws_ok($$MERGE INTO "Client" AS t USING (VALUES (c(2))) AS s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0, 'merged')$$,
	NULL, NULL, 'MERGE does not match a row that the caller cannot see');
SELECT lives_ok($$MERGE INTO "Client" AS t USING (VALUES (c(20001))) AS s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0, 'merged')$$, 'MERGE of an own row');
SELECT is(note, 'merged', 'it is updated') FROM "Client" WHERE id = c(20001);
WITH d AS (DELETE FROM "Client" WHERE id IN (c(2), c(20001)) RETURNING id) SELECT is(string_agg(id::text, ' '), c(20001)::text, 'DELETE ... RETURNING of the caller''s rows only') FROM d;
RESET ROLE;
SELECT is(count(*), 0::bigint, 'and nothing of all that happened to others') FROM "Client" WHERE note IN ('not mine', 'taken') OR (note IN ('mine', 'merged') AND NOT EXISTS (SELECT FROM expertassignment WHERE expert_id = e(3) AND client_id = "Client".id));
SET ROLE anon;
SELECT throws_ok('SELECT count(*) FROM expertassignment', '42501', NULL, 'anon has no rights on the assignments');
SELECT is(pattyly.has_access('client', c(1 + (3 * 131 + 7) % 12000)), true, 'and needs none to ask');
RESET ROLE;
SELECT who(NULL);
SELECT is(count(*), 0::bigint, 'nobody sees nothing') FROM "Client" WHERE pattyly.has_access('client', id);
SELECT who('no uuid');
SELECT throws_ok('SELECT count(*) FROM "Client" WHERE pattyly.has_access(''client'', id)', '22P02', NULL, 'who is no uuid is an error');
SELECT who(e(3)::text);
SELECT is(pattyly.has_access('client', NULL::uuid), false, 'NULL is nobody''s, as uuid');
SELECT is(pattyly.has_access('client', NULL::text), false, 'as text');
SELECT is(pattyly.has_access(NULL, c(1)), false, 'nor is anything of no relation');
SELECT is(count(*), 12000::bigint, 'NOT has_access is the rest') FROM "Client" WHERE NOT pattyly.has_access('client', id) OR pattyly.has_access('client', id);

---- Row security on the assignments themselves -------------------------------------------------------------------------

CREATE ROLE tests_table_owner; CREATE SCHEMA owned AUTHORIZATION tests_table_owner;
GRANT USAGE ON SCHEMA pattyly, owned, tests TO tests_table_owner, authenticated; GRANT EXECUTE ON FUNCTION pattyly.has_access(text, uuid) TO tests_table_owner;
SET ROLE tests_table_owner;
CREATE TABLE owned.client (id uuid PRIMARY KEY); CREATE TABLE owned.assigned (expert_id uuid, client_id uuid);
INSERT INTO owned.client SELECT c(i) FROM generate_series(1, 50) AS i; INSERT INTO owned.assigned SELECT e(1 + i % 2), c(i) FROM generate_series(1, 50) AS i;
ALTER TABLE owned.client ENABLE ROW LEVEL SECURITY; ALTER TABLE owned.assigned ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON owned.client, owned.assigned TO authenticated;
RESET ROLE;
SELECT pattyly.define_relation('owned', 'owned.assigned', 'expert_id', 'client_id');
SET ROLE tests_table_owner;
CREATE POLICY p ON owned.client USING (pattyly.has_access('owned', id));
RESET ROLE;
CREATE FUNCTION owned_rows(what text, clients bigint, assigned bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM who(e(1)::text), set_config('role', 'authenticated', false);
	RETURN NEXT is((SELECT count(*) FROM owned.client), clients, what || ': clients');
	RETURN NEXT is((SELECT count(*) FROM owned.assigned), assigned, what || ': assignments');
	PERFORM set_config('role', 'none', false);
END
$$;
SELECT owned_rows('enabled, no policy', 25, 0);
ALTER TABLE owned.assigned FORCE ROW LEVEL SECURITY; ALTER TABLE owned.client FORCE ROW LEVEL SECURITY;
SELECT owned_rows('forced, no policy', 25, 0);
CREATE POLICY same ON owned.assigned USING (pattyly.has_access('owned', client_id));
SELECT owned_rows('a policy that asks for the same relation', 25, 25);
DROP POLICY same ON owned.assigned; CREATE POLICY reads ON owned.assigned USING (EXISTS (SELECT FROM owned.client WHERE id = client_id));
SELECT owned_rows('a policy that reads the clients, whose policy asks', 25, 25);
SET row_security = off;
SELECT throws_ok($$SELECT owned_rows('', 0, 0)$$, '42501', NULL, 'row_security = off is an error for whom policies are');
SELECT set_config('role', 'none', false);
RESET row_security;
-- A filter that comes back to itself ends with an error, not with the server.
CREATE POLICY seen_by_owner ON "Client" TO tests_table_owner USING (pattyly.has_access('circle', id));
GRANT SELECT ON "Client" TO tests_table_owner;
SELECT isnt((tests.outcome($$SELECT pattyly.define_relation('circle', 'owned.assigned', 'expert_id', 'client_id', 'exists (select from "Client" as c where c.id = assigned.client_id)');
	SELECT count(pattyly.has_access('circle', id)) FROM owned.client$$)).sqlstate, 'XX000', 'a circle of relations is an error or none, but no crash');

---- Partitions and children --------------------------------------------------------------------------------------------

CREATE TABLE parts (expert_id uuid, client_id uuid, year integer) PARTITION BY LIST (year);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) PARTITION BY HASH (client_id);
CREATE TABLE parts_2_0 PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE parts_2_1 PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT e(1), c(i), 1 + i % 2 FROM generate_series(1, 20) AS i;
SELECT pattyly.define_relation('parts', 'parts', 'expert_id', 'client_id', 'year > 0');
SELECT who(e(1)::text);
SELECT is(cardinality(pattyly.accessible_uuids('parts')), 20, 'partitions of partitions');
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES IN (3); INSERT INTO parts VALUES (e(1), c(21), 3);
SELECT ok(pattyly.has_access('parts', c(21)), 'a partition that comes');
ALTER TABLE parts DETACH PARTITION parts_1;
SELECT ok(NOT pattyly.has_access('parts', c(2)) AND pattyly.has_access('parts', c(3)), 'and one that goes');
ALTER TABLE parts_3 ENABLE ROW LEVEL SECURITY;
SELECT ok(pattyly.has_access('parts', c(21)), 'row security of a partition does not matter to the whole');
SELECT pattyly.define_relation('one part', 'parts_3', 'expert_id', 'client_id');
SELECT is(pattyly.accessible_uuids('one part'), ARRAY[c(21)], 'a partition alone');
CREATE TABLE family (expert_id uuid, client_id uuid); CREATE TABLE child (extra text, CHECK (extra <> 'x')) INHERITS (family);
INSERT INTO family VALUES (e(1), c(1)); INSERT INTO child VALUES (e(1), c(2), 'y');
SELECT pattyly.define_relation('family', 'family', 'expert_id', 'client_id');
SELECT is(pattyly.accessible_uuids('family'), ARRAY[c(1), c(2)], 'children count with their parent');
-- The object may be in partitions as well.
CREATE TABLE clients_in_parts (id uuid, n integer) PARTITION BY HASH (id); CREATE TABLE cp_0 PARTITION OF clients_in_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE cp_1 PARTITION OF clients_in_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON clients_in_parts (id); INSERT INTO clients_in_parts SELECT id, n FROM "Client"; ANALYZE clients_in_parts;
SELECT who(e(4)::text);
SELECT is(count(*), (SELECT count(DISTINCT client_id) FROM expertassignment WHERE expert_id = e(4)), 'partitioned objects') FROM clients_in_parts WHERE pattyly.has_access('client', id);
-- More than one relation, and any of them.
SELECT is(count(*), (SELECT count(*) FROM "Client" AS c WHERE EXISTS (SELECT FROM expertassignment AS a WHERE expert_id = e(4) AND client_id = c.id) AND c.id IN (c(1), c(2), c(532))), 'two relations at once')
FROM "Client" WHERE pattyly.has_access('client', id) AND pattyly.has_access('active', id) AND id IN (c(1), c(2), c(532));
SELECT is(count(*), (SELECT count(DISTINCT client_id) FROM expertassignment WHERE expert_id = e(4)), 'one or the other') FROM "Client" WHERE pattyly.has_access('client', id) OR pattyly.has_access('parts', id);
SELECT is(array_agg(n ORDER BY n), ARRAY(SELECT DISTINCT ltrim(right(client_id::text, 11), '0')::int FROM expertassignment WHERE expert_id = e(4) ORDER BY 1), 'a relation named by a column')
FROM "Client", (VALUES ('client')) AS r (name) WHERE pattyly.has_access(r.name, id);
SELECT is(array_agg(n ORDER BY n), ARRAY(SELECT n FROM "Client" WHERE id = ANY (pattyly.accessible_uuids('client')) ORDER BY n), '= ANY by hand')
FROM "Client" WHERE pattyly.has_access('client', id);
SELECT * FROM finish();
DROP OWNED BY tests_view_owner, tests_table_owner CASCADE; DROP ROLE tests_view_owner, tests_table_owner;
