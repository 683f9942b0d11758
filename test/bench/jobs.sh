# The scheduler beside pg_cron, in one server: what it costs while nothing is due, and how late 200 jobs of one minute
# begin on 8 workers. Restarts the server with both libraries.
# shellcheck shell=bash disable=SC2154

jobs_count=1000
jobs_due=200

jobs_server() {
	cat >>"$CLUSTER_DATA/postgresql.conf" <<-CONF
		shared_preload_libraries = 'pattyly$(have_cron && echo ,pg_cron)'
		max_worker_processes = 32
		pattyly.max_running_jobs = 8
		pattyly.databases = 'postgres'
		cron.database_name = 'postgres'
		cron.use_background_workers = on
		cron.max_running_jobs = 8
		cron.log_statement = off
	CONF
	cluster_restart
	query >/dev/null <<-SQL
		CREATE EXTENSION IF NOT EXISTS pattyly;
		DROP TABLE IF EXISTS begun;
		CREATE TABLE begun (who text, job integer, at timestamptz DEFAULT clock_timestamp());
	SQL
	if have_cron; then query -c 'CREATE EXTENSION IF NOT EXISTS pg_cron' >/dev/null; fi
}

have_cron() { [ -e "$(pg_config --sharedir)/extension/pg_cron.control" ] || [ -e "/usr/share/postgresql/$PATTYLY_PG/extension/pg_cron.control" ]; }

pids_of() { query -c "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '$1'"; } # TYPE

# CPU time of some processes, in clock ticks.
ticks_of() { # PIDS...
	local pid sum=0
	for pid in "$@"; do sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $14 + $15 }'))); done
	echo "$sum"
}

per_mille_of_a_core() { # TICKS SECONDS
	awk -v t="$1" -v s="$2" -v hz="$(getconf CLK_TCK)" 'BEGIN { v = t / hz / s * 100; print v, v, v }'
}

bench_jobs_idle() {
	local ours cron='' before before_cron
	query >/dev/null <<-SQL
		SELECT pattyly.schedule_job('idle ' || i, format('%s %s %s %s *', i % 60, i % 24, 1 + i % 28, extract(month FROM now() + '6 months')),
			'SELECT 1') FROM generate_series(1, $jobs_count) AS i;
	SQL
	if have_cron; then
		query >/dev/null <<-SQL
			SELECT cron.schedule('idle ' || i, format('%s %s %s %s *', i % 60, i % 24, 1 + i % 28, extract(month FROM now() + '6 months')),
				'SELECT 1') FROM generate_series(1, $jobs_count) AS i;
		SQL
		cron=$(pids_of 'pg_cron%')
	fi
	ours=$(pids_of 'pattyly job%')
	sleep 3
	# shellcheck disable=SC2086 # several processes
	before=$(ticks_of $ours) before_cron=$(ticks_of $cron)
	sleep "$jobs_idle_seconds"
	title "$jobs_count jobs, none due, $jobs_idle_seconds s"
	table "% of a core"
	# shellcheck disable=SC2086
	row "launcher and scheduler" "<= 0.1" %.3f "$(per_mille_of_a_core $(($(ticks_of $ours) - before)) "$jobs_idle_seconds")"
	# shellcheck disable=SC2086
	if have_cron; then row "pg_cron" "" %.3f "$(per_mille_of_a_core $(($(ticks_of $cron) - before_cron)) "$jobs_idle_seconds")"; fi
	query >/dev/null <<-SQL
		SELECT count(pattyly.unschedule_job(name)) FROM pattyly.jobs;
	SQL
	if have_cron; then query -c 'SELECT count(cron.unschedule(jobid)) FROM cron.job' >/dev/null; fi
}

# A minute that begins in 8 seconds or more: "minute hour" and its time.
coming_minute() { query -c "SELECT to_char(m, 'MI HH24'), m FROM date_trunc('minute', now() AT TIME ZONE 'UTC' + '68 s') AS m"; }

# WHO FUNCTION: all its jobs are due in one minute; their delays in milliseconds, p50, p99 and the last.
due_in_one_minute() {
	local who=$1 function=$2 minute at
	minute=$(coming_minute)
	at=${minute#*|}
	minute=${minute%|*}
	query >/dev/null <<-SQL
		SELECT $function('due ' || i, '$minute * * *', format('INSERT INTO begun VALUES (''$who'', %s)', i)) FROM generate_series(1, $jobs_due) AS i;
	SQL
	for _ in $(seq 180); do
		[ "$(query -c "SELECT count(*) FROM begun WHERE who = '$who'")" -lt "$jobs_due" ] || break
		sleep 1
	done
	query -F ' ' <<-SQL
		SELECT 1000 * extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY at) - '$at+00'),
		       1000 * extract(epoch FROM percentile_disc(0.99) WITHIN GROUP (ORDER BY at) - '$at+00'),
		       1000 * extract(epoch FROM max(at) - '$at+00'), count(*), count(DISTINCT job)
		FROM begun WHERE who = '$who';
	SQL
}

due_rows() { # NAME "P50 P99 MAX COUNT DISTINCT"
	local p50 p99 last count jobs
	read -r p50 p99 last count jobs <<<"$2"
	row "$1, half have begun after" "" %.0f "$p50 $p50 $p50"
	row "$1, 99 % have begun after" "" %.0f "$p99 $p99 $p99"
	row "$1, the last began after" "" %.0f "$last $last $last"
	echo "| $1: runs, jobs that ran | $jobs_due, $jobs_due | $count, $jobs | | $([ "$count $jobs" = "$jobs_due $jobs_due" ] && echo met || echo '**missed**') |"
}

bench_jobs() {
	jobs_server
	bench_jobs_idle
	local ours cron=
	ours=$(due_in_one_minute pattyly pattyly.schedule_job)
	if have_cron; then cron=$(due_in_one_minute pg_cron cron.schedule); fi
	title "$jobs_due jobs of the same minute, 8 workers at most"
	table "milliseconds after the minute"
	due_rows pattyly "$ours"
	if have_cron; then due_rows pg_cron "$cron"; fi
	query -c 'SELECT count(pattyly.unschedule_job(name)) FROM pattyly.jobs' >/dev/null
	if have_cron; then query -c 'SELECT count(cron.unschedule(jobid)) FROM cron.job' >/dev/null; fi
}
