-- The front door for PostgREST, from the settings that PostgREST makes for a request to what it reads back.
SELECT plan(133);

-- A request, as PostgREST prepares it: runs pre_request() and tells what came of it:
--   passed [{...}]              with response.headers, if there are any
--   429 {"Retry-After": ...}    with the headers of the refusal
--   22023 message               any other error
CREATE FUNCTION request(method text, path text, ip text DEFAULT '203.0.113.9', headers jsonb DEFAULT '{}',
	claims jsonb DEFAULT '{"role": "anon"}')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	PERFORM set_config('request.method', method, false), set_config('request.path', path, false),
		set_config('request.headers', (headers || coalesce(jsonb_build_object('x-forwarded-for', ip), '{}'))::text,
			false),
		set_config('request.jwt.claims', coalesce(claims::text, ''), false),
		set_config('response.headers', '', false);
	PERFORM pattyly.pre_request();
	RETURN rtrim('passed ' || current_setting('response.headers', true));
EXCEPTION
	WHEN SQLSTATE 'PGRST' THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		PERFORM set_config('tests.message', message, false), set_config('tests.detail', detail, false);
		RETURN (detail::jsonb->>'status') || ' ' || (detail::jsonb->'headers')::text;
	WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- Which limits took a hit of this request: name and units used, since the start of this file or the last look.
CREATE TABLE seen_before (limit_name text, key text, used bigint);
CREATE FUNCTION counted() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	SELECT coalesce(string_agg(format('%s %s %s', n.limit_name, n.key, n.used - coalesce(b.used, 0)), ', '
		ORDER BY n.limit_name, n.key), 'nothing')
	INTO said
	FROM pattyly.top_keys(NULL, 1000) AS n LEFT JOIN seen_before AS b USING (limit_name, key)
	WHERE n.used <> coalesce(b.used, 0);
	DELETE FROM seen_before;
	INSERT INTO seen_before SELECT k.limit_name, k.key, k.used FROM pattyly.top_keys(NULL, 1000) AS k;
	RETURN said;
END
$$;
-- Which limits a request takes a hit of.
CREATE FUNCTION hits(method text, path text, headers jsonb DEFAULT '{}', claims jsonb DEFAULT '{"role": "anon"}',
	ip text DEFAULT '203.0.113.9')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := request(method, path, ip, headers, claims);
BEGIN
	RETURN CASE WHEN answer ~ '^passed' THEN counted() ELSE answer END;
END
$$;

SET pattyly.trusted_proxies = 1;
SET pattyly.language = en;
SELECT tests.at('0');

---- Which route ------------------------------------------------------------------------------------------------------

SELECT is(request('GET', '/orders'), 'passed', 'without routes everything passes, and no header is made');
SELECT pattyly.set_limit(name, 1000, '1000 s', 'fixed_window')
FROM unnest('{all,rpc,rpc-c,contact,contact-post,contact-any,orders,orders-get,orders-head,exact,prefix,longer,off}'::text[]) AS name;
INSERT INTO pattyly.routes (method, path, limits, enabled) VALUES
	(NULL, '*', '{all}', true),
	(NULL, '/rpc/*', '{rpc}', true),
	(NULL, '/rpc/c*', '{rpc-c}', true),
	(NULL, '/rpc/contact', '{contact-any}', true),
	('POST', '/rpc/contact', '{contact-post}', true),
	('GET', '/orders', '{orders-get}', true),
	(NULL, '/same*', '{prefix}', true),
	('POST', '/same*', '{longer}', true),
	(NULL, '/same', '{exact}', true),
	(NULL, '/rpc/contact-us', '{off}', false),
	('HEAD', '/with-head', '{orders-head}', true),
	('GET', '/with-head', '{orders-get}', true);
SELECT is(hits(method, path), limit_name || ' 203.0.113.9 1', format('%s %s', method, path))                     -- 24
FROM (VALUES
	('GET', '/', 'all'),
	('GET', '/elsewhere', 'all'),
	('GET', '/rpc', 'all'),
	('GET', '/rpc/', 'rpc'),
	('GET', '/rpc/login', 'rpc'),
	('GET', '/rpc/create', 'rpc-c'),
	('GET', '/rpc/contac', 'rpc-c'),
	('POST', '/rpc/contact', 'contact-post'),
	('GET', '/rpc/contact', 'contact-any'),
	('HEAD', '/rpc/contact', 'contact-any'),
	('POST', '/rpc/contact-us', 'rpc-c'),
	('POST', '/rpc/contactx', 'rpc-c'),
	('POST', '/rpc/Contact', 'rpc'),
	('GET', '/orders', 'orders-get'),
	('HEAD', '/orders', 'orders-get'),
	('POST', '/orders', 'all'),
	('GET', '/ordersx', 'all'),
	('HEAD', '/with-head', 'orders-head'),
	('GET', '/with-head', 'orders-get'),
	('GET', '/same', 'exact'),
	('POST', '/same', 'exact'),
	('GET', '/samex', 'prefix'),
	('POST', '/samex', 'longer'),
	('get', '/orders', 'all')
) AS v(method, path, limit_name);

-- PostgREST hands over the path as the client wrote it, and itself decodes it once.
SELECT is(hits(method, path), limit_name || ' 203.0.113.9 1', format('%s %s', method, path))                     -- 10
FROM (VALUES
	('POST', '/rpc/%63ontact', 'contact-post'),
	('POST', '/%72%70%63/%63%6f%6E%74%61%63%74', 'contact-post'),
	('POST', '/rpc/%2563ontact', 'rpc'),
	('POST', '/rpc/contact%', 'rpc-c'),
	('POST', '/rpc/contact%6', 'rpc-c'),
	('POST', '/rpc/contact%zz', 'rpc-c'),
	('POST', '/rpc/contact%2', 'rpc-c'),
	('POST', '/rpc/contact%20', 'rpc-c'),
	('POST', '/rpc/%ff%fe', 'rpc'),
	('GET', '/' || repeat('x', 100000), 'all')
) AS v(method, path, limit_name);
SELECT pattyly.set_limit('accents', 1000, '1000 s', 'fixed_window');
INSERT INTO pattyly.routes (path, limits) VALUES ('/été', '{accents}');
SELECT is(hits('GET', '/%C3%A9t%C3%A9'), 'accents 203.0.113.9 1', 'a path with accents, encoded by the client');
-- A route that is written encoded either means the same or is refused; it must not silently never match.
SELECT is(CASE WHEN (tests.outcome($$INSERT INTO pattyly.routes (path, limits) VALUES ('/for%C3%AAt', '{accents}')$$)).sqlstate = '22023'
	THEN 'accents 203.0.113.9 1' ELSE hits('GET', '/for%C3%AAt') END,
	'accents 203.0.113.9 1', 'a route that is written encoded');
SELECT hits('GET', '/');

-- Changing the routes.
UPDATE pattyly.routes SET enabled = false WHERE path = '*';
SELECT is(hits('GET', '/elsewhere'), 'nothing', 'a route that is disabled');
UPDATE pattyly.routes SET enabled = true WHERE path = '/rpc/contact-us';
SELECT is(hits('POST', '/rpc/contact-us'), 'off 203.0.113.9 1', 'a route that is enabled');
DELETE FROM pattyly.routes WHERE path = '/rpc/c*';
SELECT is(hits('POST', '/rpc/create'), 'rpc 203.0.113.9 1', 'a route that is gone');
TRUNCATE pattyly.routes;
SELECT is(hits('POST', '/rpc/create'), 'nothing', 'all gone');

---- Whom it counts ---------------------------------------------------------------------------------------------------

SELECT pattyly.set_limit('k', 1000, '1000 s', 'fixed_window');
INSERT INTO pattyly.routes (path, limits, keyed_by) VALUES
	('/ip', '{k}', 'ip'), ('/user', '{k}', 'user'), ('/both', '{k}', 'ip+user'), ('/header', '{k}', 'header:X-Api-Key');
SELECT is(hits('GET', '/ip', claims => '{"sub": "alice"}'), 'k 203.0.113.9 1', 'ip');
SELECT is(hits('GET', '/ip', ip => '::ffff:203.0.113.9'), 'k 203.0.113.9 1', 'ip: IPv4-mapped IPv6 is the same');
SELECT is(hits('GET', '/ip', ip => '2001:db8:1:2:3:4:5:6'), 'k 2001:db8:1::/56 1', 'ip: IPv6 by its network');
SELECT is(hits('GET', '/ip', ip => '2001:db8:1:77::1'), 'k 2001:db8:1::/56 1', 'ip: the neighbour in it');
SELECT is(hits('GET', '/user', claims => '{"sub": "alice"}'), 'k alice 1', 'user: the sub of the token');
SELECT is(hits('GET', '/user', claims => '{"sub": "alice"}', ip => '198.51.100.1'), 'k alice 1',
	'user: from elsewhere');
SELECT is(hits('GET', '/user', claims => '{"sub": "5f0c34c3-9a4b-4f1e-8d31-6f2e0f6c8a11"}'),
	'k 5f0c34c3-9a4b-4f1e-8d31-6f2e0f6c8a11 1', 'user: a uuid');
SELECT is(hits('GET', '/user', claims => c), 'k 203.0.113.9 1', format('user: by address with claims %s', c))     -- 5
FROM unnest(ARRAY[NULL, '{}', '{"role": "anon"}', '{"sub": ""}', '{"sub": null}']::jsonb[]) AS c;
SELECT isnt(split_part(hits('GET', '/both', claims => '{"sub": "alice"}'), ' ', 2), 'alice',
	'ip+user: not the user alone');
SELECT is(split_part(hits('GET', '/both', claims => '{"sub": "alice"}', ip => '198.51.100.1'), ' ', 2),
	replace(split_part(hits('GET', '/both', claims => '{"sub": "alice"}'), ' ', 2), '203.0.113.9', '198.51.100.1'),
		'ip+user: nor the address alone');
SELECT is(hits('GET', '/both'), 'k 203.0.113.9 1', 'ip+user: by address without a user');
SELECT isnt(split_part(hits('GET', '/header', '{"x-api-key": "K1"}'), ' ', 2),
	split_part(hits('GET', '/header', '{"x-api-key": "K2"}'), ' ', 2),
	'header: each value counts for itself');
SELECT is(hits('GET', '/header'), 'k 203.0.113.9 1', 'header: by address without it');
SELECT is(hits('GET', '/header', '{"x-api-key": ""}'), 'k 203.0.113.9 1', 'header: by address when it is empty');
SELECT isnt(split_part(hits('GET', '/header', '{"x-api-key": "198.51.100.77"}'), ' ', 2), '198.51.100.77',
	'header: a value that looks like an address does not count against that address');
SELECT isnt(split_part(hits('GET', '/header', '{"x-api-key": "alice"}'), ' ', 2), 'alice',
	'header: nor one that looks like a user against that user');
SELECT matches(hits('GET', '/header', jsonb_build_object('x-api-key', repeat('K', 100000))), '^k .* 1$',
	'header: of 100 kB');

-- Who cannot be told is not let pass where it is the address that counts.
SELECT is(left(request('GET', '/ip', ip => ip), 5), '22023', format('ip: not from %s', ip))                      -- 3
FROM unnest(ARRAY[NULL, 'unknown', '203.0.113.9, unknown']) AS ip;
SELECT is(left(request('GET', '/both', ip => NULL, claims => '{"sub": "alice"}'), 5), '22023',
	'ip+user: not from nowhere');
SELECT is(left(request('GET', '/user', ip => NULL), 5), '22023', 'user: not by address from nowhere');
SELECT is(hits('GET', '/user', claims => '{"sub": "alice"}', ip => NULL), 'k alice 1', 'user: a user needs no address');
SELECT is(request('GET', '/nowhere', ip => NULL), 'passed',
	'nor does a request without a route, as long as there is no list');
SELECT counted();

---- Several limits, and what they cost -------------------------------------------------------------------------------

SELECT pattyly.set_limit('few', 2, '10 s', 'fixed_window');
SELECT pattyly.set_limit('many', 5, '1 min', 'fixed_window');
INSERT INTO pattyly.routes (path, limits, cost) VALUES
	('/several', '{few,many}', 1), ('/dear', '{many}', 3), ('/too-dear', '{many}', 6), ('/look', '{few}', 0),
		('/unknown', '{few,no-such}', 1);
SELECT is(request('GET', '/several'),
	'passed [{"RateLimit":"\"few\";r=1;t=10, \"many\";r=4;t=60"},{"RateLimit-Policy":"\"few\";q=2;w=10, \"many\";q=5;w=60"}]',
	'several limits: headers of all of them');
SELECT is(counted(), 'few 203.0.113.9 1, many 203.0.113.9 1', 'several limits: each takes a hit');
SELECT is(hits('GET', '/several'), 'few 203.0.113.9 1, many 203.0.113.9 1', 'several limits: and another');
SELECT is(request('GET', '/several'),
	'429 {"RateLimit": "\"few\";r=0;t=10, \"many\";r=3;t=60", "Retry-After": "10", "RateLimit-Policy": "\"few\";q=2;w=10, \"many\";q=5;w=60"}',
	'several limits: refused by one');
SELECT is(counted(), 'nothing', 'several limits: none or all');
SELECT tests.at('9.5 s');
SELECT is((regexp_match(request('GET', '/several'), '"Retry-After": "(\d+)"'))[1], '1', 'whole seconds, rounded up');
SELECT is(request('GET', '/dear'),
	'passed [{"RateLimit":"\"many\";r=0;t=51"},{"RateLimit-Policy":"\"many\";q=5;w=60"}]', 'a cost of 3');
SELECT is((regexp_match(request('GET', '/dear'), '"Retry-After": "(\d+)"'))[1], '51', 'refused when it does not fit');
-- t is when the next unit comes, Retry-After when this cost would pass.
SELECT pattyly.set_limit('log', 3, '10 s', 'sliding_log'), pattyly.set_limit('gcra', 10, '100 s');
INSERT INTO pattyly.routes (path, limits, cost) VALUES ('/log', '{log}', 1), ('/log2', '{log}', 2),
	('/gcra', '{gcra}', 5);
SELECT tests.at('100 s');
SELECT request('GET', '/log');
SELECT tests.at('104 s');
SELECT is(request('GET', '/log2'), 'passed [{"RateLimit":"\"log\";r=0;t=6"},{"RateLimit-Policy":"\"log\";q=3;w=10"}]',
	'sliding_log: t');
SELECT is(request('GET', '/log2'),
	'429 {"RateLimit": "\"log\";r=0;t=6", "Retry-After": "10", "RateLimit-Policy": "\"log\";q=3;w=10"}',
	'sliding_log: t and Retry-After');
SELECT request('GET', '/gcra') FROM generate_series(1, 2);
SELECT tests.at('117 s');
SELECT is(request('GET', '/gcra'),
	'429 {"RateLimit": "\"gcra\";r=1;t=7", "Retry-After": "37", "RateLimit-Policy": "\"gcra\";q=10;w=100"}',
	'gcra: t and Retry-After');

SELECT tests.at('200 s');
SELECT is(request('GET', '/too-dear'), '429 {"RateLimit": "\"many\";r=5", "RateLimit-Policy": "\"many\";q=5;w=60"}',
	'a cost that never passes: no Retry-After');
SELECT is(request('GET', '/look'), 'passed [{"RateLimit":"\"few\";r=2"},{"RateLimit-Policy":"\"few\";q=2;w=10"}]',
	'a cost of 0 looks');
SELECT request('GET', '/several') FROM generate_series(1, 2);
SELECT is(left(request('GET', '/look'), 3), '429', 'and is refused when a cost of 1 would be');
SELECT is(left(request('GET', '/unknown'), 5), '42704', 'a limit that does not exist is an error');
SELECT counted();

---- What a refusal says ----------------------------------------------------------------------------------------------

SELECT tests.at('300 s');
SELECT pattyly.set_limit('said', 1, '125 s', 'fixed_window');
INSERT INTO pattyly.routes (path, limits) VALUES ('/said', '{said}');
SELECT request('GET', '/said') FROM generate_series(1, 2);
SELECT lives_ok($$SELECT current_setting('tests.message')::jsonb$$, 'MESSAGE is JSON');
SELECT lives_ok($$SELECT current_setting('tests.detail')::jsonb$$, 'DETAIL is JSON');
CREATE FUNCTION message() RETURNS jsonb LANGUAGE sql AS $$ SELECT current_setting('tests.message')::jsonb $$;
CREATE FUNCTION detail() RETURNS jsonb LANGUAGE sql AS $$ SELECT current_setting('tests.detail')::jsonb $$;
-- PostgREST: MESSAGE needs code and message, DETAIL needs status and headers; a member it does not know is an error.
SELECT is(jsonb_typeof(message()->'code'), 'string', 'code is a string');
SELECT is(jsonb_typeof(message()->'message'), 'string', 'message is a string');
SELECT is_empty($$SELECT jsonb_object_keys(message()) EXCEPT SELECT unnest('{code,message,details,hint}'::text[])$$,
	'MESSAGE has no other members');
SELECT is_empty($$SELECT jsonb_object_keys(detail()) EXCEPT SELECT unnest('{status,status_text,headers}'::text[])$$,
	'DETAIL has no other members');
SELECT is(detail()->'status', '429'::jsonb, 'status is the number 429');
SELECT is(jsonb_typeof(detail()->'headers'), 'object', 'headers is an object');
SELECT is_empty($$SELECT key FROM jsonb_each(detail()->'headers') WHERE jsonb_typeof(value) <> 'string'$$,
	'of strings');
SELECT is(detail()->'headers',
	'{"RateLimit": "\"said\";r=0;t=125", "RateLimit-Policy": "\"said\";q=1;w=125", "Retry-After": "125"}'::jsonb,
	'these');
SELECT unalike(message()::text || detail()::text, '%203.0.113.9%', 'the key is nowhere in it');
SELECT unalike(detail()::text, '%status_text%', 'no text goes into the reason phrase');
SELECT is(message()->>'message', 'Too many attempts. Please wait 2m 5s before trying again.', 'in English');
SET pattyly.language = fr;
SELECT request('GET', '/said');
SELECT is(message()->>'message', 'Trop de tentatives. Veuillez attendre 2m 5s avant de réessayer.', 'in French');
RESET pattyly.language;
SELECT is(current_setting('pattyly.language'), 'fr', 'which is the default');
-- A message of the rule's own that JSON has to escape.
SELECT pattyly.set_limit('said', 1, '125 s', 'fixed_window',
	message => E'"{limit_name}" \\ says:\n\twait {retry_after} s, é 😀 </script>');
SELECT request('GET', '/said');
SELECT is(message()->>'message', E'"said" \\ says:\n\twait 125 s, é 😀 </script>',
	'a message of the rule''s own, whatever is in it');
SELECT pattyly.set_limit('"q"\', 1, '125 s', 'fixed_window');
INSERT INTO pattyly.routes (path, limits) VALUES ('/q', ARRAY['"q"\']);
SELECT request('GET', '/q') FROM generate_series(1, 2);
SELECT is(detail()->'headers'->>'RateLimit', '"\"q\"\\";r=0;t=125', 'a name that the header has to escape');
SET pattyly.language = en;

---- response.headers -------------------------------------------------------------------------------------------------

CREATE FUNCTION with_response_headers(before text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tests.at('400 s');
	PERFORM pattyly.reset_limit('few'), pattyly.reset_limit('many');
	PERFORM set_config('request.path', '/several', false);
	PERFORM set_config('request.headers', '{"x-forwarded-for": "203.0.113.9"}', false);
	PERFORM set_config('response.headers', before, false);
	PERFORM pattyly.pre_request();
	RETURN current_setting('response.headers');
END
$$;
SELECT is(with_response_headers('[{"Set-Cookie": "a=b"}, {"Set-Cookie": "c=d"}]')::jsonb,
	'[{"Set-Cookie": "a=b"}, {"Set-Cookie": "c=d"}, {"RateLimit": "\"few\";r=1;t=10, \"many\";r=4;t=60"}, {"RateLimit-Policy": "\"few\";q=2;w=10, \"many\";q=5;w=60"}]'::jsonb,
	'headers of others stay, in their order');
SELECT is(jsonb_array_length(with_response_headers('[]')::jsonb), 2, 'an empty array');
SELECT is(jsonb_array_length(with_response_headers(E' [\n] ')::jsonb), 2, 'an empty array with white space');
SELECT is(with_response_headers('[{"X": "], ["}]')::jsonb->0, '{"X": "], ["}'::jsonb, 'brackets within strings');
SELECT is((SELECT string_agg(DISTINCT jsonb_typeof(e.value), ' ')
	FROM jsonb_array_elements(with_response_headers('')::jsonb) AS h, jsonb_each(h.value) AS e), 'string',
	'PostgREST wants strings');
SELECT unalike(lower(with_response_headers('')), '%content-type%', 'and Supabase no Content-Type');
-- Outside of a request: '' is what SET LOCAL leaves behind in a session that is used again.
SELECT set_config('request.method', '', false), set_config('request.path', '', false),
	set_config('request.headers', '', false);
SELECT throws_ok('SELECT pattyly.pre_request()', '55000', NULL, 'outside of a request it is out of place, and says so');

---- Lists ------------------------------------------------------------------------------------------------------------

SELECT tests.at('500 s');
INSERT INTO pattyly.ip_list (network, action, limit_name, expires_at) VALUES
	('198.51.100.0/24', 'deny', NULL, NULL),
	('198.51.100.128/25', 'allow', NULL, NULL),
	('192.0.2.0/24', 'deny', 'many', NULL),
	('192.0.3.0/24', 'allow', 'few', NULL),
	('203.0.114.0/24', 'deny', NULL, '2030-01-01 00:10+00'),
	('2001:db8:bad::/48', 'deny', NULL, NULL);
SELECT counted();
SELECT is(left(request('GET', '/ip', ip => '198.51.100.5'), 3), '429', 'a denied network, on a route');
SELECT is(message()->>'message' ~ 'wait', false, 'is not told to wait');
SELECT ok(NOT detail()->'headers' ? 'Retry-After', 'nor when to come back');
SELECT is(left(request('GET', '/nowhere', ip => '198.51.100.5'), 3), '429', 'and off the routes');
SELECT is(left(request('GET', '/user', ip => '198.51.100.5', claims => '{"sub": "alice"}'), 3), '429',
	'and with a token');
SELECT is(left(request('GET', '/nowhere', ip => '::ffff:198.51.100.5'), 3), '429', 'and as IPv4-mapped IPv6');
SELECT is(left(request('GET', '/nowhere', ip => '2001:db8:bad::1'), 3), '429', 'and in IPv6');
SELECT is(counted(), 'nothing', 'which counts nowhere');
SELECT is(hits('GET', '/several', ip => '198.51.100.200'), 'nothing', 'an allowed network within it passes uncounted');
SELECT is((SELECT count(*) FROM generate_series(1, 20) WHERE request('GET', '/several',
	ip => '198.51.100.200') ~ '^passed'), 20::bigint, 'any number of times');
SELECT is(left(request('GET', '/several', ip => '192.0.2.1'), 3), '429',
	'denied under one limit: refused where it is consumed');
SELECT is(hits('GET', '/ip', ip => '192.0.2.1'), 'k 192.0.2.1 1', 'and not elsewhere');
SELECT is(hits('GET', '/several', ip => '192.0.3.1'), 'many 192.0.3.1 1',
	'allowed under one limit: counted under the other');
SELECT is(left(request('GET', '/nowhere', ip => '203.0.114.1'), 3), '429', 'denied until a time');
SELECT tests.at('600 s');
SELECT is(request('GET', '/nowhere', ip => '203.0.114.1'), 'passed', 'and not after it');
-- With a list, an address that cannot be told could be one that is denied.
SELECT is(left(request('GET', '/nowhere', ip => NULL), 5), '22023', 'who cannot be told is not let pass a list');
SELECT is(left(request('GET', '/user', ip => 'unknown', claims => '{"sub": "alice"}'), 5), '22023',
	'not with a token either');
TRUNCATE pattyly.ip_list;

---- Modes, transactions, roles ---------------------------------------------------------------------------------------

SELECT pattyly.set_limit('shadow', 1, '10 s', 'fixed_window', mode => 'shadow');
SELECT pattyly.set_limit('not', 1, '10 s', 'fixed_window', mode => 'off');
INSERT INTO pattyly.routes (path, limits) VALUES ('/shadow', '{shadow,many}'), ('/not', '{not}');
SELECT is((SELECT count(*) FROM generate_series(1, 3) WHERE request('GET', '/shadow') ~ '^passed'), 3::bigint,
	'shadow refuses nobody');
SELECT is((pattyly.peek_limit('many', '203.0.113.9')).remaining, 2::bigint, 'and leaves the other limits alone');
SELECT is((SELECT count(*) FROM generate_series(1, 3) WHERE request('GET', '/not') ~ '^passed'), 3::bigint,
	'off neither');

SELECT pattyly.reset_limit('few'), pattyly.reset_limit('many');
SELECT pattyly.grant_api();
BEGIN;
SELECT request('GET', '/several');
ROLLBACK;
SELECT is((pattyly.peek_limit('few', '203.0.113.9')).remaining, 1::bigint,
	'a hit survives the request that rolls back');
BEGIN READ ONLY;
SET LOCAL ROLE anon;
SELECT matches(request('GET', '/several'), '^passed', 'anon may, in a READ ONLY transaction');
COMMIT;
SELECT is((pattyly.peek_limit('few', '203.0.113.9')).remaining, 0::bigint, 'and it counts');
BEGIN READ ONLY;
SET LOCAL ROLE anon;
SELECT matches(request('GET', '/several'), '^429', 'and refuses');
ROLLBACK;
SELECT is((SELECT typname::text FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype
	WHERE p.oid = 'pattyly.pre_request()'::regprocedure), 'void',
	'returns void, as PostgREST wants');

SELECT * FROM finish();
