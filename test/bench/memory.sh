# What a key costs in memory.
# shellcheck shell=bash disable=SC2154

bench_memory() {
	title "Memory"
	query -F ' ' -c "SELECT capacity, used, bytes, bytes_per_key FROM pattyly.limit_memory" >"$work/memory"
	read -r capacity used bytes per_key <"$work/memory"
	echo "The table is of fixed size and allocated when the server starts: $capacity keys in $bytes bytes, $used of them used now."
	echo
	table "bytes"
	row "a key, everything included" "<= 128" %.1f "$per_key $per_key $per_key"
}
