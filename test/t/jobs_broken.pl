# One job never harms another: rows that make no sense, changes that are not committed, jobs that go while they run. And
# @reboot, and how long runs are kept.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use Test::More;

my $node = new_job_server('broken');

# The runs of a job, in their order: "state@MM:SS of its schedule".
sub runs { my ($job) = @_; return "SELECT string_agg(state || '\@' || to_char(scheduled_at, 'HH24:MI:SS'), ' ' ORDER BY id) FROM pattyly.job_runs WHERE job_name = '$job'" }
sub runs_are { my ($job, $expected, $name) = @_; is(wait_for($node, runs($job), $expected, 15), $expected, $name) }
# With what is known of its runs.
sub remove { sql($node, "SELECT pattyly.unschedule_job('$_'); DELETE FROM pattyly.job_runs WHERE job_name = '$_' AND finished_at IS NOT NULL") for @_ }

subtest 'a job that is broken stops no other' => sub {
	set_clock($node, '2032-02-01 00:00:30+00');
	my @broken = (
		q{schedule = 'nonsense'}, q{schedule = ''}, q{timezone = 'Mars/Olympus'}, q{retry_delay = '100000000 years', max_retries = 5}, q{retry_delay = '-5 days', max_retries = 1},
		q{max_runtime = '100000000 years'}, q{max_runtime = '-1 year'}, q{command = 'BEGIN'}, q{command = ''}, q{command = 'SELEC'}, q{settings = '[]'}, q{settings = '{"a": {}}'},
		q{settings = '{"no_such": 1}'}, q{owner_id = 1}, q{next_run = '-infinity'}, q{next_run = '4714-11-24 00:00:00+00 BC'}, q{schedule = 'every 1 minute', next_run = '-infinity'},
		q{schedule = 'every 1 minute', next_run = '4714-11-24 00:00:00+00 BC'}, q{max_retries = -5}, q{max_retries = 2000000000}, q{schedule = '0 0 30 2 *'}, q{last_scheduled = 'infinity'});
	push @broken, q{retry_delay = 'infinity', max_retries = 1}, q{max_runtime = '-infinity'}, q{max_runtime = 'infinity'} if $node->pg_version >= 17;
	schedule($node, "broken $_", $broken[$_] =~ /retr/ ? 'SELECT 1/0' : 'SELECT 1', q{schedule => '* * * * *'}) for 0 .. $#broken;
	schedule($node, 'whole', 'SELECT 1', q{schedule => '* * * * *'});
	sql($node, "UPDATE pattyly.jobs SET $broken[$_] WHERE name = 'broken $_'") for 0 .. $#broken;
	set_clock($node, '2032-02-01 00:01:10+00');
	runs_are('whole', 'succeeded@00:01:00', 'at first');
	set_clock($node, '2032-02-01 00:02:10+00');
	runs_are('whole', 'succeeded@00:01:00 succeeded@00:02:00', 'and on');
	set_clock($node, '2032-02-01 00:03:10+00');
	runs_are('whole', 'succeeded@00:01:00 succeeded@00:02:00 succeeded@00:03:00', 'and on');
	my %expected = (0 => '22023', 1 => '22023', 2 => '22023', 7 => '0A000', 8 => '22023', 9 => '42601', 10 => '22023', 11 => '22023', 12 => '42704', 13 => '42704');
	is(sql($node, "SELECT DISTINCT state, sqlstate FROM pattyly.job_runs WHERE job_name = 'broken $_' AND finished_at IS NOT NULL"), "failed|$expected{$_}", $broken[$_])
	  for sort { $a <=> $b } keys %expected;
	is(sql($node, q{SELECT count(*) FROM pattyly.jobs AS j WHERE name LIKE 'broken%' AND NOT EXISTS (SELECT FROM pattyly.job_runs AS r WHERE r.job_id = j.id)}), 0, 'each left a run behind');
	is(sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'lost'}), 0, 'none was lost');
	cmp_ok(sql($node, q{SELECT max(n) FROM (SELECT count(*) AS n FROM pattyly.job_runs WHERE job_name <> 'broken 19' GROUP BY job_id) AS q}), '<=', 9, 'none runs wild');
	is(sql($node, q{SELECT count(*) FROM pattyly.job_status}), @broken + 1, 'job_status can be read');
	sql($node, 'SELECT pattyly.unschedule_job(name) FROM pattyly.jobs');
	ok(no_open_runs($node), 'all have an end');
};

subtest 'a change that is not committed holds up nobody' => sub {
	set_clock($node, '2032-03-01 00:00:30+00');
	schedule($node, 'changing', 'SELECT 1', q{schedule => '* * * * *'});
	schedule($node, 'removing', 'SELECT 1', q{schedule => '* * * * *'});
	schedule($node, 'other', 'SELECT 1', q{schedule => '* * * * *'});
	my $session = $node->background_psql('postgres');
	$session->query_safe(q{BEGIN; SELECT pattyly.schedule_job('changing', '* * * * *', 'SELECT 2'); SELECT pattyly.unschedule_job('removing'); SELECT pattyly.schedule_job('new', '* * * * *', 'SELECT 3')});
	my $mark = log_mark($node);
	set_clock($node, '2032-03-01 00:01:10+00');
	runs_are('other', 'succeeded@00:01:00', 'other jobs run');
	set_clock($node, '2032-03-01 00:02:10+00');
	runs_are('other', 'succeeded@00:01:00 succeeded@00:02:00', 'and on');
	my ($before) = cpu_ticks(scheduler_of($node));
	sleep 2;
	cmp_ok(cpu_ticks(scheduler_of($node)) - $before, '<=', 20, 'the scheduler does not spin meanwhile');
	$session->query_safe('COMMIT');
	runs_are('changing', 'succeeded@00:01:00', 'when it commits, the job runs');
	runs_are('removing', '', 'and one that is gone does not');
	is(complaints($node, $mark), '', 'nobody complains');
	$session->quit;
	remove('changing', 'other', 'new');
};

subtest 'a canceled run that is not committed holds up nobody' => sub {
	set_clock($node, '2032-04-01 00:00:30+00');
	schedule($node, 'waits', 'SELECT 1/0', q{max_retries => 1, retry_delay => '1 min'});
	schedule($node, 'other', 'SELECT 1', q{schedule => '* * * * *'});
	run_now($node, 'waits');
	runs_are('waits', 'failed@00:00:30 starting@00:00:30', 'a retry waits');
	my $session = $node->background_psql('postgres');
	$session->query_safe(q{BEGIN; SELECT pattyly.cancel_job('waits')});
	my $mark = log_mark($node);
	set_clock($node, '2032-04-01 00:02:10+00');
	runs_are('other', 'succeeded@00:01:00', 'other jobs run');
	sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pattyly job'});
	set_clock($node, '2032-04-01 00:03:10+00');
	runs_are('other', 'succeeded@00:01:00 succeeded@00:03:00', 'and on, though its worker was ended');
	$session->query_safe('COMMIT');
	runs_are('waits', 'failed@00:00:30 canceled@00:00:30', 'canceled');
	$session->quit;
	unlike(log_since($node, $mark), qr/lock timeout/, 'nobody waited');
	remove('waits', 'other');
};

subtest 'a job that is changed or removed while it runs' => sub {
	set_clock($node, '2032-05-01 00:00:30+00');
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('SELECT pg_advisory_lock(9)');
	schedule($node, $_, 'SELECT pg_advisory_lock(9)') for 'changed', 'removed';
	my @run = map { run_now($node, $_) } 'changed', 'removed';
	runs_are($_, 'running@00:00:30', "$_ runs") for 'changed', 'removed';
	schedule($node, 'changed', 'SELECT 1, 2');
	remove('removed');
	schedule($node, 'removed', 'SELECT 1, 2');
	my $again = run_now($node, 'removed');
	ok(ended($node, $again), 'a new job of the name runs beside the old one');
	$locker->quit;
	ok(ended($node, $_), 'the old run ends') for @run;
	is(sql($node, q{SELECT string_agg(state, ' ') FROM pattyly.job_runs WHERE job_name IN ('changed', 'removed')}), 'succeeded succeeded succeeded', 'all succeeded');
	remove('changed', 'removed');
};

subtest '@reboot' => sub {
	real_clock($node);
	schedule($node, 'boot', 'SELECT 1', q{schedule => '@reboot'});
	schedule($node, 'no boot', 'SELECT 1', q{schedule => '@reboot', enabled => false});
	my $count = q{SELECT string_agg(job_name || ' ' || state, ', ' ORDER BY id) FROM pattyly.job_runs WHERE job_name IN ('boot', 'no boot')};
	is(sql($node, $count), '', 'not when it is scheduled');
	$node->restart;
	is(wait_for($node, $count, 'boot succeeded'), 'boot succeeded', 'once when the server starts');
	scheduler_ready($node);
	my $pid = scheduler_of($node);
	sql($node, "SELECT pg_terminate_backend($pid)");
	sql($node, q{SELECT pattyly.resume_job('no boot')});
	wait_until('another scheduler', sub { my $now = scheduler_of($node); $now && $now ne $pid });
	schedule($node, 'after', 'SELECT 1');
	is(run_to_end($node, 'after'), 'succeeded|SELECT 1|', 'another scheduler works');
	is(sql($node, $count), 'boot succeeded', 'not when the scheduler does, nor when it is resumed');
	$node->restart;
	is(wait_for($node, $count, 'boot succeeded, boot succeeded, no boot succeeded'), 'boot succeeded, boot succeeded, no boot succeeded', 'once at the next start');
	remove('boot', 'no boot', 'after');
};

subtest 'history' => sub {
	schedule($node, 'often', 'SELECT 1');
	sql($node, q{
		TRUNCATE pattyly.job_runs;
		INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, finished_at, error)
			SELECT id, name, owner_id, 'succeeded', at, at, at, n FROM pattyly.jobs, generate_series(1, 1500) AS n, LATERAL (SELECT now() - n * interval '1 min') AS t(at) WHERE name = 'often';
		INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, finished_at, error)
			SELECT id, name, owner_id, 'skipped', at, at, at, n FROM pattyly.jobs, generate_series(1, 6000) AS n, LATERAL (SELECT now() - n * interval '1 s') AS t(at) WHERE name = 'often';
		INSERT INTO pattyly.job_runs (job_id, job_name, owner_id, state, scheduled_at, start_after, finished_at, error)
			SELECT 4711, 'gone', 10, 'failed', at, at, at, n FROM generate_series(1, 40) AS n, LATERAL (SELECT now() - n * interval '1 day' + interval '1 hour') AS t(at)});
	sql($node, 'SELECT pg_terminate_backend(' . scheduler_of($node) . ')');
	my $kept = q{SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE job_name = 'gone') FROM pattyly.job_runs};
	is(wait_for($node, $kept, '1000|100|30'), '1000|100|30', 'a thousand of a job, a hundred more that were skipped, and thirty days');
	is(sql($node, q{SELECT state, min(error::int), max(error::int) FROM pattyly.job_runs WHERE job_name = 'often' GROUP BY state ORDER BY state}),
		"skipped|5901|6000\nsucceeded|501|1500", 'the last of both');
	is(sql($node, q{SELECT min(error::int), max(error::int) FROM pattyly.job_runs WHERE job_name = 'gone'}), '1|30', 'the youngest');
	sql($node, 'ALTER SYSTEM SET pattyly.job_history_days = 7');
	$node->reload;
	wait_for($node, 'SHOW pattyly.job_history_days', 7);
	my $pid = scheduler_of($node);
	sql($node, "SELECT pg_terminate_backend($pid)");
	is(wait_for($node, q{SELECT count(*) FROM pattyly.job_runs WHERE job_name = 'gone'}, 7), 7, 'as many days as the setting says');
};

$node->stop;
done_testing();
