-- Who may do what. Nobody but the owner of the extension, until grant_api(); then exactly the bundle of each role, until
-- revoke_api(). Seen three ways: by trying, by has_*_privilege over all there is in the schema (so that a new function
-- cannot be forgotten here), and for the settings.
--
-- The owner is no superuser, as on Supabase: the extension is trusted, its objects belong to the bootstrap superuser.
SELECT plan(98);

SET client_min_messages = warning;
DO $$
BEGIN
	DROP EXTENSION pattyly;
	DROP SCHEMA IF EXISTS pattyly;
	DROP ROLE IF EXISTS tests_owner, tests_monitor, tests_nobody, tests_application;
	CREATE ROLE tests_owner;
	CREATE ROLE tests_monitor;
	CREATE ROLE tests_nobody;
	CREATE ROLE tests_application;
	GRANT pg_monitor TO tests_monitor;
	EXECUTE format('GRANT CREATE ON DATABASE %I TO tests_owner', current_database());
END
$$;
SET ROLE tests_owner;
SELECT lives_ok('CREATE EXTENSION pattyly', 'one who may create in the database may create the extension');
RESET ROLE;
SELECT is((SELECT extowner::regrole::text FROM pg_extension WHERE extname = 'pattyly'), 'tests_owner', 'and owns it');

---- What there is, and whose it is -----------------------------------------------------------------------------------

-- R: API roles. S: the service role, which has R as well. M: monitoring. A: the owner, who has all but "-". What both have,
-- but not alike, is listed under m and a.
CREATE TABLE functions (bundle text, signature text);
INSERT INTO functions VALUES
	('R', 'client_ip()'),
	('R', 'aal()'),
	('R', 'accessible_ids(text)'),
	('R', 'accessible_keys(text)'),
	('R', 'accessible_uuids(text)'),
	('R', 'claim(text)'),
	('R', 'claim_json(text)'),
	('R', 'claims()'),
	('R', 'email()'),
	('R', 'has_access(text,bigint)'),
	('R', 'has_access(text,integer)'),
	('R', 'has_access(text,smallint)'),
	('R', 'has_access(text,text)'),
	('R', 'has_access(text,uuid)'),
	('R', 'has_claim(text,text)'),
	('R', 'is_anonymous()'),
	('R', 'is_owner(uuid)'),
	('R', 'logout()'),
	('R', 'role()'),
	('R', 'session_id()'),
	('R', 'uid()'),
	('R', 'client_key(inet)'),
	('R', 'pre_request()'),
	('S', 'allow(text,text,integer)'),
	('S', 'check_limit(text,text,integer)'),
	('S', 'check_limit(text,bigint,interval,integer,text)'),
	('S', 'check_limits(text[],text,integer)'),
	('S', 'enforce_limit(text,text,integer)'),
	('S', 'limit_headers(pattyly.limit_result)'),
	('S', 'peek_limit(text,text)'),
	('S', 'refund_limit(text,text,integer)'),
	('M', 'read_limit_memory()'),
	('M', 'read_limit_stats()'),
	('A', 'block_key(text,text,interval,text)'),
	('A', 'check_protect_target(regclass)'),
	('A', 'define_relation(text,regclass,name,name,text,boolean)'),
	('A', 'drop_relation(text)'),
	('A', 'explain_access(regclass,text,uuid,text,name,jsonb)'),
	('A', 'login_as(uuid,name,jsonb)'),
	('A', 'policy_text(regclass,text)'),
	('A', 'protect(regclass,name,text,name,text[],name[],boolean,boolean)'),
	('A', 'protect_by_owner(regclass,name)'),
	('A', 'protect_by_relation(regclass,text,name)'),
	('A', 'protect_commands(text[])'),
	('A', 'protect_condition(regclass,name,text,name)'),
	('A', 'protect_foreign(regclass)'),
	('A', 'protect_grants(regprocedure[],oid[])'),
	('A', 'protect_indexes(regclass,text[],text,bigint)'),
	('A', 'protect_key(regclass,name)'),
	('A', 'protect_policies(regclass,text,text[],oid[])'),
	('A', 'protect_primary_key(regclass)'),
	('A', 'protect_relation(text)'),
	('A', 'protect_roles(name[])'),
	('A', 'protect_security(regclass,boolean)'),
	('A', 'protect_tables(regclass)'),
	('A', 'unprotect(regclass)'),
	('A', 'visible_rows(regclass,uuid,name,jsonb)'),
	('A', 'warn_of_other_policies(regclass,text[],oid[])'),
	('A', 'drop_limit(text)'),
	('A', 'grant_api(name,name[])'),
	('A', 'is_preloaded()'),
	('A', 'load_preset(text)'),
	('A', 'reset_limit(text)'),
	('A', 'reset_limit(text,text)'),
	('A', 'revoke_api(name,name[])'),
	('A', 'run_api_grants(name,name[],boolean)'),
	('A', 'set_limit(text,bigint,interval,text,bigint,interval,text,text)'),
	('A', 'top_keys(text,integer)'),
	('A', 'unblock_key(text,text)'),
	('A', 'begin_leaving(regclass,text)'),
	('A', 'cancel_conversion(regclass)'),
	('A', 'cancel_job(text)'),
	('A', 'check_conversion(pattyly.conversions,boolean)'),
	('A', 'check_convert(regclass,pattyly.conversions)'),
	('A', 'check_convert_arguments(regclass,pattyly.conversions,regtype)'),
	('A', 'check_convert_constraints(regclass)'),
	('A', 'check_convert_control(regclass,name)'),
	('A', 'check_convert_dependents(regclass)'),
	('A', 'check_convert_indexes(regclass,name)'),
	('A', 'check_convert_name(pattyly.conversions,name)'),
	('A', 'check_convert_not_null(regclass,name)'),
	('A', 'check_convert_options(pattyly.conversions,pattyly.conversions)'),
	('A', 'check_convert_published(regclass)'),
	('A', 'check_convert_target(regclass)'),
	('A', 'check_drain(pattyly.partition_sets)'),
	('A', 'check_errors()'),
	('A', 'check_health()'),
	('A', 'check_partition_arguments(pattyly.partition_sets,regtype)'),
	('A', 'check_partition_owner(regclass)'),
	('A', 'check_partition_set(pattyly.partition_sets)'),
	('A', 'close_partition(regclass,oid)'),
	('A', 'convert_analyze(pattyly.conversions)'),
	('A', 'convert_attach_statements(pattyly.conversions)'),
	('A', 'convert_boundary(pattyly.conversions,pattyly.convert_key,boolean)'),
	('A', 'convert_calm(regclass)'),
	('A', 'convert_check_next(pattyly.conversions)'),
	('A', 'convert_column_statements(regclass,text)'),
	('A', 'convert_comment_statements(regclass)'),
	('A', 'convert_compare(pattyly.convert_key,boolean,integer)'),
	('A', 'convert_copy(pattyly.conversions,text)'),
	('A', 'convert_copy_names(regclass)'),
	('A', 'convert_copy_rows(pattyly.conversions,pattyly.convert_key,text[],text)'),
	('A', 'convert_depend(regclass,name,regclass)'),
	('A', 'convert_dependents(regclass)'),
	('A', 'convert_detach_statements(regclass)'),
	('A', 'convert_discard(pattyly.conversions)'),
	('A', 'convert_finish(pattyly.conversions)'),
	('A', 'convert_empty(regclass)'),
	('A', 'convert_foreign_keys(regclass,text)'),
	('A', 'convert_identity_statement(regclass,text)'),
	('A', 'convert_identities(regclass)'),
	('A', 'convert_index_columns(oid)'),
	('A', 'convert_index_statements(regclass,text)'),
	('A', 'convert_keys(regclass)'),
	('A', 'convert_lock(pattyly.conversions)'),
	('A', 'convert_locks(regclass)'),
	('A', 'convert_make_copy(regclass,name)'),
	('A', 'convert_make_partitions(pattyly.conversions,pattyly.partition_sets)'),
	('A', 'convert_mirror()'),
	('A', 'convert_name(oid)'),
	('A', 'convert_next_step(regclass,pattyly.conversions,boolean,text)'),
	('A', 'convert_no_privileges(regclass)'),
	('A', 'convert_older()'),
	('A', 'convert_operator(oid,smallint)'),
	('A', 'convert_options(regclass,name,text,integer,text,text,text,text,text)'),
	('A', 'convert_others(regclass)'),
	('A', 'convert_partitions(pattyly.conversions,pattyly.partition_sets)'),
	('A', 'convert_pause(text,timestamp with time zone,integer)'),
	('A', 'convert_phase(regclass,text)'),
	('A', 'convert_policy_statements(regclass)'),
	('A', 'convert_prepare(regclass,pattyly.conversions)'),
	('A', 'convert_privileges(regclass,regclass)'),
	('A', 'convert_publication_statements(regclass)'),
	('A', 'convert_range(pattyly.convert_key,boolean,boolean)'),
	('A', 'convert_reached(text)'),
	('A', 'convert_reader_statements(regclass)'),
	('A', 'convert_referring_statements(regclass)'),
	('A', 'convert_refuse(text,text,text,text)'),
	('A', 'convert_rehearse(pattyly.conversions,text)'),
	('A', 'convert_rename_statements(pattyly.conversions)'),
	('A', 'convert_run(regclass,text,text[],text)'),
	('A', 'convert_secure(pattyly.conversions)'),
	('A', 'convert_sequence_statements(regclass)'),
	('A', 'convert_set(pattyly.conversions)'),
	('A', 'convert_settle_rest(pattyly.conversions)'),
	('A', 'convert_shape(regclass)'),
	('A', 'convert_statistics_statements(regclass)'),
	('A', 'convert_storage_options(regclass)'),
	('A', 'convert_swap(pattyly.conversions)'),
	('A', 'convert_swap_names(pattyly.conversions)'),
	('A', 'convert_table(regclass,name,text,integer,text,text,text,text,text)'),
	('A', 'convert_top_level()'),
	('A', 'convert_trigger_statements(regclass)'),
	('A', 'convert_widening(regclass,oid,name)'),
	('A', 'drain_default(regclass,integer)'),
	('A', 'drain_range(pattyly.partition_sets,regtype,oid,bigint)'),
	('A', 'drain_some(regclass,integer,bigint)'),
	('A', 'drain_statements(pattyly.partition_sets,oid,text,text,text)'),
	('A', 'end_leaving(regclass,text)'),
	('A', 'expire_partition(regclass,text)'),
	('A', 'finalize_partition(regclass,text)'),
	('A', 'forget_partitions(regclass)'),
	('A', 'is_api_role(oid)'),
	('M', 'is_job_at_home(bigint,oid)'),
	('A', 'is_partition_open(regclass,oid)'),
	('M', 'clock_now()'),
	('A', 'lead_relations(regclass,regclass)'),
	('A', 'leaving_statements(oid,text)'),
	('A', 'load_maintenance(text)'),
	('A', 'lock_partition_set(regclass)'),
	('A', 'maintain_partitions(regclass,boolean)'),
	('A', 'maintenance_jobs()'),
	('A', 'make_partition(regclass,name,text,text,text[])'),
	('A', 'make_planned_partitions(regclass,text[])'),
	('A', 'next_runs(text,text,timestamp with time zone,integer)'),
	('A', 'partition_actions(regclass,timestamp with time zone)'),
	('A', 'partition_before(text,regtype,text,text,bigint,text)'),
	('M', 'partition_bound(pg_node_tree)'),
	('M', 'partition_children(regclass)'),
	('A', 'partition_extreme(regclass,name,bigint,bigint,boolean)'),
	('A', 'partition_full_name(oid)'),
	('A', 'partition_grants(regclass,text)'),
	('A', 'partition_highest(regclass,name)'),
	('A', 'partition_id(regclass,text)'),
	('A', 'partition_identity(regclass,regclass)'),
	('A', 'partition_key(regclass,name)'),
	('A', 'partition_name(name,text)'),
	('A', 'partition_name_use(oid,name)'),
	('A', 'partition_plan(regclass,timestamp with time zone)'),
	('A', 'partition_position(text,regtype,text,text,timestamp with time zone)'),
	('A', 'partition_ranges(text,regtype,text,text,bigint,bigint,integer,integer)'),
	('A', 'partition_start(pattyly.partition_sets,regtype,text)'),
	('A', 'partition_statements(regclass,text,text,text,text[])'),
	('A', 'partition_table(regclass,name,text,integer,text,text,text,text,text)'),
	('A', 'partition_wanted(pattyly.partition_sets,regtype,bigint,bigint,integer,integer)'),
	('A', 'pause_job(text)'),
	('A', 'record_partition_run(regclass,text[])'),
	('A', 'record_sizes()'),
	('A', 'resume_job(text)'),
	('A', 'resume_jobs()'),
	('A', 'run_as_owner(regclass,text[])'),
	('A', 'run_job(text)'),
	('A', 'schedule_job(text,text,text,text,text,text,interval,integer,interval,jsonb,boolean)'),
	('A', 'shut_partition(regclass,text)'),
	('A', 'strike_out_attached(regclass)'),
	('A', 'table_grants(oid)'),
	('A', 'unschedule_job(text)'),
	('A', 'expiry_plan()'),
	('A', 'hold_backup(bigint,text,timestamp with time zone)'),
	('A', 'release_backup(bigint)'),
	('A', 'set_retention(integer,integer,integer,integer,integer,integer,interval)'),
	('-', 'backup_to_hold(bigint)'),
	('-', 'check_hold(text,timestamp with time zone)'),
	('-', 'check_retention_limits(integer,interval)'),
	('-', 'check_retention_number(text,integer)'),
	('-', 'expire_backups(boolean)'),
	('-', 'write_hold(bigint,text,timestamp with time zone)'),
	('-', 'write_release(bigint)'),
	('-', 'write_retention(integer,integer,integer,integer,integer,integer,interval)'),
	('-', 'jobs_changed()'),
	('A', 'convert_capture(pattyly.conversions,text)'),
	('A', 'convert_try_row(pattyly.conversions,text)'),
	('A', 'convert_unchecked(regclass)'),
	('-', 'guard_partition_row()'),
	('-', 'check_relation_row()'),
	('-', 'has_access_support(internal)'),
	('-', 'is_owner_support(internal)'),
	('-', 'check_limit_row()'),
	('-', 'check_list_row()'),
	('-', 'check_route_row()'),
	('-', 'config_changed()');
-- backups
INSERT INTO functions VALUES
	('-', 'backup_to_verify(bigint)'),
	('A', 'extension_statements(text)'),
	('-', 'close_verification(name,bigint,double precision,jsonb,text,jsonb)'),
	('-', 'is_backup_trusted(pattyly.backups)'),
	('-', 'major_version(text)'),
	('-', 'manifest_differences(jsonb,jsonb)'),
	('-', 'scratch_statements(text)'),
	('-', 'verify_backup(bigint)'),
	('-', 'was_backup_written(pattyly.backups)'),
	('A', 'are_backups_configured()'),
	('M', 'backup_data_at(pattyly.backups)'),
	('A', 'backup_for(timestamp with time zone)'),
	('M', 'backup_rpo()'),
	('-', 'backup_source(jsonb)'),
	('-', 'backup_to_end(name,bigint)'),
	('-', 'barman_annotations(text,jsonb)'),
	('-', 'barman_servers(jsonb)'),
	('-', 'barman_state(text)'),
	('-', 'barman_time(text,text)'),
	('A', 'begin_backup(text,text,text,text,bigint)'),
	('-', 'check_backup_label(text)'),
	('-', 'check_backup_location(bigint,text,boolean)'),
	('-', 'check_import(text,jsonb)'),
	('-', 'checked_backup_info(text,jsonb)'),
	('-', 'close_backup(name,bigint,bigint,text,text,jsonb)'),
	('-', 'close_failed_backup(name,bigint,text)'),
	('-', 'close_lost_backups()'),
	('-', 'covered_backups(text,jsonb)'),
	('-', 'covered_by_barman(jsonb)'),
	('-', 'covered_by_pgbackrest(jsonb)'),
	('-', 'covered_by_walg(jsonb)'),
	('-', 'current_timeline()'),
	('-', 'doubt_of_size(pattyly.backups,bigint)'),
	('A', 'fail_backup(bigint,text)'),
	('A', 'finish_backup(bigint,bigint,text,text,jsonb)'),
	('A', 'import_backups(text,jsonb)'),
	('-', 'imported_backup(pattyly.backups,text)'),
	('M', 'is_backup_alive(pattyly.backups)'),
	('M', 'is_backup_ours(pattyly.backups)'),
	('A', 'is_backup_vouched(pattyly.backups)'),
	('-', 'last_good_backup(pattyly.backups)'),
	('-', 'may_vouch(name)'),
	('-', 'merged_backup(pattyly.backups,pattyly.backups)'),
	('-', 'merged_hold(pattyly.backups,pattyly.backups,pattyly.backups)'),
	('-', 'new_backup_label()'),
	('A', 'new_database_options()'),
	('-', 'note_run(bigint,text,text,bigint,text,text,jsonb,integer,jsonb)'),
	('-', 'open_backup(name,text,text,text,text,bigint,integer)'),
	('-', 'open_run(name,text,text,integer)'),
	('A', 'overdue_backup()'),
	('-', 'pgbackrest_annotations(jsonb,jsonb)'),
	('-', 'pgbackrest_error(jsonb)'),
	('-', 'pgbackrest_stanzas(jsonb)'),
	('A', 'plan_checksum(text,text)'),
	('A', 'plan_connection()'),
	('A', 'plan_createdb(text)'),
	('A', 'plan_database(text)'),
	('A', 'plan_directory(pattyly.backups)'),
	('A', 'plan_file(pattyly.backups)'),
	('A', 'plan_line(text)'),
	('A', 'plan_load(text,text,text)'),
	('A', 'plan_of_barman(pattyly.backups,text)'),
	('A', 'plan_of_cluster(pattyly.backups)'),
	('A', 'plan_of_dump(pattyly.backups)'),
	('A', 'plan_of_pgbackrest(pattyly.backups,text)'),
	('A', 'plan_of_walg(pattyly.backups,text)'),
	('A', 'plan_pipeline(pattyly.backups,jsonb)'),
	('A', 'plan_placeholders(pattyly.backups,text)'),
	('A', 'plan_start(text)'),
	('-', 'read_backup_info(text,jsonb)'),
	('-', 'read_barman(jsonb)'),
	('-', 'read_barman_backup(text,jsonb)'),
	('-', 'read_pgbackrest(jsonb)'),
	('-', 'read_pgbackrest_backup(jsonb,jsonb)'),
	('-', 'read_walg(jsonb)'),
	('-', 'read_walg_backup(jsonb,jsonb)'),
	('M', 'restorable_backups()'),
	('A', 'restorable_here()'),
	('A', 'restore_plan(bigint)'),
	('-', 'run_backup(text)'),
	('M', 'server_incarnation()'),
	('A', 'setting_if_readable(text)'),
	('A', 'shell_quote(text)'),
	('-', 'stored_backup_bytes(text)'),
	('-', 'take_in_backup(name,pattyly.backups)'),
	('-', 'take_in_backups(name,text,jsonb)'),
	('-', 'time_of_barman_id(text)'),
	('-', 'timeline_of_segment(text)'),
	('-', 'version_in_words(text)'),
	('-', 'walg_annotations(jsonb,jsonb)'),
	('-', 'walg_lsn(text)'),
	('-', 'walg_names(jsonb)'),
	('-', 'walg_time(text)'),
	('A', 'why_no_backup_job(text)');
CREATE TABLE relations (bundle text, name text, rights text);
INSERT INTO relations VALUES
	('M', 'backup_retention', 'SELECT'),
	('M', 'backup_status', 'SELECT'),
	('M', 'backups', 'SELECT'),
	('-', 'backups_id_seq', ''),
	('M', 'job_runs', 'SELECT'),
	('M', 'job_status', 'SELECT'),
	('M', 'jobs', 'SELECT'),
	('M', 'limit_memory', 'SELECT'),
	('M', 'limit_stats', 'SELECT'),
	('M', 'partitions', 'SELECT'),
	('m', 'size_history', 'SELECT'),
	('a', 'size_history', 'DELETE INSERT SELECT UPDATE'),
	('A', 'api_bundles', 'SELECT'),
	('A', 'conversions', 'DELETE INSERT SELECT UPDATE'),
	('A', 'error_counters', 'DELETE INSERT SELECT UPDATE'),
	('A', 'ip_list', 'DELETE INSERT SELECT TRUNCATE UPDATE'),
	('-', 'job_runs_id_seq', ''),
	('-', 'jobs_id_seq', ''),
	('A', 'leaving_partitions', 'DELETE INSERT SELECT UPDATE'),
	('A', 'limits', 'DELETE INSERT SELECT TRUNCATE UPDATE'),
	('A', 'partition_sets', 'DELETE INSERT SELECT UPDATE'),
	('A', 'relations', 'DELETE INSERT SELECT TRUNCATE UPDATE'),
	('A', 'routes', 'DELETE INSERT SELECT TRUNCATE UPDATE'),
	('A', 'routes_id_seq', 'SELECT UPDATE USAGE');

CREATE VIEW real_functions AS
SELECT oid, regexp_replace(oid::regprocedure::text, '^pattyly\.', '') AS signature, prosecdef, proconfig, proowner
FROM pg_proc WHERE pronamespace::regnamespace::text = 'pattyly';
CREATE VIEW real_relations AS
SELECT c.oid, c.relname::text AS name, c.relkind
FROM pg_class AS c WHERE c.relnamespace::regnamespace::text = 'pattyly' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S');

SELECT bag_eq('SELECT signature FROM real_functions', 'SELECT signature FROM functions',
	'every function is listed here; a new one has to be given to somebody');
SELECT bag_eq('SELECT name FROM real_relations', 'SELECT DISTINCT name FROM relations',
	'and so is every table, view and sequence');

-- What a role can do to each, in the same words.
CREATE FUNCTION may_execute(who name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT signature FROM real_functions
	WHERE has_schema_privilege(who, 'pattyly', 'USAGE') AND has_function_privilege(who, oid, 'EXECUTE')
$$;
CREATE FUNCTION may_touch(who name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT name || ' ' || string_agg(r, ' ' ORDER BY r)
	FROM real_relations,
		unnest(CASE WHEN relkind = 'S' THEN ARRAY['SELECT', 'UPDATE', 'USAGE']
			ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] END) AS r
	WHERE CASE WHEN relkind = 'S' THEN has_sequence_privilege(who, oid, r)
		ELSE has_table_privilege(who, oid, r) OR (r IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
			AND has_any_column_privilege(who, oid, r)) END
	GROUP BY name
$$;

---- By trying --------------------------------------------------------------------------------------------------------

CREATE TABLE calls (bundle text, call text);
INSERT INTO calls VALUES
	('R', 'SELECT pattyly.client_ip()'),
	('R', 'SELECT pattyly.client_key(''2001:db8::1'')'),
	('R', 'SELECT pattyly.pre_request()'),
	('R', 'SELECT pattyly.uid(), pattyly.role(), pattyly.email(), pattyly.claims(), pattyly.aal()'),
	('R', 'SELECT pattyly.session_id(), pattyly.is_anonymous(), pattyly.is_owner(NULL)'),
	('R', 'SELECT pattyly.claim(''sub''), pattyly.claim_json(''sub''), pattyly.has_claim(''sub'', ''x'')'),
	('R', 'SELECT pattyly.has_access(''seen'', gen_random_uuid()), pattyly.accessible_uuids(''seen'')'),
	('S', 'SELECT pattyly.allow(''limit'', ''k'')'),
	('S', 'SELECT pattyly.check_limit(''limit'', ''k'')'),
	('S', 'SELECT pattyly.check_limit(''k'', 5, interval ''1 s'')'),
	('S', 'SELECT pattyly.check_limits(''{limit}'', ''k'')'),
	('S', 'SELECT pattyly.enforce_limit(''limit'', ''k'')'),
	('S', 'SELECT pattyly.limit_headers(pattyly.check_limit(''limit'', ''k''))'),
	('S', 'SELECT pattyly.peek_limit(''limit'', ''k'')'),
	('S', 'SELECT pattyly.refund_limit(''limit'', ''k'')'),
	('M', 'SELECT * FROM pattyly.limit_memory'),
	('M', 'SELECT * FROM pattyly.limit_stats'),
	('M', 'SELECT * FROM pattyly.backups'),
	('M', 'SELECT * FROM pattyly.backup_status'),
	('A', 'SELECT pattyly.import_backups(''barman'', ''{}'')'),
	('A', 'SELECT pattyly.import_backups(''wal-g'', ''[{"backup_name": "base_1", "time": "2020-01-01 00:00Z"}]'')'),
	('A', 'SELECT pattyly.backup_for(''2100-01-01'')'),
	('A', 'SELECT pattyly.restore_plan(max(id)) FROM pattyly.backups'),
	('-', 'CALL pattyly.run_backup()'),
	('-', 'SELECT pattyly.take_in_backups(current_user, ''barman'', ''{}'')'),
	('M', 'SELECT * FROM pattyly.jobs'),
	('M', 'SELECT * FROM pattyly.job_runs'),
	('M', 'SELECT * FROM pattyly.job_status'),
	('M', 'SELECT * FROM pattyly.partitions'),
	('A', 'SELECT pattyly.next_runs(''@daily'')'),
	('A', 'SELECT pattyly.unschedule_job(''no-such'')'),
	('A', 'SELECT pattyly.resume_jobs()'),
	('A', 'SELECT * FROM pattyly.partition_sets'),
	('-', 'INSERT INTO pattyly.jobs (name) VALUES (''mine'')'),
	('-', 'UPDATE pattyly.jobs SET command = ''SELECT 1'', owner_id = 10'),
	('-', 'DELETE FROM pattyly.job_runs'),
	('M', 'SELECT * FROM pattyly.read_limit_memory()'),
	('M', 'SELECT * FROM pattyly.read_limit_stats()'),
	('A', 'SELECT pattyly.define_relation(''mine'', ''tests_assignments'', ''who'', ''what'')'),
	('A', 'SELECT pattyly.drop_relation(''mine'')'),
	('A', 'SELECT pattyly.protect(''tests_assignments'', owner_column => ''who'', dry_run => true)'),
	('A', 'SELECT pattyly.unprotect(''tests_assignments'')'),
	('A', 'SELECT pattyly.login_as(NULL, current_user)'),
	('A', 'SELECT pattyly.visible_rows(''tests_assignments'', NULL, current_user)'),
	('A', 'SELECT * FROM pattyly.relations'),
	('A', 'UPDATE pattyly.relations SET filter = NULL'),
	('A', 'SELECT pattyly.block_key(''limit'', ''blocked'', ''1 s'')'),
	('A', 'SELECT pattyly.drop_limit(''no-such'')'),
	('A', 'SELECT pattyly.is_preloaded()'),
	('A', 'SELECT pattyly.load_preset(''api'')'),
	('A', 'SELECT pattyly.reset_limit(''limit'')'),
	('A', 'SELECT pattyly.reset_limit(''limit'', ''k'')'),
	('A', 'SELECT pattyly.set_limit(''limit'', 1000, ''1 s'')'),
	('A', 'SELECT pattyly.top_keys()'),
	('A', 'SELECT pattyly.unblock_key(''limit'', ''blocked'')'),
	('A', 'SELECT pattyly.grant_api(''no-such-role'', NULL)'),
	('A', 'SELECT pattyly.revoke_api(''no-such-role'', NULL)'),
	('A', 'SELECT pattyly.run_api_grants(''no-such-role'', NULL, true)'),
	('A', 'SELECT * FROM pattyly.api_bundles'),
	('A', 'SELECT * FROM pattyly.limits'),
	('A', 'SELECT * FROM pattyly.ip_list'),
	('A', 'SELECT * FROM pattyly.routes'),
	('A', 'INSERT INTO pattyly.limits (name, max_hits, per) VALUES (''inserted'', 1, ''1 s'')'),
	('A', 'UPDATE pattyly.limits SET max_hits = 2 WHERE name = ''inserted'''),
	('A', 'DELETE FROM pattyly.limits WHERE name = ''inserted'''),
	('A', 'INSERT INTO pattyly.ip_list (network, action) VALUES (''192.0.2.0/24'', ''deny'')'),
	('A', 'UPDATE pattyly.ip_list SET note = ''seen'''),
	('A', 'DELETE FROM pattyly.ip_list'),
	('A', 'TRUNCATE pattyly.ip_list'),
	('A', 'INSERT INTO pattyly.routes (path, limits) VALUES (''/x'', ''{limit}'')'),
	('A', 'UPDATE pattyly.routes SET cost = 2'),
	('A', 'DELETE FROM pattyly.routes'),
	('A', 'TRUNCATE pattyly.routes'),
	('-', 'INSERT INTO pattyly.api_bundles VALUES (''R'', ''FUNCTION'', ''pattyly.allow(text, text, integer) TO tests_nobody; --'')'),
	('-', 'UPDATE pattyly.api_bundles SET bundle = ''R'''),
	('-', 'DELETE FROM pattyly.api_bundles'),
	('-', 'ALTER TABLE pattyly.limits DISABLE TRIGGER check_row'),
	('-', 'CREATE TRIGGER mine BEFORE INSERT ON pattyly.limits FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
	('-', 'ALTER FUNCTION pattyly.allow(text, text, integer) COST 1'),
	('-', 'SET pattyly.frozen_clock = ''2030-01-01 00:00+00'''),
	('-', 'SET pattyly.frozen_clock = '''''),
	('-', 'SET pattyly.trusted_proxies = 2'),
	('-', 'SET pattyly.client_ip_header = ''cf-connecting-ip'''),
	('-', 'SET pattyly.ipv6_prefix = 64'),
	('-', 'SET pattyly.on_limiter_failure = allow'),
	('-', 'SELECT set_config(''pattyly.on_limiter_failure'', ''allow'', true)');

SELECT pattyly.set_limit('limit', 1000, '1 s');
CREATE TABLE tests_assignments (who uuid, what uuid PRIMARY KEY);
ALTER TABLE tests_assignments OWNER TO tests_owner;
SELECT pattyly.define_relation('seen', 'tests_assignments', 'who', 'what');
SET pattyly.trusted_proxies = 1;
SELECT set_config('request.headers', '{"x-forwarded-for": "203.0.113.9"}', false),
	set_config('request.method', 'GET', false),
	set_config('request.path', '/y', false);

CREATE FUNCTION tried(who name) RETURNS TABLE (call text, sqlstate text) LANGUAGE plpgsql AS $$
DECLARE
	c text;
	all_calls text[] := ARRAY(SELECT calls.call FROM calls);
BEGIN
	PERFORM set_config('role', who, true);
	FOREACH c IN ARRAY all_calls LOOP
		call := c;
		sqlstate := (tests.outcome(c)).sqlstate;
		RETURN NEXT;
	END LOOP;
	PERFORM set_config('role', 'none', true);
END
$$;

-- All at once: a role has these bundles and nothing else.
CREATE FUNCTION has_just(who name, bundles text, at_what_time text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	tell text := format('%s, %s, ', who, at_what_time);
	kept name[];
BEGIN
	DROP TABLE IF EXISTS tries;
	CREATE TEMP TABLE tries AS SELECT * FROM tried(who);
	RETURN NEXT set_eq('SELECT call FROM tries WHERE sqlstate = ''00000''',
		format('SELECT call FROM calls WHERE bundle ~ %L', bundles), tell || 'can do this');
	RETURN NEXT set_eq('SELECT sqlstate FROM tries WHERE sqlstate <> ''00000''', ARRAY['42501'],
		tell || 'is told that it lacks the privilege for the rest');
	RETURN NEXT set_eq(format('SELECT may_execute(%L)', who),
		format('SELECT signature FROM functions WHERE bundle ~ %L', bundles), tell || 'may execute');
	RETURN NEXT set_eq(format('SELECT may_touch(%L)', who),
		format('SELECT name || '' '' || rights FROM relations WHERE bundle ~ %L', bundles), tell || 'may touch');
END
$$;

SELECT has_just(who, bundles, 'after CREATE EXTENSION')                                                         -- 24
FROM (VALUES ('tests_nobody', '[x]'), ('anon', '[x]'), ('authenticated', '[x]'), ('service_role', '[x]'),
	('tests_monitor', '[Mm]'), ('tests_owner', '[RSMAa]')) AS v(who, bundles);

---- grant_api --------------------------------------------------------------------------------------------------------

SET ROLE tests_owner;
PREPARE granted AS SELECT pattyly.grant_api();
SELECT set_eq('granted', $$
	SELECT format('GRANT USAGE ON SCHEMA pattyly TO %s', who)
		FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS who
	UNION ALL
	SELECT format('GRANT EXECUTE ON FUNCTION %s TO %s', 'pattyly.' || signature, who)
	FROM (SELECT b.bundle::text, regexp_replace(b.object, '^pattyly\.', '') FROM pattyly.api_bundles AS b
		WHERE b.object ~ '(aal|access|accessible|anonymous|claim|claims|email|logout|owner|role|session|uid)'
		UNION ALL VALUES ('R', 'client_ip()'), ('R', 'client_key(inet)'), ('R', 'pre_request()'),
		('S', 'allow(text, text, integer)'), ('S', 'check_limit(text, text, integer)'),
		('S', 'check_limit(text, bigint, interval, integer, text)'), ('S', 'check_limits(text[], text, integer)'),
		('S', 'enforce_limit(text, text, integer)'), ('S', 'limit_headers(pattyly.limit_result)'),
		('S', 'peek_limit(text, text)'), ('S', 'refund_limit(text, text, integer)')) AS f(bundle, signature),
		unnest(ARRAY['anon', 'authenticated', 'service_role']) AS who
	WHERE bundle = 'R' OR who = 'service_role'$$,
	'grant_api() says what it granted');
RESET ROLE;

SELECT has_just(who, bundles, 'after grant_api()')                                                              -- 24
FROM (VALUES ('tests_nobody', '[x]'), ('anon', '[R]'), ('authenticated', '[R]'), ('service_role', '[RS]'),
	('tests_monitor', '[Mm]'), ('tests_owner', '[RSMAa]')) AS v(who, bundles);

SET ROLE tests_owner;
SELECT lives_ok('SELECT pattyly.grant_api()', 'grant_api() again does no harm');
SELECT lives_ok('SELECT pattyly.revoke_api()', 'revoke_api()');
RESET ROLE;
SELECT has_just(who, bundles, 'after revoke_api()')                                                             -- 24
FROM (VALUES ('tests_nobody', '[x]'), ('anon', '[x]'), ('authenticated', '[x]'), ('service_role', '[x]'),
	('tests_monitor', '[Mm]'), ('tests_owner', '[RSMAa]')) AS v(who, bundles);

-- Other names than Supabase's; names that do not exist; names that want quotes.
SET ROLE tests_owner;
SELECT is((SELECT count(*) FROM pattyly.grant_api('no-such-role', '{neither}')), 0::bigint,
	'roles that do not exist are left out');
SELECT is((SELECT count(*) FROM pattyly.grant_api(NULL, '{tests_application}')), 24::bigint,
	'a role of your own gets the R bundle');
RESET ROLE;
SELECT has_just('tests_application', '[R]', 'as an API role');                                                  -- 4
SELECT pattyly.revoke_api(NULL, '{tests_application}');
SELECT pattyly.grant_api('tests_application', NULL);
SELECT set_eq('SELECT may_execute(''tests_application'')', 'SELECT signature FROM functions WHERE bundle ~ ''[RS]''',
	'and as a service role the R and S bundles');
SELECT pattyly.revoke_api('tests_application', NULL);
CREATE ROLE "tests ""odd"" role";
SELECT lives_ok($$SELECT pattyly.grant_api('tests "odd" role', '{}')$$, 'a name that wants quotes gets them');
SELECT set_eq($$SELECT may_execute('tests "odd" role')$$, 'SELECT signature FROM functions WHERE bundle ~ ''[RS]''',
	'the same');
SELECT pattyly.revoke_api('tests "odd" role', '{}');
DROP ROLE "tests ""odd"" role";

-- The owner passes on what is the owner's to pass on.
SET ROLE tests_owner;
SELECT lives_ok($$GRANT USAGE ON SCHEMA pattyly TO tests_application;
	GRANT EXECUTE ON FUNCTION pattyly.reset_limit(text, text) TO tests_application$$,
	'the owner can grant a single function');
RESET ROLE;
SELECT set_eq('SELECT may_execute(''tests_application'')', ARRAY['reset_limit(text,text)'], 'and just that');

---- The objects themselves -------------------------------------------------------------------------------------------

SELECT is_empty($$SELECT signature FROM real_functions
	WHERE prosecdef AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))$$,
	'SECURITY DEFINER only with a search_path that nobody can bend');
SELECT bag_eq('SELECT signature FROM real_functions WHERE prosecdef', ARRAY['run_api_grants(name,name[],boolean)'],
	'SECURITY DEFINER only where it must be');
SELECT is_empty($$SELECT signature FROM real_functions WHERE has_function_privilege('tests_nobody', oid, 'EXECUTE')$$,
	'PUBLIC may execute nothing, schema or not');
SELECT is_empty($$SELECT t.typname FROM pg_type AS t
	WHERE t.typnamespace = 'pattyly'::regnamespace AND t.typtype = 'c' AND t.typname = 'limit_result'
		AND has_type_privilege('tests_nobody', t.oid, 'USAGE')$$,
	'PUBLIC may not use the type');
SELECT ok(NOT has_schema_privilege('tests_nobody', 'pattyly', 'USAGE'), 'PUBLIC may not look into the schema');
SELECT is_empty($$SELECT who FROM unnest('{tests_nobody,anon,authenticated,service_role,tests_monitor}'::name[]) AS who
	WHERE has_schema_privilege(who, 'pattyly', 'CREATE')$$, 'nor put anything there; nor may the API roles');
SELECT is_empty($$SELECT signature FROM real_functions WHERE proowner = 'tests_owner'::regrole$$,
	'the owner of the extension owns no function, so that a C function stays what it is');

-- A member of pg_read_all_data reads the rules, not who is being counted.
SET ROLE supabase_read_only_user;
SELECT throws_ok('SELECT * FROM pattyly.top_keys()', '42501', NULL, 'reading all data is not reading keys');
RESET ROLE;

SELECT * FROM finish();
DROP EXTENSION pattyly;
DROP SCHEMA IF EXISTS pattyly;
DROP OWNED BY tests_owner, tests_monitor, tests_nobody, tests_application;
DROP ROLE tests_owner, tests_monitor, tests_nobody, tests_application;
