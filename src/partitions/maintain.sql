-- partitions: the steps of a run. C: maintain.c, detach.c.

CREATE FUNCTION pattyly.make_planned_partitions(parent regclass, texts text[]) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Whoever is about to write to the default partition would get an error when that loses the range on the way.
    SELECT pattyly.run_as_owner(parent, ARRAY[format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', pattyly.partition_full_name(parent))])
    FROM pg_partitioned_table AS p WHERE p.partrelid = parent AND p.partdefid <> 0;
    SELECT count(pattyly.make_partition(parent, texts[i]::name, texts[i + 1], texts[i + 2]))
    FROM generate_series(1, cardinality(texts), 3) AS i
$$;
COMMENT ON FUNCTION pattyly.make_planned_partitions(regclass, text[]) IS
'As make_partition() for several, given as triples: name, from, to; keeps writers waiting (SHARE ROW EXCLUSIVE) when there is a default partition. Returns how many.';

CREATE FUNCTION pattyly.partition_id(parent regclass, partition text) RETURNS oid
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.inhparent = parent AND format('%I.%I', n.nspname, c.relname) = partition
$$;
COMMENT ON FUNCTION pattyly.partition_id(regclass, text) IS
'The partition of that name, with its schema and quoted, since two schemas may have one of the same name; NULL when there is none. Writes nothing.';

CREATE FUNCTION pattyly.finalize_partition(parent regclass, partition text) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pattyly.run_as_owner(parent, ARRAY[format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', pattyly.partition_full_name(parent),
                                                     pattyly.partition_full_name(pattyly.partition_id(parent, partition)))])
$$;
COMMENT ON FUNCTION pattyly.finalize_partition(regclass, text) IS 'Ends the detaching of a partition that was begun and not ended.';

CREATE FUNCTION pattyly.begin_leaving(parent regclass, partition text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO pattyly.leaving_partitions AS l
    SELECT k.id, parent, s.on_expire, k.from_value, k.to_value
    FROM pattyly.partition_children(parent) AS k, pattyly.partition_sets AS s
    WHERE k.id = (SELECT pattyly.partition_id(begin_leaving.parent, begin_leaving.partition)) AND s.parent = begin_leaving.parent
    ON CONFLICT ON CONSTRAINT leaving_partitions_pkey DO UPDATE SET on_expire = excluded.on_expire
$$;
COMMENT ON FUNCTION pattyly.begin_leaving(regclass, text) IS
'Writes down that a partition is about to be detached and what is to become of it. Writes pattyly.leaving_partitions.';

-- Else it would happen to a table that somebody has detached by hand later, and wants to keep.
CREATE FUNCTION pattyly.strike_out_attached(parent regclass) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM pattyly.leaving_partitions AS l USING pg_inherits AS i
        WHERE l.parent = strike_out_attached.parent AND i.inhrelid = l.partition AND i.inhparent = l.parent AND NOT i.inhdetachpending
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION pattyly.strike_out_attached(regclass) IS
'Strikes out what was written down about partitions whose detaching has not begun; returns of how many. Writes pattyly.leaving_partitions.';

-- A detached table is out of the reach of the parent's policies for good.
CREATE FUNCTION pattyly.close_partition(parent regclass, child oid) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', pattyly.partition_full_name(child))
    FROM pg_class AS p, pg_class AS c
    WHERE p.oid = parent AND p.relrowsecurity AND c.oid = child AND NOT c.relrowsecurity AND c.relkind IN ('r', 'p')
    UNION ALL
    -- With that on columns.
    SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', pattyly.partition_full_name(child),
                           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
    FROM pg_class AS c, pattyly.table_grants(child) AS a
    WHERE c.oid = child AND a.grantee <> c.relowner AND pattyly.is_api_role(a.grantee)
$$;
COMMENT ON FUNCTION pattyly.close_partition(regclass, oid) IS
'The statements that keep API roles out of a partition: row security as the parent has it, and no grants. Writes nothing.';

CREATE FUNCTION pattyly.shut_partition(parent regclass, partition text) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(pattyly.run_as_owner(t.relid, ARRAY(SELECT pattyly.close_partition(parent, t.relid))))
    FROM pg_partition_tree(pattyly.partition_id(parent, partition)) AS t
    WHERE pattyly.is_partition_open(parent, t.relid)
$$;
COMMENT ON FUNCTION pattyly.shut_partition(regclass, text) IS
'Keeps API roles out of a partition, and of its own partitions, that somebody has made without (is_partition_open); returns of how many. Takes ACCESS EXCLUSIVE on them.';

CREATE FUNCTION pattyly.leaving_statements(child oid, on_expire text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, pattyly.partition_full_name(child))
    FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
    WHERE r.prrelid = child AND on_expire <> 'drop'
    UNION ALL
    SELECT format('DROP %sTABLE %s', CASE c.relkind WHEN 'f' THEN 'FOREIGN ' ELSE '' END, pattyly.partition_full_name(child))
    FROM pg_class AS c WHERE c.oid = child AND on_expire = 'drop'
    UNION ALL
    SELECT format('ALTER TABLE %s SET SCHEMA %I', pattyly.partition_full_name(child), substr(on_expire, 9))
    WHERE on_expire LIKE 'archive:%'
$$;
COMMENT ON FUNCTION pattyly.leaving_statements(oid, text) IS
'The statements for a partition that has just been detached. Writes nothing.';

CREATE FUNCTION pattyly.end_leaving(parent regclass, partition text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    l pattyly.leaving_partitions;
BEGIN
    DELETE FROM pattyly.leaving_partitions AS d
    WHERE d.parent = end_leaving.parent AND pattyly.partition_full_name(d.partition) = end_leaving.partition
    RETURNING d.* INTO l;
    IF FOUND THEN
        PERFORM pattyly.run_as_owner(t.id, c.statements)
        FROM (SELECT l.partition UNION SELECT p.relid FROM pg_partition_tree(l.partition) AS p) AS t (id),
            LATERAL (SELECT ARRAY(SELECT pattyly.close_partition(parent, t.id))) AS c (statements)
        WHERE l.on_expire <> 'drop' AND c.statements <> '{}';
        PERFORM pattyly.run_as_owner(l.partition, ARRAY(SELECT pattyly.leaving_statements(l.partition, l.on_expire)));
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.end_leaving(regclass, text) IS
'Does with a detached partition what was written down when its detaching began. Writes pattyly.leaving_partitions.';

CREATE FUNCTION pattyly.expire_partition(parent regclass, partition text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child oid := pattyly.partition_id(parent, partition);
BEGIN
    PERFORM pattyly.begin_leaving(parent, partition);
    PERFORM pattyly.run_as_owner(parent, ARRAY[format('ALTER TABLE %s DETACH PARTITION %s', pattyly.partition_full_name(parent),
                                                      pattyly.partition_full_name(child))]);
    PERFORM pattyly.end_leaving(parent, partition);
END
$$;
COMMENT ON FUNCTION pattyly.expire_partition(regclass, text) IS
'Detaches a partition at once and does with it what the set says. Takes ACCESS EXCLUSIVE on the table.';

CREATE FUNCTION pattyly.record_partition_run(parent regclass, texts text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pattyly.partition_sets AS s
    SET last_run_at = pattyly.clock_now(), last_outcome = texts[1], last_detail = texts[2]
    WHERE s.parent = record_partition_run.parent;
END
$$;
COMMENT ON FUNCTION pattyly.record_partition_run(regclass, text[]) IS
'Writes down how a run of maintain_partitions() went with a set: outcome, detail. Writes pattyly.partition_sets.';

CREATE PROCEDURE pattyly.maintain_partitions(parent regclass DEFAULT NULL, dry_run boolean DEFAULT false)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_maintain_partitions';
COMMENT ON PROCEDURE pattyly.maintain_partitions(regclass, boolean) IS
'Does with a set, or with all of them, what partition_plan() says: ends detaching that was begun, makes the partitions of now and premake more, takes away what has expired. Each step is a transaction of its own that waits a second for a lock and is tried four times; the outcome is written down for each set (ok, skipped_locked, failed), and a set that fails stops no other. Takes SHARE UPDATE EXCLUSIVE on the table; ACCESS EXCLUSIVE when a partition expires and there is a default partition, a foreign key to the table, or the CALL is not by itself, and then on tables that refer to it, too; SHARE ROW EXCLUSIVE on tables that it refers to, ACCESS EXCLUSIVE when a partition is dropped. dry_run: says in notices what it would do and does nothing. Warns of every set that is not ok; with a parent given, raises an error instead (55P03 in use, 55000 failed). Errors: 2D000 inside a transaction block. Writes pattyly.partition_sets and pattyly.leaving_partitions.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.make_planned_partitions(regclass, text[]),
    pattyly.partition_id(regclass, text),
    pattyly.finalize_partition(regclass, text),
    pattyly.begin_leaving(regclass, text),
    pattyly.strike_out_attached(regclass),
    pattyly.close_partition(regclass, oid),
    pattyly.shut_partition(regclass, text),
    pattyly.leaving_statements(oid, text),
    pattyly.end_leaving(regclass, text),
    pattyly.expire_partition(regclass, text),
    pattyly.record_partition_run(regclass, text[])
FROM PUBLIC;
REVOKE ALL ON PROCEDURE
    pattyly.maintain_partitions(regclass, boolean)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.make_planned_partitions(regclass, text[]),
    pattyly.partition_id(regclass, text),
    pattyly.finalize_partition(regclass, text),
    pattyly.begin_leaving(regclass, text),
    pattyly.strike_out_attached(regclass),
    pattyly.close_partition(regclass, oid),
    pattyly.shut_partition(regclass, text),
    pattyly.leaving_statements(oid, text),
    pattyly.end_leaving(regclass, text),
    pattyly.expire_partition(regclass, text),
    pattyly.record_partition_run(regclass, text[])
TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE
    pattyly.maintain_partitions(regclass, boolean)
TO @extowner@ WITH GRANT OPTION;
