-- Who is asking. uid(), role(), email() and claims() side by side with Supabase's own definitions (test/env/supabase.sql):
-- the same value, or the same error. Then paths into the claims, and that no claims outlive a change of them.
SELECT plan(624);

-- What an expression gives, or the SQLSTATE and message that it ends with.
CREATE FUNCTION said(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	value text;
BEGIN
	EXECUTE 'SELECT (' || expression || ')::text' INTO value;
	RETURN coalesce('= ' || value, 'NULL');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- Settings by name, of which NULL is left alone.
CREATE FUNCTION set_claims(claims text, sub text, role text, email text, whole text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('request.jwt.claims', coalesce(claims, ''), false);
	PERFORM set_config('request.jwt.claim.sub', coalesce(sub, ''), false);
	PERFORM set_config('request.jwt.claim.role', coalesce(role, ''), false);
	PERFORM set_config('request.jwt.claim.email', coalesce(email, ''), false);
	PERFORM set_config('request.jwt.claim', coalesce(whole, ''), false);
END
$$;

CREATE FUNCTION short(value text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN length(value) > 200 THEN length(value) || ' characters ' || md5(value) ELSE value END
$$;

-- The first use of a session, with none of the settings there.
SELECT is(said('pattyly.' || f), said('auth.' || g), f || ' while no setting is there') FROM (VALUES
	('uid()', 'uid()'), ('role()', 'role()'), ('email()', 'email()'), ('claims()', 'jwt()')) AS v (f, g);

---- Side by side -------------------------------------------------------------------------------------------------------

CREATE TABLE inputs (id integer GENERATED ALWAYS AS IDENTITY, what text, claims text, sub text, role text, email text, whole text);
INSERT INTO inputs (what, claims) VALUES
	('unset', NULL), ('empty', ''), ('a space', ' '), ('an empty object', '{}'),
	('a user', '{"sub":"0b9f4a6c-1111-4222-8333-444455556666","role":"authenticated","email":"a@example.com"}'),
	('upper case', '{"sub":"0B9F4A6C-1111-4222-8333-444455556666","ROLE":"x","Email":"y"}'),
	('a uuid in braces', '{"sub":"{0b9f4a6c-1111-4222-8333-444455556666}"}'),
	('a uuid without dashes', '{"sub":"0b9f4a6c111142228333444455556666"}'),
	('a uuid with a space', '{"sub":" 0b9f4a6c-1111-4222-8333-444455556666"}'),
	('no uuid', '{"sub":"42","role":"service_role"}'), ('an empty sub', '{"sub":"","role":"","email":""}'),
	('numbers', '{"sub":42,"role":1.50,"email":1e3}'), ('booleans', '{"sub":true,"role":false,"email":true}'),
	('objects', '{"sub":{"a":1},"role":{"b":[1,2]},"email":[]}'), ('nulls', '{"sub":null,"role":null,"email":null}'),
	('an array', '[]'), ('an array of names', '["sub","role"]'), ('an array of objects', '[{"sub":"x"}]'),
	('a string', '"sub"'), ('a string that is a uuid', '"0b9f4a6c-1111-4222-8333-444455556666"'),
	('a number', '1'), ('null', 'null'), ('true', 'true'),
	('broken', '{'), ('broken later', '{"sub":"0b9f4a6c-1111-4222-8333-444455556666"'), ('more than one', '{} {}'),
	('single quotes', '{''sub'':1}'), ('a word', 'sub'), ('no value', '{"sub":}'), ('a comma', '{"sub":"a",}'),
	('a key twice', '{"sub":"00000000-0000-0000-0000-000000000001","sub":"00000000-0000-0000-0000-000000000002"}'),
	('a key twice, null last', '{"sub":"00000000-0000-0000-0000-000000000001","sub":null}'),
	('an escaped key', '{"\u0073ub":"00000000-0000-0000-0000-000000000001"}'),
	('an escaped value', '{"sub":"\u0030\u0030000000-0000-0000-0000-000000000001","role":"\u00e9\ud83d\ude00\n\"\\"}'),
	('half a surrogate', '{"role":"\ud83d"}'), ('an escaped NUL', '{"role":"a\u0000b"}'),
	('a wrong escape', '{"role":"\x"}'), ('a tab in a string', E'{"role":"a\tb"}'),
	('sub of 10,000 characters', '{"sub":"' || repeat('a', 10000) || '"}'),
	('sub of 10,000 digits', '{"sub":' || repeat('9', 10000) || '}'),
	('a number that is too big', '{"role":1e999999}'),
	('6,000 levels', '{"role":"deep","x":' || repeat('[', 6000) || repeat(']', 6000) || '}'),
	('1,000,000 levels', '{"role":"deeper","x":' || repeat('[', 1000000) || repeat(']', 1000000) || '}'),
	('1 MB', '{"sub":"00000000-0000-0000-0000-000000000001","email":"' || repeat('x', 1048576) || '","role":"big"}'),
	('50,000 keys', '{"role":"wide",' || (SELECT string_agg('"k' || i || '":' || i, ',') FROM generate_series(1, 50000) AS i)
		|| ',"sub":"00000000-0000-0000-0000-000000000001"}'),
	('nested names', '{"a":{"sub":"00000000-0000-0000-0000-000000000001","role":"x"}}');
INSERT INTO inputs (what, claims, sub, role, email, whole) VALUES
	('older sub wins', '{"sub":"00000000-0000-0000-0000-000000000001","role":"a"}', '00000000-0000-0000-0000-000000000002', NULL, NULL, NULL),
	('older sub alone', NULL, '00000000-0000-0000-0000-000000000002', 'r', 'e', NULL),
	('older sub is none', '{"sub":"00000000-0000-0000-0000-000000000001"}', 'nobody', NULL, NULL, NULL),
	('older sub is a space', '{"sub":"00000000-0000-0000-0000-000000000001"}', ' ', ' ', ' ', NULL),
	('older over broken claims', '{', '00000000-0000-0000-0000-000000000002', 'r', 'e', NULL),
	('older sub over broken claims, no role', '{', '00000000-0000-0000-0000-000000000002', NULL, NULL, NULL),
	('older role', '{"role":"a","email":"b"}', NULL, 'older', NULL, NULL),
	('older email', '{"role":"a","email":"b"}', NULL, NULL, 'older', NULL),
	('older role as JSON', '{"role":"a"}', NULL, '{"x":1}', NULL, NULL),
	('older claims', '{"sub":"00000000-0000-0000-0000-000000000001","role":"a"}', NULL, NULL, NULL, '{"sub":"00000000-0000-0000-0000-000000000003","role":"b"}'),
	('older claims alone', NULL, NULL, NULL, NULL, '{"sub":"00000000-0000-0000-0000-000000000003"}'),
	('older claims broken', '{"role":"a"}', NULL, NULL, NULL, '{'),
	('older claims over broken ones', '{', NULL, NULL, NULL, '{"a":1}');

-- Every input after another: forwards, then backwards.
CREATE FUNCTION side_by_side(descending boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	i inputs;
BEGIN
	FOR i IN SELECT * FROM inputs ORDER BY CASE WHEN descending THEN -id ELSE id END LOOP
		PERFORM set_claims(i.claims, i.sub, i.role, i.email, i.whole);
		RETURN NEXT is(short(said('pattyly.uid()')), short(said('auth.uid()')), i.what || ': uid()');
		RETURN NEXT is(short(said('pattyly.role()')), short(said('auth.role()')), i.what || ': role()');
		RETURN NEXT is(short(said('pattyly.email()')), short(said('auth.email()')), i.what || ': email()');
		RETURN NEXT is(short(said('pattyly.claims()')), short(said('auth.jwt()')), i.what || ': claims()');
	END LOOP;
END
$$;
SELECT side_by_side(false);
SELECT side_by_side(true);

-- An error is no state: the same again, then good claims.
SELECT set_claims('{', NULL, NULL, NULL, NULL);
SELECT is(said('pattyly.uid()'), said('auth.uid()'), 'broken claims, the second time');
SELECT is(said('pattyly.uid()'), said('auth.uid()'), 'and the third');
SELECT set_claims('{"sub":"nobody"}', NULL, NULL, NULL, NULL);
SELECT is(said('pattyly.uid()'), '22P02 invalid input syntax for type uuid: "nobody"', 'no uuid, the first time');
SELECT is(said('pattyly.uid()'), '22P02 invalid input syntax for type uuid: "nobody"', 'and the second');
SELECT is(said('pattyly.is_owner(gen_random_uuid())'), '22P02 invalid input syntax for type uuid: "nobody"', 'is_owner() says so as well');
SELECT is(said('pattyly.claim(''sub'')'), '= nobody', 'while claim() gives the text');

---- Paths --------------------------------------------------------------------------------------------------------------

SELECT set_claims($${"sub":"s","app_metadata":{"tenant_id":"t1","roles":["editor","admin",7,true,null,{"x":"y"}],"n":1.50,
	"empty":[],"null":null,"0":"zero"},"https://example.com/claims":{"a.b":{"c\"d":"deep"}},"":{"":"nameless"},"user_role":"x",
	"Case":1,"aal":"aal2","session_id":"00000000-0000-0000-0000-00000000000a","is_anonymous":false}$$, NULL, NULL, NULL, NULL);
SELECT is(said(format('pattyly.claim(%L)', path)), want, 'claim ' || path) FROM (VALUES
	('app_metadata.tenant_id', '= t1'), ('app_metadata.roles[0]', '= editor'), ('app_metadata.roles.1', '= admin'),
	('app_metadata.roles[-1]', '= {"x": "y"}'), ('app_metadata.roles[-1].x', '= y'), ('app_metadata.roles[2]', '= 7'),
	('app_metadata.roles[4]', 'NULL'), ('app_metadata.roles[6]', 'NULL'), ('app_metadata.roles[-7]', 'NULL'),
	('app_metadata.roles[99999999999999999999]', 'NULL'), ('app_metadata.roles.x', 'NULL'), ('app_metadata.n', '= 1.50'),
	('app_metadata.null', 'NULL'), ('app_metadata.empty', '= []'), ('app_metadata.0', '= zero'), ('app_metadata.none', 'NULL'),
	('app_metadata.tenant_id.more', 'NULL'), ('none', 'NULL'), ('case', 'NULL'), ('Case', '= 1'),
	('"https://example.com/claims"."a.b"."c""d"', '= deep'), ('"".""', '= nameless'), ('aal', '= aal2')) AS v (path, want);
SELECT is(said(format('pattyly.claim_json(%L)', path)), want, 'claim_json ' || path) FROM (VALUES
	('app_metadata.tenant_id', '= "t1"'), ('app_metadata.roles[3]', '= true'), ('app_metadata.roles[4]', '= null'),
	('app_metadata.null', '= null'), ('app_metadata.none', 'NULL'), ('app_metadata.empty', '= []'), ('app_metadata.n', '= 1.50')) AS v (path, want);
SELECT is(said(format('pattyly.has_claim(%L, %L)', path, value)), '= ' || want, format('has_claim %s %s', path, value)) FROM (VALUES
	('app_metadata.roles', 'editor', 'true'), ('app_metadata.roles', 'admin', 'true'), ('app_metadata.roles', 'edit', 'false'),
	('app_metadata.roles', 'EDITOR', 'false'), ('app_metadata.roles', '7', 'true'), ('app_metadata.roles', 'true', 'true'),
	('app_metadata.roles', 'null', 'false'), ('app_metadata.roles', '', 'false'), ('app_metadata.roles', '{"x": "y"}', 'false'),
	('app_metadata.tenant_id', 't1', 'true'), ('app_metadata.tenant_id', 't', 'false'), ('app_metadata.n', '1.50', 'true'),
	('app_metadata.n', '1.5', 'false'), ('app_metadata.empty', '', 'false'), ('app_metadata.null', '', 'false'),
	('app_metadata', 'tenant_id', 'false'), ('none', 'x', 'false'), ('is_anonymous', 'false', 'true')) AS v (path, value, want);
SELECT is(left(said(format('pattyly.%s(%L%s)', f, path, CASE WHEN f = 'has_claim' THEN ', ''x''' ELSE '' END)), 5), '22023', f || ' of no path: ' || path)
FROM unnest(ARRAY['', '.', 'a.', '.a', 'a..b', '[0]', 'a[', 'a[]', 'a[x]', 'a[0', '"a', 'a"b', 'a[0]b', repeat('a.', 32) || 'a', '*.', ']']) AS path,
	unnest(ARRAY['claim', 'claim_json', 'has_claim']) AS f;
SELECT is((tests.outcome($$SELECT pattyly.claim('a.')$$)).hint, 'Write names with dots between them, such as app_metadata.tenant_id or roles[0]; a name with a dot in it goes in double quotes.', 'a malformed path comes with a hint');
SELECT is(said('pattyly.claim(NULL)'), 'NULL', 'claim of NULL');
SELECT is(said('pattyly.claim_json(NULL)'), 'NULL', 'claim_json of NULL');
SELECT is(said('pattyly.has_claim(NULL, ''x'')'), 'NULL', 'has_claim of NULL');
SELECT is(said('pattyly.has_claim(''sub'', NULL)'), 'NULL', 'has_claim with NULL');
SELECT is(said('pattyly.session_id()'), '= 00000000-0000-0000-0000-00000000000a', 'session_id()');
SELECT is(said('pattyly.is_anonymous()'), '= false', 'is_anonymous()');
SELECT is(said('pattyly.aal()'), '= aal2', 'aal()');
SELECT set_claims('[["a","b"],{"x":1}]', NULL, NULL, NULL, NULL);
SELECT is(said('pattyly.has_claim(''0'', ''b'')'), '= true', 'claims that are an array');
SELECT set_claims('"editor"', NULL, NULL, NULL, NULL);
SELECT is(said('pattyly.has_claim(''editor'', ''editor'')'), '= false', 'claims that are a string');
SELECT set_claims('{"session_id":"x","is_anonymous":"perhaps"}', NULL, NULL, NULL, NULL);
SELECT is(left(said('pattyly.session_id()'), 5), '22P02', 'a session that is no uuid');
SELECT is(left(said('pattyly.is_anonymous()'), 5), '22P02', 'neither true nor false');
SELECT set_claims(NULL, NULL, NULL, NULL, NULL);
SELECT is(said('pattyly.' || f), 'NULL', f || ' of nobody') FROM unnest(ARRAY['aal()', 'session_id()', 'is_anonymous()', 'claims()', 'claim(''a.b'')', 'claim_json(''a'')']) AS f;
SELECT is(said('pattyly.is_owner(NULL)'), '= false', 'nobody owns what nobody owns');
SELECT is(said('pattyly.is_owner(gen_random_uuid())'), '= false', 'nobody owns nothing');
SELECT is(said('pattyly.has_claim(''a'', ''x'')'), '= false', 'nobody has no claim');

---- No claims outlive a change -----------------------------------------------------------------------------------------

CREATE FUNCTION token(n integer) RETURNS text LANGUAGE sql AS $$
	SELECT format('{"sub":"00000000-0000-0000-0000-%s","role":"r%s"}', lpad(n::text, 12, '0'), lpad(n::text, 6, '0'))
$$;
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$
	SELECT right(pattyly.uid()::text, 4) || ' ' || pattyly.role() || ' ' || right(pattyly.claim('sub'), 4)
$$;
SELECT set_config('request.jwt.claims', token(1), false);
SELECT is(who(), '0001 r000001 0001', 'one');
SELECT set_config('request.jwt.claims', token(2), false);
SELECT is(who(), '0002 r000002 0002', 'a text of the same length');

-- Simple expressions of PL/pgSQL keep their state from one evaluation to the next.
CREATE FUNCTION wrong_in_loop(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	wrong integer := 0;
	want uuid;
BEGIN
	FOR i IN 1..n LOOP
		PERFORM set_config('request.jwt.claims', token(i), i % 2 = 0);
		want := ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid;
		IF pattyly.uid() <> want OR NOT pattyly.is_owner(want) OR pattyly.role() <> 'r' || lpad(i::text, 6, '0')
			OR pattyly.claim('sub') <> want::text OR pattyly.claims() ->> 'sub' <> want::text THEN
			wrong := wrong + 1;
		END IF;
		-- The same address may come to hold other claims.
		PERFORM set_config('request.jwt.claims', '', i % 2 = 0);
		IF pattyly.uid() IS NOT NULL OR pattyly.is_owner(want) THEN
			wrong := wrong + 1;
		END IF;
	END LOOP;
	RETURN wrong;
END
$$;
SELECT is(wrong_in_loop(2000), 0, 'in a loop of PL/pgSQL');
SELECT set_config('request.jwt.claims', token(3), false);
SELECT is((SELECT string_agg(right(u::text, 1), ' ' ORDER BY i) FROM (
		SELECT i, CASE WHEN set_config('request.jwt.claims', token(i), false) IS NOT NULL THEN pattyly.uid() END AS u
		FROM generate_series(1, 5) AS i OFFSET 0) AS s), '1 2 3 4 5', 'within one statement, row by row');

CREATE FUNCTION as_another() RETURNS text LANGUAGE sql SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-000000000009","role":"r000009"}' AS $$ SELECT who() $$;
SELECT set_config('request.jwt.claims', token(4), false);
SELECT is(as_another(), '0009 r000009 0009', 'in a function that sets them');
SELECT is(who(), '0004 r000004 0004', 'and after it');

BEGIN;
SELECT set_config('request.jwt.claims', token(5), true);
SELECT is(who(), '0005 r000005 0005', 'for a transaction');
SAVEPOINT s;
SELECT set_config('request.jwt.claims', token(6), true);
SELECT is(who(), '0006 r000006 0006', 'for a subtransaction');
ROLLBACK TO s;
SELECT is(who(), '0005 r000005 0005', 'ROLLBACK TO');
ROLLBACK;
CREATE TEMP TABLE after_rollback AS SELECT who();
SELECT is(who, '0004 r000004 0004', 'ROLLBACK') FROM after_rollback;
SELECT is(who(), '0004 r000004 0004', 'and later');
BEGIN;
SELECT set_config('request.jwt.claims', token(7), false);
SELECT who();
ROLLBACK;
SELECT is(who(), '0004 r000004 0004', 'a session''s claims that were rolled back');

DO $$
BEGIN
	PERFORM set_config('request.jwt.claims', token(8), false);
	PERFORM who();
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	NULL;
END
$$;
SELECT is(who(), '0004 r000004 0004', 'claims of a block that failed');

SET ROLE authenticated;
SELECT is(current_setting('role'), 'authenticated', 'SET ROLE');
RESET ROLE;
SELECT is(who(), '0004 r000004 0004', 'SET ROLE and back change no claims');
RESET request.jwt.claims;
SELECT is(who(), NULL, 'RESET');
SET request.jwt.claim.sub = '00000000-0000-0000-0000-000000000002';
SELECT is(pattyly.uid()::text, '00000000-0000-0000-0000-000000000002', 'the older setting comes');
RESET request.jwt.claim.sub;
SELECT is(pattyly.uid(), NULL, 'and goes');

-- A prepared plan is anybody's.
PREPARE mine AS SELECT who();
SET plan_cache_mode = force_generic_plan;
SELECT set_config('request.jwt.claims', token(11), false);
CREATE TEMP TABLE answers AS EXECUTE mine;
SELECT set_config('request.jwt.claims', token(12), false);
CREATE TEMP TABLE more_answers AS EXECUTE mine;
RESET plan_cache_mode;
SELECT is((SELECT string_agg(left(who, 4), ' ' ORDER BY who) FROM (TABLE answers UNION ALL TABLE more_answers) AS a), '0011 0012', 'a generic plan');

-- Workers are told the settings.
CREATE TABLE many AS SELECT ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid AS owner FROM generate_series(1, 20000) AS i;
ANALYZE many;
SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END AS forcing \gset
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT set_config(:'forcing', 'on', false);
SELECT matches(tests.plan_of('SELECT count(*) FROM many WHERE owner = pattyly.uid() OR pattyly.role() = ''x'''), 'Gather', 'a plan with workers');
SELECT set_config('request.jwt.claims', token(77), false);
SELECT is((SELECT min(owner::text) || count(*) FROM many WHERE pattyly.is_owner(owner) OR pattyly.role() = 'x'), '00000000-0000-0000-0000-0000000000771', 'workers know who asks');
SELECT set_config('request.jwt.claims', token(78), false);
SELECT is((SELECT min(owner::text) || count(*) FROM many WHERE pattyly.is_owner(owner) OR pattyly.role() = 'x'), '00000000-0000-0000-0000-0000000000781', 'and who asks next');
SELECT set_config(:'forcing', 'off', false);
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;

-- is_owner() is an index condition.
CREATE INDEX ON many (owner);
SELECT matches(tests.plan_of('SELECT * FROM many WHERE pattyly.is_owner(owner)'), 'owner = pattyly\.uid\(\)', 'is_owner() uses an index');
SELECT is((SELECT count(*) FROM many WHERE pattyly.is_owner(owner)), 1::bigint, 'and finds the row');
SELECT is((SELECT count(*) FROM many WHERE NOT pattyly.is_owner(owner)), 19999::bigint, 'or all others');
SELECT * FROM finish();
