-- What all benches share. Nothing is ever refused under login; under shut everything is, after the first.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pattyly;
CREATE SCHEMA bench;

DO $$
BEGIN
    PERFORM pattyly.set_limit('login', 100000000, '1 hour');
    PERFORM pattyly.set_limit('shut', 1, '3650 days');
    PERFORM pattyly.set_limit('api', 100000000, '1 hour');
END
$$;
INSERT INTO pattyly.routes (path, limits, keyed_by) VALUES ('/orders', '{api}', 'ip'), ('/invoices', '{api}', 'ip+user');

-- All benches count the keys 1 to 100000, half of what pattyly.max_keys has room for. They are known before, in another
-- order than they are asked for.
DO $$
BEGIN
    PERFORM pattyly.allow('login', i::text) FROM generate_series(1, 100000) AS s(i);
END
$$;

-- The table that a limiter in SQL would write.
CREATE UNLOGGED TABLE bench.hits (key text PRIMARY KEY, opened timestamptz NOT NULL, hits integer NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench.hits SELECT i, now(), 0 FROM generate_series(1, 100000) AS s(i);
VACUUM ANALYZE bench.hits;

-- What an application asks for anyway.
CREATE TABLE bench.users (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL, account text NOT NULL);
INSERT INTO bench.users SELECT i, 'name of ' || i, 'user' || i || '@example.org', i FROM generate_series(1, 100000) AS s(i);
VACUUM ANALYZE bench.users;

CREATE FUNCTION bench.nothing() RETURNS void LANGUAGE sql AS '';

-- CPU time of this backend in nanoseconds. Sleeping makes the kernel bring the figure up to date.
CREATE FUNCTION bench.cpu_ns() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.001);
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1);
END
$$;
