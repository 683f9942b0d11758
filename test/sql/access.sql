-- The guide's two tables and its four people: a client, two experts, and somebody who is not logged in.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE EXTENSION pattyly;
CREATE ROLE regress_authenticated;
CREATE ROLE regress_anon;
CREATE TABLE "Client" (id uuid PRIMARY KEY, name text);
CREATE TABLE expertassignment (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    expert_id uuid NOT NULL,
    client_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'active',
    ends_at timestamptz
);
INSERT INTO "Client" VALUES
    ('00000000-0000-0000-0000-0000000000c1', 'Ann'),
    ('00000000-0000-0000-0000-0000000000c2', 'Bob'),
    ('00000000-0000-0000-0000-0000000000c3', 'Cid'),
    ('00000000-0000-0000-0000-0000000000c4', 'Dot');
INSERT INTO expertassignment (expert_id, client_id, status, ends_at) VALUES
    ('00000000-0000-0000-0000-0000000000e1', '00000000-0000-0000-0000-0000000000c1', 'active', NULL),
    ('00000000-0000-0000-0000-0000000000e1', '00000000-0000-0000-0000-0000000000c2', 'active', '2999-12-31'),
    ('00000000-0000-0000-0000-0000000000e1', '00000000-0000-0000-0000-0000000000c3', 'ended', NULL),
    ('00000000-0000-0000-0000-0000000000e2', '00000000-0000-0000-0000-0000000000c3', 'active', NULL),
    ('00000000-0000-0000-0000-0000000000e2', '00000000-0000-0000-0000-0000000000c4', 'active', '2001-01-01');
GRANT SELECT, UPDATE ON "Client" TO regress_authenticated, regress_anon;
SELECT count(*) > 0 AS granted FROM pattyly.grant_api(api_roles => '{regress_anon,regress_authenticated}');

-- Who is assigned to whom; a client sees himself.
SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id',
    'status = ''active'' and (ends_at is null or ends_at > now())', include_self => true);
SELECT name, assignments, subject_column, object_column, filter, include_self FROM pattyly.relations;
ALTER TABLE "Client" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_and_assigned ON "Client" USING (pattyly.has_access('client', id));

-- The client.
SET ROLE regress_authenticated;
SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-0000000000c1","role":"authenticated","app_metadata":{"roles":["client"]}}';
SELECT pattyly.uid(), pattyly.role(), pattyly.claim('app_metadata.roles[0]'), pattyly.has_claim('app_metadata.roles', 'client');
SELECT name FROM "Client" ORDER BY name;
-- The first expert: one of his assignments has ended.
SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-0000000000e1","role":"authenticated"}';
SELECT name FROM "Client" ORDER BY name;
SELECT pattyly.accessible_uuids('client');
-- The second: one of his has run out.
SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-0000000000e2","role":"authenticated"}';
SELECT name FROM "Client" ORDER BY name;
UPDATE "Client" SET name = 'Cyd' WHERE id = '00000000-0000-0000-0000-0000000000c3' RETURNING name;
UPDATE "Client" SET name = 'Eve' WHERE id = '00000000-0000-0000-0000-0000000000c1' RETURNING name;
-- Nobody.
SET ROLE regress_anon;
SET request.jwt.claims = '{"role":"anon"}';
SELECT name FROM "Client" ORDER BY name;
SELECT pattyly.accessible_uuids('client');
SELECT filter FROM pattyly.relations;

-- An assignment counts at once, in the transaction that makes it, and not when that is rolled back.
RESET ROLE;
BEGIN;
INSERT INTO expertassignment (expert_id, client_id) VALUES ('00000000-0000-0000-0000-0000000000e2', '00000000-0000-0000-0000-0000000000c1');
SET LOCAL request.jwt.claims = '{"sub":"00000000-0000-0000-0000-0000000000e2"}';
SET LOCAL ROLE regress_authenticated;
SELECT name FROM "Client" ORDER BY name;
ROLLBACK;
SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-0000000000e2"}';
SET ROLE regress_authenticated;
SELECT name FROM "Client" ORDER BY name;

-- The plan: the index of the clients, with the objects of who asks.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM "Client";
EXPLAIN (COSTS OFF) SELECT * FROM "Client" WHERE id = '00000000-0000-0000-0000-0000000000c1';
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET ROLE;

-- What a relation is not.
SELECT pattyly.define_relation('x', 'nowhere', 'expert_id', 'client_id');
SELECT pattyly.define_relation('x', 'expertassignment', 'expert', 'client_id');
SELECT pattyly.define_relation('x', 'expertassignment', 'expert_id', 'ends_at');
SELECT pattyly.define_relation('x', 'expertassignment', 'expert_id', 'client_id', 'ends_at > clock_timestamp()');
SELECT pattyly.define_relation('x', 'expertassignment', 'expert_id', 'client_id', 'true; drop table "Client"');
SELECT pattyly.define_relation('x', 'expertassignment', 'expert_id', 'client_id', '*');

-- A relation that is gone, or whose table is, is an error, and lets nobody through.
ALTER TABLE expertassignment RENAME COLUMN status TO state;
SET ROLE regress_authenticated;
SELECT name FROM "Client";
RESET ROLE;
DROP TABLE expertassignment;
SET ROLE regress_authenticated;
SELECT name FROM "Client";
RESET ROLE;
SELECT pattyly.drop_relation('client');
SELECT pattyly.drop_relation('client');
SET ROLE regress_authenticated;
SELECT name FROM "Client";
RESET ROLE;
DROP TABLE "Client";
SELECT count(*) > 0 AS revoked FROM pattyly.revoke_api(api_roles => '{regress_anon,regress_authenticated}');
DROP EXTENSION pattyly;
DROP ROLE regress_anon, regress_authenticated;
