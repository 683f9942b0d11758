-- The room "limits", told from its beginning. Read it beside the README: every example there is here, with its result.
CREATE EXTENSION pattyly;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
\pset null '-'
\set SHOW_CONTEXT never

-- A superuser can stop the clock of the limiter, so that what follows is the same every day.
SET pattyly.frozen_clock = '2030-01-01 12:00:00+00';


-- 1. A rule, and a key --------------------------------------------------------------------------------------------

-- A rule has a name: here 3 messages an hour. Each key (an address, a user, whatever tells callers apart) is counted
-- for itself.
SELECT pattyly.set_limit('contact', 3, '1 hour', algorithm => 'fixed_window');
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9');
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9');
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9');

-- The fourth is refused, and told when to come back. A refusal uses nothing.
SET pattyly.frozen_clock = '2030-01-01 12:10:00.5+00';
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9');
SELECT * FROM pattyly.check_limit('contact', '198.51.100.7');

-- The short form only says yes or no; the strict one raises an error.
SELECT pattyly.allow('contact', '203.0.113.9'), pattyly.allow('contact', '198.51.100.7');
SELECT pattyly.enforce_limit('contact', '203.0.113.9');
SET pattyly.language = en;
SELECT pattyly.enforce_limit('contact', '203.0.113.9');

-- Looking costs nothing and makes no key. It tells what a call would get.
SELECT * FROM pattyly.peek_limit('contact', '203.0.113.9');
SELECT * FROM pattyly.peek_limit('contact', 'somebody new');

-- An hour after the first call, all is as it was.
SET pattyly.frozen_clock = '2030-01-01 13:00:00+00';
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9');

-- A call may cost more than one unit; more than there is never passes, and says so.
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9', 2);
SELECT * FROM pattyly.check_limit('contact', '203.0.113.9', 4);

-- Counts do not roll back, so that a client who makes a transaction fail has still called.
BEGIN;
SELECT pattyly.allow('contact', 'clever');
ROLLBACK;
SELECT remaining FROM pattyly.peek_limit('contact', 'clever');

-- Nor does a pooler make it forget that cleans the session for the next client.
DISCARD ALL;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET pattyly.language = en;
SET pattyly.frozen_clock = '2030-01-01 13:00:00+00';
SELECT remaining FROM pattyly.peek_limit('contact', 'clever');


-- 2. Algorithms ---------------------------------------------------------------------------------------------------

-- gcra is the default: a burst at once, then one unit after the other, here every 20 minutes.
SELECT pattyly.set_limit('smooth', 3, '1 hour');
-- (A whole result in one column: it is one call a row. "(check_limit(...)).*" would be one call a column.)
SELECT pattyly.check_limit('smooth', 'k') FROM generate_series(1, 4);
SET pattyly.frozen_clock = '2030-01-01 13:20:00+00';
SELECT pattyly.check_limit('smooth', 'k') FROM generate_series(1, 2);

-- With a burst of 1 it is a pace.
SELECT pattyly.set_limit('pace', 60, '1 minute', burst => 1);
SELECT pattyly.check_limit('pace', 'k') FROM generate_series(1, 2);

-- The others side by side: 2 units a minute, at 13:20:50, then at 13:21:00, then at 13:21:50.
SELECT pattyly.set_limit(a, 2, '1 minute', a)
FROM unnest(ARRAY['fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a;
SET pattyly.frozen_clock = '2030-01-01 13:20:50+00';
SELECT limit_name, allowed, remaining, reset_at, retry_at
FROM unnest(ARRAY['fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a, pattyly.check_limit(a, 'k', 2);
SET pattyly.frozen_clock = '2030-01-01 13:21:00+00';
SELECT limit_name, allowed, remaining, reset_at, retry_at
FROM unnest(ARRAY['fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a, pattyly.check_limit(a, 'k');
SET pattyly.frozen_clock = '2030-01-01 13:21:50+00';
SELECT limit_name, allowed, remaining, reset_at, retry_at
FROM unnest(ARRAY['fixed_window', 'calendar_window', 'sliding_window', 'sliding_log']) AS a, pattyly.check_limit(a, 'k');

-- A limit can be given in the call, without a rule.
SELECT * FROM pattyly.check_limit('import 42', 2, interval '1 minute');
SELECT allowed, remaining, retry_after FROM pattyly.check_limit('import 42', 2, interval '1 minute', cost => 2);


-- 3. Rules are rows -----------------------------------------------------------------------------------------------

-- Presets are a beginning.
SELECT pattyly.load_preset('web-forms'), pattyly.load_preset('api');
SELECT name, algorithm, max_hits, per, burst, block_for, count_denied, mode, message
FROM pattyly.limits ORDER BY name COLLATE "C";

-- A change takes effect when it commits. Units already used stay used: 4 of 10, 4 of 16, and the fifth leaves 11.
SELECT pattyly.set_limit('grown', 10, '20 s');
SELECT remaining FROM pattyly.check_limit('grown', 'k', 4);
SELECT pattyly.set_limit('grown', 16, '20 s');
SELECT remaining FROM pattyly.check_limit('grown', 'k');

-- A change that is rolled back never was.
BEGIN;
UPDATE pattyly.limits SET max_hits = 0 WHERE name = 'grown';
SELECT pattyly.allow('grown', 'k');
ROLLBACK;
SELECT pattyly.allow('grown', 'k');

-- What makes no sense is refused when it is written.
SELECT pattyly.set_limit('wrong', 5, '1 month');
SELECT pattyly.set_limit('wrong', 5, '0 s');
SELECT pattyly.set_limit('wrong', -5, '1 s');
SELECT pattyly.set_limit('wrong', 5, '1 s', 'leaky');
SELECT pattyly.set_limit('wrong', 1000, '1 s', 'sliding_log');
INSERT INTO pattyly.limits (name, max_hits, per, mode) VALUES ('wrong', 5, '1 s', 'maybe');

-- And a mistake in a call is an error, never a silent yes.
SELECT pattyly.allow('wrong', 'k');
SELECT pattyly.allow('contact', NULL);
SELECT pattyly.allow('contact', '');
SELECT pattyly.allow('contact', 'k', -1);
SELECT pattyly.check_limits('{}', 'k');


-- 4. Several at once ----------------------------------------------------------------------------------------------

-- All or nothing. The result is the tightest of them, and names it.
SELECT pattyly.set_limit('per second', 2, '1 s', 'fixed_window');
SELECT pattyly.set_limit('per day', 5, '1 day', 'fixed_window');
SELECT pattyly.check_limits('{per second,per day}', 'k') FROM generate_series(1, 3);
SELECT remaining FROM pattyly.peek_limit('per day', 'k');


-- 5. Giving back, resetting, blocking -----------------------------------------------------------------------------

-- Count failures only: take a unit, and give it back when the password was right.
SELECT remaining FROM pattyly.check_limit('login', 'alice', 4);
SELECT remaining FROM pattyly.refund_limit('login', 'alice');
SELECT remaining FROM pattyly.refund_limit('login', 'alice', 100);

-- Reset one key, or all of them.
SELECT remaining FROM pattyly.check_limit('login', 'alice', 10);
SELECT pattyly.reset_limit('login', 'alice'), pattyly.reset_limit('login', 'alice');
SELECT pattyly.check_limit('login', 'user ' || i) FROM generate_series(1, 3) AS i;
SELECT pattyly.reset_limit('login');

-- Block a key by hand ...
SELECT pattyly.block_key('login', 'mallory', '1 day', 'tries every password');
SELECT * FROM pattyly.check_limit('login', 'mallory');
SELECT pattyly.unblock_key('login', 'mallory'), pattyly.unblock_key('login', 'mallory');

-- ... or have the rule do it from the first refusal on. Further calls do not make it longer.
SELECT pattyly.set_limit('strict', 2, '1 s', block_for => '10 minutes');
SELECT pattyly.check_limit('strict', 'k') FROM generate_series(1, 4);


-- 6. Watching before refusing -------------------------------------------------------------------------------------

-- In shadow mode every call passes, and "reason" says what would have been.
SELECT pattyly.set_limit('cautious', 2, '1 hour', mode => 'shadow');
SELECT pattyly.check_limit('cautious', 'k') FROM generate_series(1, 4);

-- off neither counts nor refuses.
UPDATE pattyly.limits SET mode = 'off' WHERE name = 'contact';
SELECT allowed, remaining, reason FROM pattyly.check_limit('contact', '203.0.113.9', 1000);
UPDATE pattyly.limits SET mode = 'enforce' WHERE name = 'contact';


-- 7. Networks -----------------------------------------------------------------------------------------------------

-- Some always pass, some never do; the most specific that has not expired counts.
INSERT INTO pattyly.ip_list (network, action, limit_name, expires_at, note) VALUES
    ('198.51.100.0/24', 'deny', NULL, NULL, 'a scraper'),
    ('198.51.100.80', 'allow', NULL, NULL, 'but this is our partner'),
    ('192.0.2.0/24', 'deny', 'contact', '2030-01-01 14:00+00', 'spam');
SELECT key, allowed, remaining, reason
FROM unnest(ARRAY['198.51.100.7', '::ffff:198.51.100.7', '198.51.100.80', '192.0.2.1', '203.0.113.50']) AS key,
    pattyly.check_limit('contact', key);
SELECT reason FROM pattyly.check_limit('login', '192.0.2.1');
SET pattyly.frozen_clock = '2030-01-01 14:00:00+00';
SELECT allowed, remaining, reason FROM pattyly.check_limit('contact', '192.0.2.1');


-- 8. The front door for PostgREST ---------------------------------------------------------------------------------

-- Which requests consume which limits. The longest path wins.
INSERT INTO pattyly.routes (method, path, limits, keyed_by) VALUES
    (NULL, '/rpc/*', '{api}', 'ip'),
    ('POST', '/rpc/contact', '{contact,api}', 'ip');
UPDATE pattyly.limits SET message = 'Please wait {minutes} min {seconds} s ({limit_name}).' WHERE name = 'contact';

-- One proxy stands before PostgREST. What PostgREST sets for a request:
SET pattyly.trusted_proxies = 1;
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/rpc/contact', false),
    set_config('request.headers', '{"x-forwarded-for": "10.9.8.7, 2001:db8:1:2:3:4:5:6"}', false);

-- Who is it? The hop that the proxy wrote, not what the client wrote before it. An IPv6 network is one client.
SELECT pattyly.client_ip(), pattyly.client_key(pattyly.client_ip());

-- Three pass, each with headers for the client, set for the transaction of the request; others' headers stay.
BEGIN;
SELECT set_config('response.headers', '[{"X-Mine": "kept"}]', true);
SELECT pattyly.pre_request();
SELECT current_setting('response.headers');
COMMIT;
SELECT pattyly.pre_request(), pattyly.pre_request();

-- The fourth becomes 429 with Retry-After: PostgREST makes it of MESSAGE and DETAIL.
SELECT pattyly.pre_request();

-- Other functions have the wider limit, tables none here.
BEGIN;
SELECT set_config('request.path', '/rpc/search', true);
SELECT pattyly.pre_request();
SELECT current_setting('response.headers');
COMMIT;
BEGIN;
SELECT set_config('request.path', '/orders', true);
SELECT pattyly.pre_request();
SELECT current_setting('response.headers', true);
COMMIT;

-- A denied network is turned away everywhere.
SELECT set_config('request.path', '/orders', false),
    set_config('request.headers', '{"x-forwarded-for": "198.51.100.7"}', false);
SELECT pattyly.pre_request();

-- Who cannot be told is not waved through.
SELECT set_config('request.path', '/rpc/contact', false),
    set_config('request.headers', '{"x-forwarded-for": "unknown"}', false);
SELECT pattyly.pre_request();

-- The same headers for those who answer HTTP themselves.
SELECT jsonb_pretty(pattyly.limit_headers(pattyly.check_limit('contact', '2001:db8:1::/56')));


-- 9. What the administrator sees ----------------------------------------------------------------------------------

SELECT * FROM pattyly.limit_stats WHERE allowed + denied + shadow_denied > 0 ORDER BY limit_name COLLATE "C";
SELECT pattyly.check_limit('api', '203.0.113.' || i, 10 * i) FROM generate_series(1, 3) AS i;
SELECT * FROM pattyly.top_keys('api', 3);
SELECT capacity = current_setting('pattyly.max_keys')::bigint AS capacity_as_set, used > 0 AS in_use,
    evicted, evicted_live, refused
FROM pattyly.limit_memory;


-- 10. Who may -----------------------------------------------------------------------------------------------------

-- Nobody, until it is granted: API roles only what is safe for anybody, the service role to check as well.
CREATE ROLE regress_pattyly_anon;
CREATE ROLE regress_pattyly_service;
SET ROLE regress_pattyly_anon;
SELECT pattyly.client_key('203.0.113.9');
RESET ROLE;
SELECT * FROM pattyly.grant_api('regress_pattyly_service', '{regress_pattyly_anon}');
SET ROLE regress_pattyly_anon;
SELECT pattyly.client_key('203.0.113.9');
SELECT pattyly.check_limit('contact', 'anybody');
SELECT * FROM pattyly.limits;
SET pattyly.frozen_clock = '2040-01-01 00:00+00';
RESET ROLE;
SET ROLE regress_pattyly_service;
SELECT allowed FROM pattyly.check_limit('contact', 'anybody');
SELECT pattyly.reset_limit('contact', 'anybody');
RESET ROLE;
SELECT count(*) FROM pattyly.revoke_api('regress_pattyly_service', '{regress_pattyly_anon}');
SET ROLE regress_pattyly_service;
SELECT allowed FROM pattyly.check_limit('contact', 'anybody');
RESET ROLE;


-- 11. The end -----------------------------------------------------------------------------------------------------

-- A limit that a route needs is not dropped by mistake.
SELECT pattyly.drop_limit('contact');
DELETE FROM pattyly.routes WHERE path = '/rpc/contact';
SELECT pattyly.drop_limit('contact'), pattyly.drop_limit('contact');
SELECT pattyly.allow('contact', 'k');

DROP EXTENSION pattyly;
DROP ROLE regress_pattyly_anon, regress_pattyly_service;
