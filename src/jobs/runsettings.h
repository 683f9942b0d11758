/*
 * runsettings.h
 *		The settings of a job: a JSON object of names and values of the server's
 *		settings.
 */
#ifndef JOBS_RUNSETTINGS_H
#define JOBS_RUNSETTINGS_H

/* An error for what the current user could not set. */
extern void run_settings_check(const char *json);

/* Sets them for the session, as the current user. */
extern void run_settings_apply(const char *json);

#endif							/* JOBS_RUNSETTINGS_H */
