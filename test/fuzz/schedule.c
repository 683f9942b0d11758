/* link: src/jobs/schedule.c src/jobs/nextrun.c src/core/civil.c */
/*
 * schedule.c
 *		Any text, any start, and zones that change their offset at any times: what
 *		does not parse says where, and what does has its next run later, at a time
 *		that it names, or never.  That a search ends is the fuzzer's time limit.
 */
#include "bytes.h"

#include "jobs/schedule.h"

#define SECOND_US INT64_C(1000000)
#define MAX_OFFSET_S (16 * 3600)

/* Before, and from "change_s" on. */
typedef struct Zone
{
	int64_t		change_s;
	int32_t		before_s;
	int32_t		after_s;
} Zone;

static int32_t
offset_s(const void *arg, int64_t at_s)
{
	const Zone *zone = arg;

	return at_s < zone->change_s ? zone->before_s : zone->after_s;
}

static int32_t
some_offset(Bytes *bytes)
{
	return (int32_t) bytes_number(bytes, 2 * MAX_OFFSET_S) - MAX_OFFSET_S;
}

/* Zones do not move by more than a day. */
static Zone
some_zone(Bytes *bytes, int64_t near_s)
{
	Zone		zone = {.change_s = near_s, .before_s = some_offset(bytes)};

	zone.after_s = zone.before_s + (int32_t) bytes_number(bytes, 2 * CIVIL_DAY_S) - CIVIL_DAY_S;
	if (zone.after_s > MAX_OFFSET_S || zone.after_s < -MAX_OFFSET_S)
		zone.after_s = zone.before_s;
	if (near_s > -INT64_C(1000000000000000) && near_s < INT64_C(1000000000000000))
		zone.change_s += bytes_number(bytes, 4 * CIVIL_DAY_S) - 2 * CIVIL_DAY_S;
	return zone;
}

static bool
names_day(const Schedule *schedule, int64_t days)
{
	CivilDate	date = civil_date(days);
	bool		by_day = (schedule->days >> date.day & 1) ||
		(schedule->last_day && civil_date(days + 1).day == 1);
	bool		by_weekday = schedule->weekdays >> civil_weekday(days) & 1;

	if (!(schedule->months >> date.month & 1))
		return false;
	return schedule->day_star || schedule->weekday_star ? by_day && by_weekday : by_day || by_weekday;
}

static bool
names(const Schedule *schedule, int64_t local_s)
{
	int64_t		days = civil_floor(local_s, CIVIL_DAY_S);
	int			of_day = (int) (local_s - days * CIVIL_DAY_S);

	return of_day % 60 == 0 && (schedule->minutes >> of_day / 60 % 60 & 1) && (schedule->hours >> of_day / 3600 & 1) &&
		names_day(schedule, days);
}

static void
check_run(const Schedule *schedule, const Zone *zone, int64_t next_us)
{
	int64_t		at_s = civil_floor(next_us, SECOND_US);
	int64_t		local_s = at_s + offset_s(zone, at_s);

	must(next_us % SECOND_US == 0);
	if (at_s == zone->change_s && !schedule->follows_elapsed && zone->after_s > zone->before_s)
		return;
	must(names(schedule, local_s));
	if (!schedule->follows_elapsed && zone->after_s < zone->before_s)
		must(at_s < zone->change_s || local_s >= zone->change_s + zone->before_s);
}

static void
check_next(const Schedule *schedule, Bytes *bytes)
{
	int64_t		after_us = (int64_t) bytes_word(bytes, 8);
	Zone		zone = some_zone(bytes, civil_floor(after_us, SECOND_US));
	CivilZone	civil = {offset_s, &zone};
	int64_t		next_us;
	int64_t		again_us;

	if (!schedule_next(schedule, &civil, after_us, &next_us))
		return;
	must(schedule->kind != SCHEDULE_REBOOT);
	must(next_us > after_us);
	if (schedule->kind == SCHEDULE_EVERY)
	{
		must(next_us - after_us == schedule->every_s * SECOND_US);
		return;
	}
	check_run(schedule, &zone, next_us);
	must(schedule_next(schedule, &civil, next_us - 1, &again_us) && again_us == next_us);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes		bytes = {data, size};
	size_t		length = bytes_number(&bytes, bytes.left);
	char	   *text;
	Schedule	schedule;
	int			at;
	const char *fault;

	if (length > bytes.left)
		length = bytes.left;
	text = bytes_copy(bytes.at, length);
	bytes.at += length;
	bytes.left -= length;
	fault = schedule_parse(text, length, &schedule, &at);
	if (fault != NULL)
		must(fault[0] != '\0' && at >= 0 && (size_t) at <= length);
	else
		for (int i = 0; i < 8; i++)
			check_next(&schedule, &bytes);
	free(text);
	return 0;
}
