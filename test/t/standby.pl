# A hot standby limits too: it counts in its own memory, follows the rules of its primary as they are replayed, and keeps
# its counts when it is promoted. Counters never travel, neither by WAL nor by a base backup.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', 'pattyly.max_keys = 1000');

at($primary, undef, q{
	SELECT pattyly.set_limit('login', 3, '1 hour', 'fixed_window');
	SELECT pattyly.set_limit('log', 3, '1 hour', 'sliding_log')});
at($primary, $T0, q{SELECT pattyly.allow('login', 'a') FROM generate_series(1, 3)});

my $standby = PostgreSQL::Test::Cluster->new('standby');

subtest 'a base backup does not carry the counters' => sub {
	$primary->backup('base');
	ok(-f $primary->data_dir . '/pg_stat_tmp/pattyly_limits.state', 'the primary has a state file');
	is_deeply([ glob $primary->backup_dir . '/base/pg_stat_tmp/*' ], [], 'the backup has none');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby);
	is(complaints($standby, 0), '', 'the standby starts without a complaint');
	is(at($standby, undef, 'SELECT used, restored FROM pattyly.limit_memory'), '0|0', 'and with an empty table');
	is(at($standby, $T0, q{SELECT remaining FROM pattyly.peek_limit('login', 'a')}), 3, 'so its keys are full');
};

subtest 'checks work in recovery and count there alone' => sub {
	is(at($standby, $T0, 'SELECT pg_is_in_recovery(), pattyly.is_preloaded()'), 't|t', 'the standby is in recovery');
	is(at($standby, $T0, q{SELECT pattyly.allow('login', 'a') FROM generate_series(1, 4)}), "t\nt\nt\nf", 'it admits what the rule says');
	is(at($standby, $T0, q{BEGIN READ ONLY; SELECT pattyly.allow('log', 'b', 2); ROLLBACK; SELECT (pattyly.peek_limit('log', 'b')).remaining}),
		"t\n1", 'read only and rolled back, it counts');
	is(at($standby, $T0, q{SELECT allowed FROM pattyly.check_limits('{login,log}', 'b')}), 't', 'several limits at once');
	is(at($standby, $T0, q{SELECT allowed FROM pattyly.check_limit('c', 1, '1 min')}), 't', 'a limit without a rule');
	is(at($standby, $T0, q{SELECT pattyly.block_key('login', 'd', '1 hour', 'here only'); SELECT pattyly.reset_limit('log', 'b')}),
		"\nt", 'an administrator can block and reset');
	is(at($standby, $T0, q{SELECT limit_name, allowed, denied FROM pattyly.limit_stats ORDER BY 1}), "log|2|0\nlogin|4|1", 'with statistics of its own');

	is(at($primary, $T0, q{SELECT remaining FROM pattyly.peek_limit('login', 'b')}), 3, 'the primary knows nothing of it');
	is(at($primary, $T0, q{SELECT pattyly.allow('login', 'd')}), 't', 'nor of the block');
	is(at($primary, $T0, q{SELECT allowed, denied FROM pattyly.limit_stats WHERE limit_name = 'login'}), '4|0', 'nor in its statistics');
	like(error_of($standby, $T0, q{SELECT pattyly.set_limit('login', 5, '1 hour')}), qr/25006.*read-only transaction/, 'rules are changed on the primary');
};

subtest 'backups are the primary\'s' => sub {
	like(error_of($standby, $T0, "SET pattyly.backup_directory = '/tmp'; $_"), qr/25006: backups cannot be made, verified or removed on a standby/, $_)
	  for 'CALL pattyly.run_backup()', 'CALL pattyly.verify_backup()', 'CALL pattyly.expire_backups(false)';
	is((run_at($standby, $T0, 'CALL pattyly.expire_backups()'))[0], 0, 'what would expire is said there, too');
};

# A session that has the rules in its memory must learn of a change without being told by its client.
subtest 'rules arrive when they are replayed, in sessions that are open' => sub {
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	my $max = sub { $session->query_safe(q{SELECT max_hits FROM pattyly.peek_limit('login', 'e')}) };
	my $replay = sub { at($primary, undef, $_[0]); $primary->wait_for_catchup($standby) };

	is($max->(), 3, 'the session knows the rule');
	$replay->(q{SELECT pattyly.set_limit('login', 30, '1 hour', 'fixed_window')});
	is($max->(), 30, 'a changed rule');
	$replay->(q{BEGIN; SELECT pattyly.set_limit('login', 1, '1 hour'); ROLLBACK; SELECT pg_current_wal_lsn()});
	is($max->(), 30, 'not one that was rolled back');
	$replay->(q{SELECT pattyly.set_limit('fresh', 7, '1 hour')});
	is($session->query_safe(q{SELECT max_hits FROM pattyly.peek_limit('fresh', 'e')}), 7, 'a new rule');
	$replay->(q{SELECT pattyly.drop_limit('fresh')});
	$session->query(q{SELECT pattyly.allow('fresh', 'e')});
	like($session->{stderr}, qr/rate limit "fresh" does not exist/, 'a dropped rule');
	$session->{stderr} = '';
	$replay->(q{INSERT INTO pattyly.ip_list (network, action) VALUES ('192.0.2.0/24', 'deny')});
	is($session->query_safe(q{SELECT reason FROM pattyly.check_limit('login', '192.0.2.7')}), 'denied', 'a denied network');
	$replay->(q{INSERT INTO pattyly.routes (path, limits) VALUES ('/rpc/login', '{login}')});
	$session->query_safe(q{SET request.method = 'POST'; SET request.path = '/rpc/login'; SET request.headers = '{"x-forwarded-for": "198.51.100.1"}'; SET pattyly.trusted_proxies = '1'});
	$session->query_safe(q{SELECT pattyly.pre_request()});
	is($session->query_safe(q{SELECT remaining FROM pattyly.peek_limit('login', '198.51.100.1')}), 29, 'a route');
	$session->quit;
};

subtest 'a standby that restarts keeps its counts' => sub {
	my $before = at($standby, $T0, q{SELECT * FROM pattyly.top_keys() k ORDER BY k::text});
	my $mark = log_mark($standby);
	like($before, qr/here only/, 'there are some');
	$standby->restart;
	is(at($standby, $T0, q{SELECT * FROM pattyly.top_keys() k ORDER BY k::text}), $before, 'all of them, blocks too');
	$standby->stop('immediate');
	$standby->start;
	is(at($standby, $T0, q{SELECT * FROM pattyly.top_keys() k ORDER BY k::text}), $before, 'after an immediate shutdown too');
	is(complaints($standby, $mark), '', 'without a complaint');
};

subtest 'promotion keeps the counts' => sub {
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("SET pattyly.frozen_clock = '$T0'; SELECT pattyly.peek_limit('login', 'a')");
	my $before = at($standby, $T0, q{SELECT * FROM pattyly.top_keys() k ORDER BY k::text});
	my $mark = log_mark($standby);

	$standby->promote;
	is(at($standby, $T0, q{SELECT * FROM pattyly.top_keys() k ORDER BY k::text}), $before, 'all of them');
	at($standby, undef, q{SELECT pattyly.set_limit('login', 50, '1 hour', 'fixed_window')});
	is($session->query_safe(q{SELECT max_hits FROM pattyly.peek_limit('login', 'a')}), 50, 'rules can be changed there now, and arrive');
	is(at($standby, $T0, q{SELECT remaining FROM pattyly.peek_limit('login', 'a')}), 47, 'units already used stay used');
	$session->quit;
	$standby->restart;
	is(at($standby, $T0, q{SELECT remaining FROM pattyly.peek_limit('login', 'a')}), 47, 'after a restart too');
	is(complaints($standby, $mark), '', 'without a complaint');
};

subtest 'a copy of the whole directory is another table from then on' => sub {
	$primary->stop;
	$primary->backup_fs_cold('cold');
	my $copy = PostgreSQL::Test::Cluster->new('copy');
	$copy->init_from_backup($primary, 'cold');
	$primary->start;
	$copy->start;
	at($copy, $T0, q{SELECT pattyly.allow('login', 'f', 2)});
	is(at($primary, $T0, q{SELECT remaining FROM pattyly.peek_limit('login', 'f')}), 30, 'what one counts the other does not see');
	$copy->stop;
};

$primary->stop;
$standby->stop;
done_testing();
