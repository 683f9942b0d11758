# verify_backup(): what passes, what does not, what is refused, and that a dump gets no more rights by being restored.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use BackupNode;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_backup_server('verify', 'wal_level = logical');
my $directory = directory_of($node);
my $other = 'an "odd" = name';

# Makes a backup of a database and verifies it; what the last said.
sub round
{
	my ($label, $database) = @_;
	like(backup($node, $label, '', $database), qr/is done/, "$label: a backup");
	return verify($database);
}

sub verify { my ($database, $id, $settings) = @_; return (attempt($node, ($settings // '') . 'CALL pattyly.verify_backup(' . ($id // '') . ')', $database))[2] }

sub no_scratch { my ($what) = @_; is(sql($node, q{SELECT count(*) FROM pg_database WHERE datname LIKE 'pattyly_verify%'}), 0, "$what: no database is left") }

subtest 'what passes' => sub {
	sql($node, q{
		CREATE ROLE owner; CREATE ROLE poor;
		CREATE SCHEMA closed; CREATE SCHEMA "Sch ""ema";
		CREATE TABLE forced (a int); INSERT INTO forced VALUES (1), (2); ALTER TABLE forced ENABLE ROW LEVEL SECURITY; ALTER TABLE forced FORCE ROW LEVEL SECURITY;
		CREATE POLICY none ON forced USING (false); ALTER TABLE forced OWNER TO owner;
		CREATE TABLE closed.revoked AS SELECT generate_series(1, 3) AS a; ALTER TABLE closed.revoked OWNER TO poor; REVOKE ALL ON closed.revoked FROM poor;
		CREATE TABLE closed.parts (a int, b text) PARTITION BY LIST (a); ALTER TABLE closed.parts OWNER TO poor;
		CREATE TABLE closed.parts_1 PARTITION OF closed.parts FOR VALUES IN (1); ALTER TABLE closed.parts_1 OWNER TO owner;
		CREATE TABLE closed.parts_d PARTITION OF closed.parts DEFAULT; INSERT INTO closed.parts VALUES (1, 'x'), (2, 'y'), (3, 'z');
		CREATE TABLE mother (a int); CREATE TABLE child (b int) INHERITS (mother); INSERT INTO mother VALUES (1); INSERT INTO child VALUES (1, 2);
		CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY, n int, d int GENERATED ALWAYS AS (n * 2) STORED, s serial); INSERT INTO made (n) VALUES (1), (2);
		CREATE UNLOGGED TABLE light AS SELECT 1 AS a;
		CREATE TABLE "Sch ""ema"."a ""quote"" and" (a int); INSERT INTO "Sch ""ema"."a ""quote"" and" VALUES (1);
		CREATE TABLE "new
line" (a int); INSERT INTO "new
line" VALUES (1); CREATE TABLE "ünïcødé 🐘" (a int); INSERT INTO "ünïcødé 🐘" VALUES (1), (2);
		CREATE TABLE keyed (a int PRIMARY KEY REFERENCES keyed); INSERT INTO keyed VALUES (1);
		CREATE MATERIALIZED VIEW seen AS SELECT * FROM mother; CREATE VIEW v AS SELECT 1;
		CREATE TABLE nothing ();
		SELECT lo_from_bytea(4711, 'large');
		CREATE PUBLICATION p FOR ALL TABLES; CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);
		SELECT pattyly.set_limit('api', 5, '1 minute');
		SELECT pattyly.schedule_job('every', '0 0 1 1 *', 'SELECT 1')});
	my $said = round('all');
	like($said, qr/NOTICE:.*verifying backup all \(id 1\) in database "pattyly_verify_\d+_1".*was restored, and its rows were counted, in [\d.]+ s/s, 'passes');
	is(last_backup($node, q{state, verify_result ->> 'ok', verify_result ->> 'by' = current_user, verify_result -> 'differences', (verify_result ->> 'seconds')::float > 0, verified_at >= finished_at}),
		'done|true|t|[]|t|t', 'who, when, how long: in its row');
	is(last_backup($node, q{(verify_result ->> 'tables')::int = (SELECT count(*) FROM jsonb_each(manifest)),
		(verify_result ->> 'rows')::int = (SELECT sum(value::int) FROM jsonb_each(manifest))}), 't|t', 'all tables, all rows');
	is(last_backup($node, q{manifest ->> 'public."ünïcødé 🐘"', manifest ->> 'closed.revoked', manifest ->> 'public.forced'}), '2|3|2', 'names in any letters');
	no_scratch('it passed');
	sql($node, 'ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');
};

subtest 'databases of all kinds' => sub {
	my @kinds = ([ $other, '' ], [ 'latin', q{ENCODING 'LATIN1' LOCALE 'C'} ], [ 'ascii', q{ENCODING 'SQL_ASCII' LOCALE 'C'} ], [ 'dbname=postgres', '' ]);
	push @kinds, [ 'icu', q{LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C'} ] if sql($node, q{SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'}) eq 't';
	push @kinds, [ 'rules', q{LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&z < a' LOCALE 'C'} ] if sql($node, q{SELECT current_setting('server_version_num')::int >= 160000}) eq 't';
	push @kinds, [ 'builtin', q{LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'} ] if sql($node, q{SELECT current_setting('server_version_num')::int >= 170000}) eq 't';
	for (@kinds)
	{
		my ($name, $options) = @$_;
		sql($node, 'CREATE DATABASE "' . ($name =~ s/"/""/gr) . "\" TEMPLATE template0 $options");
		my $in = sub { my ($sql) = @_; my ($out, $err) = run_command([ 'psql', '-XqAt', '-h', $node->host, '-p', $node->port, '-c', $sql ]); return $err ? "$out$err" : $out };
		local $ENV{PGDATABASE} = $name;
		local $ENV{PGCLIENTENCODING} = $name eq 'ascii' ? 'SQL_ASCII' : 'UTF8';
		$in->($_) for 'CREATE EXTENSION pattyly', 'CREATE TABLE "tablé" (a text)', q{INSERT INTO "tablé" VALUES ('é')};
		like($in->('CALL pattyly.run_backup()'), qr/is done/, "$name: a backup");
		like($in->('SELECT label, manifest FROM pattyly.backups'), qr/\|\{"public\.\\?"?\\?"?tablé.*": 1\}$/, 'its label and manifest');
		like($in->('CALL pattyly.verify_backup()'), qr/was restored/, 'passes');
		my ($said, $failed) = run_command([ 'sh', '-c', $in->(q{SELECT pattyly.plan_createdb('as_it_is')}) ]);
		is($failed, '', 'the plan makes one');
		is(sql($node, qq{SELECT count(DISTINCT to_jsonb(d) - ARRAY['oid', 'datname', 'datfrozenxid', 'datminmxid', 'dattablespace', 'datacl', 'datcollversion']) FROM pg_database AS d
			WHERE datname IN (\$n\$$name\$n\$, 'as_it_is')}), 1, 'that is like it');
		sql($node, 'DROP DATABASE as_it_is');
	}
	sql($node, 'CREATE DATABASE empty');
	sql($node, 'CREATE EXTENSION pattyly', 'empty');
	like(round('empty', 'empty'), qr/was restored/, 'an empty one passes');
	is(last_backup($node, q{manifest, verify_result -> 'manifest'}, 'empty'), '{}|true', 'it was counted, too');
	no_scratch('all kinds');
	is(outcome($node, 'CALL pattyly.verify_backup()'), 'succeeded|CALL|', 'as a job');
	no_scratch('a job');
};

subtest 'a server with pg_cron' => sub {
	# Where the machine has it; a server can have one only, and what only has its name is no part of it.
	plan skip_all => 'skipped: pg_cron is not installed' if sql($node, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'}) eq '0';
	my $cron = new_backup_server('cron', q{shared_preload_libraries = 'pattyly, pg_cron'}, q{cron.database_name = 'postgres'});
	sql($cron, q{
		CREATE EXTENSION pg_cron; COMMENT ON EXTENSION pg_cron IS 'of the server'; SELECT cron.schedule('nightly', '0 0 * * *', 'SELECT 1');
		CREATE ROLE cron; GRANT USAGE ON SCHEMA cron TO cron; GRANT SELECT ON cron.job TO cron;
		CREATE TABLE cron AS SELECT generate_series(1, 3) AS a; COMMENT ON TABLE cron IS 'ours'; CREATE TABLE owned AS SELECT 1 AS a; ALTER TABLE owned OWNER TO cron;
		CREATE SCHEMA cronies; CREATE TABLE cronies.t AS SELECT 1 AS a; CREATE TABLE "a cron job" AS SELECT 1 AS a;
		CREATE SCHEMA other; CREATE TABLE other."SCHEMA cron " AS SELECT 1 AS a; CREATE VIEW other.cron AS SELECT * FROM public.cron});
	like(backup($cron, 'with'), qr/is done/, 'a backup');
	is(last_backup($cron, q{(SELECT count(*) FROM jsonb_each(manifest)), manifest ? 'public.cron', manifest::text ~ '"cron\.'}), '5|t|f', 'its manifest has all that is not the extension');
	like((attempt($cron, 'CALL pattyly.verify_backup()'))[2], qr/was restored/, 'passes');
	is(last_backup($cron, q{state, verify_result ->> 'left_out', verify_result -> 'differences', verify_result -> 'tables'}), 'done|pg_cron|[]|5', 'without pg_cron, with all else');
	$cron->stop;
};

subtest 'what does not pass' => sub {
	sql($node, 'CREATE DATABASE bad');
	sql($node, 'CREATE EXTENSION pattyly; CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 5000) AS g; CREATE TABLE u AS SELECT 1 AS a', 'bad');
	my $suspect = sub {
		my ($label, $break, $reason) = @_;
		backup($node, $label, '', 'bad');
		$break->("$directory/$label.dump");
		like(verify('bad', last_backup($node, 'id', 'bad')), qr/ERROR:  38000: backup .* did not pass: $reason/, $label);
		is(last_backup($node, q{state, error ~ 'did not pass', verify_result ->> 'ok', verified_at IS NOT NULL}, 'bad'), 'suspect|t|false|t', 'is suspect, and why');
	};
	my $flip = sub { my ($file) = @_; open my $h, '+<', $file or die; binmode $h; seek $h, 20000, 0; read $h, my $byte, 1; seek $h, 20000, 0; print $h chr(ord($byte) ^ 1); close $h };
	$suspect->('flipped', $flip, 'what is stored has another checksum');
	$suspect->('unsummed', sub { $flip->(@_); sql($node, 'UPDATE pattyly.backups SET checksum = NULL', 'bad') }, '');
	$suspect->('cut', sub { truncate $_[0], 30000 }, 'what is stored has another checksum');
	$suspect->('gone', sub { unlink $_[0] }, 'there is no file');
	$suspect->('link', sub { unlink $_[0]; symlink "$directory/flipped.dump", $_[0] }, 'there is no file');
	$suspect->('counted', sub { sql($node, q{UPDATE pattyly.backups SET manifest = manifest || '{"public.t": 4999}' WHERE label = 'counted'}, 'bad') }, '1 tables differ from the manifest, the first is public.t: 5000 rows, not 4999');
	is(last_backup($node, q{verify_result -> 'differences'}, 'bad'), '[{"found": 5000, "table": "public.t", "expected": 4999}]', 'the difference');
	$suspect->('more', sub { sql($node, q{UPDATE pattyly.backups SET manifest = manifest || '{"public.x": 1}' WHERE label = 'more'}, 'bad') }, '1 tables differ from the manifest, the first is public.x: no rows, not 1');
	$suspect->('less', sub { sql($node, q{UPDATE pattyly.backups SET manifest = manifest - 'public.u' WHERE label = 'less'}, 'bad') }, '1 tables differ from the manifest, the first is public.u: 1 rows, not none');
	like(verify('bad'), qr/ERROR:  42704: there is no backup of this database that could be verified/, 'none of them is taken by default');
	sql($node, q{UPDATE pattyly.backups SET manifest = manifest || '{"public.t": 5000}' WHERE label = 'counted'}, 'bad');
	my $id = sql($node, q{SELECT id FROM pattyly.backups WHERE label = 'counted'}, 'bad');
	like(verify('bad', $id), qr/was restored/, 'passes');
	is(sql($node, "SELECT state, error, annotations ->> 'was_suspect' LIKE 'it did not pass%' FROM pattyly.backups WHERE id = $id", 'bad'), 'done||t', 'and is done again');
	no_scratch('none passed');
};

subtest 'what is refused' => sub {
	my $refused = sub {
		my ($what, $change, $error) = @_;
		my $id = last_backup($node, 'id');
		my (undef, undef, $said) = attempt($node, "$change; CALL pattyly.verify_backup($id)");
		like($said, $error, $what);
		sql($node, "UPDATE pattyly.backups SET state = 'done', kind = 'dump', session = 1, location = '$directory/all.dump', begun_by = current_user, vouched = true, database = 'postgres',
			server_version = split_part(current_setting('server_version'), ' ', 1), annotations = '{}' WHERE id = $id");
	};
	my $set = 'UPDATE pattyly.backups SET';
	$refused->('another major version', "$set server_version = '14.9'", qr/ERROR:  0A000: backup \d+ is of PostgreSQL 14\.9/);
	$refused->("one that is $_", "$set state = '$_'", qr/ERROR:  55000: backup \d+ is $_/) for 'failed', 'expired';
	$refused->('one that is running', "$set state = 'running', session = NULL", qr/ERROR:  55000: backup \d+ is running/);
	$refused->('another kind', "$set kind = 'base'", qr/ERROR:  0A000: backup \d+ is of kind base/);
	$refused->('no location', "$set location = NULL", qr/ERROR:  55000: nobody noted where/);
	$refused->('noted by another', "$set session = NULL, vouched = false, begun_by = 'owner'", qr/ERROR:  42501: backup \d+ was noted by role "owner", not by superusers from begin to end/);
	$refused->('noted by a role that is gone', "$set session = NULL, vouched = false, begun_by = 'nobody'", qr/ERROR:  42501: backup/);
	$refused->('stored elsewhere, no way to fetch it', "$set location = 's3://x'", qr/ERROR:  55000: setting "pattyly.backup_fetch_stages" names no programs/);
	$refused->('not enough room', q{UPDATE pattyly.backups SET annotations = '{"database_bytes": 9000000000000000}'}, qr/ERROR:  53100: there is no room to restore a database of 9000000000000000 bytes/);
	is(last_backup($node, 'state'), 'done', 'which does not make it suspect');
	like(verify('postgres', 4711), qr/ERROR:  42704: there is no backup 4711/, 'an unknown one');
	like(error_of($node, undef, 'BEGIN; CALL pattyly.verify_backup()'), qr/ERROR:  2D000/, 'in a transaction');
	backup($node, 'plain', 'DELETE FROM pattyly.backups;' . stages([ 'pg_dump' ]));
	like(verify('postgres'), qr/ERROR:  0A000: backup \d+ is of format plain, which cannot be verified/, 'no archive');
	is(last_backup($node, 'state'), 'done', 'which does not make it suspect');
	no_scratch('refused');
};

subtest 'fetched' => sub {
	my $place = $node->basedir . '/far';
	my $store = "SET pattyly.backup_location = '$place-%f';" . stages([ 'pg_dump', '-Fc', '--snapshot=%s' ], [ 'dd', 'status=none', "of=$place-%f" ]);
	like(backup($node, 'far', $store), qr/is done/, 'stored elsewhere');
	my $id = last_backup($node, 'id');
	# As many stages as there may be.
	my $fetch = sub { return q{SET pattyly.backup_fetch_stages = '[["cat", "%o"]} . q{, ["cat"]} x $_[0] . q{]';} };
	like(verify('postgres', $id, $fetch->(0)), qr/was restored/, 'by one stage');
	like(verify('postgres', $id, $fetch->(7)), qr/was restored/, 'by eight');
	like(verify('postgres', $id, q{SET pattyly.backup_fetch_stages = '[["false"]]';}), qr/ERROR:  38000: stage 1 of the backup failed/, 'a stage that fails');
	is(last_backup($node, 'state'), 'done', 'does not make it suspect');
	unlike(files_of($node), qr/partial/, 'no copy is left');
};

# A verification while it restores: what others see of it, and how it is stopped.
sub stops
{
	my ($how) = @_;
	my $name = wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'pattyly_verify%' AND query ~ '^CREATE INDEX'}, 1);
	my $scratch = eval { sql($node, q{SELECT datname FROM pg_database WHERE datname LIKE 'pattyly_verify%'}) } // '';
	is($name, 1, "$how: it restores");
	my $pid = sql($node, q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL pattyly.verify_backup'});
	is(sql($node, "SELECT backend_xmin IS NULL, xact_start IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't|t', 'no transaction meanwhile');
	if ($how eq 'success')
	{
		my ($status, undef, $err) = (0, '', '');
		$status = $node->psql($scratch, '', stderr => \$err, extra_params => [ '-U', 'visitor', '-c', 'SELECT 1' ]);
		isnt($status, 0, 'a visitor is refused');
		like($err, qr/permission denied for database|too many connections/, 'with this');
	}
	sql($node, "SELECT pg_cancel_backend($pid)") if $how eq 'cancel';
	sql($node, "SELECT pg_terminate_backend($pid)") if $how eq 'terminate';
}

subtest 'nobody else gets in' => sub {
	sql($node, q{CREATE ROLE visitor LOGIN; ALTER DATABASE bad OWNER TO visitor; CREATE TABLE slow (a int CHECK (a < 10)); INSERT INTO slow VALUES (1); CREATE FUNCTION slow() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
		IF current_database() <> 'postgres' THEN PERFORM pg_sleep(5); END IF; RETURN 1; END$$; CREATE INDEX ON slow ((a + slow()))});
	my $id = do { backup($node, 'slow'); last_backup($node, 'id') };
	# All of them only where the other long tests are: each takes its time.
	for my $how (has_fault_points() ? ('success', 'cancel', 'terminate', 'timeout') : ('success', 'terminate'))
	{
		my $job = in_background($node, ($how eq 'timeout' ? q{SET pattyly.backup_timeout = '3s';} : '') . "CALL pattyly.verify_backup($id);\n");
		stops($how) unless $how eq 'timeout';
		like(finish_background($job), { success => qr/was restored/, cancel => qr/ERROR:  57014/, terminate => qr/FATAL:  57P01/, timeout => qr/ERROR:  57014: programs were not done within 3/ }->{$how}, 'and ends');
		is(last_backup($node, 'state'), 'done', 'the backup is as good as before');
		no_scratch($how);
	}
	my $job = in_background($node, "CALL pattyly.verify_backup($id);\nSET statement_timeout = '1s';\nSELECT pg_sleep(10);\n");
	stops('a database that cannot be dropped');
	my $kept = sql($node, q{SELECT datname FROM pg_database WHERE datname LIKE 'pattyly_verify%'});
	sql($node, "ALTER DATABASE $kept IS_TEMPLATE true");
	my $said = finish_background($job);
	like($said, qr/WARNING:.*database "$kept" could not be dropped.*was restored/s, 'is a warning');
	like($said, qr/ERROR:  57014: canceling statement due to statement timeout/, 'and the session can be canceled as before');
	sql($node, "ALTER DATABASE $kept IS_TEMPLATE false; DROP DATABASE $kept");
	sql($node, 'CREATE DATABASE pattyly_verify_other');
	my $oid = sql($node, q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
	sql($node, "ALTER DATABASE pattyly_verify_other RENAME TO pattyly_verify_${oid}_$id");
	like(verify('postgres', $id), qr/ERROR:  42P04: database ".*" exists, and verify_backup\(\) did not make it/, 'a database of that name is not ours');
	sql($node, "DROP DATABASE pattyly_verify_${oid}_$id; DROP TABLE slow");
};

subtest 'its row is in an open transaction' => sub {
	backup($node, 'held');
	my $id = last_backup($node, 'id');
	my $open = in_background($node, "BEGIN; SELECT pattyly.hold_backup($id, 'x'); SELECT pg_sleep(60); COMMIT");
	ok(wait_until('it sleeps', sub { sql($node, $SLEEPS) }), 'a hold, not committed');
	like((attempt($node, "SET lock_timeout = '300ms'; CALL pattyly.verify_backup($id)"))[2],
		qr/ERROR:\s+55006: the result could not be written: a transaction has the row of backup $id\nDETAIL:\s+It was restored\.\nHINT:.*pg_stat_activity/s,
		'is waited for, but not for ever');
	my $job = in_background($node, "CALL pattyly.verify_backup($id);\n");
	my $waits = q{SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^CALL pattyly.verify_backup'};
	ok(wait_until('it waits', sub { sql($node, $waits) }), 'another waits');
	sql($node, "SELECT pg_cancel_backend(($waits))");
	like(finish_background($job), qr/ERROR:\s+57014/, 'and can be canceled');
	is(last_backup($node, 'state, verified_at'), 'done|', 'nothing is said of the backup');
	no_scratch('canceled');
	sql($node, "SELECT pg_terminate_backend(($SLEEPS))");
	finish_background($open);
	like(verify('postgres', $id), qr/was restored/, 'then it passes');
};

subtest 'canceled while its database is made' => sub {
	backup($node, 'unmade');
	my $id = last_backup($node, 'id');
	my $rename = in_background($node, 'BEGIN; ALTER DATABASE template0 RENAME TO t0; SELECT pg_sleep(60); ROLLBACK;');
	ok(wait_until('it sleeps', sub { sql($node, $SLEEPS) }), 'what it is made of is locked');
	my $job = in_background($node, "CALL pattyly.verify_backup($id);\n");
	is(wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pattyly backup%' AND wait_event_type = 'Lock'}, 1), 1, 'and waited for');
	sql($node, q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '^CALL pattyly.verify_backup'});
	like(finish_background($job), qr/ERROR:  57014/, 'it is canceled');
	sql($node, "SELECT pg_terminate_backend(($SLEEPS))");
	finish_background($rename);
	is(wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pattyly backup%'}, 0), 0, 'nobody makes it');
	no_scratch('canceled');
};

subtest 'a hold comes while its result is written' => sub {
	backup($node, 'holds');
	my $id = last_backup($node, 'id');
	my $open = in_background($node, "BEGIN; SELECT pattyly.hold_backup($id, 'x');
		DO \$\$BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END\$\$; COMMIT");
	ok(wait_until('it sleeps', sub { sql($node, $SLEEPS) }), 'a hold, not committed');
	my $job = in_background($node, "SET default_transaction_isolation = 'repeatable read'; CALL pattyly.verify_backup($id);\n");
	ok(wait_until('it waits', sub { sql($node, q{SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'CALL pattyly.verify_backup'}) }), 'is waited for');
	sql($node, "SELECT pg_cancel_backend(($SLEEPS))");
	finish_background($open);
	like(finish_background($job), qr/was restored/, 'in any isolation level');
};

subtest 'kill -9' => sub {
	sql($node, q{CREATE TABLE slow (a int); INSERT INTO slow VALUES (1); CREATE INDEX ON slow ((a + slow()))});
	backup($node, 'killed');
	my $id = last_backup($node, 'id');
	my $job = in_background($node, "CALL pattyly.verify_backup($id);\n");
	is(wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'pattyly_verify%' AND query ~ '^CREATE INDEX'}, 1), 1, 'it restores');
	my $pid = sql($node, q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL pattyly.verify_backup'});
	my $group = keeper_of($pid);
	my $mark = log_mark($node);
	kill 9, $pid;
	ok(group_gone($group), 'no process is left');
	finish_background($job);
	ok(wait_for_restart($node, $mark), 'the server is back') or BAIL_OUT('no server');
	is(last_backup($node, 'state, verified_at'), 'done|', 'the backup is as good as before');
	is(sql($node, q{SELECT count(*) FROM pg_database WHERE datname LIKE 'pattyly_verify%'}), 1, 'the database is left');
	sql($node, 'DROP TABLE slow');
	backup($node, 'after');
	like(verify('postgres'), qr/was restored/, 'the next passes');
	no_scratch('and takes it away');
};

subtest 'a dump gets no more rights' => sub {
	sql($node, 'CREATE ROLE mallory LOGIN; CREATE DATABASE hers');
	sql($node, q{CREATE EXTENSION pattyly; CREATE SCHEMA m AUTHORIZATION mallory; CREATE TABLE public.caught (who text, way text)}, 'hers');
	# What she runs tells who she is by a file of that name, or an error that it ends in.
	my $proof = $node->basedir . '/proof';
	mkdir $proof, 0777;
	chmod 0777, $proof;
	my ($status, undef, $err) = run_at($node, undef, qq{
		SET ROLE mallory; SET search_path = m;
		-- Writes a file when a superuser runs it, in a transaction that is read only as well.
		CREATE FUNCTION grab(way text) RETURNS int LANGUAGE plpgsql VOLATILE AS \$\$
		BEGIN
			IF current_setting('is_superuser') = 'on' OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
				BEGIN
					EXECUTE format('COPY (SELECT 1) TO %L', '$proof/' || current_database() || '-' || way);
				EXCEPTION WHEN insufficient_privilege THEN NULL;
				END;
			END IF;
			RETURN 1;
		END\$\$;
		CREATE FUNCTION sure(way text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$\$BEGIN PERFORM m.grab(way); RETURN 1; END\$\$;
		CREATE FUNCTION sure_sql(way text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT m.grab(way)';
		CREATE TABLE checked (a int CHECK (m.grab('check') = a)); INSERT INTO checked VALUES (1);
		CREATE TABLE inlined (a int CHECK (m.sure_sql('inlined') = a)); INSERT INTO inlined VALUES (1);
		CREATE DOMAIN dom AS int CHECK (m.grab('domain') = VALUE); CREATE TABLE domained (a dom); INSERT INTO domained VALUES (1);
		CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a + m.sure('generated')) STORED); INSERT INTO generated VALUES (1);
		CREATE TABLE indexed (a int); INSERT INTO indexed VALUES (1); CREATE INDEX ON indexed ((a + m.sure('index')));
		CREATE INDEX ON indexed (a) WHERE m.sure('predicate') = 1; CREATE STATISTICS st ON a, (a + m.sure('statistics')) FROM indexed;
		CREATE MATERIALIZED VIEW mv AS SELECT m.grab('matview') AS a;
		CREATE TABLE triggered (a int DEFAULT m.grab('default')); INSERT INTO triggered VALUES (1);
		CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN PERFORM m.grab('trigger'); RETURN NEW; END\$\$;
		CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION t(); ALTER TABLE triggered ENABLE ALWAYS TRIGGER t;
		CREATE TABLE ruled (a int); INSERT INTO ruled VALUES (1); CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT m.grab('rule');
		CREATE TABLE policed (a int); INSERT INTO policed VALUES (1); CREATE POLICY p ON policed USING (m.grab('policy') = a); ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
		-- The constraint needs the function, and the function the table: it is restored by itself, over rows that are there.
		CREATE TABLE looped (a int); INSERT INTO looped VALUES (1);
		CREATE FUNCTION row_ok(r looped) RETURNS boolean LANGUAGE plpgsql AS \$\$BEGIN RETURN m.grab('loop') = 1; END\$\$;
		ALTER TABLE looped ADD CHECK (m.row_ok(looped));
		-- The bound of a partition is checked by the domain.
		CREATE TABLE bound (a dom) PARTITION BY LIST (a); CREATE TABLE bound_1 PARTITION OF bound FOR VALUES IN (1); INSERT INTO bound VALUES (1);
		-- A foreign key looks at its rows through her cast.
		CREATE TYPE en AS ENUM ('x'); CREATE FUNCTION en_int(en) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$\$BEGIN PERFORM m.grab('cast'); RETURN 1; END\$\$;
		CREATE CAST (en AS int) WITH FUNCTION en_int(en) AS IMPLICIT;
		CREATE TABLE target (a int PRIMARY KEY); INSERT INTO target VALUES (1); CREATE TABLE source (a en REFERENCES target); INSERT INTO source VALUES ('x');
	}, 'hers');
	is($status, 0, 'all that she has') or diag $err;
	# What a function with another owner's rights returns to is not that other owner.
	sql($node, $_, 'hers') for 'CREATE ROLE bob',
		q{CREATE FUNCTION m.bobs(a int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN RETURN a; END$$}, 'ALTER FUNCTION m.bobs(int) OWNER TO bob',
		q{SET ROLE mallory; CREATE FUNCTION m.who() RETURNS name LANGUAGE plpgsql AS $$BEGIN RETURN current_user; END$$;
			CREATE TABLE m.definer (a int CHECK (m.bobs(a) > 0 AND m.who() <> 'bob')); INSERT INTO m.definer VALUES (1), (2)};
	like(error_of($node, undef, 'SET ROLE mallory; CREATE EVENT TRIGGER hers ON ddl_command_end EXECUTE FUNCTION m.t()', 'hers'), qr/ERROR:  42501/, 'event triggers are not hers to make');
	# When this way of catching her works, it catches a superuser who calls it himself.
	sql($node, q{SELECT m.grab('caller')}, 'hers');
	is(join(' ', map { s|.*/||r } glob "$proof/*"), 'hers-caller', 'a superuser who calls her function is caught');
	unlink glob "$proof/*";
	backup($node, 'evil', '', 'hers');
	is(last_backup($node, 'state, error', 'hers'), 'done|', 'a backup of it');
	is(join(' ', map { s|.*/||r } glob "$proof/*"), '', 'nothing of hers ran as a superuser while it was dumped and counted');
	my $said = verify('hers');
	is(join(' ', map { s|.*/||r } glob "$proof/*"), '', 'nor while it was restored');
	like($said, qr/was restored, and its rows were counted/, 'which passes all the same');
	# Functions that everybody has, in the place of her own.
	sql($node, qq{SET ROLE mallory; SET search_path = m; DROP TABLE bound, domained; DROP DOMAIN dom;
		CREATE DOMAIN dom AS int CHECK (CASE WHEN current_setting('is_superuser') = 'on' THEN query_to_xml('SELECT lo_export(4711, ''$proof/lo'')', true, false, '') IS NOT NULL ELSE VALUE > 0 END);
		CREATE TABLE bound (a dom) PARTITION BY LIST (a); CREATE TABLE bound_1 PARTITION OF bound FOR VALUES IN (1); INSERT INTO bound VALUES (1);
		SELECT lo_from_bytea(4711, 'x')}, 'hers');
	backup($node, 'direct', '', 'hers');
	like(verify('hers'), qr/must not run as a superuser while a dump is restored/, 'a bound whose domain calls what only a superuser may');
	is(join(' ', map { s|.*/||r } glob "$proof/*"), '', 'does not get it');
	is(last_backup($node, 'state', 'hers'), 'done', 'and says nothing about the backup');
	no_scratch('evil');
};

subtest 'an extension whose owner is no superuser' => sub {
	sql($node, 'CREATE ROLE app_admin');
	sql($node, 'CREATE ROLE app_service');
	sql($node, 'CREATE DATABASE app OWNER app_admin');
	sql($node, q{SET ROLE app_admin; CREATE EXTENSION pattyly; CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a;
		GRANT EXECUTE ON FUNCTION pattyly.begin_backup(text, text, text, text, bigint) TO app_service}, 'app');
	like(round('owned', 'app'), qr/was restored/, 'what he granted on is no obstacle');
	no_scratch('it passed');
	like(sql($node, q{SELECT string_agg(l, E'\n') FROM pattyly.restore_plan((SELECT max(id) FROM pattyly.backups)) AS l}, 'app'),
		qr/SET SESSION AUTHORIZATION app_admin; CREATE EXTENSION pattyly/, 'the plan makes him its owner, too');
};

$node->stop;
done_testing();
