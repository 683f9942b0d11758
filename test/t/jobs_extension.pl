# The extension is dropped and made again under its scheduler and under a running job, or is of another version than the
# library.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('extension', "pattyly.databases = 'postgres, two'");

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

sql($node, 'CREATE DATABASE two');
sql($node, 'CREATE EXTENSION pattyly', 'two');
ok(scheduler_ready($node, 'two'), 'there is a scheduler');

subtest 'the extension is dropped' => sub {
	for my $round (1, 2)
	{
		sql($node, 'DROP EXTENSION pattyly; CREATE EXTENSION pattyly', 'two');
		runs_in('two', "round $round: dropped and made again at once");
	}
	my $pid = scheduler_of($node, 'two');
	sql($node, 'DROP EXTENSION pattyly', 'two');
	$node->reload;
	ok(no_scheduler('two'), 'dropped under an idle scheduler: it goes');
	sql($node, 'CREATE EXTENSION pattyly', 'two');
	ok(scheduler_ready($node, 'two'), 'and comes back');
	is(sql($node, 'SELECT count(*) FROM pattyly.jobs', 'two'), 0, 'to no jobs');

	schedule($node, 'long', 'SELECT pg_sleep(4)', undef, 'two');
	my $id = run_now($node, 'long', 'two');
	wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $id", 'running', 10, 'two');
	my $mark = log_mark($node);
	sql($node, 'DROP EXTENSION pattyly; CREATE EXTENSION pattyly', 'two');
	schedule($node, 'other', 'SELECT pg_sleep(8)', undef, 'two');
	my $other = run_now($node, 'other', 'two');
	is($other, $id, 'dropped under a running job; another run has its number');
	wait_for($node, "SELECT state FROM pattyly.job_runs WHERE id = $other", 'running', 10, 'two');
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $other", 'two'), 'running', 'which runs beside it');
	wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job' AND datname = 'two'}, 1, 10);
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $other", 'two'), 'running', 'and is not touched when that ends');
	is(sql($node, q{SELECT pattyly.cancel_job('other')}, 'two'), 1, 'it can be canceled');
	ok(ended($node, $other, 10, 'two'), 'and ends');
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $other", 'two'), 'canceled', 'as itself');
	# The warning is schedule_job()'s, which may come before the scheduler of the new extension.
	is(join("\n", grep { !/canceling statement due to user request|no scheduler is at work/ } split /\n/, complaints($node, $mark)), '', 'nobody complains');
};

subtest 'an extension of another version than the library' => sub {
	my $version = sql($node, q{SELECT extversion FROM pg_extension WHERE extname = 'pattyly'}, 'two');
	my $mark = log_mark($node);
	sql($node, q{UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'pattyly'}, 'two');
	schedule($node, 'waits', 'SELECT 1', undef, 'two');
	my $id = run_now($node, 'waits', 'two');
	ok(wait_until('a warning', sub { log_since($node, $mark) =~ /WARNING:.*jobs do not run: the library of pattyly is .*HINT:.*ALTER EXTENSION pattyly UPDATE/s }), 'a warning says what to do');
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $id", 'two'), 'starting', 'nothing runs');
	sql($node, "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'pattyly'", 'two');
	run_now($node, 'waits', 'two');
	ok(ended($node, $id, 10, 'two'), 'until they agree');
	is(() = log_since($node, $mark) =~ /WARNING/g, 1, 'one warning is enough');
};

$node->stop;
done_testing();
