-- barman -f json list-backups SERVER|all: {"server": [backup, ...]}; show-backup SERVER ID: {"server": backup}, with more
-- in it; several of them in an array, as jq -s makes it. Keys such as _INFO are messages.

-- One row a server, of every object.
CREATE FUNCTION pattyly.barman_servers(info jsonb) RETURNS TABLE (server text, backups jsonb, is_list boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    piece jsonb;
    complaint text;
BEGIN
    FOR piece IN SELECT * FROM jsonb_array_elements(CASE jsonb_typeof(info) WHEN 'object' THEN jsonb_build_array(info) ELSE info END) LOOP
        complaint := coalesce(piece #>> '{_ERROR,0}', piece #>> '{_EXCEPTION,0}');
        IF complaint IS NOT NULL THEN
            RAISE data_exception USING MESSAGE = format('it has the error "%s"', left(complaint, 500));
        END IF;
        RETURN QUERY SELECT e.key, CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END,
                            jsonb_typeof(e.value) = 'array'
                     FROM jsonb_each(piece) AS e WHERE e.key !~ '^_[A-Z]+$';
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.barman_servers(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.barman_servers(jsonb) IS
'The backups of each server in what barman prints; is_list: they are all it has. Errors: class 22. Writes nothing.';

-- "-" and "not enforced" say nothing of whether it is kept.
CREATE FUNCTION pattyly.barman_annotations(server text, backup jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
        'server', server, 'status', backup -> 'status', 'backup_name', backup -> 'backup_name', 'prior', f.prior,
        'retention', f.retention, 'kept', f.retention LIKE 'KEEP%',
        'begin_wal', f.base -> 'begin_wal', 'end_wal', f.base -> 'end_wal', 'pgdata', backup -> 'pgdata_directory',
        'tablespaces', CASE WHEN jsonb_typeof(backup -> 'tablespaces') = 'array'
                                 AND jsonb_array_length(backup -> 'tablespaces') > 0 THEN backup -> 'tablespaces' END,
        'snapshots', backup -> 'snapshots_info'))
    FROM (SELECT backup -> 'base_backup_information' AS base,
                 substring(coalesce(backup ->> 'retention_status', backup #>> '{catalog_information,retention_policy}')
                           FROM '^[A-Z].*') AS retention,
                 (SELECT p.id FROM (VALUES (backup ->> 'parent_backup_id'), (backup #>> '{catalog_information,parent_backup}'),
                                           (backup #>> '{catalog_information,parent_backup_id}')) AS p (id)
                  WHERE p.id ~ '^[0-9]{8}T[0-9]{6}$' LIMIT 1) AS prior) AS f);
END
$$;
REVOKE ALL ON FUNCTION pattyly.barman_annotations(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.barman_annotations(text, jsonb) IS 'What is kept of a backup of barman besides columns. Writes nothing.';

-- Epochs are in every form; show-backup has the fraction of the second, too.
CREATE FUNCTION pattyly.barman_time(exact text, epoch text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF exact ~ '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$' THEN
        RETURN exact::timestamptz;
    END IF;
    RETURN to_timestamp(epoch::float8);
END
$$;
REVOKE ALL ON FUNCTION pattyly.barman_time(text, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.barman_time(text, text) IS 'A time of barman. Errors: class 22. Writes nothing.';

-- What has no WAL yet, or is being copied, cannot be restored.
CREATE FUNCTION pattyly.barman_state(status text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE status WHEN 'DONE' THEN 'done' WHEN 'FAILED' THEN 'failed' WHEN 'EMPTY' THEN 'running' WHEN 'STARTED' THEN 'running'
                       WHEN 'SYNCING' THEN 'running' WHEN 'WAITING_FOR_WALS' THEN 'running' END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.barman_state(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.barman_state(text) IS 'The state of a backup by its status in barman, NULL for an unknown one. Writes nothing.';

CREATE FUNCTION pattyly.read_barman_backup(server text, backup jsonb) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r pattyly.backups;
    base jsonb := backup -> 'base_backup_information';
BEGIN
    r.state := pattyly.barman_state(backup ->> 'status');
    IF jsonb_typeof(backup) <> 'object' OR backup ->> 'backup_id' IS NULL OR r.state IS NULL THEN
        RAISE data_exception USING MESSAGE = format('server "%s" has something that is no backup with backup_id and status', server);
    END IF;
    r.tool := 'barman';
    r.label := pattyly.check_backup_label(backup ->> 'backup_id');
    r.annotations := pattyly.barman_annotations(server, backup);
    r.kind := CASE WHEN r.annotations ? 'snapshots' THEN 'snapshot' WHEN r.annotations ? 'prior' THEN 'incremental' ELSE 'base' END;
    r.started_at := pattyly.barman_time(base ->> 'begin_time', base ->> 'begin_time_timestamp');
    r.finished_at := pattyly.barman_time(coalesce(base ->> 'end_time', backup ->> 'end_time'),
                                         coalesce(base ->> 'end_time_timestamp', backup ->> 'end_time_timestamp'));
    IF r.started_at IS NULL THEN
        -- The id is when it began, by the clock on barman's wall.
        r.started_at := least(pattyly.time_of_barman_id(r.label), r.finished_at, pattyly.clock_now());
        r.annotations := r.annotations || '{"started_at_guessed": true}';
    END IF;
    r.error := coalesce(nullif(backup ->> 'error', ''), CASE r.state WHEN 'failed' THEN 'barman says that it failed' END);
    IF backup ? 'error' AND r.error IS NOT NULL THEN
        r.error := 'barman says that it failed: ' || r.error;
    END IF;
    r.bytes := base ->> 'disk_usage_bytes';
    r.stored_bytes := coalesce(base ->> 'disk_usage_with_wals_bytes', backup ->> 'size_bytes');
    r.location := format('%s/base/%s', server, r.label);
    r.server_version := pattyly.version_in_words(backup ->> 'postgresql_version');
    r.system_identifier := coalesce(backup ->> 'system_id', backup ->> 'systemid');
    r.timeline := coalesce((base ->> 'timeline')::integer, pattyly.timeline_of_segment(base ->> 'end_wal'));
    r.start_lsn := base ->> 'begin_lsn';
    r.stop_lsn := base ->> 'end_lsn';
    RETURN r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_barman_backup(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_barman_backup(text, jsonb) IS
'One backup of a server as a row; annotations have started_at_guessed when it does not say when it began. Errors: class 22. Writes nothing.';

CREATE FUNCTION pattyly.time_of_barman_id(id text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN id ~ '^\d{8}T\d{6}$' THEN to_timestamp(id, 'YYYYMMDD"T"HH24MISS')::timestamp AT TIME ZONE 'UTC' END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.time_of_barman_id(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.time_of_barman_id(text) IS 'The time in an id of barman, taken as UTC; NULL when there is none. Writes nothing.';

CREATE FUNCTION pattyly.read_barman(info jsonb) RETURNS SETOF pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT r.* FROM pattyly.barman_servers(info) AS s,
        LATERAL jsonb_array_elements(s.backups) AS b (backup),
        LATERAL pattyly.read_barman_backup(s.server, b.backup) AS r;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_barman(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_barman(jsonb) IS 'The backups in what barman prints as rows. Errors: class 22. Writes nothing.';

CREATE FUNCTION pattyly.covered_by_barman(info jsonb) RETURNS TABLE (source jsonb, system_identifier bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT jsonb_build_object('server', s.server), NULL::int8
    FROM pattyly.barman_servers(info) AS s WHERE s.is_list;
END
$$;
REVOKE ALL ON FUNCTION pattyly.covered_by_barman(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.covered_by_barman(jsonb) IS 'The servers of which every backup is listed. Writes nothing.';
