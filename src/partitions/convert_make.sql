-- partitions: the partitioned copy of a table under conversion, and whether the table is still what it was made after.

---- What is still as it has to be ----

CREATE FUNCTION pattyly.check_conversion(c pattyly.conversions, has_triggers boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_is jsonb := pattyly.convert_shape(c.target);
    difference text := (SELECT min(key) FROM (SELECT * FROM jsonb_each(now_is) EXCEPT SELECT * FROM jsonb_each(c.shape)) AS d);
BEGIN
    difference := coalesce(difference, (SELECT min(key) FROM (SELECT jsonb_object_keys(c.shape) EXCEPT SELECT jsonb_object_keys(now_is)) AS d(key)));
    IF difference IS NULL AND has_triggers THEN
        difference := (SELECT 'trigger ' || n FROM unnest('{pattyly_mirror,pattyly_mirror_truncate,pattyly_pin}'::name[]) AS n
                       WHERE NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.target AND t.tgname = n AND t.tgenabled = 'A')
                       LIMIT 1);
    END IF;
    IF difference IS NOT NULL THEN
        PERFORM pattyly.convert_refuse(
            format('table %s was altered while it is being converted: %s', c.target, difference),
            CASE WHEN difference LIKE 'trigger %' THEN 'Writes may have been missed, so begin anew after '
                 ELSE 'Put that back as it was and call it again, or give up with ' END
                || format('SELECT pattyly.cancel_conversion(%L).', c.target),
            'object_not_in_prerequisite_state');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_conversion(pattyly.conversions, boolean) IS
'For convert_table(): an error when the table is not what its copy was made after any more, or a change of it may have been missed. Writes nothing.';

---- 1: the copy ----

CREATE FUNCTION pattyly.convert_set(c pattyly.conversions) RETURNS pattyly.partition_sets
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW(c.copy, c.control, c.every, c.premake, c.retain, c.on_expire, c.timezone, c.encoding, NULL, NULL, NULL)::pattyly.partition_sets
$$;
COMMENT ON FUNCTION pattyly.convert_set(pattyly.conversions) IS 'For convert_table(): the set that the copy will be. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_name(c pattyly.conversions, name name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    used_by text := pattyly.partition_name_use((SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = c.schema_name), name);
BEGIN
    IF used_by IS NOT NULL THEN
        PERFORM pattyly.convert_refuse(format('there would be a partition "%s", but %s', name, used_by), 'Rename what is in the way.',
                                       'duplicate_table');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_name(pattyly.conversions, name) IS
'For convert_table(): an error when a name of a partition is taken. Writes nothing.';

CREATE FUNCTION pattyly.convert_partitions(c pattyly.conversions, s pattyly.partition_sets)
    RETURNS TABLE (name name, from_value text, to_value text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    max_made CONSTANT integer := 1000;
    key regtype := pattyly.check_partition_set(s);
    now_pos bigint := pattyly.partition_position(s.every, key, s.encoding, s.timezone, pattyly.clock_now());
    start_pos bigint := CASE WHEN c.start IS NOT NULL THEN pattyly.partition_start(s, key, c.start) END;
    lowest bigint := pattyly.partition_extreme(c.target, c.control, NULL, NULL, false);
    highest bigint := pattyly.partition_extreme(c.target, c.control, NULL, NULL, true);
    first_pos bigint;
    made integer := 0;
    r record;
BEGIN
    now_pos := coalesce(now_pos, highest, start_pos, 0);
    IF lowest < start_pos AND lowest < (SELECT g.from_pos FROM pattyly.partition_ranges(
            s.every, key, s.encoding, s.timezone, start_pos, start_pos, 0, 1) AS g) THEN
        PERFORM pattyly.convert_refuse(
            format('table %s has rows from before %s, where its partitions are to start', c.target, c.start),
            'Start earlier, leave start out, or move these rows away first.', 'check_violation');
    END IF;
    -- Ahead of now, and as far as the rows reach.
    first_pos := least(lowest, start_pos, now_pos);
    FOR r IN
        SELECT g.* FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, first_pos, now_pos, c.premake, max_made + 1) AS g
        UNION
        SELECT g.* FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, first_pos, greatest(highest, now_pos), 0, max_made + 1) AS g
        ORDER BY from_pos
    LOOP
        made := made + 1;
        IF made > max_made THEN
            PERFORM pattyly.convert_refuse(
                format('the rows of table %s would need more than %s partitions', c.target, max_made),
                format('Look for wild values: SELECT min(%1$I), max(%1$I) FROM %2$s. If there are none, make the partitions wider.',
                       c.control, c.target), 'program_limit_exceeded');
        END IF;
        name := pattyly.partition_name(c.table_name, r.suffix);
        from_value := r.from_value;
        to_value := r.to_value;
        PERFORM pattyly.check_convert_name(c, name);
        RETURN NEXT;
    END LOOP;
    IF made = 0 THEN
        PERFORM pattyly.convert_refuse(
            format('table %s has rows from before the first partition that there could be', c.target),
            format('Look for wild values: SELECT min(%I) FROM %s.', c.control, c.target), 'program_limit_exceeded');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.convert_partitions(pattyly.conversions, pattyly.partition_sets) IS
'For convert_table(): the partitions that the rows of a table need, and those of now and ahead. Writes nothing.';

-- Beside those that are needed there is one for the rest, so that no writer fails who could write without us.
CREATE FUNCTION pattyly.convert_make_partitions(c pattyly.conversions, s pattyly.partition_sets) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rest_name CONSTANT name := pattyly.partition_name(c.table_name, '_default');
    rest CONSTANT text := format('%I.%I', c.schema_name, rest_name);
    storage CONSTANT text := 'ALTER TABLE %I.%I SET (' || replace(pattyly.convert_storage_options(c.target), '%', '%%') || ')';
BEGIN
    PERFORM pattyly.check_convert_name(c, rest_name);
    PERFORM pattyly.make_partition(c.copy, p.name, p.from_value, p.to_value, 
                                   array_remove(ARRAY[format(storage, c.schema_name, p.name)], NULL))
    FROM pattyly.convert_partitions(c, s) AS p;
    PERFORM pattyly.convert_run(c.target, format('CREATE TABLE %s PARTITION OF %s DEFAULT', rest, pattyly.convert_name(c.copy)));
    PERFORM pattyly.convert_no_privileges(rest::regclass);
    PERFORM pattyly.convert_run(c.target, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', rest));
    PERFORM pattyly.convert_run(c.target, t.statement)
    FROM (SELECT pattyly.convert_column_statements(c.target, rest) UNION ALL SELECT pattyly.partition_identity(c.copy, rest::regclass)) AS t (statement);
    IF storage IS NOT NULL THEN
        PERFORM pattyly.convert_run(c.target, format(storage, c.schema_name, rest_name));
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.convert_make_partitions(pattyly.conversions, pattyly.partition_sets) IS
'For convert_table(): makes the partitions of the copy, and a default one for as long as the conversion lasts. Writes the catalogs.';

CREATE FUNCTION pattyly.convert_make_copy(target regclass, control name) RETURNS regclass
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := (SELECT format('%I.%I', n.nspname, 'pattyly_new_' || c.oid)
                  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = target);
    space text := (SELECT ' TABLESPACE ' || quote_ident(s.spcname) FROM pg_class AS c JOIN pg_tablespace AS s ON s.oid = c.reltablespace
                   WHERE c.oid = target);
    space_before CONSTANT text := current_setting('default_tablespace');
    statement record;
BEGIN
    PERFORM pattyly.convert_run(target, format(
        'CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)'
        ' PARTITION BY RANGE (%I)%s', name, pattyly.convert_name(target), control, space));
    PERFORM pattyly.convert_no_privileges(name::regclass);
    FOR statement IN SELECT * FROM pattyly.convert_index_statements(target, name) LOOP
        PERFORM set_config('default_tablespace', statement.tablespace, true);
        PERFORM pattyly.convert_run(target, statement.statement);
    END LOOP;
    PERFORM set_config('default_tablespace', space_before, true);
    FOR statement IN
        SELECT pattyly.convert_column_statements(target, name) AS s UNION ALL SELECT pattyly.convert_identity_statement(target, name)
    LOOP
        PERFORM pattyly.convert_run(target, statement.s);
    END LOOP;
    -- Its partitions are made after it. Whoever fills it goes past that.
    FOR statement IN
        SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY', name, f.what) AS s
        FROM pg_class AS c, LATERAL (SELECT 'ENABLE' WHERE c.relrowsecurity UNION ALL SELECT 'FORCE' WHERE c.relforcerowsecurity) AS f(what)
        WHERE c.oid = target
    LOOP
        PERFORM pattyly.convert_run(target, statement.s);
    END LOOP;
    RETURN name;
END
$$;
COMMENT ON FUNCTION pattyly.convert_make_copy(regclass, name) IS
'For convert_table(): makes the partitioned copy of a table, without partitions, for its owner alone. Writes the catalogs.';

CREATE FUNCTION pattyly.convert_prepare(target regclass, options pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    statement text;
BEGIN
    -- It says more than LOCK TABLE does.
    PERFORM pattyly.check_convert_target(target);
    -- What it is made after must not change meanwhile; nobody else notices this lock.
    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', pattyly.convert_name(target));
    PERFORM pattyly.check_convert(target, options);
    options.target := target;
    SELECT n.nspname, c.relname INTO options.schema_name, options.table_name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = convert_prepare.target;
    options.shape := pattyly.convert_shape(target);
    options.copy_names := pattyly.convert_copy_names(target);
    options.rows_copied := 0;
    options.batch_rows := 1000;
    options.unchecked := '{}';
    options.phase := 'prepared';
    options.started_at := pattyly.clock_now();
    options.changed_at := options.started_at;
    options.copy := pattyly.convert_make_copy(target, options.control);
    PERFORM pattyly.convert_make_partitions(options, pattyly.convert_set(options));
    -- Last, because the tables that they refer to are locked until the end of this.
    FOR statement IN SELECT pattyly.convert_foreign_keys(target, pattyly.convert_name(options.copy)) LOOP
        PERFORM pattyly.convert_run(target, statement);
    END LOOP;
    INSERT INTO pattyly.conversions SELECT options.*;
    PERFORM pattyly.convert_reached('before_prepared');
    RETURN ROW('prepared', NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_prepare(regclass, pattyly.conversions) IS
'For convert_table(), step 1: checks everything, and makes the copy with all its partitions. Writes the catalogs and pattyly.conversions.';

REVOKE ALL ON FUNCTION
    pattyly.check_conversion(pattyly.conversions, boolean),
    pattyly.convert_set(pattyly.conversions),
    pattyly.check_convert_name(pattyly.conversions, name),
    pattyly.convert_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_copy(regclass, name),
    pattyly.convert_prepare(regclass, pattyly.conversions)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.check_conversion(pattyly.conversions, boolean),
    pattyly.convert_set(pattyly.conversions),
    pattyly.check_convert_name(pattyly.conversions, name),
    pattyly.convert_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_copy(regclass, name),
    pattyly.convert_prepare(regclass, pattyly.conversions)
TO @extowner@ WITH GRANT OPTION;
