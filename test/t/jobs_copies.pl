# A standby does not run jobs until it is promoted. A dump that is restored elsewhere brings its jobs along, and they rest
# until somebody says that they are to run there as well.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_job_server('primary', "pattyly.databases = 'postgres, restored'");
my $jobs = q{SELECT id, name, schedule, command, timezone, overlap, catch_up, max_runtime, max_retries, retry_delay, settings, owner, enabled FROM pattyly.jobs ORDER BY id};

sql($primary, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	GRANT USAGE ON SCHEMA pattyly TO alice, bob;
	GRANT EXECUTE ON FUNCTION pattyly.schedule_job(text, text, text, text, text, text, interval, integer, interval, jsonb, boolean) TO alice, bob;
	CREATE TABLE ran (at timestamptz DEFAULT clock_timestamp(), who name DEFAULT session_user);
	GRANT INSERT ON ran TO alice;
	SELECT pattyly.schedule_job('gone', '@daily', 'SELECT 1'), pattyly.unschedule_job('gone');
	SET ROLE alice;
	SELECT pattyly.schedule_job('alice''s', 'every 1 second', 'INSERT INTO ran DEFAULT VALUES', 'Europe/Paris', 'queue_one', 'skip', '1 hour', 3, '5 s', '{"work_mem": "8MB"}');
	SET ROLE bob;
	SELECT pattyly.schedule_job('bob''s', '@daily', 'SELECT 1');
	RESET ROLE;
	SELECT pattyly.schedule_job('paused', '@daily', 'SELECT 1', enabled => false)});

sub resting
{
	my ($node, $database, $name) = @_;
	is(sql($node, q{SELECT string_agg(DISTINCT state, ' ') FROM pattyly.job_status}, $database), 'paused, a copy', "$name: all jobs rest");
	my $before = sql($node, 'SELECT count(*) FROM ran', $database);
	sleep 2;
	is(sql($node, 'SELECT count(*) FROM ran', $database), $before, "$name: none runs");
	is(sql($node, 'SELECT count(*) FROM pattyly.job_runs', $database), 0, "$name: there is no history");
	like(error_of($node, undef, q{SELECT pattyly.run_job('paused')}, $database), qr/55000.*HINT:.*resume_jobs/s, "$name: nor by hand");
}

subtest 'a standby' => sub {
	$primary->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby);
	is(sql($standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pattyly'}), 0, 'has neither launcher nor scheduler');
	is(sql($standby, q{SELECT count(*) FROM pattyly.job_status}), 3, 'but can be asked');
	like(error_of($standby, undef, q{SELECT pattyly.schedule_job('x', '@daily', 'SELECT 1')}), qr/25006.*read-only transaction/, 'nothing is scheduled there');
	like(error_of($standby, undef, q{SELECT pattyly.run_job('paused')}), qr/25006|55000.*recovery/, 'nor run');
	$primary->stop;
	$standby->promote;
	ok(scheduler_ready($standby), 'promoted, it has a scheduler');
	my $before = sql($standby, 'SELECT count(*) FROM ran');
	is(wait_for($standby, "SELECT count(*) > $before FROM ran", 't'), 't', 'and jobs run');
	is(sql($standby, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'running' AND started_at < now() - interval '20 s'}), 0, 'no run of the primary is left running');
	is(sql($standby, 'SELECT DISTINCT who FROM ran'), 'alice', 'as their owner');
	$standby->stop;
	$primary->start;
	scheduler_ready($primary);
};

my $dump = $primary->basedir . '/dump';
$primary->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'a dump');

subtest 'restored into another database of the server' => sub {
	sql($primary, 'CREATE DATABASE restored');
	$primary->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'it restores');
	ok(scheduler_ready($primary, 'restored'), 'there is a scheduler');
	is(sql($primary, $jobs, 'restored'), sql($primary, $jobs), 'all jobs are there, with their ids');
	resting($primary, 'restored', 'the copy');
	like((run_at($primary, undef, 'SELECT pattyly.schedule_job($$new$$, $$@daily$$, $$SELECT 1$$)', 'restored'))[1], qr/^\d+$/m, 'a new job can be scheduled');
	is(sql($primary, q{SELECT count(DISTINCT id), state FROM pattyly.jobs JOIN pattyly.job_status ON job = name WHERE name = 'new' GROUP BY 2}, 'restored'), '1|waiting', 'and is one of this database');
	is(sql($primary, 'SELECT pattyly.resume_jobs()', 'restored'), 3, 'told to, all run');
	my $before = sql($primary, 'SELECT count(*) FROM ran', 'restored');
	is(wait_for($primary, "SELECT count(*) > $before FROM ran", 't', 20, 'restored'), 't', 'here as well');
	is(sql($primary, q{SELECT state FROM pattyly.job_status WHERE job = 'paused'}, 'restored'), 'paused', 'what was paused stays so');
	sql($primary, 'DROP DATABASE restored');
};

subtest 'restored into another server' => sub {
	my $other = new_job_server('other');
	sql($other, 'DROP PROCEDURE public.wait_for_run(bigint, integer); DROP EXTENSION pattyly; CREATE ROLE alice LOGIN');
	my ($out, $err) = run_command([ 'pg_restore', '-d', $other->connstr('postgres'), $dump ]);
	is(sql($other, $jobs), sql($primary, $jobs), 'all jobs are there, with their ids');
	ok(scheduler_ready($other), 'there is a scheduler');
	resting($other, 'postgres', 'the other server');
	my ($status, $resumed, $messages) = run_at($other, undef, 'SELECT pattyly.resume_jobs()');
	is($resumed, 2, 'told to, those run whose owner is there');
	like($messages, qr/WARNING:.*42704: job "bob's" goes on resting: its owner, role "bob", does not exist here.*HINT:.*Create the role/s, 'the other is named');
	is(sql($other, q{SELECT string_agg(job || ' ' || state, ', ' ORDER BY job) FROM pattyly.job_status WHERE job <> 'alice''s'}), q{bob's paused, a copy, paused paused}, 'and rests');
	my $before = sql($other, 'SELECT count(*) FROM ran');
	is(wait_for($other, "SELECT count(*) > $before FROM ran", 't', 20), 't', 'jobs run');
	sql($other, 'CREATE ROLE bob LOGIN');
	is(sql($other, 'SELECT pattyly.resume_jobs()'), 1, 'with the role made, it runs too');
	is(sql($other, q{SELECT r.rolname FROM pattyly.jobs AS j JOIN pg_roles AS r ON r.oid = j.owner_id WHERE j.name = 'bob''s'}), 'bob', 'as that role');
	$other->stop;
};

# pg_upgrade moves the files of a table, so the rows must not be in this dump, and the table with its ids must.
subtest 'a dump as pg_upgrade makes it' => sub {
	my $schema = $primary->basedir . '/upgrade.sql';
	sql($primary, 'CREATE DATABASE quiet TEMPLATE template0');
	sql($primary, q{CREATE EXTENSION pattyly; SELECT pattyly.schedule_job('kept', '@daily', 'SELECT 1')}, 'quiet');
	$primary->command_ok([ 'pg_dump', '--schema-only', '--binary-upgrade', '-f', $schema, 'quiet' ], 'it can be made');
	unlike(slurp_file($schema), qr/^COPY pattyly\.jobs/m, 'it has no rows, which come with the files');
	like(slurp_file($schema), qr/CREATE TABLE "?pattyly"?\."?jobs"?/, 'it has the table');
};

$primary->stop;
done_testing();
