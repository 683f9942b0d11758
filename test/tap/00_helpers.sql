-- Loaded into the database of every pgTAP file before the file itself.
CREATE SCHEMA tests;
GRANT USAGE ON SCHEMA tests TO PUBLIC;

-- Becomes what PostgREST makes of a request: SET ROLE, and the claims of the token. Until tests.act_as_self().
CREATE FUNCTION tests.act_as(role_name name, claims jsonb DEFAULT '{}') RETURNS void
LANGUAGE sql AS $$
	SELECT set_config('request.jwt.claims', (jsonb_build_object('role', role_name) || claims)::text, false);
	SELECT set_config('role', role_name, false);
$$;

CREATE FUNCTION tests.act_as_self() RETURNS void
LANGUAGE sql AS $$
	SELECT set_config('role', 'none', false);
	SELECT set_config('request.jwt.claims', '', false);
$$;

-- The SQLSTATE, message and hint that a statement ends with, 00000 if it does not fail; its effects stay.
CREATE FUNCTION tests.outcome(statement text, OUT sqlstate text, OUT message text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	outcome.sqlstate := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS outcome.sqlstate = RETURNED_SQLSTATE,
		outcome.message = MESSAGE_TEXT, outcome.hint = PG_EXCEPTION_HINT;
END
$$;

-- A parsed file of vectors, its path from the top of the tree: tests.vectors('test/vectors/limits.json').
CREATE FUNCTION tests.vectors(path text) RETURNS jsonb
LANGUAGE sql AS $$
	SELECT pg_read_file(current_setting('tests.top') || '/' || path)::jsonb
$$;

-- Freezes the clock that long after 2030-01-01 00:00 UTC (in the session, unless a transaction says otherwise by
-- rolling back), and runs it again: tests.at(NULL).
CREATE FUNCTION tests.at(since_start interval, start timestamptz DEFAULT '2030-01-01 00:00+00') RETURNS void
LANGUAGE sql AS $$
	SELECT set_config('pattyly.frozen_clock', coalesce((start + since_start)::text, ''), false)
$$;

-- A pattyly.limit_result in words, with times counted from the frozen clock:
--   yes, 4 of 5 left, full in 00:00:01
--   no, 0 of 5 left, full in 00:00:05, retry in 00:00:01 (1 s): limited
CREATE FUNCTION tests.said(result anyelement) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	clock timestamptz := current_setting('pattyly.frozen_clock');
BEGIN
	RETURN format('%s, %s of %s left', CASE result.allowed WHEN true THEN 'yes' WHEN false THEN 'no' ELSE 'NULL' END,
			result.remaining, result.max_hits)
		|| coalesce(', full in ' || (result.reset_at - clock), '')
		|| coalesce(', retry in ' || (result.retry_at - clock), '')
		|| coalesce(' (' || result.retry_after || ' s)', '')
		|| coalesce(': ' || result.reason, '');
END
$$;

-- How many of so many calls pass, all of cost 1: tests.passed('name', 'key', 100).
CREATE FUNCTION tests.passed(limit_name text, key text, calls integer) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FILTER (WHERE pattyly.allow(limit_name, key)) FROM generate_series(1, calls));
END
$$;

-- The plan of a query, without costs, its lines in one text.
CREATE FUNCTION tests.plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN lines;
END
$$;
