-- How a row of the catalogue begins and ends. The public functions (bookkeeping.c) say who asks; what they call here is
-- for the extension's own use and is granted to nobody.

CREATE FUNCTION pattyly.server_incarnation() RETURNS timestamptz
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_server_incarnation';
REVOKE ALL ON FUNCTION pattyly.server_incarnation() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.server_incarnation() IS
'When the server began to work as it does now: its start, or its last recovery from a crash. Writes nothing.';

-- What every label must be: it becomes a file name, an argument of a program and a part of an address.
CREATE FUNCTION pattyly.check_backup_label(label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF label IS NULL THEN
        RAISE EXCEPTION 'label of a backup must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the backup, such as ''nightly-2026-11-25''.';
    ELSIF label !~ '\A[A-Za-z0-9][A-Za-z0-9._+:@-]*\Z' OR length(label) > 128 OR strpos(label, '..') > 0 THEN
        RAISE EXCEPTION 'label of a backup is not valid: %', quote_literal(left(label, 140))
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Use letters, digits and . _ - + : @, at most 128, a letter or digit first, no two dots in a row.';
    END IF;
    RETURN label;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_backup_label(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_backup_label(text) IS
'Returns a label as it is. Errors: 22004 NULL, 22023 not valid. Writes nothing.';

CREATE FUNCTION pattyly.current_timeline() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() AS c)
                ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::pg_catalog.bit(32)::pg_catalog.int4
           END;
END;
REVOKE ALL ON FUNCTION pattyly.current_timeline() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.current_timeline() IS 'The timeline that the server writes, or on a standby last read. Writes nothing.';

-- A run_backup() holds an object lock on its row until its process is gone. An imported one, which has no
-- server_started_at, is its tool's matter: it can be running for as long as any may.
CREATE FUNCTION pattyly.is_backup_alive(b pattyly.backups) RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (b.server_started_at IS NULL
            OR b.server_started_at OPERATOR(pg_catalog.=) pattyly.server_incarnation()
               AND b.system_identifier IS NOT DISTINCT FROM (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c))
       AND CASE WHEN b.session IS NULL
                THEN b.started_at OPERATOR(pg_catalog.>=) (pattyly.clock_now() OPERATOR(pg_catalog.-)
                     pg_catalog.make_interval(secs => pg_catalog.extract('epoch', pg_catalog.current_setting('pattyly.backup_timeout')::interval)::pg_catalog.float8))
                ELSE EXISTS (SELECT FROM pg_catalog.pg_locks AS l
                              WHERE l.locktype OPERATOR(pg_catalog.=) 'object'
                                AND l.classid OPERATOR(pg_catalog.=) 'pattyly.backups'::pg_catalog.regclass
                                AND l.objid::pg_catalog.int8 OPERATOR(pg_catalog.=) (b.id OPERATOR(pg_catalog.%) 4294967296)
                                AND l.pid OPERATOR(pg_catalog.=) b.session AND l.granted) END;
END;
REVOKE ALL ON FUNCTION pattyly.is_backup_alive(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.is_backup_alive(pattyly.backups) IS
'Whether a backup that is running can still be: the server is the same, its process is there, an outside one is younger than pattyly.backup_timeout; of an imported one only its age counts. Writes nothing.';

-- A run_backup() notes the checksum when all is written, right before its file gets its name.
CREATE FUNCTION pattyly.was_backup_written(b pattyly.backups) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN b.session IS NOT NULL AND b.checksum IS NOT NULL AND pattyly.is_backup_ours(b);
END
$$;
REVOKE ALL ON FUNCTION pattyly.was_backup_written(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.was_backup_written(pattyly.backups) IS
'Whether a run of this database that did not come to its end had written all of its backup. Writes nothing.';

CREATE FUNCTION pattyly.close_lost_backups() RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost bigint[] := ARRAY(SELECT b.id FROM pattyly.backups AS b
                           WHERE b.state = 'running' AND b.server_started_at IS NOT NULL AND NOT pattyly.is_backup_alive(b)
                           FOR UPDATE SKIP LOCKED);
BEGIN
    IF lost = '{}' THEN
        RETURN 0;
    END IF;
    -- What a run of another server or database left there is not ours to remove: this may be a copy, and that still on.
    UPDATE pattyly.backups AS b
    SET state = CASE WHEN pattyly.was_backup_written(b) THEN 'suspect' ELSE 'failed' END,
        finished_at = greatest(pattyly.clock_now(), b.started_at),
        annotations = b.annotations || CASE WHEN b.session IS NOT NULL AND pattyly.is_backup_ours(b) THEN '{"leftover": true}'
                                            ELSE '{}'::jsonb END,
        error = CASE WHEN pattyly.was_backup_written(b)
                     THEN format('%sthe server or its process went away when it had just been written: CALL pattyly.verify_backup(%s) decides',
                                 b.error || '; ', b.id)
                     WHEN b.server_started_at IS DISTINCT FROM pattyly.server_incarnation()
                     THEN 'the server was restarted, or is another one, since it began'
                     WHEN b.session IS NOT NULL THEN 'its process ended without a word'
                     ELSE format('nobody finished it within %s', current_setting('pattyly.backup_timeout')) END
    WHERE b.id = ANY (lost);
    RETURN cardinality(lost);
END
$$;
REVOKE ALL ON FUNCTION pattyly.close_lost_backups() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.close_lost_backups() IS
'Marks as failed what is running but cannot be any more, as suspect what had just been written; not what was imported, its tool knows. Returns how many. Writes pattyly.backups.';

-- Asked when it is said: by then roles come and go, and another one may have the name.
CREATE FUNCTION pattyly.may_vouch(caller name) RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) caller AND r.rolsuper);
END;
REVOKE ALL ON FUNCTION pattyly.may_vouch(name) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.may_vouch(name) IS
'Whether what a role says of a backup is believed: it is a superuser now. Writes nothing.';

-- Whose word it is. Others could name any size, time or location.
CREATE FUNCTION pattyly.is_backup_vouched(b pattyly.backups) RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.session IS NOT NULL OR b.vouched;
END;
REVOKE ALL ON FUNCTION pattyly.is_backup_vouched(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.is_backup_vouched(pattyly.backups) IS
'Whether run_backup() made it, or one who was a superuser then noted it. Writes nothing.';

-- The backup that a new one is measured against: the last good one of the same kind. What a script says of its own is no
-- measure for run_backup(), nor for a superuser: whoever may note backups could have each of those called suspect.
CREATE FUNCTION pattyly.last_good_backup(of pattyly.backups) RETURNS pattyly.backups
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b FROM pattyly.backups AS b
    WHERE b.state IN ('done', 'expired') AND b.bytes IS NOT NULL AND b.id OPERATOR(pg_catalog.<>) (of).id
      AND b.kind OPERATOR(pg_catalog.=) (of).kind AND b.tool IS NOT DISTINCT FROM (of).tool
      AND b.database IS NOT DISTINCT FROM (of).database
      AND (b.session IS NULL) OPERATOR(pg_catalog.=) ((of).session IS NULL)
      AND b.finished_at OPERATOR(pg_catalog.<=) pattyly.clock_now()
      AND pattyly.is_backup_vouched(b) OPERATOR(pg_catalog.=) pattyly.is_backup_vouched(of)
    ORDER BY b.finished_at DESC, b.id DESC
    LIMIT 1;
END;
REVOKE ALL ON FUNCTION pattyly.last_good_backup(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.last_good_backup(pattyly.backups) IS
'The newest good backup of the same database, kind and tool before this one, made by run_backup() as well or by a script as well, and vouched for as well or not. Writes nothing.';

CREATE FUNCTION pattyly.doubt_of_size(of pattyly.backups, bytes bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    good pattyly.backups := pattyly.last_good_backup(of);
BEGIN
    IF bytes = 0 THEN
        RETURN 'it is empty';
    ELSIF good.id IS NOT NULL AND bytes < good.bytes / 2 THEN
        RETURN format('it has %s bytes, less than half of the %s of the last good one, %s (id %s)',
                      bytes, good.bytes, good.label, good.id);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pattyly.doubt_of_size(pattyly.backups, bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.doubt_of_size(pattyly.backups, bigint) IS
'Why a backup of that many bytes is suspect, or NULL: it is empty, or has less than half of the last good one. Writes nothing.';

-- Two rows of one file: when one of them expires, the other is a lie. But nobody takes a place from run_backup() or a
-- superuser by saying that he is there.
CREATE FUNCTION pattyly.check_backup_location(id bigint, location text, vouched boolean) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other pattyly.backups;
BEGIN
    IF length(location) > 4096 THEN
        RAISE EXCEPTION 'location of a backup must have at most 4096 characters, not %', length(location)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a path or an address, or NULL.';
    ELSIF location = '' OR location LIKE '-%' THEN
        RAISE EXCEPTION 'location of a backup is not valid: %', quote_literal(left(location, 140))
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a path or an address, or NULL. For a program, what begins with - is an option.';
    END IF;
    SELECT * INTO other FROM pattyly.backups AS b
    WHERE b.location = check_backup_location.location AND b.id IS DISTINCT FROM check_backup_location.id
      AND b.state IN ('running', 'done', 'suspect') AND (pattyly.is_backup_vouched(b) OR NOT check_backup_location.vouched)
    LIMIT 1;
    IF other.id IS NOT NULL THEN
        RAISE EXCEPTION 'backup % (id %) is at this location: %', other.label, other.id, location
            USING ERRCODE = 'unique_violation', HINT = 'Store each backup in a place of its own, such as one with its label or %i in its name.';
    END IF;
    RETURN location;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_backup_location(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_backup_location(bigint, text, boolean) IS
'Returns a location as it is, for the backup of that id or, NULL, a new one. vouched: what others noted is not in its way. Errors: 22023 empty, too long, or begins with -, 23505 another backup that is running, done or suspect is there. Writes nothing.';

CREATE FUNCTION pattyly.open_backup(caller name, label text, kind text, tool text, location text, parent_id bigint, session integer)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    PERFORM pattyly.check_backup_label(label);
    IF kind IS NULL OR kind NOT IN ('dump', 'base', 'incremental', 'wal', 'snapshot') THEN
        RAISE EXCEPTION 'kind of a backup is not valid: %', coalesce(quote_literal(left(kind, 100)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is one of dump, base, incremental, wal, snapshot.';
    ELSIF length(tool) > 255 THEN
        RAISE EXCEPTION 'tool of a backup must have at most 255 characters, not %', length(tool)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the program, such as pg_dump.';
    ELSIF kind = 'incremental' AND parent_id IS NULL THEN
        RAISE EXCEPTION 'an incremental backup needs the one that it builds on'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass its id as parent_id.';
    ELSIF parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM pattyly.backups AS b WHERE b.id = open_backup.parent_id AND b.state = 'done') THEN
        RAISE EXCEPTION 'there is no good backup % that this one could build on', parent_id
            USING ERRCODE = 'undefined_object', HINT = 'Look it up in pattyly.backups: its state has to be done.';
    END IF;
    PERFORM pattyly.close_lost_backups();
    PERFORM pattyly.check_backup_location(NULL, location, session IS NOT NULL OR pattyly.may_vouch(caller));
    INSERT INTO pattyly.backups (label, kind, tool, database, started_at, location, parent_id, begun_by, vouched, session,
                                 server_version, system_identifier, timeline, start_lsn, server_started_at)
    SELECT label, kind, tool, current_database(), pattyly.clock_now(), location, parent_id, caller, pattyly.may_vouch(caller), session,
           split_part(current_setting('server_version'), ' ', 1), c.system_identifier, pattyly.current_timeline(),
           pg_current_wal_lsn(), pattyly.server_incarnation()
    FROM pg_control_system() AS c
    RETURNING id INTO new_id;
    RETURN new_id;
END
$$;
REVOKE ALL ON FUNCTION pattyly.open_backup(name, text, text, text, text, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.open_backup(name, text, text, text, text, bigint, integer) IS
'A new row of pattyly.backups; behind begin_backup() and run_backup(). Errors and writes as they say.';

-- The row of a backup that the caller may end, locked.
CREATE FUNCTION pattyly.backup_to_end(caller name, id bigint) RETURNS pattyly.backups
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups;
BEGIN
    SELECT * INTO b FROM pattyly.backups AS t WHERE t.id = backup_to_end.id FOR UPDATE;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'there is no backup %', coalesce(id::text, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'Pass the id that begin_backup() returned.';
    ELSIF NOT (b.begun_by = caller
               OR pattyly.may_vouch(caller)
               OR EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = b.begun_by AND pg_has_role(caller, r.oid, 'USAGE'))) THEN
        RAISE EXCEPTION 'backup % was begun by role "%"', id, b.begun_by
            USING ERRCODE = 'insufficient_privilege', HINT = 'Only that role, its members and superusers can end it.';
    ELSIF b.state <> 'running' THEN
        RAISE EXCEPTION 'backup % is %, not running', id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('It ended at %s%s.', b.finished_at, coalesce(': ' || b.error, '')),
                  HINT = 'A backup ends once; begin a new one.';
    ELSIF b.session IS NOT NULL THEN
        RAISE EXCEPTION 'backup % is a run of run_backup()', id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('It ends by itself; pg_cancel_backend(%s) stops it.', b.session);
    END IF;
    RETURN b;
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_to_end(name, bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_to_end(name, bigint) IS
'The row of a running backup, locked. Errors: 42704 no such backup, 42501 somebody else''s, 55000 not running. Writes nothing.';

CREATE FUNCTION pattyly.close_backup(caller name, id bigint, bytes bigint, checksum text, location text, annotations jsonb)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups := pattyly.backup_to_end(caller, id);
    place text := coalesce(location, b.location);
    stored bigint;
    doubt text;
BEGIN
    IF bytes IS NULL OR bytes < 0 THEN
        RAISE EXCEPTION 'bytes of a backup must be 0 or more, not %', coalesce(bytes::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the size of what was written, such as stat -c %s says it.';
    ELSIF length(checksum) > 200 THEN
        RAISE EXCEPTION 'checksum of a backup must have at most 200 characters, not %', length(checksum)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass what identifies it, such as sha256: and what sha256sum prints first.';
    ELSIF jsonb_typeof(annotations) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'annotations of a backup must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as ''{"host": "db1"}''.';
    ELSIF octet_length(annotations::text) > 100000 THEN
        RAISE EXCEPTION 'annotations of a backup must have at most 100000 bytes as text, not %', octet_length(annotations::text)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Keep logs elsewhere, and say where.';
    END IF;
    PERFORM pattyly.check_backup_location(b.id, place, b.vouched AND pattyly.may_vouch(caller));
    stored := pattyly.stored_backup_bytes(place);
    doubt := coalesce(pattyly.doubt_of_size(b, bytes),
                      CASE WHEN stored = -1 THEN format('there is no file %s', place)
                           WHEN stored <> bytes THEN format('its file has %s bytes, not %s', stored, bytes) END);
    UPDATE pattyly.backups AS t
    SET state = CASE WHEN doubt IS NULL THEN 'done' ELSE 'suspect' END, error = doubt,
        finished_at = greatest(pattyly.clock_now(), t.started_at), stop_lsn = pg_current_wal_lsn(),
        bytes = close_backup.bytes, stored_bytes = coalesce(nullif(stored, -1), close_backup.bytes),
        checksum = close_backup.checksum, location = place, exit_status = 0, vouched = t.vouched AND pattyly.may_vouch(caller),
        annotations = t.annotations || close_backup.annotations
    WHERE t.id = b.id;
    IF doubt IS NOT NULL THEN
        RAISE WARNING 'backup % (id %) is suspect: %', b.label, b.id, doubt
            USING ERRCODE = 'data_exception', HINT = 'It does not count as a backup; look at what made it, and verify it.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.close_backup(name, bigint, bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.close_backup(name, bigint, bigint, text, text, jsonb) IS
'Ends a running backup as done or suspect; behind finish_backup(). Errors and writes as it says.';

CREATE FUNCTION pattyly.close_failed_backup(caller name, id bigint, error text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups := pattyly.backup_to_end(caller, id);
BEGIN
    UPDATE pattyly.backups AS t
    SET state = 'failed', error = coalesce(nullif(left(close_failed_backup.error, 10000), ''), 'no reason was given'),
        finished_at = greatest(pattyly.clock_now(), t.started_at)
    WHERE t.id = b.id;
END
$$;
REVOKE ALL ON FUNCTION pattyly.close_failed_backup(name, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.close_failed_backup(name, bigint, text) IS
'Ends a running backup as failed; behind fail_backup(). Errors and writes as it says.';

CREATE FUNCTION pattyly.stored_backup_bytes(location text) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_stored_backup_bytes';
REVOKE ALL ON FUNCTION pattyly.stored_backup_bytes(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.stored_backup_bytes(text) IS
'The size of a file of pattyly.backup_directory, -1 when it is not there; NULL for any other location. Writes nothing.';

CREATE FUNCTION pattyly.begin_backup(label text, kind text DEFAULT 'dump', tool text DEFAULT NULL, location text DEFAULT NULL,
                                     parent_id bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_begin_backup';
REVOKE ALL ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint) IS
'Notes that an outside script begins a backup; end it with finish_backup() or fail_backup() in any session. label: its name; kind: dump | base | incremental | wal | snapshot; tool: what makes it, such as pg_dump, at most 255 characters; location: where it goes, a path on the server or an address, at most 4096 characters; parent_id: what an incremental one builds on. Database, version, timeline, WAL position and system identifier are filled in. Returns its id. One that nobody ends fails after pattyly.backup_timeout, or when the server is restarted. Errors: 22004, 22023 for bad arguments, 42704 no such parent, 23505 another backup is at that location (for a superuser: one that run_backup() made or a superuser noted). Writes pattyly.backups.';

CREATE FUNCTION pattyly.finish_backup(id bigint, bytes bigint, checksum text DEFAULT NULL, location text DEFAULT NULL,
                                      annotations jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_finish_backup';
REVOKE ALL ON FUNCTION pattyly.finish_backup(bigint, bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.finish_backup(bigint, bigint, text, text, jsonb) IS
'Notes that a backup is complete. bytes: its size; checksum: such as sha256:..., at most 200 characters; location: where it is now, NULL as begun; annotations: what else is worth knowing, an object of at most 100 kB. It is done, or suspect, with a WARNING, when it is empty, has less than half the bytes of the last good one of its kind, or when its file in pattyly.backup_directory is missing or has another size. Errors: 42704 no such backup, 42501 begun by another role, 55000 ended before, 22023 bad size, checksum, location or annotations, 23505 another backup is at that location. Writes pattyly.backups.';

CREATE FUNCTION pattyly.fail_backup(id bigint, error text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_fail_backup';
REVOKE ALL ON FUNCTION pattyly.fail_backup(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.fail_backup(bigint, text) IS
'Notes that a backup failed, and why. Errors: 42704 no such backup, 42501 begun by another role, 55000 ended before. Writes pattyly.backups.';

GRANT EXECUTE ON FUNCTION
    pattyly.begin_backup(text, text, text, text, bigint),
    pattyly.finish_backup(bigint, bigint, text, text, jsonb),
    pattyly.fail_backup(bigint, text)
TO @extowner@ WITH GRANT OPTION;
