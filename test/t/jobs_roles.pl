# Roles that are renamed or dropped, and databases that are dropped while their jobs run.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('roles', "pattyly.databases = 'postgres, one'");

subtest 'roles that change' => sub {
	sql($node, q{
		CREATE ROLE worker LOGIN;
		GRANT USAGE ON SCHEMA pattyly TO worker;
		GRANT EXECUTE ON FUNCTION pattyly.schedule_job(text, text, text, text, text, text, interval, integer, interval, jsonb, boolean) TO worker;
		SET ROLE worker;
		SELECT pattyly.schedule_job('of worker', 'every 1 second', 'SELECT 1/(session_user IN ($$worker$$, $$renamed$$))::int')});
	my $good = q{SELECT count(*) > 0 FROM pattyly.job_runs WHERE job_name = 'of worker' AND state = 'succeeded'};
	is(wait_for($node, $good, 't'), 't', 'it runs as its owner');
	sql($node, 'ALTER ROLE worker RENAME TO renamed; DELETE FROM pattyly.job_runs');
	is(wait_for($node, $good, 't'), 't', 'renamed: it runs on');
	is(wait_for($node, q{SELECT owner FROM pattyly.jobs WHERE name = 'of worker'}, 'renamed'), 'renamed', 'under the new name');
	sql($node, 'DROP OWNED BY renamed; DROP ROLE renamed');
	is(wait_for($node, q{SELECT state || ' ' || sqlstate FROM pattyly.job_runs WHERE job_name = 'of worker' ORDER BY id DESC LIMIT 1}, 'failed 42704'), 'failed 42704', 'dropped: its runs fail');
	is(sql($node, q{SELECT state FROM pattyly.job_status WHERE job = 'of worker'}), 'owner missing', 'job_status says why');
	is(outcome($node, 'SELECT 1'), 'succeeded|SELECT 1|', 'others run');
	is(sql($node, q{SELECT pattyly.unschedule_job('of worker')}), 't', 'a superuser can remove it');
};

# Each kill leaves a place that nobody of that database will free.
subtest 'places of databases that are gone are used again' => sub {
	for my $round (1 .. 3)
	{
		sql($node, 'CREATE DATABASE one');
		sql($node, 'CREATE EXTENSION pattyly', 'one');
		schedule($node, "long $_", 'SELECT pg_sleep(600)', undef, 'one'), run_now($node, "long $_", 'one') for 1 .. 4;
		wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job'}, 4);
		sql($node, 'DROP DATABASE one WITH (FORCE)');
	}
	is(wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pattyly job'}, 0), 0, 'all are gone');
	schedule($node, "short $_", 'SELECT pg_sleep(1)') for 1 .. 8;
	sql($node, q{SELECT pattyly.run_job('short ' || n) FROM generate_series(1, 8) AS n});
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name LIKE 'short%' AND state = 'succeeded'}, 8), 8, 'eight run');
};

$node->stop;
done_testing();
