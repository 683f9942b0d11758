-- partitions: what the next run will do.

---- What is wanted ----

CREATE FUNCTION pattyly.partition_highest(parent regclass, control name) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child oid;
    highest bigint;
BEGIN
    FOR child IN
        SELECT k.id FROM pattyly.partition_children(parent) AS k
        WHERE NOT k.is_default AND NOT k.pending ORDER BY k.to_pos DESC NULLS FIRST
    LOOP
        highest := pattyly.partition_extreme(child, control, NULL, NULL, true);
        EXIT WHEN highest IS NOT NULL;
    END LOOP;
    RETURN highest;
END
$$;
COMMENT ON FUNCTION pattyly.partition_highest(regclass, name) IS
'The highest key in the partitions of a set, without the default one; NULL when they are empty. Writes nothing.';

CREATE FUNCTION pattyly.partition_name_use(schema oid, name name) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('the name is taken by %s', t.what)
    FROM (
        SELECT CASE c.relkind WHEN 'r' THEN 'a table' WHEN 'p' THEN 'a table' WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view'
               WHEN 'i' THEN 'an index' WHEN 'I' THEN 'an index' WHEN 'S' THEN 'a sequence' WHEN 'f' THEN 'a foreign table' ELSE 'a type' END
        FROM pg_class AS c WHERE c.relnamespace = schema AND c.relname = name
        UNION ALL
        SELECT 'a type' FROM pg_type AS y WHERE y.typnamespace = schema AND y.typname = name
    ) AS t (what)
    LIMIT 1
$$;
COMMENT ON FUNCTION pattyly.partition_name_use(oid, name) IS
'What else in a schema has a name that a table would get; NULL when nothing has. Writes nothing.';

CREATE FUNCTION pattyly.partition_wanted(s pattyly.partition_sets, key regtype, first bigint, last bigint, more integer, max_rows integer)
    RETURNS TABLE (action text, name name, from_value text, to_value text, reason text, how text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema oid;
    table_name name;
    kids CONSTANT pattyly.partition_child[] := ARRAY(SELECT k FROM pattyly.partition_children(s.parent) AS k);
    rest oid := (SELECT k.id FROM unnest(kids) AS k WHERE k.is_default);
    r record;
    other record;
BEGIN
    SELECT c.relnamespace, c.relname INTO schema, table_name FROM pg_class AS c WHERE c.oid = s.parent;
    FOR r IN
        SELECT g.*, pattyly.partition_name(table_name, g.suffix) AS name
        FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, first, last, more, max_rows) AS g
    LOOP
        action := 'create';
        name := r.name;
        from_value := r.from_value;
        to_value := r.to_value;
        reason := NULL;
        how := NULL;
        SELECT min(k.name) AS name,
               sum(least(coalesce(k.to_pos, 9223372036854775807), coalesce(r.to_pos, 9223372036854775807))::numeric
                   - greatest(coalesce(k.from_pos, -9223372036854775808), coalesce(r.from_pos, -9223372036854775808))) AS covered
        INTO other
        FROM unnest(kids) AS k
        WHERE NOT k.is_default AND NOT k.pending
            AND (k.from_pos IS NULL OR r.to_pos IS NULL OR k.from_pos < r.to_pos)
            AND (k.to_pos IS NULL OR r.from_pos IS NULL OR k.to_pos > r.from_pos);
        IF other.covered = coalesce(r.to_pos, 9223372036854775807)::numeric - coalesce(r.from_pos, -9223372036854775808) THEN
            CONTINUE;
        ELSIF other.name IS NOT NULL THEN
            action := 'skip';
            reason := format('partition %I holds a part of this range', other.name);
            how := 'overlap';
        ELSE
            reason := pattyly.partition_name_use(schema, r.name);
            IF reason IS NOT NULL THEN
                action := 'skip';
                how := 'name';
            ELSIF rest IS NOT NULL AND pattyly.partition_extreme(rest, s.control, r.from_pos, r.to_pos, false) IS NOT NULL THEN
                action := 'skip';
                how := 'default';
                reason := format('the default partition %s holds rows of this range', rest::regclass);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.partition_wanted(pattyly.partition_sets, regtype, bigint, bigint, integer, integer) IS
'The ranges from the one of a place to the one of another, and so many more, that no partition holds: to create, or to skip and why. Writes nothing.';

CREATE FUNCTION pattyly.partition_full_name(target oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = target
$$;
COMMENT ON FUNCTION pattyly.partition_full_name(oid) IS 'The name of a table with its schema, quoted. Writes nothing.';

CREATE FUNCTION pattyly.partition_actions(parent regclass, upto timestamptz)
    RETURNS TABLE (action text, partition text, from_value text, to_value text, reason text,
                   how text, parent_name text, partition_name text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s pattyly.partition_sets := (SELECT p FROM pattyly.partition_sets AS p WHERE p.parent = partition_actions.parent);
    key regtype;
    now_pos bigint;
    upto_pos bigint;
    cutoff bigint;
    rest oid;
    full_name text;
    unblocking boolean;
BEGIN
    IF s.parent IS NULL THEN
        RAISE EXCEPTION '% is no set of partitions', parent
            USING ERRCODE = 'undefined_object', HINT = 'Make it one: SELECT pattyly.partition_table(...).';
    END IF;
    key := pattyly.partition_key(s.parent, s.control);
    PERFORM pattyly.check_partition_owner(s.parent);
    now_pos := pattyly.partition_position(s.every, key, s.encoding, s.timezone, pattyly.clock_now());
    IF now_pos IS NULL THEN
        now_pos := coalesce(pattyly.partition_highest(s.parent, s.control),
                            (SELECT min(k.from_pos) FROM pattyly.partition_children(s.parent) AS k WHERE NOT k.pending), 0);
        upto_pos := now_pos;
    ELSE
        upto_pos := greatest(now_pos, pattyly.partition_position(s.every, key, s.encoding, s.timezone, upto));
    END IF;
    rest := (SELECT k.id FROM pattyly.partition_children(s.parent) AS k WHERE k.is_default AND NOT k.pending);

    full_name := pattyly.partition_full_name(s.parent);

    RETURN QUERY SELECT 'finalize', k.name::text, k.from_value, k.to_value, 'a detach was begun and not ended',
        NULL, full_name, pattyly.partition_full_name(k.id)
    FROM pattyly.partition_children(s.parent) AS k WHERE k.pending;

    -- What an earlier run, or the finalize before, has left to do.
    RETURN QUERY SELECT split_part(l.on_expire, ':', 1), c.relname::text, l.from_value, l.to_value, 'it has been detached for this',
        'afterwards', full_name, pattyly.partition_full_name(c.oid)
    FROM pattyly.leaving_partitions AS l JOIN pg_class AS c ON c.oid = l.partition
    WHERE l.parent = s.parent
        AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid AND NOT i.inhdetachpending)
    ORDER BY c.relname;

    RETURN QUERY SELECT 'close', k.name::text, k.from_value, k.to_value,
        CASE WHEN p.relrowsecurity THEN 'the table has row security and the partition, or a part of it, has not'
             ELSE 'API roles have privileges on the partition, or a part of it, that they have not on the table' END,
        NULL, full_name, pattyly.partition_full_name(k.id)
    FROM pattyly.partition_children(s.parent) AS k JOIN pg_class AS c ON c.oid = k.id JOIN pg_class AS p ON p.oid = s.parent
    WHERE NOT k.pending AND (
        -- Cheap for those that are as they were made.
        NOT c.relrowsecurity AND (p.relrowsecurity OR c.relacl IS NOT NULL
            OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.id AND a.attacl IS NOT NULL)) AND pattyly.is_partition_open(s.parent, k.id)
        -- It locks what it lists, so it is asked only where there is more than one.
        OR c.relkind = 'p' AND EXISTS (SELECT FROM pg_partition_tree(k.id) AS t WHERE pattyly.is_partition_open(s.parent, t.relid)))
    ORDER BY k.name;

    RETURN QUERY SELECT w.action, w.name::text, w.from_value, w.to_value, w.reason, w.how, full_name, NULL
    FROM pattyly.partition_wanted(s, key, now_pos, upto_pos, s.premake, 1001) AS w;

    IF rest IS NOT NULL AND pattyly.partition_extreme(rest, s.control, NULL, NULL, false) IS NOT NULL THEN
        RETURN QUERY SELECT 'report', c.relname::text, NULL, NULL,
            format('the default partition holds %s: CALL pattyly.drain_default(%L)',
                   CASE WHEN c.reltuples > 0 THEN format('about %s rows', c.reltuples::bigint) ELSE 'rows' END, s.parent), NULL, full_name, pattyly.partition_full_name(rest)
        FROM pg_class AS c WHERE c.oid = rest;
    END IF;

    IF s.retain IS NOT NULL THEN
        cutoff := pattyly.partition_before(s.every, key, s.encoding, s.timezone, upto_pos, s.retain);
        unblocking := rest IS NULL AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.confrelid = s.parent);
        RETURN QUERY
        SELECT split_part(s.on_expire, ':', 1), k.name::text, k.from_value, k.to_value,
               format('it ends at %s and %s are retained', k.to_value, s.retain),
               CASE WHEN unblocking THEN 'concurrently' ELSE 'plainly' END, full_name, pattyly.partition_full_name(k.id)
        FROM (SELECT c.*, row_number() OVER (ORDER BY c.to_pos DESC NULLS FIRST) AS place
              FROM pattyly.partition_children(s.parent) AS c WHERE NOT c.is_default AND NOT c.pending) AS k
        WHERE k.to_pos <= cutoff AND k.place > 1
        ORDER BY k.to_pos;
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.partition_actions(regclass, timestamptz) IS
'As partition_plan(), and how a partition is detached: concurrently, plainly, or afterwards when it is detached already; for maintain_partitions(). Writes nothing.';

CREATE FUNCTION pattyly.partition_plan(parent regclass, upto timestamptz DEFAULT NULL)
    RETURNS TABLE (action text, partition text, from_value text, to_value text, reason text)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.action, a.partition, a.from_value, a.to_value, a.reason FROM pattyly.partition_actions(parent, upto) AS a
$$;
COMMENT ON FUNCTION pattyly.partition_plan(regclass, timestamptz) IS
'What the next run of maintain_partitions() will do with a set, or all runs from now up to a time: finalize, close (row security as the table has it, no grants to API roles), create (at most 1001), detach, drop, archive; skip and report, which do nothing, say in reason what is in the way. Errors: 42704 no set, 42809 the table is not what it was, 42501 not the owner''s rights. Writes nothing.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.partition_highest(regclass, name),
    pattyly.partition_name_use(oid, name),
    pattyly.partition_wanted(pattyly.partition_sets, regtype, bigint, bigint, integer, integer),
    pattyly.partition_full_name(oid),
    pattyly.partition_actions(regclass, timestamptz),
    pattyly.partition_plan(regclass, timestamptz)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.partition_highest(regclass, name),
    pattyly.partition_name_use(oid, name),
    pattyly.partition_wanted(pattyly.partition_sets, regtype, bigint, bigint, integer, integer),
    pattyly.partition_full_name(oid),
    pattyly.partition_actions(regclass, timestamptz)
TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION
    pattyly.partition_plan(regclass, timestamptz)
TO @extowner@ WITH GRANT OPTION;
