-- Prints "round case nanoseconds" for each round and case. Variables: rounds.
\set ON_ERROR_STOP on
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- Both loops make a key for each row; base does nothing else. A key is not a constant, so nothing is folded.
CREATE TEMP TABLE cases (name text, calls integer, expression text);
\set random '(1 + (hashint4(i) & 2147483647) % 100000)::text'
\set hot '(1 + (i & 0))::text'
INSERT INTO cases VALUES
    ('random', 100000, format('(%s) IS NOT NULL', :'random')),
    ('random-allow', 100000, format('pattyly.allow(''login'', %s)', :'random')),
    ('random-check', 100000, format('pattyly.check_limit(''login'', %s) IS DISTINCT FROM NULL', :'random')),
    ('hot', 50000, format('(%s) IS NOT NULL', :'hot')),
    ('hot-nothing', 50000, format('texteq(''login'', %s) IS NOT NULL', :'hot')),
    ('hot-clock', 50000, format('(%s) IS NOT NULL AND clock_timestamp() IS NOT NULL', :'hot')),
    ('hot-allow', 50000, format('pattyly.allow(''login'', %s)', :'hot')),
    ('hot-refused', 50000, format('pattyly.allow(''shut'', %s)', :'hot')),
    ('hot-check', 50000, format('pattyly.check_limit(''login'', %s) IS DISTINCT FROM NULL', :'hot')),
    ('hot-check-refused', 50000, format('pattyly.check_limit(''shut'', %s) IS DISTINCT FROM NULL', :'hot'));

CREATE TEMP TABLE samples (round integer, name text, ns double precision);
CREATE PROCEDURE pg_temp.measure(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    c record;
    before bigint;
BEGIN
    -- Round 0 only warms up.
    FOR r IN 0..rounds LOOP
        FOR c IN SELECT * FROM cases LOOP
            before := bench.cpu_ns();
            EXECUTE format('SELECT count(*) FROM (SELECT generate_series(%s, %s) AS i) AS s WHERE %s',
                           r * c.calls + 1, (r + 1) * c.calls, c.expression);
            IF r > 0 THEN
                INSERT INTO samples VALUES (r, c.name, (bench.cpu_ns() - before) / c.calls::double precision);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
CALL pg_temp.measure(:rounds);
\pset fieldsep ' '
SELECT * FROM samples;
