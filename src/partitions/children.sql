-- partitions: how a partition is made: a table of its own first, then attached, so that the parent stays readable and
-- writable. What CREATE TABLE (LIKE) does not copy is copied here, except for what would open a way around the parent's
-- row policies.

CREATE FUNCTION pattyly.is_api_role(role oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT role = 0 OR EXISTS (
        SELECT FROM pg_roles AS r
        WHERE r.oid = role AND (r.rolname IN ('anon', 'authenticated', 'authenticator')
            OR NOT r.rolsuper AND NOT r.rolbypassrls AND EXISTS (
                SELECT FROM pg_auth_members AS m JOIN pg_roles AS a ON a.oid = m.member
                WHERE m.roleid = r.oid AND a.rolname = 'authenticator')))
$$;
COMMENT ON FUNCTION pattyly.is_api_role(oid) IS
'Whether clients reach the database as this role: PUBLIC (0), anon, authenticated, and what authenticator can become, unless it goes past row policies anyway. Writes nothing.';

CREATE FUNCTION pattyly.is_partition_open(parent regclass, child oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT c.relrowsecurity AND c.relkind IN ('r', 'p') AND (p.relrowsecurity OR EXISTS (
        SELECT FROM aclexplode(c.relacl) AS a
        WHERE CASE WHEN EXISTS (SELECT FROM aclexplode(p.relacl) AS b
                                WHERE b.grantee IN (0, a.grantee) AND b.privilege_type = a.privilege_type) THEN false
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
        SELECT c.relowner AS owner, c.relnamespace AS schema, c.relacl AS acl FROM pg_class AS c WHERE c.oid = parent
    ), given AS (
        SELECT a.grantee FROM table_of AS t JOIN pg_default_acl AS d ON d.defaclrole = t.owner
            AND d.defaclnamespace IN (0, t.schema) AND d.defaclobjtype = 'r', aclexplode(d.defaclacl) AS a
        WHERE a.grantee <> t.owner
    ), granted AS (
        SELECT NULL::name AS column_name, a.* FROM table_of AS t, aclexplode(t.acl) AS a
        UNION ALL
        SELECT b.attname, a.* FROM pg_attribute AS b, aclexplode(b.attacl) AS a
        WHERE b.attrelid = parent AND b.attnum > 0 AND NOT b.attisdropped
    )
    SELECT format('REVOKE ALL ON %s FROM %s', child,
                  string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, ', '))
    FROM given HAVING count(*) > 0
    UNION ALL
    SELECT format('GRANT %s ON %s TO %I%s', string_agg(g.privilege_type || coalesce(' (' || quote_ident(g.column_name) || ')', ''), ', '),
                  child, pg_get_userbyid(g.grantee), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM granted AS g, table_of AS t
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
    UNION ALL
    SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', child, CASE p.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
    FROM p WHERE p.relreplident IN ('f', 'n')
$$;
COMMENT ON FUNCTION pattyly.partition_statements(regclass, text, text, text, text[]) IS
'The statements that make a partition, its name quoted and with its schema; before_attach come in when it is a table of its own. Writes nothing.';

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
    PERFORM pattyly.run_as_owner(parent, ARRAY[format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', child, c.relname)])
    FROM pg_index AS i JOIN pg_inherits AS h ON h.inhparent = i.indexrelid
        JOIN pg_index AS x ON x.indexrelid = h.inhrelid JOIN pg_class AS c ON c.oid = h.inhrelid
    WHERE i.indrelid = parent AND i.indisreplident AND x.indrelid = child::regclass;
    RETURN result;
END
$$;
COMMENT ON FUNCTION pattyly.make_partition(regclass, name, text, text, text[]) IS
'Makes a partition with the rights of the table''s owner, which the caller must have; returns how many rows before_attach, more statements, put into it. Takes SHARE UPDATE EXCLUSIVE on the table, ACCESS EXCLUSIVE on its default partition, SHARE ROW EXCLUSIVE on tables at the other end of its foreign keys.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.is_api_role(oid),
    pattyly.is_partition_open(regclass, oid),
    pattyly.partition_grants(regclass, text),
    pattyly.partition_statements(regclass, text, text, text, text[]),
    pattyly.make_partition(regclass, name, text, text, text[])
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.is_api_role(oid),
    pattyly.is_partition_open(regclass, oid),
    pattyly.partition_grants(regclass, text),
    pattyly.partition_statements(regclass, text, text, text, text[]),
    pattyly.make_partition(regclass, name, text, text, text[])
TO @extowner@ WITH GRANT OPTION;
