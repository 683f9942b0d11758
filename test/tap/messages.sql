-- The text of a refusal: the rule's own, or the default of pattyly.language. Seen through enforce_limit, which outside of
-- a PostgREST request raises it as it is, with SQLSTATE PT429.
SELECT plan(42);
SELECT tests.at('0');

CREATE FUNCTION refusal(limit_name text, key text DEFAULT 'k', cost integer DEFAULT 1) RETURNS text
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.enforce_limit(limit_name, key, cost);
	RETURN 'passed';
EXCEPTION WHEN SQLSTATE 'PT429' THEN
	RETURN SQLERRM;
END
$$;
-- The refusal of a limit that was used up, so many seconds before it opens again.
CREATE FUNCTION waiting(wait interval, message text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('waiting', 1, wait, 'fixed_window', message => message);
	PERFORM pattyly.reset_limit('waiting');
	PERFORM pattyly.allow('waiting', 'k');
	RETURN refusal('waiting');
END
$$;

---- Defaults ---------------------------------------------------------------------------------------------------------

SELECT is(current_setting('pattyly.language'), 'fr', 'French is the default');
SELECT is(waiting(wait), said, format('fr: %s', wait))
FROM (VALUES
	(interval '1 hour', 'Trop de tentatives. Veuillez attendre 60m 0s avant de réessayer.'),
	('125 s', 'Trop de tentatives. Veuillez attendre 2m 5s avant de réessayer.'),
	('60 s', 'Trop de tentatives. Veuillez attendre 1m 0s avant de réessayer.'),
	('59 s', 'Trop de tentatives. Veuillez attendre 0m 59s avant de réessayer.'),
	('59.000001 s', 'Trop de tentatives. Veuillez attendre 1m 0s avant de réessayer.'),
	('1 ms', 'Trop de tentatives. Veuillez attendre 0m 1s avant de réessayer.'),
	('3650 days', 'Trop de tentatives. Veuillez attendre 5256000m 0s avant de réessayer.')
) AS v(wait, said);                                                                                             -- 7
SET pattyly.language = en;
SELECT is(waiting('125 s'), 'Too many attempts. Please wait 2m 5s before trying again.', 'en');
SELECT is(waiting('1 ms'), 'Too many attempts. Please wait 0m 1s before trying again.', 'en: at least a second');
SET pattyly.language = 'FR';
SELECT is(waiting('125 s'), 'Trop de tentatives. Veuillez attendre 2m 5s avant de réessayer.',
	'the language in any case');
SET pattyly.language = en;

-- Nothing to wait for: nobody is told to.
SELECT pattyly.set_limit('none', 0, '1 s');
SELECT unalike(refusal('none'), '%wait%', 'max_hits 0');
SELECT unalike(refusal('waiting', 'new', 2), '%wait%', 'a cost that never passes');
INSERT INTO pattyly.ip_list (network, action) VALUES ('198.51.100.1', 'deny');
SELECT unalike(refusal('waiting', '198.51.100.1'), '%wait%', 'a denied network');
SELECT isnt(refusal('none'), '', 'but something is said');
-- A block has an end.
SELECT pattyly.block_key('waiting', 'blocked', '90 s');
SELECT is(refusal('waiting', 'blocked'), 'Too many attempts. Please wait 1m 30s before trying again.', 'a block');

---- The rule's own ---------------------------------------------------------------------------------------------------

SELECT is(waiting('125 s', template), said, format('template: %s', template))
FROM (VALUES
	('Wait {minutes} min {seconds} s.', 'Wait 2 min 5 s.'),
	('{retry_after}', '125'),
	('{limit_name} {retry_after} {retry_after}', 'waiting 125 125'),
	('no placeholder', 'no placeholder'),
	('{unknown} {MINUTES} { minutes } {minutes', '{unknown} {MINUTES} { minutes } {minutes'),
	('{}', '{}'),
	('{', '{'),
	('}', '}'),
	('{{seconds}}', '{5}'),
	('{minutes}{seconds}', '25'),
	('{minutes{seconds}', '{minutes5'),
	('100 % %s %n %d %%', '100 % %s %n %d %%'),
	('\n \\ '' " $1 \1', '\n \\ '' " $1 \1'),
	('é 日本語 😀 {seconds}', 'é 日本語 😀 5')
) AS v(template, said);                                                                                         -- 14
SELECT is(waiting('125 s', E'two\nlines {seconds}'), E'two\nlines 5', 'two lines');
SELECT is(length(waiting('125 s', repeat('{retry_after}', 10000))), 30000, 'a very long one');
SELECT is(refusal('waiting', 'blocked'), repeat('90', 10000), 'a block uses it, too');
-- A name that looks like a placeholder is not replaced again.
SELECT pattyly.set_limit('{seconds}', 1, '125 s', 'fixed_window', message => '{limit_name} {seconds}');
SELECT pattyly.allow('{seconds}', 'k');
SELECT is(refusal('{seconds}'), '{seconds} 5', 'a name that looks like a placeholder');
-- Whatever the reason of the refusal.
SELECT pattyly.set_limit('none', 0, '1 s', message => 'Ask at the desk ({limit_name}).');
SELECT is(refusal('none'), 'Ask at the desk (none).', 'the rule''s own text also when waiting does not help');
-- The language does not matter then; and NULL is the default again.
SET pattyly.language = fr;
SELECT is(waiting('125 s', 'mine'), 'mine', 'the rule''s own, in French');
SELECT is(waiting('125 s'), 'Trop de tentatives. Veuillez attendre 2m 5s avant de réessayer.', 'NULL is the default');

---- The error of enforce_limit ---------------------------------------------------------------------------------------

SET pattyly.language = en;
SELECT waiting('125 s');
SELECT is((SELECT sqlstate FROM tests.outcome($$SELECT pattyly.enforce_limit('waiting', 'k')$$)), 'PT429',
	'outside of a request: PT429');
SELECT matches((SELECT hint FROM tests.outcome($$SELECT pattyly.enforce_limit('waiting', 'k')$$)), '125',
	'the hint says how long');
SELECT unalike((SELECT o::text FROM tests.outcome($$SELECT pattyly.enforce_limit('waiting', 'blocked')$$) AS o),
	'%blocked%', 'the key is nowhere in it');
-- Within a request of PostgREST: PGRST, with headers.
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/rpc/x', false),
	set_config('request.headers', '{}', false);
CREATE FUNCTION detail_of(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE statement;
EXCEPTION WHEN SQLSTATE 'PGRST' THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN jsonb_build_object('message', message::jsonb, 'detail', detail::jsonb);
END
$$;
SELECT is(detail_of($$SELECT pattyly.enforce_limit('waiting', 'k')$$)->'message'->>'message',
	'Too many attempts. Please wait 2m 5s before trying again.',
	'within a request: PGRST, with the same text');
SELECT is(detail_of($$SELECT pattyly.enforce_limit('waiting', 'k')$$)->'detail',
	jsonb_build_object('status', 429, 'headers',
		'{"RateLimit": "\"waiting\";r=0;t=125", "RateLimit-Policy": "\"waiting\";q=1;w=125", "Retry-After": "125"}'::jsonb),
	'and the headers');

SELECT * FROM finish();
