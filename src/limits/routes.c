/*
 * routes.c
 *		See routes.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/config.h"
#include "limits/limits.h"
#include "limits/routes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/rel.h"

/* Columns of pattyly.routes. */
enum
{
	COLUMN_ID = 1,
	COLUMN_METHOD,
	COLUMN_PATH,
	COLUMN_LIMITS,
	COLUMN_KEYED_BY,
	COLUMN_COST,
	COLUMN_ENABLED
};

typedef struct RouteSet
{
	LimitRoute *routes;			/* the one that wins stands first */
	int			n;
	int			room;
} RouteSet;

static void *load_routes(Relation table);

static ConfigTable routes_table = {.name = "routes", .load = load_routes};

/* ---- paths ---- */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* "/rpc/log%69n" and "rpc/login" are "/rpc/login" to PostgREST's router, so they must be to us. */
static char *
decode_path(const char *path)
{
	char	   *decoded = palloc(strlen(path) + 2);
	char	   *to = decoded;

	if (path[0] != '/')
		*to++ = '/';
	while (*path != '\0')
	{
		int			high = *path == '%' ? hex_value(path[1]) : -1;
		int			low = high >= 0 ? hex_value(path[2]) : -1;

		if (low >= 0)
		{
			*to++ = (char) (high << 4 | low);
			path += 3;
		}
		else
			*to++ = *path++;
	}
	*to = '\0';
	return decoded;
}

/* ---- rows ---- */

static void
route_fault(const char *fault, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("impossible route: %s", fault),
			 errhint("%s", hint)));
}

static Datum
required_column(HeapTuple tuple, TupleDesc desc, int number)
{
	return config_required(tuple, desc, number, "a route",
						   "A route needs a path and limits, for example ('/rpc/login', '{login}').");
}

static void
read_method(LimitRoute *route, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, COLUMN_METHOD, desc, &isnull);

	route->method = isnull ? NULL : TextDatumGetCString(value);
	if (!isnull && (route->method[0] == '\0' ||
					strspn(route->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(route->method)))
		route_fault("the method is not in upper case letters",
					"Write GET, POST, PATCH, ..., or NULL for any.");
}

static void
read_path(LimitRoute *route, HeapTuple tuple, TupleDesc desc)
{
	char	   *star;

	route->path = TextDatumGetCString(required_column(tuple, desc, COLUMN_PATH));
	star = strchr(route->path, '*');
	if (star != NULL && star[1] != '\0')
		route_fault("the path has a * that is not at its end",
					"Write an exact path, or a prefix followed by one *.");
	if (star != route->path && route->path[0] != '/')
		route_fault("the path does not begin with /",
					"Write it as PostgREST sees it, such as /rpc/login, or * for all.");
	route->is_prefix = star != NULL;
	if (star != NULL)
		*star = '\0';
	if (route->path[0] != '\0')
		route->path = decode_path(route->path);
	route->path_length = strlen(route->path);
}

static void
read_limits(LimitRoute *route, HeapTuple tuple, TupleDesc desc)
{
	ArrayType  *names = DatumGetArrayTypeP(required_column(tuple, desc, COLUMN_LIMITS));
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	if (n == 0 || n > LIMITS_PER_CALL)
		route_fault("it does not name 1 to 16 limits", "Name limits of table pattyly.limits.");
	for (int i = 0; i < n; i++)
	{
		char	   *name;
		bool		repeated = false;

		if (nulls[i])
			route_fault("a limit is null", "Name limits of table pattyly.limits.");
		name = TextDatumGetCString(elements[i]);
		for (int j = 0; j < route->n_limits; j++)
			repeated |= strcmp(route->limits[j], name) == 0;
		if (!repeated)
			route->limits[route->n_limits++] = name;
	}
}

static void
read_keyed_by(LimitRoute *route, HeapTuple tuple, TupleDesc desc)
{
	char	   *keyed_by = TextDatumGetCString(required_column(tuple, desc, COLUMN_KEYED_BY));

	if (strcmp(keyed_by, "ip") == 0)
		route->keyed_by = ROUTE_BY_IP;
	else if (strcmp(keyed_by, "user") == 0)
		route->keyed_by = ROUTE_BY_USER;
	else if (strcmp(keyed_by, "ip+user") == 0)
		route->keyed_by = ROUTE_BY_IP_AND_USER;
	else if (strncmp(keyed_by, "header:", 7) == 0 && limits_is_header_name(keyed_by + 7))
	{
		route->keyed_by = ROUTE_BY_HEADER;
		route->header = asc_tolower(keyed_by + 7, strlen(keyed_by + 7));
	}
	else
		route_fault("keyed_by is unknown", "Write ip, user, ip+user or header:NAME.");
}

/* Errors for a row that makes no sense: here they are refused when written. */
static void
read_route(LimitRoute *route, HeapTuple tuple, TupleDesc desc)
{
	memset(route, 0, sizeof(*route));
	read_method(route, tuple, desc);
	read_path(route, tuple, desc);
	read_limits(route, tuple, desc);
	read_keyed_by(route, tuple, desc);
	route->cost = DatumGetInt32(required_column(tuple, desc, COLUMN_COST));
	if (route->cost < 0)
		route_fault("the cost is negative", "Use 0 to look only, 1 for an ordinary request.");
	route->enabled = DatumGetBool(required_column(tuple, desc, COLUMN_ENABLED));
}

/* ---- the backend's copy ---- */

static void
add_route(HeapTuple tuple, TupleDesc desc, void *arg)
{
	RouteSet   *set = arg;

	if (set->n == set->room)
	{
		set->room *= 2;
		set->routes = repalloc(set->routes, set->room * sizeof(LimitRoute));
	}
	read_route(&set->routes[set->n], tuple, desc);
	if (set->routes[set->n].enabled)
		set->n++;
}

static int
compare_routes(const void *a, const void *b)
{
	const LimitRoute *x = a;
	const LimitRoute *y = b;

	if (x->path_length != y->path_length)
		return x->path_length > y->path_length ? -1 : 1;
	if (x->is_prefix != y->is_prefix)
		return x->is_prefix ? 1 : -1;
	if ((x->method == NULL) != (y->method == NULL))
		return x->method == NULL ? 1 : -1;

	/* HEAD before GET, which serves it only for want of one. */
	return x->method == NULL ? 0 : strcmp(y->method, x->method);
}

static void *
load_routes(Relation table)
{
	RouteSet   *set = palloc0(sizeof(RouteSet));

	set->room = 16;
	set->routes = palloc(set->room * sizeof(LimitRoute));
	config_scan(table, add_route, set);
	qsort(set->routes, set->n, sizeof(LimitRoute), compare_routes);
	return set;
}

void
limit_routes_init(void)
{
	config_register(&routes_table);
}

static bool
method_matches(const LimitRoute *route, const char *method)
{
	return route->method == NULL || strcmp(route->method, method) == 0 ||
		(strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static bool
path_matches(const LimitRoute *route, const char *path)
{
	if (strncmp(path, route->path, route->path_length) != 0)
		return false;
	return route->is_prefix || path[route->path_length] == '\0';
}

const LimitRoute *
limit_route_find(const char *method, const char *path)
{
	const RouteSet *set = config_get(&routes_table);

	if (path[0] != '/' || strchr(path, '%') != NULL)
		path = decode_path(path);
	for (int i = 0; i < set->n; i++)
		if (method_matches(&set->routes[i], method) && path_matches(&set->routes[i], path))
			return &set->routes[i];
	return NULL;
}

void
limit_routes_forget(void)
{
	config_forget(&routes_table);
}

PATTYLY_FUNCTION(pattyly_check_route_row);

/* BEFORE trigger of pattyly.routes */
Datum
pattyly_check_route_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	LimitRoute	route;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("check_route_row can only be called as a trigger"),
				 errhint("It stands on pattyly.routes already.")));
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	read_route(&route, tuple, RelationGetDescr(trigger->tg_relation));
	return PointerGetDatum(tuple);
}
