-- test/vectors/partitions.json, with real tables: the names, the bounds, and what goes.
SELECT no_plan();
SET client_min_messages = error;
SET timezone = 'UTC';

CREATE TABLE vectors AS
SELECT v.set, v.ordinality AS place, coalesce(v.set ->> 'kind', 'timestamptz') AS kind
FROM jsonb_array_elements(tests.vectors('test/vectors/partitions.json') -> 'sets') WITH ORDINALITY AS v (set, ordinality);

-- The table of a set in a schema of its own; the clock stands where the set starts.
CREATE FUNCTION make_set(v vectors) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	type text := CASE v.kind WHEN 'id' THEN 'bigint' WHEN 'epoch_s' THEN 'bigint' WHEN 'epoch_ms' THEN 'bigint'
		WHEN 'uuidv7' THEN 'uuid' ELSE v.kind END;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', v.set ->> 'id');
	EXECUTE format('CREATE TABLE %I.%I (k %s NOT NULL) PARTITION BY RANGE (k)', v.set ->> 'id', v.set ->> 'parent', type);
	IF v.kind <> 'id' THEN
		PERFORM set_config('pattyly.frozen_clock', ((v.set ->> 'start')::timestamp AT TIME ZONE coalesce(v.set ->> 'timezone', 'UTC'))::text, false);
	END IF;
	PERFORM pattyly.partition_table(format('%I.%I', v.set ->> 'id', v.set ->> 'parent')::regclass, 'k', v.set ->> 'every',
		premake => jsonb_array_length(v.set -> 'partitions') - 1, timezone => coalesce(v.set ->> 'timezone', 'UTC'),
		start => v.set ->> 'start', encoding => CASE WHEN v.kind IN ('epoch_s', 'epoch_ms', 'uuidv7') THEN v.kind END);
END
$$;
SELECT make_set(v) FROM vectors AS v ORDER BY place;

CREATE FUNCTION is_value(kind text, value text, expected jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT CASE kind WHEN 'timestamptz' THEN value::timestamptz = (expected #>> '{}')::timestamptz
		WHEN 'timestamp' THEN value::timestamp = (expected #>> '{}')::timestamp
		WHEN 'date' THEN value::date = (expected #>> '{}')::date
		ELSE value = expected #>> '{}' END
$$;

SELECT is(ARRAY(SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
				WHERE i.inhparent = format('%I.%I', v.set ->> 'id', v.set ->> 'parent')::regclass ORDER BY c.relname),
		  ARRAY(SELECT p ->> 'name' FROM jsonb_array_elements(v.set -> 'partitions') AS p ORDER BY p ->> 'name'),
		  format('%s: names', v.set ->> 'id'))
FROM vectors AS v ORDER BY place;

SELECT ok((SELECT is_value(v.kind, b.from_value, p -> 'from') AND is_value(v.kind, b.to_value, p -> 'to')
		   FROM pg_class AS c, pattyly.partition_bound(c.relpartbound) AS b
		   WHERE c.oid = format('%I.%I', v.set ->> 'id', p ->> 'name')::regclass), format('%s: bounds of %s', v.set ->> 'id', p ->> 'name'))
FROM vectors AS v, jsonb_array_elements(v.set -> 'partitions') AS p ORDER BY place, p ->> 'name';

-- What goes, without what is made by then.
CREATE FUNCTION goes(r jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
	UPDATE pattyly.partition_sets SET retain = r ->> 'retain', on_expire = 'drop' WHERE parent = format('%I.t', r ->> 'set')::regclass;
	PERFORM set_config('pattyly.frozen_clock', r ->> 'now', false);
	RETURN ARRAY(SELECT partition FROM pattyly.partition_plan(format('%I.t', r ->> 'set')::regclass) WHERE action = 'drop');
END
$$;
SELECT is(goes(r), ARRAY(SELECT jsonb_array_elements_text(r -> 'goes')), format('%s: what goes', r ->> 'id'))
FROM jsonb_array_elements(tests.vectors('test/vectors/partitions.json') -> 'retention') AS r;

SELECT * FROM finish();
