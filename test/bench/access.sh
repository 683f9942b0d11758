# Clients and experts: the forms of one policy, on the same data.
# shellcheck shell=bash disable=SC2034,SC2154
# shellcheck source=test/bench/timed.sh
. "$here/timed.sh"

access_forms=(plain guide wrapped in any any_one definer ours)
access_by_hand=(guide wrapped in any any_one definer)
access_queries=(count hit miss newest join order update)

declare -A access_names=(
	[plain]="no RLS, the predicate in the query"
	[guide]="the guide's two policies"
	[wrapped]="\`(SELECT auth.uid())\`, EXISTS"
	[in]="\`id IN (SELECT ...)\`"
	[any]="\`id = ANY (ARRAY(SELECT ...))\`"
	[any_one]="the same in one policy, own id in the array"
	[definer]="security definer function per row"
	[ours]="**\`pattyly.has_access('client', id)\`**"
	[count]="count(*)" [hit]="by id, hit" [miss]="by id, miss" [newest]="newest 20" [join]="join with orders"
	[order]="client of one order" [update]="update by id"
	[client]="client"
	[expert]="expert(200)"
	[big]="expert($access_big)"
)

bench_access() {
	local person
	project access
	query -d access -v clients="$access_clients" -v experts="$access_experts" -v big="$access_big" -v total="$access_total" \
		-v rounds="$access_rounds" -v budget="$access_budget_ms" -v patience="$timed_patience_ms" -f "$here/access.sql" >"$samples"
	title "Row access: clients and experts"
	echo "$access_clients clients, $access_experts experts, $access_total assignments, an index on both of their columns, $((access_clients / 2)) orders. Milliseconds by the server's clock around the statement, planned each time, in a transaction of its own; no parallel plans; medians of up to $access_rounds interleaved rounds, fewer where a statement is slow, one where it takes more than $access_budget_ms ms; after $((timed_patience_ms / 1000)) s it is cancelled. \`SELECT 1\` takes $(ms nothing/expert/ours) ms."
	for person in client expert big; do access_table "$person"; done
	access_targets
	access_ratios
	bench_uid
	query -c 'DROP DATABASE access'
}

access_table() { # PERSON
	local form query
	printf '\n| %s |' "${access_names[$1]}"
	for query in "${access_queries[@]}"; do printf ' %s |' "${access_names[$query]}"; done
	printf '\n|---|%s\n' "$(printf -- '---|%.0s' "${access_queries[@]}")"
	for form in "${access_forms[@]}"; do
		printf '| %s |' "${access_names[$form]}"
		for query in "${access_queries[@]}"; do printf ' %s |' "$(ms "$query/$1/$form")"; done
		echo
	done
}

access_targets() {
	echo
	table "milliseconds, ours"
	row "count(*), expert(200)" "$(target 0.6)" %.3f "$(statistics count/expert/ours)"
	row "count(*), client" "$(target 0.05)" %.3f "$(statistics count/client/ours)"
	row "by id, hit, client" "$(target 0.05)" %.3f "$(statistics hit/client/ours)"
	row "by id, miss, client" "$(target 0.05)" %.3f "$(statistics miss/client/ours)"
	row "by id, hit, expert(200)" "$(target 0.05)" %.3f "$(statistics hit/expert/ours)"
	row "by id, miss, expert(200)" "$(target 0.05)" %.3f "$(statistics miss/expert/ours)"
	row "newest 20, expert(200)" "$(target 1.0)" %.3f "$(statistics newest/expert/ours)"
	row "count(*), expert(200), forced sequential scan" "$(target 300)" %.0f "$(statistics forced/expert/ours)"
	row "the same by hand, \`= ANY (ARRAY(SELECT ...))\`" "" %.0f "$(statistics forced/expert/any_one)"
	row "count(*), ${access_names[big]}" "$(target 130)" %.0f "$(statistics count/big/ours)"
	row "by id, hit, ${access_names[big]}" "$(target 0.07)" %.3f "$(statistics hit/big/ours)"
	row "by id, miss, ${access_names[big]}" "$(target 0.07)" %.3f "$(statistics miss/big/ours)"
}

# Ours to the fastest of the forms by hand.
access_ratios() {
	local person query best
	echo
	table "ours to the best by hand, same round"
	for person in client expert big; do
		for query in "${access_queries[@]}"; do
			best=$(fastest "${access_by_hand[@]/#/$query/$person/}")
			row "${access_names[$person]}: ${access_names[$query]} (${access_names[${best##*/}]})" "<= 1.10" %.2f \
				"$(statistics "$query/$person/ours" / "$best")"
		done
	done
}

bench_uid() {
	local size
	query -d access -v rounds="$uid_rounds" -f "$here/uid.sql" >"$samples"
	title "Who is asking"
	echo "CPU time of a call in a loop of the executor, over the same loop without one. Claims of 160 bytes, and of 1 KB with the usual metadata. $uid_rounds interleaved rounds."
	echo
	table "nanoseconds"
	for size in small large; do
		row "pattyly.uid(), $size claims" "" %.0f "$(statistics "pattyly-$size")"
		row "auth.uid(), $size claims" "" %.0f "$(statistics "auth-$size")"
		row "the first to the second, $size claims" "<= 0.1" %.3f "$(statistics "pattyly-$size" / "auth-$size")"
	done
}
