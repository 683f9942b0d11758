/*
 * prerequest.c
 *		The front door for PostgREST: who is calling, what the route asks for, and
 *		the answer in HTTP's terms.
 *
 * PostgREST runs pre_request() in the transaction of every request, as the role
 * of the request, after it has set request.method, request.path,
 * request.headers and request.jwt.claims.  Headers set with response.headers are
 * lost when an error is raised; the only error that carries some is SQLSTATE
 * PGRST with JSON in message and detail (PostgREST, "Errors: raise with custom
 * headers").
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/jsonpick.h"
#include "lib/stringinfo.h"
#include "limits/limits.h"
#include "limits/lists.h"
#include "limits/peer.h"
#include "limits/result.h"
#include "limits/routes.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"

#define ERRCODE_POSTGREST			MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T')
#define ERRCODE_TOO_MANY_REQUESTS	MAKE_SQLSTATE('P', 'T', '4', '2', '9')

PATTYLY_FUNCTION(pattyly_pre_request);

/* ---- the key of a request ---- */

static void
require_address(const Peer *peer)
{
	if (!peer->has_address)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the address of the client cannot be told"),
				 errdetail("Header \"%s\" is missing, unreadable, or not vouched for by a trusted proxy.",
						   limits_client_ip_header),
				 errhint("Set pattyly.trusted_proxies to the number of proxies before PostgREST, and pattyly.client_ip_header to the header they write.")));
}

static char *
text_of_address(const Peer *peer)
{
	char		text[ADDRESS_TEXT_SIZE];

	require_address(peer);
	limits_address_key(&peer->address, text);
	return pstrdup(text);
}

/* A subject that reads like another kind of key (an address, header=value, ip|user) says that it is none. */
static char *
key_of_user(char *user)
{
	Network		network;

	if (strchr(user, '|') || strchr(user, '=') || strncmp(user, "user:", 5) == 0 ||
		network_parse(user, strlen(user), &network))
		return psprintf("user:%s", user);
	return user;
}

/* Parts of a key are joined so that no two callers can make the same one. */
static char *
key_of_request(const LimitRoute *route, const Peer *peer)
{
	switch (route->keyed_by)
	{
		case ROUTE_BY_IP:
			break;
		case ROUTE_BY_USER:
			if (peer->user != NULL)
				return key_of_user(peer->user);
			break;
		case ROUTE_BY_IP_AND_USER:
			if (peer->user != NULL)
				return psprintf("%s|%s", text_of_address(peer), peer->user);
			break;
		case ROUTE_BY_HEADER:
			if (peer->header != NULL && peer->header[0] != '\0')
				return psprintf("%s=%s", route->header, peer->header);
			break;
	}
	return text_of_address(peer);
}

/* ---- the answer ---- */

static void
append_member(StringInfo json, const char *name, const char *value)
{
	if (json->data[json->len - 1] != '{')
		appendStringInfoChar(json, ',');
	escape_json(json, name);
	appendStringInfoChar(json, ':');
	if (value != NULL)
		escape_json(json, value);
	else
		appendStringInfoString(json, "null");
}

/* Leaves what other functions put there. */
static void
add_response_headers(const LimitResult *results, int n, int64 now_us)
{
	const char *before = request_setting("response.headers");
	char		header[LIMIT_HEADER_SIZE];
	StringInfoData json;

	initStringInfo(&json);
	if (before != NULL)
	{
		appendStringInfoString(&json, before);
		while (json.len > 0 && isspace((unsigned char) json.data[json.len - 1]))
			json.len--;
		if (json.len < 2 || json.data[json.len - 1] != ']')
		{
			ereport(WARNING,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("response.headers is no JSON array, so rate limit headers were left out"),
					 errhint("Set it to an array of objects with one string each.")));
			return;
		}
		json.data[--json.len] = '\0';
		while (json.len > 1 && isspace((unsigned char) json.data[json.len - 1]))
			json.len--;
	}
	else
		appendStringInfoChar(&json, '[');
	if (json.data[json.len - 1] != '[')
		appendStringInfoChar(&json, ',');

	appendStringInfoChar(&json, '{');
	limits_header_status(header, sizeof(header), results, n, now_us);
	append_member(&json, "RateLimit", header);
	appendStringInfoString(&json, "},{");
	limits_header_policy(header, sizeof(header), results, n);
	append_member(&json, "RateLimit-Policy", header);
	appendStringInfoString(&json, "}]");
	(void) set_config_option("response.headers", json.data, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

static void
append_refusal_headers(StringInfo json, const LimitResult *results, int n, int64 retry_after_s,
					   int64 now_us)
{
	char		header[LIMIT_HEADER_SIZE];

	appendStringInfoChar(json, '{');
	if (results[0].rule->name[0] != '\0')
	{
		limits_header_status(header, sizeof(header), results, n, now_us);
		append_member(json, "RateLimit", header);
		limits_header_policy(header, sizeof(header), results, n);
		append_member(json, "RateLimit-Policy", header);
	}
	if (retry_after_s != NO_RETRY)
	{
		snprintf(header, sizeof(header), INT64_FORMAT, retry_after_s);
		append_member(json, "Retry-After", header);
	}
	appendStringInfoChar(json, '}');
}

static char *
text_of_refusal(const LimitResult *result, int64 retry_after_s)
{
	const char *own = result->rule->message;
	const char *name = result->rule->name;
	size_t		length = wording_refusal(NULL, 0, own, limits_language, retry_after_s, name);
	char	   *text = palloc(length + 1);

	wording_refusal(text, length + 1, own, limits_language, retry_after_s, name);
	return text;
}

static void
raise_for_postgrest(const LimitResult *results, int n, const LimitResult *refusal,
					int64 retry_after_s, const char *text, int64 now_us)
{
	StringInfoData message;
	StringInfoData detail;

	initStringInfo(&message);
	appendStringInfoChar(&message, '{');
	append_member(&message, "code", "rate_limited");
	append_member(&message, "message", text);
	append_member(&message, "details",
				  psprintf("%s%s%s", refusal->rule->name, refusal->rule->name[0] ? ": " : "",
						   limits_reason_text(refusal->reason)));
	append_member(&message, "hint", NULL);
	appendStringInfoChar(&message, '}');

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"status\":429,\"headers\":");
	append_refusal_headers(&detail, results, n, retry_after_s, now_us);
	appendStringInfoChar(&detail, '}');

	/* An everyday answer, not a fault: the statement need not stand in the log as well. */
	ereport(ERROR,
			(errcode(ERRCODE_POSTGREST),
			 errhidestmt(true),
			 errhidecontext(true),
			 errmsg_internal("%s", message.data),
			 errdetail_internal("%s", detail.data)));
}

void
limits_raise_refusal(const LimitResult *results, int n, int64 now_us)
{
	const LimitResult *refusal = limits_tightest(results, n);
	int64		retry_after_s = limits_retry_after_s(refusal, now_us);
	char	   *text = text_of_refusal(refusal, retry_after_s);

	if (request_setting("request.method") != NULL)
		raise_for_postgrest(results, n, refusal, retry_after_s, text, now_us);
	if (retry_after_s == NO_RETRY)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_REQUESTS),
				 errmsg_internal("%s", text),
				 errdetail("Rate limit \"%s\" refuses this call.", refusal->rule->name),
				 errhint("Waiting will not help; lower the cost or raise the limit.")));
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_REQUESTS),
			 errmsg_internal("%s", text),
			 errdetail("Rate limit \"%s\" refuses this call.", refusal->rule->name),
			 errhint_plural("Try again in %ld second.", "Try again in %ld seconds.",
							(unsigned long) retry_after_s, (long) retry_after_s)));
}

/* ---- the request ---- */

/* Without a route there is no limit to ask the lists for, but a denied address gets no further. */
static void
refuse_denied(const Peer *peer, int64 now_us)
{
	static const LimitRule nothing = {.name = ""};
	LimitResult result = {.rule = &nothing, .reason = REASON_DENIED};

	if (peer->has_address && limit_lists_find(&peer->address, NULL, now_us) == LIST_DENY)
		limits_raise_refusal(&result, 1, now_us);
}

/* A limit on trial, or switched off, is nothing that a client should heed. */
static int
keep_enforced(LimitResult *results, int n)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (results[i].rule->mode == LIMIT_ENFORCE)
			results[kept++] = results[i];
	return kept;
}

static bool
has_all_limits(const LimitRoute *route)
{
	for (int i = 0; i < route->n_limits; i++)
		if (limit_rule_find(route->limits[i], strlen(route->limits[i])) == NULL)
			return false;
	return true;
}

/*
 * Limits and routes are read one after the other, and a change of both may have
 * come in between.  So when one does not fit the other, both are read once more.
 */
static const LimitRoute *
find_route(const char *method, const char *path)
{
	const LimitRoute *route = limit_route_find(method, path);

	if (route == NULL || likely(has_all_limits(route)))
		return route;
	limit_routes_forget();
	(void) limit_route_find(method, path);
	limit_rules_read_again();
	return limit_route_find(method, path);
}

static void
consume_route(const LimitRoute *route, const Peer *peer)
{
	LimitCall	call = {.operation = LIMIT_CHECK, .cost = route->cost, .with_next = true};
	LimitKey	key;
	const LimitRule *rules[LIMITS_PER_CALL];
	LimitResult results[LIMITS_PER_CALL];
	int			n_told;

	for (int i = 0; i < route->n_limits; i++)
		rules[i] = limit_rule_get(route->limits[i], strlen(route->limits[i]));
	key.text = key_of_request(route, peer);
	key.length = strlen(key.text);
	key.is_address = peer->has_address && limit_lists_any();
	key.address = peer->address;
	limits_check(&call, &key, rules, route->n_limits, results);
	for (int i = 0; i < route->n_limits; i++)
		if (!results[i].allowed)
			limits_raise_refusal(results, keep_enforced(results, route->n_limits), call.now_us);
	if (results[0].unknown)
		return;
	n_told = keep_enforced(results, route->n_limits);
	if (n_told > 0)
		add_response_headers(results, n_told, call.now_us);
}

Datum
pattyly_pre_request(PG_FUNCTION_ARGS)
{
	const char *method;
	const char *path;
	const LimitRoute *route;
	Peer		peer;

	if (!limits_ready())
		PG_RETURN_VOID();
	limits_catch_up();
	fault_point("limits_caught_up");
	method = request_setting("request.method");
	path = request_setting("request.path");
	if (method == NULL || path == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pre_request was called outside a PostgREST request"),
				 errhint("Name it in PostgREST's db-pre-request; elsewhere call pattyly.check_limit.")));
	route = find_route(method, path);
	if (route == NULL && !limit_lists_any())
		PG_RETURN_VOID();
	limit_peer_find(&peer, route != NULL ? route->header : NULL,
					route != NULL && (route->keyed_by == ROUTE_BY_USER ||
									  route->keyed_by == ROUTE_BY_IP_AND_USER));
	if (limit_lists_deny_any(clock_now_us()))
		require_address(&peer);
	if (route != NULL)
		consume_route(route, &peer);
	else
		refuse_denied(&peer, clock_now_us());
	PG_RETURN_VOID();
}
