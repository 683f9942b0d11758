-- What an administrator does once: the extension, the roles of Supabase, rules, routes, lists.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE EXTENSION pattyly;

CREATE ROLE anon NOLOGIN;
CREATE ROLE authenticated NOLOGIN;
CREATE ROLE service_role NOLOGIN BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role TO authenticator;
\o /dev/null
SELECT pattyly.grant_api();

-- Only this demo: the replay must stop the clock at the log's times, which else a superuser alone may.
GRANT SET ON PARAMETER pattyly.frozen_clock TO authenticator;

SELECT pattyly.load_preset('web-forms'), pattyly.load_preset('api');
SELECT pattyly.set_limit('crawl', 100, '1 day', 'fixed_window');
\o

INSERT INTO pattyly.routes (method, path, limits) VALUES
    ('POST', '/contact',         '{contact}'),
    ('POST', '/register',        '{register}'),
    ('POST', '/login',           '{login}'),
    ('POST', '/forgot-password', '{forgot-password}'),
    ('POST', '/custom',          '{custom}'),
    ('POST', '/product',         '{product}'),
    (NULL,   '/api/*',           '{api}'),
    (NULL,   '*',                '{api,crawl}');

INSERT INTO pattyly.ip_list (network, action, note) VALUES
    ('203.0.113.0/24',  'deny',  'looks for holes'),
    ('203.0.113.10/32', 'allow', 'our monitoring, rented there');

-- The log, and what became of each request.
CREATE SCHEMA demo;
CREATE TABLE demo.requests (
    n integer PRIMARY KEY, at_s bigint, offset_m integer, address inet, method text, path text, user_name text, host text,
    referer text, agent text
);
CREATE TABLE demo.answers (n integer PRIMARY KEY, sqlstate text, message text, detail text, headers text);
CREATE TABLE demo.left_out (lines integer, reason text);

-- For the reports.
CREATE FUNCTION demo.seconds(s float8) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN s < 0.1 THEN 'under 0.1 s' ELSE to_char(s, 'FM999,990.0') || ' s' END
$$;

-- One line a request. state: admitted, limited (a 429 that says when to return), denied (by the list) or failed.
CREATE VIEW demo.outcome AS
SELECT q.n, q.at_s, to_timestamp(q.at_s) AS at, q.address, pattyly.client_key(q.address) AS key, q.method, q.path, q.agent,
       concat_ws(' ', r.method, r.path) AS route, r.limits, x.error, x.answer, a.headers::jsonb AS headers,
       CASE WHEN a.sqlstate IS NULL AND a.n IS NOT NULL THEN 'admitted'
            WHEN a.sqlstate = 'PGRST' AND x.retry_after IS NOT NULL THEN 'limited'
            WHEN a.sqlstate = 'PGRST' THEN 'denied'
            ELSE 'failed' END AS state,
       coalesce(a.sqlstate || ': ' || a.message, 'no answer') AS failure,
       substring(x.error ->> 'details' FROM '^(.+): ') AS limit_name,
       x.retry_after, q.at_s + x.retry_after AS return_s
FROM demo.requests AS q
LEFT JOIN demo.answers AS a USING (n)
CROSS JOIN LATERAL (
    SELECT e.error, e.answer, (e.answer #>> '{headers,Retry-After}')::integer AS retry_after
    FROM (SELECT CASE WHEN a.sqlstate = 'PGRST' THEN a.message::jsonb END AS error,
                 CASE WHEN a.sqlstate = 'PGRST' THEN a.detail::jsonb END AS answer) AS e
) AS x
CROSS JOIN LATERAL (
    SELECT r.method, r.path, r.limits FROM pattyly.routes AS r
    WHERE (r.method = q.method OR r.method IS NULL)
      AND (r.path = q.path OR r.path LIKE '%*' AND starts_with(q.path, rtrim(r.path, '*')))
    ORDER BY length(r.path) DESC, r.method NULLS LAST LIMIT 1
) AS r;
