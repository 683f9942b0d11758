-- explain_access(): which policies a row passes for a user, and whether he gets at it. The words, the errors, and that
-- the verdict is what really happens, over tables with policies made at random.
SELECT plan(81);

SET client_min_messages = warning;
DO $$ BEGIN PERFORM pattyly.grant_api(); END $$;
\set alice '\'00000000-0000-0000-0000-00000000000a\'::uuid'
\set bob '\'00000000-0000-0000-0000-00000000000b\'::uuid'

-- A line each: name, + permissive or - restrictive, yes or no, expression.
CREATE FUNCTION told(target regclass, key text, uid uuid, command text DEFAULT 'select',
	role text DEFAULT 'authenticated', claims jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT CASE WHEN e.policy IS NULL THEN '' ELSE format('%s%s ', CASE WHEN e.permissive THEN '+' ELSE '-' END, e.policy) END
		|| CASE WHEN e.passes THEN 'yes ' ELSE 'no ' END || coalesce(e.expression, 'nothing')
	FROM pattyly.explain_access(target, key, uid, command, role, claims) AS e;
END
$$;
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT o.sqlstate || ' ' || o.message || CASE WHEN o.hint <> '' THEN ' (hint)' ELSE '' END FROM tests.outcome(statement) AS o
$$;

---- The guide's client and expert ------------------------------------------------------------------------------------

CREATE TABLE "Client" (id uuid PRIMARY KEY, name text);
CREATE TABLE expertassignment (id serial PRIMARY KEY, expert_id uuid, client_id uuid);
ALTER TABLE "Client" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "Client" FORCE ROW LEVEL SECURITY;
ALTER TABLE expertassignment ENABLE ROW LEVEL SECURITY;
INSERT INTO "Client" VALUES (:alice, 'Alice'), ('00000000-0000-0000-0000-00000000000c', 'Carol');
INSERT INTO expertassignment (expert_id, client_id) VALUES (:bob, :alice);
CREATE POLICY "Users can view own data" ON "Client" FOR SELECT USING (auth.uid() = id);
CREATE POLICY "Experts can view assigned clients" ON "Client" FOR SELECT TO authenticated
	USING (EXISTS (SELECT 1 FROM expertassignment AS a WHERE a.expert_id = auth.uid() AND a.client_id = "Client".id));
CREATE POLICY own ON expertassignment FOR SELECT TO authenticated USING (expert_id = auth.uid());

SELECT results_eq($$SELECT policy, permissive, passes FROM pattyly.explain_access('"Client"',
		'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a')$$,
	$$VALUES ('Experts can view assigned clients'::name, true, false), ('Users can view own data', true, true),
		(NULL, NULL::boolean, true)$$, 'alice sees herself by the first policy');
SELECT results_eq($$SELECT policy, permissive, passes FROM pattyly.explain_access('"Client"',
		'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b')$$,
	$$VALUES ('Experts can view assigned clients'::name, true, true), ('Users can view own data', true, false),
		(NULL, NULL::boolean, true)$$, 'bob sees her by the second, whose sub-select sees bob''s assignments');
SELECT results_eq($$SELECT told('"Client"', '00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000b')$$,
	ARRAY[$$+Experts can view assigned clients no (EXISTS (SELECT 1 FROM public.expertassignment a WHERE ((a.expert_id = auth.uid()) AND (a.client_id = "Client".id))))$$,
		'+Users can view own data no (auth.uid() = id)', 'no no permissive policy passes'],
	'Carol is not his client; names are found by no search_path');
SELECT results_eq($$SELECT told('"Client"', '00000000-0000-0000-0000-00000000000a', NULL, role => 'anon')$$,
	ARRAY['+Users can view own data no (auth.uid() = id)', 'no no permissive policy passes'],
	'policies for other roles are left out');
-- The policy of the table in the sub-select counts, too.
DROP POLICY own ON expertassignment;
SELECT results_eq($$SELECT policy, passes FROM pattyly.explain_access('"Client"',
		'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b')$$,
	$$VALUES ('Experts can view assigned clients'::name, false), ('Users can view own data', false), (NULL, false)$$,
	'an expert who may not see his assignments does not see the client');
REVOKE SELECT ON expertassignment FROM authenticated;
SELECT is(said($$SELECT * FROM pattyly.explain_access('"Client"', '00000000-0000-0000-0000-00000000000a', NULL)$$),
	'42501 permission denied for table expertassignment', 'nor one who may not read them at all, and the error says so');
SELECT is(said($$SELECT pattyly.visible_rows('"Client"', NULL)$$), '42501 permission denied for table expertassignment',
	'as a query of his would');

---- The words --------------------------------------------------------------------------------------------------------

CREATE TABLE notes (id integer PRIMARY KEY, owner uuid, state text DEFAULT 'draft', size integer);
INSERT INTO notes VALUES (1, :alice, 'draft', 1), (2, :alice, 'secret', 2), (3, :bob, 'draft', NULL);
SELECT results_eq($$SELECT told('notes', '1', NULL, role => 'anon')$$,
	ARRAY['yes row level security is not enabled'], 'without row level security all rows are there');
CREATE POLICY unused ON notes FOR SELECT USING (false);
SELECT results_eq($$SELECT told('notes', '1', NULL, role => 'anon')$$,
	ARRAY['yes row level security is not enabled'], 'whatever policies there are');
DROP POLICY unused ON notes;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
SELECT results_eq($$SELECT told('notes', '1', NULL)$$,
	ARRAY['no no permissive policy applies to role authenticated'], 'with it and without a policy none is');
CREATE POLICY no_secret ON notes AS RESTRICTIVE FOR SELECT TO authenticated USING (state <> 'secret');
SELECT results_eq($$SELECT told('notes', '1', NULL)$$,
	ARRAY['-no_secret yes (state <> ''secret''::text)', 'no no permissive policy applies to role authenticated'],
	'a restrictive policy alone lets nothing through');
CREATE POLICY own ON notes FOR SELECT TO authenticated USING (owner = pattyly.uid());
SELECT results_eq($$SELECT told('notes', '1', '00000000-0000-0000-0000-00000000000a')$$,
	ARRAY['+own yes (owner = pattyly.uid())', '-no_secret yes (state <> ''secret''::text)',
		'yes visible: at least one permissive and every restrictive policy passes'], 'one that passes and no other');
SELECT results_eq($$SELECT told('notes', '2', '00000000-0000-0000-0000-00000000000a')$$,
	ARRAY['+own yes (owner = pattyly.uid())', '-no_secret no (state <> ''secret''::text)',
		'no restrictive policy no_secret does not pass'], 'a restrictive policy that does not pass');
SELECT results_eq($$SELECT told('notes', '2', '00000000-0000-0000-0000-00000000000b')$$,
	ARRAY['+own no (owner = pattyly.uid())', '-no_secret no (state <> ''secret''::text)', 'no no permissive policy passes'],
	'what is permitted by nothing is said first');
SELECT results_eq($$SELECT told('notes', '1', NULL, role => 'service_role')$$,
	ARRAY['yes role service_role bypasses row level security'], 'BYPASSRLS');
SELECT results_eq($$SELECT told('notes', '1', NULL, role => 'supabase_admin')$$,
	ARRAY['yes role supabase_admin bypasses row level security'], 'a superuser');
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
SELECT results_eq($$SELECT told('notes', '1', NULL, role => 'anon')$$,
	ARRAY['no no permissive policy applies to role anon'], 'FORCE hides the row from its owner, not from the question');
ALTER TABLE notes NO FORCE ROW LEVEL SECURITY;
REVOKE SELECT ON notes FROM authenticated;
SELECT results_eq($$SELECT told('notes', '1', NULL)$$,
	ARRAY['no role authenticated lacks the SELECT privilege'], 'privileges come before policies');
SELECT results_eq($$SELECT told('notes', '1', NULL, 'delete')$$,
	ARRAY['no role authenticated lacks the SELECT privilege'], 'for a command that finds rows as well');
GRANT SELECT (id) ON notes TO authenticated;
SELECT is((SELECT passes FROM pattyly.explain_access('notes', '1', :alice) WHERE policy IS NULL), true,
	'SELECT on a column is enough');
GRANT SELECT ON notes TO authenticated;
REVOKE INSERT, UPDATE, DELETE ON notes FROM authenticated;
SELECT results_eq($$SELECT told('notes', '1', NULL, c) FROM unnest(ARRAY['insert', 'update', 'delete']) AS c$$,
	ARRAY['no role authenticated lacks the INSERT privilege', 'no role authenticated lacks the UPDATE privilege',
		'no role authenticated lacks the DELETE privilege'], 'each command has its own');
GRANT ALL ON notes TO authenticated;
CREATE SCHEMA hidden;
CREATE TABLE hidden.t (id integer PRIMARY KEY);
GRANT SELECT ON hidden.t TO anon;
INSERT INTO hidden.t VALUES (1);
SELECT results_eq($$SELECT told('hidden.t', '1', NULL, role => 'anon')$$,
	ARRAY['no role anon lacks the USAGE privilege on schema hidden'], 'and schemas have theirs');

---- Commands ---------------------------------------------------------------------------------------------------------

CREATE POLICY write ON notes FOR UPDATE TO authenticated USING (size < 10) WITH CHECK (size < 2);
CREATE POLICY same ON notes FOR UPDATE TO authenticated USING (size < 2) WITH CHECK (size < 2);
CREATE POLICY make ON notes FOR INSERT TO authenticated WITH CHECK (state = 'draft');
CREATE POLICY remove ON notes FOR DELETE TO authenticated USING (size = 1);
SELECT results_eq($$SELECT told('notes', '3', NULL, 'insert')$$,
	ARRAY['+make yes (state = ''draft''::text)', 'yes allowed: at least one permissive and every restrictive policy passes'],
	'insert asks WITH CHECK of the row as it is, and no policy for select');
SELECT results_eq($$SELECT told('notes', '2', NULL, 'INSERT')$$,
	ARRAY['+make no (state = ''draft''::text)', 'no no permissive policy passes'], 'in capitals, too');
SELECT results_eq($$SELECT told('notes', '1', '00000000-0000-0000-0000-00000000000a', 'delete')$$,
	ARRAY['+remove yes (size = 1)', '+own yes (owner = pattyly.uid()) /* select */',
		'-no_secret yes (state <> ''secret''::text) /* select */',
		'yes allowed: at least one permissive and every restrictive policy passes'],
	'delete asks its own policies and those for select');
SELECT results_eq($$SELECT told('notes', '1', '00000000-0000-0000-0000-00000000000b', 'delete')$$,
	ARRAY['+remove yes (size = 1)', '+own no (owner = pattyly.uid()) /* select */',
		'-no_secret yes (state <> ''secret''::text) /* select */', 'no no permissive policy passes /* select */'],
	'and says which it was');
SELECT results_eq($$SELECT told('notes', '1', '00000000-0000-0000-0000-00000000000a', 'update')$$,
	ARRAY['+same yes (size < 2)', '+write yes (size < 10)', '+write yes (size < 2) /* with check */',
		'+own yes (owner = pattyly.uid()) /* select */', '-no_secret yes (state <> ''secret''::text) /* select */',
		'yes allowed: at least one permissive and every restrictive policy passes'],
	'update asks USING, then WITH CHECK where that is another, then the policies for select');
UPDATE notes SET state = 'draft' WHERE id = 2;
SELECT results_eq($$SELECT told('notes', '2', '00000000-0000-0000-0000-00000000000a', 'update')$$,
	ARRAY['+same no (size < 2)', '+write yes (size < 10)', '+write no (size < 2) /* with check */',
		'+own yes (owner = pattyly.uid()) /* select */', '-no_secret yes (state <> ''secret''::text) /* select */',
		'no no permissive policy passes /* with check */'],
	'a row that may be found but not written');
SELECT results_eq($$SELECT told('notes', '3', '00000000-0000-0000-0000-00000000000b', 'update')$$,
	ARRAY['+same no (size < 2)', '+write no (size < 10)', '+write no (size < 2) /* with check */',
		'+own yes (owner = pattyly.uid()) /* select */', '-no_secret yes (state <> ''secret''::text) /* select */',
		'no no permissive policy passes'], 'NULL does not pass');
-- FOR ALL is for select, too, and has one line.
CREATE TABLE whole (id integer PRIMARY KEY, owner uuid);
ALTER TABLE whole ENABLE ROW LEVEL SECURITY;
INSERT INTO whole VALUES (1, :alice);
CREATE POLICY own ON whole USING (owner = pattyly.uid());
SELECT results_eq(format($$SELECT told('whole', '1', '00000000-0000-0000-0000-00000000000a', %L)$$, c),
	ARRAY['+own yes (owner = pattyly.uid())', 'yes ' || CASE c WHEN 'select' THEN 'visible' ELSE 'allowed' END
		|| ': at least one permissive and every restrictive policy passes'], 'a policy FOR ALL has one line for ' || c)
FROM unnest(ARRAY['select', 'insert', 'update', 'delete']) AS c;                                                -- 4
-- Policies without an expression.
CREATE TABLE blank (id integer PRIMARY KEY);
ALTER TABLE blank ENABLE ROW LEVEL SECURITY;
INSERT INTO blank VALUES (1);
CREATE POLICY nothing ON blank FOR SELECT;
SELECT results_eq($$SELECT told('blank', '1', NULL)$$, ARRAY['+nothing no nothing', 'no no permissive policy passes'],
	'a permissive policy without USING lets nothing through');
SELECT is(pattyly.visible_rows('blank', NULL), 0::bigint, 'indeed');
CREATE POLICY everything ON blank FOR SELECT USING (true);
CREATE POLICY no_restriction ON blank AS RESTRICTIVE FOR SELECT;
SELECT results_eq($$SELECT told('blank', '1', NULL)$$, ARRAY['+everything yes true', '+nothing no nothing',
	'-no_restriction yes nothing', 'yes visible: at least one permissive and every restrictive policy passes'],
	'a restrictive one keeps nothing out');
SELECT is(pattyly.visible_rows('blank', NULL), 1::bigint, 'indeed');

---- Keys -------------------------------------------------------------------------------------------------------------

CREATE DOMAIN code AS varchar(4);
CREATE TYPE mood AS ENUM ('calm', 'storm');
CREATE TABLE k_text (id text PRIMARY KEY);
INSERT INTO k_text VALUES (E'it''s "odd"; \\');
CREATE TABLE k_char (id char(5) PRIMARY KEY);
INSERT INTO k_char VALUES ('abc');
CREATE TABLE k_domain (id code PRIMARY KEY);
INSERT INTO k_domain VALUES ('abcd');
CREATE TABLE k_enum (id mood PRIMARY KEY);
INSERT INTO k_enum VALUES ('storm');
CREATE TABLE k_time (id timestamptz PRIMARY KEY);
INSERT INTO k_time VALUES ('2030-01-01 00:00+00');
CREATE TABLE k_several (dropped integer, "Order id" integer, kind mood, note text, PRIMARY KEY (kind, "Order id"));
ALTER TABLE k_several DROP COLUMN dropped;
INSERT INTO k_several VALUES (7, 'calm', 'first'), (8, 'calm', 'second');
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['k_text', 'k_char', 'k_domain', 'k_enum', 'k_time', 'k_several'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY p ON %I USING (true)', t);
	END LOOP;
END
$$;
SELECT results_eq(format('SELECT told(%L, %L, NULL)', t, key),
	ARRAY['+p yes true', 'yes visible: at least one permissive and every restrictive policy passes'], t || ' ' || key)
FROM (VALUES
	('k_text', E'it''s "odd"; \\'), ('k_char', 'abc'), ('k_domain', 'abcd'), ('k_enum', 'storm'),
	('k_time', '2030-01-01 01:00+01'), ('k_several', '{"kind": "calm", "Order id": 7}'),
	('k_several', ' {"Order id": "8", "kind": "calm", "more": null}')
) AS v(t, key);                                                                                                 -- 7
CREATE POLICY first ON k_several AS RESTRICTIVE USING (note = 'first');
SELECT results_eq($$SELECT told('k_several', '{"kind": "calm", "Order id": 8}', NULL)$$, ARRAY['+p yes true',
	'-first no (note = ''first''::text)', 'no restrictive policy first does not pass'], 'of several columns: the right row');

---- Errors -----------------------------------------------------------------------------------------------------------

CREATE TABLE keyless (id integer);
CREATE VIEW view_of_notes AS SELECT * FROM notes;
SELECT is(said(format('SELECT * FROM pattyly.explain_access(%s)', arguments)), outcome, arguments)
FROM (VALUES
	('NULL, ''1'', NULL', '22004 target must not be NULL (hint)'),
	('1::regclass, ''1'', NULL', '42P01 table with OID 1 does not exist (hint)'),
	('''view_of_notes'', ''1'', NULL', '42809 "view_of_notes" is not a table (hint)'),
	('''notes_pkey'', ''1'', NULL', '42809 "notes_pkey" is not a table (hint)'),
	('''keyless'', ''1'', NULL', '55000 table "keyless" has no primary key (hint)'),
	('''notes'', NULL, NULL', '22004 key must not be NULL (hint)'),
	('''notes'', ''99'', NULL', 'P0002 table "notes" has no row with that key (hint)'),
	('''notes'', ''one'', NULL', '22P02 invalid input syntax for type integer: "one"'),
	('''notes'', ''1'', NULL, ''truncate''', '22023 unknown command "truncate" (hint)'),
	('''notes'', ''1'', NULL, NULL', '22004 command must not be NULL (hint)'),
	('''notes'', ''1'', NULL, role => ''nobody-here''', '42704 role "nobody-here" does not exist (hint)'),
	('''notes'', ''1'', NULL, role => NULL', '22004 role must not be NULL (hint)'),
	('''notes'', ''1'', NULL, claims => ''7''', '22023 claims must be a JSON object (hint)'),
	('''notes'', ''1'', NULL, claims => ''{"sub": "me"}''', '22P02 invalid input syntax for type uuid: "me"'),
	('''k_several'', ''7'', NULL', '22023 the key does not say column "Order id" of the primary key (hint)'),
	('''k_several'', ''{"Order id": 7}'', NULL', '22023 the key does not say column "kind" of the primary key (hint)'),
	('''k_several'', ''{"Order id"}'', NULL', '22P02 invalid input syntax for type json')
) AS v(arguments, outcome);                                                            -- 17
SELECT alike((tests.outcome($$SELECT pattyly.explain_access('k_several', '7', NULL)$$)).hint,
	'%{"Order id": ..., "kind": ...}%', 'the hint shows how to write the key');
SELECT is(current_user::text || current_setting('role'), 'supabase_adminnone', 'errors leave the caller who he is');

-- The caller must own the table.
CREATE TABLE theirs (id integer PRIMARY KEY, owner name);
INSERT INTO theirs VALUES (1, 'postgres');
ALTER TABLE theirs ENABLE ROW LEVEL SECURITY;
ALTER TABLE theirs FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON theirs USING (owner = current_user);
ALTER TABLE theirs OWNER TO postgres;
GRANT USAGE ON SCHEMA pattyly TO postgres;
GRANT EXECUTE ON FUNCTION pattyly.explain_access(regclass, text, uuid, text, name, jsonb) TO postgres;
SET ROLE postgres;
SELECT is(said($$SELECT * FROM pattyly.explain_access('notes', '1', NULL)$$), '42501 must be owner of table notes (hint)',
	'another''s table');
SELECT results_eq($$SELECT told('theirs', '1', NULL)$$, ARRAY['+p no (owner = CURRENT_USER)', 'no no permissive policy passes'],
	'his own, as one who is no superuser: current_user is the role');
SELECT is(current_user::text, 'postgres', 'who stays who he is');
RESET ROLE;
CREATE ROLE tests_owner2 NOLOGIN;
ALTER TABLE theirs OWNER TO tests_owner2;
GRANT USAGE ON SCHEMA public TO tests_owner2;
SELECT results_eq($$SELECT told('theirs', '1', NULL)$$, ARRAY['+p no (owner = CURRENT_USER)', 'no no permissive policy passes'],
	'a superuser reads the row of an owner whom FORCE keeps from it');
ALTER TABLE theirs NO FORCE ROW LEVEL SECURITY;
SELECT results_eq($$SELECT told('theirs', '1', NULL, role => 'tests_owner2')$$,
	ARRAY['yes role tests_owner2 owns the table, whose row level security is not forced'], 'for the owner, without FORCE');
ALTER TABLE theirs OWNER TO supabase_admin;
REVOKE ALL ON SCHEMA public FROM tests_owner2;
DROP ROLE tests_owner2;

---- What policies can say --------------------------------------------------------------------------------------------

CREATE FUNCTION may_see(row_ notes) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT row_.id = 1 $$;
CREATE POLICY whole_row ON notes FOR SELECT TO anon USING (may_see(notes) AND notes.tableoid = 'notes'::regclass);
SELECT is((SELECT passes FROM pattyly.explain_access('notes', '1', NULL, role => 'anon') WHERE policy IS NULL), true,
	'a policy about the whole row and a system column');
SELECT is((SELECT passes FROM pattyly.explain_access('notes', '2', NULL, role => 'anon') WHERE policy IS NULL), false,
	'of the row that is asked for');
REVOKE EXECUTE ON FUNCTION may_see(notes) FROM PUBLIC, anon, authenticated;
SELECT alike(said($$SELECT * FROM pattyly.explain_access('notes', '1', NULL, role => 'anon')$$), '42501 permission denied%',
	'functions are called with the privileges of the role');
CREATE VIEW secrets AS SELECT id FROM notes WHERE state = 'draft';
CREATE TABLE nested (id integer PRIMARY KEY);
INSERT INTO nested VALUES (1), (99);
ALTER TABLE nested ENABLE ROW LEVEL SECURITY;
CREATE POLICY nested ON nested USING (id IN (SELECT s.id FROM secrets AS s WHERE EXISTS (SELECT FROM notes AS n WHERE n.id = nested.id)));
SELECT is((SELECT passes FROM pattyly.explain_access('nested', '1', :alice) WHERE policy IS NULL), true,
	'sub-selects in sub-selects, and a view');
SELECT is((SELECT passes FROM pattyly.explain_access('nested', '1', :bob) WHERE policy IS NULL), false,
	'each subject to its own policies');
CREATE POLICY recursive ON nested AS RESTRICTIVE USING (EXISTS (SELECT FROM nested AS other WHERE other.id = nested.id));
SELECT is(said($$SELECT * FROM pattyly.explain_access('nested', '1', NULL)$$),
	'42P17 infinite recursion detected in policy for relation "nested"', 'a policy that asks itself');
-- Partitions: the parent's policies count for a query of the parent.
CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
INSERT INTO parts VALUES (1);
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE parts_1 ENABLE ROW LEVEL SECURITY;
CREATE POLICY parent ON parts USING (id = 1);
SELECT results_eq($$SELECT told('parts', '1', NULL)$$, ARRAY['+parent yes (id = 1)',
	'yes visible: at least one permissive and every restrictive policy passes'], 'a partitioned table');
SELECT results_eq($$SELECT told('parts_1', '1', NULL)$$, ARRAY['no no permissive policy applies to role authenticated'],
	'and its partition');
-- A relation of pattyly's own.
SELECT pattyly.define_relation('assigned', 'expertassignment', 'expert_id', 'client_id');
DROP POLICY "Experts can view assigned clients" ON "Client";
CREATE POLICY experts ON "Client" FOR SELECT TO authenticated USING (pattyly.has_access('assigned', id));
SELECT results_eq($$SELECT policy, passes FROM pattyly.explain_access('"Client"',
		'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b')$$,
	$$VALUES ('Users can view own data'::name, false), ('experts', true), (NULL, true)$$, 'has_access');
BEGIN READ ONLY;
SELECT results_eq($$SELECT policy, passes FROM pattyly.explain_access('"Client"',
		'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a')$$,
	$$VALUES ('Users can view own data'::name, true), ('experts', false), (NULL, true)$$, 'in a READ ONLY transaction');
COMMIT;

---- The verdict is what happens --------------------------------------------------------------------------------------

CREATE TABLE facts (id integer PRIMARY KEY, owner uuid, size integer, state text);
ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
INSERT INTO facts
SELECT i, (ARRAY['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b', NULL])[1 + i % 3]::uuid,
	nullif(i % 5, 4), CASE WHEN i % 2 = 0 THEN 'open' ELSE 'closed' END
FROM generate_series(1, 8) AS i;
CREATE TABLE mismatches (round integer, id integer, who text, command text, said boolean, happened boolean);
CREATE TABLE outcomes (command text, happened boolean, n integer DEFAULT 1, PRIMARY KEY (command, happened));

CREATE FUNCTION make_policies() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	conditions text[] := ARRAY['true', 'owner = pattyly.uid()', 'size < 2', 'size > 0', 'state = ''open''', 'NULL',
		'EXISTS (SELECT FROM expertassignment AS a WHERE a.client_id = facts.owner)', 'id <> 3',
		'pattyly.has_claim(''teams'', state)', 'owner IS NOT NULL OR size = 1'];
	commands text[] := ARRAY['ALL', 'ALL', 'SELECT', 'SELECT', 'INSERT', 'UPDATE', 'DELETE'];
	command text;
	name name;
BEGIN
	FOR name IN SELECT policyname FROM pg_policies WHERE tablename = 'facts' LOOP
		EXECUTE format('DROP POLICY %I ON facts', name);
	END LOOP;
	FOR i IN 1..12 LOOP
		command := commands[1 + floor(random() * 7)];
		EXECUTE format('CREATE POLICY %I ON facts AS %s FOR %s TO %s', 'p' || i,
				CASE WHEN random() < 0.25 THEN 'RESTRICTIVE' ELSE 'PERMISSIVE' END, command,
				(ARRAY['PUBLIC', 'authenticated', 'authenticated, anon', 'anon'])[1 + floor(random() * 4)])
			|| CASE WHEN command <> 'INSERT' THEN format(' USING (%s)', conditions[1 + floor(random() * 10)]) ELSE '' END
			|| CASE WHEN command = 'INSERT' OR command IN ('ALL', 'UPDATE') AND random() < 0.5
				THEN format(' WITH CHECK (%s)', conditions[1 + floor(random() * 10)]) ELSE '' END;
	END LOOP;
END
$$;

-- Does it as that user, and takes it back.
CREATE FUNCTION happens(fact facts, who uuid, role name, command text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	n integer;
BEGIN
	IF command = 'insert' THEN
		DELETE FROM facts WHERE id = fact.id;
	END IF;
	PERFORM pattyly.login_as(who, role, '{"teams": ["open"]}');
	CASE command
		WHEN 'select' THEN PERFORM FROM facts WHERE id = fact.id;
		WHEN 'insert' THEN INSERT INTO facts VALUES (fact.*);
		WHEN 'update' THEN UPDATE facts SET size = size WHERE id = fact.id;
		WHEN 'delete' THEN DELETE FROM facts WHERE id = fact.id;
	END CASE;
	GET DIAGNOSTICS n = ROW_COUNT;
	RAISE EXCEPTION USING ERRCODE = 'UT000', MESSAGE = n::text;
EXCEPTION
	WHEN SQLSTATE 'UT000' THEN RETURN SQLERRM = '1';
	WHEN insufficient_privilege THEN RETURN false;
END
$$;

CREATE FUNCTION compare(round integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	fact facts;
	c text;
	u record;
	verdict boolean;
	done boolean;
	seen integer;
BEGIN
	FOR u IN SELECT * FROM (VALUES ('00000000-0000-0000-0000-00000000000a'::uuid, 'authenticated'),
		('00000000-0000-0000-0000-00000000000b', 'authenticated'), (NULL, 'anon')) AS v(id, role)
	LOOP
		seen := 0;
		FOR fact IN SELECT * FROM facts LOOP
			FOREACH c IN ARRAY ARRAY['select', 'insert', 'update', 'delete'] LOOP
				verdict := (SELECT e.passes FROM pattyly.explain_access('facts', fact.id::text, u.id, c, u.role, '{"teams": ["open"]}') AS e
					WHERE e.policy IS NULL);
				done := happens(fact, u.id, u.role, c);
				INSERT INTO outcomes AS o VALUES (c, done) ON CONFLICT (command, happened) DO UPDATE SET n = o.n + 1;
				IF verdict IS DISTINCT FROM done THEN
					INSERT INTO mismatches VALUES (round, fact.id, u.role || u.id, c, verdict, done);
				END IF;
				seen := seen + (c = 'select' AND verdict)::integer;
			END LOOP;
		END LOOP;
		IF seen <> pattyly.visible_rows('facts', u.id, u.role, '{"teams": ["open"]}') THEN
			INSERT INTO mismatches VALUES (round, NULL, u.role || u.id, 'visible_rows', NULL, NULL);
		END IF;
	END LOOP;
END
$$;
GRANT SELECT ON expertassignment TO authenticated, anon;
CREATE POLICY own ON expertassignment FOR SELECT USING (expert_id = auth.uid());
SELECT setseed(0.42);
DO $$
BEGIN
	FOR i IN 1..25 LOOP
		PERFORM make_policies();
		PERFORM compare(i);
	END LOOP;
END
$$;
SELECT is_empty('SELECT * FROM mismatches', 'what explain_access says is what happens');
SELECT is((SELECT count(*) FROM outcomes WHERE n >= 100), 8::bigint, 'each command was often allowed and often not');

SELECT * FROM finish();
