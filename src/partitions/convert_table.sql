-- partitions: the procedure that takes the steps of a conversion, and how to give one up.

CREATE FUNCTION pattyly.convert_options(target regclass, control name, every text, premake integer, retain text, on_expire text,
                                        timezone text, start text, encoding text) RETURNS pattyly.conversions
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options pattyly.conversions;
BEGIN
    options.control := control;
    options.every := every;
    options.premake := premake;
    options.retain := retain;
    options.on_expire := on_expire;
    options.timezone := timezone;
    options.start := start;
    options.encoding := encoding;
    RETURN options;
END
$$;
COMMENT ON FUNCTION pattyly.convert_options(regclass, name, text, integer, text, text, text, text, text) IS
'For convert_table(): its arguments as a row. Writes nothing.';

-- After a step that gave way: waits a little, ever longer, or raises an error when it has been too long.
CREATE FUNCTION pattyly.convert_pause(busy text, since timestamptz, tries integer) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    patience CONSTANT interval := coalesce(nullif(current_setting('lock_timeout')::interval, '0'), '2 min');
BEGIN
    IF clock_timestamp() - since > patience THEN
        RAISE EXCEPTION 'the conversion has not come further for %', patience
            USING ERRCODE = 'lock_not_available', DETAIL = busy,
                  HINT = 'Nothing is lost: call it again, the same way, to go on. lock_timeout says how long it keeps trying.';
    END IF;
    PERFORM pg_sleep(least(0.05 * tries, 1) * (0.5 + random() / 2));
END
$$;
COMMENT ON FUNCTION pattyly.convert_pause(text, timestamptz, integer) IS
'For convert_table(): waits before a step is tried again. Errors: 55P03 when that has gone on for longer than lock_timeout (0: two minutes). Writes nothing.';

-- No setting of its own can be set for a procedure that commits, so it does nothing but call functions that have theirs.
CREATE PROCEDURE pattyly.convert_table(target regclass, control name, every text, premake integer DEFAULT 4, retain text DEFAULT NULL,
                                       on_expire text DEFAULT 'detach', timezone text DEFAULT 'UTC', start text DEFAULT NULL,
                                       encoding text DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    options CONSTANT pattyly.conversions := pattyly.convert_options(target, control, every, premake, retain, on_expire, timezone,
                                                                    start, encoding);
    step pattyly.convert_step;
    begun boolean := false;
    since timestamptz := pg_catalog.clock_timestamp();
    tries integer := 0;
BEGIN
    PERFORM pattyly.convert_top_level();
    LOOP
        COMMIT;
        -- Under locks it has waited for, a step reads what others have done meanwhile.
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        step := pattyly.convert_next_step(target, options, begun, pg_catalog.current_setting('search_path'));
        COMMIT;
        IF step.busy IS NOT NULL THEN
            tries := tries OPERATOR(pg_catalog.+) 1;
            PERFORM pattyly.convert_pause(step.busy, since, tries);
            CONTINUE;
        ELSIF step.code IS NOT NULL THEN
            PERFORM pattyly.convert_refuse(step.message, step.hint, step.code, step.detail);
        END IF;
        begun := true;
        tries := 0;
        since := pg_catalog.clock_timestamp();
        PERFORM pattyly.convert_reached('after_' OPERATOR(pg_catalog.||) coalesce(step.place, 'finished'));
        EXIT WHEN step.place IS NULL;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pattyly.convert_table(regclass, name, text, integer, text, text, text, text, text) IS
'Makes a partitioned table of an ordinary one, while others read and write it, and a set of partitions of that; the arguments are those of partition_table(), and control may not be null and must be in every unique index. A copy is filled in batches of about 100 ms, twice the room on disk; a trigger has writers write to it as well; then the two change places within a moment. Name, columns, defaults, identity, indexes, constraints, foreign keys in both directions, privileges, policies, triggers, comments, statistics objects, publications and the views on it stay; what cannot be kept is refused before anything is done. Commits after each step. After an error, a cancel or a crash, call it again the same way and it goes on; cancel_conversion() gives up. It gives way to others: no lock is waited for longer than 200 ms at a time, and tried again for as long as lock_timeout says (0: two minutes). Errors: 25001 in a transaction block, 2D000 in a function, 42501 not the owner, 42809 no ordinary table, 42703 and 22004 control, 55000 something to mend first (see the hint), 0A000 and 2BP01 something that cannot be kept, 54000 more than 1000 partitions, 55006 a conversion with other arguments is under way, 55P03 others were in the way for too long. Writes the table, the catalogs, pattyly.partition_sets and pattyly.conversions.';

CREATE FUNCTION pattyly.cancel_conversion(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    c pattyly.conversions;
BEGIN
    SELECT * INTO c FROM pattyly.conversions AS o WHERE cancel_conversion.target IN (o.target, o.copy) FOR UPDATE;
    IF c.target IS NULL THEN
        PERFORM pattyly.convert_refuse(
            format('table %s is not being converted', coalesce(target::text, 'NULL')),
            'SELECT target FROM pattyly.conversions shows which are.', 'undefined_object');
    END IF;
    PERFORM pattyly.check_partition_owner(c.copy);
    IF c.phase IN ('swapped', 'secured') THEN
        PERFORM pattyly.convert_refuse(
            format('table %I.%I is partitioned already', c.schema_name, c.table_name),
            'Call pattyly.convert_table() once more, as before, for what is left to do.', 'object_not_in_prerequisite_state');
    END IF;
    PERFORM pattyly.convert_discard(c);
END
$$;
COMMENT ON FUNCTION pattyly.cancel_conversion(regclass) IS
'Gives up a conversion that convert_table() has begun and not ended: the table stays as it was, its triggers and the copy go. Errors: 42704 none is under way, 55000 the table is partitioned already, 42501 not the owner, 55P03 others hold locks for longer than a second. Writes the catalogs and pattyly.conversions.';

REVOKE ALL ON FUNCTION
    pattyly.convert_options(regclass, name, text, integer, text, text, text, text, text),
    pattyly.convert_pause(text, timestamptz, integer),
    pattyly.cancel_conversion(regclass)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_options(regclass, name, text, integer, text, text, text, text, text),
    pattyly.convert_pause(text, timestamptz, integer),
    pattyly.cancel_conversion(regclass)
TO @extowner@ WITH GRANT OPTION;
REVOKE ALL ON PROCEDURE pattyly.convert_table(regclass, name, text, integer, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE pattyly.convert_table(regclass, name, text, integer, text, text, text, text, text) TO @extowner@ WITH GRANT OPTION;
