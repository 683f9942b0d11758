-- The report of the third scene, as text. See crew.sql. Variables: seconds (the scene took), convert_seconds, refusal
-- (what convert_table() said first).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = demo, pg_catalog;
SET TIME ZONE 'UTC';

CREATE FUNCTION pg_temp.number(n numeric) RETURNS text LANGUAGE sql AS $$ SELECT to_char(n, 'FM999,999,990') $$;
-- Lines that no terminal has room for.
CREATE FUNCTION pg_temp.shorten(line text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN length(line) > 114 THEN regexp_replace(left(line, 113), '\s\S*$', '') || ' …' ELSE line END
$$;

\pset footer off
\pset border 0
\pset numericlocale on
\t on
\pset format unaligned
\qecho '# THE CREW: MESSAGES BY YEAR'
SELECT format('%s messages of five years in one table with an id as its key, and somebody who goes on writing.', pg_temp.number(messages))
FROM message_counts WHERE at = 'before';
\qecho '  CALL pattyly.convert_table(''messages'', ''created_at'', ''1 year'', premake => 2, retain => ''4 years'', on_expire => ''archive:old'');'
SELECT format(E'said first: %s,\nand in its hint the two statements that mend this online. They were run as they stand, then the CALL again:', 
              regexp_replace(:'refusal', ':.*', ''));
SELECT format(E'%s, %s transactions wrote meanwhile, the longest took %s ms (half of them under %s ms).',
              seconds(:convert_seconds), pg_temp.number(count(*)), pg_temp.number(max(ms)::numeric),
              to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), 'FM990.0')) FROM waits;
SELECT format('%s + %s written - %s removed, %s corrected: %s were to be there, %s are; sums over their contents %s.',
              pg_temp.number(b.messages), pg_temp.number(w.wrote), pg_temp.number(w.removed), pg_temp.number(w.corrected),
              pg_temp.number(b.messages + w.messages), pg_temp.number(a.messages),
              CASE WHEN b.marks + w.marks = a.marks THEN 'agree' ELSE 'DIFFER' END)
FROM message_counts AS b, message_counts AS a, (
    SELECT sum(messages) AS messages, sum(marks) AS marks, count(*) FILTER (WHERE kind = 'wrote') AS wrote,
           count(*) FILTER (WHERE kind = 'removed' AND messages < 0) AS removed,
           count(*) FILTER (WHERE kind = 'corrected' AND marks <> 0) AS corrected FROM writes) AS w
WHERE b.at = 'before' AND a.at = 'after';
\t off
\pset format aligned
SELECT partition, from_value::date AS "from", to_value::date AS "to", rows_estimate AS "rows, about", pg_size_pretty(bytes) AS size
FROM partitions_after ORDER BY from_value;
\t on
\pset format unaligned
SELECT CASE count(*) WHEN 0 THEN 'The policy and the grants are those of messages: no client reads a partition directly.'
            ELSE 'CLIENTS CAN READ ' || string_agg(partition::text, ', ') || ' past the policy of messages.' END FROM children_open;
\qecho
\qecho 'What a year will bring:  SELECT * FROM pattyly.partition_plan(''messages'', now() + interval ''1 year'');'
SELECT '  ' || concat_ws('  ', rpad(action, 7), partition, reason) FROM plan;
SELECT format('With the clock set to then, CALL pattyly.maintain_partitions(); did just that%s; old.%s has %s rows.',
              CASE WHEN (SELECT count(*) FROM (SELECT action, partition FROM plan EXCEPT TABLE plan_done) AS d) = 0 THEN '' ELSE ' NOT' END,
              partition, pg_temp.number((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM old.%I', partition),
                                                                              false, true, '')))[1]::text::numeric))
FROM plan_done WHERE action = 'archive';
\qecho

\qecho '# THE CREW: JOBS'
\qecho '  SELECT pattyly.load_maintenance(''supabase'');'
SELECT pg_temp.shorten(line) FROM maintenance WHERE line NOT LIKE 'left out: %' ORDER BY n;
SELECT format('(and %s lines about what it leaves out and why)', count(*)) FROM maintenance WHERE line LIKE 'left out: %';
\qecho
\qecho 'Run now, in the background, each in a process of its own, as who scheduled it:  SELECT pattyly.run_job(''vacuum-messages'');'
\t off
\pset format aligned
SELECT a.job, r.state, r.command_tag AS "what the server said",
       to_char(extract(epoch FROM r.started_at - r.scheduled_at) * 1000, 'FM999,990') || ' ms' AS "began after",
       to_char(extract(epoch FROM r.finished_at - r.started_at) * 1000, 'FM999,990') || ' ms' AS took
FROM asked AS a JOIN pattyly.job_runs AS r ON r.id = a.run ORDER BY a.n;
\t on
\pset format unaligned
\qecho '"30 2 * * *" in Europe/Paris, where there is no 02:30 on 29 March 2026 and two of them on 25 October:'
SELECT '  ' || nights('30 2 * * *', 'Europe/Paris', '2026-03-28') UNION ALL
SELECT '  ' || nights('30 2 * * *', 'Europe/Paris', '2026-10-24');
\qecho
\t off
\pset format aligned
SELECT job, schedule, timezone, to_char(next_run AT TIME ZONE timezone, 'Dy DD Mon HH24:MI') AS "next run", state,
       last_status AS "last status", consecutive_failures AS failures
FROM pattyly.job_status WHERE last_run IS NOT NULL ORDER BY job_status.next_run;
\t on
\pset format unaligned
SELECT format('This scene took %s.', seconds(:seconds));
\qecho
