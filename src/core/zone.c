/*
 * zone.c
 *		See zone.h.
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/zone.h"
#include "pgtime.h"

static int32_t
zone_offset_s(const void *zone, int64_t at_s)
{
	pg_time_t	at = at_s;
	const struct pg_tm *local = pg_localtime(&at, zone);

	return local != NULL ? (int32_t) local->tm_gmtoff : 0;
}

CivilZone
zone_find(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Take a name from pg_timezone_names, such as \"Europe/Paris\".")));
	return (CivilZone) {zone_offset_s, zone};
}
