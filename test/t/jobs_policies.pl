# What happens when a run fails, when the last one still runs, when runs were missed, and when the clock jumps. The clock
# of every process stands still here and is moved by the test.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('policies');

sub clock_at { my ($time) = @_; ok(set_clock($node, "2031-05-05 $time+00"), "the clock shows $time") }

# The runs of a job, in their order: "state@MM:SS of its schedule".
sub runs { my ($job) = @_; return "SELECT string_agg(state || '\@' || to_char(scheduled_at, 'HH24:MI:SS'), ' ' ORDER BY id) FROM pattyly.job_runs WHERE job_name = '$job'" }
sub runs_are { my ($job, $expected, $name) = @_; is(wait_for($node, runs($job), $expected, 15), $expected, $name) }
# With what is known of its runs.
sub remove { sql($node, "SELECT pattyly.unschedule_job('$_'); DELETE FROM pattyly.job_runs WHERE job_name = '$_' AND finished_at IS NOT NULL") for @_ }

my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN pattyly_jobs');
sub notifications
{
	my @payloads = $listener->query('SELECT 1') =~ /notification "pattyly_jobs" with payload "(\{.*?\})" received/g;
	return map { decode_json($_) } @payloads;
}

sub waiting_for { my ($job) = @_; return sql($node, "SELECT extract(epoch FROM start_after - '2031-05-05 00:00+00') FROM pattyly.job_runs WHERE job_name = '$job' AND state = 'starting'") }

subtest 'retries' => sub {
	clock_at('00:00:00');
	sql($node, 'CREATE TABLE tries (what text)');
	schedule($node, 'fails', q{INSERT INTO tries VALUES ('fails'); SELECT 1/0}, q{max_retries => 2, retry_delay => '80 s'});
	run_now($node, 'fails');
	runs_are('fails', 'failed@00:00:00 starting@00:00:00', 'what failed is tried again');
	my $wait = waiting_for('fails');
	ok($wait >= 70 && $wait <= 90, "after about 80 seconds: $wait");
	is(sql($node, q{SELECT state, consecutive_failures FROM pattyly.job_status WHERE job = 'fails'}), 'starting|1', 'job_status');
	clock_at('00:01:35');
	runs_are('fails', 'failed@00:00:00 failed@00:00:00 starting@00:00:00', 'failed again');
	$wait = waiting_for('fails') - 95;
	ok($wait >= 140 && $wait <= 180, "the second time after about 160: $wait");
	is(scalar notifications(), 0, 'nobody is told while there is hope');
	clock_at('00:05:00');
	runs_are('fails', 'failed@00:00:00 failed@00:00:00 failed@00:00:00', 'the last attempt');
	is(sql($node, q{SELECT string_agg(attempt::text, ' ' ORDER BY id), count(*) FROM pattyly.job_runs WHERE job_name = 'fails'}), '1 2 3|3', 'all are numbered');
	is(sql($node, q{SELECT count(*) FROM tries}), 3, 'it ran three times');
	my @told = notifications();
	is(scalar @told, 1, 'now everybody is told, once');
	is(join('|', map { $told[0]{$_} } qw(job state attempt sqlstate)), 'fails|failed|3|22012', 'of the last attempt');
	ok(!exists $told[0]{error}, 'but not of its error, in which there may be data: whoever is connected may listen');
	is($told[0]{run_id}, sql($node, 'SELECT max(id) FROM pattyly.job_runs'), 'by its number');
	remove('fails');
};

subtest 'retries that succeed, and what is not tried again' => sub {
	clock_at('00:10:00');
	sql($node, 'TRUNCATE tries');
	schedule($node, 'second', q{INSERT INTO tries VALUES ('second'); SELECT 1/(count(*) - 1) FROM tries}, q{max_retries => 5, retry_delay => '0'});
	run_now($node, 'second');
	runs_are('second', 'failed@00:10:00 succeeded@00:10:00', 'the second attempt succeeds, without a delay');
	is(sql($node, q{SELECT last_status, consecutive_failures FROM pattyly.job_status WHERE job = 'second'}), 'succeeded|0', 'job_status');
	schedule($node, 'slow', 'SELECT pg_sleep(60)', q{max_retries => 1, retry_delay => '0', settings => '{"statement_timeout": "100ms"}'});
	run_now($node, 'slow');
	runs_are('slow', 'timed_out@00:10:00 timed_out@00:10:00', 'what timed out is tried again');
	schedule($node, 'stopped', 'SELECT pg_sleep(60)', q{max_retries => 1, retry_delay => '0'});
	run_now($node, 'stopped');
	runs_are('stopped', 'running@00:10:00', 'one runs');
	is(sql($node, q{SELECT pattyly.cancel_job('stopped')}), 1, 'it is canceled');
	runs_are('stopped', 'canceled@00:10:00', 'and not tried again');
	schedule($node, 'waits', 'SELECT 1/0', q{max_retries => 1, retry_delay => '1 hour'});
	run_now($node, 'waits');
	runs_are('waits', 'failed@00:10:00 starting@00:10:00', 'a retry waits');
	is(sql($node, q{SELECT pattyly.cancel_job('waits')}), 1, 'it can be canceled');
	runs_are('waits', 'failed@00:10:00 canceled@00:10:00', 'and is');
	run_now($node, 'waits');
	runs_are('waits', 'failed@00:10:00 canceled@00:10:00 failed@00:10:00 starting@00:10:00', 'another waits');
	sql($node, q{SELECT pattyly.unschedule_job('waits')});
	runs_are('waits', 'failed@00:10:00 canceled@00:10:00 failed@00:10:00 canceled@00:10:00', 'a job that is removed is not tried again');
	is(join(' ', map { $_->{job} } notifications()), 'slow', 'only the one without hope was told of');
	remove('second', 'slow', 'stopped');
};

subtest 'a retry gives way to the next run of the schedule' => sub {
	clock_at('00:20:30');
	schedule($node, 'minutely', 'SELECT 1/0', q{schedule => '* * * * *', max_retries => 3, retry_delay => '1 hour'});
	clock_at('00:21:01');
	runs_are('minutely', 'failed@00:21:00 starting@00:21:00', 'a retry waits');
	clock_at('00:22:01');
	runs_are('minutely', 'failed@00:21:00 skipped@00:21:00 failed@00:22:00 starting@00:22:00', 'the next run takes its place');
	is(join(' ', map { "$_->{job} $_->{state} $_->{attempt}" } notifications()), 'minutely failed 1', 'so that failure was final, and everybody is told');
	sql($node, q{SELECT pattyly.pause_job('minutely'); SELECT pattyly.cancel_job('minutely')});
	remove('minutely');
};

subtest 'a run is due while the last one still runs' => sub {
	clock_at('01:00:30');
	my %locker;
	for my $policy ('skip', 'queue_one', 'cancel_running')
	{
		my $key = length $policy;
		($locker{$policy} = $node->background_psql('postgres'))->query_safe("SELECT pg_advisory_lock($key)");
		schedule($node, $policy, "SELECT pg_advisory_lock($key)", "schedule => '* * * * *', overlap => '$policy'");
	}
	clock_at('01:01:00');
	runs_are($_, 'running@01:01:00', "$_: the first runs") for sort keys %locker;
	clock_at('01:02:00');
	runs_are('skip', 'running@01:01:00 skipped@01:02:00', 'skip: the second is not made');
	runs_are('queue_one', 'running@01:01:00 starting@01:02:00', 'queue_one: the second waits');
	runs_are('cancel_running', 'canceled@01:01:00 running@01:02:00', 'cancel_running: the first is canceled');
	clock_at('01:03:00');
	runs_are('skip', 'running@01:01:00 skipped@01:02:00 skipped@01:03:00', 'skip: nor the third');
	runs_are('queue_one', 'running@01:01:00 starting@01:02:00 skipped@01:03:00', 'queue_one: the third does not');
	is(sql($node, q{SELECT DISTINCT error FROM pattyly.job_runs WHERE state = 'skipped' AND job_name IN ('skip', 'queue_one')}), 'the last run had not ended', 'the reason is told');
	$_->quit for values %locker;
	runs_are('skip', 'succeeded@01:01:00 skipped@01:02:00 skipped@01:03:00', 'skip: when the first ends, that was all');
	runs_are('queue_one', 'succeeded@01:01:00 succeeded@01:02:00 skipped@01:03:00', 'queue_one: the second runs');
	runs_are('cancel_running', 'canceled@01:01:00 canceled@01:02:00 succeeded@01:03:00', 'cancel_running: the last one does');
	is(join(' ', map { $_->{job} } notifications()), '', 'none of it is a failure');
	remove(sort keys %locker);
};

subtest 'missed runs' => sub {
	clock_at('02:00:30');
	schedule($node, "$_", 'SELECT 1', "schedule => '0 * * * *', catch_up => '$_'") for 'run_once', 'skip';
	schedule($node, "each_$_", 'SELECT 1', "schedule => 'every 10 minutes', catch_up => '$_'") for 'run_once', 'skip';
	schedule($node, 'daily', 'SELECT 1', q{schedule => '30 4 * * *'});
	schedule($node, 'paused', 'SELECT 1', q{schedule => '0 * * * *', enabled => false});
	schedule($node, 'future', 'SELECT 1', q{schedule => '30 6 * * *'});
	clock_at('03:00:50');
	runs_are($_, 'succeeded@03:00:00', "$_: a run that is a little late is not missed") for 'run_once', 'skip';
	$node->stop;
	$node->append_conf('postgresql.auto.conf', "pattyly.frozen_clock = '2031-05-05 06:20:00+00'");
	$node->start;
	runs_are('run_once', 'succeeded@03:00:00 succeeded@04:00:00', 'run_once: one run for three that were missed');
	runs_are('skip', 'succeeded@03:00:00 skipped@04:00:00', 'skip: none');
	runs_are('each_run_once', 'succeeded@02:10:30 succeeded@03:10:30', 'every 10 minutes, run_once');
	runs_are('each_skip', 'skipped@02:10:30 skipped@03:10:30', 'every 10 minutes, skip');
	runs_are('daily', 'succeeded@04:30:00', 'a daily one');
	runs_are('paused', '', 'a paused one is not caught up');
	runs_are('future', '', 'nor one that is not due yet');
	is(sql($node, q{SELECT string_agg(name || ' ' || to_char(next_run, 'DD HH24:MI:SS'), ', ' ORDER BY name) FROM pattyly.jobs WHERE next_run IS NOT NULL AND name <> 'future'}),
		'daily 06 04:30:00, each_run_once 05 06:20:30, each_skip 05 06:20:30, run_once 05 07:00:00, skip 05 07:00:00', 'all are planned from now on');
	$node->restart;
	is(sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name IN ('run_once', 'skip', 'daily')}), 5, 'another start runs nothing again');
	remove('run_once', 'skip', 'each_run_once', 'each_skip', 'daily', 'paused', 'future');
	$listener = $node->background_psql('postgres');
	scheduler_ready($node);
};

subtest 'the clock goes back 20 minutes' => sub {
	clock_at('09:59:30');
	schedule($node, 'minutely', 'SELECT 1', q{schedule => '* * * * *'});
	schedule($node, 'each', 'SELECT 1', q{schedule => 'every 1 minute'});
	schedule($node, 'fixed', 'SELECT 1', q{schedule => '0 10 * * *'});
	schedule($node, 'hourly', 'SELECT 1', q{schedule => '@hourly'});
	clock_at('10:00:30');
	runs_are($_, 'succeeded@10:00:00', $_) for 'minutely', 'fixed', 'hourly';
	runs_are('each', 'succeeded@10:00:30', 'each');
	clock_at('09:40:40');
	is(wait_for($node, q{SELECT to_char(next_run, 'HH24:MI:SS') FROM pattyly.jobs WHERE name = 'minutely'}, '09:41:00'), '09:41:00', 'minutely is planned by the new time');
	is(sql($node, q{SELECT next_run <= '2031-05-05 09:41:40+00' FROM pattyly.jobs WHERE name = 'each'}), 't', 'each too');
	is(sql($node, q{SELECT to_char(next_run, 'DD HH24:MI') FROM pattyly.jobs WHERE name = 'fixed'}), '06 10:00', 'fixed has run today');
	clock_at('09:41:45');
	runs_are('minutely', 'succeeded@10:00:00 succeeded@09:41:00', 'minutely goes on');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'each'}, 2), 2, 'each goes on');
	clock_at('10:00:45');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'minutely'}, 3), 3, 'the hour comes again');
	runs_are('fixed', 'succeeded@10:00:00', 'fixed does not run twice');
	clock_at('10:01:10');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'minutely'}, 4), 4, 'and on it goes');
};

subtest 'the clock goes forward 2 hours' => sub {
	sql($node, 'TRUNCATE pattyly.job_runs');
	clock_at('12:01:30');
	runs_are('minutely', 'succeeded@10:02:00', 'minutely: one run');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'each' AND state = 'succeeded'}, 1), 1, 'each: one run');
	runs_are('hourly', 'succeeded@11:00:00', 'hourly: one run');
	runs_are('fixed', '', 'fixed: not its time');
	clock_at('12:02:10');
	runs_are('minutely', 'succeeded@10:02:00 succeeded@12:02:00', 'minutely goes on');
	clock_at('12:03:00');
	runs_are('minutely', 'succeeded@10:02:00 succeeded@12:02:00 succeeded@12:03:00', 'without a stall');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'each'}, 3), 3, 'each as well');
	ok(set_clock($node, '2031-05-06 10:00:10+00'), 'the next day');
	runs_are('fixed', 'succeeded@10:00:00', 'fixed runs again');
	remove('minutely', 'each', 'fixed', 'hourly');
};

subtest 'daylight saving' => sub {
	set_clock($node, '2031-03-30 00:50:00+00');
	schedule($node, 'gap', 'SELECT 1', q{schedule => '30 2 * * *', timezone => 'Europe/Berlin'});
	set_clock($node, '2031-03-30 01:00:05+00');
	runs_are('gap', 'succeeded@01:00:00', 'a time that the clock skips: right after it');
	set_clock($node, '2031-03-31 00:30:05+00');
	runs_are('gap', 'succeeded@01:00:00 succeeded@00:30:00', 'the next day at its time');
	set_clock($node, '2031-10-26 00:00:00+00');
	schedule($node, 'twice', 'SELECT 1', q{schedule => '30 2 * * *', timezone => 'Europe/Berlin'});
	set_clock($node, '2031-10-26 00:30:05+00');
	runs_are('twice', 'succeeded@00:30:00', 'a time that comes twice: the first time');
	set_clock($node, '2031-10-26 01:30:05+00');
	is(sql($node, q{SELECT next_run FROM pattyly.jobs WHERE name = 'twice'}), '2031-10-27 01:30:00+00', 'not the second time');
	runs_are('twice', 'succeeded@00:30:00', 'and it did not run');
	remove('gap', 'twice');
};

subtest 'pause and resume' => sub {
	set_clock($node, '2032-01-01 00:00:30+00');
	schedule($node, 'p', 'SELECT 1', q{schedule => '* * * * *'});
	sql($node, q{SELECT pattyly.pause_job('p')});
	set_clock($node, '2032-01-01 00:05:30+00');
	is(run_to_end($node, 'p'), 'succeeded|SELECT 1|', 'a paused job runs by hand');
	sql($node, q{SELECT pattyly.resume_job('p')});
	is(sql($node, q{SELECT next_run FROM pattyly.jobs WHERE name = 'p'}), '2032-01-01 00:06:00+00', 'resumed, it is planned from now on');
	set_clock($node, '2032-01-01 00:06:30+00');
	runs_are('p', 'succeeded@00:05:30 succeeded@00:06:00', 'what was missed in between is not caught up');
	remove('p');
};

$listener->quit;
$node->stop;
done_testing();
