-- Prints "round case nanoseconds" of a call in a loop of the executor, over the same loop that calls nothing. Variables: rounds.
\set ON_ERROR_STOP on
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION bench.cpu_ns() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(0.001);
	RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1);
END
$$;
-- As much as a token with providers, roles and a picture carries.
CREATE FUNCTION bench.large_claims() RETURNS text LANGUAGE sql AS $$
	SELECT '{"iss":"https://abcdefghijklmnopqrst.example.org/auth/v1","aud":"authenticated","exp":1790000000,"iat":1789996400,'
		'"email":"somebody.with.a.name@example.org","phone":"","app_metadata":{"provider":"google","providers":["email","google"],'
		'"tenant_id":"5f2b7c1e-0d3a-4c59-9a54-0f4a3a1d2b77","roles":["editor","billing","support"]},"user_metadata":{"avatar_url":'
		'"https://images.example.org/a/AAcHTtd9cLr0m5mZb0mVYw3bqVdV3Q4yZyWkJ0xUe8s=s96-c","email":"somebody.with.a.name@example.org",'
		'"email_verified":true,"full_name":"Somebody With A. Name","iss":"https://accounts.example.org","name":"Somebody With A. Name",'
		'"phone_verified":false,"picture":"https://images.example.org/a/AAcHTtd9cLr0m5mZb0mVYw3bqVdV3Q4yZyWkJ0xUe8s=s96-c",'
		'"provider_id":"104857600042949672960","sub":"104857600042949672960"},"role":"authenticated","aal":"aal1",'
		'"amr":[{"method":"oauth","timestamp":1789996400}],"session_id":"0f0e0d0c-0b0a-4908-8706-050403020100",'
		'"is_anonymous":false,"sub":"1f0a2b3c-4d5e-4f70-8192-a3b4c5d6e7f8"}'
$$;

CREATE TEMP TABLE loops (name text, calls integer, claims text, expression text);
INSERT INTO loops
	SELECT name || size, calls, claims, expression
	FROM (VALUES ('-small', bench.claims('1f0a2b3c-4d5e-4f70-8192-a3b4c5d6e7f8')), ('-large', bench.large_claims())) AS c(size, claims),
		 (VALUES ('loop', 200000, 'i'), ('pattyly', 200000, 'pattyly.uid()'), ('auth', 20000, 'auth.uid()')) AS e(name, calls, expression);
CREATE TEMP TABLE loop_samples (round integer, name text, ns double precision);
CREATE PROCEDURE pg_temp.measure(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
	l record;
	before bigint;
BEGIN
	-- Round 0 only warms up.
	FOR r IN 0..rounds LOOP
		FOR l IN SELECT * FROM loops LOOP
			PERFORM set_config('request.jwt.claims', l.claims, false);
			before := bench.cpu_ns();
			EXECUTE format('SELECT count(%s) FROM (SELECT generate_series(1, %s) AS i) AS s', l.expression, l.calls);
			IF r > 0 THEN
				INSERT INTO loop_samples VALUES (r, l.name, (bench.cpu_ns() - before) / l.calls::double precision);
			END IF;
		END LOOP;
	END LOOP;
END
$$;
CALL pg_temp.measure(:rounds);
\pset fieldsep ' '
SELECT l.round, l.name, l.ns - base.ns
FROM loop_samples AS l JOIN loop_samples AS base ON base.round = l.round AND base.name = 'loop-' || split_part(l.name, '-', 2);
