# The same through a Node client: where most applications stand.
# shellcheck shell=bash disable=SC2154

install_node_packages() {
	cp -r "$here/node" "$work/node"
	rm -rf "$work/node/node_modules"
	(cd "$work/node" && timeout -k 10 120 npm ci --prefer-offline --no-progress >"$work/npm.log" 2>&1)
}

bench_node() {
	title "Through a Node client"
	if ! have node || ! have npm; then
		echo "Not measured: there is no Node.js."
		return
	fi
	start_redis || { echo "Not measured: there is no Redis."; return; }
	install_node_packages || { echo "Not measured: npm cannot install the packages."; return; }
	new_samples
	(cd "$work/node" && REDIS_SOCKET=$redis_socket timeout -k 5 "$((60 + node_rounds * node_ms / 50))" \
		node main.mjs "$node_rounds" "$node_ms") >"$samples"
	echo "Node $(node --version), packages pg and @redis/client, one process; PostgreSQL and Redis over their Unix sockets. Operations per second. $node_rounds interleaved rounds of $node_ms ms."
	local c
	for c in 1 16; do
		echo
		if [ "$c" = 1 ]; then echo "One at a time"; else echo "$c at a time"; fi
		echo
		table "to the lookup alone"
		row "lookup and allow() in one statement" ">= 0.96" %.3f "$(statistics "lookup-allow@$c" / "lookup@$c")"
		row "lookup, and Redis MULTI, INCR, EXPIRE, EXEC before it" "" %.3f "$(statistics "lookup-redis@$c" / "lookup@$c")"
		row "lookup, and an upsert into an unlogged table before it" "" %.3f "$(statistics "lookup-upsert@$c" / "lookup@$c")"
		echo
		table "operations per second"
		row "lookup alone" "" %.0f "$(statistics "lookup@$c")"
		row "allow() alone" "" %.0f "$(statistics "allow@$c")"
		row "Redis MULTI, INCR, EXPIRE, EXEC alone" "" %.0f "$(statistics "redis@$c")"
		row "upsert alone" "" %.0f "$(statistics "upsert@$c")"
	done
}
