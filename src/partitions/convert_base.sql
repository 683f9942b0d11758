-- partitions: an ordinary, live table becomes a partitioned one. C: convertmirror.c, convertrun.c.
--
--   convert_base.sql   the state of a conversion, and what is done in C
--   convert_check.sql  what cannot be converted
--   convert_parts.sql  what belongs to a table, as statements
--   convert_make.sql   step 1, each is a transaction: the copy is made
--   convert_rows.sql   step 4: rows are copied
--   convert_steps.sql  the other steps, and which one is next
--   convert_table.sql  the procedure that takes them, and how to give up
--
-- A partitioned copy is made beside the table and filled in small batches, while a trigger carries over to it what
-- writers change. Then the two change places. Every step can be lost and taken again.

CREATE TABLE pattyly.conversions (
    target      regclass PRIMARY KEY,
    copy        regclass NOT NULL UNIQUE,
    schema_name name NOT NULL,
    table_name  name NOT NULL,
    phase       text NOT NULL CHECK (phase IN ('prepared', 'rehearsed', 'copying', 'copied', 'waiting', 'swapped', 'secured')),
    control     name NOT NULL,
    every       text NOT NULL,
    premake     integer NOT NULL,
    retain      text,
    on_expire   text NOT NULL,
    timezone    text NOT NULL,
    start       text,
    encoding    text,
    shape       jsonb NOT NULL,
    copy_names  jsonb NOT NULL,
    copied_to   text[],
    copy_until  text[],
    rows_copied bigint NOT NULL DEFAULT 0,
    batch_rows  integer NOT NULL DEFAULT 1000,
    wait_for    text[],
    unchecked   text[] NOT NULL DEFAULT '{}',
    swap_ms     integer,
    started_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);
REVOKE ALL ON pattyly.conversions FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pattyly.conversions', '');
COMMENT ON TABLE pattyly.conversions IS
'The conversions that are under way: a row from the first step of convert_table() to its last. Written by convert_table() and cancel_conversion().';
COMMENT ON COLUMN pattyly.conversions.target IS 'The table as it was; after the swap it goes by the name pattyly_old_ and a number, until it is dropped.';
COMMENT ON COLUMN pattyly.conversions.copy IS 'The partitioned table; until the swap it goes by the name pattyly_new_ and a number.';
COMMENT ON COLUMN pattyly.conversions.schema_name IS 'The schema of both.';
COMMENT ON COLUMN pattyly.conversions.table_name IS 'The name that the swap passes on.';
COMMENT ON COLUMN pattyly.conversions.phase IS
'prepared: the copy is made; rehearsed: the swap was tried on it; copying: writers write to it as well, and it is being filled; copied: it holds every row; waiting: for those whose snapshot is older than that; swapped: it has taken the table''s place; secured: and its partitions have their privileges.';
COMMENT ON COLUMN pattyly.conversions.control IS 'As convert_table() was called; so are every, premake, retain, on_expire, timezone, start and encoding.';
COMMENT ON COLUMN pattyly.conversions.shape IS 'Columns, indexes and constraints of the table when the copy was made: the swap wants them unchanged.';
COMMENT ON COLUMN pattyly.conversions.copy_names IS 'What the indexes of the copy are called until the swap, by the names of the table''s.';
COMMENT ON COLUMN pattyly.conversions.copied_to IS 'The primary key up to which rows were copied.';
COMMENT ON COLUMN pattyly.conversions.copy_until IS 'The last primary key that has to be copied: what is younger, its writers wrote to the copy.';
COMMENT ON COLUMN pattyly.conversions.rows_copied IS 'How many rows were copied, without those that writers wrote.';
COMMENT ON COLUMN pattyly.conversions.batch_rows IS 'How many rows the next batch takes, so that it takes about 100 ms.';
COMMENT ON COLUMN pattyly.conversions.wait_for IS 'Transactions that may have a snapshot from before the copy was complete.';
COMMENT ON COLUMN pattyly.conversions.unchecked IS 'The foreign keys that are left to be checked after the swap: number of their table, a space, name.';
COMMENT ON COLUMN pattyly.conversions.swap_ms IS 'How long the rehearsal of the swap took, in milliseconds.';

CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pattyly.conversions
    FOR EACH ROW EXECUTE FUNCTION pattyly.guard_partition_row('copy', 'target');

CREATE FUNCTION pattyly.convert_mirror() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_convert_mirror';
COMMENT ON FUNCTION pattyly.convert_mirror() IS
'Trigger of a table under conversion: carries a change over to its partitioned copy, whose schema and name are the arguments, and a search_path. Runs as the table''s owner, with that search_path, and past row policies.';

CREATE FUNCTION pattyly.convert_run(target regclass, statement text, arguments text[] DEFAULT NULL, search_path text DEFAULT NULL)
    RETURNS text[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pattyly_convert_run';
COMMENT ON FUNCTION pattyly.convert_run(regclass, text, text[], text) IS
'For convert_table(): runs a statement with the rights of the table''s owner and past its row policies, and returns the first column of the first row if that is a text[]. Errors: 42501 unless the caller has the owner''s rights.';

CREATE FUNCTION pattyly.convert_depend(target regclass, trigger_name name, copy regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pattyly_convert_depend';
COMMENT ON FUNCTION pattyly.convert_depend(regclass, name, regclass) IS
'For convert_table(): makes a trigger of a table depend on its copy, so that nobody drops that from under the writers. Errors: 42501 unless the caller has the owners'' rights. Writes pg_depend.';

CREATE FUNCTION pattyly.convert_older() RETURNS text[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pattyly_convert_older';
COMMENT ON FUNCTION pattyly.convert_older() IS
'For convert_table(): the transactions of this database that may have a snapshot from before this moment, as in pg_locks.virtualxid. Writes nothing.';

CREATE FUNCTION pattyly.convert_top_level() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pattyly_convert_top_level';
COMMENT ON FUNCTION pattyly.convert_top_level() IS
'For convert_table(): an error where it could not commit: 25001 in a transaction block, 2D000 in a function. Writes nothing.';

CREATE FUNCTION pattyly.convert_reached(place text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pattyly_convert_reached';
COMMENT ON FUNCTION pattyly.convert_reached(text) IS
'For tests: in a build with fault points the process dies here when pattyly.fault_point names the place. Writes nothing.';

CREATE FUNCTION pattyly.convert_name(target oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = target
$$;
COMMENT ON FUNCTION pattyly.convert_name(oid) IS 'For convert_table(): schema and name of a relation, quoted. Writes nothing.';

CREATE TYPE pattyly.convert_step AS (
    place   text,
    busy    text,
    code    text,
    message text,
    detail  text,
    hint    text
);
COMMENT ON TYPE pattyly.convert_step IS
'For convert_table(): where a step has come to (NULL: nothing is left to do), or what it gave way to, or an error to raise once it is committed.';

CREATE FUNCTION pattyly.convert_phase(target regclass, phase text) RETURNS pattyly.convert_step
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pattyly.conversions AS c SET phase = convert_phase.phase, changed_at = pattyly.clock_now()
    WHERE c.target = convert_phase.target;
    PERFORM pattyly.convert_reached('before_' || phase);
    RETURN ROW(phase, NULL, NULL, NULL, NULL, NULL)::pattyly.convert_step;
END
$$;
COMMENT ON FUNCTION pattyly.convert_phase(regclass, text) IS 'For convert_table(): notes that a step is done. Writes pattyly.conversions.';

REVOKE ALL ON FUNCTION
    pattyly.convert_mirror(),
    pattyly.convert_run(regclass, text, text[], text),
    pattyly.convert_depend(regclass, name, regclass),
    pattyly.convert_older(),
    pattyly.convert_top_level(),
    pattyly.convert_reached(text),
    pattyly.convert_name(oid),
    pattyly.convert_phase(regclass, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pattyly.convert_mirror(),
    pattyly.convert_run(regclass, text, text[], text),
    pattyly.convert_depend(regclass, name, regclass),
    pattyly.convert_older(),
    pattyly.convert_top_level(),
    pattyly.convert_reached(text),
    pattyly.convert_name(oid),
    pattyly.convert_phase(regclass, text)
TO @extowner@ WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON pattyly.conversions TO @extowner@ WITH GRANT OPTION;
