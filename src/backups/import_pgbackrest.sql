-- pgbackrest info --output=json: an array of stanzas, each with its repositories, clusters and backups.

CREATE FUNCTION pattyly.pgbackrest_stanzas(info jsonb) RETURNS SETOF jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stanza jsonb;
BEGIN
    -- One stanza out of the array, as jq may have picked it, is welcome, too.
    FOR stanza IN SELECT * FROM jsonb_array_elements(CASE jsonb_typeof(info) WHEN 'object' THEN jsonb_build_array(info) ELSE info END) LOOP
        IF jsonb_typeof(stanza -> 'name') IS DISTINCT FROM 'string' OR jsonb_typeof(stanza -> 'backup') IS DISTINCT FROM 'array'
           OR jsonb_typeof(stanza -> 'db') IS DISTINCT FROM 'array' THEN
            RAISE data_exception USING MESSAGE = 'it is not an array of stanzas with name, backup and db';
        END IF;
        RETURN NEXT stanza;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.pgbackrest_stanzas(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.pgbackrest_stanzas(jsonb) IS 'The stanzas of an info of pgbackrest. Errors: class 22. Writes nothing.';

-- Only "info --set" names the files; then there is a list.
CREATE FUNCTION pattyly.pgbackrest_error(backup jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN jsonb_typeof(backup -> 'error-list') = 'array'
                     AND jsonb_array_length(backup -> 'error-list') > 0
                THEN 'page checksum errors: ' || (SELECT string_agg(coalesce(e.value ->> 'name', e.value #>> '{}'), ', ')
                                                  FROM jsonb_array_elements(backup -> 'error-list') AS e)
                WHEN (backup -> 'error')::text = 'true' THEN 'page checksum errors' END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.pgbackrest_error(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.pgbackrest_error(jsonb) IS 'What pgbackrest found wrong with a backup, or NULL. Writes nothing.';

CREATE FUNCTION pattyly.pgbackrest_annotations(stanza jsonb, backup jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'stanza', stanza -> 'name', 'repo', coalesce(backup #> '{database,repo-key}', '1'), 'type', backup -> 'type',
        'prior', backup -> 'prior', 'archive_start', backup #> '{archive,start}', 'archive_stop', backup #> '{archive,stop}',
        'tool_version', backup #> '{backrest,version}', 'delta_bytes', backup #> '{info,delta}',
        'error_list', backup -> 'error-list', 'databases', backup -> 'database-ref', 'tablespaces', backup -> 'tablespace',
        'tool_annotations', backup -> 'annotation'));
END
$$;
REVOKE ALL ON FUNCTION pattyly.pgbackrest_annotations(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.pgbackrest_annotations(jsonb, jsonb) IS 'What is kept of a backup of pgbackrest besides columns. Writes nothing.';

CREATE FUNCTION pattyly.read_pgbackrest_backup(stanza jsonb, backup jsonb) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r pattyly.backups;
    cluster jsonb;
BEGIN
    IF backup ->> 'type' IS NULL OR backup ->> 'type' NOT IN ('full', 'diff', 'incr') THEN
        RAISE data_exception USING MESSAGE = format('backup %s has the type %s, not full, diff or incr', backup -> 'label', backup -> 'type');
    ELSIF jsonb_typeof(backup #> '{timestamp,start}') IS DISTINCT FROM 'number'
          OR jsonb_typeof(backup #> '{timestamp,stop}') IS DISTINCT FROM 'number' THEN
        RAISE data_exception USING MESSAGE = format('backup %s has no times', backup -> 'label');
    END IF;
    r.annotations := pattyly.pgbackrest_annotations(stanza, backup);
    SELECT d.value INTO cluster FROM jsonb_array_elements(stanza -> 'db') AS d
    WHERE d.value -> 'id' = backup #> '{database,id}' AND coalesce(d.value -> 'repo-key', '1') = r.annotations -> 'repo';
    r.tool := 'pgbackrest';
    r.label := pattyly.check_backup_label(backup ->> 'label');
    r.kind := CASE backup ->> 'type' WHEN 'full' THEN 'base' ELSE 'incremental' END;
    r.error := pattyly.pgbackrest_error(backup);
    r.state := CASE WHEN r.error IS NULL THEN 'done' ELSE 'suspect' END;
    r.started_at := to_timestamp((backup #>> '{timestamp,start}')::float8);
    r.finished_at := to_timestamp((backup #>> '{timestamp,stop}')::float8);
    r.bytes := backup #>> '{info,size}';
    -- What it added to the repository; "size" there counts its parents' files again.
    r.stored_bytes := backup #>> '{info,repository,delta}';
    r.location := format('repo%s/backup/%s/%s', r.annotations ->> 'repo', stanza ->> 'name', r.label);
    r.server_version := cluster ->> 'version';
    r.system_identifier := cluster ->> 'system-id';
    r.timeline := pattyly.timeline_of_segment(coalesce(backup #>> '{archive,stop}', backup #>> '{archive,start}'));
    r.start_lsn := backup #>> '{lsn,start}';
    r.stop_lsn := backup #>> '{lsn,stop}';
    RETURN r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_pgbackrest_backup(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_pgbackrest_backup(jsonb, jsonb) IS
'One backup of a stanza as a row. Errors: class 22. Writes nothing.';

CREATE FUNCTION pattyly.read_pgbackrest(info jsonb) RETURNS SETOF pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT r.* FROM pattyly.pgbackrest_stanzas(info) AS s (stanza),
        LATERAL jsonb_array_elements(s.stanza -> 'backup') AS b (backup),
        LATERAL pattyly.read_pgbackrest_backup(s.stanza, b.backup) AS r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_pgbackrest(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_pgbackrest(jsonb) IS 'The backups of an info of pgbackrest as rows. Errors: class 22. Writes nothing.';

-- A repository is listed in full when its status is ok (0) or no valid backups (2); not when it could not be read (99, 1),
-- and not by "info --set", which alone prints links.
CREATE FUNCTION pattyly.covered_by_pgbackrest(info jsonb) RETURNS TABLE (source jsonb, system_identifier bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT jsonb_build_object('stanza', s.stanza -> 'name', 'repo', coalesce(d.db -> 'repo-key', '1')),
           (d.db ->> 'system-id')::int8
    FROM pattyly.pgbackrest_stanzas(info) AS s (stanza),
        LATERAL jsonb_array_elements(s.stanza -> 'db') AS d (db)
    WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(s.stanza -> 'backup') AS b (backup)
                      WHERE b.backup ? 'database-ref' OR b.backup ? 'link')
      AND coalesce((SELECT (r.repo #>> '{status,code}')::int4
                    FROM jsonb_array_elements(s.stanza -> 'repo') AS r (repo)
                    WHERE (r.repo -> 'key') = coalesce(d.db -> 'repo-key', '1')),
                   (s.stanza #>> '{status,code}')::int4) IN (0, 2);
END
$$;
REVOKE ALL ON FUNCTION pattyly.covered_by_pgbackrest(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.covered_by_pgbackrest(jsonb) IS
'The stanzas, repositories and clusters of which an info of pgbackrest lists every backup. Writes nothing.';
