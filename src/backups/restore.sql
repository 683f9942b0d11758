-- Which backup, and what to type. The plan is a list of commands for sh; nothing here runs them.

CREATE FUNCTION pattyly.shell_quote(word text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN word ~ '\A[A-Za-z0-9_./:@%+,-]+\Z' THEN word
                ELSE '''' || replace(word, '''', '''\''''') || '''' END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.shell_quote(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.shell_quote(text) IS 'One word for sh that is this text, whatever is in it. Writes nothing.';

-- An incremental one is as good as everything that it builds on. No estimate knows how long chains are: without these
-- settings, each link of a long one reads the whole table.
CREATE FUNCTION pattyly.restorable_backups() RETURNS SETOF pattyly.backups
    LANGUAGE sql STABLE
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
BEGIN ATOMIC
    WITH RECURSIVE whole AS (
        SELECT b.id FROM pattyly.backups AS b
        WHERE b.state OPERATOR(pg_catalog.=) 'done' AND b.kind IN ('dump', 'base', 'snapshot')
        UNION
        SELECT b.id FROM whole AS w JOIN pattyly.backups AS b ON b.parent_id OPERATOR(pg_catalog.=) w.id
        WHERE b.state OPERATOR(pg_catalog.=) 'done' AND b.kind OPERATOR(pg_catalog.=) 'incremental'
    )
    SELECT b.* FROM whole AS w JOIN pattyly.backups AS b USING (id)
    WHERE b.finished_at OPERATOR(pg_catalog.<=) pattyly.clock_now();
END;
REVOKE ALL ON FUNCTION pattyly.restorable_backups() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.restorable_backups() IS
'The backups that are done, not of a time to come, and whose parents are done as well. Writes nothing.';

-- A dump has the data of its snapshot, which is taken when it begins; what is copied file by file is good from its end on.
CREATE FUNCTION pattyly.backup_data_at(b pattyly.backups) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE b.kind WHEN 'dump' THEN b.started_at ELSE b.finished_at END;
END;
REVOKE ALL ON FUNCTION pattyly.backup_data_at(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_data_at(pattyly.backups) IS
'As of when a restore of it has the data: the start of a dump, the end of anything else. Writes nothing.';

-- Of this database, or of this cluster as a whole. What does not say whose it is was put into this catalogue by somebody who knew.
CREATE FUNCTION pattyly.is_backup_ours(b pattyly.backups) RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (b.database IS NULL OR b.database OPERATOR(pg_catalog.=) pg_catalog.current_database())
       AND (b.system_identifier IS NULL
            OR b.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c));
END;
REVOKE ALL ON FUNCTION pattyly.is_backup_ours(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.is_backup_ours(pattyly.backups) IS
'Whether a backup is of this database or of this cluster, as far as it says. Writes nothing.';

-- A dump can be restored anywhere: one that another cluster made of this database is of use after that is lost.
CREATE FUNCTION pattyly.restorable_here() RETURNS SETOF pattyly.backups
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.* FROM pattyly.restorable_backups() AS b
    WHERE CASE b.kind WHEN 'dump' THEN b.database OPERATOR(pg_catalog.=) pg_catalog.current_database()
                      ELSE b.system_identifier IS NULL
                           OR b.system_identifier OPERATOR(pg_catalog.=) (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c) END;
END;
REVOKE ALL ON FUNCTION pattyly.restorable_here() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.restorable_here() IS 'The backups that backup_for() chooses from. Writes nothing.';

CREATE FUNCTION pattyly.backup_for(target timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chosen pattyly.backups;
    oldest pattyly.backups;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target of backup_for must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the time to go back to, such as ''2026-11-25 03:00+00''.';
    END IF;
    SELECT * INTO chosen FROM pattyly.restorable_here() AS b WHERE pattyly.backup_data_at(b) <= target
    ORDER BY pattyly.backup_data_at(b) DESC, b.id DESC LIMIT 1;
    IF chosen.id IS NULL THEN
        SELECT * INTO oldest FROM pattyly.restorable_here() AS b ORDER BY pattyly.backup_data_at(b), b.id LIMIT 1;
        RAISE EXCEPTION 'there is no good backup from before %', target
            USING ERRCODE = 'undefined_object',
                  HINT = CASE WHEN oldest.id IS NULL
                              THEN 'There is none at all: CALL pattyly.run_backup(), or bring in those of another tool with import_backups().'
                              ELSE format('The oldest is %s (id %s): it has the data of %s, and nothing from before can be restored.',
                                          oldest.label, oldest.id, pattyly.backup_data_at(oldest)) END;
    END IF;
    IF chosen.kind = 'dump' AND NOT pattyly.is_backup_vouched(chosen) THEN
        RAISE WARNING 'backup % (id %) was noted by role "%", not by superusers from begin to end', chosen.label, chosen.id, chosen.begun_by
            USING HINT = 'Whether it is there, and what is in it, is the word of that role; run_backup() makes one that is trusted.';
    END IF;
    IF chosen.kind = 'dump' AND target > chosen.started_at THEN
        RAISE NOTICE 'backup % (id %) is a dump: it has the database as it was at %', chosen.label, chosen.id, chosen.started_at
            USING HINT = 'What was changed between then and the target is not in it; a base backup with WAL would have it.';
    END IF;
    RETURN chosen.id;
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_for(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_for(timestamptz) IS
'The good backup of this database, or of this cluster, that has the newest data from before a time: its id, for restore_plan(). A dump has the data of its start, also when it ended after that time; anything else that of its end. A NOTICE when it is a dump, which has nothing from after it began; a WARNING when neither run_backup() made that nor a superuser noted it. Errors: 22004 NULL, 42704 none that old (the hint names the oldest). Writes nothing.';

---- what the plan is made of -------------------------------------------------------------------------------------------

-- Settings that only superusers and pg_read_all_settings may read: NULL for others, who fill them in themselves.
CREATE FUNCTION pattyly.setting_if_readable(name text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN current_setting(name, true);
EXCEPTION
    WHEN insufficient_privilege THEN
        RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pattyly.setting_if_readable(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.setting_if_readable(text) IS 'A setting, or NULL when the caller may not read it. Writes nothing.';

CREATE FUNCTION pattyly.plan_connection() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    host text := btrim((regexp_match(pattyly.setting_if_readable('unix_socket_directories'), '^\s*("(?:[^"]|"")*"|[^,]*)'))[1]);
BEGIN
    IF host LIKE '"%' THEN
        host := replace(btrim(host, '"'), '""', '"');
    END IF;
    RETURN CASE WHEN host <> '' THEN '--host=' || pattyly.shell_quote(host) || ' ' ELSE '' END
        || format('--port=%s --username=%s --no-password', current_setting('port'),
                  pattyly.shell_quote((SELECT r.rolname FROM pg_roles AS r WHERE r.oid = 10)));
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_connection() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_connection() IS 'Options of psql and its kin for this server. Writes nothing.';

-- A name that needs no quotes and is no connection string.
CREATE FUNCTION pattyly.plan_database(database text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := left(regexp_replace(lower(coalesce(database, 'database')), '[^a-z0-9_]+', '_', 'g'), 40) || '_restored';
    candidate text := base;
    n integer := 1;
BEGIN
    WHILE EXISTS (SELECT FROM pg_database AS d WHERE d.datname = candidate) LOOP
        n := n + 1;
        candidate := base || n;
    END LOOP;
    RETURN candidate;
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_database(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_database(text) IS 'The name of a database that does not exist yet. Writes nothing.';

-- As this database is: a dump in custom format does not bring encoding and locale along unless it makes the database itself.
-- Each is an option of CREATE DATABASE and, with dashes, of createdb; what a version does not know no database of it has.
CREATE FUNCTION pattyly.new_database_options() RETURNS TABLE (place integer, name text, value text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d jsonb := (SELECT to_jsonb(d) FROM pg_database AS d WHERE d.datname = current_database());
    provider text := CASE d ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END;
BEGIN
    RETURN QUERY SELECT v.place, v.name, v.value
    FROM (VALUES (1, 'template', 'template0'), (2, 'encoding', pg_encoding_to_char((d ->> 'encoding')::integer)::text),
                 (3, 'lc_collate', d ->> 'datcollate'), (4, 'lc_ctype', d ->> 'datctype'), (5, 'locale_provider', provider),
                 (6, provider || '_locale', CASE WHEN provider <> 'libc' THEN coalesce(d ->> 'datlocale', d ->> 'daticulocale') END),
                 (7, 'icu_rules', d ->> 'daticurules')) AS v (place, name, value)
    WHERE v.value IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION pattyly.new_database_options() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.new_database_options() IS
'What an empty database needs to be like this one: options of CREATE DATABASE, in their order. Writes nothing.';

CREATE FUNCTION pattyly.plan_createdb(name text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('createdb %s %s %s', pattyly.plan_connection(),
                  (SELECT string_agg(format('--%s=%s', replace(o.name, '_', '-'), pattyly.shell_quote(o.value)), ' ' ORDER BY o.place)
                   FROM pattyly.new_database_options() AS o), name);
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_createdb(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_createdb(text) IS 'The command that makes an empty database like this one. Writes nothing.';

CREATE FUNCTION pattyly.plan_placeholders(b pattyly.backups, argument text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(CASE m.piece[1] WHEN '%d' THEN coalesce(b.database, '') WHEN '%l' THEN b.label
                                              WHEN '%f' THEN b.label || '.dump' WHEN '%i' THEN b.id::text
                                              WHEN '%o' THEN coalesce(b.location, '') WHEN '%%' THEN '%' ELSE m.piece[1] END,
                              '' ORDER BY m.place)
            FROM regexp_matches(argument, '%.|[^%]+|%', 'g') WITH ORDINALITY AS m (piece, place));
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_placeholders(pattyly.backups, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_placeholders(pattyly.backups, text) IS
'An argument of pattyly.backup_fetch_stages, placeholders replaced. Writes nothing.';

CREATE FUNCTION pattyly.plan_pipeline(b pattyly.backups, stages jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg((SELECT string_agg(pattyly.shell_quote(coalesce(pattyly.plan_placeholders(b, a.argument), '')), ' ' ORDER BY a.place)
                               FROM jsonb_array_elements_text(s.stage) WITH ORDINALITY AS a (argument, place)),
                              ' | ' ORDER BY s.place)
            FROM jsonb_array_elements(stages) WITH ORDINALITY AS s (stage, place));
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_pipeline(pattyly.backups, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_pipeline(pattyly.backups, jsonb) IS 'Stages as a pipeline of sh. Writes nothing.';

-- Where the file is, or will be when command has run.
CREATE FUNCTION pattyly.plan_file(b pattyly.backups, OUT file text, OUT command text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stages text := pattyly.setting_if_readable('pattyly.backup_fetch_stages');
    directory text := pattyly.setting_if_readable('pattyly.backup_directory');
BEGIN
    file := b.location;
    IF b.location IS NULL THEN
        RAISE EXCEPTION 'backup % (id %) has no location', b.label, b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Whoever made it knows where it is; finish_backup() can note it the next time.';
    ELSIF b.location LIKE '/%' AND (coalesce(stages, '') = '' OR starts_with(b.location, nullif(directory, '') || '/')) THEN
        RETURN;
    ELSIF stages <> '' THEN
        file := './' || b.label || '.dump';
        command := format('%s > %s', pattyly.plan_pipeline(b, stages::jsonb), pattyly.shell_quote(file));
    ELSIF stages IS NULL THEN
        RAISE EXCEPTION 'permission denied to read pattyly.backup_fetch_stages'
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Backup %s is at %s.', b.label, b.location),
                  HINT = 'How it is fetched is for superusers and members of pg_read_all_settings to see; ask one of them for the plan.';
    ELSE
        RAISE EXCEPTION 'backup % (id %) is at %, and nothing says how it is fetched', b.label, b.id, b.location
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Set pattyly.backup_fetch_stages.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_file(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_file(pattyly.backups) IS
'The file of a dump, and how it gets there. Errors: 42501 the caller may not see how, 55000 nobody knows. Writes nothing.';

-- sha256sum escapes such names its own way, and echo of some shells changes backslashes.
CREATE FUNCTION pattyly.plan_checksum(checksum text, file text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digits text := lower(substring(checksum FROM '^sha256:([0-9A-Fa-f]{64})$'));
BEGIN
    RETURN CASE WHEN digits IS NULL THEN '# There is no sha256 to compare it with.'
                WHEN file ~ '[\\\n\r]' THEN format('test "$(sha256sum < %s)" = ''%s  -'' && echo OK', pattyly.shell_quote(file), digits)
                ELSE format('echo %s | sha256sum -c -', pattyly.shell_quote(digits || '  ' || file)) END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_checksum(text, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_checksum(text, text) IS 'The command that compares a file with its checksum. Writes nothing.';

CREATE FUNCTION pattyly.plan_load(format text, file text, database text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text := pattyly.plan_connection() || ' --dbname=' || database;
    quoted text := pattyly.shell_quote(file);
    restore text := format('pg_restore --exit-on-error %s %s', place, quoted);
    run text := format('psql -X -q -v ON_ERROR_STOP=1 %s -f %s', place, quoted);
BEGIN
    IF format IN ('custom', 'tar') THEN
        RETURN NEXT restore;
    ELSIF format = 'plain' THEN
        RETURN NEXT run;
    ELSIF format = 'gzip' THEN
        RETURN NEXT format('gunzip -t < %s', quoted);
        RETURN NEXT format('gunzip -c < %s | psql -X -q -v ON_ERROR_STOP=1 %s', quoted, place);
    ELSE
        RETURN NEXT '# Nobody noted its format: what pg_restore cannot list is run as SQL.';
        RETURN NEXT format('if pg_restore --list %s > /dev/null 2>&1; then %s; else %s; fi', quoted, restore, run);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_load(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_load(text, text, text) IS 'The commands that load a dump into a database. Writes nothing.';

CREATE FUNCTION pattyly.plan_of_dump(b pattyly.backups) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place record := pattyly.plan_file(b);
    name text := pattyly.plan_database(b.database);
    statements text := pattyly.extension_statements(name);
BEGIN
    RETURN NEXT format('# It goes into a new database, "%s"; nothing that is there changes. It has the data of %s.', name, b.started_at);
    IF pattyly.setting_if_readable('unix_socket_directories') IS NULL THEN
        RETURN NEXT '# Add --host=DIRECTORY, the first of unix_socket_directories, where there is no default: the caller may not read it.';
    END IF;
    IF place.command IS NOT NULL THEN
        RETURN NEXT place.command;
    END IF;
    RETURN NEXT pattyly.plan_checksum(b.checksum, place.file);
    RETURN NEXT pattyly.plan_createdb(name);
    IF statements IS NOT NULL THEN
        RETURN NEXT format('psql -X -q -v ON_ERROR_STOP=1 %s --dbname=%s -c %s', pattyly.plan_connection(), name, pattyly.shell_quote(statements));
    END IF;
    RETURN QUERY SELECT pattyly.plan_load(b.annotations ->> 'format', place.file, name);
    RETURN NEXT format('vacuumdb --analyze-only %s --dbname=%s', pattyly.plan_connection(), name);
    RETURN NEXT '# Look at it; pattyly.backups.manifest has how many rows each table had. Then, when nobody is connected to either:';
    RETURN NEXT format('#   ALTER DATABASE %s RENAME TO %s;', quote_ident(coalesce(b.database, 'old')), quote_ident(left(coalesce(b.database, 'old'), 50) || '_before'));
    RETURN NEXT format('#   ALTER DATABASE %s RENAME TO %s;', quote_ident(name), quote_ident(coalesce(b.database, 'old')));
    RETURN NEXT '# Settings of ALTER DATABASE, and jobs of pattyly (SELECT pattyly.resume_jobs()), have to be set and resumed there.';
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_of_dump(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_of_dump(pattyly.backups) IS 'The commands that restore a dump. Errors as plan_file(). Writes nothing.';

---- whole clusters -----------------------------------------------------------------------------------------------------

CREATE FUNCTION pattyly.plan_directory(b pattyly.backups) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('%s_restored_%s', coalesce(pattyly.setting_if_readable('data_directory'), '/var/lib/postgresql/cluster'), b.id);
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_directory(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_directory(pattyly.backups) IS 'A data directory for what is restored, beside the one in use. Writes nothing.';

-- Options that make a second server of a copy: another port, and never a word into the archive of the first.
CREATE FUNCTION pattyly.plan_start(directory text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    config text := pattyly.setting_if_readable('config_file');
    data text := pattyly.setting_if_readable('data_directory');
    bin text;
    options text;
BEGIN
    BEGIN
        bin := (SELECT c.setting || '/' FROM pg_config() AS c WHERE c.name = 'BINDIR');
    EXCEPTION WHEN insufficient_privilege THEN
        bin := '';
    END;
    options := format('-c port=%s -c archive_mode=off', current_setting('port')::integer % 65535 + 1);
    IF NOT starts_with(config, data || '/') THEN
        options := format('-c config_file=%s -c data_directory=%s -c external_pid_file= ', pattyly.shell_quote(config), pattyly.shell_quote(directory)) || options;
    END IF;
    -- pg_ctl hands the options to a shell once more.
    RETURN format('%s -D %s -w -t 600 -l %s -o %s start', pattyly.shell_quote(bin || 'pg_ctl'), pattyly.shell_quote(directory),
                  pattyly.shell_quote(directory || '.log'), pattyly.shell_quote(options));
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_start(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_start(text) IS 'The command that starts a server on a restored directory, on the next port. Writes nothing.';

CREATE FUNCTION pattyly.plan_of_pgbackrest(b pattyly.backups, directory text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    spaces text := CASE WHEN EXISTS (SELECT FROM pg_tablespace AS t WHERE t.oid > 16383)
                        THEN ' --tablespace-map-all=' || pattyly.shell_quote(directory || '_tablespaces') ELSE '' END;
    command text := format('pgbackrest --stanza=%s --repo=%s --set=%s --pg1-path=%s%s', pattyly.shell_quote(b.annotations ->> 'stanza'),
                           pattyly.shell_quote(coalesce(b.annotations ->> 'repo', '1')), pattyly.shell_quote(b.label),
                           pattyly.shell_quote(directory), spaces);
BEGIN
    RETURN NEXT format('mkdir -m 700 %s', pattyly.shell_quote(directory));
    RETURN NEXT format('# As it was when it was complete, %s. To go on from there to another time, take this one instead:', b.finished_at);
    RETURN NEXT format('#   %s --type=time --target=''YYYY-MM-DD HH:MM:SS+00'' --target-action=promote restore', command);
    RETURN NEXT format('%s --type=immediate --target-action=promote restore', command);
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_of_pgbackrest(pattyly.backups, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_of_pgbackrest(pattyly.backups, text) IS 'How pgbackrest restores a backup into a directory. Writes nothing.';

CREATE FUNCTION pattyly.plan_of_barman(b pattyly.backups, directory text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target text := format('%s %s %s', pattyly.shell_quote(b.annotations ->> 'server'), pattyly.shell_quote(b.label), pattyly.shell_quote(directory));
BEGIN
    RETURN NEXT '# barman runs as its own account, where barman is. From another machine, add --remote-ssh-command ''ssh postgres@HOST'';';
    RETURN NEXT '# on this one, hand the directory to the account of the server afterwards: chown -R postgres: DIRECTORY';
    RETURN NEXT format('# As it was when it was complete, %s. To go on from there to another time, take this one instead:', b.finished_at);
    RETURN NEXT format('#   barman recover --target-time ''YYYY-MM-DD HH:MM:SS+00'' --target-action promote %s', target);
    RETURN NEXT format('barman recover --target-immediate --target-action promote %s', target);
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_of_barman(pattyly.backups, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_of_barman(pattyly.backups, text) IS 'How barman restores a backup into a directory. Writes nothing.';

CREATE FUNCTION pattyly.plan_of_walg(b pattyly.backups, directory text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    config text := pattyly.shell_quote(directory || '/postgresql.auto.conf');
BEGIN
    RETURN NEXT '# wal-g and the server that is started below need the storage''s settings in the environment, as the archiver has them.';
    RETURN NEXT format('wal-g backup-fetch %s %s', pattyly.shell_quote(directory), pattyly.shell_quote(b.label));
    RETURN NEXT format('# As it was when it was complete, %s. For another time, write recovery_target_time = ''...'' instead of recovery_target.', b.finished_at);
    RETURN NEXT format('printf ''%%s\n'' %s %s %s >> %s', pattyly.shell_quote('restore_command = ''wal-g wal-fetch "%f" "%p"'''),
                       pattyly.shell_quote('recovery_target = ''immediate'''), pattyly.shell_quote('recovery_target_action = ''promote'''), config);
    RETURN NEXT format('touch %s', pattyly.shell_quote(directory || '/recovery.signal'));
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_of_walg(pattyly.backups, text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_of_walg(pattyly.backups, text) IS 'How WAL-G restores a backup into a directory. Writes nothing.';

CREATE FUNCTION pattyly.plan_of_cluster(b pattyly.backups) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    directory text := pattyly.plan_directory(b);
BEGIN
    IF b.tool IS NULL OR b.tool NOT IN ('pgbackrest', 'barman', 'wal-g') OR b.server_started_at IS NOT NULL THEN
        RAISE EXCEPTION 'no plan for backup % (id %): it is a %, made by %', b.label, b.id, b.kind, coalesce(b.tool, 'a tool that is not named')
            USING ERRCODE = 'feature_not_supported',
                  HINT = format('Restore it with that tool%s. There are plans for dumps, and for what import_backups() brought in.',
                                coalesce(' from ' || b.location, ''));
    END IF;
    RETURN NEXT format('# It goes into a new directory, %s, and a second server; nothing that is there changes.', directory);
    IF pattyly.setting_if_readable('data_directory') IS NULL THEN
        RETURN NEXT '# The caller may not read data_directory: choose a place with enough room yourself, and write it for the directory.';
    END IF;
    IF b.system_identifier IS NULL THEN
        RETURN NEXT '# The tool did not say which cluster it is of: make sure that it is of the one you think.';
    END IF;
    CASE b.tool
        WHEN 'pgbackrest' THEN RETURN QUERY SELECT pattyly.plan_of_pgbackrest(b, directory);
        WHEN 'barman' THEN RETURN QUERY SELECT pattyly.plan_of_barman(b, directory);
        ELSE RETURN QUERY SELECT pattyly.plan_of_walg(b, directory);
    END CASE;
    RETURN NEXT pattyly.plan_start(directory);
    RETURN NEXT '# It archives nothing while archive_mode is off. Look at it; then take it into service, or stop it and remove the directory.';
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_of_cluster(pattyly.backups) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_of_cluster(pattyly.backups) IS
'The commands that restore a cluster. Errors: 0A000 of a tool for which there is no plan. Writes nothing.';

-- A newline, such as a name may have, would end a comment, and what follows would be run.
CREATE FUNCTION pattyly.plan_line(line text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN line LIKE '#%' THEN regexp_replace(line, '[[:cntrl:]]+', ' ', 'g') ELSE line END;
END
$$;
REVOKE ALL ON FUNCTION pattyly.plan_line(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.plan_line(text) IS 'A line of a plan, a comment on one line. Writes nothing.';

CREATE FUNCTION pattyly.restore_plan(id bigint) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups;
BEGIN
    SELECT * INTO b FROM pattyly.backups AS t WHERE t.id = restore_plan.id;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'there is no backup %', coalesce(restore_plan.id::text, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'SELECT pattyly.backup_for(time) finds one; pattyly.backups has them all.';
    ELSIF b.state NOT IN ('done', 'suspect') THEN
        RAISE EXCEPTION 'backup % (id %) is %', b.label, b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Only one that is done, or suspect, can be restored: SELECT pattyly.backup_for(time) finds a good one.';
    END IF;
    RETURN NEXT format('# Backup %s (id %s), %s of %s. For the account of the server; "sh -e" stops at the first line that fails.',
                       b.label, b.id, b.kind, b.finished_at);
    IF b.state = 'suspect' THEN
        RETURN NEXT pattyly.plan_line('# WARNING: it is suspect: ' || coalesce(b.error, 'nobody noted why'));
    END IF;
    -- The file of a dump is run: who named it would be superuser, and the server's account by psql's \!.
    IF b.kind = 'dump' AND NOT pattyly.is_backup_vouched(b) THEN
        RETURN NEXT pattyly.plan_line(format('# WARNING: it was noted by role "%s", not by superusers from begin to end. What is in the file is run as a superuser.', b.begun_by));
        RETURN NEXT 'false # Ends "sh -e". Take this line out when you are sure that the file is what that role says.';
    END IF;
    IF b.kind = 'incremental' AND NOT EXISTS (SELECT FROM pattyly.restorable_backups() AS r WHERE r.id = coalesce(b.parent_id, 0)) THEN
        RETURN NEXT '# WARNING: a backup that it builds on is not good, or not known.';
    END IF;
    IF b.kind = 'dump' THEN
        RETURN QUERY SELECT pattyly.plan_line(p.line) FROM pattyly.plan_of_dump(b) AS p (line);
    ELSE
        RETURN QUERY SELECT pattyly.plan_line(p.line) FROM pattyly.plan_of_cluster(b) AS p (line);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.restore_plan(bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.restore_plan(bigint) IS
'The commands that restore a backup beside what is there, a line each, for sh and the account of the server: a dump into a new database, a cluster into a new directory and a second server. What the caller may not read of the settings is left for him to fill in. That of a dump which neither run_backup() made nor a superuser noted ends at its first command, until somebody takes that out. Errors: 42704 no such backup, 55000 it failed, runs or expired, or nobody knows where it is, 42501 the caller may not see how it is fetched, 0A000 of a tool for which there is no plan. Writes nothing.';

GRANT EXECUTE ON FUNCTION
    pattyly.shell_quote(text),
    pattyly.restorable_backups(),
    pattyly.restorable_here(),
    pattyly.is_backup_ours(pattyly.backups),
    pattyly.is_backup_vouched(pattyly.backups),
    pattyly.backup_data_at(pattyly.backups),
    pattyly.setting_if_readable(text),
    pattyly.plan_connection(),
    pattyly.plan_database(text),
    pattyly.new_database_options(),
    pattyly.plan_createdb(text),
    pattyly.plan_placeholders(pattyly.backups, text),
    pattyly.plan_pipeline(pattyly.backups, jsonb),
    pattyly.plan_file(pattyly.backups),
    pattyly.plan_checksum(text, text),
    pattyly.plan_load(text, text, text),
    pattyly.plan_of_dump(pattyly.backups),
    pattyly.plan_directory(pattyly.backups),
    pattyly.plan_start(text),
    pattyly.plan_of_pgbackrest(pattyly.backups, text),
    pattyly.plan_of_barman(pattyly.backups, text),
    pattyly.plan_of_walg(pattyly.backups, text),
    pattyly.plan_of_cluster(pattyly.backups),
    pattyly.plan_line(text)
TO @extowner@;
GRANT EXECUTE ON FUNCTION pattyly.backup_for(timestamptz), pattyly.restore_plan(bigint) TO @extowner@ WITH GRANT OPTION;
