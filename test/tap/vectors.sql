-- The vectors of the algorithms (test/vectors/limits.json: what peers' own tests and replays say), through SQL: exact
-- to the unit and to the microsecond. Replayed three ways, which must agree: check_limit with a rule, check_limit
-- without one, and allow.
SELECT plan(104);

CREATE TABLE vectors AS
SELECT v->>'id' AS id, v->>'algorithm' AS algorithm, v->'params' AS params, v->'cols' AS cols, v->'rows' AS rows
FROM jsonb_array_elements(tests.vectors('test/vectors/limits.json')->'vectors') AS v;

SELECT bag_eq('SELECT id FROM vectors', ARRAY['V1', 'V4', 'V5', 'V6', 'V8', 'V12', 'V13'],
	'every vector of the file is replayed here');

-- One line a row: its columns by name.
CREATE VIEW steps AS
SELECT v.id, v.algorithm, v.params, r.place, object_agg.step
FROM vectors AS v
CROSS JOIN jsonb_array_elements(v.rows) WITH ORDINALITY AS r(cells, place)
CROSS JOIN LATERAL (
	SELECT jsonb_object_agg(c.name, r.cells->(c.at::integer - 1)) AS step
	FROM jsonb_array_elements_text(v.cols) WITH ORDINALITY AS c(name, at)
) AS object_agg;

CREATE FUNCTION interval_ms(ms numeric) RETURNS interval LANGUAGE sql AS $$
	SELECT (ms * 1000)::bigint * interval '1 microsecond'
$$;
CREATE FUNCTION us_until(at timestamptz) RETURNS bigint LANGUAGE sql AS $$
	SELECT (extract(epoch FROM at - current_setting('pattyly.frozen_clock')::timestamptz) * 1000000)::bigint
$$;
-- sliding_window counts from the epoch, the others from the first hit.
CREATE FUNCTION start_of(algorithm text) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT CASE WHEN algorithm IN ('sliding_window', 'calendar_window') THEN '1970-01-01 00:00+00'::timestamptz
		ELSE '2030-01-01 00:00+00' END
$$;

-- What a row says, and what a result says, in the same words. No retry column: windows let the cost of 1 through again
-- when the window, or the block, ends; sliding_window does so earlier (algorithms.sql).
CREATE FUNCTION expected(s steps) RETURNS text LANGUAGE sql AS $$
	SELECT format('allowed %s, remaining %s, retry %s, reset %s',
		s.step->>'allowed', s.step->>'remaining',
		CASE
			WHEN s.step ? 'retry_ms' THEN coalesce(nullif((s.step->>'retry_ms')::bigint, -1) * 1000, -1)::text
			WHEN s.algorithm = 'sliding_window' THEN '?'
			WHEN (s.step->>'allowed')::int = 0 THEN ((s.step->>'reset_in_ms')::bigint * 1000)::text
			ELSE '-1'
		END,
		coalesce(s.step->>'reset_ms', s.step->>'reset_in_ms')::bigint * 1000)
$$;
CREATE FUNCTION got(s steps, r pattyly.limit_result) RETURNS text LANGUAGE sql AS $$
	SELECT format('allowed %s, remaining %s, retry %s, reset %s',
		r.allowed::int, r.remaining,
		CASE WHEN s.algorithm = 'sliding_window' THEN '?' ELSE coalesce(us_until(r.retry_at), -1)::text END,
		us_until(r.reset_at))
$$;

CREATE FUNCTION replay(vector text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	s steps;
	r pattyly.limit_result;
	cost integer;
BEGIN
	FOR s IN SELECT * FROM steps WHERE id = vector ORDER BY place LOOP
		cost := s.step->>'cost';
		PERFORM tests.at(interval_ms((s.step->>'t_ms')::numeric), start_of(s.algorithm));
		IF s.place = 1 THEN
			PERFORM pattyly.set_limit(vector, (s.params->>'limit')::bigint,
				interval_ms((s.params->>'window_ms')::numeric),
				algorithm => s.algorithm, burst => (s.params->>'burst')::bigint,
				block_for => interval_ms((s.params->>'block_ms')::numeric));
		ELSIF vector = 'V6' AND s.place = 4 THEN
			PERFORM pattyly.check_limit(vector, 'key') FROM generate_series(1, 95);
		END IF;
		r := pattyly.check_limit(vector, 'key', cost);
		RETURN NEXT is(got(s, r), expected(s), format('%s row %s: cost %s at %s ms', vector, s.place, cost,
			s.step->>'t_ms'));
		IF r.retry_after IS DISTINCT FROM ceil(us_until(r.retry_at) / 1e6)::integer
			OR (r.allowed <> (r.reason IS NULL)) OR r.limit_name <> vector OR r.max_hits <> (s.params->>'limit')::bigint
		THEN
			RETURN NEXT fail(format('%s row %s fits together: %s', vector, s.place, r));
		END IF;
	END LOOP;
END
$$;
SELECT replay('V1');
SELECT replay('V4');
SELECT replay('V5');
SELECT replay('V6');
SELECT replay('V8');
SELECT replay('V12');

-- The same without a rule, and by the fast form: whether each row may pass.
CREATE FUNCTION replay_allowed(vector text, how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s steps;
	answer boolean;
	answers text := '';
	cost integer;
	per interval;
BEGIN
	IF how = 'allow' THEN
		PERFORM pattyly.reset_limit(vector);
	END IF;
	FOR s IN SELECT * FROM steps WHERE id = vector ORDER BY place LOOP
		cost := s.step->>'cost';
		per := interval_ms((s.params->>'window_ms')::numeric);
		PERFORM tests.at(interval_ms((s.step->>'t_ms')::numeric), start_of(s.algorithm));
		FOR i IN 1 .. CASE WHEN vector = 'V6' AND s.place = 4 THEN 96 ELSE 1 END LOOP
			IF how = 'allow' THEN
				answer := pattyly.allow(vector, 'key', cost);
			ELSE
				answer := (pattyly.check_limit('vector key', (s.params->>'limit')::bigint, per, cost,
					s.algorithm)).allowed;
			END IF;
		END LOOP;
		answers := answers || answer::int;
	END LOOP;
	RETURN answers;
END
$$;
CREATE FUNCTION allowed_of(vector text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step->>'allowed', '' ORDER BY place) FROM steps WHERE id = vector
$$;
SELECT is(replay_allowed(id, 'allow'), allowed_of(id), id || ' by allow()')
FROM vectors WHERE id <> 'V13' ORDER BY id;
SELECT is(replay_allowed(id, 'no rule'), allowed_of(id), id || ' by check_limit without a rule')
FROM vectors WHERE id NOT IN ('V12', 'V13') ORDER BY id;

-- V6: what express-rate-limit puts into RateLimit (t) and Retry-After for each row.
CREATE FUNCTION replay_headers() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	s steps;
	r pattyly.limit_result;
	headers jsonb;
BEGIN
	PERFORM pattyly.reset_limit('V6');
	FOR s IN SELECT * FROM steps WHERE id = 'V6' ORDER BY place LOOP
		PERFORM tests.at(interval_ms((s.step->>'t_ms')::numeric));
		IF s.place = 4 THEN
			PERFORM pattyly.check_limit('V6', 'key') FROM generate_series(1, 95);
		END IF;
		r := pattyly.check_limit('V6', 'key');
		headers := pattyly.limit_headers(r);
		RETURN NEXT concat_ws(' ', headers->>'RateLimit', headers->>'Retry-After');
	END LOOP;
END
$$;
SELECT results_eq('SELECT replay_headers()', ARRAY[
	'"V6";r=99;t=900', '"V6";r=98;t=900', '"V6";r=97;t=900',
	'"V6";r=1;t=900', '"V6";r=0;t=899', '"V6";r=0;t=899 899', '"V6";r=0;t=1 1', '"V6";r=0;t=1 1', '"V6";r=99;t=900'],
	'V6: RateLimit and Retry-After');

-- V13: two limits on one key, all or nothing; the result names the violated one, of both the one to wait longest for.
CREATE FUNCTION replay_v13() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	s steps;
	r pattyly.limit_result;
	violated text;
BEGIN
	PERFORM pattyly.set_limit('1s', 1, '1 s', 'fixed_window');
	PERFORM pattyly.set_limit('5s', 2, '5 s', 'fixed_window');
	FOR s IN SELECT * FROM steps WHERE id = 'V13' ORDER BY place LOOP
		PERFORM tests.at(interval_ms((s.step->>'t_ms')::numeric));
		r := pattyly.check_limits('{1s,5s}', 'key');
		violated := CASE WHEN s.step->>'violated' = '1s+5s' THEN '5s' ELSE s.step->>'violated' END;
		RETURN NEXT is(format('allowed %s, violated %s', r.allowed::int, CASE WHEN NOT r.allowed THEN r.limit_name END),
			format('allowed %s, violated %s', s.step->>'allowed', violated),
			format('V13 row %s at %s ms', s.place, s.step->>'t_ms'));
		RETURN NEXT is(r.retry_at - current_setting('pattyly.frozen_clock')::timestamptz,
			CASE s.place WHEN 2 THEN '900 ms'::interval WHEN 3 THEN '800 ms' WHEN 5 THEN '3.9 s' WHEN 6 THEN '3 s'
				WHEN 7 THEN '1 ms' END,
			format('V13 row %s: the wait is that of the limit named', s.place));
	END LOOP;
END
$$;
SELECT replay_v13();

SELECT * FROM finish();
