/* link: src/jobs/schedule.c src/jobs/nextrun.c src/core/civil.c */
/*
 * schedule.c
 *		Schedules: the vectors, what is refused and where, and runs that are known.
 */
#include "tap.h"
#include "json.h"
#include "zones.h"

#include "jobs/schedule.h"

#define SECOND_US INT64_C(1000000)

static Schedule
parse(const char *text)
{
	Schedule	schedule;
	int			at;
	const char *fault = schedule_parse(text, strlen(text), &schedule, &at);

	if (fault != NULL)
		check(false, "\"%s\" at %d: %s", text, at, fault);
	return schedule;
}

/* ---- vectors ---- */

static void
replay(const Json *vector)
{
	const char *id = json_get(vector, "id")->string;
	const Json *next = json_get(vector, "next");
	CivilZone	zone = libc_zone(json_get(vector, "tz")->string);
	Schedule	schedule;
	int64_t		at_us = read_time(json_get(vector, "start")->string) * SECOND_US;

	property_begin(id);
	schedule = parse(json_get(vector, "expr")->string);
	check(strcmp(json_get(vector, "star_rule")->string, "leading") == 0, "another rule for days");
	check((next->n == 0) == json_get(vector, "never")->number, "never");
	if (next->n == 0)
		check(!schedule_next(&schedule, &zone, at_us, &at_us), "%" PRId64, at_us / SECOND_US);
	for (const Json *run = next->first; run != NULL; run = run->next)
	{
		check(schedule_next(&schedule, &zone, at_us, &at_us), "a run");
		check(at_us == read_time(run->string) * SECOND_US, "%" PRId64 ", want %s", at_us / SECOND_US, run->string);
	}
	property_end();
}

static bool
refused(const char *text, const char **fault, int *at)
{
	Schedule	schedule;

	*fault = schedule_parse(text, strlen(text), &schedule, at);
	return *fault != NULL && **fault != '\0' && *at >= 0 && *at <= (int) strlen(text);
}

static void
vectors(void)
{
	const Json *file = json_read("test/vectors/schedule.json");
	const char *fault;
	int			at;

	for (const Json *vector = json_get(file, "next")->first; vector != NULL; vector = vector->next)
		replay(vector);
	for (const Json *text = json_get(file, "reject")->first; text != NULL; text = text->next)
	{
		bool		good = refused(text->string, &fault, &at);

		ok(good, "refused: \"%s\": %s", text->string, good ? fault : "no");
	}
}

/* ---- what is refused, and where ---- */

static void
refuses(const char *text, int where, const char *why)
{
	const char *fault;
	int			at;

	ok(refused(text, &fault, &at) && at == where && strstr(fault, why) != NULL, "refused at %d: \"%s\"", where, text);
	if (fault == NULL || at != where || strstr(fault, why) == NULL)
		printf("# at %d: %s; want: %s\n", at, fault ? fault : "accepted", why);
}

static void
refusals_of_fields(void)
{
	refuses("", 0, "empty");
	refuses(" \t ", 3, "empty");
	refuses("*", 1, "fewer than five");
	refuses("* * * *", 7, "fewer than five");
	refuses("hello", 5, "fewer than five");
	refuses("0 0 0 1 1 *", 10, "more than five");
	refuses("0 0 1 1 * 2030 ", 10, "more than five");
	refuses("60 * * * *", 0, "minute field takes values from 0 to 59");
	refuses("-1 * * * *", 0, "minute field holds a character");
	refuses("+1 * * * *", 0, "minute field holds a character");
	refuses("0 24 * * *", 2, "hour field takes values from 0 to 23");
	refuses("0 0 0 * *", 4, "day-of-month field takes values from 1 to 31");
	refuses("0 0 32 * *", 4, "day-of-month field takes values");
	refuses("0 0 1-32 * *", 6, "day-of-month field takes values");
	refuses("0 0 * 0 *", 6, "month field takes values from 1 to 12");
	refuses("0 0 * 13 *", 6, "month field takes values");
	refuses("0 0 * * 8", 8, "weekday field takes values from 0 to 7");
	refuses("99999999999999999999 * * * *", 0, "minute field takes values");
	refuses("4294967296 * * * *", 0, "minute field takes values");
	refuses("0 18446744073709551616-1 * * *", 2, "hour field takes values");
	refuses("0.5 * * * *", 1, "minute field holds a character");
	refuses("1e1 * * * *", 1, "minute field holds a character");
	refuses("** * * * *", 1, "minute field holds a character");
	refuses("*5 * * * *", 1, "minute field holds a character");
	refuses("5* * * * *", 1, "minute field holds a character");
	refuses("*-5 * * * *", 1, "minute field holds a character");
	refuses("0 0 * * mon5", 11, "weekday field holds a character");
	refuses("0 0 * * mon#1", 8, "?, L, W and #");
	refuses("0 0 ? * *", 4, "?, L, W and #");
	refuses("0 0 L * *", 4, "?, L, W and #");
	refuses("0 0 lw * *", 4, "?, L, W and #");
	refuses("0 0 L-3 * *", 4, "no names");
	refuses("0 0 15W * *", 4, "?, L, W and #");
	refuses("0 0 * * 5L", 8, "?, L, W and #");
	refuses("\xc3\xa9 * * * *", 0, "minute field holds a character");
}

static void
refusals_of_items(void)
{
	refuses("1, * * * *", 2, "value is missing in the minute field");
	refuses(",1 * * * *", 0, "value is missing in the minute field");
	refuses("1,,2 * * * *", 2, "value is missing in the minute field");
	refuses("0 0 $, * *", 6, "value is missing in the day-of-month field");
	refuses("1- * * * *", 2, "value is missing");
	refuses("1-,2 * * * *", 2, "value is missing");
	refuses("1--2 * * * *", 2, "holds a character");
	refuses("1-2-3 * * * *", 3, "holds a character");
	refuses("1-* * * * *", 2, "holds a character");
	refuses("30-10 * * * *", 3, "ends before it begins");
	refuses("0 22-6 * * *", 5, "hour field ends before it begins");
	refuses("0 0 * nov-feb *", 10, "month field ends before it begins");
	refuses("0 0 * * fri-mon", 12, "weekday field ends before it begins");
	refuses("0 0 * * 5-0", 10, "weekday field ends before it begins");
	refuses("*/ * * * *", 2, "step in the minute field is not a number");
	refuses("/5 * * * *", 0, "holds a character");
	refuses("*/-5 * * * *", 2, "is not a number");
	refuses("*/x * * * *", 2, "is not a number");
	refuses("*/5x * * * *", 3, "holds a character");
	refuses("*/5/2 * * * *", 3, "holds a character");
	refuses("*/0 * * * *", 2, "step in the minute field is 0");
	refuses("1-10/0 * * * *", 5, "is 0");
	refuses("*/60 * * * *", 2, "step in the minute field is larger than 59");
	refuses("0 */24 * * *", 4, "step in the hour field is larger than 23");
	refuses("0 0 */32 * *", 6, "step in the day-of-month field is larger than 31");
	refuses("0 0 * */13 *", 8, "step in the month field is larger than 12");
	refuses("0 0 * * */8", 10, "step in the weekday field is larger than 7");
	refuses("1-5/99999999999999999999 * * * *", 4, "is larger");
	refuses("0/15 * * * *", 1, "follows a single value");
	refuses("0 0 * * mon/2", 11, "follows a single value");
	refuses("0 0 $/2 * *", 5, "holds a character");
	refuses("0 0 1-$ * *", 6, "holds a character");
	refuses("0 0 -$ * *", 4, "holds a character");
	refuses("$ 0 1 * *", 0, "holds a character");
	refuses("0 0 1 $ *", 6, "holds a character");
	refuses("jan * * * *", 0, "no names");
	refuses("0 0 mon * *", 4, "no names");
	refuses("0 0 * mon *", 6, "no other names than jan to dec");
	refuses("0 0 * january *", 6, "no other names than jan to dec");
	refuses("0 0 * ja *", 6, "no other names than jan to dec");
	refuses("0 0 * * jan", 8, "no other names than sun to sat");
	refuses("0 0 * * XYZ", 8, "no other names than sun to sat");
	refuses("0 0 * * monday", 8, "no other names than sun to sat");
}

static void
refusals_of_others(void)
{
	refuses("@restar", 0, "the names are");
	refuses("@", 0, "the names are");
	refuses("@dailyx", 0, "the names are");
	refuses("@every 5m", 0, "the names are");
	refuses(" @daily 5", 8, "nothing may follow");
	refuses("@reboot @daily", 8, "nothing may follow");
	refuses("daily", 5, "fewer than five");
	refuses("50 seconds c", 0, "begins with the word every");
	refuses("-1 seconds", 0, "begins with the word every");
	refuses("5 minutes", 0, "begins with the word every");
	refuses("every", 5, "must follow the word every");
	refuses("every x", 6, "must follow the word every");
	refuses("every 5", 7, "unit of an interval");
	refuses("every 5 days", 8, "unit of an interval");
	refuses("every 5 secondss", 8, "unit of an interval");
	refuses("every 5minutes", 7, "must follow the word every");
	refuses("every -5 minutes", 6, "must follow the word every");
	refuses("every 1.5 hours", 7, "must follow the word every");
	refuses("every 0 seconds", 6, "at least 1 second");
	refuses("every 31622401 seconds", 6, "at most 366 days");
	refuses("every 8785 hours", 6, "at most 366 days");
	refuses("every 99999999999999999999 hours", 6, "at most 366 days");
	refuses("every 5 minutes 3", 16, "nothing may follow the unit");
	refuses("every minute minute", 13, "nothing may follow the unit");
	refuses("everyminute", 11, "fewer than five");
}

static void
embedded_nul(void)
{
	static const char texts[][12] = {"* * * * *\0", "* * * * *\n", "* * * *\n*", "@daily\n", "*\0 * * * * *", "@daily\0", "\0* * * * *", "every\0"};
	Schedule	schedule;
	int			at;

	property_begin("a NUL ends nothing, and a line's end is no blank");
	for (int i = 0; i < (int) (sizeof(texts) / sizeof(texts[0])); i++)
		for (size_t length = sizeof(texts[0]) - 2; length <= sizeof(texts[0]); length++)
			check(schedule_parse(texts[i], length, &schedule, &at) != NULL, "text %d, %zu bytes", i, length);
	property_end();
}

/* ---- what is taken ---- */

static bool
same(const Schedule *a, const Schedule *b)
{
	return a->kind == b->kind && a->every_s == b->every_s && a->minutes == b->minutes && a->hours == b->hours &&
		a->days == b->days && a->months == b->months && a->weekdays == b->weekdays &&
		a->last_day == b->last_day && a->day_star == b->day_star && a->weekday_star == b->weekday_star &&
		a->follows_elapsed == b->follows_elapsed;
}

static void
means(const char *text, const char *other)
{
	Schedule	a = parse(text);
	Schedule	b = parse(other);

	check(same(&a, &b), "\"%s\" for \"%s\"", text, other);
}

static void
spellings(void)
{
	property_begin("texts that mean the same");
	means(" \t0\t 0 \t* *   * ", "0 0 * * *");
	means("00 007 01 04 00", "0 7 1 4 0");
	means("0 0 * JAN,Feb,mAr SUN", "0 0 * 1,2,3 0");
	means("0 0 * oct-dec mon-fri", "0 0 * 10-12 1-5");
	means("0 0 * * 7", "0 0 * * 0");
	means("0 0 * * 5-7", "0 0 * * 5,6,0");
	means("0 0 * * fri-sun", "0 0 * * 5-7");
	means("0 0 * * 3-sun/2", "0 0 * * 3,5,7");
	means("0 0 * * sun-sat", "0 0 * * 0-6");
	means("0 0 * * 0-7", "0 0 * * 0-6");
	means("0 0 * * sun-sun", "0 0 * * 0");
	means("1-10/3,50,20-22,50 0 * * *", "1,4,7,10,20,21,22,50 0 * * *");
	means("*/59 0 * * *", "0,59 0 * * *");
	means("5-5 0 * * *", "5 0 * * *");
	means("@hourly", "0 * * * *");
	means("@Daily", "0 0 * * *");
	means(" @midnight ", "0 0 * * *");
	means("@weekly", "0 0 * * sun");
	means("@monthly", "0 0 1 * *");
	means("@yearly", "0 0 1 jan *");
	means("@annually", "@yearly");
	means("every 90 seconds", "every\t090  SECOND ");
	means("every 60 minutes", "Every 1 hour");
	means("every hour", "every 3600 seconds");
	means("every minute", "every 60 seconds");
	means("every second", "every 1 seconds");
	means("every 8784 hours", "every 31622400 seconds");
	property_end();
	ok(parse("@reboot").kind == SCHEDULE_REBOOT, "@reboot");
	ok(parse("0 0 15,$ * *").last_day && parse("0 0 15,$ * *").days == UINT32_C(1) << 15, "$ in a list");
}

static void
star_rule(void)
{
	property_begin("which fields choose days, which hours follow elapsed time");
	check(parse("0 0 */2 * 1").day_star && !parse("0 0 */2 * 1").weekday_star, "*/2 is a star");
	check(parse("0 0 */31,1-7 * mon").day_star, "a leading star of a list");
	check(!parse("0 0 1-7,*/31 * mon").day_star, "no leading star");
	check(!parse("0 0 1-31 * mon").day_star, "all days by number");
	check(parse("0 0 1 * */3").weekday_star, "*/3 of weekdays");
	check(!parse("*/15 2 * * *").follows_elapsed, "a fixed hour with a step in the minutes");
	check(!parse("* 2,3 * * *").follows_elapsed, "fixed hours, any minute");
	check(!parse("0 0-23 * * *").follows_elapsed, "all hours by number");
	check(parse("0 * * * *").follows_elapsed && parse("0 */2 * * *").follows_elapsed, "a star");
	check(parse("0 1,2-8/3 * * *").follows_elapsed, "a step in a list");
	property_end();
}

/* ---- runs that are known ---- */

static void
runs(const char *text, const char *zone_name, const char *after, int n, const char *const expected[])
{
	CivilZone	zone = libc_zone(zone_name);
	Schedule	schedule = parse(text);
	int64_t		at_us = read_time(after) * SECOND_US;
	bool		good = true;

	for (int i = 0; i < n; i++)
	{
		good &= schedule_next(&schedule, &zone, at_us, &at_us) && at_us == read_time(expected[i]) * SECOND_US;
		if (!good)
		{
			printf("# run %d: %" PRId64 ", want %s\n", i + 1, at_us / SECOND_US, expected[i]);
			break;
		}
	}
	ok(good, "%s %s after %s", zone_name, text, after);
}

#define RUNS(text, zone, after, ...) \
	runs(text, zone, after, (int) (sizeof((const char *const[]) {__VA_ARGS__}) / sizeof(char *)), \
		 (const char *const[]) {__VA_ARGS__})

static void
gaps(void)
{
	RUNS("*/15 2 * * *", "Europe/Paris", "2026-03-28T02:45:00+01:00",
		 "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00", "2026-03-30T02:15:00+02:00");
	RUNS("30 2,3 * * *", "Europe/Paris", "2026-03-28T12:00:00+01:00",
		 "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00");
	RUNS("0 2,3 * * *", "Europe/Paris", "2026-03-28T12:00:00+01:00",
		 "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00");
	RUNS("0 * * * *", "Europe/Paris", "2026-03-29T01:00:00+01:00",
		 "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00");
	RUNS("30 */2 * * *", "Europe/Paris", "2026-03-29T00:30:00+01:00",
		 "2026-03-29T04:30:00+02:00", "2026-03-29T06:30:00+02:00");
	RUNS("0 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00:00-03:00",
		 "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00");
	RUNS("30 12 * * *", "Pacific/Apia", "2011-12-29T12:30:00-10:00",
		 "2011-12-31T00:00:00+14:00", "2011-12-31T12:30:00+14:00");
	RUNS("0 0 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00-10:00",
		 "2011-12-31T00:00:00+14:00", "2012-12-30T00:00:00+14:00");
	RUNS("0 */6 * * *", "Pacific/Apia", "2011-12-29T18:00:00-10:00",
		 "2011-12-31T00:00:00+14:00", "2011-12-31T06:00:00+14:00");
	RUNS("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
		 "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00");
	RUNS("10 0 * * *", "Asia/Kathmandu", "1985-12-31T12:00:00+05:30",
		 "1986-01-01T00:15:00+05:45", "1986-01-02T00:10:00+05:45");
}

static void
repeats(void)
{
	RUNS("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00+02:00",
		 "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00");
	RUNS("30 2 * * *", "Europe/Paris", "2026-10-25T02:00:00+01:00", "2026-10-26T02:30:00+01:00");
	RUNS("*/30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00+02:00",
		 "2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00");
	RUNS("*/30 * * * *", "Europe/Paris", "2026-10-25T01:30:00+02:00",
		 "2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00",
		 "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00");
	RUNS("0 */2 * * *", "Europe/Paris", "2026-10-25T00:00:00+02:00",
		 "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T04:00:00+01:00");
	/* Between the two 01:45, what comes next are the times before it. */
	RUNS("15 * * * *", "America/New_York", "2012-11-04T01:45:00-04:00",
		 "2012-11-04T01:15:00-05:00", "2012-11-04T02:15:00-05:00");
	RUNS("30 1 4 nov *", "America/New_York", "2012-11-04T01:45:00-04:00", "2013-11-04T01:30:00-05:00");
	RUNS("0 0 * * *", "America/Sao_Paulo", "2018-02-17T21:00:00-02:00", "2018-02-18T00:00:00-03:00");
	RUNS("30 23 * * *", "America/Sao_Paulo", "2018-02-17T21:00:00-02:00",
		 "2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00");
	RUNS("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00",
		 "2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30");
	RUNS("45 * * * *", "Australia/Lord_Howe", "2026-04-05T01:00:00+11:00",
		 "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-05T02:45:00+10:30");
	/* The date line the other way: a whole day again. */
	RUNS("0 12 * * *", "Pacific/Kwajalein", "1969-09-29T12:00:00+11:00", "1969-09-30T12:00:00+11:00");
}

static void
other_runs(void)
{
	RUNS("0 0 29 2 *", "UTC", "2096-03-01T00:00:00", "2104-02-29T00:00:00", "2108-02-29T00:00:00");
	RUNS("0 0 29 2 */7", "UTC", "2026-01-01T00:00:00", "2032-02-29T00:00:00", "2060-02-29T00:00:00",
		 "2088-02-29T00:00:00", "2128-02-29T00:00:00");
	RUNS("0 0 */31,1-7 * mon", "UTC", "2023-12-24T00:00:00", "2024-01-01T00:00:00", "2024-02-05T00:00:00",
		 "2024-03-04T00:00:00");
	RUNS("0 0 1,15 * mon", "UTC", "2012-06-30T00:00:00", "2012-07-01T00:00:00", "2012-07-02T00:00:00",
		 "2012-07-09T00:00:00", "2012-07-15T00:00:00", "2012-07-16T00:00:00");
	RUNS("0 0 $ * mon", "UTC", "2026-06-23T00:00:00", "2026-06-29T00:00:00", "2026-06-30T00:00:00",
		 "2026-07-06T00:00:00");
	RUNS("0 0 $ 2 *", "UTC", "2023-01-01T00:00:00", "2023-02-28T00:00:00", "2024-02-29T00:00:00");
	RUNS("59 23 31 12 *", "UTC", "1899-12-31T23:59:00", "1900-12-31T23:59:00");
	RUNS("0 0 * * *", "UTC", "1969-12-30T12:00:00", "1969-12-31T00:00:00", "1970-01-01T00:00:00");
	RUNS("0 12 * * *", "Europe/Paris", "9999-12-30T12:00:00+01:00", "9999-12-31T12:00:00+01:00");
	RUNS("0 0 1 1 *", "Europe/Paris", "1800-01-01T00:00:00+00:00", "1800-12-31T23:50:39+00:00");
}

static void
never_runs(void)
{
	static const char *const texts[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 */2 30-31 feb *", "0 0 31 2 */2"};
	CivilZone	zone = libc_zone("Europe/Paris");
	int64_t		next_us;

	property_begin("days that no month has never come");
	for (int i = 0; i < 4; i++)
		for (int64_t year = 0; year < 290000; year += 997)
		{
			Schedule	schedule = parse(texts[i]);

			check(!schedule_next(&schedule, &zone, civil_days(year, 1, 1) * CIVIL_DAY_S * SECOND_US, &next_us), "%s",
				  texts[i]);
		}
	property_end();
}

/* ---- ends of time ---- */

static void
ends_of_time(void)
{
	CivilZone	zone = libc_zone("UTC");
	static const char *const texts[] = {"* * * * *", "0 0 * * *", "0 0 29 2 *", "every second", "every 366 hours"};
	static const int64_t times[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 86400 * SECOND_US, INT64_MIN, INT64_MIN + 1,
		INT64_C(-210866803200000000), 0, -1, 1};
	int64_t		next_us;

	property_begin("after any time there is a later one or none");
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < (int) (sizeof(times) / sizeof(times[0])); j++)
		{
			Schedule	schedule = parse(texts[i]);

			check(!schedule_next(&schedule, &zone, times[j], &next_us) || next_us > times[j], "%s after %" PRId64,
				  texts[i], times[j]);
		}
	property_end();
	property_begin("up to the end of 294246");
	for (int i = 0; i < 4; i++)
	{
		Schedule	schedule = parse(texts[i]);
		int64_t		at_us = civil_days(294246, 12, 28) * CIVIL_DAY_S * SECOND_US;

		for (int n = 0; n < 1000000 && schedule_next(&schedule, &zone, at_us, &next_us); n++)
		{
			check(next_us > at_us, "%s", texts[i]);
			at_us = next_us;
		}
		check(at_us < civil_days(294247, 1, 1) * CIVIL_DAY_S * SECOND_US, "%s: %" PRId64, texts[i], at_us);
	}
	property_end();
}

static void
intervals(void)
{
	CivilZone	zone = libc_zone("Europe/Paris");
	Schedule	every = parse("every 90 seconds");
	Schedule	reboot = parse("@reboot");
	int64_t		next_us;

	property_begin("an interval is as long on any day");
	for (int64_t at_us = read_time("2026-10-24T00:00:00") * SECOND_US; at_us < read_time("2026-10-26T00:00:00") * SECOND_US;
		 at_us = next_us)
		check(schedule_next(&every, &zone, at_us, &next_us) && next_us == at_us + 90 * SECOND_US, "%" PRId64, next_us);
	property_end();
	ok(schedule_next(&every, &zone, 1234567, &next_us) && next_us == 91234567, "... to the microsecond");
	ok(!schedule_next(&reboot, &zone, 0, &next_us), "@reboot has no next run");
}

int
main(void)
{
	vectors();
	refusals_of_fields();
	refusals_of_items();
	refusals_of_others();
	embedded_nul();
	spellings();
	star_rule();
	gaps();
	repeats();
	other_runs();
	never_runs();
	ends_of_time();
	intervals();
	return tap_done();
}
