-- partitions: how a partition is made: a table of its own first, then attached, so that the parent stays readable and
-- writable. What CREATE TABLE (LIKE) does not copy is copied here, except for what would open a way around the parent's
-- row policies.

CREATE FUNCTION pattyly.is_api_role(role oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE reached AS (
        SELECT r.oid FROM pg_roles AS r WHERE r.rolname = 'authenticator'
        UNION
        SELECT m.roleid FROM reached AS r JOIN pg_auth_members AS m ON m.member = r.oid
    )
    SELECT role = 0 OR EXISTS (
        SELECT FROM pg_roles AS r
        WHERE r.oid = role AND (r.rolname IN ('anon', 'authenticated', 'authenticator')
            OR NOT r.rolsuper AND NOT r.rolbypassrls AND r.oid IN (SELECT a.oid FROM reached AS a)))
$$;
COMMENT ON FUNCTION pattyly.is_api_role(oid) IS
'Whether clients reach the database as this role: PUBLIC (0), anon, authenticated, and what authenticator can become, by way of other roles, too, unless it goes past row policies anyway. Writes nothing.';

CREATE FUNCTION pattyly.table_grants(target oid)
    RETURNS TABLE (grantee oid, privilege_type text, is_grantable boolean, column_name name)
    LANGUAGE sql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.grantee, a.privilege_type, a.is_grantable, NULL::name FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = target
    UNION ALL
    SELECT a.grantee, a.privilege_type, a.is_grantable, t.attname FROM pg_attribute AS t, aclexplode(t.attacl) AS a
    WHERE t.attrelid = target AND t.attnum > 0 AND NOT t.attisdropped
$$;
COMMENT ON FUNCTION pattyly.table_grants(oid) IS
'Who has been granted what on a table, and on which of its columns (NULL: on all of it). Writes nothing.';

CREATE FUNCTION pattyly.is_partition_open(parent regclass, child oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT c.relrowsecurity AND c.relkind IN ('r', 'p') AND (p.relrowsecurity OR EXISTS (
        SELECT FROM pattyly.table_grants(child) AS a
        WHERE a.grantee <> c.relowner
            AND CASE WHEN EXISTS (SELECT FROM pattyly.table_grants(parent) AS b
                                  WHERE b.grantee IN (0, a.grantee) AND b.privilege_type = a.privilege_type
                                      AND (b.column_name IS NULL OR b.column_name = a.column_name)) THEN false
                     ELSE pattyly.is_api_role(a.grantee) END))
    FROM pg_class AS p, pg_class AS c WHERE p.oid = parent AND c.oid = child
$$;
COMMENT ON FUNCTION pattyly.is_partition_open(regclass, oid) IS
'Whether clients get more from a partition than through its table: the table has row security and the partition has not, or API roles have a privilege on it that they have not on the table. Writes nothing.';

CREATE FUNCTION pattyly.partition_grants(parent regclass, child text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH table_of AS (
        SELECT c.relowner AS owner, c.relnamespace AS schema FROM pg_class AS c WHERE c.oid = parent
    ), given AS (
        SELECT a.grantee FROM table_of AS t JOIN pg_default_acl AS d ON d.defaclrole = t.owner
            AND d.defaclnamespace IN (0, t.schema) AND d.defaclobjtype = 'r', aclexplode(d.defaclacl) AS a
        WHERE a.grantee <> t.owner
    )
    SELECT format('REVOKE ALL ON %s FROM %s', child,
                  string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, ', '))
    FROM given HAVING count(*) > 0
    UNION ALL
    SELECT format('GRANT %s ON %s TO %I%s', string_agg(g.privilege_type || coalesce(' (' || quote_ident(g.column_name) || ')', ''), ', '),
                  child, pg_get_userbyid(g.grantee), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pattyly.table_grants(parent) AS g, table_of AS t
    WHERE g.grantee <> t.owner AND NOT pattyly.is_api_role(g.grantee)
    GROUP BY g.grantee, g.is_grantable
$$;
COMMENT ON FUNCTION pattyly.partition_grants(regclass, text) IS
'The statements that give a new partition the parent''s grants, those to API roles left out, and take away what default privileges gave. Writes nothing.';

CREATE FUNCTION pattyly.partition_statements(parent regclass, child text, from_value text, to_value text, before_attach text[])
    RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH p AS (
        SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name, t.spcname, m.amname
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            LEFT JOIN pg_tablespace AS t ON t.oid = c.reltablespace LEFT JOIN pg_am AS m ON m.oid = c.relam
        WHERE c.oid = parent
    )
    SELECT format('CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES)', child, p.name)
        || coalesce(' USING ' || quote_ident(p.amname), '') || coalesce(' TABLESPACE ' || quote_ident(p.spcname), '')
    FROM p
    UNION ALL
    SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', child) FROM p WHERE p.relrowsecurity
    UNION ALL
    SELECT pattyly.partition_grants(parent, child)
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', child, a.attname, a.attstattarget)
    FROM pg_attribute AS a
    WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', child, a.attname, string_agg(o, ', '))
    FROM pg_attribute AS a, unnest(a.attoptions) AS o
    WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND o ~ '^n_distinct(_inherited)?='
    GROUP BY a.attname
    UNION ALL
    SELECT unnest(before_attach)
    UNION ALL
    SELECT format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)', p.name, child,
                  CASE from_value WHEN 'MINVALUE' THEN from_value ELSE quote_literal(from_value) END,
                  CASE to_value WHEN 'MAXVALUE' THEN to_value ELSE quote_literal(to_value) END)
    FROM p
    UNION ALL
    SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', child) FROM p WHERE p.relforcerowsecurity
$$;
COMMENT ON FUNCTION pattyly.partition_statements(regclass, text, text, text, text[]) IS
'The statements that make a partition, its name quoted and with its schema; before_attach come in when it is a table of its own. Writes nothing.';

CREATE FUNCTION pattyly.partition_identity(parent regclass, child regclass) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', child, CASE p.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
    FROM pg_class AS p WHERE p.oid = parent AND p.relreplident IN ('f', 'n')
    UNION ALL
    SELECT format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', child, c.relname)
    FROM pg_index AS i JOIN pg_inherits AS h ON h.inhparent = i.indexrelid
        JOIN pg_index AS x ON x.indexrelid = h.inhrelid JOIN pg_class AS c ON c.oid = h.inhrelid
    WHERE i.indrelid = parent AND i.indisreplident AND x.indrelid = child
$$;
COMMENT ON FUNCTION pattyly.partition_identity(regclass, regclass) IS
'The statement that gives a partition the replica identity of its table, unless that is the default. Writes nothing.';

CREATE FUNCTION pattyly.make_partition(parent regclass, name name, from_value text, to_value text, before_attach text[] DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text := (SELECT format('%I.%I', n.nspname, make_partition.name)
                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = parent);
    result bigint := pattyly.run_as_owner(parent, ARRAY(
        SELECT pattyly.partition_statements(parent, child, from_value, to_value, before_attach)));
BEGIN
    PERFORM pattyly.run_as_owner(parent, ARRAY(SELECT pattyly.partition_identity(parent, child::regclass)));
    RETURN result;
END
$$;
COMMENT ON FUNCTION pattyly.make_partition(regclass, name, text, text, text[]) IS
'Makes a partition with the rights of the table''s owner, which the caller must have; returns how many rows before_attach, more statements, put into it. Takes SHARE UPDATE EXCLUSIVE on the table, ACCESS EXCLUSIVE on its default partition, SHARE ROW EXCLUSIVE on tables at the other end of its foreign keys.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.is_api_role(oid),
    pattyly.table_grants(oid),
    pattyly.is_partition_open(regclass, oid),
    pattyly.partition_grants(regclass, text),
    pattyly.partition_statements(regclass, text, text, text, text[]),
    pattyly.partition_identity(regclass, regclass),
    pattyly.make_partition(regclass, name, text, text, text[])
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.is_api_role(oid),
    pattyly.table_grants(oid),
    pattyly.is_partition_open(regclass, oid),
    pattyly.partition_grants(regclass, text),
    pattyly.partition_statements(regclass, text, text, text, text[]),
    pattyly.partition_identity(regclass, regclass),
    pattyly.make_partition(regclass, name, text, text, text[])
TO @extowner@ WITH GRANT OPTION;
