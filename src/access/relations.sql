-- access: what they may see. C: relations.c, relationrow.c, relationcheck.c, sets.c, hasaccess.c, planner.c.

CREATE TABLE pattyly.relations (
    name            text PRIMARY KEY,
    assignments     regclass NOT NULL,
    subject_column  name NOT NULL,
    object_column   name NOT NULL,
    filter          text,
    include_self    boolean NOT NULL DEFAULT false,
    owner           name
);
REVOKE ALL ON pattyly.relations FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pattyly.relations', '');
COMMENT ON TABLE pattyly.relations IS
'Who is assigned to what: named relations between a subject (the caller) and objects, each in a table of the application. Takes effect everywhere at commit. Write it with define_relation() and drop_relation().';
COMMENT ON COLUMN pattyly.relations.assignments IS 'The table with a row for each assignment; whoever writes the row must own it.';
COMMENT ON COLUMN pattyly.relations.subject_column IS 'Who: uuid (compared with uid()), text or bigint (with the claim sub).';
COMMENT ON COLUMN pattyly.relations.object_column IS 'What: uuid, bigint (integer, smallint) or text (varchar).';
COMMENT ON COLUMN pattyly.relations.filter IS 'Condition over the assignments, NULL for all of them; kept in a form that does not depend on search_path.';
COMMENT ON COLUMN pattyly.relations.include_self IS 'An object whose key is the caller''s own id counts, too.';
COMMENT ON COLUMN pattyly.relations.owner IS 'Filled in: the owner of the table, with whose rights it is read. When it gets another owner, define the relation again.';

CREATE FUNCTION pattyly.check_relation_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_check_relation_row';
REVOKE ALL ON FUNCTION pattyly.check_relation_row() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_relation_row() IS
'Trigger of pattyly.relations: refuses a relation that makes no sense or whose table is somebody else''s, and fills in what is kept besides.';

CREATE TRIGGER check_row BEFORE INSERT OR UPDATE ON pattyly.relations
    FOR EACH ROW EXECUTE FUNCTION pattyly.check_relation_row();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON pattyly.relations
    FOR EACH ROW EXECUTE FUNCTION pattyly.config_changed();
CREATE TRIGGER config_emptied AFTER TRUNCATE ON pattyly.relations
    FOR EACH STATEMENT EXECUTE FUNCTION pattyly.config_changed();
ALTER TABLE pattyly.relations ENABLE ALWAYS TRIGGER check_row;
ALTER TABLE pattyly.relations ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE pattyly.relations ENABLE ALWAYS TRIGGER config_emptied;

CREATE FUNCTION pattyly.define_relation(name text, assignments regclass, subject_column name, object_column name,
                                        filter text DEFAULT NULL, include_self boolean DEFAULT false)
    RETURNS void
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO pattyly.relations AS r (name, assignments, subject_column, object_column, filter, include_self)
    VALUES (define_relation.name, define_relation.assignments, define_relation.subject_column,
            define_relation.object_column, define_relation.filter, define_relation.include_self)
    ON CONFLICT (name) DO UPDATE
    SET assignments = excluded.assignments, subject_column = excluded.subject_column,
        object_column = excluded.object_column, filter = excluded.filter, include_self = excluded.include_self;
END;
REVOKE ALL ON FUNCTION pattyly.define_relation(text, regclass, name, name, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.define_relation(text, regclass, name, name, text, boolean) IS
'Makes or replaces a relation: who (subject_column, compared with the caller''s id) is assigned to what (object_column), as the rows of the table say that pass the filter, SQL over its columns. include_self: an object whose key is the caller''s own id counts, too. The table is read with its owner''s rights and past its row policies; functions of the filter run with them, too, and find unqualified names in pg_catalog only. Takes effect everywhere at commit. Writes pattyly.relations. Errors: 42501 not the owner, 42809 no table, 42703 no such column, 42804 a type that is no key, 0A000 volatile function, row lock or temporary table in the filter, 42601 a filter that is no condition.';

CREATE FUNCTION pattyly.drop_relation(name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM pattyly.relations AS r WHERE r.name OPERATOR(pg_catalog.=) drop_relation.name;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION pattyly.drop_relation(text) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.drop_relation(text) IS
'Removes a relation and says whether there was one. Policies that ask for it raise an error (42704) from then on and let nobody through. Writes pattyly.relations.';

CREATE FUNCTION pattyly.lead_relations(old regclass, new regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pattyly_lead_relations';
REVOKE ALL ON FUNCTION pattyly.lead_relations(regclass, regclass) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.lead_relations(regclass, regclass) IS
'For convert_table(): has the relations whose assignments were in one table read another, of the same owner and columns, that has taken its place. Errors: 42501 unless the caller has the owner''s rights. Writes pattyly.relations.';

CREATE FUNCTION pattyly.has_access_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_has_access_support';
REVOKE ALL ON FUNCTION pattyly.has_access_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.has_access_support(internal) IS
'Tells the planner which index condition means has_access(), how many rows pass and what a call costs.';

CREATE FUNCTION pattyly.has_access(relation text, object uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 20 SUPPORT pattyly.has_access_support
    AS 'MODULE_PATHNAME', 'pattyly_has_access_uuid';
COMMENT ON FUNCTION pattyly.has_access(text, uuid) IS
'Whether the caller is assigned to the object, for policies: USING (pattyly.has_access(''client'', id)). Becomes a condition on an index over id when the planner finds that cheaper; else a few objects are looked up, and when there are more the caller''s are fetched once a statement. False for NULL and when nobody is logged in. Sees what the statement sees. Errors: 42704 relation not defined, 42P01, 42703 or 42501 when its table, a column or its owner is not what it was, 42804 keys of another type, 22P02 as uid(). Writes nothing.';

CREATE FUNCTION pattyly.has_access(relation text, object bigint) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 20 SUPPORT pattyly.has_access_support
    AS 'MODULE_PATHNAME', 'pattyly_has_access_bigint';
COMMENT ON FUNCTION pattyly.has_access(text, bigint) IS
'As has_access(text, uuid), for objects whose key is a bigint. Writes nothing.';

CREATE FUNCTION pattyly.has_access(relation text, object integer) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 20 SUPPORT pattyly.has_access_support
    AS 'MODULE_PATHNAME', 'pattyly_has_access_integer';
COMMENT ON FUNCTION pattyly.has_access(text, integer) IS
'As has_access(text, bigint), for a column of type integer and the index over it. Writes nothing.';

CREATE FUNCTION pattyly.has_access(relation text, object smallint) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 20 SUPPORT pattyly.has_access_support
    AS 'MODULE_PATHNAME', 'pattyly_has_access_smallint';
COMMENT ON FUNCTION pattyly.has_access(text, smallint) IS
'As has_access(text, bigint), for a column of type smallint and the index over it. Writes nothing.';

CREATE FUNCTION pattyly.has_access(relation text, object text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 20 SUPPORT pattyly.has_access_support
    AS 'MODULE_PATHNAME', 'pattyly_has_access_text';
COMMENT ON FUNCTION pattyly.has_access(text, text) IS
'As has_access(text, uuid), for objects whose key is a text, compared byte by byte; of other relations, the text of a key. Writes nothing.';

CREATE FUNCTION pattyly.accessible_uuids(relation text) RETURNS uuid[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'pattyly_accessible_uuids';
COMMENT ON FUNCTION pattyly.accessible_uuids(text) IS
'All objects of the relation that the caller is assigned to, each once, in order; an empty array when nobody is logged in, NULL for NULL. For queries of the application; in a policy has_access() does better. Errors: as has_access(). Writes nothing.';

CREATE FUNCTION pattyly.accessible_ids(relation text) RETURNS bigint[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'pattyly_accessible_ids';
COMMENT ON FUNCTION pattyly.accessible_ids(text) IS 'As accessible_uuids(), of a relation whose keys are bigint. Writes nothing.';

CREATE FUNCTION pattyly.accessible_keys(relation text) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'pattyly_accessible_keys';
COMMENT ON FUNCTION pattyly.accessible_keys(text) IS
'As accessible_uuids(), of a relation whose keys are text, in the order of their bytes. Writes nothing.';

REVOKE ALL ON FUNCTION pattyly.has_access(text, uuid), pattyly.has_access(text, bigint), pattyly.has_access(text, integer),
    pattyly.has_access(text, smallint), pattyly.has_access(text, text),
    pattyly.accessible_uuids(text), pattyly.accessible_ids(text), pattyly.accessible_keys(text) FROM PUBLIC;

INSERT INTO pattyly.api_bundles (bundle, kind, object) VALUES
    ('R', 'FUNCTION', 'pattyly.has_access(text, uuid)'),
    ('R', 'FUNCTION', 'pattyly.has_access(text, bigint)'),
    ('R', 'FUNCTION', 'pattyly.has_access(text, integer)'),
    ('R', 'FUNCTION', 'pattyly.has_access(text, smallint)'),
    ('R', 'FUNCTION', 'pattyly.has_access(text, text)'),
    ('R', 'FUNCTION', 'pattyly.accessible_uuids(text)'),
    ('R', 'FUNCTION', 'pattyly.accessible_ids(text)'),
    ('R', 'FUNCTION', 'pattyly.accessible_keys(text)');

GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pattyly.relations TO @extowner@;
GRANT EXECUTE ON FUNCTION pattyly.define_relation(text, regclass, name, name, text, boolean), pattyly.drop_relation(text),
    pattyly.lead_relations(regclass, regclass)
TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION pattyly.has_access(text, uuid), pattyly.has_access(text, bigint), pattyly.has_access(text, integer),
    pattyly.has_access(text, smallint), pattyly.has_access(text, text),
    pattyly.accessible_uuids(text), pattyly.accessible_ids(text), pattyly.accessible_keys(text)
TO @extowner@ WITH GRANT OPTION;
