/*
 * ownspi.h
 *		SQL on pattyly's own tables, as their owner, whoever calls and whatever
 *		his settings are.  The statements are constants of the library; values
 *		go as parameters.
 *
 * An error leaves everything to the abort of the (sub)transaction, which gives
 * the user and the settings back.
 */
#ifndef CORE_OWNSPI_H
#define CORE_OWNSPI_H

#include "datatype/timestamp.h"
#include "executor/spi.h"

typedef struct OwnSpi
{
	Oid			user;
	int			security;
	int			settings;
} OwnSpi;

extern void own_spi_begin(OwnSpi *own);
extern void own_spi_end(OwnSpi *own);

#define OWN_ARGS_MAX 24

typedef struct OwnArgs
{
	int			n;
	Oid			types[OWN_ARGS_MAX];
	Datum		values[OWN_ARGS_MAX];
	char		nulls[OWN_ARGS_MAX];
} OwnArgs;

extern void own_arg(OwnArgs *args, Oid type, Datum value, bool isnull);
extern void own_arg_bigint(OwnArgs *args, int64 value);
extern void own_arg_oid(OwnArgs *args, Oid value);
extern void own_arg_text(OwnArgs *args, const char *value);	/* NULL is null */
extern void own_arg_time(OwnArgs *args, TimestampTz value);	/* 0 is null */

/* Runs one statement; its rows are in SPI_tuptable.  Returns how many. */
extern uint64 own_spi_run(const char *statement, OwnArgs *args);

/* A column (from 1) of a row of SPI_tuptable. */
extern Datum own_column(uint64 row, int column, bool *isnull);
extern int64 own_bigint(uint64 row, int column);	/* 0 for null */
extern char *own_text(uint64 row, int column);	/* as text, NULL for null */

#endif							/* CORE_OWNSPI_H */
