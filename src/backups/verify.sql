-- What verify_backup() reads and writes (verify.c), and the procedure itself.

-- Restoring a dump runs what is in it as a superuser: only where a superuser, or the server itself, said where it is; and
-- never in a copy of the database, whose catalogue came from elsewhere.
CREATE FUNCTION pattyly.is_backup_trusted(b pattyly.backups) RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c)
       AND pattyly.is_backup_vouched(b);
END;
REVOKE ALL ON FUNCTION pattyly.is_backup_trusted(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.is_backup_trusted(pattyly.backups) IS
'Whether run_backup() of this server made it, or a superuser noted it: others could name any location. Writes nothing.';

CREATE FUNCTION pattyly.major_version(server_version text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.substring(server_version, '^[0-9]+')::pg_catalog.int4;
END;
REVOKE ALL ON FUNCTION pattyly.major_version(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.major_version(text) IS 'The major of a version such as 15.20. Writes nothing.';

CREATE FUNCTION pattyly.backup_to_verify(wanted bigint) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups;
BEGIN
    IF wanted IS NULL THEN
        SELECT * INTO b FROM pattyly.backups AS t
        WHERE t.state = 'done' AND t.kind = 'dump' AND t.database = current_database() AND pattyly.is_backup_trusted(t)
          AND t.finished_at <= pattyly.clock_now()
        ORDER BY t.finished_at DESC, t.id DESC LIMIT 1;
    ELSE
        SELECT * INTO b FROM pattyly.backups AS t WHERE t.id = wanted;
    END IF;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'there is no %', coalesce('backup ' || wanted, 'backup of this database that could be verified')
            USING ERRCODE = 'undefined_object', HINT = 'Look into pattyly.backups; CALL pattyly.run_backup() makes one.';
    ELSIF b.state NOT IN ('done', 'suspect') THEN
        RAISE EXCEPTION 'backup % is %', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Only one that is done or suspect can be verified.';
    ELSIF b.kind <> 'dump' THEN
        RAISE EXCEPTION 'backup % is of kind %, which cannot be restored into a database', b.id, b.kind
            USING ERRCODE = 'feature_not_supported', HINT = 'Verify it with its own tool.';
    ELSIF b.system_identifier IS DISTINCT FROM (SELECT c.system_identifier FROM pg_control_system() AS c) THEN
        RAISE EXCEPTION 'backup % was made by another server', b.id
            USING ERRCODE = 'insufficient_privilege', HINT = 'Verify it there.';
    ELSIF NOT pattyly.is_backup_trusted(b) THEN
        RAISE EXCEPTION 'backup % was noted by role "%", not by superusers from begin to end', b.id, b.begun_by
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'A restore runs what is in the dump as a superuser: verify only what run_backup() made or a superuser noted.';
    ELSIF b.location IS NULL THEN
        RAISE EXCEPTION 'nobody noted where backup % is', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Pass its location to finish_backup().';
    ELSIF pattyly.major_version(b.server_version) <> pattyly.major_version(current_setting('server_version')) THEN
        RAISE EXCEPTION 'backup % is of PostgreSQL %, this server is %', b.id, b.server_version, current_setting('server_version')
            USING ERRCODE = 'feature_not_supported', HINT = 'Verify it on a server of its own major version.';
    END IF;
    RETURN b;
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_to_verify(bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_to_verify(bigint) IS
'The row of the backup that verify_backup() is to restore; NULL: the last good one. Errors as verify_backup(). Writes nothing.';

-- Statements for psql: a database that only superusers get into, with the locale of this one.
CREATE FUNCTION pattyly.scratch_statements(scratch text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    prefix constant text := format('pattyly_verify_%s_', (SELECT t.oid FROM pg_database AS t WHERE t.datname = current_database()));
    mark constant text := 'pattyly: scratch of verify_backup()';
BEGIN
    IF EXISTS (SELECT FROM pg_database AS t WHERE t.datname = scratch
               AND shobj_description(t.oid, 'pg_database') IS DISTINCT FROM mark) THEN
        RAISE EXCEPTION 'database "%" exists, and verify_backup() did not make it', scratch
            USING ERRCODE = 'duplicate_database', HINT = 'Rename or drop it.';
    END IF;
    RETURN (SELECT coalesce(string_agg(format(E'DROP DATABASE IF EXISTS %I WITH (FORCE);\n', t.datname), ''), '')
            FROM pg_database AS t
            WHERE starts_with(t.datname, prefix) AND shobj_description(t.oid, 'pg_database') = mark)
        || format(E'CREATE DATABASE %1$I %2$s CONNECTION LIMIT 0;\n'
                  'COMMENT ON DATABASE %1$I IS %3$L;\n'
                  'REVOKE ALL ON DATABASE %1$I FROM PUBLIC;\n',
                  scratch, (SELECT string_agg(format('%s %L', upper(o.name), o.value), ' ' ORDER BY o.place) FROM pattyly.new_database_options() AS o),
                  mark);
END
$$;
REVOKE ALL ON FUNCTION pattyly.scratch_statements(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.scratch_statements(text) IS
'What makes the database that verify_backup() restores into. Errors: 42P04 when somebody else made one of that name. Writes nothing.';

-- What the owner of the extension granted on is in a dump as his word, which only he who owns it there, too, can give.
CREATE FUNCTION pattyly.extension_statements(database text) RETURNS text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT pg_catalog.format('GRANT CREATE ON DATABASE %1$I TO %2$I; SET SESSION AUTHORIZATION %2$I; CREATE EXTENSION pattyly; RESET SESSION AUTHORIZATION; REVOKE CREATE ON DATABASE %1$I FROM %2$I;',
                             database, r.rolname)
    FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) e.extowner
    WHERE e.extname OPERATOR(pg_catalog.=) 'pattyly' AND NOT r.rolsuper;
END;
REVOKE ALL ON FUNCTION pattyly.extension_statements(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.extension_statements(text) IS
'What makes pattyly in a database before a dump of this one is restored into it, with the owner that it has here; NULL when that is a superuser. Writes nothing.';

CREATE FUNCTION pattyly.manifest_differences(expected jsonb, found jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('table', COALESCE(e.key, f.key), 'expected', e.value, 'found', f.value)
                                         ORDER BY COALESCE(e.key, f.key)), '[]'::pg_catalog.jsonb)
    FROM pg_catalog.jsonb_each(expected) AS e FULL JOIN pg_catalog.jsonb_each(found) AS f ON e.key OPERATOR(pg_catalog.=) f.key
    WHERE e.value IS DISTINCT FROM f.value;
END;
REVOKE ALL ON FUNCTION pattyly.manifest_differences(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.manifest_differences(jsonb, jsonb) IS
'The tables whose number of rows is not the same, or that one of both has not. Writes nothing.';

-- What came of it: counts is what client_count_rows printed, NULL when it did not come so far; failure why not.
CREATE FUNCTION pattyly.close_verification(caller name, id bigint, seconds double precision, counts jsonb, failure text, details jsonb)
    RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups;
    found jsonb := (SELECT coalesce(jsonb_object_agg(c.row_ ->> 't', c.row_ -> 'n'), '{}') FROM jsonb_array_elements(counts) AS c(row_));
    differences jsonb := '[]';
    verdict text := failure;
BEGIN
    -- Whoever leaves a transaction open that has the row must not keep all other backups waiting.
    IF (SELECT s.setting::integer NOT BETWEEN 1 AND 60000 FROM pg_settings AS s WHERE s.name = 'lock_timeout') THEN
        PERFORM set_config('lock_timeout', '60s', true);
    END IF;
    BEGIN
        SELECT * INTO b FROM pattyly.backups AS t WHERE t.id = close_verification.id FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'the result could not be written: a transaction has the row of backup %', id
            USING ERRCODE = '55006', DETAIL = coalesce('It did not pass: ' || failure, 'It was restored.'),
                  HINT = 'End that transaction (pg_stat_activity, pg_locks), and verify again.';
    END;
    IF verdict IS NULL AND b.manifest IS NOT NULL THEN
        differences := pattyly.manifest_differences(b.manifest, found);
        IF b.annotations ? 'partial' THEN
            differences := (SELECT coalesce(jsonb_agg(d), '[]') FROM jsonb_array_elements(differences) AS d WHERE d -> 'found' NOT IN ('null', '0'));
        END IF;
        IF differences <> '[]' THEN
            verdict := format('%s tables differ from the manifest, the first is %s: %s rows, not %s', jsonb_array_length(differences),
                              differences -> 0 ->> 'table', coalesce(differences -> 0 ->> 'found', 'no'),
                              coalesce(differences -> 0 ->> 'expected', 'none'));
        END IF;
    END IF;
    UPDATE pattyly.backups AS t
    SET verified_at = pattyly.clock_now(),
        verify_result = jsonb_strip_nulls(jsonb_build_object(
            'ok', verdict IS NULL, 'by', caller, 'seconds', round(seconds::numeric, 3), 'error', verdict,
            'server_version', split_part(current_setting('server_version'), ' ', 1), 'manifest', b.manifest IS NOT NULL,
            'tables', CASE WHEN counts IS NOT NULL THEN (SELECT count(*) FROM jsonb_each(found)) END,
            'rows', CASE WHEN counts IS NOT NULL THEN (SELECT coalesce(sum(e.value::bigint), 0) FROM jsonb_each(found) AS e) END,
            'differences', differences) || details),
        state = CASE WHEN verdict IS NOT NULL THEN 'suspect' WHEN b.manifest IS NOT NULL THEN 'done' ELSE t.state END,
        error = CASE WHEN verdict IS NOT NULL THEN 'it did not pass its verification: ' || verdict
                     WHEN b.manifest IS NOT NULL THEN NULL ELSE t.error END,
        annotations = t.annotations || CASE WHEN verdict IS NULL AND b.state = 'suspect' AND b.manifest IS NOT NULL
                                            THEN jsonb_build_object('was_suspect', b.error) ELSE '{}' END
    WHERE t.id = b.id AND t.state IN ('done', 'suspect');
    RETURN verdict;
END
$$;
REVOKE ALL ON FUNCTION pattyly.close_verification(name, bigint, double precision, jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.close_verification(name, bigint, double precision, jsonb, text, jsonb) IS
'Writes the result of a verify_backup() and returns why it failed, or NULL. Writes pattyly.backups.';

CREATE PROCEDURE pattyly.verify_backup(id bigint DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_verify_backup';
REVOKE ALL ON PROCEDURE pattyly.verify_backup(bigint) FROM PUBLIC;
COMMENT ON PROCEDURE pattyly.verify_backup(bigint) IS
'Restores a dump into a database of its own, pattyly_verify_ID, which only superusers get into and which is dropped at the end, and compares the number of rows of each table with the manifest. id: default the last good one. Its row in pattyly.backups says when, by whom, how long it took and what differs; one that does not pass becomes suspect, one that was suspect and passes becomes done. No transaction is open meanwhile: CALL it by itself. Errors: 38000 it did not pass, 42704 no such backup, 55000 not done or suspect, 0A000 another kind, format or major version, 42501 noted by somebody who is no superuser, 53100 not enough room on the disk, 55006 another one is on, or its row is in a transaction that does not end within 60 s or lock_timeout, 57014 canceled or not done within pattyly.backup_timeout, 25006 on a standby, 2D000 inside a transaction. Granted to nobody. Writes pattyly.backups, a database, and files while it runs.';

GRANT EXECUTE ON FUNCTION pattyly.extension_statements(text) TO @extowner@;
