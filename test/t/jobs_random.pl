# Fifty deaths at random: no run is left without an end, none that said it succeeded did not, and every job runs on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JobNode;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_job_server('random', 'max_worker_processes = 16');

sql($node, 'CREATE TABLE done (run bigint, job text, at timestamptz DEFAULT clock_timestamp())');

sub first_line { my ($file) = @_; open my $handle, '<', $file or return ''; return <$handle> // '' }

# The processes of the room, without asking the server, which may be down.
sub crew
{
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @pids;
	for my $directory (glob '/proc/[0-9]*')
	{
		my ($command, $stat) = map { first_line("$directory/$_") } 'cmdline', 'stat';
		push @pids, $directory =~ s/.*\///r if $command =~ /^postgres: .*pattyly job/ && $stat =~ /^\d+ \(.*\) \S $postmaster /;
	}
	return @pids;
}

# Short jobs all the time, and fifty deaths. What says that it succeeded has its row; a row without that belongs to a run
# that was interrupted after it had committed.
subtest 'fifty deaths at random' => sub {
	my $seed = $ENV{JOBS_SEED} // 4711;
	srand $seed;
	note "seed $seed";
	sql($node, 'TRUNCATE done, pattyly.job_runs');
	sql($node, q{
		SELECT pattyly.schedule_job('short ' || n, 'every 1 second',
			format('INSERT INTO done (run, job) SELECT id, %L FROM pattyly.job_runs WHERE pid = pg_backend_pid() AND finished_at IS NULL; SELECT pg_sleep(0.05)', 'short ' || n),
			max_retries => n % 2, retry_delay => '0')
		FROM generate_series(1, 12) AS n});
	my $deaths = 0;
	# Half a minute, unless the machine is so busy that the server takes its time to come back.
	my $until = time + 300;
	while ($deaths < 50 && time < $until)
	{
		my @pids = crew();
		if (@pids)
		{
			# One of five takes the whole server's memory with it.
			my $pid = $pids[ rand @pids ];
			my $signal = rand() < 0.2 ? 9 : 15;
			if ($signal == 15 && rand() < 0.5) { eval { sql($node, "SELECT pg_terminate_backend($pid)") } }
			else { kill $signal, $pid }
			$deaths++;
		}
		usleep(@pids ? rand 600_000 : 100_000);
	}
	cmp_ok($deaths, '>=', 50, "$deaths deaths");
	ok(wait_until('the server answers', sub { eval { sql($node, 'SELECT 1') } }), 'the server is there');
	my $after = eval { sql($node, 'SELECT coalesce(max(id), 0) FROM pattyly.job_runs') } // 0;
	# Who lost several runs in a row is made to wait by the schedule, not by hand.
	sql($node, q{SELECT pattyly.pause_job(name), pattyly.cancel_job(name) FROM pattyly.jobs WHERE name LIKE 'short%'});
	sql($node, q{SELECT pattyly.run_job(name) FROM pattyly.jobs WHERE name LIKE 'short%'});
	is(wait_for($node, "SELECT count(DISTINCT job_name) FROM pattyly.job_runs WHERE id > $after AND state = 'succeeded'", 12, 40), 12, 'every job runs on');
	ok(no_open_runs($node, 40), 'no run is without an end')
	  or diag sql($node, 'SELECT * FROM pattyly.job_runs WHERE finished_at IS NULL');
	my $ran = sql($node, q{SELECT count(*) FROM pattyly.job_runs WHERE state = 'succeeded'});
	cmp_ok($ran, '>', 20, "$ran runs succeeded meanwhile");
	is(sql($node, q{SELECT count(*) FROM pattyly.job_runs AS r WHERE state = 'succeeded' AND NOT EXISTS (SELECT FROM done AS d WHERE d.run = r.id)}), 0, 'each of them did its work');
	is(sql($node, 'SELECT count(*) FROM (SELECT run FROM done GROUP BY run HAVING count(*) > 1) AS twice'), 0, 'once');
	is(sql($node, q{SELECT count(*) FROM done AS d LEFT JOIN pattyly.job_runs AS r ON r.id = d.run WHERE r.state IS NULL OR r.state NOT IN ('succeeded', 'lost', 'canceled')}), 0,
		'work without success belongs to a run that was interrupted');
	is(wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^pattyly job (launcher|scheduler)$'}, 2), 2, 'launcher and scheduler are there');
};

$node->stop;
done_testing();
