-- login_as(), logout() and visible_rows(): being a user of the application for the rest of a transaction, or for one count.
SELECT plan(99);

SET client_min_messages = warning;
DO $$ BEGIN PERFORM pattyly.grant_api(); END $$;

CREATE TABLE notes (id integer PRIMARY KEY, owner uuid, is_secret boolean NOT NULL DEFAULT false);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes TO authenticated USING (owner = pattyly.uid());
CREATE POLICY secret ON notes AS RESTRICTIVE FOR SELECT
	USING (NOT is_secret OR pattyly.claim('app_metadata.clearance') = 'high');
INSERT INTO notes VALUES (1, '00000000-0000-0000-0000-00000000000a', false),
	(2, '00000000-0000-0000-0000-00000000000a', false), (3, '00000000-0000-0000-0000-00000000000b', false),
	(4, '00000000-0000-0000-0000-00000000000a', true);
\set alice '\'00000000-0000-0000-0000-00000000000a\'::uuid'
\set bob '\'00000000-0000-0000-0000-00000000000b\'::uuid'

-- Role and claims in a line, as they are now.
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$
	SELECT current_user || ' ' || current_setting('role') || ' ' ||
		coalesce(nullif(current_setting('request.jwt.claims', true), ''), '-')
$$;
SELECT who() AS nobody \gset

---- login_as and logout ----------------------------------------------------------------------------------------------

BEGIN;
SELECT is(pattyly.login_as(:alice)::text, '', 'login_as returns nothing');
SELECT is(current_user, 'authenticated'::name, 'the role is authenticated by default');
SELECT is(current_setting('role'), 'authenticated', 'as SET ROLE has it');
SELECT is(pattyly.uid(), :alice, 'uid() is who logged in');
SELECT is(auth.uid(), :alice, 'and so is auth.uid()');
SELECT is(pattyly.role() || auth.role(), 'authenticatedauthenticated', 'the claim role is the role');
SELECT results_eq('SELECT id FROM notes ORDER BY id', ARRAY[1, 2], 'policies let him see his own');
SELECT throws_ok('SELECT pattyly.login_as(NULL)', '42501', NULL, 'an API role may not log in');
SELECT lives_ok('SELECT pattyly.logout()', 'but it may log out');
SELECT is(who(), :'nobody', 'and is who it was before');
SELECT is((SELECT count(*) FROM notes), 4::bigint, 'with his rights');
SELECT throws_ok('SELECT pattyly.logout()', '55000', NULL, 'who logged out is not logged in');

SELECT pattyly.login_as(:bob);
SELECT results_eq('SELECT id FROM notes', ARRAY[3], 'another login sees another''s rows');
SELECT pattyly.logout();
SELECT pattyly.login_as(NULL, 'anon');
SELECT is(who(), 'anon anon {"role": "anon"}', 'anon has no sub');
SELECT is(pattyly.uid(), NULL, 'and no uid()');
SELECT is_empty('SELECT FROM notes', 'and sees nothing');
SELECT pattyly.logout();
SELECT pattyly.login_as(:bob, 'service_role');
SELECT is((SELECT count(*) FROM notes), 4::bigint, 'the service role bypasses row level security');
RESET ROLE;
SELECT is(current_user, 'supabase_admin'::name, 'RESET ROLE ends a login too');
SELECT pattyly.login_as(:alice);
SELECT is(pattyly.uid(), :alice, 'another can follow it');
SELECT pattyly.logout();
SELECT is(who(), :'nobody', 'and logout goes back to before the first');
COMMIT;

---- Claims -----------------------------------------------------------------------------------------------------------

BEGIN;
SELECT pattyly.login_as(:alice, claims => '{"app_metadata": {"clearance": "high", "teams": [3, 5]}, "aal": "aal2"}');
SELECT is(pattyly.claim('app_metadata.clearance'), 'high', 'claims are those of the token');
SELECT ok(pattyly.has_claim('app_metadata.teams', '5'), 'nested ones, too');
SELECT is(pattyly.aal(), 'aal2', 'and those that have functions of their own');
SELECT is(pattyly.claims() ->> 'sub', '00000000-0000-0000-0000-00000000000a', 'sub is among them');
SELECT results_eq('SELECT id FROM notes ORDER BY id', ARRAY[1, 2, 4], 'policies read them');
ROLLBACK;

BEGIN;
SELECT pattyly.login_as(:alice, claims => '{"sub": "somebody", "role": "service_role"}');
SELECT is(pattyly.claims(), '{"sub": "00000000-0000-0000-0000-00000000000a", "role": "authenticated"}'::jsonb,
	'uid and role win over the claims');
RESET ROLE;
SELECT pattyly.login_as(NULL, claims => '{"sub": "somebody"}');
SELECT throws_ok('SELECT pattyly.uid()', '22P02', NULL, 'without a uid, a malformed sub can be tried');
ROLLBACK;

-- The older settings would win.
BEGIN;
SELECT set_config('request.jwt.claims', '{"sub": "before"}', true), set_config('request.jwt.claim.sub', :bob::text, true),
	set_config('request.jwt.claim.role', 'older', true), set_config('request.jwt.claim.email', 'older@example.org', true),
	set_config('request.jwt.claim', '{"sub": "older"}', true),
	set_config('request.jwt.claim.app_metadata', '{"clearance": "high"}', true);
SELECT pattyly.login_as(:alice, claims => '{"email": "alice@example.org"}');
SELECT is(pattyly.uid(), :alice, 'an older sub does not win over a login');
SELECT is(auth.uid(), :alice, 'for Supabase neither');
SELECT is(pattyly.role(), 'authenticated', 'nor an older role');
SELECT is(pattyly.email(), 'alice@example.org', 'nor an older e-mail');
SELECT is(pattyly.claims() ->> 'sub', '00000000-0000-0000-0000-00000000000a', 'nor the older whole of them');
SELECT is(pattyly.claim('app_metadata.clearance'), NULL, 'nor app_metadata');
SELECT pattyly.logout();
SELECT is(pattyly.uid(), :bob, 'logout brings the older sub back');
SELECT is(auth.role() || auth.email(), 'olderolder@example.org', 'the role and the e-mail');
SELECT is(current_setting('request.jwt.claims'), '{"sub": "before"}', 'and the claims');
COMMIT;
SELECT is(who(), :'nobody', 'after COMMIT nothing is left');
SELECT is(coalesce(current_setting('request.jwt.claim.sub', true), ''), '', 'of the older settings neither');

---- Transactions and savepoints --------------------------------------------------------------------------------------

BEGIN;
SELECT pattyly.login_as(:alice);
COMMIT;
SELECT is(who(), :'nobody', 'a login ends with COMMIT');
SELECT throws_ok('SELECT pattyly.logout()', '55000', NULL, 'and is forgotten');
SELECT alike((tests.outcome('SELECT pattyly.logout()')).hint, '%pattyly.login_as%', 'the error says what to do');
BEGIN;
SELECT pattyly.login_as(:alice);
ROLLBACK;
SELECT is(who(), :'nobody', 'a login ends with ROLLBACK');
SELECT throws_ok('SELECT pattyly.logout()', '55000', NULL, 'and is forgotten then, too');

BEGIN;
SAVEPOINT s;
SELECT pattyly.login_as(:alice);
ROLLBACK TO s;
SELECT is(who(), :'nobody', 'a login in a savepoint is rolled back with it');
SELECT throws_ok('SELECT pattyly.logout()', '55000', NULL, 'and nobody is logged in');
SELECT pattyly.login_as(:alice);
SELECT pattyly.logout();
SELECT is(who(), :'nobody', 'the next login knows what was before it');
RELEASE s;

SAVEPOINT s;
SELECT pattyly.login_as(:alice);
RELEASE s;
SELECT is(pattyly.uid(), :alice, 'a login outlives the RELEASE of its savepoint');
SAVEPOINT s;
SELECT pattyly.logout();
SELECT is(who(), :'nobody', 'a logout in a savepoint');
ROLLBACK TO s;
SELECT is(pattyly.uid(), :alice, 'is rolled back with it');
SELECT lives_ok('SELECT pattyly.logout()', 'and can be made again');
SELECT is(who(), :'nobody', 'to the same effect');
COMMIT;

BEGIN;
SELECT pattyly.login_as(:alice);
SAVEPOINT s;
SELECT pattyly.logout();
SELECT pattyly.login_as(:bob);
ROLLBACK TO s;
SELECT is(pattyly.uid(), :alice, 'a logout and another login are rolled back together');
SAVEPOINT t;
SELECT pattyly.logout();
SAVEPOINT u;
SELECT pattyly.login_as(:bob);
RELEASE u;
RELEASE t;
SELECT is(pattyly.uid(), :bob, 'or are kept together');
SELECT pattyly.logout();
SELECT is(who(), :'nobody', 'and end where it all began');
COMMIT;

BEGIN;
SAVEPOINT t;
SELECT pattyly.login_as(:alice);
SAVEPOINT u;
SELECT pattyly.logout();
RELEASE u;
ROLLBACK TO t;
SELECT throws_ok('SELECT pattyly.logout()', '55000', NULL, 'a login and a logout within it are rolled back as one');
ROLLBACK;

-- Who was not himself before either is not made so by logout.
BEGIN;
GRANT EXECUTE ON FUNCTION pattyly.login_as(uuid, name, jsonb), pattyly.visible_rows(regclass, uuid, name, jsonb) TO postgres;
GRANT USAGE ON SCHEMA pattyly TO postgres;
SET LOCAL ROLE postgres;
SELECT set_config('request.jwt.claims', '{"sub": "mine"}', true);
SELECT who() AS postgres \gset
SELECT pattyly.login_as(:alice);
SELECT pattyly.logout();
SELECT is(who(), :'postgres', 'logout restores a role that was set before');
SELECT is(pattyly.visible_rows('notes', :alice), 2::bigint, 'visible_rows for one who is no superuser');
SELECT is(who(), :'postgres', 'restores it as well');
ROLLBACK;

SELECT pattyly.login_as(:alice);
SELECT is(who(), :'nobody', 'outside a transaction block a login ends with its statement');
\set warned `psql -qXAt -d :DBNAME -c '\set VERBOSITY verbose' -c "SELECT pattyly.login_as(NULL)" 2>&1 | head -n 1`
SELECT is(:'warned'::text, 'WARNING:  25P01: login_as can only be used in transaction blocks', 'and a warning says so');
\set warned `psql -qXAt -d :DBNAME -c "DO 'BEGIN PERFORM pattyly.login_as(NULL, ''anon''); RAISE WARNING ''%'', current_user; END'" 2>&1`
SELECT is(:'warned'::text, 'WARNING:  anon', 'but not in a DO block, which goes on');

BEGIN;
DO $$
BEGIN
	PERFORM pattyly.login_as('00000000-0000-0000-0000-00000000000a');
	RAISE EXCEPTION 'after the login';
EXCEPTION WHEN raise_exception THEN
	NULL;
END
$$;
SELECT is(who(), :'nobody', 'an exception block ends the login that was made in it');
ROLLBACK;

---- Errors -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT o.sqlstate || ' ' || o.message || CASE WHEN o.hint <> '' THEN ' (hint)' ELSE '' END FROM tests.outcome(statement) AS o
$$;
SELECT is(said(format('SELECT pattyly.%s', call)), outcome, call)
FROM (VALUES
	('login_as(NULL, ''nobody-here'')', '42704 role "nobody-here" does not exist (hint)'),
	('login_as(NULL, ''none'')', '42704 role "none" does not exist (hint)'),
	('login_as(NULL, NULL)', '22004 role must not be NULL (hint)'),
	('login_as(NULL, claims => ''[]'')', '22023 claims must be a JSON object (hint)'),
	('login_as(NULL, claims => ''7'')', '22023 claims must be a JSON object (hint)'),
	('login_as(NULL, claims => ''null'')', '22023 claims must be a JSON object (hint)'),
	('login_as(NULL, claims => NULL)', '22023 claims must be a JSON object (hint)'),
	('visible_rows(NULL, NULL)', '22004 target must not be NULL (hint)'),
	('visible_rows(1::regclass, NULL)', '42P01 table with OID 1 does not exist (hint)'),
	('visible_rows(''notes'', NULL, ''nobody-here'')', '42704 role "nobody-here" does not exist (hint)'),
	('visible_rows(''notes'', NULL, claims => ''[]'')', '22023 claims must be a JSON object (hint)')
) AS v(call, outcome);                                                                                          -- 11
SELECT is(who(), :'nobody', 'a login that failed leaves nothing');

CREATE FUNCTION definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT pattyly.login_as(NULL) $$;
SELECT throws_ok('SELECT definer()', '42501', NULL, 'there is no login within SECURITY DEFINER');
CREATE FUNCTION counting_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER
	AS $$ SELECT pattyly.visible_rows('public.notes', NULL) $$;
SELECT throws_ok('SELECT counting_definer()', '42501', NULL, 'and no visible_rows');

SELECT is((SELECT string_agg(tests.outcome, ' ') FROM (
		SELECT (tests.outcome(format('SET LOCAL ROLE %s; SELECT pattyly.%s', who, call))).sqlstate AS outcome
		FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS who,
			unnest(ARRAY['login_as(NULL)', 'visible_rows(''notes'', NULL)', 'explain_access(''notes'', ''1'', NULL)']) AS call
	) AS tests), '42501 42501 42501 42501 42501 42501 42501 42501 42501', 'API roles may call none of them');
SELECT is((tests.outcome('SET LOCAL ROLE anon; SELECT pattyly.logout()')).sqlstate, '55000',
	'they may call logout, which does nothing for who did not log in');
RESET ROLE;
-- A caller with the right to call, but not to become that role.
CREATE ROLE tests_tester;
GRANT USAGE ON SCHEMA pattyly TO tests_tester;
GRANT EXECUTE ON FUNCTION pattyly.login_as(uuid, name, jsonb), pattyly.visible_rows(regclass, uuid, name, jsonb) TO tests_tester;
SET SESSION AUTHORIZATION tests_tester;
SELECT is(said('SELECT pattyly.login_as(NULL)'), '42501 permission denied to set role "authenticated"',
	'to log in takes the right to SET ROLE');
SELECT is(said('SELECT pattyly.visible_rows(''notes'', NULL)'), '42501 permission denied to set role "authenticated"',
	'so does visible_rows');
RESET SESSION AUTHORIZATION;
REVOKE ALL ON FUNCTION pattyly.login_as(uuid, name, jsonb), pattyly.visible_rows(regclass, uuid, name, jsonb) FROM tests_tester;
REVOKE ALL ON SCHEMA pattyly FROM tests_tester;
DROP ROLE tests_tester;

---- visible_rows -----------------------------------------------------------------------------------------------------

SELECT is(pattyly.visible_rows('notes', :alice), 2::bigint, 'alice sees two');
SELECT is(pattyly.visible_rows('notes', :bob), 1::bigint, 'bob one');
SELECT is(pattyly.visible_rows('notes', NULL, 'anon'), 0::bigint, 'anon none');
SELECT is(pattyly.visible_rows('notes', NULL, 'service_role'), 4::bigint, 'the service role all');
SELECT is(pattyly.visible_rows('notes', :alice, claims => '{"app_metadata": {"clearance": "high"}}'), 3::bigint,
	'a restrictive policy reads the claims');
SELECT is(who(), :'nobody', 'the caller stays who he is');
DO $$
DECLARE
	seen bigint[];
	who uuid;
BEGIN
	FOREACH who IN ARRAY ARRAY['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b',
		'00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000a']::uuid[]
	LOOP
		IF cardinality(seen) = 3 THEN
			INSERT INTO notes VALUES (9, who);
		END IF;
		seen := seen || pattyly.visible_rows('notes', who);
	END LOOP;
	PERFORM set_config('tests.seen', seen::text, false);
END
$$;
SELECT is(current_setting('tests.seen'), '{2,1,0,3}', 'a loop over users in PL/pgSQL sees what the loop wrote');
BEGIN READ ONLY;
SELECT is(pattyly.visible_rows('notes', :bob), 1::bigint, 'in a READ ONLY transaction');
SELECT pattyly.login_as(:bob);
SELECT results_eq('SELECT id FROM notes', ARRAY[3], 'as is login_as');
COMMIT;
SET row_security = off;
SELECT is(pattyly.visible_rows('notes', :bob), 1::bigint, 'row_security = off does not change what bob sees');
SELECT is(current_setting('row_security'), 'off', 'and stays');
RESET row_security;

CREATE SCHEMA "Odd ""schema""";
CREATE TABLE "Odd ""schema"""."odd; table" (id integer);
INSERT INTO "Odd ""schema"""."odd; table" VALUES (1), (2);
SELECT is(said($$SELECT pattyly.visible_rows('"Odd ""schema"""."odd; table"', NULL)$$),
	'42501 permission denied for schema Odd "schema"', 'a role that lacks the privilege is told so');
SELECT is(who(), :'nobody', 'which leaves the caller who he is');
GRANT USAGE ON SCHEMA "Odd ""schema""" TO authenticated;
GRANT SELECT ON "Odd ""schema"""."odd; table" TO authenticated;
SELECT is(pattyly.visible_rows('"Odd ""schema"""."odd; table"', NULL), 2::bigint, 'names are quoted');
CREATE VIEW notes_view WITH (security_invoker = true) AS SELECT id FROM notes;
SELECT is(pattyly.visible_rows('notes_view', :bob), 1::bigint, 'a view with security_invoker');
CREATE VIEW leaky_view AS SELECT id FROM notes;
SELECT is(pattyly.visible_rows('leaky_view', :bob), 5::bigint, 'one without shows what its owner sees');

-- Code that runs as the user cannot become the caller.
CREATE FUNCTION escape() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', 'none', true);
	RETURN true;
END
$$;
CREATE TABLE trap (id integer PRIMARY KEY);
INSERT INTO trap VALUES (1);
ALTER TABLE trap ENABLE ROW LEVEL SECURITY;
CREATE POLICY trap ON trap USING (escape());
SELECT is(said('SELECT pattyly.visible_rows(''trap'', NULL)'),
	'42501 cannot set parameter "role" within security-definer function', 'a policy cannot take the caller''s role');
SELECT is(said('SELECT * FROM pattyly.explain_access(''trap'', ''1'', NULL)'),
	'42501 cannot set parameter "role" within security-definer function', 'in explain_access neither');
-- Nor have something done by him at COMMIT.
CREATE TABLE steps (who name);
GRANT ALL ON steps TO authenticated;
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON steps DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION at_commit();
CREATE OR REPLACE FUNCTION escape() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO steps VALUES (current_user);
	RETURN true;
END
$$;
SELECT is(said('SELECT pattyly.visible_rows(''trap'', NULL)'),
	'42501 cannot fire deferred trigger within security-restricted operation', 'nor leave a deferred trigger behind');

SELECT * FROM finish();
