# All databases share one table of keys and see nothing of each other's. An extension or a database that is dropped
# leaves no session behind with what it knew; one that is made again starts afresh.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run ();
use PattylyNode;
use Test::More;

my $node = new_server('databases', 'pattyly.max_keys = 1000');

sub make_database
{
	my ($name, $more) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name " . ($more // ''));
}

sub make_limits
{
	my ($database) = @_;
	at($node, undef, q{
		CREATE EXTENSION IF NOT EXISTS pattyly;
		SELECT pattyly.set_limit('login', 3, '1 hour', 'fixed_window')}, $database);
}

sub left { my ($database, $key) = @_; return at($node, $T0, "SELECT remaining FROM pattyly.peek_limit('login', '$key')", $database) }

subtest 'databases share no key' => sub {
	make_database($_), make_limits($_) for 'one', 'two';
	at($node, $T0, q{
		SELECT pattyly.allow('login', 'a') FROM generate_series(1, 4);
		SELECT pattyly.block_key('login', 'b', '1 hour', 'here only');
		SELECT pattyly.check_limit('a', 5, '1 hour', 5)}, 'one');
	is(left('two', 'a'), 3, 'the same key of the same limit is another key');
	is(left('two', 'b'), 3, 'a block does not reach over');
	is(at($node, $T0, q{SELECT remaining FROM pattyly.check_limit('a', 5, '1 hour', 0)}, 'two'), 5, 'nor does a limit without a rule');
	is(at($node, $T0, 'SELECT count(*) FROM pattyly.top_keys()', 'two'), 0, 'top_keys shows the own database');
	is(at($node, $T0, q{SELECT limit_name, key FROM pattyly.top_keys() ORDER BY key, limit_name}, 'one'), "login|a\n|a\nlogin|b", 'all of it');
	is(at($node, $T0, 'SELECT allowed, denied, keys FROM pattyly.limit_stats', 'two'), '0|0|0', 'statistics are the own ones');
	is(at($node, $T0, q{SELECT pattyly.reset_limit('login')}, 'two'), 0, 'and only own keys are reset');
	is(left('one', 'a'), 0, 'as the other database sees');
	is(at($node, undef, 'SELECT used FROM pattyly.limit_memory', 'two'), at($node, undef, 'SELECT used FROM pattyly.limit_memory', 'one'), 'the memory is one');
};

subtest 'a renamed database keeps its counts, a copy starts afresh' => sub {
	$node->safe_psql('postgres', 'ALTER DATABASE one RENAME TO uno');
	is(left('uno', 'a'), 0, 'renamed');
	make_database('copy', 'TEMPLATE uno');
	is(left('copy', 'a'), 3, 'copied: the rules are there, the counts are not');
	is(left('uno', 'a'), 0, 'and the original is as it was');
};

subtest 'a dropped database' => sub {
	$node->safe_psql('postgres', 'DROP DATABASE uno');
	is(left('two', 'a'), 3, 'others do not notice');
	make_database('uno');
	make_limits('uno');
	is(left('uno', 'a'), 3, 'one of the same name starts afresh');
	my $mark = log_mark($node);
	$node->restart;
	is(complaints($node, $mark), '', 'a restart is silent');
	is(left('uno', 'a'), 3, 'and changes nothing');
};

# ---- a dropped extension ----

sub says
{
	my ($session, $sql) = @_;
	my $out = $session->query($sql);
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return $error =~ /ERROR: +(.*)/ ? $1 : $out;
}

# Sessions that know the rules in every way a session can: by a plain call, a prepared statement, a function that keeps
# its plan, and within an open transaction.
sub knowing_sessions
{
	my %session = map { $_ => $node->background_psql('two', on_error_stop => 0) } qw(plain prepared function transaction);
	at($node, undef, q{
		CREATE OR REPLACE FUNCTION public.hit() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN pattyly.allow('login', 'c'); END $$}, 'two');
	for my $session (values %session)
	{
		says($session, "SET pattyly.frozen_clock = '$T0'");
		says($session, q{PREPARE hit AS SELECT pattyly.allow('login', 'c')});
	}
	says($session{transaction}, 'BEGIN');
	return \%session;
}

my %HIT = (plain => q{SELECT pattyly.allow('login', 'c')}, prepared => 'EXECUTE hit', function => 'SELECT public.hit()', transaction => 'EXECUTE hit');

subtest 'the extension is dropped and made again while sessions know its rules' => sub {
	my $session = knowing_sessions();
	is(says($session->{$_}, $HIT{$_}), $_ eq 'transaction' ? 'f' : 't', "$_: knows the rules") for qw(plain prepared function transaction);

	at($node, undef, 'DROP EXTENSION pattyly', 'two');
	my $gone = qr/does not exist|extension "pattyly" is not installed in this database/;
	like(says($session->{$_}, $HIT{$_}), $gone, "$_: gets a clear error when it is gone") for sort keys %$session;
	says($session->{transaction}, 'ROLLBACK');
	like(says($session->{$_}, $HIT{$_}), $gone, "$_: and again") for sort keys %$session;

	at($node, undef, 'CREATE EXTENSION pattyly', 'two');
	is(says($session->{$_}, $HIT{$_}), 'rate limit "login" does not exist', "$_: finds the new one empty") for sort keys %$session;
	make_limits('two');
	is(left('two', 'c'), 3, 'what was used before is forgotten');
	is(says($session->{plain}, $HIT{plain}), 't', 'plain: counts from zero');
	is(says($session->{prepared}, $HIT{prepared}), 't', 'prepared: counts on');
	is(says($session->{function}, $HIT{function}), 't', 'function: counts on');
	is(says($session->{transaction}, $HIT{transaction}), 'f', 'transaction: all three are used');
	is(at($node, $T0, 'SELECT allowed, denied FROM pattyly.limit_stats', 'two'), '3|1', 'the statistics start afresh too');
	$_->quit for values %$session;
};

subtest 'dropped and made again within one transaction' => sub {
	my $session = knowing_sessions();
	is(says($session->{prepared}, $HIT{prepared}), 'f', 'a session knows the rules');
	is(says($session->{plain}, q{BEGIN; DROP EXTENSION pattyly; CREATE EXTENSION pattyly; SELECT pattyly.set_limit('login', 9, '1 hour'); SELECT pattyly.allow('login', 'c')}),
		"\nt", 'who does it uses the new one');
	is(says($session->{prepared}, $HIT{prepared}), 'f', 'others the old one, without waiting');
	says($session->{plain}, 'ROLLBACK');
	is(says($session->{$_}, q{SELECT max_hits, remaining FROM pattyly.peek_limit('login', 'c')}), '3|0', "$_: rolled back, all is as before")
	  for qw(plain prepared);
	says($session->{transaction}, 'ROLLBACK');
	$_->quit for values %$session;
};

# ---- the single-user mode ----

subtest 'single-user mode' => sub {
	my ($out, $err) = ('', '');
	my $before = left('two', 'c');
	my $mark = log_mark($node);
	my $sql = join "\n", "SET pattyly.frozen_clock = '$T0'", q{SELECT pattyly.allow('login', 'c')}, q{SELECT pattyly.allow('login', 'single', 2)},
	  q{SELECT pattyly.set_limit('made-there', 5, '1 hour', 'fixed_window')}, q{SELECT pattyly.allow('made-there', 'd')}, '';

	$node->stop;
	ok(IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'two' ], '<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout(60)),
		'it comes to its end');
	is(join(' ', $out =~ /allow = "(\w)"/g), 'f t t', 'it counts on where the server stopped');
	unlike($err, qr/WARNING|ERROR|FATAL/, 'without a complaint');
	$node->start;
	is(left('two', 'single'), 1, 'and the server counts on from there');
	is(at($node, $T0, q{SELECT remaining FROM pattyly.peek_limit('made-there', 'd')}, 'two'), 4, 'with a rule that was made there');
	is(left('two', 'c'), $before, 'all else is as it was');
	is(complaints($node, $mark), '', 'the log is silent');
};

# ---- rules without end ----

# A rule that is gone must not use up the room for statistics of those that come.
subtest 'many rules come and go' => sub {
	my $mark = log_mark($node);
	for my $round (1 .. 8)
	{
		at($node, $T0, qq{
			SELECT pattyly.set_limit('r$round-' || n, 5, '1 hour') FROM generate_series(1, 10) n;
			SELECT pattyly.allow('r$round-' || n, 'a') FROM generate_series(1, 10) n}, 'two');
		is(at($node, $T0, "SELECT count(*) FROM pattyly.limit_stats WHERE limit_name LIKE 'r$round-%' AND allowed = 1", 'two'), 10,
			"round $round: all have statistics") or last;
		at($node, undef, "SELECT pattyly.drop_limit('r$round-' || n) FROM generate_series(1, 10) n", 'two');
	}
	is(complaints($node, $mark), '', 'the log is silent');
};

# There is room for the statistics of 32 rules here. When rules come and go in one database, a rule of another keeps its
# own, and a session that has known it for long does not count on behalf of a stranger.
subtest 'many rules come and go in another database' => sub {
	my $session = $node->background_psql('uno', on_error_stop => 0);
	says($session, "SET pattyly.frozen_clock = '$T0'");
	is(says($session, q{SELECT count(pattyly.allow('login', 'stats')) FROM generate_series(1, 2)}), 2, 'a session knows its rule');
	my $stats = q{SELECT sum(allowed), sum(denied) FROM pattyly.limit_stats WHERE limit_name = 'login'};
	my $before = at($node, undef, $stats, 'uno');
	for my $round (1 .. 6)
	{
		at($node, $T0, qq{
			SELECT pattyly.set_limit('s$round-' || n, 5, '1 hour') FROM generate_series(1, 10) n;
			SELECT pattyly.allow('s$round-' || n, 'a') FROM generate_series(1, 10) n;
			SELECT pattyly.drop_limit('s$round-' || n) FROM generate_series(1, 9) n}, 'two');
	}
	is(says($session, q{SELECT count(pattyly.allow('login', 'more' || n)) FROM generate_series(1, 7) n}), 7, 'it counts on');
	my ($allowed, $denied) = split /\|/, $before;
	is(at($node, undef, $stats, 'uno'), $allowed + 7 . "|$denied", 'under its own rule');
	is(at($node, undef, q{SELECT sum(allowed) FROM pattyly.limit_stats WHERE limit_name LIKE 's%'}, 'two'), 6, 'and under no other');
	$session->quit;
};

$node->stop;
done_testing();
