/*
 * tally.c
 *		See tally.h.
 *
 * A session that did SET TRANSACTION SNAPSHOT remembers the snapshot until the end
 * of that transaction.  After each COPY of a table it looks whether a backup has
 * announced this snapshot, and adds the number of rows that went out to the
 * memory of that backup.
 *
 * Locking: one LWLock guards the announcements and the memory of all of them.
 * Nothing is taken under it.  A segment is attached before; should its backup have
 * ended meanwhile, nobody reads what is added.
 */
#include "postgres.h"

#include "access/xact.h"
#include "backups/tally.h"
#include "catalog/namespace.h"
#include "core/compat.h"
#include "core/preload.h"
#include "core/sharedmem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "storage/dsm.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#define TALLY_MAGIC 0x70747479
/* Tables; 16 bytes each. */
#define TALLY_MAX 1000000
/* A snapshot is called XXXXXXXX-XXXXXXXX-N. */
#define SNAPSHOT_NAME_BYTES 40

/* One for each backend, at its number. */
typedef struct Announcement
{
	char		snapshot[SNAPSHOT_NAME_BYTES];	/* "": none */
	dsm_handle	memory;
	bool		missed;			/* something that was said found no place */
} Announcement;

typedef struct Announcements
{
	int			n;
	Announcement of[FLEXIBLE_ARRAY_MEMBER];
} Announcements;

typedef struct TallyLine
{
	Oid			table;
	uint64		rows;
} TallyLine;

/* In the segment of a backup. */
typedef struct TallyMemory
{
	uint32		magic;
	uint32		capacity;
	uint32		n;
	TallyLine	lines[FLEXIBLE_ARRAY_MEMBER];
} TallyMemory;

static Announcements *announcements;
static LWLock *tally_lock;
static ProcessUtility_hook_type previous_utility_hook;

/* Of this backend's own backup. */
static dsm_segment *segment;

/* The snapshot that a transaction of this session took over, and which transaction. */
static char imported[SNAPSHOT_NAME_BYTES];
static LocalTransactionId importer = InvalidLocalTransactionId;

/* ---- shared memory ---- */

/* Backends are numbered from 0 or from 1. */
static int
number_of_announcements(void)
{
	return MaxBackends + 1;
}

static Size
announcements_bytes(void)
{
	return add_size(offsetof(Announcements, of), mul_size(number_of_announcements(), sizeof(Announcement)));
}

static void
attach_memory(void *memory, LWLock *lock, bool is_new)
{
	announcements = memory;
	tally_lock = lock;
	if (is_new)
		announcements->n = number_of_announcements();
}

static const SharedMemory tally_memory = {"pattyly_backups", announcements_bytes, true, attach_memory};

/* ---- the backup ---- */

static void
announce(const char *snapshot, dsm_handle memory)
{
	Announcement *mine = &announcements->of[compat_backend_number()];

	LWLockAcquire(tally_lock, LW_EXCLUSIVE);
	strlcpy(mine->snapshot, snapshot, SNAPSHOT_NAME_BYTES);
	mine->memory = memory;
	mine->missed = false;
	LWLockRelease(tally_lock);
}

/* Also on the way out of this process. */
static void
on_detach(dsm_segment *detached, Datum argument)
{
	announce("", DSM_HANDLE_INVALID);
}

static dsm_segment *
make_segment(uint32 capacity)
{
	Size		bytes = add_size(offsetof(TallyMemory, lines), mul_size(capacity, sizeof(TallyLine)));
	dsm_segment *made = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	TallyMemory *memory;

	if (made == NULL)
		return NULL;
	dsm_pin_mapping(made);
	memory = dsm_segment_address(made);
	memory->magic = TALLY_MAGIC;
	memory->capacity = capacity;
	memory->n = 0;
	return made;
}

/* NULL after an error, too: neither a backup nor a dump fails because rows cannot be told. */
static dsm_segment *
try_to(dsm_segment *(*get) (uint32 what), uint32 what)
{
	MemoryContext memory = CurrentMemoryContext;
	dsm_segment *volatile got = NULL;

	PG_TRY();
	{
		got = get(what);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		FlushErrorState();
	}
	PG_END_TRY();
	return got;
}

bool
tally_begin(const char *snapshot, int64 tables)
{
	if (announcements == NULL || strlen(snapshot) >= SNAPSHOT_NAME_BYTES)
		return false;
	segment = try_to(make_segment, (uint32) Min(tables, TALLY_MAX));
	if (segment == NULL)
		return false;
	on_dsm_detach(segment, on_detach, (Datum) 0);
	announce(snapshot, dsm_segment_handle(segment));
	return true;
}

Tally
tally_read(void)
{
	TallyMemory *memory = dsm_segment_address(segment);
	StringInfoData tables;
	StringInfoData rows;
	uint32		n;
	bool		missed;

	initStringInfo(&tables);
	initStringInfo(&rows);
	LWLockAcquire(tally_lock, LW_SHARED);
	n = memory->n;
	missed = announcements->of[compat_backend_number()].missed;
	LWLockRelease(tally_lock);
	/* Lines are only ever added. */
	for (uint32 i = 0; i < n; i++)
	{
		appendStringInfo(&tables, "%c%u", i > 0 ? ',' : '{', memory->lines[i].table);
		appendStringInfo(&rows, "%c" UINT64_FORMAT, i > 0 ? ',' : '{', memory->lines[i].rows);
	}
	appendStringInfoString(&tables, n > 0 ? "}" : "{}");
	appendStringInfoString(&rows, n > 0 ? "}" : "{}");
	return (Tally) {tables.data, rows.data, n, missed};
}

void
tally_end(void)
{
	dsm_segment *ended = segment;

	segment = NULL;
	if (ended != NULL)
		dsm_detach(ended);
}

/* ---- the sessions that copy ---- */

static Announcement *
find_announcement(const char *snapshot)
{
	for (int i = 0; i < announcements->n; i++)
		if (strcmp(announcements->of[i].snapshot, snapshot) == 0)
			return &announcements->of[i];
	return NULL;
}

static dsm_handle
memory_for(const char *snapshot)
{
	const Announcement *announcement;
	dsm_handle	memory;

	LWLockAcquire(tally_lock, LW_SHARED);
	announcement = find_announcement(snapshot);
	memory = announcement != NULL ? announcement->memory : DSM_HANDLE_INVALID;
	LWLockRelease(tally_lock);
	return memory;
}

/* An attempt that failed leaves a mapping of nothing. */
static void
forget_mapping(dsm_handle handle)
{
	dsm_segment *left = dsm_find_mapping(handle);

	if (left != NULL)
		dsm_detach(left);
}

static bool
add_line(TallyMemory *memory, Oid table, uint64 rows)
{
	if (memory->magic != TALLY_MAGIC || memory->n >= memory->capacity)
		return false;
	memory->lines[memory->n] = (TallyLine) {table, rows};
	memory->n++;
	return true;
}

/* What finds no place is counted later, as is what nobody copies. */
static void
add(dsm_segment *of_backup, Oid table, uint64 rows)
{
	Announcement *announcement;

	LWLockAcquire(tally_lock, LW_EXCLUSIVE);
	announcement = find_announcement(imported);
	if (announcement != NULL &&
		(of_backup == NULL || !add_line(dsm_segment_address(of_backup), table, rows)))
		announcement->missed = true;
	LWLockRelease(tally_lock);
}

static void
say(Oid table, uint64 rows)
{
	dsm_handle	handle = memory_for(imported);
	dsm_segment *of_backup;

	if (handle == DSM_HANDLE_INVALID)
		return;
	of_backup = try_to(dsm_attach, handle);
	if (of_backup == NULL)
		forget_mapping(handle);
	add(of_backup, table, rows);
	if (of_backup != NULL)
		dsm_detach(of_backup);
}

static bool
has_imported(void)
{
	return importer != InvalidLocalTransactionId && importer == compat_local_transaction() && IsTransactionState();
}

/* Who may read all there is makes dumps.  Others could say something only to do harm. */
static bool
is_believed(void)
{
	return has_bypassrls_privilege(GetSessionUserId());
}

/* Policies hide rows, and what this transaction wrote is in no dump. */
static bool
sees_what_the_dump_sees(Oid table)
{
	return !TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		check_enable_rls(table, InvalidOid, true) != RLS_ENABLED;
}

static void
after_copy(const CopyStmt *copy, const QueryCompletion *completion)
{
	Oid			table;

	if (!has_imported() || completion == NULL || completion->commandTag != CMDTAG_COPY || !is_believed())
		return;
	/* COPY has locked it.  A name without a schema may be another one's by now. */
	table = RangeVarGetRelid(copy->relation, NoLock, true);
	if (OidIsValid(table) && sees_what_the_dump_sees(table))
		say(table, completion->nprocessed);
}

static void
after_set_snapshot(const VariableSetStmt *set)
{
	strlcpy(imported, strVal(&linitial_node(A_Const, set->args)->val), SNAPSHOT_NAME_BYTES);
	importer = compat_local_transaction();
}

static bool
sets_snapshot(const Node *statement)
{
	const VariableSetStmt *set = (const VariableSetStmt *) statement;

	return IsA(statement, VariableSetStmt) && set->kind == VAR_SET_MULTI && strcmp(set->name, "TRANSACTION SNAPSHOT") == 0;
}

static bool
copies_table_out(const Node *statement)
{
	const CopyStmt *copy = (const CopyStmt *) statement;

	return IsA(statement, CopyStmt) && !copy->is_from && copy->relation != NULL && copy->relation->schemaname != NULL;
}

static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;
	const Node *statement = pstmt->utilityStmt;
	/* Others than these may be gone when they have run, as after a ROLLBACK. */
	bool		takes_over = sets_snapshot(statement);
	bool		copies = copies_table_out(statement);

	next(pstmt, text, read_only_tree, context, params, environment, dest, completion);
	if (takes_over)
		after_set_snapshot((const VariableSetStmt *) statement);
	else if (copies)
		after_copy((const CopyStmt *) statement, completion);
}

void
tally_init(void)
{
	if (!preload_done())
		return;
	sharedmem_request(&tally_memory);
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
