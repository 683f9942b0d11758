/*
 * schedule.c
 *		What a schedule's text means.  See schedule.h; nextrun.c tells the runs.
 */
#include "jobs/schedule.h"

#include <limits.h>
#include <string.h>

#define N_FIELDS 5
#define MAX_NUMBER INT64_C(1000000000)	/* larger ones count as this one */

typedef enum FieldFault
{
	FAULT_CHARACTER,
	FAULT_MISSING,
	FAULT_RANGE,
	FAULT_NAME,
	FAULT_REVERSED,
	FAULT_STEP_MISSING,
	FAULT_STEP_ZERO,
	FAULT_STEP_LARGE,
	FAULT_STEP_SINGLE,
	N_FAULTS
} FieldFault;

typedef struct Field
{
	int			low;
	int			high;
	const char *names;			/* three letters each */
	int			first_name;
	bool		has_last_day;
	const char *fault[N_FAULTS];
} Field;

#define FAULTS(field, low, high, names) { \
	[FAULT_CHARACTER] = "the " field " field holds a character that means nothing there", \
	[FAULT_MISSING] = "a value is missing in the " field " field", \
	[FAULT_RANGE] = "the " field " field takes values from " low " to " high, \
	[FAULT_NAME] = "the " field " field takes " names, \
	[FAULT_REVERSED] = "a range in the " field " field ends before it begins; write it as two, joined by a comma", \
	[FAULT_STEP_MISSING] = "a step in the " field " field is not a number", \
	[FAULT_STEP_ZERO] = "a step in the " field " field is 0; it must be at least 1", \
	[FAULT_STEP_LARGE] = "a step in the " field " field is larger than " high, \
	[FAULT_STEP_SINGLE] = "a step in the " field " field follows a single value; write a-b/step or */step"}

static const Field fields[N_FIELDS] = {
	{0, 59, "", 0, false, FAULTS("minute", "0", "59", "numbers, no names")},
	{0, 23, "", 0, false, FAULTS("hour", "0", "23", "numbers, no names")},
	{1, 31, "", 0, true, FAULTS("day-of-month", "1", "31", "numbers and $ for the last day, no names")},
	{1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1, false,
	FAULTS("month", "1", "12", "no other names than jan to dec")},
	{0, 7, "sunmontuewedthufrisat", 0, false,
	FAULTS("weekday", "0", "7", "no other names than sun to sat")},
};

enum
{
	MINUTE, HOUR, DAY, MONTH, WEEKDAY
};

/* What the text is read by; "fault" is the first one. */
typedef struct Reader
{
	const char *text;
	const char *at;
	const char *end;
	const char *fault;
	const char *fault_at;
} Reader;

typedef struct FieldValue
{
	uint64_t	bits;
	bool		star;			/* begins with one */
	bool		step;			/* has one */
	bool		last_day;
} FieldValue;

static bool
fail(Reader *reader, const char *at, const char *fault)
{
	reader->fault = fault;
	reader->fault_at = at;
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of ASCII only, whatever the locale. */
static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
}

static bool
is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static void
skip_blanks(Reader *reader)
{
	while (reader->at < reader->end && is_blank(*reader->at))
		reader->at++;
}

static size_t
word_length(const Reader *reader)
{
	const char *at = reader->at;

	while (at < reader->end && !is_blank(*at))
		at++;
	return at - reader->at;
}

/* The word at the reader, without regard to case. */
static bool
word_is(const Reader *reader, const char *word)
{
	size_t		length = word_length(reader);

	if (length != strlen(word))
		return false;
	for (size_t i = 0; i < length; i++)
		if (lower(reader->at[i]) != word[i])
			return false;
	return true;
}

/* False when there are no digits. */
static bool
read_number(Reader *reader, int64_t *number)
{
	const char *start = reader->at;

	*number = 0;
	while (reader->at < reader->end && is_digit(*reader->at))
	{
		*number = *number * 10 + (*reader->at++ - '0');
		if (*number > MAX_NUMBER)
			*number = MAX_NUMBER;
	}
	return reader->at > start;
}

static bool
at_char(const Reader *reader, char c)
{
	return reader->at < reader->end && *reader->at == c;
}

/* ---- a field ---- */

/* Those who come from Quartz and its like are told what it is called here. */
static bool
is_foreign(const char *word, size_t length)
{
	char		last = lower(word[length - 1]);

	if (memchr(word, '#', length) != NULL || memchr(word, '?', length) != NULL)
		return true;
	return (last == 'l' || last == 'w') && (length == 1 || is_digit(word[0]) || lower(word[0]) == 'l');
}

static bool
read_name(Reader *reader, const Field *field, int *value)
{
	const char *start = reader->at;
	size_t		length;

	while (reader->at < reader->end && is_letter(*reader->at))
		reader->at++;
	length = reader->at - start;
	for (const char *name = field->names; *name != '\0'; name += 3)
		if (length == 3 && lower(start[0]) == name[0] && lower(start[1]) == name[1] &&
			lower(start[2]) == name[2])
		{
			*value = field->first_name + (int) (name - field->names) / 3;
			return true;
		}
	return fail(reader, start, field->fault[FAULT_NAME]);
}

static bool
read_value(Reader *reader, const Field *field, int *value)
{
	const char *start = reader->at;
	int64_t		number;

	if (reader->at < reader->end && is_letter(*reader->at))
		return read_name(reader, field, value);
	if (!read_number(reader, &number))
	{
		bool		ends = reader->at == reader->end || is_blank(*reader->at) || *reader->at == ',';

		return fail(reader, start, field->fault[ends ? FAULT_MISSING : FAULT_CHARACTER]);
	}
	if (number < field->low || number > field->high)
		return fail(reader, start, field->fault[FAULT_RANGE]);
	*value = (int) number;
	return true;
}

/* What stands behind a slash. */
static bool
read_step(Reader *reader, const Field *field, int *step)
{
	const char *start = reader->at;
	int64_t		number;

	if (!read_number(reader, &number))
		return fail(reader, start, field->fault[FAULT_STEP_MISSING]);
	if (number == 0)
		return fail(reader, start, field->fault[FAULT_STEP_ZERO]);
	if (number > field->high)
		return fail(reader, start, field->fault[FAULT_STEP_LARGE]);
	*step = (int) number;
	return true;
}

/* The end of a range.  A week may end with its Sunday: fri-sun. */
static bool
read_range_end(Reader *reader, const Field *field, int low, int *high)
{
	const char *start = reader->at;

	if (!read_value(reader, field, high))
		return false;
	if (field == &fields[WEEKDAY] && *high == 0 && low > 0 && is_letter(*start))
		*high = 7;
	if (*high < low)
		return fail(reader, start, field->fault[FAULT_REVERSED]);
	return true;
}

/* One of a list: *, value, range, each but the value with a step. */
static bool
read_item(Reader *reader, const Field *field, FieldValue *result)
{
	int			low = field->low;
	int			high = field == &fields[WEEKDAY] ? 6 : field->high;
	int			step = 1;
	bool		single = false;

	if (field->has_last_day && at_char(reader, '$'))
	{
		reader->at++;
		result->last_day = true;
		return true;
	}
	if (at_char(reader, '*'))
		reader->at++;
	else if (!read_value(reader, field, &low))
		return false;
	else if (at_char(reader, '-'))
	{
		reader->at++;
		if (!read_range_end(reader, field, low, &high))
			return false;
	}
	else
	{
		high = low;
		single = true;
	}
	if (at_char(reader, '/'))
	{
		if (single)
			return fail(reader, reader->at, field->fault[FAULT_STEP_SINGLE]);
		reader->at++;
		if (!read_step(reader, field, &step))
			return false;
		result->step = true;
	}
	for (int value = low; value <= high; value += step)
		result->bits |= UINT64_C(1) << value;
	return true;
}

static bool
read_field(Reader *reader, const Field *field, FieldValue *result)
{
	const char *end = reader->at + word_length(reader);

	*result = (FieldValue) {.star = at_char(reader, '*')};
	if (is_foreign(reader->at, end - reader->at))
		return fail(reader, reader->at,
					"?, L, W and # are not known; * stands for any day and $ for the last of the month");
	for (;;)
	{
		if (!read_item(reader, field, result))
			return false;
		if (!at_char(reader, ','))
			break;
		reader->at++;
	}
	if (reader->at != end)
		return fail(reader, reader->at, field->fault[FAULT_CHARACTER]);
	return true;
}

/* ---- five fields ---- */

static bool
is_unit(const Reader *reader, const char *unit)
{
	size_t		length = strlen(unit);

	if (word_is(reader, unit))
		return true;
	return word_length(reader) == length + 1 && lower(reader->at[length]) == 's' &&
		word_is(&(Reader) {.at = reader->at, .end = reader->at + length}, unit);
}

/* The unit's seconds, 0 for another word. */
static int64_t
unit_s(const Reader *reader)
{
	if (is_unit(reader, "second"))
		return 1;
	if (is_unit(reader, "minute"))
		return 60;
	return is_unit(reader, "hour") ? 3600 : 0;
}

/* By the count of the words, which is told before anything about one of them. */
static bool
check_word_count(Reader reader, Reader *result)
{
	int			n = 0;

	for (skip_blanks(&reader); reader.at < reader.end; skip_blanks(&reader))
	{
		if (++n > N_FIELDS)
			return fail(result, reader.at,
						"there are more than five fields (minute, hour, day of month, month, weekday); seconds and years have none");
		if ((n == 2 || n == 3) && unit_s(&reader) != 0)
			return fail(result, result->at, "an interval begins with the word every, as in every 90 seconds");
		reader.at += word_length(&reader);
	}
	if (n < N_FIELDS)
		return fail(result, reader.end,
					"there are fewer than five fields (minute, hour, day of month, month, weekday)");
	return true;
}

static bool
read_fields(Reader *reader, Schedule *schedule)
{
	FieldValue	value[N_FIELDS];

	if (!check_word_count(*reader, reader))
		return false;
	for (int i = 0; i < N_FIELDS; i++)
	{
		if (!read_field(reader, &fields[i], &value[i]))
			return false;
		skip_blanks(reader);
	}
	schedule->kind = SCHEDULE_CRON;
	schedule->minutes = value[MINUTE].bits;
	schedule->hours = (uint32_t) value[HOUR].bits;
	schedule->days = (uint32_t) value[DAY].bits;
	schedule->months = (uint32_t) value[MONTH].bits;
	schedule->weekdays = (uint32_t) ((value[WEEKDAY].bits | value[WEEKDAY].bits >> 7) & 0x7f);
	schedule->last_day = value[DAY].last_day;
	schedule->day_star = value[DAY].star;
	schedule->weekday_star = value[WEEKDAY].star;
	schedule->follows_elapsed = value[HOUR].star || value[HOUR].step;
	return true;
}

/* ---- @names and intervals ---- */

static const struct
{
	const char *name;
	const char *means;			/* NULL: SCHEDULE_REBOOT */
}			at_names[] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@reboot", NULL},
};

static bool
read_end(Reader *reader, const char *fault)
{
	skip_blanks(reader);
	return reader->at == reader->end || fail(reader, reader->at, fault);
}

static bool
read_at_name(Reader *reader, Schedule *schedule)
{
	for (int i = 0; i < (int) (sizeof(at_names) / sizeof(at_names[0])); i++)
	{
		const char *means = at_names[i].means;

		if (!word_is(reader, at_names[i].name))
			continue;
		reader->at += word_length(reader);
		if (!read_end(reader, "nothing may follow the name of a schedule"))
			return false;
		schedule->kind = SCHEDULE_REBOOT;
		return means == NULL ||
			read_fields(&(Reader) {.text = means, .at = means, .end = means + strlen(means)}, schedule);
	}
	return fail(reader, reader->at,
				"the names are @hourly, @daily, @weekly, @monthly, @yearly and @reboot");
}

/* A number may be left out: every hour. */
static bool
read_every(Reader *reader, Schedule *schedule)
{
	const char *start;
	int64_t		number = 1;
	int64_t		seconds;

	reader->at += word_length(reader);
	skip_blanks(reader);
	start = reader->at;
	if (unit_s(reader) == 0)
	{
		if (!read_number(reader, &number) || (reader->at < reader->end && !is_blank(*reader->at)))
			return fail(reader, reader->at,
						"a whole number and seconds, minutes or hours must follow the word every");
		skip_blanks(reader);
	}
	seconds = unit_s(reader);
	if (seconds == 0)
		return fail(reader, reader->at, "the unit of an interval is seconds, minutes or hours");
	reader->at += word_length(reader);
	if (!read_end(reader, "nothing may follow the unit of an interval"))
		return false;
	if (number < 1)
		return fail(reader, start, "an interval lasts at least 1 second");
	if (number > SCHEDULE_MAX_EVERY_S / seconds)
		return fail(reader, start, "an interval lasts at most 366 days");
	schedule->kind = SCHEDULE_EVERY;
	schedule->every_s = number * seconds;
	return true;
}

static bool
read_schedule(Reader *reader, Schedule *schedule)
{
	skip_blanks(reader);
	if (reader->at == reader->end)
		return fail(reader, reader->at, "it is empty");
	if (*reader->at == '@')
		return read_at_name(reader, schedule);
	if (word_is(reader, "every"))
		return read_every(reader, schedule);
	return read_fields(reader, schedule);
}

const char *
schedule_parse(const char *text, size_t length, Schedule *schedule, int *at)
{
	Reader		reader = {.text = text, .at = text, .end = text + length};

	*schedule = (Schedule) {0};
	*at = 0;
	if (length > INT_MAX)
		return "it is too long";
	if (read_schedule(&reader, schedule))
		return NULL;
	*at = (int) (reader.fault_at - text);
	return reader.fault;
}
