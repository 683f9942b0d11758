-- partitions: how the rows of a table under conversion are copied: in the order of the primary key, in small batches.

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
    -- Not NULL for the modifier: "character" would be one of a single letter, and "bit" one of a single bit.
    SELECT array_agg(a.attname ORDER BY k), array_agg(format_type(a.atttypid, -1) ORDER BY k),
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
    -- Nothing that was deferred could run as the table's owner.
    SET CONSTRAINTS ALL IMMEDIATE;
    upto := coalesce(pattyly.convert_boundary(c, keys, false), c.copy_until);
    n := pattyly.convert_copy_rows(c, keys, upto, path);
    UPDATE pattyly.conversions AS u
    SET copied_to = upto, rows_copied = u.rows_copied + n, changed_at = pattyly.clock_now(),
        -- So that it takes about 100 ms, and twice as many at most.
        batch_rows = least(greatest(c.batch_rows * 0.1 / greatest(extract(epoch FROM clock_timestamp() - began), 0.05), 10), 20000)
    WHERE u.target = c.target;
    PERFORM pattyly.convert_reached('before_batch');
    RETURN ROW('batch', NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_copy(pattyly.conversions, text) IS
'For convert_table(), step 4: copies a batch of rows, under the search_path of the caller, whose functions may want it. Writes the copy and pattyly.conversions.';

-- With the settings of convert_copy(), for the rehearsal: what a row of this table cannot do now, it could not do in the middle.
CREATE FUNCTION pattyly.convert_try_row(c pattyly.conversions, path text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
    SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET extra_float_digits = 3 SET bytea_output = 'hex'
AS $$
DECLARE
    keys pattyly.convert_key := pattyly.convert_keys(c.target);
    first_key text[];
BEGIN
    c.batch_rows := 1;
    first_key := pattyly.convert_boundary(c, keys, false);
    IF first_key IS NULL THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM pattyly.convert_copy_rows(c, keys, first_key, path);
    RAISE EXCEPTION 'rehearsed' USING ERRCODE = 'PTRHS';
EXCEPTION WHEN SQLSTATE 'PTRHS' THEN
    NULL;
END
$$;
COMMENT ON FUNCTION pattyly.convert_try_row(pattyly.conversions, text) IS
'For convert_table(): copies the first row, if there is one, as convert_copy() would, and takes it back. Errors: whatever a function of the table raises. Writes nothing.';

REVOKE ALL ON FUNCTION
    pattyly.convert_operator(oid, smallint),
    pattyly.convert_keys(regclass),
    pattyly.convert_compare(pattyly.convert_key, boolean, integer),
    pattyly.convert_range(pattyly.convert_key, boolean, boolean),
    pattyly.convert_boundary(pattyly.conversions, pattyly.convert_key, boolean),
    pattyly.convert_copy_rows(pattyly.conversions, pattyly.convert_key, text[], text),
    pattyly.convert_copy(pattyly.conversions, text),
    pattyly.convert_try_row(pattyly.conversions, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_operator(oid, smallint),
    pattyly.convert_keys(regclass),
    pattyly.convert_compare(pattyly.convert_key, boolean, integer),
    pattyly.convert_range(pattyly.convert_key, boolean, boolean),
    pattyly.convert_boundary(pattyly.conversions, pattyly.convert_key, boolean),
    pattyly.convert_copy_rows(pattyly.conversions, pattyly.convert_key, text[], text),
    pattyly.convert_copy(pattyly.conversions, text),
    pattyly.convert_try_row(pattyly.conversions, text)
TO @extowner@ WITH GRANT OPTION;
