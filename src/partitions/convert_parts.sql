-- partitions: what belongs to a table under conversion, as statements.
--
-- Those of the swap are all written down before the first of them runs, while every name still means the old table, and
-- most run after its name has passed to the new one: so they say the same of that. With nothing but pg_catalog in the
-- search path PostgreSQL writes every other name with its schema.

---- The copy ----

CREATE FUNCTION pattyly.convert_shape(target regclass) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('name', pattyly.convert_name(target), 'owner', c.relowner::regrole, 'persistence', c.relpersistence)
        || (SELECT jsonb_object_agg(format('column %I', a.attname),
                       jsonb_build_array(format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation,
                                         a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)))
            FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped)
        || (SELECT jsonb_object_agg(format('index %I', x.relname), pg_get_indexdef(x.oid))
            FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = target)
        || (SELECT jsonb_object_agg(format('constraint %I', k.conname), pg_get_constraintdef(k.oid))
            FROM pg_constraint AS k WHERE k.conrelid = target AND k.contype IN ('p', 'u', 'f', 'c'))
    FROM pg_class AS c WHERE c.oid = target
$$;
COMMENT ON FUNCTION pattyly.convert_shape(regclass) IS
'For convert_table(): what its copy was made after: columns, indexes, constraints. Writes nothing.';

CREATE FUNCTION pattyly.convert_copy_names(target regclass) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(c.relname, 'pattyly_new_' || i.indexrelid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = target
$$;
COMMENT ON FUNCTION pattyly.convert_copy_names(regclass) IS
'For convert_table(): what the indexes of the copy are called until the swap. Writes nothing.';

CREATE FUNCTION pattyly.convert_index_statements(target regclass, copy text)
    RETURNS TABLE (tablespace name, statement text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH indexes AS (
        SELECT i.*, c.relname, c.reltablespace, c.reloptions, k.oid AS constraint_id, 'pattyly_new_' || i.indexrelid AS new_name,
               format('CREATE %sINDEX %I ON %s USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                      pattyly.convert_name(target)) AS head,
               pg_get_indexdef(i.indexrelid) AS definition
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
            LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = target AND k.contype IN ('p', 'u')
        WHERE i.indrelid = target
    )
    SELECT coalesce((SELECT s.spcname FROM pg_tablespace AS s WHERE s.oid = i.reltablespace), ''),
           CASE WHEN i.constraint_id IS NOT NULL THEN
               format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', copy, i.new_name, pg_get_constraintdef(i.constraint_id),
                      ' WITH (' || array_to_string(i.reloptions, ', ') || ')')
           ELSE
               -- NULL, an error, should PostgreSQL ever write it in another way.
               CASE WHEN starts_with(i.definition, i.head) THEN
                   format('CREATE %sINDEX %I ON %s USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, i.new_name, copy)
                   || substr(i.definition, length(i.head) + 1) END
           END
    FROM indexes AS i ORDER BY i.indisprimary DESC, i.indexrelid
$$;
COMMENT ON FUNCTION pattyly.convert_index_statements(regclass, text) IS
'For convert_table(): the statements that make a table''s indexes on its copy, and their tablespaces. Writes nothing.';

CREATE FUNCTION pattyly.convert_column_statements(target regclass, copy text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', copy, a.attname, a.attstattarget)
    FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
    UNION ALL
    -- Servers may keep options of their own among them.
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', copy, a.attname, string_agg(o, ', '))
    FROM pg_attribute AS a, unnest(a.attoptions) AS o
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND o LIKE 'n\_distinct%' GROUP BY a.attname
$$;
COMMENT ON FUNCTION pattyly.convert_column_statements(regclass, text) IS
'For convert_table(): the statements that pass on what CREATE TABLE ... LIKE does not. Writes nothing.';

CREATE FUNCTION pattyly.convert_identity_statement(target regclass, copy text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', copy, CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                      ELSE 'USING INDEX ' || quote_ident((SELECT 'pattyly_new_' || i.indexrelid FROM pg_index AS i
                                                          WHERE i.indrelid = target AND i.indisreplident)) END)
    FROM pg_class AS c WHERE c.oid = target AND c.relreplident IN ('f', 'n', 'i')
$$;
COMMENT ON FUNCTION pattyly.convert_identity_statement(regclass, text) IS
'For convert_table(): the statement that gives the copy the table''s replica identity, unless that is the default. Writes nothing.';

CREATE FUNCTION pattyly.convert_storage_options(target regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(o.option, ', ')
    FROM pg_class AS c LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid,
        LATERAL (SELECT unnest(c.reloptions) UNION ALL SELECT 'toast.' || unnest(t.reloptions)) AS o(option)
    WHERE c.oid = target
$$;
COMMENT ON FUNCTION pattyly.convert_storage_options(regclass) IS
'For convert_table(): the storage parameters of a table, which a partitioned table cannot have but its partitions can; NULL for none. Writes nothing.';

CREATE FUNCTION pattyly.convert_foreign_keys(target regclass, copy text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', copy, k.conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint AS k WHERE k.conrelid = target AND k.contype = 'f' ORDER BY k.conname
$$;
COMMENT ON FUNCTION pattyly.convert_foreign_keys(regclass, text) IS
'For convert_table(): the statements that make a table''s foreign keys on its copy. Writes nothing.';

---- Privileges ----

-- A table or sequence of the same columns gets the privileges of another, and loses those that it was made with by
-- default. All are granted by the owner.
CREATE FUNCTION pattyly.convert_privileges(source regclass, copy regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := (SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END FROM pg_class AS c WHERE c.oid = copy);
    name text := pattyly.convert_name(copy);
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON %s %s FROM %s', kind, name, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
        FROM (SELECT DISTINCT a.grantee FROM pg_class AS c, aclexplode(c.relacl) AS a
              WHERE c.oid = copy AND (a.grantee <> c.relowner
                  OR (SELECT s.relacl IS NOT NULL FROM pg_class AS s WHERE s.oid = source))
              UNION
              SELECT c.relowner FROM pg_class AS c, pg_class AS s
              WHERE c.oid = copy AND s.oid = source AND s.relacl IS NOT NULL) AS g
        UNION ALL
        SELECT format('GRANT %s ON %s %s TO %s%s', string_agg(a.privilege_type, ', '), kind, name,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
        FROM pg_class AS s, aclexplode(s.relacl) AS a WHERE s.oid = source GROUP BY a.grantee, a.is_grantable
        UNION ALL
        SELECT format('GRANT %s (%I) ON %s %s TO %s%s', a.privilege_type, t.attname, kind, name,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
        FROM pg_attribute AS t, aclexplode(t.attacl) AS a WHERE t.attrelid = source AND NOT t.attisdropped
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.convert_privileges(regclass, regclass) IS
'For convert_table(): gives a table or sequence the privileges of another, and no others. Writes privileges.';

CREATE FUNCTION pattyly.convert_no_privileges(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT DISTINCT format('REVOKE ALL ON TABLE %s FROM %s', pattyly.convert_name(target),
                               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
        FROM pg_class AS c,
            LATERAL (SELECT e.grantee FROM aclexplode(c.relacl) AS e
                     UNION SELECT e.grantee FROM pg_attribute AS t, aclexplode(t.attacl) AS e WHERE t.attrelid = target) AS a
        WHERE c.oid = target AND a.grantee <> c.relowner
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.convert_no_privileges(regclass) IS
'For convert_table(): leaves a table to its owner alone. Writes privileges.';

-- The old table has its foreign keys until it is dropped. Its rows would keep others from deleting what they refer to, and
-- its triggers would see a second time what cascades.
CREATE FUNCTION pattyly.convert_empty(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name CONSTANT text := pattyly.convert_name(target);
BEGIN
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', name);
    EXECUTE format('GRANT TRUNCATE ON %s TO %s', name, (SELECT c.relowner::regrole FROM pg_class AS c WHERE c.oid = target));
    EXECUTE format('TRUNCATE TABLE %s', name);
END
$$;
COMMENT ON FUNCTION pattyly.convert_empty(regclass) IS
'For convert_table(): takes the rows out of the table whose place another has taken, and turns its triggers off. Writes the table.';

---- What else reads from the table ----

CREATE FUNCTION pattyly.convert_others(target regclass) RETURNS TABLE (id oid, is_view boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.ev_class, true FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target
        AND r.ev_class <> target
    UNION
    SELECT p.polrelid, false FROM pg_depend AS d JOIN pg_policy AS p ON p.oid = d.objid
    WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target
        AND p.polrelid <> target
$$;
COMMENT ON FUNCTION pattyly.convert_others(regclass) IS
'For convert_table(): the views that read from a table, and the tables with policies that do. Writes nothing.';

-- In the order in which they are locked: the one that everybody wants last.
CREATE FUNCTION pattyly.convert_locks(target regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id::regclass FROM (
        SELECT k.conrelid AS id FROM pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = target AND k.conparentid = 0
        UNION SELECT o.id FROM pattyly.convert_others(target) AS o WHERE NOT o.is_view
        UNION SELECT target::oid) AS t
    ORDER BY t.id = target, t.id
$$;
COMMENT ON FUNCTION pattyly.convert_locks(regclass) IS 'For convert_table(): the tables that the swap locks, in order. Writes nothing.';

---- The swap: before the names change ----

CREATE FUNCTION pattyly.convert_identities(target regclass)
    RETURNS TABLE (column_name name, always boolean, sequence regclass, schema_name name, name name, clause text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname, a.attidentity = 'a', s.seqrelid::regclass, n.nspname, c.relname,
           format('SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', n.nspname, c.relname,
                  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
    FROM pg_attribute AS a
        JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
            AND d.refobjid = target AND d.refobjsubid = a.attnum
        JOIN pg_sequence AS s ON s.seqrelid = d.objid
        JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE a.attrelid = target AND a.attidentity <> ''
$$;
COMMENT ON FUNCTION pattyly.convert_identities(regclass) IS
'For convert_table(): the identity columns of a table and their sequences. Writes nothing.';

CREATE FUNCTION pattyly.convert_detach_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('DROP TRIGGER %I ON %s', t.tgname, pattyly.convert_name(target))
    FROM pg_trigger AS t
    WHERE t.tgrelid = target AND t.tgfoid = (SELECT p.oid FROM pg_proc AS p WHERE p.proname = 'convert_mirror'
                                                 AND p.pronamespace = 'pattyly'::regnamespace)
    UNION ALL
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', pattyly.convert_name(k.conrelid), k.conname)
    FROM pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = target AND k.conparentid = 0
    UNION ALL
    SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, pattyly.convert_name(target))
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.prrelid = target
    UNION ALL
    SELECT format('DROP STATISTICS %I.%I', n.nspname, s.stxname)
    FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace WHERE s.stxrelid = target
    UNION ALL
    SELECT format('ALTER SEQUENCE %s RENAME TO %I', pattyly.convert_name(i.sequence), 'pattyly_old_' || i.sequence::oid)
    FROM pattyly.convert_identities(target) AS i
    UNION ALL
    SELECT format('ALTER INDEX %s RENAME TO %I', pattyly.convert_name(i.indexrelid), 'pattyly_old_' || i.indexrelid)
    FROM pg_index AS i WHERE i.indrelid = target
$$;
COMMENT ON FUNCTION pattyly.convert_detach_statements(regclass) IS
'For convert_table(): the statements that take away what the copy will have, and make room for its names. Writes nothing.';

CREATE FUNCTION pattyly.convert_rename_statements(c pattyly.conversions) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s RENAME TO %I', pattyly.convert_name(c.target), 'pattyly_old_' || c.target::oid)
    UNION ALL
    SELECT format('ALTER TABLE %s RENAME TO %I', pattyly.convert_name(c.copy), c.table_name)
    UNION ALL
    SELECT format('ALTER INDEX %I.%I RENAME TO %I', c.schema_name, n.value, n.key)
    FROM jsonb_each_text(c.copy_names) AS n
$$;
COMMENT ON FUNCTION pattyly.convert_rename_statements(pattyly.conversions) IS
'For convert_table(): the statements by which the copy takes over the names of the table and its indexes. Writes nothing.';

---- The swap: after that ----

-- Identities go on where they are; sequences that the table owns change hands.
CREATE FUNCTION pattyly.convert_sequence_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT x.statement FROM pattyly.convert_identities(target) AS i, LATERAL (VALUES
        (1, format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (%s)', pattyly.convert_name(target), i.column_name,
                   CASE WHEN i.always THEN 'ALWAYS' ELSE 'BY DEFAULT' END, i.clause)),
        (2, format('SELECT pg_catalog.setval(%L, s.last_value, s.is_called) FROM %I.%I AS s', pattyly.convert_name(i.sequence),
                   i.schema_name, 'pattyly_old_' || i.sequence::oid)),
        (3, format('SELECT pattyly.convert_privileges(%s, %L)', i.sequence::oid, pattyly.convert_name(i.sequence))),
        (4, format('COMMENT ON SEQUENCE %s IS %L', pattyly.convert_name(i.sequence), obj_description(i.sequence, 'pg_class')))
    ) AS x(place, statement)
    UNION ALL
    SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', pattyly.convert_name(d.objid), pattyly.convert_name(target), a.attname)
    FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_attribute AS a ON a.attrelid = target AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target AND d.deptype = 'a'
$$;
COMMENT ON FUNCTION pattyly.convert_sequence_statements(regclass) IS
'For convert_table(): the statements by which identities go on in the copy, and sequences that the table owns change hands. Writes nothing.';

CREATE FUNCTION pattyly.convert_trigger_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT x.statement
    FROM pg_trigger AS t, LATERAL (
        SELECT pg_get_triggerdef(t.oid)
        UNION ALL
        SELECT format('ALTER TABLE %s %s TRIGGER %I', pattyly.convert_name(target),
                      CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname)
        WHERE t.tgenabled <> 'O') AS x(statement)
    WHERE t.tgrelid = target AND NOT t.tgisinternal
        AND t.tgfoid <> (SELECT p.oid FROM pg_proc AS p WHERE p.proname = 'convert_mirror'
                             AND p.pronamespace = 'pattyly'::regnamespace)
$$;
COMMENT ON FUNCTION pattyly.convert_trigger_statements(regclass) IS
'For convert_table(): the statements that make the table''s triggers again, enabled as they are. Writes nothing.';

CREATE FUNCTION pattyly.convert_policy_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, pattyly.convert_name(target),
                  CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                  (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ') FROM unnest(p.polroles) AS r))
        || coalesce(' USING (' || pg_get_expr(p.polqual, target) || ')', '')
        || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, target) || ')', '')
    FROM pg_policy AS p WHERE p.polrelid = target
    UNION ALL
    SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY', pattyly.convert_name(target), f.what)
    FROM pg_class AS c, LATERAL (SELECT 'ENABLE' WHERE c.relrowsecurity UNION ALL SELECT 'FORCE' WHERE c.relforcerowsecurity) AS f(what)
    WHERE c.oid = target
$$;
COMMENT ON FUNCTION pattyly.convert_policy_statements(regclass) IS
'For convert_table(): the statements that make the table''s policies again, and turn row security on as it is. Writes nothing.';

CREATE FUNCTION pattyly.convert_statistics_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT x.statement
    FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace, LATERAL (
        SELECT pg_get_statisticsobjdef(s.oid)
        UNION ALL
        SELECT format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget) WHERE s.stxstattarget >= 0
        UNION ALL
        SELECT format('ALTER STATISTICS %I.%I OWNER TO %s', n.nspname, s.stxname, s.stxowner::regrole)
        UNION ALL
        SELECT format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, s.stxname, obj_description(s.oid, 'pg_statistic_ext'))
        WHERE obj_description(s.oid, 'pg_statistic_ext') IS NOT NULL) AS x(statement)
    WHERE s.stxrelid = target
$$;
COMMENT ON FUNCTION pattyly.convert_statistics_statements(regclass) IS
'For convert_table(): the statements that make the table''s statistics objects again. Writes nothing.';

CREATE FUNCTION pattyly.convert_comment_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('COMMENT ON %s IS %L', x.what, d.description)
    FROM (
        SELECT 'pg_class'::regclass AS classoid, target::oid AS objoid, 0 AS objsubid, 'TABLE ' || pattyly.convert_name(target) AS what
        UNION ALL
        SELECT 'pg_class'::regclass, target, a.attnum, format('COLUMN %s.%I', pattyly.convert_name(target), a.attname)
        FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'pg_constraint'::regclass, k.oid, 0, format('CONSTRAINT %I ON %s', k.conname, pattyly.convert_name(k.conrelid))
        FROM pg_constraint AS k WHERE target IN (k.conrelid, k.confrelid)
        UNION ALL
        SELECT 'pg_class'::regclass, i.indexrelid, 0, 'INDEX ' || pattyly.convert_name(i.indexrelid)
        FROM pg_index AS i WHERE i.indrelid = target
        UNION ALL
        SELECT 'pg_trigger'::regclass, t.oid, 0, format('TRIGGER %I ON %s', t.tgname, pattyly.convert_name(target))
        FROM pg_trigger AS t WHERE t.tgrelid = target
        UNION ALL
        SELECT 'pg_policy'::regclass, p.oid, 0, format('POLICY %I ON %s', p.polname, pattyly.convert_name(target))
        FROM pg_policy AS p WHERE p.polrelid = target) AS x
        JOIN pg_description AS d ON d.classoid = x.classoid AND d.objoid = x.objoid AND d.objsubid = x.objsubid
    UNION ALL
    SELECT format('SECURITY LABEL FOR %I ON %s IS %L', l.provider,
                  CASE l.objsubid WHEN 0 THEN 'TABLE ' || pattyly.convert_name(target)
                       ELSE format('COLUMN %s.%I', pattyly.convert_name(target), a.attname) END, l.label)
    FROM pg_seclabel AS l LEFT JOIN pg_attribute AS a ON a.attrelid = target AND a.attnum = l.objsubid
    WHERE l.classoid = 'pg_class'::regclass AND l.objoid = target
$$;
COMMENT ON FUNCTION pattyly.convert_comment_statements(regclass) IS
'For convert_table(): the statements that say the comments and security labels again. Writes nothing.';

-- Checked after the swap: NOT VALID until then, which is enough for what is written.
CREATE FUNCTION pattyly.convert_referring_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', pattyly.convert_name(k.conrelid), k.conname, pg_get_constraintdef(k.oid),
                  CASE WHEN k.convalidated THEN ' NOT VALID' END)
    FROM pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = target AND k.conparentid = 0
$$;
COMMENT ON FUNCTION pattyly.convert_referring_statements(regclass) IS
'For convert_table(): the statements that make the foreign keys again that refer to the table. Writes nothing.';

CREATE FUNCTION pattyly.convert_unchecked(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.conrelid::oid || ' ' || k.conname
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND k.confrelid = target AND k.conparentid = 0 AND k.convalidated ORDER BY k.oid
$$;
COMMENT ON FUNCTION pattyly.convert_unchecked(regclass) IS
'For convert_table(): the foreign keys that refer to the table and have to be checked: number of their table, name. Writes nothing.';

CREATE FUNCTION pattyly.convert_publication_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, pattyly.convert_name(target))
        || coalesce((SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
                     FROM pg_attribute AS a WHERE a.attrelid = target AND a.attnum = ANY (r.prattrs::smallint[])), '')
        || coalesce(' WHERE (' || pg_get_expr(r.prqual, target) || ')', '')
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.prrelid = target
$$;
COMMENT ON FUNCTION pattyly.convert_publication_statements(regclass) IS
'For convert_table(): the statements that publish the table as it is published. Writes nothing.';

-- CREATE OR REPLACE keeps what a view is to others: its privileges, triggers, comments, and the views on it.
CREATE FUNCTION pattyly.convert_reader_statements(target regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CREATE OR REPLACE VIEW %s%s AS %s', pattyly.convert_name(v.oid),
                  ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid))
    FROM pattyly.convert_others(target) AS o JOIN pg_class AS v ON v.oid = o.id WHERE o.is_view
    UNION ALL
    SELECT format('ALTER POLICY %I ON %s', p.polname, pattyly.convert_name(p.polrelid))
        || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
        || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
    FROM pg_policy AS p
    WHERE p.polrelid <> target AND EXISTS (
        SELECT FROM pg_depend AS d WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = target)
$$;
COMMENT ON FUNCTION pattyly.convert_reader_statements(regclass) IS
'For convert_table(): the statements by which the views and policies that read from the table read from the new one. Writes nothing.';

CREATE FUNCTION pattyly.convert_attach_statements(c pattyly.conversions) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pattyly.convert_sequence_statements(c.target)
    UNION ALL SELECT pattyly.convert_policy_statements(c.target)
    UNION ALL SELECT format('SELECT pattyly.convert_privileges(%s, %s)', c.target::oid, c.copy::oid)
    UNION ALL SELECT format('SELECT pattyly.convert_no_privileges(%s)', c.target::oid)
    UNION ALL SELECT format('SELECT pattyly.convert_empty(%s)', c.target::oid)
    UNION ALL SELECT format('SELECT pattyly.lead_relations(%s, %s)', c.target::oid, c.copy::oid)
    UNION ALL SELECT pattyly.convert_trigger_statements(c.target)
    UNION ALL SELECT pattyly.convert_statistics_statements(c.target)
    UNION ALL SELECT pattyly.convert_referring_statements(c.target)
    UNION ALL SELECT pattyly.convert_publication_statements(c.target)
    UNION ALL SELECT pattyly.convert_reader_statements(c.target)
    UNION ALL SELECT pattyly.convert_comment_statements(c.target)
$$;
COMMENT ON FUNCTION pattyly.convert_attach_statements(pattyly.conversions) IS
'For convert_table(): the statements that give the copy, once it has the table''s name, all else that was the table''s. Writes nothing.';

REVOKE ALL ON FUNCTION
    pattyly.convert_shape(regclass),
    pattyly.convert_copy_names(regclass),
    pattyly.convert_index_statements(regclass, text),
    pattyly.convert_column_statements(regclass, text),
    pattyly.convert_identity_statement(regclass, text),
    pattyly.convert_storage_options(regclass),
    pattyly.convert_foreign_keys(regclass, text),
    pattyly.convert_privileges(regclass, regclass),
    pattyly.convert_no_privileges(regclass),
    pattyly.convert_empty(regclass),
    pattyly.convert_others(regclass),
    pattyly.convert_locks(regclass),
    pattyly.convert_identities(regclass),
    pattyly.convert_detach_statements(regclass),
    pattyly.convert_rename_statements(pattyly.conversions),
    pattyly.convert_sequence_statements(regclass),
    pattyly.convert_trigger_statements(regclass),
    pattyly.convert_policy_statements(regclass),
    pattyly.convert_statistics_statements(regclass),
    pattyly.convert_comment_statements(regclass),
    pattyly.convert_referring_statements(regclass),
    pattyly.convert_unchecked(regclass),
    pattyly.convert_publication_statements(regclass),
    pattyly.convert_reader_statements(regclass),
    pattyly.convert_attach_statements(pattyly.conversions)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_shape(regclass),
    pattyly.convert_copy_names(regclass),
    pattyly.convert_index_statements(regclass, text),
    pattyly.convert_column_statements(regclass, text),
    pattyly.convert_identity_statement(regclass, text),
    pattyly.convert_storage_options(regclass),
    pattyly.convert_foreign_keys(regclass, text),
    pattyly.convert_privileges(regclass, regclass),
    pattyly.convert_no_privileges(regclass),
    pattyly.convert_empty(regclass),
    pattyly.convert_others(regclass),
    pattyly.convert_locks(regclass),
    pattyly.convert_identities(regclass),
    pattyly.convert_detach_statements(regclass),
    pattyly.convert_rename_statements(pattyly.conversions),
    pattyly.convert_sequence_statements(regclass),
    pattyly.convert_trigger_statements(regclass),
    pattyly.convert_policy_statements(regclass),
    pattyly.convert_statistics_statements(regclass),
    pattyly.convert_comment_statements(regclass),
    pattyly.convert_referring_statements(regclass),
    pattyly.convert_unchecked(regclass),
    pattyly.convert_publication_statements(regclass),
    pattyly.convert_reader_statements(regclass),
    pattyly.convert_attach_statements(pattyly.conversions)
TO @extowner@ WITH GRANT OPTION;
