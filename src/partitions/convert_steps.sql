-- partitions: the steps of a conversion. Each runs in a transaction of its own, under a lock_timeout so short that nobody
-- waits long behind us, and before anybody's deadlock_timeout; who calls tries again.

CREATE TYPE pattyly.convert_step AS (
    place   text,
    busy    text,
    code    text,
    message text,
    detail  text,
    hint    text
);
COMMENT ON TYPE pattyly.convert_step IS
'For convert_table(): where a step has come to (NULL: nothing is left to do), or what it gave way to, or an error to raise once it is committed.';

CREATE FUNCTION pattyly.convert_phase(target regclass, phase text) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pattyly.conversions AS c SET phase = convert_phase.phase, changed_at = pattyly.partition_now()
    WHERE c.target = convert_phase.target;
    PERFORM pattyly.convert_reached('before_' || phase);
    RETURN ROW(phase, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_phase(regclass, text) IS 'For convert_table(): notes that a step is done. Writes pattyly.conversions.';

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
            format('Put that back as it was and call it again, or give up with SELECT pattyly.cancel_conversion(%L) and begin anew.', c.target),
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
    now_pos bigint := pattyly.partition_position(s.every, key, s.encoding, s.timezone, pattyly.partition_now());
    start_pos bigint := CASE WHEN c.start IS NOT NULL THEN pattyly.partition_start(s, key, c.start) END;
    lowest bigint := pattyly.partition_extreme(c.target, c.control, NULL, NULL, false);
    highest bigint := pattyly.partition_extreme(c.target, c.control, NULL, NULL, true);
    r record;
BEGIN
    now_pos := coalesce(now_pos, highest, start_pos, 0);
    IF lowest < start_pos AND lowest < (SELECT g.from_pos FROM pattyly.partition_ranges(
            s.every, key, s.encoding, s.timezone, start_pos, start_pos, 0, 1) AS g) THEN
        PERFORM pattyly.convert_refuse(
            format('table %s has rows from before %s, where its partitions are to start', c.target, c.start),
            'Start earlier, leave start out, or move these rows away first.', 'check_violation');
    END IF;
    IF (SELECT count(*) FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, least(lowest, start_pos, now_pos),
                                                      greatest(highest, now_pos), c.premake, max_made + 1)) > max_made THEN
        PERFORM pattyly.convert_refuse(
            format('the rows of table %s would need more than %s partitions', c.target, max_made),
            format('Look for wild values: SELECT min(%1$I), max(%1$I) FROM %2$s. If there are none, make the partitions wider.',
                   c.control, c.target), 'program_limit_exceeded');
    END IF;
    FOR r IN SELECT * FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, least(lowest, start_pos, now_pos),
                                                    greatest(highest, now_pos), c.premake, max_made) LOOP
        name := pattyly.partition_name(c.table_name, r.suffix);
        from_value := r.from_value;
        to_value := r.to_value;
        PERFORM pattyly.check_convert_name(c, name);
        RETURN NEXT;
    END LOOP;
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
    names name[];
    from_values text[];
    to_values text[];
    child regclass;
    rest text := format('%I.%I', c.schema_name, pattyly.partition_name(c.table_name, '_default'));
    storage text := pattyly.convert_storage_options(c.target);
BEGIN
    SELECT array_agg(p.name), array_agg(p.from_value), array_agg(p.to_value) INTO names, from_values, to_values
    FROM pattyly.convert_partitions(c, s) AS p;
    PERFORM pattyly.check_convert_name(c, pattyly.partition_name(c.table_name, '_default'));
    PERFORM pattyly.make_partitions(c.copy, names, from_values, to_values);
    PERFORM pattyly.convert_run(c.target, format('CREATE TABLE %s PARTITION OF %s DEFAULT', rest, pattyly.convert_name(c.copy)));
    PERFORM pattyly.convert_no_privileges(rest::regclass);
    PERFORM pattyly.convert_run(c.target, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', rest));
    IF storage IS NOT NULL THEN
        FOR child IN SELECT k.id FROM pattyly.partition_children(c.copy) AS k LOOP
            PERFORM pattyly.convert_run(c.target, format('ALTER TABLE %s SET (%s)', pattyly.convert_name(child), storage));
        END LOOP;
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
    FOR statement IN SELECT s FROM pattyly.convert_column_statements(target, name) AS s LOOP
        PERFORM pattyly.convert_run(target, statement.s);
    END LOOP;
    -- Its partitions are made after it; the owner, who fills it, is not held up.
    IF (SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = target) THEN
        PERFORM pattyly.convert_run(target, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name));
    END IF;
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
    -- What it is made after must not change meanwhile; nobody else notices this lock.
    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', pattyly.convert_name(target));
    PERFORM pattyly.check_convert(target, options.control);
    options.target := target;
    SELECT n.nspname, c.relname INTO options.schema_name, options.table_name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = convert_prepare.target;
    options.shape := pattyly.convert_shape(target);
    options.copy_names := pattyly.convert_copy_names(target);
    options.rows_copied := 0;
    options.batch_rows := 1000;
    options.unchecked := '{}';
    options.phase := 'prepared';
    options.started_at := pattyly.partition_now();
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

---- 2: the rehearsal ----

-- What only PostgreSQL knows how to refuse, it refuses here and not when all is copied.
CREATE FUNCTION pattyly.convert_rehearse(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    began timestamptz;
    took integer;
    failure pattyly.convert_step;
    detail text;
BEGIN
    BEGIN
        PERFORM pattyly.convert_lock(c);
        began := clock_timestamp();
        PERFORM pattyly.check_conversion(c, false);
        PERFORM pattyly.convert_swap_names(c);
        took := extract(epoch FROM clock_timestamp() - began) * 1000;
        RAISE EXCEPTION 'rehearsed' USING ERRCODE = 'PTRHS';
    EXCEPTION
        WHEN SQLSTATE 'PTRHS' THEN
            NULL;
        WHEN lock_not_available OR deadlock_detected OR query_canceled THEN
            RAISE;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS failure.code = RETURNED_SQLSTATE, failure.message = MESSAGE_TEXT,
                failure.detail = PG_EXCEPTION_CONTEXT, failure.hint = PG_EXCEPTION_HINT;
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            -- With the statement that failed, if it was one; and PostgreSQL seldom hints at what to do about it.
            failure.detail := concat_ws(' ', nullif(detail, ''), substring(failure.detail FROM '^SQL statement "(.*?)"\n'));
            failure.hint := coalesce(nullif(failure.hint, ''), 'Nothing was changed. Drop what stands in the way, and create it again after the conversion.');
    END;
    IF failure.code IS NOT NULL THEN
        PERFORM pattyly.convert_discard(c);
        RETURN failure;
    END IF;
    UPDATE pattyly.conversions AS u SET swap_ms = took WHERE u.target = c.target;
    RETURN pattyly.convert_phase(c.target, 'rehearsed');
END
$$;
COMMENT ON FUNCTION pattyly.convert_rehearse(pattyly.conversions) IS
'For convert_table(), step 2: does the swap and takes it back, to see whether and how fast it works. Nothing is left when it does not work. Writes pattyly.conversions.';

---- 3: whatever is written from now on is written to the copy as well ----

CREATE FUNCTION pattyly.convert_capture(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    name text := pattyly.convert_name(c.target);
    call text := format('EXECUTE FUNCTION pattyly.convert_mirror(%L, %L)', c.schema_name,
                        (SELECT k.relname FROM pg_class AS k WHERE k.oid = c.copy));
    columns text := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a
                     WHERE a.attrelid = c.target AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
    -- Waits for those who have written without the triggers.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', name);
    PERFORM pattyly.check_conversion(c, false);
    EXECUTE format('CREATE TRIGGER pattyly_mirror AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW %s', name, call);
    EXECUTE format('CREATE TRIGGER pattyly_mirror_truncate AFTER TRUNCATE ON %s %s', name, call);
    -- Never fires; keeps the columns from being dropped, and their types from being changed.
    EXECUTE format('CREATE TRIGGER pattyly_pin AFTER UPDATE OF %s ON %s WHEN (false) %s', columns, name, call);
    -- For those, too, who replicate into this table.
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER pattyly_mirror, ENABLE ALWAYS TRIGGER pattyly_mirror_truncate,'
                   ' ENABLE ALWAYS TRIGGER pattyly_pin', name);
    RETURN pattyly.convert_phase(c.target, 'copying');
END
$$;
COMMENT ON FUNCTION pattyly.convert_capture(pattyly.conversions) IS
'For convert_table(), step 3: has writers write to the copy as well. Writes the catalogs and pattyly.conversions.';

---- 4: the rows that were there before ----

CREATE TYPE pattyly.convert_key AS (
    columns   name[],
    types     text[],
    equal     text[],
    not_above text[],
    not_below text[],
    above     text[]
);
COMMENT ON TYPE pattyly.convert_key IS
'For convert_table(): the columns of a primary key, their types, and the operators of its index for =, <=, >= and >.';

CREATE FUNCTION pattyly.convert_operator(opclass oid, strategy smallint) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
    FROM pg_opclass AS c JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype
            AND m.amoprighttype = c.opcintype AND m.amopstrategy = strategy
        JOIN pg_operator AS o ON o.oid = m.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE c.oid = opclass
$$;
COMMENT ON FUNCTION pattyly.convert_operator(oid, smallint) IS
'For convert_table(): an operator of an operator class, as it is written in an expression. Writes nothing.';

CREATE FUNCTION pattyly.convert_keys(target regclass) RETURNS pattyly.convert_key
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(a.attname ORDER BY k), array_agg(format_type(a.atttypid, NULL) ORDER BY k),
           array_agg(pattyly.convert_operator(i.indclass[k], 3::smallint) ORDER BY k),
           array_agg(pattyly.convert_operator(i.indclass[k], 2::smallint) ORDER BY k),
           array_agg(pattyly.convert_operator(i.indclass[k], 4::smallint) ORDER BY k),
           array_agg(pattyly.convert_operator(i.indclass[k], 5::smallint) ORDER BY k)
    FROM pg_index AS i, generate_series(0, i.indnkeyatts - 1) AS k, pg_attribute AS a
    WHERE i.indrelid = target AND i.indisprimary AND a.attrelid = target AND a.attnum = i.indkey[k]
$$;
COMMENT ON FUNCTION pattyly.convert_keys(regclass) IS
'For convert_table(): the columns of a primary key, their types and operators. Writes nothing.';

-- An index is searched by a comparison of rows. That takes operators of one name and schema, though, which keys of an
-- extension's type may not have.
CREATE FUNCTION pattyly.convert_compare(keys pattyly.convert_key, is_above boolean, first integer) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    operators text[] := CASE WHEN is_above THEN keys.above ELSE keys.not_above END;
    one text;
    condition text;
BEGIN
    IF (SELECT count(DISTINCT o) = 1 FROM unnest(operators) AS o) THEN
        RETURN (SELECT format('ROW(%s) %s ROW(%s)', string_agg(format('t.%I', c), ', ' ORDER BY k), operators[1],
                              string_agg(format('$%s::%s', first + k - 1, keys.types[k]), ', ' ORDER BY k))
                FROM unnest(keys.columns) WITH ORDINALITY AS u(c, k));
    END IF;
    FOR k IN REVERSE cardinality(keys.columns) .. 1 LOOP
        one := format('$%s::%s', first + k - 1, keys.types[k]);
        condition := format('(t.%I %s %s%s)', keys.columns[k], keys.above[k], one,
                            coalesce(format(' OR t.%I %s %s AND ', keys.columns[k], keys.equal[k], one) || condition, ''));
    END LOOP;
    -- So much of it an index understands: the first column is not below (or above), whatever the others are.
    one := format('$%s::%s', first, keys.types[1]);
    RETURN format(CASE WHEN is_above THEN 't.%I %s %s AND %s' ELSE 't.%I %s %s AND NOT %s' END, keys.columns[1],
                  CASE WHEN is_above THEN keys.not_below[1] ELSE keys.not_above[1] END, one, condition);
END
$$;
COMMENT ON FUNCTION pattyly.convert_compare(pattyly.convert_key, boolean, integer) IS
'For convert_table(): a condition, that the primary key of t is above, or not above, the one in the parameters from a number on. Writes nothing.';

CREATE FUNCTION pattyly.convert_range(keys pattyly.convert_key, has_lower boolean, has_upper boolean) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n integer := cardinality(keys.columns);
BEGIN
    RETURN concat_ws(' AND ', 'true', CASE WHEN has_lower THEN pattyly.convert_compare(keys, true, 1) END,
                     CASE WHEN has_upper THEN pattyly.convert_compare(keys, false, n + 1) END);
END
$$;
COMMENT ON FUNCTION pattyly.convert_range(pattyly.convert_key, boolean, boolean) IS
'For convert_table(): a condition, that the primary key of t is above a first one and not above a second. Writes nothing.';

CREATE FUNCTION pattyly.convert_boundary(c pattyly.conversions, keys pattyly.convert_key, is_last boolean) RETURNS text[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown CONSTANT text[] := array_fill(NULL::text, ARRAY[cardinality(keys.columns)]);
BEGIN
    RETURN pattyly.convert_run(c.target, format('SELECT ARRAY[%s] FROM ONLY %s AS t WHERE %s ORDER BY %s %s LIMIT 1',
        (SELECT string_agg(format('t.%I::text', k), ', ') FROM unnest(keys.columns) AS k), pattyly.convert_name(c.target),
        pattyly.convert_range(keys, c.copied_to IS NOT NULL, c.copy_until IS NOT NULL),
        (SELECT string_agg(format('t.%I%s', k, CASE WHEN is_last THEN ' DESC' END), ', ') FROM unnest(keys.columns) AS k),
        CASE WHEN NOT is_last THEN format('OFFSET %s', c.batch_rows - 1) END),
        coalesce(c.copied_to, unknown) || coalesce(c.copy_until, unknown));
END
$$;
COMMENT ON FUNCTION pattyly.convert_boundary(pattyly.conversions, pattyly.convert_key, boolean) IS
'For convert_table(): the last primary key that is left to copy, or that of the next batch; NULL when there are no more. Writes nothing.';

CREATE FUNCTION pattyly.convert_copy_rows(c pattyly.conversions, keys pattyly.convert_key, upto text[], path text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n integer := cardinality(keys.columns);
    into_ text;
    from_ text;
BEGIN
    -- By place: columns of the table may have been renamed, or added at its end.
    SELECT string_agg(quote_ident(b.attname), ', ' ORDER BY b.place), string_agg(format('t.%I', a.attname), ', ' ORDER BY b.place)
    INTO into_, from_
    FROM (SELECT row_number() OVER (ORDER BY attnum) AS place, attname, attgenerated FROM pg_attribute
          WHERE attrelid = c.copy AND attnum > 0 AND NOT attisdropped) AS b
        JOIN (SELECT row_number() OVER (ORDER BY attnum) AS place, attname FROM pg_attribute
              WHERE attrelid = c.target AND attnum > 0 AND NOT attisdropped) AS a USING (place)
    WHERE b.attgenerated = '';
    -- The lock lets no writer change a row between being read and being in the copy; the condition is asked again of a
    -- row that was changed before it was locked. Who wrote a row that is in the copy already has the last word.
    RETURN (pattyly.convert_run(c.target, format(
        'WITH put AS (INSERT INTO %s (%s) SELECT r.* FROM (SELECT %s FROM ONLY %s AS t WHERE %s FOR NO KEY UPDATE) AS r'
        ' ON CONFLICT DO NOTHING RETURNING 1) SELECT ARRAY[pg_catalog.count(*)::text] FROM put',
        pattyly.convert_name(c.copy), into_, from_, pattyly.convert_name(c.target),
        pattyly.convert_range(keys, c.copied_to IS NOT NULL, true)),
        coalesce(c.copied_to, array_fill(NULL::text, ARRAY[n])) || upto, path))[1];
END
$$;
COMMENT ON FUNCTION pattyly.convert_copy_rows(pattyly.conversions, pattyly.convert_key, text[], text) IS
'For convert_table(): copies the rows up to a primary key, and says how many. Writes the copy.';

CREATE FUNCTION pattyly.convert_copy(c pattyly.conversions, path text) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '50ms' SET enable_seqscan = off
    SET enable_bitmapscan = off SET plan_cache_mode = force_custom_plan SET synchronous_commit = off
    SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET extra_float_digits = 3 SET bytea_output = 'hex'
AS $$
DECLARE
    keys pattyly.convert_key := pattyly.convert_keys(c.target);
    began timestamptz := clock_timestamp();
    upto text[];
    n bigint;
BEGIN
    IF c.copy_until IS NULL THEN
        c.copy_until := pattyly.convert_boundary(c, keys, true);
        UPDATE pattyly.conversions AS u SET copy_until = c.copy_until WHERE u.target = c.target;
    END IF;
    IF c.copy_until IS NULL OR c.copied_to = c.copy_until THEN
        RETURN pattyly.convert_phase(c.target, 'copied');
    END IF;
    upto := coalesce(pattyly.convert_boundary(c, keys, false), c.copy_until);
    n := pattyly.convert_copy_rows(c, keys, upto, path);
    UPDATE pattyly.conversions AS u
    SET copied_to = upto, rows_copied = u.rows_copied + n, changed_at = pattyly.partition_now(),
        -- So that it takes about 100 ms, and twice as many at most.
        batch_rows = least(greatest(c.batch_rows * 0.1 / greatest(extract(epoch FROM clock_timestamp() - began), 0.05), 10), 20000)
    WHERE u.target = c.target;
    PERFORM pattyly.convert_reached('before_batch');
    RETURN ROW('batch', NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_copy(pattyly.conversions, text) IS
'For convert_table(), step 4: copies a batch of rows, under the search_path of the caller, whose functions may want it. Writes the copy and pattyly.conversions.';

---- 5: before the swap ----

CREATE FUNCTION pattyly.convert_analyze(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    EXECUTE format('ANALYZE %s', pattyly.convert_name(c.copy));
    -- Whose snapshot is older than the last batch would not see its rows.
    UPDATE pattyly.conversions AS u SET wait_for = pattyly.convert_older() WHERE u.target = c.target;
    RETURN pattyly.convert_phase(c.target, 'waiting');
END
$$;
COMMENT ON FUNCTION pattyly.convert_analyze(pattyly.conversions) IS
'For convert_table(), step 5: statistics for the copy; notes for whom to wait. Writes the catalogs and pattyly.conversions.';

---- 6: the swap ----

-- All locks together within 200 ms: so long others may have to stand in line behind us.
CREATE FUNCTION pattyly.convert_lock(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    began timestamptz := clock_timestamp();
    one regclass;
BEGIN
    FOR one IN SELECT pattyly.convert_locks(c.target) LOOP
        PERFORM set_config('lock_timeout',
            greatest(200 - extract(epoch FROM clock_timestamp() - began) * 1000, 1)::integer::text, true);
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', pattyly.convert_name(one));
    END LOOP;
    PERFORM set_config('lock_timeout', '100ms', true);
END
$$;
COMMENT ON FUNCTION pattyly.convert_lock(pattyly.conversions) IS 'For convert_table(): locks the tables that the swap changes. Errors: 55P03.';

-- What partitions get of their parent when they are made, these get now that it has it.
CREATE FUNCTION pattyly.convert_secure_partitions(copy regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = copy);
    child record;
BEGIN
    FOR child IN
        SELECT pattyly.convert_name(c.oid) AS name, c.relrowsecurity, c.relforcerowsecurity
        FROM pattyly.partition_children(copy) AS k JOIN pg_class AS c ON c.oid = k.id
    LOOP
        PERFORM pattyly.run_as_owner(copy, ARRAY(SELECT g FROM pattyly.partition_grants(copy, child.name) AS g)
            || ARRAY(SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', child.name) WHERE parent.relrowsecurity AND NOT child.relrowsecurity)
            || ARRAY(SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', child.name) WHERE parent.relforcerowsecurity AND NOT child.relforcerowsecurity));
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.convert_secure_partitions(regclass) IS
'For convert_table(): gives the partitions what their parent has of privileges and row security, as when they are made after it. Writes the catalogs.';

-- Nobody writes to the copy now. What writers put where no partition was made for it has to stay in the default one.
CREATE FUNCTION pattyly.convert_settle_rest(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rest regclass := (SELECT k.id FROM pattyly.partition_children(c.copy) AS k WHERE k.is_default);
BEGIN
    IF pattyly.partition_extreme(rest, c.control, NULL, NULL, false) IS NULL THEN
        EXECUTE format('DROP TABLE %s', pattyly.convert_name(rest));
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.convert_settle_rest(pattyly.conversions) IS
'For convert_table(): drops the default partition unless it holds rows. Writes the catalogs.';

CREATE FUNCTION pattyly.convert_swap_names(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements text[] := ARRAY(SELECT pattyly.convert_detach_statements(c.target))
        || ARRAY(SELECT pattyly.convert_rename_statements(c))
        || ARRAY(SELECT pattyly.convert_attach_statements(c));
    statement text;
BEGIN
    PERFORM pattyly.convert_settle_rest(c);
    UPDATE pattyly.conversions AS u SET unchecked = ARRAY(SELECT pattyly.convert_check_statements(c.target)) WHERE u.target = c.target;
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM pattyly.convert_secure_partitions(c.copy);
    INSERT INTO pattyly.partition_sets AS s SELECT (pattyly.convert_set(c)).*;
END
$$;
COMMENT ON FUNCTION pattyly.convert_swap_names(pattyly.conversions) IS
'For convert_table(): the copy takes the table''s place. Writes the catalogs and pattyly.conversions.';

CREATE FUNCTION pattyly.convert_swap(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    older integer := (SELECT min(l.pid) FROM pg_locks AS l WHERE l.locktype = 'virtualxid' AND l.virtualxid = ANY (c.wait_for));
BEGIN
    IF older IS NOT NULL THEN
        RETURN ROW(NULL, format('process %s has a transaction open from before the copy was complete', older), NULL, NULL, NULL, NULL)::pattyly.convert_step;
    END IF;
    PERFORM pattyly.convert_lock(c);
    PERFORM pattyly.check_conversion(c, true);
    PERFORM pattyly.check_convert_dependents(c.target);
    PERFORM pattyly.convert_swap_names(c);
    RETURN pattyly.convert_phase(c.target, 'swapped');
END
$$;
COMMENT ON FUNCTION pattyly.convert_swap(pattyly.conversions) IS
'For convert_table(), step 6: when nobody has an older snapshot, the copy takes the table''s place. Writes the catalogs and pattyly.conversions.';

---- 7: what is left ----

CREATE FUNCTION pattyly.convert_check_next(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    EXECUTE c.unchecked[1];
    UPDATE pattyly.conversions AS u SET unchecked = c.unchecked[2:] WHERE u.target = c.target;
    PERFORM pattyly.convert_reached('before_checked');
    RETURN ROW('checked', NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_check_next(pattyly.conversions) IS
'For convert_table(), step 7: checks a foreign key that refers to the table. Writes the catalogs and pattyly.conversions.';

CREATE FUNCTION pattyly.convert_finish(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    name text := pattyly.convert_name(c.target);
    rest regclass := (SELECT k.id FROM pattyly.partition_children(c.copy) AS k WHERE k.is_default);
BEGIN
    BEGIN
        IF name IS NOT NULL THEN
            EXECUTE format('DROP TABLE %s', name);
        END IF;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        RAISE WARNING 'table % stays, because other objects depend on it', name
            USING DETAIL = SQLERRM, HINT = 'All its rows are in the partitioned table. Drop it when nobody needs it any more.';
    END;
    IF rest IS NOT NULL THEN
        RAISE WARNING 'rows that have no partition of their own are in the default partition %', rest
            USING HINT = format('CALL pattyly.drain_default(%L) makes their partitions and moves them there.', c.copy);
    END IF;
    DELETE FROM pattyly.conversions AS d WHERE d.target = c.target;
    PERFORM pattyly.convert_reached('before_finished');
    RETURN ROW(NULL, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_finish(pattyly.conversions) IS
'For convert_table(), step 8: drops the old table, unless something depends on it since. Writes the catalogs and pattyly.conversions.';

---- Giving up ----

CREATE FUNCTION pattyly.convert_discard(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trigger_name name;
BEGIN
    FOR trigger_name IN
        SELECT t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.target AND p.proname = 'convert_mirror' AND p.pronamespace = 'pattyly'::regnamespace
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_name, pattyly.convert_name(c.target));
    END LOOP;
    IF EXISTS (SELECT FROM pg_class AS k WHERE k.oid = c.copy) THEN
        EXECUTE format('DROP TABLE %s', pattyly.convert_name(c.copy));
    END IF;
    DELETE FROM pattyly.conversions AS d WHERE d.target = c.target;
END
$$;
COMMENT ON FUNCTION pattyly.convert_discard(pattyly.conversions) IS
'For convert_table() and cancel_conversion(): takes the triggers, the copy and what is noted of a conversion away. Writes the catalogs and pattyly.conversions.';

---- Which one is next ----

CREATE FUNCTION pattyly.check_convert_options(c pattyly.conversions, options pattyly.conversions) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pattyly.check_partition_owner(c.copy);
    IF (c.control, c.every, c.premake, c.retain, c.on_expire, c.timezone, c.start, c.encoding) IS DISTINCT FROM
       (options.control, options.every, options.premake, options.retain, options.on_expire, options.timezone, options.start,
        options.encoding) THEN
        PERFORM pattyly.convert_refuse(
            format('a conversion of %I.%I with other arguments is under way', c.schema_name, c.table_name),
            format('Call it as before (SELECT * FROM pattyly.conversions)%s.',
                   CASE WHEN c.phase <> 'swapped' THEN
                       format(', or give that one up: SELECT pattyly.cancel_conversion(%L)', c.target) END),
            'object_in_use');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_options(pattyly.conversions, pattyly.conversions) IS
'For convert_table(): an error when a conversion that was begun is called with other arguments, or by somebody without the owner''s rights. Writes nothing.';

CREATE FUNCTION pattyly.convert_next_step(target regclass, options pattyly.conversions, begun boolean, path text)
    RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    c pattyly.conversions;
BEGIN
    SELECT * INTO c FROM pattyly.conversions AS o WHERE convert_next_step.target IN (o.target, o.copy) FOR UPDATE;
    IF c.target IS NULL THEN
        IF begun THEN
            -- Another session has taken the last step, or given up.
            RETURN ROW(NULL, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
        END IF;
        RETURN pattyly.convert_prepare(target, options);
    END IF;
    PERFORM pattyly.check_convert_options(c, options);
    RETURN CASE c.phase
        WHEN 'prepared' THEN pattyly.convert_rehearse(c)
        WHEN 'rehearsed' THEN pattyly.convert_capture(c)
        WHEN 'copying' THEN pattyly.convert_copy(c, path)
        WHEN 'copied' THEN pattyly.convert_analyze(c)
        WHEN 'waiting' THEN pattyly.convert_swap(c)
        WHEN 'swapped' THEN CASE WHEN cardinality(c.unchecked) > 0 THEN pattyly.convert_check_next(c) ELSE pattyly.convert_finish(c) END
    END;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    -- What stood in the way of a large batch may not be in that of a small one.
    UPDATE pattyly.conversions AS u SET batch_rows = greatest(u.batch_rows / 2, 10) WHERE u.target = c.target AND u.phase = 'copying';
    RETURN ROW(NULL, SQLERRM, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text) IS
'For convert_table(): takes the next step of a conversion, or says what it gave way to. Writes what the step does.';

REVOKE ALL ON FUNCTION
    pattyly.convert_phase(regclass, text),
    pattyly.check_conversion(pattyly.conversions, boolean),
    pattyly.convert_set(pattyly.conversions),
    pattyly.check_convert_name(pattyly.conversions, name),
    pattyly.convert_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_copy(regclass, name),
    pattyly.convert_prepare(regclass, pattyly.conversions),
    pattyly.convert_rehearse(pattyly.conversions),
    pattyly.convert_capture(pattyly.conversions),
    pattyly.convert_operator(oid, smallint),
    pattyly.convert_keys(regclass),
    pattyly.convert_compare(pattyly.convert_key, boolean, integer),
    pattyly.convert_range(pattyly.convert_key, boolean, boolean),
    pattyly.convert_boundary(pattyly.conversions, pattyly.convert_key, boolean),
    pattyly.convert_copy_rows(pattyly.conversions, pattyly.convert_key, text[], text),
    pattyly.convert_copy(pattyly.conversions, text),
    pattyly.convert_analyze(pattyly.conversions),
    pattyly.convert_lock(pattyly.conversions),
    pattyly.convert_secure_partitions(regclass),
    pattyly.convert_settle_rest(pattyly.conversions),
    pattyly.convert_swap_names(pattyly.conversions),
    pattyly.convert_swap(pattyly.conversions),
    pattyly.convert_check_next(pattyly.conversions),
    pattyly.convert_finish(pattyly.conversions),
    pattyly.convert_discard(pattyly.conversions),
    pattyly.check_convert_options(pattyly.conversions, pattyly.conversions),
    pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_phase(regclass, text),
    pattyly.check_conversion(pattyly.conversions, boolean),
    pattyly.convert_set(pattyly.conversions),
    pattyly.check_convert_name(pattyly.conversions, name),
    pattyly.convert_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_partitions(pattyly.conversions, pattyly.partition_sets),
    pattyly.convert_make_copy(regclass, name),
    pattyly.convert_prepare(regclass, pattyly.conversions),
    pattyly.convert_rehearse(pattyly.conversions),
    pattyly.convert_capture(pattyly.conversions),
    pattyly.convert_operator(oid, smallint),
    pattyly.convert_keys(regclass),
    pattyly.convert_compare(pattyly.convert_key, boolean, integer),
    pattyly.convert_range(pattyly.convert_key, boolean, boolean),
    pattyly.convert_boundary(pattyly.conversions, pattyly.convert_key, boolean),
    pattyly.convert_copy_rows(pattyly.conversions, pattyly.convert_key, text[], text),
    pattyly.convert_copy(pattyly.conversions, text),
    pattyly.convert_analyze(pattyly.conversions),
    pattyly.convert_lock(pattyly.conversions),
    pattyly.convert_secure_partitions(regclass),
    pattyly.convert_settle_rest(pattyly.conversions),
    pattyly.convert_swap_names(pattyly.conversions),
    pattyly.convert_swap(pattyly.conversions),
    pattyly.convert_check_next(pattyly.conversions),
    pattyly.convert_finish(pattyly.conversions),
    pattyly.convert_discard(pattyly.conversions),
    pattyly.check_convert_options(pattyly.conversions, pattyly.conversions),
    pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text)
TO @extowner@ WITH GRANT OPTION;
