# Whatever breaks while a backup is made: it is never called done, its row gets an end, and no process and no part of a
# file stays behind.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use BackupNode;
use IPC::Run ();
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_backup_server('faults');
my $directory = directory_of($node);
my $hangs = stages([ 'sh', '-c', 'echo begun; sleep 1000 | cat' ]);
my $good = stages([ 'pg_dump', '-Fc', '--no-password', '--snapshot=%s' ]);

# A dump that is complete, and a program that ends when a file has gone.
my $gate = $node->basedir . '/gate';
my $gated = stages([ 'sh', '-c', "pg_dump -Fc; while [ -e $gate ]; do sleep 0.1; done" ]);
sub shut_gate { open my $file, '>', $gate or die "$gate: $!"; return }
sub open_gate { unlink $gate or die "$gate: $!"; return }

sql($node, 'CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 20000) AS g');

# The newest row failed for this reason, with an end, and left no file.
sub failed
{
	my ($reason, $what, $database) = @_;
	is(last_backup($node, 'state, finished_at >= started_at', $database), 'failed|t', "$what: the row says failed, and when");
	like(last_backup($node, 'error', $database), $reason, 'and why');
	unlike(files_of($node), qr/partial/, 'no part of a file is left');
}

sub works { my ($what) = @_; like(backup($node, "after-" . time, $good), qr/is done/, "$what: the next one is done") }

# A run that hangs, then something happens to it.
sub hanging
{
	my ($label, $what, $do, $settings) = @_;
	my ($job, $pid, $group) = waits_in($node, $label, $settings // $hangs);
	ok($group && program_in($group, qr/^sleep 1000/), "$what: it hangs, with grandchildren") or return '';
	$do->($pid, $group);
	my $said = finish_background($job);
	ok(group_gone($group), 'no process is left');
	return $said;
}

subtest 'stages' => sub {
	my $lock = in_background($node, 'BEGIN; LOCK t; SELECT pg_sleep(60); COMMIT;');
	wait_for($node, q{SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock'}, 1);
	my ($job, $pid, $group) = waits_in($node, 'kill9', stages([ 'pg_dump', '-Fc' ], [ 'cat' ]));
	kill 9, program_in($group, qr/pg_dump/);
	like(finish_background($job), qr/ERROR:  38000: stage 1 of the backup failed: pg_dump was ended by signal 9/, 'pg_dump is killed');
	failed(qr/pg_dump was ended by signal 9/, 'killed');
	is(last_backup($node, 'exit_status'), -9, 'its status');
	sql($node, "SELECT pg_terminate_backend(($SLEEPS))");
	finish_background($lock);

	for ([ 'silent', qr/none wrote a backup/, [ 'true' ] ], [ 'exit', qr/stage 2 .*sh exited with status 7/, [ 'pg_dump', '-Fc' ], [ 'sh', '-c', 'cat; exit 7' ] ],
		[ 'first', qr/stage 1 .*sh exited with status 1/, [ 'sh', '-c', 'echo x; exit 1' ], [ 'gzip' ] ])
	{
		my ($label, $reason, @stages) = @$_;
		like(backup($node, $label, stages(@stages)), qr/ERROR:  38000/, "stages that $label");
		failed($reason, $label);
	}
	# It must not be the first, whose size nobody knows.
	works('first');
	for ([ 'half', [ 'sh', '-c', 'pg_dump -Fc >$PGHOST/whole; head -c $(( $(stat -c %%s $PGHOST/whole) * 3 / 4 )) $PGHOST/whole; rm $PGHOST/whole' ] ],
		[ 'plain', [ 'sh', '-c', 'pg_dump | head -n -8' ] ],
		[ 'zipped', [ 'sh', '-c', 'pg_dump | gzip | head -c 100000' ] ],
		[ 'tarred', [ 'sh', '-c', 'pg_dump -Ft | head -c 500000' ] ])
	{
		my ($label, @stages) = @$_;
		like(backup($node, $label, stages(@stages)), qr/WARNING:.* is suspect/, "a dump that is cut off: $label");
		is(last_backup($node, 'state, error IS NOT NULL, label'), "suspect|t|$label", 'does not count');
	}
	like(backup($node, 'small', stages([ 'pg_dump', '-Fc', '-s' ])), qr/WARNING:.*less than half of the/, 'a dump much smaller than the last');
	is(sql($node, q{SELECT count(*) FROM pattyly.backups WHERE state = 'running'}), 0, 'nothing runs');
};

subtest 'it takes too long, or somebody stops it' => sub {
	like(hanging('timeout', 'backup_timeout', sub { }, "SET pattyly.backup_timeout = '6s';$hangs"), qr/ERROR:  57014: programs were not done within 6 seconds/, 'is canceled');
	failed(qr/not done within 6 seconds/, 'timeout');
	like(hanging('cancel', 'pg_cancel_backend', sub { sql($node, "SELECT pg_cancel_backend($_[0])") }), qr/ERROR:  57014/, 'is canceled');
	failed(qr/canceled/, 'cancel');
	like(hanging('terminate', 'pg_terminate_backend', sub { sql($node, "SELECT pg_terminate_backend($_[0])") }), qr/FATAL:  57P01/, 'is terminated');
	failed(qr/terminated/, 'terminate');
	like(hanging('statement', 'statement_timeout', sub { }, "SET statement_timeout = '6s';$hangs"), qr/ERROR:  57014: canceling statement due to statement timeout/, 'is canceled');
	failed(qr/canceled/, 'statement_timeout');
	like(hanging('stubborn', 'a stage that ignores SIGTERM', sub { sql($node, "SELECT pg_cancel_backend($_[0])") },
		stages([ 'sh', '-c', q{trap '' TERM; echo x; sleep 1000; sleep 1000} ])), qr/ERROR:  57014/, 'is canceled');
	my ($lonely, undef, $group_of_lonely) = waits_in($node, 'lonely', "SET client_connection_check_interval = '200ms';$hangs");
	$lonely->{run}->signal('KILL');
	finish_background($lonely);
	ok(group_gone($group_of_lonely, 10), 'the client is gone: no process is left');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.backups WHERE label = 'lonely' AND state <> 'running'}, 1), 1, 'its row has an end');
	failed(qr/^the connection to the client was lost/, 'client_connection_check_interval');
	for my $leaves ([ 'timeout', '60', 'sh', '-c', 'echo x; sleep 61' ], [ 'setsid', 'sh', '-c', q{trap '' TERM; echo x; sleep 61; sleep 61} ])
	{
		my ($job, $pid) = waits_in($node, "leaves-$leaves->[0]", stages($leaves));
		ok(wait_until('it sleeps', sub { grep { $_->[4] =~ /^sleep 61/ } processes() }), "$leaves->[0], which leaves the group of the programs");
		my $began = time;
		sql($node, "SELECT pg_cancel_backend($pid)");
		like(finish_background($job), qr/ERROR:  57014/, 'is canceled');
		cmp_ok(time - $began, '<', 15, 'at once');
		ok(wait_until('nothing sleeps', sub { !grep { $_->[4] =~ /^sleep 61/ && $_->[3] ne 'Z' } processes() }, 2), 'no process is left');
	}
	works('stopped');
	sql($node, "ALTER SYSTEM SET pattyly.backup_stages = '[[\"sh\", \"-c\", \"echo x; sleep 1000 | cat\"]]'");
	$node->reload;
	is(outcome($node, q{CALL pattyly.run_backup('job-timeout')}, q{max_runtime => '2 seconds'}), 'timed_out||57014', 'max_runtime of a job');
	failed(qr/canceled/, 'max_runtime');
	schedule($node, 'backup', q{CALL pattyly.run_backup('job-cancel')});
	my $run = run_now($node, 'backup');
	my $group = keeper_of(running_session($node));
	sql($node, q{SELECT pattyly.cancel_job('backup')});
	ok(ended($node, $run, 10), 'cancel_job');
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $run"), 'canceled', 'is canceled');
	ok(group_gone($group), 'no process is left');
	failed(qr/canceled|terminated/, 'cancel_job');
	sql($node, 'ALTER SYSTEM RESET pattyly.backup_stages');
	$node->reload;
};

subtest 'two at once' => sub {
	my $said = hanging('one', 'one runs', sub {
		like(backup($node, 'two'), qr/ERROR:  55006: another backup of this database is being made, verified or removed/, 'the other is refused');
		like((attempt($node, 'CALL pattyly.verify_backup()'))[2], qr/ERROR:  55006/, 'and so is a verification');
		is(last_backup($node, 'label'), 'one', 'without a row');
		like(error_of($node, undef, 'SELECT pattyly.fail_backup((SELECT max(id) FROM pattyly.backups), $$no$$)'), qr/ERROR:  55000: backup \d+ is a run of run_backup/, 'nobody else ends it');
		sql($node, 'SELECT pattyly.close_lost_backups()');
		is(last_backup($node, 'state'), 'running', 'nor is it taken for lost');
		sql($node, "SELECT pg_cancel_backend($_[0])");
	});
	works('one');
};

subtest 'the directory' => sub {
	my $with = sub { my ($label, $path) = @_; return backup($node, $label, "SET pattyly.backup_directory = '$path';") };
	my $base = $node->basedir;
	symlink $directory, "$base/link";
	mkdir "$base/closed", 0500;
	mkdir $node->data_dir . '/inside', 0700;
	like($with->('d1', "$base/none"), qr/ERROR:  58P01: could not open backup directory/, 'missing');
	like($with->('d2', "$base/link"), qr/ERROR:  42809: backup directory ".*" is a symbolic link/, 'a symbolic link');
	like($with->('d3', "$base/link/"), qr/ERROR:  42809/, 'a symbolic link with a slash');
	like($with->('d4', "$base/closed"), qr/ERROR:  42501: could not create file/, 'not writable');
	like($with->('d5', $node->data_dir . '/inside'), qr/ERROR:  55000: .* is inside of the data directory/, 'in the data directory');
	like($with->('d6', "$base/../" . ($base =~ s|.*/||r) . '/pgdata/inside'), qr/ERROR:  55000: .* is inside of the data directory/, 'by a detour, too');
	like($with->('d7', ''), qr/ERROR:  55000: there is no directory for backups/, 'none');
	like(error_of($node, undef, q{SET pattyly.backup_directory = 'relative'}), qr/ERROR:  22023/, 'relative');
	is(sql($node, q{SELECT string_agg(DISTINCT state, ' '), count(*) FROM pattyly.backups WHERE label ~ '^d[0-9]$'}), 'failed|6', 'all are in the catalogue but that of no directory');
	append_to_file("$directory/taken.dump", 'somebody else\'s');
	like(backup($node, 'taken'), qr/ERROR/, 'a file of that name is there');
	is(slurp_file("$directory/taken.dump"), 'somebody else\'s', 'and stays');
	my $partial = "$directory/linked.dump." . sql($node, q{SELECT oid FROM pg_database WHERE datname = 'postgres'}) . '-' . (last_backup($node, 'id') + 1) . '.partial';
	symlink "$base/target", $partial;
	like(backup($node, 'linked'), qr/ERROR:  58P02: could not create file/, 'a link is where the file would be');
	ok(!-e "$base/target", 'it is not followed');
	unlink $partial;
};

subtest 'the disk is full' => sub {
	# A file system of its own takes a mount; in a user namespace that may be had without being root.
	my $small = $node->basedir . '/small';
	mkdir $small, 0700;
	my $pipe = $node->basedir . '/full';
	my $can = !system(qq{unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=64k none $small' >/dev/null 2>&1});
	plan skip_all => 'nobody may mount a file system here' unless $can;
	# The server sees a mount only when it is made in its own namespace: it is started anew in one.
	$node->stop;
	my $data = $node->data_dir;
	my $log = $node->logfile;
	my $started = !system(qq{unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=256k none $small && exec unshare --user --map-user=1000 --map-group=1000 pg_ctl -D $data -l $log -w start' >$pipe 2>&1});
	if (!$started) { diag slurp_file($pipe); $node->start; plan skip_all => 'no server in a namespace of its own' }
	$node->_update_pid(1);
	my $said = backup($node, 'full', "SET pattyly.backup_directory = '$small';" . stages([ 'head', '-c', '512000', '/dev/urandom' ]));
	like($said, qr/ERROR:  53100: could not write the backup after \d+ bytes: No space left on device/, 'it says so');
	failed(qr/No space left/, 'full');
	like(backup($node, 'fits', "SET pattyly.backup_directory = '$small';" . stages([ 'head', '-c', '200000', '/dev/urandom' ])), qr/is done|is suspect/, 'the room is free again');
	$node->stop;
	$node->start;
	scheduler_ready($node);
};

subtest 'the server stops' => sub {
	for my $mode ('fast', 'immediate')
	{
		hanging("stop-$mode", $mode, sub { $node->stop($mode); $node->start });
		scheduler_ready($node);
		works($mode);
		is(sql($node, "SELECT state, finished_at IS NOT NULL, error ~ 'restarted|terminated' FROM pattyly.backups WHERE label = 'stop-$mode'"), 'failed|t|t', 'the row has an end');
		unlike(files_of($node), qr/partial/, 'no part of a file is left');
	}
};

subtest 'kill -9' => sub {
	my $mark = log_mark($node);
	hanging('kill-backend', 'of the backend', sub { kill 9, $_[0]; ok(group_gone($_[1]), 'its programs are gone within 2 s') });
	ok(wait_for_restart($node, $mark), 'the server is back') or BAIL_OUT('no server');
	works('killed');
	is(sql($node, q{SELECT state, finished_at IS NOT NULL, error FROM pattyly.backups WHERE label = 'kill-backend'}), 'failed|t|the server was restarted, or is another one, since it began', 'the row has an end');
	unlike(files_of($node), qr/partial/, 'no part of a file is left');

	hanging('kill-server', 'of the server', sub { kill_server($node); ok(group_gone($_[1]), 'the programs are gone within 2 s') });
	$node->start;
	scheduler_ready($node);
	works('killed');
	is(sql($node, q{SELECT state FROM pattyly.backups WHERE label = 'kill-server'}), 'failed', 'the row has an end');

	like(hanging('kill-keeper', 'of the process that guards the others', sub { kill 9, $_[1] }), qr/ERROR:  57000: the process that guards the programs was killed/, 'ends the backup');
	failed(qr/guards/, 'without its guard');
	works('killed');
};

# The newest row, after the server died in a run at such a point, and is back.
sub dies_at
{
	my ($point) = @_;
	my $mark = log_mark($node);
	backup($node, $point, "SET pattyly.fault_point = '$point';$good");
	ok(wait_for_restart($node, $mark), "$point: the server is back") or BAIL_OUT('no server');
	scheduler_ready($node);
	return sql($node, "SELECT id FROM pattyly.backups WHERE label = '$point'");
}

subtest 'dies at the worst moment' => sub {
	plan skip_all => 'needs a build with fault points' unless has_fault_points();
	for my $point ('backup_stream', 'backup_written')
	{
		dies_at($point);
		works($point);
		is(sql($node, "SELECT state FROM pattyly.backups WHERE label = '$point'"), 'failed', 'the row has an end');
		unlike(files_of($node), qr/partial/, 'no part of a file is left');
	}
	# From here on the row knows what was written.
	for my $point ('backup_noted', 'backup_named')
	{
		my $id = dies_at($point);
		works($point);
		is(sql($node, "SELECT state, error, finished_at >= started_at, bytes > 0 AND bytes = stored_bytes, manifest ->> 'public.t', annotations ->> 'format' FROM pattyly.backups WHERE id = $id"),
			"suspect|the server or its process went away when it had just been written: CALL pattyly.verify_backup($id) decides|t|t|20000|custom", 'the row is suspect, and has what is known');
		unlike(files_of($node), qr/partial/, 'no part of a file is left');
	}
	my $id = sql($node, q{SELECT id FROM pattyly.backups WHERE label = 'backup_noted'});
	ok(!-e "$directory/backup_noted.dump", 'a file that got no name is not there');
	like((attempt($node, "CALL pattyly.verify_backup($id)"))[2], qr/ERROR:  38000: .* did not pass: there is no file \S+backup_noted\.dump/, 'which verify_backup() says');
	is(sql($node, "SELECT state FROM pattyly.backups WHERE id = $id"), 'suspect', 'and it stays suspect');
	$id = sql($node, q{SELECT id FROM pattyly.backups WHERE label = 'backup_named'});
	rename "$directory/backup_named.dump", "$directory/aside" or die $!;
	like((attempt($node, "CALL pattyly.verify_backup($id)"))[2], qr/ERROR:  38000: .* did not pass: there is no file \S+backup_named\.dump/, 'nor does one pass that was lost since');
	rename "$directory/aside", "$directory/backup_named.dump" or die $!;
	like((attempt($node, "CALL pattyly.verify_backup($id)"))[2], qr/NOTICE:.* was restored, and its rows were counted/, 'one whose file is whole passes');
	is(sql($node, "SELECT state, error, (annotations ->> 'was_suspect') <> '' FROM pattyly.backups WHERE id = $id"), 'done||t', 'and is done');
};

subtest 'the row cannot be written meanwhile' => sub {
	sql($node, q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		IF NEW.state = 'running' AND NEW.checksum IS NOT NULL THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'P0123'; END IF; RETURN NEW; END$$});
	for my $when ('', 'DEFERRABLE INITIALLY DEFERRED')
	{
		sql($node, "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON pattyly.backups $when FOR EACH ROW EXECUTE FUNCTION refuse()");
		my $label = $when ? 'refused-late' : 'refused';
		my $said = backup($node, $label, $good);
		like($said, qr/ERROR:  P0123: refused/, "$label: the error is raised");
		unlike($said, qr/WARNING/, 'and nothing else');
		failed(qr/^refused/, $label);
		ok(!-e "$directory/$label.dump", 'nor a whole one');
		sql($node, 'DROP TRIGGER refuse ON pattyly.backups');
		works($label);
	}
	sql($node, 'DROP FUNCTION refuse()');
};

subtest 'the database is dropped' => sub {
	sql($node, 'CREATE DATABASE doomed');
	sql($node, 'CREATE EXTENSION pattyly; CREATE TABLE t (a int)', 'doomed');
	my ($job, $pid, $group) = waits_in($node, 'doomed', $hangs, 'doomed');
	program_in($group, qr/^sleep/);
	my ($status, undef, $err) = attempt($node, 'DROP DATABASE doomed WITH (FORCE)');
	is($status, 0, 'it can be') or diag $err;
	like(finish_background($job), qr/FATAL:  57P01/, 'the session ends');
	ok(group_gone($group), 'and its programs');
	unlike(files_of($node), qr/partial/, 'no part of a file is left');
	sql($node, 'CREATE DATABASE other');
	($job, $pid, $group) = waits_in($node, 'waits', $hangs);
	($status, undef, $err) = attempt($node, q{SET statement_timeout = '30s'; DROP DATABASE other});
	is($status, 0, 'another database can be dropped while a backup runs') or diag $err;
	sql($node, "SELECT pg_cancel_backend($pid)");
	finish_background($job);
};

subtest 'somebody has its row, or the table, when it ends' => sub {
	for ([ 'row', q{SELECT id FROM pattyly.backups WHERE state = 'running' FOR UPDATE} ], [ 'table', 'LOCK pattyly.backups' ])
	{
		my ($what, $statement) = @$_;
		shut_gate();
		my ($job, $pid, $group) = waits_in($node, "held-$what", $gated);
		program_in($group, qr/^sleep 0.1/);
		my $open = in_background($node, "BEGIN; $statement; SELECT pg_sleep(100); COMMIT;");
		ok(wait_until('it is held', sub { sql($node, $SLEEPS) }), "the $what is held by a transaction");
		open_gate();
		ok(wait_until('all is read', sub { !grep { $_->[2] == $group && $_->[4] =~ /^sh/ } processes() }), 'the programs are done');
		usleep(300_000);
		sql($node, 'CREATE DATABASE bystander');
		my ($status, undef, $err) = attempt($node, q{SET statement_timeout = '30s'; DROP DATABASE bystander});
		is($status, 0, 'another database can be dropped meanwhile') or diag $err;
		sql($node, "SELECT pg_terminate_backend($pid)");
		ok(wait_until('it is gone', sub { sql($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' }, 25), 'who waits for it can be terminated');
		sql($node, "SELECT pg_terminate_backend(($SLEEPS))");
		finish_background($_) for $open, $job;
		like($job->{err}, qr/55006: what became of backup \d+ could not be written: a transaction has its row or the table/, 'and says why the row has no end yet');
		works($what);
		is(sql($node, "SELECT state FROM pattyly.backups WHERE label = 'held-$what'"), 'failed', 'the row has an end');
		unlike(files_of($node), qr/partial/, 'no part of a file is left');
	}
	# Who is not told to go waits, and has lost nothing.
	shut_gate();
	my ($job, $pid, $group) = waits_in($node, 'patient', "SET lock_timeout = '100ms';$gated");
	program_in($group, qr/^sleep 0.1/);
	my $open = in_background($node, q{BEGIN; LOCK pattyly.backups; SELECT pg_sleep(3); COMMIT;});
	ok(wait_until('it is held', sub { sql($node, $SLEEPS) }), 'the table is held by a transaction');
	open_gate();
	like(finish_background($job), qr/NOTICE:.* is done/, 'who is not waits, and it is done');
	finish_background($open);
};

subtest 'what its sessions do ends with them' => sub {
	my $lock = in_background($node, 'BEGIN; LOCK t; SELECT pg_sleep(60); COMMIT;');
	ok(wait_until('it is locked', sub { sql($node, $SLEEPS) }), 'a table is locked');
	my ($job, $pid, $group) = waits_in($node, 'queues', $good);
	my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pattyly backup%'};
	is(wait_for($node, "$sessions AND wait_event_type = 'Lock'", 1), 1, 'a session waits for it, and has locked all others');
	sql($node, "SELECT pg_cancel_backend($pid)");
	like(finish_background($job), qr/ERROR:  57014/, 'the backup is canceled');
	is(wait_for($node, $sessions, 0, 20), 0, 'the session does not wait on');
	sql($node, "SELECT pg_terminate_backend(($SLEEPS))");
	finish_background($lock);
};

# A library that the server is started with.
sub compiled
{
	my ($name, $source) = @_;
	my $file = $node->basedir . "/$name";
	append_to_file("$file.c", $source);
	return system(qq{cc -shared -fPIC -o $file.so $file.c >/dev/null 2>&1}) == 0 ? "$file.so" : undef;
}

subtest 'the disk of the backups breaks' => sub {
	my $called = $node->basedir . '/flushed';
	my $library = compiled('broken', <<"C") or plan skip_all => 'no compiler';
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int sync_file_range(int fd, off_t from, off_t bytes, unsigned flags)
{
	char link[64], path[4096] = "";
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void) !readlink(link, path, sizeof(path) - 1);
	if (strncmp(path, "$directory/", strlen("$directory/")) != 0)
		return 0;
	close(creat("$called", 0600));
	errno = EIO;
	return -1;
}
C
	my $mark = log_mark($node);
	$node->stop;
	$node->append_conf('postgresql.conf', 'fsync = on');
	{ local $ENV{LD_PRELOAD} = $library; $node->start }
	like(backup($node, 'unflushed', stages([ 'head', '-c', '20000000', '/dev/zero' ])), qr/WARNING:.* is suspect: what was written is no dump/, 'it is written all the same');
	ok(-e $called, 'although the disk said no');
	unlike(log_since($node, $mark), qr/PANIC|terminated by signal/, 'and the server goes on');
	$node->append_conf('postgresql.conf', 'fsync = off');
	$node->restart;
	scheduler_ready($node);
	sql($node, q{DELETE FROM pattyly.backups WHERE label = 'unflushed'});
};

subtest 'the postmaster is process 1, as in a container' => sub {
	my $data = $node->data_dir;
	my $in = 'unshare --user --map-root-user --pid --fork unshare --user --map-user=1000 --map-group=1000';
	plan skip_all => 'nobody may make a namespace here' if system("$in true >/dev/null 2>&1");
	my ($postgres) = map { s/\/[^\/]*$/\/postgres/r } grep { -x } map { "$_/pg_ctl" } split /:/, $ENV{PATH};
	$node->stop;
	my $log = $node->logfile;
	my $mark = log_mark($node);
	my $container = IPC::Run::start([ 'sh', '-c', "exec $in $postgres -D $data >>$log 2>&1" ], '<', \undef, IPC::Run::timeout(180));
	my $up = wait_until('the server is up', sub { $node->psql('postgres', 'SELECT 1') == 0 });
	ok($up, 'the server is up');
	is(slurp_file("$data/postmaster.pid") =~ /\A(\d+)\n/ ? $1 : '', 1, 'and process 1');
	my $since = sql($node, 'SELECT pattyly.server_incarnation()');
	for my $script ('echo begun; sleep 62 | cat', q{trap '' TERM; echo begun; sleep 62 | sh -c 'trap "" TERM; sleep 62; cat'}, 'echo begun; setsid sleep 62 & sleep 62')
	{
		my $job = in_background($node, stages([ 'sh', '-c', $script ]) . "CALL pattyly.run_backup();\n");
		ok(wait_until('it hangs', sub { grep { $_->[4] =~ /^sleep 62/ } processes() }), "$script: it hangs, with grandchildren");
		sql($node, q{SELECT pg_cancel_backend(session) FROM pattyly.backups WHERE state = 'running'});
		like(finish_background($job), qr/ERROR:  57014/, 'is canceled');
	}
	my $job = in_background($node, stages([ 'sh', '-c', q{(sh -c 'sleep 1; exit 7' &) ; pg_dump -Fc; exec sleep 2} ]) . "CALL pattyly.run_backup('orphan');\n");
	like(finish_background($job), qr/is done/, 'an orphan that fails while programs run');
	is(eval { sql($node, 'SELECT pattyly.server_incarnation()') } // '', $since, 'the server took none of it for a crash of its own');
	unlike(log_since($node, $mark), qr/terminated by signal|exited with exit code/, 'nor is it in its log');
	my ($server) = map { $_->[0] } grep { $_->[4] =~ /^\Q$postgres\E -D \Q$data\E/ } processes();
	kill 'INT', $server;
	$container->finish;
	$node->start;
	scheduler_ready($node);
	kill 9, map { $_->[0] } grep { $_->[4] =~ /^sleep 62/ } processes();
};

subtest 'the clock steps back' => sub {
	my $at = sub { return "SET pattyly.frozen_clock = '$_[0]';" };
	like(backup($node, 'future', $at->('2040-01-01 00:00:00+00')), qr/is done/, 'one of the future');
	# A session reads no configuration while it runs: the clock was ahead when it began.
	my ($job, $pid, $group) = waits_in($node, 'back', $at->('2030-01-01') . stages([ 'pg_dump', '-Fc' ], [ 'sh', '-c', 'cat; exec sleep 3' ]));
	program_in($group, qr/^sleep/);
	sql($node, q{UPDATE pattyly.backups SET started_at = '2035-01-01' WHERE label = 'back'});
	like(finish_background($job), qr/is done/, 'steps back while it runs');
	is(last_backup($node, 'state, finished_at = started_at'), 'done|t', 'it does not end before it began');
	like(backup($node, 'small-past', $at->('2029-01-01') . stages([ 'sh', '-c', 'exec pg_dump -Fc -s' ])), qr/is done|is suspect/, 'one of the past');
	is(last_backup($node, 'finished_at >= started_at'), 't', 'has an end');
	works('back');
	is(sql($node, q{SELECT count(*) FROM pattyly.backups WHERE finished_at < started_at}), 0, 'none ends before it began');
};

is(sql($node, q{SELECT count(*) FROM pattyly.backups WHERE state = 'running'}), 0, 'nothing is left running');
$node->stop;
done_testing();
