# Behind a pooler in transaction mode the next transaction may run in any session. What counts, counts the same: nothing
# of a client stays behind in the session for the next one.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run ();
use PattylyNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
if (!$pgbouncer)
{
	die "pgbouncer is not installed, and CI must not go without it" if $ENV{CI};
	plan skip_all => 'pgbouncer is not installed';
}

my $node = new_server('behind', 'pattyly.max_keys = 1000', "pattyly.frozen_clock = '$T0'");
at($node, undef, q{
	CREATE ROLE app LOGIN;
	CREATE ROLE service_role;
	GRANT service_role TO app;
	SELECT pattyly.grant_api();
	SELECT pattyly.set_limit('login', 20, '1 hour', 'fixed_window');
	SELECT pattyly.set_limit('log', 20, '1 hour', 'sliding_log');
	INSERT INTO pattyly.routes (path, limits, keyed_by) VALUES ('/rpc/login', '{login}', 'user')});

# ---- the pooler ----

sub start_pooler
{
	my ($name, $pool_size) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($host, $server_port) = ($node->host, $node->port);

	append_to_file("$directory/users", qq{"app" ""\n});
	append_to_file("$directory/pgbouncer.ini", <<"INI");
[databases]
postgres = host=$host port=$server_port dbname=postgres
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $directory
auth_type = trust
auth_file = $directory/users
pool_mode = transaction
default_pool_size = $pool_size
max_client_conn = 100
server_reset_query_always = 1
ignore_startup_parameters = extra_float_digits,options
logfile = $directory/log
INI
	my $pooler = { directory => $directory, port => $port, out => '' };
	$pooler->{run} = IPC::Run::start([ $pgbouncer, "$directory/pgbouncer.ini" ], '<', \undef, '>&', \$pooler->{out}, IPC::Run::timeout(120));
	wait_until("$name listens", sub { -S "$directory/.s.PGSQL.$port" }) or BAIL_OUT($pooler->{out});
	return $pooler;
}

sub stop_pooler { my ($pooler) = @_; $pooler->{run}->kill_kill }

sub connect_to
{
	my ($pooler) = @_;
	local $ENV{PGHOST} = $pooler->{directory};
	my ($in, $out, $err) = ('', '', '');
	return { in => \$in, out => \$out, err => \$err, n => 0, run => IPC::Run::start(
		[ 'psql', '-XAtq', "host=$pooler->{directory} port=$pooler->{port} user=app dbname=postgres" ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(60)) };
}

# The output of a statement, or its error.
sub says
{
	my ($client, $sql) = @_;
	my $end = 'end of statement ' . ++$client->{n};
	${ $client->{$_} } = '' for qw(out err);
	${ $client->{in} } .= "$sql;\n\\echo '$end'\n\\warn '$end'\n";
	$client->{run}->pump until ${ $client->{out} } =~ /$end\n/ && ${ $client->{err} } =~ /$end\n/;
	return $1 if ${ $client->{err} } =~ /ERROR: +(.*)/;
	return ${ $client->{out} } =~ s/\n?$end\n//r;
}

sub disconnect { my ($client) = @_; ${ $client->{in} } .= "\\q\n"; $client->{run}->finish }

# ---- the tests ----

my $pooler = start_pooler('a pooler with one session', 1);
my ($one, $two) = (connect_to($pooler), connect_to($pooler));

subtest 'two clients in one session count as one would' => sub {
	is(says($one, 'SELECT pg_backend_pid()'), says($two, 'SELECT pg_backend_pid()'), 'they share a session');
	my @answers = map { says($_ % 2 ? $one : $two, q{SELECT pattyly.allow('login', 'a')}) } 1 .. 25;
	is(join('', @answers), 't' x 20 . 'f' x 5, 'exactly 20 of 25 pass');
};

subtest 'DISCARD ALL between the calls' => sub {
	my @answers = map { says($one, 'DISCARD ALL'); says($_ % 2 ? $one : $two, q{SELECT pattyly.allow('log', 'a')}) } 1 .. 25;
	is(join('', @answers), 't' x 20 . 'f' x 5, 'exactly 20 of 25 pass');
	is(says($two, q{DISCARD ALL; SELECT (pattyly.peek_limit('log', 'a')).remaining}), 0, 'nothing is given back');
};

subtest 'what one client sets is not believed of the other' => sub {
	my $claims = sub { "BEGIN; SET LOCAL request.jwt.claims = '{\"sub\": \"$_[0]\"}'; SET LOCAL request.method = 'POST'; SET LOCAL request.path = '/rpc/login'; "
		  . "SET LOCAL request.headers = '{\"x-forwarded-for\": \"198.51.100.7\"}'; SELECT pattyly.pre_request(); COMMIT" };
	says($one, $claims->('alice')) for 1 .. 3;
	says($two, $claims->('bob'));
	is(at($node, undef, q{SELECT remaining FROM pattyly.peek_limit('login', 'alice')}), 17, 'alice used three');
	is(at($node, undef, q{SELECT remaining FROM pattyly.peek_limit('login', 'bob')}), 19, 'bob used one');
};

subtest 'a client cannot set itself free' => sub {
	like(says($one, "SET pattyly.frozen_clock = '2040-01-01'"), qr/permission denied to set parameter/, 'by another time');
	like(says($one, 'SET pattyly.on_limiter_failure = allow'), qr/permission denied to set parameter/, 'by letting failures pass');
	like(says($one, "SELECT set_config('pattyly.trusted_proxies', '5', false)"), qr/permission denied to set parameter/, 'by trusting proxies');
	like(says($one, q{SELECT pattyly.reset_limit('login', 'a')}), qr/permission denied/, 'by a reset');
	is(says($two, q{SELECT pattyly.allow('login', 'a')}), 'f', 'the limit holds');
};

subtest 'rule changes reach a session that a pooler keeps' => sub {
	at($node, undef, q{SELECT pattyly.set_limit('login', 22, '1 hour', 'fixed_window')});
	is(says($_, q{SELECT pattyly.allow('login', 'a')}), 't', 'the next call sees it') for $one, $two;
	is(says($one, q{SELECT pattyly.allow('login', 'a')}), 'f', 'and no more than it says');
};

disconnect($_) for $one, $two;
stop_pooler($pooler);

subtest 'many clients over a few sessions' => sub {
	my $few = start_pooler('a pooler with four sessions', 4);
	my $file = $node->basedir . '/pooled.sql';
	my ($out, $err) = ('', '');
	at($node, undef, q{SELECT pattyly.set_limit('busy', 500, '1 hour')});
	append_to_file($file, "\\set end random(0, 1)\nBEGIN;\nSELECT pattyly.allow('busy', 'a');\n\\if :end\nCOMMIT;\n\\else\nROLLBACK;\n\\endif\n");
	ok(IPC::Run::run([ 'pgbench', '-n', '-c', 32, '-j', 2, '-t', 20, '-f', $file, '-h', $few->{directory}, '-p', $few->{port}, '-U', 'app', 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60)), 'all come to their end') or diag $err;
	is(at($node, undef, q{SELECT allowed, denied FROM pattyly.limit_stats WHERE limit_name = 'busy'}), '500|140', 'exactly 500 of 640 pass');
	stop_pooler($few);
};

$node->stop;
done_testing();
