-- pattyly.ip_list: networks that always pass and networks that never do.
SELECT plan(57);
SELECT tests.at('0');
SELECT pattyly.set_limit('a', 3, '1 min', 'fixed_window');
SELECT pattyly.set_limit('b', 3, '1 min', 'fixed_window');

-- What the list says about a key: allow, deny, or count.
CREATE FUNCTION ruled(limit_name text, key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r pattyly.limit_result;
	before bigint := (pattyly.peek_limit(limit_name, key)).remaining;
BEGIN
	r := pattyly.check_limit(limit_name, key);
	IF NOT r.allowed THEN RETURN CASE r.reason WHEN 'denied' THEN 'deny' ELSE r.reason END; END IF;
	RETURN CASE WHEN before = r.remaining THEN 'allow' ELSE 'count' END;
END
$$;

---- Allow and deny ---------------------------------------------------------------------------------------------------

INSERT INTO pattyly.ip_list (network, action) VALUES ('198.51.100.0/24', 'deny'), ('192.0.2.0/24', 'allow');
SELECT is(tests.said(pattyly.check_limit('a', '198.51.100.7')), 'no, 0 of 3 left, full in 00:00:00: denied',
	'denied: nothing left, and never');
SELECT is(tests.said(pattyly.peek_limit('a', '198.51.100.7')), 'no, 0 of 3 left, full in 00:00:00: denied',
	'a look says so');
SELECT ok(NOT pattyly.allow('a', '198.51.100.7'), 'allow() says so');
SELECT is((pattyly.check_limits('{a,b}', '198.51.100.7')).reason, 'denied', 'check_limits says so');
SELECT is((pattyly.check_limit('198.51.100.7', 3, interval '1 min')).reason, 'denied',
	'a limit without a rule as well: NULL is every limit');
SELECT throws_ok($$SELECT pattyly.enforce_limit('a', '198.51.100.7')$$, 'PT429', NULL, 'enforce_limit says so');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'a'), 0::bigint, 'no key was made for it');
SELECT is(tests.passed('a', '192.0.2.7', 100), 100::bigint, 'allowed: any number of times');
SELECT is(tests.said(pattyly.check_limit('a', '192.0.2.7', 2000)), 'yes, 3 of 3 left, full in 00:00:00', 'at any cost');
SELECT is((SELECT keys FROM pattyly.limit_stats WHERE limit_name = 'a'), 0::bigint, 'no key was made for it either');
SELECT is(ruled('a', '203.0.113.7'), 'count', 'others are counted');
SELECT is(ruled('a', '198.51.101.0') || ' ' || ruled('a', '198.51.99.255'), 'count count',
	'just outside of the network');
SELECT is(ruled('a', '198.51.100.0') || ' ' || ruled('a', '198.51.100.255'), 'deny deny', 'just inside');

---- Which keys are addresses -----------------------------------------------------------------------------------------

INSERT INTO pattyly.ip_list (network, action) VALUES ('2001:db8:bad::/48', 'deny');
SELECT is(ruled('a', key), said, 'the key ' || key)
FROM (VALUES
	('::ffff:198.51.100.7', 'deny'),
	('::FFFF:C633:6407', 'deny'),
	('2001:db8:bad::1', 'deny'),
	('2001:DB8:BAD:0:0:0:0:1', 'deny'),
	('2001:db8:bad:ffff::', 'deny'),
	('2001:db8:bae::', 'count'),
	('2001:db8:bad:ff00::/56', 'deny'),
	('user 198.51.100.7', 'count'),
	('198.51.100.7.example.org', 'count'),
	('198.51.100', 'count'),
	('alice', 'count')
) AS v(key, said);                                                                                              -- 11
-- What client_key() makes of an address is what the server's own calls pass.
SELECT is(ruled('a', pattyly.client_key('2001:db8:bad:1::1')), 'deny', 'the client_key of a denied IPv6 address');
SELECT is(ruled('a', pattyly.client_key('::ffff:198.51.100.7')), 'deny', 'the client_key of a denied IPv4 address');

---- The most specific wins -------------------------------------------------------------------------------------------

TRUNCATE pattyly.ip_list;
SELECT is(ruled('a', '198.51.100.9'), 'count', 'TRUNCATE takes effect');
INSERT INTO pattyly.ip_list (network, action) VALUES
	('0.0.0.0/0', 'deny'), ('10.0.0.0/8', 'allow'), ('10.1.0.0/16', 'deny'), ('10.1.1.0/24', 'allow'),
		('10.1.1.1', 'deny');
SELECT is(ruled('a', key), said, format('five networks in each other: %s', key))
FROM (VALUES ('11.0.0.1', 'deny'), ('10.2.0.1', 'allow'), ('10.1.2.1', 'deny'), ('10.1.1.2', 'allow'),
	('10.1.1.1', 'deny'),
	('::ffff:10.1.1.2', 'allow'), ('2001:db8::1', 'count')) AS v(key, said);                                       -- 7
DELETE FROM pattyly.ip_list WHERE network = '10.1.1.0/24';
SELECT is(ruled('a', '10.1.1.2'), 'deny', 'without one of them the next counts');
UPDATE pattyly.ip_list SET action = 'allow' WHERE network = '10.1.0.0/16';
SELECT is(ruled('a', '10.1.1.2'), 'allow', 'UPDATE takes effect');

---- For one limit ----------------------------------------------------------------------------------------------------

TRUNCATE pattyly.ip_list;
INSERT INTO pattyly.ip_list (network, action, limit_name) VALUES
	('10.0.0.0/8', 'deny', NULL), ('10.0.0.0/8', 'allow', 'a'), ('10.1.0.0/16', 'deny', 'a'),
		('10.2.0.0/16', 'allow', NULL), ('11.0.0.0/8', 'deny', 'b');
SELECT is(ruled('a', '10.9.0.1') || ' ' || ruled('b', '10.9.0.1'), 'allow deny',
	'of one network the row that names the limit');
SELECT is(ruled('a', '10.1.0.1') || ' ' || ruled('b', '10.1.0.1'), 'deny deny', 'a narrower network for one limit');
SELECT is(ruled('a', '10.2.0.1') || ' ' || ruled('b', '10.2.0.1'), 'allow allow',
	'a narrower network for all goes before a wider one for the limit');
SELECT is(ruled('a', '11.0.0.1') || ' ' || ruled('b', '11.0.0.1'), 'count deny', 'one limit only');
SELECT is((pattyly.check_limit('11.0.0.1', 3, interval '1 min')).allowed, true,
	'a limit without a rule is not that one');

---- Expiry -----------------------------------------------------------------------------------------------------------

TRUNCATE pattyly.ip_list;
INSERT INTO pattyly.ip_list (network, action, expires_at) VALUES
	('12.0.0.0/8', 'deny', '2030-01-01 00:10+00'), ('12.1.0.0/16', 'allow', '2030-01-01 00:05+00'),
		('13.0.0.0/8', 'deny', 'infinity'),
	('14.0.0.0/8', 'deny', '-infinity');
SELECT is(ruled('a', '12.1.0.1'), 'allow', 'until it expires');
SELECT tests.at('4 min 59.999999 s');
SELECT is(ruled('a', '12.1.0.1'), 'allow', 'to the microsecond');
SELECT tests.at('5 min');
SELECT is(ruled('a', '12.1.0.1'), 'deny', 'then the wider network counts');
SELECT tests.at('10 min');
SELECT is(ruled('a', '12.1.0.1'), 'count', 'until that expires');
INSERT INTO pattyly.ip_list (network, action, expires_at) VALUES
	('12.2.0.1', 'deny', '294246-12-31 23:00:00+00'), ('12.2.0.2', 'deny', '294276-12-31 23:59:59+00'),
	('12.2.0.3', 'deny', 'infinity'), ('12.2.0.4', 'deny', '-infinity'), ('12.2.0.5', 'deny', '4713-01-01 00:00:00+00 BC');
SELECT is((SELECT string_agg(ruled('a', '12.2.0.' || n), ' ' ORDER BY n) FROM generate_series(1, 5) n),
	'deny deny deny count count', 'the last times that there are, and the first');
SELECT is(ruled('a', '13.0.0.1'), 'deny', 'infinity does not');
SELECT is(ruled('a', '14.0.0.1'), 'count', '-infinity has');

---- In a transaction -------------------------------------------------------------------------------------------------

BEGIN;
INSERT INTO pattyly.ip_list (network, action) VALUES ('15.0.0.1', 'deny');
SELECT is(ruled('a', '15.0.0.1'), 'deny', 'a row made in this transaction is seen in it');
SAVEPOINT s;
DELETE FROM pattyly.ip_list;
SELECT is(ruled('a', '15.0.0.1'), 'count', 'and one that is deleted is not');
ROLLBACK TO s;
SELECT is(ruled('a', '15.0.0.1'), 'deny', 'until it is rolled back');
ROLLBACK;
SELECT is(ruled('a', '15.0.0.1'), 'count', 'ROLLBACK takes it away');

---- Blocks, refunds --------------------------------------------------------------------------------------------------

SELECT pattyly.set_limit('c', 1, '1 min', 'fixed_window');
SELECT tests.passed('c', '16.0.0.1', 5);
INSERT INTO pattyly.ip_list (network, action) VALUES ('16.0.0.1', 'allow');
SELECT is(ruled('c', '16.0.0.1'), 'allow', 'allowed although its units are used');
SELECT pattyly.block_key('c', '16.0.0.1', '1 hour');
SELECT is(ruled('c', '16.0.0.1'), 'allow', 'allowed although it is blocked');
DELETE FROM pattyly.ip_list WHERE network = '16.0.0.1';
SELECT is(ruled('c', '16.0.0.1'), 'blocked', 'and blocked again without the row');

---- A long list, against SQL's own operators -------------------------------------------------------------------------

TRUNCATE pattyly.ip_list;
SELECT pattyly.set_limit('many', 1000000, '1 min', 'fixed_window');
INSERT INTO pattyly.ip_list (network, action)
SELECT DISTINCT ON (network) network, CASE WHEN i % 3 = 0 THEN 'allow' ELSE 'deny' END
FROM (SELECT i, network(set_masklen(('10.' || (i * 7 % 16) || '.' || (i * 31 % 256) || '.' || (i * 57 % 256))::inet,
	8 + i % 25))::cidr AS network
	FROM generate_series(1, 3000) AS i) AS g
ORDER BY network, i;
SELECT cmp_ok((SELECT count(*) FROM pattyly.ip_list), '>', 1500::bigint, 'a long list');
SELECT is_empty($$
	SELECT * FROM (
		SELECT address,
			coalesce((SELECT l.action FROM pattyly.ip_list AS l WHERE l.network >>= address::inet
				ORDER BY masklen(l.network) DESC LIMIT 1), 'count') AS expected,
			ruled('many', address) AS said
		FROM (SELECT '10.' || (i * 5 % 18) || '.' || (i * 13 % 256) || '.' || (i * 91 % 256) AS address
			FROM generate_series(1, 3000) AS i) AS a
	) AS compared
	WHERE said <> expected$$,
	'3000 addresses are ruled as SQL would');

SELECT * FROM finish();
