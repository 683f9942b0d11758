# A check in a transaction that has work left: who counts in a table keeps the row locked until the commit.
# shellcheck shell=bash disable=SC2154

bench_waiting() {
	local round case
	script wait-allow <<-'SQL'
		BEGIN;
		SELECT pattyly.allow('login', 'hot');
		SELECT pg_sleep(0.01);
		COMMIT;
	SQL
	script wait-table <<-'SQL'
		BEGIN;
		INSERT INTO bench.hits AS h VALUES ('hot', now(), 1) ON CONFLICT (key) DO UPDATE SET hits = h.hits + 1 RETURNING hits <= 10;
		SELECT pg_sleep(0.01);
		COMMIT;
	SQL
	new_samples
	for round in $(seq "$waiting_rounds"); do
		for case in $(in_turn "$round" wait-allow wait-table); do slice "$round" "$case" "$case" 32 "$waiting_seconds"; done
	done
	title "One hot key, 32 clients, 10 ms of work left in the transaction"
	echo "$waiting_rounds interleaved rounds of $waiting_seconds s."
	echo
	table "transactions per second"
	row "allow()" "" %.0f "$(statistics wait-allow)"
	row "upsert into an unlogged table" "" %.0f "$(statistics wait-table)"
	row "allow() to the upsert, times" "" %.1f "$(statistics wait-allow / wait-table)"
}
