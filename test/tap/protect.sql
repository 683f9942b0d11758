-- protect() and unprotect(): what they write, what that does to whom, and what they refuse.
--
-- All by the role postgres as Supabase has it: no superuser, owner of the extension and of the tables.
SELECT plan(330);
SET client_min_messages = error;
DROP EXTENSION pattyly;
DROP ROLE IF EXISTS tests_dev, "tests ""odd"" role";
CREATE ROLE tests_dev;
CREATE ROLE "tests ""odd"" role";
GRANT anon, authenticated TO "tests ""odd"" role";
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO tests_dev', current_database()); END $$;
SET ROLE postgres;
CREATE EXTENSION pattyly;

-- A user, by number; also anything else that is a uuid.
CREATE FUNCTION u(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(n::text, 32, '0')::uuid $$;

-- What a statement answers to a user in a role, or its SQLSTATE; undone in any case.
CREATE FUNCTION asked(who name, n integer, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM set_config('role', who, true),
		set_config('request.jwt.claims', jsonb_build_object('role', who, 'sub', u(n))::text, true);
	BEGIN
		EXECUTE statement INTO answer;
		RAISE SQLSTATE 'UNDO1';
	EXCEPTION
		WHEN SQLSTATE 'UNDO1' THEN NULL;
		WHEN OTHERS THEN answer := SQLSTATE;
	END;
	PERFORM set_config('role', 'postgres', true), set_config('request.jwt.claims', '', true);
	RETURN answer;
END
$$;

-- Runs protect() with these arguments: first dry, then in earnest, then again. What it ran stays in ran.
CREATE TEMP TABLE ran (place bigint, statement text);
CREATE FUNCTION protects(args text, tell text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	dry text[];
	run text[];
	again text[];
BEGIN
	EXECUTE format('SELECT ARRAY(SELECT pattyly.protect(%s, dry_run => true))', args) INTO dry;
	EXECUTE format('SELECT ARRAY(SELECT pattyly.protect(%s))', args) INTO run;
	EXECUTE format('SELECT ARRAY(SELECT pattyly.protect(%s))', args) INTO again;
	TRUNCATE ran;
	INSERT INTO ran SELECT u.place, u.statement FROM unnest(run) WITH ORDINALITY AS u(statement, place);
	RETURN NEXT isnt(dry, '{}', tell || ': there is something to do');
	RETURN NEXT is(run, dry, tell || ': the dry run said what is run, and ran none of it');
	RETURN NEXT is(again, '{}', tell || ': again there is nothing to do');
END
$$;
CREATE FUNCTION ran(pattern text DEFAULT '^') RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY(SELECT statement FROM ran WHERE statement ~ pattern AND statement !~ '^COMMENT' ORDER BY place)
$$;

---- What it writes ---------------------------------------------------------------------------------------------------

CREATE TABLE doc (id uuid PRIMARY KEY, owner uuid, note text);
CREATE TABLE assigned (who uuid, what uuid);
SELECT pattyly.define_relation('doc', 'assigned', 'who', 'what');
SELECT pattyly.define_relation('self', 'assigned', 'who', 'what', include_self => true);

SELECT protects($$'doc', 'owner'$$, 'by owner');                                                                -- 3
SELECT is(ran(), ARRAY[
	'GRANT EXECUTE ON FUNCTION pattyly.uid() TO authenticated',
	'ALTER TABLE public.doc ENABLE ROW LEVEL SECURITY',
	'ALTER TABLE public.doc FORCE ROW LEVEL SECURITY',
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO authenticated USING (owner = (SELECT pattyly.uid()))',
	'CREATE INDEX ON public.doc (owner)'], 'by owner: the caller is asked for once a statement');
SELECT is((SELECT count(*) FROM ran WHERE statement ~ '^COMMENT ON POLICY pattyly_select ON public.doc IS ''pattyly.protect'),
	1::bigint, 'and marked as made by it');
SELECT protects($$'doc', relation => 'doc', object_column => 'id'$$, 'by relation');                            -- 3
SELECT is(ran(), ARRAY[
	'GRANT EXECUTE ON FUNCTION pattyly.has_access(text,uuid) TO authenticated',
	'GRANT EXECUTE ON FUNCTION pattyly.accessible_uuids(text) TO authenticated',
	'DROP POLICY pattyly_select ON public.doc',
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO authenticated USING (pattyly.has_access(''doc'', id))',
	'CREATE INDEX ON public.assigned (who, what)'], 'other arguments replace the policy; the primary key needs no index');
SELECT is(ARRAY(SELECT pattyly.protect('doc', relation => 'doc')), '{}', 'object_column is the primary key by itself');
SELECT protects($$'doc', 'owner', 'doc', 'id', '{all}'$$, 'by both');                                           -- 3
SELECT is(ran(), ARRAY[
	'DROP POLICY pattyly_select ON public.doc',
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO authenticated USING (owner = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id))',
	'CREATE POLICY pattyly_insert ON public.doc FOR INSERT TO authenticated WITH CHECK (owner = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id))',
	'CREATE POLICY pattyly_update ON public.doc FOR UPDATE TO authenticated USING (owner = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id)) WITH CHECK (owner = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id))',
	'CREATE POLICY pattyly_delete ON public.doc FOR DELETE TO authenticated USING (owner = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id))'],
	'one policy a command, not two that are OR-ed; the same policy as before is left');
SELECT protects($$'doc', 'id', 'self', 'id'$$, 'by both, which are one');                                       -- 3
SELECT is(ran('^CREATE'), ARRAY[
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO authenticated USING (pattyly.has_access(''self'', id))'],
	'a relation that includes the caller says it alone');
SELECT is((SELECT count(*) FROM pg_policy WHERE polrelid = 'doc'::regclass AND polcmd <> 'r'), 3::bigint,
	'commands that were not named keep their policies');
SELECT protects($$'doc', 'id', 'doc', 'id'$$, 'by both on one column');                                         -- 3
SELECT is(ran('^CREATE'), ARRAY[
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO authenticated USING (id = (SELECT pattyly.uid()) OR pattyly.has_access(''doc'', id))'],
	'a relation that does not include the caller does not');
SELECT protects($$'doc', 'owner', roles => '{anon,authenticated,anon}', commands => '{SELECT,insert,Select}'$$,
	'for two roles');                                                                                             -- 3
SELECT is(ran('^CREATE'), ARRAY[
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO ' || roles || ' USING (owner = (SELECT pattyly.uid()))',
	'CREATE POLICY pattyly_insert ON public.doc FOR INSERT TO ' || roles || ' WITH CHECK (owner = (SELECT pattyly.uid()))'],
	'each role and command once')
FROM (SELECT string_agg(rolname, ', ' ORDER BY oid) AS roles FROM pg_roles WHERE rolname IN ('anon', 'authenticated')) AS r;
SELECT is(ARRAY(SELECT pattyly.protect('doc', 'owner', roles => '{authenticated,anon}', commands => '{insert,select}')),
	'{}', 'in whatever order');
SELECT protects($$'doc', 'owner', roles => ARRAY['anon', 'public', 'tests "odd" role']::name[]$$, 'for everybody');   -- 3
SELECT is(ran('^CREATE|^GRANT'), ARRAY[
	'GRANT EXECUTE ON FUNCTION pattyly.uid() TO PUBLIC',
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO PUBLIC USING (owner = (SELECT pattyly.uid()))'],
	'public is everybody');
REVOKE EXECUTE ON FUNCTION pattyly.uid() FROM PUBLIC;
SELECT protects($$'doc', 'owner', roles => ARRAY['tests "odd" role']::name[]$$, 'a role whose name wants quotes');    -- 3
SELECT is(ran('^CREATE|^GRANT'), ARRAY[
	'CREATE POLICY pattyly_select ON public.doc FOR SELECT TO "tests ""odd"" role" USING (owner = (SELECT pattyly.uid()))'],
	'gets them, and no function that it has through another role');

-- Somebody changes a policy of ours by hand.
SELECT pattyly.protect('doc', 'owner', commands => '{all}');
CREATE FUNCTION mended(change text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE change;
	RETURN (SELECT string_agg(s, '; ') FROM pattyly.protect('doc', 'owner', commands => '{all}') AS s WHERE s !~ '^COMMENT');
END
$$;
SELECT is(mended('ALTER POLICY pattyly_update ON doc WITH CHECK (true)'), 'DROP POLICY pattyly_update ON public.doc; '
	|| 'CREATE POLICY pattyly_update ON public.doc FOR UPDATE TO authenticated USING (owner = (SELECT pattyly.uid())) '
	|| 'WITH CHECK (owner = (SELECT pattyly.uid()))', 'a check that was opened by hand is closed again');
SELECT ok(mended('ALTER POLICY pattyly_select ON doc USING (true)') ~ '^DROP POLICY pattyly_select', 'so is what is seen');
SELECT ok(mended('ALTER POLICY pattyly_delete ON doc TO anon, authenticated') ~ '^DROP POLICY pattyly_delete', 'so is to whom');
SELECT ok(mended($$DROP POLICY pattyly_insert ON doc; CREATE POLICY pattyly_insert ON doc AS RESTRICTIVE FOR INSERT
	TO authenticated WITH CHECK (owner = (SELECT pattyly.uid())); COMMENT ON POLICY pattyly_insert ON doc IS 'pattyly.protect'$$)
	~ '^DROP POLICY pattyly_insert', 'a restrictive one lets nobody pass');
SELECT is(mended('ALTER TABLE doc NO FORCE ROW LEVEL SECURITY'), 'ALTER TABLE public.doc FORCE ROW LEVEL SECURITY',
	'what was turned off is turned on');
SELECT is(mended('ALTER TABLE doc RENAME COLUMN owner TO owner_id; ALTER TABLE doc RENAME COLUMN owner_id TO owner'), NULL,
	'a column that was renamed is known by its new name');
SELECT is(mended($$SELECT set_config('search_path', 'tap, pattyly, public', true)$$), NULL,
	'the caller''s search_path changes nothing');
RESET search_path;

-- FORCE is the caller's choice, and never taken back.
CREATE TABLE unforced (id uuid PRIMARY KEY);
SELECT is(ARRAY(SELECT s FROM pattyly.protect('unforced', 'id', force => false) AS s WHERE s ~ '^ALTER'),
	ARRAY['ALTER TABLE public.unforced ENABLE ROW LEVEL SECURITY'], 'without force the owner is not subject');
SELECT is(ARRAY(SELECT pattyly.protect('unforced', 'id')), ARRAY['ALTER TABLE public.unforced FORCE ROW LEVEL SECURITY'],
	'with it he is');
SELECT is(ARRAY(SELECT pattyly.protect('unforced', 'id', force => false)), '{}', 'and stays so');

---- What it does -----------------------------------------------------------------------------------------------------

-- User 1 owns document 1 and is assigned to 2 and to the future 8; user 2 owns document 2.
TRUNCATE doc;
INSERT INTO doc SELECT u(n), u(n), 'old' FROM generate_series(1, 3) AS n;
INSERT INTO assigned VALUES (u(1), u(2)), (u(1), u(8)), (u(2), u(3));
ALTER TABLE assigned ENABLE ROW LEVEL SECURITY;

CREATE TABLE deeds (place integer, who name, n integer, deed text, owner text, relation text, both_ text);
INSERT INTO deeds VALUES
	(1, 'authenticated', 1, 'SELECT string_agg(right(id::text, 1), '''' ORDER BY id) FROM doc', '1', '2', '12'),
	(2, 'authenticated', 2, 'SELECT string_agg(right(id::text, 1), '''' ORDER BY id) FROM doc', '2', '3', '23'),
	(3, 'authenticated', 4, 'SELECT count(*) FROM doc', '0', '0', '0'),
	(4, 'authenticated', NULL, 'SELECT count(*) FROM doc', '0', '0', '0'),
	(5, 'anon', 1, 'SELECT count(*) FROM doc', '0', '0', '0'),
	(6, 'service_role', 1, 'SELECT count(*) FROM doc', '3', '3', '3'),
	(7, 'authenticated', 1, 'INSERT INTO doc VALUES (u(9), u(1)) RETURNING 1', '1', '42501', '1'),
	(8, 'authenticated', 1, 'INSERT INTO doc VALUES (u(8), u(2)) RETURNING 1', '42501', '1', '1'),
	(9, 'authenticated', 1, 'INSERT INTO doc VALUES (u(9), u(2)) RETURNING 1', '42501', '42501', '42501'),
	(10, 'anon', 1, 'INSERT INTO doc VALUES (u(9), u(1)) RETURNING 1', '42501', '42501', '42501'),
	(11, 'authenticated', 1, 'WITH x AS (UPDATE doc SET note = ''new'' RETURNING *) SELECT string_agg(right(id::text, 1), '''' ORDER BY id) FROM x', '1', '2', '12'),
	(12, 'authenticated', 1, 'UPDATE doc SET owner = u(4) WHERE id = u(1) RETURNING 1', '42501', NULL, '42501'),
	(13, 'authenticated', 1, 'UPDATE doc SET id = u(9) WHERE id = u(2) RETURNING 1', NULL, '42501', '42501'),
	(14, 'anon', 1, 'UPDATE doc SET note = ''new'' RETURNING 1', NULL, NULL, NULL),
	(15, 'authenticated', 1, 'WITH x AS (DELETE FROM doc RETURNING *) SELECT string_agg(right(id::text, 1), '''' ORDER BY id) FROM x', '1', '2', '12'),
	(16, 'authenticated', 4, 'DELETE FROM doc RETURNING 1', NULL, NULL, NULL),
	(17, 'authenticated', 1, 'INSERT INTO doc VALUES (u(2), u(1)) ON CONFLICT (id) DO UPDATE SET note = ''new'' RETURNING 1', '42501', '1', '1');

SELECT pattyly.protect('doc', 'owner', commands => '{all}');
SELECT is(asked(who, n, deed), owner, format('by owner, %s %s: %s', who, n, deed)) FROM deeds ORDER BY place;   -- 17
SELECT pattyly.protect('doc', relation => 'doc', commands => '{all}');
SELECT is(asked(who, n, deed), relation, format('by relation, %s %s: %s', who, n, deed)) FROM deeds ORDER BY place; -- 17
SELECT pattyly.protect('doc', 'owner', 'doc', commands => '{all}');
SELECT is(asked(who, n, deed), both_, format('by both, %s %s: %s', who, n, deed)) FROM deeds ORDER BY place;    -- 17

-- A command without a policy is refused.
SELECT pattyly.unprotect('doc');
SELECT pattyly.protect('doc', 'owner');
SELECT is(asked('authenticated', 1, 'SELECT count(*) FROM doc'), '1', 'select alone: seen');
SELECT is(asked('authenticated', 1, 'INSERT INTO doc VALUES (u(9), u(1)) RETURNING 1'), '42501', 'not inserted');
SELECT is(asked('authenticated', 1, 'UPDATE doc SET note = ''new'' RETURNING 1'), NULL, 'not updated');
SELECT is(asked('authenticated', 1, 'DELETE FROM doc RETURNING 1'), NULL, 'not deleted');

-- The owner of the table, when he has no BYPASSRLS.
SET ROLE supabase_admin;
CREATE SCHEMA dev AUTHORIZATION tests_dev;
CREATE TABLE dev.owned (id uuid PRIMARY KEY);
ALTER TABLE dev.owned OWNER TO tests_dev;
INSERT INTO dev.owned VALUES (u(1)), (u(2));
SELECT pattyly.protect('dev.owned', 'id', roles => '{public}', force => false);
SELECT set_config('request.jwt.claims', jsonb_build_object('sub', u(1))::text, false);
SET ROLE tests_dev;
SELECT is((SELECT count(*) FROM dev.owned), 2::bigint, 'without force the owner sees everything');
SET ROLE supabase_admin;
SELECT pattyly.protect('dev.owned', 'id', roles => '{public}');
SET ROLE tests_dev;
SELECT is((SELECT count(*) FROM dev.owned), 1::bigint, 'with force he sees what is his');
SET ROLE supabase_admin;
SELECT set_config('request.jwt.claims', '', false);
DROP TABLE dev.owned;
REVOKE EXECUTE ON FUNCTION pattyly.uid() FROM PUBLIC;
SET ROLE postgres;

---- Names and types --------------------------------------------------------------------------------------------------

CREATE SCHEMA "Ein ""Haus""";
CREATE TABLE "Ein ""Haus"""."Client; --" ("Id ""x""" uuid PRIMARY KEY, "order" uuid, uid uuid);
CREATE TABLE "Expert'Assignment" ("who's" uuid, "What" uuid);
SELECT pattyly.define_relation($$it's "a" \ relation$$, '"Expert''Assignment"', 'who''s', 'What');
SELECT protects($$'"Ein ""Haus"""."Client; --"', 'order', 'it''s "a" \ relation', 'Id "x"', '{all}'$$, 'odd names');   -- 3
SELECT is(ran('SELECT TO|INDEX'), ARRAY[
	$$CREATE POLICY pattyly_select ON "Ein ""Haus"""."Client; --" FOR SELECT TO authenticated USING ("order" = (SELECT pattyly.uid()) OR pattyly.has_access(E'it''s "a" \\ relation', "Id ""x"""))$$,
	$$CREATE INDEX ON "Ein ""Haus"""."Client; --" ("order")$$,
	$$CREATE INDEX ON public."Expert'Assignment" ("who's", "What")$$], 'get their quotes');
GRANT USAGE ON SCHEMA "Ein ""Haus""" TO authenticated;
GRANT SELECT ON "Ein ""Haus"""."Client; --" TO authenticated;
INSERT INTO "Ein ""Haus"""."Client; --" SELECT u(n), u(n + 1) FROM generate_series(1, 5) AS n;
INSERT INTO "Expert'Assignment" VALUES (u(2), u(4));
SELECT is(asked('authenticated', 2, 'SELECT string_agg(right("Id ""x"""::text, 1), '''') FROM "Ein ""Haus"""."Client; --"'), '14',
	'and work');
SELECT protects($$'"Ein ""Haus"""."Client; --"', 'uid'$$, 'a column named as the function');                      -- 3
SELECT is((SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polname = 'pattyly_select'
		AND polrelid = '"Ein ""Haus"""."Client; --"'::regclass), '(uid = ( SELECT pattyly.uid() AS uid))', 'is the column');
SELECT is(ARRAY(SELECT pattyly.unprotect('"Ein ""Haus"""."Client; --"')), ARRAY[
	'DROP POLICY pattyly_select ON "Ein ""Haus"""."Client; --"',
	'DROP POLICY pattyly_insert ON "Ein ""Haus"""."Client; --"',
	'DROP POLICY pattyly_update ON "Ein ""Haus"""."Client; --"',
	'DROP POLICY pattyly_delete ON "Ein ""Haus"""."Client; --"',
	'-- row level security of "Ein ""Haus"""."Client; --" stays on: without another policy nobody sees a row'],
	'unprotect() quotes them as well');

CREATE DOMAIN uuid_domain AS uuid;
CREATE DOMAIN int_domain AS integer CHECK (value > 0);
CREATE DOMAIN int_domain_domain AS int_domain;
CREATE TABLE types (type text, key_type text, policy text, index_key text);
INSERT INTO types VALUES
	('uuid', 'uuid', 'id', 'id'),
	('bigint', 'bigint', 'id', 'id'),
	('bigint', 'smallint', 'id', 'id'),
	('integer', 'bigint', 'id::bigint', '(id::bigint)'),
	('smallint', 'integer', 'id::bigint', '(id::bigint)'),
	('text', 'varchar', 'id', 'id'),
	('varchar(10)', 'text', 'id::text', 'id'),
	('uuid_domain', 'uuid', 'id', 'id'),
	('int_domain_domain', 'int_domain', 'id::bigint', '(id::bigint)');
CREATE FUNCTION typed(t types) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	value text := CASE WHEN t.type ~ 'uuid' THEN 'u(n)' ELSE 'n' END;
	tell text := format('%s by %s', t.type, t.key_type);
BEGIN
	DROP TABLE IF EXISTS typed_object, typed_assigned;
	EXECUTE format('CREATE TABLE typed_object AS SELECT (%s)::%s AS id FROM generate_series(1, 2000) AS n', value, t.type);
	EXECUTE format('CREATE TABLE typed_assigned AS SELECT u(1) AS who, (%s)::%s AS what FROM generate_series(7, 9) AS n',
		value, t.key_type);
	PERFORM pattyly.define_relation('typed', 'typed_assigned', 'who', 'what');
	RETURN QUERY SELECT protects($x$'typed_object', relation => 'typed', object_column => 'id'$x$, tell);
	RETURN NEXT is(ran('^CREATE'), ARRAY[
		format('CREATE POLICY pattyly_select ON public.typed_object FOR SELECT TO authenticated USING (pattyly.has_access(''typed'', %s))', t.policy),
		format('CREATE INDEX ON public.typed_object (%s)', t.index_key),
		'CREATE INDEX ON public.typed_assigned (who, what)'], tell || ': what is written');
	ANALYZE typed_object, typed_assigned;
	RETURN NEXT is(asked('authenticated', 1, 'SELECT count(*) FROM typed_object'), '3', tell || ': who is assigned sees');
	RETURN NEXT is(asked('authenticated', 2, 'SELECT count(*) FROM typed_object'), '0', tell || ': who is not does not');
	PERFORM set_config('role', 'authenticated', true);
	RETURN NEXT is((SELECT count(*) FROM plan('SELECT id FROM typed_object') AS line WHERE line ~ 'Index Cond'), 1::bigint,
		tell || ': the index serves the policy');
	PERFORM set_config('role', 'postgres', true);
END
$$;
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END
$$;
SELECT typed(t) FROM types AS t;                                                                                -- 63

---- Partitions and children ------------------------------------------------------------------------------------------

CREATE TABLE event (id integer, owner uuid, day date) PARTITION BY RANGE (day);
CREATE TABLE event_2029 PARTITION OF event FOR VALUES FROM ('2029-01-01') TO ('2030-01-01');
CREATE TABLE event_2030 PARTITION OF event FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') PARTITION BY LIST (id);
CREATE TABLE event_2030_1 PARTITION OF event_2030 FOR VALUES IN (1);
CREATE TABLE event_2030_2 PARTITION OF event_2030 DEFAULT;
INSERT INTO event SELECT n, u(n), d::date FROM generate_series(1, 3) AS n, (VALUES ('2029-02-01'), ('2030-02-01')) AS v(d);
SELECT is(asked('anon', 1, 'SELECT count(*) FROM event_2029'), '3', 'before, anybody reads everything');
SELECT protects($$'event', 'owner', commands => '{select,update}'$$, 'partitions');                               -- 3
SELECT is((SELECT count(*) FROM pg_class AS c WHERE c.relname ~ '^event' AND c.relkind IN ('r', 'p')
	AND c.relrowsecurity AND c.relforcerowsecurity
	AND 2 = (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid)), 5::bigint,
	'every partition has row security, forced, and both policies');
SELECT is(ran('INDEX'), ARRAY['CREATE INDEX ON public.event (owner)'], 'the parent''s index is enough');
SELECT is(asked('authenticated', 2, format('SELECT count(*) FROM %s', t)), seen, 'read as ' || t)
FROM (VALUES ('event', '2'), ('event_2029', '1'), ('event_2030', '1'), ('event_2030_1', '0'), ('event_2030_2', '1'))
	AS v(t, seen);                                                                                              -- 5
SELECT is(asked('anon', 2, format('SELECT count(*) FROM %s', t)), '0', 'read by anon as ' || t)
FROM unnest('{event,event_2029,event_2030,event_2030_1,event_2030_2}'::text[]) AS t;                            -- 5
CREATE TABLE event_2031 PARTITION OF event FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
SELECT protects($$'event', 'owner', commands => '{select,update}'$$, 'a partition that was added');               -- 3
SELECT is(ran(), ARRAY[
	'ALTER TABLE public.event_2031 ENABLE ROW LEVEL SECURITY',
	'ALTER TABLE public.event_2031 FORCE ROW LEVEL SECURITY',
	'CREATE POLICY pattyly_select ON public.event_2031 FOR SELECT TO authenticated USING (owner = (SELECT pattyly.uid()))',
	'CREATE POLICY pattyly_update ON public.event_2031 FOR UPDATE TO authenticated USING (owner = (SELECT pattyly.uid())) WITH CHECK (owner = (SELECT pattyly.uid()))'],
	'the rest has it already');
SELECT is((SELECT count(*) FROM pattyly.unprotect('event') AS s WHERE s ~ '^DROP POLICY'), 12::bigint,
	'unprotect() takes them off all');
SELECT is((SELECT count(*) FROM pg_class WHERE relname ~ '^event' AND relkind IN ('r', 'p') AND relrowsecurity), 6::bigint,
	'row security stays on');

-- One of them by itself; and one that belongs to somebody else.
SELECT protects($$'event_2029', 'owner'$$, 'one partition');                                                      -- 3
SELECT is((SELECT count(*) FROM pg_policy WHERE polrelid IN (SELECT oid FROM pg_class WHERE relname ~ '^event')), 1::bigint,
	'is protected by itself');
SET ROLE supabase_admin;
ALTER TABLE event_2030_2 OWNER TO tests_dev;
SET ROLE postgres;
SELECT throws_like($$SELECT pattyly.protect('event', 'owner')$$, 'must be owner of table public.event_2030_2',
	'a partition that is not the caller''s is not left out');

-- Foreign tables have no policies.
SET ROLE supabase_admin;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
ALTER TABLE event_2030_2 OWNER TO postgres;
GRANT USAGE ON FOREIGN SERVER nowhere TO postgres;
SET ROLE postgres;
CREATE FOREIGN TABLE event_2032 PARTITION OF event FOR VALUES FROM ('2032-01-01') TO ('2033-01-01') SERVER nowhere;
SELECT is((SELECT string_agg(s, '') FROM pattyly.protect('event', 'owner') AS s WHERE s ~ 'event_2032'),
	'-- public.event_2032 is a foreign table, which has no row policies: REVOKE what others may do with it',
	'a foreign partition is named');

CREATE TABLE base (id uuid PRIMARY KEY, note text);
CREATE TABLE derived (more text) INHERITS (base);
CREATE TABLE derived_more () INHERITS (derived, base);
INSERT INTO derived_more VALUES (u(1)), (u(2));
SELECT protects($$'base', 'id'$$, 'inheritance');                                                                -- 3
SELECT is(ran('INDEX'), ARRAY['CREATE INDEX ON public.derived (id)', 'CREATE INDEX ON public.derived_more (id)'],
	'children need indexes of their own, once each');
SELECT is(asked('authenticated', 1, format('SELECT count(*) FROM %s', t)), '1', 'read as ' || t)
FROM unnest('{base,derived,derived_more}'::text[]) AS t;                                                         -- 3

---- Policies of others -----------------------------------------------------------------------------------------------

CREATE TABLE shared (id uuid PRIMARY KEY, is_public boolean);
INSERT INTO shared VALUES (u(1), false), (u(2), true), (u(3), false);
CREATE POLICY "of mine" ON shared FOR SELECT TO authenticated USING (is_public);
CREATE POLICY elsewhere ON shared FOR DELETE TO authenticated USING (is_public);
CREATE POLICY never ON shared AS RESTRICTIVE FOR SELECT TO authenticated USING (id <> u(3));
CREATE POLICY others ON shared FOR SELECT TO service_role USING (true);
CREATE POLICY all_of_anon ON shared FOR ALL TO anon USING (false);
CREATE TEMP TABLE before AS SELECT * FROM pg_policies WHERE tablename = 'shared';
SELECT protects($$'shared', 'id'$$, 'beside other policies');                                                    -- 3
SELECT set_eq('SELECT * FROM pg_policies WHERE tablename = ''shared'' AND policyname <> ''pattyly_select''',
	'SELECT * FROM before', 'which stay as they are');
SELECT is(asked('authenticated', 1, 'SELECT count(*) FROM shared'), '2', 'and count');
SELECT pattyly.unprotect('shared');
SELECT set_eq('SELECT * FROM pg_policies WHERE tablename = ''shared''', 'SELECT * FROM before',
	'unprotect() leaves them, too');

-- What a client is told, which only a client can see.
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c role=postgres'
\set warned `psql -qXAt -c "BEGIN; SELECT pattyly.protect('shared', 'id', dry_run => true)" 2>&1 >/dev/null`
SELECT ok(:'warned' ~ 'WARNING:  table public.shared has other policies that let rows pass: "of mine"\n',
	'a warning names the one that is OR-ed: not that for another command or role, nor the restrictive one');
SELECT ok(:'warned' ~ 'HINT:  Drop those', 'with a hint');
\set warned `psql -qXAt -c "BEGIN; SELECT pattyly.protect('shared', 'id', commands => '{insert}', roles => '{anon}')" 2>&1 >/dev/null`
SELECT ok(:'warned' ~ 'rows pass: all_of_anon\n', 'a policy for all commands is one for each');
\set warned `psql -qXAt -c "BEGIN; SELECT pattyly.protect('shared', 'id', commands => '{select}', roles => '{public}')" 2>&1 >/dev/null`
SELECT ok(:'warned' ~ 'rows pass: all_of_anon, "of mine", others\n', 'everybody is each role as well');
\set warned `psql -qXAt -c "BEGIN; SELECT pattyly.protect('shared', 'id', commands => '{insert}')" 2>&1 >/dev/null`
SELECT is(:'warned'::text, '', 'nothing to say, nothing said');

CREATE POLICY pattyly_update ON shared FOR UPDATE TO authenticated USING (id = pattyly.uid());
SELECT throws_ok($$SELECT pattyly.protect('shared', 'id', commands => '{all}')$$, '42710', NULL,
	'a policy of such a name that is not ours is not touched');
SELECT is((SELECT count(*) FROM pg_policy WHERE polrelid = 'shared'::regclass AND polname ~ '^pattyly'), 1::bigint,
	'and nothing else is done');
SELECT is(ARRAY(SELECT pattyly.unprotect('shared')), '{}', 'nor does unprotect() drop it');

---- Functions that the roles may execute ------------------------------------------------------------------------------

CREATE TABLE granted (id uuid PRIMARY KEY);
SELECT pattyly.revoke_api();
REVOKE EXECUTE ON FUNCTION pattyly.uid(), pattyly.has_access(text, uuid), pattyly.accessible_uuids(text)
	FROM anon, authenticated;
SELECT is(ARRAY(SELECT s FROM pattyly.protect('granted', 'id', 'doc', dry_run => true) AS s WHERE s ~ '^GRANT'), ARRAY[
	'GRANT EXECUTE ON FUNCTION pattyly.uid() TO authenticated',
	'GRANT EXECUTE ON FUNCTION pattyly.has_access(text,uuid) TO authenticated',
	'GRANT EXECUTE ON FUNCTION pattyly.accessible_uuids(text) TO authenticated'], 'what the policy calls, to whom it is for');
GRANT EXECUTE ON FUNCTION pattyly.uid(), pattyly.has_access(text, uuid) TO authenticated;
SELECT is(ARRAY(SELECT s FROM pattyly.protect('granted', 'id', 'doc', dry_run => true, roles => '{anon,authenticated}') AS s
	WHERE s ~ 'accessible|uid\(\) TO'), ARRAY[
	'GRANT EXECUTE ON FUNCTION pattyly.uid() TO anon',
	(SELECT 'GRANT EXECUTE ON FUNCTION pattyly.accessible_uuids(text) TO ' || string_agg(rolname, ', ' ORDER BY oid)
		FROM pg_roles WHERE rolname IN ('anon', 'authenticated'))], 'to those who lack it');
SELECT pattyly.grant_api();
SELECT is((SELECT count(*) FROM pattyly.protect('granted', 'id', 'doc', dry_run => true) AS s WHERE s ~ '^GRANT'),
	0::bigint, 'after grant_api() there is nothing to grant');
SELECT pattyly.revoke_api();
SELECT pattyly.protect('granted', 'id');
SELECT ok(NOT has_schema_privilege('authenticated', 'pattyly', 'USAGE'), 'the schema is not opened');
SELECT is(asked('authenticated', 1, 'SELECT count(*) FROM granted'), '0', 'nor needed');

---- Indexes ----------------------------------------------------------------------------------------------------------

-- What protect() makes of a table with this index (and the relation's table with that one).
CREATE FUNCTION indexed(on_target text, on_assigned text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS indexed, indexed_assigned;
	CREATE TABLE indexed (id uuid, owner uuid, note text);
	CREATE TABLE indexed_assigned (who uuid, what uuid, note text);
	EXECUTE on_target;
	EXECUTE on_assigned;
	PERFORM pattyly.define_relation('indexed', 'indexed_assigned', 'who', 'what');
	RETURN coalesce((SELECT string_agg(replace(replace(s, 'CREATE INDEX ON public.indexed', ''), '_assigned', 'assigned'), ', ')
		FROM pattyly.protect('indexed', 'owner', 'indexed', 'id') AS s WHERE s ~ 'INDEX'), 'none');
END
$$;
SELECT is(indexed(''), ' (id),  (owner), assigned (who, what)', 'none there, all made');
SELECT is(indexed('ALTER TABLE indexed ADD PRIMARY KEY (id, owner); CREATE INDEX ON indexed (owner, note)',
	'ALTER TABLE indexed_assigned ADD PRIMARY KEY (who, what)'), 'none', 'one that begins with the column will do');
SELECT is(indexed('CREATE INDEX ON indexed (owner, id)', 'ALTER TABLE indexed_assigned ADD PRIMARY KEY (what, who)'),
	' (id), assigned (who, what)', 'one that ends with it will not');
SELECT is(indexed('CREATE INDEX ON indexed (id) WHERE note IS NULL; CREATE INDEX ON indexed (owner) WHERE owner IS NOT NULL',
	'CREATE INDEX ON indexed_assigned (who, what) WHERE note IS NULL'), ' (id),  (owner), assigned (who, what)',
	'nor one over some rows');
SELECT is(indexed('CREATE INDEX ON indexed USING brin (id); CREATE INDEX ON indexed (owner DESC NULLS LAST)'),
	' (id), assigned (who, what)', 'nor one of another kind; the direction is the same to us');
SELECT is(indexed('CREATE INDEX ON indexed ((id)); CREATE INDEX ON indexed (coalesce(owner, id))',
	'CREATE INDEX ON indexed_assigned (who) INCLUDE (what)'), ' (owner), assigned (who, what)',
	'nor one over an expression, nor a key that is only carried');
SELECT is(indexed('CREATE INDEX ON indexed (id, owner)', 'ALTER TABLE indexed_assigned ADD UNIQUE (who)'), ' (owner)',
	'where everybody has one row, it is found by him alone');
SELECT is(indexed('', 'CREATE INDEX ON indexed_assigned (who, what, note)'), ' (id),  (owner)', 'a longer one will do');

-- An index that failed half-way does not count.
CREATE TABLE indexed_badly (id uuid);
INSERT INTO indexed_badly VALUES (u(1)), (u(1));
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY indexed_badly_index ON indexed_badly (id);
\set ON_ERROR_STOP on
SELECT ok(NOT indisvalid, 'an index that failed half-way') FROM pg_index WHERE indexrelid = 'indexed_badly_index'::regclass;
SELECT is(ARRAY(SELECT s FROM pattyly.protect('indexed_badly', 'id') AS s WHERE s ~ 'INDEX'),
	ARRAY['CREATE INDEX ON public.indexed_badly (id)'], 'does not count');

-- The table of assignments is the protected one.
CREATE TABLE itself (who uuid, what uuid);
SELECT pattyly.define_relation('itself', 'itself', 'who', 'what');
SELECT protects($$'itself', 'who', 'itself', 'what'$$, 'a table of assignments itself');                         -- 3
SELECT is(ran('INDEX'), ARRAY['CREATE INDEX ON public.itself (what)', 'CREATE INDEX ON public.itself (who, what)'],
	'one index serves two purposes');
INSERT INTO itself VALUES (u(1), u(7)), (u(2), u(7)), (u(2), u(8));
SELECT is(asked('authenticated', 1, 'SELECT count(*) FROM itself'), '2', 'and it is readable by its own rule');

-- Too big: a row a page.
CREATE UNLOGGED TABLE big (id uuid, note text) WITH (fillfactor = 10);
INSERT INTO big SELECT u(n), repeat('x', 900) FROM generate_series(1, 32768) AS n;
SELECT cmp_ok(pg_relation_size('big'), '>=', 256 * 1024 * 1024::bigint, 'a table of 256 MB');
SELECT is(ARRAY(SELECT s FROM pattyly.protect('big', 'id') AS s WHERE s ~ 'INDEX'),
	ARRAY['-- CREATE INDEX CONCURRENTLY ON public.big (id);  too big to be locked: run it outside a transaction'],
	'gets a proposal');
SELECT is(ARRAY(SELECT pattyly.protect('big', 'id')),
	ARRAY['-- CREATE INDEX CONCURRENTLY ON public.big (id);  too big to be locked: run it outside a transaction'],
	'each time, and nothing else');
SELECT ok(NOT relhasindex, 'but no index') FROM pg_class WHERE oid = 'big'::regclass;
CREATE INDEX CONCURRENTLY ON public.big (id);
SELECT is(ARRAY(SELECT pattyly.protect('big', 'id')), '{}', 'until it was taken');
DROP TABLE big;
CREATE TABLE parted (id uuid) PARTITION BY HASH (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO parted VALUES (u(1));
SELECT is(ARRAY(SELECT pattyly.protect_indexes('parted', '{id}', NULL, too_big => 8192)),
	ARRAY['-- CREATE INDEX ON public.parted (id);  too big to be locked: CONCURRENTLY on each partition first'],
	'the partitions count, and another way is told: there is no CONCURRENTLY for a partitioned table');
SELECT is(ARRAY(SELECT pattyly.protect_indexes('parted', '{id}', NULL, too_big => 8193)),
	ARRAY['CREATE INDEX ON public.parted (id)'], 'a byte less is not too big');

-- Somebody else's.
SET ROLE supabase_admin;
CREATE TABLE not_mine (who uuid, what uuid);
SELECT pattyly.define_relation('not_mine', 'not_mine', 'who', 'what');
SET ROLE postgres;
CREATE TABLE mine (id uuid PRIMARY KEY);
SELECT is(ARRAY(SELECT s FROM pattyly.protect('mine', relation => 'not_mine') AS s WHERE s ~ 'INDEX'),
	ARRAY['-- CREATE INDEX CONCURRENTLY ON public.not_mine (who, what);  for the owner of the table, outside a transaction'],
	'a table of assignments that is not the caller''s gets a proposal');

---- What it refuses --------------------------------------------------------------------------------------------------

CREATE VIEW a_view AS SELECT * FROM doc;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM doc;
CREATE SEQUENCE a_sequence;
CREATE FOREIGN TABLE a_foreign_table (id uuid) SERVER nowhere;
CREATE TABLE no_key (a uuid, b uuid, c integer, PRIMARY KEY (a, b));
CREATE TABLE gone (who uuid, what uuid);
SELECT pattyly.define_relation('gone', 'gone', 'who', 'what');
DROP TABLE gone;
CREATE TABLE refused (args text, sqlstate text, message text);
INSERT INTO refused VALUES
	($$NULL, 'owner'$$, '22004', 'no table was named'),
	($$999999999::oid, 'owner'$$, '42P01', 'table with OID 999999999 does not exist'),
	($$'a_view', 'owner'$$, '42809', 'public.a_view is not a table'),
	($$'a_matview', 'owner'$$, '42809', 'public.a_matview is not a table'),
	($$'a_sequence', 'owner'$$, '42809', 'public.a_sequence is not a table'),
	($$'a_foreign_table', 'id'$$, '42809', 'public.a_foreign_table is not a table'),
	($$'doc_pkey', 'owner'$$, '42809', 'public.doc_pkey is not a table'),
	($$'pg_class', 'owner'$$, '42809', 'pg_class is a system catalog'),
	($$'information_schema.sql_features', 'owner'$$, '42809', 'information_schema.sql_features is a system catalog'),
	($$'auth.users', 'id'$$, '42501', 'must be owner of table auth.users'),
	($$'doc'$$, '22023', 'neither owner_column nor relation was given'),
	($$'doc', 'owner', object_column => 'id'$$, '22023', 'object_column was given without a relation'),
	($$'doc', relation => 'no such'$$, '42704', 'relation "no such" is not defined'),
	($$'doc', relation => ''$$, '42704', 'relation "" is not defined'),
	($$'doc', relation => repeat('x', 100000)$$, '42704', format('relation "%s" is not defined', repeat('x', 100))),
	($$'no_key', relation => 'doc'$$, '22023', 'object_column is missing, and public.no_key has no primary key of one column'),
	($$'doc', relation => 'gone'$$, '42P01', 'the table of assignments of relation "gone" does not exist'),
	($$'doc', 'Owner'$$, '42703', 'column "Owner" of table public.doc does not exist'),
	($$'doc', 'ctid'$$, '42703', 'column "ctid" of table public.doc does not exist'),
	($$'doc', 'owner = owner --'$$, '42703', 'column "owner = owner --" of table public.doc does not exist'),
	($$'doc', relation => 'doc', object_column => 'nothing'$$, '42703', 'column "nothing" of table public.doc does not exist'),
	($$'doc', 'note'$$, '42804', 'column "note" of type text cannot be the owner of a row'),
	($$'no_key', 'c'$$, '42804', NULL),
	($$'doc', relation => 'doc', object_column => 'note'$$, '42804', 'column note of type text cannot be an object of relation "doc"'),
	($$'no_key', relation => 'doc', object_column => 'c'$$, '42804', NULL),
	($$'event', relation => 'doc', object_column => 'day'$$, '42804', 'column day of type date cannot be an object of relation "doc"'),
	($$'doc', 'owner', commands => '{}'$$, '22023', 'no command was named'),
	($$'doc', 'owner', commands => NULL$$, '22004', 'commands are missing'),
	($$'doc', 'owner', commands => '{select,NULL}'$$, '22004', 'commands are missing'),
	($$'doc', 'owner', commands => '{select,truncate}'$$, '22023', 'unknown command "truncate"'),
	($$'doc', 'owner', commands => '{"select; DROP TABLE doc"}'$$, '22023', 'unknown command "select; DROP TABLE doc"'),
	($$'doc', 'owner', roles => '{}'$$, '22023', 'no role was named'),
	($$'doc', 'owner', roles => NULL$$, '22004', 'roles are missing'),
	($$'doc', 'owner', roles => '{anon,NULL}'$$, '22004', 'roles are missing'),
	($$'doc', 'owner', roles => '{anon,nobody_there}'$$, '42704', 'role "nobody_there" does not exist'),
	($$'doc', 'owner', roles => '{public,nobody_there}'$$, '42704', 'role "nobody_there" does not exist'),
	($$'doc', 'owner', roles => '{current_user}'$$, '42704', 'role "current_user" does not exist'),
	($$'doc', 'owner', force => NULL$$, '22004', NULL),
	($$'doc', 'owner', dry_run => NULL$$, '22004', NULL);
CREATE TEMP TABLE all_policies AS SELECT * FROM pg_policies;
SELECT is(o.sqlstate || coalesce(' ' || o.message, ''), r.sqlstate || coalesce(' ' || coalesce(r.message, o.message), ''), left(r.args, 60))
FROM refused AS r, tests.outcome(format('SELECT pattyly.protect(%s)', r.args)) AS o;                             -- 39
SELECT is_empty($$SELECT r.args FROM refused AS r, tests.outcome(format('SELECT pattyly.protect(%s)', r.args)) AS o
	WHERE coalesce(o.hint, '') = ''$$, 'every error has a hint');
SELECT is_empty($$SELECT r.args FROM refused AS r, tests.outcome(format('SELECT pattyly.protect(%s%s)', r.args,
	CASE WHEN r.args !~ 'dry_run' THEN ', dry_run => true' END)) AS o WHERE o.sqlstate <> r.sqlstate$$,
	'a dry run refuses the same');
SELECT set_eq('SELECT * FROM pg_policies', 'SELECT * FROM all_policies', 'none of them did anything');
SELECT is((tests.outcome(format('SELECT pattyly.unprotect(%s)', target))).sqlstate, state, 'unprotect: ' || target)
FROM (VALUES ('NULL', '22004'), ('999999999::oid', '42P01'), ('''a_view''', '42809'), ('''pg_class''', '42809'),
	('''auth.users''', '42501')) AS v(target, state);                                                           -- 5

-- policy_text() is what pg_policies shows.
SELECT is(pattyly.policy_text('doc', $$owner=(select auth.uid())and note in('a','b')$$),
	$$((owner = ( SELECT auth.uid() AS uid)) AND (note = ANY (ARRAY['a'::text, 'b'::text])))$$, 'policy_text()');
SELECT is(pattyly.policy_text('doc', 'true'), 'true', 'policy_text() of a constant');
SELECT is(pattyly.policy_text('doc', NULL), NULL, 'policy_text() of NULL');
SELECT is((tests.outcome(format('SELECT pattyly.policy_text(%s, %L)', target, expression))).sqlstate, state,
	format('policy_text(%s, %s)', target, expression))
FROM (VALUES ('''doc''', 'nothing = 1', '42703'), ('''doc''', 'note', '42804'), ('''doc''', 'true) OR (true', '42601'),
	('''doc''', 'count(*) > 0', '42803'), ('''a_view''', 'true', '42809'), ('999999999::oid', 'true', '42P01'))
	AS v(target, expression, state);                                                                            -- 6

---- unprotect --------------------------------------------------------------------------------------------------------

SELECT pattyly.unprotect('doc');
SELECT pattyly.protect('doc', 'owner', commands => '{delete,select}');
SELECT is(ARRAY(SELECT pattyly.unprotect('doc')), ARRAY[
	'DROP POLICY pattyly_select ON public.doc',
	'DROP POLICY pattyly_delete ON public.doc',
	'-- row level security of public.doc stays on: without another policy nobody sees a row'], 'unprotect() says what it ran');
SELECT is(asked('authenticated', 1, 'SELECT count(*) FROM doc'), '0', 'then nobody sees a row');
SELECT is((SELECT array[relrowsecurity, relforcerowsecurity] FROM pg_class WHERE oid = 'doc'::regclass), '{t,t}',
	'row security is on and forced');
SELECT is(ARRAY(SELECT pattyly.unprotect('doc')), '{}', 'nothing to do, nothing said');

---- Who may call it --------------------------------------------------------------------------------------------------

SELECT is(asked(who, 1, $$SELECT pattyly.protect('doc', 'owner')$$), '42501', who || ' may not')
FROM unnest('{anon,authenticated,service_role,tests_dev}'::text[]) AS who;                                       -- 4
SELECT pattyly.grant_api();
SELECT is(asked(who, 1, $$SELECT pattyly.protect('doc', 'owner')$$), '42501', who || ' may not, with grant_api() either')
FROM unnest('{anon,authenticated,service_role}'::text[]) AS who;                                                 -- 3
SELECT pattyly.revoke_api();
REVOKE EXECUTE ON FUNCTION pattyly.uid() FROM authenticated;

-- Who owns a table but not the extension gets what protect() needs from its owner.
SET ROLE tests_dev;
CREATE TABLE dev.note (id uuid PRIMARY KEY, owner uuid);
SET ROLE postgres;
GRANT USAGE ON SCHEMA pattyly TO tests_dev;
DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pattyly'::regnamespace
		AND proname ~ 'protect|^policy_text$|^warn_of_other_policies$'
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tests_dev', f);
	END LOOP;
END
$$;
SET ROLE tests_dev;
SELECT is((tests.outcome($$SELECT pattyly.protect('dev.note', 'owner')$$)).message,
	'role authenticated may not execute function pattyly.uid(), and you may not grant it', 'he cannot grant what is not his');
SELECT ok((tests.outcome($$SELECT pattyly.protect('dev.note', 'owner')$$)).hint ~ 'grant_api\(\)', 'but is told how');
SELECT is((tests.outcome($$SELECT pattyly.protect('public.doc', 'owner')$$)).message, 'must be owner of table public.doc',
	'tables of others stay theirs');
SET ROLE postgres;
SELECT pattyly.grant_api();
SET ROLE tests_dev;
SELECT is(ARRAY(SELECT s FROM pattyly.protect('dev.note', 'owner') AS s WHERE s !~ '^COMMENT'), ARRAY[
	'ALTER TABLE dev.note ENABLE ROW LEVEL SECURITY',
	'ALTER TABLE dev.note FORCE ROW LEVEL SECURITY',
	'CREATE POLICY pattyly_select ON dev.note FOR SELECT TO authenticated USING (owner = (SELECT pattyly.uid()))',
	'CREATE INDEX ON dev.note (owner)'], 'after grant_api() he can');
SELECT throws_ok($$SELECT pattyly.protect('dev.note', relation => 'self')$$, '42501', NULL,
	'by a relation only when he may read what there is');
SET ROLE supabase_admin;
GRANT SELECT ON pattyly.relations TO tests_dev;
SET ROLE tests_dev;
SELECT lives_ok($$SELECT pattyly.protect('dev.note', relation => 'self')$$, 'when he may, he can');
SELECT is((SELECT count(*) FROM pattyly.unprotect('dev.note')), 2::bigint, 'and undo it');
SET ROLE supabase_admin;
DROP INDEX dev.note_owner_idx;
ALTER SCHEMA dev OWNER TO supabase_admin;
GRANT USAGE ON SCHEMA dev TO tests_dev;
SET ROLE tests_dev;
SELECT is(ARRAY(SELECT s FROM pattyly.protect('dev.note', 'owner') AS s WHERE s ~ 'INDEX'),
	ARRAY['-- CREATE INDEX CONCURRENTLY ON dev.note (owner);  for the owner of the table, outside a transaction'],
	'without CREATE on the schema he can make no index, and gets the rest');

-- A temporary table is a table.
CREATE TEMP TABLE fleeting (id uuid PRIMARY KEY);
SELECT lives_ok($$SELECT pattyly.protect('fleeting', 'id')$$, 'a temporary table is protected like any other');
SELECT is((SELECT count(*) FROM pg_policy WHERE polrelid = 'fleeting'::regclass), 1::bigint, 'it has its policy');

RESET ROLE;
SELECT * FROM finish();
DROP EXTENSION pattyly CASCADE;
DROP OWNED BY tests_dev CASCADE;
DROP OWNED BY "tests ""odd"" role" CASCADE;
DROP ROLE tests_dev, "tests ""odd"" role";
