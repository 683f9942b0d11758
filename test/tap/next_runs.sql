-- pattyly.next_runs: the vectors of the schedule language through SQL, with the time zones of the server; what is refused
-- and in what words. The language itself is tested without a server (test/unit/schedule.c).
SELECT no_plan();

CREATE TABLE vectors AS
SELECT v->>'id' AS id, v->>'expr' AS expr, (v->>'start')::timestamptz AS start, v->>'tz' AS tz,
	ARRAY(SELECT t::timestamptz FROM jsonb_array_elements_text(v->'next') AS n(t)) AS next
FROM jsonb_array_elements(tests.vectors('test/vectors/schedule.json')->'next') AS v;

SELECT cmp_ok((SELECT count(*) FROM vectors), '>', 20::bigint, 'there are vectors');
SELECT is(ARRAY(SELECT pattyly.next_runs(v.expr, v.tz, v.start, greatest(cardinality(v.next), 1))), v.next,
	format('%s: %s in %s', v.id, v.expr, v.tz))
FROM vectors AS v ORDER BY v.id;

-- The whole error of a call.
CREATE FUNCTION error_of(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE call;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN format('%s %s / %s / %s', code, message, detail, CASE WHEN hint <> '' THEN 'hint' END);
END
$$;
CREATE FUNCTION refuses(schedule text, detail text) RETURNS text LANGUAGE sql AS $$
	SELECT is(error_of(format('SELECT pattyly.next_runs(%L)', schedule)),
		format('22023 invalid schedule "%s" / %s / hint', schedule, detail), format('refused: "%s"', schedule))
$$;

SELECT ok(error_of(format('SELECT pattyly.next_runs(%L)', r)) LIKE '22023 invalid schedule "%" / At character %: %. / hint',
	format('refused: "%s"', r))
FROM jsonb_array_elements_text(tests.vectors('test/vectors/schedule.json')->'reject') AS r;
SELECT refuses('', 'At character 1: it is empty.');
SELECT refuses('60 * * * *', 'At character 1: the minute field takes values from 0 to 59.');
SELECT refuses('0 0 * * fri-mon',
	'At character 13: a range in the weekday field ends before it begins; write it as two, joined by a comma.');
SELECT refuses('0/15 * * * *',
	'At character 2: a step in the minute field follows a single value; write a-b/step or */step.');
SELECT refuses('0 é * * *', 'At character 3: the hour field holds a character that means nothing there.');
SELECT refuses('0 0 1,é * *', 'At character 7: the day-of-month field holds a character that means nothing there.');
SELECT refuses('50 seconds',
	'At character 1: an interval begins with the word every, as in every 90 seconds.');
SELECT is(error_of($$SELECT pattyly.next_runs(repeat('é', 500000))$$),
	format('22023 invalid schedule "%s..." / At character 500001: there are fewer than five fields (minute, hour, day of month, month, weekday). / hint',
		repeat('é', 50)),
	'of a long text the message shows the beginning');

-- The other arguments.
SELECT is(error_of($$SELECT pattyly.next_runs('@daily', 'Mars/Olympus')$$),
	'22023 time zone "Mars/Olympus" not recognized /  / hint', 'unknown time zone');
SELECT is(error_of($$SELECT pattyly.next_runs('@daily', '')$$), '22023 time zone "" not recognized /  / hint', 'empty time zone');
SELECT is(error_of(format('SELECT pattyly.next_runs(n => %s, schedule => ''@daily'')', n)),
	format('22023 n of next_runs must be from 1 to 1000, not %s /  / hint', n), format('n %s', n))
FROM unnest('{0,-1,1001,2147483647}'::integer[]) AS u(n);
SELECT is((SELECT count(*) FROM pattyly.next_runs('every second', n => 1000)), 1000::bigint, 'n 1000');
SELECT is(error_of(format('SELECT pattyly.next_runs(%s)', args)), format('22004 %s of next_runs must not be null /  / hint', name),
	format('NULL %s', name))
FROM (VALUES ('schedule', 'NULL'), ('timezone', '''@daily'', NULL'), ('after', '''@daily'', ''UTC'', NULL'),
	('n', '''@daily'', ''UTC'', now(), NULL')) AS v(name, args);

-- The ends of time.
SELECT is_empty($$SELECT pattyly.next_runs('* * * * *', 'UTC', 'infinity')$$, 'nothing comes after infinity');
SELECT is_empty($$SELECT pattyly.next_runs('* * * * *', 'UTC', '294276-12-31 23:59:59+00')$$, 'nor after the last year');
SELECT is_empty($$SELECT pattyly.next_runs('@yearly', 'Europe/Paris', '294247-01-09 12:00+00')$$, 'nor near it');
SELECT is(error_of($$SELECT pattyly.next_runs('@daily', 'UTC', '-infinity')$$),
	'22023 no run is the first one after -infinity /  / hint', '-infinity');
SELECT is(ARRAY(SELECT pattyly.next_runs('0 0 1 1 *', 'UTC', '4714-11-24 00:00+00 BC', 1)),
	ARRAY['4713-01-01 00:00+00 BC'::timestamptz], 'the first time there is');
SELECT is(ARRAY(SELECT pattyly.next_runs('0 0 29 2 *', 'UTC', '9999-12-31 00:00+00', 1)),
	ARRAY['10000-02-29 00:00+00'::timestamptz], 'far ahead');
SELECT is_empty($$SELECT pattyly.next_runs('@reboot')$$, '@reboot is not by the clock');
SELECT is_empty($$SELECT pattyly.next_runs('0 0 30 2 *')$$, '30 February');

-- "after": exclusive, to the microsecond; by default now(), which a frozen clock stands for.
SELECT is(ARRAY(SELECT pattyly.next_runs('0 12 * * *', 'UTC', '2030-01-01 11:59:59.999999+00', 1)),
	ARRAY['2030-01-01 12:00+00'::timestamptz], 'a microsecond before');
SELECT is(ARRAY(SELECT pattyly.next_runs('0 12 * * *', 'UTC', '2030-01-01 12:00+00', 1)),
	ARRAY['2030-01-02 12:00+00'::timestamptz], 'at the time itself');
SELECT is(ARRAY(SELECT pattyly.next_runs('every 90 seconds', 'UTC', '2030-01-01 12:00:00.25+00', 2)),
	ARRAY['2030-01-01 12:01:30.25+00', '2030-01-01 12:03:00.25+00']::timestamptz[], 'an interval');
BEGIN;
SELECT is(ARRAY(SELECT pattyly.next_runs('every hour', n => 1)), ARRAY[now() + interval '1 hour'], 'from now on');
SELECT tests.at('10 h 30 min');
SELECT is(ARRAY(SELECT pattyly.next_runs('@hourly', n => 2)),
	ARRAY['2030-01-01 11:00+00', '2030-01-01 12:00+00']::timestamptz[], 'from the frozen clock on');
SELECT is(ARRAY(SELECT pattyly.next_runs('@hourly', 'UTC', '2026-01-01 00:00+00', 1)),
	ARRAY['2026-01-01 01:00+00'::timestamptz], 'a time that is given is not moved');
ROLLBACK;

-- The fields are meant in the job's time zone, whatever the session's is.
SET timezone = 'Asia/Tokyo';
SELECT is(ARRAY(SELECT pattyly.next_runs('30 2 * * *', 'Europe/Paris', '2026-03-28 12:00+00', 2)),
	ARRAY['2026-03-29 03:00+02', '2026-03-30 02:30+02']::timestamptz[], 'in the gap');
SELECT is(ARRAY(SELECT pattyly.next_runs('30 2 * * *', 'Europe/Paris', '2026-10-24 12:00+00', 2)),
	ARRAY['2026-10-25 02:30+02', '2026-10-26 02:30+01']::timestamptz[], 'in the repeat');
RESET timezone;

-- Every time zone of the server agrees with the server: runs at noon are at noon. (Without a slash some are abbreviations
-- for AT TIME ZONE, such as CET, and zones with daylight saving for SET timezone, and here.)
SELECT is_empty($$
	SELECT z.name, r FROM pg_timezone_names AS z,
		pattyly.next_runs('0 12 * * *', z.name, '2026-01-01 00:00+00', 400) AS r
	WHERE z.name LIKE '%/%' AND (r AT TIME ZONE z.name)::time <> '12:00'$$, 'noon is at noon in every time zone');
SELECT is((SELECT count(*) FROM pattyly.next_runs('0 12 * * *', 'Pacific/Auckland', '2026-01-01 00:00+00', 1000) AS r
	WHERE r < '2028-01-01 00:00+00'), 730::bigint, 'once a day');

SELECT * FROM finish();
