-- The third scene after the conversion: a year goes by, then jobs. See crew.sql.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

SELECT demo.count_messages('after') \g /dev/null
CREATE TABLE demo.partitions_after AS SELECT partition::text, from_value, to_value, rows_estimate, bytes FROM pattyly.partitions;
-- What a client could read past the policy.
CREATE TABLE demo.children_open AS
SELECT p.partition FROM pattyly.partitions AS p JOIN pg_class AS c ON c.oid = p.partition
WHERE has_table_privilege('authenticated', c.oid, 'SELECT') OR NOT c.relrowsecurity;

-- Which partitions came and which went, by the catalog and not by what anybody says.
CREATE TABLE demo.plan AS SELECT * FROM pattyly.partition_plan('messages', now() + interval '1 year');
CREATE VIEW demo.children AS
SELECT c.relname::text AS partition FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.messages'::regclass;
CREATE TABLE demo.children_before AS TABLE demo.children;
SELECT now() + interval '1 year' AS in_a_year \gset
SET pattyly.frozen_clock = :'in_a_year';
CALL pattyly.maintain_partitions('messages');
RESET pattyly.frozen_clock;
CREATE TABLE demo.plan_done AS
SELECT 'create' AS action, partition FROM (TABLE demo.children EXCEPT TABLE demo.children_before) AS made
UNION ALL SELECT 'archive', partition FROM (TABLE demo.children_before EXCEPT TABLE demo.children) AS gone;

CREATE TABLE demo.maintenance (n integer GENERATED ALWAYS AS IDENTITY, line text);
INSERT INTO demo.maintenance (line) SELECT pattyly.load_maintenance('supabase');

SELECT pattyly.schedule_job('vacuum-messages', '30 2 * * *', 'VACUUM (ANALYZE) messages', timezone => 'Europe/Paris'),
	pattyly.schedule_job('forget-drafts', 'every 6 hours', $$DELETE FROM messages WHERE body LIKE '[brouillon]%'$$) \g /dev/null
CREATE TABLE demo.drafts AS SELECT count(*) AS n FROM public.messages WHERE body LIKE '[brouillon]%';

-- Now, in the background; waits for them, ten seconds at most.
CREATE TABLE demo.asked AS
SELECT n, job, pattyly.run_job(job) AS run
FROM unnest('{forget-drafts,vacuum-messages,pattyly-daily-partitions}'::text[]) WITH ORDINALITY AS j(job, n);
DO $$
BEGIN
	FOR tries IN 1 .. 500 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM demo.asked AS a JOIN pattyly.job_runs AS r ON r.id = a.run WHERE r.finished_at IS NULL);
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END
$$;

-- The runs of a schedule from a day on, by the clock on the wall.
CREATE FUNCTION demo.nights(schedule text, zone text, day date) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(to_char(wall, 'DD Mon HH24:MI') || to_char(extract(epoch FROM wall - (r AT TIME ZONE 'UTC')) / 3600, ' "(+"FM0")"'),
		', ' ORDER BY r)
	FROM pattyly.next_runs(schedule, zone, day::timestamp AT TIME ZONE zone, 3) AS r, LATERAL (SELECT r AT TIME ZONE zone) AS w(wall)
$$;
