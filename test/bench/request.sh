# The hook for PostgREST, with the settings that PostgREST makes.
# shellcheck shell=bash disable=SC2154

request_headers='{"accept":"application/json","accept-encoding":"gzip, deflate, br","accept-language":"fr-FR,fr;q=0.9,en-US;q=0.8","accept-profile":"public","apikey":"not-a-key-but-as-long-as-one-of-them-000000000000000000000000000000000000000000000000000000000000000000000000000000000","host":"project.example.org","origin":"https://app.example.org","referer":"https://app.example.org/orders","user-agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36","x-client-info":"supabase-js-web/2.109.0","x-forwarded-for":"203.0.113.77, 198.51.100.9","x-forwarded-host":"project.example.org","x-forwarded-port":"443","x-forwarded-proto":"https"}'
request_claims='{"aud":"authenticated","exp":1790000000,"sub":"1f0a2b3c-4d5e-4f70-8192-a3b4c5d6e7f8","email":"user@example.org","role":"authenticated","session_id":"0f0e0d0c-0b0a-4908-8706-050403020100"}'

request_session() {
	printf '%s\n' 'SET pattyly.trusted_proxies = 1;' "SELECT set_config('request.method', 'GET', false)," \
		"set_config('request.headers', '$request_headers', false)," \
		"set_config('request.jwt.claims', '$request_claims', false) \\g /dev/null" \
		'PREPARE request AS SELECT pattyly.pre_request();' 'PREPARE nothing AS SELECT bench.nothing();'
}

# One case of one round: 100 transactions of one statement, sent at once: waking up a client that waits for each answer
# costs as much as what is to be measured, and how much depends on how long it slept.
request_case() { # ROUND CASE
	local statement=request path=/orders
	case $2 in
		nothing) statement=nothing ;;
		user) path=/invoices ;;
	esac
	printf '%s\n' '\o /dev/null' "SELECT set_config('request.path', '$path', false);" 'SELECT bench.cpu_ns() AS before \gset'
	for _ in $(seq 100); do printf '%s' "BEGIN\\; EXECUTE $statement\\; COMMIT\\; "; done
	echo ';'
	printf '%s\n' "SELECT (bench.cpu_ns() - :before) / 1000.0 / 100 AS us \\gset" '\o' "\\echo $1 $2 :us"
}

# Slices so short that what slows the machine down meets all cases alike.
bench_request() {
	local round case
	{
		request_session
		for round in $(seq 0 "$((request_rounds * 15))"); do
			for case in $(in_turn "$round" nothing ip user); do request_case "$round" "$case"; done
		done
	} >"$work/requests.sql"
	query -f "$work/requests.sql" | grep -v '^0 ' >"$samples"
	fold 15
	title "pre_request()"
	echo "Server CPU of a transaction of one prepared statement that calls it, over one that calls an empty SQL function; headers of ${#request_headers} bytes, claims of ${#request_claims}. $request_rounds rounds, each the medians of 15 interleaved slices of 100 transactions."
	echo
	table "microseconds"
	row "keyed by address" "<= 6" %.1f "$(statistics ip - nothing)"
	row "keyed by address and user: the claims are read as well" "<= 6" %.1f "$(statistics user - nothing)"
	row "for comparison: the transaction that calls the empty function" "" %.1f "$(statistics nothing)"
}
