/*
 * backups.c
 *		See backups.h: the settings.
 */
#include "postgres.h"

#include "backups/backups.h"
#include "backups/catalogue.h"
#include "backups/restoring.h"
#include "backups/stages.h"
#include "backups/tally.h"
#include "core/compat.h"
#include "jobs/chores.h"
#include "utils/guc.h"

/*
 * What the database hands over, and no secret is in it: the password, if there
 * must be one, is in the .pgpass of the server's account.
 */
#define DEFAULT_STAGES "[[\"pg_dump\", \"--format=custom\", \"--no-password\", \"--snapshot=%s\"]]"

char	   *backups_directory;
char	   *backups_location;
char	   *backups_stages;
char	   *backups_fetch_stages;
char	   *backups_remove_stages;
int			backups_timeout_s;
int			backups_rpo_min;

static bool
check_stages_for(const char *text, const char *placeholders)
{
	Stages		stages;
	const char *problem = *text ? stages_parse(text, placeholders, &stages) : NULL;

	if (problem == NULL)
		return true;
	GUC_check_errdetail("%s.", problem);
	GUC_check_errhint("Write an array of stages, each an array of a program and its arguments, such as "
					  "[[\"pg_dump\", \"--format=custom\"], [\"rclone\", \"rcat\", \"remote:backups/%%f\"]].");
	return false;
}

static bool
check_run_stages(char **newval, void **extra, GucSource source)
{
	return check_stages_for(*newval, STAGES_OF_RUN);
}

static bool
check_stored_stages(char **newval, void **extra, GucSource source)
{
	return check_stages_for(*newval, STAGES_OF_STORED);
}

static bool
check_location(char **newval, void **extra, GucSource source)
{
	const char *bad = placeholders_unknown(*newval, PLACEHOLDERS_OF_LOCATION);

	if (bad == NULL)
		return true;
	GUC_check_errdetail("Unknown placeholder \"%s\"; known are %s.", stages_placeholder(bad), PLACEHOLDERS_OF_LOCATION_TEXT);
	return false;
}

static bool
check_directory(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("It is a directory on the server, as an absolute path.");
	return false;
}

/* Where backups are written, and read from again; '': nowhere. */
static void
define_directory(void)
{
	DefineCustomStringVariable("pattyly.backup_directory",
							   "Directory of the server that backups are written into.",
							   NULL, &backups_directory, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_directory, NULL, NULL);
}

/*
 * Programs, each an array of arguments, no shell: each reads what the one before
 * writes.  What the last one writes is the backup, unless backup_location is set.
 */
static void
define_stages(void)
{
	DefineCustomStringVariable("pattyly.backup_stages",
							   "Programs that make a backup, as a JSON array of arrays of arguments.",
							   "The output of the last one is the backup; with pattyly.backup_location, it stores the backup.",
							   &backups_stages, DEFAULT_STAGES, PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_run_stages, NULL, NULL);
}

/* Where the last stage stores the backup, such as s3://bucket/%f; '': in a file of the directory. */
static void
define_location(void)
{
	DefineCustomStringVariable("pattyly.backup_location",
							   "Where the last stage stores a backup, such as s3://bucket/%f.",
							   "Empty: it is written into pattyly.backup_directory.",
							   &backups_location, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_location, NULL, NULL);
}

/* Programs that write a stored backup to their output again, and one that removes it. */
static void
define_stored_stages(void)
{
	DefineCustomStringVariable("pattyly.backup_fetch_stages",
							   "Programs that read a stored backup and write it to their output.",
							   NULL, &backups_fetch_stages, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_stored_stages, NULL, NULL);
	DefineCustomStringVariable("pattyly.backup_remove_stages",
							   "Programs that remove a stored backup.",
							   NULL, &backups_remove_stages, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_stored_stages, NULL, NULL);
}

/* How long a backup, or the verification of one, may take. */
static void
define_timeout(void)
{
	DefineCustomIntVariable("pattyly.backup_timeout",
							"Longest that a backup or its verification may take.",
							NULL, &backups_timeout_s, 12 * 3600, 1, 7 * 24 * 3600, PGC_SUSET, GUC_UNIT_S,
							NULL, NULL, NULL);
}

/* How old the last good backup may be: the recovery point objective. */
static void
define_rpo(void)
{
	DefineCustomIntVariable("pattyly.backup_rpo",
							"Age from which on the last good backup is overdue.",
							NULL, &backups_rpo_min, 26 * 60, 1, 366 * 24 * 60, PGC_SUSET, GUC_UNIT_MIN,
							NULL, NULL, NULL);
}

void
backups_init(void)
{
	define_directory();
	define_stages();
	define_location();
	define_stored_stages();
	define_timeout();
	define_rpo();
	incarnation_init();
	restoring_init();
	tally_init();
	chores_add(catalogue_close_lost);
}
