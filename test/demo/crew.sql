-- The third scene: a table of messages, and somebody who writes to it all the time. The conversion is called by "run",
-- what comes after it is in crew-jobs.sql, the report in crew-report.sql.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- As the guide has it: the key is an id.
CREATE TABLE public.messages (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_id uuid NOT NULL, body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON public.messages (client_id, created_at);
CREATE SCHEMA old;
ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.messages TO authenticated USING (client_id = (SELECT pattyly.uid()));
GRANT SELECT, INSERT ON public.messages TO authenticated;

CREATE FUNCTION demo.body(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN n % 997 = 0 THEN '[brouillon] ' ELSE '' END
		|| (ARRAY['Bonjour,', 'Bonsoir,', 'Chère cliente,', 'Cher client,', 'Re-bonjour,'])[1 + n % 5] || ' '
		|| (ARRAY['votre déclaration est prête à être signée.', 'il me manque le relevé de mars.',
			'pouvons-nous nous appeler jeudi ?', 'j''ai bien reçu vos justificatifs.', 'merci pour votre réponse rapide.',
			'le virement a été fait ce matin.', 'voici le point sur votre épargne.'])[1 + n % 7]
$$;

-- Four years and the days of this one, up to now.
INSERT INTO public.messages (client_id, body, created_at)
SELECT md5('client ' || n % 5000)::uuid, demo.body(n), began + n * ((now() - began) / 100001)
FROM generate_series(1, 100000) AS n, (SELECT date_trunc('year', now(), 'UTC') - interval '4 years') AS t(began);
VACUUM (ANALYZE) public.messages;

-- A number for each row; their sum tells whether two tables hold the same.
CREATE FUNCTION demo.mark(id bigint, client_id uuid, body text, created_at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT hashtextextended(concat_ws('|', id, client_id, body, extract(epoch FROM created_at)), 0)
$$;
CREATE TABLE demo.message_counts (at text PRIMARY KEY, messages bigint, marks numeric);
CREATE FUNCTION demo.count_messages(at text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.message_counts
	SELECT at, count(*), sum(demo.mark(m.id, m.client_id, m.body, m.created_at)) FROM public.messages AS m
$$;
SELECT demo.count_messages('before') \g /dev/null

-- What the writer did, noted in the same transactions.
CREATE TABLE demo.writes (kind text, messages integer, marks numeric);
CREATE TABLE demo.writer_stops (at timestamptz);
CREATE TABLE demo.waits (ms float8);

-- Two of four transactions write a message, one corrects one, one removes one.
CREATE FUNCTION demo.write(n bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	place CONSTANT bigint := 1 + n * 7919 % 100000;
	kind CONSTANT text := (ARRAY['wrote', 'wrote', 'corrected', 'removed'])[1 + n % 4];
	old public.messages%ROWTYPE;
	new public.messages%ROWTYPE;
BEGIN
	CASE kind
		WHEN 'wrote' THEN
			INSERT INTO public.messages (client_id, body) VALUES (md5('client ' || n % 5000)::uuid, demo.body(n)) RETURNING * INTO new;
		WHEN 'corrected' THEN
			SELECT * INTO old FROM public.messages AS m WHERE m.id = place FOR UPDATE;
			UPDATE public.messages AS m SET body = body || ' (corrigé)' WHERE m.id = old.id RETURNING * INTO new;
		ELSE
			DELETE FROM public.messages AS m WHERE m.id = place RETURNING * INTO old;
	END CASE;
	INSERT INTO demo.writes VALUES (kind, (new.id IS NOT NULL)::integer - (old.id IS NOT NULL)::integer,
		CASE WHEN new.id IS NULL THEN 0 ELSE demo.mark(new.id, new.client_id, new.body, new.created_at)::numeric END
		- CASE WHEN old.id IS NULL THEN 0 ELSE demo.mark(old.id, old.client_id, old.body, old.created_at)::numeric END);
END
$$;

-- Until he is told to stop, and for a minute at most.
CREATE PROCEDURE demo.keep_writing() LANGUAGE plpgsql AS $$
DECLARE
	start CONSTANT timestamptz := clock_timestamp();
	began timestamptz;
	waits float8[] := '{}';
	n bigint := 0;
BEGIN
	LOOP
		began := clock_timestamp();
		n := n + 1;
		PERFORM demo.write(n);
		COMMIT;
		waits := waits || extract(epoch FROM clock_timestamp() - began)::float8 * 1000;
		EXIT WHEN EXISTS (SELECT FROM demo.writer_stops) OR began > start + interval '1 minute';
		PERFORM pg_sleep(0.002);
	END LOOP;
	INSERT INTO demo.waits SELECT unnest(waits);
END
$$;
