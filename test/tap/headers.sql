-- limit_headers: RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10, written as RFC 9651 has it,
-- because a client must ignore what is not; and Retry-After.
SELECT plan(54);
SELECT tests.at('0');

CREATE FUNCTION headers(limit_name text, key text DEFAULT 'k', cost integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', h->>'RateLimit', h->>'RateLimit-Policy', h->>'Retry-After')
		FROM pattyly.limit_headers(pattyly.check_limit(limit_name, key, cost)) AS h
$$;

---- What they say ----------------------------------------------------------------------------------------------------

SELECT pattyly.set_limit('fixed', 3, '1 hour', 'fixed_window');
SELECT is(pattyly.limit_headers(pattyly.peek_limit('fixed', 'k')),
	'{"RateLimit": "\"fixed\";r=3", "RateLimit-Policy": "\"fixed\";q=3;w=3600"}'::jsonb,
	'full: nothing to come, so no t');
SELECT is(headers('fixed'), '"fixed";r=2;t=3600 | "fixed";q=3;w=3600', 'allowed');
SELECT headers('fixed') FROM generate_series(1, 2);
SELECT tests.at('59 min 59.5 s');
SELECT is(headers('fixed'), '"fixed";r=0;t=1 | "fixed";q=3;w=3600 | 1', 'refused: seconds are rounded up, never 0');
SELECT tests.at('59 min 58.999999 s');
SELECT is(headers('fixed'), '"fixed";r=0;t=2 | "fixed";q=3;w=3600 | 2', 'by a microsecond, too');
SELECT tests.at('59 min 59 s');
SELECT is(headers('fixed'), '"fixed";r=0;t=1 | "fixed";q=3;w=3600 | 1', 'and not more than that');

-- t is when more units come, which for gcra is long before it is full again.
SELECT tests.at('0');
SELECT pattyly.set_limit('gcra', 10, '100 s');
SELECT is(headers('gcra'), '"gcra";r=9;t=10 | "gcra";q=10;w=100', 'gcra: the next unit in 10 s');
SELECT is(headers('gcra', 'k', 9), '"gcra";r=0;t=10 | "gcra";q=10;w=100', 'gcra: the next unit, not when it is full');
SELECT tests.at('3 s');
SELECT is(headers('gcra'), '"gcra";r=0;t=7 | "gcra";q=10;w=100 | 7', 'gcra: refused');
-- The result alone does not say when the next unit comes: t may then be later, but not later than Retry-After.
SELECT matches(headers('gcra', 'k', 5), '^"gcra";r=0;t=(7|47) \| "gcra";q=10;w=100 \| 47$',
	'gcra: a cost of 5 waits longer than for the next unit');
SELECT pattyly.set_limit('log', 2, '10 s', 'sliding_log');
SELECT tests.at('0');
SELECT headers('log');
SELECT tests.at('4 s');
SELECT matches(headers('log'), '^"log";r=0;t=(6|10) \| "log";q=2;w=10$',
	'sliding_log: the oldest goes in 6 s, all in 10 s');
SELECT is(headers('log'), '"log";r=0;t=6 | "log";q=2;w=10 | 6', 'sliding_log: refused');
SELECT pattyly.set_limit('calendar', 2, '1 day', 'calendar_window');
SELECT tests.at('23 hours');
SELECT is(headers('calendar'), '"calendar";r=1;t=3600 | "calendar";q=2;w=86400', 'calendar_window: the end of the day');
SELECT tests.at('0');
SELECT pattyly.set_limit('counter', 2, '10 s', 'sliding_window');
SELECT headers('counter', 'k', 2);
SELECT matches(headers('counter'), '^"counter";r=0;t=1[0-9] \| "counter";q=2;w=10 \| 1[0-9]$',
	'sliding_window: refused');

-- Retry-After is not earlier than t, for every algorithm and cost.
CREATE FUNCTION in_order(algorithm text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('order', 7, '33 s', algorithm);
	PERFORM pattyly.reset_limit('order');
	PERFORM tests.at('1 s');
	PERFORM pattyly.check_limit('order', 'k', 4);
	PERFORM tests.at('5 s');
	PERFORM pattyly.check_limit('order', 'k', 3);
	RETURN (SELECT count(*) FROM generate_series(2, 7) AS cost,
		pattyly.limit_headers(pattyly.check_limit('order', 'k', cost)) AS h
		WHERE (h->>'Retry-After')::int >= substring(h->>'RateLimit' FROM 't=(\d+)')::int);
END
$$;
SELECT is(in_order(a), 6::bigint, a || ': Retry-After is never earlier than t')                                  -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;
SELECT tests.at('0');

-- Windows that are no whole seconds: w has to be a positive integer.
SELECT pattyly.set_limit('short', 3, '200 ms', 'fixed_window'),
	pattyly.set_limit('uneven', 3, '1.5 s', 'fixed_window'), pattyly.set_limit('long', 3, '3650 days', 'fixed_window');
SELECT is(headers('short'), '"short";r=2;t=1 | "short";q=3;w=1', 'a window of 200 ms');
SELECT is(headers('uneven'), '"uneven";r=2;t=2 | "uneven";q=3;w=2', 'a window of 1.5 s');
SELECT is(headers('long'), '"long";r=2;t=315360000 | "long";q=3;w=315360000', 'a window of ten years');
SELECT pattyly.set_limit('huge', 4294967295, '1 s', 'fixed_window');
SELECT is(headers('huge'), '"huge";r=4294967294;t=1 | "huge";q=4294967295;w=1', 'the highest limit');

-- Never.
SELECT pattyly.set_limit('none', 0, '1 s');
SELECT is(headers('none'), '"none";r=0 | "none";q=0;w=1', 'max_hits 0: nothing to wait for');
SELECT is(headers('fixed', 'new', 4), '"fixed";r=3 | "fixed";q=3;w=3600',
	'a cost that never passes: nothing to wait for');
INSERT INTO pattyly.ip_list (network, action) VALUES ('198.51.100.1', 'deny'), ('192.0.2.1', 'allow');
SELECT is(headers('fixed', '198.51.100.1'), '"fixed";r=0 | "fixed";q=3;w=3600', 'denied: nothing to wait for');
SELECT is(headers('fixed', '192.0.2.1'), '"fixed";r=3 | "fixed";q=3;w=3600', 'allowed by the list: full');
SELECT pattyly.block_key('fixed', 'blocked', '90.5 s');
SELECT is(headers('fixed', 'blocked'), '"fixed";r=0;t=91 | "fixed";q=3;w=3600 | 91', 'blocked: until the block ends');
-- Shadow passes: nobody is told to come back.
SELECT pattyly.set_limit('shadow', 1, '1 min', 'fixed_window', mode => 'shadow');
SELECT headers('shadow');
SELECT unalike(headers('shadow'), '% | 60', 'shadow: no Retry-After');
SELECT ok(NOT pattyly.limit_headers(pattyly.check_limit('shadow', 'k')) ? 'Retry-After', 'shadow: not at all');

---- How they are written ---------------------------------------------------------------------------------------------

-- A String of RFC 9651: printable ASCII in quotes, with \ before " and \. An Item, its Parameters with lower-case keys.
CREATE FUNCTION well_formed(h jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT h->>'RateLimit' ~ '^"([ !#-\[\]-~]|\\["\\])*";r=(0|[1-9][0-9]{0,14})(;t=(0|[1-9][0-9]{0,14}))?$'
		AND h->>'RateLimit-Policy' ~ '^"([ !#-\[\]-~]|\\["\\])*";q=(0|[1-9][0-9]{0,14})(;w=[1-9][0-9]{0,14})?$'
		AND coalesce(h->>'Retry-After', '1') ~ '^[1-9][0-9]*$'
		AND NOT EXISTS (SELECT FROM jsonb_each(h) WHERE jsonb_typeof(value) <> 'string')
		AND NOT EXISTS (SELECT FROM jsonb_object_keys(h) AS k
			WHERE k NOT IN ('RateLimit', 'RateLimit-Policy', 'Retry-After'))
$$;
CREATE TABLE names (name text);
INSERT INTO names VALUES ('plain'), ('two words'), ('"'), ('\'), ('\"'), ('a"b'), ('a\b'), ('a;q=9'), ('a, b'),
	('"quoted"'), ('(x)'), ('~!@#$%^&*'), (repeat('n', 63)), (' '), ('é'),
	(E'\r\nX: 1');
SELECT pattyly.set_limit(name, 5, '1 s') FROM names WHERE name ~ '^[ -~]+$';
SELECT ok(well_formed(pattyly.limit_headers(pattyly.check_limit(name, 'k'))),
	format('well formed: %s', name))       -- 14
FROM names WHERE name ~ '^[ -~]+$';
SELECT is(headers('a"b'), '"a\"b";r=3;t=1 | "a\"b";q=5;w=1', 'a quote');
SELECT is(headers('a\b'), '"a\\b";r=3;t=1 | "a\\b";q=5;w=1', 'a backslash');

-- Without a rule there is no name; the header still wants one.
SELECT ok(well_formed(pattyly.limit_headers(pattyly.check_limit('k', 5, interval '1 s'))), 'a limit without a rule');
-- Results that no check made: still nothing that would break a header.
SELECT ok(well_formed(pattyly.limit_headers(r)), format('well formed: %s', r))                                   -- 6
FROM (VALUES
	(ROW(true, 'no such rule', 5, 3, '2030-01-01 00:00:07+00', NULL, NULL, NULL)::pattyly.limit_result),
	(ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::pattyly.limit_result),
	(ROW(false, E'evil\r\nSet-Cookie: a=b', 5, 0, '2030-01-01 00:00:07+00', '2030-01-01 00:00:07+00', 7,
		'limited')::pattyly.limit_result),
	(ROW(false, 'é"', 5, 0, '2030-01-01 00:00:07+00', '2030-01-01 00:00:07+00', 7, 'limited')::pattyly.limit_result),
	(ROW(false, 'fixed', 5, 0, '2029-01-01', '2029-01-01', -7, 'limited')::pattyly.limit_result),
	(ROW(false, 'fixed', 5, 0, 'infinity', 'infinity', NULL, 'limited')::pattyly.limit_result)
) AS v(r);
SELECT throws_ok('SELECT pattyly.limit_headers(NULL)', '22004', NULL, 'no result, no headers');

-- Of several limits the tightest.
SELECT tests.at('1 day');
SELECT is(pattyly.limit_headers(pattyly.check_limits('{fixed,gcra}', 'several'))->>'RateLimit', '"fixed";r=2;t=3600',
	'check_limits: the limit it names');

SELECT * FROM finish();
