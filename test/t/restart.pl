# A clean restart loses nothing: what keys have used, blocks with their reasons, statistics, limits without a rule. What
# is asked for before and after is the same at the same (stopped) time, to the microsecond.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;

my $node = new_server('restart', 'pattyly.max_keys = 1000');

# Four key texts that are kept in different ways: short, a uuid, too long for its label, and not ASCII.
my @keys = ('a', '0b6cf1de-8e7f-4ea1-9f0e-0d1b8ad7c8a1', 'long-' x 20, "\xc3\xa9t\xc3\xa9");

sub make_rules
{
	at($node, undef, "SELECT pattyly.set_limit('$_', 10, '1 hour', '$_')") for @ALGORITHMS;
	at($node, undef, q{
		SELECT pattyly.set_limit('guard', 2, '1 hour', 'fixed_window', block_for => '30 min');
		SELECT pattyly.set_limit('bursty', 10, '1 hour', 'gcra', burst => 37);
		SELECT pattyly.set_limit('quiet', 1, '1 hour', 'fixed_window', mode => 'shadow');
		SELECT pattyly.set_limit('strict', 2, '1 hour', 'sliding_window');
		UPDATE pattyly.limits SET count_denied = true WHERE name = 'strict'});
}

# Each key of each rule uses another number of units, some all of them, one second apart.
sub use_units
{
	my $second = 0;
	for my $algorithm (@ALGORITHMS)
	{
		my $sql = '';
		for my $i (0 .. $#keys)
		{
			$sql .= "SELECT set_config('pattyly.frozen_clock', (" . later(++$second . ' s') . ")::text, false);\n"
			  . "SELECT pattyly.allow('$algorithm', '$keys[$i]', 1 + n % 2) FROM generate_series(1, 2 + 3 * $i) n;\n";
		}
		at($node, undef, $sql);
	}
	at($node, $T0, q{
		SELECT pattyly.allow('guard', 'greedy') FROM generate_series(1, 5);
		SELECT pattyly.block_key('guard', 'banned', '2 days', 'scraping, ticket 42');
		SELECT pattyly.block_key('gcra', 'banned', '1 hour');
		SELECT pattyly.allow('bursty', 'a', 29);
		SELECT pattyly.allow('quiet', 'a') FROM generate_series(1, 3);
		SELECT pattyly.allow('strict', 'a') FROM generate_series(1, 4);
		SELECT pattyly.check_limit('adhoc', 5, '1 hour', 2);
		SELECT pattyly.check_limit('adhoc', 5, '2 hours', 3, 'sliding_log')});
}

# All that can be seen of the limiter at a time.
sub picture
{
	my ($time) = @_;
	my $list = join ',', map { "'$_'" } @keys, 'greedy', 'banned', 'unknown';
	return at($node, $time, qq{
		SELECT l.name, k, pattyly.peek_limit(l.name, k)
			FROM pattyly.limits l, unnest(ARRAY[$list]) k ORDER BY 1, 2;
		SELECT pattyly.check_limit('adhoc', 5, '1 hour', 0), pattyly.check_limit('adhoc', 5, '2 hours', 0, 'sliding_log');
		SELECT * FROM pattyly.top_keys(NULL, 1000) t ORDER BY t::text;
		SELECT * FROM pattyly.limit_stats s ORDER BY s::text});
}

sub memory { my ($columns) = @_; return at($node, undef, "SELECT $columns FROM pattyly.limit_memory") }

# From one time on: while the hour runs, when some windows have ended, when all have.
my @times = map { later($_) } '1 min', '31 min', '1 hour 3 s', '3 hours';

sub pictures { return [ map { picture($_) } @times ] }

sub has_same_pictures
{
	my ($before, $name) = @_;
	is_deeply(pictures(), $before, $name);
}

make_rules();
use_units();

subtest 'the picture shows what it should' => sub {
	my $now = $times[0];
	is(at($node, $now, q{SELECT remaining FROM pattyly.peek_limit('fixed_window', 'a')}), 7, 'a key used 3 of 10');
	like(picture($now), qr/\(f,guard,2,0,[^)]*,blocked\)/, 'a key is blocked by its rule');
	like(picture($now), qr/banned\|.*scraping, ticket 42/, 'a key is blocked by an administrator, who said why');
	isnt(picture($times[1]), picture($now), 'blocks end');
	isnt(picture($times[3]), picture($times[2]), 'windows end');
};

subtest 'a clean restart' => sub {
	my $before = pictures();
	my $live = memory('used');
	my $began = at($node, undef, 'SELECT clock_timestamp()');
	is(memory('restored, saved_at IS NULL'), '0|t', 'a new state file restored nothing');

	my $mark = log_mark($node);
	$node->restart;
	has_same_pictures($before, 'everything is as before, now and later: windows age while the server is down');
	is(complaints($node, $mark), '', 'the log is silent');
	is(memory('used'), $live, 'as many slots are used');
	is(memory('restored'),
		at($node, undef, 'SELECT sum(keys) + 2 FROM pattyly.limit_stats'), 'all keys were restored, those without a rule too');
	is(at($node, undef, "SELECT saved_at BETWEEN '$began' AND clock_timestamp() FROM pattyly.limit_memory"),
		't', 'the state was saved when the server stopped');
};

subtest 'counting goes on where it stopped' => sub {
	my $allowed = on_every_algorithm($node, later('1 min'),
		"count(*) FILTER (WHERE pattyly.allow('ALGORITHM', 'a')) FROM generate_series(1, 20)");
	is_deeply($allowed, { map { $_ => 7 } @ALGORITHMS }, 'exactly what was left was admitted');
	$node->restart;
	my $again = on_every_algorithm($node, later('1 min'), "pattyly.allow('ALGORITHM', 'a')");
	is_deeply($again, { map { $_ => 'f' } @ALGORITHMS }, 'and nothing more after another restart');
};

subtest 'smart and fast shutdown, and a server that nobody used in between' => sub {
	my $before = pictures();
	my $mark = log_mark($node);
	$node->stop('smart');
	$node->start;
	$node->stop('fast');
	$node->start;
	has_same_pictures($before, 'everything is as before');
	is(complaints($node, $mark), '', 'the log is silent');
};

subtest 'restart with room for more keys' => sub {
	my $before = pictures();
	my $mark = log_mark($node);
	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '5000');
	$node->restart;
	has_same_pictures($before, 'everything is as before');
	is(memory('capacity, evicted'), '5000|0', 'the table is larger and nothing was evicted');
	cmp_ok(memory('restored'), '>', 20, 'the keys were restored');
	is(complaints($node, $mark), '', 'the log is silent');
};

subtest 'restart with less room, but enough' => sub {
	my $before = pictures();
	my $mark = log_mark($node);
	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '200');
	$node->restart;
	has_same_pictures($before, 'everything is as before');
	is(memory('capacity, evicted'), '200|0', 'the table is smaller and nothing was evicted');
	is(complaints($node, $mark), '', 'the log is silent');
};

# When not all fit: the blocked and the exhausted stay, then those that used most; whoever is light goes, wherever he
# stands in the file. Windows are long, because the server looks at the real clock when it starts.
sub fill_for_shrinking
{
	my ($order) = @_;
	at($node, undef, qq{
		SELECT pattyly.set_limit('wide', 1000, '3000 days', 'fixed_window');
		SELECT pattyly.set_limit('narrow', 1, '3000 days', 'fixed_window');
		SELECT pattyly.set_limit('guarded', 1, '3000 days', 'fixed_window', block_for => '3000 days');
		SELECT pattyly.set_limit('logged', 20, '3000 days', 'sliding_log');
		SELECT count(x) FROM (
			SELECT CASE
				WHEN i <= 10 THEN pattyly.block_key('wide', 'banned' || i, '1000 days', 'reason ' || i)::text
				WHEN i <= 20 THEN concat(pattyly.allow('guarded', 'auto' || i), pattyly.allow('guarded', 'auto' || i))
				WHEN i <= 40 THEN pattyly.allow('narrow', 'exhausted' || i)::text
				WHEN i <= 45 THEN pattyly.allow('logged', 'log' || i, 20)::text
				WHEN i <= 180 AND i % 3 = 0 THEN pattyly.allow('wide', 'heavy' || i, 50 + i % 13)::text
				WHEN i <= 200 THEN pattyly.allow('wide', 'used' || i, 2 + i % 40)::text
				ELSE pattyly.allow('wide', 'light' || i, 1)::text END AS x
			FROM (SELECT i FROM generate_series(1, 400) i ORDER BY $order) s) t});
}

# 5 log keys take two extra slots each: 10 + 10 + 20 + 5 * 3 slots stay, which leaves 45, and 45 keys are heavy.
sub shrink_keeps_the_most_used
{
	my ($order, $name) = @_;
	subtest "restart with too little room, $name" => sub {
		$node->stop;
		unlink $node->data_dir . '/pg_stat_tmp/pattyly_limits.state';
		$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '1000');
		$node->start;
		fill_for_shrinking($order);

		my $mark = log_mark($node);
		$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '100');
		$node->restart;
		is(at($node, undef, q{
			SELECT count(*) FILTER (WHERE k.limit_name = 'wide' AND key LIKE 'banned%' AND block_reason = 'reason ' || substr(key, 7)),
				count(*) FILTER (WHERE k.limit_name = 'guarded' AND blocked_until > now()),
				count(*) FILTER (WHERE k.limit_name = 'narrow' AND remaining = 0),
				count(*) FILTER (WHERE k.limit_name = 'logged' AND remaining = 0),
				count(*) FILTER (WHERE key LIKE 'light%')
			FROM pattyly.top_keys(NULL, 1000) k}), '10|10|20|5|0', 'all blocked and exhausted keys stayed, no light one');
		is(at($node, undef, q{
			SELECT count(*), count(*) FILTER (WHERE key LIKE 'heavy%' AND used >= 50)
			FROM pattyly.top_keys(NULL, 1000) WHERE limit_name = 'wide' AND blocked_until IS NULL}),
			'45|45', 'of the others those that had used most');
		is(memory('capacity, used, evicted > 0, evicted_live = evicted'), '100|100|t|t', 'what did not fit was counted as evicted');
		is(complaints($node, $mark), '', 'the log is silent');
	};
}

shrink_keeps_the_most_used('i', 'the heavy first');
shrink_keeps_the_most_used('-i', 'the light first');
shrink_keeps_the_most_used('i * 7 % 401', 'in any order');

$node->stop;
done_testing();
