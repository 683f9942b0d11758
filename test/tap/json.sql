-- request.headers is picked apart in the text, without the copies that PostgreSQL's own json parser would make
-- (core/jsonpick.c): whatever is around, the value must be the one that json ->> finds.
SELECT plan(41);
SET pattyly.trusted_proxies = 1;

CREATE FUNCTION picked(headers text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('request.headers', headers, false);
	RETURN coalesce(host(pattyly.client_ip()), 'null');
END
$$;

CREATE FUNCTION by_sql(headers text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	address inet;
BEGIN
	address := btrim(headers::json ->> 'x-forwarded-for', E' \t');
	RETURN coalesce(host(address), 'null');
EXCEPTION WHEN invalid_text_representation THEN
	RETURN 'null';
END
$$;

SELECT is(picked(h), by_sql(h), left(h, 70))                                                                     -- 33
FROM unnest(ARRAY[
	'{"x-forwarded-for":"192.0.2.1"}',
	'{ "x-forwarded-for" : "192.0.2.1" }',
	E'\n\t{\n"x-forwarded-for"\n:\r\n"192.0.2.1"\n}\n',
	'{"a":"b","x-forwarded-for":"192.0.2.1","c":"d"}',
	'{"a":{"x-forwarded-for":"192.0.2.9"},"x-forwarded-for":"192.0.2.1"}',
	'{"x-forwarded-for":"192.0.2.1","a":{"x-forwarded-for":"192.0.2.9"}}',
	'{"a":["x-forwarded-for","192.0.2.9",{"x-forwarded-for":"192.0.2.9"}],"x-forwarded-for":"192.0.2.1"}',
	'{"x-forwarded-for":"192.0.2.9","x-forwarded-for":"192.0.2.1"}',
	'{"x-forwarded-for":{"x-forwarded-for":"192.0.2.9"}}',
	'{"x-forwarded-for":["192.0.2.9"]}',
	'{"x-forwarded-for":null}',
	'{"x-forwarded-for":true}',
	'{"x-forwarded-for":192}',
	'{"x-forwarded-for":""}',
	'{}',
	'{"a":"\"x-forwarded-for\":\"192.0.2.9\"","x-forwarded-for":"192.0.2.1"}',
	'{"x-forwarded-for":"192.0.2.1","a":"\",\"x-forwarded-for\":\"192.0.2.9\""}',
	'{"a":"\\","x-forwarded-for":"192.0.2.1"}',
	'{"a\\":"x","x-forwarded-for":"192.0.2.1"}',
	'{"a\"":"x","x-forwarded-for":"192.0.2.1"}',
	'{"\"x-forwarded-for":"192.0.2.9","x-forwarded-for":"192.0.2.1"}',
	'{"x-forwarded-for\"":"192.0.2.9","x-forwarded-for":"192.0.2.1"}',
	'{"\\x-forwarded-for":"192.0.2.9","x-forwarded-for":"192.0.2.1"}',
	'{"\u0078-forwarded-for":"192.0.2.1"}',
	'{"x\u002dforwarded-for":"192.0.2.1","a":"b"}',
	'{"x-forwarded-for":"192.0.2\u002e1"}',
	'{"x-forwarded-for":"192.0.2.1\u0020"}',
	'{"x-forwarded-for":"\t192.0.2.1"}',
	'{"x-forwarded-for":"192.0.2.1\"}"}',
	'{"x-forwarded-for":"192.0.2.9","\u0078-forwarded-for":"192.0.2.1"}',
	'{"\u0078-forwarded-for":"192.0.2.9","x-forwarded-for":"192.0.2.1"}',
	'{"é":"à\u00e9","x-forwarded-for":"192.0.2.1"}',
	'{"a":"' || repeat('x\\', 5000) || '","x-forwarded-for":"192.0.2.1"}'
]) AS h;

SELECT throws_ok(format('SELECT picked(%L)', h), '22P02', NULL, 'no JSON object: ' || left(h, 40))               -- 7
FROM unnest(ARRAY['[]', '"x-forwarded-for"', '1', '{', '{"x-forwarded-for"}', '{"x-forwarded-for":"192.0.2.1"',
	'{"x-forwarded-for":"192.0.2.1"} x']) AS h;
SELECT is(picked('{"X-Forwarded-For":"192.0.2.1"}'), '192.0.2.1', 'case does not matter in the name of a header');
SELECT * FROM finish();
