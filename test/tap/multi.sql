-- check_limits: several limits on one key in one step, all or nothing; the result is the tightest and names it.
SELECT plan(41);
SELECT tests.at('0');
SELECT pattyly.set_limit('second', 2, '1 s', 'fixed_window');
SELECT pattyly.set_limit('minute', 5, '1 min', 'fixed_window');
SELECT pattyly.set_limit('hour', 100, '1 hour', 'fixed_window');

-- The result, with its limit's name in front; and what every limit has left.
CREATE FUNCTION named(r pattyly.limit_result) RETURNS text
	LANGUAGE sql AS $$ SELECT r.limit_name || ': ' || tests.said(r) $$;
CREATE FUNCTION remaining(key text, VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((pattyly.peek_limit(n, key)).remaining::text, ' ' ORDER BY place)
		FROM unnest(names) WITH ORDINALITY AS u(n, place)
$$;

---- Allowed: the one with the fewest units left ----------------------------------------------------------------------

SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'k')), 'second: yes, 1 of 2 left, full in 00:00:01',
	'the tightest of three');
SELECT is(named(pattyly.check_limits('{hour,minute,second}', 'k')), 'second: yes, 0 of 2 left, full in 00:00:01',
	'in any order');
SELECT is(remaining('k', 'second', 'minute', 'hour'), '0 3 98', 'each was counted');
SELECT tests.at('1 s');
SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'k', 2)), 'second: yes, 0 of 2 left, full in 00:00:01',
	'a cost of 2');
SELECT is(remaining('k', 'second', 'minute', 'hour'), '0 1 96', 'is 2 everywhere');
SELECT tests.at('2 s');
SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'k')), 'minute: yes, 0 of 5 left, full in 00:00:58',
	'now another is tighter');

---- Refused: the one to wait longest for, and none counted -----------------------------------------------------------

SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'k')),
	'minute: no, 0 of 5 left, full in 00:00:58, retry in 00:00:58 (58 s): limited',
	'refused by one of three');
SELECT is(remaining('k', 'second', 'minute', 'hour'), '1 0 95', 'the others counted nothing');
SELECT pattyly.check_limits('{second,minute,hour}', 'k') FROM generate_series(1, 50);
SELECT is(remaining('k', 'second', 'minute', 'hour'), '1 0 95', 'nor 50 times');
SELECT pattyly.check_limit('second', 'k');
SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'k')),
	'minute: no, 0 of 5 left, full in 00:00:58, retry in 00:00:58 (58 s): limited',
	'refused by two: the one to wait longest for');
SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'new', 3)),
	'second: no, 2 of 2 left, full in 00:00:00: cost_exceeds_limit',
	'one that never passes is the longest to wait for');
SELECT is(remaining('new', 'second', 'minute', 'hour'), '2 5 100', 'and counts nothing');
SELECT tests.at('60 s');
SELECT ok((pattyly.check_limits('{second,minute,hour}', 'k')).allowed, 'passes when it was told');

---- Every algorithm with every other ---------------------------------------------------------------------------------

SELECT pattyly.set_limit('a-' || a, 3, '10 s', a), pattyly.set_limit('b-' || a, 5, '10 s', a)
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;
CREATE FUNCTION pair(a text, b text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	key text := a || b;
	passed bigint;
BEGIN
	SELECT count(*) FILTER (WHERE (pattyly.check_limits(ARRAY['a-' || a, 'b-' || b], key)).allowed) INTO passed
		FROM generate_series(1, 10);
	RETURN passed || ', left ' || remaining(key, 'a-' || a, 'b-' || b);
END
$$;
SELECT is(string_agg(DISTINCT pair(a, b), '; '), '3, left 0 2', a || ' with each of the five')                    -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a,
	unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS b
GROUP BY a;

---- Names ------------------------------------------------------------------------------------------------------------

SELECT is(named(pattyly.check_limits('{minute}', 'alone')), 'minute: yes, 4 of 5 left, full in 00:01:00',
	'one limit is check_limit');
SELECT is(named(pattyly.check_limits('{minute,minute,minute}', 'alone')),
	'minute: yes, 3 of 5 left, full in 00:01:00', 'a name given thrice counts once');
SELECT is(remaining('alone', 'minute', 'second'), '3 2', 'just once, and nowhere else');
SELECT pattyly.set_limit('n' || i, 100 - i, '1 min', 'fixed_window') FROM generate_series(1, 16) AS i;
SELECT is(named(pattyly.check_limits((SELECT array_agg('n' || i) FROM generate_series(1, 16) AS i), 'k')),
	'n16: yes, 83 of 84 left, full in 00:01:00',
	'16 at once');
SELECT is((SELECT count(*) FROM generate_series(1, 16) AS i
	WHERE (pattyly.peek_limit('n' || i, 'k')).remaining = 99 - i), 16::bigint, 'all of them counted');

---- A cost of 0 looks ------------------------------------------------------------------------------------------------

SELECT is(named(pattyly.check_limits('{minute,hour}', 'looking', 0)), 'minute: yes, 5 of 5 left, full in 00:00:00',
	'cost 0: a look at the tightest');
SELECT tests.passed('minute', 'looking', 5);
SELECT is(named(pattyly.check_limits('{minute,hour}', 'looking', 0)),
	'minute: no, 0 of 5 left, full in 00:01:00, retry in 00:01:00 (60 s): limited',
	'cost 0: what a cost of 1 would get');
SELECT is(remaining('looking', 'hour'), '100', 'cost 0: counts nowhere');

---- Blocks, modes, lists among them ----------------------------------------------------------------------------------

SELECT pattyly.block_key('hour', 'blocked', '2 hours');
SELECT is(named(pattyly.check_limits('{second,minute,hour}', 'blocked')),
	'hour: no, 0 of 100 left, full in 02:00:00, retry in 02:00:00 (7200 s): blocked',
	'blocked under one of them');
SELECT is(remaining('blocked', 'second', 'minute'), '2 5', 'counts under no other');

SELECT pattyly.set_limit('shadow', 1, '1 hour', 'fixed_window', mode => 'shadow');
SELECT pattyly.set_limit('off', 1, '1 hour', 'fixed_window', mode => 'off');
SELECT is((SELECT count(*) FILTER (WHERE (pattyly.check_limits('{shadow,off,minute}', 'modes')).allowed)
	FROM generate_series(1, 10)), 5::bigint,
	'shadow and off refuse nobody, the others do as ever');
SELECT is((SELECT shadow_denied FROM pattyly.limit_stats WHERE limit_name = 'shadow'), 4::bigint,
	'shadow says how many of those that passed it would have refused');
SELECT is(remaining('modes', 'shadow', 'off', 'minute'), '0 1 0', 'shadow counts, off does not');
SELECT is((pattyly.check_limits('{shadow,off,minute}', 'modes')).limit_name, 'minute', 'the one that refuses is named');
SELECT is(named(pattyly.check_limits('{off}', 'modes')), 'off: yes, 1 of 1 left, full in 00:00:00', 'off alone');
-- A refusal by another limit leaves the shadow as it is.
SELECT tests.passed('minute', 'modes 2', 5);
SELECT pattyly.check_limits('{shadow,minute}', 'modes 2') FROM generate_series(1, 3);
SELECT is(remaining('modes 2', 'shadow'), '1', 'refused by another: the shadow counts nothing');

INSERT INTO pattyly.ip_list (network, action, limit_name) VALUES ('192.0.2.1', 'deny', 'minute'),
	('192.0.2.2', 'allow', 'minute');
SELECT is((pattyly.check_limits('{second,minute,hour}', '192.0.2.1')).reason, 'denied', 'denied under one of them');
SELECT is((pattyly.check_limits('{second,minute,hour}', '192.0.2.1')).limit_name, 'minute', 'which is named');
SELECT is(remaining('192.0.2.1', 'second', 'hour'), '2 100', 'and the others count nothing');
SELECT is((SELECT count(*) FILTER (WHERE (pattyly.check_limits('{minute,hour}', '192.0.2.2')).allowed)
	FROM generate_series(1, 200)), 100::bigint,
	'allowed under one of them: only the other counts');

-- count_denied is the business of the limit that refuses.
SELECT pattyly.set_limit('strict', 1, '1 min', 'fixed_window');
UPDATE pattyly.limits SET count_denied = true WHERE name = 'strict';
SELECT pattyly.check_limits('{strict,hour}', 'strict') FROM generate_series(1, 3);
SELECT is(remaining('strict', 'hour'), '99', 'count_denied: the limits that would have let it pass count nothing');

-- All or nothing also when the last of them does not exist.
SELECT throws_ok($$SELECT pattyly.check_limits('{second,minute,no-such}', 'half')$$, '42704', NULL,
	'an unknown name is an error');
SELECT is(remaining('half', 'second', 'minute'), '2 5', 'and nothing was counted');

SELECT * FROM finish();
