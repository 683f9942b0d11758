-- partitions: a table becomes a set, and is one no more.

CREATE FUNCTION pattyly.check_partition_arguments(s pattyly.partition_sets, key regtype) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    archive name := substr(s.on_expire, 9);
BEGIN
    PERFORM pattyly.partition_before(s.every, key, s.encoding, s.timezone, NULL, s.retain);
    PERFORM pattyly.partition_position(s.every, key, s.encoding, s.timezone, NULL);
    IF s.premake IS NULL OR s.premake NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION 'premake is %', coalesce(s.premake::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Keep 0 to 1000 partitions ready.';
    ELSIF s.on_expire IS NULL OR s.on_expire NOT IN ('detach', 'drop') AND s.on_expire NOT LIKE 'archive:_%' THEN
        RAISE EXCEPTION 'on_expire is %', coalesce(quote_literal(s.on_expire), 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write detach, drop, or archive: and the name of a schema.';
    ELSIF s.on_expire LIKE 'archive:%' THEN
        IF NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = archive) THEN
            RAISE EXCEPTION 'schema "%" does not exist', archive
                USING ERRCODE = 'invalid_schema_name', HINT = format('Make it: CREATE SCHEMA %I.', archive);
        ELSIF NOT has_schema_privilege((SELECT c.relowner FROM pg_class AS c WHERE c.oid = s.parent), archive, 'CREATE') THEN
            RAISE EXCEPTION 'the owner of % may not create in schema "%"', s.parent, archive
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('GRANT CREATE ON SCHEMA %I TO %I.', archive,
                                    (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = s.parent));
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_partition_arguments(pattyly.partition_sets, regtype) IS
'An error when a set whose key has that type makes no sense. Writes nothing.';

CREATE FUNCTION pattyly.check_partition_set(s pattyly.partition_sets) RETURNS regtype
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key regtype := pattyly.partition_key(s.parent, s.control);
BEGIN
    PERFORM pattyly.check_partition_owner(s.parent);
    PERFORM pattyly.check_partition_arguments(s, key);
    RETURN key;
END
$$;
COMMENT ON FUNCTION pattyly.check_partition_set(pattyly.partition_sets) IS
'The type of a set''s key; an error when the set makes no sense or is not the caller''s. Writes nothing.';

CREATE FUNCTION pattyly.partition_start(s pattyly.partition_sets, key regtype, start text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO, YMD'
AS $$
DECLARE
    is_id CONSTANT boolean := s.encoding IS NULL AND key IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype);
    id bigint;
    at timestamptz;
    result bigint;
BEGIN
    -- Undone with the function: it has a setting of its own.
    PERFORM set_config('timezone', s.timezone, true);
    BEGIN
        IF is_id THEN
            id := start;
        ELSE
            at := start;
        END IF;
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'start is %: %', quote_literal(start), SQLERRM
            USING ERRCODE = SQLSTATE,
                  HINT = CASE WHEN is_id THEN 'The key counts: write the number where the first partition is to lie, such as ''100000''.'
                              ELSE format('Write a time by the clock of %s, such as ''2026-01-31'' or ''2026-01-31 13:00''.', s.timezone) END;
    END;
    IF is_id THEN
        RETURN coalesce(id, pattyly.partition_highest(s.parent, s.control), 0);
    END IF;
    result := pattyly.partition_position(s.every, key, s.encoding, s.timezone, coalesce(at, pattyly.clock_now()));
    IF result IS NULL THEN
        RAISE EXCEPTION 'start is %, and there is no such key', coalesce(quote_literal(start), 'now')
            USING ERRCODE = 'datetime_field_overflow', HINT = 'Start at a time that the key can hold.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION pattyly.partition_start(pattyly.partition_sets, regtype, text) IS
'The place that start names: an id, or a time by the clock of the set''s zone. Writes nothing.';

CREATE FUNCTION pattyly.partition_table(parent regclass, control name, every text, premake integer DEFAULT 4, retain text DEFAULT NULL,
                                        on_expire text DEFAULT 'detach', timezone text DEFAULT 'UTC', start text DEFAULT NULL,
                                        encoding text DEFAULT NULL)
    RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    max_made CONSTANT integer := 2000;
    s pattyly.partition_sets := ROW(parent, control, every, premake, retain, on_expire, timezone, encoding, NULL, NULL, NULL);
    key regtype := pattyly.check_partition_set(s);
    first bigint := pattyly.partition_start(s, key, start);
    last bigint := greatest(first, pattyly.partition_position(every, key, encoding, timezone, pattyly.clock_now()));
    w record;
    texts text[] := '{}';
BEGIN
    IF NOT pattyly.lock_partition_set(parent) THEN
        RAISE EXCEPTION 'another session is changing the partitions of %', parent
            USING ERRCODE = 'lock_not_available', HINT = 'Try again when it is done.';
    END IF;
    INSERT INTO pattyly.partition_sets AS p SELECT s.*
    ON CONFLICT ON CONSTRAINT partition_sets_pkey DO UPDATE
    SET control = excluded.control, every = excluded.every, premake = excluded.premake, retain = excluded.retain,
        on_expire = excluded.on_expire, timezone = excluded.timezone, encoding = excluded.encoding;
    -- What is on its way out, too: it may be wanted now.
    UPDATE pattyly.leaving_partitions AS l SET on_expire = CASE WHEN retain IS NULL THEN 'detach' ELSE on_expire END WHERE l.parent = s.parent;
    FOR w IN SELECT * FROM pattyly.partition_wanted(s, key, first, last, premake, max_made + 1) LOOP
        IF w.action = 'create' THEN
            texts := texts || ARRAY[w.name, w.from_value, w.to_value];
        ELSIF w.how = 'default' THEN
            RAISE WARNING 'partition "%" was not made: %', w.name, w.reason
                USING HINT = format('CALL pattyly.drain_default(%L) makes it and moves the rows there.', parent);
        ELSE
            RAISE EXCEPTION 'partition "%" from % to % cannot be made: %', w.name, w.from_value, w.to_value, w.reason
                USING ERRCODE = 'duplicate_table',
                      HINT = 'Rename or detach what is in the way, or start after it.';
        END IF;
    END LOOP;
    IF cardinality(texts) / 3 > max_made THEN
        RAISE EXCEPTION 'more than % partitions would be made at once', max_made
            USING ERRCODE = 'program_limit_exceeded', HINT = 'Start later, or make the partitions wider.';
    END IF;
    PERFORM pattyly.make_planned_partitions(parent, texts);
    PERFORM pattyly.shut_partition(parent, a.partition_name) FROM pattyly.partition_actions(parent, NULL) AS a WHERE a.action = 'close';
    RETURN QUERY SELECT texts[i] FROM generate_series(1, cardinality(texts), 3) AS i;
END
$$;
COMMENT ON FUNCTION pattyly.partition_table(regclass, name, text, integer, text, text, text, text, text) IS
'Has the partitions of a table kept: makes those from start (default: now) to now and premake more, and from then on maintain_partitions() does. every: ''1 month'', ''15 minutes'', for ids a number; retain: the same, NULL keeps all; on_expire: detach, drop or archive:SCHEMA; timezone: whose days and months the partitions hold; start: a time by that clock, or an id; encoding: epoch_s, epoch_ms or uuidv7. Called again it changes the set, and what becomes of partitions that are being taken away. Returns the names of the partitions it made; all or nothing. Partitions that are there stay, when they are not in the way, and get row security when the table has it. Errors: 42809, 42804 a table or key that cannot be kept, 22023 what makes no sense, 42P07 something is in the way, 54000 too many, 55P03 in use, 42501 not the owner''s rights. Writes pattyly.partition_sets and pattyly.leaving_partitions.';

CREATE FUNCTION pattyly.forget_partitions(parent regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM pattyly.partition_sets AS p WHERE p.parent = forget_partitions.parent;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no set of partitions', coalesce(parent::text, 'null')
            USING ERRCODE = 'undefined_object', HINT = 'SELECT parent FROM pattyly.partition_sets shows the sets.';
    END IF;
    DELETE FROM pattyly.leaving_partitions AS l WHERE l.parent = forget_partitions.parent;
END
$$;
COMMENT ON FUNCTION pattyly.forget_partitions(regclass) IS
'Has the partitions of a table kept no more; they stay as they are. Errors: 42704 no set. Writes pattyly.partition_sets.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.check_partition_arguments(pattyly.partition_sets, regtype),
    pattyly.check_partition_set(pattyly.partition_sets),
    pattyly.partition_start(pattyly.partition_sets, regtype, text),
    pattyly.partition_table(regclass, name, text, integer, text, text, text, text, text),
    pattyly.forget_partitions(regclass)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.check_partition_arguments(pattyly.partition_sets, regtype),
    pattyly.check_partition_set(pattyly.partition_sets),
    pattyly.partition_start(pattyly.partition_sets, regtype, text)
TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION
    pattyly.partition_table(regclass, name, text, integer, text, text, text, text, text),
    pattyly.forget_partitions(regclass)
TO @extowner@ WITH GRANT OPTION;
