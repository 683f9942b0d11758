# What the scheduler does when a round of it fails, and what it tells whom.

use strict;
use warnings;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::BackgroundPsql;
use Test::More;

my $node = new_job_server('scheduler', 'pattyly.max_running_jobs = 1');

# A session that holds a lock for longer than the scheduler waits (5 s).
sub with_lock
{
	my ($lock, $meanwhile) = @_;
	my $holder = $node->background_psql('postgres');
	my $mark = log_mark($node);
	$holder->query_safe("BEGIN; $lock");
	$meanwhile->() if $meanwhile;
	ok(wait_until('a lock_timeout', sub { log_since($node, $mark) =~ /canceling statement due to lock timeout/ }),
		"the scheduler gives up: $lock");
	$holder->query_safe('COMMIT');
	$holder->quit;
	return;
}

# ---- a round that fails ----

schedule($node, 'tick', 'SELECT 1', "schedule => 'every 1 second'");
with_lock('LOCK TABLE pattyly.job_runs IN SHARE MODE');
is(sql($node, q{SELECT next_run IS NOT NULL FROM pattyly.jobs WHERE name = 'tick'}), 't',
	'a lock that lasted too long unplans no job');
my $runs = sql($node, 'SELECT COALESCE(max(id), 0) FROM pattyly.job_runs');
is(wait_for($node, "SELECT count(*) > 0 FROM pattyly.job_runs WHERE id > $runs AND state = 'succeeded'", 't'), 't', 'which runs again');
sql($node, q{SELECT pattyly.unschedule_job('tick')});
ok(no_open_runs($node), 'and no run of it is left over');

schedule($node, 'sleeper', 'SELECT pg_sleep(300)');
my $run = run_now($node, 'sleeper');
is(wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $run", 'running'), 'running', 'a run that will be terminated');
schedule($node, 'later', 'SELECT 1', "schedule => 'every 1 second'");
with_lock('LOCK TABLE pattyly.jobs IN EXCLUSIVE MODE',
	sub { sql($node, "SELECT pg_terminate_backend(pid) FROM pattyly.job_runs WHERE id = $run") });
is(wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $run", 'canceled'), 'canceled',
	'the end of a run is written down though the round in which it was found failed');
sql($node, q{SELECT pattyly.unschedule_job('later'), pattyly.unschedule_job('sleeper')});

# ---- what everybody can hear ----

my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN pattyly_jobs');
schedule($node, 'secret', q{DO 'BEGIN RAISE EXCEPTION ''the card of Alice''; END'});
is(run_to_end($node, 'secret'), 'failed||P0001', 'a run fails');
my $heard = $listener->query('SELECT 1');
like($heard, qr/"job" : "secret", "state" : "failed".*"sqlstate" : "P0001"/, 'NOTIFY says so');
unlike($heard, qr/Alice/, 'but not with the data that may be in an error');

sql($node, 'CREATE ROLE gone LOGIN; GRANT USAGE ON SCHEMA pattyly TO gone; GRANT EXECUTE ON FUNCTION pattyly.schedule_job TO gone');
sql($node, q{SET ROLE gone; SELECT pattyly.schedule_job('orphan', 'every 2 seconds', 'SELECT 1')});
sql($node, 'DROP OWNED BY gone; DROP ROLE gone');
is(wait_for($node, q{SELECT DISTINCT state || sqlstate FROM pattyly.job_runs WHERE job_name = 'orphan' AND error IS NOT NULL}, 'failed42704'),
	'failed42704', 'a run that cannot begin fails');
like($listener->query('SELECT 1'), qr/"job" : "orphan", "state" : "failed".*"sqlstate" : "42704"/, 'NOTIFY says that, too');
sql($node, q{SELECT pattyly.unschedule_job('orphan')});
$listener->quit;

# ---- what waits behind what ----

sql($node, 'CREATE ROLE gone LOGIN; GRANT USAGE ON SCHEMA pattyly TO gone; GRANT EXECUTE ON FUNCTION pattyly.schedule_job TO gone');
sql($node, q{SET ROLE gone; SELECT pattyly.schedule_job('orphan', '0 0 1 1 *', 'SELECT 1')});
sql($node, 'DROP OWNED BY gone; DROP ROLE gone');
schedule($node, 'behind', 'SELECT 1');
sql($node, q{SELECT pattyly.run_job('orphan'), pattyly.run_job('behind')});
is(wait_for($node, q{SELECT state FROM pattyly.job_runs WHERE job_name = 'behind'}, 'succeeded', 10), 'succeeded',
	'a run that cannot begin keeps the one behind it waiting no longer than a moment');

schedule($node, 'maker', q{DO $$BEGIN PERFORM pattyly.schedule_job('made', '@yearly', 'SELECT 1'); PERFORM pattyly.run_job('made'); END$$;
	SELECT pg_sleep(300)});
run_now($node, 'maker');
is(wait_for($node, q{SELECT state FROM pattyly.job_runs WHERE job_name = 'made'}, 'no_slot', 10), 'no_slot',
	'the scheduler sees at once what a command schedules');
sql($node, q{SELECT pattyly.cancel_job('made'), pattyly.cancel_job('maker')});
ok(no_open_runs($node), 'both are canceled');

sql($node, 'CREATE TABLE emptied (id integer); INSERT INTO emptied SELECT generate_series(1, 1000)');
# The pause lets the snapshots pass by that this test looks with.
schedule($node, 'purge', 'DELETE FROM emptied; SELECT pg_sleep(1); VACUUM emptied');
is(run_to_end($node, 'purge'), 'succeeded|DELETE 1000; SELECT 1; VACUUM|', 'rows are deleted, and then vacuumed');
is(wait_for($node, q{SELECT n_tup_del, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'emptied'}, '1000|0', 5), '1000|0',
	'and are not counted as dead after that');

# ---- runs that are lost, one after the other ----

schedule($node, 'deadly', 'SELECT pg_sleep(300)', q{max_retries => 100, retry_delay => '0'});
sql($node, q{INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, finished_at)
	SELECT id, name, owner_id, 'lost', now(), now(), now() FROM pattyly.jobs, generate_series(1, 2) WHERE name = 'deadly'});
$run = run_now($node, 'deadly');
is(wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $run", 'running'), 'running', 'a run that will be lost');
my $mark = log_mark($node);
kill 9, sql($node, "SELECT pid FROM pattyly.job_runs WHERE id = $run");
ok(wait_for_restart($node, $mark), 'with the server');
is(wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $run", 'lost'), 'lost', 'it is the third in a row');
is(sql($node, q{SELECT start_after - now() BETWEEN '4 min' AND '5 min' FROM pattyly.job_runs WHERE job_name = 'deadly' AND attempt = 2}),
	't', 'so the next attempt waits, whatever the delay of its retries');

done_testing();
