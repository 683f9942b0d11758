# More jobs than places, more places than processes, and a thousand jobs of which none is due.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('many');

subtest 'two hundred jobs are due in the same minute' => sub {
	set_clock($node, '2031-05-05 00:00:30+00');
	sql($node, q{
		CREATE TABLE done (job text);
		SELECT pattyly.schedule_job('due ' || n, '* * * * *', format('INSERT INTO done VALUES (%L)', n)) FROM generate_series(1, 200) AS n});
	set_clock($node, '2031-05-05 00:01:00+00');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'succeeded'}, 200, 60), 200, 'all run');
	is(sql($node, 'SELECT count(*), count(DISTINCT job) FROM done'), '200|200', 'once');
	sql($node, 'SELECT pattyly.unschedule_job(name) FROM pattyly.jobs');
};

subtest 'a thousand jobs and none is due' => sub {
	real_clock($node);
	sql($node, q{SELECT pattyly.schedule_job('far ' || n, '0 0 1 1 *', 'SELECT 1') FROM generate_series(1, 1000) AS n});
	sleep 1;
	my $pid = scheduler_of($node);
	my $launcher = pid_of($node, 'launcher');
	my ($before, $launcher_before) = (cpu_ticks($pid), cpu_ticks($launcher));
	my $open = 0;
	for (1 .. 10)
	{
		select undef, undef, undef, 0.4;
		$open += sql($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pattyly job' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)");
	}
	is($open, 0, 'nobody holds a transaction open');
	is(scheduler_of($node), $pid, 'the scheduler is the same');
	cmp_ok(cpu_ticks($pid) - $before, '<=', 2, 'the scheduler sleeps');
	cmp_ok(cpu_ticks($launcher) - $launcher_before, '<=', 2, 'the launcher sleeps');
	is(sql($node, "SELECT state, wait_event_type FROM pg_stat_activity WHERE pid = $pid"), 'idle|Extension', 'as everybody can see');
	sql($node, 'SELECT pattyly.unschedule_job(name) FROM pattyly.jobs');
	cmp_ok(sql($node, q{SELECT n_tup_upd + n_tup_ins FROM pg_stat_all_tables WHERE relid = 'pattyly.job_runs'::regclass}), '>', 0, 'what it writes is counted, so that autovacuum comes');
};

subtest 'more jobs than places' => sub {
	sql($node, q{SELECT pattyly.schedule_job('long ' || n, '0 0 1 1 *', 'SELECT pg_sleep(6)'), pattyly.run_job('long ' || n) FROM generate_series(1, 10) AS n});
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name LIKE 'long%' AND state = 'running'}, 8), 8, 'as many run as there are places');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name LIKE 'long%' AND state = 'no_slot'}, 2, 5), 2, 'the others say why they do not')
	  or diag sql($node, q{SELECT state, count(*) FROM pattyly.job_runs GROUP BY 1});
	is(sql($node, q{SELECT count(*) FROM pattyly.job_status WHERE state = 'no_slot'}), 2, 'job_status too');
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name LIKE 'long%' AND state = 'succeeded'}, 10), 10, 'in the end all have run');
};

subtest 'no process is free' => sub {
	# One for the launcher, one for the scheduler, one for the launcher of logical replication.
	$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
	$node->restart;
	scheduler_ready($node);
	my $before = sql($node, 'SELECT max(id) FROM pattyly.job_runs');
	sql($node, q{SELECT pattyly.run_job('long ' || n) FROM generate_series(1, 3) AS n});
	is(wait_for($node, "SELECT count(*) FROM pattyly.job_runs WHERE id > $before AND state = 'no_slot'", 2, 10), 2, 'recorded as such')
	  or diag sql($node, 'SELECT * FROM pg_stat_activity WHERE backend_type ~ $$pattyly$$');
	my $pid = scheduler_of($node);
	my $ticks = cpu_ticks($pid);
	is(wait_for($node, "SELECT count(*) FROM pattyly.job_runs WHERE id > $before AND state = 'succeeded'", 3, 60), 3, 'all run in their turn');
	cmp_ok(cpu_ticks($pid) - $ticks, '<=', 50, 'without a loop of attempts');
	sql($node, q{SELECT pattyly.run_job('long ' || n) FROM generate_series(1, 3) AS n});
	wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'no_slot'}, 2, 10);
	is(sql($node, q{SELECT pattyly.cancel_job(job) FROM pattyly.job_status WHERE state = 'no_slot'}), "1\n1", 'what waits for a process can be canceled');
	ok(no_open_runs($node, 40), 'all have an end');
};

$node->stop;
done_testing();
