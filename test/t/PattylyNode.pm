# What the tests of this directory share: a server with pattyly, a stopped clock, and a look at its log.
#
# The clock of pattyly stands still in nearly all of them (at()), so that counts, windows and times are exact and a busy
# machine changes nothing.
package PattylyNode;

use strict;
use warnings;
use Exporter 'import';
# A session in the background lives no longer than this.
BEGIN { $ENV{PG_TEST_TIMEOUT_DEFAULT} //= 300 }
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  $T0 later @ALGORITHMS
  new_server at run_at error_of wait_for_restart wait_until
  log_mark log_since complaints
  kill_server clock_option background_bench finish_bench bench_count
  has_fault_points on_every_algorithm
);

# An hour begins here, and a day, so calendar windows of both do; all times are later than the machine's own.
our $T0         = '2031-05-05 00:00:00+00';
our @ALGORITHMS = qw(gcra fixed_window calendar_window sliding_window sliding_log);

sub later { my ($interval) = @_; return "timestamptz '$T0' + interval '$interval'" }

# A server with these lines in its configuration. With "bare" in front: pattyly neither preloaded nor created.
sub new_server
{
	my ($name, @conf) = @_;
	my $bare = @conf && $conf[0] eq 'bare' ? shift @conf : '';
	my $node = PattylyNode::Server->new($name);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ], allows_streaming => 1);
	$node->append_conf('postgresql.conf', $_)
	  for (
		'log_statement = none',
		'log_replication_commands = off',
		'log_min_messages = warning',
		'max_connections = 100',
		'shared_buffers = 16MB',
		'autovacuum = off',
		'restart_after_crash = on',
		'timezone = UTC',
		$bare ? () : "shared_preload_libraries = 'pattyly'",
		@conf);
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pattyly') unless $bare;
	return $node;
}

# Runs SQL with the clock of pattyly stopped at a time, and dies when it fails.
sub at
{
	my ($node, $time, $sql, $database) = @_;
	return Session::ask($node, _stopped($time) . $sql) if ($database // 'postgres') eq 'postgres';
	return $node->safe_psql($database, _stopped($time) . $sql);
}

# As at(), for what may fail: (exit status, output, messages).
sub run_at
{
	my ($node, $time, $sql, $database) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql(
		$database // 'postgres',
		_stopped($time) . $sql,
		stdout        => \$out,
		stderr        => \$err,
		on_error_stop => 1,
		extra_params  => [ '-v', 'VERBOSITY=verbose' ]);
	return ($status, $out, $err);
}

sub error_of { return (run_at(@_))[2] }

# An expression, because some tests count from T0 on.
sub _stopped
{
	my ($time) = @_;
	return '' unless defined $time;
	my $expression = $time =~ /^timestamptz/ ? $time : "timestamptz '$time'";
	return "DO \$\$BEGIN PERFORM set_config('pattyly.frozen_clock', ($expression)::text, false); END\$\$;\n";
}

# One row for each algorithm, as (algorithm => value) pairs: "ALGORITHM" in the SQL is replaced by its name.
sub on_every_algorithm
{
	my ($node, $time, $expression) = @_;
	my $sql = join ";\n",
	  map { my $sql = "SELECT '$_', $expression"; $sql =~ s/ALGORITHM/$_/g; $sql } @ALGORITHMS;
	return { map { split /\|/, $_, 2 } split /\n/, at($node, $time, $sql) };
}

# ---- the log ----

sub log_mark { return (-s $_[0]->logfile) || 0 }

sub log_since
{
	my ($node, $mark) = @_;
	open my $log, '<', $node->logfile or die "could not open the log: $!";
	seek $log, $mark, 0;
	local $/ = undef;
	return <$log> // '';
}

# What an administrator would be worried by; a server that lost a process says so in LOG lines.
sub complaints
{
	my ($node, $mark) = @_;
	return join "\n", grep { /(WARNING|PANIC|ERROR):/ } split /\n/, log_since($node, $mark);
}

# ---- processes ----

sub wait_until
{
	my ($what, $test, $seconds) = @_;
	for (1 .. ($seconds // 30) * 20)
	{
		return 1 if $test->();
		usleep(50_000);
	}
	diag "gave up waiting: $what";
	return 0;
}

# The postmaster starts everything anew when a process is killed; until then connections are refused.
sub wait_for_restart
{
	my ($node, $mark) = @_;
	return wait_until('the server is back',
		sub { log_since($node, $mark) =~ /was terminated by signal 9/ && eval { at($node, undef, 'SELECT 1') } });
}

# The postmaster first, so that it cleans nothing up, and every process it had.
sub kill_server
{
	my ($node) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @children = _children_of($postmaster);

	$node->kill9;
	kill 9, @children;
	return wait_until('every process is gone', sub { !grep { kill 0, $_ } $postmaster, @children });
}

sub _children_of
{
	my ($parent) = @_;
	my @children;
	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my $line = <$file> // '';
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $parent;
	}
	return @children;
}

# For clients that cannot set the clock themselves, as PGOPTIONS; an empty time is the real clock.
sub clock_option { my ($time) = @_; return "-c pattyly.frozen_clock=" . $time =~ s/ /\\ /gr }

# pgbench in the background, with the clock stopped; it ends by itself when the server does.
sub background_bench
{
	my ($node, $time, $options, $script) = @_;
	my $file = $node->basedir . '/bench-' . ++$main::bench_number . '.sql';
	my $bench = { out => '', err => '' };

	append_to_file($file, $script);
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGOPTIONS} = clock_option($time);
	$bench->{run} = IPC::Run::start(
		[ 'pgbench', '-n', split(/\s+/, $options), '-f', $file, 'postgres' ],
		'<', \undef, '>', \$bench->{out}, '2>', \$bench->{err},
		IPC::Run::timeout(120));
	return $bench;
}

sub finish_bench { my ($bench) = @_; $bench->{run}->finish; return bench_count($bench) }

# How many transactions got their answer.
sub bench_count
{
	my ($bench) = @_;
	return $bench->{out} =~ /actually processed: (\d+)/ ? $1 : die "pgbench said: $bench->{out}$bench->{err}";
}

# Builds with FAULTS=1 have them; run-tests says so.
sub has_fault_points { return $ENV{PATTYLY_FAULTS} ? 1 : 0 }

# What is changed for sessions to come is for the kept one as well.
package PattylyNode::Server;
use parent -norequire, 'PostgreSQL::Test::Cluster';

sub reload  { my ($node, @arguments) = @_; Session::end($node); return $node->SUPER::reload(@arguments) }
sub restart { my ($node, @arguments) = @_; Session::end($node); return $node->SUPER::restart(@arguments) }
sub stop    { my ($node, @arguments) = @_; Session::end($node); return $node->SUPER::stop(@arguments) }

1;
