# Where the numbers of a manifest come from: the sessions that copy the tables, and a count of what they did not copy.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use BackupNode;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

# The memory for it is files of the data directory, where they can be seen.
my $node = new_backup_server('counts', 'dynamic_shared_memory_type = mmap', 'log_statement = all');
my $segments = $node->data_dir . '/pg_dynshmem';

sql($node, q{
	CREATE TABLE big AS SELECT generate_series(1, 5000) AS a;
	CREATE TABLE small AS SELECT generate_series(1, 3) AS a;
	CREATE TABLE secret (owner name, a int);
	INSERT INTO secret SELECT 'alice', g FROM generate_series(1, 40) AS g;
	INSERT INTO secret SELECT 'bob', g FROM generate_series(1, 2) AS g;
	ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON secret USING (owner = current_user);
	CREATE ROLE bob LOGIN;
	CREATE ROLE reader LOGIN BYPASSRLS IN ROLE pg_read_all_data;
	GRANT ALL ON ALL TABLES IN SCHEMA public TO bob;
	GRANT USAGE ON SCHEMA public TO bob});
my $all = '{"public.big": 5000, "public.small": 3, "public.secret": 42}';

sub segments { return scalar(() = glob "$segments/*") }

# The backup and what it counted: (what was said, the manifest, the tables that were read for it).
sub counted_by
{
	my ($label, @stages) = @_;
	my $mark = log_mark($node);
	my $said = backup($node, $label, @stages ? stages(@stages) : '');
	my $log = log_since($node, $mark);
	my @read = $log =~ /statement: SELECT pg_catalog\.json_build_object\('t', '([^']+)', 'n', pg_catalog\.count/g;
	return ($said, last_backup($node, 'manifest::text'), join ' ', sort @read);
}

sub shell { my ($script) = @_; return [ 'sh', '-c', $script, 'sh', '%s' ] }

# A session that takes over the snapshot of the dump, before pg_dump does, which copies nothing itself.
sub with_another
{
	my ($user, $statements) = @_;
	my $psql = qq{psql -qXAt -v ON_ERROR_STOP=1 -U $user >/dev/null <<-SQL
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SET TRANSACTION SNAPSHOT '\$1';
		$statements
		COMMIT;
	SQL
	};
	return shell("set -e\n${psql}exec pg_dump -Fc --inserts --snapshot=\$1");
}

my $superuser = sql($node, 'SELECT current_user');

subtest 'who copies it says how many rows it has' => sub {
	my ($said, $manifest, $read) = counted_by('default');
	like($said, qr/is done/, 'a backup') or return;
	is($manifest, $all, 'its manifest');
	is($read, '', 'for which no table was read again');
	($said, $manifest, $read) = counted_by('twice', shell('pg_dump -Fc --snapshot=$1 >/dev/null && exec pg_dump -Fc --snapshot=$1'));
	is("$manifest $read", "$all ", 'copied twice: is there once');
	($said, $manifest, $read) = counted_by('gzip', [ 'pg_dump', '--snapshot=%s' ], ['gzip']);
	is("$manifest $read", "$all ", 'a dump in SQL: too');
};

subtest 'what it does not copy is counted' => sub {
	my ($said, $manifest, $read) = counted_by('inserts', [ 'pg_dump', '-Fc', '--inserts', '--snapshot=%s' ]);
	is("$manifest $read", "$all public.big public.secret public.small", 'nothing was copied');
	($said, $manifest, $read) = counted_by('mixed', shell('pg_dump -Fc -t small --snapshot=$1 >/dev/null && exec pg_dump -Fc --inserts --snapshot=$1'));
	is("$manifest $read", "$all public.big public.secret", 'one was copied');
	($said, $manifest, $read) = counted_by('partial', [ 'pg_dump', '-Fc', '--exclude-table=big', '--snapshot=%s' ]);
	is("$manifest $read", '{"public.small": 3, "public.secret": 42} ', 'but not what is left out');
	my ($status, undef, $verified) = attempt($node, q{SELECT id AS b FROM pattyly.backups WHERE label = 'partial' \gset} . "\nCALL pattyly.verify_backup(:b)");
	is($status, 0, 'verify_backup() passes it') or diag $verified;
};

subtest 'others with its snapshot' => sub {
	my %others = (
		'rows of its own' => [ $superuser, q{INSERT INTO big SELECT 1; COPY public.big TO STDOUT;} ],
		'rows it has deleted, and is read-only now' => [ $superuser, q{DELETE FROM small; SET TRANSACTION READ ONLY; COPY public.small TO STDOUT;} ],
		'in a subtransaction' => [ $superuser, q{SAVEPOINT s; DELETE FROM small; COPY public.small TO STDOUT; ROLLBACK TO s; COPY public.small TO STDOUT;} ],
		'who sees two rows' => [ $superuser, q{SET ROLE bob; COPY public.secret TO STDOUT;} ],
		'who may not read everything' => [ 'bob', q{COPY public.big TO STDOUT;} ],
		'a name without its schema' => [ $superuser, q{COPY big TO STDOUT;} ],
		'a query' => [ $superuser, q{COPY (SELECT * FROM big LIMIT 1) TO STDOUT;} ],
		'what fails' => [ $superuser, q{\unset ON_ERROR_STOP
			COPY public.big (a, nothing) TO STDOUT;} ]);
	for my $name (sort keys %others)
	{
		sql($node, 'TRUNCATE big, small; INSERT INTO big SELECT generate_series(1, 5000); INSERT INTO small SELECT generate_series(1, 3)');
		my ($said, $manifest, $read) = counted_by($name =~ tr/ ,/--/r, with_another(@{ $others{$name} }));
		like($said, qr/is done/, "$name: a backup");
		is("$manifest $read", "$all public.big public.secret public.small", "$name: says nothing");
	}
	my ($said, $manifest, $read) = counted_by('who-may', with_another('reader', 'COPY public.big TO STDOUT; COPY public.small (a) TO STDOUT (FORMAT csv);'));
	is("$manifest $read", "$all public.secret", 'who may read everything is believed');
	# The transaction after that is not in the snapshot any more.
	($said, $manifest, $read) = counted_by('later', with_another($superuser, 'COMMIT; BEGIN; INSERT INTO small VALUES (4); COMMIT; BEGIN READ ONLY; COPY public.small TO STDOUT;'));
	is("$manifest $read", "$all public.big public.secret public.small", 'the next transaction says nothing');
	sql($node, 'DELETE FROM small WHERE a = 4');
};

# What is said of no table of the dump is no reason to count none.
subtest 'a partial dump, and others with its snapshot' => sub {
	sql($node, 'CREATE TABLE bobs AS SELECT 1 AS a; ALTER TABLE bobs OWNER TO bob');
	my $stage = with_another('bob', 'COPY public.bobs TO STDOUT;');
	my ($said, $manifest) = counted_by('bobs', [ @$stage, '--table=small' ]);
	like($said, qr/is done/, 'a backup');
	is(last_backup($node, q{manifest ->> 'public.small'}), 3, 'its table is counted') or diag $manifest;
	sql($node, 'DROP TABLE bobs');
};

# A role renames its schema while COPY runs, so that the name means a table of others when it has run. Rows in the TOAST
# table make the server look at once; they are more than those of the other table, for what is more is taken.
subtest 'a name that is the one of another table later' => sub {
	sql($node, q{CREATE SCHEMA his AUTHORIZATION bob;
		CREATE TABLE his.big (a text);
		ALTER TABLE his.big ALTER a SET STORAGE EXTERNAL, OWNER TO bob;
		INSERT INTO his.big SELECT repeat(md5(g::text), 80) FROM generate_series(1, 6000) AS g});
	for my $role ('bob', 'reader')
	{
		my ($said, $manifest) = counted_by("his-$role", shell(qq{set -e
			psql -qXAt -v ON_ERROR_STOP=1 -U $role <<-SQL | (sleep 1; psql -qX -c 'ALTER SCHEMA his RENAME TO hers'; cat >/dev/null)
				SET search_path = his, public;
				BEGIN ISOLATION LEVEL REPEATABLE READ;
				SET TRANSACTION SNAPSHOT '\$1';
				COPY big TO STDOUT;
				COMMIT;
			SQL
			psql -qX -c 'ALTER SCHEMA hers RENAME TO his'
			exec pg_dump -Fc --exclude-schema=his --snapshot=\$1}));
		like($said, qr/is done/, "$role: a backup");
		is($manifest, $all =~ s/\{/{"his.big": 6000, /r, "$role: says nothing of the other");
	}
	sql($node, 'DROP SCHEMA his CASCADE');
};

subtest 'of two databases at once' => sub {
	sql($node, 'CREATE DATABASE other');
	sql($node, 'CREATE EXTENSION pattyly; CREATE TABLE big AS SELECT 1 AS a', 'other');
	my $slow = stages(shell('sleep 1; exec pg_dump -Fc --snapshot=$1'));
	my $first = in_background($node, "${slow}CALL pattyly.run_backup('here');\n");
	my $second = in_background($node, "${slow}CALL pattyly.run_backup('there');\n", 'other');
	like(finish_background($_), qr/is done/, 'a backup') for $first, $second;
	is(last_backup($node, 'manifest::text'), $all, 'each has its own');
	is(last_backup($node, 'manifest::text', 'other'), '{"public.big": 1}', 'and only that');
	sql($node, 'DROP DATABASE other WITH (FORCE)');
};

subtest 'the memory for it' => sub {
	# What the server itself has there.
	my $before = segments();
	my $hangs = stages(shell('exec sleep 60'));
	for my $way ('terminate', 'cancel')
	{
		my ($job, $pid, $group) = waits_in($node, $way, $hangs);
		program_in($group, qr/^sleep/);
		is(segments(), $before + 1, "$way: there is some while a backup runs");
		sql($node, "SELECT pg_${way}_backend($pid)");
		finish_background($job);
		wait_until('it is gone', sub { segments() == $before }, 10);
		is(segments(), $before, "$way: and none afterwards");
	}
	chmod 0500, $segments or die "chmod: $!";
	my ($said, $manifest, $read) = counted_by('without');
	chmod 0700, $segments or die "chmod: $!";
	like($said, qr/is done/, 'where there is none: a backup all the same');
	is("$manifest $read", "$all public.big public.secret public.small", 'all is counted');
	# By what it begins with.
	my $lock = "chmod 0 \$(LC_ALL=C grep -laE '^(ptty|yttp)' $segments/*)";
	($said, $manifest, $read) = counted_by('locked', shell("$lock; exec pg_dump -Fc --snapshot=\$1"));
	like($said, qr/is done/, 'where nobody gets at it: a backup all the same');
	is("$manifest $read", "$all public.big public.secret public.small", 'all is counted');
	my $dump = 'pg_dump -Fc --snapshot=$1 $2';
	($said, $manifest, $read) = counted_by('locked-late', [ @{ shell("$dump >/dev/null; $lock; exec $dump \$3") }, '--table=small', '--table=secret' ]);
	is("$manifest $read", "$all public.big public.secret", 'what was said in vain is counted, in a partial dump, too');
};

done_testing();
