-- Blocks, by hand and by a rule's block_for; what ends them, and what makes a key full again.
SELECT plan(69);
SELECT tests.at('0');
SELECT pattyly.set_limit('a', 5, '5 s');
SELECT pattyly.set_limit('b', 5, '5 s');

---- block_key --------------------------------------------------------------------------------------------------------

SELECT pattyly.check_limit('a', 'k', 2);
SELECT pattyly.block_key('a', 'k', '1 hour', 'too many fakes');
SELECT is(tests.said(pattyly.check_limit('a', 'k')),
	'no, 0 of 5 left, full in 01:00:00, retry in 01:00:00 (3600 s): blocked', 'a key that is blocked');
SELECT is(tests.said(pattyly.peek_limit('a', 'k')),
	'no, 0 of 5 left, full in 01:00:00, retry in 01:00:00 (3600 s): blocked', 'a look');
SELECT is(tests.said(pattyly.check_limit('a', 'k', 0)),
	'no, 0 of 5 left, full in 01:00:00, retry in 01:00:00 (3600 s): blocked', 'a cost of 0');
SELECT ok(NOT pattyly.allow('a', 'k'), 'allow()');
SELECT throws_ok($$SELECT pattyly.enforce_limit('a', 'k')$$, 'PT429', NULL, 'enforce_limit');
SELECT is(tests.said(pattyly.check_limit('a', 'k', 6)), 'no, 0 of 5 left, full in 01:00:00: blocked',
	'a cost that never passes: blocked first, but not told to wait for the end of it');
SELECT ok(pattyly.allow('b', 'k') AND pattyly.allow('a', 'k2'), 'other limits and other keys are not');
SELECT is((SELECT (limit_name, key, used, remaining, blocked_until, block_reason)::text
	FROM pattyly.top_keys('a') LIMIT 1),
	(('a', 'k', 2::bigint, 0::bigint, '2030-01-01 01:00+00'::timestamptz, 'too many fakes'))::text,
		'top_keys tells why and until when, first of all keys');
SELECT tests.at('3599.999999 s');
SELECT is(tests.said(pattyly.check_limit('a', 'k')),
	'no, 0 of 5 left, full in 00:00:00.000001, retry in 00:00:00.000001 (1 s): blocked', 'to its last microsecond');
SELECT tests.at('1 hour');
SELECT is(tests.said(pattyly.check_limit('a', 'k')), 'yes, 4 of 5 left, full in 00:00:01',
	'then the limit counts again, and the refused calls had no cost');
SELECT is((SELECT (blocked_until, block_reason)::text FROM pattyly.top_keys('a') WHERE key = 'k'), '(,)',
	'and top_keys has forgotten it');

-- What was used stays used.
SELECT pattyly.check_limit('a', 'short', 5), pattyly.block_key('a', 'short', '2 s');
SELECT tests.at('1 hour 2 s');
SELECT is(tests.said(pattyly.peek_limit('a', 'short')), 'yes, 2 of 5 left, full in 00:00:03', 'after a short block');

-- A key that was never seen.
SELECT pattyly.block_key('a', 'unseen', '1 min');
SELECT is((pattyly.peek_limit('a', 'unseen')).reason, 'blocked', 'a key that was never seen can be blocked');

-- Another block takes the place of the one before, longer or shorter.
SELECT pattyly.block_key('a', 'again', '1 hour', 'first');
SELECT pattyly.block_key('a', 'again', '1 min', 'second');
SELECT is((SELECT (blocked_until, block_reason)::text FROM pattyly.top_keys('a') WHERE key = 'again'),
	(('2030-01-01 01:01:02+00'::timestamptz, 'second'))::text, 'a shorter block');
SELECT pattyly.block_key('a', 'again', '1 day');
SELECT is((SELECT (blocked_until, block_reason)::text FROM pattyly.top_keys('a') WHERE key = 'again'),
	(('2030-01-02 01:00:02+00'::timestamptz, NULL::text))::text, 'a longer one, without a reason');

-- The reason: 79 bytes, and no half characters.
SELECT pattyly.block_key('a', 'reason', '1 min', repeat('x', 200));
SELECT is((SELECT block_reason FROM pattyly.top_keys('a') WHERE key = 'reason'), repeat('x', 79),
	'a long reason is cut');
SELECT pattyly.block_key('a', 'reason', '1 min', repeat('é', 100));
SELECT is((SELECT octet_length(block_reason) || ' ' || (block_reason = repeat('é', 39)) FROM pattyly.top_keys('a')
	WHERE key = 'reason'), '78 true', 'between characters');
SELECT pattyly.block_key('a', 'reason', '1 min', 'xx' || repeat('😀', 50));
SELECT is((SELECT octet_length(block_reason) || ' ' || (block_reason = 'xx' || repeat('😀', 19))
	FROM pattyly.top_keys('a') WHERE key = 'reason'), '78 true', 'of four bytes, too');
SELECT pattyly.block_key('a', 'reason', '1 min', '');
SELECT ok((SELECT coalesce(block_reason, '') = '' FROM pattyly.top_keys('a') WHERE key = 'reason'), 'an empty reason');

-- ROLLBACK does not unblock: who is blocked by a function that then raises stays blocked.
BEGIN;
SELECT pattyly.block_key('a', 'rolled back', '1 min');
ROLLBACK;
SELECT is((pattyly.peek_limit('a', 'rolled back')).reason, 'blocked', 'a block survives ROLLBACK');
BEGIN READ ONLY;
SELECT lives_ok($$SELECT pattyly.block_key('a', 'read only', '1 min')$$, 'works in a READ ONLY transaction');
COMMIT;

-- Longest.
SELECT pattyly.block_key('a', 'long', '3650 days');
SELECT is((pattyly.peek_limit('a', 'long')).retry_after, 315360000, 'ten years in seconds');

---- unblock_key ------------------------------------------------------------------------------------------------------

SELECT pattyly.check_limit('a', 'u', 3), pattyly.block_key('a', 'u', '1 hour');
SELECT is(pattyly.unblock_key('a', 'u'), true, 'unblock_key says that there was a block');
SELECT is(tests.said(pattyly.peek_limit('a', 'u')), 'yes, 2 of 5 left, full in 00:00:03', 'what was used stays used');
SELECT is(pattyly.unblock_key('a', 'u'), false, 'there is none any more');
SELECT is(pattyly.unblock_key('a', 'never seen'), false, 'there was none');
SELECT pattyly.block_key('a', 'u', '1 s');
SELECT tests.at('1 hour 4 s');
SELECT is(pattyly.unblock_key('a', 'u'), false, 'a block that is over is none');

---- block_for --------------------------------------------------------------------------------------------------------

CREATE FUNCTION blocking(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
BEGIN
	PERFORM tests.at('0');
	PERFORM pattyly.set_limit('blocking', 2, '1 s', algorithm, block_for => '1 min');
	PERFORM pattyly.reset_limit('blocking');
	answers := answers || tests.passed('blocking', 'k', 2)::text;
	PERFORM tests.at('100 ms');
	answers := answers || tests.said(pattyly.check_limit('blocking', 'k'));
	-- Further calls do not make it longer.
	PERFORM tests.at('59 s');
	answers := answers || tests.said(pattyly.check_limit('blocking', 'k'));
	PERFORM tests.at('60.099999 s');
	answers := answers || pattyly.allow('blocking', 'k')::text;
	PERFORM tests.at('60.1 s');
	answers := answers || tests.passed('blocking', 'k', 2)::text;
	RETURN array_to_string(answers, '; ');
END
$$;
SELECT is(blocking(a), '2; no, 0 of 2 left, full in 00:01:00, retry in 00:01:00 (60 s): limited;'
	' no, 0 of 2 left, full in 00:00:01.1, retry in 00:00:01.1 (2 s): blocked; false; 2', a || ': block_for')    -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;
-- An impossible cost is no offence of the key's, and a look is none.
SELECT tests.at('200 s');
SELECT pattyly.set_limit('blocking', 2, '1 s', block_for => '1 min');
SELECT is((pattyly.check_limit('blocking', 'dear', 3)).reason, 'cost_exceeds_limit', 'a cost that never passes');
SELECT ok(pattyly.allow('blocking', 'dear'), 'does not block');
SELECT tests.passed('blocking', 'looker', 2);
SELECT ok(NOT (pattyly.peek_limit('blocking', 'looker')).allowed, 'a look at an exhausted key');
SELECT tests.at('202 s');
SELECT ok(pattyly.allow('blocking', 'looker'), 'does not block');
-- A block shorter than the wait does not shorten it.
SELECT pattyly.set_limit('slow', 1, '1 hour', block_for => '1 s');
SELECT pattyly.check_limit('slow', 'k'), pattyly.check_limit('slow', 'k');
SELECT tests.at('203.5 s');
SELECT is((pattyly.check_limit('slow', 'k')).allowed, false, 'block_for shorter than the wait');
-- The rule is changed while a block lasts: the block stays as it began.
SELECT tests.at('300 s');
SELECT pattyly.set_limit('blocking', 2, '1 s', block_for => '1 min');
SELECT tests.passed('blocking', 'changed', 3);
SELECT pattyly.set_limit('blocking', 20, '1 s', block_for => '2 min');
SELECT is((pattyly.peek_limit('blocking', 'changed')).retry_after, 60,
	'the limit is raised: a block that has begun goes on');
SELECT pattyly.set_limit('blocking', 2, '1 s');
SELECT tests.at('301 s');
SELECT is((pattyly.peek_limit('blocking', 'changed')).retry_after, 59,
	'block_for is taken away: a block that has begun goes on');
SELECT ok(pattyly.allow('blocking', 'new') AND pattyly.allow('blocking', 'new')
	AND NOT pattyly.allow('blocking', 'new'), 'a new offender');
SELECT is((pattyly.peek_limit('blocking', 'new')).reason, 'limited', 'is not blocked any more');

---- reset_limit ------------------------------------------------------------------------------------------------------

SELECT tests.at('1000 s');
SELECT pattyly.check_limit('a', 'r', 5);
SELECT is(pattyly.reset_limit('a', 'r'), true, 'reset says that the key had used something');
SELECT is(tests.said(pattyly.peek_limit('a', 'r')), 'yes, 5 of 5 left, full in 00:00:00', 'now it is full');
SELECT is(pattyly.reset_limit('a', 'r'), false, 'and has used nothing');
SELECT is(pattyly.reset_limit('a', 'never seen'), false, 'nor has a key that was never seen');

-- Exactly this key, none that looks like it, and not under another limit.
SELECT pattyly.set_limit('exact', 5, '1 day', 'fixed_window'), pattyly.set_limit('exact2', 5, '1 day', 'fixed_window');
CREATE TABLE alike (key text);
INSERT INTO alike VALUES ('a'), ('a:0'), ('a:'), ('ab'), ('A'), ('a '), (' a'), ('a%'), ('a*'), ('alice'), ('alicia'),
	('a|0'), (E'a\n'), ('%'), ('*'), ('_');
SELECT pattyly.check_limit('exact', key), pattyly.check_limit('exact2', key) FROM alike;
CREATE FUNCTION full_keys(limit_name text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(key, ',' ORDER BY key COLLATE "C"), '') FROM alike
		WHERE (pattyly.peek_limit(limit_name, key)).remaining = 5
$$;
SELECT pattyly.reset_limit('exact', 'a');
SELECT is(full_keys('exact'), 'a', 'reset of a leaves a:0 alone, and all others');
SELECT pattyly.reset_limit('exact', 'ali*'), pattyly.reset_limit('exact', '*'), pattyly.reset_limit('exact', '%'),
	pattyly.reset_limit('exact', 'a_');
SELECT is(full_keys('exact'), '%,*,a', 'no key is a pattern');
SELECT is(full_keys('exact2'), '', 'another limit is left alone');
SELECT is(pattyly.reset_limit('exact2'), 16::bigint, 'reset of a whole limit counts the keys that had used something');
SELECT is(full_keys('exact2'), (SELECT string_agg(key, ',' ORDER BY key COLLATE "C") FROM alike),
	'all of them are full');
SELECT is(full_keys('exact'), '%,*,a', 'and the limit whose name it begins with is as it was');
SELECT is(pattyly.reset_limit('exact2'), 0::bigint, 'again: none');
SELECT is(pattyly.reset_limit('exact'), 13::bigint, 'the other: those that are left');

-- Every algorithm; and what no longer counts does not come back.
CREATE FUNCTION reset_of(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
BEGIN
	PERFORM tests.at('1003 s');
	PERFORM pattyly.set_limit('reset', 3, '10 s', algorithm);
	PERFORM pattyly.reset_limit('reset');
	answers := answers || tests.passed('reset', 'k', 9)::text || pattyly.reset_limit('reset',
		'k')::text || tests.passed('reset', 'k', 9)::text;
	PERFORM tests.at('1013 s');
	answers := answers || (pattyly.reset_limit('reset') >= 0)::text || tests.passed('reset', 'k', 9)::text;
	RETURN array_to_string(answers, ' ');
END
$$;
SELECT is(reset_of(a), '3 true 3 true 3', a || ': reset')                                                        -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- Blocks: that of the rule ends with it, that of the administrator stays.
SELECT tests.at('2000 s');
SELECT pattyly.set_limit('blocking', 2, '1 s', block_for => '1 min');
SELECT tests.passed('blocking', 'r', 3), pattyly.block_key('blocking', 'r2', '1 min', 'by hand');
SELECT is(pattyly.reset_limit('blocking', 'r'), true, 'a key that block_for blocked');
SELECT is(tests.said(pattyly.peek_limit('blocking', 'r')), 'yes, 2 of 2 left, full in 00:00:00',
	'is free after a reset');
SELECT pattyly.reset_limit('blocking', 'r2'), pattyly.reset_limit('blocking');
SELECT is((pattyly.peek_limit('blocking', 'r2')).reason, 'blocked', 'one that block_key blocked stays so');
SELECT is((SELECT block_reason FROM pattyly.top_keys('blocking') WHERE key = 'r2'), 'by hand', 'with its reason');

-- Refunds do not unblock.
SELECT is((pattyly.refund_limit('blocking', 'r2', 5)).reason, 'blocked', 'a refund does not end a block');

-- The reason of a block by hand that is over is not that of a later one.
SELECT pattyly.block_key('blocking', 'forgiven', '1 s', 'too many fakes');
SELECT set_config('pattyly.frozen_clock', (pattyly.clock_now() + interval '1 s')::text, false);
SELECT tests.passed('blocking', 'forgiven', 10);
SELECT is((SELECT (blocked_until IS NULL, block_reason)::text FROM pattyly.top_keys('blocking') WHERE key = 'forgiven'), '(f,)',
	'a block without a reason, after one that had one');

-- A limit that is dropped and made again begins anew.
SELECT tests.passed('exact', 'k', 9), pattyly.block_key('exact', 'b', '1 hour');
SELECT is(pattyly.drop_limit('exact'), true, 'drop_limit says that there was one');
SELECT is(pattyly.drop_limit('exact'), false, 'or none');
SELECT throws_ok($$SELECT pattyly.allow('exact', 'k')$$, '42704', NULL, 'then it does not exist');

---- A clock that steps back ------------------------------------------------------------------------------------------

SELECT tests.at('10 days');
SELECT pattyly.block_key('a', 'stepped', '1 min');
SELECT pattyly.set_limit('blocking', 1, '1 s', block_for => '1 min');
SELECT tests.passed('blocking', 'stepped', 2);
SELECT tests.at('9 days');
SELECT cmp_ok((pattyly.check_limit('blocking', 'stepped')).retry_after, '<=', 60,
	'block_for does not last a day longer than it should');
SELECT tests.at('9 days 61 s');
SELECT ok(pattyly.allow('blocking', 'stepped'), 'and is over when it says');

SELECT * FROM finish();
