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

bool
zone_try(const char *name, CivilZone *zone)
{
	pg_tz	   *found = pg_tzset(name);

	if (found == NULL || !pg_tz_acceptable(found))
		return false;
	*zone = (CivilZone) {zone_offset_s, found};
	return true;
}

CivilZone
zone_find(const char *name)
{
	CivilZone	zone;

	if (!zone_try(name, &zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Take a name from pg_timezone_names, such as \"Europe/Paris\".")));
	return zone;
}
