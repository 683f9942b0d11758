-- What all benches share. Nothing is ever refused under login and bench; under shut everything is, after the first.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pattyly;
CREATE SCHEMA bench;

DO $$
BEGIN
    PERFORM pattyly.set_limit('login', 100000000, '1 hour');
    PERFORM pattyly.set_limit('bench', 100000000, '1 hour');
    PERFORM pattyly.set_limit('shut', 1, '3650 days');
    PERFORM pattyly.set_limit('api', 100000000, '1 hour');
END
$$;
INSERT INTO pattyly.routes (path, limits, keyed_by) VALUES ('/orders', '{api}', 'ip'), ('/invoices', '{api}', 'ip+user');

-- The table that a limiter in SQL would write.
CREATE UNLOGGED TABLE bench.hits (key text PRIMARY KEY, opened timestamptz NOT NULL, hits integer NOT NULL) WITH (fillfactor = 50);

-- What an application asks for anyway.
CREATE TABLE bench.users (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz NOT NULL);
INSERT INTO bench.users SELECT i, 'name of ' || i, 'user' || i || '@example.org', now() FROM generate_series(1, 100000) AS s(i);
VACUUM ANALYZE bench.users;

CREATE FUNCTION bench.nothing() RETURNS void LANGUAGE sql AS '';

-- CPU time of this backend in nanoseconds. Sleeping makes the kernel bring the figure up to date.
CREATE FUNCTION bench.cpu_ns() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.001);
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1);
END
$$;
