-- What each algorithm means, by examples and against models written here without looking at the code; what a change
-- of a rule does to keys in use; odd costs and odd clocks.
SELECT plan(165);

---- Examples ---------------------------------------------------------------------------------------------------------

-- gcra: all at once to a rested key, then one every per / max_hits.
SELECT pattyly.set_limit('gcra', 10, '20 s');
SELECT tests.at('0');
SELECT is((SELECT algorithm FROM pattyly.limits WHERE name = 'gcra'), 'gcra', 'gcra is the default');
SELECT is(tests.passed('gcra', 'k', 15), 10::bigint, 'gcra: 10 at once');
SELECT is(tests.said(pattyly.check_limit('gcra', 'k')),
	'no, 0 of 10 left, full in 00:00:20, retry in 00:00:02 (2 s): limited',
	'gcra: the next after per / max_hits');
SELECT tests.at('1.999999 s');
SELECT ok(NOT pattyly.allow('gcra', 'k'), 'gcra: not a microsecond earlier');
SELECT tests.at('2 s');
SELECT is(tests.said(pattyly.check_limit('gcra', 'k')), 'yes, 0 of 10 left, full in 00:00:20', 'gcra: just then');
SELECT tests.at('7 s');
SELECT is(tests.said(pattyly.check_limit('gcra', 'k', 3)),
	'no, 2 of 10 left, full in 00:00:15, retry in 00:00:01 (1 s): limited',
	'gcra: 2.5 units came back, which is not 3');
SELECT is(tests.said(pattyly.check_limit('gcra', 'k', 2)), 'yes, 0 of 10 left, full in 00:00:19', 'gcra: but 2');

-- Rates that microseconds do not divide stay exact.
SELECT pattyly.set_limit('sevenths', 7, '10 s');
SELECT tests.at('0');
SELECT is(tests.passed('sevenths', 'k', 9), 7::bigint, '7 per 10 s: 7 at once');
SELECT is((pattyly.peek_limit('sevenths', 'k')).reset_at, '2030-01-01 00:00:10+00'::timestamptz,
	'7 per 10 s: full after just 10 s');
CREATE FUNCTION greedy(limit_name text, until interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	r pattyly.limit_result;
	passed bigint := 0;
	clock timestamptz := '2030-01-01 00:00+00';
BEGIN
	WHILE clock <= '2030-01-01 00:00+00'::timestamptz + until LOOP
		PERFORM set_config('pattyly.frozen_clock', clock::text, false);
		r := pattyly.check_limit(limit_name, 'greedy');
		IF r.allowed THEN passed := passed + 1; ELSE clock := r.retry_at; END IF;
	END LOOP;
	RETURN passed;
END
$$;
SELECT is(greedy('sevenths', '1000 s'), 707::bigint,
	'7 per 10 s: a client who comes when told gets 7 and 700 more in 1000 s');
SELECT pattyly.set_limit('fast', 3000000, '1 s', burst => 3);
SELECT is(greedy('fast', '100 microseconds'), 303::bigint, '3 per microsecond: no less than that');

-- gcra's burst.
SELECT tests.at('0');
SELECT pattyly.set_limit('paced', 5, '1 s', burst => 1);
SELECT is(tests.said(pattyly.check_limit('paced', 'k')), 'yes, 0 of 5 left, full in 00:00:00.2',
	'burst 1: one at once');
SELECT is(tests.said(pattyly.check_limit('paced', 'k')),
	'no, 0 of 5 left, full in 00:00:00.2, retry in 00:00:00.2 (1 s): limited',
	'burst 1: the next a fifth of a second later');
SELECT is(greedy('paced', '10 s'), 51::bigint, 'burst 1: 5 a second');
SELECT is((pattyly.check_limit('paced', 'k2', 2)).reason, 'cost_exceeds_limit', 'burst 1: a cost of 2 never passes');
SELECT tests.at('0');
SELECT pattyly.set_limit('bursty', 5, '1 s', burst => 20);
SELECT is(tests.said(pattyly.check_limit('bursty', 'k', 20)), 'yes, 0 of 5 left, full in 00:00:04',
	'burst 20: 20 at once');
SELECT is(greedy('bursty', '10 s'), 70::bigint, 'burst 20: then 5 a second');

-- fixed_window: opens at the key's first hit; 2 max_hits - 1 can come close together, which is why it is not the default.
SELECT pattyly.set_limit('fixed', 3, '1 hour', 'fixed_window');
SELECT tests.at('10 s');
SELECT is(tests.said(pattyly.peek_limit('fixed', 'k')), 'yes, 3 of 3 left, full in 00:00:00',
	'fixed_window: closed before the first hit');
SELECT is(tests.said(pattyly.check_limit('fixed', 'k')), 'yes, 2 of 3 left, full in 01:00:00',
	'fixed_window: opens with it');
SELECT tests.at('3609.999999 s');
SELECT is(tests.passed('fixed', 'k', 5), 2::bigint, 'fixed_window: 2 more in the last microsecond');
SELECT is(tests.said(pattyly.check_limit('fixed', 'k')),
	'no, 0 of 3 left, full in 00:00:00.000001, retry in 00:00:00.000001 (1 s): limited',
	'fixed_window: over in a microsecond, which in whole seconds is 1');
SELECT tests.at('3610 s');
SELECT is(tests.passed('fixed', 'k', 5), 3::bigint, 'fixed_window: 3 in the next');
SELECT tests.at('7209.5 s');
SELECT ok(NOT pattyly.allow('fixed', 'k'), 'fixed_window: refused near the end');
SELECT tests.at('7210 s');
SELECT ok(pattyly.allow('fixed', 'k'), 'fixed_window: and a refusal did not make it longer');

-- calendar_window: the epoch of Unix, whatever the time zone; weeks begin on Thursday.
SET timezone = 'Pacific/Auckland';
SELECT pattyly.set_limit('minute', 2, '1 min', 'calendar_window');
SELECT pattyly.set_limit('day', 2, '1 day', 'calendar_window');
SELECT pattyly.set_limit('week', 2, '7 days', 'calendar_window');
SELECT pattyly.set_limit('odd', 2, '7 s', 'calendar_window');
SELECT tests.at('23:59:59.5');
SELECT is(tests.said(pattyly.check_limit('minute', 'k')), 'yes, 1 of 2 left, full in 00:00:00.5',
	'calendar_window: a minute');
SELECT is(tests.said(pattyly.check_limit('day', 'k', 2)), 'yes, 0 of 2 left, full in 00:00:00.5',
	'calendar_window: a day, of UTC');
SELECT is((pattyly.check_limit('week', 'k')).reset_at, '2030-01-03 00:00+00'::timestamptz, 'calendar_window: a week');
SELECT is((pattyly.check_limit('odd', 'k')).reset_at,
	to_timestamp((floor(extract(epoch FROM '2030-01-01 23:59:59.5+00'::timestamptz) / 7) + 1) * 7),
		'calendar_window: 7 s');
SELECT ok(NOT pattyly.allow('day', 'k'), 'calendar_window: 2 a day are used');
SELECT tests.at('24:00:00');
SELECT is(tests.said(pattyly.check_limit('day', 'k', 2)), 'yes, 0 of 2 left, full in 1 day',
	'calendar_window: 2 more at midnight');
RESET timezone;

-- sliding_log.
SELECT pattyly.set_limit('log', 3, '10 s', 'sliding_log');
SELECT tests.at('0');
SELECT is(tests.said(pattyly.check_limit('log', 'k')), 'yes, 2 of 3 left, full in 00:00:10', 'sliding_log: at 0 s');
SELECT tests.at('4 s');
SELECT is(tests.said(pattyly.check_limit('log', 'k', 2)), 'yes, 0 of 3 left, full in 00:00:10',
	'sliding_log: two at 4 s');
SELECT tests.at('5 s');
SELECT is(tests.said(pattyly.check_limit('log', 'k')),
	'no, 0 of 3 left, full in 00:00:09, retry in 00:00:05 (5 s): limited',
	'sliding_log: one waits for the oldest to go');
SELECT is(tests.said(pattyly.check_limit('log', 'k', 2)),
	'no, 0 of 3 left, full in 00:00:09, retry in 00:00:09 (9 s): limited',
	'sliding_log: two wait longer');
SELECT tests.at('9.999999 s');
SELECT ok(NOT pattyly.allow('log', 'k'), 'sliding_log: not yet');
SELECT tests.at('10 s');
SELECT is(tests.said(pattyly.check_limit('log', 'k')), 'yes, 0 of 3 left, full in 00:00:10', 'sliding_log: now');

-- What the windows are said to allow at worst, 10 per 10 s.
CREATE FUNCTION at_worst(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a bigint;
	b bigint;
	c bigint;
BEGIN
	PERFORM pattyly.set_limit('worst', 10, '10 s', algorithm);
	PERFORM pattyly.reset_limit('worst');
	PERFORM tests.at('0', '2030-01-01 00:00+00');
	a := tests.passed('worst', 'k', 1);
	PERFORM tests.at('9.999 s');
	b := tests.passed('worst', 'k', 20);
	PERFORM tests.at('10 s');
	c := tests.passed('worst', 'k', 20);
	RETURN format('%s, %s, %s', a, b, c);
END
$$;
SELECT is(at_worst('fixed_window'), '1, 9, 10', 'fixed_window: 19 within a millisecond');
SELECT is(at_worst('calendar_window'), '1, 9, 10', 'calendar_window: as bad');
SELECT is(at_worst('gcra'), '1, 10, 0', 'gcra: 10');
SELECT is(at_worst('sliding_window'), '1, 9, 0', 'sliding_window: 9');
SELECT is(at_worst('sliding_log'), '1, 9, 1', 'sliding_log: 10 in any 10 s');

---- Models -----------------------------------------------------------------------------------------------------------

-- A client of many moods: when (in microseconds) and at what cost. A made-up generator, so that every run is the same.
CREATE FUNCTION mood(seed integer) RETURNS TABLE (at_us bigint, cost integer) LANGUAGE plpgsql AS $$
DECLARE
	x bigint := seed;
BEGIN
	at_us := 1893456000000000 + seed;
	FOR i IN 1 .. 400 LOOP
		x := (x * 1103515245 + 12345) % 2147483648;
		at_us := at_us + CASE (x / 65536) % 8
			WHEN 0 THEN 0 WHEN 1 THEN 0 WHEN 2 THEN 1 WHEN 3 THEN 999999 WHEN 4 THEN x % 400000 WHEN 5 THEN x % 2000000
			WHEN 6 THEN 142857 ELSE CASE WHEN x % 23 = 0 THEN 25000000 ELSE x % 5000000 END END;
		x := (x * 1103515245 + 12345) % 2147483648;
		cost := CASE (x / 65536) % 8 WHEN 0 THEN 2 WHEN 1 THEN 3 WHEN 2 THEN 7 WHEN 3 THEN 0 ELSE 1 END;
		RETURN NEXT;
	END LOOP;
END
$$;

-- Each model answers "allowed remaining" and keeps what passed (at_us, cost) in history. Times are microseconds.
CREATE TABLE history (at_us bigint, cost bigint);
CREATE TABLE state (used numeric, at_us bigint);

-- gcra: units used drain at max_hits a per, in exact fractions.
CREATE FUNCTION model_gcra(now_us bigint, wanted bigint, max_hits bigint, per_us bigint) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	drained numeric; -- used units times per_us, so that it stays whole
	ok boolean;
BEGIN
	SELECT greatest(0, s.used - (now_us - s.at_us) * max_hits) INTO drained FROM state AS s;
	drained := coalesce(drained, 0);
	ok := drained + wanted * per_us <= max_hits * per_us;
	IF ok THEN drained := drained + wanted * per_us; END IF;
	DELETE FROM state;
	INSERT INTO state VALUES (drained, now_us);
	RETURN format('%s %s', ok, floor((max_hits * per_us - drained) / per_us));
END
$$;
CREATE FUNCTION model_fixed_window(now_us bigint, wanted bigint, max_hits bigint, per_us bigint) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	opened bigint;
	taken bigint;
	ok boolean;
BEGIN
	SELECT min(at_us), sum(cost) INTO opened, taken FROM history;
	IF opened + per_us <= now_us THEN
		DELETE FROM history;
		taken := 0;
	END IF;
	ok := coalesce(taken, 0) + wanted <= max_hits;
	IF ok AND wanted > 0 THEN INSERT INTO history VALUES (now_us, wanted); END IF;
	RETURN format('%s %s', ok, max_hits - coalesce(taken, 0) - CASE WHEN ok THEN wanted ELSE 0 END);
END
$$;
CREATE FUNCTION model_calendar_window(now_us bigint, wanted bigint, max_hits bigint, per_us bigint) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
	ok boolean;
BEGIN
	SELECT coalesce(sum(cost), 0) INTO taken FROM history WHERE at_us / per_us = now_us / per_us;
	ok := taken + wanted <= max_hits;
	IF ok THEN INSERT INTO history VALUES (now_us, wanted); END IF;
	RETURN format('%s %s', ok, max_hits - taken - CASE WHEN ok THEN wanted ELSE 0 END);
END
$$;
-- What this window has, and of the one before as much as still overlaps, rounded down.
CREATE FUNCTION model_sliding_window(now_us bigint, wanted bigint, max_hits bigint, per_us bigint) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
	ok boolean;
BEGIN
	SELECT coalesce(sum(cost) FILTER (WHERE at_us / per_us = now_us / per_us), 0)
		+ floor(coalesce(sum(cost) FILTER (WHERE at_us / per_us = now_us / per_us - 1),
			0) * (per_us - now_us % per_us) / per_us)
	INTO taken FROM history;
	ok := taken + wanted <= max_hits;
	IF ok THEN INSERT INTO history VALUES (now_us, wanted); END IF;
	RETURN format('%s %s', ok, max_hits - taken - CASE WHEN ok THEN wanted ELSE 0 END);
END
$$;
CREATE FUNCTION model_sliding_log(now_us bigint, wanted bigint, max_hits bigint, per_us bigint) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
	ok boolean;
BEGIN
	SELECT coalesce(sum(cost), 0) INTO taken FROM history WHERE at_us > now_us - per_us;
	ok := taken + wanted <= max_hits;
	IF ok THEN INSERT INTO history VALUES (now_us, wanted); END IF;
	RETURN format('%s %s', ok, max_hits - taken - CASE WHEN ok THEN wanted ELSE 0 END);
END
$$;

CREATE FUNCTION clock_us(at_us bigint) RETURNS void LANGUAGE sql AS $$
	SELECT tests.at(at_us * interval '1 microsecond', '1970-01-01 00:00+00')
$$;
-- The first step at which the limiter and the model differ, NULL if none does.
CREATE FUNCTION first_difference(algorithm text, max_hits bigint, per interval, seed integer) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	m record;
	r pattyly.limit_result;
	model text;
	per_us bigint := extract(epoch FROM per) * 1000000;
BEGIN
	TRUNCATE history, state;
	PERFORM pattyly.set_limit('model', max_hits, per, algorithm);
	PERFORM pattyly.reset_limit('model');
	FOR m IN SELECT *, row_number() OVER () AS step FROM mood(seed) LOOP
		PERFORM clock_us(m.at_us);
		r := pattyly.check_limit('model', 'k', m.cost);
		EXECUTE format('SELECT model_%s($1, $2, $3, $4)', algorithm) INTO model USING m.at_us, m.cost, max_hits, per_us;
		-- A cost of 0 only looks, and is told about a cost of 1.
		IF m.cost = 0 THEN model := format('%s %s', split_part(model, ' ', 2)::bigint >= 1,
			split_part(model, ' ', 2)); END IF;
		IF model <> format('%s %s', r.allowed, r.remaining) THEN
			RETURN format('step %s (%s us, cost %s): %s, the model says %s', m.step, m.at_us, m.cost, r, model);
		END IF;
	END LOOP;
	RETURN NULL;
END
$$;
SELECT is(first_difference(algorithm, max_hits, per, seed), NULL,                                                -- 20
	format('%s, %s per %s: 400 calls as the model has it', algorithm, max_hits, per))
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS algorithm,
	(VALUES (10, interval '10 s', 1), (7, interval '3 s', 2), (13, interval '7.000001 s', 3),
		(7, interval '1 min', 4)) AS v(max_hits, per, seed)
ORDER BY algorithm, seed;

-- retry_at is right to the microsecond, for any cost: then it passes, and not a microsecond before. Where a call in
-- between changes nothing, that is: none of these does. reset_at: then it is full, and not before, but for sliding_window,
-- where the last window fades later.
CREATE FUNCTION first_broken_promise(algorithm text, max_hits bigint, per interval, seed integer) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	m record;
	r pattyly.limit_result;
	again pattyly.limit_result;
	promises integer := 0;
	at_us bigint;
BEGIN
	PERFORM pattyly.set_limit('promise', max_hits, per, algorithm);
	PERFORM pattyly.reset_limit('promise');
	FOR m IN SELECT *, row_number() OVER () AS step FROM mood(seed) WHERE cost > 0 LOOP
		PERFORM clock_us(m.at_us);
		r := pattyly.check_limit('promise', 'k', m.cost);
		IF r.retry_after IS DISTINCT FROM ceil(extract(epoch FROM r.retry_at) - m.at_us / 1000000.0)::integer THEN
			RETURN format('step %s: retry_after is not retry_at in whole seconds, rounded up: %s', m.step, r);
		END IF;
		IF algorithm <> 'sliding_window' THEN
			at_us := extract(epoch FROM r.reset_at) * 1000000;
			PERFORM clock_us(at_us);
			IF (pattyly.peek_limit('promise', 'k')).remaining <> max_hits THEN
				RETURN format('step %s: not full at reset_at: %s', m.step, r);
			END IF;
			PERFORM clock_us(at_us - 1);
			IF (pattyly.peek_limit('promise', 'k')).remaining = max_hits THEN
				RETURN format('step %s: full before reset_at: %s', m.step, r);
			END IF;
		END IF;
		IF r.allowed THEN CONTINUE; END IF;
		promises := promises + 1;
		at_us := extract(epoch FROM r.retry_at) * 1000000;
		PERFORM clock_us(at_us - 1);
		again := pattyly.check_limit('promise', 'k', m.cost);
		IF again.allowed THEN RETURN format('step %s: passes before retry_at: %s', m.step, r); END IF;
		-- Only a look, or the history would be another.
		PERFORM clock_us(at_us);
		IF m.cost = 1 AND NOT (pattyly.peek_limit('promise', 'k')).allowed THEN
			RETURN format('step %s: does not pass at retry_at: %s', m.step, r);
		ELSIF (pattyly.peek_limit('promise', 'k')).remaining < m.cost THEN
			RETURN format('step %s: not enough left at retry_at: %s', m.step, r);
		END IF;
	END LOOP;
	RETURN CASE WHEN promises < 20 THEN format('only %s promises were made', promises) END;
END
$$;
SELECT is(first_broken_promise(algorithm, max_hits, per, seed), NULL,                                            -- 15
	format('%s, %s per %s: retry_at and reset_at keep their word', algorithm, max_hits, per))
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS algorithm,
	(VALUES (10, interval '10 s', 5), (7, interval '3 s', 6), (13, interval '7.000001 s', 7)) AS v(max_hits, per, seed)
ORDER BY algorithm, seed;

---- A rule is changed while keys are in use --------------------------------------------------------------------------

-- Raised: what was used stays used, and nobody who had room is refused.
SELECT tests.at('0');
SELECT pattyly.set_limit('raised', 10, '20 s');
SELECT is(tests.passed('raised', 'k', 4), 4::bigint, '4 of 10 are used');
SELECT pattyly.set_limit('raised', 16, '20 s');
SELECT is(tests.said(pattyly.peek_limit('raised', 'k')), 'yes, 12 of 16 left, full in 00:00:05',
	'raised to 16: 12 left');
SELECT is(tests.said(pattyly.check_limit('raised', 'k')), 'yes, 11 of 16 left, full in 00:00:06.25',
	'after the 5th hit 11');
SELECT pattyly.set_limit('raised', 1000, '20 s');
SELECT is(tests.said(pattyly.check_limit('raised', 'k')), 'yes, 994 of 1000 left, full in 00:00:00.12',
	'raised to 1000: never denied');
SELECT pattyly.set_limit('raised', 10, '20 s');
SELECT is(tests.said(pattyly.check_limit('raised', 'k')), 'yes, 3 of 10 left, full in 00:00:14',
	'and back to 10: 7 used');
-- Lowered: at the next call.
SELECT pattyly.set_limit('raised', 8, '20 s');
SELECT is(tests.said(pattyly.peek_limit('raised', 'k')), 'yes, 1 of 8 left, full in 00:00:17.5',
	'lowered to 8: 1 left');
-- Below what was used: none left, and 3 units have to come back first.
SELECT pattyly.set_limit('raised', 5, '20 s');
SELECT is(tests.said(pattyly.check_limit('raised', 'k')),
	'no, 0 of 5 left, full in 00:00:28, retry in 00:00:12 (12 s): limited',
	'lowered to 5, with 7 used: 3 units have to come back first');
SELECT pattyly.set_limit('raised', 10, '20 s');
SELECT is(tests.said(pattyly.peek_limit('raised', 'k')), 'yes, 3 of 10 left, full in 00:00:14',
	'and back to 10: still 7 used');

-- What a refusal promises right after a limit was lowered is kept, for every algorithm.
CREATE FUNCTION lowered(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r pattyly.limit_result;
	early pattyly.limit_result;
BEGIN
	PERFORM tests.at('3 s');
	PERFORM pattyly.set_limit('lowered', 10, '20 s', algorithm);
	PERFORM pattyly.reset_limit('lowered');
	PERFORM pattyly.check_limit('lowered', 'k', 7);
	PERFORM pattyly.set_limit('lowered', 5, '20 s', algorithm);
	r := pattyly.check_limit('lowered', 'k');
	PERFORM set_config('pattyly.frozen_clock', (r.retry_at - interval '1 microsecond')::text, false);
	early := pattyly.check_limit('lowered', 'k');
	PERFORM set_config('pattyly.frozen_clock', r.retry_at::text, false);
	RETURN format('%s, then %s, then %s', r.allowed, early.allowed, pattyly.allow('lowered', 'k'));
END
$$;
SELECT is(lowered(a), 'f, then f, then t', a || ': lowered below what was used, retry_at is right')               -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- The same for every algorithm, and from every one to every other: 4 used of 10 are 4 used, whatever the rule becomes.
CREATE FUNCTION changed(before text, after text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
BEGIN
	PERFORM tests.at('3 s');
	PERFORM pattyly.set_limit('changed', 10, '20 s', before);
	PERFORM pattyly.reset_limit('changed');
	PERFORM pattyly.check_limit('changed', 'k', 4);
	PERFORM pattyly.set_limit('changed', 10, '20 s', after);
	answers := answers || (pattyly.peek_limit('changed', 'k')).remaining::text;
	answers := answers || (pattyly.check_limit('changed', 'k')).remaining::text;
	PERFORM pattyly.set_limit('changed', 16, '20 s', after);
	answers := answers || (pattyly.check_limit('changed', 'k')).remaining::text;
	PERFORM pattyly.set_limit('changed', 16, '30 s', after);
	answers := answers || (pattyly.check_limit('changed', 'k')).remaining::text;
	PERFORM pattyly.set_limit('changed', 7, '30 s', after);
	answers := answers || (pattyly.check_limit('changed', 'k')).allowed::text;
	-- Nothing is kept for ever.
	PERFORM tests.at('123 s');
	answers := answers || (pattyly.peek_limit('changed', 'k')).remaining::text;
	RETURN array_to_string(answers, ' ');
END
$$;
SELECT is(changed(before, after), '6 5 10 9 false 7', format('%s becomes %s', before, after))                    -- 25
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS before,
	unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS after;

-- Closed for a while with max_hits 0: what was used before is still used after.
CREATE FUNCTION closed(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
BEGIN
	PERFORM tests.at('3 s');
	PERFORM pattyly.set_limit('closed', 10, '20 s', algorithm);
	PERFORM pattyly.reset_limit('closed');
	PERFORM pattyly.check_limit('closed', 'k', 4);
	PERFORM pattyly.set_limit('closed', 0, '20 s', algorithm);
	answers := answers || tests.passed('closed', 'k', 3)::text || (pattyly.peek_limit('closed', 'k')).remaining::text;
	PERFORM pattyly.set_limit('closed', 10, '20 s', algorithm);
	answers := answers || (pattyly.peek_limit('closed', 'k')).remaining::text;
	RETURN array_to_string(answers, ' ');
END
$$;
SELECT is(closed(a), '0 0 6', a || ': closed and opened again')                                                  -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- A window that is open goes on when max_hits changes.
SELECT pattyly.set_limit('open', 3, '1 min', 'fixed_window');
SELECT tests.at('0');
SELECT is(tests.passed('open', 'k', 5), 3::bigint, 'fixed_window: used up at 0 s');
SELECT pattyly.set_limit('open', 4, '1 min', 'fixed_window');
SELECT tests.at('50 s');
SELECT is(tests.said(pattyly.check_limit('open', 'k')), 'yes, 0 of 4 left, full in 00:00:10',
	'raised: one more in the same window');
SELECT pattyly.set_limit('open', 2, '1 min', 'fixed_window');
SELECT is(tests.said(pattyly.check_limit('open', 'k')),
	'no, 0 of 2 left, full in 00:00:10, retry in 00:00:10 (10 s): limited',
	'lowered: none more in the same window');

---- Zero, denied hits, looking, refunds ------------------------------------------------------------------------------

SELECT tests.at('0');
SELECT pattyly.set_limit('none', 0, '1 s');
SELECT is(tests.said(pattyly.check_limit('none', 'k')), 'no, 0 of 0 left, full in 00:00:00: cost_exceeds_limit',
	'max_hits 0 refuses all, without a time to retry at');
SELECT is(tests.said(pattyly.peek_limit('none', 'k')), 'no, 0 of 0 left, full in 00:00:00: cost_exceeds_limit',
	'and says so beforehand');
SELECT is(string_agg(pattyly.allow('none', 'k')::text, ' '), 'false false false false', 'by every algorithm')
FROM unnest('{fixed_window,calendar_window,sliding_window,sliding_log}'::text[]) AS a,
	LATERAL pattyly.set_limit('none', 0, '1 s', a);

-- A refused call uses nothing.
CREATE FUNCTION after_refusals(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('free', 5, '5 s', algorithm);
	PERFORM pattyly.reset_limit('free');
	PERFORM pattyly.check_limit('free', 'k', 3);
	PERFORM pattyly.check_limit('free', 'k', 3) FROM generate_series(1, 100);
	RETURN (pattyly.peek_limit('free', 'k')).remaining || ' ' || (pattyly.check_limit('free', 'k', 2)).allowed;
END
$$;
SELECT is(after_refusals(a), '2 true', a || ': 100 refusals cost nothing')                                       -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- count_denied: who keeps trying is kept out, who waits is let in; a window is not made longer by it.
CREATE FUNCTION pounding(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	passed bigint := 0;
BEGIN
	PERFORM pattyly.set_limit('pounded', 5, '5 s', algorithm);
	UPDATE pattyly.limits SET count_denied = true WHERE name = 'pounded';
	PERFORM pattyly.reset_limit('pounded');
	FOR i IN 0 .. 99 LOOP
		PERFORM tests.at(i * interval '500 ms');
		passed := passed + pattyly.allow('pounded', 'k')::int;
	END LOOP;
	PERFORM tests.at('49.5 s'::interval + '10 s');
	RETURN passed || ', ' || tests.passed('pounded', 'k', 100);
END
$$;
-- gcra: 5 at once and 2 that came back meanwhile and so on until 0 are left: 9 by 4 s; then never.
SELECT is(pounding('gcra'), '9, 5', 'count_denied, gcra: kept out, then let in');
SELECT is(pounding('fixed_window'), '50, 5', 'count_denied, fixed_window: 5 in each');
SELECT is(pounding('calendar_window'), '50, 5', 'count_denied, calendar_window: 5 in each');
SELECT is(pounding('sliding_log'), '5, 5', 'count_denied, sliding_log: kept out, then let in');
SELECT matches(pounding('sliding_window'), '^[5-9], 5$', 'count_denied, sliding_window: kept out, then let in');

-- cost 0 and peek are the same, and make no key.
SELECT tests.at('0');
SELECT is(pattyly.check_limit('fixed', 'new', 0), pattyly.peek_limit('fixed', 'new'), 'cost 0 is peek_limit');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'none'), 0::bigint, 'a limit of 0 keeps no key');
SELECT pattyly.set_limit('looked-at', 5, '5 s');
SELECT is((pattyly.peek_limit('looked-at', 'k')).remaining, 5::bigint, 'a look');
SELECT is((pattyly.check_limit('looked-at', 'k', 0)).allowed, true, 'another');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'looked-at'), 0::bigint, 'make no key');
SELECT is(tests.passed('looked-at', 'k', 6), 5::bigint, 'once it is used up');
SELECT is(tests.said(pattyly.peek_limit('looked-at', 'k')),
	'no, 0 of 5 left, full in 00:00:05, retry in 00:00:01 (1 s): limited',
	'a look tells when a cost of 1 would pass');
SELECT is(tests.said(pattyly.check_limit('looked-at', 'k', 0)),
	'no, 0 of 5 left, full in 00:00:05, retry in 00:00:01 (1 s): limited',
	'and so does cost 0');

-- Refunds: never above full, never into another window.
CREATE FUNCTION refunded(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[] := '{}';
BEGIN
	PERFORM tests.at('1 s');
	PERFORM pattyly.set_limit('refunded', 5, '10 s', algorithm);
	PERFORM pattyly.reset_limit('refunded');
	answers := answers || (pattyly.refund_limit('refunded', 'k', 3)).remaining::text;
	PERFORM pattyly.check_limit('refunded', 'k', 5);
	answers := answers || (pattyly.refund_limit('refunded', 'k')).remaining::text;
	answers := answers || (pattyly.refund_limit('refunded', 'k', 2)).remaining::text;
	answers := answers || tests.passed('refunded', 'k', 9)::text;
	answers := answers || (pattyly.refund_limit('refunded', 'k', 2000000000)).remaining::text;
	answers := answers || tests.passed('refunded', 'k', 9)::text;
	PERFORM tests.at('31 s');
	answers := answers || (pattyly.refund_limit('refunded', 'k', 5)).remaining::text;
	answers := answers || tests.passed('refunded', 'k', 9)::text;
	RETURN array_to_string(answers, ' ');
END
$$;
SELECT is(refunded(a), '5 1 3 3 5 5 5 5', a || ': refunds')                                                      -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'looked-at'), 1::bigint, 'one key before');
SELECT is(tests.said(pattyly.refund_limit('looked-at', 'never seen')), 'yes, 5 of 5 left, full in 00:00:00',
	'a refund to nobody');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'looked-at'), 1::bigint, 'makes no key');

---- Clocks that step -------------------------------------------------------------------------------------------------

-- Back by an hour, with all used: nobody is kept out longer than a window, and nothing is negative. Then forward again.
CREATE FUNCTION stepped(algorithm text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r pattyly.limit_result;
	answers text[] := '{}';
BEGIN
	PERFORM pattyly.set_limit('stepped', 3, '10 s', algorithm);
	PERFORM pattyly.reset_limit('stepped');
	PERFORM tests.at('1 hour');
	PERFORM tests.passed('stepped', 'k', 4);
	PERFORM tests.at('0');
	r := pattyly.check_limit('stepped', 'k');
	answers := answers || CASE
		WHEN r.reset_at > '2030-01-01 00:00:20+00' THEN 'locked out until ' || r.reset_at
		WHEN r.retry_at > '2030-01-01 00:00:20+00' THEN 'told to retry at ' || r.retry_at
		WHEN r.remaining NOT BETWEEN 0 AND 3 THEN 'remaining ' || r.remaining
		ELSE 'bounded' END;
	PERFORM tests.at('20 s');
	answers := answers || (CASE WHEN pattyly.allow('stepped', 'k') THEN 'passes' ELSE 'locked out' END);
	PERFORM tests.at('40 s');
	answers := answers || (tests.passed('stepped', 'k', 9)::text);
	PERFORM tests.at('100000 days');
	answers := answers || (pattyly.peek_limit('stepped', 'k')).remaining::text;
	answers := answers || (tests.passed('stepped', 'k', 9)::text);
	PERFORM tests.at('60 s');
	r := pattyly.peek_limit('stepped', 'k');
	answers := answers || CASE WHEN r.remaining NOT BETWEEN 0 AND 3
		OR r.reset_at > '2030-01-01 00:01:20+00' THEN r::text ELSE 'bounded' END;
	RETURN array_to_string(answers, ', ');
END
$$;
SELECT is(stepped(a), 'bounded, passes, 3, 3, 3, bounded', a || ': a clock that steps')                          -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- A small step back does not give units away: all are used, and a second earlier they still are.
CREATE FUNCTION stepped_a_little(algorithm text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('stepped', 3, '10 s', algorithm);
	PERFORM pattyly.reset_limit('stepped');
	PERFORM tests.at('5 s');
	PERFORM tests.passed('stepped', 'k', 4);
	PERFORM tests.at('4 s');
	RETURN tests.passed('stepped', 'k', 9);
END
$$;
SELECT is(stepped_a_little(a), 0::bigint, a || ': a clock that steps back a little gives nothing away')          -- 5
FROM unnest(ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;

-- The real clock again.
SELECT tests.at(NULL);
SELECT pattyly.set_limit('real', 1, '1 hour');
SELECT ok(pattyly.allow('real', 'k') AND NOT pattyly.allow('real', 'k'), 'the real clock');
SELECT ok((pattyly.peek_limit('real', 'k')).reset_at BETWEEN clock_timestamp() + interval '59 min'
	AND clock_timestamp() + interval '1 hour',
	'reset_at is within the hour from now');
-- now() is that of the transaction, the limiter's is not.
BEGIN;
SELECT pattyly.set_limit('quick', 1, '50 ms');
SELECT ok(pattyly.allow('quick', 'k'), 'a limit of 50 ms');
SELECT pg_sleep(0.06);
SELECT ok(pattyly.allow('quick', 'k'), 'the clock goes on within a transaction');
COMMIT;

SELECT * FROM finish();
