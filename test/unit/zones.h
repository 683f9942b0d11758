/*
 * zones.h
 *		The time zones of libc, for tests of what asks a CivilZone; one at a time.
 *		And times as the tests write them: 2026-03-29T03:00:00+02:00.
 */
#ifndef TEST_UNIT_ZONES_H
#define TEST_UNIT_ZONES_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/civil.h"

static inline struct tm
libc_local(int64_t at_s)
{
	time_t		at = (time_t) at_s;
	struct tm	tm;

	if (localtime_r(&at, &tm) == NULL)
		abort();
	return tm;
}

static int32_t
libc_offset_s(const void *arg, int64_t at_s)
{
	return (int32_t) libc_local(at_s).tm_gmtoff;
}

/* libc takes any name for UTC that it has no file of. */
static inline CivilZone
libc_zone(const char *name)
{
	char		path[128];

	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	if (access(path, R_OK) != 0)
	{
		printf("Bail out! no time zone %s\n", path);
		exit(1);
	}
	setenv("TZ", name, 1);
	tzset();
	return (CivilZone) {libc_offset_s, NULL};
}

/* Seconds since 1970; without an offset the time is as it stands there. */
static inline int64_t
read_time(const char *text)
{
	struct tm	tm = {0};
	char		sign = '+';
	int			hours = 0;
	int			minutes = 0;

	if (sscanf(text, "%d-%d-%dT%d:%d:%d%c%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
			   &tm.tm_min, &tm.tm_sec, &sign, &hours, &minutes) < 6)
	{
		printf("Bail out! no time: %s\n", text);
		exit(1);
	}
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (int64_t) timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

#endif							/* TEST_UNIT_ZONES_H */
