# Without shared_preload_libraries there is no shared memory to count in. The extension can be installed all the same,
# says what is missing, and never lets a call pass in silence; once preloaded it works without being made anew.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('preload', 'bare');

# One statement in a session of its own: [SQLSTATE or '', output, all messages].
sub outcome
{
	my ($sql) = @_;
	my ($status, $out, $err) = run_at($node, undef, $sql);
	my ($code) = $err =~ /ERROR: +([0-9A-Z]{5}):/;
	return [ $code // '', $out, $err ];
}

# What counts or looks at counts, with what it answers under on_limiter_failure = allow.
my %CHECKS = (
	q{SELECT pattyly.allow('login', 'a')}                              => 't',
	q{SELECT * FROM pattyly.check_limit('login', 'a')}                 => 't|||||||',
	q{SELECT * FROM pattyly.check_limit('a', 5, '1 hour')}             => 't|||||||',
	q{SELECT * FROM pattyly.check_limits('{login}', 'a')}              => 't|||||||',
	q{SELECT pattyly.enforce_limit('login', 'a')}                      => '',
	q{SELECT * FROM pattyly.peek_limit('login', 'a')}                  => 't|||||||',
	q{SELECT * FROM pattyly.refund_limit('login', 'a')}                => 't|||||||',
	q{SET request.method = 'POST'; SET request.path = '/rpc/login'; SELECT pattyly.pre_request()} => '',
);

# An administrator's call has nothing to be let pass.
my @ADMINISTRATION = (
	q{SELECT pattyly.reset_limit('login', 'a')},
	q{SELECT pattyly.reset_limit('login')},
	q{SELECT pattyly.block_key('login', 'a', '1 hour')},
	q{SELECT pattyly.unblock_key('login', 'a')},
	q{SELECT * FROM pattyly.top_keys()},
	q{SELECT * FROM pattyly.limit_stats},
	q{SELECT * FROM pattyly.limit_memory},
);

sub is_refused_clearly
{
	my ($sql, $name) = @_;
	my ($code, $out, $messages) = @{ outcome($sql) };
	is($code, '55000', "$name: SQLSTATE");
	like($messages, qr/pattyly was not loaded at server start.*HINT: .*shared_preload_libraries/s, "$name: says what to do");
}

subtest 'CREATE EXTENSION works and says what is missing' => sub {
	my ($code, $out, $messages) = @{ outcome('CREATE EXTENSION pattyly') };
	is($code, '', 'it succeeds');
	is(() = $messages =~ /WARNING:/g, 1, 'with one WARNING');
	like($messages, qr/WARNING: .*was not loaded at server start.*HINT: .*shared_preload_libraries.*restart/s, 'that names the setting and the restart');
	is(outcome('SELECT pattyly.is_preloaded()')->[1], 'f', 'is_preloaded() says so too');
};

subtest 'rules can be written' => sub {
	is(outcome(q{
		SELECT pattyly.set_limit('login', 2, '1 hour');
		SELECT pattyly.load_preset('api');
		INSERT INTO pattyly.routes (path, limits) VALUES ('/rpc/login', '{login}');
		INSERT INTO pattyly.ip_list (network, action) VALUES ('10.0.0.0/8', 'allow')})->[0], '', 'into all tables');
	is(outcome(q{SELECT pattyly.set_limit('bad', -1, '1 hour')})->[0], '22023', 'and are checked');
};

subtest 'every check raises a clear error' => sub { is_refused_clearly($_, $_) for sort keys %CHECKS };
subtest 'so does every administration' => sub { is_refused_clearly($_, $_) for @ADMINISTRATION };

subtest 'with on_limiter_failure = allow' => sub {
	is_deeply([ @{ outcome("SET pattyly.on_limiter_failure = allow; $_") }[ 0, 1 ] ], [ '', $CHECKS{$_} ], "allowed: $_")
	  for sort keys %CHECKS;
	is(outcome("SET pattyly.on_limiter_failure = allow; $_")->[0], '55000', "still an error: $_") for @ADMINISTRATION;
	$node->safe_psql('postgres', 'ALTER DATABASE postgres SET pattyly.on_limiter_failure = allow');
	is(outcome(q{SELECT pattyly.allow('login', 'a')})->[1], 't', 'also as a setting of the database, read before the library is there');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET pattyly.on_limiter_failure');
};

subtest 'what needs no memory works' => sub {
	is(outcome(q{SELECT pattyly.client_key('::ffff:192.0.2.1')})->[1], '192.0.2.1', 'client_key');
	is(outcome(q{SELECT pattyly.client_ip() IS NULL})->[1], 't', 'client_ip');
	is(outcome(q{SELECT pattyly.limit_headers(ROW(true, 'x', 5, 4, now(), NULL, NULL, NULL)::pattyly.limit_result) IS NOT NULL})->[0], '', 'limit_headers');
};

subtest 'a session that loads the library itself' => sub {
	is(outcome('LOAD \'pattyly\'; SELECT 1')->[1], 1, 'lives');
	is_refused_clearly(q{LOAD 'pattyly'; SELECT pattyly.allow('login', 'a')}, 'and is refused');
	is(outcome(q{LOAD 'pattyly'; SHOW pattyly.on_limiter_failure})->[1], 'deny', 'and sees the settings');
	is(outcome(q{LOAD 'pattyly'; SET pattyly.nonsense = 1})->[0], '42602', 'and only those that there are');
	is(outcome(q{LOAD 'pattyly'; SET pattyly.frozen_clock = 'nonsense'})->[0], '22023', 'which are checked');
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET session_preload_libraries = 'pattyly'");
	is_refused_clearly(q{SELECT pattyly.allow('login', 'a')}, 'session_preload_libraries');
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET session_preload_libraries');
};

subtest 'a backup' => sub {
	my $directory = $node->basedir . '/backups';
	mkdir $directory, 0700 or die "mkdir: $!";
	my $call = "LOAD 'pattyly'; SET pattyly.backup_directory = '$directory'";
	$node->safe_psql('postgres', 'CREATE TABLE counted AS SELECT generate_series(1, 7)');
	like($node->safe_psql('postgres', "$call;\nCALL pattyly.run_backup('b');\nSELECT state, manifest FROM pattyly.backups"), qr/^done\|\{"public.counted": 7\}$/,
		'is made: nobody tells what is copied, and so all is counted');
};

subtest 'nothing crashed' => sub {
	unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'no process died');
	ok(!-e $node->data_dir . '/pg_stat_tmp/pattyly_limits.state', 'no state file was made');
};

subtest 'preloaded, it works as it is' => sub {
	my $mark = log_mark($node);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pattyly'");
	$node->restart;
	is(complaints($node, $mark), '', 'the start is silent');
	is(outcome('SELECT pattyly.is_preloaded()')->[1], 't', 'is_preloaded() says so');
	is(outcome(q{SELECT pattyly.allow('login', 'a') FROM generate_series(1, 3)})->[1], "t\nt\nf", 'the rule that was written before counts');
	is(outcome($_)->[0], '', $_) for @ADMINISTRATION;
	is(outcome(q{SELECT used FROM pattyly.limit_memory})->[1], 1, 'there is memory');
	is(outcome('LOAD \'pattyly\'; SELECT pattyly.is_preloaded()')->[1], 't', 'LOAD in a session changes nothing');
};

subtest 'the library without the extension' => sub {
	my ($code, $out, $messages) = @{ outcome('DROP EXTENSION pattyly; SELECT 1') };
	is($code, '', 'the extension can be dropped');
	is(outcome('CREATE EXTENSION pattyly')->[2], '', 'and made anew, without a WARNING');
};

subtest 'no more preloaded, after it was' => sub {
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
	$node->restart;
	is_refused_clearly(q{SELECT * FROM pattyly.limit_memory}, 'memory is gone');
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'pattyly'");
	$node->restart;
	is(outcome(q{SELECT count(*) FROM pattyly.limit_memory})->[1], 1, 'and comes back');
};

$node->stop;
done_testing();
