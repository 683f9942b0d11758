-- What makes no sense is refused with an error that teaches, and counts nothing: the SQLSTATE, a message in
-- PostgreSQL's style that names the culprit, and a hint that says what to do. Nothing is ever let pass by mistake.
SELECT plan(255);
SELECT tests.at('0');
SELECT pattyly.set_limit('good', 5, '5 s');
SELECT pattyly.check_limit('good', 'witness', 2);

-- One assertion a statement. "about" must stand in the message.
CREATE FUNCTION refused(statement text, sqlstate text, about text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	o record;
	complaints text := '';
BEGIN
	SELECT * INTO o FROM tests.outcome(statement);
	IF strpos(lower(o.message), lower(about)) = 0 THEN
		complaints := complaints || format(', but does not speak of %s: %s', about, o.message);
	END IF;
	IF coalesce(o.message, '') !~ '^[^A-Z]' OR o.message ~ '[.!]$' THEN
		complaints := complaints || format(', message out of style: %s', o.message);
	END IF;
	IF coalesce(o.hint, '') !~ '^([A-Z]|[a-z]+_).*[.]$' THEN
		complaints := complaints || format(', hint missing or out of style: %s', o.hint);
	END IF;
	RETURN is(o.sqlstate || complaints, refused.sqlstate, left(statement, 100));
END
$$;

---- Calls ------------------------------------------------------------------------------------------------------------

-- Every function that takes a limit and a key: {n} the limit, {k} the key.
CREATE TABLE calls (call text, place int GENERATED ALWAYS AS IDENTITY);
INSERT INTO calls (call) VALUES
	('SELECT pattyly.allow({n}, {k})'),
	('SELECT pattyly.check_limit({n}, {k})'),
	('SELECT pattyly.check_limits(ARRAY[{n}], {k})'),
	('SELECT pattyly.enforce_limit({n}, {k})'),
	('SELECT pattyly.peek_limit({n}, {k})'),
	('SELECT pattyly.refund_limit({n}, {k})'),
	('SELECT pattyly.reset_limit({n}, {k})'),
	('SELECT pattyly.block_key({n}, {k}, ''1 s'')'),
	('SELECT pattyly.unblock_key({n}, {k})');
CREATE FUNCTION call(template text, n text, k text) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(template, '{n}', n), '{k}', k)
$$;

SELECT refused(call(call, 'NULL::text', '''k'''), '22004', 'name') FROM calls ORDER BY place;                   -- 9
SELECT refused(call(call, '''good''', 'NULL'), '22004', 'key') FROM calls ORDER BY place;                       -- 9
SELECT refused(call(call, '''good''', ''''''), '22023', 'key') FROM calls ORDER BY place;                       -- 9
SELECT refused(call(call, '''nope''', '''k'''), '42704', '"nope"') FROM calls ORDER BY place;                   -- 9
SELECT refused(call(call, '''Good''', '''k'''), '42704', '"Good"') FROM calls ORDER BY place;                   -- 9
SELECT refused(call(call, '''''', '''k'''), '42704', 'rate limit') FROM calls ORDER BY place;                   -- 9

-- Those that take a cost.
SELECT refused(format('SELECT pattyly.%s, ''k'', %s)', f, c.cost), c.sqlstate, 'cost')                          -- 15
FROM unnest(ARRAY['allow(''good''', 'check_limit(''good''', 'check_limits(''{good}''', 'enforce_limit(''good''',
	'refund_limit(''good''']) AS f,
	(VALUES ('NULL::integer', '22004'), ('-1', '22023'), ('(-2147483648)', '22023')) AS c(cost, sqlstate);

SELECT refused('SELECT pattyly.reset_limit(NULL::text)', '22004', 'name');
SELECT refused('SELECT pattyly.reset_limit(''nope'')', '42704', '"nope"');
SELECT refused('SELECT * FROM pattyly.top_keys(''nope'')', '42704', '"nope"');
SELECT refused('SELECT * FROM pattyly.top_keys(NULL, 0)', '22023', 'n ');
SELECT refused('SELECT * FROM pattyly.top_keys(NULL, -1)', '22023', 'n ');
SELECT refused('SELECT * FROM pattyly.top_keys(NULL, NULL)', '22004', 'n ');
SELECT refused('SELECT pattyly.limit_headers(NULL)', '22004', 'result');
SELECT refused('SELECT pattyly.load_preset(NULL)', '22023', 'preset');
SELECT refused('SELECT pattyly.load_preset(''web'')', '22023', 'web');
SELECT refused('SELECT pattyly.grant_api(NULL, NULL)', '22004', 'role');
SELECT refused($$SELECT pattyly.block_key('good', 'k', NULL)$$, '22004', 'duration');
SELECT refused(format($$SELECT pattyly.block_key('good', 'k', %L)$$, d), '22023', 'duration')                    -- 6
FROM unnest(ARRAY['0', '-1 s', '1 month', '1 year', '-1 day', '2562047788 hours']) AS d;

-- A name of a megabyte does not come back as a message of a megabyte.
SELECT cmp_ok((SELECT length(message) FROM tests.outcome($$SELECT pattyly.allow(repeat('x', 1048576), 'k')$$)), '<',
	1000,
	'an unknown name that is too long is cut in the message');

-- The setting for when the limiter cannot work does not let mistakes of the caller pass.
SET pattyly.on_limiter_failure = allow;
SELECT refused($$SELECT pattyly.allow('good', NULL)$$, '22004', 'key');
SELECT refused($$SELECT pattyly.allow('nope', 'k')$$, '42704', '"nope"');
SELECT refused($$SELECT pattyly.allow('good', 'k', NULL)$$, '22004', 'cost');
SELECT refused($$SELECT pattyly.allow('good', 'k', -1)$$, '22023', 'cost');
RESET pattyly.on_limiter_failure;

---- Arrays of names --------------------------------------------------------------------------------------------------

SELECT refused($$SELECT pattyly.check_limits(NULL, 'k')$$, '22004', 'names');
SELECT refused($$SELECT pattyly.check_limits('{}', 'k')$$, '22023', 'names');
SELECT refused($$SELECT pattyly.check_limits('{good,NULL}', 'k')$$, '22004', 'names');
SELECT refused($$SELECT pattyly.check_limits('{NULL}', 'k')$$, '22004', 'names');
SELECT refused($$SELECT pattyly.check_limits('{good,nope}', 'k')$$, '42704', '"nope"');
SELECT pattyly.set_limit('m' || i, 100, '1 s') FROM generate_series(1, 17) AS i;
SELECT refused($$SELECT pattyly.check_limits((SELECT array_agg('m' || i) FROM generate_series(1, 17) AS i), 'k')$$,
	'54000', 'limits');
SELECT lives_ok($$SELECT pattyly.check_limits((SELECT array_agg('m' || i) FROM generate_series(1, 16) AS i), 'k')$$,
	'16 limits at once are not too many');
SELECT is((SELECT string_agg(DISTINCT (pattyly.peek_limit('m' || i, 'k')).remaining::text, ' ')
	FROM generate_series(1, 17) AS i),
	'100 99', 'they are counted, and the call with 17 counted nothing');
SELECT is((pattyly.peek_limit('m17', 'k')).remaining, 100::bigint, 'nor the 17th');

---- Rules ------------------------------------------------------------------------------------------------------------

CREATE TABLE rules (args text, sqlstate text, about text, place int GENERATED ALWAYS AS IDENTITY);
INSERT INTO rules (args, sqlstate, about) VALUES
	($$NULL, 5, '1 s'$$, '22004', 'name'),
	($$'bad', NULL, '1 s'$$, '22004', 'max_hits'),
	($$'bad', 5, NULL$$, '22004', 'per'),
	($$'bad', 5, '1 s', NULL$$, '22004', 'algorithm'),
	($$'bad', 5, '1 s', mode => NULL$$, '22004', 'mode'),
	($$'', 5, '1 s'$$, '22023', 'name'),
	($$repeat('n', 64), 5, '1 s'$$, '22023', 'name'),
	($$repeat('n', 1048576), 5, '1 s'$$, '22023', 'name'),
	($$'né', 5, '1 s'$$, '22023', 'name'),
	($$E'n\n', 5, '1 s'$$, '22023', 'name'),
	($$E'n\r\nX-Injected: 1', 5, '1 s'$$, '22023', 'name'),
	($$E'n\t', 5, '1 s'$$, '22023', 'name'),
	($$E'n\x7f', 5, '1 s'$$, '22023', 'name'),
	($$'bad', -1, '1 s'$$, '22023', 'max_hits'),
	($$'bad', 4294967296, '1 s'$$, '22023', 'max_hits'),
	($$'bad', 9223372036854775807, '1 s'$$, '22023', 'max_hits'),
	($$'bad', (-9223372036854775808), '1 s'$$, '22023', 'max_hits'),
	($$'bad', 5, '0'$$, '22023', 'per'),
	($$'bad', 5, '-1 s'$$, '22023', 'per'),
	($$'bad', 5, '1 day -24 hours'$$, '22023', 'per'),
	($$'bad', 5, '-1 microsecond'$$, '22023', 'per'),
	($$'bad', 5, '1 month'$$, '22023', 'month'),
	($$'bad', 5, '1 year'$$, '22023', 'year'),
	($$'bad', 5, '1 month -30 days'$$, '22023', 'month'),
	($$'bad', 5, '-1 month 60 days'$$, '22023', 'month'),
	($$'bad', 5, '178000000 years'$$, '22023', 'year'),
	($$'bad', 5, '3651 days'$$, '22023', 'per'),
	($$'bad', 5, '3650 days 1 microsecond'$$, '22023', 'per'),
	($$'bad', 5, '87600 hours 1 microsecond'$$, '22023', 'per'),
	($$'bad', 5, '2147483647 days'$$, '22023', 'per'),
	($$'bad', 5, '2562047788 hours'$$, '22023', 'per'),
	($$'bad', 5, '2147483647 days 2562047788 hours'$$, '22023', 'per'),
	($$'bad', 5, '-2147483648 days -2562047788 hours'$$, '22023', 'per'),
	($$'bad', 5, '1 s', burst => 0$$, '22023', 'burst'),
	($$'bad', 5, '1 s', burst => -1$$, '22023', 'burst'),
	($$'bad', 5, '1 s', burst => 4294967296$$, '22023', 'burst'),
	($$'bad', 5, '1 s', burst => 9223372036854775807$$, '22023', 'burst'),
	($$'bad', 1, '3650 days', burst => 4294967295$$, '22023', 'burst'),
	($$'bad', 5, '1 s', 'fixed_window', burst => 5$$, '22023', 'burst'),
	($$'bad', 5, '1 s', 'sliding_log', burst => 5$$, '22023', 'burst'),
	($$'bad', 5, '1 s', 'gcrra'$$, '22023', 'algorithm'),
	($$'bad', 5, '1 s', 'GCRA'$$, '22023', 'algorithm'),
	($$'bad', 5, '1 s', ''$$, '22023', 'algorithm'),
	($$'bad', 5, '1 s', 'gcra '$$, '22023', 'algorithm'),
	($$'bad', 5, '1 s', mode => 'on'$$, '22023', 'mode'),
	($$'bad', 5, '1 s', mode => 'Enforce'$$, '22023', 'mode'),
	($$'bad', 5, '1 s', mode => ''$$, '22023', 'mode'),
	($$'bad', 65, '1 s', 'sliding_log'$$, '22023', 'max_hits'),
	($$'bad', 5, '1 s', block_for => '0'$$, '22023', 'block_for'),
	($$'bad', 5, '1 s', block_for => '-1 s'$$, '22023', 'block_for'),
	($$'bad', 5, '1 s', block_for => '1 month'$$, '22023', 'block_for'),
	($$'bad', 5, '1 s', block_for => '3651 days'$$, '22023', 'block_for'),
	($$'bad', 5, '1 s', block_for => '2147483647 days 2562047788 hours'$$, '22023', 'block_for');
SELECT refused(format('SELECT pattyly.set_limit(%s)', args), sqlstate, about) FROM rules ORDER BY place;         -- 53
SELECT is((SELECT count(*) FROM pattyly.limits WHERE name NOT LIKE 'm%'), 1::bigint, 'no such rule was made');
-- Written directly, the same: UPDATE, INSERT.
SELECT refused($$UPDATE pattyly.limits SET max_hits = -1 WHERE name = 'good'$$, '22023', 'max_hits');
SELECT refused($$UPDATE pattyly.limits SET per = '1 month' WHERE name = 'good'$$, '22023', 'month');
SELECT refused($$UPDATE pattyly.limits SET count_denied = NULL WHERE name = 'good'$$, '22004', 'count_denied');
SELECT refused($$UPDATE pattyly.limits SET name = 'né' WHERE name = 'good'$$, '22023', 'name');
SELECT refused($$INSERT INTO pattyly.limits (name, max_hits, per) VALUES ('bad', 5, '0')$$, '22023', 'per');

-- Infinite intervals came with PostgreSQL 17.
SELECT current_setting('server_version_num')::int >= 170000 AS has_infinite_intervals \gset
\if :has_infinite_intervals
SELECT refused($$SELECT pattyly.set_limit('bad', 5, 'infinity')$$, '22023', 'per');
SELECT refused($$SELECT pattyly.set_limit('bad', 5, '-infinity')$$, '22023', 'per');
SELECT refused($$SELECT pattyly.set_limit('bad', 5, '1 s', block_for => 'infinity')$$, '22023', 'block_for');
SELECT refused($$SELECT pattyly.block_key('good', 'k', 'infinity')$$, '22023', 'duration');
SELECT refused($$SELECT pattyly.check_limit('k', 5, interval 'infinity')$$, '22023', 'per');
\else
SELECT skip('this server has no infinite intervals', 5);
\endif

-- What is just possible, and exact.
CREATE TABLE possible (args text, said text, place int GENERATED ALWAYS AS IDENTITY);
INSERT INTO possible (args, said) VALUES
	($$0, '1 s'$$, 'no, 0 of 0 left, full in 00:00:00: cost_exceeds_limit'),
	($$1, '3650 days'$$, 'yes, 0 of 1 left, full in 3650 days'),
	($$1, '3651 days -24 hours'$$, 'yes, 0 of 1 left, full in 3650 days'),
	($$1, '87600 hours', 'fixed_window'$$, 'yes, 0 of 1 left, full in 3650 days'),
	($$1, '3650 days', 'sliding_log'$$, 'yes, 0 of 1 left, full in 3650 days'),
	($$1, '1 microsecond'$$, 'yes, 0 of 1 left, full in 00:00:00.000001'),
	($$1, '1 microsecond', 'fixed_window'$$, 'yes, 0 of 1 left, full in 00:00:00.000001'),
	($$1, '1 microsecond', 'sliding_log'$$, 'yes, 0 of 1 left, full in 00:00:00.000001'),
	($$4294967295, '3650 days', 'fixed_window'$$, 'yes, 4294967294 of 4294967295 left, full in 3650 days'),
	($$4294967295, '3650 days', 'calendar_window'$$, 'yes, 4294967294 of 4294967295 left'),
	($$4294967295, '3650 days', 'sliding_window'$$, 'yes, 4294967294 of 4294967295 left'),
	($$64, '1 s', 'sliding_log'$$, 'yes, 63 of 64 left, full in 00:00:01'),
	($$1, '3650 days', burst => 10$$, 'yes, 9 of 1 left, full in 3650 days'),
	($$5, '1 s', block_for => '3650 days'$$, 'yes, 4 of 5 left, full in 00:00:00.2');
CREATE FUNCTION first_call(args text, said text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT pattyly.set_limit(''possible'', %s)', args);
	PERFORM pattyly.reset_limit('possible', 'k');
	-- When the epoch's own windows end depends on the date.
	RETURN is(regexp_replace(tests.said(pattyly.check_limit('possible', 'k')),
		CASE WHEN said !~ 'full in' THEN ', full in.*' ELSE '^$' END, ''),
		said, 'the first call of ' || args);
END
$$;
SELECT first_call(args, said) FROM possible ORDER BY place;                                                     -- 14
SELECT lives_ok($$SELECT pattyly.set_limit(repeat('n', 63), 5, '1 s')$$, 'a name may have 63 characters');
SELECT lives_ok($$SELECT pattyly.set_limit('a "b" \c; d=e, f', 5, '1 s')$$, 'and any printable ASCII');

---- Limits without a rule --------------------------------------------------------------------------------------------

SELECT refused(format('SELECT pattyly.check_limit(%s)', args), sqlstate, about)                                  -- 15
FROM (VALUES
	($$NULL::text, 5::bigint, interval '1 s'$$, '22004', 'key'),
	($$'k', NULL::bigint, interval '1 s'$$, '22004', 'max_hits'),
	($$'k', 5, NULL::interval$$, '22004', 'per'),
	($$'k', 5, interval '1 s', NULL$$, '22004', 'cost'),
	($$'k', 5, interval '1 s', 1, NULL$$, '22004', 'algorithm'),
	($$'', 5, interval '1 s'$$, '22023', 'key'),
	($$'k', -1, interval '1 s'$$, '22023', 'max_hits'),
	($$'k', 4294967296, interval '1 s'$$, '22023', 'max_hits'),
	($$'k', 5, interval '0'$$, '22023', 'per'),
	($$'k', 5, interval '1 month'$$, '22023', 'month'),
	($$'k', 5, interval '3651 days'$$, '22023', 'per'),
	($$'k', 5, interval '1 s', -1$$, '22023', 'cost'),
	($$'k', 5, interval '1 s', 1, 'GCRA'$$, '22023', 'algorithm'),
	($$'k', 65, interval '1 s', 1, 'sliding_log'$$, '22023', 'max_hits'),
	($$'k', 5, interval '2147483647 days 2562047788 hours'$$, '22023', 'per')
) AS v(args, sqlstate, about);

---- Routes and lists -------------------------------------------------------------------------------------------------

SELECT refused(format('INSERT INTO pattyly.routes (path, limits, method, keyed_by, cost) VALUES (%s)', args),
	sqlstate, about)   -- 23
FROM (VALUES
	($$NULL, '{good}', NULL, 'ip', 1$$, '22004', 'path'),
	($$'/x', NULL, NULL, 'ip', 1$$, '22004', 'limits'),
	($$'/x', '{good}', NULL, NULL, 1$$, '22004', 'keyed_by'),
	($$'/x', '{good}', NULL, 'ip', NULL$$, '22004', 'cost'),
	($$'', '{good}', NULL, 'ip', 1$$, '22023', 'path'),
	($$'x', '{good}', NULL, 'ip', 1$$, '22023', 'path'),
	($$'x*', '{good}', NULL, 'ip', 1$$, '22023', 'path'),
	($$'/x*y', '{good}', NULL, 'ip', 1$$, '22023', 'path'),
	($$'/x**', '{good}', NULL, 'ip', 1$$, '22023', 'path'),
	($$'/x', '{}', NULL, 'ip', 1$$, '22023', 'limits'),
	($$'/x', '{NULL}', NULL, 'ip', 1$$, '22023', 'limit'),
	($$'/x', (SELECT array_agg('m' || i) FROM generate_series(1, 17) AS i), NULL, 'ip', 1$$, '22023', 'limits'),
	($$'/x', '{good}', 'get', 'ip', 1$$, '22023', 'method'),
	($$'/x', '{good}', '', 'ip', 1$$, '22023', 'method'),
	($$'/x', '{good}', 'GET POST', 'ip', 1$$, '22023', 'method'),
	($$'/x', '{good}', NULL, '', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'IP', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'user+ip', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'header', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'header:', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'header:not a name', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'header:x-key:', 1$$, '22023', 'keyed_by'),
	($$'/x', '{good}', NULL, 'ip', -1$$, '22023', 'cost')
) AS v(args, sqlstate, about);
SELECT is_empty('SELECT * FROM pattyly.routes', 'no such route was made');
SELECT refused($$INSERT INTO pattyly.ip_list (network, action) VALUES ('10.0.0.0/8', 'block')$$, '22023',
	'unknown action');
SELECT refused($$INSERT INTO pattyly.ip_list (network, action) VALUES (NULL, 'deny')$$, '22004',
	'network');
SELECT refused($$INSERT INTO pattyly.ip_list (network, action) VALUES ('10.0.0.0/8', NULL)$$, '22004',
	'action');
SELECT throws_ok($$INSERT INTO pattyly.ip_list (network, action) VALUES ('10.0.0.0/8', 'allow'), ('10.0.0.0/8', 'deny')$$,
	'23505', NULL, 'ip_list: two words about one network');

---- Settings ---------------------------------------------------------------------------------------------------------

SELECT refused(format('SET pattyly.%s', s), '22023', split_part(s, ' ', 1))                                      -- 17
FROM unnest(ARRAY['trusted_proxies = ''-1''', 'trusted_proxies = ''one''', 'trusted_proxies = ''1.5''',
	'trusted_proxies = ''1000000''', 'trusted_proxies = ''10.0.0.0/33''', 'trusted_proxies = ''10.0.0.0/8 10.0.0.0/9''',
	'trusted_proxies = ''10.0.0.0/8, 2''', 'trusted_proxies = ''10.0.0.300''', 'client_ip_header = ''not a name''',
	'client_ip_header = ''''', 'frozen_clock = ''yesterday at noon''', 'frozen_clock = ''infinity''',
	'frozen_clock = ''-infinity''', 'frozen_clock = ''293000-01-01 00:00:00+00''', 'frozen_clock = ''294276-12-31 23:59:59+00''', 'language = ''de''', 'on_limiter_failure = ''maybe''']) AS s;
SELECT throws_ok('SET pattyly.ipv6_prefix = 15', '22023', NULL, 'ipv6_prefix below 16');
SELECT throws_ok('SET pattyly.ipv6_prefix = 129', '22023', NULL, 'ipv6_prefix above 128');
SELECT throws_ok('SET pattyly.max_keys = 1000', '55P02', NULL, 'max_keys needs a restart');
SELECT throws_ok('SET pattyly.no_such_setting = 1', NULL, NULL, 'a setting that is misspelt');

---- Refused, not wrong -----------------------------------------------------------------------------------------------

SELECT is(tests.said(pattyly.check_limit('good', 'other', 6)), 'no, 5 of 5 left, full in 00:00:00: cost_exceeds_limit',
	'a cost over the capacity never passes: no time to retry at');
SELECT is(tests.said(pattyly.check_limit('good', 'other', 2147483647)),
	'no, 5 of 5 left, full in 00:00:00: cost_exceeds_limit',
	'nor does the highest cost there is');
SELECT ok(NOT pattyly.allow('good', 'other', 6), 'allow() says no to it');
SELECT is(tests.said(pattyly.check_limits('{good,m1}', 'other', 6)),
	'no, 5 of 5 left, full in 00:00:00: cost_exceeds_limit',
	'check_limits too');
SELECT is((pattyly.peek_limit('m1', 'other')).remaining, 100::bigint, 'and counts it nowhere');

-- A key of a megabyte is a key like others, and all of it counts.
SELECT ok(pattyly.allow('good', repeat('x', 1048576), 5), 'a key of 1 MB');
SELECT ok(NOT pattyly.allow('good', repeat('x', 1048576)), 'is remembered');
SELECT ok(pattyly.allow('good', repeat('x', 1048575) || 'y', 5), 'and told from another that differs in its last byte');

---- Nothing was counted ----------------------------------------------------------------------------------------------

SELECT is(tests.said(pattyly.peek_limit('good', 'witness')), 'yes, 3 of 5 left, full in 00:00:02',
	'the witness has what it had');
SELECT is(tests.said(pattyly.peek_limit('good', 'k')), 'yes, 5 of 5 left, full in 00:00:00',
	'the key of all the errors is full');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'good'), 3::bigint,
	'and was not even made: witness and the two of 1 MB');
SELECT * FROM finish();
