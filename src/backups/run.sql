-- What run_backup() writes (catalogue.c), and the procedure itself.

-- database-20261125T031500Z, or with a number more when that is taken.
CREATE FUNCTION pattyly.new_backup_label() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := left(regexp_replace(regexp_replace(current_database(), '[^A-Za-z0-9._-]+', '_', 'g'), '\.\.+|\A[^A-Za-z0-9]+', '', 'g'), 80);
    candidate text;
    n integer := 1;
BEGIN
    base := coalesce(nullif(base, ''), 'backup') || to_char(pattyly.clock_now() AT TIME ZONE 'UTC', '-YYYYMMDD"T"HH24MISS"Z"');
    candidate := base;
    WHILE EXISTS (SELECT FROM pattyly.backups AS b WHERE b.label = candidate) LOOP
        n := n + 1;
        candidate := base || '-' || n;
    END LOOP;
    RETURN candidate;
END
$$;
REVOKE ALL ON FUNCTION pattyly.new_backup_label() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.new_backup_label() IS
'A label for a backup that was given none: the database and the time, UTC. Writes nothing.';

CREATE FUNCTION pattyly.open_run(caller name, INOUT label text, tool text, session integer, OUT id bigint) RETURNS record
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    label := coalesce(label, pattyly.new_backup_label());
    id := pattyly.open_backup(caller, label, 'dump', tool, NULL, NULL, session);
    UPDATE pattyly.backups AS b
    SET annotations = jsonb_build_object('database_bytes', pg_database_size(current_database()))
    WHERE b.id = open_run.id;
END
$$;
REVOKE ALL ON FUNCTION pattyly.open_run(name, text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.open_run(name, text, text, integer) IS
'A new row for run_backup(), with a label if it has none. Errors: 22023 bad label. Writes pattyly.backups.';

CREATE FUNCTION pattyly.note_run(id bigint, state text, error text, bytes bigint, checksum text, location text, counts jsonb,
                                 exit_status integer, annotations jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pattyly.backups AS t
    SET state = note_run.state, error = note_run.error,
        finished_at = CASE WHEN note_run.state <> 'running' THEN greatest(pattyly.clock_now(), t.started_at) END,
        stop_lsn = CASE WHEN note_run.state <> 'failed' THEN pg_current_wal_lsn() END,
        bytes = nullif(note_run.bytes, -1), stored_bytes = CASE WHEN note_run.state <> 'failed' THEN nullif(note_run.bytes, -1) END,
        checksum = note_run.checksum, location = note_run.location,
        exit_status = CASE WHEN note_run.state <> 'failed' OR note_run.exit_status <> 0 THEN note_run.exit_status END,
        manifest = CASE WHEN counts IS NOT NULL
                        THEN (SELECT coalesce(jsonb_object_agg(c.row_ ->> 't', c.row_ -> 'n'), '{}') FROM jsonb_array_elements(counts) AS c(row_)) END,
        annotations = t.annotations || note_run.annotations
    WHERE t.id = note_run.id AND t.state = 'running';
END
$$;
REVOKE ALL ON FUNCTION pattyly.note_run(bigint, text, text, bigint, text, text, jsonb, integer, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.note_run(bigint, text, text, bigint, text, text, jsonb, integer, jsonb) IS
'Writes what is known of a run_backup() into its row, and ends it unless the state is still running. Writes pattyly.backups.';

CREATE PROCEDURE pattyly.run_backup(label text DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_run_backup';
REVOKE ALL ON PROCEDURE pattyly.run_backup(text) FROM PUBLIC;
COMMENT ON PROCEDURE pattyly.run_backup(text) IS
'Makes a backup of this database now: runs the programs of pattyly.backup_stages, without a shell, and stores what the last one writes in pattyly.backup_directory, or lets it store it at pattyly.backup_location. label: its name and that of its file, default the database and the time. No transaction is open meanwhile: CALL it by itself. The row in pattyly.backups becomes done; suspect, with a WARNING, when it is much smaller than the last good one or cannot be read; failed, with an error, when a program failed. Errors: 22023 bad label, 23505 another backup is at that location, 55000 nothing is configured, 55006 another one is on, 38000 a program failed, 53100 disk full, 57014 canceled or not done within pattyly.backup_timeout, 25006 on a standby, 2D000 inside a transaction. Granted to nobody: a superuser decides who may make the server run these programs. Writes pattyly.backups and files.';
