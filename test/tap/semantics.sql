-- How a check sits in PostgreSQL: counts do not roll back, rules do; READ ONLY transactions, prepared statements, poolers;
-- what the planner may do with it.
SELECT plan(68);
SELECT tests.at('0');
SELECT pattyly.set_limit('l', 100, '1 hour', 'fixed_window');
CREATE FUNCTION used(key text) RETURNS bigint
	LANGUAGE sql AS $$ SELECT 100 - (pattyly.peek_limit('l', key)).remaining $$;

---- Counts do not roll back ------------------------------------------------------------------------------------------

BEGIN;
SELECT pattyly.allow('l', 'rollback'), pattyly.check_limit('l', 'rollback'), pattyly.check_limits('{l}', 'rollback');
SELECT pattyly.enforce_limit('l', 'rollback');
ROLLBACK;
SELECT is(used('rollback'), 4::bigint, 'ROLLBACK');
BEGIN;
SELECT pattyly.allow('l', 'savepoint');
SAVEPOINT s;
SELECT pattyly.allow('l', 'savepoint');
ROLLBACK TO s;
SELECT pattyly.allow('l', 'savepoint');
SELECT is(used('savepoint'), 3::bigint, 'ROLLBACK TO SAVEPOINT');
RELEASE s;
COMMIT;
SELECT is(used('savepoint'), 3::bigint, 'and COMMIT');
DO $$
BEGIN
	PERFORM pattyly.allow('l', 'exception');
	RAISE EXCEPTION 'after the hit';
EXCEPTION WHEN OTHERS THEN
	PERFORM pattyly.allow('l', 'exception');
END
$$;
SELECT is(used('exception'), 2::bigint, 'an EXCEPTION block of plpgsql');
SELECT throws_ok('SELECT pattyly.allow(''l'', ''error''), 1 / (SELECT count(*) FROM pg_class WHERE false)', '22012',
	NULL, 'a statement that fails');
SELECT is(used('error'), 1::bigint, 'after the hit');
SELECT pattyly.refund_limit('l', 'error');
BEGIN;
SELECT pattyly.check_limit('l', 'refund', 5);
COMMIT;
BEGIN;
SELECT pattyly.refund_limit('l', 'refund', 2);
ROLLBACK;
SELECT is(used('refund'), 3::bigint, 'nor do refunds');
BEGIN;
SELECT pattyly.reset_limit('l', 'refund');
ROLLBACK;
SELECT is(used('refund'), 0::bigint, 'nor resets');
-- The refusal itself is an error that rolls back, and leaves the count as it is.
SELECT pattyly.set_limit('one', 1, '1 hour', 'fixed_window');
SELECT lives_ok($$SELECT pattyly.enforce_limit('one', 'k')$$, 'the first');
SELECT throws_ok($$SELECT pattyly.enforce_limit('one', 'k')$$, 'PT429', NULL, 'the second');
SELECT throws_ok($$SELECT pattyly.enforce_limit('one', 'k')$$, 'PT429', NULL, 'a refusal does not erase the evidence');

---- Transactions that may not write ----------------------------------------------------------------------------------

BEGIN READ ONLY;
SELECT lives_ok($$SELECT pattyly.allow('l', 'read only')$$, 'READ ONLY: allow');
SELECT lives_ok($$SELECT pattyly.check_limit('l', 'read only')$$, 'READ ONLY: check_limit');
SELECT lives_ok($$SELECT pattyly.check_limit('read only', 5, interval '1 s')$$,
	'READ ONLY: check_limit without a rule');
SELECT lives_ok($$SELECT pattyly.check_limits('{l}', 'read only')$$, 'READ ONLY: check_limits');
SELECT lives_ok($$SELECT pattyly.enforce_limit('l', 'read only')$$, 'READ ONLY: enforce_limit');
SELECT lives_ok($$SELECT pattyly.peek_limit('l', 'read only')$$, 'READ ONLY: peek_limit');
SELECT lives_ok($$SELECT pattyly.refund_limit('l', 'read only')$$, 'READ ONLY: refund_limit');
SELECT lives_ok($$SELECT * FROM pattyly.limit_stats, pattyly.limit_memory, pattyly.top_keys()$$,
	'READ ONLY: the views');
COMMIT;
SELECT is(used('read only'), 3::bigint, 'READ ONLY: counted all the same');
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT lives_ok($$SELECT pattyly.allow('l', 'serializable')$$, 'SERIALIZABLE READ ONLY DEFERRABLE');
COMMIT;
BEGIN;
SELECT pattyly.allow('l', 'no xid'), pattyly.check_limit('l', 'no xid'), pattyly.check_limits('{l}', 'no xid'),
	pattyly.block_key('l', 'no xid', '1 s');
SELECT is(pg_current_xact_id_if_assigned(), NULL, 'a check takes no transaction id');
COMMIT;

---- Rules are ordinary rows ------------------------------------------------------------------------------------------

BEGIN;
SELECT pattyly.set_limit('new', 2, '1 hour', 'fixed_window');
SELECT is(tests.passed('new', 'k', 5), 2::bigint, 'a rule made in this transaction is seen in it');
UPDATE pattyly.limits SET max_hits = 3 WHERE name = 'new';
SELECT is(tests.passed('new', 'k', 5), 1::bigint, 'and so is its change');
SAVEPOINT s;
UPDATE pattyly.limits SET max_hits = 50 WHERE name = 'new';
SELECT is(tests.passed('new', 'k', 1), 1::bigint, 'in a subtransaction');
ROLLBACK TO s;
SELECT is(tests.passed('new', 'k', 1), 0::bigint, 'which rolls back');
DELETE FROM pattyly.limits WHERE name = 'new';
SELECT throws_ok($$SELECT pattyly.allow('new', 'k')$$, '42704', NULL, 'and its end');
ROLLBACK;
SELECT throws_ok($$SELECT pattyly.allow('new', 'k')$$, '42704', NULL, 'after ROLLBACK there never was one');
BEGIN;
SELECT pattyly.drop_limit('l');
ROLLBACK;
SELECT lives_ok($$SELECT pattyly.allow('l', 'still')$$, 'after ROLLBACK there still is one');
-- Within one statement, by a function that changes the rule under its own feet.
CREATE FUNCTION change_and_check() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pattyly.set_limit('feet', 1, '1 hour', 'fixed_window');
	PERFORM pattyly.reset_limit('feet');
	RETURN tests.passed('feet', 'k', 3) || (SELECT ' ' || tests.passed('feet', 'k', 3)
		FROM (SELECT pattyly.set_limit('feet', 3, '1 hour', 'fixed_window') OFFSET 0) AS x);
END
$$;
SELECT matches(change_and_check(), '^1 [02]$', 'rule and check in one function');
SELECT is((pattyly.peek_limit('feet', 'k')).max_hits, 3::bigint, 'the new rule holds');

-- The other ways to write the table.
INSERT INTO pattyly.limits (name, max_hits, per) VALUES ('direct', 7, '7 s');
SELECT is(tests.said(pattyly.check_limit('direct', 'k')), 'yes, 6 of 7 left, full in 00:00:01',
	'INSERT, with the defaults of the table');
SELECT is((SELECT (algorithm, burst, block_for, count_denied, mode, message)::text FROM pattyly.limits
	WHERE name = 'direct'), '(gcra,,,f,enforce,)', 'which are these');
UPDATE pattyly.limits SET algorithm = 'fixed_window', per = '10 s' WHERE name = 'direct';
SELECT is((pattyly.peek_limit('direct', 'k')).remaining, 6::bigint, 'UPDATE');
UPDATE pattyly.limits SET name = 'renamed' WHERE name = 'direct';
SELECT lives_ok($$SELECT pattyly.allow('renamed', 'k')$$, 'a new name');
SELECT throws_ok($$SELECT pattyly.allow('direct', 'k')$$, '42704', NULL, 'the old name');
DELETE FROM pattyly.limits WHERE name = 'renamed';
SELECT throws_ok($$SELECT pattyly.allow('renamed', 'k')$$, '42704', NULL, 'DELETE');
COPY pattyly.limits (name, max_hits, per) FROM stdin;
copied	4	1 h
\.
SELECT is((pattyly.peek_limit('copied', 'k')).max_hits, 4::bigint, 'COPY');
SELECT throws_ok($$INSERT INTO pattyly.limits (name, max_hits, per) VALUES ('copied', 1, '1 s')$$, '23505', NULL,
	'one rule a name');
MERGE INTO pattyly.limits AS l USING (VALUES ('copied', 5)) AS v(name, max_hits) ON l.name = v.name
	WHEN MATCHED THEN UPDATE SET max_hits = v.max_hits;
SELECT is((pattyly.peek_limit('copied', 'k')).max_hits, 5::bigint, 'MERGE');
-- A row that is written stamps itself.
UPDATE pattyly.limits SET updated_at = '2000-01-01' WHERE name = 'copied';
SELECT cmp_ok((SELECT updated_at FROM pattyly.limits WHERE name = 'copied'), '>', '2000-01-02'::timestamptz,
	'updated_at cannot be forged');
-- Triggers are for replicas as well: rules that a subscription applies must take effect.
SET session_replication_role = replica;
UPDATE pattyly.limits SET max_hits = 6 WHERE name = 'copied';
SELECT is((pattyly.peek_limit('copied', 'k')).max_hits, 6::bigint, 'session_replication_role = replica');
SELECT throws_ok($$UPDATE pattyly.limits SET max_hits = -1 WHERE name = 'copied'$$, '22023', NULL,
	'nonsense is refused there, too');
RESET session_replication_role;
-- TRUNCATE.
BEGIN;
TRUNCATE pattyly.limits;
SELECT throws_ok($$SELECT pattyly.allow('l', 'k')$$, '42704', NULL, 'TRUNCATE');
ROLLBACK;
SELECT lives_ok($$SELECT pattyly.allow('l', 'k')$$, 'TRUNCATE that is rolled back');
-- set_limit with other arguments puts back what it does not name; count_denied is the table's alone, and stays.
SELECT pattyly.set_limit('again', 5, '1 s', burst => 7, block_for => '1 min', mode => 'shadow', message => 'm');
UPDATE pattyly.limits SET count_denied = true WHERE name = 'again';
SELECT pattyly.set_limit('again', 6, '2 s');
SELECT is((SELECT (algorithm, max_hits, per, burst, block_for, count_denied, mode, message)::text FROM pattyly.limits
	WHERE name = 'again'),
	'(gcra,6,00:00:02,,,t,enforce,)', 'set_limit replaces');

---- Presets ----------------------------------------------------------------------------------------------------------

SELECT is(pattyly.load_preset('web-forms'), 6, 'load_preset says how many rules');
SELECT is(pattyly.load_preset('api'), 1, 'of each preset');
SELECT results_eq($$SELECT name, max_hits, per, algorithm, mode FROM pattyly.limits
		WHERE name IN ('contact', 'register', 'login', 'forgot-password', 'custom', 'product', 'api')
		ORDER BY name COLLATE "C"$$,
	$$VALUES ('api', 100::bigint, interval '15 min', 'fixed_window', 'enforce'),
		('contact', 3, '1 hour', 'fixed_window', 'enforce'), ('custom', 5, '1 hour', 'fixed_window', 'enforce'),
		('forgot-password', 3, '1 hour', 'fixed_window', 'enforce'), ('login', 10, '1 hour', 'fixed_window', 'enforce'),
		('product', 5, '1 hour', 'fixed_window', 'enforce'), ('register', 5, '1 hour', 'fixed_window', 'enforce')$$,
	'and these are they');
UPDATE pattyly.limits SET max_hits = 1 WHERE name = 'login';
SELECT pattyly.load_preset('web-forms');
SELECT is((SELECT max_hits FROM pattyly.limits WHERE name = 'login'), 10::bigint, 'loaded again, it puts back');

-- A limit that a route uses cannot be dropped by mistake.
INSERT INTO pattyly.routes (path, limits) VALUES ('/login', '{login}');
SELECT throws_ok($$SELECT pattyly.drop_limit('login')$$, '2BP01', NULL, 'drop_limit of a limit that a route uses');
UPDATE pattyly.routes SET enabled = false;
SELECT is(pattyly.drop_limit('login'), true, 'once the route is disabled');

---- Sessions and plans -----------------------------------------------------------------------------------------------

-- A prepared statement, with a custom and with a generic plan, goes with the rule.
PREPARE hit(text) AS SELECT pattyly.allow('prepared', $1);
CREATE FUNCTION prepared(key text, calls int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	passed boolean;
	n bigint := 0;
BEGIN
	FOR i IN 1 .. calls LOOP
		EXECUTE format('EXECUTE hit(%L)', key) INTO passed;
		n := n + passed::int;
	END LOOP;
	RETURN n;
END
$$;
SELECT pattyly.set_limit('prepared', 3, '1 hour', 'fixed_window');
SET plan_cache_mode = force_generic_plan;
SELECT is(prepared('generic', 10), 3::bigint, 'a generic plan calls each time');
SELECT pattyly.set_limit('prepared', 5, '1 hour', 'fixed_window');
SELECT is(prepared('generic', 10), 2::bigint, 'and sees a rule that has changed');
SET plan_cache_mode = force_custom_plan;
SELECT is(prepared('custom', 10), 5::bigint, 'a custom plan calls each time');
RESET plan_cache_mode;
SELECT pattyly.drop_limit('prepared');
SELECT throws_ok('EXECUTE hit(''x'')', '42704', NULL, 'and sees a rule that is gone');

-- A pooler hands the session on.
SELECT tests.at(NULL);
SELECT pattyly.check_limit('l', 'pooled', 3);
DISCARD PLANS;
DISCARD SEQUENCES;
RESET ALL;
SELECT is(used('pooled'), 3::bigint, 'what was counted is still counted after DISCARD');
SELECT is(current_setting('pattyly.frozen_clock'), '', 'and the clock runs');

-- The planner neither runs it nor folds it, and not once a row too many.
EXPLAIN SELECT pattyly.allow('l', 'explained') FROM generate_series(1, 10);
SELECT is(used('explained'), 0::bigint, 'EXPLAIN does not count');
SELECT count(*) FROM generate_series(1, 10) WHERE pattyly.allow('l', 'rows');
SELECT is(used('rows'), 10::bigint, 'once a row');
SELECT count(*) FROM generate_series(1, 10) WHERE (SELECT pattyly.allow('l', 'once'));
SELECT is(used('once'), 1::bigint, 'once a statement, in a subselect');

-- A parallel plan stays parallel around it, and counts in the leader.
CREATE TABLE big AS SELECT i FROM generate_series(1, 100000) AS i;
ANALYZE big;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT matches(tests.plan_of('SELECT count(*) FROM big WHERE i % 2 = 0 AND (SELECT pattyly.allow(''l'', ''parallel''))'),
	'Gather', 'a plan with a check is parallel');
SELECT is((SELECT count(*) FROM big WHERE i % 2 = 0 AND (SELECT pattyly.allow('l', 'parallel'))), 50000::bigint,
	'and gives what it should');
SELECT is(used('parallel'), 1::bigint, 'it counted once');

-- What the catalogue says of every function that counts.
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'pattyly'::regnamespace
	AND proname IN ('allow', 'check_limit', 'check_limits', 'enforce_limit', 'peek_limit', 'refund_limit',
		'reset_limit', 'block_key', 'unblock_key', 'pre_request', 'limit_headers')
	AND (provolatile <> 'v' OR proparallel <> 'r' OR proisstrict OR proleakproof OR prosecdef)$$,
	'VOLATILE, PARALLEL RESTRICTED, not STRICT, not LEAKPROOF, SECURITY INVOKER');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'pattyly'::regnamespace AND proleakproof$$,
	'nothing is LEAKPROOF');

---- Row level security -----------------------------------------------------------------------------------------------

SET max_parallel_workers_per_gather = 0;
SELECT pattyly.grant_api();
CREATE TABLE guarded AS SELECT i FROM generate_series(1, 20) AS i;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY limited ON guarded FOR SELECT TO service_role USING ((SELECT pattyly.allow('one', 'rls')));
GRANT SELECT ON guarded TO service_role;
ALTER ROLE service_role NOBYPASSRLS;
SET ROLE service_role;
SELECT is((SELECT count(*) FROM guarded), 20::bigint, 'in a policy: once a statement, and lets pass');
SELECT is((SELECT count(*) FROM guarded), 0::bigint, 'and then refuses');
RESET ROLE;
ALTER ROLE service_role BYPASSRLS;

SELECT * FROM finish();
