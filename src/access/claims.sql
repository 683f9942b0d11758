-- access: who is asking. C: who.c, claims.c.

CREATE FUNCTION pattyly.uid() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_uid';
COMMENT ON FUNCTION pattyly.uid() IS
'The caller''s id: the claim sub of the request''s token, as auth.uid() has it. NULL when there is no claim; 22P02 when it is no uuid or the claims are no JSON. Reads request.jwt.claim.sub, else request.jwt.claims. Writes nothing.';

CREATE FUNCTION pattyly.role() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_role';
COMMENT ON FUNCTION pattyly.role() IS
'The claim role of the request''s token, as auth.role() has it; NULL when there is none. Not the role of the session, which is current_user. Errors: 22P02 when the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.email() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_email';
COMMENT ON FUNCTION pattyly.email() IS
'The claim email of the request''s token, as auth.email() has it; NULL when there is none. Errors: 22P02 when the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.claims() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_claims';
COMMENT ON FUNCTION pattyly.claims() IS
'All claims of the request''s token, as auth.jwt() has them; NULL when there is no token. Reads request.jwt.claim, else request.jwt.claims. Errors: 22P02 when they are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.claim(path text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_claim';
COMMENT ON FUNCTION pattyly.claim(text) IS
'A claim as text, by its path: names with dots between them, app_metadata.tenant_id; elements of an array as roles[0] or roles.0, from the end as roles[-1]; a name with a dot in it in double quotes. NULL when there is none, or for NULL. The older setting request.jwt.claim.NAME of the first name wins when it is not empty. Errors: 22023 malformed path, 22P02 when the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.claim_json(path text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_claim_json';
COMMENT ON FUNCTION pattyly.claim_json(text) IS
'A claim as JSON, by its path, see claim(). From an older setting it is a string, unless an object or an array stands there. Errors: as claim(). Writes nothing.';

CREATE FUNCTION pattyly.has_claim(path text, value text) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_has_claim';
COMMENT ON FUNCTION pattyly.has_claim(text, text) IS
'Whether the claim at the path, see claim(), is this value or an array with it: has_claim(''app_metadata.roles'', ''editor''). Numbers and booleans are compared as text. False when there is no such claim, NULL for NULL. Never decide by user_metadata: users write it themselves. Errors: as claim(). Writes nothing.';

CREATE FUNCTION pattyly.aal() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_aal';
COMMENT ON FUNCTION pattyly.aal() IS
'The claim aal, the assurance level of the caller''s login: aal1, or aal2 after a second factor; NULL when there is none. Errors: 22P02 when the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.session_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_session_id';
COMMENT ON FUNCTION pattyly.session_id() IS
'The claim session_id; NULL when there is none. Errors: 22P02 when it is no uuid or the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.is_anonymous() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_is_anonymous';
COMMENT ON FUNCTION pattyly.is_anonymous() IS
'The claim is_anonymous: whether the caller signed in without an account. NULL when there is no such claim. Errors: 22P02 when it is no boolean or the claims are no JSON. Writes nothing.';

CREATE FUNCTION pattyly.is_owner_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pattyly_is_owner_support';
COMMENT ON FUNCTION pattyly.is_owner_support(internal) IS
'Tells the planner that is_owner(owner) means owner = uid(), for which it can use an index.';

CREATE FUNCTION pattyly.is_owner(owner uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 10 SUPPORT pattyly.is_owner_support
    AS 'MODULE_PATHNAME', 'pattyly_is_owner';
COMMENT ON FUNCTION pattyly.is_owner(uuid) IS
'Whether the owner is the caller: owner = uid(), but false for NULL and when nobody is logged in. As an index condition when the planner finds that cheaper. Errors: as uid(). Writes nothing.';

REVOKE ALL ON FUNCTION pattyly.uid(), pattyly.role(), pattyly.email(), pattyly.claims(), pattyly.claim(text),
    pattyly.claim_json(text), pattyly.has_claim(text, text), pattyly.aal(), pattyly.session_id(), pattyly.is_anonymous(),
    pattyly.is_owner_support(internal), pattyly.is_owner(uuid) FROM PUBLIC;

INSERT INTO pattyly.api_bundles (bundle, kind, object) VALUES
    ('R', 'FUNCTION', 'pattyly.uid()'),
    ('R', 'FUNCTION', 'pattyly.role()'),
    ('R', 'FUNCTION', 'pattyly.email()'),
    ('R', 'FUNCTION', 'pattyly.claims()'),
    ('R', 'FUNCTION', 'pattyly.claim(text)'),
    ('R', 'FUNCTION', 'pattyly.claim_json(text)'),
    ('R', 'FUNCTION', 'pattyly.has_claim(text, text)'),
    ('R', 'FUNCTION', 'pattyly.aal()'),
    ('R', 'FUNCTION', 'pattyly.session_id()'),
    ('R', 'FUNCTION', 'pattyly.is_anonymous()'),
    ('R', 'FUNCTION', 'pattyly.is_owner(uuid)');

GRANT EXECUTE ON FUNCTION pattyly.uid(), pattyly.role(), pattyly.email(), pattyly.claims(), pattyly.claim(text),
    pattyly.claim_json(text), pattyly.has_claim(text, text), pattyly.aal(), pattyly.session_id(), pattyly.is_anonymous(),
    pattyly.is_owner(uuid)
TO @extowner@ WITH GRANT OPTION;
