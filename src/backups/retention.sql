-- Which backups are kept, and how long: the policy, holds, and the plan (retentionplan.c, retention.c). The public
-- functions (keeping.c) see to it that nothing is removed meanwhile; what they call here is granted to nobody.

CREATE FUNCTION pattyly.check_retention_number(name text, number integer) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF number NOT BETWEEN 0 AND 10000 THEN
        RAISE EXCEPTION '% must be from 0 to 10000, not %', name, number
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass NULL or 0 to do without this rule.';
    END IF;
    RETURN nullif(number, 0);
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_retention_number(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_retention_number(text, integer) IS
'How many a rule of retention keeps, NULL for none. Errors: 22023 not from 0 to 10000. Writes nothing.';

CREATE FUNCTION pattyly.check_retention_limits(min_good integer, max_age interval) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF min_good IS NULL OR min_good NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'min_good must be from 1 to 10000, not %', coalesce(min_good::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'At least one good backup is always kept; the default is 2.';
    ELSIF NOT isfinite(max_age) OR extract(year FROM max_age) <> 0 OR extract(month FROM max_age) <> 0 THEN
        RAISE EXCEPTION 'max_age must be a time in days or less, not %', max_age
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Months and years have no fixed length: pass days, such as interval ''365 days''.';
    ELSIF extract(epoch FROM max_age) NOT BETWEEN 1 AND 36525 * 86400.0 THEN
        RAISE EXCEPTION 'max_age must be from 1 second to 36525 days, not %', max_age
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass NULL to keep backups of any age.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_retention_limits(integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_retention_limits(integer, interval) IS
'An error (22023) when a policy of retention cannot have such limits. Writes nothing.';

CREATE FUNCTION pattyly.write_retention(keep_last integer, keep_daily integer, keep_weekly integer, keep_monthly integer,
                                        keep_yearly integer, min_good integer, max_age interval) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy pattyly.backup_retention;
BEGIN
    policy := ROW(true, pattyly.check_retention_number('keep_last', keep_last),
                  pattyly.check_retention_number('keep_daily', keep_daily),
                  pattyly.check_retention_number('keep_weekly', keep_weekly),
                  pattyly.check_retention_number('keep_monthly', keep_monthly),
                  pattyly.check_retention_number('keep_yearly', keep_yearly), min_good, max_age, pattyly.clock_now());
    PERFORM pattyly.check_retention_limits(min_good, max_age);
    IF coalesce(policy.keep_last, policy.keep_daily, policy.keep_weekly, policy.keep_monthly, policy.keep_yearly) IS NULL
       AND max_age IS NULL THEN
        RAISE EXCEPTION 'such a retention keeps nothing'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give at least one of keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly and max_age.';
    END IF;
    INSERT INTO pattyly.backup_retention AS r VALUES (policy.*)
    ON CONFLICT (singleton) DO UPDATE
    SET (keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_good, max_age, updated_at) =
        (excluded.keep_last, excluded.keep_daily, excluded.keep_weekly, excluded.keep_monthly, excluded.keep_yearly,
         excluded.min_good, excluded.max_age, excluded.updated_at);
END
$$;
REVOKE ALL ON FUNCTION pattyly.write_retention(integer, integer, integer, integer, integer, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.write_retention(integer, integer, integer, integer, integer, integer, interval) IS
'Checks and stores the policy; behind set_retention(). Errors as it says. Writes pattyly.backup_retention.';

CREATE FUNCTION pattyly.backup_to_hold(id bigint) RETURNS pattyly.backups
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups;
BEGIN
    SELECT * INTO b FROM pattyly.backups AS t WHERE t.id = backup_to_hold.id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no backup %', coalesce(id::text, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'Look it up in pattyly.backups.';
    -- Its run could not end, nor be terminated, as long as this transaction is open.
    ELSIF b.state = 'running' AND b.session IS NOT NULL THEN
        RAISE EXCEPTION 'backup % is being made', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Hold it when it is done.';
    END IF;
    RETURN b;
END
$$;
REVOKE ALL ON FUNCTION pattyly.backup_to_hold(bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.backup_to_hold(bigint) IS
'The row of a backup, locked. Errors: 42704 no such backup, 55000 run_backup() is making it. Writes nothing.';

CREATE FUNCTION pattyly.check_hold(reason text, until timestamptz) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(btrim(reason, E' \t\r\n'), '') = '' OR length(reason) > 1000 THEN
        RAISE EXCEPTION 'reason of a hold must be a text of 1 to 1000 characters'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say why it must be kept: whoever reads the plan wants to know.';
    ELSIF until <= pattyly.clock_now() THEN
        RAISE EXCEPTION 'a hold cannot end in the past, at %', until
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass a later time, or NULL to hold it until release_backup().';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.check_hold(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_hold(text, timestamptz) IS
'An error (22023) when no hold can have such a reason or end. Writes nothing.';

CREATE FUNCTION pattyly.write_hold(id bigint, reason text, until timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups := pattyly.backup_to_hold(id);
BEGIN
    PERFORM pattyly.check_hold(reason, until);
    IF b.state IN ('expired', 'failed') THEN
        RAISE EXCEPTION 'backup % is %: there is nothing to hold', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Hold one whose state is done or suspect.';
    END IF;
    UPDATE pattyly.backups AS t SET hold_reason = btrim(reason, E' \t\r\n'), hold_until = nullif(until, 'infinity')
    WHERE t.id = b.id;
    IF b.tool IN ('pgbackrest', 'barman', 'wal-g') THEN
        RAISE WARNING '% does not know of this hold', b.tool
            USING HINT = format('It removes backup %s by its own rules: hold it there, too.', b.label);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pattyly.write_hold(bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.write_hold(bigint, text, timestamptz) IS
'Checks and stores a hold; behind hold_backup(). Errors as it says. Writes pattyly.backups.';

CREATE FUNCTION pattyly.write_release(id bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b pattyly.backups := pattyly.backup_to_hold(id);
BEGIN
    UPDATE pattyly.backups AS t SET hold_reason = NULL, hold_until = NULL WHERE t.id = b.id;
END
$$;
REVOKE ALL ON FUNCTION pattyly.write_release(bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.write_release(bigint) IS
'Ends a hold; behind release_backup(). Errors as it says. Writes pattyly.backups.';

-- ---- what administrators call ----

CREATE FUNCTION pattyly.set_retention(keep_last integer, keep_daily integer, keep_weekly integer, keep_monthly integer,
                                      keep_yearly integer, min_good integer DEFAULT 2, max_age interval DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_set_retention';
REVOKE ALL ON FUNCTION pattyly.set_retention(integer, integer, integer, integer, integer, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.set_retention(integer, integer, integer, integer, integer, integer, interval) IS
'Says which backups are kept. keep_last: so many newest ones; keep_daily, keep_weekly, keep_monthly, keep_yearly: the newest of each of so many last days, ISO weeks, months, years (UTC) that have one; NULL or 0: without this rule. What any rule keeps is kept. min_good: never fewer good ones than that. All of it counts dumps, snapshots, and base backups with what builds on them, each for themselves, and what run_backup() made or a superuser noted apart from what others noted; WAL is kept. max_age, in days or less: what is older expires although a rule would keep it, but never below min_good, never the last verified one, never a held one; alone, all that is younger is kept. Replaces what was set before. Nothing is removed until expire_backups(); expiry_plan() shows what would be. Errors: 22023 for bad arguments, and for a retention that keeps nothing. Writes pattyly.backup_retention.';

CREATE FUNCTION pattyly.expiry_plan() RETURNS TABLE (id bigint, label text, keep boolean, reason text)
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_expiry_plan';
REVOKE ALL ON FUNCTION pattyly.expiry_plan() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.expiry_plan() IS
'What expire_backups() would do now: each backup that is done or suspect, the newest first, whether it is kept, and why. Writes nothing.';

CREATE FUNCTION pattyly.hold_backup(id bigint, reason text, until timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_hold_backup';
REVOKE ALL ON FUNCTION pattyly.hold_backup(bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.hold_backup(bigint, text, timestamptz) IS
'Keeps a backup whatever the retention says. reason: why, for whoever reads the plan; until: when the hold ends, NULL: with release_backup(). Replaces an earlier hold. Waits while a backup is being removed. Errors: 42704 no such backup, 22023 no reason, or an end in the past, 55000 it failed or has expired, or run_backup() is making it. Writes pattyly.backups.';

CREATE FUNCTION pattyly.release_backup(id bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_release_backup';
REVOKE ALL ON FUNCTION pattyly.release_backup(bigint) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.release_backup(bigint) IS
'Ends a hold; a backup without one stays as it is. Errors: 42704 no such backup, 55000 run_backup() is making it. Writes pattyly.backups.';

CREATE PROCEDURE pattyly.expire_backups(dry_run boolean DEFAULT true)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_expire_backups';
REVOKE ALL ON PROCEDURE pattyly.expire_backups(boolean) FROM PUBLIC;
COMMENT ON PROCEDURE pattyly.expire_backups(boolean) IS
'Says in NOTICEs what expiry_plan() says and, with dry_run false, removes what is not kept: a file of pattyly.backup_directory by itself, anything else with the programs of pattyly.backup_remove_stages, without a shell. Then the row becomes expired; one whose file cannot be removed stays as it is, with a WARNING and the annotation removal_error, and the others go on. Each is looked at again before it goes. CALL it by itself: no transaction is open while something is removed. Errors: 22004 dry_run NULL, 38000 at the end, when something could not be removed, 55006 a backup is being made, verified or removed, 57014 canceled, 2D000 inside a transaction, 25006 on a standby. Granted to nobody: a superuser decides who may make the server remove files and run programs. Writes pattyly.backups and removes files.';

GRANT EXECUTE ON FUNCTION
    pattyly.set_retention(integer, integer, integer, integer, integer, integer, interval),
    pattyly.expiry_plan(),
    pattyly.hold_backup(bigint, text, timestamptz),
    pattyly.release_backup(bigint)
TO @extowner@ WITH GRANT OPTION;
