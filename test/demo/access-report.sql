-- The report of the second scene, as text. See access.sql. Variables: seconds (the scene took).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = demo, pg_catalog;

CREATE VIEW pg_temp.medians AS
SELECT a.policies, q.place AS question_place, q.question, p.place, p.name, p.role, max(a.answer) AS answer,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ms) AS ms
FROM access_answers AS a JOIN people AS p USING (name) JOIN questions AS q USING (question)
GROUP BY a.policies, q.place, q.question, p.place, p.name, p.role;
CREATE VIEW pg_temp.waits AS
SELECT question_place, question, place, name, role, max(ms) FILTER (WHERE policies = 'guide') AS guide,
       max(ms) FILTER (WHERE policies = 'by hand') AS by_hand, max(ms) FILTER (WHERE policies = 'pattyly') AS ours
FROM pg_temp.medians GROUP BY question_place, question, place, name, role;
-- Three digits are enough to compare.
CREATE FUNCTION pg_temp.three(ms float8) RETURNS numeric LANGUAGE sql AS $$
    SELECT round(ms::numeric, CASE WHEN ms < 1 THEN 3 WHEN ms < 10 THEN 2 WHEN ms < 100 THEN 1 ELSE 0 END)
$$;
-- What auth.uid() has become by the time it is planned, and lines that no terminal has room for.
CREATE FUNCTION pg_temp.shorten(line text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN length(short) > 118 THEN regexp_replace(left(short, 117), '\s\S*$', '') || ' …' ELSE short END
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
\qecho 'The best by hand:'
\qecho '  CREATE POLICY "Own and assigned clients" ON "Client" FOR SELECT TO authenticated USING (id = ANY (ARRAY('
\qecho '    SELECT client_id FROM expertassignment WHERE expert_id = (SELECT auth.uid()) UNION ALL SELECT (SELECT auth.uid()))));'
\qecho 'pattyly like this:'
\qecho '  SELECT pattyly.define_relation(''client'', ''expertassignment'', ''expert_id'', ''client_id'', include_self => true);'
\qecho '  SELECT pattyly.protect(''"Client"'', relation => ''client'', object_column => ''id'');'
\qecho 'which then ran, on a table with row level security off (and a COMMENT that says whose the policy is):'
SELECT '  ' || pg_temp.shorten(statement) FROM access_statements WHERE statement NOT LIKE 'COMMENT %' ORDER BY n;
\qecho

\qecho '# WHO SEES HOW MANY'
\t off
\pset format aligned
SELECT p.name AS who, p.what, l.answer AS "the guide's, to the letter", g.answer AS "the guide's, meant",
       h.answer AS "best by hand", o.answer AS pattyly
FROM people AS p
JOIN pg_temp.medians AS l ON (l.name, l.policies, l.question_place) = (p.name, 'to the letter', 1)
JOIN pg_temp.medians AS g ON (g.name, g.policies, g.question_place) = (p.name, 'guide', 1)
JOIN pg_temp.medians AS h ON (h.name, h.policies, h.question_place) = (p.name, 'by hand', 1)
JOIN pg_temp.medians AS o ON (o.name, o.policies, o.question_place) = (p.name, 'pattyly', 1) ORDER BY p.place;
\t on
\pset format unaligned
\qecho 'To the letter it is a trap: expertassignment has an id of its own, and that is the one "client_id = id" asks for.'
\qecho 'No error, no warning. Meant was client_id = "Client".id, and so it is measured from here on.'
\qecho

\qecho '# HOW LONG THEY WAIT (milliseconds)'
\t off
\pset format aligned
SELECT CASE WHEN place = 1 THEN question END AS question, name AS who, pg_temp.three(guide) AS "the guide's",
       pg_temp.three(by_hand) AS "best by hand", pg_temp.three(ours) AS pattyly,
       CASE WHEN role = 'anon' THEN NULL WHEN guide / ours BETWEEN 0.87 AND 1.15 THEN 'the same'
            ELSE lpad(to_char(guide / ours, CASE WHEN guide < ours * 10 THEN 'FM0.0' ELSE 'FM999,999,990' END), 6) || ' x'
       END AS "faster than the guide's"
FROM pg_temp.waits ORDER BY question_place, place;
\t on
\pset format unaligned
\qecho 'Planning included, in one session, each time in a transaction of its own. Each was asked 5 times, or until half a second'
\qecho 'had gone by; shown is the median.'
\qecho 'anon: the guide''s policies are for everybody; the other two are for authenticated only, so there is nothing to compute.'
SELECT format('What remains over the best by hand: less to write and to get wrong; one row by id costs one lookup, not the list'
              || E'\n(Ben: %s ms, by hand %s); ', pg_temp.three(one.ours), pg_temp.three(one.by_hand))
       || format(CASE WHEN many.by_hand > many.ours * 1.15 THEN 'experts with many clients (Ben''s count: %s ms, by hand %s).'
                      ELSE 'but Ben''s count is no faster (%s ms, by hand %s).' END,
                 pg_temp.three(many.ours), pg_temp.three(many.by_hand))
FROM pg_temp.waits AS one JOIN pg_temp.waits AS many USING (name)
WHERE name = 'Ben' AND one.question_place = 3 AND many.question_place = 1;
\qecho

\qecho '# WHY: THE SAME COUNT FOR ADA, AS PLANNED'
\qecho 'the guide''s: every client is looked at'
SELECT '  ' || pg_temp.shorten(line) FROM access_plans WHERE policies = 'guide' ORDER BY n;
\qecho 'pattyly: has_access() in the policy became an index condition'
SELECT '  ' || pg_temp.shorten(line) FROM access_plans WHERE policies = 'pattyly' ORDER BY n;
\qecho 'by hand it is an index condition too, with a list that is read in full even for one row by id'
\qecho
SELECT format('This scene took %s: %s for the questions to the guide''s policies, %s for those to the best by hand,'
              || E'\n%s for those to pattyly''s, the rest to make the tables.', seconds(:seconds),
              seconds(sum(ms) FILTER (WHERE policies IN ('to the letter', 'guide')) / 1000),
              seconds(sum(ms) FILTER (WHERE policies = 'by hand') / 1000),
              seconds(sum(ms) FILTER (WHERE policies = 'pattyly') / 1000)) FROM access_answers;
\qecho
