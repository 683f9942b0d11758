# A session that is kept, because to begin one costs more than nearly all that tests ask: a psql for a database, reset
# between one request and the next.
package Session;

use strict;
use warnings;
use Errno;
use IPC::Open3 qw(open3);
use PostgreSQL::Test::Utils ();

my $END = '(the end of the answer)';
my %kept;

# What the statements print. An error ends the session, and the caller dies of it.
sub ask
{
	my ($node, $sql, $database) = @_;
	my $session = _kept($node, $database);
	my $answer  = _say($session, $sql);

	if (!defined $answer)
	{
		my $error = PostgreSQL::Test::Utils::slurp_file($session->{errors});
		end($node, $database);
		die "error running SQL: '$error'\nwith sql '$sql'\n";
	}
	# What a session is told when it begins.
	end($node, $database) if !defined _say($session, 'DISCARD ALL') || $sql =~ /\bALTER\s+(DATABASE|ROLE|USER|SYSTEM)\b|pg_reload_conf/i;
	return $answer =~ s/\n\z//r;
}

sub end
{
	my ($node, $database) = @_;
	my $session = delete $kept{ _name($node, $database) } or return;
	close $session->{in};
	close $session->{out};
	waitpid $session->{pid}, 0;
	return;
}

sub _name { my ($node, $database) = @_; return $node->connstr($database // 'postgres') }

sub _kept
{
	my ($node, $database) = @_;
	my $session = $kept{ _name($node, $database) };

	return $session if $session && defined _say($session, 'SELECT 1');
	end($node, $database);
	return $kept{ _name($node, $database) } = _begin(_name($node, $database));
}

sub _begin
{
	my ($name) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my %session = (script => "$dir/script.sql", errors => "$dir/errors");

	open my $errors, '>', $session{errors} or die "$session{errors}: $!";
	$session{pid} = open3($session{in}, $session{out}, '>&' . fileno $errors,
		'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $name, '-f', '-');
	return \%session;
}

# What is printed, or nothing when psql ends instead.
sub _say
{
	my ($session, $sql) = @_;
	my $said = '';

	local $SIG{PIPE} = 'IGNORE';
	open my $script, '>', $session->{script} or die "$session->{script}: $!";
	print $script $sql;
	close $script;
	print { $session->{in} } "\\i $session->{script}\n\\echo $END\n";
	$session->{in}->flush;
	while (1)
	{
		my $bytes = sysread $session->{out}, $said, 65536, length $said;
		next if !defined $bytes && $!{EINTR};    # another child has ended
		return undef if !$bytes;
		return $said if $said =~ s/\Q$END\E\n\z//;
	}
}

1;
