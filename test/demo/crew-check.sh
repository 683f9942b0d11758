# Sourced by "run --check" after the third scene: what was converted, what became of the partitions, and what ran. Prints
# TAP with the helpers of check.sh.
# shellcheck shell=bash disable=SC2154 # here, work: of run

# The years of the partitions, by the clock of this machine.
years() { # FROM TO
	seq "$((this_year + $1))" "$((this_year + $2))" | sed 's/^/messages_/'
}

check_conversion() {
	is "nothing is lost or doubled: as many messages as before and what was written since" \
		"$(value "SELECT messages FROM demo.message_counts WHERE at = 'after'")" \
		"$(value "SELECT (SELECT messages FROM demo.message_counts WHERE at = 'before') + sum(messages) FROM demo.writes")"
	is "nor changed: the sums over their contents are equal" \
		"$(value "SELECT marks FROM demo.message_counts WHERE at = 'after'")" \
		"$(value "SELECT (SELECT marks FROM demo.message_counts WHERE at = 'before') + sum(marks) FROM demo.writes")"
	is "it was written to all the while" "$(value 'SELECT count(*) = (SELECT count(*) FROM demo.writes) AND count(*) > 20 FROM demo.waits')" t
	is "messages has a partition for each of its five years and two more" \
		"$(value 'SELECT partition FROM demo.partitions_after ORDER BY 1')" "$(years -4 2)"
	is "and its policy and grants, which no partition gives a way around" \
		"$(value "SELECT (SELECT count(*) FROM pg_policy WHERE polrelid = 'messages'::regclass),
			has_table_privilege('authenticated', 'messages', 'SELECT'), (SELECT count(*) FROM demo.children_open)")" $'1\tt\t0'
	is "nothing of the conversion is left" "$(value "SELECT (SELECT count(*) FROM pattyly.conversions),
		(SELECT count(*) FROM pg_class WHERE relname LIKE 'pattyly\\_%' AND relnamespace = 'public'::regnamespace)")" $'0\t0'
}

check_maintenance() {
	is "in a year one partition is to be made and one archived" \
		"$(value 'SELECT action, partition FROM demo.plan ORDER BY action DESC')" \
		"$(printf 'create\t%s\narchive\t%s' "$(years 3 3)" "$(years -4 -4)")"
	is "and so it is" "$(value 'SELECT action, partition FROM demo.plan_done ORDER BY action DESC')" \
		"$(value 'SELECT action, partition FROM demo.plan ORDER BY action DESC')"
	is "the archived rows are where they were said to go, and no row is gone" \
		"$(value "SELECT (SELECT count(*) FROM old.$(years -4 -4)) > 0,
			(SELECT count(*) FROM old.$(years -4 -4)) + (SELECT count(*) FROM messages) + (SELECT n FROM demo.drafts)
				- (SELECT messages FROM demo.message_counts WHERE at = 'after')")" $'t\t0'
	is "the outcome is written down" "$(value "SELECT last_outcome FROM pattyly.partition_sets")" ok
}

check_jobs() {
	is "load_maintenance() schedules what it says" \
		"$(value "SELECT substring(line FROM '^\\S+') FROM demo.maintenance WHERE line NOT LIKE 'left out: %' ORDER BY 1")" \
		"$(value "SELECT name FROM pattyly.jobs WHERE name LIKE 'pattyly-%' ORDER BY 1")"
	is "three jobs ran in the background, VACUUM at top level" "$(value "SELECT a.job, r.state, r.command_tag, r.error
		FROM demo.asked AS a JOIN pattyly.job_runs AS r ON r.id = a.run ORDER BY a.n")" \
		"$(value "SELECT 'forget-drafts', 'succeeded', 'DELETE ' || n, NULL FROM demo.drafts
			UNION ALL VALUES ('vacuum-messages', 'succeeded', 'VACUUM', NULL), ('pattyly-daily-partitions', 'succeeded', 'CALL', NULL)")"
	is "and did what they are for" "$(value "SELECT (SELECT n > 0 FROM demo.drafts),
		(SELECT count(*) FROM messages WHERE body LIKE '[brouillon]%'), (SELECT reltuples > 0 FROM pg_class WHERE oid = 'messages'::regclass)")" \
		$'t\t0\tt'
}

check_crew() {
	local this_year
	this_year=$(value "SELECT extract(year FROM timezone('UTC', now()))")
	check_conversion
	check_maintenance
	check_jobs
	report_crew >"$work/crew-report" 2>&1 || true
	is "the report comes to its end" "$(grep -c '^This scene took' "$work/crew-report")" 1
	is "it says that the sums agree" "$(grep -c 'sums over their contents agree' "$work/crew-report")" 1
	is "and that what was planned was done" "$(grep -c 'did just that; old\.messages_' "$work/crew-report")" 1
	is "a nightly job runs once in the nights when the clocks change" "$(grep -E '^  [0-9]+ (Mar|Oct) ' "$work/crew-report")" \
		'  28 Mar 02:30 (+1), 29 Mar 03:00 (+2), 30 Mar 02:30 (+2)
  24 Oct 02:30 (+2), 25 Oct 02:30 (+2), 26 Oct 02:30 (+1)'
	is "job_status has the three that ran, all well" "$(value "SELECT count(*), sum(consecutive_failures)
		FROM pattyly.job_status WHERE last_status = 'succeeded'")" $'3\t0'
}
