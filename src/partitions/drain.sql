-- partitions: rows leave the default partition. C: drain.c.
--
-- A range can be attached only when the default partition has none of its rows, and a row must be visible at any time, once.
-- So all rows of a range move in the transaction that attaches it, into a table that is not yet a partition, and the table is
-- locked from the beginning. Less will not do: a query that has looked up the partitions and then waits for the default one
-- would read that after the move, with a snapshot from after the move, and not know the partition where the rows are now; and
-- whoever had been told to write to the default one would get an error. Nor will a stronger lock at the end: a transaction
-- that has read and now writes would be in a deadlock with it.

CREATE FUNCTION pattyly.drain_statements(s pattyly.partition_sets, rest oid, child text, from_value text, to_value text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH columns AS (
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS list
        FROM pg_attribute AS a
        WHERE a.attrelid = s.parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ), triggers AS (
        SELECT t.tgname, t.tgenabled FROM pg_trigger AS t
        WHERE t.tgrelid = rest AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 8 <> 0
    )
    -- An error instead of rows that a policy hides.
    SELECT ARRAY['SET LOCAL row_security = off']
        || ARRAY(SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', pattyly.partition_full_name(rest), t.tgname) FROM triggers AS t)
        || format('WITH moved AS (DELETE FROM %s WHERE %s RETURNING %s) INSERT INTO %s (%s) SELECT %s FROM moved',
                  pattyly.partition_full_name(rest),
                  concat_ws(' AND ', CASE WHEN from_value <> 'MINVALUE' THEN format('%I >= %L', s.control, from_value) END,
                            CASE WHEN to_value <> 'MAXVALUE' THEN format('%I < %L', s.control, to_value) END,
                            format('%I IS NOT NULL', s.control)),
                  c.list, child, c.list, c.list)
        || ARRAY(SELECT format('ALTER TABLE %s ENABLE %sTRIGGER %I', pattyly.partition_full_name(rest),
                               CASE t.tgenabled WHEN 'A' THEN 'ALWAYS ' ELSE '' END, t.tgname) FROM triggers AS t)
    FROM columns AS c
$$;
COMMENT ON FUNCTION pattyly.drain_statements(pattyly.partition_sets, oid, text, text, text) IS
'The statements that move the rows of a range from the default partition to a table, without the triggers that would call it a deletion. Writes nothing.';

CREATE FUNCTION pattyly.check_drain(s pattyly.partition_sets) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference record;
BEGIN
    IF s.parent IS NULL THEN
        RAISE EXCEPTION 'the table is no set of partitions'
            USING ERRCODE = 'undefined_object', HINT = 'Make it one: SELECT pattyly.partition_table(...).';
    END IF;
    SELECT f.conname, f.conrelid::regclass AS target INTO reference
    FROM pg_constraint AS f
    WHERE f.confrelid = s.parent AND f.contype = 'f' AND f.confdeltype NOT IN ('a', 'r') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'constraint "%" of % would take the moved rows for deleted ones', reference.conname, reference.target
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Drop the foreign key, drain, and add it again.';
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_drain(pattyly.partition_sets) IS
'An error when moving rows out of the default partition would change other tables. Writes nothing.';

CREATE FUNCTION pattyly.drain_range(s pattyly.partition_sets, key regtype, rest oid, place bigint, OUT action text, OUT partition text,
                                    OUT from_value text, OUT to_value text, OUT reason text, OUT moved bigint, OUT next_place bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
    w record;
    schema name := (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = s.parent);
BEGIN
    moved := 0;
    SELECT * INTO r FROM pattyly.partition_ranges(s.every, key, s.encoding, s.timezone, place, place, 0, 1);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO w FROM pattyly.partition_wanted(s, key, place, place, 0, 1);
    next_place := r.to_pos;
    partition := w.name;
    from_value := r.from_value;
    to_value := r.to_value;
    IF w.how IS DISTINCT FROM 'default' THEN
        action := 'passed over';
        reason := w.reason;
        RETURN;
    ELSIF pattyly.partition_position(s.every, key, s.encoding, s.timezone, pattyly.clock_now()) IS NULL
        AND place > pattyly.partition_highest(s.parent, s.control) + 1000::numeric * s.every::bigint THEN
        -- Ids have no clock: partitions are made after the highest, and retention counts from it.
        action := 'passed over';
        reason := 'it is more than 1000 partitions ahead of all other ids';
        RETURN;
    END IF;
    action := 'filled';
    moved := pattyly.make_partition(s.parent, w.name, r.from_value, r.to_value,
        pattyly.drain_statements(s, rest, format('%I.%I', schema, w.name), r.from_value, r.to_value));
    reason := format('%s rows', moved);
END
$$;
COMMENT ON FUNCTION pattyly.drain_range(pattyly.partition_sets, regtype, oid, bigint) IS
'Makes the partition of a place and moves its rows there from the default one, or says why not, and where the next one begins.';

CREATE FUNCTION pattyly.drain_some(parent regclass, batch integer, after bigint)
    RETURNS TABLE (action text, partition text, from_value text, to_value text, reason text,
                   how text, parent_name text, partition_name text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s pattyly.partition_sets := (SELECT p FROM pattyly.partition_sets AS p WHERE p.parent = drain_some.parent);
    key regtype;
    rest oid;
    place bigint := after;
    calendar bigint;
    left_over bigint := batch;
    d record;
BEGIN
    PERFORM pattyly.check_drain(s);
    key := pattyly.partition_key(s.parent, s.control);
    rest := (SELECT k.id FROM pattyly.partition_children(s.parent) AS k WHERE k.is_default AND NOT k.pending);
    IF rest IS NULL THEN
        RETURN;
    END IF;
    PERFORM pattyly.run_as_owner(s.parent, ARRAY[
        'SET CONSTRAINTS ALL IMMEDIATE',
        format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', pattyly.partition_full_name(s.parent))]);
    LOOP
        place := pattyly.partition_extreme(rest, s.control, place, NULL, false);
        EXIT WHEN place IS NULL;
        d := pattyly.drain_range(s, key, rest, place);
        IF d.partition IS NULL THEN
            -- Outside of the calendar: those before it are passed over, those after it are the end.
            calendar := pattyly.partition_position(s.every, key, s.encoding, s.timezone, '0001-01-03 00:00+00');
            EXIT WHEN calendar IS NULL OR place >= calendar;
            place := calendar;
            CONTINUE;
        END IF;
        place := d.next_place;
        left_over := left_over - d.moved;
        RETURN QUERY SELECT d.action, d.partition, d.from_value, d.to_value, d.reason, place::text, NULL::text, NULL::text;
        EXIT WHEN place IS NULL OR left_over <= 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.drain_some(regclass, integer, bigint) IS
'Drains the default partition range by range until about so many rows have moved; how: the place to go on from, NULL at the end.';

CREATE PROCEDURE pattyly.drain_default(parent regclass, batch integer DEFAULT 10000)
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_drain_default';
COMMENT ON PROCEDURE pattyly.drain_default(regclass, integer) IS
'Moves the rows of a set''s default partition to the partitions of their ranges, which it makes; at most 1000 of them a call. A transaction moves whole ranges until it has moved batch rows; a range is never divided, so that each row is visible once at any time. While a transaction moves rows, nobody else reads or writes the table (ACCESS EXCLUSIVE), so keep batch small on a busy one. Triggers do not fire. Says in notices what it did. Errors: 42704 no set, 0A000 a foreign key would delete, 55P03 in use, 2D000 inside a transaction block.';

---- Who may ----

REVOKE ALL ON FUNCTION
    pattyly.drain_statements(pattyly.partition_sets, oid, text, text, text),
    pattyly.check_drain(pattyly.partition_sets),
    pattyly.drain_range(pattyly.partition_sets, regtype, oid, bigint),
    pattyly.drain_some(regclass, integer, bigint)
FROM PUBLIC;
REVOKE ALL ON PROCEDURE
    pattyly.drain_default(regclass, integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.drain_statements(pattyly.partition_sets, oid, text, text, text),
    pattyly.check_drain(pattyly.partition_sets),
    pattyly.drain_range(pattyly.partition_sets, regtype, oid, bigint),
    pattyly.drain_some(regclass, integer, bigint)
TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE
    pattyly.drain_default(regclass, integer)
TO @extowner@ WITH GRANT OPTION;
