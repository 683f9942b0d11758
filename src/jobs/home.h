/*
 * home.h
 *		Which database a job belongs to: in a copy of it (a restored dump, a
 *		cloned server) it does not run until somebody says so.
 */
#ifndef JOBS_HOME_H
#define JOBS_HOME_H

#include "core/ownspi.h"

/* Adds this server's identifier and this database as two parameters. */
extern void own_arg_home(OwnArgs *args);

#endif							/* JOBS_HOME_H */
