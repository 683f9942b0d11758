-- partitions: what convert_table() refuses, before anything is changed. All of it only reads the catalogs.

CREATE FUNCTION pattyly.convert_refuse(message text, hint text, code text DEFAULT 'feature_not_supported', detail text DEFAULT '') RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF detail = '' THEN
        RAISE EXCEPTION '%', message USING ERRCODE = code, HINT = hint;
    END IF;
    RAISE EXCEPTION '%', message USING ERRCODE = code, DETAIL = detail, HINT = hint;
END
$$;
COMMENT ON FUNCTION pattyly.convert_refuse(text, text, text, text) IS 'For convert_table(): raises an error. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_target(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = target);
    message text;
    hint text := 'Only an ordinary table of its own can be converted.';
    code text := 'wrong_object_type';
BEGIN
    IF target IS NULL THEN
        message := 'no table was named';
        hint := 'Name the table to convert.';
        code := 'null_value_not_allowed';
    ELSIF class.oid IS NULL THEN
        message := format('table with OID %s does not exist', target::oid);
        hint := 'Name a table of this database.';
        code := 'undefined_table';
    ELSIF NOT pg_has_role(class.relowner, 'USAGE') THEN
        message := format('must be owner of table %s', target);
        hint := 'Have the owner of the table, a member of it, or a superuser, call this.';
        code := 'insufficient_privilege';
    ELSIF class.relkind = 'p' THEN
        message := format('%s is already partitioned', target);
        hint := 'Have its partitions kept: SELECT pattyly.partition_table(...).';
    ELSIF class.relkind <> 'r' THEN
        message := format('%s is not a table', target);
    ELSIF target::oid < 16384 THEN
        message := format('%s is a system catalog', target);
    ELSIF class.relpersistence <> 'p' THEN
        message := format('%s is a temporary or unlogged table', target);
        hint := 'An unlogged one can be made lasting first: ALTER TABLE ... SET LOGGED.';
    ELSIF class.relispartition THEN
        message := format('%s is a partition', target);
    ELSIF EXISTS (SELECT FROM pg_inherits AS i WHERE target IN (i.inhrelid, i.inhparent)) THEN
        message := format('%s inherits or is inherited from', target);
        hint := 'Take it out first: ALTER TABLE ... NO INHERIT.';
    ELSIF class.reloftype <> 0 THEN
        message := format('%s is a typed table', target);
        hint := 'Make it an ordinary one first: ALTER TABLE ... NOT OF.';
    ELSIF (SELECT a.amname <> 'heap' FROM pg_am AS a WHERE a.oid = class.relam) THEN
        message := format('%s is kept by an access method other than heap', target);
        code := 'feature_not_supported';
    ELSIF EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = target AND d.deptype = 'e') THEN
        message := format('%s belongs to an extension', target);
        code := 'feature_not_supported';
    ELSIF EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = target) THEN
        message := format('%s is filled by a subscription', target);
        hint := 'Convert it where it is written, or take it out of the subscription first.';
        code := 'feature_not_supported';
    ELSIF NOT has_table_privilege(class.relowner, target, 'SELECT')
        OR NOT has_table_privilege(class.relowner, target, 'UPDATE')
        OR NOT has_schema_privilege(class.relowner, class.relnamespace, 'USAGE')
        OR NOT has_schema_privilege(class.relowner, class.relnamespace, 'CREATE') THEN
        message := format('the owner of %s may not read or lock its rows, or make tables in its schema', target);
        hint := format('GRANT SELECT, UPDATE ON %s TO %s; GRANT USAGE, CREATE ON SCHEMA %s TO %2$s', target,
                       class.relowner::regrole, class.relnamespace::regnamespace);
        code := 'insufficient_privilege';
    END IF;
    IF message IS NOT NULL THEN
        PERFORM pattyly.convert_refuse(message, hint, code);
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_target(regclass) IS
'For convert_table(): an error unless it is an ordinary table and the caller has its owner''s rights. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_control(target regclass, control name) RETURNS regtype
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    col pg_attribute := (SELECT a FROM pg_attribute AS a
                         WHERE a.attrelid = target AND a.attname = control AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
    IF control IS NULL THEN
        PERFORM pattyly.convert_refuse('no column was named', 'Name the column by which to partition.', 'null_value_not_allowed');
    ELSIF col.attname IS NULL THEN
        PERFORM pattyly.convert_refuse(
            format('column "%s" of table %s does not exist', control, target),
            'Names are taken as they are, without quotes, in upper and lower case.', 'undefined_column');
    ELSIF col.attgenerated <> '' THEN
        PERFORM pattyly.convert_refuse(
            format('column "%s" of table %s is generated, and no table can be partitioned by such', control, target),
            'Partition by another column.');
    END IF;
    RETURN col.atttypid;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_control(regclass, name) IS
'For convert_table(): the type of the column by which to partition; an error when it cannot be. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_arguments(target regclass, options pattyly.conversions, key regtype) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s pattyly.partition_sets := pattyly.convert_set(options);
BEGIN
    s.parent := target;
    PERFORM pattyly.check_partition_arguments(s, key);
    IF options.start IS NOT NULL THEN
        PERFORM pattyly.partition_start(s, key, options.start);
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_arguments(regclass, pattyly.conversions, regtype) IS
'For convert_table(): an error when no set could be kept with its other arguments. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_not_null(target regclass, control name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT a.attnotnull FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = control) THEN
        PERFORM pattyly.convert_refuse(
            format('column "%s" of table %s may be null, and a row without it has no partition', control, target),
            format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, control), 'object_not_in_prerequisite_state');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_not_null(regclass, name) IS
'For convert_table(): an error when the column by which to partition may be null. Writes nothing.';

-- The columns of an index as they are written in CREATE INDEX, without those that are only included.
CREATE FUNCTION pattyly.convert_index_columns(index oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k)
    FROM pg_index AS i, generate_series(1, i.indnkeyatts) AS k WHERE i.indexrelid = index
$$;
COMMENT ON FUNCTION pattyly.convert_index_columns(oid) IS 'For convert_table(): the columns of an index, as text. Writes nothing.';

-- How to get the column into a unique index, without keeping writers away for long.
CREATE FUNCTION pattyly.convert_widening(target regclass, index oid, control name) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CREATE UNIQUE INDEX CONCURRENTLY %I ON %s (%s, %I); ',
                  left(c.relname, 50) || '_wide', target, pattyly.convert_index_columns(index), control)
        || CASE WHEN k.oid IS NULL THEN format('DROP INDEX CONCURRENTLY %s', pattyly.convert_name(index))
                ELSE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s USING INDEX %I', target, k.conname,
                            CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, left(c.relname, 50) || '_wide') END
        || CASE WHEN EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = index)
                THEN '; foreign keys that refer to it have to go first, and can come back with that column' ELSE '' END
    FROM pg_class AS c LEFT JOIN pg_constraint AS k ON k.conindid = c.oid AND k.conrelid = target AND k.contype IN ('p', 'u')
    WHERE c.oid = index
$$;
COMMENT ON FUNCTION pattyly.convert_widening(regclass, oid, name) IS
'For convert_table(): the statements that put a column into a unique index. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_indexes(target regclass, control name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    column_no smallint := (SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = control);
    x record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = target AND i.indisprimary) THEN
        PERFORM pattyly.convert_refuse(
            format('table %s has no primary key, by which its rows are copied', target),
            format('Give it one that contains column %I.', control), 'object_not_in_prerequisite_state');
    END IF;
    FOR x IN
        SELECT i.*, c.relname, column_no = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]) AS has_control
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = target ORDER BY i.indisprimary DESC, c.relname
    LOOP
        IF NOT x.indisvalid OR NOT x.indisready THEN
            PERFORM pattyly.convert_refuse(
                format('index %I of table %s is not valid', x.relname, target),
                format('DROP INDEX CONCURRENTLY %s, or REINDEX it.', pattyly.convert_name(x.indexrelid)),
                'object_not_in_prerequisite_state');
        ELSIF x.indisexclusion THEN
            PERFORM pattyly.convert_refuse(
                format('table %s has exclusion constraint %I, which holds within one partition only', target, x.relname),
                'Drop it, or leave the table as it is.');
        ELSIF x.indisunique AND NOT x.has_control THEN
            PERFORM pattyly.convert_refuse(
                format('unique index %I of table %s does not contain column "%s": over several partitions nothing could be unique by it',
                       x.relname, target, control),
                pattyly.convert_widening(target, x.indexrelid, control), 'object_not_in_prerequisite_state');
        ELSIF NOT x.indimmediate THEN
            PERFORM pattyly.convert_refuse(
                format('unique constraint %I of table %s can be deferred, which does not go with carrying over each change at once',
                       x.relname, target),
                'Make it NOT DEFERRABLE by dropping and adding it; after the conversion it can be deferrable again.');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_indexes(regclass, name) IS
'For convert_table(): an error when an index could not be on a partitioned table; the hint mends it. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_constraints(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k record;
    what text;
BEGIN
    FOR k IN
        SELECT c.*, c.conrelid::regclass AS on_table, f.relkind, f.relowner
        FROM pg_constraint AS c JOIN pg_class AS f ON f.oid = c.conrelid
        WHERE target IN (c.conrelid, c.confrelid) AND c.conparentid = 0 ORDER BY c.conname
    LOOP
        what := format('constraint %I of table %s', k.conname, k.on_table);
        IF k.contype = 'f' AND k.conrelid = k.confrelid THEN
            PERFORM pattyly.convert_refuse(
                what || ' is a foreign key of the table to itself, which cannot be kept while rows are copied one after the other',
                format('ALTER TABLE %s DROP CONSTRAINT %I, and add it again after the conversion: %s', target, k.conname,
                       pg_get_constraintdef(k.oid)));
        ELSIF k.conrelid = target AND NOT k.convalidated THEN
            PERFORM pattyly.convert_refuse(
                what || ' is not valid, and a row that breaks it could not be copied',
                format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, k.conname), 'object_not_in_prerequisite_state');
        ELSIF k.conrelid = target AND k.contype = 'c' AND k.connoinherit THEN
            PERFORM pattyly.convert_refuse(
                what || ' is NO INHERIT, which a partitioned table cannot have',
                'Drop it, and add it without NO INHERIT.', 'object_not_in_prerequisite_state');
        ELSIF k.conrelid <> target AND k.relkind = 'p' AND current_setting('server_version_num')::integer < 180000 THEN
            PERFORM pattyly.convert_refuse(
                what || ' refers to the table and is of a partitioned table, where PostgreSQL checks all rows at once under lock',
                format('ALTER TABLE %s DROP CONSTRAINT %I, and add it again after the conversion: %s', k.on_table, k.conname,
                       pg_get_constraintdef(k.oid)));
        ELSIF k.conrelid <> target AND NOT pg_has_role(k.relowner, 'USAGE') THEN
            PERFORM pattyly.convert_refuse(
                what || ' refers to the table, and is not yours to be led to another',
                format('Have this called by somebody who also owns %s.', k.on_table), 'insufficient_privilege');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_constraints(regclass) IS
'For convert_table(): an error when a constraint could not be kept. Writes nothing.';

-- Whatever PostgreSQL notes as depending on the table, its row type or the sequences that it owns, and that the swap
-- cannot lead to the copy. What it can is named here; all the rest is refused, known or not.
CREATE FUNCTION pattyly.convert_dependents(target regclass)
    RETURNS TABLE (classid oid, objid oid, objsubid integer, problem text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH class AS (
        SELECT c.oid, c.reltype, t.typarray FROM pg_class AS c JOIN pg_type AS t ON t.oid = c.reltype WHERE c.oid = target
    ), identities AS (
        SELECT s.objid AS oid FROM pg_depend AS s
        WHERE s.refclassid = 'pg_class'::regclass AND s.refobjid = target AND s.classid = 'pg_class'::regclass
            AND s.deptype = 'i' AND s.refobjsubid > 0
    ), found AS (
        SELECT DISTINCT d.classid, d.objid, d.objsubid,
               CASE WHEN d.refclassid = 'pg_type'::regclass THEN 'uses the row type of the table'
                    WHEN d.refobjid <> target THEN 'uses a sequence of the table'
                    ELSE 'depends on the table' END AS problem
        FROM pg_depend AS d, class AS c
        WHERE d.deptype <> 'i'
            AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                 OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (c.reltype, c.typarray)
                 OR d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT i.oid FROM identities AS i))
    )
    SELECT f.classid, f.objid, f.objsubid, f.problem
    FROM found AS f
    WHERE f.problem <> 'depends on the table' OR NOT CASE f.classid
        -- Its indexes and sequences.
        WHEN 'pg_class'::regclass THEN
            (SELECT c.relkind = 'S' OR c.relkind = 'i' AND EXISTS (
                        SELECT FROM pg_index AS i WHERE i.indexrelid = c.oid AND i.indrelid = target)
             FROM pg_class AS c WHERE c.oid = f.objid)
        -- Its own constraints, and foreign keys that refer to it; check_convert_constraints() has a look at them.
        WHEN 'pg_constraint'::regclass THEN
            (SELECT k.conrelid = target OR k.contype = 'f' AND k.confrelid = target FROM pg_constraint AS k WHERE k.oid = f.objid)
        WHEN 'pg_attrdef'::regclass THEN (SELECT a.adrelid = target FROM pg_attrdef AS a WHERE a.oid = f.objid)
        WHEN 'pg_trigger'::regclass THEN (SELECT t.tgrelid = target OR t.tgisinternal FROM pg_trigger AS t WHERE t.oid = f.objid)
        WHEN 'pg_rewrite'::regclass THEN
            (SELECT r.rulename = '_RETURN' AND c.relkind = 'v' FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
             WHERE r.oid = f.objid)
        WHEN 'pg_policy'::regclass THEN true
        WHEN 'pg_statistic_ext'::regclass THEN true
        WHEN 'pg_publication_rel'::regclass THEN true
        ELSE false
    END
$$;
COMMENT ON FUNCTION pattyly.convert_dependents(regclass) IS
'For convert_table(): what depends on a table and cannot be led to another, and in which way. Writes nothing.';

CREATE FUNCTION pattyly.check_convert_dependents(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d record;
BEGIN
    FOR d IN
        SELECT pg_describe_object(p.classid, p.objid, p.objsubid) AS what, p.problem
        FROM pattyly.convert_dependents(target) AS p ORDER BY 1 LIMIT 1
    LOOP
        PERFORM pattyly.convert_refuse(
            format('%s %s %s and could not be led to the new one', d.what, d.problem, target),
            'Drop it, and create it again after the conversion.', 'dependent_objects_still_exist');
    END LOOP;
    FOR d IN
        SELECT pattyly.convert_name(c.oid) AS what, c.relowner FROM pattyly.convert_others(target) AS o JOIN pg_class AS c ON c.oid = o.id
        WHERE NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1
    LOOP
        PERFORM pattyly.convert_refuse(
            format('%s, or a policy of it, reads from %s and is not yours to be led to another', d.what, target),
            format('Have this called by somebody who also owns %s.', d.what), 'insufficient_privilege');
    END LOOP;
    FOR d IN
        SELECT pattyly.convert_name(o.id) AS what
        FROM pattyly.convert_others(target) AS o, LATERAL (
            SELECT pg_get_viewdef(o.id) WHERE o.is_view
            UNION ALL
            SELECT concat_ws(' ', pg_get_expr(p.polqual, o.id), pg_get_expr(p.polwithcheck, o.id)) FROM pg_policy AS p WHERE p.polrelid = o.id) AS t (text)
        WHERE t.text ~ ('\mONLY ' || regexp_replace(pattyly.convert_name(target), '([^[:alnum:]])', '\\\1', 'g') || '(?![[:alnum:]_$"])') LIMIT 1
    LOOP
        PERFORM pattyly.convert_refuse(
            format('%s, or a policy of it, reads from ONLY %s, where it would find no row any more', d.what, target),
            'Have it read from the table without ONLY.', 'dependent_objects_still_exist');
    END LOOP;
    FOR d IN
        SELECT p.pubname FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
        WHERE r.prrelid = target AND NOT pg_has_role(p.pubowner, 'USAGE') LIMIT 1
    LOOP
        PERFORM pattyly.convert_refuse(
            format('%s is in publication %I, which is not yours to change', target, d.pubname),
            'Have this called by somebody who also owns the publication.', 'insufficient_privilege');
    END LOOP;
    FOR d IN
        SELECT p.pubname FROM pg_publication AS p, LATERAL pg_get_publication_tables(p.pubname) AS t
        WHERE t.relid = target AND NOT p.pubviaroot LIMIT 1
    LOOP
        PERFORM pattyly.convert_refuse(
            format('%s is in publication %I, which would publish its rows under the names of its partitions', target, d.pubname),
            format('ALTER PUBLICATION %I SET (publish_via_partition_root = true)', d.pubname), 'object_not_in_prerequisite_state');
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_dependents(regclass) IS
'For convert_table(): an error when something depends on the table that cannot be led to another, or not by the caller. Writes nothing.';

-- As the copy has another name until the swap, a subscriber would be sent its rows for a table that he has not.
CREATE FUNCTION pattyly.check_convert_published(target regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    publication name := (SELECT p.pubname FROM pg_publication AS p, pg_class AS c
                         WHERE c.oid = target AND (p.puballtables OR EXISTS (
                             SELECT FROM pg_publication_namespace AS n WHERE n.pnpubid = p.oid AND n.pnnspid = c.relnamespace))
                         ORDER BY p.pubname LIMIT 1);
BEGIN
    IF publication IS NOT NULL THEN
        PERFORM pattyly.convert_refuse(
            format('publication %I has every table of the database or of its schema, so it would have the copy of %s as well', publication, target),
            'Publish the tables by their names instead (CREATE PUBLICATION ... FOR TABLE ...), or drop it for as long as the conversion lasts.',
            'object_not_in_prerequisite_state');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_published(regclass) IS
'For convert_table(): an error when a publication would have the copy, too. Writes nothing.';

-- The most basic first: what the call says, then what the table is, then what hangs on it.
CREATE FUNCTION pattyly.check_convert(target regclass, options pattyly.conversions) RETURNS regtype
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key regtype;
BEGIN
    PERFORM pattyly.check_convert_target(target);
    key := pattyly.check_convert_control(target, options.control);
    PERFORM pattyly.check_convert_arguments(target, options, key);
    PERFORM pattyly.check_convert_not_null(target, options.control);
    PERFORM pattyly.check_convert_indexes(target, options.control);
    PERFORM pattyly.check_convert_constraints(target);
    PERFORM pattyly.check_convert_dependents(target);
    PERFORM pattyly.check_convert_published(target);
    RETURN key;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert(regclass, pattyly.conversions) IS
'For convert_table(): the type of the column by which to partition, or an error that says what is in the way. Writes nothing.';

REVOKE ALL ON FUNCTION
    pattyly.convert_refuse(text, text, text, text),
    pattyly.check_convert_target(regclass),
    pattyly.check_convert_control(regclass, name),
    pattyly.check_convert_arguments(regclass, pattyly.conversions, regtype),
    pattyly.check_convert_not_null(regclass, name),
    pattyly.convert_index_columns(oid),
    pattyly.convert_widening(regclass, oid, name),
    pattyly.check_convert_indexes(regclass, name),
    pattyly.check_convert_constraints(regclass),
    pattyly.convert_dependents(regclass),
    pattyly.check_convert_dependents(regclass),
    pattyly.check_convert_published(regclass),
    pattyly.check_convert(regclass, pattyly.conversions)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_refuse(text, text, text, text),
    pattyly.check_convert_target(regclass),
    pattyly.check_convert_control(regclass, name),
    pattyly.check_convert_arguments(regclass, pattyly.conversions, regtype),
    pattyly.check_convert_not_null(regclass, name),
    pattyly.convert_index_columns(oid),
    pattyly.convert_widening(regclass, oid, name),
    pattyly.check_convert_indexes(regclass, name),
    pattyly.check_convert_constraints(regclass),
    pattyly.convert_dependents(regclass),
    pattyly.check_convert_dependents(regclass),
    pattyly.check_convert_published(regclass),
    pattyly.check_convert(regclass, pattyly.conversions)
TO @extowner@ WITH GRANT OPTION;
