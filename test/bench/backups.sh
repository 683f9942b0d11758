# What run_backup() and verify_backup() cost beside what they replace, by hand, in the same run: pg_dump and sha256sum;
# createdb, pg_restore, the counts and dropdb. And whether they hold the horizon of the server back.
#
#   BACKUPS_SCALE=350    of pgbench: about 15 MB each
#   BACKUPS_ROUNDS=3
# shellcheck shell=bash disable=SC2154

backups_make() { # SCALE
	query -c 'CREATE DATABASE backups_bench'
	pgbench -q -i -s "$1" backups_bench >"$work/pgbench.out" 2>&1 || { cat "$work/pgbench.out" >&2; die "pgbench -i failed"; }
	as_user mkdir "$work/run/backups" "$work/run/by-hand"
	query -d backups_bench -c 'CREATE EXTENSION pattyly' -c 'VACUUM ANALYZE' -c CHECKPOINT
}

# Of all processes that have ended or run below the postmaster and this shell: user and system, in clock ticks.
backups_ticks() {
	local pid total=0
	for pid in $(postmaster_pid) $$; do
		total=$((total + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 + $14 + $15 }')))
	done
	echo "$total"
}

# ROUND CASE COMMAND...: samples CASE (seconds) and CASE-cpu (seconds of CPU)
backups_measure() {
	local round=$1 case=$2 began ticks idle
	shift 2
	# What the one before left to be written is not for this one to wait for.
	query -c CHECKPOINT
	sync
	idle=$(backends)
	ticks=$(backups_ticks)
	began=$(date +%s%N)
	"$@"
	sample "$round" "$case" "$(awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { print ns / 1e9 }')"
	wait_for_backends "$idle"
	sample "$round" "$case-cpu" "$(awk -v t=$(($(backups_ticks) - ticks)) -v hz="$(getconf CLK_TCK)" 'BEGIN { print t / hz }')"
}

backups_dump_by_hand() {
	as_user rm -f "$work/run/by-hand/it.dump"
	as_user pg_dump -Fc -f "$work/run/by-hand/it.dump" backups_bench
	as_user sha256sum "$work/run/by-hand/it.dump" >/dev/null
}

backups_run() {
	query -d backups_bench -c 'SET client_min_messages = warning' -c "SET pattyly.backup_directory = '$work/run/backups'" \
		-c 'CALL pattyly.run_backup()'
}

backups_restore_by_hand() {
	as_user createdb -T template0 backups_restored
	as_user pg_restore -d backups_restored "$work/run/by-hand/it.dump"
	query -d backups_restored >/dev/null <<-'SQL'
		SELECT format('SELECT count(*) FROM %s', oid::regclass) FROM pg_class
		WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \gexec
	SQL
	as_user dropdb backups_restored
}

backups_verify() {
	query -d backups_bench -c 'SET client_min_messages = warning' -c "SET pattyly.backup_directory = '$work/run/backups'" \
		-c 'CALL pattyly.verify_backup()'
}

# Twice a second, who holds a snapshot in the database: time, application, process.
backups_watch() {
	while sleep 0.5; do
		query -F ' ' -c "SELECT extract(epoch FROM clock_timestamp()), CASE WHEN application_name = 'pg_dump' OR query ~ '^COPY .* TO stdout' THEN 'dump'
			WHEN query ~ 'count\\(\\*\\)|pg_export_snapshot' THEN 'counts' ELSE 'other' END
			FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND datname = 'backups_bench' AND pid <> pg_backend_pid()"
	done
}

# Seconds for which something other than the dump held a snapshot after the dump's last.
backups_horizon() {
	awk '$2 == "dump" { last = $1 } { when[NR] = $1; what[NR] = $2; if ($2 == "other") other++ }
		END {
			for (i = 1; i <= NR; i++) if (what[i] != "dump" && when[i] > last + 0.5) after = when[i] - last
			printf "%d %.1f %d\n", NR, after + 0, other + 0
		}' "$work/horizon"
}

backups_rounds() { # ROUNDS
	local round case
	for round in $(seq "$1"); do
		for case in $(in_turn "$round" dump_by_hand run); do backups_measure "$round" "$case" "backups_$case"; done
		for case in $(in_turn "$round" restore_by_hand verify); do backups_measure "$round" "$case" "backups_$case"; done
		query -d backups_bench -c "SELECT bytes FROM pattyly.backups ORDER BY id DESC LIMIT 1" >"$work/bytes"
		as_user find "$work/run/backups" -type f -delete
		query -d backups_bench -c 'DELETE FROM pattyly.backups'
	done
}

backups_watched() {
	backups_watch >"$work/horizon" &
	local watcher=$!
	backups_run
	sleep 1
	kill "$watcher"
	wait "$watcher" || true
	# samples, seconds after the dump's, samples of others
	backups_horizon >"$work/horizon.figures"
}

backups_table() { # TITLE CASE BY-HAND TARGET
	table "$1, seconds"
	row "by hand" "" %.2f "$(statistics "$3")"
	row "$1" "" %.2f "$(statistics "$2")"
	row "$1 to that" "<= $4" %.3f "$(statistics "$2" / "$3")"
	row "CPU by hand" "" %.2f "$(statistics "$3-cpu")"
	row "CPU of $1" "" %.2f "$(statistics "$2-cpu")"
	echo
}

bench_backups() {
	local scale=${BACKUPS_SCALE:-$backups_scale} seen after others
	new_samples
	backups_make "$scale"
	backups_rounds "$backups_rounds"
	backups_watched
	title "A backup of $(query -d backups_bench -c 'SELECT pg_size_pretty(pg_database_size(current_database()))'), a dump of $(($(cat "$work/bytes") / 1048576)) MB"
	backups_table "run_backup()" run dump_by_hand 1.05
	backups_table "verify_backup()" verify restore_by_hand 1.10
	read -r seen after others <"$work/horizon.figures"
	echo "Looked at twice a second while run_backup() ran: a session had a snapshot $seen times, one that was neither the dump nor"
	echo "the counts $others times; $after s after the dump let go of its own, the last was gone."
	query -c 'DROP DATABASE backups_bench WITH (FORCE)'
}
