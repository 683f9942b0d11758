-- access: policies written for you. C: policytext.c.
--
-- protect() finds out what is missing, as statements, and runs them; each of the functions before it says a part. All of
-- them run with the caller's rights and look at nothing but the catalogs and pattyly.relations.

CREATE FUNCTION pattyly.policy_text(target regclass, expression text) RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'pattyly_policy_text';
COMMENT ON FUNCTION pattyly.policy_text(regclass, text) IS
'An expression as pg_policies would show it in a policy of the table, names found by the search_path; NULL for NULL. Errors: 42809 no table, and what CREATE POLICY would say. Writes nothing.';

CREATE FUNCTION pattyly.protect_tables(target regclass)
    RETURNS TABLE (id regclass, name text, kind "char", has_own_indexes boolean, level integer)
    LANGUAGE sql VOLATILE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE tree AS (
        SELECT target AS id, 0 AS level
        UNION ALL
        SELECT i.inhrelid, t.level + 1 FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.id
    )
    SELECT t.id, format('%I.%I', n.nspname, c.relname), c.relkind,
           c.relkind <> 'f' AND (min(t.level) = 0 OR NOT c.relispartition), min(t.level)
    FROM tree AS t JOIN pg_class AS c ON c.oid = t.id JOIN pg_namespace AS n ON n.oid = c.relnamespace
    GROUP BY t.id, n.nspname, c.relname, c.relkind, c.relispartition
    ORDER BY 5, 2
$$;
COMMENT ON FUNCTION pattyly.protect_tables(regclass) IS
'A table and all that inherit from it, partitions of every level included; for protect(). A partition gets the indexes of its parent, so has none of its own. Writes nothing.';

---- What was asked for, checked ----

CREATE FUNCTION pattyly.check_protect_target(target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = target);
    others text := (SELECT t.name FROM pattyly.protect_tables(target) AS t JOIN pg_class AS c ON c.oid = t.id
                    WHERE t.kind <> 'f' AND NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1);
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'no table was named'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the table whose rows to protect.';
    ELSIF kind IS NULL THEN
        RAISE EXCEPTION 'table with OID % does not exist', target::oid
            USING ERRCODE = 'undefined_table', HINT = 'Name a table of this database.';
    ELSIF kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is not a table', target
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Only tables have row policies. A view with security_invoker = true obeys those of its tables.';
    ELSIF target::oid < 16384 THEN
        RAISE EXCEPTION '% is a system catalog', target
            USING ERRCODE = 'wrong_object_type', HINT = 'Name a table of your own.';
    ELSIF others IS NOT NULL THEN
        RAISE EXCEPTION 'must be owner of table %', others
            USING ERRCODE = 'insufficient_privilege', HINT = 'Have the owner of the table, or a superuser, call this.';
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.check_protect_target(regclass) IS
'For protect() and unprotect(): an error unless this is a table, and the caller''s like all that inherit from it. Writes nothing.';

CREATE FUNCTION pattyly.protect_commands(commands text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known CONSTANT text[] := '{select,insert,update,delete}';
    command text;
BEGIN
    IF commands IS NULL OR EXISTS (SELECT FROM unnest(commands) AS c WHERE c IS NULL) THEN
        RAISE EXCEPTION 'commands are missing'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name some of select, insert, update and delete, or all.';
    ELSIF cardinality(commands) = 0 THEN
        RAISE EXCEPTION 'no command was named'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name some of select, insert, update and delete, or all.';
    END IF;
    FOREACH command IN ARRAY commands LOOP
        IF lower(command) <> ALL (known || 'all'::text) THEN
            RAISE EXCEPTION 'unknown command "%"', left(command, 60)
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Name some of select, insert, update and delete, or all.';
        END IF;
    END LOOP;
    RETURN ARRAY(SELECT k FROM unnest(known) WITH ORDINALITY AS u(k, place)
                 WHERE EXISTS (SELECT FROM unnest(commands) AS c WHERE lower(c) IN (k, 'all')) ORDER BY place);
END
$$;
COMMENT ON FUNCTION pattyly.protect_commands(text[]) IS
'For protect(): the commands, checked, each once and in order. Writes nothing.';

CREATE FUNCTION pattyly.protect_roles(roles name[]) RETURNS oid[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing name := (SELECT r FROM unnest(roles) AS r
                     WHERE r <> 'public' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) LIMIT 1);
BEGIN
    IF roles IS NULL OR EXISTS (SELECT FROM unnest(roles) AS r WHERE r IS NULL) THEN
        RAISE EXCEPTION 'roles are missing'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the roles that the policies are for; public means everybody.';
    ELSIF cardinality(roles) = 0 THEN
        RAISE EXCEPTION 'no role was named'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name the roles that the policies are for; public means everybody.';
    ELSIF missing IS NOT NULL THEN
        RAISE EXCEPTION 'role "%" does not exist', missing
            USING ERRCODE = 'undefined_object', HINT = 'Create it, or name another; public means everybody.';
    ELSIF 'public' = ANY (roles) THEN
        RETURN '{0}';
    END IF;
    RETURN ARRAY(SELECT a.oid FROM pg_roles AS a WHERE a.rolname = ANY (roles) ORDER BY a.oid);
END
$$;
COMMENT ON FUNCTION pattyly.protect_roles(name[]) IS
'For protect(): the roles, checked, each once and in order of their OIDs; 0 is everybody. Writes nothing.';

CREATE FUNCTION pattyly.protect_relation(relation text, OUT assignments regclass, OUT subject_column name,
                                         OUT object_column name, OUT include_self boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT r.assignments, r.subject_column, r.object_column, r.include_self
    INTO protect_relation.assignments, protect_relation.subject_column, protect_relation.object_column,
         protect_relation.include_self
    FROM pattyly.relations AS r WHERE r.name = relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relation "%" is not defined', left(relation, 100)
            USING ERRCODE = 'undefined_object',
                  HINT = 'Define it with pattyly.define_relation, or see table pattyly.relations.';
    ELSIF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = protect_relation.assignments) THEN
        RAISE EXCEPTION 'the table of assignments of relation "%" does not exist', relation
            USING ERRCODE = 'undefined_table',
                  HINT = 'Define the relation again with pattyly.define_relation, or drop it with pattyly.drop_relation.';
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.protect_relation(text) IS
'For protect(): the relation of that name, or an error. Writes nothing.';

CREATE FUNCTION pattyly.protect_key(target regclass, column_name name, OUT kind regtype, OUT argument regtype,
                                    OUT expression text, OUT index_key text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type oid;
BEGIN
    SELECT a.atttypid INTO type FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', column_name, target
            USING ERRCODE = 'undefined_column', HINT = 'Names are taken as they are, without quotes, in upper and lower case.';
    END IF;
    WHILE (SELECT t.typtype = 'd' FROM pg_type AS t WHERE t.oid = type) LOOP
        type := (SELECT t.typbasetype FROM pg_type AS t WHERE t.oid = type);
    END LOOP;
    expression := quote_ident(column_name);
    index_key := expression;
    argument := type;
    CASE type::regtype
        WHEN 'uuid'::regtype, 'bigint'::regtype, 'text'::regtype THEN
            kind := type;
        WHEN 'varchar'::regtype THEN
            kind := 'text';
            argument := 'text';
            expression := expression || '::text';
        WHEN 'integer'::regtype, 'smallint'::regtype THEN
            kind := 'bigint';
        ELSE
            kind := type;
    END CASE;
END
$$;
COMMENT ON FUNCTION pattyly.protect_key(regclass, name) IS
'For protect(): what kind of key a column is (uuid, bigint, text, or its type when it is none), for which has_access(), and how it stands in a policy and in an index. Errors: 42703. Writes nothing.';

CREATE FUNCTION pattyly.protect_primary_key(target regclass) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    column_name name := (SELECT a.attname FROM pg_index AS i
                         JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                         WHERE i.indrelid = target AND i.indisprimary AND i.indnkeyatts = 1);
BEGIN
    IF column_name IS NULL THEN
        RAISE EXCEPTION 'object_column is missing, and % has no primary key of one column', target
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the column with the object of the relation.';
    END IF;
    RETURN column_name;
END
$$;
COMMENT ON FUNCTION pattyly.protect_primary_key(regclass) IS
'For protect(): the column that identifies a row, where object_column was not given. Writes nothing.';

---- What the policies say ----

CREATE FUNCTION pattyly.protect_by_owner(target regclass, owner_column name, OUT condition text,
                                         OUT functions regprocedure[], OUT index_keys text[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner record := pattyly.protect_key(target, owner_column);
BEGIN
    IF owner.kind <> 'uuid'::regtype THEN
        RAISE EXCEPTION 'column "%" of type % cannot be the owner of a row', owner_column, owner.kind
            USING ERRCODE = 'datatype_mismatch', HINT = 'The owner is the caller''s id, a uuid.';
    END IF;
    condition := format('%s = (SELECT pattyly.uid())', owner.expression);
    functions := ARRAY['pattyly.uid()'::regprocedure];
    index_keys := ARRAY[owner.index_key];
END
$$;
COMMENT ON FUNCTION pattyly.protect_by_owner(regclass, name) IS
'For protect(): the condition that the caller owns the row, the functions that it calls and the index that serves it. Writes nothing.';

CREATE FUNCTION pattyly.protect_by_relation(target regclass, relation text, object_column name, OUT condition text,
                                            OUT functions regprocedure[], OUT index_keys text[],
                                            OUT includes_self boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record := pattyly.protect_relation(relation);
    object record := pattyly.protect_key(target, coalesce(object_column, pattyly.protect_primary_key(target)));
    wanted record := pattyly.protect_key(r.assignments, r.object_column);
BEGIN
    IF object.kind <> wanted.kind THEN
        RAISE EXCEPTION 'column % of type % cannot be an object of relation "%"', object.expression, object.kind, relation
            USING ERRCODE = 'datatype_mismatch', HINT = format('The objects of this relation are %s.', wanted.kind);
    END IF;
    condition := format('pattyly.has_access(%L, %s)', relation, object.expression);
    functions := ARRAY[format('pattyly.has_access(text,%s)', object.argument)::regprocedure,
                       (CASE object.kind WHEN 'uuid'::regtype THEN 'pattyly.accessible_uuids(text)'
                                         WHEN 'bigint'::regtype THEN 'pattyly.accessible_ids(text)'
                                         ELSE 'pattyly.accessible_keys(text)' END)::regprocedure];
    index_keys := ARRAY[object.index_key];
    includes_self := r.include_self;
END
$$;
COMMENT ON FUNCTION pattyly.protect_by_relation(regclass, text, name) IS
'For protect(): as protect_by_owner(), that the caller is assigned to the row. The planner''s index condition calls the second function. Writes nothing.';

CREATE FUNCTION pattyly.protect_condition(target regclass, owner_column name, relation text, object_column name,
                                          OUT condition text, OUT functions regprocedure[], OUT index_keys text[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owned record;
    assigned record;
BEGIN
    IF owner_column IS NULL AND relation IS NULL THEN
        RAISE EXCEPTION 'neither owner_column nor relation was given'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say whose the rows are: owner_column, relation, or both.';
    ELSIF relation IS NULL AND object_column IS NOT NULL THEN
        RAISE EXCEPTION 'object_column was given without a relation'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the relation whose object it is.';
    END IF;
    SELECT * INTO owned FROM pattyly.protect_by_owner(target, owner_column) WHERE owner_column IS NOT NULL;
    SELECT * INTO assigned FROM pattyly.protect_by_relation(target, relation, object_column) WHERE relation IS NOT NULL;
    condition := concat_ws(' OR ', owned.condition, assigned.condition);
    functions := owned.functions || assigned.functions;
    index_keys := ARRAY(SELECT DISTINCT k FROM unnest(owned.index_keys || assigned.index_keys) AS k ORDER BY k);
    -- Then the relation says it already, in a way that an index answers alone.
    IF owned.index_keys = assigned.index_keys AND assigned.includes_self THEN
        condition := assigned.condition;
        functions := assigned.functions;
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.protect_condition(regclass, name, text, name) IS
'For protect(): the condition of its policies, the functions that it calls and the indexes that serve it. Writes nothing.';

---- What is missing, as statements ----

CREATE FUNCTION pattyly.protect_grants(functions regprocedure[], roles oid[]) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT f, string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ' ORDER BY r) AS grantees
        FROM unnest(functions) WITH ORDINALITY AS u(f, place) CROSS JOIN unnest(roles) AS r
        WHERE NOT has_function_privilege(r, f, 'EXECUTE')
        GROUP BY f, place ORDER BY place
    LOOP
        IF NOT has_function_privilege(item.f, 'EXECUTE WITH GRANT OPTION') THEN
            RAISE EXCEPTION 'role % may not execute function %, and you may not grant it', item.grantees, item.f
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Have the owner of the extension call pattyly.grant_api() for these roles first.';
        END IF;
        RETURN NEXT format('GRANT EXECUTE ON FUNCTION %s TO %s', item.f, item.grantees);
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.protect_grants(regprocedure[], oid[]) IS
'For protect(): what lets the roles execute the functions of a policy. Writes nothing.';

CREATE FUNCTION pattyly.protect_security(target regclass, force boolean) RETURNS SETOF text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY', t.name, a.action)
    FROM pattyly.protect_tables(target) AS t
    JOIN pg_class AS c ON c.oid = t.id
    CROSS JOIN (VALUES (1, 'ENABLE'), (2, 'FORCE')) AS a(place, action)
    WHERE t.kind <> 'f'
        AND CASE a.action WHEN 'ENABLE' THEN NOT c.relrowsecurity ELSE force AND NOT c.relforcerowsecurity END
    ORDER BY t.level, t.name, a.place
$$;
COMMENT ON FUNCTION pattyly.protect_security(regclass, boolean) IS
'For protect(): what turns row level security on. Writes nothing.';

CREATE FUNCTION pattyly.protect_foreign(target regclass) RETURNS SETOF text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('-- %s is a foreign table, which has no row policies: REVOKE what others may do with it', t.name)
    FROM pattyly.protect_tables(target) AS t
    WHERE t.kind = 'f'
$$;
COMMENT ON FUNCTION pattyly.protect_foreign(regclass) IS
'For protect(): partitions that it cannot protect from being read directly. Writes nothing.';

CREATE FUNCTION pattyly.protect_policies(target regclass, condition text, commands text[], roles oid[])
    RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grantees text := (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ' ORDER BY r)
                      FROM unnest(roles) AS r);
    item record;
BEGIN
    FOR item IN
        SELECT t.name, c.command, 'pattyly_' || c.command AS policy, p.oid,
               starts_with(obj_description(p.oid, 'pg_policy'), 'pattyly.protect') AS is_ours,
               p.polpermissive AND p.polcmd = translate(left(c.command, 1), 'siud', 'rawd')::"char"
                   AND roles = ARRAY(SELECT r FROM unnest(p.polroles) AS r ORDER BY r)
                   AND ROW(pg_get_expr(p.polqual, t.id), pg_get_expr(p.polwithcheck, t.id)) IS NOT DISTINCT FROM
                       ROW(CASE WHEN c.command <> 'insert' THEN x.expression END,
                           CASE WHEN c.command IN ('insert', 'update') THEN x.expression END) AS is_same
        FROM pattyly.protect_tables(target) AS t
        CROSS JOIN pattyly.policy_text(t.id, condition) AS x(expression)
        CROSS JOIN unnest(commands) WITH ORDINALITY AS c(command, place)
        LEFT JOIN pg_policy AS p ON p.polrelid = t.id AND p.polname = 'pattyly_' || c.command
        WHERE t.kind <> 'f'
        ORDER BY t.level, t.name, c.place
    LOOP
        IF item.oid IS NOT NULL AND item.is_ours IS NOT TRUE THEN
            RAISE EXCEPTION 'policy "%" of table % exists, and is not of pattyly''s making', item.policy, item.name
                USING ERRCODE = 'duplicate_object', HINT = 'Give it another name with ALTER POLICY, or drop it.';
        END IF;
        CONTINUE WHEN item.is_same;
        IF item.oid IS NOT NULL THEN
            RETURN NEXT format('DROP POLICY %I ON %s', item.policy, item.name);
        END IF;
        RETURN NEXT format('CREATE POLICY %I ON %s FOR %s TO %s', item.policy, item.name, upper(item.command), grantees)
            || CASE WHEN item.command <> 'insert' THEN format(' USING (%s)', condition) ELSE '' END
            || CASE WHEN item.command IN ('insert', 'update') THEN format(' WITH CHECK (%s)', condition) ELSE '' END;
        RETURN NEXT format('COMMENT ON POLICY %I ON %s IS %L', item.policy, item.name,
                           'pattyly.protect() made this and replaces it; pattyly.unprotect() drops it.');
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.protect_policies(regclass, text, text[], oid[]) IS
'For protect(): what gives a table, and all that inherit from it, the wanted policies. Errors: 42710 one of that name is somebody else''s. Writes nothing.';

CREATE FUNCTION pattyly.protect_indexes(target regclass, index_keys text[], relation text,
                                        too_big bigint DEFAULT 268435456) RETURNS SETOF text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH wanted AS (
        SELECT t.id, t.name, t.kind, t.level, 1 AS place, ARRAY[k] AS keys
        FROM pattyly.protect_tables(target) AS t CROSS JOIN unnest(index_keys) AS k
        WHERE t.has_own_indexes
        UNION ALL
        SELECT t.id, t.name, t.kind, t.level, 2, ARRAY[quote_ident(r.subject_column), quote_ident(r.object_column)]
        FROM pattyly.protect_relation(relation) AS r CROSS JOIN pattyly.protect_tables(r.assignments) AS t
        WHERE relation IS NOT NULL AND t.has_own_indexes
    ), missing AS (
        SELECT w.*, pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(c.relnamespace, 'CREATE') AS may_create,
               coalesce((SELECT sum(pg_relation_size(p.relid)) FROM pg_partition_tree(w.id) AS p WHERE p.isleaf),
                        pg_relation_size(w.id)) AS size,
               CASE w.kind WHEN 'p' THEN 'CREATE INDEX' ELSE 'CREATE INDEX CONCURRENTLY' END AS gently,
               format('ON %s (%s)', w.name, array_to_string(w.keys, ', ')) AS what
        FROM wanted AS w JOIN pg_class AS c ON c.oid = w.id
        WHERE NOT EXISTS (
                SELECT FROM pg_index AS i
                JOIN pg_class AS x ON x.oid = i.indexrelid
                JOIN pg_am AS m ON m.oid = x.relam AND m.amname = 'btree'
                CROSS JOIN LATERAL (
                    SELECT array_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n) AS keys
                    FROM generate_series(1, least(i.indnkeyatts, cardinality(w.keys))) AS n
                ) AS d
                WHERE i.indrelid = w.id AND i.indisvalid AND i.indpred IS NULL
                    -- Where a subject has one row only, its index alone finds it.
                    AND (d.keys = w.keys OR i.indisunique AND i.indnkeyatts = 1 AND d.keys[1] = w.keys[1]))
            -- The index over both begins with this one.
            AND NOT EXISTS (SELECT FROM wanted AS o
                            WHERE o.id = w.id AND o.keys[1] = w.keys[1] AND cardinality(o.keys) > cardinality(w.keys))
    )
    SELECT CASE WHEN NOT may_create
                THEN format('-- %s %s;  for the owner of the table, outside a transaction', gently, what)
                WHEN size < too_big THEN format('CREATE INDEX %s', what)
                WHEN kind = 'p'
                THEN format('-- %s %s;  too big to be locked: CONCURRENTLY on each partition first', gently, what)
                ELSE format('-- %s %s;  too big to be locked: run it outside a transaction', gently, what)
           END
    FROM missing
    ORDER BY place, level, name, what
$$;
COMMENT ON FUNCTION pattyly.protect_indexes(regclass, text[], text, bigint) IS
'For protect(): the indexes that its policies and their relation lack. One on a table of too_big bytes or more (with its partitions; 256 MB), or of somebody else, is proposed in a line that begins with "-- ". Writes nothing.';

---- The whole ----

CREATE FUNCTION pattyly.warn_of_other_policies(target regclass, commands text[], roles oid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT t.name, string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) AS policies
        FROM pattyly.protect_tables(target) AS t JOIN pg_policy AS p ON p.polrelid = t.id
        WHERE p.polpermissive
            AND NOT coalesce(starts_with(obj_description(p.oid, 'pg_policy'), 'pattyly.protect'), false)
            AND (p.polcmd = '*' OR EXISTS (SELECT FROM unnest(commands) AS c
                                           WHERE p.polcmd = translate(left(c, 1), 'siud', 'rawd')::"char"))
            AND EXISTS (SELECT FROM unnest(p.polroles) AS theirs CROSS JOIN unnest(roles) AS ours
                        WHERE 0 IN (theirs, ours) OR pg_has_role(ours, theirs, 'USAGE') OR pg_has_role(theirs, ours, 'USAGE'))
        GROUP BY t.level, t.name ORDER BY t.level, t.name
    LOOP
        RAISE WARNING 'table % has other policies that let rows pass: %', item.name, item.policies
            USING DETAIL = 'Policies for the same command and role are OR-ed: a row is seen when any of them passes, and an index serves only when it serves them all.',
                  HINT = 'Drop those that these replace.';
    END LOOP;
END
$$;
COMMENT ON FUNCTION pattyly.warn_of_other_policies(regclass, text[], oid[]) IS
'For protect(): a WARNING for each table where permissive policies of others are OR-ed with its own. Writes nothing.';

-- Without jit: it would take longer to compile the queries of the catalogs than to run them.
CREATE FUNCTION pattyly.protect(target regclass, owner_column name DEFAULT NULL, relation text DEFAULT NULL,
                                object_column name DEFAULT NULL, commands text[] DEFAULT '{select}',
                                roles name[] DEFAULT '{authenticated}', force boolean DEFAULT true,
                                dry_run boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    wanted_commands text[] := pattyly.protect_commands(commands);
    wanted_roles oid[] := pattyly.protect_roles(roles);
    what record;
    statement text;
BEGIN
    IF force IS NULL OR dry_run IS NULL THEN
        RAISE EXCEPTION 'force and dry_run must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Say true or false.';
    END IF;
    PERFORM pattyly.check_protect_target(target);
    IF NOT dry_run THEN
        -- Nobody protects it at the same time or attaches a partition that is then missed.
        EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', target);
    END IF;
    what := pattyly.protect_condition(target, owner_column, relation, object_column);
    FOREACH statement IN ARRAY
        ARRAY(SELECT pattyly.protect_grants(what.functions, wanted_roles))
        || ARRAY(SELECT pattyly.protect_security(target, force))
        || ARRAY(SELECT pattyly.protect_policies(target, what.condition, wanted_commands, wanted_roles))
        || ARRAY(SELECT pattyly.protect_indexes(target, what.index_keys, relation))
        || ARRAY(SELECT pattyly.protect_foreign(target))
    LOOP
        IF starts_with(statement, '-- ') THEN
            -- A name may have a line break, after which the comment would be none.
            statement := translate(statement, E'\n\r', '  ');
        ELSIF NOT dry_run THEN
            EXECUTE statement;
        END IF;
        RETURN NEXT statement;
    END LOOP;
    PERFORM pattyly.warn_of_other_policies(target, wanted_commands, wanted_roles);
END
$$;
COMMENT ON FUNCTION pattyly.protect(regclass, name, text, name, text[], name[], boolean, boolean) IS
'Lets the roles see, or change, only rows of the table that are the caller''s own (owner_column, a uuid, is uid()) or that he is assigned to (has_access(relation, object_column); without object_column, the primary key); with both, either is enough. One policy a command, pattyly_select and so on, TO the roles; commands: select, insert, update, delete, or all; the role public is everybody. Turns row level security on, for the owner of the table as well (force; false leaves that as it is), lets the roles execute what the policies call, and creates the indexes that they and the relation''s table of assignments lack. All of it on everything that inherits from the table as well, so that a partition shows no more when it is read directly; after attaching another, call it again. Returns the statements, in order; with dry_run they are not run. A line that begins with "-- " is a proposal, never run: an index of a table of 256 MB or more (partitions included), or of one that is not yours. Called again it changes what differs, else returns no rows. Other policies stay, and a WARNING tells of those that let more rows pass; commands not named keep what they had. Grants nothing on the table. Writes the catalogs. Errors: 42809 no table, 42501 not its owner, or a function that you may not grant, 22023 nothing to go by, unknown command, 22004 NULL, 42704 relation or role, 42703 column, 42804 a type that does not fit, 42710 a policy of such a name that is not ours. Whoever calls it must be allowed to execute the functions that it calls (protect_*, check_protect_target, policy_text, warn_of_other_policies) as well, and, for a relation, to read pattyly.relations; the owner of the extension is.';

CREATE FUNCTION pattyly.unprotect(target regclass) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    statement text;
BEGIN
    PERFORM pattyly.check_protect_target(target);
    FOREACH statement IN ARRAY ARRAY(
        SELECT format('DROP POLICY %I ON %s', p.polname, t.name)
        FROM pattyly.protect_tables(target) AS t JOIN pg_policy AS p ON p.polrelid = t.id
        WHERE p.polname IN ('pattyly_select', 'pattyly_insert', 'pattyly_update', 'pattyly_delete')
            AND starts_with(obj_description(p.oid, 'pg_policy'), 'pattyly.protect')
        ORDER BY t.level, t.name, strpos('rawd', p.polcmd::text))
    LOOP
        EXECUTE statement;
        RETURN NEXT statement;
    END LOOP;
    IF FOUND THEN
        RETURN NEXT translate(format('-- row level security of %s stays on: without another policy nobody sees a row', target),
                              E'\n\r', '  ');
    END IF;
END
$$;
COMMENT ON FUNCTION pattyly.unprotect(regclass) IS
'Drops the policies that protect() made on the table and on all that inherit from it, and no others. Row level security stays on, so that nothing is open by mistake (ALTER TABLE ... DISABLE ROW LEVEL SECURITY); indexes and grants stay, too. Returns the statements it ran, and a last line that begins with "-- "; no rows when there was nothing to do. Writes the catalogs. Errors: 42809 no table, 42501 not its owner, 22004 NULL.';

REVOKE ALL ON FUNCTION pattyly.policy_text(regclass, text), pattyly.protect_tables(regclass),
    pattyly.check_protect_target(regclass), pattyly.protect_commands(text[]), pattyly.protect_roles(name[]),
    pattyly.protect_relation(text), pattyly.protect_key(regclass, name), pattyly.protect_primary_key(regclass),
    pattyly.protect_by_owner(regclass, name), pattyly.protect_by_relation(regclass, text, name),
    pattyly.protect_condition(regclass, name, text, name), pattyly.protect_grants(regprocedure[], oid[]),
    pattyly.protect_security(regclass, boolean), pattyly.protect_foreign(regclass),
    pattyly.protect_policies(regclass, text, text[], oid[]), pattyly.protect_indexes(regclass, text[], text, bigint),
    pattyly.warn_of_other_policies(regclass, text[], oid[]),
    pattyly.protect(regclass, name, text, name, text[], name[], boolean, boolean), pattyly.unprotect(regclass)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pattyly.policy_text(regclass, text), pattyly.protect_tables(regclass),
    pattyly.check_protect_target(regclass), pattyly.protect_commands(text[]), pattyly.protect_roles(name[]),
    pattyly.protect_relation(text), pattyly.protect_key(regclass, name), pattyly.protect_primary_key(regclass),
    pattyly.protect_by_owner(regclass, name), pattyly.protect_by_relation(regclass, text, name),
    pattyly.protect_condition(regclass, name, text, name), pattyly.protect_grants(regprocedure[], oid[]),
    pattyly.protect_security(regclass, boolean), pattyly.protect_foreign(regclass),
    pattyly.protect_policies(regclass, text, text[], oid[]), pattyly.protect_indexes(regclass, text[], text, bigint),
    pattyly.warn_of_other_policies(regclass, text[], oid[]),
    pattyly.protect(regclass, name, text, name, text[], name[], boolean, boolean), pattyly.unprotect(regclass)
TO @extowner@ WITH GRANT OPTION;
