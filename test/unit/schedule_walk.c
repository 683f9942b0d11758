/* link: src/jobs/schedule.c src/jobs/nextrun.c src/core/civil.c */
/*
 * schedule_walk.c
 *		Random schedules, and a clock that is walked through minute by minute
 *		beside schedule_next.
 */
#include "tap.h"
#include "random.h"
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

/*
 * What a schedule says, as numbers, and its text made of them; what the text
 * means is not asked of the parser.
 */
typedef struct Wanted
{
	char		text[512];
	bool		values[5][64];
	bool		star[5];
	bool		step[5];
	bool		last_day;
} Wanted;

static const int lows[] = {0, 0, 1, 1, 0};
static const int highs[] = {59, 23, 31, 12, 6};

static void
add_text(Wanted *wanted, const char *format, int a, int b, int c)
{
	size_t		length = strlen(wanted->text);

	snprintf(wanted->text + length, sizeof(wanted->text) - length, format, a, b, c);
}

static void
add_item(Wanted *wanted, Random *random, int field, bool first)
{
	int			low = (int) random_in(random, lows[field], highs[field]);
	int			high = (int) random_in(random, low, highs[field]);
	int			step = 1;
	int			kind = (int) random_in(random, 0, field == 2 ? 10 : 9);

	if (kind <= 3)
	{
		high = low;
		add_text(wanted, "%d", low, 0, 0);
	}
	else if (kind <= 5)
		add_text(wanted, "%d-%d", low, high, 0);
	else if (kind <= 7)
	{
		step = (int) random_in(random, 1, highs[field]);
		wanted->step[field] = true;
		if (kind == 7)
		{
			add_text(wanted, "%d-%d/%d", low, high, step);
		}
		else
		{
			low = lows[field];
			high = highs[field];
			wanted->star[field] |= first;
			add_text(wanted, "*/%d", step, 0, 0);
		}
	}
	else if (kind <= 9)
	{
		low = lows[field];
		high = highs[field];
		wanted->star[field] |= first;
		add_text(wanted, "*", 0, 0, 0);
	}
	else
	{
		wanted->last_day = true;
		add_text(wanted, "$", 0, 0, 0);
		return;
	}
	for (int value = low; value <= high; value += step)
		wanted->values[field][value] = true;
}

static void
make_wanted(Wanted *wanted, Random *random)
{
	*wanted = (Wanted) {0};
	for (int field = 0; field < 5; field++)
	{
		/* Months and days are not narrowed down too often, or there would be no runs to look at. */
		bool		any = field >= 2 && !random_once_in(random, 3);
		int			items = any ? 1 : (int) random_in(random, 1, 3);

		if (field > 0)
			add_text(wanted, " ", 0, 0, 0);
		if (any)
		{
			add_text(wanted, "*", 0, 0, 0);
			wanted->star[field] = true;
			for (int value = lows[field]; value <= highs[field]; value++)
				wanted->values[field][value] = true;
			continue;
		}
		for (int i = 0; i < items; i++)
		{
			if (i > 0)
				add_text(wanted, ",", 0, 0, 0);
			add_item(wanted, random, field, i == 0);
		}
	}
}

static bool
is_last_day(const struct tm *tm)
{
	struct tm	tomorrow = *tm;

	tomorrow.tm_mday++;
	tomorrow.tm_isdst = 0;
	timegm(&tomorrow);
	return tomorrow.tm_mday == 1;
}

static bool
is_named(const Wanted *wanted, const struct tm *tm)
{
	bool		by_day;
	bool		by_weekday;

	if (!wanted->values[0][tm->tm_min] || !wanted->values[1][tm->tm_hour] || !wanted->values[3][tm->tm_mon + 1])
		return false;
	by_day = wanted->values[2][tm->tm_mday] || (wanted->last_day && is_last_day(tm));
	by_weekday = wanted->values[4][tm->tm_wday];
	return wanted->star[2] || wanted->star[4] ? by_day && by_weekday : by_day || by_weekday;
}

/* The clock on the wall from one minute to the next, as libc shows it. */
#define MAX_MINUTES (370 * 1440)

static struct
{
	int64_t		start_s;
	int			n;
	struct tm	shown[MAX_MINUTES];
}			wall;

static void
walk(const char *from, int days)
{
	wall.start_s = read_time(from);
	wall.n = days * 1440;
	for (int i = 0; i < wall.n; i++)
		wall.shown[i] = libc_local(wall.start_s + i * 60);
}

static int64_t
as_if_utc(int i)
{
	return wall.start_s + i * 60 + wall.shown[i].tm_gmtoff;
}

/* Whether one of the local times from from_s on, before to_s, is named. */
static bool
names_skipped(const Wanted *wanted, int64_t from_s, int64_t to_s)
{
	for (int64_t local_s = from_s; local_s < to_s; local_s += 60)
	{
		time_t		at = (time_t) local_s;
		struct tm	tm;

		gmtime_r(&at, &tm);
		if (is_named(wanted, &tm))
			return true;
	}
	return false;
}

/* Whether there is a run in this minute; "shown_s" is the latest local time before it. */
static bool
runs_at(const Wanted *wanted, int i, int64_t shown_s)
{
	if (wanted->star[1] || wanted->step[1])
		return is_named(wanted, &wall.shown[i]);
	if (as_if_utc(i) <= shown_s)
		return false;
	return is_named(wanted, &wall.shown[i]) || names_skipped(wanted, shown_s + 60, as_if_utc(i));
}

/*
 * From the second day on, when the latest local time is known.  Asked of each
 * run for the one after, and of some times between them.
 */
static void
compare(const Wanted *wanted, const CivilZone *zone, Random *random)
{
	Schedule	schedule = parse(wanted->text);
	int64_t		shown_s = as_if_utc(1439);
	int64_t		last_us = (wall.start_s + 1439 * 60) * SECOND_US;
	int			asked = 0;

	for (int i = 0; i < 1440; i++)
		shown_s = as_if_utc(i) > shown_s ? as_if_utc(i) : shown_s;
	for (int i = 1440; i < wall.n && asked < 3000; i++)
	{
		int64_t		at_us = (wall.start_s + i * 60) * SECOND_US;
		int64_t		next_us;

		if (runs_at(wanted, i, shown_s))
		{
			int64_t		between_us = random_in(random, last_us, at_us - 1);

			asked++;
			check(schedule_next(&schedule, zone, last_us, &next_us) && next_us == at_us,
				  "%s after %" PRId64 ": %" PRId64 ", want %" PRId64, wanted->text, last_us / SECOND_US,
				  next_us / SECOND_US, at_us / SECOND_US);
			check(schedule_next(&schedule, zone, between_us, &next_us) && next_us == at_us,
				  "%s after %" PRId64 ": %" PRId64 ", want %" PRId64, wanted->text, between_us / SECOND_US,
				  next_us / SECOND_US, at_us / SECOND_US);
			last_us = at_us;
		}
		if (as_if_utc(i) > shown_s)
			shown_s = as_if_utc(i);
	}
	if (asked == 0)
	{
		int64_t		next_us;
		bool		found = schedule_next(&schedule, zone, last_us, &next_us);

		check(!found || next_us >= (wall.start_s + wall.n * 60) * SECOND_US, "%s: %" PRId64, wanted->text,
			  next_us / SECOND_US);
	}
}

static void
walk_and_compare(const char *zone_name, const char *from, int days, int n, uint64_t seed)
{
	CivilZone	zone = libc_zone(zone_name);
	Random		random = {seed};
	char		name[128];

	snprintf(name, sizeof(name), "%s: %d random schedules, %d days from %s", zone_name, n, days, from);
	property_begin(name);
	walk(from, days);
	for (int i = 0; i < n; i++)
	{
		Wanted		wanted;

		make_wanted(&wanted, &random);
		compare(&wanted, &zone, &random);
	}
	property_end();
}

static void
minute_by_minute(void)
{
	walk_and_compare("UTC", "2023-12-30T00:00:00", 369, 15, 1);
	walk_and_compare("Europe/Paris", "2026-01-01T00:00:00", 366, 15, 2);
	walk_and_compare("America/New_York", "2012-01-01T00:00:00", 366, 15, 3);
	walk_and_compare("Africa/Casablanca", "2026-01-01T00:00:00", 366, 15, 4);
	walk_and_compare("Europe/Paris", "2026-03-27T00:00:00", 4, 80, 5);
	walk_and_compare("Europe/Paris", "2026-10-23T00:00:00", 4, 80, 6);
	walk_and_compare("Australia/Lord_Howe", "2026-04-03T00:00:00", 4, 80, 7);
	walk_and_compare("Australia/Lord_Howe", "2026-10-02T00:00:00", 4, 80, 8);
	walk_and_compare("America/Sao_Paulo", "2018-11-02T00:00:00", 4, 80, 9);
	walk_and_compare("America/Sao_Paulo", "2018-02-16T00:00:00", 4, 80, 10);
	walk_and_compare("Pacific/Apia", "2011-12-28T00:00:00", 5, 80, 11);
	walk_and_compare("Pacific/Kwajalein", "1969-09-28T00:00:00", 5, 80, 12);
	walk_and_compare("Asia/Kathmandu", "1985-12-30T00:00:00", 4, 80, 13);
	walk_and_compare("America/Juneau", "1983-10-28T00:00:00", 5, 80, 14);
}

/* ---- properties ---- */

static void
monotone(void)
{
	CivilZone	zone = libc_zone("Australia/Lord_Howe");
	Random		random = {20};

	property_begin("a later start has no earlier run; asking twice, and right before the run, gives the same");
	for (int i = 0; i < 8000; i++)
	{
		Wanted		wanted;
		Schedule	schedule;
		int64_t		a_us = random_in(&random, INT64_C(-4000000000), INT64_C(4000000000)) * SECOND_US + random_in(&random, 0, 999999);
		int64_t		b_us = a_us + random_scaled(&random, INT64_C(1000000) * SECOND_US);
		int64_t		of_a = INT64_MAX;
		int64_t		of_b = INT64_MAX;
		int64_t		again;

		make_wanted(&wanted, &random);
		schedule = parse(wanted.text);
		schedule_next(&schedule, &zone, a_us, &of_a);
		schedule_next(&schedule, &zone, b_us, &of_b);
		check(of_a > a_us && of_b > b_us && of_a <= of_b, "%s", wanted.text);
		check(of_a <= b_us || of_a == of_b, "%s", wanted.text);
		if (of_a == INT64_MAX)
			continue;
		check(schedule_next(&schedule, &zone, a_us, &again) && again == of_a, "%s", wanted.text);
		check(schedule_next(&schedule, &zone, of_a - 1, &again) && again == of_a, "%s", wanted.text);
	}
	property_end();
}

int
main(void)
{
	minute_by_minute();
	monotone();
	return tap_done();
}
