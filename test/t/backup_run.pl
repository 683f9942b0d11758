# run_backup() when nothing goes wrong: what is written, who may call it, and what it leaves alone meanwhile.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use BackupNode;
use Digest::SHA;
use File::stat;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

# What the server was started with is nobody's business.
$ENV{PGPASSWORD} = 'server-secret';
$ENV{AWS_SECRET_ACCESS_KEY} = 'server-secret';
$ENV{PGOPTIONS} = '';
my $node = new_backup_server('backups');
delete @ENV{qw(PGPASSWORD AWS_SECRET_ACCESS_KEY PGOPTIONS)};
my $directory = directory_of($node);

sql($node, q{
	CREATE TABLE messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
	INSERT INTO messages (body) SELECT repeat('x', 100) FROM generate_series(1, 1000);
	CREATE TABLE "odd ""name""
of a table" (a int);
	CREATE UNLOGGED TABLE light AS SELECT generate_series(1, 7);
	CREATE TABLE parts (a int) PARTITION BY RANGE (a);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
	INSERT INTO parts SELECT generate_series(1, 9);
	CREATE TABLE mother (a int); CREATE TABLE child () INHERITS (mother); INSERT INTO mother VALUES (1); INSERT INTO child VALUES (1), (2)});

sub file_of { my ($label) = @_; return "$directory/$label.dump" }
sub sha256 { my ($file) = @_; return Digest::SHA->new(256)->addfile($file, 'b')->hexdigest }

subtest 'from psql' => sub {
	my $said = backup($node, 'first');
	like($said, qr/NOTICE:.*backup first \(id 1\) is done: \d+ bytes at \Q$directory\E\/first\.dump/, 'it says what it did');
	my $file = file_of('first');
	ok(-f $file, 'there is a file') or return;
	is(sprintf('%04o', stat($file)->mode & 07777), '0600', 'for the account of the server only');
	is(files_of($node), 'first.dump', 'and nothing else');
	is(last_backup($node, 'label, kind, tool, database, state, error, exit_status, location, begun_by = current_user, session IS NOT NULL, parent_id'),
		"first|dump|pg_dump|postgres|done||0|$file|t|t|", 'the row');
	is(last_backup($node, 'checksum'), 'sha256:' . sha256($file), 'the checksum is of the file');
	is(last_backup($node, 'bytes = stored_bytes AND bytes = ' . -s $file), 't', 'so are the sizes');
	is(last_backup($node, q{finished_at >= started_at AND stop_lsn >= start_lsn AND timeline = 1 AND server_version = split_part(current_setting('server_version'), ' ', 1)
		AND system_identifier = (SELECT system_identifier FROM pg_control_system())}), 't', 'what the server knows is filled in');
	is(last_backup($node, 'manifest::text'),
		'{"public.child": 2, "public.light": 7, "public.mother": 1, "public.parts_1": 9, "public.messages": 1000, "public.\"odd \"\"name\"\"\nof a table\"": 0}',
		'each table that has rows of its own is counted, with rows of its own only');
	is(last_backup($node, q{annotations ->> 'format'}), 'custom', 'the format is known');
	like(last_backup($node, q{annotations ->> 'stages'}), qr{^/.*/pg_dump --format=custom --no-password --snapshot=[0-9A-F-]+$}, 'so is the command');
};

subtest 'labels' => sub {
	sql($node, 'CALL pattyly.run_backup()');
	like(last_backup($node, 'label'), qr/^postgres-\d{8}T\d{6}Z$/, 'none: the database and the time');
	is(last_backup($node, 'state'), 'done', 'is done');
	for my $label (q{a''b}, 'a/b', '../a', 'a..b', '', '-a', '.a', "a\nb", 'a%fb', 'a b', 'x' x 129)
	{
		like(backup($node, $label), qr/ERROR:  22023: label of a backup is not valid/, 'not a label: ' . $label =~ s/\n/\\n/r);
	}
	is(sql($node, 'SELECT count(*) FROM pattyly.backups'), 2, 'none of them left a row');
	like(backup($node, 'a' x 128), qr/is done/, '128 letters are one');
};

subtest 'as a job, and who may' => sub {
	sql($node, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT USAGE ON SCHEMA pattyly TO alice, bob');
	is(outcome($node, q{CALL pattyly.run_backup('by-job')}), 'succeeded|CALL|', 'the job of a superuser');
	is(last_backup($node, 'label, state, begun_by = current_user'), 'by-job|done|t', 'its row');
	like(backup($node, 'alice', 'SET ROLE alice;'), qr/ERROR:  42501: permission denied for procedure run_backup/, 'granted to nobody');
	sql($node, q{GRANT EXECUTE ON PROCEDURE pattyly.run_backup(text) TO alice; GRANT EXECUTE ON FUNCTION pattyly.run_job(text),
		pattyly.schedule_job(text, text, text, text, text, text, interval, integer, interval, jsonb, boolean) TO alice});
	like(backup($node, 'alice', 'SET ROLE alice;'), qr/backup alice .*is done/, 'who was granted it may');
	is(last_backup($node, q{begun_by, state, (manifest ->> 'public.messages')::int}), 'alice|done|1000', 'all of the database is in it, whatever she may read');
	sql($node, q{SET ROLE alice; SELECT pattyly.schedule_job('hers', '0 0 1 1 *', $$CALL pattyly.run_backup('alice-job')$$)});
	my $run = sql($node, q{SET ROLE alice; SELECT pattyly.run_job('hers')});
	ok(ended($node, $run), 'as a job, too');
	is(sql($node, "SELECT state FROM pattyly.job_runs WHERE id = $run"), 'succeeded', 'which succeeds');
	is(last_backup($node, 'label, begun_by'), 'alice-job|alice', 'her row');
	like(error_of($node, undef, "SET ROLE alice; $_"), qr/ERROR:  42501: /, "she may not: $_")
	  for "SET pattyly.backup_stages = '[[\"id\"]]'", "SET pattyly.backup_directory = '/tmp'", "SET pattyly.backup_location = 'x'",
	  "SET pattyly.backup_timeout = '1s'", 'SHOW pattyly.backup_stages', 'SHOW pattyly.backup_directory', 'CALL pattyly.verify_backup()', 'SET pattyly.restoring = on';
	like(error_of($node, undef, $_), qr/ERROR:  2D000: run_backup\(\) cannot /, "not in: $_")
	  for 'BEGIN; CALL pattyly.run_backup()', 'DO $$BEGIN CALL pattyly.run_backup(); END$$';
	like(error_of($node, undef, 'CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN CALL pattyly.run_backup(); END$$; CALL p()'), qr/ERROR:  2D000/, 'nor in a procedure');
};

subtest 'the manifest is of the snapshot, while others write' => sub {
	my $bench = background_bench($node, '', '-c 4 -T 6', 'INSERT INTO messages (body) SELECT repeat(chr(65 + g), 50) FROM generate_series(1, 20) AS g;');
	wait_until('they write', sub { sql($node, 'SELECT count(*) FROM messages') > 1100 });
	my $slow = stages([ 'pg_dump', '-Fc', '--snapshot=%s' ], [ 'sh', '-c', 'cat; sleep 1' ]);
	like(backup($node, 'busy', $slow), qr/is done/, 'a backup');
	my $counted = last_backup($node, q{(manifest ->> 'public.messages')::bigint});
	finish_bench($bench);
	cmp_ok($counted, '>', 1100, 'counted while they wrote');
	cmp_ok(sql($node, 'SELECT count(*) FROM messages'), '>', $counted, 'they went on');
	my ($dumped) = run_command([ 'pg_restore', '--data-only', '--table=messages', '--file=-', file_of('busy') ]);
	is(scalar(() = $dumped =~ /^\d+\t/mg), $counted, 'there are as many rows in the dump as counted');
	like(attempt_verify('busy'), qr/was restored, and its rows were counted/, 'verify_backup() finds the same');
};

subtest 'what is counted is locked before the dump begins' => sub {
	sql($node, 'CREATE TABLE aaa AS SELECT generate_series(1, 2000000) AS a; CREATE TABLE zzz AS SELECT 1 AS a');
	my $file = $node->basedir . '/locked';
	my $look = q{psql -XAtc "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'zzz'::regclass AND mode = 'AccessShareLock'"};
	like(backup($node, 'locked', stages([ 'sh', '-c', "$look >$file; exec pg_dump -Fc --snapshot=%s" ])), qr/is done/, 'a backup');
	is(slurp_file($file), "t\n", 'so that nobody drops or empties it before it is counted');
	sql($node, 'DROP TABLE aaa, zzz');
	# The next one is not to be measured against it.
	sql($node, q{DELETE FROM pattyly.backups WHERE label = 'locked'});
};

sub attempt_verify { my ($label) = @_; return (attempt($node, "SELECT id AS b FROM pattyly.backups WHERE label = '$label' \\gset\nCALL pattyly.verify_backup(:b)"))[2] }

subtest 'nothing is held meanwhile' => sub {
	my ($job, $pid, $group) = waits_in($node, 'waits', stages([ 'sh', '-c', 'pg_dump -Fc; exec sleep 4' ]));
	program_in($group, qr/^sleep/);
	is(sql($node, "SELECT state, backend_xmin IS NULL, backend_xid IS NULL, xact_start IS NULL FROM pg_stat_activity WHERE pid = $pid"), 'active|t|t|t', 'no transaction, no snapshot');
	is(sql($node, "SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype <> 'object'"), 0, 'no lock on a table');
	is(sql($node, q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pattyly backup%'}), 0, 'no session of its own any more');
	my ($status) = attempt($node, q{SET statement_timeout = '2s'; ALTER TABLE messages ADD COLUMN more int; ALTER TABLE messages DROP COLUMN more});
	is($status, 0, 'tables can be changed');
	like(finish_background($job), qr/is done/, 'and it ends well');
};

subtest 'what programs get' => sub {
	# Kept in a file, because the output is the backup.
	my $to = sub { my ($name, $script) = @_; my $file = $node->basedir . "/$name"; backup($node, $name, stages([ 'sh', '-c', "($script) >$file 2>&1; echo x" ])); return eval { slurp_file($file) } // '(no file)' };
	my $environment = $to->('env', 'env');
	unlike($environment, qr/secret/, 'no secret of the server');
	my %known = map { $_ => 1 } qw(PATH HOME USER LOGNAME LANG LC_MESSAGES TZ TMPDIR PGHOST PGPORT PGUSER PGDATABASE PGAPPNAME PGCONNECT_TIMEOUT PATTYLY_BACKUP_ID PWD SHLVL OLDPWD _);
	is(join(' ', grep { !$known{$_} } map { /^(\w+)=/ ? $1 : () } split /\n/, $environment), '', 'nothing else of its environment');
	like($environment, qr/^PGDATABASE=postgres$/m, 'the database');
	my @open = sort split /\s+/, $to->('fd', 'exec 9>&-; ls -l /proc/self/fd | sed -n "s/.* \([0-9]*\) -> .*/\1/p"');
	is_deeply([ grep { $_ > 3 } @open ], [], 'no descriptor of the server') or diag "@open";
	# 32 and 33 are the C library's own, and stay what they were when the server was started.
	like($to->('signals', 'grep -E "Sig(Ign|Blk)" /proc/self/status'), qr/SigBlk:\s0+\n.*SigIgn:\s0+(?:80{7}|10{8}|180{7})?\n/s, 'no signal is blocked or ignored');
	is($to->('memory', 'grep -c "dev/zero\|pattyly" /proc/self/maps || true') + 0, 0, 'no memory of the server');
};

subtest 'secrets are not kept' => sub {
	like(backup($node, 'leaky', stages([ 'sh', '-c', 'echo "password=hunter2 at postgres://me:hunter2@host/x" >&2; exit 3', 'x', '--password', 'hunter2', '--token=hunter2', 'a://u:hunter2@b' ])),
		qr/stage 1 of the backup failed: sh exited with status 3/, 'a stage that talks');
	is(sql($node, q{SELECT count(*) FROM pattyly.backups AS b WHERE b::text LIKE '%hunter2%'}), 0, 'no secret in a row');
	is(last_backup($node, 'state, exit_status, finished_at IS NOT NULL'), 'failed|3|t', 'it failed');
	like(last_backup($node, 'error'), qr/password=\*+ at postgres:/, 'why stands there');
};

subtest 'formats' => sub {
	for (['plain', 'plain', [ 'pg_dump' ]], ['tar', 'tar', [ 'pg_dump', '-Ft' ]], ['gzip', 'gzip', [ 'pg_dump' ], [ 'gzip' ]])
	{
		my ($label, $format, @stages) = @$_;
		like(backup($node, "f-$label", "DELETE FROM pattyly.backups;" . stages(@stages)), qr/is done/, $label);
		is(last_backup($node, q{state, annotations ->> 'format'}), "done|$format", 'its format');
	}
	like(backup($node, 'f-other', stages([ 'echo', 'hello' ])), qr/WARNING: .* is suspect: what was written is no dump that can be read/, 'no dump');
	is(last_backup($node, q{state, annotations ->> 'format'}), 'suspect|unknown', 'does not count');
};

subtest 'stored by the last stage' => sub {
	my $place = $node->basedir . '/elsewhere';
	my $settings = "SET pattyly.backup_location = '$place-%f';" . stages([ 'pg_dump', '-Fc', '--snapshot=%s' ], [ 'dd', 'status=none', "of=$place-%f" ]);
	like(backup($node, 'far', $settings), qr/is done: \d+ bytes at \Q$place\E-far\.dump/, 'it is');
	is(last_backup($node, 'checksum'), 'sha256:' . sha256("$place-far.dump"), 'what came there is what was written');
	like(backup($node, 'one', "SET pattyly.backup_location = 'x';" . stages([ 'pg_dump' ])), qr/ERROR:  55000: one stage cannot make a backup and store it/, 'one stage is not enough');
	like(backup($node, 'lazy', "SET pattyly.backup_location = 'x-%f';" . stages([ 'sh', '-c', 'head -c 5000000 /dev/zero' ], [ 'true' ])),
		qr/ERROR:  38000: stage 2 of the backup did not read all/, 'a stage that reads nothing stores nothing');
};

subtest 'stages that are none' => sub {
	for ([ 'nonsense', '[[', 'It is not valid JSON' ], [ 'none', '[]', 'There is no stage' ], [ 'empty', '[["a"],[]]', 'Stage 2 is empty' ], [ 'object', '[{"a":"b"}]', 'There is an object' ],
		[ 'number', '[["a", 1]]', 'an argument that is no string' ], [ 'placeholder', '[["a", "%x"]]', 'unknown placeholder "%x"' ], [ 'many', '[' . join(',', ('["a"]') x 9) . ']', 'more than 8 stages' ],
		[ 'text', '["a"]', 'A stage is not an array' ], [ 'deep', '[[["a"]]]', 'An argument is an array' ])
	{
		my ($name, $json, $problem) = @$_;
		like(error_of($node, undef, "SET pattyly.backup_stages = '$json'"), qr/ERROR:  22023.*DETAIL:  .*\Q$problem\E/s, $name);
	}
	like(backup($node, 'missing', stages([ 'no-such-program' ])), qr/ERROR:  58P01: program "no-such-program" was not found/, 'a program that is not there');
	append_to_file($node->basedir . '/text', 'x');
	like(backup($node, 'text', stages([ $node->basedir . '/text' ])), qr/ERROR:  42501: program ".*text" cannot be run/, 'a file that is no program');
	like(backup($node, 'relative', stages([ 'bin/sh' ])), qr/ERROR:  42602: program "bin\/sh" is a relative path/, 'a relative path');
	is(last_backup($node, 'label, state'), 'relative|failed', 'these are in the catalogue');
	is(files_of($node) =~ /partial/ ? 1 : 0, 0, 'no file is left');
};

$node->stop;
done_testing();
