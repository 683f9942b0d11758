-- How we stand: one line, for a monitor and for check_health().

CREATE FUNCTION pattyly.backup_rpo() RETURNS interval
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The setting is there once the library is loaded, which a function of it does.
    PERFORM pattyly.clock_now();
    RETURN make_interval(secs => extract(epoch FROM current_setting('pattyly.backup_rpo')::interval)::float8);
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_rpo() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_rpo() IS 'pattyly.backup_rpo as an interval. Writes nothing.';

CREATE VIEW pattyly.backup_status WITH (security_barrier) AS
SELECT last.data_at AS last_good_at,
       pattyly.clock_now() OPERATOR(pg_catalog.-) last.data_at AS age,
       pattyly.backup_rpo() AS rpo,
       COALESCE(pattyly.clock_now() OPERATOR(pg_catalog.-) last.data_at OPERATOR(pg_catalog.>) pattyly.backup_rpo(), true) AS overdue,
       verified.verified_at AS last_verified_at,
       (verified.verify_result OPERATOR(pg_catalog.->>) 'ok')::pg_catalog.bool AS last_verify_ok,
       last.good,
       (SELECT pg_catalog.count(*) FROM pattyly.backups AS b
         WHERE pattyly.is_backup_ours(b)
           AND (b.state IN ('failed', 'suspect') OR b.state OPERATOR(pg_catalog.=) 'running' AND NOT pattyly.is_backup_alive(b))
           AND COALESCE(b.finished_at, b.started_at) OPERATOR(pg_catalog.<=) pattyly.clock_now()
           AND COALESCE(COALESCE(b.finished_at, b.started_at) OPERATOR(pg_catalog.>) last.finished_at, true)) AS failed_since_good,
       (SELECT pg_catalog.min(j.next_run) FROM pattyly.jobs AS j
         WHERE j.enabled AND pattyly.is_job_at_home(j.system_identifier, j.database_id)
           AND pg_catalog.regexp_replace(j.command, '--[^\n]*', '', 'g') OPERATOR(pg_catalog.~*) '\mrun_backup\s*\(') AS next_run
FROM (SELECT pg_catalog.max(pattyly.backup_data_at(b)) AS data_at, pg_catalog.max(b.finished_at) AS finished_at, pg_catalog.count(*) AS good
      FROM pattyly.restorable_backups() AS b WHERE pattyly.is_backup_ours(b)) AS last
LEFT JOIN LATERAL (SELECT b.verified_at, b.verify_result FROM pattyly.backups AS b
                   WHERE pattyly.is_backup_ours(b) AND b.verified_at IS NOT NULL
                   ORDER BY b.verified_at DESC LIMIT 1) AS verified ON true;
REVOKE ALL ON pattyly.backup_status FROM PUBLIC;
COMMENT ON VIEW pattyly.backup_status IS
'One line: as of when the newest data is that a good backup of this database or cluster has (last_good_at: the start of a dump, the end of anything else), how old that is, how old it may be (pattyly.backup_rpo) and whether it is older, when one was verified last and with what result, how many good ones there are, how many failed, are suspect or died since the last good one ended, and when a job runs the next.';

GRANT EXECUTE ON FUNCTION pattyly.backup_rpo(), pattyly.is_backup_alive(pattyly.backups), pattyly.server_incarnation() TO @extowner@;
GRANT EXECUTE ON FUNCTION pattyly.backup_rpo(), pattyly.is_backup_alive(pattyly.backups), pattyly.server_incarnation(),
    pattyly.restorable_backups(), pattyly.is_backup_ours(pattyly.backups), pattyly.backup_data_at(pattyly.backups), pattyly.clock_now() TO pg_monitor;
GRANT SELECT ON pattyly.backup_status TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON pattyly.backup_status TO pg_monitor;
