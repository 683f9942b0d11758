-- Who is calling: client_ip() from request.headers, as far as trusted proxies vouch for it, and client_key() of it.
-- What a client writes into the header himself must never be believed.
SELECT plan(113);

-- The address that a header leads to; '-' when it cannot be told; the SQLSTATE of an error.
CREATE FUNCTION seen(headers text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('request.headers', headers, false);
	RETURN coalesce(host(pattyly.client_ip()), '-');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE FUNCTION forwarded(hops text) RETURNS text LANGUAGE sql AS $$
	SELECT seen(jsonb_build_object('host', 'example.org', 'x-forwarded-for', hops)::text)
$$;

---- Without PostgREST, and without a proxy ---------------------------------------------------------------------------

SET pattyly.trusted_proxies = 1;
SELECT is(current_setting('request.headers', true), NULL, 'a new session has no request.headers');
SELECT is(pattyly.client_ip(), NULL, 'nobody can be told');
RESET pattyly.trusted_proxies;

---- No proxy is trusted by default -----------------------------------------------------------------------------------

SELECT is(current_setting('pattyly.trusted_proxies'), '0', 'the default trusts no proxy');
SELECT is(current_setting('pattyly.client_ip_header'), 'x-forwarded-for', 'the default header');
SELECT is(forwarded('203.0.113.9'), coalesce(host(inet_client_addr()), '-'),
	'then the header is not read: the connection counts');
SELECT is(forwarded('203.0.113.9, 198.51.100.1'), coalesce(host(inet_client_addr()), '-'), 'however many hops it has');
SET pattyly.trusted_proxies = '';
SELECT is(forwarded('203.0.113.9'), coalesce(host(inet_client_addr()), '-'), 'nothing is the same as 0');

---- So many hops from the right --------------------------------------------------------------------------------------

SET pattyly.trusted_proxies = 1;
SELECT is(forwarded(hops), said, format('1 proxy, "%s"', hops))
FROM (VALUES
	('203.0.113.9', '203.0.113.9'),
	('1.1.1.1, 203.0.113.9', '203.0.113.9'),
	('1.1.1.1,203.0.113.9', '203.0.113.9'),
	('unknown, 203.0.113.9', '203.0.113.9'),
	('a, b, "c", <script>, 203.0.113.9', '203.0.113.9'),
	(E' 1.1.1.1\t,\t203.0.113.9\t ', '203.0.113.9'),
	('unknown', '-'),
	('1.1.1.1, unknown', '-'),
	('1.1.1.1, _hidden', '-'),
	('', '-'),
	('   ', '-'),
	(',', '-'),
	('1.1.1.1,', '-'),
	('1.1.1.1 203.0.113.9', '-'),
	('1.1.1.1; 203.0.113.9', '-'),
	('203.0.113', '-'),
	('203.0.113.256', '-'),
	('203.0.113.9.9', '-'),
	('203.0.113.0/24', '-'),
	('0xcb007109', '-'),
	('203.0.113.9:4711', '203.0.113.9'),
	('203.0.113.9:', '-'),
	('203.0.113.9:x', '-'),
	('[2001:db8::9]:443', '2001:db8::9'),
	('[2001:db8::9]', '2001:db8::9'),
	('2001:db8::9', '2001:db8::9'),
	('2001:DB8:0:0:0:0:0:9', '2001:db8::9'),
	('[2001:db8::9', '-'),
	('2001:db8::9]', '-'),
	('[2001:db8::9]x', '-'),
	('[2001:db8::9]:', '-'),
	('2001:db8::9::1', '-'),
	('::ffff:203.0.113.9', '203.0.113.9'),
	('::FFFF:cb00:7109', '203.0.113.9'),
	('[::ffff:203.0.113.9]:443', '203.0.113.9'),
	('::203.0.113.9', '::203.0.113.9')
) AS v(hops, said);                                                                                             -- 36
SELECT is(forwarded(string_agg('10.0.' || i || '.1', ', ' ORDER BY i) || ', 203.0.113.9'), '203.0.113.9', '200 hops')
FROM generate_series(1, 200) AS i;
SELECT is(forwarded(repeat('1', 100000) || ', 203.0.113.9'), '203.0.113.9', 'a hop of 100 kB');
SELECT is(forwarded(repeat('1', 100000)), '-', 'and nothing else');

SELECT forwarded('203.0.113.9');
SELECT is(pattyly.client_ip(), '203.0.113.9/32'::inet, 'one address, not a network');
SELECT forwarded('2001:db8::9');
SELECT is(pattyly.client_ip(), '2001:db8::9/128'::inet, 'of IPv6 neither: masking is client_key()''s');

SET pattyly.trusted_proxies = 2;
SELECT is(forwarded(hops), said, format('2 proxies, "%s"', hops))
FROM (VALUES
	('203.0.113.9, 10.0.0.1', '203.0.113.9'),
	('1.1.1.1, 203.0.113.9, 10.0.0.1', '203.0.113.9'),
	('203.0.113.9, unknown', '203.0.113.9'),
	('1.1.1.1, unknown, 10.0.0.1', '-'),
	('203.0.113.9', '-')
) AS v(hops, said);                                                                                             -- 5
SET pattyly.trusted_proxies = 100;
SELECT is(forwarded(string_agg('10.0.' || i || '.1', ', ' ORDER BY i)), '10.0.101.1', '100 proxies of 200')
FROM generate_series(1, 200) AS i;

---- Networks ---------------------------------------------------------------------------------------------------------

-- From the right, the first that is no proxy of ours.
SET pattyly.trusted_proxies = '10.0.0.0/8, 2001:db8:ffff::/48,192.168.1.1';
SELECT is(forwarded(hops), said, format('networks, "%s"', hops))
FROM (VALUES
	('203.0.113.9', '203.0.113.9'),
	('203.0.113.9, 10.1.2.3', '203.0.113.9'),
	('1.1.1.1, 203.0.113.9, 10.1.2.3, 2001:db8:ffff::5, 192.168.1.1', '203.0.113.9'),
	('10.66.66.66, 203.0.113.9, 10.1.2.3', '203.0.113.9'),
	('203.0.113.9, ::ffff:10.1.2.3', '203.0.113.9'),
	('203.0.113.9, 10.1.2.3:8080', '203.0.113.9'),
	('203.0.113.9, 192.168.1.2', '192.168.1.2'),
	('203.0.113.9, 11.0.0.1', '11.0.0.1'),
	('2001:db8::9, [2001:db8:ffff::5]:80', '2001:db8::9'),
	('unknown, 203.0.113.9, 10.1.2.3', '203.0.113.9'),
	('203.0.113.9, unknown, 10.1.2.3', '-'),
	('203.0.113.9, unknown', '-'),
	('', '-')
) AS v(hops, said);                                                                                             -- 13
-- All are ours: the farthest is who asked, for instance a health check.
SELECT is(forwarded('10.9.9.9, 10.1.2.3'), '10.9.9.9', 'networks, all hops trusted');
SELECT is(forwarded('203.0.113.9, ' || string_agg('10.0.' || i || '.1', ', ')), '203.0.113.9', 'networks, 200 proxies')
FROM generate_series(1, 200) AS i;
SET pattyly.trusted_proxies = '10.1.2.3/8';
SELECT is(forwarded('203.0.113.9, 10.200.0.1'), '203.0.113.9', 'a network may be written with an address in it');
SET pattyly.trusted_proxies = '0.0.0.0/0';
SELECT is(forwarded('203.0.113.9, 10.1.2.3, 2001:db8::1'), '2001:db8::1', 'all of IPv4 is not IPv6');

---- Other headers ----------------------------------------------------------------------------------------------------

SET pattyly.trusted_proxies = 1;
SET pattyly.client_ip_header = 'CF-Connecting-IP';
SELECT is(seen('{"x-forwarded-for": "1.1.1.1", "cf-connecting-ip": "203.0.113.9"}'), '203.0.113.9',
	'another header, its name in any case');
SELECT is(seen('{"x-forwarded-for": "1.1.1.1"}'), '-', 'which is missing: not told from the others');
RESET pattyly.client_ip_header;

---- What stands in request.headers -----------------------------------------------------------------------------------

SELECT is(seen(headers), said, format('request.headers is %s', headers))
FROM (VALUES
	('', '-'),
	('{}', '-'),
	('{"x-forwarded-for": null}', '-'),
	('{"x-forwarded-for": 5}', '-'),
	('{"x-forwarded-for": true}', '-'),
	('{"x-forwarded-for": ["203.0.113.9"]}', '-'),
	('{"x-forwarded-for": {"x-forwarded-for": "203.0.113.9"}}', '-'),
	('{"a": {"x-forwarded-for": "1.1.1.1"}, "x-forwarded-for": "203.0.113.9"}', '203.0.113.9'),
	('{"a": [{"x-forwarded-for": "1.1.1.1"}], "x-forwarded-for": "203.0.113.9", "z": {"x-forwarded-for": "1.1.1.1"}}',
		'203.0.113.9'),
	('{"a": "x-forwarded-for", "x-forwarded-for": "203.0.113.9"}', '203.0.113.9'),
	('{"a": "\"x-forwarded-for\": \"1.1.1.1\"", "x-forwarded-for": "203.0.113.9"}', '203.0.113.9'),
	('{"x-forwarded-for": "203.0.113.\u0039"}', '203.0.113.9'),
	('{"\u0078-forwarded-for": "203.0.113.9"}', '203.0.113.9'),
	(' { "x-forwarded-for" : "203.0.113.9" } ', '203.0.113.9')
) AS v(headers, said);                                                                                          -- 14
-- PostgREST cannot send these; whoever does gets an error and no address.
SELECT is(seen(headers), '22P02', format('request.headers is no JSON object: %s', headers))                       -- 8
FROM unnest(ARRAY['{', '[]', 'null', '"x-forwarded-for"', '203.0.113.9', '{"x-forwarded-for": "203.0.113.9"',
	'{"x-forwarded-for": "203.0.113.9"}}', '{"x-forwarded-for": "203.0.113.9", }']) AS headers;
SELECT is(seen('{"x-forwarded-for": "203.0.113.9", "a": ' || repeat('[', 100000)), '54001', 'nested without end');
SELECT matches((SELECT hint
	FROM tests.outcome('SELECT set_config(''request.headers'', ''{'', false), pattyly.client_ip()')), '^[A-Z].*[.]$',
	'the error has a hint');
SELECT set_config('request.headers', '', false);

---- client_key -------------------------------------------------------------------------------------------------------

SELECT is(pattyly.client_key(address::inet), key, 'client_key of ' || address)
FROM (VALUES
	('203.0.113.9', '203.0.113.9'),
	('203.0.113.9/24', '203.0.113.9'),
	('::ffff:203.0.113.9', '203.0.113.9'),
	('::ffff:203.0.113.9/120', '203.0.113.9'),
	('2001:db8:1:2:3:4:5:6', '2001:db8:1::/56'),
	('2001:db8:1:2:3:4:5:6/64', '2001:db8:1::/56'),
	('2001:db8:1:fe:3:4:5:6', '2001:db8:1::/56'),
	('2001:db8:1:1ff::', '2001:db8:1:100::/56'),
	('2001:db8:1:200::', '2001:db8:1:200::/56'),
	('::1', '::/56')
) AS v(address, key);                                                                                           -- 10
SELECT is(pattyly.client_key(NULL), NULL, 'client_key of NULL');
SET pattyly.ipv6_prefix = 64;
SELECT is(pattyly.client_key('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64', 'a prefix of 64');
SELECT is(pattyly.client_key('203.0.113.9'), '203.0.113.9', 'is not for IPv4');
SET pattyly.ipv6_prefix = 128;
SELECT is(pattyly.client_key('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2:3:4:5:6', 'a prefix of 128');
SET pattyly.ipv6_prefix = 33;
SELECT is(pattyly.client_key('2001:db8:ffff:2::'), '2001:db8:8000::/33', 'a prefix of 33');
SELECT is(pattyly.client_key('2001:db8:7fff:2::'), '2001:db8::/33', 'the other half');

SELECT * FROM finish();
