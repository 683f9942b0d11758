-- What CREATE EXTENSION makes, and what DROP EXTENSION leaves: nothing.
CREATE EXTENSION pattyly;
SELECT extversion, extrelocatable, nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pattyly';
SELECT superuser, trusted, relocatable, schema FROM pg_available_extension_versions WHERE name = 'pattyly';

-- Every function: who calls it may rely on these marks.
SELECT regexp_replace(p.oid::regprocedure::text, '^pattyly\.', '') AS function,
    pg_get_function_result(p.oid) AS result, l.lanname AS language,
    CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
    CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
    p.proisstrict AS strict, CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END AS security,
    p.proconfig AS settings
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace = 'pattyly'::regnamespace
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Arguments have names, because clients call by name.
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments
FROM pg_proc AS p
WHERE p.pronamespace = 'pattyly'::regnamespace AND p.prorettype <> 'trigger'::regtype
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Tables, views and the type.
SELECT c.relname,
    CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type'
        WHEN 'i' THEN 'index' END AS kind
FROM pg_class AS c WHERE c.relnamespace = 'pattyly'::regnamespace ORDER BY c.relname COLLATE "C";
SELECT a.attrelid::regclass AS relation, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'pattyly'::regnamespace AND c.relkind IN ('r', 'v', 'c') AND a.attnum > 0
ORDER BY c.relname COLLATE "C", a.attnum;

-- The settings.
SELECT name, setting, context, vartype, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'pattyly.%' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name LIKE 'pattyly.%' AND (short_desc IS NULL OR short_desc !~ '[.]$');

-- All of it belongs to the extension, and everything that can be seen has a COMMENT.
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace = 'pattyly'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        AND d.deptype = 'e');
SELECT p.oid::regprocedure AS function_without_comment FROM pg_proc AS p
WHERE p.pronamespace = 'pattyly'::regnamespace AND coalesce(obj_description(p.oid, 'pg_proc'), '') = '';
SELECT c.oid::regclass AS relation_without_comment FROM pg_class AS c
WHERE c.relnamespace = 'pattyly'::regnamespace AND c.relkind IN ('r', 'v')
    AND coalesce(obj_description(c.oid, 'pg_class'), '') = '';
SELECT t.typname AS type_without_comment FROM pg_type AS t JOIN pg_class AS c ON c.oid = t.typrelid
WHERE t.typnamespace = 'pattyly'::regnamespace AND c.relkind = 'c'
    AND coalesce(obj_description(t.oid, 'pg_type'), '') = '';
SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'pattyly';

-- Nobody but the owner has anything: neither PUBLIC, nor whoever is not told of it. (pg_monitor watches.)
SELECT grantee, object, string_agg(privilege_type, ' ' ORDER BY privilege_type) AS privileges
FROM (
    SELECT coalesce(r.rolname, 'PUBLIC') AS grantee, 'function ' || p.proname AS object, a.privilege_type
    FROM pg_proc AS p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE p.pronamespace = 'pattyly'::regnamespace AND a.grantee <> p.proowner
    UNION ALL
    SELECT coalesce(r.rolname, 'PUBLIC'), 'relation ' || c.relname, a.privilege_type
    FROM pg_class AS c CROSS JOIN aclexplode(coalesce(c.relacl,
        acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE c.relnamespace = 'pattyly'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND a.grantee <> c.relowner
    UNION ALL
    SELECT coalesce(r.rolname, 'PUBLIC'), 'schema', a.privilege_type
    FROM pg_namespace AS n CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE n.nspname = 'pattyly' AND a.grantee <> n.nspowner
    UNION ALL
    SELECT coalesce(r.rolname, 'PUBLIC'), 'type ' || t.typname, a.privilege_type
    FROM pg_type AS t JOIN pg_class AS c ON c.oid = t.typrelid
        CROSS JOIN aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE t.typnamespace = 'pattyly'::regnamespace AND c.relkind = 'c' AND a.grantee <> t.typowner
) AS granted
GROUP BY grantee, object ORDER BY grantee COLLATE "C", object COLLATE "C";

-- pg_dump takes the rows of these along.
SELECT (SELECT c.oid::regclass) AS dumped, condition
FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS u(oid, condition) JOIN pg_class AS c USING (oid)
WHERE e.extname = 'pattyly' ORDER BY c.relname COLLATE "C";

-- It stays where it is.
ALTER EXTENSION pattyly SET SCHEMA public;

-- Made again, it starts afresh: no rules, no counts, no grants.
SELECT pattyly.set_limit('l', 2, '1 hour');
INSERT INTO pattyly.routes (path, limits) VALUES ('/x', '{l}');
INSERT INTO pattyly.ip_list (network, action) VALUES ('192.0.2.1', 'deny');
SELECT (pattyly.check_limit('l', 'k', 2)).remaining;
CREATE ROLE regress_pattyly_service;
SELECT count(*) FROM pattyly.grant_api('regress_pattyly_service', '{}');
DROP EXTENSION pattyly;
SELECT count(*) FROM pg_namespace WHERE nspname = 'pattyly';
SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pattyly');
CREATE EXTENSION pattyly SCHEMA public;
CREATE EXTENSION pattyly;
SELECT has_schema_privilege('regress_pattyly_service', 'pattyly', 'USAGE');
SELECT count(*) FROM pattyly.limits;
SELECT count(*) FROM pattyly.routes;
SELECT count(*) FROM pattyly.ip_list;
SELECT pattyly.set_limit('l', 2, '1 hour');
SELECT allowed, denied, keys FROM pattyly.limit_stats WHERE limit_name = 'l';
SELECT (pattyly.check_limit('l', 'k')).remaining;

DROP EXTENSION pattyly;
DROP ROLE regress_pattyly_service;
