# The real pgbackrest and barman, of a real cluster: full and incremental, imported twice, one broken, one expired, one
# restored by its plan. And a dump of run_backup(), restored by its plan.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my %has = map { my $tool = $_; $tool => scalar grep { -x "$_/$tool" } split /:/, $ENV{PATH} } qw(pgbackrest barman);
my $node = new_server('tools', 'archive_mode = on', "archive_command = 'true'", 'wal_level = replica');
my $base = $node->basedir;
my $home = $node->data_dir;
# Since 18 they are there from the start.
if (at($node, undef, 'SHOW data_checksums') eq 'off')
{
	$node->stop;
	system_or_bail('pg_checksums', '--enable', '-D', $home);
	$node->start;
}
delete @ENV{ grep { /^PG(HOST|PORT|USER|DATABASE|DATA|OPTIONS)$/ } keys %ENV };

# A tool that is missing is a skip only where it need not be: the machine's own Debian has both.
sub skip_or_fail
{
	my ($tool) = @_;
	return 0 if $has{$tool};
	my $major = $node->pg_version->major;
	plan skip_all => "skipped: $tool is not installed" if $major != 15;
	fail("$tool is installed");
	return 1;
}

sub output_of
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	diag("@command: $out$err") unless $ok;
	return $out;
}

sub import_of
{
	my ($tool, $info) = @_;
	return at($node, undef, "SELECT pattyly.import_backups('$tool', \$info\$$info\$info\$)");
}

sub row { my ($columns, $where) = @_; return at($node, undef, "SELECT $columns FROM pattyly.backups WHERE $where ORDER BY id") }

# As somebody would paste it, in a directory of his.
sub run_plan
{
	my ($id) = @_;
	my $plan = at($node, undef, "SELECT pattyly.restore_plan($id)");
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'sh', '-e' ], '<', \"$plan\n", '>', \$out, '2>', \$err, init => sub { chdir $base }, IPC::Run::timeout(180));
	diag("$plan\n$out$err") unless $ok;
	return $ok;
}

# What plan_start() starts; its socket is beside the other one's.
sub asked_next_port
{
	my ($sql) = @_;
	return output_of('psql', '-XAtq', '-h', $node->host, '-p', $node->port + 1, '-d', 'postgres', '-c', $sql);
}

sub stop_next { my ($directory) = @_; return system_log('pg_ctl', '-D', $directory, '-m', 'immediate', '-w', 'stop') == 0 }

at($node, undef, 'CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) AS g');

subtest 'a dump of run_backup()' => sub {
	mkdir "$base/it's a \$dir" or die $!;
	for my $format (qw(custom tar plain))
	{
		at($node, undef, qq{
			SET pattyly.backup_directory = \$d\$$base/it's a \$dir\$d\$;
			SET pattyly.backup_stages = '[["pg_dump", "--format=$format", "--no-password", "--snapshot=%s"]]';
			CALL pattyly.run_backup('$format')});
		is(row('state', "label = '$format'"), 'done', "$format: it is made");
		ok(run_plan(row('id', "label = '$format'")), 'its plan runs');
		is($node->safe_psql('postgres_restored', 'SELECT count(*) FROM t'), 1000, 'and has restored it');
		like(at($node, undef, "SELECT string_agg(l, E'\\n') FROM pattyly.restore_plan((SELECT id FROM pattyly.backups WHERE label = '$format')) AS l"),
			qr/postgres_restored2/, 'the name of the next is another');
		# The next is another format, and has another size.
		at($node, undef, 'DROP DATABASE postgres_restored');
		at($node, undef, 'DELETE FROM pattyly.backups');
	}
	at($node, undef, qq{
		SET pattyly.backup_directory = \$d\$$base/it's a \$dir\$d\$;
		SET pattyly.backup_stages = '[["pg_dump", "--no-password", "--snapshot=%s"], ["gzip"]]';
		CALL pattyly.run_backup('gzip')});
	ok(run_plan(row('id', "label = 'gzip'")), 'gzip: its plan runs');
	is($node->safe_psql('postgres_restored', 'SELECT count(*) FROM t'), 1000, 'and has restored it');
	at($node, undef, 'DROP DATABASE postgres_restored');

	append_to_file("$base/it's a \$dir/gzip.dump", 'x');
	my ($out, $err) = ('', '');
	my $plan = at($node, undef, "SELECT pattyly.restore_plan((SELECT id FROM pattyly.backups WHERE label = 'gzip'))");
	ok(!IPC::Run::run([ 'sh', '-e' ], '<', \"$plan\n", '>', \$out, '2>', \$err, IPC::Run::timeout(60)), 'a file that is not what it was');
	is(at($node, undef, "SELECT count(*) FROM pg_database WHERE datname = 'postgres_restored'"), 0, 'is not restored');
};

subtest 'pgbackrest' => sub {
	return if skip_or_fail('pgbackrest');
	my $config = "$base/pgbackrest.conf";
	append_to_file($config, "[global]\nrepo1-path=$base/repo\nlog-level-console=error\nlog-level-file=off\nlock-path=$base/lock\n"
		  . "spool-path=$base/spool\nstart-fast=y\n[demo]\npg1-path=$home\npg1-port=" . $node->port
		  . "\npg1-socket-path=" . $node->host . "\npg1-user=" . at($node, undef, 'SELECT current_user') . "\n");
	local $ENV{PGBACKREST_CONFIG} = $config;
	my @tool = ('pgbackrest', '--stanza=demo');
	my $info = sub { return output_of('pgbackrest', 'info', '--output=json') };

	is(import_of('pgbackrest', $info->()), 0, 'nothing yet');
	output_of(@tool, 'stanza-create');
	$node->adjust_conf('postgresql.conf', 'archive_command', "'pgbackrest --config=$config --stanza=demo archive-push %p'");
	$node->reload;
	output_of(@tool, '--type=full', 'backup');
	at($node, undef, 'CREATE TABLE after_full AS SELECT 1 AS id');
	output_of(@tool, '--type=incr', 'backup');
	is(import_of('pgbackrest', $info->()), 2, 'a full one and an incremental one');
	is(import_of('pgbackrest', $info->()), 0, 'again');
	is(row('kind, state, system_identifier = (SELECT system_identifier FROM pg_control_system()), parent_id IS NULL', "tool = 'pgbackrest'"),
		"base|done|t|t\nincremental|done|t|f", 'of this cluster');
	my $full = at($node, undef, "SELECT id FROM pattyly.backups WHERE tool = 'pgbackrest' AND kind = 'base'");
	my $part = at($node, undef, "SELECT id FROM pattyly.backups WHERE tool = 'pgbackrest' AND kind = 'incremental'");
	is(at($node, undef, 'SELECT pattyly.backup_for(pattyly.clock_now())'), $part, 'backup_for() finds it');

	ok(run_plan($part), 'its plan runs');
	ok(wait_until('it is promoted', sub { asked_next_port('SELECT pg_is_in_recovery()') eq "f\n" }), 'which ends recovery');
	is(asked_next_port('SELECT id FROM after_full'), "1\n", 'and has restored it');
	is(asked_next_port('SHOW archive_mode'), "off\n", 'as a server that archives nothing');
	ok(stop_next("${home}_restored_$part"), 'it stops');

	# A page of a table is damaged; pgbackrest says so of the next backup.
	my $file = "$home/" . at($node, undef, "SELECT pg_relation_filepath('t')");
	$node->stop;
	open my $page, '+<', $file or die $!;
	seek $page, 4000, 0;
	print {$page} 'damage';
	close $page;
	$node->start;
	IPC::Run::run([ @tool, '--type=incr', 'backup' ], '>', \my $out, '2>', \my $err);
	is(import_of('pgbackrest', $info->()), 1, 'a backup with a broken page');
	is(row('state, error', "tool = 'pgbackrest' AND state = 'suspect'"), 'suspect|page checksum errors', 'is suspect');
	at($node, undef, 'DROP TABLE t; CHECKPOINT');

	output_of(@tool, '--type=full', 'backup');
	import_of('pgbackrest', $info->());
	output_of(@tool, '--repo1-retention-full=1', 'expire');
	cmp_ok(import_of('pgbackrest', $info->()), '>=', 2, 'the tool expires a chain');
	is(row('state', "id IN ($full, $part)"), "expired\nexpired", 'so it is expired');
	is(import_of('pgbackrest', $info->()), 0, 'once');
	like(($node->psql('postgres', "SELECT pattyly.restore_plan($full)"))[2], qr/is expired/, 'and there is no plan for it');
};

subtest 'barman' => sub {
	return if skip_or_fail('barman');
	my $user = getpwuid($>);
	my $bin = output_of('pg_config', '--bindir');
	chomp $bin;
	mkdir $_ or die "$_: $!" for "$base/barman", "$base/barman/log";
	my $login = 'host=' . $node->host . ' port=' . $node->port . ' user=' . at($node, undef, 'SELECT current_user');
	# Where barman looks by itself, as whoever pastes a plan has it.
	append_to_file("$base/.barman.conf", "[barman]\nbarman_home = $base/barman\nbarman_user = $user\nlog_file = $base/barman/log/log\n"
		  . "[demo]\ndescription = demo\nconninfo = $login dbname=postgres\nstreaming_conninfo = $login\nbackup_method = postgres\narchiver = on\npath_prefix = \"$bin\"\n");
	local $ENV{HOME} = $base;
	my @tool = ('barman', '-c', "$base/.barman.conf");
	my $list = sub { return output_of(@tool, '-f', 'json', 'list-backups', 'demo') };

	output_of(@tool, 'cron');
	$node->adjust_conf('postgresql.conf', 'archive_command', "'mkdir -p $base/barman/demo/incoming && cp %p $base/barman/demo/incoming/%f'");
	$node->reload;
	# It makes what is missing, and complains of what it has no backup of yet.
	IPC::Run::run([ @tool, 'check', 'demo' ], '>', \my $said, '2>', \my $complained);
	is(import_of('barman', $list->()), 0, 'nothing yet');
	output_of(@tool, 'switch-wal', '--force', '--archive', 'demo');
	at($node, undef, 'CREATE TABLE for_barman AS SELECT g FROM generate_series(1, 100) AS g');
	output_of(@tool, 'backup', 'demo', '--wait') for 1 .. 2;
	at($node, undef, 'DROP TABLE for_barman');
	is(import_of('barman', $list->()), 2, 'two');
	is(import_of('barman', $list->()), 0, 'again');
	my @ids = split /\n/, row('label', "tool = 'barman'");
	is(import_of('barman', output_of(@tool, '-f', 'json', 'show-backup', 'demo', $ids[0])), 1, 'show-backup tells more');
	is(import_of('barman', $list->()), 0, 'which stays');
	is(row('state, start_lsn IS NOT NULL', "tool = 'barman'"), "done|t\ndone|f", 'what is known');

	my $first = row('id', "label = '$ids[0]'");
	ok(run_plan($first), 'its plan runs');
	ok(wait_until('it is promoted', sub { asked_next_port('SELECT pg_is_in_recovery()') eq "f\n" }), 'which ends recovery');
	is(asked_next_port('SELECT count(*) FROM for_barman'), "100\n", 'and has restored it, as it was');
	is(asked_next_port('SHOW archive_mode'), "off\n", 'as a server that archives nothing');
	is(at($node, undef, q{SELECT to_regclass('for_barman') IS NULL}), 't', 'beside the one that is there');
	ok(stop_next("${home}_restored_$first"), 'it stops');

	my ($file) = ("$base/barman/demo/base/$ids[1]/backup.info");
	my $text = slurp_file($file);
	$text =~ s/^status=.*/status=FAILED/m;
	$text =~ s/^error=.*/error=broken/m;
	unlink $file;
	append_to_file($file, $text);
	is(import_of('barman', $list->()), 1, 'one that failed');
	import_of('barman', output_of(@tool, '-f', 'json', 'show-backup', 'demo', $ids[1]));
	is(row('state, error', "label = '$ids[1]'"), 'failed|barman says that it failed: broken', 'with its error');
	output_of(@tool, 'delete', 'demo', $ids[1]);
	is(import_of('barman', $list->()), 1, 'one deleted');
	is(row('state', "tool = 'barman'"), "done\nexpired", 'is expired');
};

$node->stop;
done_testing();
