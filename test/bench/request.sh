# The hook for PostgREST, with the settings that PostgREST makes.
# shellcheck shell=bash disable=SC2154

request_headers='{"accept":"application/json","accept-encoding":"gzip, deflate, br","accept-language":"fr-FR,fr;q=0.9,en-US;q=0.8","accept-profile":"public","apikey":"not-a-key-but-as-long-as-one-of-them-000000000000000000000000000000000000000000000000000000000000000000000000000000000","host":"project.example.org","origin":"https://app.example.org","referer":"https://app.example.org/orders","user-agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36","x-client-info":"supabase-js-web/2.109.0","x-forwarded-for":"203.0.113.77, 198.51.100.9","x-forwarded-host":"project.example.org","x-forwarded-port":"443","x-forwarded-proto":"https"}'
request_claims='{"aud":"authenticated","exp":1790000000,"sub":"1f0a2b3c-4d5e-4f70-8192-a3b4c5d6e7f8","email":"user@example.org","role":"authenticated","session_id":"0f0e0d0c-0b0a-4908-8706-050403020100"}'

request_script() { # CASE PATH FUNCTION
	script "$1" <<-SQL
		BEGIN;
		SELECT set_config('request.method', 'GET', true), set_config('request.path', '$2', true),
			set_config('request.headers', '$request_headers', true), set_config('request.jwt.claims', '$request_claims', true);
		SELECT $3();
		COMMIT;
	SQL
}

bench_request() {
	local round case
	request_script request-nothing /orders bench.nothing
	request_script request-ip /orders pattyly.pre_request
	request_script request-user /invoices pattyly.pre_request
	new_samples
	for round in $(seq "$request_rounds"); do
		for case in $(in_turn "$round" request-nothing request-ip request-user); do
			PGOPTIONS='-c pattyly.trusted_proxies=1' slice "$round" "$case" "$case" 1 -t "$request_calls"
		done
	done
	title "pre_request()"
	echo "Server CPU of a request, over the same request with an empty SQL function in its place; headers of ${#request_headers} bytes, claims of ${#request_claims}. $request_rounds interleaved rounds of $request_calls requests."
	echo
	table "microseconds"
	row "keyed by address" "<= 6" %.1f "$(statistics request-ip:cpu - request-nothing:cpu)"
	row "keyed by address and user: the claims are read as well" "<= 6" %.1f "$(statistics request-user:cpu - request-nothing:cpu)"
	row "for comparison: the whole request with the empty function" "" %.1f "$(statistics request-nothing:cpu)"
}
