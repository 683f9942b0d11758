-- What monitoring sees: limit_stats, top_keys, limit_memory.
SELECT plan(65);
SELECT tests.at('0');
CREATE FUNCTION stats(name text) RETURNS text LANGUAGE sql AS $$
	SELECT format('allowed %s, denied %s, shadow_denied %s, near %s, blocked %s, keys %s, last_denied_at %s', allowed,
		denied, shadow_denied, near, blocked, keys,
		coalesce((last_denied_at - '2030-01-01 00:00+00')::text, 'never'))
	FROM pattyly.limit_stats WHERE limit_name = name
$$;

---- limit_stats ------------------------------------------------------------------------------------------------------

SELECT is_empty('SELECT * FROM pattyly.limit_stats WHERE limit_name IS NOT NULL', 'no rules, no rows');
SELECT pattyly.set_limit('l', 10, '1 hour', 'fixed_window');
SELECT is(stats('l'), 'allowed 0, denied 0, shadow_denied 0, near 0, blocked 0, keys 0, last_denied_at never',
	'a rule that nobody has met yet');
SELECT tests.passed('l', 'k', 7);
SELECT is(stats('l'), 'allowed 7, denied 0, shadow_denied 0, near 0, blocked 0, keys 1, last_denied_at never',
	'calls allowed, and keys');
SELECT tests.passed('l', 'k', 1);
SELECT is(stats('l'), 'allowed 8, denied 0, shadow_denied 0, near 1, blocked 0, keys 1, last_denied_at never',
	'2 of 10 left is near');
SELECT tests.passed('l', 'k', 2);
SELECT is(stats('l'), 'allowed 10, denied 0, shadow_denied 0, near 3, blocked 0, keys 1, last_denied_at never',
	'none left is near');
SELECT tests.at('1 min');
SELECT tests.passed('l', 'k', 5);
SELECT is(stats('l'), 'allowed 10, denied 5, shadow_denied 0, near 3, blocked 0, keys 1, last_denied_at 00:01:00',
	'calls denied, and when last');
SELECT tests.at('2 min');
SELECT pattyly.check_limit('l', 'other', 11);
SELECT is(substring(stats('l') FROM 'allowed.*blocked 0'), 'allowed 10, denied 6, shadow_denied 0, near 3, blocked 0',
	'a cost that never passes is denied');
SELECT pattyly.check_limit('l', 'other', 8);
SELECT is(stats('l'), 'allowed 11, denied 6, shadow_denied 0, near 4, blocked 0, keys 2, last_denied_at 00:02:00',
	'a call of cost 8 is one call');
SELECT pattyly.block_key('l', 'blocked', '1 hour');
SELECT tests.passed('l', 'blocked', 3);
SELECT is(stats('l'), 'allowed 11, denied 9, shadow_denied 0, near 4, blocked 3, keys 3, last_denied_at 00:02:00',
	'calls of a blocked key are denied, and counted as blocked');

-- Looking, giving back and administration are no calls.
SELECT tests.at('3 min');
SELECT pattyly.peek_limit('l', 'k'), pattyly.peek_limit('l', 'new'), pattyly.check_limit('l', 'k', 0),
	pattyly.refund_limit('l', 'k', 1),
	pattyly.unblock_key('l', 'blocked'), pattyly.reset_limit('l', 'other');
SELECT is(substring(stats('l') FROM 'allowed.*blocked 3'), 'allowed 11, denied 9, shadow_denied 0, near 4, blocked 3',
	'a look is no call');

-- By every way to call.
SELECT pattyly.set_limit('ways', 4, '1 hour', 'fixed_window');
SELECT pattyly.allow('ways', 'k'), pattyly.check_limit('ways', 'k'), pattyly.check_limits('{ways}', 'k'),
	pattyly.enforce_limit('ways', 'k');
SELECT is(stats('ways'), 'allowed 4, denied 0, shadow_denied 0, near 1, blocked 0, keys 1, last_denied_at never',
	'every way to call counts once');
SELECT pattyly.allow('ways', 'k'), pattyly.check_limit('ways', 'k'), pattyly.check_limits('{ways}', 'k');
SELECT tests.outcome($$SELECT pattyly.enforce_limit('ways', 'k')$$);
SELECT is(stats('ways'), 'allowed 4, denied 4, shadow_denied 0, near 1, blocked 0, keys 1, last_denied_at 00:03:00',
	'refused, too');

-- Several at once: the one that refuses has the denial.
SELECT pattyly.set_limit('m1', 1, '1 hour', 'fixed_window'), pattyly.set_limit('m2', 100, '1 hour', 'fixed_window');
SELECT pattyly.check_limits('{m1,m2}', 'k') FROM generate_series(1, 3);
SELECT is(substring(stats('m1') FROM 'allowed.*shadow_denied 0'), 'allowed 1, denied 2, shadow_denied 0',
	'several limits: the one that refuses');
SELECT is((SELECT denied FROM pattyly.limit_stats WHERE limit_name = 'm2'), 0::bigint,
	'several limits: the one that does not');

-- Near, for small limits and other algorithms.
CREATE FUNCTION near(max_hits bigint, algorithm text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('near' || max_hits || algorithm, max_hits, '1 hour', algorithm);
	PERFORM tests.passed('near' || max_hits || algorithm, 'k', max_hits::int);
	RETURN (SELECT s.near FROM pattyly.limit_stats AS s WHERE s.limit_name = 'near' || max_hits || near.algorithm);
END
$$;
SELECT is(near(max_hits, a), expected, format('%s of %s calls are near, %s', expected, max_hits, a))             -- 20
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a,
	(VALUES (1, 1::bigint), (4, 1), (5, 2), (50, 11)) AS v(max_hits, expected);

-- Shadow and off.
SELECT pattyly.set_limit('shadow', 2, '1 hour', 'fixed_window', mode => 'shadow'),
	pattyly.set_limit('off', 2, '1 hour', 'fixed_window', mode => 'off');
SELECT tests.passed('shadow', 'k', 5), tests.passed('off', 'k', 5);
SELECT is((SELECT (shadow_denied, denied)::text FROM pattyly.limit_stats WHERE limit_name = 'shadow'), '(3,0)',
	'shadow: what would have been denied');
SELECT is((SELECT denied + shadow_denied FROM pattyly.limit_stats WHERE limit_name = 'off'), 0::bigint,
	'off: nothing is denied');

-- Lists.
INSERT INTO pattyly.ip_list (network, action) VALUES ('198.51.100.0/24', 'deny'), ('192.0.2.0/24', 'allow');
SELECT pattyly.set_limit('listed', 5, '1 hour');
SELECT tests.passed('listed', '198.51.100.1', 3), tests.passed('listed', '192.0.2.1', 3);
SELECT is((SELECT denied FROM pattyly.limit_stats WHERE limit_name = 'listed'), 3::bigint,
	'calls from a denied network are denied');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'listed'), 0::bigint, 'and make no keys');

-- What rolls back was counted all the same; a rule changed stays the same rule, a rule dropped is gone.
BEGIN;
SELECT pattyly.allow('m2', 'rolled back');
ROLLBACK;
SELECT is((SELECT allowed FROM pattyly.limit_stats WHERE limit_name = 'm2'), 2::bigint,
	'ROLLBACK does not take it back');
SELECT pattyly.set_limit('m2', 200, '2 hours');
SELECT is((SELECT allowed FROM pattyly.limit_stats WHERE limit_name = 'm2'), 2::bigint,
	'a rule that is changed keeps its counts');
SELECT pattyly.reset_limit('m2');
SELECT is((SELECT allowed FROM pattyly.limit_stats WHERE limit_name = 'm2'), 2::bigint,
	'a reset is for keys, not for statistics');
SELECT pattyly.drop_limit('m2');
SELECT is_empty($$SELECT * FROM pattyly.limit_stats WHERE limit_name = 'm2'$$, 'a rule that is dropped has no row');
SELECT is((SELECT count(*) FROM pattyly.limit_stats WHERE limit_name = 'l'), 1::bigint, 'one row a rule');

---- top_keys ---------------------------------------------------------------------------------------------------------

SELECT tests.at('1 day');
SELECT pattyly.set_limit('t', 100, '100 s'), pattyly.set_limit('u', 100, '100 s');
SELECT pattyly.check_limit('t', 'ten', 10), pattyly.check_limit('t', 'thirty', 30),
	pattyly.check_limit('t', 'twenty', 20), pattyly.check_limit('u', 'forty', 40);
SELECT results_eq($$SELECT limit_name, key, used, remaining, reset_at - '2030-01-02 00:00+00', blocked_until,
		block_reason FROM pattyly.top_keys('t')$$,
	$$VALUES ('t', 'thirty', 30::bigint, 70::bigint, interval '30 s', NULL::timestamptz, NULL::text),
		('t', 'twenty', 20, 80, '20 s', NULL, NULL), ('t', 'ten', 10, 90, '10 s', NULL, NULL)$$,
	'the keys of a limit that used most, first');
SELECT results_eq('SELECT key FROM pattyly.top_keys(NULL, 2)', ARRAY['forty', 'thirty'],
	'of all limits, the first two');
SELECT results_eq('SELECT key FROM pattyly.top_keys(limit_name => ''t'', n => 1)', ARRAY['thirty'],
	'by the names of its arguments');
SELECT pattyly.block_key('t', 'blocked', '1 min', 'why');
SELECT results_eq('SELECT key, block_reason FROM pattyly.top_keys(''t'', 2)',
	$$VALUES ('blocked', 'why'), ('thirty', NULL)$$, 'blocked keys come before');
SELECT tests.at('1 day 15 s');
SELECT results_eq($$SELECT key, used FROM pattyly.top_keys('t') WHERE used > 0$$,
	$$VALUES ('thirty', 15::bigint), ('twenty', 5)$$, 'what drains away goes from it');
SELECT pattyly.check_limit('adhoc key', 5, interval '1 hour', 3);
SELECT results_eq($$SELECT limit_name, used FROM pattyly.top_keys(NULL, 1000) WHERE key = 'adhoc key'$$,
	$$VALUES (NULL::text, 3::bigint)$$, 'a limit without a rule has no name');
SELECT is((SELECT count(*) FROM pattyly.top_keys()), least(20, (SELECT count(*) FROM pattyly.top_keys(NULL, 1000))),
	'20 unless told otherwise');

-- Long keys are cut, uuids are not, and characters are not cut in half.
SELECT pattyly.set_limit('cut', 100, '100 s');
SELECT pattyly.check_limit('cut', key, cost) FROM (VALUES
	('abcdefghijklmnopqrstuvwx', 10), ('abcdefghijklmnopqrstuvwxy', 9), ('5f0c34c3-9a4b-4f1e-8d31-6f2e0f6c8a11', 8),
		('5F0C34C3-9A4B-4F1E-8D31-6F2E0F6C8A11', 7),
	('éééééééééééé', 6), ('xéééééééééééé', 5), ('😀😀😀😀😀😀', 4), ('😀😀😀😀😀😀😀', 3),
		('5f0c34c3-9a4b-4f1e-8d31-6f2e0f6c8a1g', 2)) AS v(key, cost);
SELECT is((SELECT key FROM pattyly.top_keys('cut') WHERE used = 10), 'abcdefghijklmnopqrstuvwx', '24 bytes are shown');
SELECT matches((SELECT key FROM pattyly.top_keys('cut') WHERE used = 9), '^abcdefghijklmnopqrstu(v(wx?)?)?…$',
	'25 are cut');
SELECT is((SELECT key FROM pattyly.top_keys('cut') WHERE used = 8), '5f0c34c3-9a4b-4f1e-8d31-6f2e0f6c8a11',
	'a uuid is shown');
SELECT ok((SELECT key FROM pattyly.top_keys('cut') WHERE used = 7) IN ('5F0C34C3-9A4B-4F1E-8D31-6F2E0F6C8A11',
	'5F0C34C3-9A4B-4F1E-8D31…', '5F0C34C3-9A4B-4F1E-8D3…', '5F0C34C3-9A4B-4F1E-8D31-…'),
	'a uuid in capitals is another key, and not shown as the other');
SELECT is((SELECT key FROM pattyly.top_keys('cut') WHERE used = 6), 'éééééééééééé', '12 characters of 2 bytes');
SELECT lives_ok($$SELECT convert_to(key, 'UTF8') FROM pattyly.top_keys('cut')$$, 'what is cut is still text');
SELECT matches((SELECT key FROM pattyly.top_keys('cut') WHERE used = 5), '^xé+…$', 'cut between characters');
SELECT is((SELECT count(*) FROM pattyly.top_keys('cut')), 9::bigint, 'each a key of its own');

---- limit_memory -----------------------------------------------------------------------------------------------------

SELECT is((SELECT count(*) FROM pattyly.limit_memory), 1::bigint, 'one row');
SELECT is((SELECT capacity FROM pattyly.limit_memory), current_setting('pattyly.max_keys')::bigint,
	'capacity is pattyly.max_keys');
SELECT used AS used_before FROM pattyly.limit_memory \gset
SELECT pattyly.set_limit('memory', 5, '1 hour');
SELECT pattyly.allow('memory', 'key ' || i) FROM generate_series(1, 500) AS i;
SELECT is((SELECT used FROM pattyly.limit_memory), :used_before + 500::bigint, 'each key takes a slot');
SELECT pattyly.allow('memory', 'key ' || i) FROM generate_series(1, 500) AS i;
SELECT is((SELECT used FROM pattyly.limit_memory), :used_before + 500::bigint, 'and no more when it comes again');
SELECT is((SELECT (evicted, evicted_live, refused)::text FROM pattyly.limit_memory), '(0,0,0)',
	'nothing was evicted or refused');
SELECT ok((SELECT bytes BETWEEN capacity AND capacity * 256 FROM pattyly.limit_memory), 'bytes are in proportion');
SELECT ok((SELECT restored >= 0 AND used <= capacity FROM pattyly.limit_memory),
	'restored, and used no more than there is');

SELECT * FROM finish();
