-- partitions: the sets, the grid and what is there. C: grid.c, gridtext.c, gridfunctions.c, keyscan.c, asowner.c.

CREATE TABLE pattyly.partition_sets (
    parent       regclass PRIMARY KEY,
    control      name NOT NULL,
    every        text NOT NULL,
    premake      integer NOT NULL DEFAULT 4 CHECK (premake BETWEEN 0 AND 1000),
    retain       text,
    on_expire    text NOT NULL DEFAULT 'detach' CHECK (on_expire IN ('detach', 'drop') OR on_expire LIKE 'archive:_%'),
    timezone     text NOT NULL DEFAULT 'UTC',
    encoding     text CHECK (encoding IN ('epoch_s', 'epoch_ms', 'uuidv7')),
    last_run_at  timestamptz,
    last_outcome text CHECK (last_outcome IN ('ok', 'skipped_locked', 'failed')),
    last_detail  text
);
REVOKE ALL ON pattyly.partition_sets FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pattyly.partition_sets', '');
COMMENT ON TABLE pattyly.partition_sets IS
'The tables whose partitions maintain_partitions() keeps. Written by partition_table() and forget_partitions().';
COMMENT ON COLUMN pattyly.partition_sets.parent IS 'The partitioned table; a number when it is gone: forget_partitions() takes the row away.';
COMMENT ON COLUMN pattyly.partition_sets.control IS 'The column by whose ranges it is partitioned.';
COMMENT ON COLUMN pattyly.partition_sets.every IS 'How much a partition holds: ''1 month'', ''15 minutes''; for ids a number.';
COMMENT ON COLUMN pattyly.partition_sets.premake IS 'How many partitions are kept ready after the one of now (ids: of the highest).';
COMMENT ON COLUMN pattyly.partition_sets.retain IS 'A partition goes when its upper bound is that far behind; NULL keeps all.';
COMMENT ON COLUMN pattyly.partition_sets.on_expire IS 'What becomes of it: detach | drop | archive:SCHEMA.';
COMMENT ON COLUMN pattyly.partition_sets.timezone IS 'The zone whose days, months and so on the partitions hold.';
COMMENT ON COLUMN pattyly.partition_sets.encoding IS 'When the key is a time in another guise: epoch_s | epoch_ms | uuidv7.';
COMMENT ON COLUMN pattyly.partition_sets.last_run_at IS 'When maintain_partitions() last came to this set.';
COMMENT ON COLUMN pattyly.partition_sets.last_outcome IS 'ok | skipped_locked (it was in use, nothing or not all was done) | failed.';
COMMENT ON COLUMN pattyly.partition_sets.last_detail IS 'What was done, or what is in the way.';

-- What is on its way out: known before the partition is detached, so that a run that dies in between is made good.
CREATE TABLE pattyly.leaving_partitions (
    partition  regclass PRIMARY KEY,
    parent     regclass NOT NULL,
    on_expire  text NOT NULL,
    from_value text,
    to_value   text
);
REVOKE ALL ON pattyly.leaving_partitions FROM PUBLIC;
COMMENT ON TABLE pattyly.leaving_partitions IS
'Partitions that maintain_partitions() has begun to take away and is not done with.';

-- Who maintains does to these tables what their rows say, with more rights than the writer of the row may have.
CREATE FUNCTION pattyly.guard_partition_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_row CONSTANT jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row CONSTANT jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    one record;
BEGIN
    -- What a run notes down changes nothing.
    IF TG_OP = 'UPDATE' AND old_row - '{last_run_at,last_outcome,last_detail}'::text[]
                          = new_row - '{last_run_at,last_outcome,last_detail}'::text[] THEN
        RETURN NEW;
    END IF;
    FOR one IN
        SELECT t.id, c.relowner, t.is_new
        FROM unnest(TG_ARGV) AS a,
            LATERAL (VALUES (old_row ->> a, false), (new_row ->> a, true)) AS v (name, is_new),
            -- A table that is gone is a number.
            LATERAL (SELECT CASE WHEN v.name ~ '^[0-9]+$' THEN v.name::oid ELSE v.name::regclass END::regclass AS id, v.is_new) AS t
            LEFT JOIN pg_class AS c ON c.oid = t.id
        WHERE t.id IS NOT NULL
    LOOP
        -- Nor may a number wait there for a table that is yet to be made.
        IF NOT coalesce(pg_has_role(one.relowner, 'USAGE'),
                        NOT one.is_new OR TG_OP = 'UPDATE' AND old_row ->> TG_ARGV[0] = new_row ->> TG_ARGV[0]
                        OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)) THEN
            RAISE EXCEPTION 'must be owner of table %', one.id
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('Rows of pattyly.%I are for who has the rights of the owners of the tables in them.', TG_TABLE_NAME);
        END IF;
    END LOOP;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.guard_partition_row() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.guard_partition_row() IS
'Trigger: an error (42501) when somebody writes a row about a table whose owner''s rights he has not; the arguments are the columns that name tables. Writes nothing.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pattyly.partition_sets
    FOR EACH ROW EXECUTE FUNCTION pattyly.guard_partition_row('parent');
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pattyly.leaving_partitions
    FOR EACH ROW EXECUTE FUNCTION pattyly.guard_partition_row('partition', 'parent');

---- The grid ----

CREATE FUNCTION pattyly.partition_position(every text, key regtype, encoding text, timezone text, at timestamptz) RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pattyly_partition_position';
COMMENT ON FUNCTION pattyly.partition_position(text, regtype, text, text, timestamptz) IS
'The place of a time among the keys of a set, as a number in their order; NULL for ids and when no key can say it. Errors: 22023 and 42804 for a set that makes no sense. Writes nothing.';

CREATE FUNCTION pattyly.partition_before(every text, key regtype, encoding text, timezone text, "position" bigint, retain text)
    RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pattyly_partition_before';
COMMENT ON FUNCTION pattyly.partition_before(text, regtype, text, text, bigint, text) IS
'The place that lies so far before another; NULL when there is none. Errors: 22023 for retain that makes no sense or is shorter than a partition. Writes nothing.';

CREATE FUNCTION pattyly.partition_ranges(every text, key regtype, encoding text, timezone text, first bigint, last bigint,
                                         more integer, max_rows integer)
    RETURNS TABLE (suffix text, from_pos bigint, to_pos bigint, from_value text, to_value text)
    LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'pattyly_partition_ranges';
COMMENT ON FUNCTION pattyly.partition_ranges(text, regtype, text, text, bigint, bigint, integer, integer) IS
'The ranges from the one of a place to the one of another, and so many more. Values are literals without quotes, or MINVALUE and MAXVALUE where the key''s type ends. Writes nothing.';

CREATE FUNCTION pattyly.partition_name(parent name, suffix text) RETURNS name
    LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'pattyly_partition_name';
COMMENT ON FUNCTION pattyly.partition_name(name, text) IS
'The table''s name, as much of it as there is room for, and the suffix. Writes nothing.';

CREATE FUNCTION pattyly.partition_bound(bound pg_node_tree, OUT is_default boolean, OUT from_pos bigint, OUT to_pos bigint,
                                        OUT from_value text, OUT to_value text)
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'pattyly_partition_bound';
COMMENT ON FUNCTION pattyly.partition_bound(pg_node_tree) IS
'The bounds in pg_class.relpartbound, of a range over one column. Writes nothing.';

CREATE FUNCTION pattyly.partition_extreme(target regclass, control name, from_pos bigint, to_pos bigint, highest boolean) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pattyly_partition_extreme';
COMMENT ON FUNCTION pattyly.partition_extreme(regclass, name, bigint, bigint, boolean) IS
'The lowest or highest key from a place up to another (NULL: any) in one table; NULL when there is none. Reads past row policies, by an index when there is one. Errors: 42501 unless the caller has the owner''s rights. Writes nothing.';

CREATE FUNCTION pattyly.run_as_owner(target regclass, statements text[]) RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pattyly_run_as_owner';
COMMENT ON FUNCTION pattyly.run_as_owner(regclass, text[]) IS
'Runs statements with the rights of the table''s owner and nothing else''s; returns how many rows they inserted. Errors: 42501 unless the caller has the owner''s rights.';

CREATE FUNCTION pattyly.lock_partition_set(parent regclass) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pattyly_lock_partition_set';
COMMENT ON FUNCTION pattyly.lock_partition_set(regclass) IS
'Keeps everybody else from changing the set until the transaction ends; false, at once, when somebody else does. Writes nothing.';

---- What is there ----

CREATE TYPE pattyly.partition_child AS (
    id         oid,
    name       name,
    is_default boolean,
    pending    boolean,
    from_pos   bigint,
    to_pos     bigint,
    from_value text,
    to_value   text
);
COMMENT ON TYPE pattyly.partition_child IS 'A partition, its bounds as places (NULL: none) and as values, and whether its detaching is pending.';

CREATE FUNCTION pattyly.partition_children(parent regclass) RETURNS SETOF pattyly.partition_child
    LANGUAGE sql STABLE ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid, c.relname, b.is_default, i.inhdetachpending, b.from_pos, b.to_pos, b.from_value, b.to_value
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid, LATERAL pattyly.partition_bound(c.relpartbound) AS b
    WHERE i.inhparent = parent
$$;
COMMENT ON FUNCTION pattyly.partition_children(regclass) IS
'The partitions of a table and their bounds, those being detached included. Writes nothing.';

CREATE FUNCTION pattyly.partition_key(parent regclass, control name) RETURNS regtype
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = parent);
    key pg_partitioned_table := (SELECT p FROM pg_partitioned_table AS p WHERE p.partrelid = parent);
    col pg_attribute;
BEGIN
    IF parent IS NULL THEN
        RAISE EXCEPTION 'no table was named'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the partitioned table.';
    ELSIF class.oid IS NULL THEN
        RAISE EXCEPTION 'table with OID % does not exist', parent::oid
            USING ERRCODE = 'undefined_table',
                  HINT = format('If it was dropped, take its set away: SELECT pattyly.forget_partitions(%s::oid::regclass).', parent::oid);
    ELSIF key.partrelid IS NULL THEN
        RAISE EXCEPTION '% is not a partitioned table', parent
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Make it with PARTITION BY RANGE, or have an ordinary table converted: CALL pattyly.convert_table(...).';
    ELSIF key.partstrat <> 'r' THEN
        RAISE EXCEPTION '% is not partitioned by range', parent
            USING ERRCODE = 'wrong_object_type', HINT = 'Only tables made with PARTITION BY RANGE can be kept.';
    ELSIF key.partnatts <> 1 THEN
        RAISE EXCEPTION '% is partitioned by % columns', parent, key.partnatts
            USING ERRCODE = 'wrong_object_type', HINT = 'Only tables with a single partition column can be kept.';
    ELSIF key.partattrs[0] = 0 THEN
        RAISE EXCEPTION '% is partitioned by an expression', parent
            USING ERRCODE = 'wrong_object_type', HINT = 'Only tables partitioned by a column can be kept.';
    ELSIF key.partclass[0] >= 16384 THEN
        RAISE EXCEPTION '% is partitioned in an order that is not PostgreSQL''s own', parent
            USING ERRCODE = 'wrong_object_type', HINT = 'Only tables partitioned with the operator class of the type can be kept.';
    ELSIF class.relpersistence = 't' THEN
        RAISE EXCEPTION '% is a temporary table', parent
            USING ERRCODE = 'wrong_object_type', HINT = 'Only lasting tables can be kept.';
    ELSIF control IS NULL THEN
        RAISE EXCEPTION 'no column was named'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the column by which the table is partitioned.';
    END IF;
    col := (SELECT a FROM pg_attribute AS a WHERE a.attrelid = parent AND a.attnum = key.partattrs[0]);
    IF col.attname <> control THEN
        RAISE EXCEPTION '% is partitioned by column "%", not by "%"', parent, col.attname, control
            USING ERRCODE = 'invalid_parameter_value', HINT = format('Call it with control => %L.', col.attname);
    END IF;
    RETURN col.atttypid;
END
$$;
COMMENT ON FUNCTION pattyly.partition_key(regclass, name) IS
'The type of the column by which a table is partitioned by range; an error (42809 and others) for every other table. Writes nothing.';

CREATE FUNCTION pattyly.check_partition_owner(parent regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class AS c WHERE c.oid = parent) THEN
        RAISE EXCEPTION 'must be owner of table %', parent
            USING ERRCODE = 'insufficient_privilege', HINT = 'Have the owner of the table, a member of it, or a superuser, call this.';
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_partition_owner(regclass) IS 'An error unless the caller has the rights of the table''s owner. Writes nothing.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.partition_position(text, regtype, text, text, timestamptz),
    pattyly.partition_before(text, regtype, text, text, bigint, text),
    pattyly.partition_ranges(text, regtype, text, text, bigint, bigint, integer, integer),
    pattyly.partition_name(name, text),
    pattyly.partition_bound(pg_node_tree),
    pattyly.partition_extreme(regclass, name, bigint, bigint, boolean),
    pattyly.run_as_owner(regclass, text[]),
    pattyly.lock_partition_set(regclass),
    pattyly.partition_children(regclass),
    pattyly.partition_key(regclass, name),
    pattyly.check_partition_owner(regclass)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.partition_position(text, regtype, text, text, timestamptz),
    pattyly.partition_before(text, regtype, text, text, bigint, text),
    pattyly.partition_ranges(text, regtype, text, text, bigint, bigint, integer, integer),
    pattyly.partition_name(name, text),
    pattyly.partition_bound(pg_node_tree),
    pattyly.partition_extreme(regclass, name, bigint, bigint, boolean),
    pattyly.run_as_owner(regclass, text[]),
    pattyly.lock_partition_set(regclass),
    pattyly.partition_children(regclass),
    pattyly.partition_key(regclass, name),
    pattyly.check_partition_owner(regclass)
TO @extowner@ WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON pattyly.partition_sets, pattyly.leaving_partitions TO @extowner@ WITH GRANT OPTION;
