/* link: src/jobs/retry.c */
/*
 * How long a failed run waits: doubled until an hour, an eighth more or less,
 * and nothing that is given overflows.
 */
#include "jobs/retry.h"
#include "tap.h"
#include "random.h"

#include <inttypes.h>

#define SECOND_US	INT64_C(1000000)
#define MINUTE_US	(60 * SECOND_US)
#define HOUR_US		(60 * MINUTE_US)
#define DAY_US		(24 * HOUR_US)

/* A chance of a half changes nothing. */
static void
expect(int64_t delay_us, int attempt, int64_t want_us)
{
	int64_t		got_us = retry_delay_us(delay_us, attempt, 0.5);

	ok(got_us == want_us, "%" PRId64 " us, attempt %d: %" PRId64 ", want %" PRId64, delay_us, attempt,
	   got_us, want_us);
}

static void
test_doubling(void)
{
	expect(MINUTE_US, 1, MINUTE_US);
	expect(MINUTE_US, 2, 2 * MINUTE_US);
	expect(MINUTE_US, 3, 4 * MINUTE_US);
	expect(MINUTE_US, 6, 32 * MINUTE_US);
	expect(MINUTE_US, 7, HOUR_US);
	expect(MINUTE_US, 100, HOUR_US);
	expect(40 * MINUTE_US, 2, HOUR_US);
	expect(HOUR_US, 1, HOUR_US);
	expect(HOUR_US, 9, HOUR_US);
	expect(1, 32, INT64_C(1) << 31);
	expect(1, 33, HOUR_US);
}

/* Longer than the longest from the start: it stays. */
static void
test_long(void)
{
	expect(HOUR_US + 1, 1, HOUR_US + 1);
	expect(HOUR_US + 1, 50, HOUR_US + 1);
	expect(DAY_US, 3, DAY_US);
	expect(INT64_MAX / 2, 100, INT64_MAX / 2);
}

static void
test_none(void)
{
	ok(retry_delay_us(0, 1, 0) == 0 && retry_delay_us(0, 100, 1) == 0, "none stays none");
	ok(retry_delay_us(0, INT32_MAX, 0.5) == 0, "after any number of attempts");
	expect(MINUTE_US, 0, MINUTE_US);
	expect(MINUTE_US, -5, MINUTE_US);
}

static void
test_chance(void)
{
	ok(retry_delay_us(8 * SECOND_US, 1, 0) == 7 * SECOND_US, "the least is an eighth less");
	ok(retry_delay_us(8 * SECOND_US, 1, 1) == 9 * SECOND_US, "the most an eighth more");
	ok(retry_delay_us(HOUR_US, 5, 1) == HOUR_US / 8 * 9, "of the longest too");
}

static void
test_bounds(void)
{
	Random		random = {7};

	property_begin("between seven and nine eighths of what doubling gives, growing with the chance");
	for (int i = 0; i < 80000; i++)
	{
		int64_t		delay_us = random_in(&random, 0, DAY_US);
		int			attempt = (int) random_in(&random, 1, 101);
		double		chance = (double) random_in(&random, 0, 1000) / 1000;
		int64_t		even_us = retry_delay_us(delay_us, attempt, 0.5);
		int64_t		got_us = retry_delay_us(delay_us, attempt, chance);

		check(got_us >= even_us - even_us / 8 - 1 && got_us <= even_us + even_us / 8 + 1,
			  "%" PRId64 " of %" PRId64, got_us, even_us);
		check(even_us >= delay_us && even_us <= (delay_us > HOUR_US ? delay_us : HOUR_US),
			  "%" PRId64 " from %" PRId64, even_us, delay_us);
		check((chance >= 0.5) == (got_us >= even_us) || got_us == even_us, "chance %f", chance);
	}
	property_end();
}

int
main(void)
{
	test_doubling();
	test_long();
	test_none();
	test_chance();
	test_bounds();
	return tap_done();
}
