# Sourced by run before the benches: how they measure, and how they say it.
#
# A bench measures its cases in rounds, all cases in every round, so that what slows the machine down for a while slows
# all of them. Each sample is a line "round case value" in $samples; what is printed are medians over the rounds.
# shellcheck shell=bash disable=SC2154 # work, seconds and the like come from run

samples=$work/samples

sample() { echo "$1 $2 $3" >>"$samples"; } # ROUND CASE VALUE

new_samples() { : >"$samples"; }

# CASE [- or / REFERENCE] -> "median min max" of the case, or of what it is to the reference in the same round.
statistics() {
	awk -v wanted="$1" -v relation="${2:-}" -v reference="${3:-}" '
		$2 == wanted { value[$1] = $3 }
		$2 == reference { base[$1] = $3 }
		END {
			n = 0
			for (r in value) {
				if (relation == "/" && base[r] > 0) x[++n] = value[r] / base[r]
				else if (relation == "-" && r in base) x[++n] = value[r] - base[r]
				else if (relation == "") x[++n] = value[r]
			}
			for (i = 2; i <= n; i++) {
				v = x[i]
				for (j = i - 1; j > 0 && x[j] > v; j--) x[j + 1] = x[j]
				x[j + 1] = v
			}
			if (n > 0) print n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2, x[1], x[n]
		}' "$samples"
}

# Turns every N rounds into one, of their medians: for slices so short that one alone says little.
fold() { # N
	local group=$1 case
	mv "$samples" "$work/unfolded"
	new_samples
	cut -d' ' -f2 "$work/unfolded" | sort -u | while read -r case; do
		awk -v wanted="$case" -v group="$group" '$2 == wanted { print int(($1 - 1) / group) + 1, $3 }' "$work/unfolded" |
			sort -n -k1,1 -k2,2 |
			awk -v wanted="$case" -v group="$group" 'NR % group == int((group + 1) / 2) % group { print $1, wanted, $2 }' >>"$samples"
	done
}

title() { printf '\n### %s\n\n' "$1"; }

table() { # UNIT
	printf '| %s | target | median | min to max | |\n|---|---|---|---|---|\n' "$1"
}

# WHAT TARGET FORMAT "MEDIAN MIN MAX": a row. TARGET is "<= N", ">= N", or empty for what is there to compare with.
row() {
	awk -v what="$1" -v target="$2" -v f="$3" -v figures="$4" 'BEGIN {
		if (split(figures, x, " ") != 3) { printf "| %s | %s | not measured | | |\n", what, target; exit }
		split(target, t, " ")
		# What is printed is what is compared.
		shown = sprintf(f, x[1])
		verdict = ""
		if (t[1] == "<=") verdict = shown + 0 <= t[2] + 0 ? "met" : "**missed**"
		if (t[1] == ">=") verdict = shown + 0 >= t[2] + 0 ? "met" : "**missed**"
		printf "| %s | %s | %s | " f " to " f " | %s |\n", what, target, shown, x[2], x[3], verdict
	}'
}

# Every case once, beginning with another one in each round.
in_turn() { # ROUND CASES...
	local shift_by=$(($1 % ($# - 1)))
	shift
	printf '%s\n' "${@:shift_by + 1}" "${@:1:shift_by}"
}

query() { psql -qXAt -v ON_ERROR_STOP=1 "$@"; }

# ---- pgbench ----

postmaster_pid() { head -n 1 "$CLUSTER_DATA/postmaster.pid"; }

# CPU time of the backends that have ended, in clock ticks.
ended_backends_ticks() { sed 's/.*) //' "/proc/$(postmaster_pid)/stat" | awk '{ print $14 + $15 }'; }

backends() { ps -o pid= --ppid "$(postmaster_pid)" | wc -l; }

wait_for_backends() { # COUNT
	local try
	for try in $(seq 100); do
		[ "$(backends)" -gt "$1" ] || return 0
		sleep 0.02
	done
	echo "backends did not end after $try looks" >&2
}

script() { cat >"$work/$1.sql"; } # CASE, on standard input

# ROUND CASE SCRIPT CLIENTS SECONDS: samples CASE (transactions per second), CASE:ticks (of the server's CPU, with what
# it takes to begin and end a connection) and CASE:count (transactions).
slice() {
	local round=$1 case=$2 script=$3 clients=$4 seconds=$5 before idle
	idle=$(backends)
	before=$(ended_backends_ticks)
	if ! timeout -k 5 120 pgbench -n -M prepared -c "$clients" -j "$((clients < 2 ? clients : 2))" -f "$work/$script.sql" -T "$seconds" \
		>"$work/pgbench.out" 2>"$work/pgbench.err"; then
		cat "$work/pgbench.err" >&2
		die "pgbench failed in $case"
	fi
	wait_for_backends "$idle"
	sample "$round" "$case" "$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.out")"
	sample "$round" "$case:ticks" "$(($(ended_backends_ticks) - before))"
	sample "$round" "$case:count" "$(sed -n 's/.*actually processed: \([0-9]*\).*/\1/p' "$work/pgbench.out")"
}

# Microseconds of the server's CPU per transaction, over all rounds: in one the ticks would be too coarse.
cpu_of() { # CASE
	awk -v ticks="$1:ticks" -v count="$1:count" -v hz="$(getconf CLK_TCK)" '
		$2 == ticks { t += $3 }
		$2 == count { n += $3 }
		END { if (n > 0) printf "%.1f", t / hz * 1e6 / n }' "$samples"
}

cpu_table() { # CLIENTS CASES...
	local clients=$1 case
	shift
	printf '\n| server CPU of a statement, clients: %s | microseconds |\n|---|---|\n' "$clients"
	for case in "$@"; do
		case $case in redis-*) ;; *) printf '| %s | %s |\n' "$case" "$(cpu_of "$case@$clients")" ;; esac
	done
}

# ---- Redis ----

redis_socket=$work/redis.sock
redis_port=

# It may outlive the shell that became its parent.
stop_redis() { [ ! -s "$work/run/redis.pid" ] || kill "$(cat "$work/run/redis.pid")" 2>/dev/null || true; }

# Nothing is written to disk.
start_redis() {
	local try
	[ -z "$redis_port" ] || return 0
	have redis-server || return 1
	at_exit stop_redis
	for try in 1 2 3 4 5; do
		redis_port=$((20000 + RANDOM % 30000))
		as_user redis-server --port "$redis_port" --bind 127.0.0.1 --unixsocket "$redis_socket" --save '' \
			--appendonly no --dir "$work/run" --pidfile "$work/run/redis.pid" >"$work/redis.log" 2>&1 &
		for _ in $(seq 50); do
			if grep -q 'ready to accept' "$work/redis.log"; then return 0; fi
			if grep -q 'already in use' "$work/redis.log"; then break; fi
			sleep 0.1
		done
	done
	redis_port=
	echo "redis-server does not start, try $try:" >&2
	tail -n 3 "$work/redis.log" >&2
	return 1
}

redis_slice() { # ROUND CASE CLIENTS SECONDS KEYS ADDRESS
	sample "$1" "$2" "$("$work/redis-hits" "$6" "$3" "$4" "$5")"
}

build_redis_client() {
	[ -x "$work/redis-hits" ] || gcc -O2 -Wall -Wextra -pthread -o "$work/redis-hits" "$here/redis-hits.c"
}
