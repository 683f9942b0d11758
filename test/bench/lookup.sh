# Beside work that runs anyway: the check in the statement that fetches a row by its primary key.
# shellcheck shell=bash disable=SC2154

bench_lookup() {
	local round c case
	script lookup <<-'SQL'
		\set id random(1, 10000)
		SELECT name, email FROM bench.users WHERE id = :id;
	SQL
	script lookup-allow <<-'SQL'
		\set id random(1, 10000)
		SELECT name, email FROM bench.users WHERE id = :id AND pattyly.allow('login', account);
	SQL
	script lookup-allow-parameter <<-'SQL'
		\set id random(1, 10000)
		\set key random(1, 10000)
		SELECT name, email FROM bench.users WHERE id = :id AND pattyly.allow('login', :key);
	SQL
	script lookup-two-parameters <<-'SQL'
		\set id random(1, 10000)
		\set key random(1, 10000)
		SELECT name, email FROM bench.users WHERE id = :id AND :key <> '';
	SQL
	new_samples
	for round in $(seq "$lookup_rounds"); do
		for c in 1 16; do
			for case in $(in_turn "$round" lookup lookup-allow lookup-allow-parameter lookup-two-parameters); do
				slice "$round" "$case@$c" "$case" "$c" "$lookup_seconds"
			done
		done
	done
	title "Beside a primary-key lookup in the same statement"
	echo "pgbench, prepared, 10,000 random rows and keys: calls per second, to those of the lookup alone. $lookup_rounds interleaved rounds of $lookup_seconds s."
	echo
	table "to the lookup alone"
	for c in 1 16; do
		row "with allow('login', account), clients: $c" ">= 0.96" %.3f "$(statistics "lookup-allow@$c" / "lookup@$c")"
		row "with allow('login', :key), a second parameter, clients: $c" "" %.3f "$(statistics "lookup-allow-parameter@$c" / "lookup@$c")"
		row "with a second parameter and no allow(), clients: $c" "" %.3f "$(statistics "lookup-two-parameters@$c" / "lookup@$c")"
	done
	for c in 1 16; do cpu_table "$c" lookup lookup-allow lookup-allow-parameter lookup-two-parameters; done
}
