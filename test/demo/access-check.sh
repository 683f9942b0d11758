# Sourced by "run --check" after the second scene: compares what each person was told with what the construction of the
# data says, without a policy and without the table of assignments. Prints TAP with the helpers of check.sh.
# shellcheck shell=bash disable=SC2154 # here, work: of run

# The numbers of the clients somebody may see: Nora is one, every 500th is Ada's and every 20th Ben's.
numbers_of() { # NAME
	seq 100000 | case $1 in
		Nora) grep -x 50001 ;;
		Ada) awk '$1 % 500 == 0' ;;
		Ben) awk '$1 % 20 == 0' ;;
		anon) cat >/dev/null ;;
	esac
}

ids_of() { numbers_of "$1" | perl -MDigest::MD5=md5_hex -lne 'print md5_hex("client $_")' | LC_ALL=C sort; }

ids_told() { # NAME
	value "BEGIN; SELECT FROM demo.people AS p, demo.become(p) WHERE p.name = '$1';
		SELECT replace(id::text, '-', '') FROM public.\"Client\"; ROLLBACK" | grep . | LC_ALL=C sort
}

answers_of() { # POLICIES
	value "SELECT p.name, string_agg(DISTINCT a.answer::text, ' or ') FILTER (WHERE q.place = 1),
			string_agg(DISTINCT a.answer::text, ' or ') FILTER (WHERE q.place = 2),
			string_agg(DISTINCT a.answer::text, ' or ') FILTER (WHERE q.place = 3)
		FROM demo.access_answers AS a JOIN demo.people AS p USING (name) JOIN demo.questions AS q USING (question)
		WHERE a.policies = '$1' GROUP BY p.place, p.name ORDER BY p.place"
}

# How many, how many of the newest 20, and whether client 50,000 is among them.
expected_answers() {
	local name
	for name in Nora Ada Ben anon; do
		numbers_of "$name" | awk -v OFS='\t' -v name="$name" '
			$1 == 50000 { found = 1 } END { print name, NR, NR < 20 ? NR : 20, found + 0 }'
	done
}

plan_of() { value "SELECT line FROM demo.access_plans WHERE policies = '$1' ORDER BY n"; }

reported_waits() { sed -n '/^# HOW LONG/,/^$/p' "$work/access-report" | grep -E '(Nora|Ada|Ben|anon) +[0-9.,]+ +[0-9.,]+ +[0-9.,]+'; }

check_access() {
	local name
	is "there are 100,000 clients and 20,000 assignments" \
		"$(value 'SELECT (SELECT count(*) FROM public."Client"), (SELECT count(*) FROM public.expertassignment)')" $'100000\t20000'
	is "everybody is told what he may know under our policy" "$(answers_of pattyly)" "$(expected_answers)"
	is "and under the guide's, where they say whose id they mean" "$(answers_of guide)" "$(expected_answers)"
	is "and under the best by hand" "$(answers_of 'by hand')" "$(expected_answers)"
	is "to the letter the guide's policies show an expert nobody" "$(answers_of 'to the letter')" \
		"$(expected_answers | awk -v OFS='\t' '$1 != "Nora" { $2 = $3 = $4 = 0 } { print $1, $2, $3, $4 }')"
	for name in Nora Ada Ben anon; do
		is "the clients that $name sees are the right ones" "$(ids_told "$name" | cksum)" "$(ids_of "$name" | cksum)"
	done
	is "one policy does it, and nothing is left to protect" "$(value "
		SELECT count(*), (SELECT count(*) FROM pattyly.protect('\"Client\"', relation => 'client', object_column => 'id'))
		FROM pg_policy WHERE polrelid = 'public.\"Client\"'::regclass")" $'1\t0'
	is "our plan has the policy as an index condition" "$(plan_of pattyly | grep -c 'Index Cond: (id = ANY (pattyly.accessible_uuids(')" 1
	is "and no sequential scan" "$(plan_of pattyly | grep -c 'Seq Scan')" 0
	is "the guide's has one" "$(plan_of guide | grep -c 'Seq Scan on "Client"')" 1
	is "the best by hand asks the index, as the report says" "$(plan_of 'by hand' | grep -c 'Index Cond: (id = ANY (')" 1
	report_access >"$work/access-report" 2>&1 || true
	is "the report comes to its end" "$(grep -c '^This scene took' "$work/access-report")" 1
	is "it says how long each form takes for each person and question" "$(reported_waits | wc -l)" 12
	is "it compares ours with the guide's for all but anon, whom ours is not for" \
		"$(reported_waits | grep -v '\( x\|the same\) *$' | grep -o 'Nora\|Ada\|Ben\|anon' | tr '\n' ' ')" "anon anon anon "
	is "it shows all that protect() ran but the comment" "$(grep -o '^  [A-Z]* .*ROW LEVEL\|^  CREATE POLICY pattyly\|^  COMMENT' \
		"$work/access-report")" '  ALTER TABLE public."Client" ENABLE ROW LEVEL
  ALTER TABLE public."Client" FORCE ROW LEVEL
  CREATE POLICY pattyly'
	is "and shows that plan" "$(grep -c 'Index Cond: (id = ANY (pattyly.accessible_uuids(' "$work/access-report")" 1
}
