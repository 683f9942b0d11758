-- How access.sql and rls.sql measure: statements under a role, with claims, each in a transaction of its own.
--
-- A statement is run by EXECUTE, so it is parsed, rewritten and planned each time, as the simple protocol would; its time
-- is that of the clock of the server around it. A transaction of its own: what pattyly keeps for a transaction is of no
-- use to the next. Neighbours in order of n are asked for as somebody else, so claims are parsed each time, too.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pattyly;
CREATE SCHEMA bench;

CREATE TABLE bench.cases (
	n integer GENERATED ALWAYS AS IDENTITY,
	name text PRIMARY KEY,
	role name NOT NULL,
	claims text NOT NULL,
	query text NOT NULL,
	settings jsonb NOT NULL DEFAULT '{}',
	ms double precision,	-- what probe() found; NULL: more than statement_timeout
	answer text	-- of a SELECT that takes less than a second
);
CREATE TABLE bench.ticks (round integer, name text, ms double precision);

CREATE FUNCTION bench.claims(uid uuid) RETURNS text LANGUAGE sql AS $$
	SELECT format('{"aud":"authenticated","exp":1790000000,"sub":"%s","email":"user@example.org","role":"authenticated"}', uid)
$$;

CREATE FUNCTION bench.become(who bench.cases) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config(key, value, true) FROM jsonb_each_text(who.settings);
	PERFORM set_config('request.jwt.claims', who.claims, true);
	PERFORM set_config('role', who.role, true);
END
$$;

-- Warms up and finds out how long a case takes, at most statement_timeout; what is too slow to be repeated is measured here.
CREATE PROCEDURE bench.probe(wanted text, budget_ms double precision) LANGUAGE plpgsql AS $$
DECLARE
	c bench.cases;
	before timestamptz;
	after timestamptz;
	took double precision;
	found text;
BEGIN
	SELECT * INTO STRICT c FROM bench.cases WHERE name = wanted;
	BEGIN
		PERFORM bench.become(c);
		FOR try IN 1..3 LOOP
			before := clock_timestamp();
			EXECUTE c.query;
			after := clock_timestamp();
			EXIT WHEN after > before + interval '100 ms';
		END LOOP;
		took := extract(epoch FROM after - before) * 1000;
		IF took < 1000 AND c.query LIKE 'SELECT %' THEN
			EXECUTE format('SELECT coalesce(md5(string_agg(t::text, '','' ORDER BY t::text)), ''nothing'') FROM (%s) AS t', c.query)
			INTO found;
		END IF;
	EXCEPTION WHEN query_canceled THEN
		took := NULL;
	END;
	PERFORM set_config('role', 'none', true);
	UPDATE bench.cases SET ms = took, answer = found WHERE name = wanted;
	INSERT INTO bench.ticks SELECT 1, wanted, took WHERE took > budget_ms;
END
$$;

-- One round of all cases that their budgets allow for: fast ones several times, in turn with the others.
CREATE PROCEDURE bench.round(r integer, prefix text, budget_ms double precision) LANGUAGE plpgsql AS $$
DECLARE
	list bench.cases[] := ARRAY(SELECT c FROM bench.cases AS c
								WHERE c.name LIKE prefix || '%' AND c.ms * r <= budget_ms ORDER BY c.n);
	c bench.cases;
	before timestamptz;
	after timestamptz;
BEGIN
	FOR repetition IN 1..20 LOOP
		FOREACH c IN ARRAY list LOOP
			CONTINUE WHEN repetition > 1 AND repetition * c.ms > 10;
			PERFORM bench.become(c);
			before := clock_timestamp();
			EXECUTE c.query;
			after := clock_timestamp();
			ROLLBACK;
			INSERT INTO bench.ticks VALUES (r, c.name, extract(epoch FROM after - before) * 1000);
			COMMIT;
		END LOOP;
	END LOOP;
END
$$;

-- Of the repetitions in a round the mean of the middle half: the clock ticks in microseconds, a median would as well.
CREATE VIEW bench.samples AS
	SELECT round, name, avg(ms) AS ms
	FROM (SELECT *, row_number() OVER (PARTITION BY round, name ORDER BY ms) AS place,
				 count(*) OVER (PARTITION BY round, name) AS places FROM bench.ticks) AS t
	WHERE place > places / 4 AND place <= places - places / 4
	GROUP BY round, name
	UNION ALL
	SELECT 1, name || ':over', NULL FROM bench.cases WHERE ms IS NULL;

-- Forms that do not say the same have nothing to be compared. A case is called as others that it is compared with, up to the last slash.
CREATE PROCEDURE bench.compare_answers() LANGUAGE plpgsql AS $$
DECLARE
	differing text;
BEGIN
	SELECT string_agg(name, ', ') INTO differing
	FROM (SELECT min(name) AS name FROM bench.cases GROUP BY regexp_replace(name, '/[^/]*$', '')
		  HAVING count(DISTINCT answer) > 1) AS d;
	IF differing IS NOT NULL THEN
		RAISE EXCEPTION 'the answers differ: %', differing;
	END IF;
END
$$;
