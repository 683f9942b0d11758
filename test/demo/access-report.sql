-- The report of the second scene, as text. See access.sql. Variables: seconds (the scene took).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = demo, pg_catalog;

CREATE VIEW pg_temp.medians AS
SELECT a.policies, q.place AS question_place, q.question, p.place, p.name, max(a.answer) AS answer, count(*) AS rounds,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ms) AS ms
FROM access_answers AS a JOIN people AS p USING (name) JOIN questions AS q USING (question) GROUP BY a.policies, q.place, q.question, p.place, p.name;
-- Three digits are enough to compare.
CREATE FUNCTION pg_temp.three(ms float8) RETURNS numeric LANGUAGE sql AS $$
    SELECT round(ms::numeric, CASE WHEN ms < 1 THEN 3 WHEN ms < 10 THEN 2 WHEN ms < 100 THEN 1 ELSE 0 END)
$$;
-- What auth.uid() has become by the time it is planned, and lines that no terminal has room for.
CREATE FUNCTION pg_temp.shorten(line text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN length(short) > 118 THEN left(short, 117) || '…' ELSE short END
    FROM (SELECT replace(line, '(COALESCE(NULLIF(current_setting(''request.jwt.claim.sub''::text, true), ''''::text), '
        || '((NULLIF(current_setting(''request.jwt.claims''::text, true), ''''::text))::jsonb ->> ''sub''::text)))::uuid', 'auth.uid()')) AS s (short)
$$;

\pset footer off
\pset border 0
\pset numericlocale on
\t on
\pset format unaligned
\qecho '# CLIENTS AND THEIR EXPERTS'
SELECT format('Two tables: "Client" with %s rows, expertassignment with %s rows of %s experts, indexed.',
              to_char((SELECT count(*) FROM public."Client"), 'FM999,999,999'), to_char(count(*), 'FM999,999,999'),
              to_char(count(DISTINCT expert_id), 'FM999,999')) FROM public.expertassignment;
\qecho 'A client may see himself, an expert the clients who are assigned to him, anybody else nobody.'
\qecho
\qecho 'A guide writes it like this:'
\qecho '  CREATE POLICY "Users can view own data" ON "Client" FOR SELECT USING (auth.uid() = id);'
\qecho '  CREATE POLICY "Experts can view assigned clients" ON "Client" FOR SELECT USING ('
\qecho '    EXISTS (SELECT 1 FROM expertassignment WHERE expert_id = auth.uid() AND client_id = id));'
\qecho 'pattyly like this:'
\qecho '  SELECT pattyly.define_relation(''client'', ''expertassignment'', ''expert_id'', ''client_id'', include_self => true);'
\qecho '  SELECT pattyly.protect(''"Client"'', relation => ''client'', object_column => ''id'');'
\qecho 'which then ran:'
SELECT '  ' || pg_temp.shorten(statement) FROM access_statements ORDER BY n;
\qecho

\qecho '# WHO SEES HOW MANY'
\t off
\pset format aligned
SELECT p.name AS who, p.what, l.answer AS "the guide's, to the letter", g.answer AS "the guide's, meant", o.answer AS pattyly
FROM people AS p
JOIN pg_temp.medians AS l ON (l.name, l.policies, l.question_place) = (p.name, 'to the letter', 1)
JOIN pg_temp.medians AS g ON (g.name, g.policies, g.question_place) = (p.name, 'guide', 1)
JOIN pg_temp.medians AS o ON (o.name, o.policies, o.question_place) = (p.name, 'pattyly', 1) ORDER BY p.place;
\t on
\pset format unaligned
\qecho 'To the letter it is a trap: expertassignment has an id of its own, and that is the one "client_id = id" asks for.'
\qecho 'No error, no warning. Meant was client_id = "Client".id, and so it is measured from here on.'
\qecho

\qecho '# HOW LONG THEY WAIT (milliseconds)'
\t off
\pset format aligned
SELECT CASE WHEN o.place = 1 THEN o.question END AS question, o.name AS who, pg_temp.three(g.ms) AS "the guide's",
       pg_temp.three(o.ms) AS pattyly,
       CASE WHEN g.ms / o.ms BETWEEN 0.87 AND 1.15 THEN 'the same'
            ELSE lpad(to_char(g.ms / o.ms, CASE WHEN g.ms < o.ms * 10 THEN 'FM0.0' ELSE 'FM999,999,990' END), 6) || ' x' END AS faster
FROM pg_temp.medians AS o JOIN pg_temp.medians AS g USING (question_place, place)
WHERE o.policies = 'pattyly' AND g.policies = 'guide' ORDER BY o.question_place, o.place;
\t on
\pset format unaligned
SELECT format('Planning included, within one session; the median of %s rounds, and of %s where a round is long.', max(rounds),
              CASE min(rounds) WHEN 1 THEN 'one' ELSE min(rounds) || ' or more' END) FROM pg_temp.medians WHERE policies <> 'to the letter';
\qecho

\qecho '# WHY: THE SAME COUNT FOR ADA, AS PLANNED'
\qecho 'the guide''s: every client is looked at'
SELECT '  ' || pg_temp.shorten(line) FROM access_plans WHERE policies = 'guide' ORDER BY n;
\qecho 'pattyly: has_access() in the policy became an index condition'
SELECT '  ' || pg_temp.shorten(line) FROM access_plans WHERE policies = 'pattyly' ORDER BY n;
\qecho
SELECT format('This scene took %s s: %s s the questions under the guide''s policies, %s s those under pattyly''s, the rest to make the tables.',
              round(:seconds, 1), round(sum(ms) FILTER (WHERE policies <> 'pattyly')::numeric / 1000, 1),
              round(sum(ms) FILTER (WHERE policies = 'pattyly')::numeric / 1000, 1)) FROM access_answers;
\qecho
