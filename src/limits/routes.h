/*
 * routes.h
 *		Which request consumes which limits: the backend's copy of pattyly.routes.
 */
#ifndef LIMITS_ROUTES_H
#define LIMITS_ROUTES_H

#include "limits/check.h"

typedef enum RouteKey
{
	ROUTE_BY_IP,
	ROUTE_BY_USER,
	ROUTE_BY_IP_AND_USER,
	ROUTE_BY_HEADER
} RouteKey;

typedef struct LimitRoute
{
	char	   *method;			/* NULL: any */
	char	   *path;			/* without the closing * */
	int			path_length;
	bool		is_prefix;
	RouteKey	keyed_by;
	char	   *header;			/* ROUTE_BY_HEADER: its name in lower case */
	int			cost;
	bool		enabled;
	int			n_limits;
	char	   *limits[LIMITS_PER_CALL];
} LimitRoute;

/* The route of a request, or NULL.  The path is taken as the router takes it: percent-decoded. */
extern const LimitRoute *limit_route_find(const char *method, const char *path);

/* The next limit_route_find() reads the routes again. */
extern void limit_routes_forget(void);

#endif							/* LIMITS_ROUTES_H */
