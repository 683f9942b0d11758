-- What a review of the first version found: each of these once was wrong.
SELECT plan(19);
SET pattyly.trusted_proxies = 1;
SELECT tests.at('0');

CREATE FUNCTION request(path text, headers text DEFAULT '{"x-forwarded-for":"192.0.2.1"}', claims text DEFAULT '') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	PERFORM set_config('request.method', 'GET', false), set_config('request.path', path, false),
		set_config('request.headers', headers, false), set_config('request.jwt.claims', claims, false),
		set_config('response.headers', '', false);
	PERFORM pattyly.pre_request();
	RETURN 'passed ' || current_setting('response.headers');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || coalesce(nullif(detail, ''), message);
END
$$;

-- A blocked key whose log is not full: t is the end of the block, not what stood in memory before the log.
SELECT pattyly.set_limit('log', 64, '1 hour', 'sliding_log');
INSERT INTO pattyly.routes (path, limits) VALUES ('/log', '{log}');
SELECT pattyly.block_key('log', '192.0.2.1', '100 s', 'first');
SELECT is(request('/log'), 'PGRST {"status":429,"headers":{"RateLimit":"\"log\";r=0;t=100","RateLimit-Policy":"\"log\";q=64;w=3600","Retry-After":"100"}}',
	'a rested key that is blocked');

-- Reasons: a block without one takes none away, and unblocking frees its own.
SELECT pattyly.block_key('log', 'other', '100 s');
SELECT is((SELECT block_reason FROM pattyly.top_keys('log') WHERE key = '192.0.2.1'), 'first', 'a reason stays');
SELECT is((SELECT block_reason FROM pattyly.top_keys('log') WHERE key = 'other'), NULL, 'a block without a reason has none');
SELECT pattyly.block_key('log', 'other', '100 s', 'second');
SELECT is(pattyly.unblock_key('log', 'other'), true, 'unblocked');
SELECT pattyly.block_key('log', 'other', '100 s');
SELECT is((SELECT block_reason FROM pattyly.top_keys('log') WHERE key = 'other'), NULL, 'its reason went with it');

-- A denial that has expired asks nobody for an address any more.
INSERT INTO pattyly.routes (path, limits, keyed_by) VALUES ('/user', '{user}', 'user');
SELECT pattyly.set_limit('user', 5, '1 hour', 'fixed_window');
INSERT INTO pattyly.ip_list (network, action, expires_at) VALUES ('203.0.113.0/24', 'deny', '2030-01-01 00:01:00+00');
SELECT matches(request('/user', '{}', '{"sub":"u1"}'), '^22023', 'while it holds, who cannot be told does not pass');
SELECT tests.at('60 s');
SELECT matches(request('/user', '{}', '{"sub":"u1"}'), '^passed', 'when it has expired he does');
SELECT matches(request('/nowhere', '{}'), '^passed', 'without a route as well');
TRUNCATE pattyly.ip_list;

-- Keys of different kinds are different keys, whatever a subject is called.
SELECT request('/user', '{"x-forwarded-for":"203.0.113.9"}');
SELECT request('/user', '{"x-forwarded-for":"203.0.113.9"}', '{"sub":"203.0.113.9"}');
SELECT is((pattyly.peek_limit('user', '203.0.113.9')).remaining, 4::bigint, 'the address has its own');
SELECT is((pattyly.peek_limit('user', 'user:203.0.113.9')).remaining, 4::bigint, 'the user who is called so has his');
SELECT request('/user', '{}', '{"sub":"user:203.0.113.9"}');
SELECT is((pattyly.peek_limit('user', 'user:203.0.113.9')).remaining, 4::bigint, 'nor can it be forged');
SELECT request('/user', '{}', '{"sub":"u2","SUB":"u3","Sub":"u4"}');
SELECT is((pattyly.peek_limit('user', 'u2')).remaining, 4::bigint, 'claims are told apart by case');
SELECT is((pattyly.peek_limit('user', 'u3')).remaining, 5::bigint, 'so nobody else pays');

-- top_keys looks at keys under the rule as it is now.
SELECT pattyly.set_limit('lowered', 10, '1 hour', 'fixed_window');
SELECT pattyly.check_limit('lowered', 'k', 2);
SELECT pattyly.set_limit('lowered', 3, '1 hour', 'fixed_window');
SELECT is((SELECT remaining FROM pattyly.top_keys('lowered')), 1::bigint, 'lowered to 3, with 2 used: 1 left');

-- A rule that is 0 for a while keeps what was used, and reset means it.
UPDATE pattyly.limits SET max_hits = 0 WHERE name = 'lowered';
SELECT is(tests.said(pattyly.check_limit('lowered', 'k')), 'no, 0 of 0 left, full in 00:00:00: cost_exceeds_limit', 'refuses all');
SELECT is((pattyly.refund_limit('lowered', 'k', 1)).remaining, 0::bigint, 'even after a refund');
UPDATE pattyly.limits SET max_hits = 3 WHERE name = 'lowered';
SELECT is((pattyly.peek_limit('lowered', 'k')).remaining, 2::bigint, 'of which the unit is back later');
UPDATE pattyly.limits SET max_hits = 0, algorithm = 'calendar_window' WHERE name = 'lowered';
SELECT is(pattyly.reset_limit('lowered', 'k'), true, 'reset says that something was used');
UPDATE pattyly.limits SET max_hits = 3 WHERE name = 'lowered';
SELECT is((pattyly.peek_limit('lowered', 'k')).remaining, 3::bigint, 'and it is full');
SELECT * FROM finish();
