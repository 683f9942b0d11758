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
