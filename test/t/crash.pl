# Whoever dies, and however: not one answered check is forgotten, none is half counted, and the server comes up without
# a complaint. A check that was killed before it could answer may be counted or not, but under all of its limits or none.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;

my $node = new_server('crash', 'pattyly.max_keys = 150000');

at($node, undef, "SELECT pattyly.set_limit('$_', 64, '1 hour', '$_')") for @ALGORITHMS;
at($node, undef, "SELECT pattyly.set_limit('guard', 1, '1 hour', 'fixed_window', block_for => '30 min')");
my $all_names = "'{" . join(',', @ALGORITHMS) . "}'";

# What each algorithm says a key has used; its rules allow 64.
sub used
{
	my ($key) = @_;
	return on_every_algorithm($node, $T0, "64 - (pattyly.peek_limit('ALGORITHM', '$key')).remaining");
}

sub all { my ($n) = @_; return { map { $_ => $n } @ALGORITHMS } }

# Lets the server recover from a death, and tells what the log has to complain of.
sub complaints_after_death
{
	my ($mark) = @_;
	ok(wait_for_restart($node, $mark), 'the server is back') or BAIL_OUT('no server');
	return complaints($node, $mark);
}

# ---- between two checks ----

subtest 'kill -9 of a session between two checks' => sub {
	my $mark = log_mark($node);
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe("SET pattyly.frozen_clock = '$T0'");
	$session->query_safe("SELECT pattyly.allow('$_', 'between') FROM generate_series(1, 7)") for @ALGORITHMS;
	$session->query_safe("SELECT pattyly.allow('guard', 'between') FROM generate_series(1, 2)");
	$session->query_safe("SELECT pattyly.check_limit('adhoc', 9, '1 hour', 4)");
	at($node, $T0, "SELECT pattyly.block_key('gcra', 'banned', '1 day', 'a reason')");
	my $stats = at($node, $T0, 'SELECT * FROM pattyly.limit_stats s ORDER BY s::text');
	kill 9, $session->query_safe('SELECT pg_backend_pid()');

	is(complaints_after_death($mark), '', 'the log has no complaint');
	$session->quit;
	is_deeply(used('between'), all(7), 'every algorithm remembers what was used');
	is(at($node, $T0, q{
		SELECT (pattyly.peek_limit('guard', 'between')).reason, (pattyly.check_limit('adhoc', 9, '1 hour', 0)).remaining}),
		'blocked|5', 'so do an automatic block and a limit without a rule');
	is(at($node, $T0, q{SELECT key, block_reason FROM pattyly.top_keys('gcra') WHERE blocked_until IS NOT NULL}),
		'banned|a reason', 'and a block with its reason');
	is(at($node, $T0, 'SELECT * FROM pattyly.limit_stats s ORDER BY s::text'), $stats, 'and the statistics');
};

# ---- in the middle of a check ----

sub die_at
{
	my ($place, $sql) = @_;
	my $mark = log_mark($node);
	my ($status) = run_at($node, $T0, "SET pattyly.fault_point = '$place'; $sql");
	isnt($status, 0, "the session died at $place");
	return complaints_after_death($mark);
}

# The answer was never given, and the one store that would have counted the hit was not done.
sub dying_before_commit
{
	my ($algorithm) = @_;
	at($node, $T0, "SELECT pattyly.allow('$algorithm', 'known') FROM generate_series(1, 3)");
	is(die_at('keytable_before_commit', "SELECT pattyly.allow('$algorithm', 'known')"),
		'', 'a known key: the log has no complaint');
	is(used('known')->{$algorithm}, 3, 'a known key: not counted, and nothing lost');
	is(die_at('keytable_before_commit', "SELECT pattyly.allow('$algorithm', 'fresh')"),
		'', 'a fresh key: the log has no complaint');
	is(used('fresh')->{$algorithm}, 0, 'a fresh key: not counted');
	is(at($node, $T0, "SELECT count(pattyly.allow('$algorithm', 'fresh')) FROM generate_series(1, 5)"), 5, 'a fresh key: can be used again');
	is(used('fresh')->{$algorithm}, 5, 'a fresh key: counts from zero');
}

# A fresh key also needs its detail, so its first hit goes through the journal. A sliding_log gets its extra storage
# first, in a step of its own, and dies in that.
sub dying_amid_first_hit
{
	my ($algorithm) = @_;
	my $counted = $algorithm eq 'sliding_log' ? 0 : 4;

	is(die_at('keytable_amid_commit', "SELECT pattyly.allow('$algorithm', 'newborn', 4)"), '', 'the log has no complaint');
	is(used('newborn')->{$algorithm}, $counted, 'what was in the journal is counted, once');
	at($node, $T0, "SELECT pattyly.allow('$algorithm', 'newborn')");
	is(at($node, $T0, "SELECT key, used FROM pattyly.top_keys('$algorithm') WHERE key = 'newborn'"),
		'newborn|' . ($counted + 1), 'the key has its name and counts on');
}

SKIP:
{
	skip 'this build has no fault points', 2 * @ALGORITHMS unless has_fault_points();
	for my $algorithm (@ALGORITHMS)
	{
		subtest "kill -9 before a check is counted, $algorithm" => sub { dying_before_commit($algorithm) };
		subtest "kill -9 amid the first hit of a key, $algorithm" => sub { dying_amid_first_hit($algorithm) };
	}
}

# ---- several limits in one step ----

SKIP:
{
	skip 'this build has no fault points', 2 unless has_fault_points();

	subtest 'kill -9 amid a check of several limits: all of them or none' => sub {
		at($node, $T0, "SELECT pattyly.check_limits($all_names, 'many', 2)");
		is(die_at('keytable_amid_commit', "SELECT pattyly.check_limits($all_names, 'many', 3)"), '', 'known keys: no complaint');
		is_deeply(used('many'), all(5), 'known keys: counted under all');
		is(die_at('keytable_before_commit', "SELECT pattyly.check_limits($all_names, 'many', 3)"), '', 'before: no complaint');
		is_deeply(used('many'), all(5), 'before: counted under none');
		is(die_at('keytable_amid_commit', "SELECT pattyly.check_limits($all_names, 'many fresh', 3)"), '', 'fresh keys: no complaint');
		my $fresh = used('many fresh');
		is_deeply($fresh, all($fresh->{gcra} ? 3 : 0), 'fresh keys: counted under all or none');
	};

	# Hits that others were told of before the death stand, though the journal names the same keys.
	subtest 'a replayed journal does not undo what others counted' => sub {
		my $bench = background_bench($node, $T0, '-c 4 -T 20',
			"\\set n random(1, 2000)\nSELECT pattyly.check_limits($all_names, 'k' || :n);\n");
		wait_until('the others are at work', sub {
			at($node, $T0, q{SELECT coalesce(sum(used), 0) > 1000 FROM pattyly.top_keys('gcra', 100000) WHERE key ~ '^k\d'}) eq 't'
		});
		is(die_at('keytable_amid_commit', "SELECT pattyly.check_limits($all_names, 'k' || k) FROM generate_series(1, 2000) k"), '', 'no complaint');
		my $answered = finish_bench($bench);
		my %sum = map { split /\|/ } split /\n/, at($node, $T0, q{
			SELECT limit_name, sum(used) FROM pattyly.top_keys(NULL, 100000) WHERE key ~ '^k\d' GROUP BY 1});
		my $least = (sort { $a <=> $b } values %sum)[0];
		is_deeply(\%sum, all($least), "every algorithm counted the same ($least)");
		cmp_ok($least, '>=', $answered, "every answered check is counted ($answered)");
		cmp_ok($least, '<=', $answered + 5, 'and of the others at most the one each that was under way');
	};
}

# ---- everybody dies at once ----

sub bench_script { my ($algorithm, $prefix) = @_; return "\\set n random(1, 2500)\nSELECT pattyly.allow('$algorithm', '$prefix' || :n);\n" }

# Benches that count under each algorithm, over many keys, known and fresh, until the server is gone.
sub counting_until
{
	my ($prefix, $end) = @_;
	my %bench = map { $_ => background_bench($node, $T0, '-c 2 -T 20', bench_script($_, $prefix)) } @ALGORITHMS;

	for my $algorithm (@ALGORITHMS)
	{
		wait_until("the bench of $algorithm is at work", sub {
			at($node, $T0, "SELECT coalesce(sum(used), 0) > 200 FROM pattyly.top_keys('$algorithm', 100000) WHERE key LIKE '$prefix%'") eq 't'
		});
	}
	my $mark = log_mark($node);
	$end->();
	my %answered = map { $_ => finish_bench($bench{$_}) } @ALGORITHMS;
	return ($mark, \%answered);
}

sub nothing_answered_is_lost
{
	my ($prefix, $answered) = @_;
	for my $algorithm (@ALGORITHMS)
	{
		my $counted = at($node, $T0, "SELECT sum(used) FROM pattyly.top_keys('$algorithm', 100000) WHERE key LIKE '$prefix%'");
		cmp_ok($counted, '>=', $answered->{$algorithm}, "$algorithm: every answered check is counted ($answered->{$algorithm})");
		cmp_ok($counted, '<=', $answered->{$algorithm} + 2, "$algorithm: and at most one more of each client");
	}
}

subtest 'kill -9 of the postmaster and all its children' => sub {
	my ($mark, $answered) = counting_until('p', sub { ok(kill_server($node), 'everybody is dead') });
	$node->start;
	is(complaints($node, $mark), '', 'it starts without a complaint');
	nothing_answered_is_lost('p', $answered);
	is_deeply(used('between'), all(7), 'older counts are there too');
	cmp_ok(at($node, undef, 'SELECT restored FROM pattyly.limit_memory'), '>', 1000, 'the keys were restored');
};

subtest 'immediate shutdown' => sub {
	my ($mark, $answered) = counting_until('i', sub { $node->stop('immediate') });
	$node->start;
	is(complaints($node, $mark), '', 'it starts without a complaint');
	nothing_answered_is_lost('i', $answered);
	is_deeply(used('between'), all(7), 'older counts are there too');
};

subtest 'fast shutdown while others count' => sub {
	my ($mark, $answered) = counting_until('z', sub { $node->stop('fast') });
	$node->start;
	nothing_answered_is_lost('z', $answered);
	is_deeply(used('between'), all(7), 'older counts are there too');
	unlike(complaints($node, $mark), qr/pattyly/, 'without a complaint of pattyly');
};

subtest 'kill -9 of a session while others count' => sub {
	my ($mark, $answered) = counting_until('s', sub {
		my $mark = log_mark($node);
		my $session = $node->background_psql('postgres', on_error_stop => 0);
		kill 9, $session->query_safe('SELECT pg_backend_pid()');
		ok(wait_for_restart($node, $mark), 'the server is back');
		$session->quit;
	});
	is(complaints($node, $mark), '', 'without a complaint');
	nothing_answered_is_lost('s', $answered);
};

# The file was not sealed, and is made anew in another size.
subtest 'kill -9 of everybody, and a start with room for more or fewer keys' => sub {
	for my $max_keys (200_000, 140_000)
	{
		my $before = at($node, $T0, 'SELECT md5(string_agg(k::text, $$,$$ ORDER BY k::text)) FROM pattyly.top_keys(NULL, 100000) k');
		my $mark = log_mark($node);
		$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', $max_keys);
		kill_server($node);
		$node->start;
		is(at($node, $T0, 'SELECT md5(string_agg(k::text, $$,$$ ORDER BY k::text)) FROM pattyly.top_keys(NULL, 100000) k'), $before, "$max_keys: every key is as it was");
		is(at($node, undef, 'SELECT capacity, evicted FROM pattyly.limit_memory'), "$max_keys|0", "$max_keys: in a table of that size");
		is(complaints($node, $mark), '', "$max_keys: without a complaint");
	}
};

subtest 'a clean restart after all that' => sub {
	my $before = used('between');
	my $mark = log_mark($node);
	$node->restart;
	is_deeply(used('between'), $before, 'counts are as before');
	is(complaints($node, $mark), '', 'the log is silent');
};

# The statistics of a rule are where it looks for them first, or after those that were there before it; so no place may
# become free again. With as many rules as there are places, some are displaced.
subtest 'kill -9 while a new rule takes the statistics of one that was dropped' => sub {
	plan skip_all => 'this build has no fault points' unless has_fault_points();
	for my $round (1 .. 3)
	{
		$node->stop;
		unlink $node->data_dir . '/pg_stat_tmp/pattyly_limits.state';
		$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', 100);
		$node->start;
		at($node, $T0, q{
			TRUNCATE pattyly.limits;
			SELECT pattyly.set_limit('s' || n, 5, '1 hour') FROM generate_series(1, 32) n;
			SELECT pattyly.allow('s' || n, 'k') FROM generate_series(1, 32) n;
			SELECT pattyly.drop_limit('s1')});
		is(die_at('limits_stats_taken', "SELECT pattyly.set_limit('s33', 5, '1 hour'); SELECT pattyly.allow('s33', 'k')"), '', 'no complaint');
		is(at($node, $T0, q{SELECT string_agg(limit_name, ' ') FROM pattyly.limit_stats WHERE allowed = 0}), 's33',
			'no other rule lost its statistics');
	}
};

$node->stop;
done_testing();
