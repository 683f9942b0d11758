/*
 * gridtext.h
 *		A grid (grid.h) in words: the steps that users write, the bounds that PostgreSQL
 *		reads, the names of partitions.
 *		Knows no PostgreSQL header, allocates nothing, raises nothing.
 */
#ifndef PARTITIONS_GRIDTEXT_H
#define PARTITIONS_GRIDTEXT_H

#include "partitions/grid.h"

/* All with the byte at the end. */
#define GRID_SUFFIX_SIZE	64
#define GRID_NAME_SIZE		64
#define GRID_VALUE_SIZE		64

/* NULL, or what is wrong with the text: "1 year", "15 minutes", "100000". */
extern const char *grid_parse_step(const char *text, GridStep *step);

/* A position as PostgreSQL reads a key, whatever its settings of time. */
extern void grid_value(GridKey key, int64_t position, char *value);

extern void grid_suffix(const Grid *grid, const GridRange *range, char *suffix);

/* The table's name (in UTF-8 or single bytes), shortened by whole characters, and all of the suffix. */
extern void grid_name(const char *table, const char *suffix, char *name);

#endif							/* PARTITIONS_GRIDTEXT_H */
