# The cases of GaryAustin1/RLS-Performance, with the policies as published and with ours.
# shellcheck shell=bash disable=SC2034,SC2154
# shellcheck source=test/bench/timed.sh
. "$here/timed.sh"

# CASE, as published first -> as advised there, how ours is written
rls_cases=(
	"owner|\`auth.uid() = user_id\`, no index -> \`(SELECT auth.uid())\`|owner"
	"owner_index|the same, index on user_id|owner"
	"filter|the same, no index, the query names the user_id as well|owner"
	"admin|\`is_admin()\` -> \`(SELECT is_admin())\`|has_access, by hand"
	"admin_or_owner|\`is_admin() OR auth.uid() = user_id\` -> each of both wrapped|has_access and uid, by hand"
	"admin_or_owner_whole|\`(SELECT is_admin() OR auth.uid() = user_id)\` -> each of both wrapped|has_access and uid, by hand"
	"role|\`get_role() = role\` -> \`(SELECT get_role())\`|relation"
	"team|\`team_id = ANY (user_teams())\` -> \`ANY (ARRAY(SELECT user_teams()))\`, 2 teams|relation"
	"team10|the latter, 10 teams|relation"
	"team100|the same, 100 teams|relation"
	"team500|the same, 500 teams|relation"
	"team10_index|the same, 10 teams, index on team_id|relation"
	"team100_index|the same, 100 teams|relation"
	"team500_index|the same, 500 teams|relation"
	"in|\`auth.uid() IN (SELECT user_id ...)\` -> \`team_id IN (SELECT team_id ...)\`|relation"
	"definer|security definer function of the row -> \`ANY (ARRAY(SELECT user_teams()))\`|relation"
	"anon|policy without TO, asked by anon -> TO authenticated|owner"
)

bench_rls() {
	local rows
	title "The public table of GaryAustin1/RLS-Performance"
	echo "Milliseconds, measured as the forms above. Ours as \`protect()\` writes it: owner, \`user_id = (SELECT pattyly.uid())\`; relation, \`pattyly.has_access('team', team_id)\`. Where it writes no such policy, by hand: \`(SELECT pattyly.has_access('role', 'admin'))\`. The ratio is that to the faster one of the others in the same round; up to 1.05 is met."
	for rows in $rls_sizes; do rls_table "$rows"; done
}

rls_table() { # ROWS
	local line case what how
	project rls
	query -d rls -v rows="$1" -v rounds="$rls_rounds" -v budget="$rls_budget_ms" -v patience="$timed_patience_ms" \
		-f "$here/rls.sql" >"$samples"
	printf '\n| %s rows | first | advised | ours | | to the best | |\n|---|---|---|---|---|---|---|\n' "$1"
	for line in "${rls_cases[@]}"; do
		IFS='|' read -r case what how <<<"$line"
		printf '| %s | %s | %s | %s | %s | %s |\n' "$what" "$(ms "$case/bare")" "$(ms "$case/advised")" "$(ms "$case/ours")" "$how" \
			"$(ratio "$case/ours" "$(fastest "$case/bare" "$case/advised")" 1.05)"
	done
	query -c 'DROP DATABASE rls'
}
