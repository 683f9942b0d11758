-- limits: named rules and the checks. C: functions.c, admin.c, rules.c.

CREATE TABLE pattyly.limits (
    name         text PRIMARY KEY,
    algorithm    text NOT NULL DEFAULT 'gcra',
    max_hits     bigint NOT NULL,
    per          interval NOT NULL,
    burst        bigint,
    block_for    interval,
    count_denied boolean NOT NULL DEFAULT false,
    mode         text NOT NULL DEFAULT 'enforce',
    message      text,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON pattyly.limits FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pattyly.limits', '');
COMMENT ON TABLE pattyly.limits IS
'Rate limit rules. A row changed here takes effect in every backend when the change commits; units already used stay used.';
COMMENT ON COLUMN pattyly.limits.name IS 'Printable ASCII, at most 63 characters; it stands in HTTP headers.';
COMMENT ON COLUMN pattyly.limits.algorithm IS 'gcra | fixed_window | calendar_window | sliding_window | sliding_log';
COMMENT ON COLUMN pattyly.limits.max_hits IS 'Units that pass in each per, 0 to 4294967295; 0 refuses all; sliding_log at most 64.';
COMMENT ON COLUMN pattyly.limits.per IS 'Up to 3650 days; a day is 24 hours; no months or years.';
COMMENT ON COLUMN pattyly.limits.burst IS 'gcra only: units a rested key may use at once; NULL is max_hits.';
COMMENT ON COLUMN pattyly.limits.block_for IS 'Blocks a key for so long from its first refusal on; NULL does not.';
COMMENT ON COLUMN pattyly.limits.count_denied IS 'A refused call uses units too, so that a client who keeps trying is kept out.';
COMMENT ON COLUMN pattyly.limits.mode IS 'enforce | shadow (counts, never refuses, tells what it would have done) | off';
COMMENT ON COLUMN pattyly.limits.message IS 'Text of a refusal over HTTP, with {minutes} {seconds} {retry_after} {limit_name}; NULL is the default of pattyly.language.';

CREATE FUNCTION pattyly.check_limit_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pattyly_check_limit_row';
REVOKE ALL ON FUNCTION pattyly.check_limit_row() FROM PUBLIC;
COMMENT ON FUNCTION pattyly.check_limit_row() IS
'Trigger of pattyly.limits: refuses a rule that overflows or makes no sense, stamps updated_at, and gives the statistics of a dropped rule free.';

CREATE TRIGGER check_row BEFORE INSERT OR UPDATE OR DELETE ON pattyly.limits
    FOR EACH ROW EXECUTE FUNCTION pattyly.check_limit_row();
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON pattyly.limits
    FOR EACH ROW EXECUTE FUNCTION pattyly.config_changed();
CREATE TRIGGER config_emptied AFTER TRUNCATE ON pattyly.limits
    FOR EACH STATEMENT EXECUTE FUNCTION pattyly.config_changed();
ALTER TABLE pattyly.limits ENABLE ALWAYS TRIGGER check_row;
ALTER TABLE pattyly.limits ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE pattyly.limits ENABLE ALWAYS TRIGGER config_emptied;

CREATE TYPE pattyly.limit_result AS (
    allowed     boolean,
    limit_name  text,
    max_hits    bigint,
    remaining   bigint,
    reset_at    timestamptz,
    retry_at    timestamptz,
    retry_after integer,
    reason      text
);
COMMENT ON TYPE pattyly.limit_result IS
'What a check says. remaining: units left after the call. reset_at: when the key is full again (windows: when the window ends). retry_at, retry_after (whole seconds, rounded up, at least 1): when this cost would pass, NULL when allowed or never. reason: NULL when allowed, else limited | blocked | denied | cost_exceeds_limit.';

-- The checks. VOLATILE because they count, PARALLEL RESTRICTED so that a row counts once,
-- not STRICT so that NULL is an error and not a silent NULL.

CREATE FUNCTION pattyly.allow(name text, key text, cost integer DEFAULT 1) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_allow';
COMMENT ON FUNCTION pattyly.allow(text, text, integer) IS
'Counts cost units of the named limit for the key and says whether the call may pass; the fast form of check_limit. Counts survive ROLLBACK; no table is written. Errors: 42704 unknown limit, 22004 NULL, 22023 bad key or cost, 55000 not preloaded.';

CREATE FUNCTION pattyly.check_limit(name text, key text, cost integer DEFAULT 1) RETURNS pattyly.limit_result
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_check_limit';
COMMENT ON FUNCTION pattyly.check_limit(text, text, integer) IS
'Counts cost units of the named limit for the key and tells all about it. A refused call uses nothing (unless count_denied); cost 0 is peek_limit. Counts survive ROLLBACK; no table is written. Errors: as allow().';

CREATE FUNCTION pattyly.check_limit(key text, max_hits bigint, per interval, cost integer DEFAULT 1, algorithm text DEFAULT 'gcra')
    RETURNS pattyly.limit_result
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_check_limit_adhoc';
COMMENT ON FUNCTION pattyly.check_limit(text, bigint, interval, integer, text) IS
'Counts against a limit given in the call, without a rule. Keys of another per or algorithm are other keys; another max_hits raises or lowers the limit. Counts survive ROLLBACK; no table is written. Errors: 22023 impossible limit, bad key or cost, 22004 NULL, 55000 not preloaded.';

CREATE FUNCTION pattyly.check_limits(names text[], key text, cost integer DEFAULT 1) RETURNS pattyly.limit_result
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_check_limits';
COMMENT ON FUNCTION pattyly.check_limits(text[], text, integer) IS
'Counts against up to 16 limits, all or none, in one step. The result is the tightest of them and names it: when refused, the limit to wait longest for; else the one with the fewest units left. A name given twice counts once. Errors: as allow(); 54000 more than 16 limits.';

CREATE FUNCTION pattyly.enforce_limit(name text, key text, cost integer DEFAULT 1) RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_enforce_limit';
COMMENT ON FUNCTION pattyly.enforce_limit(text, text, integer) IS
'As check_limit, but raises an error when refused: within a PostgREST request SQLSTATE PGRST, so that the client gets 429 with Retry-After; elsewhere SQLSTATE PT429. Errors else: as allow().';

CREATE FUNCTION pattyly.peek_limit(name text, key text) RETURNS pattyly.limit_result
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_peek_limit';
COMMENT ON FUNCTION pattyly.peek_limit(text, text) IS
'Tells what a cost of 1 would get. Uses nothing, makes no key. Errors: as allow().';

CREATE FUNCTION pattyly.refund_limit(name text, key text, cost integer DEFAULT 1) RETURNS pattyly.limit_result
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_refund_limit';
COMMENT ON FUNCTION pattyly.refund_limit(text, text, integer) IS
'Gives back up to cost units of the current window, never above full, and tells what a cost of 1 would get then. For example to count failed logins only. Errors: as allow().';

CREATE FUNCTION pattyly.limit_headers(result pattyly.limit_result) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_limit_headers';
COMMENT ON FUNCTION pattyly.limit_headers(pattyly.limit_result) IS
'The HTTP headers of a result as a JSON object: RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10) and, when refused with a time to wait for, Retry-After in seconds. Writes nothing.';

-- Administration.

CREATE FUNCTION pattyly.set_limit(name text, max_hits bigint, per interval, algorithm text DEFAULT 'gcra', burst bigint DEFAULT NULL,
                                  block_for interval DEFAULT NULL, mode text DEFAULT 'enforce', message text DEFAULT NULL)
    RETURNS void
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO pattyly.limits AS l (name, max_hits, per, algorithm, burst, block_for, mode, message)
    VALUES (set_limit.name, set_limit.max_hits, set_limit.per, set_limit.algorithm, set_limit.burst,
            set_limit.block_for, set_limit.mode, set_limit.message)
    ON CONFLICT (name) DO UPDATE
    SET max_hits = excluded.max_hits, per = excluded.per, algorithm = excluded.algorithm, burst = excluded.burst,
        block_for = excluded.block_for, mode = excluded.mode, message = excluded.message;
END;
COMMENT ON FUNCTION pattyly.set_limit(text, bigint, interval, text, bigint, interval, text, text) IS
'Makes or replaces a rule: max_hits units in each per. Takes effect everywhere when it commits; units already used stay used. Writes pattyly.limits. Errors: 22023 or 22004 for a rule that makes no sense.';

CREATE FUNCTION pattyly.drop_limit(name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    route text;
BEGIN
    SELECT concat_ws(' ', r.method, r.path) INTO route
    FROM pattyly.routes AS r WHERE r.enabled AND drop_limit.name = ANY (r.limits) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'rate limit "%" is used by the route "%"', drop_limit.name, route
            USING ERRCODE = 'dependent_objects_still_exist',
                  HINT = 'Change, disable or delete the route first, or set the mode of the limit to off.';
    END IF;
    DELETE FROM pattyly.limits AS l WHERE l.name = drop_limit.name;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pattyly.drop_limit(text) IS
'Drops a rule; says whether there was one. Its counts age out by themselves. Writes pattyly.limits. Errors: 2BP01 when a route uses it.';

CREATE FUNCTION pattyly.load_preset(preset text) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    loaded integer;
BEGIN
    IF preset IS NULL OR preset NOT IN ('web-forms', 'api') THEN
        RAISE EXCEPTION 'unknown preset "%"', coalesce(preset, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Presets are web-forms and api.';
    END IF;
    PERFORM pattyly.set_limit(p.name, p.max_hits, p.per, 'fixed_window')
    FROM (VALUES
        ('web-forms', 'contact',          3, interval '1 hour'),
        ('web-forms', 'register',         5, interval '1 hour'),
        ('web-forms', 'login',           10, interval '1 hour'),
        ('web-forms', 'forgot-password',  3, interval '1 hour'),
        ('web-forms', 'custom',           5, interval '1 hour'),
        ('web-forms', 'product',          5, interval '1 hour'),
        ('api',       'api',            100, interval '15 minutes')
    ) AS p (preset, name, max_hits, per)
    WHERE p.preset = load_preset.preset;
    GET DIAGNOSTICS loaded = ROW_COUNT;
    RETURN loaded;
END
$$;
COMMENT ON FUNCTION pattyly.load_preset(text) IS
'Makes (or puts back) the rules of a preset and says how many: web-forms (contact 3/h, register 5/h, login 10/h, forgot-password 3/h, custom 5/h, product 5/h) or api (api: 100 per 15 minutes), all fixed_window. Writes pattyly.limits.';

CREATE FUNCTION pattyly.reset_limit(name text, key text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_reset_key';
COMMENT ON FUNCTION pattyly.reset_limit(text, text) IS
'Makes one key full again and ends a block that block_for set; a block set by block_key stays. Says whether the key had used anything. Errors: as allow().';

CREATE FUNCTION pattyly.reset_limit(name text) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_reset_limit';
COMMENT ON FUNCTION pattyly.reset_limit(text) IS
'As reset_limit(name, key) for every key of the limit; says how many had used anything.';

CREATE FUNCTION pattyly.block_key(name text, key text, duration interval, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_block_key';
COMMENT ON FUNCTION pattyly.block_key(text, text, interval, text) IS
'Refuses the key under this limit for that long from now on, whatever it has used; replaces an earlier block. The reason (79 bytes) is shown by top_keys. Errors: as allow(); 22023 for a duration that is not above zero.';

CREATE FUNCTION pattyly.unblock_key(name text, key text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pattyly_unblock_key';
COMMENT ON FUNCTION pattyly.unblock_key(text, text) IS
'Ends any block of the key under this limit; says whether there was one. What the key has used stays used.';

CREATE FUNCTION pattyly.top_keys(limit_name text DEFAULT NULL, n integer DEFAULT 20)
    RETURNS TABLE (limit_name text, key text, used bigint, remaining bigint, reset_at timestamptz,
                   blocked_until timestamptz, block_reason text)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'pattyly_top_keys';
COMMENT ON FUNCTION pattyly.top_keys(text, integer) IS
'The n keys of this database that have used most units, blocked ones first. A key longer than 24 bytes (uuids excepted) is cut and ends in an ellipsis; limit_name is NULL for limits without a rule. Reads the whole table of keys.';

CREATE FUNCTION pattyly.read_limit_stats()
    RETURNS TABLE (limit_name text, allowed bigint, denied bigint, shadow_denied bigint, near bigint, blocked bigint,
                   keys bigint, last_denied_at timestamptz)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'pattyly_read_limit_stats';
COMMENT ON FUNCTION pattyly.read_limit_stats() IS 'Behind the view pattyly.limit_stats. Reads the whole table of keys.';

CREATE VIEW pattyly.limit_stats AS SELECT * FROM pattyly.read_limit_stats();
COMMENT ON VIEW pattyly.limit_stats IS
'Per rule, since the state file was made: calls allowed; calls denied (to blocked keys and denied networks too); calls shadow mode let pass that enforce would have denied; allowed calls that left at most a fifth of the units (near); calls denied because the key was blocked; keys in memory now; last denial.';

CREATE FUNCTION pattyly.read_limit_memory()
    RETURNS TABLE (capacity bigint, used bigint, evicted bigint, evicted_live bigint, refused bigint, bytes bigint,
                   bytes_per_key numeric, restored bigint, saved_at timestamptz)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'pattyly_read_limit_memory';
COMMENT ON FUNCTION pattyly.read_limit_memory() IS 'Behind the view pattyly.limit_memory.';

CREATE VIEW pattyly.limit_memory AS SELECT * FROM pattyly.read_limit_memory();
COMMENT ON VIEW pattyly.limit_memory IS
'The shared table of keys, of all databases: capacity (pattyly.max_keys), used slots, evicted keys (evicted_live: those that still held units), fresh keys refused because every slot was blocked or exhausted, bytes of memory, keys restored at the last start, and when the state file was last sealed as the server stopped.';

REVOKE ALL ON FUNCTION
    pattyly.allow(text, text, integer),
    pattyly.check_limit(text, text, integer),
    pattyly.check_limit(text, bigint, interval, integer, text),
    pattyly.check_limits(text[], text, integer),
    pattyly.enforce_limit(text, text, integer),
    pattyly.peek_limit(text, text),
    pattyly.refund_limit(text, text, integer),
    pattyly.limit_headers(pattyly.limit_result),
    pattyly.set_limit(text, bigint, interval, text, bigint, interval, text, text),
    pattyly.drop_limit(text),
    pattyly.load_preset(text),
    pattyly.reset_limit(text, text),
    pattyly.reset_limit(text),
    pattyly.block_key(text, text, interval, text),
    pattyly.unblock_key(text, text),
    pattyly.top_keys(text, integer),
    pattyly.read_limit_stats(),
    pattyly.read_limit_memory()
FROM PUBLIC;
REVOKE ALL ON TYPE pattyly.limit_result FROM PUBLIC;
REVOKE ALL ON pattyly.limit_stats, pattyly.limit_memory FROM PUBLIC;

INSERT INTO pattyly.api_bundles (bundle, kind, object) VALUES
    ('S', 'FUNCTION', 'pattyly.allow(text, text, integer)'),
    ('S', 'FUNCTION', 'pattyly.check_limit(text, text, integer)'),
    ('S', 'FUNCTION', 'pattyly.check_limit(text, bigint, interval, integer, text)'),
    ('S', 'FUNCTION', 'pattyly.check_limits(text[], text, integer)'),
    ('S', 'FUNCTION', 'pattyly.enforce_limit(text, text, integer)'),
    ('S', 'FUNCTION', 'pattyly.peek_limit(text, text)'),
    ('S', 'FUNCTION', 'pattyly.refund_limit(text, text, integer)'),
    ('S', 'FUNCTION', 'pattyly.limit_headers(pattyly.limit_result)');

GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pattyly.limits TO @extowner@;
GRANT USAGE ON TYPE pattyly.limit_result TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION
    pattyly.allow(text, text, integer),
    pattyly.check_limit(text, text, integer),
    pattyly.check_limit(text, bigint, interval, integer, text),
    pattyly.check_limits(text[], text, integer),
    pattyly.enforce_limit(text, text, integer),
    pattyly.peek_limit(text, text),
    pattyly.refund_limit(text, text, integer),
    pattyly.limit_headers(pattyly.limit_result),
    pattyly.set_limit(text, bigint, interval, text, bigint, interval, text, text),
    pattyly.drop_limit(text),
    pattyly.load_preset(text),
    pattyly.reset_limit(text, text),
    pattyly.reset_limit(text),
    pattyly.block_key(text, text, interval, text),
    pattyly.unblock_key(text, text),
    pattyly.top_keys(text, integer),
    pattyly.read_limit_stats(),
    pattyly.read_limit_memory()
TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON pattyly.limit_stats, pattyly.limit_memory TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON pattyly.limit_stats, pattyly.limit_memory TO pg_monitor;
GRANT EXECUTE ON FUNCTION pattyly.read_limit_stats(), pattyly.read_limit_memory() TO pg_monitor;
