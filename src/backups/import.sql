-- import_backups(): what other tools say they have. A reader a tool (import_*.sql) makes rows of it; here they are
-- compared with the catalogue. Rows that came this way have no server_started_at, and only those are changed.

-- What a backup belongs to in its tool, of its annotations: labels are unique within it.
CREATE FUNCTION pattyly.backup_source(annotations jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'stanza', annotations -> 'stanza', 'repo', annotations -> 'repo',
        'server', annotations -> 'server'));
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_source(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_source(jsonb) IS
'The stanza and repository, or the server, of an imported backup. Writes nothing.';

-- 150020 is 15.20, 90624 is 9.6.24; what is no such number stays.
CREATE FUNCTION pattyly.version_in_words(version text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN version ~ '^[1-9][0-9]{5}$'
                THEN (version::int4 / 10000)::text || '.' || (version::int4 % 10000)::text
                WHEN version ~ '^[1-9][0-9]{4}$'
                THEN format('%s.%s.%s', version::int4 / 10000, version::int4 / 100 % 100, version::int4 % 100)
                ELSE version END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.version_in_words(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.version_in_words(text) IS 'A version of PostgreSQL as people write it. Writes nothing.';

CREATE FUNCTION pattyly.timeline_of_segment(segment text) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN segment ~ '^[0-9A-F]{24}'
                THEN ('x' || substr(segment, 1, 8))::bit(32)::int4 END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.timeline_of_segment(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.timeline_of_segment(text) IS 'The timeline in the name of a WAL segment; NULL when it is none. Writes nothing.';

CREATE FUNCTION pattyly.read_backup_info(tool text, info jsonb) RETURNS SETOF pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE tool
        WHEN 'pgbackrest' THEN RETURN QUERY SELECT * FROM pattyly.read_pgbackrest(info);
        WHEN 'barman' THEN RETURN QUERY SELECT * FROM pattyly.read_barman(info);
        ELSE RETURN QUERY SELECT * FROM pattyly.read_walg(info);
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION pattyly.read_backup_info(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.read_backup_info(text, jsonb) IS
'The backups that a tool speaks of, as rows without id; annotations have "prior", the label of the parent. Errors: class 22, what is not as it should be. Writes nothing.';

CREATE FUNCTION pattyly.covered_backups(tool text, info jsonb) RETURNS TABLE (source jsonb, system_identifier bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE tool
        WHEN 'pgbackrest' THEN RETURN QUERY SELECT * FROM pattyly.covered_by_pgbackrest(info);
        WHEN 'barman' THEN RETURN QUERY SELECT * FROM pattyly.covered_by_barman(info);
        ELSE RETURN QUERY SELECT * FROM pattyly.covered_by_walg(info);
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION pattyly.covered_backups(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.covered_backups(text, jsonb) IS
'Of what a tool has listed everything: a backup of it that is not in the info is gone. system_identifier NULL: whichever. Writes nothing.';

-- The row of the catalogue that is this backup. Not every command of every tool says of which cluster it is.
CREATE FUNCTION pattyly.imported_backup(of pattyly.backups, label text) RETURNS pattyly.backups
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b FROM pattyly.backups AS b
    WHERE b.server_started_at IS NULL AND b.tool OPERATOR(pg_catalog.=) (of).tool
      AND b.label OPERATOR(pg_catalog.=) imported_backup.label
      AND pattyly.backup_source(b.annotations) OPERATOR(pg_catalog.=) pattyly.backup_source((of).annotations)
      AND (b.system_identifier IS NULL OR (of).system_identifier IS NULL
           OR b.system_identifier OPERATOR(pg_catalog.=) (of).system_identifier)
    ORDER BY b.system_identifier IS NOT DISTINCT FROM (of).system_identifier DESC, b.id
    LIMIT 1;
END;
REVOKE ALL ON FUNCTION pattyly.imported_backup(pattyly.backups, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.imported_backup(pattyly.backups, text) IS
'The imported row with that label, of the same tool, source and cluster. Writes nothing.';

-- What the row becomes. What the info does not say stays; so do holds set by hand and what a verification found.
CREATE FUNCTION pattyly.merged_backup(old pattyly.backups, new pattyly.backups) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m pattyly.backups := old;
    failed_test boolean := old.verify_result ->> 'ok' = 'false' AND new.state = 'done';
BEGIN
    m.state := CASE WHEN failed_test THEN 'suspect' ELSE new.state END;
    -- What another command said of the same in more words stays.
    m.error := CASE WHEN m.state IN ('suspect', 'failed') AND old.state = m.state
                         AND (new.error IS NULL OR starts_with(old.error, new.error || ': ')) THEN old.error
                    WHEN failed_test THEN old.error
                    ELSE new.error END;
    m.expired_at := NULL;
    m.kind := new.kind;
    m.parent_id := coalesce(new.parent_id, old.parent_id);
    -- A guess of a reader is in the annotations; it does not replace what is known.
    m.started_at := CASE WHEN new.annotations ? 'started_at_guessed' THEN old.started_at ELSE new.started_at END;
    -- Some commands print whole seconds where others print more.
    m.finished_at := CASE WHEN date_trunc('second', old.finished_at) = new.finished_at THEN old.finished_at
                          ELSE coalesce(new.finished_at, old.finished_at) END;
    m.bytes := coalesce(new.bytes, old.bytes);
    m.stored_bytes := coalesce(new.stored_bytes, old.stored_bytes);
    m.location := coalesce(new.location, old.location);
    m.server_version := coalesce(new.server_version, old.server_version);
    m.system_identifier := coalesce(new.system_identifier, old.system_identifier);
    m.timeline := coalesce(new.timeline, old.timeline);
    m.start_lsn := coalesce(new.start_lsn, old.start_lsn);
    m.stop_lsn := coalesce(new.stop_lsn, old.stop_lsn);
    m.annotations := old.annotations || (new.annotations - 'started_at_guessed');
    IF NOT new.annotations ? 'started_at_guessed' THEN
        m.annotations := m.annotations - 'started_at_guessed';
    END IF;
    RETURN pattyly.merged_hold(m, old, new);
END
$$;
REVOKE ALL ON FUNCTION pattyly.merged_backup(pattyly.backups, pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.merged_backup(pattyly.backups, pattyly.backups) IS
'A row of the catalogue with what a tool says of it now. Writes nothing.';

-- annotations "kept": true, false, or absent when the tool did not say. A hold of the tool goes when the tool lets go.
CREATE FUNCTION pattyly.merged_hold(m pattyly.backups, old pattyly.backups, new pattyly.backups) RETURNS pattyly.backups
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_tool text := format('%s keeps it', m.tool);
BEGIN
    IF (new.annotations -> 'kept')::boolean AND old.hold_reason IS NULL
       AND NOT coalesce((old.annotations -> 'kept')::boolean, false) THEN
        m.hold_reason := of_tool;
        m.hold_until := NULL;
    ELSIF NOT (new.annotations -> 'kept')::boolean AND old.hold_reason = of_tool THEN
        m.hold_reason := NULL;
        m.hold_until := NULL;
    END IF;
    RETURN m;
END
$$;
REVOKE ALL ON FUNCTION pattyly.merged_hold(pattyly.backups, pattyly.backups, pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.merged_hold(pattyly.backups, pattyly.backups, pattyly.backups) IS
'The row with its hold: set once when the tool begins to keep the backup, taken away when it ceases to. Writes nothing.';

CREATE FUNCTION pattyly.take_in_backup(caller name, new pattyly.backups, OUT id bigint, OUT is_changed boolean)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old pattyly.backups := pattyly.imported_backup(new, new.label);
    parent pattyly.backups;
    m pattyly.backups;
BEGIN
    IF new.annotations ? 'prior' THEN
        parent := pattyly.imported_backup(new, new.annotations ->> 'prior');
        new.parent_id := parent.id;
    END IF;
    IF old.id IS NULL THEN
        INSERT INTO pattyly.backups AS b (label, kind, tool, state, started_at, finished_at, bytes, stored_bytes, location,
            server_version, system_identifier, timeline, start_lsn, stop_lsn, parent_id, error, annotations, hold_reason, begun_by, vouched)
        VALUES (new.label, new.kind, new.tool, new.state, new.started_at, new.finished_at, new.bytes, new.stored_bytes,
            new.location, new.server_version, new.system_identifier, new.timeline, new.start_lsn, new.stop_lsn, new.parent_id,
            new.error, new.annotations, CASE WHEN (new.annotations -> 'kept')::boolean THEN format('%s keeps it', new.tool) END, caller,
            pattyly.may_vouch(caller))
        RETURNING b.id INTO take_in_backup.id;
        is_changed := true;
        RETURN;
    END IF;
    id := old.id;
    m := pattyly.merged_backup(old, new);
    is_changed := m IS DISTINCT FROM old;
    IF is_changed THEN
        UPDATE pattyly.backups AS b
        SET state = m.state, error = m.error, expired_at = m.expired_at, kind = m.kind, parent_id = m.parent_id,
            started_at = m.started_at, finished_at = m.finished_at, bytes = m.bytes, stored_bytes = m.stored_bytes,
            location = m.location, server_version = m.server_version, system_identifier = m.system_identifier,
            timeline = m.timeline, start_lsn = m.start_lsn, stop_lsn = m.stop_lsn, annotations = m.annotations,
            hold_reason = m.hold_reason, hold_until = m.hold_until
        WHERE b.id = old.id;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.take_in_backup(name, pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.take_in_backup(name, pattyly.backups) IS
'One backup that a tool speaks of: a new row, or what is new in the one it has. Writes pattyly.backups.';

CREATE FUNCTION pattyly.check_import(tool text, info jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tool IS NULL OR info IS NULL THEN
        RAISE EXCEPTION '% of import_backups must not be null', CASE WHEN tool IS NULL THEN 'tool' ELSE 'info' END
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Such as import_backups(''pgbackrest'', ...) with what "pgbackrest info --output=json" prints.';
    ELSIF tool NOT IN ('pgbackrest', 'barman', 'wal-g') THEN
        RAISE EXCEPTION 'unknown backup tool %', quote_literal(left(tool, 100))
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is one of pgbackrest, barman, wal-g.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_import(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_import(text, jsonb) IS 'Errors: 22004 NULL, 22023 unknown tool. Writes nothing.';

-- What is wrong with an info is an error of class 22 in its reader, ours or a cast's; this is where it becomes ours.
CREATE FUNCTION pattyly.checked_backup_info(tool text, info jsonb, OUT backups pattyly.backups[], OUT covered jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    negative text;
BEGIN
    backups := ARRAY(SELECT b FROM pattyly.read_backup_info(tool, info) AS b ORDER BY b.started_at, b.label);
    covered := (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM pattyly.covered_backups(tool, info) AS c);
    negative := (SELECT b.label FROM unnest(backups) AS b WHERE least(b.bytes, b.stored_bytes) < 0 LIMIT 1);
    IF negative IS NOT NULL THEN
        RAISE data_exception USING MESSAGE = format('backup "%s" has a negative size', negative);
    END IF;
EXCEPTION
    WHEN data_exception THEN
        RAISE EXCEPTION 'info is not what % prints: %', tool, SQLERRM
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Pass, as it is, what is printed by "%s".',
                                CASE tool WHEN 'pgbackrest' THEN 'pgbackrest info --output=json'
                                          WHEN 'barman' THEN 'barman -f json list-backups all" or "barman -f json show-backup SERVER ID'
                                          ELSE 'wal-g backup-list --detail --json' END);
END
$$;
REVOKE ALL ON FUNCTION pattyly.checked_backup_info(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.checked_backup_info(text, jsonb) IS
'What is in an info, parents first, and of what it lists everything. Errors: 22023 it is not what the tool prints. Writes nothing.';

CREATE FUNCTION pattyly.take_in_backups(caller name, tool text, info jsonb) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    said record;
    new pattyly.backups;
    taken record;
    parent pattyly.backups;
    seen bigint[] := '{}';
    n integer := 0;
    n_expired integer;
BEGIN
    PERFORM pattyly.check_import(tool, info);
    said := pattyly.checked_backup_info(tool, info);
    -- Two imports at once would both find that a row is not there.
    PERFORM pg_advisory_xact_lock('pattyly.backups'::regclass::oid::integer, 0);
    FOREACH new IN ARRAY said.backups LOOP
        taken := pattyly.take_in_backup(caller, new);
        seen := seen || taken.id;
        n := n + taken.is_changed::integer;
    END LOOP;
    -- Times that a tool gives may put a child before its parent.
    FOREACH new IN ARRAY said.backups LOOP
        CONTINUE WHEN NOT new.annotations ? 'prior';
        taken := pattyly.imported_backup(new, new.label);
        parent := pattyly.imported_backup(new, new.annotations ->> 'prior');
        UPDATE pattyly.backups AS b SET parent_id = parent.id
        WHERE b.id = taken.id AND b.parent_id IS NULL AND parent.id <> taken.id;
    END LOOP;
    UPDATE pattyly.backups AS b
    SET state = 'expired', expired_at = pattyly.clock_now()
    WHERE b.server_started_at IS NULL AND b.tool = take_in_backups.tool AND b.state <> 'expired' AND b.id <> ALL (seen)
      AND EXISTS (SELECT FROM jsonb_to_recordset(said.covered) AS c (source jsonb, system_identifier bigint)
                  WHERE pattyly.backup_source(b.annotations) = c.source
                    AND (c.system_identifier IS NULL OR b.system_identifier IS NULL OR b.system_identifier = c.system_identifier));
    GET DIAGNOSTICS n_expired = ROW_COUNT;
    RETURN n + n_expired;
END
$$;
REVOKE ALL ON FUNCTION pattyly.take_in_backups(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.take_in_backups(name, text, jsonb) IS
'Behind import_backups(). Errors and writes as it says.';

CREATE FUNCTION pattyly.import_backups(tool text, info jsonb) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_import_backups';
REVOKE ALL ON FUNCTION pattyly.import_backups(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.import_backups(text, jsonb) IS
'Brings the catalogue up to what another tool says it has. tool: pgbackrest | barman | wal-g; info: what is printed by "pgbackrest info --output=json", "barman -f json list-backups SERVER" (or all; show-backup adds details of one), "wal-g backup-list --detail --json". A row a backup, with its parent and its errors; the same info again changes nothing; a backup that the tool no longer lists becomes expired. Rows of other tools and of run_backup() stay, and so do holds and verifications. Returns how many rows are new or changed. Errors: 22004 NULL, 22023 unknown tool, or not what it prints. Writes pattyly.backups.';

GRANT EXECUTE ON FUNCTION pattyly.import_backups(text, jsonb) TO @extowner@ WITH GRANT OPTION;
