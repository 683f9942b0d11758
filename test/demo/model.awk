# The same day without a database: what pattyly ought to say about access.log.gz, worked out from the text of the log
# alone. Fixed windows that open at a key's first hit; of two limits both are used or none,
# and a refusal counts for each that has no room, a denied network's for all. "run --check" compares.
BEGIN {
	max["contact"] = 3; max["register"] = 5; max["login"] = 10; max["forgot-password"] = 3; max["custom"] = 5
	max["product"] = 5; max["api"] = 100; max["crawl"] = 100
	per["api"] = 900; per["crawl"] = 86400
	forms = " contact register login forgot-password custom product "
}
function seconds(stamp,    c) { split(stamp, c, ":"); return c[2] * 3600 + c[3] * 60 + c[4] }
function opened(limit,    k) {
	k = limit SUBSEP key
	if (!(k in start) || now >= start[k] + (limit in per ? per[limit] : 3600)) { delete start[k]; used[k] = 0 }
	return k
}
function ends(k, limit) { return start[k] + (limit in per ? per[limit] : 3600) }
$6 ~ /^"(GET|HEAD|POST)$/ {
	now = seconds($4); method = substr($6, 2); path = $7; sub(/\?.*/, "", path)
	key = $1; sub(/^::ffff:/, "", key)
	if (split(key, g, ":") > 1) key = g[1] ":" g[2] ":" g[3] ":" substr(g[4], 1, 2) "00::/56"
	form = substr(path, 2)
	if (method == "POST" && index(forms, " " form " ")) { route = "POST " path; n = split(form, limits, " ") }
	else if (path ~ /^\/api\//) { route = "/api/*"; n = split("api", limits, " ") }
	else { route = "*"; n = split("api crawl", limits, " ") }
	requests[route]++; refused[route] += 0
	if (key == "203.0.113.10") { allowed++; next }
	if (key ~ /^203\.0\.113\./) {
		denied++; refused[route]++
		for (i = 1; i <= n; i++) counted[limits[i]]++
		next
	}
	full = ""
	for (i = 1; i <= n; i++) {
		k = opened(limits[i])
		if (used[k] < max[limits[i]]) continue
		counted[limits[i]]++
		if (full == "" || ends(k, limits[i]) > until) { full = limits[i]; until = ends(k, full) }
	}
	if (full == "") {
		for (i = 1; i <= n; i++) { k = limits[i] SUBSEP key; if (!used[k]++) start[k] = now }
		next
	}
	refused[route]++; k = key "\t" full
	if (!times[k]++) first[k] = now
	back[k] = until
}
END {
	for (r in requests) print "route\t" r "\t" requests[r] "\t" refused[r]
	for (l in counted) print "stats\t" l "\t" counted[l]
	for (k in times) print "limited\t" k "\t" times[k] "\t" first[k] "\t" back[k]
	print "denied\t" denied; print "allowed\t" allowed
}
