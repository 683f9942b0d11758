# Partitions when something dies or is in the way: killed at each step, a detach that hangs on an old transaction, locks
# that do not go away, several callers at once, a dump.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('partitions', 'pattyly.max_keys = 1000');
my $NOW = '2031-05-05 12:00:00+00';
my $TOMORROW = '2031-05-06 12:00:00+00';

at($node, $NOW, q{
	CREATE TABLE t (at timestamptz NOT NULL, v integer) PARTITION BY RANGE (at);
	SELECT pattyly.partition_table('t', 'at', '1 day', 2, '2 days', 'drop', start => '2031-05-03');
	INSERT INTO t SELECT timestamptz '2031-05-03 00:00+00' + i * interval '1 hour', i FROM generate_series(0, 71) AS i});

sub parts
{
	my ($table) = @_;
	return at($node, undef, "SELECT string_agg(c.relname || CASE WHEN i.inhdetachpending THEN '!' ELSE '' END, ' ' ORDER BY c.relname)
		FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE inhparent = '$table'::regclass");
}
sub outcome { my ($table) = @_; return at($node, undef, "SELECT last_outcome FROM pattyly.partition_sets WHERE parent = '$table'::regclass") }
sub call { my ($time, $what) = @_; return run_at($node, $time, "CALL $what") }

is(parts('t'), 't_2031_05_03 t_2031_05_04 t_2031_05_05 t_2031_05_06 t_2031_05_07', 'the set');

# ---- an old transaction ----

# Nothing is locked that a reader or writer needs; the detach waits for those who may still look.
sub hold
{
	my ($sql) = @_;
	my $hold = { in => $sql, out => '', err => '' };
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	$hold->{run} = IPC::Run::start([ 'psql', '-qAtX', 'postgres' ], '<', \$hold->{in}, '>', \$hold->{out}, '2>', \$hold->{err}, IPC::Run::timeout(120));
	wait_until('the other session has its lock', sub { $hold->{run}->pump_nb; $hold->{out} =~ /held/ });
	return $hold;
}
sub let_go { my ($hold) = @_; $hold->{in} .= "COMMIT;\n\\q\n"; $hold->{run}->finish; return }

my $hold = hold("BEGIN; SELECT count(*) FROM t; SELECT 'held';\n");
my ($status, $out, $err) = call($TOMORROW, "pattyly.maintain_partitions('t')");
like($err, qr/55P03: partitions of "t": skipped_locked/, 'an old transaction: the run does not wait for ever');
like($err, qr/the next run ends the detaching/, 'and says what becomes of it');
is(parts('t'), 't_2031_05_03! t_2031_05_04 t_2031_05_05 t_2031_05_06 t_2031_05_07 t_2031_05_08', 'what was to be made has been made');
is(at($node, $TOMORROW, q{SELECT string_agg(action || ' ' || partition, ', ') FROM pattyly.partition_plan('t')}),
	'finalize t_2031_05_03, drop t_2031_05_03', 'the plan has what is left to do');
is(at($node, undef, q{SELECT state FROM pattyly.partitions WHERE partition = 't_2031_05_03'::regclass}), 'detach pending', 'and the view shows it');
is(at($node, undef, q{INSERT INTO t VALUES ('2031-05-04', 100); SELECT count(*) FROM t WHERE v = 100}), 1, 'meanwhile the table works');
let_go($hold);
($status) = call($TOMORROW, "pattyly.maintain_partitions('t')");
is($status, 0, 'the next run ends it');
is(parts('t'), 't_2031_05_04 t_2031_05_05 t_2031_05_06 t_2031_05_07 t_2031_05_08', 'and the partition is gone');
is(at($node, undef, q{SELECT to_regclass('t_2031_05_03') IS NULL}), 't', 'dropped');
is(outcome('t'), 'ok', 'as the set says');

# ---- locks ----

$hold = hold("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT 'held';\n");
at($node, $NOW, q{CREATE TABLE other (at timestamptz NOT NULL) PARTITION BY RANGE (at); SELECT pattyly.partition_table('other', 'at', '1 day', 0)});
my $began = time;
($status, $out, $err) = call('2031-05-07 12:00:00+00', 'pattyly.maintain_partitions()');
is($status, 0, 'a table that is locked fails no other');
like($err, qr/partitions of "t": skipped_locked/, 'a warning for it');
cmp_ok(time - $began, '<', 20, 'after a bounded time');
is(outcome('t'), 'skipped_locked', 'written down');
is(outcome('other') . ' ' . parts('other'), 'ok other_2031_05_05 other_2031_05_07', 'and the other one is done');
let_go($hold);
is((call('2031-05-07 12:00:00+00', "pattyly.maintain_partitions('t')"))[0], 0, 'afterwards it goes');

# ---- several at once ----

at($node, '2031-06-01 12:00:00+00', q{CREATE TABLE busy (at timestamptz NOT NULL) PARTITION BY RANGE (at);
	SELECT pattyly.partition_table('busy', 'at', '1 hour', 0)});
my @runs = map { hold("SELECT 'held';\n") } 1 .. 6;
$_->{in} .= "SET pattyly.frozen_clock = '2031-06-02 12:00:00+00'; UPDATE pattyly.partition_sets SET premake = 60 WHERE parent = 'busy'::regclass AND premake <> 60; CALL pattyly.maintain_partitions('busy'); SELECT 'done';\n\\q\n" for @runs;
$_->{run}->pump_nb for @runs;
$_->{run}->finish for @runs;
my $refused = grep { $_->{err} =~ /skipped_locked/ } @runs;
my $failed = grep { $_->{err} =~ /failed|ERROR/ && $_->{err} !~ /skipped_locked/ } @runs;
is($failed, 0, "six at once: none fails ($refused were told that another is at it)");
cmp_ok($refused, '<', 6, 'and one does it');
is(at($node, undef, q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'busy'::regclass}), 62, 'all of it, once');

# ---- cancelled, terminated ----

$hold = hold("BEGIN; SELECT count(*) FROM t; SELECT 'held';\n");
my $run = hold("SET application_name = 'maintain'; SET pattyly.frozen_clock = '2031-05-08 12:00:00+00'; SELECT 'held';\n");
$run->{in} .= "CALL pattyly.maintain_partitions('t'); SELECT 1;\n";
$run->{run}->pump_nb;
wait_until('the detach is pending', sub { $run->{run}->pump_nb; parts('t') =~ /!/ });
at($node, undef, q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'maintain'});
$run->{in} .= "\\q\n";
$run->{run}->finish;
like($run->{err}, qr/canceling statement due to user request/, 'a run can be cancelled');
like(parts('t'), qr/!/, 'the detach is pending');
let_go($hold);
is((call('2031-05-08 12:00:00+00', "pattyly.maintain_partitions('t')"))[0], 0, 'the next run goes on');
unlike(parts('t'), qr/!/, 'and ends the detach');

# ---- killed ----

SKIP:
{
	skip 'no fault points in this build', 12 unless has_fault_points();
	for my $point (qw(partition_step partition_leaving partition_detached))
	{
		my $table = "killed_$point";
		at($node, $NOW, qq{CREATE TABLE $table (at timestamptz NOT NULL) PARTITION BY RANGE (at);
			SELECT pattyly.partition_table('$table', 'at', '1 day', 1, '1 day', 'drop', start => '2031-05-04')});
		my $mark = log_mark($node);
		run_at($node, $TOMORROW, "SET pattyly.fault_point = '$point'; CALL pattyly.maintain_partitions('$table')");
		ok(wait_for_restart($node, $mark), "$point: the process was killed");
		is((call($TOMORROW, "pattyly.maintain_partitions('$table')"))[0], 0, "$point: the next run goes well");
		is(parts($table), "${table}_2031_05_05 ${table}_2031_05_06 ${table}_2031_05_07", "$point: everything is as if nothing had happened");
		is(at($node, undef, "SELECT to_regclass('${table}_2031_05_04') IS NULL AND NOT EXISTS (SELECT FROM pattyly.leaving_partitions)"), 't',
			"$point: nothing is left over");
	}
}

# ---- draining under load ----

at($node, $NOW, q{
	CREATE TABLE load (at date NOT NULL, v integer) PARTITION BY RANGE (at);
	CREATE TABLE load_rest PARTITION OF load DEFAULT;
	INSERT INTO load SELECT date '2031-05-01' + i % 20, i FROM generate_series(1, 20000) AS i;
	SELECT pattyly.partition_table('load', 'at', '1 day', 0)});
my $bench = background_bench($node, $NOW, '-c 4 -T 6', q{
	\set d random(0, 19)
	INSERT INTO load VALUES (date '2031-05-01' + :d, -1);
	SELECT 1 / (count(*) FILTER (WHERE v > 0) = 20000)::integer FROM load;
});
($status, $out, $err) = call($NOW, "pattyly.drain_default('load', 3000)");
for (1 .. 5)
{
	last if $status == 0;
	($status, $out, $err) = call($NOW, "pattyly.drain_default('load', 3000)");
}
is($status, 0, 'the default partition is drained while others write') or diag $err;
my $written = finish_bench($bench);
cmp_ok($written, '>', 0, "and while others read, who saw every row once ($written times)");
unlike($bench->{err}, qr/ERROR/, 'without an error');
is(at($node, undef, 'SELECT count(*) FILTER (WHERE v > 0) FROM load'), 20000, 'no row is lost or doubled');
is(at($node, undef, 'SELECT count(*) FROM load WHERE v < 0'), $written, 'nor one of the writers\'');
is(at($node, undef, 'SELECT count(*) FROM load_rest'), 0, 'the default partition is empty');

# ---- a dump ----

my $to = new_server('to', 'pattyly.max_keys = 1000');
my $file = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-Fc', '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres' ], 'dumped');
$to->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '-d', 'restored', '-h', $to->host, '-p', $to->port, $file ], 'restored');
my $sets = 'SELECT * FROM pattyly.partition_sets ORDER BY parent::text';
is(at($to, undef, $sets, 'restored'), at($node, undef, $sets), 'sets are in a dump');
is((run_at($to, '2031-07-01 00:00:00+00', 'CALL pattyly.maintain_partitions()', 'restored'))[0], 0, 'and are kept where it is restored');
is(at($to, undef, q{SELECT count(*) FROM pattyly.partition_sets WHERE last_outcome <> 'ok'}, 'restored'), 0, 'all of them');

$node->stop;
$to->stop;
done_testing();
