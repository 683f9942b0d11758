# What a client sees: a statement of its own for each check, beside what else one could do.
# shellcheck shell=bash disable=SC2154

client_scripts() {
	local keys name
	# The same statements for random keys and for one: the client's work is the same, too. No more than 10,000 keys,
	# because a connection here lives for two seconds: at its first touch of a page it pays for a page fault.
	for keys in 10000 1; do
		name=$([ "$keys" = 1 ] && echo hot || echo random)
		script "select-$name" <<-SQL
			\set key random(1, $keys)
			SELECT :key::text;
		SQL
		script "nothing-$name" <<-SQL
			\set key random(1, $keys)
			SELECT texteq('login', :key);
		SQL
		script "allow-$name" <<-SQL
			\set key random(1, $keys)
			SELECT pattyly.allow('login', :key);
		SQL
		script "check-$name" <<-SQL
			\set key random(1, $keys)
			SELECT pattyly.check_limit('login', :key);
		SQL
		script "upsert-$name" <<-SQL
			\set key random(1, $keys)
			INSERT INTO bench.hits AS h VALUES (:key, now(), 1)
			ON CONFLICT (key) DO UPDATE
			SET hits = CASE WHEN h.opened + interval '1 hour' > now() THEN h.hits + 1 ELSE 1 END,
				opened = CASE WHEN h.opened + interval '1 hour' > now() THEN h.opened ELSE now() END
			RETURNING hits <= 10;
		SQL
	done
}

client_case() { # ROUND CASE CLIENTS
	case $2 in
		redis-tcp) redis_slice "$1" "$2@$3" "$3" "$client_seconds" 10000 "$redis_port" ;;
		redis-unix) redis_slice "$1" "$2@$3" "$3" "$client_seconds" 10000 "$redis_socket" ;;
		*) slice "$1" "$2@$3" "$2" "$3" "$client_seconds" ;;
	esac
}

# With 4 clients only what has a target, and what is needed for it.
cases_for() { # CLIENTS
	printf '%s\n' select-random nothing-random allow-random
	[ "$1" != 4 ] || return 0
	printf '%s\n' allow-hot check-random upsert-random upsert-hot
	[ -z "$redis_port" ] || printf '%s\n' redis-tcp redis-unix
}

client_rows() { # CLIENTS
	local c=$1
	row "allow(), random keys" ">= 0.93" %.3f "$(statistics "allow-random@$c" / "select-random@$c")"
	row "texteq('login', key), a function that does next to nothing" "" %.3f "$(statistics "nothing-random@$c" / "select-random@$c")"
	row "allow() to texteq()" "" %.3f "$(statistics "allow-random@$c" / "nothing-random@$c")"
	[ "$c" != 4 ] || return 0
	row "allow(), one hot key" "" %.3f "$(statistics "allow-hot@$c" / "select-random@$c")"
	[ "$c" != 16 ] || row "allow(), one hot key to random keys" ">= 0.85" %.3f "$(statistics "allow-hot@$c" / "allow-random@$c")"
	row "check_limit(), random keys" "" %.3f "$(statistics "check-random@$c" / "select-random@$c")"
	row "upsert into an unlogged table, random keys" "" %.3f "$(statistics "upsert-random@$c" / "select-random@$c")"
	row "upsert into an unlogged table, one hot key" "" %.3f "$(statistics "upsert-hot@$c" / "select-random@$c")"
	row "Redis MULTI, INCR, EXPIRE, EXEC over TCP" "" %.3f "$(statistics "redis-tcp@$c" / "select-random@$c")"
	row "Redis, the same over its Unix socket" "" %.3f "$(statistics "redis-unix@$c" / "select-random@$c")"
}

bench_client() {
	local round c case cases
	client_scripts
	if start_redis; then build_redis_client; fi
	new_samples
	for round in $(seq "$client_rounds"); do
		for c in $client_widths; do
			mapfile -t cases < <(cases_for "$c")
			for case in $(in_turn "$round" "${cases[@]}"); do client_case "$round" "$case" "$c"; done
		done
		query -c "VACUUM bench.hits"
	done
	title "As a client sees it"
	echo "pgbench, prepared statements over a Unix socket, 10,000 random keys or one: calls per second, to those of \`SELECT :key::text\` in the same round. $client_rounds interleaved rounds of $client_seconds s. The upsert runs with fsync = off, which is its best case."
	for c in $client_widths; do
		echo
		echo "$c $([ "$c" = 1 ] && echo client || echo clients), \`SELECT :key::text\` = $(statistics "select-random@$c" | awk '{ printf "%.0f", $1 }') per second"
		echo
		table "to SELECT :key::text"
		client_rows "$c"
	done
	for c in $client_widths; do
		mapfile -t cases < <(cases_for "$c")
		cpu_table "$c" "${cases[@]}"
	done
}
