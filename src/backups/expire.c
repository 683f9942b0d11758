/*
 * expire.c
 *		CALL expire_backups(): removes what the plan of retention does not keep.
 *
 * One backup after the other: the plan is made anew under a lock, then there is
 * no transaction while the file goes, then the row says so.  Whoever dies in
 * between leaves a row whose file is gone, which the next call notices.  What
 * builds on others goes before them, so that no chain is ever left without its
 * beginning.
 */
#include "postgres.h"

#include "backups/backups.h"
#include "backups/catalogue.h"
#include "backups/client.h"
#include "backups/directory.h"
#include "backups/pipeline.h"
#include "backups/retentionplan.h"
#include "backups/words.h"
#include "commands/dbcommands.h"
#include "core/compat.h"
#include "core/fault.h"
#include "core/ownspi.h"
#include "core/procedure.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct Expiry
{
	MemoryContext memory;		/* of the call */
	int64	   *ids;			/* what the plan did not keep when it was announced, newest first */
	bool	   *tried;
	int			n;
	int			removed;
	int			failed;
} Expiry;

typedef enum RemovalEnd
{
	REMOVAL_DONE,
	REMOVAL_GONE,				/* there was no file any more */
	REMOVAL_SHARED,				/* the file is another one's as well, and stays */
	REMOVAL_FAILED
} RemovalEnd;

typedef struct Removal
{
	int64		id;
	char	   *label;
	char	   *reason;
	char	   *location;		/* NULL: nobody said */
	char	   *database;
	bool		trusted;		/* run_backup() or a superuser said where it is */
	int64		shared_with;	/* another backup at the same location; 0: none */
	const char *const *environment; /* made while catalogs can be read */
	RemovalEnd	end;
	ErrorData  *error;
} Removal;

PATTYLY_FUNCTION(pattyly_expire_backups);

/* ---- before ---- */

static void
announce(const RetentionPlan *plan, bool dry_run)
{
	int			n = 0;

	for (int k = 0; k < plan->n; k++)
	{
		int			i = plan->order[k];
		bool		keep = retention_keeps(plan->fates[i]);

		CHECK_FOR_INTERRUPTS();
		ereport(NOTICE,
				(errmsg("%s %s (id " INT64_FORMAT "): %s", keep ? "keep" : "expire", plan->details[i].label,
						plan->backups[i].id, retentionplan_reason(plan, i))));
		n += !keep;
	}
	if (dry_run)
		ereport(NOTICE,
				(errmsg("%d of %d backups would expire", n, plan->n),
				 errhint("CALL pattyly.expire_backups(dry_run => false) removes them.")));
}

static void
collect(Expiry *expiry, const RetentionPlan *plan)
{
	expiry->ids = palloc(sizeof(int64) * (plan->n + 1));
	expiry->tried = palloc0(sizeof(bool) * (plan->n + 1));
	for (int k = 0; k < plan->n; k++)
		if (!retention_keeps(plan->fates[plan->order[k]]))
			expiry->ids[expiry->n++] = plan->backups[plan->order[k]].id;
}

/* ---- the next one, under the lock ---- */

static bool *
find_children(const RetentionPlan *plan)
{
	bool	   *has_child = palloc0(sizeof(bool) * (plan->n + 1));

	for (int i = 0; i < plan->n; i++)
		if (plan->backups[i].parent >= 0)
			has_child[plan->backups[i].parent] = true;
	return has_child;
}

/* Its place in the plan as it is now; -1 when there is none any more. */
static int
next_of(Expiry *expiry, const RetentionPlan *plan)
{
	bool	   *has_child = find_children(plan);

	for (int j = 0; j < expiry->n; j++)
	{
		int			i = retentionplan_find(plan, expiry->ids[j]);

		if (expiry->tried[j] || i < 0 || retention_keeps(plan->fates[i]) || has_child[i])
			continue;
		expiry->tried[j] = true;
		return i;
	}
	return -1;
}

/* Those that only what could not be removed keeps back. */
static void
tell_left(const Expiry *expiry, const RetentionPlan *plan)
{
	for (int j = 0; j < expiry->n; j++)
	{
		int			i = retentionplan_find(plan, expiry->ids[j]);

		if (!expiry->tried[j] && i >= 0 && !retention_keeps(plan->fates[i]))
			ereport(NOTICE,
					(errmsg("backup %s (id " INT64_FORMAT ") stays as long as others build on it", plan->details[i].label,
							plan->backups[i].id)));
	}
}

/*
 * Of what run_backup() made or a superuser noted, others cannot say that it is
 * theirs as well; and what they noted must not have it removed by its label.
 */
static const char removal_query[] =
	"SELECT b.location, coalesce(b.database, current_database()), v.vouched::int::bigint,"
	"  (SELECT min(o.id) FROM pattyly.backups AS o"
	"   WHERE o.id <> b.id AND o.state IN ('running', 'done', 'suspect')"
	"     AND CASE WHEN pattyly.is_backup_vouched(o) THEN o.location = b.location OR NOT v.vouched AND $2 = 1 AND o.label = b.label"
	"              ELSE NOT v.vouched AND o.location = b.location END)"
	" FROM pattyly.backups AS b, LATERAL (SELECT pattyly.is_backup_vouched(b)) AS v (vouched) WHERE b.id = $1";

static void
read_removal(Removal *removal, const RetentionPlan *plan, int i)
{
	MemoryContext memory = CurrentMemoryContext;
	OwnSpi		own;
	OwnArgs		args = {0};

	removal->id = plan->backups[i].id;
	removal->label = plan->details[i].label;
	removal->reason = retentionplan_reason(plan, i);
	own_spi_begin(&own);
	own_arg_bigint(&args, removal->id);
	own_arg_bigint(&args, stages_have(backups_remove_stages, 'l') || stages_have(backups_remove_stages, 'f'));
	own_spi_run(removal_query, &args);
	removal->location = own_text(0, 1);
	if (removal->location)
		removal->location = MemoryContextStrdup(memory, removal->location);
	removal->database = MemoryContextStrdup(memory, own_text(0, 2));
	removal->trusted = own_bigint(0, 3) != 0;
	removal->shared_with = own_bigint(0, 4);
	own_spi_end(&own);
	removal->environment = client_environment(get_database_name(MyDatabaseId), removal->id, NULL);
}

/* ---- removing: no transaction ---- */

static void
remove_file(Removal *removal, const char *name)
{
	int			directory = directory_open();
	int			problem = directory_remove(directory, name);

	directory_close(&directory);
	if (problem == 0)
		return;
	if (problem != ENOENT)
	{
		errno = problem;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", directory_path(name)),
				 errhint("The server's account needs the right to write into the backup directory.")));
	}
	removal->end = REMOVAL_GONE;
}

#define LOWER_OR_DIGIT "abcdefghijklmnopqrstuvwxyz0123456789"

/*
 * s3://bucket/name: for no program a path of this server, wherever it starts from,
 * nor a pattern (s3cmd removes all that matches one), nor another backup's in
 * other letters.
 */
static bool
is_address(const char *location)
{
	const char *rest = location + strspn(location, LOWER_OR_DIGIT);

	if (rest == location || strncmp(rest, "://", 3) != 0 || strncmp(location, "file:", 5) == 0)
		return false;
	rest += 3;
	return rest[strspn(rest, LOWER_OR_DIGIT "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.+:@=/-")] == '\0' && *rest != '/' &&
		strstr(rest, "..") == NULL && strstr(rest, "//") == NULL && strstr(rest, "/./") == NULL;
}

/* Whoever may note a backup may not have any file removed. */
static void
must_be_credible(const Removal *removal)
{
	if (removal->location == NULL && (*backups_remove_stages == '\0' || stages_have(backups_remove_stages, 'o')))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nobody said where it is"),
				 errhint("A superuser writes it into its row of pattyly.backups, or removes it by hand and sets the state to expired.")));
	if (removal->location == NULL || removal->trusted || is_address(removal->location))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("a role that is no superuser said that it is at \"%s\"", removal->location),
			 errhint("Only addresses, such as s3://..., are taken from such a role; a superuser removes it by hand and sets the state to expired.")));
}

static const Placeholder *
placeholders_of(const Removal *removal)
{
	Placeholder *list = palloc0(sizeof(Placeholder) * 6);

	list[0] = (Placeholder) {'d', removal->database};
	list[1] = (Placeholder) {'l', removal->label};
	list[2] = (Placeholder) {'f', psprintf("%s.dump", removal->label)};
	list[3] = (Placeholder) {'i', psprintf(INT64_FORMAT, removal->id)};
	if (removal->location != NULL)
		list[4] = (Placeholder) {'o', removal->location};
	return list;
}

static void
start_stages(const Removal *removal)
{
	Stages		stages;

	stages_of_setting("pattyly.backup_remove_stages", backups_remove_stages, placeholders_of(removal), &stages);
	(void) program_start(&stages.stages[stages.n - 1], pipeline_chain(&stages, stages.n - 1), -1);
}

static void
must_have_succeeded(void)
{
	for (int i = 0; i < program_count(); i++)
	{
		const Program *program = program_at(i);

		if (program_exit_status(program) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					 errmsg("stage %d of pattyly.backup_remove_stages failed: %s", i + 1, program_describe_end(program)),
					 program->tail_length > 0 ? errdetail("%s", program->tail) : 0,
					 errhint("Run it by hand, as the server's account.")));
	}
}

static void
run_stages(Removal *removal)
{
	if (*backups_remove_stages == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is at \"%s\", and there is no program that removes it from there", removal->location),
				 errhint("A superuser sets pattyly.backup_remove_stages, such as '[[\"rclone\", \"deletefile\", \"%%o\"]]'.")));
	program_begin(removal->environment);
	program_set_deadline(backups_timeout_s);
	start_stages(removal);
	while (!program_look())
		program_wait(-1, false);
	must_have_succeeded();
}

static void
remove_backup(Removal *removal)
{
	const char *name = removal->location ? directory_file_of(removal->location) : NULL;

	if (removal->shared_with != 0)
	{
		removal->end = REMOVAL_SHARED;
		return;
	}
	must_be_credible(removal);
	if (name != NULL)
		remove_file(removal, name);
	else
		run_stages(removal);
	fault_point("backup_removed");
}

static void
try_to_remove(Removal *removal, MemoryContext memory)
{
	PG_TRY();
	{
		remove_backup(removal);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		removal->error = CopyErrorData();
		FlushErrorState();
		words_clean_error(removal->error);
		removal->end = REMOVAL_FAILED;
	}
	PG_END_TRY();
	program_end();
}

/* ---- after ---- */

static void
write_down(const Removal *removal)
{
	OwnSpi		own;
	OwnArgs		args = {0};

	catalogue_await_row(removal->id);
	own_spi_begin(&own);
	own_arg_bigint(&args, removal->id);
	if (removal->end == REMOVAL_FAILED)
	{
		own_arg_text(&args, words_of_error(removal->error));
		own_spi_run("UPDATE pattyly.backups SET annotations = annotations || jsonb_build_object('removal_error', $2) WHERE id = $1", &args);
	}
	else
		own_spi_run("UPDATE pattyly.backups SET state = 'expired', expired_at = pattyly.clock_now(),"
					" annotations = annotations - 'removal_error' WHERE id = $1 AND state IN ('done', 'suspect')", &args);
	own_spi_end(&own);
}

/* Even by a process that is told to go: what is gone is to be known. */
static void
end_row(const Removal *removal, MemoryContext memory)
{
	HOLD_INTERRUPTS();
	procedure_enter_transaction();
	write_down(removal);
	procedure_commit();
	catalogue_unlock_removal();
	MemoryContextSwitchTo(memory);
	RESUME_INTERRUPTS();
}

static void
warn_of_failure(const Removal *removal)
{
	const ErrorData *error = removal->error;

	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("backup %s (id " INT64_FORMAT ") could not be removed: %s", removal->label, removal->id,
					error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
}

static void
report_removal(const Removal *removal)
{
	switch (removal->end)
	{
		case REMOVAL_FAILED:
			warn_of_failure(removal);
			break;
		case REMOVAL_GONE:
			ereport(WARNING,
					(errcode(ERRCODE_UNDEFINED_FILE),
					 errmsg("backup %s (id " INT64_FORMAT ") has expired, but its file %s was gone already", removal->label,
							removal->id, removal->location),
					 errhint("Somebody else removed or moved it, or an earlier call was interrupted.")));
			break;
		case REMOVAL_SHARED:
			ereport(WARNING,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("backup %s (id " INT64_FORMAT ") has expired, but %s stays: it is also that of backup " INT64_FORMAT,
							removal->label, removal->id, removal->location ? removal->location : removal->label, removal->shared_with),
					 errhint("Give each backup a location of its own: what is overwritten is lost before it expires.")));
			break;
		case REMOVAL_DONE:
			ereport(NOTICE,
					(errmsg("backup %s (id " INT64_FORMAT ") has expired: %s", removal->label, removal->id, removal->reason)));
	}
}

/* ---- all of them ---- */

/* False when there is none left. */
static bool
expire_next(Expiry *expiry)
{
	MemoryContext memory = AllocSetContextCreate(expiry->memory, "expiry of one", ALLOCSET_DEFAULT_SIZES);
	Removal		removal = {0};
	RetentionPlan *plan;
	int			i;

	MemoryContextSwitchTo(memory);
	catalogue_lock_removal();
	plan = retentionplan_make();
	i = next_of(expiry, plan);
	if (i >= 0)
	{
		read_removal(&removal, plan, i);
		procedure_leave_transaction();
		MemoryContextSwitchTo(memory);
		try_to_remove(&removal, memory);
		end_row(&removal, memory);
		report_removal(&removal);
		expiry->failed += removal.end == REMOVAL_FAILED;
		expiry->removed += removal.end != REMOVAL_FAILED;
	}
	else
		tell_left(expiry, plan);
	MemoryContextSwitchTo(expiry->memory);
	MemoryContextDelete(memory);
	CHECK_FOR_INTERRUPTS();
	return i >= 0;
}

static void
expire(Expiry *expiry)
{
	RetentionPlan *plan;

	catalogue_lock_runs();
	catalogue_sweep();
	plan = retentionplan_make();
	announce(plan, false);
	collect(expiry, plan);
	procedure_commit();
	while (expire_next(expiry))
		;
	catalogue_unlock();
	if (expiry->failed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("%d of %d backups could not be removed", expiry->failed, expiry->failed + expiry->removed),
				 errhint("The warnings say why, and removal_error in the annotations of pattyly.backups; they are tried again with the next call.")));
}

/* (dry_run boolean) */
Datum
pattyly_expire_backups(PG_FUNCTION_ARGS)
{
	MemoryContext memory = AllocSetContextCreate(PortalContext, "expiry", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	Expiry		expiry = {.memory = memory};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("dry_run must not be null"),
				 errhint("Pass true to see what would expire, false to remove it.")));
	if (PG_GETARG_BOOL(0))
		announce(retentionplan_make(), true);
	else
	{
		procedure_must_stand_alone(fcinfo, "expire_backups");
		expire(&expiry);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	PG_RETURN_VOID();
}
