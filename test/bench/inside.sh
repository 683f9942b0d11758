# What a call costs inside the server.
# shellcheck shell=bash disable=SC2034,SC2154

bench_inside() {
	new_samples
	query -v rounds="$inside_rounds" -f "$here/inside.sql" >"$samples"
	title "Inside the server"
	echo "CPU time of one call in a loop of the executor, over the same loop that only makes the key. $inside_rounds interleaved rounds of 50,000 or 100,000 calls each."
	echo
	table "nanoseconds"
	row "allow(), 100,000 random keys" "<= 250" %.0f "$(statistics random-allow - random)"
	row "allow(), one hot key" "<= 90" %.0f "$(statistics hot-allow - hot)"
	row "check_limit(), 100,000 random keys" "<= 450" %.0f "$(statistics random-check - random)"
	row "check_limit(), one hot key" "<= 450" %.0f "$(statistics hot-check - hot)"
	row "allow() that refuses, one hot key" "" %.0f "$(statistics hot-refused - hot)"
	row "check_limit() that refuses, one hot key" "" %.0f "$(statistics hot-check-refused - hot)"
	row "for comparison: texteq(), which does next to nothing" "" %.0f "$(statistics hot-nothing - hot)"
	row "for comparison: clock_timestamp(), which reads the clock as each call does" "" %.0f "$(statistics hot-clock - hot)"
	row "the loop itself, random keys" "" %.0f "$(statistics random)"
}
