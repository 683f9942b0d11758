-- Relations: made, replaced, dropped, listed; everything that is none is refused; and one whose table is not what it was
-- raises an error that says what to do, and lets nobody through.
SELECT plan(451);
SET client_min_messages = warning;

CREATE FUNCTION said(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT sqlstate || coalesce(' ' || message, '') FROM tests.outcome(statement)
$$;
CREATE FUNCTION hinted(statement text) RETURNS boolean LANGUAGE sql AS $$
	SELECT coalesce(hint, '') <> '' FROM tests.outcome(statement)
$$;
CREATE FUNCTION who(sub text) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('request.jwt.claims', CASE WHEN sub IS NULL THEN '' ELSE jsonb_build_object('sub', sub)::text END, false)
$$;
CREATE FUNCTION e(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-e' || lpad(n::text, 11, '0'))::uuid $$;
CREATE FUNCTION c(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-c' || lpad(n::text, 11, '0'))::uuid $$;
-- The numbers of the clients that somebody sees.
CREATE FUNCTION seen(relation text, sub text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM who(sub);
	RETURN (SELECT coalesce(string_agg(ltrim(right(u::text, 11), '0'), ' ' ORDER BY u), 'none') FROM unnest(pattyly.accessible_uuids(relation)) AS u);
END
$$;

CREATE TABLE expertassignment (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), expert_id uuid, client_id uuid, status text DEFAULT 'active',
	ends_at timestamptz, note text, number integer);
INSERT INTO expertassignment (expert_id, client_id, status, ends_at, note) VALUES
	(e(1), c(1), 'active', NULL, 'a'), (e(1), c(2), 'ended', NULL, 'b'), (e(1), c(3), 'active', now() - interval '1 day', 'c'),
	(e(2), c(4), 'active', NULL, 'd'), (e(1), NULL, 'active', NULL, NULL), (NULL, c(5), 'active', NULL, NULL), (e(1), c(1), 'active', NULL, 'twice');

---- Defined, replaced, listed, dropped ---------------------------------------------------------------------------------

SELECT lives_ok($$SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id')$$, 'a relation without a filter');
SELECT is(seen('client', e(1)::text), '1 2 3', 'every row counts, each object once, NULL is no object');
SELECT is(seen('client', e(2)::text), '4', 'for another subject, his own');
SELECT is(seen('client', e(3)::text), 'none', 'nothing for a subject without rows');
SELECT is(seen('client', NULL), 'none', 'nothing for nobody: a NULL subject is not he');
SELECT lives_ok($$SELECT pattyly.define_relation('client', 'expertassignment', 'expert_id', 'client_id',
	'status = ''active'' and (ends_at is null or ends_at > now())')$$, 'the same name replaces');
SELECT is(seen('client', e(1)::text), '1', 'the filter counts at once');
SELECT results_eq($$SELECT name, assignments::text, subject_column::text COLLATE "default", object_column::text COLLATE "default", include_self, owner::text COLLATE "default" FROM pattyly.relations$$,
	format($$VALUES ('client', 'expertassignment', 'expert_id', 'client_id', false, %L)$$, current_user), 'it is listed, with the owner of the table');
SELECT lives_ok($$SELECT pattyly.define_relation(name => 'self', assignments => 'expertassignment', subject_column => 'expert_id', object_column => 'client_id', include_self => true)$$, 'arguments by name');
SELECT is(seen('self', e(3)::text), '3', 'include_self: himself');
SELECT is(seen('self', c(1)::text), '1', 'a client himself');
SELECT is(seen('self', NULL), 'none', 'but nobody has no self');
SELECT ok(NOT pattyly.has_access('self', NULL::uuid), 'and NULL is nobody''s');
SELECT is(pattyly.drop_relation('self'), true, 'dropped');
SELECT is(pattyly.drop_relation('self'), false, 'there is none any more');
SELECT is(pattyly.drop_relation(NULL), false, 'nor one without a name');
SELECT is(said($$SELECT pattyly.has_access('self', gen_random_uuid())$$), '42704 relation "self" is not defined', 'a dropped relation is an error');
SELECT ok(hinted($$SELECT pattyly.has_access('self', gen_random_uuid())$$), 'with a hint');
SELECT is(said($$SELECT pattyly.accessible_uuids('self')$$), '42704 relation "self" is not defined', 'for sets as well');
SELECT is(left(said(format($$SELECT pattyly.has_access(%L, gen_random_uuid())$$, n)), 5), '42704', 'no relation: ' || left(n, 20))
FROM unnest(ARRAY['', 'Client', 'client ', 'clien', 'clients', repeat('é', 31) || 'x', repeat('x', 64), repeat('é', 100)]) AS n;
SELECT is(pattyly.has_access(NULL, gen_random_uuid()), false, 'NULL is no relation');
SELECT is(pattyly.accessible_uuids(NULL), NULL, 'and has no set');
SELECT is(said($$SELECT pattyly.has_access('client', 1::bigint)$$), '42804 relation "client" has objects of type uuid, not bigint', 'keys of another type');
SELECT ok(hinted($$SELECT pattyly.accessible_ids('client')$$), 'come with a hint');
SELECT is(left(said($$SELECT pattyly.accessible_keys('client')$$), 5), '42804', 'as text');
SELECT who(e(1)::text);
SELECT is(pattyly.has_access('client', c(1)::text), true, 'the text of a uuid will do');
SELECT is(left(said($$SELECT pattyly.has_access('client', 'nonsense')$$), 5), '22P02', 'a text that is none will not');

-- Names and texts with everything in them.
CREATE TABLE "Odd ""Table"" é" ("Select" uuid, "from"" x" uuid, "$1" text DEFAULT 'a''b\c');
INSERT INTO "Odd ""Table"" é" VALUES (e(1), c(1));
SELECT lives_ok($x$SELECT pattyly.define_relation('it''s "odd" %s \', '"Odd ""Table"" é"', 'Select', 'from" x', '"$1" = ''a''''b\c''')$x$, 'odd names');
SELECT is(seen('it''s "odd" %s \', e(1)::text), '1', 'are found again');

---- What is refused ----------------------------------------------------------------------------------------------------

DROP ROLE IF EXISTS tests_relations_owner, tests_relations_other; CREATE ROLE tests_relations_owner; CREATE ROLE tests_relations_other;
CREATE SCHEMA theirs AUTHORIZATION tests_relations_owner;
CREATE TABLE theirs.assigned (LIKE expertassignment); ALTER TABLE theirs.assigned OWNER TO tests_relations_owner;
CREATE TABLE hidden (id uuid, client_id uuid, note text);
CREATE TABLE granted (id uuid, client_id uuid, note text); GRANT SELECT ON granted TO tests_relations_owner;
CREATE VIEW a_view AS TABLE expertassignment;
CREATE MATERIALIZED VIEW a_matview AS TABLE expertassignment;
CREATE SEQUENCE a_sequence; CREATE INDEX an_index ON expertassignment (expert_id); CREATE TYPE a_type AS (expert_id uuid, client_id uuid);
CREATE TEMP TABLE a_temp_table (LIKE expertassignment);
CREATE TABLE no_keys (expert_id uuid, n numeric, b boolean, j jsonb, a uuid[], ts timestamptz, ch char(3), r real, nm name, i integer, t text);
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE blind_keys (expert_id uuid, key text COLLATE blind);
CREATE TABLE foreign_columns (expert_id uuid, client_id uuid, gone integer); ALTER TABLE foreign_columns DROP COLUMN gone;

CREATE FUNCTION refused(what text, wanted text, assignments text, filter text DEFAULT NULL, object text DEFAULT 'client_id',
	subject text DEFAULT 'expert_id', include_self boolean DEFAULT false, name text DEFAULT 'refused') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	statement text := format('SELECT pattyly.define_relation(%L, %L, %L, %L, %L, %L)', name, assignments, subject, object, filter, include_self);
BEGIN
	RETURN NEXT is(left(said(statement), length(wanted)), wanted, 'refused: ' || what);
	RETURN NEXT ok(NOT EXISTS (SELECT FROM pattyly.relations AS r WHERE r.name = 'refused'), '  and nothing is kept: ' || what);
END
$$;
SELECT refused('no table', '42P01', 'nowhere');
SELECT refused('the number of no table', '42P01', '999999');
SELECT refused('a view', '42809', 'a_view');
SELECT refused('a materialized view', '42809', 'a_matview');
SELECT refused('a sequence', '42809', 'a_sequence');
SELECT refused('an index', '42809', 'an_index');
SELECT refused('a type', '42809', 'a_type');
SELECT refused('a temporary table', '0A000', 'a_temp_table');
SELECT refused('no such subject', '42703', 'expertassignment', subject => 'nobody');
SELECT refused('no such object', '42703', 'expertassignment', object => 'nothing');
SELECT refused('a column in another case', '42703', 'expertassignment', object => 'Client_Id');
SELECT refused('a system column', '42703', 'expertassignment', object => 'ctid');
SELECT refused('a dropped column', '42703', 'foreign_columns', object => '........pg.dropped.3........');
SELECT refused('an object that is ' || k, '42804', 'no_keys', object => k) FROM unnest(ARRAY['n', 'b', 'j', 'a', 'ts', 'ch', 'r', 'nm']) AS k;
SELECT refused('a subject that is ' || k, '42804', 'no_keys', object => 'expert_id', subject => k) FROM unnest(ARRAY['n', 'b', 'j', 'a', 'ts', 'ch', 'r', 'nm']) AS k;
SELECT refused('a collation for which others are equal', '0A000', 'blind_keys', object => 'key');
SELECT refused('himself as a number', '42804', 'no_keys', object => 'i', include_self => true);
SELECT refused('himself as a text', '42804', 'no_keys', object => 't', include_self => true);
SELECT refused('no name', '22023', 'expertassignment', name => '');
SELECT refused('a name that is too long', '22023', 'expertassignment', name => repeat('x', 64));
SELECT refused('a name of too many bytes', '22023', 'expertassignment', name => repeat('é', 32));
SELECT is(left(said($$SELECT pattyly.define_relation($$ || arguments || ')'), 5), '22004', 'refused: NULL in ' || arguments)
FROM unnest(ARRAY[$$NULL, 'expertassignment', 'expert_id', 'client_id'$$, $$'x', NULL, 'expert_id', 'client_id'$$, $$'x', 'expertassignment', NULL, 'client_id'$$,
	$$'x', 'expertassignment', 'expert_id', NULL$$, $$'x', 'expertassignment', 'expert_id', 'client_id', NULL, NULL$$]) AS arguments;

SELECT refused('filter ' || f, w, 'expertassignment', f) FROM (VALUES
	('', '42601'), (' ', '42601'), ('--', '42601'), ('/* */', '42601'), ('*', '42601'), ('expertassignment.*', '42804'), ('status', '42804'), ('1', '42804'), ('''yes''::text', '42804'),
	('status = ''active'';', '42601'), ('true; drop table expertassignment', '42601'), ('true; select true', '42601'),
	('1) OR (true', '42601'), ('true) OR (true', '42601'), ('(true', '42601'), ('true)', '42601'), ('true, true', '42601'), ('true AS x', '42601'), ('true x', '42601'),
	('true FROM hidden', '42601'), ('true WHERE true', '42601'), ('true LIMIT 1', '42601'), ('true ORDER BY 1', '42601'), ('true GROUP BY status', '42601'), ('true HAVING true', '42601'),
	('true UNION SELECT true', '42601'), ('true FOR UPDATE', '42601'), ('DISTINCT true', '42601'), ('true INTO x', '42601'), ('SELECT true', '42601'), ('VALUES (true)', '42601'),
	('WITH x AS (SELECT 1) SELECT true', '42601'), ('status = ''active', '42601'), ('status = $$active', '42601'), ('status := true', '42601'), ('x = 1', '42703'), ('expertassignment.x = 1', '42703'), ('hidden.id IS NULL', '42P01'),
	('count(*) > 0', '42803'), ('bool_or(true)', '42803'), ('row_number() over () = 1', '42P20'), ('generate_series(1, 2) = 1', '0A000'), ('$1 = client_id', '42P02'), ('$1', '42P02'),
	('status = 1', '42883'), ('nowhere(status)', '42883'), ('client_id = ''x''', '22P02'), ('DEFAULT', '42601'),
	('exists (insert into hidden default values returning 1)', '42601'), ('exists (with w as (delete from hidden returning 1) select from w)', '0A000'), ('exists (select from a_temp_table)', '0A000'),
	('exists (select from hidden where exists (select from a_temp_table))', '0A000')
) AS v (f, w);
SELECT refused('volatile: ' || f, '0A000', 'expertassignment', f) FROM unnest(ARRAY['random() > 0', 'ends_at > clock_timestamp()', 'nextval(''a_sequence'') > 0', 'exists (select random() from hidden)',
	'set_config(''x.y'', ''z'', false) is not null', 'pg_sleep(0) is null', 'status = gen_random_uuid()::text', 'exists (select from hidden where random() > 0)', 'exists (select from generate_series(1, 2) as g where random() < g)']) AS f;
SELECT matches((tests.outcome($$SELECT pattyly.define_relation('refused', 'expertassignment', 'expert_id', 'client_id', 'ends_at > clock_timestamp()')$$)).message,
	'clock_timestamp\(\)', 'the message names the volatile function');
SELECT matches((tests.outcome($$SELECT pattyly.define_relation('refused', 'expertassignment', 'expert_id', 'client_id', 'ends_at > clock_timestamp()')$$)).hint,
	'now\(\)', 'and the hint what to write');
SELECT is(count(*), 7::bigint, 'the table is as it was') FROM expertassignment;

-- The rights that count are the owner's of the table.
SELECT refused('a sub-select on what the owner cannot read', '42501 permission denied for table hidden', 'theirs.assigned', 'exists (select from hidden where hidden.id = theirs.assigned.client_id)');
CREATE FUNCTION secret_function(uuid) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'; REVOKE ALL ON FUNCTION secret_function(uuid) FROM PUBLIC;
SELECT refused('a function that the owner cannot call', '42501', 'theirs.assigned', 'secret_function(client_id)');
SELECT lives_ok($$SELECT pattyly.define_relation('granted', 'theirs.assigned', 'expert_id', 'client_id', 'exists (select from granted where granted.id = assigned.client_id)')$$, 'what he may read, he may read');
-- Failed attempts leave nothing behind in the session that a later change would fall over.
SELECT is(count(*) FILTER (WHERE left(said($$SELECT pattyly.define_relation('refused', 'theirs.assigned', 'expert_id', 'client_id', 'exists (select from hidden where id = assigned.client_id)')$$), 5) = '42501'),
	60::bigint, 'refused again and again') FROM generate_series(1, 60);
SELECT ok(length(string_agg(repeat('z', 2000) || g, '')) > 0, 'memory is used again') FROM generate_series(1, 3000) AS g;
CREATE TABLE churn (a integer); ALTER TABLE churn ADD b integer; DROP TABLE churn; CREATE ROLE tests_churn; DROP ROLE tests_churn;
SELECT pass('and definitions change');

GRANT USAGE ON SCHEMA pattyly TO tests_relations_other, tests_relations_owner;
GRANT EXECUTE ON FUNCTION pattyly.define_relation(text, regclass, name, name, text, boolean) TO tests_relations_other, tests_relations_owner;
GRANT SELECT, INSERT, UPDATE ON pattyly.relations TO tests_relations_other, tests_relations_owner;
GRANT USAGE ON SCHEMA theirs TO tests_relations_other; GRANT ALL ON ALL TABLES IN SCHEMA theirs TO tests_relations_other; GRANT USAGE ON SCHEMA tests TO tests_relations_other, tests_relations_owner;
SET ROLE tests_relations_other;
SELECT refused('somebody else''s table, all rights on it or not', '42501 must be owner of table assigned', 'theirs.assigned');
SELECT is(left(said($$UPDATE pattyly.relations SET filter = 'true' WHERE name = 'granted'$$), 5), '42501', 'nor may he change what the owner defined');
SELECT is(left(said($$UPDATE pattyly.relations SET owner = 'tests_relations_other'$$), 5), '42501', 'nor whose it is');
SET ROLE tests_relations_owner;
SELECT lives_ok($$SELECT pattyly.define_relation('own', 'theirs.assigned', 'expert_id', 'client_id')$$, 'the owner may');
RESET ROLE;
SELECT is(owner::text, 'tests_relations_owner', 'the owner is the table''s, not whoever writes') FROM pattyly.relations WHERE name = 'granted';
SELECT lives_ok($$UPDATE pattyly.relations SET owner = 'postgres' WHERE name = 'granted'$$, 'the owner is filled in');
SELECT is(owner::text, 'tests_relations_owner', 'whatever was written') FROM pattyly.relations WHERE name = 'granted';
SELECT is(left(said($$INSERT INTO pattyly.relations VALUES ('refused', 'expertassignment', 'expert_id', 'client_id', 'random() > 0')$$), 5), '0A000', 'the table itself refuses as well');

---- The filter means one thing -----------------------------------------------------------------------------------------

CREATE FUNCTION kept(name text) RETURNS text LANGUAGE sql AS $$ SELECT filter FROM pattyly.relations AS r WHERE r.name = kept.name $$;
SELECT lives_ok($$SELECT pattyly.define_relation('comment', 'expertassignment', 'expert_id', 'client_id', 'status = ''active'' -- or not')$$, 'a comment ends with its line');
SELECT is(kept('comment'), '(status = ''active''::text)', 'and is not kept');
-- The assignments have a column id of their own; in the sub-select, id is the sub-select's.
INSERT INTO granted (id, note) VALUES (c(1), 'granted'), (c(4), 'granted');
SELECT pattyly.define_relation('capture', 'expertassignment', 'expert_id', 'client_id', 'exists (select from granted where id = expertassignment.client_id and note = ''granted'')');
SELECT is(seen('capture', e(1)::text) || ', ' || seen('capture', e(2)::text), '1, 4', 'columns of the same name are told apart');
SELECT is(pattyly.has_access('capture', c(4)) AND NOT pattyly.has_access('capture', c(1)), true, 'one by one as well');
SELECT pattyly.define_relation('capture', 'expertassignment', 'expert_id', 'client_id', 'client_id in (select g.id from granted g, expertassignment where expertassignment.client_id = g.id)');
SELECT is(seen('capture', e(1)::text) || ', ' || seen('capture', e(2)::text), '1, 4', 'also with the same table inside');
ALTER TABLE granted ADD status text DEFAULT 'ended', ADD expert_id uuid;
SELECT pattyly.define_relation('capture', 'expertassignment', 'expert_id', 'client_id', 'exists (select from granted where granted.id = expertassignment.client_id and expertassignment.status = ''active'' and expertassignment.expert_id is not null)');
ALTER TABLE granted ADD ends_at timestamptz, ADD number integer;
SELECT is(seen('capture', e(1)::text), '1', 'a column that comes later captures nothing');

CREATE SCHEMA hostile;
CREATE FUNCTION hostile.eq(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION hostile.eq(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR hostile.= (FUNCTION = hostile.eq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR hostile.= (FUNCTION = hostile.eq, LEFTARG = uuid, RIGHTARG = uuid);
CREATE FUNCTION hostile.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'active'$$;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$SELECT '1900-01-01'::timestamptz$$;
CREATE TABLE hostile.granted AS SELECT * FROM granted; INSERT INTO hostile.granted (id, note) SELECT c(i), 'granted' FROM generate_series(1, 9) AS i;
CREATE TABLE hostile.expertassignment AS SELECT * FROM expertassignment;
SELECT pattyly.define_relation('plain', 'expertassignment', 'expert_id', 'client_id', 'lower(status) = ''active'' and (ends_at is null or ends_at > now()) and exists (select from granted where granted.id = expertassignment.client_id)');
SELECT is(seen('plain', e(1)::text), '1', 'as it was defined');
SELECT pattyly.define_relation('plain2', 'expertassignment', 'expert_id', 'client_id', kept('plain'));
SET search_path = hostile, pg_catalog, public, extensions, tap;
SELECT is(seen('plain2', e(1)::text) OPERATOR(pg_catalog.=) '1', true, 'planned under a hostile search_path');
SELECT is(pattyly.has_access('plain2', public.c(2)) OR pattyly.has_access('plain2', public.c(3)), false, 'and looked up');
ALTER TABLE public.expertassignment ALTER note SET STATISTICS 50;
SELECT is(seen('plain', e(1)::text) OPERATOR(pg_catalog.=) '1', true, 'planned again under it');
SELECT is(pattyly.has_access('plain', public.c(2)) OR pattyly.has_access('plain', public.c(3)), false, 'and looked up again');
RESET search_path;

-- Settings that every caller may change.
CREATE FUNCTION bad_setting(name text, value text, relation text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config(name, value, true);
	-- Plans are made again.
	EXECUTE 'CREATE TABLE replan (x integer)'; EXECUTE 'ALTER TABLE expertassignment ALTER note SET STATISTICS 50'; EXECUTE 'DROP TABLE replan';
	RETURN seen(relation, e(1)::text);
END
$$;
SELECT pattyly.define_relation('regex', 'expertassignment', 'expert_id', 'client_id', $$note !~ '^\w$' and status <> '\'$$);
SELECT pattyly.define_relation('array', 'expertassignment', 'expert_id', 'client_id', $$(note = any ('{a,NULL}'::text[])) is null$$);
SELECT pattyly.define_relation('interval', 'expertassignment', 'expert_id', 'client_id', $$'-1 day 02:00'::interval < '-20 hours' and note = 'a'$$);
SELECT is(bad_setting(s, v, r), want, s || ' of the caller changes nothing') FROM (VALUES ('regex', 'standard_conforming_strings', 'off', '1'), ('array', 'array_nulls', 'off', '1 2 3'),
	('interval', 'intervalstyle', 'sql_standard', '1')) AS v (r, s, v, want);
SET datestyle = 'SQL, DMY';
SELECT pattyly.define_relation('dates', 'expertassignment', 'expert_id', 'client_id', $$timestamptz '03/02/2020' < '2020-03-01 00:00+00' and note = 'a'$$);
SET datestyle = 'ISO, MDY';
SELECT is(bad_setting('datestyle', 'ISO, MDY', 'dates'), '1', 'a date is written down in a form of its own');

---- When the table changes ---------------------------------------------------------------------------------------------

-- An error with this state and a hint, for both ways of asking, whether planned before or not, and true for nobody.
CREATE FUNCTION broken(what text, wanted text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM who(e(1)::text);
	RETURN NEXT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), wanted, what || ': has_access');
	RETURN NEXT is(left(said('SELECT pattyly.accessible_uuids(''moved'')'), 5), wanted, what || ': accessible_uuids');
	RETURN NEXT is(left(said('SELECT count(*) FROM expertassignment_objects WHERE pattyly.has_access(''moved'', id)'), 5), wanted, what || ': in a plan');
	RETURN NEXT ok(hinted('SELECT pattyly.has_access(''moved'', c(1))'), what || ': comes with a hint');
END
$$;
CREATE TABLE expertassignment_objects AS SELECT c(i) AS id FROM generate_series(1, 100) AS i; CREATE INDEX ON expertassignment_objects (id);
CREATE FUNCTION fresh(filter text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS moved, renamed CASCADE;
	CREATE TABLE moved (expert_id uuid, client_id uuid, status text DEFAULT 'active', n integer);
	INSERT INTO moved VALUES (e(1), c(1));
	PERFORM pattyly.define_relation('moved', 'moved', 'expert_id', 'client_id', filter);
	PERFORM seen('moved', e(1)::text), pattyly.has_access('moved', c(1));
END
$$;
SELECT fresh('status = ''active''');
ALTER TABLE moved RENAME TO renamed;
SELECT is(seen('moved', e(1)::text), '1', 'a table that is renamed');
ALTER TABLE renamed SET SCHEMA theirs;
SELECT is(seen('moved', e(1)::text), '1', 'a table that moves to another schema');
ALTER SCHEMA theirs RENAME TO theirs2;
SELECT is(seen('moved', e(1)::text), '1', 'a schema that is renamed');
ALTER SCHEMA theirs2 RENAME TO theirs; ALTER TABLE theirs.renamed SET SCHEMA public;
SELECT fresh('exists (select from granted where id = moved.client_id)');
ALTER TABLE moved RENAME TO renamed;
SELECT broken('renamed, with a filter that names it', '42P01');
ALTER TABLE renamed RENAME TO moved;
SELECT is(seen('moved', e(1)::text), '1', 'renamed back');
SELECT fresh(); ALTER TABLE moved ADD x integer, DROP COLUMN n;
SELECT is(seen('moved', e(1)::text), '1', 'other columns come and go');
SELECT fresh(); DROP TABLE moved; SELECT broken('table dropped', '42P01');
CREATE TABLE moved (expert_id uuid, client_id uuid); INSERT INTO moved VALUES (e(1), c(1));
SELECT broken('another table of that name', '42P01');
SELECT fresh(); ALTER TABLE moved DROP COLUMN client_id; SELECT broken('object dropped', '42703');
ALTER TABLE moved ADD client_id uuid; SELECT is(seen('moved', e(1)::text), 'none', 'a new column of that name is read');
SELECT fresh(); ALTER TABLE moved DROP COLUMN expert_id; SELECT broken('subject dropped', '42703');
SELECT fresh(); ALTER TABLE moved RENAME client_id TO customer_id; SELECT broken('object renamed', '42703');
ALTER TABLE moved RENAME customer_id TO client_id; SELECT is(seen('moved', e(1)::text), '1', 'renamed back');
SELECT fresh('status = ''active'''); ALTER TABLE moved RENAME status TO state; SELECT broken('a column of the filter renamed', '42703');
SELECT fresh('status = ''active'''); ALTER TABLE moved DROP status; SELECT broken('a column of the filter dropped', '42703');
SELECT fresh('n is null'); ALTER TABLE moved ALTER n TYPE text; SELECT is(seen('moved', e(1)::text), '1', 'a column of the filter with another type that fits');
SELECT fresh('n + 1 > 0 or n is null'); ALTER TABLE moved ALTER n TYPE text; SELECT broken('a column of the filter with a type that does not fit', '42883');
SELECT fresh(); ALTER TABLE moved ALTER client_id TYPE text;
SELECT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), '42804', 'keys of another type than asked for');
SELECT is(pattyly.accessible_keys('moved'), ARRAY[c(1)::text], 'are keys of that type from then on');
SELECT fresh(); ALTER TABLE moved ALTER client_id TYPE jsonb USING 'null'; SELECT broken('a type that is no key', '42804');
SELECT fresh(); ALTER TABLE moved OWNER TO tests_relations_owner; SELECT broken('another owner', '42501');
SELECT lives_ok($$SELECT pattyly.define_relation('moved', 'moved', 'expert_id', 'client_id')$$, 'until it is defined again');
SELECT is(seen('moved', e(1)::text), '1', 'with his rights');
ALTER ROLE tests_relations_owner RENAME TO tests_relations_owner2; SELECT broken('the owner has another name', '42501'); ALTER ROLE tests_relations_owner2 RENAME TO tests_relations_owner;
SELECT is(seen('moved', e(1)::text), '1', 'and his name again');
REVOKE SELECT ON moved FROM tests_relations_owner;
SELECT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), '42501', 'an owner who took his own rights away');
SELECT fresh(); ALTER TABLE moved ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; SELECT is(seen('moved', e(1)::text), '1', 'row security, forced, without a policy');
SELECT fresh('secret_function(client_id)'); DROP FUNCTION secret_function(uuid); SELECT broken('a function of the filter dropped', '42883');
SELECT fresh('exists (select from granted g where g.id = moved.client_id)'); DROP TABLE granted CASCADE; SELECT broken('a table of the filter dropped', '42P01');
SELECT fresh(); TRUNCATE moved; SELECT is(seen('moved', e(1)::text), 'none', 'emptied');

-- In transactions.
SELECT fresh();
BEGIN;
SELECT pattyly.define_relation('moved', 'moved', 'expert_id', 'client_id', 'false');
SELECT is(seen('moved', e(1)::text), 'none', 'a definition counts in its own transaction');
SAVEPOINT s; SELECT pattyly.drop_relation('moved'); SELECT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), '42704', 'dropped in a subtransaction');
ROLLBACK TO s; SELECT is(seen('moved', e(1)::text), 'none', 'that is rolled back');
ROLLBACK;
SELECT is(seen('moved', e(1)::text), '1', 'a definition that is rolled back never was');
BEGIN; DROP TABLE moved; SELECT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), '42P01', 'dropped'); ROLLBACK;
SELECT is(seen('moved', e(1)::text), '1', 'not dropped after all');
BEGIN; TRUNCATE pattyly.relations; SELECT is(left(said('SELECT pattyly.has_access(''moved'', c(1))'), 5), '42704', 'all of them emptied'); ROLLBACK;
SELECT is(pattyly.has_access('moved', c(1)), true, 'not emptied after all');

---- Keys and subjects of every type ------------------------------------------------------------------------------------

CREATE DOMAIN client_key AS uuid; CREATE DOMAIN slug AS varchar(20) CHECK (value <> 'none');
CREATE TABLE typed (s_uuid uuid, s_text text, s_varchar varchar(40), s_big bigint, s_int integer, s_small smallint, s_slug slug,
	o_uuid uuid, o_text text, o_varchar varchar(40), o_big bigint, o_int integer, o_small smallint, o_domain client_key, o_slug slug);
INSERT INTO typed SELECT e(i), 'user ' || i, 'user ' || i, 9000000000 + i, i, i, 'user ' || i, c(i), 'k' || i, 'k' || i, 8000000000 + i, i, i, c(i), 'k' || i FROM generate_series(1, 30) AS i;
INSERT INTO typed (s_text, o_text, o_varchar) VALUES ('user 1', '', ''), ('user 1', repeat('long ', 4000), NULL), ('', 'of an empty sub', NULL);
CREATE FUNCTION every_type(subject text, sub text, object text, own text, other text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	kind text := CASE WHEN object IN ('o_uuid', 'o_domain') THEN 'uuid' WHEN object IN ('o_text', 'o_varchar', 'o_slug') THEN 'text' ELSE 'bigint' END;
	sets text := CASE kind WHEN 'uuid' THEN 'uuids' WHEN 'text' THEN 'keys' ELSE 'ids' END;
	result text;
BEGIN
	PERFORM pattyly.define_relation('typed', 'typed', subject, object);
	PERFORM who(sub);
	EXECUTE format('SELECT concat_ws('' '', pattyly.has_access(''typed'', %L::%s), pattyly.has_access(''typed'', %L::%s), %L = ANY (pattyly.accessible_%s(''typed'')::text[]), %L = ANY (pattyly.accessible_%s(''typed'')::text[]))',
		own, kind, other, kind, own, sets, other, sets) INTO result;
	RETURN NEXT is(result, 't f t f', subject || ', ' || object);
	-- More lookups than are made one by one.
	EXECUTE format('SELECT string_agg(%I::text, '' '') FROM typed WHERE pattyly.has_access(''typed'', %I)', object, object) INTO result;
	RETURN NEXT is(result, own, subject || ', ' || object || ', every row asked for');
END
$$;
SELECT every_type(s, sub, o, own, other) FROM (VALUES ('s_uuid', e(7)::text), ('s_varchar', 'user 7'), ('s_big', '9000000007'), ('s_int', '7'), ('s_small', ' 7 '), ('s_slug', 'user 7')) AS s (s, sub),
	(VALUES ('o_uuid', c(7)::text, c(8)::text), ('o_domain', c(7)::text, c(8)::text), ('o_text', 'k7', 'K7'), ('o_varchar', 'k7', 'k7 '), ('o_slug', 'k7', 'k'), ('o_big', '8000000007', '8000000008'), ('o_int', '7', '4294967303'), ('o_small', '7', '65543')) AS o (o, own, other);
SELECT pattyly.define_relation('typed', 'typed', 's_text', 'o_text');
SELECT who('user 1');
SELECT is(pattyly.accessible_keys('typed'), ARRAY['', 'k1', repeat('long ', 4000)], 'an empty key, a long one, in the order of bytes');
SELECT ok(pattyly.has_access('typed', '') AND pattyly.has_access('typed', repeat('long ', 4000)) AND NOT pattyly.has_access('typed', repeat('long ', 3999)), 'and looked up');
SELECT who('');
SELECT is(pattyly.accessible_keys('typed'), ARRAY['of an empty sub'], 'an empty sub is a text like any other');
SELECT pattyly.define_relation('typed', 'typed', 's_int', 'o_int', include_self => true);
SELECT who('99'); SELECT is(pattyly.accessible_ids('typed'), ARRAY[99::bigint], 'himself, by number');
SELECT who('99999999999'); SELECT is(pattyly.accessible_ids('typed'), ARRAY[99999999999], 'himself, though the column has no room for him');
SELECT who('99999999999999999999'); SELECT is(left(said('SELECT pattyly.accessible_ids(''typed'')'), 5), '22003', 'a number that is too big');
SELECT who('nobody'); SELECT is(left(said('SELECT pattyly.has_access(''typed'', 1::bigint)'), 5), '22P02', 'no number');
SELECT * FROM finish();
DROP OWNED BY tests_relations_owner, tests_relations_other CASCADE; DROP ROLE tests_relations_owner, tests_relations_other;
