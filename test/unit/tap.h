/*
 * tap.h
 *		What every unit test needs: TAP output, and properties that are checked
 *		very often but reported once.
 *
 *	ok(x == 3, "three is %d", 3);
 *
 *	property_begin("never above full");
 *	for (...)
 *		check(units <= full, "units %d", units);
 *	property_end();
 *
 *	return tap_done();
 */
#ifndef TEST_UNIT_TAP_H
#define TEST_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TAP_FAILURES_SHOWN 5

static int	tap_tests;
static int	tap_failed;
static const char *property_name;
static int64_t property_checks;
static int64_t property_failures;

static inline void __attribute__((format(printf, 2, 3)))
ok(bool good, const char *name,...)
{
	va_list		args;

	tap_tests++;
	if (!good)
		tap_failed++;
	printf("%s %d - ", good ? "ok" : "not ok", tap_tests);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static inline void
property_begin(const char *name)
{
	property_name = name;
	property_checks = property_failures = 0;
}

static inline void __attribute__((format(printf, 2, 3)))
property_failed(const char *condition, const char *format,...)
{
	va_list		args;

	if (++property_failures > TAP_FAILURES_SHOWN)
		return;
	printf("# %s: not %s: ", property_name, condition);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* The arguments are evaluated for a failure only: there are millions of checks. */
#define check(good, ...) \
	do { \
		property_checks++; \
		if (!(good)) \
			property_failed(#good, __VA_ARGS__); \
	} while (0)

/* A property that nothing was checked of has not been shown. */
static inline void
property_end(void)
{
	ok(property_failures == 0 && property_checks > 0, "%s (%lld checks)", property_name,
	   (long long) property_checks);
}

static inline int
tap_done(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failed != 0 || tap_tests == 0;
}

#endif							/* TEST_UNIT_TAP_H */
