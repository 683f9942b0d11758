-- Makes a plain database look like a Supabase project to whoever tests against it: the API roles, the schemas auth and
-- extensions, auth.uid() and its kin, and the privileges that a project hands out by default.
--
--   psql -v ON_ERROR_STOP=1 -f test/env/supabase.sql                  tables made later are open to the API roles
--   psql -v ON_ERROR_STOP=1 -v expose=off -f test/env/supabase.sql    they are not (projects made since May 2026)
--
-- Run it as a superuser; again does no harm. In a cluster whose bootstrap superuser is not called postgres (initdb -U
-- supabase_admin, as Supabase has it) the role postgres is made, and is no superuser.
\set ON_ERROR_STOP on
\if :{?expose}
\else
	\set expose on
\endif
SELECT current_setting('server_version_num')::int >= 160000 AS admin_option_needed,
	EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'postgres' AND oid = 10) AS postgres_is_bootstrap,
	pg_catalog.quote_ident(pg_catalog.current_database()) AS this_database \gset
SET client_min_messages TO warning;
SET search_path TO pg_catalog;

-- Roles are the cluster's: another database may have made them already.
DO $$
DECLARE
	wanted text;
BEGIN
	FOREACH wanted IN ARRAY ARRAY['supabase_admin', 'postgres', 'anon', 'authenticated', 'service_role', 'authenticator',
		'supabase_auth_admin', 'supabase_storage_admin', 'supabase_read_only_user', 'supabase_replication_admin',
		'dashboard_user']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I', wanted);
		END IF;
	END LOOP;
END
$$;

ALTER ROLE supabase_admin LOGIN SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS;
ALTER ROLE anon NOLOGIN INHERIT NOBYPASSRLS;
ALTER ROLE authenticated NOLOGIN INHERIT NOBYPASSRLS;
ALTER ROLE service_role NOLOGIN INHERIT BYPASSRLS;
ALTER ROLE authenticator LOGIN NOINHERIT NOBYPASSRLS;
ALTER ROLE supabase_auth_admin LOGIN NOINHERIT CREATEROLE;
ALTER ROLE supabase_storage_admin LOGIN NOINHERIT CREATEROLE;
ALTER ROLE supabase_read_only_user LOGIN BYPASSRLS;
ALTER ROLE supabase_replication_admin LOGIN REPLICATION;
ALTER ROLE dashboard_user NOLOGIN CREATEDB CREATEROLE REPLICATION;

GRANT anon, authenticated, service_role TO authenticator;
GRANT authenticator TO supabase_storage_admin;
GRANT pg_read_all_data TO supabase_read_only_user;

\if :postgres_is_bootstrap
\else
	ALTER ROLE postgres LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS;
	\if :admin_option_needed
		GRANT anon, authenticated, service_role TO postgres WITH ADMIN OPTION;
	\else
		GRANT anon, authenticated, service_role TO postgres;
	\endif
	GRANT pg_monitor, pg_read_all_data, pg_signal_backend TO postgres;
	ALTER ROLE postgres SET search_path TO "$user", public, extensions;
\endif

ALTER ROLE supabase_admin SET search_path TO "$user", public, auth, extensions;
ALTER ROLE supabase_auth_admin SET search_path TO auth;
ALTER ROLE supabase_auth_admin SET idle_in_transaction_session_timeout TO 60000;
ALTER ROLE supabase_storage_admin SET search_path TO storage;
ALTER ROLE anon SET statement_timeout TO '3s';
ALTER ROLE authenticated SET statement_timeout TO '8s';
ALTER ROLE authenticator SET statement_timeout TO '8s';
ALTER ROLE authenticator SET lock_timeout TO '8s';

-- What follows is this database's.
ALTER DATABASE :this_database OWNER TO postgres;

CREATE SCHEMA IF NOT EXISTS extensions AUTHORIZATION postgres;
GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role;
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" SCHEMA extensions;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA extensions
	GRANT ALL ON TABLES TO postgres WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA extensions
	GRANT ALL ON SEQUENCES TO postgres WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA extensions
	GRANT ALL ON FUNCTIONS TO postgres WITH GRANT OPTION;

CREATE SCHEMA IF NOT EXISTS auth AUTHORIZATION supabase_admin;
GRANT ALL ON SCHEMA auth TO supabase_auth_admin;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, postgres;
CREATE SCHEMA IF NOT EXISTS storage AUTHORIZATION supabase_admin;
GRANT ALL ON SCHEMA storage TO supabase_storage_admin;
GRANT USAGE ON SCHEMA storage TO anon, authenticated, service_role, postgres;

-- The old name of the claim wins over the claims; set to nothing counts as not set.
CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		nullif(current_setting('request.jwt.claim.sub', true), ''),
		(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid
$$;
CREATE OR REPLACE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		nullif(current_setting('request.jwt.claim.role', true), ''),
		(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'))::text
$$;
CREATE OR REPLACE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		nullif(current_setting('request.jwt.claim.email', true), ''),
		(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'))::text
$$;
CREATE OR REPLACE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		nullif(current_setting('request.jwt.claim', true), ''),
		nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.role() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.email() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.jwt() OWNER TO supabase_auth_admin;

-- Enough of the table of users for foreign keys and joins.
CREATE TABLE IF NOT EXISTS auth.users (
	id uuid PRIMARY KEY,
	email text,
	raw_app_meta_data jsonb,
	raw_user_meta_data jsonb,
	is_anonymous boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
GRANT ALL ON auth.users TO postgres;

GRANT USAGE ON SCHEMA public TO postgres, anon, authenticated, service_role;
GRANT ALL ON SCHEMA public TO postgres;

\if :expose
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		GRANT ALL ON SEQUENCES TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public
		GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public
		GRANT ALL ON SEQUENCES TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public
		GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;
\else
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM anon, authenticated;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		REVOKE USAGE, SELECT ON SEQUENCES FROM anon, authenticated;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
		REVOKE EXECUTE ON FUNCTIONS FROM anon, authenticated;
\endif

-- PostgREST reloads its view of the schema when these fire.
CREATE OR REPLACE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY pgrst, 'reload schema';
END
$$;
CREATE OR REPLACE FUNCTION extensions.pgrst_drop_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY pgrst, 'reload schema';
END
$$;
DROP EVENT TRIGGER IF EXISTS pgrst_ddl_watch;
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end EXECUTE FUNCTION extensions.pgrst_ddl_watch();
DROP EVENT TRIGGER IF EXISTS pgrst_drop_watch;
CREATE EVENT TRIGGER pgrst_drop_watch ON sql_drop EXECUTE FUNCTION extensions.pgrst_drop_watch();

RESET search_path;
RESET client_min_messages;
