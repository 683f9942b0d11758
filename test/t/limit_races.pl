# A process that loses its turn at the worst place, while others go on: it comes with an old time, an old look at the
# table, or an old copy of a rule. The clock stands still, or a moment has a length that no busy machine reaches.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'needs a build with FAULTS=1' unless has_fault_points();

my $node = new_server('races', 'pattyly.max_keys = 100', 'pattyly.language = en');
my $PAUSE_S = 3;

# ---- tools ----

# An empty table, with a secret of its own, on a server that has just started.
sub empty_table
{
	$node->stop;
	unlink $node->data_dir . '/pg_stat_tmp/pattyly_limits.state';
	$node->start;
}

sub rule { my (@arguments) = @_; at($node, undef, "SELECT pattyly.set_limit(@arguments)") }

# Keys that make no room for others; $n places are left.
sub fill_up_to
{
	my ($n) = @_;
	at($node, $T0, qq{SELECT count(pattyly.allow('once', 'x' || i)) FROM generate_series(1, $n - (SELECT used FROM pattyly.limit_memory)) i});
}

# Runs the call in the background, asleep at that place by the time when this returns.
my $number = 0;
sub call_that_sleeps
{
	my ($place, $time, $before, $call) = @_;
	my $mark = 'late call ' . ++$number;
	my $bench = background_bench($node, $time, '-c 1 -j 1 -t 1',
		"$before\nSET pattyly.fault_point = '$place';\nSET pattyly.fault_pause = '$PAUSE_S s';\nSELECT '$mark', $call;\n");

	wait_until('the call is under way', sub {
		at($node, undef, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT ''$mark''%'") == 1 });
	sleep 0.3;
	return $bench;
}

# ---- an old time ----

sub blocked_until { return at($node, undef, q{SELECT extract(epoch FROM blocked_until) FROM pattyly.top_keys('guard')}) }

subtest 'a call with an old time does not end a block sooner' => sub {
	for my $call ('peek_limit', 'allow', 'refund_limit')
	{
		empty_table();
		rule(q{'guard', 1, '1 hour', 'fixed_window', block_for => '1 min'});
		at($node, undef, q{SELECT pattyly.allow('guard', 'k')});
		my $late = call_that_sleeps('limits_clock_read', '', '', "pattyly.$call('guard', 'k')");
		is(at($node, undef, q{SELECT pattyly.allow('guard', 'k')}), 'f', 'another call is refused, and blocks the key');
		my $until = blocked_until();
		finish_bench($late);
		is(blocked_until(), $until, "$call: the block lasts as long");
	}
};

sub reset_at { return at($node, undef, q{SELECT extract(epoch FROM reset_at) FROM pattyly.peek_limit('r', 'k')}) }

# The one who changes the rule comes first under the new one, while all others go on under the old.
subtest 'a call with an old time that takes a key over to another storage' => sub {
	for my $way ([ 'fixed_window', 'sliding_log' ], [ 'sliding_log', 'fixed_window' ])
	{
		my ($from, $to) = @$way;
		empty_table();
		rule("'r', 5, '1 hour', '$from'");
		my $late = call_that_sleeps('limits_clock_read', '', "BEGIN;\nSELECT pattyly.set_limit('r', 5, '1 hour', '$to');",
			"pattyly.peek_limit('r', 'k');\nCOMMIT");
		is(at($node, undef, q{SELECT count(*) FILTER (WHERE pattyly.allow('r', 'k')) FROM generate_series(1, 5)}), 5, 'others use the key up');
		my $reset = reset_at();
		finish_bench($late);
		cmp_ok(reset_at(), '>=', $reset, "$from to $to: what they used ends no sooner");
	}
};

# ---- an old look at the table ----

# A look at all slots holds each of them for a moment, also those that are the storage of a log.
subtest 'a slot that changes hands while somebody looks at it' => sub {
	empty_table();
	rule(q{'once', 1, '1 day', 'fixed_window'});
	rule(q{'log', 5, '1 day', 'sliding_log'});
	at($node, $T0, q{SELECT pattyly.allow('log', 'k')});
	fill_up_to(100);
	my $look = call_that_sleeps('limits_at_extra_slot', $T0, '', '(SELECT count(*) FROM pattyly.limit_stats)');
	is(at($node, $T0, q{SELECT pattyly.allow('once', 'a'), pattyly.allow('once', 'b')}), 't|t', 'two keys take the place of the log and of its storage');
	finish_bench($look);
	my ($status, $out, $error) = run_at($node, $T0, q{SELECT pattyly.allow('once', 'a'), pattyly.allow('once', 'b')});
	is($out, 'f|f', 'both are still there') or diag $error;
	my $mark = log_mark($node);
	$node->restart;
	is(complaints($node, $mark), '', 'and a restart finds nothing to complain of');
	is(at($node, $T0, q{SELECT count(*) FROM pattyly.top_keys('once', 1000)}), 100, 'all keys are there');
};

# Two keys that were in one slot, one after the other and back: who finds both there must not lock it twice.
subtest 'two keys of a call found in the same slot' => sub {
	empty_table();
	rule(q{'once', 1, '1 day', 'fixed_window'});
	rule("'$_', 5, '1 day', 'fixed_window'") for qw(a b);
	fill_up_to(99);
	at($node, $T0, q{SELECT pattyly.allow('b', 'k')});
	my $late = call_that_sleeps('limits_part_found', $T0, '', q{pattyly.check_limits('{b,a}', 'k')});
	is(at($node, $T0, q{SELECT pattyly.allow('a', 'k')}), 't', 'the second key takes the place of the first');
	sleep $PAUSE_S;
	is(at($node, $T0, q{SELECT pattyly.allow('b', 'k')}), 't', 'and gives it back');
	ok(wait_until('the call ends', sub { at($node, undef, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%late call%' AND pid <> pg_backend_pid()}) == 0 }),
		'the call comes to its end') or $node->stop('immediate');
	$late->{run}->finish;
};

# A fresh key was refused while an administrator made room: the next one must not be told that there is none.
subtest 'room that is made while somebody looks for it' => sub {
	empty_table();
	rule(q{'once', 1, '1 day', 'fixed_window'});
	rule(q{'other', 5, '1 day', 'fixed_window'});
	fill_up_to(100);
	my $late = call_that_sleeps('keyqueue_looked', $T0, "SET pattyly.on_limiter_failure = allow;", q{pattyly.allow('other', 'late')});
	is(at($node, $T0, q{SELECT pattyly.reset_limit('once', 'x50')}), 't', 'a key is reset');
	finish_bench($late);
	is(error_of($node, $T0, q{SELECT pattyly.allow('other', 'fresh')}), '', 'a fresh key takes its place at once');
};

# ---- no room for the storage of a log ----

# What counts then is the rule before, and it may be smaller than what is asked for.
subtest 'a rule becomes a log while the table is full' => sub {
	for my $way (
		[ 'sliding_window, of which nothing is used', q{'r', 5, '1 day', 'sliding_window'}, q{SELECT pattyly.allow('r', 'k'), pattyly.refund_limit('r', 'k')}, 5 ],
		[ 'sliding_window', q{'r', 5, '1 day', 'sliding_window'}, q{SELECT pattyly.allow('r', 'k')}, 4 ],
		[ 'fixed_window, of which nothing is used', q{'r', 5, '1 day', 'fixed_window'}, q{SELECT pattyly.allow('r', 'k'), pattyly.refund_limit('r', 'k')}, 5 ],
		[ 'gcra', q{'r', 5, '1 day'}, q{SELECT pattyly.allow('r', 'k')}, 4 ],
		[ 'a smaller sliding_log', q{'r', 5, '1 day', 'sliding_log'}, q{SELECT pattyly.allow('r', 'k')}, 4 ],
		[ 'gcra of 0', q{'r', 0, '1 day'}, q{SELECT pattyly.block_key('r', 'k', '1 min')}, 0 ],
		[ 'sliding_window of 0', q{'r', 0, '1 day', 'sliding_window'}, q{SELECT pattyly.block_key('r', 'k', '1 min')}, 0 ])
	{
		my ($name, $rule, $make, $left) = @$way;
		empty_table();
		rule(q{'once', 1, '1 day', 'fixed_window'});
		rule($rule);
		fill_up_to($name =~ /log/ ? 98 : 99);
		at($node, $T0, $make);
		rule(q{'r', 64, '1 day', 'sliding_log'});
		my $then = later('2 min');
		for my $cost (10, 1, 64)
		{
			next if $cost == 1 && $left > 0;
			my ($status, $out, $error) = run_at($node, $then, qq{
				SELECT allowed, remaining, reason, retry_at BETWEEN now_ AND now_ + interval '1 day', retry_after > 0
				FROM pattyly.check_limit('r', 'k', $cost), pattyly.clock_now() now_});
			is($out, "f|$left|limited|t|t", "$name: $cost more are refused, with a time to try again") or diag $error;
		}
		like(error_of($node, $then, q{SET request.method = 'GET'; SELECT pattyly.enforce_limit('r', 'k', 64)}), qr/"status":429/, "$name: over HTTP, too");
		is((run_at($node, $then, q{SELECT count(*) > 1 FROM pattyly.limit_stats}))[1], 't', "$name: nobody waits for the key");
	}
};

# A refused step over several limits leaves a key behind that never counted; it has no rule before.
subtest 'a key that never counted, when its rule becomes a log and the table is full' => sub {
	empty_table();
	rule(q{'once', 1, '1 day', 'fixed_window'});
	rule(q{'r', 5, '1 day', 'fixed_window'});
	fill_up_to(98);
	at($node, $T0, q{SELECT pattyly.allow('once', 'k')});
	is(at($node, $T0, q{SELECT limit_name, reason FROM pattyly.check_limits('{once,r}', 'k')}), 'once|limited', 'a step over two limits is refused');
	is(at($node, undef, q{SELECT used FROM pattyly.limit_memory}), 100, 'the table is full');
	rule(q{'r', 5, '1 day', 'sliding_log'});
	is((run_at($node, $T0, q{SELECT remaining, (pattyly.refund_limit('r', 'k')).remaining, pattyly.reset_limit('r', 'k'), pattyly.unblock_key('r', 'k') FROM pattyly.peek_limit('r', 'k')}))[1],
		'5|5|f|f', 'it is as an unknown key');
	like(error_of($node, $T0, q{SELECT pattyly.allow('r', 'k')}), qr/53400: no room/, 'and finds no room');
	like(error_of($node, $T0, q{SELECT pattyly.check_limits('{r,once}', 'k')}), qr/53400: no room/, 'nor do several');
	is((run_at($node, $T0, q{SELECT count(*) > 1 FROM pattyly.limit_stats}))[1], 't', 'nobody waits for it');
	at($node, $T0, q{SELECT pattyly.reset_limit('once', 'x1'), pattyly.reset_limit('once', 'x2')});
	is((run_at($node, $T0, q{SELECT remaining FROM pattyly.check_limit('r', 'k')}))[1], 4, 'when there is room it counts');
};

# ---- an old copy of a table ----

subtest 'a limit and a route that uses it come while a request is at work' => sub {
	at($node, undef, q{INSERT INTO pattyly.routes (path, limits) VALUES ('/rpc/old', '{once}')});
	my $late = call_that_sleeps('limits_caught_up', $T0, join("\n",
		q{SET request.method = 'POST';}, q{SET request.path = '/rpc/new';}, q{SET pattyly.trusted_proxies = 1;},
		q{SET request.headers = '{"x-forwarded-for": "192.0.2.7"}';}), 'pattyly.pre_request()');
	at($node, undef, q{
		BEGIN;
		SELECT pattyly.set_limit('new', 5, '1 day');
		INSERT INTO pattyly.routes (path, limits) VALUES ('/rpc/new', '{new}');
		COMMIT});
	is(eval { finish_bench($late) }, 1, 'the request passes') or diag $late->{err};
	is(at($node, $T0, q{SELECT remaining FROM pattyly.peek_limit('new', '192.0.2.7')}), 4, 'and is counted');
};

$node->stop;
done_testing();
