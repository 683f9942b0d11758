-- Prints "round case milliseconds" for each round and case, a case being CASE/FORM: the cases of the public table of
-- GaryAustin1/RLS-Performance, each with the policy as first written (bare), as advised there (advised) and with pattyly
-- (ours). Variables: rows, rounds, budget (milliseconds for all rounds of a case), patience (milliseconds for a statement).
\set ON_ERROR_STOP on
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET synchronous_commit = off;
SET client_min_messages = warning;

-- ---- the tables: as there, the small ones without an index ----

CREATE FUNCTION bench.member(name text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('member ' || name)::uuid $$;

CREATE TABLE rlstest AS
	SELECT x AS id, 'name-' || x AS name, bench.member(x::text) AS user_id, CASE x WHEN 1 THEN 'admin' ELSE 'user' END AS role, x AS team_id
	FROM generate_series(1, :rows) AS s(x);
CREATE TABLE rlstest_indexed AS SELECT * FROM rlstest;
CREATE INDEX ON rlstest_indexed (user_id);
CREATE INDEX ON rlstest_indexed (team_id);
CREATE TABLE rlstest_roles AS
	SELECT x AS id, 'name-' || x AS name, bench.member(x::text) AS user_id, CASE x WHEN 1 THEN 'admin' ELSE 'user' END AS role
	FROM generate_series(1, 1000) AS s(x);
-- Who is in 2, 10, 100 and 500 teams, and 388 others.
CREATE TABLE rlstest_team_user AS
	SELECT x AS id, 'name-' || x AS name, x AS team_id,
		   bench.member(CASE WHEN x <= 2 THEN '2' WHEN x <= 12 THEN '10' WHEN x <= 112 THEN '100' WHEN x <= 612 THEN '500' ELSE x::text END) AS user_id
	FROM generate_series(1, 1000) AS s(x);
ALTER TABLE rlstest ENABLE ROW LEVEL SECURITY;
ALTER TABLE rlstest_indexed ENABLE ROW LEVEL SECURITY;
ALTER TABLE rlstest_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE rlstest_team_user ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rlstest_team_user USING ((SELECT auth.uid()) = user_id);
VACUUM (FREEZE, ANALYZE) rlstest, rlstest_indexed, rlstest_roles, rlstest_team_user;

CREATE FUNCTION is_admin() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rlstest_roles WHERE user_id = auth.uid() AND role = 'admin');
END
$$;
CREATE FUNCTION get_role() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RETURN (SELECT role FROM rlstest_roles WHERE user_id = auth.uid());
END
$$;
CREATE FUNCTION user_teams() RETURNS integer[] LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RETURN ARRAY(SELECT team_id FROM rlstest_team_user WHERE user_id = auth.uid());
END
$$;
CREATE FUNCTION in_team(team integer) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
	SELECT EXISTS (SELECT FROM rlstest_team_user WHERE team_id = team AND user_id = auth.uid())
$$;
SELECT pattyly.define_relation('role', 'rlstest_roles', 'user_id', 'role'),
	pattyly.define_relation('team', 'rlstest_team_user', 'user_id', 'team_id') \g /dev/null

-- ---- the cases ----

CREATE TABLE bench.questions (n integer GENERATED ALWAYS AS IDENTITY, question text, on_table text, member text, query text);
INSERT INTO bench.questions (question, on_table, member, query) VALUES
	('owner', 'rlstest', '2', 'SELECT count(*) FROM rlstest'),
	('owner_index', 'rlstest_indexed', '2', 'SELECT count(*) FROM rlstest_indexed'),
	('filter', 'rlstest', '2', format('SELECT count(*) FROM rlstest WHERE user_id = %L', bench.member('2'))),
	('admin', 'rlstest', '1', 'SELECT count(*) FROM rlstest'),
	('admin_or_owner', 'rlstest', '2', 'SELECT count(*) FROM rlstest'),
	('admin_or_owner_whole', 'rlstest', '2', 'SELECT count(*) FROM rlstest'),
	('role', 'rlstest', '1', 'SELECT count(*) FROM rlstest'),
	('team', 'rlstest', '2', 'SELECT * FROM rlstest'),
	('team10', 'rlstest', '10', 'SELECT * FROM rlstest ORDER BY id LIMIT 1000'),
	('team100', 'rlstest', '100', 'SELECT * FROM rlstest ORDER BY id LIMIT 1000'),
	('team500', 'rlstest', '500', 'SELECT * FROM rlstest ORDER BY id LIMIT 1000'),
	('team10_index', 'rlstest_indexed', '10', 'SELECT * FROM rlstest_indexed ORDER BY id LIMIT 1000'),
	('team100_index', 'rlstest_indexed', '100', 'SELECT * FROM rlstest_indexed ORDER BY id LIMIT 1000'),
	('team500_index', 'rlstest_indexed', '500', 'SELECT * FROM rlstest_indexed ORDER BY id LIMIT 1000'),
	('in', 'rlstest', '2', 'SELECT * FROM rlstest'),
	('definer', 'rlstest', '2', 'SELECT * FROM rlstest'),
	('anon', 'rlstest', NULL, 'SELECT count(*) FROM rlstest');

-- to_role: other than the one that asks, so there is no policy for that one.
CREATE TABLE bench.forms (n integer GENERATED ALWAYS AS IDENTITY, question text, form text, condition text, to_role name);
INSERT INTO bench.forms (question, form, condition)
	SELECT question, form, condition
	FROM bench.questions, (VALUES ('bare', 'auth.uid() = user_id'), ('advised', '(SELECT auth.uid()) = user_id'),
								  ('ours', 'user_id = (SELECT pattyly.uid())')) AS f(form, condition)
	WHERE question IN ('owner', 'owner_index', 'filter', 'anon');
UPDATE bench.forms SET to_role = 'authenticated' WHERE question = 'anon' AND form <> 'bare';
INSERT INTO bench.forms (question, form, condition) VALUES
	('admin', 'bare', 'is_admin()'),
	('admin', 'advised', '(SELECT is_admin())'),
	('admin', 'ours', '(SELECT pattyly.has_access(''role'', ''admin''))'),
	('admin_or_owner', 'bare', 'is_admin() OR auth.uid() = user_id'),
	('admin_or_owner', 'advised', '(SELECT is_admin()) OR (SELECT auth.uid()) = user_id'),
	('admin_or_owner', 'ours', '(SELECT pattyly.has_access(''role'', ''admin'')) OR user_id = (SELECT pattyly.uid())'),
	('admin_or_owner_whole', 'bare', '(SELECT is_admin() OR auth.uid() = user_id)'),
	('admin_or_owner_whole', 'advised', '(SELECT is_admin()) OR (SELECT auth.uid()) = user_id'),
	('admin_or_owner_whole', 'ours', '(SELECT pattyly.has_access(''role'', ''admin'')) OR user_id = (SELECT pattyly.uid())'),
	('role', 'bare', 'get_role() = role'),
	('role', 'advised', '(SELECT get_role()) = role'),
	('role', 'ours', 'pattyly.has_access(''role'', role)'),
	('team', 'bare', 'team_id = ANY (user_teams())'),
	('in', 'bare', 'auth.uid() IN (SELECT t.user_id FROM rlstest_team_user AS t WHERE t.team_id = rlstest.team_id)'),
	('in', 'advised', 'team_id IN (SELECT t.team_id FROM rlstest_team_user AS t WHERE t.user_id = auth.uid())'),
	('definer', 'bare', 'in_team(team_id)'),
	('definer', 'advised', 'team_id = ANY (ARRAY(SELECT user_teams()))');
INSERT INTO bench.forms (question, form, condition)
	SELECT question, 'advised', 'team_id = ANY (ARRAY(SELECT user_teams()))' FROM bench.questions WHERE question LIKE 'team%'
	UNION ALL
	SELECT question, 'ours', 'pattyly.has_access(''team'', team_id)' FROM bench.questions
	WHERE question LIKE 'team%' OR question IN ('in', 'definer');

DO $$
DECLARE
	form text;
BEGIN
	FOREACH form IN ARRAY ARRAY['bare', 'advised', 'ours'] LOOP
		IF to_regrole('rls_' || form) IS NULL THEN
			EXECUTE format('CREATE ROLE rls_%s', form);
		END IF;
		EXECUTE format('GRANT USAGE ON SCHEMA public, auth TO rls_%s', form);
		EXECUTE format('GRANT SELECT ON rlstest, rlstest_indexed, rlstest_team_user TO rls_%s', form);
	END LOOP;
	PERFORM pattyly.grant_api(api_roles => '{rls_ours}');
END
$$;
INSERT INTO bench.cases (name, role, claims, query)
	SELECT f.question || '/' || f.form, 'rls_' || f.form,
		   CASE WHEN q.member IS NULL THEN '{"role":"anon"}' ELSE bench.claims(bench.member(q.member)) END, q.query
	FROM bench.forms AS f JOIN bench.questions AS q USING (question) ORDER BY q.n, f.n;

-- One question at a time, so that no other policies stand on the tables.
CREATE PROCEDURE bench.set_policies(wanted text) LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT policyname, tablename FROM pg_policies WHERE policyname LIKE 'test\_%' LOOP
		EXECUTE format('DROP POLICY %I ON %I', p.policyname, p.tablename);
	END LOOP;
	FOR p IN SELECT * FROM bench.forms JOIN bench.questions USING (question) WHERE question = wanted LOOP
		EXECUTE format('CREATE POLICY test_%s ON %I FOR SELECT TO %I USING (%s)', p.form, p.on_table,
					   coalesce(p.to_role, 'rls_' || p.form), p.condition);
	END LOOP;
END
$$;
SELECT command FROM (
	SELECT n, 1, format('CALL bench.set_policies(%L)', question) FROM bench.questions
	UNION ALL
	SELECT n, 2, format('SET statement_timeout = %s', :patience) FROM bench.questions
	UNION ALL
	SELECT q.n, 2 + f.n, format('CALL bench.probe(%L, %s)', question || '/' || form, :budget) FROM bench.questions AS q JOIN bench.forms AS f USING (question)
	UNION ALL
	SELECT n, 9000, 'SET statement_timeout = 0' FROM bench.questions
	UNION ALL
	SELECT n, 9000 + r, format('CALL bench.round(%s, %L, %s)', r, question || '/', :budget) FROM bench.questions, generate_series(1, :rounds) AS s(r)
) AS steps(n, m, command) ORDER BY n, m \gexec
CALL bench.compare_answers();

\pset fieldsep ' '
SELECT * FROM bench.samples;
