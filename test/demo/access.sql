-- The second scene: clients and their experts. Makes the guide's two tables, asks the same questions under the guide's
-- policies, the best one by hand and ours, and keeps what came out and how long it took. See access-report.sql.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
-- Else VACUUM finds rows whose commit is not on disk yet, and calls no page all-visible.
SET synchronous_commit = on;

-- As Supabase has it.
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO anon, authenticated;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		nullif(current_setting('request.jwt.claim.sub', true), ''),
		(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid
$$;

CREATE TABLE public."Client" (
	id uuid PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz NOT NULL
);
CREATE TABLE public.expertassignment (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(), expert_id uuid NOT NULL, client_id uuid NOT NULL
);
GRANT SELECT ON public."Client", public.expertassignment TO anon, authenticated;

CREATE TABLE demo.people (place integer, name text PRIMARY KEY, what text, role name, id uuid);
INSERT INTO demo.people VALUES
	(1, 'Nora', 'a client', 'authenticated', md5('client 50001')::uuid),
	(2, 'Ada', 'an expert', 'authenticated', md5('expert Ada')::uuid),
	(3, 'Ben', 'an expert, a busy one', 'authenticated', md5('expert Ben')::uuid),
	(4, 'anon', 'nobody knows who', 'anon', NULL);

INSERT INTO public."Client" (id, name, email, created_at)
SELECT md5('client ' || n)::uuid, CASE n WHEN 50001 THEN 'Nora' ELSE 'Client ' || n END, n || '@clients.example',
	timestamptz '2025-01-01 08:00+00' + n * interval '5 minutes'
FROM generate_series(1, 100000) AS n;

-- Ada has every 500th, Ben every 20th, 998 others have 14,800 between them. An index that nobody would forget.
INSERT INTO public.expertassignment (expert_id, client_id)
SELECT md5('expert Ada')::uuid, md5('client ' || n)::uuid FROM generate_series(500, 100000, 500) AS n
UNION ALL
SELECT md5('expert Ben')::uuid, md5('client ' || n)::uuid FROM generate_series(20, 100000, 20) AS n
UNION ALL
SELECT md5('expert ' || n % 998)::uuid, md5('client ' || n * 5)::uuid FROM generate_series(1, 14800) AS n;
CREATE INDEX ON public.expertassignment (expert_id, client_id);
CREATE INDEX ON public."Client" (created_at);
VACUUM (ANALYZE) public."Client", public.expertassignment;

CREATE TABLE demo.questions (place integer, question text PRIMARY KEY, query text);
INSERT INTO demo.questions VALUES
	(1, 'how many clients?', 'SELECT count(*) FROM "Client"'),
	(2, 'the newest 20', 'SELECT count(*) FROM (SELECT * FROM "Client" ORDER BY created_at DESC LIMIT 20) AS newest'),
	(3, 'client 50,000, by id', format('SELECT count(*) FROM "Client" WHERE id = %L', md5('client 50000')));

CREATE TABLE demo.access_answers (policies text, name text, question text, answer bigint, ms float8);
CREATE TABLE demo.access_plans (policies text, name text, n integer, line text);
CREATE TABLE demo.access_statements (n integer GENERATED ALWAYS AS IDENTITY, statement text);

CREATE FUNCTION demo.become(person demo.people) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('request.jwt.claims', CASE WHEN person.id IS NULL THEN '{"role":"anon"}'
			ELSE json_build_object('role', person.role, 'sub', person.id, 'aud', 'authenticated',
				'app_metadata', '{"provider": "email"}'::json)::text END, true),
		set_config('role', person.role, true)
$$;

-- Everybody asks everything, each time in a transaction of its own: five times, or as often as half a second has room
-- for, but once.
CREATE PROCEDURE demo.ask_all(policies text) LANGUAGE plpgsql AS $$
DECLARE
	person demo.people;
	ask demo.questions;
	began timestamptz;
	took float8;
	spent float8;
	answer bigint;
BEGIN
	FOR person IN SELECT * FROM demo.people ORDER BY place LOOP
		FOR ask IN SELECT * FROM demo.questions ORDER BY place LOOP
			spent := 0;
			FOR round IN 1..5 LOOP
				PERFORM demo.become(person);
				began := clock_timestamp();
				EXECUTE ask.query INTO answer;
				took := extract(epoch FROM clock_timestamp() - began) * 1000;
				PERFORM set_config('role', 'none', true);
				INSERT INTO demo.access_answers VALUES (policies, person.name, ask.question, answer, took);
				COMMIT;
				spent := spent + took;
				EXIT WHEN spent > 500;
			END LOOP;
		END LOOP;
	END LOOP;
END
$$;

CREATE PROCEDURE demo.keep_plan(policies text, whose text, question text) LANGUAGE plpgsql AS $$
DECLARE
	person demo.people;
	query text;
	lines text[] := '{}';
	line text;
BEGIN
	SELECT * INTO person FROM demo.people AS p WHERE p.name = whose;
	SELECT q.query INTO query FROM demo.questions AS q WHERE q.question = keep_plan.question;
	PERFORM demo.become(person);
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF, SUMMARY OFF) ' || query LOOP
		lines := lines || line;
	END LOOP;
	PERFORM set_config('role', 'none', true);
	INSERT INTO demo.access_plans SELECT policies, whose, l.n, l.line FROM unnest(lines) WITH ORDINALITY AS l(line, n);
END
$$;

-- The guide's, to the letter: whose id is it?
ALTER TABLE public."Client" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users can view own data" ON public."Client" FOR SELECT USING (auth.uid() = id);
CREATE POLICY "Experts can view assigned clients" ON public."Client" FOR SELECT USING (
	EXISTS (SELECT 1 FROM expertassignment WHERE expert_id = auth.uid() AND client_id = id));
CALL demo.ask_all('to the letter');

-- The same, saying whose.
ALTER POLICY "Experts can view assigned clients" ON public."Client" USING (
	EXISTS (SELECT 1 FROM expertassignment WHERE expert_id = auth.uid() AND client_id = "Client".id));
CALL demo.ask_all('guide');
CALL demo.keep_plan('guide', 'Ada', 'how many clients?');

-- What somebody writes who knows all of it: one policy, whose list is read once a statement, for those whom it concerns.
DROP POLICY "Users can view own data" ON public."Client";
DROP POLICY "Experts can view assigned clients" ON public."Client";
CREATE POLICY "Own and assigned clients" ON public."Client" FOR SELECT TO authenticated USING (id = ANY (ARRAY(
	SELECT client_id FROM expertassignment WHERE expert_id = (SELECT auth.uid()) UNION ALL SELECT (SELECT auth.uid()))));
CALL demo.ask_all('by hand');
CALL demo.keep_plan('by hand', 'Ada', 'how many clients?');

-- Ours: one policy, which is one call. It finds the table as a newcomer's would be.
DROP POLICY "Own and assigned clients" ON public."Client";
ALTER TABLE public."Client" DISABLE ROW LEVEL SECURITY;
\o /dev/null
SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id', include_self => true);
INSERT INTO demo.access_statements (statement)
SELECT pattyly.protect('"Client"', relation => 'client', object_column => 'id');
\o
CALL demo.ask_all('pattyly');
CALL demo.keep_plan('pattyly', 'Ada', 'how many clients?');
