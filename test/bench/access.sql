-- Prints "round case milliseconds" for each round and case, a case being QUERY/PERSON/FORM. Variables: clients, experts,
-- big (how many clients one expert has), total (assignments), rounds, budget (milliseconds for all rounds of a case),
-- patience (milliseconds for one statement).
--
-- All forms of the policy stand on one table, each for a role of its own; a policy applies to its role only.
\set ON_ERROR_STOP on
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET synchronous_commit = off;
SET client_min_messages = warning;

CREATE TABLE "Client" (
	id uuid PRIMARY KEY,
	name text NOT NULL,
	email text NOT NULL,
	created_at timestamptz NOT NULL
) WITH (fillfactor = 90);
CREATE TABLE expertassignment (
	id uuid PRIMARY KEY,
	expert_id uuid NOT NULL,
	client_id uuid NOT NULL
);
CREATE TABLE orders (
	id integer PRIMARY KEY,
	client_id uuid NOT NULL,
	amount integer NOT NULL
);
CREATE FUNCTION bench.client(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('client ' || i)::uuid $$;
CREATE FUNCTION bench.expert(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('expert ' || i)::uuid $$;

INSERT INTO "Client"
	SELECT bench.client(i), 'Client number ' || i, 'client' || i || '@example.org',
		   timestamptz '2026-01-01' + i * interval '1 minute'
	FROM generate_series(1, :clients) AS s(i);
-- Expert 1 has many, expert 2 has 200, the others share the rest; they came in any order. The step is prime.
INSERT INTO expertassignment
	SELECT md5('assignment ' || n)::uuid, bench.expert(expert), bench.client(1 + (expert * 104729 + n * 611953) % :clients)
	FROM (SELECT n, CASE WHEN n <= :big THEN 1 WHEN n <= :big + 200 THEN 2 ELSE 3 + n % (:experts - 2) END AS expert
		  FROM generate_series(1, :total::bigint) AS s(n)) AS a
	ORDER BY md5(n::text);
INSERT INTO orders SELECT i, bench.client(1 + (i * 48271::bigint) % :clients), i % 1000 FROM generate_series(1, :clients / 2) AS s(i);
CREATE INDEX ON "Client" (created_at);
CREATE UNIQUE INDEX ON expertassignment (expert_id, client_id);
CREATE INDEX ON expertassignment (client_id);
CREATE INDEX ON orders (client_id);
VACUUM (FREEZE, ANALYZE) "Client", expertassignment, orders;

-- ---- the forms ----

CREATE FUNCTION can_view(client uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
	SELECT client = auth.uid() OR EXISTS (SELECT 1 FROM expertassignment AS a
										  WHERE a.expert_id = auth.uid() AND a.client_id = client)
$$;
SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id', include_self => true) \g /dev/null

CREATE TABLE bench.forms (n integer GENERATED ALWAYS AS IDENTITY, form name, condition text);
-- The guide has client_id = id in the second, which here would be the id of the assignment.
INSERT INTO bench.forms (form, condition) VALUES
	('guide', 'auth.uid() = id'),
	('guide', 'EXISTS (SELECT 1 FROM expertassignment WHERE expert_id = auth.uid() AND client_id = "Client".id)'),
	('wrapped', '(SELECT auth.uid()) = id'),
	('wrapped', 'EXISTS (SELECT 1 FROM expertassignment WHERE expert_id = (SELECT auth.uid()) AND client_id = "Client".id)'),
	('in', '(SELECT auth.uid()) = id'),
	('in', 'id IN (SELECT client_id FROM expertassignment WHERE expert_id = (SELECT auth.uid()))'),
	('any', '(SELECT auth.uid()) = id'),
	('any', 'id = ANY (ARRAY(SELECT client_id FROM expertassignment WHERE expert_id = (SELECT auth.uid())))'),
	('any_one', 'id = ANY (ARRAY(SELECT client_id FROM expertassignment WHERE expert_id = (SELECT auth.uid())
	                             UNION ALL SELECT auth.uid()))'),
	('definer', 'can_view(id)'),
	('ours', 'pattyly.has_access(''client'', id)');

DO $$
DECLARE
	f record;
BEGIN
	CREATE ROLE bench_plain BYPASSRLS;
	FOR f IN SELECT DISTINCT form FROM bench.forms LOOP
		EXECUTE format('CREATE ROLE bench_%s', f.form);
	END LOOP;
	FOR f IN SELECT * FROM bench.forms ORDER BY n LOOP
		EXECUTE format('CREATE POLICY select_%s ON "Client" FOR SELECT TO bench_%s USING (%s)', f.n, f.form, f.condition);
		EXECUTE format('CREATE POLICY update_%s ON "Client" FOR UPDATE TO bench_%s USING (%s)', f.n, f.form, f.condition);
	END LOOP;
	ALTER TABLE "Client" ENABLE ROW LEVEL SECURITY;
	FOR f IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'bench\_%' LOOP
		EXECUTE format('GRANT USAGE ON SCHEMA public, auth TO %I', f.rolname);
		EXECUTE format('GRANT SELECT, UPDATE ON "Client" TO %I', f.rolname);
		EXECUTE format('GRANT SELECT ON expertassignment, orders TO %I', f.rolname);
	END LOOP;
	PERFORM pattyly.grant_api(api_roles => '{bench_ours}');
END
$$;

-- ---- the cases ----

CREATE TABLE bench.people (n integer, person text, uid uuid, his uuid, others uuid, his_order integer);
INSERT INTO bench.people (n, person, uid, his) VALUES
	(1, 'client', bench.client(:clients / 3), bench.client(:clients / 3)),
	(2, 'expert', bench.expert(2), (SELECT client_id FROM expertassignment WHERE expert_id = bench.expert(2) ORDER BY id LIMIT 1)),
	(3, 'big', bench.expert(1), (SELECT client_id FROM expertassignment WHERE expert_id = bench.expert(1) ORDER BY id LIMIT 1));
UPDATE bench.people AS p SET others = (SELECT c.id FROM "Client" AS c
	WHERE c.id <> p.uid AND NOT EXISTS (SELECT FROM expertassignment AS a WHERE a.expert_id = p.uid AND a.client_id = c.id)
	ORDER BY c.created_at OFFSET 1000 LIMIT 1);
UPDATE bench.people AS p SET his_order = (SELECT min(o.id) FROM orders AS o WHERE o.client_id = p.uid OR EXISTS
	(SELECT FROM expertassignment AS a WHERE a.expert_id = p.uid AND a.client_id = o.client_id));

CREATE TABLE bench.queries (n integer GENERATED ALWAYS AS IDENTITY, query text, template text);
-- $where and $and become what is asked for by hand where no policy does.
INSERT INTO bench.queries (query, template) VALUES
	('count', 'SELECT count(*) FROM "Client" AS c $where'),
	('hit', 'SELECT c.* FROM "Client" AS c WHERE c.id = ''$his'' $and'),
	('miss', 'SELECT c.* FROM "Client" AS c WHERE c.id = ''$others'' $and'),
	('newest', 'SELECT c.* FROM "Client" AS c $where ORDER BY c.created_at DESC LIMIT 20'),
	('join', 'SELECT count(*), sum(o.amount) FROM "Client" AS c JOIN orders AS o ON o.client_id = c.id $where'),
	('order', 'SELECT o.amount, c.name FROM orders AS o JOIN "Client" AS c ON c.id = o.client_id WHERE o.id = $order $and'),
	('update', 'UPDATE "Client" AS c SET name = c.name WHERE c.id = ''$his'' $and');
\set by_hand 'c.id IN (SELECT client_id FROM expertassignment WHERE expert_id = ''$uid'' UNION ALL SELECT ''$uid''::uuid)'

CREATE FUNCTION bench.fill(template text, p bench.people, condition text) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(replace(replace(replace(replace(template,
		'$where', coalesce('WHERE ' || condition, '')), '$and', coalesce('AND ' || condition, '')),
		'$uid', p.uid::text), '$his', p.his::text), '$others', p.others::text), '$order', coalesce(p.his_order, 1)::text)
$$;
INSERT INTO bench.cases (name, role, claims, query)
	SELECT format('%s/%s/%s', q.query, p.person, f.form), 'bench_' || f.form, bench.claims(p.uid),
		   bench.fill(q.template, p, CASE f.form WHEN 'plain' THEN :'by_hand' END)
	FROM bench.queries AS q, bench.people AS p, (SELECT 0, 'plain' UNION ALL SELECT min(n), form FROM bench.forms GROUP BY form) AS f(n, form)
	ORDER BY q.n, f.n, p.n;
INSERT INTO bench.cases (name, role, claims, query, settings)
	SELECT format('forced/%s/%s', p.person, f.form), 'bench_' || f.form, bench.claims(p.uid), 'SELECT count(*) FROM "Client"',
		   '{"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_bitmapscan": "off"}'
	FROM bench.people AS p, (VALUES ('any_one'), ('ours')) AS f(form)
	WHERE p.person = 'expert';
INSERT INTO bench.cases (name, role, claims, query)
	SELECT format('nothing/%s/ours', person), 'bench_ours', bench.claims(uid), 'SELECT 1' FROM bench.people;

SET statement_timeout = :patience;
SELECT format('CALL bench.probe(%L, %s)', name, :budget) FROM bench.cases ORDER BY n \gexec
SET statement_timeout = 0;
CALL bench.compare_answers();
SELECT format('CALL bench.round(%s, %L, %s)', r, '', :budget) FROM generate_series(1, :rounds) AS s(r) \gexec

\pset fieldsep ' '
SELECT * FROM bench.samples;
