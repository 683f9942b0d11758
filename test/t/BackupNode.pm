# What the tests of backups share: a server with a directory for backups, runs in the foreground and the background, and
# the processes that a run has started.
package BackupNode;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use JSON::PP ();
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  new_backup_server directory_of files_of stages attempt backup last_backup
  in_background finish_background running_session
  setting keeper_of group_members group_gone processes program_in waits_in
  $SLEEPS
);

# Whoever sleeps in a statement, as those do that hold something while a test goes on.
our $SLEEPS = q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'};

# A scheduler works in the database postgres, and its directory for backups is empty.
sub new_backup_server
{
	my ($name, @conf) = @_;
	my $node = new_job_server($name, @conf);
	mkdir directory_of($node), 0700 or die "mkdir: $!";
	setting($node, backup_directory => directory_of($node));
	return $node;
}

sub setting
{
	my ($node, $setting, $value) = @_;
	sql($node, "ALTER SYSTEM SET pattyly.$setting = '$value'");
	$node->reload;
	return wait_for($node, "SELECT current_setting('pattyly.$setting')", $value);
}

sub directory_of { return $_[0]->basedir . '/backups' }

sub files_of { return join ' ', sort map { s|.*/||r } glob directory_of($_[0]) . '/*' }

# stages(['pg_dump', '-Fc'], ['gzip']) as a statement.
sub stages
{
	my $json = JSON::PP->new->canonical->encode([@_]);
	return "SET pattyly.backup_stages = '" . ($json =~ s/'/''/gr) . "';\n";
}

# Statements, and what psql ended with: (exit status, output, messages).
sub attempt { my ($node, $sql, $database) = @_; return run_at($node, undef, $sql, $database) }

# Makes a backup, settings before; what was said.
sub backup
{
	my ($node, $label, $settings, $database) = @_;
	my ($status, $out, $err) = attempt($node, ($settings // '') . "CALL pattyly.run_backup('$label')", $database);
	return $err;
}

# Columns of the newest row.
sub last_backup
{
	my ($node, $columns, $database) = @_;
	return sql($node, "SELECT $columns FROM pattyly.backups ORDER BY id DESC LIMIT 1", $database);
}

# ---- in the background ----

my $background = 0;

sub in_background
{
	my ($node, $sql, $database) = @_;
	my $job = { out => '', err => '' };
	my $file = $node->basedir . '/background-' . ++$background . '.sql';
	append_to_file($file, $sql);
	$job->{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-f', $file, '-d', $node->connstr($database // 'postgres') ],
		'<', \undef, '>', \$job->{out}, '2>', \$job->{err}, IPC::Run::timeout(120));
	return $job;
}

# What it said, once it has ended.
sub finish_background
{
	my ($job) = @_;
	eval { $job->{run}->finish; 1 } or diag "psql: $@";
	return $job->{err};
}

# The process that makes a backup now, once it has started its programs.
sub running_session
{
	my ($node, $database) = @_;
	my $from = q{FROM pattyly.backups AS b JOIN pg_stat_activity AS a ON a.pid = b.session WHERE b.state = 'running'};
	wait_for($node, "SELECT count(*) $from", 1, 20, $database);
	my $pid = eval { sql($node, "SELECT a.pid $from", $database) } // '';
	wait_until('a backup runs', sub { keeper_of($pid) }, 20) if $pid =~ /^\d+$/;
	return $pid;
}

# ---- processes: [pid, parent, group, state, command line] ----

sub processes
{
	my @all;
	for my $directory (glob '/proc/[0-9]*')
	{
		open my $file, '<', "$directory/stat" or next;
		my $line = <$file> // next;
		my ($pid, $state, $parent, $group) = $line =~ /^(\d+) \(.*\) (\S) (\d+) (\d+)/s or next;
		my $command = eval { slurp_file("$directory/cmdline") } // '';
		push @all, [ $pid, $parent, $group, $state, $command =~ tr/\0/ /r ];
	}
	return @all;
}

# The leader of the group that a process has begun.
sub keeper_of
{
	my ($backend) = @_;
	my ($keeper) = grep { $_->[1] == $backend && $_->[0] == $_->[2] && $_->[3] ne 'Z' } processes();
	return $keeper ? $keeper->[0] : 0;
}

sub group_members { my ($group) = @_; return map { $_->[0] } grep { $_->[2] == $group && $_->[3] ne 'Z' } processes() }

sub group_gone { my ($group, $seconds) = @_; return wait_until('a group of processes is gone', sub { !group_members($group) }, $seconds // 2) }

# The first program of a group whose command line looks like this.
sub program_in
{
	my ($group, $pattern) = @_;
	my $found = 0;
	wait_until("a program like $pattern", sub {
		my ($program) = grep { $_->[2] == $group && $_->[3] ne 'Z' && $_->[4] =~ $pattern } processes();
		$found = $program ? $program->[0] : 0;
	}, 20);
	return $found;
}

# A run that waits: (its handle, its process, its group).
sub waits_in
{
	my ($node, $label, $settings, $database) = @_;
	my $job = in_background($node, $settings . "CALL pattyly.run_backup('$label');\n", $database);
	my $pid = running_session($node, $database);
	return ($job, $pid, $pid ? keeper_of($pid) : 0);
}

1;
