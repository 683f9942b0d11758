-- jobs: the daily and weekly tasks of a deployment, as ordinary jobs. What they find they raise as a WARNING, which
-- job_runs.warnings keeps and job_status shows as "succeeded with warnings", and return as a row, for whoever asks.

CREATE TABLE pattyly.size_history (
    at          timestamptz NOT NULL,
    object      text NOT NULL,
    bytes       bigint NOT NULL,
    PRIMARY KEY (object, at)
);
REVOKE ALL ON pattyly.size_history FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pattyly.size_history', '');
COMMENT ON TABLE pattyly.size_history IS
'How large the database and its largest tables were, a day a set of rows, kept for 400 days. Written by record_sizes().';
COMMENT ON COLUMN pattyly.size_history.object IS
'database, or the table''s name with its schema; a partitioned table with all its partitions.';
COMMENT ON COLUMN pattyly.size_history.bytes IS 'Indexes and TOAST counted.';

CREATE TABLE pattyly.error_counters (
    name        text PRIMARY KEY,
    total       bigint NOT NULL,
    noted_at    timestamptz NOT NULL
);
REVOKE ALL ON pattyly.error_counters FROM PUBLIC;
COMMENT ON TABLE pattyly.error_counters IS
'Where the error counters of pg_stat_database stood when check_errors() last looked. Not dumped: they are this server''s.';

CREATE FUNCTION pattyly.check_errors() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    clock    timestamptz := pattyly.clock_now();
    counter  record;
    finding  record;
    grown    jsonb := '{}';
BEGIN
    FOR counter IN
        SELECT c.name, c.total, c.total - CASE WHEN b.total <= c.total THEN b.total ELSE 0 END AS more, b.noted_at
        FROM pg_stat_database AS d
        CROSS JOIN LATERAL (VALUES ('commits', d.xact_commit), ('rollbacks', d.xact_rollback), ('deadlocks', d.deadlocks),
                                   ('checksum failures', d.checksum_failures), ('recovery conflicts', d.conflicts),
                                   ('sessions ended by an error', d.sessions_fatal),
                                   ('sessions ended by an administrator', d.sessions_killed)) AS c(name, total)
        LEFT JOIN pattyly.error_counters AS b ON b.name = c.name
        WHERE d.datname = current_database() AND c.total IS NOT NULL
    LOOP
        -- The first look only notes where the counters stand; counters that went back were reset.
        grown := grown || jsonb_build_object(counter.name,
                                             jsonb_build_array(coalesce(counter.more, 0), counter.noted_at));
        INSERT INTO pattyly.error_counters AS b (name, total, noted_at) VALUES (counter.name, counter.total, clock)
        ON CONFLICT (name) DO UPDATE SET total = excluded.total, noted_at = excluded.noted_at;
    END LOOP;
    FOR finding IN
        WITH more AS (
            SELECT g.key AS name, (g.value->>0)::bigint AS n, (g.value->>1)::timestamptz AS since
            FROM jsonb_each(grown) AS g WHERE g.value->>1 IS NOT NULL
        )
        SELECT format('%s: %s since %s', m.name, m.n, m.since) AS message,
               'The server''s log has the statements; look there from that time on.' AS hint
        FROM more AS m WHERE m.n > 0 AND m.name NOT IN ('commits', 'rollbacks')
        UNION ALL
        SELECT format('rollbacks: %s of %s transactions since %s', r.n, r.n + c.n, r.since),
               'The server''s log has the errors; more than 5 % are worth a look.'
        FROM more AS r, more AS c
        WHERE r.name = 'rollbacks' AND c.name = 'commits' AND r.n + c.n >= 1000 AND r.n * 20 > r.n + c.n
        UNION ALL
        SELECT format('job "%s" failed %s times in a day, last: %s', r.job_name, count(*),
                      coalesce((array_agg(r.error ORDER BY r.id DESC))[1], (array_agg(r.state ORDER BY r.id DESC))[1])),
               'See pattyly.job_runs for each run.'
        FROM pattyly.job_runs AS r
        WHERE r.state IN ('failed', 'timed_out', 'lost') AND r.finished_at > clock - interval '1 day'
        GROUP BY r.job_name
    LOOP
        RAISE WARNING USING ERRCODE = '01000', MESSAGE = finding.message, HINT = finding.hint;
        RETURN NEXT finding.message;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_errors() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_errors() IS
'What went wrong since the last call, as far as the server counts it for this database: deadlocks, checksum failures, recovery conflicts, sessions ended by an error or an administrator, more than 5 % of 1000 transactions or more rolled back; and the jobs that failed within a day, of those that the caller may see. Each finding is a WARNING and a row; the first call only notes where the counters stand. It does not read the server''s log. Writes pattyly.error_counters.';

CREATE FUNCTION pattyly.are_backups_configured() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN current_setting('pattyly.backup_directory', true) <> '' OR current_setting('pattyly.backup_location', true) <> '';
EXCEPTION
    WHEN insufficient_privilege THEN
        RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pattyly.are_backups_configured() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.are_backups_configured() IS
'Whether run_backup() has a place to write to; NULL when the caller may not read that. Writes nothing.';

-- A database that is backed up elsewhere, and has nothing in the catalogue, is left in peace.
CREATE FUNCTION pattyly.overdue_backup() RETURNS TABLE (message text, hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pattyly.backup_status') IS NULL OR NOT has_table_privilege('pattyly.backup_status', 'SELECT')
       OR NOT has_table_privilege('pattyly.backups', 'SELECT') THEN
        RETURN;
    ELSIF NOT (coalesce(pattyly.are_backups_configured(), false) OR EXISTS (SELECT FROM pattyly.backups)) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT CASE WHEN s.last_good_at IS NULL THEN 'there is no good backup'
                             ELSE format('the last good backup is of %s, which is %s ago', s.last_good_at, date_trunc('minute', s.age)) END,
                        CASE WHEN s.failed_since_good > 0 THEN format('%s failed since; pattyly.backups has the errors.', s.failed_since_good)
                             ELSE 'CALL pattyly.run_backup(); those of other tools: SELECT pattyly.import_backups(tool, info).' END
                 FROM pattyly.backup_status AS s WHERE s.overdue;
END
$$;
REVOKE ALL ON FUNCTION pattyly.overdue_backup() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.overdue_backup() IS
'What check_health() says of backups: one row when the last good one is older than pattyly.backup_rpo, or there is none though backups are made. Writes nothing.';

CREATE FUNCTION pattyly.check_health() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The times of sessions are the server's, and not compared with pattyly's clock, which can be frozen.
    real_clock timestamptz := clock_timestamp();
    finding    record;
BEGIN
    FOR finding IN
        SELECT format('%s of %s connections are in use', a.n, current_setting('max_connections')) AS message,
               'Use a pooler in transaction mode, or raise max_connections.' AS hint
        FROM (SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend') AS a
        WHERE a.n > current_setting('max_connections')::numeric * 0.8
        UNION ALL
        SELECT format('process %s of "%s" has had a transaction open since %s (%s)', a.pid, a.usename, a.xact_start,
                      a.state),
               'It keeps VACUUM from cleaning up; end it with pg_terminate_backend(pid) if nobody waits for it.'
        FROM pg_stat_activity AS a
        WHERE a.backend_type = 'client backend' AND a.xact_start < real_clock - interval '1 hour'
        UNION ALL
        SELECT format('prepared transaction "%s" has been open since %s', p.gid, p.prepared),
               'COMMIT PREPARED or ROLLBACK PREPARED it.'
        FROM pg_prepared_xacts AS p WHERE p.prepared < real_clock - interval '1 hour'
        UNION ALL
        SELECT format('database "%s" is %s transactions old', d.datname, age(d.datfrozenxid)),
               'Autovacuum does not keep up: look for old transactions and replication slots, then run VACUUM there.'
        FROM pg_database AS d
        WHERE age(d.datfrozenxid) > least(current_setting('autovacuum_freeze_max_age')::bigint * 2, 1500000000)
        UNION ALL
        SELECT format('database "%s" is %s multixacts old', d.datname, mxid_age(d.datminmxid)),
               'Autovacuum does not keep up: look for old transactions, then run VACUUM there.'
        FROM pg_database AS d
        WHERE mxid_age(d.datminmxid)
              > least(current_setting('autovacuum_multixact_freeze_max_age')::bigint * 2, 1500000000)
        UNION ALL
        SELECT 'autovacuum is switched off', 'Set autovacuum and track_counts to on.'
        WHERE NOT (current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean)
        UNION ALL
        SELECT format('index %s is invalid', i.indexrelid::regclass),
               'An index build broke off: DROP INDEX or REINDEX INDEX CONCURRENTLY it.'
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid AND c.relkind = 'i'
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
        UNION ALL
        SELECT format('replication slot "%s" is %s', s.slot_name,
                      CASE WHEN s.wal_status IN ('unreserved', 'lost') THEN 'losing its WAL' ELSE 'not in use' END),
               'It keeps WAL and old rows for ever; drop it with pg_drop_replication_slot() if nobody comes back.'
        FROM pg_replication_slots AS s WHERE NOT s.active OR s.wal_status IN ('unreserved', 'lost')
        UNION ALL
        SELECT format('sequence %I.%I has used %s %% of its numbers', s.schemaname, s.sequencename,
                      trunc(s.last_value::numeric * 100 / s.max_value)),
               'ALTER the column and its sequence to bigint before they run out.'
        FROM pg_sequences AS s
        WHERE s.increment_by > 0 AND NOT s.cycle AND s.last_value > s.max_value::numeric * 0.8
        UNION ALL
        SELECT 'the sessions of other roles cannot be seen', format('GRANT pg_monitor TO %I.', current_user)
        WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
    LOOP
        RAISE WARNING USING ERRCODE = '01000', MESSAGE = finding.message, HINT = finding.hint;
        RETURN NEXT finding.message;
    END LOOP;
    -- The right to check health may have been given alone.
    IF has_function_privilege('pattyly.overdue_backup()', 'EXECUTE') AND has_function_privilege('pattyly.are_backups_configured()', 'EXECUTE') THEN
        FOR finding IN SELECT * FROM pattyly.overdue_backup() LOOP
            RAISE WARNING USING ERRCODE = '01000', MESSAGE = finding.message, HINT = finding.hint;
            RETURN NEXT finding.message;
        END LOOP;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_health() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_health() IS
'What a DBA should know today: more than 80 % of the connections in use, transactions open for more than an hour, prepared or not, databases that near transaction ID wraparound, autovacuum off, invalid indexes, replication slots that nobody reads, sequences more than 80 % used, backups that are overdue, and whether the caller may see the sessions of others at all. Each finding is a WARNING and a row. Writes nothing.';

CREATE FUNCTION pattyly.record_sizes() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    clock   timestamptz := pattyly.clock_now();
    finding record;
BEGIN
    INSERT INTO pattyly.size_history (at, object, bytes)
    SELECT clock, 'database', pg_database_size(current_database())
    UNION ALL
    SELECT clock, largest.object, largest.bytes
    FROM (SELECT format('%I.%I', n.nspname, top.relname) AS object, sum(part.bytes)::bigint AS bytes
          FROM (SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid) AS top, pg_total_relation_size(c.oid) AS bytes
                FROM pg_class AS c WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't') AS part
          JOIN pg_class AS top ON top.oid = part.top
          JOIN pg_namespace AS n ON n.oid = top.relnamespace
          WHERE part.bytes > 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          GROUP BY n.nspname, top.relname
          ORDER BY bytes DESC LIMIT 20) AS largest
    ON CONFLICT (object, at) DO NOTHING;
    DELETE FROM pattyly.size_history AS h WHERE h.at < clock - interval '400 days';
    FOR finding IN
        SELECT format('%s grew from %s to %s since %s', h.object, pg_size_pretty(b.bytes), pg_size_pretty(h.bytes), b.at)
                   AS message,
               'See pattyly.size_history for when that began; partitions with retain, or VACUUM, may help.' AS hint
        FROM pattyly.size_history AS h
        CROSS JOIN LATERAL (SELECT s.at, s.bytes FROM pattyly.size_history AS s
                            WHERE s.object = h.object AND s.at <= clock - interval '7 days'
                              AND s.at > clock - interval '14 days'
                            ORDER BY s.at DESC LIMIT 1) AS b
        WHERE h.at = clock AND h.bytes - b.bytes > 100 * 1024 * 1024 AND h.bytes * 4 > b.bytes * 5
        ORDER BY h.bytes DESC
    LOOP
        RAISE WARNING USING ERRCODE = '01000', MESSAGE = finding.message, HINT = finding.hint;
        RETURN NEXT finding.message;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.record_sizes() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.record_sizes() IS
'Notes the size of the database and of its 20 largest tables in pattyly.size_history, and forgets what is older than 400 days. A WARNING and a row for each that grew by more than a quarter, and 100 MB, within one to two weeks. Waits for tables that somebody holds locked exclusively: set lock_timeout. Writes pattyly.size_history.';

-- Settings that tell where backups go are for superusers and pg_read_all_settings to read: whoever may run the procedure,
-- but not read them, was given the right by one who can.
CREATE FUNCTION pattyly.why_no_backup_job(procedure text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regprocedure(procedure) IS NULL THEN
        RETURN 'this version has no such procedure';
    ELSIF NOT has_function_privilege(to_regprocedure(procedure), 'EXECUTE') THEN
        RETURN format('role "%s" may not run it; a superuser can: GRANT EXECUTE ON PROCEDURE %s TO %I', current_user, procedure, current_user);
    ELSIF NOT coalesce(pattyly.are_backups_configured(), true) THEN
        RETURN 'neither pattyly.backup_directory nor pattyly.backup_location is set; backups that other tools make are brought in by pattyly.import_backups()';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pattyly.why_no_backup_job(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.why_no_backup_job(text) IS
'Why load_maintenance() leaves out the job that calls a procedure of backups; NULL: it does not. Writes nothing.';

CREATE FUNCTION pattyly.maintenance_jobs(OUT name text, OUT schedule text, OUT what text, OUT command text,
                                         OUT catch_up text, OUT max_runtime interval, OUT settings jsonb, OUT missing text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY VALUES
    ('pattyly-daily-log-check', '0 3 * * *',
     'warns of what the server counted as errors since the day before, and of failed jobs',
     'SELECT pattyly.check_errors();', 'run_once', interval '5 min', '{}'::jsonb, NULL),
    ('pattyly-daily-health-check', '5 3 * * *',
     'warns of old transactions, full connections, invalid indexes, unused replication slots, overdue backups and their like',
     'SELECT pattyly.check_health();', 'run_once', interval '5 min', '{}', NULL),
    ('pattyly-daily-database-size', '10 3 * * *',
     'notes how large the database and its largest tables are in pattyly.size_history, and warns when they grow fast',
     'SELECT pattyly.record_sizes();', 'run_once', interval '15 min', '{"lock_timeout": "1min"}', NULL),
    ('pattyly-daily-partitions', '15 0 * * *',
     'makes the partitions that are needed next and takes away those past their retention',
     'CALL pattyly.maintain_partitions();', 'run_once', interval '1 hour', '{}',
     CASE WHEN to_regprocedure('pattyly.maintain_partitions(regclass,boolean)') IS NULL
          THEN 'this version keeps no partitions' END),
    ('pattyly-weekly-vacuum', '30 3 * * sun',
     'vacuums and analyzes all tables, slowly, without those that are locked; autovacuum does not analyze partitioned ones'
     || CASE WHEN (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN ''
             ELSE format('; warns of each, catalogs too, that role "%s" may not vacuum', current_user) END,
     'VACUUM (ANALYZE, SKIP_LOCKED);', 'skip', interval '6 hours', '{"vacuum_cost_delay": "2ms"}', NULL),
    ('pattyly-weekly-log-cleanup', '0 4 * * sun',
     'deletes what pg_cron logged more than 7 days ago',
     'DELETE FROM cron.job_run_details WHERE coalesce(end_time, start_time) < now() - interval ''7 days'';',
     'run_once', interval '1 hour', '{}',
     CASE WHEN to_regclass('cron.job_run_details') IS NULL THEN 'no pg_cron here whose log would grow'
          WHEN NOT (has_table_privilege('cron.job_run_details', 'SELECT')
                    AND has_table_privilege('cron.job_run_details', 'DELETE'))
          THEN format('role "%s" may not delete from cron.job_run_details', current_user) END),
    ('server log files', NULL, NULL, NULL, NULL, NULL, NULL,
     'SQL cannot delete files; log_filename = ''postgresql-%a.log'', log_rotation_age = 1d and log_truncate_on_rotation = on keep the last 7 days (a hosted server does it by itself)'),
    ('history of jobs', NULL, NULL, NULL, NULL, NULL, NULL,
     'needs no job: the scheduler deletes runs older than pattyly.job_history_days'),
    ('pattyly-nightly-backup', '15 2 * * *',
     'makes a backup of this database',
     'CALL pattyly.run_backup();', 'run_once', NULL::interval, '{}', pattyly.why_no_backup_job('pattyly.run_backup(text)')),
    ('pattyly-weekly-verify-backup', '30 4 * * sun',
     'restores the last good backup into a scratch database and compares it with what was dumped',
     'CALL pattyly.verify_backup();', 'run_once', NULL, '{}', pattyly.why_no_backup_job('pattyly.verify_backup(bigint)'));
END
$$;
REVOKE ALL ON FUNCTION pattyly.maintenance_jobs() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.maintenance_jobs() IS
'What load_maintenance() schedules, and what it leaves out (missing says why). Writes nothing.';

CREATE FUNCTION pattyly.load_maintenance(profile text DEFAULT 'supabase') RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job record;
BEGIN
    IF profile IS NULL THEN
        RAISE EXCEPTION 'profile of load_maintenance must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave it out, or pass ''supabase''.';
    ELSIF profile <> 'supabase' THEN
        RAISE EXCEPTION 'unknown maintenance profile "%"', profile
            USING ERRCODE = 'invalid_parameter_value', HINT = 'There is one: ''supabase''.';
    END IF;
    FOR job IN SELECT * FROM pattyly.maintenance_jobs() LOOP
        IF job.missing IS NOT NULL THEN
            RETURN NEXT format('left out: %s: %s', job.name, job.missing);
            CONTINUE;
        END IF;
        PERFORM pattyly.schedule_job(job.name, job.schedule, format(E'-- %s\n%s', job.what, job.command),
                                     catch_up => job.catch_up, max_runtime => job.max_runtime,
                                     settings => job.settings, max_retries => 1, retry_delay => '10 min');
        RETURN NEXT format('%s (%s UTC): %s', job.name, job.schedule, job.what);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.load_maintenance(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.load_maintenance(text) IS
'Schedules the daily and weekly tasks of the deployment guide as jobs of the calling role, named pattyly-daily-... and pattyly-weekly-...; change, pause or unschedule them as any others. Called again it puts them back as they come. profile: supabase. Returns a line a job, and one for each task that is left out and why. Errors: 22023 unknown profile, 22004 NULL, as schedule_job(). Writes pattyly.jobs.';

GRANT EXECUTE ON FUNCTION pattyly.load_maintenance(text), pattyly.maintenance_jobs(), pattyly.check_errors(),
    pattyly.check_health(), pattyly.record_sizes(), pattyly.why_no_backup_job(text), pattyly.are_backups_configured(),
    pattyly.overdue_backup()
TO @extowner@;
GRANT SELECT ON pattyly.size_history TO @extowner@ WITH GRANT OPTION;
GRANT INSERT, UPDATE, DELETE ON pattyly.size_history TO @extowner@;
GRANT SELECT, INSERT, UPDATE, DELETE ON pattyly.error_counters TO @extowner@;
GRANT SELECT ON pattyly.size_history TO pg_monitor;
