# Partitions: a run that finds nothing to do, what a partition costs beside plain DDL, and how long others wait for it;
# pg_partman, where it is installed, in the same rounds.
# shellcheck shell=bash disable=SC2154

partition_ms() { # SQL -> milliseconds
	query -c '\timing on' -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
}

bench_partitions() {
	local round partman='' n=$partition_count sets=$partition_sets each=$partition_each
	query -q -c 'CREATE SCHEMA bench_sets'
	if query -q -c 'CREATE SCHEMA partman' -c 'CREATE EXTENSION pg_partman SCHEMA partman' >/dev/null 2>&1; then partman=yes; fi
	new_samples
	for ((round = 1; round <= partition_rounds; round++)); do
		partition_round "$round"
	done
	title "Partitions: $n of them made"
	table "ms, and how many times plain DDL"
	row "CREATE TABLE (LIKE) and ATTACH" "" "%.0f" "$(statistics plain)"
	row "partition_table()" "" "%.0f" "$(statistics ours)"
	row "partition_table(), times plain DDL" "<= 2" "%.2f" "$(statistics ours / plain)"
	if [ -n "$partman" ]; then
		row "pg_partman create_parent(), times plain DDL" "" "%.2f" "$(statistics partman / plain)"
	fi
	partition_idle
}

partition_round() { # ROUND
	local ddl="DO \$\$ DECLARE d date := date '2020-01-01'; BEGIN FOR i IN 0 .. $((n - 1)) LOOP
		EXECUTE format('CREATE TABLE plain_%s (LIKE plain INCLUDING ALL)', i);
		EXECUTE format('ALTER TABLE plain ATTACH PARTITION plain_%s FOR VALUES FROM (%L) TO (%L)', i, d + i, d + i + 1);
		END LOOP; END \$\$"
	local columns='(id bigint, at timestamptz NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)'
	query -q -c "CREATE TABLE plain $columns" -c "CREATE TABLE ours $columns"
	sample "$1" plain "$(partition_ms "$ddl")"
	sample "$1" ours "$(partition_ms "SET pattyly.frozen_clock = '2020-01-01 12:00+00'; SELECT count(*) FROM pattyly.partition_table('ours', 'at', '1 day', $((n - 1)))")"
	if [ -n "$partman" ]; then
		query -q -c "CREATE TABLE theirs $columns"
		sample "$1" partman "$(partition_ms "SELECT partman.create_parent('public.theirs', 'at', 'native', 'daily', p_premake := $((n / 2)))")"
		query -q -c "DELETE FROM partman.part_config" -c 'DROP TABLE theirs CASCADE'
		query -q <<<"SELECT format('DROP TABLE %s', oid::regclass) FROM pg_class WHERE relnamespace = 'partman'::regnamespace AND relname ~ 'template' AND relkind = 'r' \gexec"
	fi
	query -q -c "SELECT pattyly.forget_partitions('ours')" -c 'DROP TABLE plain' -c 'DROP TABLE ours' >/dev/null
}

partition_idle() {
	local round
	query -q -c "DO \$\$ BEGIN FOR i IN 1 .. $sets LOOP
		EXECUTE format('CREATE TABLE bench_sets.t%s (at timestamptz NOT NULL) PARTITION BY RANGE (at)', i);
		PERFORM pattyly.partition_table(format('bench_sets.t%s', i)::regclass, 'at', '1 day', 4, start => (now() - interval '$each days')::text);
		COMMIT; END LOOP; END \$\$" >/dev/null
	query -q -c 'CALL pattyly.maintain_partitions()'
	new_samples
	for ((round = 1; round <= partition_rounds; round++)); do
		sample "$round" idle "$(partition_ms 'CALL pattyly.maintain_partitions()')"
	done
	title "Partitions: nothing to do in $sets sets of $((each + 5))"
	table ms
	row "maintain_partitions()" "<= 5000" "%.0f" "$(statistics idle)"
	partition_waiting
}

# A writer that wants the table all the time: its longest wait while partitions are made.
partition_waiting() {
	query -q -c 'CREATE TABLE waits (at timestamptz NOT NULL) PARTITION BY RANGE (at)' \
		-c "SELECT pattyly.partition_table('waits', 'at', '1 day', 0)" >/dev/null
	new_samples
	sample 1 wait "$(longest_insert waits "SELECT pattyly.partition_table('waits', 'at', '1 day', 50)")"
	if [ -n "$partman" ]; then
		query -q -c 'CREATE TABLE partman_waits (at timestamptz NOT NULL) PARTITION BY RANGE (at)' \
			-c "SELECT partman.create_parent('public.partman_waits', 'at', 'native', 'daily', p_premake := 1)" \
			-c 'UPDATE partman.part_config SET premake = 51, infinite_time_partitions = true' >/dev/null
		sample 1 partman_wait "$(longest_insert partman_waits "SELECT partman.run_maintenance('public.partman_waits')")"
	fi
	title "Partitions: the longest a writer waited while 50 were made"
	table ms
	row "partition_table()" "" "%.1f" "$(statistics wait)"
	if [ -n "$partman" ]; then
		row "pg_partman run_maintenance()" "" "%.1f" "$(statistics partman_wait)"
	fi
}

longest_insert() { # TABLE STATEMENT -> milliseconds
	local log=$work/waiting-$1
	echo "INSERT INTO $1 VALUES (now());" >"$work/insert.sql"
	as_user pgbench -n -c 1 -T 6 -l --log-prefix="$log" -f "$work/insert.sql" >/dev/null 2>&1 &
	sleep 2
	query -q -c "$2" >/dev/null
	wait $! || true
	cat "$log".* 2>/dev/null | awk '{ if ($3 > max) max = $3 } END { printf "%.1f", max / 1000 }'
}
