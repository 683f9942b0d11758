# A scheduler is connected to each database of the setting: that keeps nobody from dropping, renaming or copying it. It
# goes when the database or its name in the setting does, and comes back by itself.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;
use Time::HiRes qw(time);

my $node = new_job_server('databases', "pattyly.databases = 'postgres, one, two, \"Three Words\", \"not there\"'");

sub make_database
{
	my ($name, $more) = @_;
	sql($node, "CREATE DATABASE $name " . ($more // ''));
	(my $plain = $name) =~ tr/"//d;
	sql($node, 'CREATE EXTENSION IF NOT EXISTS pattyly', $plain);
	return ok(scheduler_ready($node, $plain), "$plain has a scheduler as soon as the extension is there");
}

sub runs_in
{
	my ($database, $name) = @_;
	schedule($node, 'here', 'SELECT current_database()', undef, $database);
	my $id = run_now($node, 'here', $database);
	ok(ended($node, $id, 20, $database), "$name: a run comes to its end") or return;
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $id", $database), 'succeeded', $name);
}

sub no_scheduler
{
	my ($database) = @_;
	return wait_for($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job scheduler' AND datname = '$database'", 0, 15) eq '0';
}

subtest 'several databases' => sub {
	make_database($_) for 'one', 'two', '"Three Words"';
	runs_in($_, "in $_") for 'one', 'two', 'Three Words';
	like(error_of($node, undef, q{SELECT pattyly.schedule_job('never', '@daily', 'SELECT 1')}, 'template1'), qr/does not exist/, 'without the extension there are no jobs');
	sql($node, 'CREATE DATABASE unlisted');
	sql($node, 'CREATE EXTENSION pattyly', 'unlisted');
	like((run_at($node, undef, q{SELECT pattyly.schedule_job('never', '@daily', 'SELECT 1')}, 'unlisted'))[2],
		qr/WARNING:.*55000.*no scheduler is at work in this database.*HINT:.*pattyly\.databases/s, 'a job where nobody runs it gets a warning');
	unlike((run_at($node, undef, q{SELECT pattyly.schedule_job('soon', '@daily', 'SELECT 1')}, 'one'))[2], qr/WARNING/, 'elsewhere it does not');
};

subtest 'statements that need the database for themselves' => sub {
	my $began = time;
	sql($node, 'CREATE DATABASE copy TEMPLATE one');
	ok(scheduler_ready($node, 'one'), 'copied: its scheduler comes back');
	sql($node, 'ALTER DATABASE one RENAME TO uno');
	is(scheduler_of($node, 'uno'), '', 'renamed: its name is not in the setting any more');
	sql($node, 'ALTER DATABASE uno RENAME TO one');
	ok(scheduler_ready($node, 'one'), 'renamed back');
	runs_in('one', 'it works there');
	sql($node, 'DROP DATABASE two');
	cmp_ok(time - $began, '<', 20, 'none of it waited for long');
	my $mark = log_mark($node);
	make_database('two');
	runs_in('two', 'dropped and made again');
	like(error_of($node, undef, 'BEGIN; DROP DATABASE one'), qr/25001/, 'a DROP that is refused');
	ok(scheduler_ready($node, 'one'), 'the scheduler comes back');
	my $session = $node->background_psql('one');
	like(error_of($node, undef, 'DROP DATABASE one'), qr/55006.*is being accessed by other users/s, 'a DROP that fails because of somebody else');
	$session->quit;
	ok(scheduler_ready($node, 'one'), 'the scheduler comes back');
	sql($node, 'CREATE ROLE nobody');
	my $pid = scheduler_of($node, 'one');
	like(error_of($node, undef, 'SET ROLE nobody; DROP DATABASE one'), qr/42501/, 'a DROP by somebody who may not');
	is(scheduler_of($node, 'one'), $pid, 'does not even disturb the scheduler');
	runs_in('one', 'it works on');
	unlike(log_since($node, $mark), qr/PANIC|FATAL/, 'the log is calm');
};

subtest 'a copy of a database in the same server rests' => sub {
	sql($node, q{
		CREATE TABLE ran (at timestamptz DEFAULT clock_timestamp());
		SELECT pattyly.schedule_job('every', 'every 1 second', 'INSERT INTO ran DEFAULT VALUES');
		SELECT pattyly.schedule_job('retries', '0 0 1 1 *', 'SELECT 1/0', max_retries => 1, retry_delay => '2 seconds');
		SELECT pattyly.run_job('retries')}, 'one');
	wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'retries'}, 2, 10, 'one');
	sql($node, 'DROP DATABASE copy');
	sql($node, 'CREATE DATABASE copy TEMPLATE one');
	my $ran = sql($node, 'SELECT count(*) FROM ran', 'copy');
	is(sql($node, 'SELECT count(*) FROM pattyly.jobs', 'copy'), 4, 'the jobs are there');
	sql($node, q{ALTER SYSTEM SET pattyly.databases = 'postgres', 'one', 'two', '"Three Words"', 'copy'});
	$node->reload;
	ok(scheduler_ready($node, 'copy'), 'named in the setting, it has a scheduler');
	ok(no_open_runs($node, 10, 'copy'), 'what was on in the original has an end in the copy');
	is(sql($node, q{SELECT DISTINCT state FROM pattyly.job_status}, 'copy'), 'paused, a copy', 'its jobs rest');
	is(wait_for($node, q{SELECT count(*) > 3 FROM ran}, 't', 15, 'one'), 't', 'while the original works');
	is(sql($node, 'SELECT count(*) FROM ran', 'copy'), $ran, 'and nothing runs in the copy');
	is(sql($node, 'SELECT pattyly.resume_jobs()', 'copy'), 4, 'until it is told to');
	is(wait_for($node, "SELECT count(*) > $ran FROM ran", 't', 15, 'copy'), 't', 'then it does');
	sql($node, q{SELECT pattyly.unschedule_job(name) FROM pattyly.jobs WHERE name IN ('every', 'retries')}, $_) for 'one', 'copy';
};

subtest 'the setting changes' => sub {
	sql($node, q{ALTER SYSTEM SET pattyly.databases = 'postgres', 'one'});
	$node->reload;
	ok(no_scheduler($_), "$_ is not named any more") for 'two', 'copy';
	isnt(scheduler_of($node, 'one'), '', 'one stays');
	sql($node, q{ALTER SYSTEM SET pattyly.databases = 'postgres', 'one', 'two'});
	$node->reload;
	ok(scheduler_ready($node, 'two'), 'two is named again');
	runs_in('two', 'and works');
	like(error_of($node, undef, q{ALTER SYSTEM SET pattyly.databases = 'a,,b'; ALTER SYSTEM SET pattyly.databases = '"open'}), qr/22023.*List syntax is invalid/s, 'no list');
	sql($node, q{ALTER SYSTEM SET pattyly.databases = ''});
	$node->reload;
	ok(no_scheduler($_), "no database: none in $_") for 'one', 'two';
	sql($node, q{ALTER SYSTEM SET pattyly.databases = 'postgres', 'one', 'two'});
	$node->reload;
	ok(scheduler_ready($node, $_), "again in $_") for 'one', 'two';
};

subtest 'settings of a database that would harm its scheduler' => sub {
	sql($node, q{CREATE SCHEMA evil; CREATE FUNCTION evil.count("any") RETURNS bigint LANGUAGE internal AS 'int8inc'}, 'one');
	sql($node, "ALTER DATABASE one SET $_")
	  for 'default_transaction_read_only = on', q{default_transaction_isolation = 'serializable'}, q{search_path = 'evil, pg_catalog'}, 'lock_timeout = 1', 'statement_timeout = 1',
	  'row_security = off', q{session_replication_role = 'replica'}, 'role = nobody', q{log_min_messages = 'panic'}, 'idle_in_transaction_session_timeout = 1',
	  ($node->pg_version >= 17 ? q{transaction_timeout = '20ms'} : ());
	# They would harm this test as well.
	local $ENV{PGOPTIONS} = '-c default_transaction_read_only=off -c role=none -c statement_timeout=0' . ($node->pg_version >= 17 ? ' -c transaction_timeout=0' : '');
	my $pid = scheduler_of($node, 'one');
	sql($node, "SELECT pg_terminate_backend($pid)");
	ok(wait_until('another scheduler', sub { my $now = scheduler_of($node, 'one'); $now && $now ne $pid }), 'a scheduler begins with them');
	schedule($node, 'strict', 'SELECT 1', q{schedule => 'every 1 second', settings => '{"statement_timeout": 0, "role": "none"}'}, 'one');
	is(wait_for($node, q{SELECT count(*) FILTER (WHERE state = 'succeeded') > 1 FROM pattyly.job_runs WHERE job_name = 'strict'}, 't', 15, 'one'), 't', 'and jobs run')
	  or diag sql($node, q{SELECT state, error FROM pattyly.job_runs ORDER BY id DESC LIMIT 3}, 'one');
	sql($node, 'DROP DATABASE one');
	is(scheduler_of($node, 'one'), '', 'dropped under its scheduler and its job');
	make_database('one');
};

subtest 'a database that takes no connections' => sub {
	sql($node, 'ALTER DATABASE two ALLOW_CONNECTIONS false');
	sql($node, 'SELECT pg_terminate_backend(' . scheduler_of($node, 'two') . ')');
	ok(no_scheduler('two'), 'no scheduler');
	runs_in('one', 'others work on');
	sql($node, 'ALTER DATABASE two ALLOW_CONNECTIONS true');
	$node->reload;
	ok(scheduler_ready($node, 'two'), 'open again');
};

$node->stop;
done_testing();
