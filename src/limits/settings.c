/*
 * settings.c
 *		The settings of the limits room, and what happens when it cannot work.
 *
 * They are few: what a DBA changes at run time is a row of a table.  None can be
 * set by an API role, but for the language of its own refusals.
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "limits/limits.h"
#include "limits/lists.h"
#include "miscadmin.h"
#include "utils/guc.h"

typedef enum FailureAction
{
	FAILURE_DENY,
	FAILURE_ALLOW
} FailureAction;

static const struct config_enum_entry failure_actions[] = {
	{"deny", FAILURE_DENY, false},
	{"allow", FAILURE_ALLOW, false},
	{NULL, 0, false}
};

static const struct config_enum_entry languages[] = {
	{"fr", LANGUAGE_FR, false},
	{"en", LANGUAGE_EN, false},
	{NULL, 0, false}
};

int			limits_language = LANGUAGE_FR;
char	   *limits_client_ip_header;
int			limits_ipv6_prefix = 56;
const TrustedProxies *limits_trusted_proxies;

static int	on_limiter_failure = FAILURE_DENY;
static char *trusted_proxies_setting;

static bool
is_number(const char *text, int *number)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < 0 || value > 100)
		return false;
	*number = (int) value;
	return true;
}

static bool
parse_networks(const char *text, TrustedProxies *proxies)
{
	while (*text != '\0')
	{
		size_t		length = strcspn(text, ",");

		if (!network_parse(text, length, &proxies->networks[proxies->n_networks++]))
			return false;
		text += length + (text[length] == ',');
	}
	return proxies->n_networks > 0;
}

static bool
check_trusted_proxies(char **newval, void **extra, GucSource source)
{
	size_t		most = 1;
	TrustedProxies *proxies;

	for (const char *c = *newval; *c != '\0'; c++)
		most += *c == ',';
	proxies = guc_malloc(LOG, offsetof(TrustedProxies, networks) + most * sizeof(Network));
	if (proxies == NULL)
		return false;
	proxies->hops = 0;
	proxies->n_networks = 0;
	if (**newval != '\0' && !is_number(*newval, &proxies->hops) &&
		!parse_networks(*newval, proxies))
	{
		guc_free(proxies);
		GUC_check_errdetail("The value is neither a number from 0 to 100 nor a list of networks.");
		GUC_check_errhint("Write the number of proxies before PostgREST, such as 1, or their networks, such as \"10.0.0.0/8, 2001:db8::/32\".");
		return false;
	}
	*extra = proxies;
	return true;
}

static void
assign_trusted_proxies(const char *newval, void *extra)
{
	limits_trusted_proxies = extra;
}

bool
limits_is_header_name(const char *name)
{
	return name[0] != '\0' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name);
}

static bool
check_header_name(char **newval, void **extra, GucSource source)
{
	if (limits_is_header_name(*newval))
		return true;
	GUC_check_errdetail("The value is no name of an HTTP header.");
	GUC_check_errhint("Write it like \"x-forwarded-for\" or \"cf-connecting-ip\"; to trust no header set pattyly.trusted_proxies to 0.");
	return false;
}

void
limits_settings_init(void)
{
	DefineCustomEnumVariable("pattyly.on_limiter_failure",
							 "What a check answers when the limiter cannot work.",
							 "deny raises an error; allow lets every call pass, uncounted.",
							 &on_limiter_failure, FAILURE_DENY, failure_actions,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pattyly.language",
							 "Language of the default text of a refusal.",
							 "A rule's own message goes before it.",
							 &limits_language, LANGUAGE_FR, languages,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pattyly.client_ip_header",
							   "The HTTP header in which proxies write the client's address.",
							   "Read only as far as pattyly.trusted_proxies vouches for it.",
							   &limits_client_ip_header, "x-forwarded-for",
							   PGC_SUSET, 0, check_header_name, NULL, NULL);
	DefineCustomStringVariable("pattyly.trusted_proxies",
							   "Proxies whose word about the client's address is taken.",
							   "A number of hops from the right of the header, or a list of networks; 0 trusts none and takes the database connection.",
							   &trusted_proxies_setting, "0",
							   PGC_SUSET, 0,
							   check_trusted_proxies, assign_trusted_proxies, NULL);
	DefineCustomIntVariable("pattyly.ipv6_prefix",
							"Bits of an IPv6 address that stand for one client.",
							"Providers give a customer a whole network.",
							&limits_ipv6_prefix, 56, 16, 128,
							PGC_SUSET, 0, NULL, NULL, NULL);
}

bool
limits_ready(void)
{
	if (likely(limit_store.ready))
		return true;
	if (on_limiter_failure == FAILURE_ALLOW)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pattyly was not loaded at server start"),
			 errdetail("Rate limits are counted in shared memory, which is set up then."),
			 errhint("Add pattyly to shared_preload_libraries and restart the server.")));
}

/* The key table is full of keys that must stay: an error, or a return to allow. */
static void
limits_table_full(void)
{
	if (on_limiter_failure == FAILURE_ALLOW)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no room for another rate limit key"),
			 errdetail("All %u keys are blocked or exhausted, and none of them is given up for a new one.",
					   limit_store.keys.capacity),
			 errhint("Raise pattyly.max_keys and restart the server, or set pattyly.on_limiter_failure to allow.")));
}

uint64
limits_catch_up(void)
{
	uint64		generation = limit_rules_catch_up();

	limit_lists_catch_up();
	return generation;
}

static void
find_address(LimitKey *key)
{
	Network		network;

	if (key->is_address || !limit_lists_any() || key->length >= ADDRESS_TEXT_SIZE ||
		!network_parse(key->text, key->length, &network))
		return;
	key->is_address = true;
	key->address = network.base;
}

void
limits_check(LimitCall *call, LimitKey *key, const LimitRule *const *rules, int n,
			 LimitResult *results)
{
	find_address(key);
	call->now_us = clock_now_us();
	if (likely(limits_run(call, key, rules, n, results)))
		return;
	limits_table_full();
	for (int i = 0; i < n; i++)
	{
		memset(&results[i], 0, sizeof(LimitResult));
		results[i].rule = rules[i];
		results[i].allowed = results[i].unknown = true;
	}
}
