# Sourced by access.sh and rls.sh: databases that look like a Supabase project, and how their figures are printed.
# shellcheck shell=bash disable=SC2154

project() { # DATABASE, with what timed.sql brings
	query -c "CREATE DATABASE $1"
	query -d "$1" -f "$here/../env/supabase.sql" -f "$here/timed.sql" >/dev/null
}

# CASE: what a table of milliseconds says of it.
ms() {
	local figures
	if grep -q "^[0-9]* $1:over" "$samples"; then
		echo "> $((timed_patience_ms / 1000)) s"
		return
	fi
	figures=$(statistics "$1")
	awk -v x="${figures%% *}" 'BEGIN {
		if (x == "") print "-"
		else printf x < 0.1 ? "%.3f" : x < 10 ? "%.2f" : "%.0f", x
	}'
}

# CASES... -> the fastest one
fastest() {
	local case
	for case in "$@"; do echo "$(statistics "$case" | cut -d' ' -f1) $case"; done | awk 'NF == 2' | sort -g | head -n 1 | cut -d' ' -f2
}

# Targets are for the full size.
target() { [ -n "${QUICK:-}" ] || echo "<= $1"; }

# CASE REFERENCE LIMIT -> two cells: what one is to the other, and what that means
ratio() {
	local figures
	figures=$(statistics "$1" / "$2")
	awk -v x="${figures%% *}" -v limit="$3" 'BEGIN {
		if (x == "") { print "not measured |"; exit }
		shown = sprintf("%.2f", x)
		print shown " | " (shown + 0 <= limit + 0 ? "met" : "**missed**")
	}'
}
