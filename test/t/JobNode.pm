# What the tests of jobs share: a server whose scheduler works in the database postgres, runs of jobs and how they end,
# the processes of the room, and a clock that stands still for the scheduler as well.
package JobNode;

use strict;
use warnings;
use Exporter 'import';
use PattylyNode;
use Session;
use Test::More;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(
  new_job_server sql schedule run_now ended run_to_end outcome wait_for
  scheduler_of scheduler_ready pid_of set_clock real_clock no_open_runs cpu_ticks
);

# Every job server has 8 workers more than it can use, unless a line says otherwise.
sub new_job_server
{
	my ($name, @conf) = @_;
	my $node = new_server($name, "pattyly.databases = 'postgres'", 'pattyly.max_running_jobs = 8', 'max_worker_processes = 24', @conf);
	# It looks in a transaction of its own each time, so that no CREATE INDEX CONCURRENTLY waits for it.
	sql($node, q{
		CREATE PROCEDURE public.wait_for_run(run bigint, seconds integer) LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1 .. seconds * 50 LOOP
				EXIT WHEN (SELECT finished_at IS NOT NULL FROM pattyly.job_runs WHERE id = run);
				COMMIT;
				PERFORM pg_sleep(0.02);
			END LOOP;
		END $$});
	scheduler_ready($node);
	return $node;
}

sub sql { my ($node, $sql, $database) = @_; return at($node, undef, $sql, $database) }

sub _literal { my ($text) = @_; return "'" . ($text =~ s/'/''/gr) . "'" }

# schedule($node, 'name', 'command', 'more => arguments'): never by the clock, unless "schedule => ..." is among them.
sub schedule
{
	my ($node, $name, $command, $more, $database) = @_;
	return sql($node, _schedule($name, $command, $more), $database);
}

sub _schedule
{
	my ($name, $command, $more) = @_;
	my @arguments = ('name => ' . _literal($name), 'command => ' . _literal($command));
	push @arguments, "schedule => '0 0 1 1 *'" unless ($more // '') =~ /schedule =>/;
	push @arguments, $more if $more;
	return 'SELECT pattyly.schedule_job(' . join(', ', @arguments) . ')';
}

sub run_now { my ($node, $name, $database) = @_; return sql($node, 'SELECT pattyly.run_job(' . _literal($name) . ')', $database) }

# Waits until a query says something; what it last said.
sub wait_for
{
	my ($node, $query, $expected, $seconds, $database) = @_;
	my $until = time + ($seconds // 30);
	my $said;
	while (1)
	{
		$said = eval { Session::ask($node, $query, $database) };
		last if defined $said && $said eq $expected || time > $until;
		usleep(50_000);
	}
	Session::end($node, $database) if defined $database;
	return $said // '(no answer)';
}

# Waits for the end of a run: true when it came.
sub ended
{
	my ($node, $id, $seconds, $database) = @_;
	return wait_for($node, "SELECT finished_at IS NOT NULL FROM pattyly.job_runs WHERE id = $id", 't', $seconds, $database) eq 't';
}

# Runs a job now; what became of it, as "state|tags|SQLSTATE".
sub run_to_end { my ($node, $name, $seconds) = @_; return sql($node, _run_to_end($name, $seconds)) }

sub _run_to_end
{
	my ($name, $seconds) = @_;
	return 'SELECT pattyly.run_job(' . _literal($name) . ') AS run \gset' . "\n"
	  . 'CALL public.wait_for_run(:run, ' . ($seconds // 30) . ");\n"
	  . 'SELECT state, command_tag, sqlstate FROM pattyly.job_runs WHERE id = :run';
}

# Schedules a command and runs it.
sub outcome
{
	my ($node, $command, $more, $seconds) = @_;
	return (split /\n/, sql($node, _schedule('once', $command, $more) . ";\n" . _run_to_end('once', $seconds)), 2)[1];
}

sub pid_of
{
	my ($node, $type, $database) = @_;
	return eval { sql($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pattyly job $type'" . ($database ? " AND datname = '$database'" : '')) } // '';
}

sub scheduler_of { my ($node, $database) = @_; return pid_of($node, 'scheduler', $database // 'postgres') }

sub scheduler_ready
{
	my ($node, $database, $seconds) = @_;
	$database //= 'postgres';
	return wait_for($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job scheduler' AND datname = '$database'", 1, $seconds) eq '1';
}

# The clock of every process.
sub set_clock
{
	my ($node, $time) = @_;
	sql($node, "ALTER SYSTEM SET pattyly.frozen_clock = '$time'");
	$node->reload;
	return wait_for($node, q{SELECT current_setting('pattyly.frozen_clock')}, $time) eq $time;
}

sub real_clock { return set_clock($_[0], '') }

# Whether every run comes to its end.
sub no_open_runs
{
	my ($node, $seconds, $database) = @_;
	return wait_for($node, 'SELECT count(*) FROM pattyly.job_runs WHERE finished_at IS NULL', 0, $seconds, $database) eq '0';
}

# Of a process, in user and kernel mode; a hundred are a second.
sub cpu_ticks
{
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 0;
	my @field = split / /, (<$stat> =~ s/^.*\) //r);
	return $field[11] + $field[12];
}

1;
