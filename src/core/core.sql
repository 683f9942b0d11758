-- core: what every room's SQL builds on.

-- Made here and not by the control file, so that it is a member of the extension: it goes with it, grants and all, and
-- belongs to the superuser under whom a trusted extension's script runs. (The control file names pg_catalog, which
-- nobody can drop from under the extension; nothing is put there.)
CREATE SCHEMA pattyly;
REVOKE ALL ON SCHEMA pattyly FROM PUBLIC;
COMMENT ON SCHEMA pattyly IS 'The pattyly extension: see COMMENTs of its functions, \df+ pattyly.*';

CREATE FUNCTION pattyly.config_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_config_changed';
REVOKE ALL ON FUNCTION pattyly.config_changed() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.config_changed() IS
'Trigger of the configuration tables: makes every backend read the table again when the change commits.';

CREATE FUNCTION pattyly.is_preloaded() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_is_preloaded';
REVOKE ALL ON FUNCTION pattyly.is_preloaded() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.is_preloaded() IS
'Whether the server loaded pattyly at start, as its shared memory needs. Writes nothing.';

CREATE FUNCTION pattyly.clock_now() RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_clock_now';
REVOKE ALL ON FUNCTION pattyly.clock_now() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.clock_now() IS
'The time by pattyly''s clock, which pattyly.frozen_clock can stop. Writes nothing.';

-- Who may get what. Each room lists its own objects right after making them; grant_api() reads this table.
--   R = API roles, S = service role and application servers.
-- Bundle A is the owner of the extension, bundle M is pg_monitor; both are granted at install.
CREATE TABLE pattyly.api_bundles (
    bundle      "char" NOT NULL CHECK (bundle IN ('R', 'S')),
    kind        text   NOT NULL CHECK (kind IN ('FUNCTION', 'TABLE')),
    object      text   NOT NULL PRIMARY KEY
);
REVOKE ALL ON pattyly.api_bundles FROM PUBLIC;
COMMENT ON TABLE pattyly.api_bundles IS
'What pattyly.grant_api() grants: R to API roles and the service role, S to the service role. Filled by the extension.';

CREATE FUNCTION pattyly.run_api_grants(service_role name, api_roles name[], granting boolean) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement text;
BEGIN
    IF service_role IS NULL AND api_roles IS NULL THEN
        RAISE EXCEPTION 'no role was named'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a service role, API roles, or both.';
    END IF;
    FOR statement IN
        WITH wanted AS (
            SELECT service_role AS role, 'RS' AS letters
            UNION ALL
            SELECT r, 'R' FROM pg_catalog.unnest(api_roles) AS u(r)
        ), present AS (
            SELECT a.rolname, pg_catalog.string_agg(w.letters, '') AS letters
            FROM wanted AS w JOIN pg_catalog.pg_roles AS a ON a.rolname OPERATOR(pg_catalog.=) w.role
            GROUP BY a.rolname
        ), things AS (
            SELECT 0 AS place, 'SCHEMA' AS kind, 'pattyly' AS object, 'RS' AS bundle, 'USAGE' AS right_
            UNION ALL
            SELECT 1, b.kind, b.object, b.bundle::pg_catalog.text,
                   CASE b.kind WHEN 'TABLE' THEN 'SELECT' ELSE 'EXECUTE' END
            FROM pattyly.api_bundles AS b
        )
        SELECT pg_catalog.format(CASE WHEN granting THEN 'GRANT %s ON %s %s TO %I' ELSE 'REVOKE %s ON %s %s FROM %I' END,
                                 t.right_, t.kind, t.object, p.rolname)
        FROM present AS p CROSS JOIN things AS t
        WHERE t.bundle ~ ('[' || p.letters || ']')
        ORDER BY p.rolname, t.place, t.object
    LOOP
        EXECUTE statement;
        RETURN NEXT statement;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pattyly.run_api_grants(name, name[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.run_api_grants(name, name[], boolean) IS
'Grants (or revokes) the bundles of pattyly.api_bundles; behind grant_api() and revoke_api(). Runs as the owner, because with a trusted extension the administrator owns the extension but not its functions.';

CREATE FUNCTION pattyly.grant_api(service_role name DEFAULT 'service_role', api_roles name[] DEFAULT '{anon,authenticated}')
    RETURNS SETOF text
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT * FROM pattyly.run_api_grants(service_role, api_roles, true);
END;
REVOKE ALL ON FUNCTION pattyly.grant_api(name, name[]) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.grant_api(name, name[]) IS
'Lets the API roles call what is safe for anybody (pre_request, client_ip, client_key; who is asking: uid, claims and their kin; what he may see: has_access, accessible_uuids and their kin, is_owner; logout) and the service role check limits as well. Roles that do not exist are left out. Returns the statements it ran. Writes privileges.';

CREATE FUNCTION pattyly.revoke_api(service_role name DEFAULT 'service_role', api_roles name[] DEFAULT '{anon,authenticated}')
    RETURNS SETOF text
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT * FROM pattyly.run_api_grants(service_role, api_roles, false);
END;
REVOKE ALL ON FUNCTION pattyly.revoke_api(name, name[]) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.revoke_api(name, name[]) IS
'Takes back what grant_api() granted to these roles. Returns the statements it ran. Writes privileges.';

GRANT USAGE ON SCHEMA pattyly TO @extowner@ WITH GRANT OPTION;
GRANT USAGE ON SCHEMA pattyly TO pg_monitor;
GRANT EXECUTE ON FUNCTION
    pattyly.is_preloaded(),
    pattyly.run_api_grants(name, name[], boolean),
    pattyly.grant_api(name, name[]),
    pattyly.revoke_api(name, name[])
TO @extowner@;
GRANT EXECUTE ON FUNCTION pattyly.clock_now() TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON pattyly.api_bundles TO @extowner@;

DO $$
BEGIN
    IF NOT pattyly.is_preloaded() THEN
        RAISE WARNING 'pattyly was not loaded at server start, so its shared memory is missing'
            USING DETAIL = 'The extension is installed; calls that need shared memory will raise an error until then.',
                  HINT = 'Add pattyly to shared_preload_libraries (ALTER SYSTEM SET shared_preload_libraries = ..., pattyly) and restart the server.';
    END IF;
END
$$;
