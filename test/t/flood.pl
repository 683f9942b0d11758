# A flood of keys that nobody has seen before cannot wash away what matters: blocked keys, exhausted keys, and counts
# higher than the flood's own. What carries no information goes first, and what was given up is counted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;

my $node = new_server('flood', 'pattyly.max_keys = 10000', "statement_timeout = '100s'");
my $FLOOD = 1_000_000;

at($node, undef, q{
	SELECT pattyly.set_limit('flood', 100, '1 day', 'fixed_window');
	SELECT pattyly.set_limit('flood_gcra', 100, '1 day');
	SELECT pattyly.set_limit('short', 100, '1 min', 'fixed_window');
	SELECT pattyly.set_limit('once', 1, '1 day', 'fixed_window');
	SELECT pattyly.set_limit('once_short', 1, '1 min', 'fixed_window');
	SELECT pattyly.set_limit('guard', 1, '1 day', 'fixed_window', block_for => '1 hour');
	SELECT pattyly.set_limit('wide_' || a, 1000, '1 day', a)
		FROM unnest('{gcra,fixed_window,calendar_window,sliding_window}'::text[]) a;
	SELECT pattyly.set_limit('wide_sliding_log', 20, '1 day', 'sliding_log')});

# ---- tools ----

# An empty table, on a server that has just started.
sub empty_table
{
	my ($max_keys) = @_;
	$node->stop;
	unlink $node->data_dir . '/pg_stat_tmp/pattyly_limits.state';
	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', $max_keys);
	$node->start;
}

sub memory { my ($columns) = @_; return at($node, undef, "SELECT $columns FROM pattyly.limit_memory") }

# Keys from 1 to n, each used once, under two algorithms in turn.
sub flood
{
	my ($from, $to, $time) = @_;
	return at($node, $time // $T0, qq{
		SELECT count(*) FILTER (WHERE pattyly.allow(CASE n % 2 WHEN 0 THEN 'flood' ELSE 'flood_gcra' END, 'f' || n))
		FROM generate_series($from, $to) n});
}

# n keys of all algorithms with 2 to 61 units used, named after what they are to have used; a log has 2 to 13.
sub make_heavy
{
	my ($name, $n) = @_;
	at($node, $T0, qq{
		SELECT count(pattyly.allow('wide_' || (ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window'])[1 + n % 4],
			'$name' || n || '=' || 2 + n % 60, 2 + n % 60)) FROM generate_series(1, $n) n;
		SELECT count(pattyly.allow('wide_sliding_log', '$name' || n || '=' || 2 + n % 12, 2 + n % 12))
		FROM generate_series(1, $n / 100) n});
	return $n + int($n / 100);
}

sub make_exhausted { my ($name, $n) = @_; at($node, $T0, "SELECT count(pattyly.allow('once', '$name' || n)) FROM generate_series(1, $n) n") }

sub make_blocked
{
	my ($n) = @_;
	at($node, $T0, qq{
		SELECT count(pattyly.block_key('wide_gcra', 'banned' || n, '1 hour', 'reason ' || n)) FROM generate_series(1, $n) n;
		SELECT count(pattyly.allow('guard', 'auto' || n)), count(pattyly.allow('guard', 'auto' || n)) FROM generate_series(1, $n) n;
		SELECT count(pattyly.allow('wide_sliding_log', 'full' || n, 20)) FROM generate_series(1, $n) n});
}

# Keys that still are what they were made to be.
sub heavy_kept
{
	my ($name) = @_;
	return at($node, $T0, qq{SELECT count(*) FROM pattyly.top_keys(NULL, 100000)
		WHERE key LIKE '$name%=%' AND used = split_part(key, '=', 2)::bigint});
}

sub exhausted_kept { my ($name) = @_; return at($node, $T0, "SELECT count(*) FROM pattyly.top_keys('once', 100000) WHERE key LIKE '$name%'") }

sub blocked_kept
{
	return at($node, $T0, q{
		SELECT count(*) FILTER (WHERE key LIKE 'banned%' AND block_reason = 'reason ' || substr(key, 7)),
			count(*) FILTER (WHERE key LIKE 'auto%' AND blocked_until > '}. $T0 . q{'),
			count(*) FILTER (WHERE key LIKE 'full%' AND remaining = 0) FROM pattyly.top_keys(NULL, 100000)});
}

# The flood's own keys that are still counted.
sub flood_kept { return at($node, $T0, q{SELECT count(*) FROM pattyly.top_keys(NULL, 100000) WHERE limit_name LIKE 'flood%'}) }

# ---- the flood ----

# Heavy keys are a share of the table; some are made before the flood and some while it runs.
sub outlives_the_flood
{
	my ($heavy_slots, $flood) = @_;
	empty_table(10000);
	make_blocked(10);
	make_exhausted('before', 30);
	my $heavy = make_heavy('heavy', $heavy_slots / 2);
	is(flood(1, $flood / 2), $flood / 2, 'the first half of the flood passes');
	make_exhausted('during', 30);
	$heavy += make_heavy('late', $heavy_slots / 2);
	is(flood($flood / 2 + 1, $flood), $flood / 2, 'the second half passes');

	is(blocked_kept(), '10|10|10', 'blocked keys and full logs were kept');
	is(exhausted_kept('before') + exhausted_kept('during'), 60, 'exhausted keys were kept');
	is(heavy_kept('heavy') + heavy_kept('late'), $heavy, 'keys that used more than the flood kept their counts');

	my $kept = flood_kept();
	is(memory('capacity = used, evicted = evicted_live, refused'), 't|t|0', 'the table is full, and no key was refused');
	is(memory('evicted'), $flood - $kept, 'as many keys were given up as did not fit');
	my $newest = int($kept / 2);
	cmp_ok($newest, '>', 100, 'the flood has what the others left');
	is(at($node, $T0, qq{
		SELECT count(*) FROM generate_series($flood - $newest + 1, $flood) n,
			pattyly.check_limit(CASE n % 2 WHEN 0 THEN 'flood' ELSE 'flood_gcra' END, 'f' || n) WHERE remaining = 98}),
		$newest, 'and the newest half of that is still limited when it comes back');
}

subtest 'heavy keys are 1 % of the table' => sub { outlives_the_flood(100, $FLOOD) };
subtest 'heavy keys are half of the table' => sub { outlives_the_flood(5000, $FLOOD) };
subtest 'heavy keys are 90 % of the table' => sub { outlives_the_flood(9000, $FLOOD) };

subtest 'a flood through many limits in one step' => sub {
	empty_table(10000);
	my $heavy = make_heavy('heavy', 1000);
	at($node, $T0, q{
		SELECT count(pattyly.check_limits('{flood,flood_gcra,wide_sliding_log}', 'm' || n)) FROM generate_series(1, 50000) n});
	is(heavy_kept('heavy'), $heavy, 'keys that used more kept their counts');
	is(memory('refused'), 0, 'no key was refused');
	is(at($node, $T0, q{SELECT count(*) FROM generate_series(49901, 50000) n, pattyly.peek_limit('wide_sliding_log', 'm' || n) WHERE remaining = 19}),
		100, 'the newest keys are counted');
};

# ---- drained keys ----

subtest 'drained keys go first' => sub {
	empty_table(10000);
	at($node, $T0, q{
		SELECT count(pattyly.allow('flood', 'live' || n, 2)), count(pattyly.allow('short', 'brief' || n, 1 + n % 100))
		FROM generate_series(1, 5000) n});
	is(flood(1, 5000, later('2 min')), 5000, '5,000 fresh keys come to a full table half of which is drained');
	is(memory('evicted, evicted_live'), '5000|0', 'only drained keys were given up');
	is(at($node, later('2 min'), q{SELECT count(*) FROM pattyly.top_keys('flood', 100000) WHERE key LIKE 'live%' AND used = 2}), 5000,
		'the live keys kept their counts');
};

# The server does not look at every key for each fresh one, so a few light keys may go before a drained one is met that
# stands behind live ones; never a heavier one than the fresh one, and never many.
subtest 'drained keys that stand behind live ones' => sub {
	empty_table(10000);
	at($node, $T0, q{
		SELECT count(pattyly.allow('flood', 'light' || n, 2)) FROM generate_series(1, 4000) n;
		SELECT count(pattyly.allow('flood', 'live' || n, 5)) FROM generate_series(1, 3000) n;
		SELECT count(pattyly.allow('short', 'brief' || n, 5)) FROM generate_series(1, 3000) n;
		SELECT pattyly.allow('flood', 'one more', 3)});
	at($node, later('2 min'), q{SELECT count(pattyly.allow('flood', 'fresh' || n, 3)) FROM generate_series(1, 2999) n});
	is(at($node, later('2 min'), q{SELECT count(*) FROM pattyly.top_keys('flood', 100000) WHERE key LIKE 'live%' AND used = 5}), 3000,
		'no key was given up that used more than the fresh ones');
	my $lost = memory('evicted_live');
	cmp_ok($lost, '<=', 1000, "few light keys went before the 3,000 drained ones ($lost)");
};

# ---- a table full of keys that must stay ----

sub fresh_key { my ($name, $setting) = @_; return "SET pattyly.on_limiter_failure = $setting; SELECT * FROM pattyly.check_limit('flood', '$name')" }

subtest 'a table full of exhausted and blocked keys' => sub {
	empty_table(10000);
	make_blocked(10);
	make_exhausted('x', 10000 - 10 * (1 + 1 + 3));
	is(memory('used, evicted, refused'), '10000|0|0', 'the table is full');

	my $error = error_of($node, $T0, fresh_key('fresh', 'deny'));
	like($error, qr/ERROR: +53400: no room for another rate limit key/, 'a fresh key is refused with an error');
	like($error, qr/HINT: .*Raise pattyly\.max_keys.*pattyly\.on_limiter_failure/, 'that says what to do');
	is(memory('used, evicted, refused'), '10000|0|1', 'it is counted as one refused key');
	like(error_of($node, $T0, "SELECT pattyly.block_key('flood', 'fresh', '1 hour')"), qr/53400/, 'an administrator is told too');
	like(error_of($node, $T0, "SELECT pattyly.allow('wide_sliding_log', 'fresh')"), qr/53400/, 'a key that wants extra slots is refused');
	like(error_of($node, $T0, "SELECT pattyly.check_limits('{flood,flood_gcra,once}', 'fresh')"), qr/53400/, 'several at once are refused');

	is(at($node, $T0, fresh_key('fresh', 'allow')), 't|flood|100|||||', 'with on_limiter_failure = allow it passes, and nothing is known of it');
	is(at($node, $T0, q{SELECT keys, allowed FROM pattyly.limit_stats WHERE limit_name = 'flood'}), '0|0', 'and was not counted');
	is(at($node, $T0, q{SELECT remaining FROM pattyly.peek_limit('flood', 'fresh')}), 100, 'looking at an unknown key needs no room');
	is(at($node, $T0, q{SELECT (pattyly.refund_limit('flood', 'fresh')).remaining, pattyly.reset_limit('flood', 'fresh'), pattyly.unblock_key('flood', 'fresh')}),
		'100|f|f', 'nor does giving back, resetting or unblocking one');
	is(at($node, $T0, q{SELECT allowed, reason FROM pattyly.check_limit('once', 'x1')}), 'f|limited', 'a known key gets its answer');
	is(blocked_kept() . ' ' . exhausted_kept('x'), '10|10|10 9950', 'all keys were kept');
	is(memory('evicted'), 0, 'nothing was given up');
};

subtest 'refused calls are counted once each' => sub {
	my $before = memory('refused');
	at($node, $T0, q{SET pattyly.on_limiter_failure = allow; SELECT count(pattyly.allow('flood', 'y' || n)) FROM generate_series(1, 100) n});
	is(memory('refused') - $before, 100, '100 fresh keys were refused');
};

# A step over several limits happens wholly or not at all: what it made before it found no room is not left behind.
subtest 'several limits, with room for one key only' => sub {
	empty_table(10000);
	make_exhausted('x', 9999);
	at($node, $T0, q{SELECT pattyly.allow('once_short', 'brief')});
	my $then = later('2 min');

	like(error_of($node, $then, "SELECT pattyly.check_limits('{flood,flood_gcra}', 'two')"), qr/53400/, 'two fresh keys do not fit');
	is(at($node, $then, q{SELECT sum(keys) FROM pattyly.limit_stats WHERE limit_name LIKE 'flood%'}), 0, 'no key was made');
	my $mark = log_mark($node);
	$node->restart;
	is(complaints($node, $mark), '', 'a restart finds nothing to complain of');
	is((run_at($node, $then, q{SELECT remaining FROM pattyly.check_limit('flood', 'one')}))[1], 99, 'one fresh key fits');
	is(exhausted_kept('x'), 9999, 'all others were kept');
};

# Nothing happened, so nobody made room.
subtest 'several limits that do not fit, beside a light key' => sub {
	empty_table(10000);
	at($node, $T0, q{SELECT pattyly.allow('flood', 'light', 40)});
	make_exhausted('x', 9999);
	like(error_of($node, $T0, "SELECT pattyly.check_limits('{flood,flood_gcra}', 'two')"), qr/53400/, 'two fresh keys do not fit');
	like(error_of($node, $T0, "SELECT pattyly.allow('wide_sliding_log', 'log')"), qr/53400/, 'nor does a log with its extra slots');
	is(at($node, $T0, q{SELECT remaining FROM pattyly.peek_limit('flood', 'light')}), 60, 'the light key kept its count');
};

# Two keys and a log with two extra slots want five places; each that is made must not push out the one before.
sub fits_exactly
{
	my ($name, $make, $time) = @_;
	subtest "several limits, with just enough room: $name" => sub {
		empty_table(10000);
		make_exhausted('x', 5000);
		at($node, $T0, $make);
		make_exhausted('y', 4995);
		for my $try (1 .. 3)
		{
			my ($status, $allowed, $error) = run_at($node, $time, "SELECT allowed FROM pattyly.check_limits('{flood,flood_gcra,wide_sliding_log}', 'many$try')");
			is($allowed, 't', 'they fit') or diag $error;
			is((run_at($node, $time, qq{
				SELECT count(*) FROM unnest('{flood,flood_gcra,wide_sliding_log}'::text[]) l, pattyly.peek_limit(l, 'many$try')
				WHERE remaining IN (99, 19)}))[1], 3, 'all three were counted');
		}
		is(exhausted_kept('x') + exhausted_kept('y'), 9995, 'all exhausted keys were kept');
	};
}

fits_exactly('drained keys', q{SELECT count(pattyly.allow('once_short', 'brief' || n)) FROM generate_series(1, 5) n}, later('2 min'));
fits_exactly('light keys', q{SELECT count(pattyly.allow('flood', 'light' || n)) FROM generate_series(1, 5) n}, $T0);

# All keys were exhausted when they were looked at last; as soon as windows end there is room, for every fresh key.
subtest 'when windows end there is room at once' => sub {
	empty_table(10000);
	make_exhausted('a', 4950);
	at($node, $T0, q{SELECT count(pattyly.allow('once_short', 'b' || n)) FROM generate_series(1, 100) n});
	make_exhausted('c', 4950);
	like(error_of($node, $T0, fresh_key('fresh', 'deny')), qr/53400/, 'while all are exhausted a fresh key is refused');
	my ($status, $passed, $error) = run_at($node, later('2 min'),
		q{SELECT count(*) FILTER (WHERE pattyly.allow('flood', 'fresh' || n)) FROM generate_series(1, 100) n});
	is($error, '', 'when 100 windows have ended no fresh key is refused');
	is($passed, 100, '100 fresh keys pass');
	is(memory('evicted_live'), 0, 'for drained keys');
};

# The same when an administrator gives the room: keys that have units left again are no longer exhausted.
subtest 'when a rule is raised there is room at once' => sub {
	empty_table(10000);
	make_exhausted('x', 10000);
	like(error_of($node, $T0, fresh_key('fresh', 'deny')), qr/53400/, 'while all are exhausted a fresh key is refused');
	at($node, undef, q{SELECT pattyly.set_limit('once', 5, '1 day', 'fixed_window')});
	is(at($node, $T0, q{SELECT count(*) FROM generate_series(5000, 5009) n, pattyly.check_limit('once', 'x' || n) WHERE remaining = 3}), 10, 'ten keys go on under the raised limit');
	is((run_at($node, $T0, q{SELECT count(*) FROM generate_series(1, 10) n, pattyly.check_limit('flood', 'fresh' || n) WHERE allowed}))[1], 10, 'ten fresh keys pass');
	at($node, undef, q{SELECT pattyly.set_limit('once', 1, '1 day', 'fixed_window')});
};

for my $way (q{reset_limit('once', 'x5000')}, q{reset_limit('once')}, q{refund_limit('once', 'x5000')}, q{unblock_key('wide_gcra', 'banned')})
{
	subtest "after $way there is room at once" => sub {
		empty_table(10000);
		make_exhausted('x', 9999);
		at($node, $T0, q{SELECT pattyly.block_key('wide_gcra', 'banned', '1 hour')});
		like(error_of($node, $T0, fresh_key('fresh', 'deny')), qr/53400/, 'a fresh key is refused before');
		at($node, $T0, "SELECT pattyly.$way");
		is((run_at($node, $T0, q{SELECT remaining FROM pattyly.check_limit('flood', 'fresh')}))[1], 99, 'and passes after');
	};
}

# A log wants extra slots. Known keys must get their answers, and an administrator his way, though there are none.
subtest 'a rule becomes a log while the table is full' => sub {
	empty_table(10000);
	make_exhausted('x', 10000);
	at($node, undef, q{SELECT pattyly.set_limit('once', 1, '1 day', 'sliding_log')});
	is((run_at($node, $T0, q{SELECT allowed, remaining, reason FROM pattyly.peek_limit('once', 'x1')}))[1], 'f|0|limited', 'a known key can be looked at');
	is((run_at($node, $T0, q{SELECT allowed, remaining, reason FROM pattyly.check_limit('once', 'x1')}))[1], 'f|0|limited', 'and is still refused');
	is((run_at($node, $T0, q{SELECT pattyly.unblock_key('once', 'x1')}))[1], 'f', 'it can be unblocked');
	is((run_at($node, $T0, q{SELECT pattyly.reset_limit('once', 'x1')}))[1], 't', 'it can be reset');
	is((run_at($node, $T0, q{SELECT pattyly.reset_limit('once')}))[1], 9999, 'all others can be reset');
	is((run_at($node, $T0, q{SELECT remaining FROM pattyly.check_limit('once', 'x2')}))[1], 0, 'and then they count again');
	at($node, undef, q{SELECT pattyly.set_limit('once', 1, '1 day', 'fixed_window')});
};

# ---- the size of it ----

subtest 'memory' => sub {
	cmp_ok(memory('bytes_per_key'), '<=', 128, 'at 10,000 keys one takes at most 128 bytes');
	is(memory('round(bytes::numeric / capacity, 1) = bytes_per_key'), 't', 'all of the memory is counted');
	is(-s $node->data_dir . '/pg_stat_tmp/pattyly_limits.state', memory('bytes'), 'and is what the file takes');
	empty_table(undef);
	is(memory(q{capacity = (SELECT boot_val::bigint FROM pg_settings WHERE name = 'pattyly.max_keys'), capacity >= 100000, bytes_per_key <= 128}),
		't|t|t', 'by default there is room for many keys, of at most 128 bytes');
};

$node->stop;
done_testing();
