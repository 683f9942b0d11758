# What becomes of the same jobs under pattyly and under pg_cron, in one server, when something goes wrong. Not a matter of
# speed, but seen by running it: each cell is what the two wrote down, or what their jobs left in a table. About 6 minutes,
# because pg_cron counts in minutes.
# shellcheck shell=bash disable=SC2154

# WHO NAME SCHEDULE COMMAND
fault_job() {
	local function=pattyly.schedule_job
	[ "$1" = pattyly ] || function=cron.schedule
	query -v name="$2" -v schedule="$3" -v command="$4" >/dev/null 2>"$work/refused" <<-SQL || sed -n 's/.*ERROR: *//p' "$work/refused" >"$work/refused-$1-$2"
		SELECT $function(:'name', :'schedule', :'command');
	SQL
}

fault_jobs() { # NAME SCHEDULE COMMAND: for both; in the command, @ is who
	local who
	for who in pattyly pg_cron; do fault_job "$who" "$1" "$2" "${3//@/$who}"; done
}

fault_drop() { # NAME
	query -v name="$1" >/dev/null <<-SQL
		SELECT pattyly.unschedule_job(:'name');
		SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = :'name';
	SQL
}

# WHO NAME -> "N x state" of its runs
fault_states() {
	if [ -s "$work/refused-$1-$2" ]; then
		echo "refused: $(cat "$work/refused-$1-$2")"
	elif [ "$1" = pattyly ]; then
		query -v name="$2" <<-'SQL'
			SELECT coalesce(string_agg(n || ' x ' || what, ', '), 'no run') FROM (
				SELECT count(*) AS n, state || CASE WHEN warnings IS NOT NULL THEN ' with warnings' ELSE '' END AS what
				FROM pattyly.job_runs WHERE job_name = :'name' GROUP BY 2 ORDER BY 2) AS s;
		SQL
	else
		query -v name="$2" <<-'SQL'
			SELECT coalesce(string_agg(n || ' x ' || what, ', '), 'no run') FROM (
				SELECT count(*) AS n, d.status || CASE WHEN d.end_time IS NULL THEN ' (no end)' ELSE '' END AS what
				FROM cron.job_run_details AS d WHERE d.command IN (SELECT command FROM faults_commands WHERE name = :'name')
				GROUP BY 2 ORDER BY 2) AS s;
		SQL
	fi
}

fault_rows() { query -c "SELECT count(*) FROM fault_rows WHERE who = '$1' AND job = '$2'"; } # WHO JOB

fault_row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }

# Until the clock shows the second 3 of a minute, at most 62 s.
next_minute() { sleep $((63 - 10#$(date +%S))); }

terminate_all() { # TYPE
	query -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type LIKE '$1'" >/dev/null
}

bench_jobfaults() {
	declare -F have_cron >/dev/null || . "$here/jobs.sh"
	have_cron || { echo "pg_cron is not here: nothing to compare with"; return 0; }
	[ -n "$(query -c "SELECT 1 FROM pg_settings WHERE name = 'cron.database_name'")" ] || jobs_server
	query >/dev/null <<-'SQL'
		DROP TABLE IF EXISTS fault_rows, fault_vacuum, faults_commands;
		CREATE TABLE fault_rows (who text, job text, at timestamptz DEFAULT clock_timestamp());
		CREATE TABLE fault_vacuum (a integer);
		CREATE TABLE faults_commands (name text, command text);
	SQL
	local who due later minutes
	title "The same jobs under pattyly and pg_cron $(query -c "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")"
	fault_jobs two '* * * * *' "VACUUM fault_vacuum; INSERT INTO fault_rows VALUES ('@', 'two')"
	fault_jobs begin '* * * * *' "BEGIN; INSERT INTO fault_rows VALUES ('@', 'begin')"
	fault_jobs overlap '* * * * *' "INSERT INTO fault_rows VALUES ('@', 'overlap'); SELECT pg_sleep(150)"
	query -c 'CREATE ROLE fault_role LOGIN' >/dev/null
	query -c "GRANT USAGE ON SCHEMA pattyly, cron TO fault_role" -c "GRANT EXECUTE ON FUNCTION pattyly.schedule_job TO fault_role" >/dev/null
	query >/dev/null <<-'SQL'
		SET ROLE fault_role;
		SELECT pattyly.schedule_job('not owner', '* * * * *', 'VACUUM fault_vacuum');
		SELECT cron.schedule('not owner', '* * * * *', 'VACUUM fault_vacuum');
		RESET ROLE;
		INSERT INTO faults_commands SELECT jobname, command FROM cron.job;
	SQL
	next_minute
	sleep 8
	echo "| what | pattyly | pg_cron |"
	echo "|---|---|---|"
	fault_row '`VACUUM t; INSERT ...`' "$(fault_states pattyly two); rows: $(fault_rows pattyly two)" "$(fault_states pg_cron two); rows: $(fault_rows pg_cron two)"
	fault_row '`BEGIN; INSERT ...`' "$(fault_states pattyly begin); rows: $(fault_rows pattyly begin)" "$(fault_states pg_cron begin); rows: $(fault_rows pg_cron begin)"
	fault_row '`VACUUM t`, not its owner' "$(fault_states pattyly 'not owner')" "$(fault_states pg_cron 'not owner')"
	for who in two begin 'not owner'; do fault_drop "$who"; done
	query -c 'REVOKE ALL ON FUNCTION pattyly.schedule_job FROM fault_role' -c 'DROP OWNED BY fault_role' -c 'DROP ROLE fault_role' >/dev/null

	# The processes that schedule are terminated between two minutes.
	fault_jobs ended '* * * * *' "INSERT INTO fault_rows VALUES ('@', 'ended')"
	terminate_all 'pg_cron launcher'
	terminate_all 'pattyly job scheduler'
	terminate_all 'pattyly job launcher'
	next_minute
	sleep 5
	fault_row 'scheduler terminated; runs of the next minute' "$(fault_rows pattyly ended)" "$(fault_rows pg_cron ended)"
	fault_drop ended

	# The server is down when a run is due.
	due=$(query -c "SELECT to_char(m, 'MI HH24') FROM date_trunc('minute', now() AT TIME ZONE 'UTC' + '60 s') AS m")
	fault_jobs missed "$due * * *" "INSERT INTO fault_rows VALUES ('@', 'missed')"
	sleep 1
	cluster_stop
	next_minute
	cluster_ctl start
	sleep 5
	fault_row 'server down when it was due; runs after' "$(fault_rows pattyly missed)" "$(fault_rows pg_cron missed)"
	fault_drop missed

	# A worker is killed in the middle of a run.
	fault_jobs killed '* * * * *' "SELECT '@', pg_sleep(100)"
	query -c "INSERT INTO faults_commands SELECT jobname, command FROM cron.job WHERE jobname = 'killed'" >/dev/null
	next_minute
	sleep 2
	kill -9 "$(query -c "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pattyly'', pg_sleep(100)%' AND pid <> pg_backend_pid() LIMIT 1")"
	for _ in $(seq 30); do if query -c 'SELECT 1' >/dev/null 2>&1; then break; fi; sleep 1; done
	sleep 5
	fault_row 'kill -9 of a worker; its run' "$(fault_states pattyly killed)" "$(fault_states pg_cron killed)"
	fault_drop killed
	minutes=$(query -c "SELECT ceil(extract(epoch FROM clock_timestamp() - min(at)) / 60) FROM fault_rows WHERE job = 'overlap'")
	later=$(fault_states pattyly overlap)
	fault_row "every minute, takes 150 s; after $minutes minutes of all this" "$later" "$(fault_states pg_cron overlap)"
	fault_drop overlap
}
