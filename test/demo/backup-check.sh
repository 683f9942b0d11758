# Sourced by "run --check" after the fourth scene: what became of the three backups, and what was restored. Prints TAP with
# the helpers of check.sh.
# shellcheck shell=bash disable=SC2154 # here, work: of run

check_backups() {
	is "a shell takes what pg_dump could not write for a backup" "$shell_status" 0
	is "run_backup() does not, and a bit that flips is found" \
		"$(value 'SELECT label, state FROM pattyly.backups ORDER BY id')" $'monday\tdone\ntuesday\tfailed\nwednesday\tsuspect'
	is "what was restored has the rows of the manifest" \
		"$(value "SELECT verify_result -> 'ok', verify_result -> 'differences', (verify_result ->> 'rows')::bigint =
			(SELECT sum(value::bigint) FROM jsonb_each_text(manifest)) FROM pattyly.backups WHERE label = 'monday'")" $'true\t[]\tt'
	is "pasted, the plan restores as many messages as there are" "$restored" "$(value 'SELECT count(*) FROM messages')"
	is "the status is that of the good one" "$(value 'SELECT good, failed_since_good, overdue, last_verify_ok FROM pattyly.backup_status')" $'1\t2\tf\tf'
	report_backups >"$work/backup-report" 2>&1 || true
	is "the report comes to its end" "$(grep -c '^This scene took' "$work/backup-report")" 1
	is "in lines that fit, and without the server's directories" "$(grep -cE '.{113}|pattyly\.[A-Za-z0-9]{6}/|--host' "$work/backup-report")" 0
	is "and nothing of it is left" "$(value "SELECT count(*) FROM pg_database WHERE datname LIKE 'pattyly\\_verify%'")" 0
}
