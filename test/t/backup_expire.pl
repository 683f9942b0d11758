# CALL expire_backups(false): files really go, and whatever goes wrong, the catalogue says what is still there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run ();
use JobNode ();
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_server('expire');
my $dir = $node->basedir . '/backups';
my $log = $node->basedir . '/removed';
my $gate = $node->basedir . '/gate';
mkdir $dir, 0700 or die "mkdir: $!";
$node->append_conf('postgresql.conf', "pattyly.backup_directory = '$dir'");
$node->reload;

sub sql { my ($sql) = @_; return at($node, $T0, $sql) }
sub path { my ($label) = @_; return "$dir/$label.dump" }
sub states { return sql(q{SELECT string_agg(label || ' ' || state, ', ' ORDER BY started_at DESC) FROM pattyly.backups}) }
sub files { return join ' ', sort map { s|.*/||r } glob "$dir/*" }
sub removed { return -e $log ? slurp_file($log) : '' }
sub expire { my ($settings) = @_; return run_at($node, $T0, ($settings // '') . 'CALL pattyly.expire_backups(false)') }
sub id_of { my ($label) = @_; return sql("SELECT id FROM pattyly.backups WHERE label = '$label'") }

# Empty, and only the newest is kept.
sub begin
{
	sql('DELETE FROM pattyly.backups; SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 1)');
	unlink glob("$dir/*"), $log, $gate;
}

# A good one so many days old, with a file unless it has another location.
sub add
{
	my ($label, $days, $location, $columns, $values) = @_;
	append_to_file(path($label), "backup $label") unless defined $location;
	$location //= path($label);
	sql(qq{INSERT INTO pattyly.backups (label, state, started_at, finished_at, bytes, stored_bytes, location @{[$columns // '']})
		VALUES ('$label', 'done', timestamptz '$T0' - interval '$days days', timestamptz '$T0' - interval '$days days', 10, 10,
			nullif('$location', '') @{[$values // '']})});
	return id_of($label);
}

sub stages { my ($stages) = @_; return "SET pattyly.backup_remove_stages = '$stages';\n" }

# A program that writes its arguments down, and fails when it is to.
my $remover = $node->basedir . '/remover';
append_to_file($remover, <<"SH");
#!/bin/sh
case "\$*" in *broken*) echo "no such bucket" >&2; exit 3;; esac
case "\$*" in *gate*) echo waiting >"$gate"; while [ -e "$gate" ]; do sleep 0.1; done;; esac
echo "\$PGDATABASE \$*" >>"$log"
SH
chmod 0755, $remover;
my $remote = stages(qq{[["$remover", "%d", "%l", "%f", "%i", "%o"]]});

# The statements in a session of its own; {run}->finish waits for it.
my $sessions = 0;
sub background
{
	my ($sql) = @_;
	my $session = { out => '', err => '' };
	my $file = $node->basedir . '/session-' . ++$sessions . '.sql';
	append_to_file($file, "SET application_name = 'background';\nSET pattyly.frozen_clock = '$T0';\n$sql;\n");
	$session->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', \$session->{out}, '2>', \$session->{err}, IPC::Run::timeout(60));
	return $session;
}

sub waits_at_gate { return wait_until('a program waits', sub { -e $gate }) }

subtest 'files go' => sub {
	begin();
	add("d$_", $_) for 1 .. 4;
	append_to_file("$dir/other", 'not a backup');
	my ($status, undef, $err) = run_at($node, $T0, 'CALL pattyly.expire_backups()');
	is($status, 0, 'a dry run');
	like($err, qr/NOTICE:\s+00000: keep d1 \(id \d+\): number 1 of the last 1\n.*expire d2 \(id \d+\): no rule keeps it\n.*3 of 4 backups would expire/s, 'says what would go');
	is(files(), 'd1.dump d2.dump d3.dump d4.dump other', 'and removes nothing');
	($status, undef, $err) = expire();
	is($status, 0, 'the real one');
	like($err, qr/keep d1.*expire d4.*backup d2 \(id \d+\) has expired: no rule keeps it.*backup d4 \(id \d+\) has expired/s, 'says what goes');
	is(files(), 'd1.dump other', 'and removes that');
	is(states(), 'd1 done, d2 expired, d3 expired, d4 expired', 'the catalogue knows');
	is(sql(q{SELECT expired_at = timestamptz '2031-05-05 00:00:00+00' AND bytes = 10 AND stored_bytes = 10 FROM pattyly.backups WHERE label = 'd3'}), 't', 'when, and what it was');
	($status, undef, $err) = expire();
	is($status, 0, 'again');
	unlike($err, qr/expired/, 'nothing more');
	is(sql('SELECT count(*) FROM pattyly.expiry_plan()'), 1, 'the plan has what is left');
};

subtest 'what cannot be removed stays in the catalogue' => sub {
	begin();
	add("d$_", $_) for 1 .. 4;
	unlink path('d3');
	mkdir path('d3');
	my ($status, undef, $err) = expire();
	isnt($status, 0, 'one that is no file');
	like($err, qr/WARNING:\s+\w+: backup d3 \(id \d+\) could not be removed: could not remove file "[^"]*d3\.dump": .*HINT:/s, 'a warning');
	like($err, qr/ERROR:\s+38000: 1 of 3 backups could not be removed.*HINT:/s, 'an error at the end');
	is(states(), 'd1 done, d2 expired, d3 done, d4 expired', 'the others go on');
	like(sql(q{SELECT annotations ->> 'removal_error' FROM pattyly.backups WHERE label = 'd3'}), qr/could not remove file/, 'the row says why');
	rmdir path('d3');
	append_to_file(path('d3'), 'a file again');
	chmod 0500, $dir;
	($status, undef, $err) = expire();
	like($err, qr/WARNING:\s+42501: backup d3 .*Permission denied/, 'a directory that cannot be written');
	is(states(), 'd1 done, d2 expired, d3 done, d4 expired', 'it stays');
	chmod 0700, $dir;
	is((expire())[0], 0, 'when it is mended');
	is(states(), 'd1 done, d2 expired, d3 expired, d4 expired', 'it goes');
	is(sql(q{SELECT annotations FROM pattyly.backups WHERE label = 'd3'}), '{}', 'with its complaint');

	begin();
	add('d1', 1);
	add('d2', 2, 's3://x/d2');
	($status, undef, $err) = expire(stages(q{[["sh", "-c", "printf ''\\\\377 password=geheim'' >&2; exit 1", "sh", "%o"]]}));
	like($err, qr/WARNING:.*d2 .*could not be removed/, 'a program whose complaint is no text of this encoding');
	is(sql(q{SELECT annotations ->> 'removal_error' LIKE '%? password=******' FROM pattyly.backups WHERE label = 'd2'}), 't', 'is quoted as text, without its secret');

	begin();
	add("d$_", $_) for 1 .. 3;
	rename $dir, "$dir.away" or die;
	($status, undef, $err) = expire();
	like($err, qr/could not open backup directory.*could not open backup directory.*38000: 2 of 2/s, 'a directory that is away');
	rename "$dir.away", $dir or die;
	is(states(), 'd1 done, d2 done, d3 done', 'nothing was taken for gone');

	unlink path('d2');
	($status, undef, $err) = expire();
	is($status, 0, 'a file that is gone already is no error');
	like($err, qr/WARNING:\s+58P01: backup d2 \(id \d+\) has expired, but its file \S+d2\.dump was gone already.*HINT:/s, 'but a warning');
	is(states(), 'd1 done, d2 expired, d3 expired', 'and has expired');
};

subtest 'other locations' => sub {
	begin();
	add('d1', 1);
	my $id = add('d2', 2, 's3://bucket/d2.dump', ', database', ', current_database()');
	add('d3', 3, 's3://broken/d3.dump');
	add('d4', 4, 's3://bucket/it has $(spaces) %f');
	my ($status, undef, $err) = expire();
	isnt($status, 0, 'without programs');
	like($err, qr/backup d2 .*could not be removed: it is at "s3:\/\/bucket\/d2\.dump", and there is no program.*HINT:  A superuser sets pattyly\.backup_remove_stages, such as '\[\["rclone", "deletefile", "%o"\]\]'/s, 'a warning with a hint');
	is(states(), 'd1 done, d2 done, d3 done, d4 done', 'they stay');
	($status, undef, $err) = expire($remote);
	like($err, qr/backup d3 .*could not be removed: stage 1 of pattyly\.backup_remove_stages failed: remover exited with status 3\nDETAIL:  no such bucket/, 'what a program complained about');
	like($err, qr/38000: 1 of 3/, 'is an error');
	is(states(), 'd1 done, d2 expired, d3 done, d4 expired', 'the others go on');
	like(removed(), qr/^postgres postgres d2 d2\.dump $id s3:\/\/bucket\/d2\.dump\n/, 'placeholders');
	like(removed(), qr/s3:\/\/bucket\/it has \$\(spaces\) %f\n/, 'and no shell');
	is((expire(stages(qq{[["/bin/echo", "%o"], ["/usr/bin/tee", "$log"]]})))[0], 0, 'two programs');
	is(removed(), "s3://broken/d3.dump\n", 'the second reads what the first one writes');

	begin();
	add('d1', 1);
	add('d2', 2, 's3://bucket/d2.dump', ', database', ', \'another\'');
	add('d3', 3, undef, ', database', ', \'another\'');
	is((expire($remote))[0], 0, 'those of the database that this is a copy of');
	is(states() . ' ' . files(), 'd1 done, d2 done, d3 done d1.dump d3.dump', 'stay');

	begin();
	add('d1', 1);
	add('d2', 2, '');
	($status, undef, $err) = expire($remote);
	like($err, qr/backup d2 .*could not be removed: nobody said where it is.*HINT:/s, 'no location');
	is(states(), 'd1 done, d2 done', 'so it stays');
	is((expire(stages(qq{[["$remover", "%l"]]})))[0], 0, 'programs that do not ask for it');
	is(states(), 'd1 done, d2 expired', 'remove it');

	begin();
	add('d1', 1);
	add('d2', 2, 's3://x/y');
	for my $case ([ '[["/no/such"]]', qr/program "\/no\/such" was not found/ ], [ '[["sleep", "60"]]', qr/not done within 1 seconds/ ])
	{
		my $began = time;
		($status, undef, $err) = expire(stages($case->[0]) . 'SET pattyly.backup_timeout = 1;');
		like($err, $case->[1], "$case->[0]: a warning");
		is(states(), 'd1 done, d2 done', 'it stays');
		cmp_ok(time - $began, '<', 30, 'soon');
	}
	add('d3', 3, undef, ', tool', ", 'pgbackrest'");
	is((expire($remote))[0], 0, 'one of another tool');
	is(states(), 'd1 done, d2 expired, d3 done', 'is not touched');
	is(files(), 'd1.dump d3.dump', 'nor its file');
};

subtest 'no file goes that is not the backup\'s own' => sub {
	begin();
	sql('CREATE ROLE script; GRANT USAGE ON SCHEMA pattyly TO script;
		GRANT EXECUTE ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint), pattyly.finish_backup(bigint, bigint, text, text, jsonb) TO script');
	append_to_file("$dir/precious", 'secret');
	for my $case ([ 'p1', "$dir/precious" ], [ 'p2', '/etc/passwd' ], [ 'p3', '@all' ], [ 'p4', 's3://bucket/p4' ], [ 'p5', substr("$dir/precious", 1) ],
		[ 'p6', ":local:$dir/precious" ], [ 'p7', "file://$dir/precious" ], [ 'p8', "disk://$dir/precious" ], [ 'p9', 's3://bucket/../other/p9' ],
		[ 'p10', 's3://bucket/*' ], [ 'p11', 's3://bucket/d?' ], [ 'p12', 's3://bucket/d%31' ], [ 'p13', 's3://bucket//d1' ], [ 'p14', 's3://bucket/./d1' ], [ 'p15', "s3://bucket/d1\n" ])
	{
		at($node, later('-2 days'), qq{SET ROLE script; SELECT pattyly.finish_backup(pattyly.begin_backup('$case->[0]', location => '$case->[1]'), 6)});
	}
	# What such roles note has its own last one.
	at($node, later('-1 day'), q{SET ROLE script; SELECT pattyly.finish_backup(pattyly.begin_backup('p0', location => 's3://bucket/p0'), 6)});
	sql(q{UPDATE pattyly.backups SET state = 'done'});
	add('d1', 1);
	my ($status, undef, $err) = expire($remote);
	is(scalar(() = $err =~ /WARNING:\s+42501: backup p[1-9]\d? .*could not be removed: a role that is no superuser said that it is at/g), 14, 'paths that a script gave are not taken');
	is(files(), 'd1.dump precious', 'the file is there');
	like(removed(), qr/\A\S+ postgres p4 p4\.dump \d+ s3:\/\/bucket\/p4\n\z/, 'an address is');
	is(sql(q{SELECT string_agg(label, ' ' ORDER BY label) FROM pattyly.backups WHERE state = 'done'}), 'd1 p0 p1 p10 p11 p12 p13 p14 p15 p2 p3 p5 p6 p7 p8 p9', 'the rows stay');

	begin();
	add('d1', 1);
	add('d2', 2, path('d1'));
	($status, undef, $err) = expire();
	is($status, 0, 'two rows of one file');
	like($err, qr/WARNING:\s+55006: backup d2 \(id \d+\) has expired, but \S+d1\.dump stays: it is also that of backup \d+/, 'a warning');
	is(files(), 'd1.dump', 'the file is the other one\'s');

	# Programs that go by the label, which a script chooses.
	begin();
	add('d1', 1, 's3://bucket/d1.dump');
	at($node, later('-' . (4 - $_) . ' days'), qq{SET ROLE script; SELECT pattyly.finish_backup(pattyly.begin_backup('d$_'), 6)}) for 1 .. 3;
	($status, undef, $err) = expire(stages(qq{[["$remover", "%f"]]}));
	is($status, 0, 'two rows of one label');
	is(removed(), "postgres d2.dump\n", 'what is only the script\'s goes');
	like($err, qr/WARNING:\s+55006: backup d1 \(id \d+\) has expired, but d1 stays: it is also that of backup \d+/, 'what is trusted stays');

	# What a script says to be its own as well goes all the same.
	begin();
	add('d1', 1);
	add('d2', 2);
	at($node, later('-1 day'), qq{SET ROLE script; SELECT pattyly.finish_backup(pattyly.begin_backup('mine'), 6)});
	sql(q{UPDATE pattyly.backups SET location = '} . path('d2') . q{' WHERE label = 'mine'});
	is((expire())[0], 0, 'a row that a script noted of a file');
	is(files(), 'd1.dump', 'keeps nothing from going');
};

subtest 'chains' => sub {
	begin();
	my $full = add('full', 5, 's3://b/full');
	# The clock had stepped back: it seems older than what it builds on.
	my $first = add('inc1', 6, 's3://b/inc1', ', kind, parent_id', ", 'incremental', $full");
	add('inc2', 4, 's3://b/inc2', ', kind, parent_id', ", 'incremental', $first");
	add('d1', 1);
	is((expire($remote))[0], 0, 'a chain goes');
	is(join(' ', removed() =~ m{s3://b/(\S+)}g), 'inc2 inc1 full', 'from its end');

	begin();
	$full = add('full', 5, 's3://b/full');
	add('inc1', 4, 's3://broken/inc1', ', kind, parent_id', ", 'incremental', $full");
	add('d1', 1);
	my (undef, undef, $err) = expire($remote);
	like($err, qr/NOTICE:\s+00000: backup full \(id $full\) stays as long as others build on it/, 'what cannot go keeps its parent');
	is(states(), 'd1 done, inc1 done, full done', 'so it is whole');
};

subtest 'meanwhile' => sub {
	begin();
	add('d1', 1);
	my $going = add('d2', 2, 's3://gate/d2');
	my $next = add('d3', 3, 's3://bucket/d3');
	my $session = background($remote . 'CALL pattyly.expire_backups(false)');
	ok(waits_at_gate(), 'a program runs') or diag($session->{err});
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'background' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)}), 0, 'without a transaction');
	is(states(), 'd1 done, d2 done, d3 done', 'the row waits');
	like((expire())[2], qr/ERROR:\s+55006:.*HINT:/s, 'another expire_backups() does not');
	like(error_of($node, $T0, "SET lock_timeout = '300ms'; $_"), qr/ERROR:\s+55P03:/, "$_ waits")
	  for ("SELECT pattyly.hold_backup($going, 'x')", 'SELECT pattyly.set_retention(5, 1, 1, 1, 1)',
		"SELECT pattyly.begin_backup('inc', 'incremental', parent_id => $going)");
	is(sql(q{SELECT pattyly.fail_backup(pattyly.begin_backup('other'), 'x') IS NULL}), 'f', 'other backups begin');
	my $hold = background("SELECT pattyly.hold_backup($next, 'wanted')");
	my $build = background("SELECT pattyly.begin_backup('inc', 'incremental', parent_id => $going)");
	ok(wait_until('both wait', sub { sql(q{SELECT count(*) FROM pg_locks WHERE NOT granted}) == 2 }), 'a hold and a child wait');
	unlink $gate;
	$_->{run}->finish for ($session, $hold, $build);
	is($session->{err} =~ /ERROR/ ? $session->{err} : '', '', 'it ends well');
	is($hold->{err}, '', 'the hold comes');
	like($build->{err}, qr/ERROR:\s+42704: there is no good backup $going/, 'nobody builds on what is gone');
	is(sql(q{SELECT string_agg(label || ' ' || state, ', ' ORDER BY label) FROM pattyly.backups WHERE label ~ '^d'}), 'd1 done, d2 expired, d3 done', 'what was held in time stays, although it was announced');
};

subtest 'a transaction that is left open' => sub {
	begin();
	my $held = add('d1', 1);
	add('d2', 2);
	add('d3', 3);
	my $open = background("BEGIN; SELECT pattyly.hold_backup($held, 'x'); SELECT pg_sleep(4); COMMIT");
	ok(wait_until('it sleeps', sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'background' AND wait_event = 'PgSleep'}) }), 'a hold, not committed');
	like((expire(q{SET lock_timeout = '500ms';}))[2], qr/ERROR:\s+55006: a transaction .*did not end within 500 ms.*HINT:.*pg_stat_activity/s, 'is waited for, but not for ever');
	is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ExclusiveLock'}), 0, 'so that others can go on');
	is(states(), 'd1 done, d2 done, d3 done', 'nothing has gone');
	$open->{run}->finish;
	expire();
	is(states() =~ /d1 done/ ? 1 : 0, 1, 'the hold came in time');
};

subtest 'canceled and killed' => sub {
	for my $how ('cancel', 'terminate')
	{
		begin();
		add('d1', 1);
		add('d2', 2, 's3://gate/d2');
		add('d3', 3, 's3://bucket/d3');
		my $session = background($remote . 'CALL pattyly.expire_backups(false)');
		ok(waits_at_gate(), "$how: a program runs");
		sql("SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'background'");
		$session->{run}->finish;
		like($session->{err}, $how eq 'cancel' ? qr/ERROR:\s+57014/ : qr/FATAL:\s+57P01/, 'it ends');
		is(states(), 'd1 done, d2 done, d3 done', 'all are still there');
		like(sql(q{SELECT annotations ->> 'removal_error' FROM pattyly.backups WHERE label = 'd2'}), qr/canceled|terminated/, 'the row says why');
		unlink $gate;
		usleep(500_000);
		is(removed(), '', 'the program does not go on');
		is((expire("SET pattyly.backup_remove_stages = '[[\"true\"]]';"))[0], 0, 'again');
		is(states(), 'd1 done, d2 expired, d3 expired', 'goes on');
	}

	begin();
	add('d1', 1);
	add('d2', 2, 's3://gate/d2');
	my $session = background($remote . 'CALL pattyly.expire_backups(false)');
	ok(waits_at_gate(), 'kill -9: a program runs');
	my $mark = log_mark($node);
	kill 9, sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'background'});
	$session->{run}->finish;
	ok(wait_for_restart($node, $mark), 'the server is back') or BAIL_OUT('no server');
	unlink $gate;
	usleep(500_000);
	is(removed(), '', 'the program went with it');
	is(states(), 'd1 done, d2 done', 'nothing has changed');
	is((expire("SET pattyly.backup_remove_stages = '[[\"true\"]]';"))[0], 0, 'again');
	is(states(), 'd1 done, d2 expired', 'goes on');
};

subtest 'killed between the file and the row' => sub {
	plan skip_all => 'needs a build with fault points' unless has_fault_points();
	begin();
	add("d$_", $_) for 1 .. 3;
	my $mark = log_mark($node);
	my $session = background("SET pattyly.fault_point = 'backup_removed'; CALL pattyly.expire_backups(false)");
	$session->{run}->finish;
	ok(wait_for_restart($node, $mark), 'the server is back') or BAIL_OUT('no server');
	is(files(), 'd1.dump d3.dump', 'a file is gone');
	is(states(), 'd1 done, d2 done, d3 done', 'and its row not');
	my ($status, undef, $err) = expire();
	is($status, 0, 'the next call');
	like($err, qr/backup d2 .* was gone already/, 'notices');
	is(states(), 'd1 done, d2 expired, d3 expired', 'and goes on');
};

subtest 'where it cannot run' => sub {
	begin();
	like(error_of($node, $T0, 'BEGIN; CALL pattyly.expire_backups(false)'), qr/ERROR:\s+2D000:/, 'in a transaction');
	like(error_of($node, $T0, 'DO $$BEGIN CALL pattyly.expire_backups(false); END$$'), qr/ERROR:\s+2D000:/, 'in a procedure');
	is((run_at($node, $T0, 'BEGIN; CALL pattyly.expire_backups(); COMMIT'))[0], 0, 'a dry run may');
	is((run_at($node, $T0, "SET default_transaction_isolation = 'repeatable read'; CALL pattyly.expire_backups(false)"))[0], 0, 'in another isolation level');
};

subtest 'as a job' => sub {
	my $crew = JobNode::new_job_server('expire_job');
	my $there = $crew->basedir . '/backups';
	mkdir $there, 0700;
	append_to_file("$there/d2.dump", 'backup');
	$crew->append_conf('postgresql.conf', "pattyly.backup_directory = '$there'");
	$crew->reload;
	JobNode::sql($crew, qq{INSERT INTO pattyly.backups (label, state, finished_at, location) VALUES
		('d1', 'done', pattyly.clock_now() - interval '1 day', '$there/d1.dump'), ('d2', 'done', pattyly.clock_now() - interval '2 days', '$there/d2.dump')});
	JobNode::sql($crew, 'SELECT pattyly.set_retention(1, NULL, NULL, NULL, NULL, min_good => 1)');
	like(JobNode::outcome($crew, 'CALL pattyly.expire_backups(dry_run => false)'), qr/^succeeded\|/, 'succeeds');
	is(JobNode::sql($crew, q{SELECT string_agg(state, ' ' ORDER BY label) FROM pattyly.backups}), 'done expired', 'and removes');
	ok(!-e "$there/d2.dump", 'really');
	$crew->stop;
};

$node->stop;
done_testing();
