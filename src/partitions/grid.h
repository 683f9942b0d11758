/*
 * grid.h
 *		Where the partitions of a set begin and end; gridtext.h has what they are called.
 *		Knows no PostgreSQL header, allocates nothing, raises nothing.
 *
 * A grid divides the line of keys into ranges, each from its lower bound up to
 * and without its upper one.  Keys are given as positions: numbers in the order
 * of the keys and in their own unit (see GridKey).  Times of day, days, weeks,
 * months and years are those that a clock in the grid's zone shows; a range
 * begins when the clock first shows its beginning or, if it skips that, when it
 * skips it.  An hour that the clock shows twice makes two ranges if the step is
 * no longer than what is repeated, and else lengthens its range.
 */
#ifndef PARTITIONS_GRID_H
#define PARTITIONS_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/civil.h"

typedef enum GridUnit
{
	GRID_ID,
	GRID_MINUTE,
	GRID_HOUR,
	GRID_DAY,
	GRID_WEEK,
	GRID_MONTH,
	GRID_YEAR
} GridUnit;

/* A width: of a partition, or of what is retained. */
typedef struct GridStep
{
	GridUnit	unit;
	int64_t		n;
} GridStep;

typedef enum GridKey
{
	GRID_TIMESTAMPTZ,			/* microseconds since 1970-01-01 UTC */
	GRID_TIMESTAMP,				/* the same, of a clock in the zone */
	GRID_DATE,					/* days since 1970-01-01 */
	GRID_INT2,
	GRID_INT4,
	GRID_INT8,
	GRID_INT4_S,				/* seconds since 1970-01-01 UTC */
	GRID_INT8_S,
	GRID_INT8_MS,
	GRID_UUIDV7					/* the first 8 bytes, the topmost bit turned over */
} GridKey;

#define GRID_UUID_TOP_BIT	INT64_MIN

typedef struct Grid
{
	GridStep	step;
	GridKey		key;
	CivilZone	zone;
} Grid;

typedef struct GridRange
{
	int64_t		from;
	int64_t		to;
	bool		from_open;		/* no lower bound: the grid's line is below all keys */
	bool		to_open;
	int64_t		from_s;			/* when it begins, on the clock of the grid */
} GridRange;

/* NULL, or why partitions so wide cannot have such a key. */
extern const char *grid_step_fault(GridStep step, GridKey key);

/* Whether "width" can never reach over a whole partition. */
extern bool grid_step_is_shorter(GridStep width, GridStep partition);

/* The position of a moment (microseconds since 1970-01-01 UTC); false when no key can say it, and for ids. */
extern bool grid_position(const Grid *grid, int64_t at_us, int64_t *position);

/* The range that a position lies in; false when no key can be there, or outside of the years 1 to 9999. */
extern bool grid_range(const Grid *grid, int64_t position, GridRange *range);

/* False at the end of the line. */
extern bool grid_next(const Grid *grid, const GridRange *range, GridRange *next);

/* The clock by which it goes: its zone's, or for keys that are what a clock shows, one that is never changed. */
extern CivilZone grid_clock(const Grid *grid);

/* Whether a clock that shows a time twice comes to a new range each time. */
extern bool grid_divides_repeat(GridStep step, CivilMoment moment);

/* The position "width" before this one; false when there is none. */
extern bool grid_before(const Grid *grid, int64_t position, GridStep width, int64_t *before);

#endif							/* PARTITIONS_GRID_H */
