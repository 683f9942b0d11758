-- The report of the demo, as text. Variables: log, version (of the server), seconds (the replay took).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = demo, pg_catalog;
-- Nothing below may look at the real clock, for which all of the log is long ago.
SELECT to_timestamp(max(at_s)) AS log_end, to_timestamp(min(at_s)) AS log_start, max(at_s) - min(at_s) >= 86400 AS many_days,
       format('%s%s:%s', CASE WHEN min(offset_m) < 0 THEN '-' ELSE '+' END, abs(min(offset_m)) / 60,
              lpad((abs(min(offset_m)) % 60)::text, 2, '0')) AS log_zone
FROM requests \gset
SET pattyly.frozen_clock = :'log_end';
SET TIME ZONE INTERVAL :'log_zone' HOUR TO MINUTE;
SELECT set_config('demo.day', CASE WHEN :'many_days' THEN '' ELSE (:'log_start'::timestamptz)::date::text END, false) AS day \gset

CREATE TEMP TABLE result AS SELECT * FROM outcome;
ANALYZE result;

CREATE FUNCTION pg_temp.spell(i interval) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN s % 86400 = 0 THEN nullif(s / 86400, 1) || ' days' WHEN s % 3600 = 0 THEN nullif(s / 3600, 1) || ' hours'
                ELSE s / 60 || ' min' END FROM (SELECT extract(epoch FROM i)::bigint) AS e(s)
$$;
CREATE FUNCTION pg_temp.budget(l pattyly.limits) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s per %s', l.max_hits, coalesce(pg_temp.spell(l.per), CASE l.per WHEN '1 day' THEN 'day' ELSE 'hour' END))
$$;
-- The day is told where it is not clear.
CREATE FUNCTION pg_temp.clock(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(at, CASE WHEN at::date::text = current_setting('demo.day') THEN 'HH24:MI:SS' ELSE 'DD Mon HH24:MI:SS' END)
$$;
CREATE FUNCTION pg_temp.counted(n bigint, one text, many text) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(n, 'FM999,999,999') || ' ' || CASE n WHEN 1 THEN one ELSE many END
$$;
-- The name of a program or a browser out of a User-Agent, which may be anything.
CREATE FUNCTION pg_temp.who(agent text) RETURNS text LANGUAGE sql AS $$
    SELECT left(coalesce(
        substring(agent FROM '(?i)([a-z0-9._-]*(?:bot|crawler|spider|slurp|feed|parser|monitor|curl|wget|requests|sync|grab)[a-z0-9._-]*(?:/[0-9.]+)?)'),
        substring(agent FROM '^(?!Mozilla)([^/(;]+/[0-9.]+)'), substring(agent FROM '((?:Firefox|Edg|OPR)/\d+)'), substring(agent FROM '(Chrome/\d+)'),
        'Safari/' || substring(agent FROM 'Version/(\d+).*Safari'), nullif(agent, ''), '(does not say)'), 28)
$$;

\pset footer off
\pset border 0
\pset numericlocale on
\qecho '# PATTYLY DEMO'
\qecho
\t on
\pset format unaligned
SELECT format('A real pattyly %s in a throw-away PostgreSQL %s: every request of the log in a transaction of its own,',
              (SELECT extversion FROM pg_extension WHERE extname = 'pattyly'), :'version')
UNION ALL SELECT 'as PostgREST would have sent it, at the time the log gives.';
\qecho
WITH n AS (
    SELECT count(*) AS requests, count(DISTINCT address) AS addresses, count(DISTINCT key) AS keys FROM result
), out_ AS (
    SELECT sum(lines) AS lines, string_agg(lines || ' ' || reason, ', ' ORDER BY lines DESC, reason) AS why FROM left_out
)
SELECT format('log        %s', :'log') FROM n
UNION ALL SELECT format('from, to   %s, %s', to_char(:'log_start'::timestamptz, 'Dy DD Mon YYYY HH24:MI:SS'),
                        to_char(:'log_end'::timestamptz, 'Dy DD Mon YYYY HH24:MI:SS (TZH:TZM)'))
UNION ALL SELECT format('requests   %s from %s', to_char(requests, 'FM999,999,999'), pg_temp.counted(addresses, 'address', 'addresses'))
                 || CASE WHEN keys < addresses THEN format(', %s (IPv6 counts by its /%s network)',
                         pg_temp.counted(keys, 'visitor', 'visitors'), current_setting('pattyly.ipv6_prefix')) ELSE '' END FROM n
UNION ALL SELECT format('left out   %s: %s', pg_temp.counted(lines, 'line', 'lines'), why) FROM out_ WHERE lines > 0
UNION ALL SELECT format('outcome    %s admitted, %s refused (%s %%)', to_char(count(*) FILTER (WHERE state = 'admitted'), 'FM999,999,999'),
                        to_char(count(*) FILTER (WHERE state <> 'admitted'), 'FM999,999,999'),
                        round(100.0 * count(*) FILTER (WHERE state <> 'admitted') / count(*), 1)) FROM result
UNION ALL SELECT format('FAILED     %s, the first: %s', count(*), min(failure)) FROM result WHERE state = 'failed' HAVING count(*) > 0;
\t off
\pset format aligned

\qecho
\qecho '# ROUTES'
SELECT route, (SELECT string_agg(l.name || ': ' || pg_temp.budget(l), ' and ' ORDER BY p.place)
               FROM unnest(limits) WITH ORDINALITY AS p(name, place) JOIN pattyly.limits AS l USING (name)) AS "each address may",
       count(*) AS requests, count(*) FILTER (WHERE state <> 'admitted') AS refused,
       round(100.0 * count(*) FILTER (WHERE state <> 'admitted') / count(*), 1) AS "%"
FROM result GROUP BY route, limits ORDER BY refused DESC, requests DESC, route;

SELECT count(*) > 0 AS refusals, CASE WHEN count(DISTINCT (key, limit_name)) > 10
       THEN format(' (the first 10 of %s)', count(DISTINCT (key, limit_name))) ELSE '' END AS of_them
FROM result WHERE state = 'limited' \gset
\if :refusals
\qecho '# WHO WAS LIMITED':of_them
SELECT key, limit_name AS "limit", count(*) AS refused, (SELECT count(*) FROM result AS a WHERE a.key = r.key) AS "of",
       pg_temp.clock(to_timestamp(min(at_s))) AS "first refused", pg_temp.clock(to_timestamp(max(return_s))) AS "may return",
       pg_temp.who((array_agg(agent ORDER BY n))[1]) AS who
FROM result AS r WHERE state = 'limited' GROUP BY key, limit_name ORDER BY refused DESC, key LIMIT 10;
\endif

SELECT count(*) > 0 AS listed FROM result JOIN pattyly.ip_list ON address <<= network \gset
\if :listed
\qecho '# ON THE LIST (the most specific network wins)'
SELECT i.network, i.action, i.note, count(*) AS requests, count(*) FILTER (WHERE state <> 'admitted') AS refused
FROM result CROSS JOIN LATERAL (
    SELECT * FROM pattyly.ip_list WHERE address <<= network ORDER BY masklen(network) DESC LIMIT 1
) AS i GROUP BY i.network, i.action, i.note ORDER BY i.network;
\endif

\if :refusals
\qecho '# ONE REFUSAL, AS THE CLIENT GETS IT'
\t on
\pset format unaligned
WITH one AS (SELECT * FROM result WHERE state = 'limited' ORDER BY method <> 'POST', retry_after % 60 = 0, n LIMIT 1)
SELECT format('> %s %s   from %s at %s', method, path, address, pg_temp.clock(at)) FROM one
UNION ALL SELECT '< ' || concat_ws(' ', 'HTTP/1.1', answer ->> 'status', coalesce(answer ->> 'status_text',
                 CASE answer ->> 'status' WHEN '429' THEN 'Too Many Requests' END)) FROM one
UNION ALL (SELECT format('< %s: %s', h.key, h.value) FROM one, jsonb_each_text(answer -> 'headers') AS h ORDER BY h.key)
UNION ALL SELECT format('{ "code": %s, "details": %s,', error -> 'code', error -> 'details') FROM one
UNION ALL SELECT format('  "message": %s }', error -> 'message') FROM one;
\t off
\pset format aligned
\qecho
\endif

\qecho '# WHAT PATTYLY COUNTED (pattyly.limit_stats)'
SELECT limit_name AS "limit", allowed, denied, near, blocked, keys, pg_temp.clock(last_denied_at) AS "last denied"
FROM pattyly.limit_stats WHERE allowed + denied > 0 ORDER BY denied DESC, allowed DESC;
\t on
\pset format unaligned
SELECT count(*) > 0 AS more_denied FROM pattyly.limit_stats AS s
WHERE denied > (SELECT count(*) FROM result AS r WHERE r.state = 'limited' AND r.limit_name = s.limit_name) \gset
\if :more_denied
\qecho 'Who finds two limits full is denied by both here, and stands above at the one that lasts longer; whom the list refuses'
\qecho 'is denied here by each limit of the route.'
\qecho
\endif
SELECT '# MEMORY (pattyly.limit_memory)'
UNION ALL SELECT format('%s of %s keys in use, %s evicted; %s, all of it taken when the server started.', to_char(used, 'FM999,999,999'), to_char(capacity, 'FM999,999,999'),
                        to_char(evicted, 'FM999,999,999'), pg_size_pretty(bytes)) FROM pattyly.limit_memory;
\qecho

-- What one call costs inside the server: the same rows with and without it.
RESET pattyly.frozen_clock;
\o /dev/null
SELECT pattyly.set_limit('demo-cost', 4000000000, '1 day', 'fixed_window');
\o
INSERT INTO pattyly.routes (method, path, limits) VALUES ('GET', '/demo-cost', '{demo-cost}');
CREATE TEMP TABLE cost (us float8);
GRANT INSERT ON cost TO anon;
DO $$
DECLARE
    began timestamptz;
    bare float8;
    rows CONSTANT integer := 20000;
BEGIN
    PERFORM set_config('role', 'anon', true), set_config('request.jwt.claims', '{"role":"anon"}', true),
        set_config('request.method', 'GET', true), set_config('request.path', '/demo-cost', true),
        set_config('request.headers', '{"host":"demo.example","x-forwarded-for":"192.0.2.1","user-agent":"Mozilla/5.0 (X11; Linux x86_64)"}', true);
    FOR round IN 1..5 LOOP
        began := clock_timestamp();
        PERFORM set_config('response.headers', '', true), 1 FROM generate_series(1, rows);
        bare := extract(epoch FROM clock_timestamp() - began);
        began := clock_timestamp();
        PERFORM set_config('response.headers', '', true), pattyly.pre_request() FROM generate_series(1, rows);
        INSERT INTO cost VALUES ((extract(epoch FROM clock_timestamp() - began) - bare) * 1e6 / rows);
    END LOOP;
END
$$;
\qecho '# SPEED'
-- Of a short replay most is psql's start.
SELECT format('The replay: %s in %s over one connection%s. That is psql sending BEGIN, settings,',
              pg_temp.counted(count(*), 'request', 'requests'), seconds(:seconds),
              CASE WHEN count(*) < 1000 THEN '' ELSE to_char(count(*) / :seconds, '", "FM999,999" a second"') END) FROM result
UNION ALL SELECT 'pre_request, a query and COMMIT one by one, most of it round trips.'
UNION ALL SELECT format('pre_request alone, in the server: %s microseconds a call (an admitted request, one hot key, 20,000 calls; the median',
                        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric, 1)) FROM cost
UNION ALL SELECT format('of 5 rounds, which took from %s to %s: what else the machine does shows here).', round(min(us)::numeric, 1), round(max(us)::numeric, 1))
          FROM cost;
\qecho
