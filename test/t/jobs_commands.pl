# A job's command is what one would type at a prompt: everything that needs the top level works, each statement is a
# transaction of its own, and what it leaves behind in its session harms nobody.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_job_server('commands');

sql($node, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE boss LOGIN SUPERUSER;
	GRANT CREATE ON SCHEMA public TO alice;
	GRANT USAGE ON SCHEMA pattyly TO alice;
	GRANT SELECT ON pattyly.jobs, pattyly.job_runs, pattyly.job_status TO alice;
	GRANT EXECUTE ON FUNCTION pattyly.schedule_job(text, text, text, text, text, text, interval, integer, interval, jsonb, boolean) TO alice;
	CREATE TABLE t (id integer, at timestamptz DEFAULT clock_timestamp());
	INSERT INTO t SELECT generate_series(1, 1000);
	CREATE TABLE parts (id integer) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
	CREATE TABLE said (what text, xact xid8 DEFAULT pg_current_xact_id());
	CREATE PROCEDURE committing() LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 3 LOOP
			INSERT INTO said (what) VALUES ('in procedure');
			COMMIT;
		END LOOP;
		INSERT INTO said (what) VALUES ('never');
		ROLLBACK;
	END $$});

sub error { return sql($node, 'SELECT error FROM pattyly.job_runs ORDER BY id DESC LIMIT 1') }
sub warnings_of { return sql($node, q{SELECT array_to_string(warnings, '; ') FROM pattyly.job_runs ORDER BY id DESC LIMIT 1}) }

# What the log has of statements since a mark.
sub logged { my ($mark, $what) = @_; return join '|', log_since($node, $mark) =~ /LOG:  $what: (.*)$/mg }

# As alice, who can log in.
sub alice_schedules
{
	my ($name, $command, $more) = @_;
	return $node->safe_psql('postgres', "SELECT pattyly.schedule_job('$name', '0 0 1 1 *', \$job\$$command\$job\$" . ($more ? ", $more" : '') . ')',
		extra_params => [ '-U', 'alice' ]);
}

sub alice_outcome { my ($command, $more) = @_; alice_schedules('hers', $command, $more); return run_to_end($node, 'hers') }

subtest 'commands that need the top level' => sub {
	my @commands = (
		'VACUUM' => 'VACUUM',
		'VACUUM (ANALYZE) t' => 'VACUUM',
		'VACUUM FULL t' => 'VACUUM',
		'ANALYZE' => 'ANALYZE',
		'CREATE INDEX CONCURRENTLY t_id ON t (id)' => 'CREATE INDEX',
		'REINDEX INDEX CONCURRENTLY t_id' => 'REINDEX',
		'REINDEX TABLE CONCURRENTLY t' => 'REINDEX',
		'CLUSTER t USING t_id' => 'CLUSTER',
		'DROP INDEX CONCURRENTLY t_id' => 'DROP INDEX',
		'ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY' => 'ALTER TABLE',
		'CREATE DATABASE made_by_job' => 'CREATE DATABASE',
		'DROP DATABASE made_by_job' => 'DROP DATABASE',
		'ALTER SYSTEM SET work_mem = 8192' => 'ALTER SYSTEM',
		'ALTER SYSTEM RESET work_mem' => 'ALTER SYSTEM',
		'CHECKPOINT' => 'CHECKPOINT');
	while (my ($command, $tag) = splice @commands, 0, 2)
	{
		is(outcome($node, $command), "succeeded|$tag|", $command) or diag error();
	}
	is(sql($node, q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'parts'::regclass}), 0, 'the partition is detached');
	is(warnings_of(), '', 'no warnings');
};

subtest 'a procedure that commits' => sub {
	is(outcome($node, 'CALL committing()'), 'succeeded|CALL|', 'CALL') or diag error();
	is(sql($node, q{SELECT count(*), count(DISTINCT xact) FROM said}), '3|3', 'three transactions, and what it rolled back is gone');
	is(outcome($node, q{DO $$BEGIN INSERT INTO said (what) VALUES ('do'); COMMIT; PERFORM 1/0; END$$}), 'failed||22012', 'DO that commits, then fails');
	is(sql($node, q{SELECT count(*) FROM said WHERE what = 'do'}), 1, 'what it committed stays');
	like(error(), qr/^division by zero\nCONTEXT: .*PL\/pgSQL/s, 'the error with its context');
};

subtest 'several statements in turn' => sub {
	is(outcome($node, q{INSERT INTO said (what) VALUES ('one'); INSERT INTO said (what) SELECT 'two' FROM generate_series(1, 3); SELECT count(*) FROM said; DELETE FROM said WHERE what = 'two'; VACUUM said}),
		'succeeded|INSERT 0 1; INSERT 0 3; SELECT 1; DELETE 3; VACUUM|', 'each has its tag') or diag error();
	is(outcome($node, q{INSERT INTO said (what) VALUES ('first'); SELECT 1/0; INSERT INTO said (what) VALUES ('third')}), 'failed|INSERT 0 1|22012', 'the second of three fails');
	is(sql($node, q{SELECT string_agg(what, ' ') FROM said WHERE what IN ('first', 'third')}), 'first', 'the first stays, the third is not run');
	like(error(), qr/division by zero\n.*statement 2 of 3/s, 'the error says which it was');
	is(outcome($node, 'CREATE TEMP TABLE kept (a) AS SELECT 1; INSERT INTO kept VALUES (2); INSERT INTO said (what) SELECT \'kept \' || count(*) FROM kept'),
		'succeeded|SELECT 1; INSERT 0 1; INSERT 0 1|', 'they share a session');
	is(outcome($node, 'SELECT 1; SELECT nonsense'), 'failed|SELECT 1|42703', 'what is not there when it runs');
	is(outcome($node, join(';', ('SELECT 1') x 1000)) =~ s/(SELECT 1; )+/.../r, 'succeeded|...SELECT 1|', 'a thousand statements: the tags are cut');
};

subtest 'settings' => sub {
	my $show = q{INSERT INTO said (what) SELECT concat_ws(' ', current_setting('search_path'), current_setting('statement_timeout'),
		current_setting('vacuum_cost_delay'), current_setting('lock_timeout'), current_setting('app.tenant', true))};
	is(outcome($node, "$show; VACUUM said; $show", q{settings => '{"search_path": "pg_catalog, public", "statement_timeout": "5min", "vacuum_cost_delay": 2, "lock_timeout": "3s", "app.tenant": "a"}'}),
		'succeeded|INSERT 0 1; VACUUM; INSERT 0 1|', 'with settings') or diag error();
	is(sql($node, q{SELECT DISTINCT what FROM said WHERE what LIKE '%5min%'}), 'pg_catalog, public 5min 2ms 3s a', 'they hold in all of it');
	is(outcome($node, "SET work_mem = '3MB'; VACUUM said; INSERT INTO said (what) VALUES ('wm ' || current_setting('work_mem'))"),
		'succeeded|SET; VACUUM; INSERT 0 1|', 'SET, then VACUUM');
	is(sql($node, q{SELECT what FROM said WHERE what LIKE 'wm%'}), 'wm 3MB', 'SET lasts for the command');
	is(outcome($node, 'SELECT pg_sleep(30)', q{settings => '{"statement_timeout": "200ms"}'}), 'timed_out||57014', 'statement_timeout interrupts');
	is(outcome($node, 'SET statement_timeout = 200; SELECT pg_sleep(30)'), 'timed_out|SET|57014', 'one that the command sets as well');
	is(outcome($node, 'SELECT pg_sleep(0.4); SELECT pg_sleep(0.4); SELECT pg_sleep(0.4)', q{settings => '{"statement_timeout": "1s"}'}),
		'succeeded|SELECT 1; SELECT 1; SELECT 1|', 'it counts for each statement by itself');
	sql($node, q{ALTER ROLE alice SET statement_timeout = '300ms'});
	is(alice_outcome('SELECT pg_sleep(30)'), 'timed_out||57014', 'the one of the role holds');
	is(alice_outcome('SELECT pg_sleep(0.5)', q{settings => '{"statement_timeout": 0}'}), 'succeeded|SELECT 1|', 'unless the job has its own');
	sql($node, 'ALTER ROLE alice RESET statement_timeout');
	my $blocker = $node->background_psql('postgres');
	$blocker->query_safe('BEGIN; LOCK TABLE t');
	is(outcome($node, 'SELECT count(*) FROM t', q{settings => '{"lock_timeout": "200ms"}'}), 'failed||55P03', 'lock_timeout interrupts');
	is(outcome($node, 'SELECT count(*) FROM t', q{settings => '{"statement_timeout": "300ms"}'}), 'timed_out||57014', 'statement_timeout, in the wait for a lock');
	is(outcome($node, 'SELECT count(*) FROM t', q{max_runtime => '1 s'}), 'timed_out||57014', 'max_runtime, in the wait for a lock');
	$blocker->quit;
	is(outcome($node, 'SELECT pg_sleep(0.7); SELECT pg_sleep(30)', q{max_runtime => '1 s'}), 'timed_out|SELECT 1|57014', 'max_runtime is one for all statements');
	like(error(), qr/^it ran longer than max_runtime, 1000 ms\n/, 'and says so');
	is(outcome($node, 'SELECT 1', q{max_runtime => '1 s'}), 'succeeded|SELECT 1|', 'who is quick does not notice');
};

subtest 'a command that will not be interrupted' => sub {
	my $stubborn = q{DO $$BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END$$};
	is(outcome($node, $stubborn, q{max_runtime => '1 s'}, 60), 'timed_out||57014', 'in the end its process is');
	like(error(), qr/max_runtime/, 'and the run says why');
	schedule($node, 'stubborn', $stubborn);
	my $id = run_now($node, 'stubborn');
	wait_for($node, "SELECT wait_event FROM pg_stat_activity WHERE pid = (SELECT pid FROM pattyly.job_runs WHERE id = $id)", 'PgSleep');
	is(sql($node, q{SELECT pattyly.cancel_job('stubborn')}), 1, 'cancel_job() says that it tried');
	is(sql($node, q{SELECT pattyly.cancel_job('stubborn')}), 1, 'again, since it still runs');
	sql($node, "SELECT pg_terminate_backend(pid) FROM pattyly.job_runs WHERE id = $id");
	ok(ended($node, $id), 'terminated, it ends');
	is(sql($node, "SELECT state, sqlstate FROM pattyly.job_runs WHERE id = $id"), 'canceled|57P01', 'as canceled');
};

subtest 'warnings are kept' => sub {
	for my $level ('warning', 'log', 'error', 'fatal', 'panic')
	{
		sql($node, "ALTER SYSTEM SET log_min_messages = '$level'");
		$node->reload;
		wait_for($node, 'SHOW log_min_messages', $level);
		my $mark = log_mark($node);
		is(alice_outcome('VACUUM public.t'), 'succeeded|VACUUM|', "$level: VACUUM of another's table");
		like(warnings_of(), qr/t.*(skipp|owner)|permission denied to vacuum "t", skipping it/, 'is no success without a word');
		is(sql($node, q{SELECT last_status FROM pattyly.job_status WHERE job = 'hers'}), 'succeeded with warnings', 'job_status says so');
		alice_outcome(q{RESET ALL; DO $$BEGIN RAISE WARNING 'after RESET'; RAISE NOTICE 'no'; END$$});
		is(warnings_of(), 'after RESET', 'also after RESET ALL');
		alice_outcome('SELECT 1/0');
		my $log = log_since($node, $mark);
		is($log =~ /WARNING:.*after RESET/ ? 1 : 0, $level eq 'warning' ? 1 : 0, 'the log has what it wants');
		is($log =~ /ERROR:.*division by zero/ ? 1 : 0, $level =~ /warning|error/ ? 1 : 0, 'and nothing else');
	}
	sql($node, 'ALTER SYSTEM RESET log_min_messages');
	$node->reload;
	outcome($node, q{DO $$BEGIN FOR i IN 1 .. 25 LOOP RAISE WARNING 'number %', i; END LOOP; END$$});
	is(sql($node, 'SELECT cardinality(warnings), warnings[20], warnings[21] FROM pattyly.job_runs ORDER BY id DESC LIMIT 1'), '21|number 20|and 5 more', 'the first 20 of many');
	is(outcome($node, q{DO $$BEGIN RAISE WARNING '%', repeat('ü', 1000); PERFORM 1/0; END$$}), 'failed||22012', 'a warning before an error');
	is(sql($node, 'SELECT length(warnings[1]) FROM pattyly.job_runs ORDER BY id DESC LIMIT 1'), 249, 'is kept, cut where a character ends');
	is(sql($node, q{SELECT last_status FROM pattyly.job_status WHERE job = 'once'}), 'failed', 'but the run failed');
};

subtest 'warnings that are alike' => sub {
	is(alice_outcome(q{
		CREATE TABLE public.her_own (a integer);
		CREATE FUNCTION public.noisy(a integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'of her own: %', a; RETURN a; END$$;
		CREATE INDEX ON public.her_own (public.noisy(a));
		INSERT INTO public.her_own VALUES (1)}), 'succeeded|CREATE TABLE; CREATE FUNCTION; CREATE INDEX; INSERT 0 1|', 'a table with an index that warns');
	is(alice_outcome('VACUUM (ANALYZE, SKIP_LOCKED)'), 'succeeded|VACUUM|', 'VACUUM of all by a role that is no superuser');
	my @warnings = split /; /, warnings_of();
	is($warnings[-1], 'of her own: 1', 'what is said last, of her own table, is kept');
	my $denied = 0;
	$denied += 1 + (/\(and (\d+) more like it\)$/ ? $1 : 0) for @warnings[0 .. $#warnings - 1];
	# Until 15 it looks at whose they are before it looks at what they are: indexes and views are told of as well.
	my $looked_at = $node->pg_version < 16 ? 'true' : q{relkind IN ('r', 'm', 'p')};
	is($denied, sql($node, "SELECT count(*) FROM pg_class WHERE $looked_at AND relowner <> 'alice'::regrole"),
		'after those that she may not vacuum, all of them counted');
	cmp_ok(scalar @warnings, '<=', 10, 'and few of them shown');
	outcome($node, q{DO $$BEGIN FOR i IN 1 .. 100 LOOP RAISE WARNING 'again'; RAISE WARNING 'now and then: %', i / 34; END LOOP; RAISE WARNING 'last'; END$$});
	is(warnings_of(), join('; ', 'again', 'now and then: 0', 'again', 'now and then: 0', 'again (and 97 more like it)', 'now and then: 0 (and 30 more like it)',
		'now and then: 1', 'now and then: 1', 'now and then: 1 (and 31 more like it)', 'now and then: 2', 'now and then: 2', 'now and then: 2 (and 30 more like it)', 'last'),
		'RAISE: those with the same text');
	outcome($node, q{DO $$BEGIN FOR i IN 1 .. 30 LOOP RAISE WARNING 'number %', i; RAISE WARNING 'number %', i; END LOOP; END$$});
	is(sql($node, 'SELECT cardinality(warnings), warnings[19], warnings[20], warnings[21] FROM pattyly.job_runs ORDER BY id DESC LIMIT 1'),
		'21|number 10|number 10|and 40 more', 'no more than 20 are kept of many kinds');
};

subtest 'the log' => sub {
	my $mark = log_mark($node);
	outcome($node, "SELECT 'not asked for'; CREATE TABLE public.unlogged_yet (a integer)");
	unlike(log_since($node, $mark), qr/statement:|duration:/, 'says nothing of statements by default');
	outcome($node, "SELECT 'no DDL';\n  DROP TABLE public.unlogged_yet", q{settings => '{"log_statement": "ddl"}'});
	is(logged($mark, 'statement'), 'DROP TABLE public.unlogged_yet', 'log_statement logs those it names');
	$mark = log_mark($node);
	outcome($node, q{SELECT 'one'; SELECT 'two'}, q{settings => '{"log_statement": "all", "log_duration": true}'});
	is(logged($mark, 'statement'), q{SELECT 'one'|SELECT 'two'}, 'or all, each by itself');
	my $durations = () = log_since($node, $mark) =~ /LOG:  duration: [\d.]+ ms$/mg;
	is($durations, 2, 'log_duration how long each took');
	$mark = log_mark($node);
	alice_schedules('slow', q{SELECT 'quick'; SELECT pg_sleep(0.3); SELECT 1/0});
	sql($node, q{ALTER ROLE alice SET log_min_duration_statement = '200ms'});
	is(run_to_end($node, 'slow'), 'failed|SELECT 1; SELECT 1|22012', 'of a role with log_min_duration_statement');
	is(logged($mark, 'duration: [23456789]\d\d\.\d+ ms  statement'), 'SELECT pg_sleep(0.3)', 'the slow statement is logged');
	is(logged($mark, 'statement'), '', 'and no other');
	sql($node, 'ALTER ROLE alice RESET log_min_duration_statement');
};

subtest 'what a command leaves in its session' => sub {
	my @commands = (
		'SET ROLE alice',
		'SET SESSION AUTHORIZATION alice',
		'RESET ALL',
		'DISCARD ALL',
		'SET default_transaction_read_only = on',
		q{SET search_path = ''},
		q{SET default_transaction_isolation = 'serializable'},
		'SET session_replication_role = replica',
		q{SET lock_timeout = 1; SET statement_timeout = 1},
		q{SET row_security = off},
		q{SET pattyly.frozen_clock = '2001-01-01 00:00:00+00'},
		'CREATE TEMP TABLE jobs (a integer); CREATE TEMP TABLE job_runs (b integer)',
		'CREATE TEMP TABLE pg_class (a integer); CREATE TEMP TABLE pg_roles (a integer)',
		'CREATE FUNCTION pg_temp.count("any") RETURNS bigint LANGUAGE internal AS \'int8inc\'',
		'DECLARE open CURSOR WITH HOLD FOR SELECT generate_series(1, 100000); FETCH 5 FROM open',
		'SELECT pg_advisory_lock(42)',
		'PREPARE p AS SELECT 1',
		q{DO $$BEGIN PERFORM set_config('search_path', 'pg_temp', false); END$$},
		'CREATE SCHEMA evil; CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT NULL::timestamptz$$; SET search_path = evil, pg_catalog');
	my $before = sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'succeeded'});
	like(outcome($node, $_), qr/^succeeded\|.*\|$/, $_) or diag error() for @commands;
	is(sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'succeeded'}), $before + @commands, 'each wrote down that it succeeded');
	is(sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE started_at > now() OR finished_at < started_at}), 0, 'at its time');
	is(sql($node, 'SELECT pg_try_advisory_lock(42)'), 't', 'an advisory lock goes with the process');
	is(sql($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job'}), 0, 'as all of them did');
};

subtest 'settings of the role and the database that would keep a run from being written down' => sub {
	my @settings = ('default_transaction_read_only = on', q{default_transaction_isolation = 'serializable'}, q{search_path = ''}, 'lock_timeout = 1', 'row_security = off');
	push @settings, q{transaction_timeout = '300ms'} if $node->pg_version >= 17;
	for my $setting (@settings)
	{
		my ($name) = $setting =~ /^(\w+)/;
		alice_schedules('reads', "SELECT pg_catalog.current_setting('$name')");
		alice_schedules('writes', 'CREATE TABLE public.x (a integer)');
		sql($node, "ALTER ROLE alice SET $setting");
		is(run_to_end($node, 'reads'), 'succeeded|SELECT 1|', "the role has $setting");
		is(run_to_end($node, 'writes'), $name eq 'default_transaction_read_only' ? 'failed||25006' : 'succeeded|CREATE TABLE|', 'which holds for the command');
		sql($node, "ALTER ROLE alice RESET $name; DROP TABLE IF EXISTS x");
	}
	if ($node->pg_version >= 17)
	{
		alice_schedules('sleeps', 'SELECT pg_sleep(30)');
		sql($node, q{ALTER ROLE alice SET transaction_timeout = '300ms'});
		like(run_to_end($node, 'sleeps'), qr/^failed\|\|25P04/, 'transaction_timeout ends the command, and the run says so');
		sql($node, 'ALTER ROLE alice RESET transaction_timeout');
	}
};

subtest 'roles that the owner may not become' => sub {
	is(alice_outcome('SELECT 1', q{settings => '{"role": "alice"}'}), 'succeeded|SELECT 1|', 'his own');
	sql($node, q{UPDATE pattyly.jobs SET settings = '{"role": "boss"}' WHERE name = 'hers'});
	is(run_to_end($node, 'hers'), 'failed||42501', 'another role');
	sql($node, q{UPDATE pattyly.jobs SET settings = '{"session_authorization": "boss"}' WHERE name = 'hers'});
	is(run_to_end($node, 'hers'), 'failed||42501', 'another session');
	sql($node, q{UPDATE pattyly.jobs SET settings = '{"session_replication_role": "replica"}' WHERE name = 'hers'});
	is(run_to_end($node, 'hers'), 'failed||42501', 'a setting of superusers, slipped in');
	is(alice_outcome('RESET SESSION AUTHORIZATION; RESET ROLE; SELECT 1/(current_user = $$alice$$)::int/(NOT pg_catalog.current_setting($$is_superuser$$)::boolean)::int'),
		'succeeded|RESET; RESET; SELECT 1|', 'to RESET changes nothing');
	is(alice_outcome('SET ROLE boss'), 'failed||42501', 'nor may it SET ROLE');
	is(alice_outcome('DELETE FROM pattyly.job_runs'), 'failed||42501', 'nor write the tables');
};

subtest 'a command that ends its own process' => sub {
	is(outcome($node, 'SELECT pg_terminate_backend(pg_backend_pid())'), 'canceled||57P01', 'pg_terminate_backend');
	like(error(), qr/terminating background worker "pattyly job" due to administrator command/, 'with the last words');
	is(outcome($node, 'SELECT pg_cancel_backend(pg_backend_pid()); SELECT pg_sleep(1)'), 'canceled||57014', 'pg_cancel_backend');
	is(outcome($node, 'SELECT pg_terminate_backend(pg_backend_pid())', q{max_retries => 0}), 'canceled||57P01', 'again');
	sql($node, 'CREATE DATABASE closed; ALTER ROLE alice CONNECTION LIMIT -1; REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
	is(run_to_end($node, 'hers'), 'failed||42501', 'a role that may not connect');
	like(error(), qr/permission denied for database "postgres"/, 'says so');
	sql($node, 'GRANT CONNECT ON DATABASE postgres TO PUBLIC; ALTER ROLE alice NOLOGIN');
	is(run_to_end($node, 'hers'), $node->pg_version >= 17 ? 'failed||42501' : 'failed||28000', 'a role that may not log in any more, until 16');
	sql($node, 'ALTER ROLE alice LOGIN');
	is(run_to_end($node, 'hers'), 'failed||42501', 'and again, which runs what it ran before');
};

subtest 'the errors of a command' => sub {
	is(outcome($node, q{DO $$BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P1234', DETAIL = 'more', HINT = 'do this'; END$$}), 'failed||P1234', 'a SQLSTATE of its own');
	like(error(), qr/^mine\nDETAIL: more\nHINT: do this\nCONTEXT: /, 'with detail and hint');
	is(outcome($node, q{DO $$BEGIN RAISE EXCEPTION '%', repeat('x', 100000); END$$}), 'failed||P0001', 'a long one');
	sql($node, q{CREATE TABLE deferred (a integer UNIQUE DEFERRABLE INITIALLY DEFERRED)});
	is(outcome($node, 'INSERT INTO deferred VALUES (1), (1)'), 'failed||23505', 'at commit') or diag error();
	is(sql($node, 'SELECT count(*) FROM deferred'), 0, 'which did not happen');
	is(outcome($node, 'COPY t FROM PROGRAM \'false\''), 'failed||38000', 'a program that fails');
	is(outcome($node, 'DROP TABLE no_such_table'), 'failed||42P01', 'what is not there');
	is(outcome($node, q{DO $$BEGIN EXECUTE 'LISTEN x'; END$$}), 'failed||0A000', 'LISTEN, hidden');
	is(sql($node, q{SELECT pid IS NOT NULL AND started_at <= finished_at FROM pattyly.job_runs ORDER BY id DESC LIMIT 1}), 't', 'with process and times');
};

ok(no_open_runs($node), 'no run is left open');
$node->stop;
done_testing();
