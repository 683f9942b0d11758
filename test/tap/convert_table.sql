-- convert_table(): what a table keeps, what is refused, and a conversion that stops half-way.
--
-- By the role postgres as Supabase has it: no superuser, owner of the extension and of the tables. The procedure commits,
-- so nothing of this is undone. test/t/convert_table.pl has the writers and the crashes.
SELECT plan(181);
\set VERBOSITY terse
SET client_min_messages = error;
DROP EXTENSION pattyly;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO postgres', current_database()); END $$;
DROP ROLE IF EXISTS tests_reporter, tests_other;
CREATE ROLE tests_reporter;
CREATE ROLE tests_other;
GRANT tests_reporter TO postgres;
SET pattyly.frozen_clock = '2031-06-15 00:00:00+00';
SET ROLE postgres;
CREATE EXTENSION pattyly;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO anon, authenticated, tests_reporter;
-- What a table gets by itself must not stick to the new one.
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES TO anon, authenticated;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON SEQUENCES TO anon;

---- Everything on it ----

CREATE TABLE app.rooms (id bigint PRIMARY KEY, open boolean NOT NULL DEFAULT true);
INSERT INTO app.rooms SELECT generate_series(1, 20);
CREATE TABLE app."Messages" (
	id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 3),
	gone int,
	room_id bigint NOT NULL REFERENCES app.rooms ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	body text NOT NULL DEFAULT 'nothing' CHECK (length(body) < 1000),
	size int GENERATED ALWAYS AS (length(body)) STORED,
	n serial,
	"sent ""at""" timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT "the key" PRIMARY KEY (id, "sent ""at"""),
	UNIQUE (n, "sent ""at""") INCLUDE (body)
);
ALTER TABLE app."Messages" DROP COLUMN gone;
CREATE INDEX by_room ON app."Messages" (room_id, "sent ""at""" DESC NULLS LAST) WITH (fillfactor = 80);
CREATE INDEX by_body ON app."Messages" (lower(body) text_pattern_ops) WHERE room_id > 3;
CREATE UNIQUE INDEX partly ON app."Messages" (n, "sent ""at""") WHERE body <> 'x';
CREATE STATISTICS app.together (dependencies, ndistinct) ON room_id, n FROM app."Messages";
ALTER STATISTICS app.together SET STATISTICS 77;
COMMENT ON STATISTICS app.together IS 'a comment on statistics';
COMMENT ON TABLE app."Messages" IS 'It''s a comment';
COMMENT ON COLUMN app."Messages".body IS 'a comment on a column';
COMMENT ON INDEX app.by_room IS 'a comment on an index';
COMMENT ON CONSTRAINT "the key" ON app."Messages" IS 'a comment on a key';
COMMENT ON CONSTRAINT "Messages_body_check" ON app."Messages" IS 'a comment on a check';
COMMENT ON SEQUENCE app."Messages_id_seq" IS 'a comment on an identity';
REVOKE ALL ON app."Messages" FROM anon;
GRANT SELECT ON app."Messages" TO tests_reporter WITH GRANT OPTION;
GRANT UPDATE (body), SELECT (body) ON app."Messages" TO tests_reporter;
GRANT INSERT ON app."Messages" TO PUBLIC;
REVOKE DELETE ON app."Messages" FROM postgres;
ALTER TABLE app."Messages" SET (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_enabled = true);
ALTER TABLE app."Messages" ALTER body SET STATISTICS 500, ALTER body SET STORAGE EXTERNAL, ALTER room_id SET (n_distinct = 20),
	REPLICA IDENTITY USING INDEX "the key";
INSERT INTO app."Messages" (room_id, body, "sent ""at""")
	SELECT 1 + g % 20, 'm' || g, '2031-01-01'::timestamptz + g * interval '1 hour' FROM generate_series(1, 3000) AS g;
ALTER TABLE app."Messages" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY see ON app."Messages" FOR SELECT TO authenticated, tests_reporter
	USING (EXISTS (SELECT FROM app.rooms AS r WHERE r.id = "Messages".room_id AND r.open));
CREATE POLICY never ON app."Messages" AS RESTRICTIVE FOR ALL TO PUBLIC USING (room_id > 0) WITH CHECK (room_id > 0 AND body <> '');
CREATE POLICY add ON app."Messages" FOR INSERT TO authenticated WITH CHECK ((SELECT count(*) FROM app."Messages" AS m WHERE m.room_id = room_id) < 100000);
COMMENT ON POLICY see ON app."Messages" IS 'a comment on a policy';
CREATE TABLE app.likes (id int PRIMARY KEY, message bigint, message_at timestamptz,
	CONSTRAINT liked FOREIGN KEY (message, message_at) REFERENCES app."Messages" ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
COMMENT ON CONSTRAINT liked ON app.likes IS 'a comment on a foreign key';
INSERT INTO app.likes SELECT row_number() OVER (), id, "sent ""at""" FROM app."Messages" WHERE room_id = 7;
ALTER TABLE app.likes ENABLE ROW LEVEL SECURITY;
CREATE POLICY likes ON app.likes TO authenticated USING (EXISTS (SELECT FROM app."Messages" AS m WHERE m.id = message)) WITH CHECK (message > 0);
CREATE VIEW app.recent WITH (security_invoker = true, check_option = local) AS SELECT *, lower(body) AS low FROM app."Messages" WHERE n > 100;
CREATE VIEW app.per_room AS SELECT room_id, count(*) AS n, max(recent.size) AS s FROM app.recent GROUP BY room_id;
CREATE VIEW app.whole AS SELECT to_jsonb(m) AS j FROM app."Messages" AS m;
ALTER VIEW app.recent ALTER COLUMN body SET DEFAULT 'by default';
GRANT SELECT ON app.recent TO tests_reporter;
COMMENT ON VIEW app.recent IS 'a comment on a view';
CREATE FUNCTION app.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := NEW.body || '!'; RETURN NEW; END $$;
CREATE FUNCTION app.ignore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER mark BEFORE INSERT OR UPDATE OF body ON app."Messages" FOR EACH ROW WHEN (NEW.body <> 'x') EXECUTE FUNCTION app.mark();
CREATE TRIGGER many AFTER INSERT ON app."Messages" REFERENCING NEW TABLE AS nt FOR EACH STATEMENT EXECUTE FUNCTION app.ignore('a', 'b''c');
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON app."Messages" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.ignore();
CREATE TRIGGER off AFTER INSERT ON app."Messages" FOR EACH ROW EXECUTE FUNCTION app.ignore();
CREATE TRIGGER "every time" AFTER INSERT ON app."Messages" FOR EACH ROW EXECUTE FUNCTION app.ignore();
ALTER TABLE app."Messages" DISABLE TRIGGER off;
ALTER TABLE app."Messages" ENABLE ALWAYS TRIGGER "every time";
COMMENT ON TRIGGER mark ON app."Messages" IS 'a comment on a trigger';
CREATE PUBLICATION tests_some FOR TABLE app."Messages" (id, "sent ""at""", body) WHERE (id > 5) WITH (publish_via_partition_root);
CREATE PUBLICATION tests_all FOR TABLE app."Messages" WITH (publish_via_partition_root);

-- All that the catalogs say of a table, by names and not by OIDs. Whether it is partitioned is left out.
CREATE FUNCTION facts(t regclass) RETURNS SETOF text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('table %s %s %s rls %s %s identity %s', t, c.relowner::regrole, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident)
	FROM pg_class AS c WHERE c.oid = t
	UNION ALL
	SELECT format('column %s: %s %s %s %s %s %s default %s target %s options %s acl %s', row_number() OVER (ORDER BY a.attnum), a.attname, format_type(atttypid, atttypmod), attnotnull,
		attstorage, attidentity, attgenerated, pg_get_expr(d.adbin, d.adrelid), attstattarget, (SELECT array_agg(o) FROM unnest(attoptions) AS o WHERE o LIKE 'n_distinct%'), (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(attacl) AS x))
	FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = t AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT format('grants %s', (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) AS x)) FROM pg_class AS c WHERE c.oid = t
	UNION ALL
	SELECT format('index %s valid %s unique %s primary %s replident %s: %s', x.relname, i.indisvalid, i.indisunique, i.indisprimary, i.indisreplident,
		replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '))
	FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = t
	UNION ALL
	SELECT format('constraint %s on %s valid %s: %s', k.conname, k.conrelid::regclass, k.convalidated, pg_get_constraintdef(k.oid))
	FROM pg_constraint AS k WHERE t IN (k.conrelid, k.confrelid) AND k.conparentid = 0 AND k.contype <> 't'
	UNION ALL
	SELECT format('trigger %s %s: %s', g.tgname, g.tgenabled, pg_get_triggerdef(g.oid)) FROM pg_trigger AS g WHERE g.tgrelid = t AND NOT g.tgisinternal
	UNION ALL
	SELECT format('policy %s', to_jsonb(p)) FROM pg_policies AS p WHERE p.schemaname = 'app'
	UNION ALL
	SELECT format('statistics %s %s %s', pg_get_statisticsobjdef(s.oid), s.stxstattarget, s.stxowner::regrole) FROM pg_statistic_ext AS s WHERE s.stxrelid = t
	UNION ALL
	SELECT format('published %s', to_jsonb(p)) FROM pg_publication_tables AS p WHERE p.schemaname = 'app'
	UNION ALL
	SELECT format('view %s %s %s %s: %s', v.oid::regclass, v.reloptions, (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(v.relacl) AS x), v.relowner::regrole, pg_get_viewdef(v.oid))
	FROM pg_class AS v WHERE v.relkind = 'v' AND v.relnamespace = 'app'::regnamespace
	UNION ALL
	SELECT format('view default %s', pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef AS d WHERE d.adrelid = 'app.recent'::regclass
	UNION ALL
	SELECT format('comment %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description) FROM pg_description AS d WHERE d.description LIKE '%a comment%'
	UNION ALL
	SELECT format('sequence %s %s last %s', s.schemaname, s.sequencename, to_jsonb(s)) FROM pg_sequences AS s WHERE s.schemaname = 'app'
	UNION ALL
	SELECT format('owned %s by %s acl %s', s.oid::regclass, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(s.relacl) AS x))
	FROM pg_class AS s JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') WHERE s.relkind = 'S' AND d.refobjid = t
$$;
CREATE TEMP TABLE before AS SELECT f FROM facts('app."Messages"') AS f;
RESET ROLE;
CREATE TEMP TABLE rows_before AS SELECT * FROM app."Messages";
SET ROLE postgres;

CALL pattyly.convert_table('app."Messages"', 'sent "at"', '1 month', premake => 2, retain => '10 years', timezone => 'Europe/Prague');

SELECT is((SELECT relkind FROM pg_class WHERE oid = 'app."Messages"'::regclass), 'p', 'the table is partitioned');
SELECT is((SELECT string_agg(f, E'\n') FROM (SELECT f FROM facts('app."Messages"') AS f EXCEPT SELECT f FROM before) AS d), NULL, 'nothing came to the table');
SELECT is((SELECT string_agg(f, E'\n') FROM (SELECT f FROM before EXCEPT SELECT f FROM facts('app."Messages"') AS f) AS d), NULL, 'nothing was lost');
RESET ROLE;
SELECT is_empty('(TABLE rows_before EXCEPT ALL TABLE app."Messages") UNION ALL (TABLE app."Messages" EXCEPT ALL TABLE rows_before)', 'its rows are the same');
SET ROLE postgres;
SELECT is((SELECT array_agg(c.relname::text ORDER BY c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE inhparent = 'app."Messages"'::regclass),
	ARRAY(SELECT 'Messages_2031_0' || m FROM generate_series(1, 8) AS m), 'partitions for the rows, and two more than today''s');
SELECT is((SELECT reloptions FROM pg_class WHERE oid = 'app."Messages_2031_03"'::regclass), '{autovacuum_vacuum_scale_factor=0.05}', 'they have the storage parameters');
SELECT is((SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS t ON t.oid = c.reltoastrelid
		WHERE inhparent = 'app."Messages"'::regclass AND t.reloptions = '{autovacuum_enabled=true}'), 8::bigint, 'those of the TOAST table, too');
SELECT is((SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
		WHERE inhparent = 'app."Messages"'::regclass AND c.relrowsecurity AND c.relforcerowsecurity AND c.relreplident = 'i'), 8::bigint, 'row security and replica identity as well');
SELECT is((SELECT count(*) FROM pg_inherits AS i, unnest('{anon,authenticated,public}'::text[]) AS r, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS p
		WHERE inhparent = 'app."Messages"'::regclass AND has_table_privilege(r, inhrelid, p)), 0::bigint, 'API roles have nothing on them');
SELECT is((SELECT to_jsonb(s) - '{last_run_at,last_outcome,last_detail}'::text[] FROM pattyly.partition_sets AS s),
	'{"parent": "app.\"Messages\"", "control": "sent \"at\"", "every": "1 month", "premake": 2, "retain": "10 years", "on_expire": "detach", "timezone": "Europe/Prague", "encoding": null}', 'it is a set');
SELECT is_empty('SELECT FROM pattyly.partition_plan(''app."Messages"'')', 'that wants nothing');
SELECT is_empty('TABLE pattyly.conversions', 'no conversion is noted any more');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname LIKE 'pattyly\_%' AND relnamespace = 'app'::regnamespace $$, 'nothing else is left');
SELECT is((SELECT from_value FROM pattyly.partition_children('app."Messages"') ORDER BY from_pos LIMIT 1), '2030-12-31 23:00:00+00', 'the months are those of the zone');
INSERT INTO app."Messages" (room_id, "sent ""at""") VALUES (1, '2031-08-01') RETURNING id AS new_id, body AS new_body, n AS new_n, size AS new_size \gset
SELECT is(:'new_id'::bigint, 10 + 3000 * 3::bigint, 'the identity goes on');
SELECT is(:'new_n'::int, 3001, 'the sequence, too');
SELECT is(:'new_body'::text, 'nothing!', 'defaults and triggers work');
SELECT is(:'new_size'::int, 8, 'and generated columns');
RESET ROLE;
DELETE FROM app.rooms WHERE id = 7;
SELECT is((SELECT count(*) FROM app."Messages" WHERE room_id = 7) + (SELECT count(*) FROM app.likes), 0::bigint, 'foreign keys cascade into it and out of it');
SELECT is((SELECT count(*) FROM app.recent), (SELECT count(*) FROM app."Messages" WHERE n > 100), 'views read from it');
SET ROLE authenticated;
SELECT is((SELECT count(*) FROM app."Messages"), 2851::bigint, 'policies show what they showed');
SELECT throws_ok('SELECT FROM app."Messages_2031_03"', '42501', NULL, 'and there is no way around them');
SET ROLE postgres;

---- Other keys ----

CREATE TABLE app.by_id (id bigint PRIMARY KEY, v text);
INSERT INTO app.by_id SELECT g, g FROM generate_series(1, 2500) AS g;
CALL pattyly.convert_table('app.by_id', 'id', '1000', premake => 1);
SELECT is((SELECT string_agg(c.relname, ',' ORDER BY c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE inhparent = 'app.by_id'::regclass),
	'by_id_0_999,by_id_1000_1999,by_id_2000_2999,by_id_3000_3999', 'by ids');
SELECT is((SELECT count(*) FROM app.by_id), 2500::bigint, 'all of them are there');
CREATE TABLE app.nothing (d date NOT NULL, k text COLLATE "C", PRIMARY KEY (k, d));
CALL pattyly.convert_table('app.nothing', 'd', '1 year', premake => 0);
SELECT is((SELECT string_agg(c.relname, ',') FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE inhparent = 'app.nothing'::regclass), 'nothing_2031', 'an empty table');
CREATE TABLE app.begun (d date PRIMARY KEY);
INSERT INTO app.begun VALUES ('2031-05-05');
CALL pattyly.convert_table('app.begun', 'd', '1 month', premake => 0, start => '2031-03-15');
SELECT is((SELECT min(from_value) FROM pattyly.partition_children('app.begun')), '2031-03-01', 'one that starts before its rows');
-- A key whose columns compare by operators of two schemas, and whose text needs care.
RESET ROLE;
CREATE SCHEMA IF NOT EXISTS other;
CREATE EXTENSION citext SCHEMA other;
GRANT USAGE ON SCHEMA other TO postgres;
SET ROLE postgres;
CREATE TABLE app.odd (c other.citext, f float8, b bytea, at timestamp NOT NULL, PRIMARY KEY (c, f, b, at));
INSERT INTO app.odd SELECT 'x''{,}' || g % 3, g / 7.0, decode(lpad(to_hex(g), 4, '0'), 'hex'), '2031-01-01'::timestamp + g * interval '1 hour' FROM generate_series(1, 3000) AS g;
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Kathmandu';
SET extra_float_digits = 0;
CALL pattyly.convert_table('app.odd', 'at', '1 month', premake => 0);
SELECT is((SELECT count(*) FROM app.odd), 3000::bigint, 'a key of many columns');
RESET datestyle; RESET timezone; RESET extra_float_digits;

---- Refused, with nothing changed ----

CREATE FUNCTION refused(statement text, code text, message text, hint text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	o record := tests.outcome(statement);
BEGIN
	RETURN NEXT is(o.sqlstate, code, what);
	RETURN NEXT matches(o.message, message, what || ': says why');
	RETURN NEXT matches(o.hint, hint, what || ': says what to do');
END
$$;

-- The rest of the arguments, as they may be.
CREATE FUNCTION check_convert(t regclass, control name, every text DEFAULT '1 month', start text DEFAULT NULL, encoding text DEFAULT NULL)
	RETURNS regtype LANGUAGE sql AS $$
	SELECT pattyly.check_convert(t, pattyly.convert_options(t, control, every, 4, NULL, 'detach', 'UTC', start, encoding))
$$;
CREATE TABLE app.plain (id bigint, at timestamptz NOT NULL, maybe date, words text, doubled bigint GENERATED ALWAYS AS (id * 2) STORED NOT NULL);
CREATE TABLE app.parent (id bigint, at date NOT NULL, PRIMARY KEY (id, at));
CREATE TABLE app.heir () INHERITS (app.parent);
CREATE UNLOGGED TABLE app.unlogged (at date PRIMARY KEY);
CREATE VIEW app.seen AS SELECT * FROM app.plain;
SELECT refused($$ SELECT check_convert(NULL, 'at') $$, '22004', 'no table was named', 'Name', 'no table');
SELECT refused($$ SELECT check_convert('app.seen', 'at') $$, '42809', 'not a table', 'ordinary', 'a view');
SELECT refused($$ SELECT check_convert('app.by_id', 'id') $$, '42809', 'already partitioned', 'partition_table', 'a partitioned table');
SELECT refused($$ SELECT check_convert('app.by_id_0_999', 'id') $$, '42809', 'is a partition', 'ordinary', 'a partition');
SELECT refused($$ SELECT check_convert('app.heir', 'at') $$, '42809', 'inherits', 'NO INHERIT', 'an heir');
SELECT refused($$ SELECT check_convert('app.unlogged', 'at') $$, '42809', 'unlogged', 'SET LOGGED', 'an unlogged table');
SELECT refused($$ SELECT check_convert('app.plain', 'nope') $$, '42703', 'does not exist', 'quotes', 'no such column');
-- What the call says comes before what the table lacks: here a NOT NULL, a primary key.
SELECT refused($$ SELECT check_convert('app.plain', 'maybe', '6 hours') $$, '22023', 'every is "6 hours".* whole days', 'month', 'a width that does not fit the key');
SELECT refused($$ SELECT check_convert('app.plain', 'id') $$, '22023', 'every is "1 month".* by a number', 'epoch_s', 'an id with a span of time');
SELECT refused($$ SELECT check_convert('app.plain', 'words') $$, '42804', 'key of type text', 'timestamptz', 'a key of text');
SELECT refused($$ SELECT check_convert('app.plain', 'maybe', start => 'soon') $$, '22007', 'start is .soon.: invalid input syntax', 'clock of UTC', 'a start that is no time');
SELECT refused($$ SELECT check_convert('app.plain', 'id', '100', start => 'soon') $$, '22P02', 'start is .soon.: invalid input syntax', '100000', 'a start that is no id');
SELECT refused($$ SELECT check_convert('app.plain', 'maybe', encoding => 'epoch_s') $$, '22023', 'encoding "epoch_s" does not fit', 'bigint', 'an encoding that does not fit');
SELECT refused($$ SELECT check_convert('app.plain', 'maybe') $$, '55000', 'may be null', 'ALTER COLUMN maybe SET NOT NULL', 'a column with NULL');
SELECT refused($$ SELECT check_convert('app.plain', 'doubled') $$, '0A000', 'generated', 'another', 'a generated column');
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '55000', 'no primary key', 'contains column at', 'no primary key');
ALTER TABLE app.plain ADD CONSTRAINT plain_key PRIMARY KEY (id);
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '55000', 'does not contain column "at"', 'UNIQUE INDEX CONCURRENTLY plain_key_wide ON app.plain \(id, at\); ALTER TABLE app.plain DROP CONSTRAINT plain_key, ADD CONSTRAINT plain_key PRIMARY KEY USING INDEX plain_key_wide', 'a key without the column');
-- The hint does what it says.
SELECT hint FROM tests.outcome($$ SELECT check_convert('app.plain', 'at') $$) \gset
SELECT split_part(:'hint', '; ', 1) AS first, split_part(:'hint', '; ', 2) AS second \gset
:first;
:second;
SELECT lives_ok($$ SELECT check_convert('app.plain', 'at') $$, 'the statements of the hint mend it');
ALTER TABLE app.plain ADD CONSTRAINT late UNIQUE (at, id) DEFERRABLE;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '0A000', 'deferred', 'NOT DEFERRABLE', 'a unique constraint that can be deferred');
ALTER TABLE app.plain DROP CONSTRAINT late, ADD CONSTRAINT self FOREIGN KEY (id, at) REFERENCES app.plain;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '0A000', 'to itself', 'FOREIGN KEY \(id, at\)', 'a foreign key to itself');
ALTER TABLE app.plain DROP CONSTRAINT self, ADD CONSTRAINT unsure CHECK (id > 0) NOT VALID;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '55000', 'not valid', 'VALIDATE CONSTRAINT unsure', 'a check that is not valid');
ALTER TABLE app.plain DROP CONSTRAINT unsure;
DROP VIEW app.seen;
CREATE MATERIALIZED VIEW app.seen AS SELECT id FROM app.plain;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '2BP01', 'app.seen|materialized view seen', 'again', 'a materialized view');
DROP MATERIALIZED VIEW app.seen;
CREATE FUNCTION app.of_row(p app.plain) RETURNS text LANGUAGE sql AS 'SELECT p.id::text';
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '2BP01', 'function app.of_row.* row type', 'again', 'a function of the row type');
DROP FUNCTION app.of_row;
CREATE FUNCTION app.atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.plain; END;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '2BP01', 'function app.atomic', 'again', 'a function with a parsed body');
DROP FUNCTION app.atomic;
CREATE RULE quietly AS ON DELETE TO app.plain DO INSTEAD NOTHING;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '2BP01', 'rule quietly', 'again', 'a rule');
DROP RULE quietly ON app.plain;
CREATE PUBLICATION tests_parts FOR TABLE app.plain;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '55000', 'publication tests_parts', 'ALTER PUBLICATION tests_parts SET \(publish_via_partition_root = true\)', 'a publication by partitions');
DROP PUBLICATION tests_parts;
RESET ROLE;
ALTER TABLE app.plain OWNER TO tests_other;
SET ROLE postgres;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '42501', 'must be owner', 'owner', 'the table of another');
RESET ROLE;
ALTER TABLE app.plain OWNER TO postgres;
CREATE VIEW app.seen AS SELECT id FROM app.plain;
SET ROLE postgres;
SELECT refused($$ SELECT check_convert('app.plain', 'at') $$, '42501', 'app.seen', 'owns app.seen', 'the view of another');
RESET ROLE;
DROP VIEW app.seen;
SET ROLE postgres;

\set ON_ERROR_STOP off
BEGIN;
CALL pattyly.convert_table('app.plain', 'at', '1 month');
\set code :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT is(:'code'::text, '25001', 'in a transaction block');
CALL pattyly.convert_table(NULL, 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text || ' ' || :'LAST_ERROR_MESSAGE', '22004 no table was named', 'no table');
CALL pattyly.convert_table('pg_class_oid_index', 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text || ' ' || :'LAST_ERROR_MESSAGE', '42501 must be owner of table pg_class_oid_index', 'somebody else''s index');
CREATE FUNCTION app.calls() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL pattyly.convert_table('app.plain', 'at', '1 month'); END $$;
SELECT app.calls();
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '2D000', 'in a function');
CREATE TABLE app.done (id bigint PRIMARY KEY);
DO $$ BEGIN CALL pattyly.convert_table('app.done', 'id', '100'); END $$;
SELECT is((SELECT relkind FROM pg_class WHERE oid = 'app.done'::regclass), 'p', 'in DO it works');
INSERT INTO app.plain VALUES (1, '1500-01-01'), (2, '2031-01-01');
CALL pattyly.convert_table('app.plain', 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '54000', 'a value that would need thousands of partitions');
CALL pattyly.convert_table('app.plain', 'at', '1 month', start => '2030-01-01');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '23514', 'rows from before the start');
DELETE FROM app.plain WHERE id = 1;
CALL pattyly.convert_table('app.plain', 'at', 'a while');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a width that is none');
CALL pattyly.convert_table('app.plain', 'at', '1 month', on_expire => 'archive:nowhere');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '3F000', 'an archive that is not there');
CREATE TABLE app.plain_2031_03 ();
CALL pattyly.convert_table('app.plain', 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '42P07', 'a name that is taken');
DROP TABLE app.plain_2031_03;
-- Only PostgreSQL knows that a partitioned table cannot have this trigger.
CREATE TRIGGER impossible AFTER INSERT ON app.plain REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION app.ignore();
CALL pattyly.convert_table('app.plain', 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '0A000', 'a trigger that no partitioned table can have');
DROP TRIGGER impossible ON app.plain;
\set ON_ERROR_STOP on
SELECT is((SELECT relkind FROM pg_class WHERE oid = 'app.plain'::regclass), 'r', 'the table is as it was');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE (relname LIKE 'pattyly\_%' OR relname LIKE 'plain\_2%') AND relnamespace = 'app'::regnamespace $$, 'nothing is left of the attempts');
SELECT is_empty('TABLE pattyly.conversions', 'and nothing is noted');

---- Half-way ----

-- The next step of a conversion, as the procedure takes it.
CREATE FUNCTION step(t regclass) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(s.place, s.busy, s.message)
	FROM pattyly.convert_next_step(t, pattyly.convert_options(t, 'at', '1 month', 0, NULL, 'detach', 'UTC', NULL, NULL), false, 'public') AS s
$$;
CREATE TABLE app.half (id bigint, at date NOT NULL, v text NOT NULL, PRIMARY KEY (id, at));
INSERT INTO app.half SELECT g, '2031-01-01'::date + (g % 180)::int, 'old' FROM generate_series(1, 5000) AS g;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON app.half TO authenticated;
ALTER TABLE app.half ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.half TO authenticated USING (id % 2 = 0);
\set ON_ERROR_STOP off
-- It gives way to a transaction that holds a row, and says so.
\set holder `(psql -qXAt -d :DBNAME -c 'BEGIN' -c 'SELECT FROM app.half WHERE id = 4000 FOR UPDATE' -c 'SELECT pg_sleep(4)' >/dev/null 2>&1 &) ; sleep 1`
SET lock_timeout = '500ms';
CALL pattyly.convert_table('app.half', 'at', '1 month', premake => 0);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55P03', 'others are in the way');
RESET lock_timeout;
SELECT pg_sleep(4);
SELECT is(step('app.half'), 'rehearsed', 'it is rehearsed');
SELECT is(step('app.half'), 'copying', 'writers write to the copy as well');
SELECT is(step('app.half'), 'batch', 'a batch is copied');
CALL pattyly.convert_table('app.half', 'at', '1 month', premake => 1);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55006', 'other arguments than before');
CALL pattyly.convert_table('app.half', 'at', '1 month', premake => 0, retain => '1 year');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55006', 'or more of them');
\set ON_ERROR_STOP on
SELECT is((SELECT rows_copied FROM pattyly.conversions), 1000::bigint, 'some is copied');
-- Whoever writes now writes to the copy as well: a client without rights on it, too, and only what policies let him.
SELECT copy AS the_copy FROM pattyly.conversions \gset
SET ROLE authenticated;
UPDATE app.half SET v = 'new' WHERE id <= 10;
DELETE FROM app.half WHERE id BETWEEN 11 AND 20;
INSERT INTO app.half VALUES (20000, '2031-02-02', 'added');
INSERT INTO app.half VALUES (20002, '2044-02-02', 'added'), (20004, '2031-02-02', 'added');
UPDATE app.half SET at = '2031-06-06' WHERE id = 20004;
SELECT throws_ok(format('SELECT FROM %s', :'the_copy'), '42501', NULL, 'clients cannot see the copy');
SET ROLE postgres;
SELECT results_eq(format('SELECT id, at, v FROM %s WHERE id <= 20 OR id >= 20000 ORDER BY id', :'the_copy'),
	'SELECT id, at, v FROM app.half WHERE id <= 20 OR id >= 20000 ORDER BY id', 'what is written is in the copy');
BEGIN;
UPDATE app.half SET v = 'never';
DELETE FROM app.half WHERE id < 3000;
ROLLBACK;
SELECT is_empty(format('SELECT FROM %s WHERE v = ''never''', :'the_copy'), 'what is rolled back is not');
BEGIN;
TRUNCATE app.half;
SELECT is_empty(format('SELECT FROM %s', :'the_copy'), 'TRUNCATE empties both');
ROLLBACK;
RESET ROLE;
SET session_replication_role = replica;
UPDATE app.half SET v = 'replicated' WHERE id = 30;
RESET session_replication_role;
SET ROLE postgres;
SELECT is_empty(format('SELECT id, v FROM app.half WHERE id = 30 EXCEPT SELECT id, v FROM %s', :'the_copy'), 'what is replicated into the table is in the copy');
-- What it was made after must not change under it.
SELECT throws_ok('ALTER TABLE app.half DROP COLUMN v', '2BP01', NULL, 'no column can be dropped');
SELECT throws_ok('ALTER TABLE app.half ALTER v TYPE varchar(10)', '0A000', NULL, 'nor have another type');
SELECT throws_ok(format('DROP TABLE %s', :'the_copy'), '2BP01', NULL, 'nor can the copy be dropped');
ALTER TABLE app.half ADD COLUMN more int;
UPDATE app.half SET more = 1, v = 'more' WHERE id = 4000;
SELECT is_empty(format('SELECT id, v FROM app.half WHERE id = 4000 EXCEPT SELECT id, v FROM %s', :'the_copy'), 'a new column does not disturb writers');
\set ON_ERROR_STOP off
CALL pattyly.convert_table('app.half', 'at', '1 month', premake => 0);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55000', 'but the swap is refused');
SELECT matches(:'LAST_ERROR_MESSAGE'::text, 'column more', 'and says because of what');
\set ON_ERROR_STOP on
SELECT is((SELECT phase FROM pattyly.conversions), 'waiting', 'all is copied');
ALTER TABLE app.half DROP COLUMN more;
CREATE POLICY later ON app.half FOR SELECT TO tests_reporter USING (true);
GRANT SELECT ON app.half TO tests_reporter;
CREATE TABLE half_before AS SELECT * FROM app.half;
CALL pattyly.convert_table('app.half', 'at', '1 month', premake => 0);
SELECT is((SELECT relkind FROM pg_class WHERE oid = 'app.half'::regclass), 'p', 'without it, it goes on to the end');
SELECT is_empty('(TABLE half_before EXCEPT ALL TABLE app.half) UNION ALL (TABLE app.half EXCEPT ALL TABLE half_before)', 'every row is there');
SELECT is((SELECT count(*) FROM pg_policies WHERE tablename = 'half'), 2::bigint, 'and a policy that was made meanwhile');
SELECT ok(has_table_privilege('tests_reporter', 'app.half', 'SELECT'), 'and a grant');
SELECT is((SELECT string_agg(id::text, ',') FROM app.half_default), '20002', 'what had no partition is in the default one');
CALL pattyly.drain_default('app.half');
SELECT is((SELECT tableoid::regclass::text FROM app.half WHERE id = 20002), 'app.half_2044_02', 'from where drain_default() gets it');

---- Given up ----

CREATE TABLE app.twice (id bigint, at date NOT NULL, PRIMARY KEY (id, at));
INSERT INTO app.twice SELECT g, '2031-01-01' FROM generate_series(1, 3000) AS g;
SELECT is(ARRAY(SELECT step('app.twice') FROM generate_series(1, 4)), '{prepared,rehearsed,copying,batch}', 'one that was begun');
SELECT lives_ok($$ SELECT pattyly.cancel_conversion('app.twice') $$, 'is given up');
SELECT is_empty('TABLE pattyly.conversions', 'nothing is noted of it');
SELECT is_empty($$ SELECT relname FROM pg_class WHERE (relname LIKE 'pattyly\_%' OR relname LIKE 'twice\_2%') AND relnamespace = 'app'::regnamespace $$, 'no table is left');
SELECT is_empty($$ SELECT FROM pg_trigger WHERE tgrelid = 'app.twice'::regclass $$, 'no trigger');
SELECT is((SELECT count(*) FROM app.twice), 3000::bigint, 'the table is as it was');
SELECT is(ARRAY(SELECT step('app.twice') FROM generate_series(1, 3)), '{prepared,rehearsed,copying}', 'begun again');
ALTER TABLE app.twice DISABLE TRIGGER pattyly_mirror;
\set ON_ERROR_STOP off
CALL pattyly.convert_table('app.twice', 'at', '1 month', premake => 0);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '55000', 'if writers were not heard for a while, it is not ended');
\set ON_ERROR_STOP on
SELECT lives_ok($$ SELECT pattyly.cancel_conversion('app.twice') $$, 'only given up');
SELECT refused($$ SELECT pattyly.cancel_conversion('app.twice') $$, '42704', 'not being converted', 'conversions', 'there is nothing to give up twice');
CALL pattyly.convert_table('app.twice', 'at', '1 month');
SELECT is((SELECT relkind FROM pg_class WHERE oid = 'app.twice'::regclass), 'p', 'and can be begun again');

---- Keys whose text or equality is not what it seems ----

-- Without a length "character" is a single one, and "bit" a single bit.
CREATE TABLE app.letters (k char(5), b bit(16), at date NOT NULL, PRIMARY KEY (k, b, at));
INSERT INTO app.letters SELECT to_char(g, 'FM00000'), g::bit(16), '2031-01-01' FROM generate_series(1, 3000) AS g;
CREATE TABLE letters_before AS SELECT * FROM app.letters;
CALL pattyly.convert_table('app.letters', 'at', '1 month', premake => 0);
SELECT is_empty('(TABLE letters_before EXCEPT ALL TABLE app.letters) UNION ALL (TABLE app.letters EXCEPT ALL TABLE letters_before)',
	'no row is lost by a key of characters or bits');
-- Equal, but not the same.
CREATE TABLE app.scale (n numeric, at date NOT NULL, v int, PRIMARY KEY (n, at));
INSERT INTO app.scale VALUES (1.0, '2031-01-01', 1), (2.0, '2031-01-01', 2);
SELECT is(ARRAY(SELECT step('app.scale') FROM generate_series(1, 4)), '{prepared,rehearsed,copying,batch}', 'a key of numeric');
UPDATE app.scale SET n = 1.00 WHERE v = 1;
CALL pattyly.convert_table('app.scale', 'at', '1 month', premake => 0);
SELECT is((SELECT n::text FROM app.scale WHERE v = 1), '1.00', 'a key that changes to an equal one is carried over');

---- Whose functions run ----

CREATE FUNCTION app.is_fine(v int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN opinion(v); END $$;
CREATE FUNCTION app.opinion(v int) RETURNS boolean LANGUAGE sql AS 'SELECT v > 0';
CREATE TABLE app.judged (id bigint, at date NOT NULL, v int CHECK (app.is_fine(v)), PRIMARY KEY (id, at));
GRANT INSERT ON app.judged TO tests_other;
GRANT USAGE ON SCHEMA app TO tests_other;
CREATE FUNCTION step_app(t regclass) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(s.place, s.busy, s.message)
	FROM pattyly.convert_next_step(t, pattyly.convert_options(t, 'at', '1 month', 0, NULL, 'detach', 'UTC', NULL, NULL), false, 'app') AS s
$$;
SELECT is(ARRAY(SELECT step_app('app.judged') FROM generate_series(1, 3)), '{prepared,rehearsed,copying}', 'a check that wants a search_path');
RESET ROLE;
CREATE SCHEMA elsewhere AUTHORIZATION tests_other;
CREATE TABLE elsewhere.heard (who name);
GRANT ALL ON SCHEMA elsewhere TO PUBLIC;
GRANT ALL ON elsewhere.heard TO PUBLIC;
SET ROLE tests_other;
CREATE FUNCTION elsewhere.opinion(v int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO elsewhere.heard VALUES (current_user); RETURN true; END $$;
BEGIN;
SET LOCAL search_path = elsewhere, app;
INSERT INTO app.judged VALUES (1, '2031-06-15', 1);
COMMIT;
RESET ROLE;
SELECT results_eq('SELECT DISTINCT who FROM elsewhere.heard', $$ VALUES ('tests_other'::name) $$, 'a writer''s search_path makes nothing run as the owner');
DELETE FROM elsewhere.heard;
SET ROLE postgres;
SELECT lives_ok($$ SELECT pattyly.cancel_conversion('app.judged') $$, 'that is given up');

-- A row is tried before all are copied, under the search_path of the call.
SET search_path = app, public, extensions, tap;
INSERT INTO app.judged VALUES (2, '2031-06-15', 2);
RESET search_path;
\set ON_ERROR_STOP off
CALL pattyly.convert_table('app.judged', 'at', '1 month');
SELECT is(:'LAST_ERROR_SQLSTATE'::text || ' ' || :'LAST_ERROR_MESSAGE', '42883 function opinion(integer) does not exist', 'a check that does not find its function');
\set ON_ERROR_STOP on
SELECT is_empty('TABLE pattyly.conversions', 'is found out before rows are copied');
SELECT is(step('app.judged'), 'prepared', 'once more, step by step');
SELECT s.detail AS said, s.hint AS hinted
FROM pattyly.convert_next_step('app.judged', pattyly.convert_options('app.judged', 'at', '1 month', 0, NULL, 'detach', 'UTC', NULL, NULL), false, 'public') AS s \gset
SELECT matches(:'said'::text, 'PL/pgSQL function app.is_fine\(integer\) line 1', 'the detail says which function');
SELECT matches(:'hinted'::text, 'SET search_path', 'the hint says what it may lack');
SELECT is_empty($$ SELECT FROM pg_trigger WHERE tgrelid = 'app.judged'::regclass UNION ALL SELECT FROM pg_class WHERE relname LIKE 'pattyly\_%' AND relnamespace = 'app'::regnamespace $$, 'and nothing is left');
SET search_path = app, public, extensions, tap;
CALL pattyly.convert_table('app.judged', 'at', '1 month');
RESET search_path;
SELECT is((SELECT count(*) FROM app.judged_2031_06), 2::bigint, 'with a search_path that has it, it goes well');
SELECT is_empty('TABLE pattyly.conversions', 'to its end');

---- Rows of others ----

RESET ROLE;
CREATE TABLE elsewhere.victim (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
ALTER TABLE elsewhere.victim OWNER TO tests_other;
CREATE TABLE elsewhere.plain (id int, at date NOT NULL, PRIMARY KEY (id, at));
ALTER TABLE elsewhere.plain OWNER TO tests_other;
SET ROLE postgres;
CREATE TABLE app.mine (id bigint, at date NOT NULL, PRIMARY KEY (id, at));
SELECT is(step('app.mine'), 'prepared', 'a conversion of one''s own');
SELECT throws_ok($$ INSERT INTO pattyly.partition_sets (parent, control, every, retain, on_expire) VALUES ('elsewhere.victim', 'at', '1 month', '1 month', 'drop') $$,
	'42501', NULL, 'nobody can have the partitions of others dropped by whoever maintains');
SELECT throws_ok($$ INSERT INTO pattyly.leaving_partitions VALUES ('elsewhere.plain', 'app.mine', 'drop', NULL, NULL) $$,
	'42501', NULL, 'nor any table');
SELECT throws_ok($$ UPDATE pattyly.conversions SET copy = 'elsewhere.plain' $$, '42501', NULL, 'nor by whoever gives up a conversion');
UPDATE pattyly.conversions SET phase = 'secured', unchecked = '{ALTER ROLE postgres SUPERUSER}';
RESET ROLE;
SELECT throws_ok($$ SELECT step('app.mine') $$, '22P02', NULL, 'nor does whoever goes on with one run a statement of theirs');
SET ROLE postgres;
UPDATE pattyly.conversions SET phase = 'prepared', unchecked = '{}';
SELECT lives_ok($$ SELECT pattyly.cancel_conversion('app.mine') $$, 'that is given up as well');

RESET ROLE;
SELECT * FROM finish();
