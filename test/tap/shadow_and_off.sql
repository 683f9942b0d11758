-- Rules that only watch (shadow) and rules that are switched off.
SELECT plan(41);

---- shadow: says what enforce would have done ------------------------------------------------------------------------

SELECT tests.at('0');
SELECT pattyly.set_limit('shadow', 3, '1 hour', 'fixed_window', mode => 'shadow');
SELECT is(tests.said(pattyly.check_limit('shadow', 'k')), 'yes, 2 of 3 left, full in 01:00:00', 'shadow counts');
SELECT is(tests.passed('shadow', 'k', 2), 2::bigint, 'until nothing is left');
SELECT is(tests.said(pattyly.check_limit('shadow', 'k')),
	'yes, 0 of 3 left, full in 01:00:00: limited',
	'then it lets pass, and says that it would not have: nobody has to wait');
SELECT is(tests.passed('shadow', 'k', 100), 100::bigint, 'any number of times');
SELECT is(tests.said(pattyly.peek_limit('shadow', 'k')),
	'yes, 0 of 3 left, full in 01:00:00: limited', 'a look says so as well');
SELECT lives_ok($$SELECT pattyly.enforce_limit('shadow', 'k')$$, 'enforce_limit does not raise');
SELECT is(tests.said(pattyly.check_limit('shadow', 'other', 4)),
	'yes, 3 of 3 left, full in 00:00:00: cost_exceeds_limit', 'a cost that never passes');
SELECT pattyly.block_key('shadow', 'blocked', '1 min');
SELECT is(tests.said(pattyly.check_limit('shadow', 'blocked')),
	'yes, 0 of 3 left, full in 00:01:00: blocked', 'a key that is blocked');
SELECT is((pattyly.check_limits('{shadow}', 'k')).reason, 'limited', 'check_limits says so too');
SELECT throws_ok($$SELECT pattyly.check_limit('shadow', NULL)$$, '22004', NULL, 'mistakes are still errors');

-- Word for word: a rule that enforces and one that only watches see the same calls, and differ only in that the second
-- lets pass and so has nothing to wait for. The day it is switched to enforce begins where it would have been.
CREATE FUNCTION differs(algorithm text, block_for interval) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	x bigint := 42;
	clock interval := '0';
	real pattyly.limit_result;
	shadow pattyly.limit_result;
	cost integer;
	refused integer := 0;
BEGIN
	PERFORM pattyly.set_limit('one', 7, '10 s', algorithm, block_for => block_for);
	PERFORM pattyly.set_limit('two', 7, '10 s', algorithm, block_for => block_for, mode => 'shadow');
	PERFORM pattyly.reset_limit('one'), pattyly.reset_limit('two');
	FOR i IN 1 .. 200 LOOP
		x := (x * 1103515245 + 12345) % 2147483648;
		clock := clock + (x / 65536 % 20) * interval '100 ms';
		cost := x / 1048576 % 4;
		PERFORM tests.at(clock);
		real := pattyly.check_limit('one', 'k', cost);
		shadow := pattyly.check_limit('two', 'k', cost);
		IF NOT shadow.allowed THEN RETURN format('call %s is refused', i); END IF;
		refused := refused + (NOT real.allowed)::int;
		shadow.allowed := shadow.reason IS NULL;
		shadow.limit_name := 'one';
		IF shadow.retry_at IS NOT NULL OR shadow.retry_after IS NOT NULL THEN
			RETURN format('call %s has to wait: %s', i, shadow);
		END IF;
		shadow.retry_at := real.retry_at;
		shadow.retry_after := real.retry_after;
		IF shadow IS DISTINCT FROM real THEN RETURN format('call %s: %s, and in shadow %s', i, real, shadow); END IF;
	END LOOP;
	RETURN CASE WHEN refused < 20 THEN 'too few refusals' END;
END
$$;
SELECT is(differs(a, b), NULL, format('%s, block_for %s: shadow says what enforce does', a,
	coalesce(b::text, 'none')))   -- 10
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a,
	unnest(ARRAY[NULL, '7 s'::interval]) AS b;

-- Switched while in use.
SELECT tests.at('10 min');
UPDATE pattyly.limits SET mode = 'enforce' WHERE name = 'shadow';
SELECT is(tests.said(pattyly.check_limit('shadow', 'k')),
	'no, 0 of 3 left, full in 00:50:00, retry in 00:50:00 (3000 s): limited', 'enforce begins where shadow was');
UPDATE pattyly.limits SET max_hits = 5 WHERE name = 'shadow';
SELECT is(tests.said(pattyly.check_limit('shadow', 'k')), 'yes, 1 of 5 left, full in 00:50:00',
	'the calls it let pass but would have refused did not count');
UPDATE pattyly.limits SET mode = 'shadow', max_hits = 1 WHERE name = 'shadow';
SELECT is((pattyly.check_limit('shadow', 'k')).allowed, true, 'back to shadow');

-- count_denied in shadow: as it would in enforce.
SELECT pattyly.set_limit('strict', 2, '10 s', mode => 'shadow');
UPDATE pattyly.limits SET count_denied = true WHERE name = 'strict';
SELECT tests.at('0');
SELECT tests.passed('strict', 'k', 2);
SELECT is(string_agg(tests.said(r), '; '), 'yes, 0 of 2 left, full in 00:00:10: limited',
	'count_denied in shadow: refused')
FROM pattyly.check_limit('strict', 'k') AS r;
CREATE TABLE pounded (passed text);
INSERT INTO pounded SELECT (SELECT coalesce((pattyly.check_limit('strict', 'k')).reason, 'passes')
	FROM tests.at(i * interval '1 s')) FROM generate_series(1, 60) AS i;
SELECT is((SELECT count(*) FROM pounded WHERE passed = 'passes'), 0::bigint,
	'count_denied in shadow: who keeps trying would be kept out');

-- A shadow does not alter other rules.
SELECT pattyly.set_limit('real', 3, '1 hour', 'fixed_window');
SELECT is((SELECT count(*) FROM generate_series(1, 10) WHERE pattyly.allow('shadow', 'both')
	AND pattyly.allow('real', 'both')), 3::bigint,
	'a shadow beside a rule that enforces');

---- off --------------------------------------------------------------------------------------------------------------

SELECT tests.at('0');
SELECT pattyly.set_limit('off', 3, '1 hour', 'fixed_window');
SELECT tests.passed('off', 'k', 2);
UPDATE pattyly.limits SET mode = 'off' WHERE name = 'off';
SELECT is(tests.passed('off', 'k', 100), 100::bigint, 'off refuses nobody');
SELECT is((pattyly.check_limit('off', 'k', 1000)).allowed, true, 'at no cost');
SELECT is((pattyly.check_limit('off', 'k')).reason, NULL, 'and has nothing to say');
SELECT is((pattyly.check_limit('off', 'k')).retry_at, NULL, 'nor to wait for');
SELECT lives_ok($$SELECT pattyly.enforce_limit('off', 'k')$$, 'enforce_limit does not raise');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'off'), 1::bigint, 'one key from before');
SELECT pattyly.allow('off', 'key ' || i) FROM generate_series(1, 100) AS i;
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'off'), 1::bigint, 'none are made');
SELECT pattyly.block_key('off', 'blocked', '1 hour');
SELECT is((pattyly.check_limit('off', 'blocked')).allowed, true, 'a block does not refuse either');
SELECT throws_ok($$SELECT pattyly.allow('off', NULL)$$, '22004', NULL, 'mistakes are still errors');
SELECT throws_ok($$SELECT pattyly.allow('off', 'k', -1)$$, '22023', NULL, 'all of them');
UPDATE pattyly.limits SET mode = 'enforce' WHERE name = 'off';
SELECT is(tests.said(pattyly.check_limit('off', 'k')), 'yes, 0 of 3 left, full in 01:00:00',
	'on again: what was used before stays used, and no more');
SELECT is(pattyly.allow('off', 'k'), false, 'and it refuses');
SELECT is((pattyly.check_limit('off', 'blocked')).reason, 'blocked', 'the block, too');

-- Everything is off, one statement; and on again.
CREATE TABLE modes AS SELECT name, mode FROM pattyly.limits;
UPDATE pattyly.limits SET mode = 'off';
SELECT is((SELECT count(*) FROM generate_series(1, 10) WHERE pattyly.allow('off', 'k')
	AND pattyly.allow('real', 'both')), 10::bigint, 'all rules off at once');
UPDATE pattyly.limits AS l SET mode = m.mode FROM modes AS m WHERE m.name = l.name;
SELECT is((SELECT count(*) FROM generate_series(1, 10) WHERE pattyly.allow('off', 'k')
	AND pattyly.allow('real', 'both')), 0::bigint, 'and on again');

SELECT * FROM finish();
