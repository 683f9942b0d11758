-- wal-g backup-list --detail --json: an array of backups. Without --detail they have names and times only.

-- LSNs are numbers; 0 stands for unknown.
CREATE FUNCTION pattyly.walg_lsn(lsn text) RETURNS pg_lsn
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN nullif(CASE WHEN lsn ~ '^\d+$' THEN '0/0'::pg_lsn + lsn::numeric ELSE lsn::pg_lsn END, '0/0');
END
$$;
REVOKE ALL ON FUNCTION pattyly.walg_lsn(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.walg_lsn(text) IS 'A WAL position of WAL-G. Errors: class 22. Writes nothing.';

-- In Go the year 1 stands for unknown.
CREATE FUNCTION pattyly.walg_time(at text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN at !~ '^0001-' THEN at::timestamptz END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.walg_time(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.walg_time(text) IS 'A time of WAL-G. Errors: class 22. Writes nothing.';

-- base_SEGMENT_D_PARENT: of its parent, the name has only the segment, and that may be a delta itself.
CREATE FUNCTION pattyly.walg_names(info jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(n.segment, n.name), '{}')
            FROM (SELECT substring(b.backup ->> 'backup_name' FROM '^base_([0-9A-F]{24})') AS segment, min(b.backup ->> 'backup_name') AS name
                  FROM jsonb_array_elements(info) AS b (backup) GROUP BY 1) AS n
            WHERE n.segment IS NOT NULL);
END
$$;
REVOKE ALL ON FUNCTION pattyly.walg_names(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.walg_names(jsonb) IS 'The names of the backups in a list by their segments. Errors: class 22. Writes nothing.';

CREATE FUNCTION pattyly.walg_annotations(names jsonb, backup jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'prior', coalesce(backup ->> 'increment_from', backup ->> 'DeltaFrom', names ->> substring(backup ->> 'backup_name' FROM '_D_([0-9A-F]{24})$')),
        'kept', CASE WHEN jsonb_typeof(backup -> 'is_permanent') = 'boolean' THEN backup -> 'is_permanent' END,
        'storage', backup -> 'storage_name', 'hostname', backup -> 'hostname', 'data_dir', backup -> 'data_dir',
        'begin_wal', backup -> 'wal_file_name', 'tool_annotations', backup -> 'user_data'));
END
$$;
REVOKE ALL ON FUNCTION pattyly.walg_annotations(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.walg_annotations(jsonb, jsonb) IS 'What is kept of a backup of WAL-G besides columns. Writes nothing.';

CREATE FUNCTION pattyly.read_walg_backup(names jsonb, backup jsonb) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r pattyly.backups;
    name text := backup ->> 'backup_name';
BEGIN
    IF jsonb_typeof(backup) <> 'object' OR name IS NULL OR name !~ '^base_' THEN
        RAISE data_exception USING MESSAGE = 'it is not an array of backups of PostgreSQL with backup_name';
    END IF;
    r.tool := 'wal-g';
    r.state := 'done';
    r.label := pattyly.check_backup_label(name);
    r.annotations := pattyly.walg_annotations(names, backup);
    r.kind := CASE WHEN name ~ '_D_' OR r.annotations ? 'prior' THEN 'incremental' ELSE 'base' END;
    r.finished_at := coalesce(pattyly.walg_time(backup ->> 'finish_time'), pattyly.walg_time(backup ->> 'time'),
                              pattyly.walg_time(backup ->> 'modification_time'), pattyly.walg_time(backup ->> 'modified'));
    r.started_at := pattyly.walg_time(backup ->> 'start_time');
    IF r.finished_at IS NULL THEN
        RAISE data_exception USING MESSAGE = format('backup %s has no times', name);
    ELSIF r.started_at IS NULL THEN
        r.started_at := r.finished_at;
        r.annotations := r.annotations || '{"started_at_guessed": true}';
    END IF;
    r.bytes := nullif((backup ->> 'uncompressed_size')::bigint, 0);
    r.stored_bytes := nullif((backup ->> 'compressed_size')::bigint, 0);
    r.location := coalesce(nullif(backup ->> 'storage_name', '') || ':', '') || 'basebackups_005/' || name;
    r.server_version := pattyly.version_in_words(nullif(backup ->> 'pg_version', '0'));
    r.system_identifier := nullif((backup ->> 'system_identifier')::bigint, 0);
    r.timeline := coalesce(nullif((backup ->> 'timeline')::integer, 0), pattyly.timeline_of_segment(backup ->> 'wal_file_name'));
    r.start_lsn := pattyly.walg_lsn(backup ->> 'start_lsn');
    r.stop_lsn := pattyly.walg_lsn(backup ->> 'finish_lsn');
    RETURN r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_walg_backup(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_walg_backup(jsonb, jsonb) IS
'One backup of WAL-G as a row, with the names of all; annotations have started_at_guessed when it does not say when it began. Errors: class 22. Writes nothing.';

CREATE FUNCTION pattyly.read_walg(info jsonb) RETURNS SETOF pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names jsonb := pattyly.walg_names(info);
BEGIN
    RETURN QUERY SELECT r.* FROM jsonb_array_elements(info) AS b (backup),
                                 LATERAL pattyly.read_walg_backup(names, b.backup) AS r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_walg(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_walg(jsonb) IS 'The backups in a list of WAL-G as rows. Errors: class 22. Writes nothing.';

-- A list is all of one storage, which says in its backups whose it is. An empty one is taken for this cluster's.
CREATE FUNCTION pattyly.covered_by_walg(info jsonb) RETURNS TABLE (source jsonb, system_identifier bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT '{}'::jsonb, coalesce(nullif((b.backup ->> 'system_identifier')::bigint, 0), c.system_identifier)
                 FROM pg_control_system() AS c LEFT JOIN jsonb_array_elements(info) AS b (backup) ON true;
END
$$;
REVOKE ALL ON FUNCTION pattyly.covered_by_walg(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.covered_by_walg(jsonb) IS 'The clusters of which a list of WAL-G has every backup. Writes nothing.';
