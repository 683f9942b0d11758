# Whoever of the crew dies, and however: no run is left without an end, and every job runs on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('faults', 'max_worker_processes = 16');

sql($node, 'CREATE TABLE done (run bigint, job text, at timestamptz DEFAULT clock_timestamp())');

sub state_of { my ($id) = @_; return sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $id") }

sub long_run
{
	my ($more) = @_;
	schedule($node, 'long', 'SELECT pg_sleep(600)', $more);
	my $id = run_now($node, 'long');
	is(wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $id", 'running'), 'running', 'a job runs');
	return $id;
}

sub new_process
{
	my ($type, $old) = @_;
	return wait_until("another $type", sub { my $pid = pid_of($node, $type); $pid && $pid ne $old }, 20);
}

subtest 'pg_terminate_backend and SIGTERM' => sub {
	for my $how ('pg_terminate_backend', 'SIGTERM')
	{
		my $end = sub { my ($pid) = @_; $how eq 'SIGTERM' ? kill 15, $pid : sql($node, "SELECT pg_terminate_backend($pid)") };
		my $id = long_run();
		my $pid = scheduler_of($node);
		$end->($pid);
		ok(new_process('scheduler', $pid), "$how: another scheduler");
		is(state_of($id), 'running', 'the run goes on');
		is(outcome($node, 'SELECT 1'), 'succeeded|SELECT 1|', 'others run');
		$pid = pid_of($node, 'launcher');
		$end->($pid);
		ok(new_process('launcher', $pid), "$how: another launcher");
		is(state_of($id), 'running', 'the run goes on');
		$end->(sql($node, "SELECT pid FROM pattyly.job_runs WHERE id = $id"));
		ok(ended($node, $id), "$how: of the run itself");
		is(sql($node, "SELECT state, sqlstate FROM pattyly.job_runs WHERE id = $id"), 'canceled|57P01', 'is a cancel');
	}
	# The scheduler that began it is not the one that sees its end.
	my $id = long_run();
	my $pid = scheduler_of($node);
	kill 15, $pid, sql($node, "SELECT pid FROM pattyly.job_runs WHERE id = $id");
	ok(ended($node, $id), 'both at once');
	is(state_of($id), 'canceled', 'the next scheduler writes it down');
};

subtest 'kill -9' => sub {
	for my $type ('scheduler', 'launcher', 'run')
	{
		my $id = long_run(q{max_retries => 1, retry_delay => '1 hour'});
		my $mark = log_mark($node);
		kill 9, $type eq 'run' ? sql($node, "SELECT pid FROM pattyly.job_runs WHERE id = $id") : pid_of($node, $type);
		ok(wait_for_restart($node, $mark), "of the $type: the server is back") or BAIL_OUT('no server');
		ok(ended($node, $id), 'the run has an end');
		is(state_of($id), 'lost', 'it is lost');
		is(sql($node, q{SELECT state, attempt FROM pattyly.job_runs ORDER BY id DESC LIMIT 1}), 'starting|2', 'and will be tried again');
		is(sql($node, q{SELECT pattyly.cancel_job('long')}), 1, 'unless somebody does not want it');
		is(outcome($node, 'SELECT 1'), 'succeeded|SELECT 1|', 'others run');
	}
};

subtest 'the server stops' => sub {
	for my $mode ('fast', 'immediate')
	{
		my $id = long_run();
		$node->stop($mode);
		$node->start;
		ok(ended($node, $id), "$mode: the run has an end");
		like(state_of($id), $mode eq 'fast' ? qr/^(lost|canceled)$/ : qr/^lost$/, 'it is no success');
		is(outcome($node, 'SELECT 1'), 'succeeded|SELECT 1|', 'others run');
	}
};

subtest 'the scheduler dies between making runs and starting them' => sub {
	plan skip_all => 'needs a build with fault points' unless has_fault_points();
	schedule($node, 'due', 'INSERT INTO done (job) VALUES ($$due$$)');
	my $mark = log_mark($node);
	sql($node, q{ALTER SYSTEM SET pattyly.fault_point = 'scheduler between'});
	$node->reload;
	ok(wait_until('it died', sub { log_since($node, $mark) =~ /was terminated by signal 9/ }), 'it dies');
	my $id;
	ok(wait_until('a run is asked for', sub { eval { $id = sql($node, q{SELECT pattyly.run_job('due')}) } }), 'a run is asked for, somewhere in between');
	wait_until('the fault point is gone', sub { eval { sql($node, 'ALTER SYSTEM RESET pattyly.fault_point'); $node->reload; 1 } });
	ok(ended($node, $id, 30), 'it has an end');
	# Who asked may not have heard that he was, and asks once more.
	is(sql($node, q{SELECT count(*) FROM done WHERE job = 'due'}),
		sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'due' AND state = 'succeeded'}), 'it ran as often as it was asked for');
};

$node->stop;
done_testing();
