-- access: testing policies. C: login.c, explain.c.

CREATE FUNCTION pattyly.login_as(uid uuid, role name DEFAULT 'authenticated', claims jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_login_as';
COMMENT ON FUNCTION pattyly.login_as(uuid, name, jsonb) IS
'For tests: be a user of the application, until logout() or the end of the transaction, as PostgREST makes of a request: SET LOCAL ROLE, and request.jwt.claims with these claims, the role and, unless NULL, the uid as sub. A statement of its own: the one it stands in has begun as somebody else. The role needs grant_api() to call logout(); RESET ROLE always works. Warns (25P01) outside a transaction block. Errors: 42704 no such role, 42501 a role that the session may not become, or within SECURITY DEFINER, 22023 claims that are no JSON object, 22004 role NULL. Writes settings of the transaction.';

CREATE FUNCTION pattyly.logout() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_logout';
COMMENT ON FUNCTION pattyly.logout() IS
'For tests: ends what login_as() began in this transaction; role and claims are what they were before the first login. Errors: 55000 nobody is logged in. Writes settings of the transaction.';

CREATE FUNCTION pattyly.visible_rows(target regclass, uid uuid, role name DEFAULT 'authenticated',
                                     claims jsonb DEFAULT '{}')
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pattyly_visible_rows';
COMMENT ON FUNCTION pattyly.visible_rows(regclass, uuid, name, jsonb) IS
'For tests: how many rows of the table (or view) that user sees, see login_as(); counts with the rights and policies of the role, and the caller stays who he is. Errors: as login_as(), 42501 also when the role may not read the table, 42P01 no such table, 22004 target NULL. Writes nothing.';

CREATE FUNCTION pattyly.explain_access(target regclass, key text, uid uuid, command text DEFAULT 'select',
                                       role name DEFAULT 'authenticated', claims jsonb DEFAULT '{}')
    RETURNS TABLE (policy name, permissive boolean, expression text, passes boolean)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'pattyly_explain_access';
COMMENT ON FUNCTION pattyly.explain_access(regclass, text, uuid, text, name, jsonb) IS
'For tests: why that user (see login_as()) may or may not select, insert, update or delete a row, with a line for each policy that applies and, last and without a policy, the verdict in words. key: the row''s primary key as text, several columns as a JSON object. Insert asks for the row as it is; update for the row before and, unchanged, after; update and delete find the row by its key, so policies for select apply, too. A line marked /* with check */ or /* select */ is a second one. No lines but the verdict when policies are not asked. Partitioned tables: the policies of the table that is named. Errors: as login_as(), P0002 no such row, 42501 not the owner of the table, 42809 no table, 55000 no primary key, 22023 another command or an incomplete key, 22P02 malformed key, and whatever a policy raises. Writes nothing.';

REVOKE ALL ON FUNCTION pattyly.login_as(uuid, name, jsonb), pattyly.logout(),
    pattyly.visible_rows(regclass, uuid, name, jsonb),
    pattyly.explain_access(regclass, text, uuid, text, name, jsonb) FROM PUBLIC;

-- Who was logged in is an API role now, and must be able to log out; it restores and nothing else.
INSERT INTO pattyly.api_bundles (bundle, kind, object) VALUES
    ('R', 'FUNCTION', 'pattyly.logout()');

GRANT EXECUTE ON FUNCTION pattyly.login_as(uuid, name, jsonb), pattyly.logout(),
    pattyly.visible_rows(regclass, uuid, name, jsonb),
    pattyly.explain_access(regclass, text, uuid, text, name, jsonb)
TO @extowner@ WITH GRANT OPTION;
