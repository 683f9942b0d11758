# Sourced by "run --check" after the replay of our own log: compares what happened with what model.awk expects and
# prints TAP.
# shellcheck shell=bash disable=SC2154 # here, work, log: of run

tests=0 failed=0

is() { # NAME GOT EXPECTED
	tests=$((tests + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $tests - $1"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $1"
		diff <(echo "$3") <(echo "$2") | sed -n 's/^< /# expected: /p; s/^> /# got:      /p' || true
	fi
}

value() { sql -At -F $'\t' -c "$1" 2>&1; } # an error is a result too, and an unexpected one

# One line a log line that is odd in a way that real logs are, then what becomes of it.
check_parser() {
	local got
	got=$("$here/parse-log" "$work/odd_left_out" <<-'LOG'
		192.0.2.1 - - [29/Feb/2024:23:30:00 -0130] "GET /a?b=c#d HTTP/1.1" 200 -
		192.0.2.2 - jean paul [01/Mar/2024:00:00:00 +0000] "POST http://shop.example/x HTTP/1.0" 200 5 "-" "say \"hi\" \\o/"
		shop.example:443 2001:db8::7 - - [01/Mar/2024:00:00:01 +0000] "HEAD /caf\xc3\xa9 HTTP/2.0" 200 5 "" "\xff\x00\x1b[31m" 0.003
		192.0.2.3 - - [01/Mar/2024:00:00:02 +0000] "GET /with space HTTP/1.1" 200 5
		192.0.2.4 - - [01/Mar/2024:00:00:03 +0000] "GET /old" 200 5
		client.example - - [01/Mar/2024:00:00:04 +0000] "GET / HTTP/1.1" 200 5
		192.0.2.5 - - [32/Mar/2024:00:00:04 +0000] "GET / HTTP/1.1" 200 5
		192.0.2.999 - - [01/Mar/2024:00:00:04 +0000] "GET / HTTP/1.1" 200 5
		192.0.2.6 - - [01/Mar/2024:00:00:04 +0000] "PROPFIND / HTTP/1.1" 200 5
		Mar  1 00:00:00 host kernel: not a log of this kind
	LOG
	)
	is "log lines that are odd are read" "$got" "$(printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
		1709254800 -90 192.0.2.1 GET /a '' '' '' '' \
		1709251200 0 192.0.2.2 POST /x 'jean paul' '' '' 'say "hi" \o/' \
		1709251201 0 2001:db8::7 HEAD /café '' shop.example '' 'ÿ��[31m' \
		1709251202 0 192.0.2.3 GET '/with space' '' '' '' '' \
		1709251203 0 192.0.2.4 GET /old '' '' '' '')"
	is "log lines that are no requests are counted" "$(cat "$work/odd_left_out")" "$(printf '%s\t%s\n' \
		2 'from a name instead of an address' 2 'in no known log format' 1 'with a method PostgREST does not have')"
}

# The tables as model.awk prints them; seconds count from midnight of the log's day.
counted() {
	value "SELECT 'route', route, count(*), count(*) FILTER (WHERE state <> 'admitted') FROM demo.outcome GROUP BY route"
	value "SELECT 'limited', key, limit_name, count(*), min(at_s) - day, max(return_s) - day
		FROM demo.outcome, (SELECT extract(epoch FROM timestamptz '2026-01-08 00:00+01')::bigint) AS d (day)
		WHERE state = 'limited' GROUP BY key, limit_name, day"
	value "SELECT 'stats', limit_name, denied FROM pattyly.limit_stats WHERE denied > 0"
	value "SELECT 'denied', count(*) FROM demo.outcome WHERE state = 'denied'"
	value "SELECT 'allowed', count(*) FROM demo.outcome WHERE state = 'admitted' AND key = '203.0.113.10'"
}

check_model() {
	local kind name
	read_log "$log" | awk -f "$here/model.awk" | LC_ALL=C sort >"$work/expected"
	counted | LC_ALL=C sort >"$work/counted"
	while read -r kind name; do
		is "$name" "$(grep -P "^$kind\t" "$work/counted")" "$(grep -P "^$kind\t" "$work/expected")"
	done <<-'KINDS'
		route    requests and refusals of each route are as computed without a database
		limited  so is who was limited, by what, how often, from when, and when he may return
		stats    so are the refusals that pattyly.limit_stats counted
		denied   so is how many the list denied
		allowed  so is how many the list let pass
	KINDS
}

check_answers() {
	is "nothing failed" "$(value "SELECT state, failure FROM demo.outcome WHERE state = 'failed' LIMIT 3")" ""
	is "each request has an answer" "$(value 'SELECT count(*) FROM demo.answers')" "$(wc -l <"$work/requests")"
	is "each refusal is a 429 with its three headers and the French text with the same time" "$(value "
		SELECT n, error, answer FROM demo.outcome
		WHERE state = 'limited' AND (answer ->> 'status' = '429' AND answer -> 'headers' ?& '{RateLimit,RateLimit-Policy,Retry-After}'
			AND retry_after >= 1 AND error ->> 'message' = format('Trop de tentatives. Veuillez attendre %sm %ss avant de réessayer.',
				retry_after / 60, retry_after % 60)) IS NOT TRUE LIMIT 3")" ""
	is "who is let through is told his budget" "$(value "
		SELECT n, key, headers FROM demo.outcome
		WHERE state = 'admitted' AND (headers @? '\$[*].RateLimit' AND headers @? '\$[*].\"RateLimit-Policy\"') IS NOT TRUE LIMIT 3")" ""
}

check_outcome() {
	is "access.log.gz is what make-log makes" "$("$here/make-log" | cksum)" "$(read_log "$own_log" | cksum)"
	check_parser
	is "lines left out of our own log" "$(cut -f 1 "$work/left_out" | tr '\n' ' ')" "2 1 1 1 "
	check_answers
	check_model
}

end_checks() {
	echo "1..$tests"
	[ "$failed" = 0 ]
}
