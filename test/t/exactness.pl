# However many sessions ask at once, whether they commit or roll back: a limit of L admits exactly L. Counted three
# ways: by what the clients were told, by the statistics, and by what the key has left.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;

my $node = new_server('exactness', 'pattyly.max_keys = 10000');
my $SESSIONS = 64;

# A limit in each algorithm that is well below the calls made; what the clients were told is kept aside, in a
# transaction of its own.
my %LIMIT = (gcra => 100, fixed_window => 150, calendar_window => 200, sliding_window => 250, sliding_log => 64);

at($node, undef, "SELECT pattyly.set_limit('$_', $LIMIT{$_}, '1 day', '$_')") for @ALGORITHMS;
at($node, undef, q{
	CREATE UNLOGGED TABLE told (sessions integer, call text, allowed boolean);
	CREATE UNLOGGED TABLE told_many (names text[], allowed boolean)});

sub bench
{
	my ($sessions, $transactions, $script) = @_;
	my $bench = background_bench($node, $T0, "-c $sessions -j 2 -t $transactions", $script);
	is(finish_bench($bench), $sessions * $transactions, 'every session came to its end') or diag $bench->{err};
}

# ---- one limit ----

sub one_limit_script
{
	my ($sessions) = @_;
	my @checks = map { "SELECT pattyly.allow('$_', 'hot$sessions') AS $_ \\gset" } @ALGORITHMS;
	my $told = join ', ', map { "($sessions, '$_', ':$_')" } @ALGORITHMS;

	return join "\n",
	  '\set end random(1, 4)', '\if :end = 4', 'BEGIN READ ONLY;', '\else', 'BEGIN;', '\endif',
	  'SAVEPOINT s;', @checks,
	  '\if :end = 1', 'COMMIT;', '\elif :end = 2', 'ROLLBACK TO s;', 'COMMIT;', '\else', 'ROLLBACK;', '\endif',
	  "INSERT INTO told VALUES $told;\n";
}

sub exactly_the_limit
{
	my ($sessions) = @_;
	my $transactions = 10 + int(512 / $sessions);
	my %before = map { split /\|/, $_, 2 } split /\n/, at($node, $T0, 'SELECT limit_name, allowed, denied FROM pattyly.limit_stats');

	bench($sessions, $transactions, one_limit_script($sessions));
	for my $algorithm (@ALGORITHMS)
	{
		my ($calls, $limit) = ($sessions * $transactions, $LIMIT{$algorithm});
		my ($allowed, $denied) = split /\|/, $before{$algorithm};
		is(at($node, undef, "SELECT count(*) FILTER (WHERE allowed), count(*) FROM told WHERE sessions = $sessions AND call = '$algorithm'"),
			"$limit|$calls", "$algorithm: $limit of $calls calls were told that they may pass");
		is(at($node, $T0, "SELECT allowed - $allowed, denied - $denied FROM pattyly.limit_stats WHERE limit_name = '$algorithm'"),
			$limit . '|' . ($calls - $limit), "$algorithm: the statistics agree");
		is(at($node, $T0, "SELECT remaining FROM pattyly.peek_limit('$algorithm', 'hot$sessions')"), 0, "$algorithm: nothing is left");
	}
}

subtest 'one session' => sub { exactly_the_limit(1) };
subtest '8 sessions' => sub { exactly_the_limit(8) };
subtest '64 sessions' => sub { exactly_the_limit($SESSIONS) };

subtest 'calls of different cost, and units given back' => sub {
	at($node, undef, q{SELECT pattyly.set_limit('costly', 1000, '1 day', 'fixed_window')});
	bench($SESSIONS, 10, join "\n",
		'\set cost random(1, 7)', 'BEGIN;',
		q{SELECT pattyly.allow('costly', 'hot', :cost)::int * :cost AS taken \gset},
		q{SELECT CASE WHEN :taken > 3 THEN (pattyly.refund_limit('costly', 'hot', 2)).remaining END * 0 AS refunded \gset},
		'ROLLBACK;',
		q{INSERT INTO told VALUES (0, :taken - CASE WHEN :taken > 3 THEN 2 ELSE 0 END, true);} . "\n");
	is(at($node, $T0, q{SELECT 1000 - (pattyly.peek_limit('costly', 'hot')).remaining = (SELECT sum(call::int) FROM told WHERE sessions = 0)}),
		't', 'what is left is what was taken and not given back');
};

# ---- several limits ----

# Eight limits, of which each call names some, in any order: sessions that locked keys in the order of the names would
# wait for each other forever.
my %MANY = map { ("m$_" => 60 + 40 * $_) } 1 .. 8;

subtest 'several limits in one step, 64 sessions' => sub {
	for my $i (1 .. 8)
	{
		my $algorithm = $ALGORITHMS[$i % 4];
		at($node, undef, "SELECT pattyly.set_limit('m$i', $MANY{\"m$i\"}, '1 day', '$algorithm')");
	}
	at($node, undef, q{SELECT pattyly.set_limit('m9', 64, '1 day', 'sliding_log')});
	bench($SESSIONS, 25, join "\n",
		q{SELECT string_agg('m' || i, ',' ORDER BY random()) AS names FROM generate_series(1, 9) i
			WHERE i = 1 + floor(random() * 9) OR random() < 0.2 HAVING count(*) > 0
			UNION ALL SELECT 'm8' LIMIT 1 \gset} =~ s/\n\s*/ /gr,
		'BEGIN;',
		q{SELECT (pattyly.check_limits('{:names}', 'hot')).allowed AS ok \gset},
		'ROLLBACK;',
		q{INSERT INTO told_many VALUES ('{:names}', ':ok');} . "\n");

	for my $name (map { "m$_" } 1 .. 9)
	{
		my $told = at($node, undef, "SELECT count(*) FROM told_many WHERE allowed AND '$name' = ANY (names)");
		my $limit = $MANY{$name} // 64;
		cmp_ok($told, '<=', $limit, "$name: no more than $limit were admitted ($told)");
		is(at($node, $T0, "SELECT $limit - remaining FROM pattyly.peek_limit('$name', 'hot')"), $told, "$name: as many are counted");
		is(at($node, $T0, "SELECT allowed FROM pattyly.limit_stats WHERE limit_name = '$name'"), $told, "$name: the statistics agree");
	}
	is(at($node, $T0, q{
		SELECT count(*) FROM told_many WHERE NOT allowed AND NOT EXISTS (
			SELECT FROM unnest(names) n, pattyly.peek_limit(n, 'hot') WHERE remaining = 0)}),
		0, 'who was refused had named a limit that is used up');
	is(at($node, $T0, q{SELECT count(*) FROM told_many WHERE NOT allowed}) > 0, 1, 'some were refused');
};

subtest 'the same limits in every order, all used up together' => sub {
	at($node, undef, "SELECT pattyly.set_limit('o$_', 300, '1 day', '$ALGORITHMS[$_ % 4]')") for 1 .. 6;
	bench($SESSIONS, 10, join "\n",
		q{SELECT string_agg('o' || i, ',' ORDER BY random()) AS names FROM generate_series(1, 6) i \gset},
		q{SELECT (pattyly.check_limits('{:names}', 'hot')).allowed AS ok \gset},
		q{INSERT INTO told VALUES (1000, 'together', ':ok');} . "\n");
	is(at($node, undef, q{SELECT count(*) FROM told WHERE sessions = 1000 AND allowed}), 300, 'exactly 300 of 640 were admitted');
	is(at($node, $T0, q{SELECT string_agg((pattyly.peek_limit('o' || i, 'hot')).remaining::text, ' ') FROM generate_series(1, 6) i}),
		'0 0 0 0 0 0', 'every limit is used up');
};

# ---- while time goes by ----

# A call that read the clock and had to wait for its turn, while others used the key up, comes with an old time. That is
# no clock that stepped back: the key is not free any earlier for it.
sub late_call
{
	my ($how, $count_denied, $call, $given_back) = @_;
	my %name = map { ($_ => "$_-$how") } @ALGORITHMS;
	my %late = map { ($_ => "SELECT pattyly.$call('$name{$_}', 'k');\n") } @ALGORITHMS;
	my $look = join ' UNION ALL ', map { "SELECT '$_', extract(epoch FROM reset_at) FROM pattyly.peek_limit('$name{$_}', 'k')" } @ALGORITHMS;

	at($node, undef, "SELECT pattyly.set_limit('$name{$_}', 5, '10 s', '$_')") for @ALGORITHMS;
	at($node, undef, "UPDATE pattyly.limits SET count_denied = $count_denied WHERE name ~ '-$how'");
	my $bench = background_bench($node, '', '-c 5 -j 1 -t 1', join '',
		"SET pattyly.fault_point = 'limits_clock_read';\nSET pattyly.fault_pause = '3 s';\n",
		map { "\\if :client_id = $_\n$late{$ALGORITHMS[$_]}\\endif\n" } 0 .. $#ALGORITHMS);
	wait_until('all of them have read the clock', sub {
		at($node, undef, "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pattyly.*-$how'") == @ALGORITHMS });
	at($node, undef, "SELECT pattyly.allow('$name{$_}', 'k') FROM generate_series(1, 5)") for @ALGORITHMS;
	my %before = map { split /\|/ } split /\n/, at($node, undef, $look);
	is(finish_bench($bench), @ALGORITHMS, "$how: all come to their end");
	my %after = map { split /\|/ } split /\n/, at($node, undef, $look);
	cmp_ok($after{$_}, '>=', $before{$_} - $given_back, "$name{$_}: no sooner") for @ALGORITHMS;
}

SKIP:
{
	skip 'needs a build with FAULTS=1', 1 unless has_fault_points();
	subtest 'a call with an old time makes no key free sooner' => sub {
		late_call('refused', 'false', 'allow', 0);
		late_call('counted', 'true', 'allow', 0);
		late_call('refunded', 'false', 'refund_limit', 2);
	};
}

# A call counted somewhere between its beginning and its end. So a window is overfull for certain only if more calls
# than the limit both began and ended within it; no window, wherever it begins, may be.
subtest 'no window is overfull, by the real clock' => sub {
	at($node, undef, q{
		SELECT pattyly.set_limit('t_log', 20, '300 ms', 'sliding_log');
		SELECT pattyly.set_limit('t_gcra', 20, '300 ms', 'gcra', burst => 5);
		SELECT pattyly.set_limit('t_calendar', 20, '300 ms', 'calendar_window');
		CREATE UNLOGGED TABLE timed (name text, began timestamptz, ended timestamptz);
		CREATE FUNCTION timed_hit(name text) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			began timestamptz := clock_timestamp();
		BEGIN
			IF pattyly.allow(name, 'hot') THEN
				INSERT INTO timed VALUES (name, began, clock_timestamp());
			END IF;
		END $$});
	# Until enough has passed, since a busy machine makes few calls in a second.
	my $passed = 0;
	for my $round (1 .. 30)
	{
		finish_bench(background_bench($node, '', '-c 16 -j 2 -T 3', join '', map { "SELECT timed_hit('$_');\n" } qw(t_log t_gcra t_calendar)));
		$passed = at($node, undef, 'SELECT CASE count(*) WHEN 3 THEN min(n) ELSE 0 END FROM (SELECT count(*) AS n FROM timed GROUP BY name) x');
		last if $passed > 200;
	}
	cmp_ok($passed, '>', 200, 'they let pass what they should');
	my $most = sub {
		my ($name, $window) = @_;
		return at($node, undef, qq{
			SELECT max(n) FROM timed a, LATERAL (SELECT count(*) AS n FROM timed b
				WHERE b.name = a.name AND b.began >= a.began AND b.ended < a.began + interval '$window') c WHERE a.name = '$name'});
	};
	cmp_ok($most->('t_log', '300 ms'), '<=', 20, 'sliding_log: at most 20 in any 300 ms');
	cmp_ok($most->('t_gcra', '15 ms'), '<=', 6, 'gcra: at most the burst and one more in any 15 ms');
	cmp_ok($most->('t_gcra', '300 ms'), '<=', 25, 'gcra: at most the burst and what flows back in any 300 ms');
	is(at($node, undef, q{
		SELECT count(*) FROM (SELECT FROM timed WHERE name = 't_calendar'
			AND floor(extract(epoch FROM began) / 0.3) = floor(extract(epoch FROM ended) / 0.3)
			GROUP BY floor(extract(epoch FROM began) / 0.3) HAVING count(*) > 20) x}), 0, 'calendar_window: at most 20 in each');
};

# ---- a table much too small ----

sub restart_with
{
	my ($max_keys) = @_;
	$node->stop;
	unlink $node->data_dir . '/pg_stat_tmp/pattyly_limits.state';
	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', $max_keys);
	$node->start;
}

# 300 keys want 100 places. A key that was refused is exhausted, so it stays, and is never admitted again; one that was
# not may be forgotten. What began after another call had ended is later than it.
subtest '64 sessions and 300 keys in a table of 100' => sub {
	restart_with(100);
	my $mark = log_mark($node);
	at($node, undef, q{
		SELECT pattyly.set_limit('tight', 5, '1 day', 'fixed_window');
		SELECT pattyly.set_limit('tight_log', 5, '1 day', 'sliding_log');
		CREATE UNLOGGED TABLE seen (key text, began timestamptz, ended timestamptz, allowed boolean);
		CREATE FUNCTION hit(name text, key text) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			began timestamptz := clock_timestamp();
			answer boolean;
		BEGIN
			BEGIN
				answer := pattyly.allow(name, key);
			EXCEPTION WHEN configuration_limit_exceeded THEN
				answer := NULL;
			END;
			INSERT INTO seen VALUES (name || key, began, clock_timestamp(), answer);
		END $$});
	bench($SESSIONS, 150, join "\n",
		'\set key random_zipfian(1, 300, 1.01)', '\set log random(1, 4)', '\if :log = 1',
		q{SELECT hit('tight_log', 'k' || :key);}, '\else', q{SELECT hit('tight', 'k' || :key);}, "\\endif\n");

	is(at($node, undef, q{
		SELECT count(*) FROM seen a JOIN (SELECT key, min(ended) AS ended FROM seen WHERE NOT allowed GROUP BY key) d USING (key)
		WHERE a.allowed AND a.began > d.ended}),
		0, 'no key was admitted after it had been refused');
	is(at($node, $T0, q{
		SELECT count(*) FROM pattyly.top_keys(NULL, 1000) k WHERE remaining = 0 AND pattyly.allow(k.limit_name, k.key)}),
		0, 'exhausted keys are still refused');
	is(at($node, undef, q{SELECT count(*) FILTER (WHERE allowed) > 100 AND count(*) FILTER (WHERE NOT allowed) > 100 FROM seen}), 't',
		'both happened');
	is(at($node, undef, q{SELECT used <= capacity AND evicted > 0 FROM pattyly.limit_memory}), 't', 'the table had to give keys up');
	is(complaints($node, $mark), '', 'the log is silent');
};

# Everything at once: rules that change their algorithm under the keys, resets, blocks, looks, in the same table.
subtest 'everything at once in a table of 100' => sub {
	restart_with(100);
	my $mark = log_mark($node);
	at($node, undef, "SELECT pattyly.set_limit('c$_', 8, '1 day', '$ALGORITHMS[$_]')") for 0 .. 4;
	at($node, undef, q{
		CREATE FUNCTION anything(what integer, rule text, k text) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			CASE
				WHEN what <= 60 THEN PERFORM pattyly.allow(rule, k);
				WHEN what <= 75 THEN PERFORM pattyly.check_limits('{c4,c0,c2,c1}', k);
				WHEN what <= 80 THEN PERFORM pattyly.refund_limit(rule, k, 3);
				WHEN what <= 84 THEN PERFORM pattyly.reset_limit(rule, k);
				WHEN what <= 87 THEN PERFORM pattyly.reset_limit(rule);
				WHEN what <= 89 THEN PERFORM pattyly.block_key(rule, k, '1 hour', 'a reason');
				WHEN what <= 92 THEN PERFORM pattyly.unblock_key(rule, k);
				WHEN what <= 95 THEN PERFORM pattyly.top_keys();
				WHEN what <= 98 THEN PERFORM * FROM pattyly.limit_stats, pattyly.limit_memory;
				ELSE UPDATE pattyly.limits SET algorithm = (ARRAY['gcra', 'fixed_window', 'calendar_window', 'sliding_window', 'sliding_log'])
					[1 + floor(random() * 5)], max_hits = 1 + floor(random() * 64) WHERE name = rule AND pg_try_advisory_xact_lock(1);
			END CASE;
		EXCEPTION WHEN configuration_limit_exceeded THEN
			NULL;
		END $$});
	bench($SESSIONS, 300, join "\n",
		'\set what random(1, 100)', '\set rule random(0, 4)', '\set key random(1, 120)', "SELECT anything(:what, 'c' || :rule, 'k' || :key);\n");
	is(complaints($node, $mark), '', 'the log is silent');
	is(at($node, undef, q{SELECT used <= capacity FROM pattyly.limit_memory}), 't', 'the table is not overfull');
	is(at($node, $T0, q{SELECT count(pattyly.reset_limit('c' || n)) FROM generate_series(0, 4) n}), 5, 'all can be reset');

	$node->restart;
	is(complaints($node, $mark), '', 'and what a restart finds is sound');
};

$node->stop;
done_testing();
