-- Columns of smaller integers than the keys: the index that stands over them serves has_access().
SELECT plan(21);

SET client_min_messages = warning;
SET enable_seqscan = off;
DO $$ BEGIN PERFORM pattyly.grant_api(); END $$;
CREATE TABLE members (who uuid NOT NULL, team integer NOT NULL);
CREATE INDEX ON members (who, team);
INSERT INTO members VALUES ('00000000-0000-0000-0000-00000000000a', 7), ('00000000-0000-0000-0000-00000000000a', -32768),
	('00000000-0000-0000-0000-00000000000a', 70000), ('00000000-0000-0000-0000-00000000000b', 8);
SELECT pattyly.define_relation('team', 'members', 'who', 'team');

DO $$
DECLARE
	type text;
BEGIN
	FOREACH type IN ARRAY ARRAY['smallint', 'integer', 'bigint'] LOOP
		EXECUTE format('CREATE TABLE rows_%1$s (team %1$s)', type);
		EXECUTE format('INSERT INTO rows_%s SELECT i FROM generate_series(-32768, 32767) AS s(i) UNION ALL SELECT NULL', type);
		EXECUTE format('CREATE INDEX ON rows_%s (team)', type);
		EXECUTE format('ALTER TABLE rows_%s ENABLE ROW LEVEL SECURITY', type);
		EXECUTE format('CREATE POLICY team ON rows_%s TO authenticated USING (pattyly.has_access(''team'', team))', type);
		EXECUTE format('GRANT SELECT ON rows_%s TO authenticated', type);
	END LOOP;
END
$$;
ANALYZE;

SELECT tests.act_as('authenticated', '{"sub": "00000000-0000-0000-0000-00000000000a"}') \g /dev/null
SELECT matches(tests.plan_of('SELECT * FROM rows_' || t), 'Index Cond: \(team = ANY \(pattyly\.accessible_ids', t || ': the index drives the scan')
FROM unnest(ARRAY['smallint', 'integer', 'bigint']) AS t;
SELECT results_eq(format('SELECT team::bigint FROM rows_%s ORDER BY team', t), ARRAY[-32768, 7]::bigint[], t || ': the rows of the caller')
FROM unnest(ARRAY['smallint', 'integer', 'bigint']) AS t;
SELECT matches(tests.plan_of(format('SELECT * FROM rows_%s WHERE team = 7', t)), 'Index Cond: \(team = .*7', t || ': a row that is named is looked up')
FROM unnest(ARRAY['smallint', 'integer', 'bigint']) AS t;
SELECT doesnt_match(tests.plan_of(format('SELECT * FROM rows_%s WHERE team = 7', t)), 'accessible_ids', t || ': and the others are not fetched')
FROM unnest(ARRAY['smallint', 'integer', 'bigint']) AS t;

SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
SELECT results_eq(format('SELECT team::bigint FROM rows_%s ORDER BY team', t), ARRAY[-32768, 7]::bigint[], t || ': the same row by row')
FROM unnest(ARRAY['smallint', 'integer', 'bigint']) AS t;

SELECT ok(pattyly.has_access('team', 7), 'a plain number is an integer');
SELECT ok(pattyly.has_access('team', 7::smallint), 'a smallint is no question of which function is meant');
SELECT ok(NOT pattyly.has_access('team', 8), 'somebody else''s');
SELECT ok(pattyly.has_access('team', (-32768)::smallint), 'the smallest keeps its sign');
SELECT ok(NOT pattyly.has_access('team', 7 - 32768 * 2), 'nothing is cut off');
SELECT is(pattyly.has_access('team', NULL::integer) OR pattyly.has_access('team', NULL::smallint), false, 'null is nobody''s');
SELECT finish();
