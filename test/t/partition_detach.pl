# DETACH CONCURRENTLY within CALL maintain_partitions() that fails, is cancelled or takes too long. Afterwards the session is as
# before: no lock, no transaction, no setting is left. The next run ends what was begun, and does nothing about what was not.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('detach', 'pattyly.max_keys = 1000');
my $CALL = "CALL pattyly.maintain_partitions('t')";

# Partitions of four days, of which the first is about to expire.
sub make_table
{
	return at($node, '2031-05-05 12:00:00+00', q{
		SET client_min_messages = warning;
		DROP TABLE IF EXISTS t, t_2031_05_03, referred;
		DELETE FROM pattyly.partition_sets;
		CREATE TABLE referred (id integer PRIMARY KEY);
		CREATE TABLE t (at timestamptz NOT NULL, id integer REFERENCES referred) PARTITION BY RANGE (at);
		SELECT pattyly.partition_table('t', 'at', '1 day', 1, '1 day', 'drop', start => '2031-05-03');
		INSERT INTO t VALUES ('2031-05-03'), ('2031-05-05')});
}

sub state_of
{
	return at($node, undef, q{
		SELECT CASE WHEN to_regclass('t_2031_05_03') IS NULL THEN 'dropped'
			ELSE coalesce((SELECT CASE WHEN inhdetachpending THEN 'pending' ELSE 'attached' END
				FROM pg_inherits WHERE inhrelid = to_regclass('t_2031_05_03')), 'detached') END
			|| CASE WHEN EXISTS (SELECT FROM pattyly.leaving_partitions) THEN ', written down' ELSE '' END});
}

# ---- sessions ----

sub new_session
{
	my (@settings) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query("SET $_") for 'client_min_messages = warning', "pattyly.frozen_clock = '2031-05-05 12:00:00+00'", @settings;
	return $session;
}

sub pid_of { my ($session) = @_; return $session->query('SELECT pg_backend_pid()') }

# In the way of the other one until its transaction ends.
sub hold
{
	my ($statement) = @_;
	my $session = new_session();
	$session->query("BEGIN; $statement");
	return $session;
}
sub let_go { my ($session) = @_; $session->query('COMMIT'); $session->quit; return }

# What a process wants, and what it has of the tables. It may be over in a second, so one statement looks all the time.
at($node, undef, q{
	CREATE FUNCTION locks_of(process integer) RETURNS text LANGUAGE sql AS $$
		SELECT coalesce(string_agg(CASE WHEN granted THEN 'has ' ELSE 'wants ' END || mode || ' on ' || coalesce(relation::regclass::text, locktype), ', '
			ORDER BY granted, relation::regclass::text, mode), 'nothing')
		FROM pg_locks WHERE pid = process AND mode <> 'AccessShareLock' AND mode <> 'RowShareLock'
			AND (NOT granted OR relation IN (to_regclass('t'), to_regclass('t_2031_05_03'), to_regclass('referred')))
	$$;
	CREATE FUNCTION watch(process integer, what text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 3000 LOOP
			EXIT WHEN locks_of(process) = what;
			PERFORM pg_sleep(0.01);
		END LOOP;
		RETURN locks_of(process);
	END
	$$});

# Begins a call that will wait for a lock, and returns its PID.
sub start
{
	my ($session, $locks, $what) = @_;
	my $pid = pid_of($session);
	my $watch = $node->background_psql('postgres');
	$session->query_until(qr/called/, "\\echo called\n$CALL;\n");
	is($watch->query_safe("SELECT watch($pid, '$locks')"), $locks, "$what: it waits for what is documented");
	$watch->quit;
	return $pid;
}

# The end of the call; what it said.
sub finish
{
	my ($session) = @_;
	$session->query('SELECT 1');
	my $said = $session->{stderr};
	$session->{stderr} = '';
	return $said;
}

sub session_is_as_before
{
	my ($session, $what) = @_;
	is($session->query('SHOW lock_timeout'), '7s', "$what: lock_timeout is the session's");
	my $pid = pid_of($session);
	is(at($node, undef, "SELECT count(*) FROM pg_locks WHERE pid = $pid"), 0, "$what: no lock is left");
	is(at($node, undef, "SELECT state || coalesce(backend_xid::text, '') || coalesce(backend_xmin::text, '') FROM pg_stat_activity WHERE pid = $pid"),
		'idle', "$what: and no transaction");
	$session->query('VACUUM pattyly.partition_sets; BEGIN; CREATE TEMP TABLE x (); ROLLBACK');
	is($session->{stderr}, '', "$what: it does what it is told, without a warning");
	$session->{stderr} = '';
	return;
}

sub next_run_ends_it
{
	my ($session, $what) = @_;
	$session->query($CALL);
	is($session->{stderr}, '', "$what: the same session's next run goes well");
	is(state_of(), 'dropped', "$what: and ends it");
	$session->quit;
	return;
}

# ---- what can be in the way ----

# Each: who is in the way, what the run waits for, and what has become of the partition when it gives up.
my $next_run = qr/transactions that are older go on using it, or hold locks that are in the way; the next run ends the detaching/;
my @ways = (
	[ 'an old transaction', 'SELECT count(*) FROM t', 'wants ShareLock on virtualxid', 'pending, written down', $next_run ],
	[ 'a lock on the table', 'LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE', 'wants ShareUpdateExclusiveLock on t',
		'attached', qr/others hold a lock on the table that keeps it from being detached/ ],
	# These two others would have to stand in line behind: not for long, so nothing but that is tried.
	[ 'a reader of the partition itself', 'SELECT count(*) FROM t_2031_05_03',
		'wants AccessExclusiveLock on t_2031_05_03, has ShareUpdateExclusiveLock on t', 'pending, written down', $next_run, 9 ],
	[ 'a writer of a table it refers to', 'INSERT INTO referred VALUES (1)',
		'wants ShareRowExclusiveLock on referred, has ShareUpdateExclusiveLock on t, has AccessExclusiveLock on t_2031_05_03',
		'pending, written down', $next_run, 9 ]);

sub is_not_in_the_way
{
	my ($what) = @_;
	my $other = new_session("lock_timeout = '3s'");
	$other->query(q{INSERT INTO referred VALUES (2); INSERT INTO t VALUES ('2031-05-05', 2); SELECT count(*) FROM t;
		DELETE FROM t WHERE at = '2031-05-05'; DELETE FROM referred});
	is($other->{stderr}, '', "$what: meanwhile others read and write the tables");
	$other->quit;
	return;
}

sub cancel { my ($pid) = @_; return at($node, undef, "SELECT pg_cancel_backend($pid)") }

my %ends = (
	'takes too long' => sub { return qr/ERROR:  partitions of "t": skipped_locked\nDETAIL:  (.*: )?$_[0]/ },
	'is cancelled' => sub { cancel($_[1]); return qr/ERROR:  canceling statement due to user request/ },
	'has a statement_timeout' => sub { return qr/ERROR:  canceling statement due to statement timeout/ });

for my $way (@ways)
{
	my ($who, $statement, $locks, $becomes, $says, $at_most_s) = @$way;
	for my $end ($at_most_s ? 'takes too long' : sort keys %ends)
	{
		my $what = "$who, and the run $end";
		make_table();
		my $session = new_session("lock_timeout = '7s'", $end eq 'has a statement_timeout' ? "statement_timeout = '3s'" : ());
		my $hold = hold($statement);
		my $began = time;
		my $pid = start($session, $locks, $what);
		is_not_in_the_way($what);
		my $error = $ends{$end}->($says, $pid);
		my $said = finish($session);
		cmp_ok(time - $began, '<=', $at_most_s, "$what: it does not keep others waiting for long") if $at_most_s;
		like($said, $error, "$what: it says so");
		unlike($said, qr/WARNING/, "$what: and does not warn");
		is(state_of(), $becomes, "$what: the partition");
		session_is_as_before($session, $what);
		let_go($hold);
		next_run_ends_it($session, $what);
	}
}

# ---- an error ----

# At its start nothing has happened yet; at its end the partition is off and comes back, pending.
my %states = (ddl_command_start => 'attached', ddl_command_end => 'pending, written down');
for my $event (sort keys %states)
{
	make_table();
	at($node, undef, qq{
		CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'not today'; END \$\$;
		CREATE EVENT TRIGGER refuse ON $event WHEN tag IN ('ALTER TABLE') EXECUTE FUNCTION refuse()});
	my $session = new_session("lock_timeout = '7s'");
	$session->query($CALL);
	like(finish($session), qr/ERROR:  partitions of "t": failed\nDETAIL:  t_2031_05_03: not today\./, "an error at $event: it says so");
	is(state_of(), $states{$event}, "an error at $event: the partition");
	session_is_as_before($session, "an error at $event");
	at($node, undef, 'DROP EVENT TRIGGER refuse; DROP FUNCTION refuse');
	next_run_ends_it($session, "an error at $event");
}

# ---- another one's business ----

# What a run has not begun to detach, somebody may detach by hand, and keep.
for my $how ('cancelled', 'killed')
{
	make_table();
	my $session = new_session("lock_timeout = '7s'");
	if ($how eq 'cancelled')
	{
		my $hold = hold('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
		cancel(start($session, 'wants ShareUpdateExclusiveLock on t', 'a run'));
		like(finish($session), qr/canceling statement/, 'a run is cancelled');
		let_go($hold);
	}
	else
	{
		# What is left when it dies between the two.
		at($node, undef, q{SELECT pattyly.begin_leaving('t', 'public.t_2031_05_03')});
		is(state_of(), 'attached, written down', 'a run was killed');
		$session->query(q{SELECT pattyly.partition_table('t', 'at', '1 day', 1)});
		$session->query($CALL);
	}
	at($node, undef, 'ALTER TABLE t DETACH PARTITION t_2031_05_03');
	$session->query($CALL);
	is($session->{stderr}, '', "$how, and detached by hand: the next run goes well");
	is(state_of(), 'detached', "$how, and detached by hand: and leaves the table alone");
	$session->quit;
}

# ---- terminated ----

make_table();
my $session = new_session();
my $hold = hold('SELECT count(*) FROM t');
my $pid = start($session, 'wants ShareLock on virtualxid', 'terminated');
at($node, undef, "SELECT pg_terminate_backend($pid)");
ok(wait_until('it is gone', sub { at($node, undef, "SELECT count(*) FROM pg_locks WHERE pid = $pid") == 0 }), 'terminated: its locks are gone');
is(state_of(), 'pending, written down', 'terminated: the partition');
let_go($hold);
next_run_ends_it(new_session(), 'terminated');

$node->stop;
done_testing();
