-- partitions: the steps of a conversion. Each runs in a transaction of its own, under a lock_timeout so short that nobody
-- waits long behind us, and before anybody's deadlock_timeout; who calls tries again.

---- 2: the rehearsal ----

-- What only PostgreSQL knows how to refuse, it refuses here and not when all is copied.
CREATE FUNCTION pattyly.convert_rehearse(c pattyly.conversions, path text) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    began timestamptz;
    took integer;
    failure pattyly.convert_step;
    detail text;
    row_hint text := 'Nothing was changed. Rows are copied under the search_path of this session: if a function of a check, a generated column or an index does not find what it calls, SET search_path for it and call this again.';
BEGIN
    BEGIN
        PERFORM pattyly.convert_try_row(c, path);
        row_hint := NULL;
        PERFORM pattyly.convert_lock(c);
        began := clock_timestamp();
        PERFORM pattyly.check_conversion(c, false);
        PERFORM pattyly.convert_swap_names(c);
        took := extract(epoch FROM clock_timestamp() - began) * 1000;
        RAISE EXCEPTION 'rehearsed' USING ERRCODE = 'PTRHS';
    EXCEPTION
        WHEN SQLSTATE 'PTRHS' THEN
            NULL;
        WHEN lock_not_available OR deadlock_detected OR query_canceled THEN
            RAISE;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS failure.code = RETURNED_SQLSTATE, failure.message = MESSAGE_TEXT,
                failure.detail = PG_EXCEPTION_CONTEXT, failure.hint = PG_EXCEPTION_HINT;
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            -- With the statement that failed, if it was one; and PostgreSQL seldom hints at what to do about it.
            failure.detail := concat_ws(' ', nullif(detail, ''), CASE WHEN row_hint IS NULL THEN substring(failure.detail FROM '^SQL statement "(.*?)"\n')
                                                                 ELSE substring(failure.detail FROM '^PL/pgSQL function .*?(?=\n)') END);
            failure.hint := coalesce(row_hint, nullif(failure.hint, ''), 'Nothing was changed. Drop what stands in the way, and create it again after the conversion.');
    END;
    IF failure.code IS NOT NULL THEN
        PERFORM pattyly.convert_discard(c);
        RETURN failure;
    END IF;
    UPDATE pattyly.conversions AS u SET swap_ms = took WHERE u.target = c.target;
    IF took > 700 THEN
        RAISE WARNING 'the swap will hold up others for about % ms', took
            USING HINT = format('It takes longer the more partitions there are. If that is too long, have SELECT pattyly.cancel_conversion(%L) and take wider ones.', c.target);
    END IF;
    RETURN pattyly.convert_phase(c.target, 'rehearsed');
END
$$;
COMMENT ON FUNCTION pattyly.convert_rehearse(pattyly.conversions, text) IS
'For convert_table(), step 2: copies a row and does the swap, and takes both back, to see whether and how fast it works. Nothing is left when it does not work. Writes pattyly.conversions.';

---- 3: whatever is written from now on is written to the copy as well ----

CREATE FUNCTION pattyly.convert_capture(c pattyly.conversions, path text) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    name text := pattyly.convert_name(c.target);
    -- Temporary objects, which are the writer's, come last.
    call text := format('EXECUTE FUNCTION pattyly.convert_mirror(%L, %L, %L)', c.schema_name,
                        (SELECT k.relname FROM pg_class AS k WHERE k.oid = c.copy), concat_ws(', ', nullif(path, ''), 'pg_temp'));
    columns text := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a
                     WHERE a.attrelid = c.target AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN
    PERFORM pattyly.convert_calm(c.target);
    -- Waits for those who have written without the triggers.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', name);
    PERFORM pattyly.check_conversion(c, false);
    EXECUTE format('CREATE TRIGGER pattyly_mirror AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW %s', name, call);
    EXECUTE format('CREATE TRIGGER pattyly_mirror_truncate AFTER TRUNCATE ON %s %s', name, call);
    -- Never fires; keeps the columns from being dropped, and their types from being changed.
    EXECUTE format('CREATE TRIGGER pattyly_pin AFTER UPDATE OF %s ON %s WHEN (false) %s', columns, name, call);
    PERFORM pattyly.convert_depend(c.target, t, c.copy) FROM unnest('{pattyly_mirror,pattyly_mirror_truncate}'::name[]) AS t;
    -- For those, too, who replicate into this table.
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER pattyly_mirror, ENABLE ALWAYS TRIGGER pattyly_mirror_truncate,'
                   ' ENABLE ALWAYS TRIGGER pattyly_pin', name);
    RETURN pattyly.convert_phase(c.target, 'copying');
END
$$;
COMMENT ON FUNCTION pattyly.convert_capture(pattyly.conversions, text) IS
'For convert_table(), step 3: has writers write to the copy as well, under the search_path of the caller. Writes the catalogs and pattyly.conversions.';

---- 5: before the swap ----

CREATE FUNCTION pattyly.convert_analyze(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    EXECUTE format('ANALYZE %s', pattyly.convert_name(c.copy));
    -- Whose snapshot is older than the last batch would not see its rows.
    UPDATE pattyly.conversions AS u SET wait_for = pattyly.convert_older() WHERE u.target = c.target;
    RETURN pattyly.convert_phase(c.target, 'waiting');
END
$$;
COMMENT ON FUNCTION pattyly.convert_analyze(pattyly.conversions) IS
'For convert_table(), step 5: statistics for the copy; notes for whom to wait. Writes the catalogs and pattyly.conversions.';

---- 6: the swap ----

-- An autovacuum makes room when somebody has waited for deadlock_timeout. In this mode that keeps neither readers nor
-- writers waiting, and no other begins while we have the lock.
CREATE FUNCTION pattyly.convert_calm(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('lock_timeout',
        (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000 + 1000)::integer::text, true);
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', pattyly.convert_name(target));
    PERFORM set_config('lock_timeout', '100ms', true);
END
$$;
COMMENT ON FUNCTION pattyly.convert_calm(regclass) IS
'For convert_table(): keeps autovacuum off a table until the end of the transaction. Errors: 55P03.';

-- All locks that others notice within 200 ms: so long they may have to stand in line behind us.
CREATE FUNCTION pattyly.convert_lock(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    began timestamptz;
    one regclass;
BEGIN
    PERFORM pattyly.convert_calm(l) FROM pattyly.convert_locks(c.target) AS l;
    began := clock_timestamp();
    FOR one IN SELECT pattyly.convert_locks(c.target) LOOP
        PERFORM set_config('lock_timeout',
            greatest(200 - extract(epoch FROM clock_timestamp() - began) * 1000, 1)::integer::text, true);
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', pattyly.convert_name(one));
    END LOOP;
    PERFORM set_config('lock_timeout', '100ms', true);
END
$$;
COMMENT ON FUNCTION pattyly.convert_lock(pattyly.conversions) IS 'For convert_table(): locks the tables that the swap changes. Errors: 55P03.';

-- Nobody writes to the copy now. What writers put where no partition was made for it has to stay in the default one.
CREATE FUNCTION pattyly.convert_settle_rest(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rest regclass := (SELECT k.id FROM pattyly.partition_children(c.copy) AS k WHERE k.is_default);
BEGIN
    IF pattyly.partition_extreme(rest, c.control, NULL, NULL, false) IS NULL THEN
        EXECUTE format('DROP TABLE %s', pattyly.convert_name(rest));
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.convert_settle_rest(pattyly.conversions) IS
'For convert_table(): drops the default partition unless it holds rows. Writes the catalogs.';

CREATE FUNCTION pattyly.convert_swap_names(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements text[] := ARRAY(SELECT pattyly.convert_detach_statements(c.target))
        || ARRAY(SELECT pattyly.convert_rename_statements(c))
        || ARRAY(SELECT pattyly.convert_attach_statements(c));
    statement text;
BEGIN
    PERFORM pattyly.convert_settle_rest(c);
    UPDATE pattyly.conversions AS u SET unchecked = ARRAY(SELECT pattyly.convert_unchecked(c.target)) WHERE u.target = c.target;
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    INSERT INTO pattyly.partition_sets AS s SELECT (pattyly.convert_set(c)).*;
END
$$;
COMMENT ON FUNCTION pattyly.convert_swap_names(pattyly.conversions) IS
'For convert_table(): the copy takes the table''s place. Writes the catalogs and pattyly.conversions.';

CREATE FUNCTION pattyly.convert_swap(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    older integer := (SELECT min(l.pid) FROM pg_locks AS l WHERE l.locktype = 'virtualxid' AND l.virtualxid = ANY (c.wait_for));
BEGIN
    IF older IS NOT NULL THEN
        RETURN ROW(NULL, format('process %s has a transaction open from before the copy was complete', older), NULL, NULL, NULL, NULL)::pattyly.convert_step;
    END IF;
    PERFORM pattyly.convert_lock(c);
    PERFORM pattyly.check_conversion(c, true);
    PERFORM pattyly.check_convert_dependents(c.target);
    PERFORM pattyly.convert_swap_names(c);
    RETURN pattyly.convert_phase(c.target, 'swapped');
END
$$;
COMMENT ON FUNCTION pattyly.convert_swap(pattyly.conversions) IS
'For convert_table(), step 6: when nobody has an older snapshot, the copy takes the table''s place. Writes the catalogs and pattyly.conversions.';

---- 7: what is left ----

-- What partitions get of their parent when they are made, these get now that it has it: until now they were for the
-- owner alone. Row security they have already, unless it was turned on meanwhile.
CREATE FUNCTION pattyly.convert_secure(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off SET lock_timeout = '100ms'
AS $$
DECLARE
    parent pg_class := (SELECT p FROM pg_class AS p WHERE p.oid = c.copy);
    child record;
BEGIN
    FOR child IN
        SELECT pattyly.convert_name(k.oid) AS name, k.relrowsecurity, k.relforcerowsecurity
        FROM pattyly.partition_children(c.copy) AS p JOIN pg_class AS k ON k.oid = p.id
    LOOP
        PERFORM pattyly.run_as_owner(c.copy, ARRAY(SELECT g FROM pattyly.partition_grants(c.copy, child.name) AS g)
            || ARRAY(SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', child.name) WHERE parent.relrowsecurity AND NOT child.relrowsecurity)
            || ARRAY(SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', child.name) WHERE parent.relforcerowsecurity AND NOT child.relforcerowsecurity));
    END LOOP;
    RETURN pattyly.convert_phase(c.target, 'secured');
END
$$;
COMMENT ON FUNCTION pattyly.convert_secure(pattyly.conversions) IS
'For convert_table(), step 7: gives the partitions what their parent has of privileges and row security, as when they are made after it. Writes the catalogs and pattyly.conversions.';

CREATE FUNCTION pattyly.convert_check_next(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
BEGIN
    -- Keeps nobody from reading and writing.
    PERFORM pattyly.convert_run(split_part(c.unchecked[1], ' ', 1)::oid,
        format('ALTER TABLE %s VALIDATE CONSTRAINT %I', pattyly.convert_name(split_part(c.unchecked[1], ' ', 1)::oid),
               substr(c.unchecked[1], strpos(c.unchecked[1], ' ') + 1)));
    UPDATE pattyly.conversions AS u SET unchecked = c.unchecked[2:] WHERE u.target = c.target;
    PERFORM pattyly.convert_reached('before_checked');
    RETURN ROW('checked', NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_check_next(pattyly.conversions) IS
'For convert_table(), step 8: checks a foreign key that refers to the table. Writes the catalogs and pattyly.conversions.';

CREATE FUNCTION pattyly.convert_finish(c pattyly.conversions) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    name text := pattyly.convert_name(c.target);
    rest regclass := (SELECT k.id FROM pattyly.partition_children(c.copy) AS k WHERE k.is_default);
BEGIN
    BEGIN
        IF name IS NOT NULL THEN
            PERFORM pattyly.convert_calm(c.target);
            EXECUTE format('DROP TABLE %s', name);
        END IF;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        RAISE WARNING 'table % stays, because other objects depend on it', name
            USING DETAIL = SQLERRM, HINT = 'All its rows are in the partitioned table. Drop it when nobody needs it any more.';
    END;
    IF rest IS NOT NULL THEN
        RAISE WARNING 'rows that have no partition of their own are in the default partition %', rest
            USING HINT = format('CALL pattyly.drain_default(%L) makes their partitions and moves them there.', c.copy);
    END IF;
    DELETE FROM pattyly.conversions AS d WHERE d.target = c.target;
    PERFORM pattyly.convert_reached('before_finished');
    RETURN ROW(NULL, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_finish(pattyly.conversions) IS
'For convert_table(), step 9: drops the old table, unless something depends on it since. Writes the catalogs and pattyly.conversions.';

---- Giving up ----

CREATE FUNCTION pattyly.convert_discard(c pattyly.conversions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trigger_name name;
BEGIN
    FOR trigger_name IN
        SELECT t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.target AND p.proname = 'convert_mirror' AND p.pronamespace = 'pattyly'::regnamespace
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_name, pattyly.convert_name(c.target));
    END LOOP;
    IF EXISTS (SELECT FROM pg_class AS k WHERE k.oid = c.copy) THEN
        EXECUTE format('DROP TABLE %s', pattyly.convert_name(c.copy));
    END IF;
    DELETE FROM pattyly.conversions AS d WHERE d.target = c.target;
END
$$;
COMMENT ON FUNCTION pattyly.convert_discard(pattyly.conversions) IS
'For convert_table() and cancel_conversion(): takes the triggers, the copy and what is noted of a conversion away. Writes the catalogs and pattyly.conversions.';

---- Which one is next ----

CREATE FUNCTION pattyly.check_convert_options(c pattyly.conversions, options pattyly.conversions) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pattyly.check_partition_owner(c.copy);
    IF (c.control, c.every, c.premake, c.retain, c.on_expire, c.timezone, c.start, c.encoding) IS DISTINCT FROM
       (options.control, options.every, options.premake, options.retain, options.on_expire, options.timezone, options.start,
        options.encoding) THEN
        PERFORM pattyly.convert_refuse(
            format('a conversion of %I.%I with other arguments is under way', c.schema_name, c.table_name),
            format('Call it as before (SELECT * FROM pattyly.conversions)%s.',
                   CASE WHEN c.phase NOT IN ('swapped', 'secured') THEN
                       format(', or give that one up: SELECT pattyly.cancel_conversion(%L)', c.target) END),
            'object_in_use');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_convert_options(pattyly.conversions, pattyly.conversions) IS
'For convert_table(): an error when a conversion that was begun is called with other arguments, or by somebody without the owner''s rights. Writes nothing.';

CREATE FUNCTION pattyly.convert_next_step(target regclass, options pattyly.conversions, begun boolean, path text)
    RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    c pattyly.conversions;
BEGIN
    SELECT * INTO c FROM pattyly.conversions AS o WHERE convert_next_step.target IN (o.target, o.copy) FOR UPDATE;
    IF c.target IS NULL THEN
        IF begun AND EXISTS (SELECT FROM pg_class AS k WHERE k.oid = convert_next_step.target AND k.relname <> 'pattyly_old_' || k.oid) THEN
            RETURN ROW(NULL, NULL, 'object_not_in_prerequisite_state', format('the conversion of %s was given up by another session', target), '',
                       'The table is as it was. Call it again to begin anew.')::pattyly.convert_step;
        ELSIF begun THEN
            -- Another session has taken the last step.
            RETURN ROW(NULL, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
        END IF;
        RETURN pattyly.convert_prepare(target, options);
    END IF;
    PERFORM pattyly.check_convert_options(c, options);
    RETURN CASE c.phase
        WHEN 'prepared' THEN pattyly.convert_rehearse(c, path)
        WHEN 'rehearsed' THEN pattyly.convert_capture(c, path)
        WHEN 'copying' THEN pattyly.convert_copy(c, path)
        WHEN 'copied' THEN pattyly.convert_analyze(c)
        WHEN 'waiting' THEN pattyly.convert_swap(c)
        WHEN 'swapped' THEN pattyly.convert_secure(c)
        WHEN 'secured' THEN CASE WHEN cardinality(c.unchecked) > 0 THEN pattyly.convert_check_next(c) ELSE pattyly.convert_finish(c) END
    END;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    -- What stood in the way of a large batch may not be in that of a small one.
    UPDATE pattyly.conversions AS u SET batch_rows = greatest(u.batch_rows / 2, 10) WHERE u.target = c.target AND u.phase = 'copying';
    RETURN ROW(NULL, SQLERRM, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text) IS
'For convert_table(): takes the next step of a conversion, or says what it gave way to. Writes what the step does.';

REVOKE ALL ON FUNCTION
    pattyly.convert_rehearse(pattyly.conversions, text),
    pattyly.convert_capture(pattyly.conversions, text),
    pattyly.convert_analyze(pattyly.conversions),
    pattyly.convert_calm(regclass),
    pattyly.convert_lock(pattyly.conversions),
    pattyly.convert_settle_rest(pattyly.conversions),
    pattyly.convert_swap_names(pattyly.conversions),
    pattyly.convert_swap(pattyly.conversions),
    pattyly.convert_secure(pattyly.conversions),
    pattyly.convert_check_next(pattyly.conversions),
    pattyly.convert_finish(pattyly.conversions),
    pattyly.convert_discard(pattyly.conversions),
    pattyly.check_convert_options(pattyly.conversions, pattyly.conversions),
    pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_rehearse(pattyly.conversions, text),
    pattyly.convert_capture(pattyly.conversions, text),
    pattyly.convert_analyze(pattyly.conversions),
    pattyly.convert_calm(regclass),
    pattyly.convert_lock(pattyly.conversions),
    pattyly.convert_settle_rest(pattyly.conversions),
    pattyly.convert_swap_names(pattyly.conversions),
    pattyly.convert_swap(pattyly.conversions),
    pattyly.convert_secure(pattyly.conversions),
    pattyly.convert_check_next(pattyly.conversions),
    pattyly.convert_finish(pattyly.conversions),
    pattyly.convert_discard(pattyly.conversions),
    pattyly.check_convert_options(pattyly.conversions, pattyly.conversions),
    pattyly.convert_next_step(regclass, pattyly.conversions, boolean, text)
TO @extowner@ WITH GRANT OPTION;
