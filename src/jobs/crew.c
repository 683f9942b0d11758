/*
 * crew.c
 *		See crew.h.
 *
 * Locking: one LWLock guards all of it; exclusive for any change.  It is held
 * for a few stores, never across a wait or anything that can raise an error.
 * Processes are noted by their numbers and found in the process array.
 */
#include "postgres.h"

#include <signal.h>

#include "commands/extension.h"
#include "core/compat.h"
#include "core/sharedmem.h"
#include "core/transaction.h"
#include "jobs/crew.h"
#include "jobs/jobs.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

typedef struct CrewDatabase
{
	Oid			database;
	int			scheduler_pid;	/* 0: none */
	int			holder_pid;		/* wants no scheduler there; 0: nobody */
	bool		absent;			/* the extension was not there when last looked */
} CrewDatabase;

typedef struct Crew
{
	int			launcher_pid;
	CrewDatabase databases[CREW_DATABASES];
	CrewRun		runs[FLEXIBLE_ARRAY_MEMBER];
} Crew;

static Crew *crew;
static LWLock *crew_lock;

/* What this process is, for the way out. */
static bool is_launcher;
static bool is_scheduler;
static bool holds;
static int	my_place = -1;

static bool wake_wanted;
static bool launcher_wanted;
static bool keeps_books = true;

static Size
crew_bytes(void)
{
	return add_size(offsetof(Crew, runs), mul_size(jobs_max_running, sizeof(CrewRun)));
}

static void
attach_memory(void *memory, LWLock *lock, bool is_new)
{
	crew = memory;
	crew_lock = lock;
}

static const SharedMemory crew_memory = {"pattyly_jobs", crew_bytes, true, attach_memory};

static bool
is_alive(int pid)
{
	return pid != 0 && BackendPidGetProc(pid) != NULL;
}

static void
wake_process(int pid)
{
	PGPROC	   *proc = pid != 0 ? BackendPidGetProc(pid) : NULL;

	if (proc != NULL)
		SetLatch(&proc->procLatch);
}

static void
wake_launcher(void)
{
	int			pid;

	LWLockAcquire(crew_lock, LW_SHARED);
	pid = crew->launcher_pid;
	LWLockRelease(crew_lock);
	wake_process(pid);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!transaction_has_ended(event))
		return;
	if (wake_wanted && event == XACT_EVENT_COMMIT)
		crew_wake(MyDatabaseId);
	if (launcher_wanted)
		wake_launcher();
	wake_wanted = launcher_wanted = false;
}

void
crew_init(void)
{
	sharedmem_request(&crew_memory);
	RegisterXactCallback(at_transaction_end, NULL);
}

int
crew_size(void)
{
	return jobs_max_running;
}

/* ---- processes ---- */

/* The lock is held.  NULL: no place is left. */
static CrewDatabase *
find_database(Oid database)
{
	CrewDatabase *unused = NULL;

	/* An empty place is better than one that says where the extension is absent. */
	for (int i = 0; i < CREW_DATABASES; i++)
	{
		CrewDatabase *one = &crew->databases[i];

		if (one->database == database)
			return one;
		if ((unused == NULL || (OidIsValid(unused->database) && !OidIsValid(one->database))) &&
			one->scheduler_pid == 0 && !is_alive(one->holder_pid))
			unused = one;
	}
	if (unused != NULL)
		*unused = (CrewDatabase) {.database = database};
	return unused;
}

static void
leave(int code, Datum arg)
{
	int			launcher_pid;
	Oid			database = InvalidOid;

	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	if (is_launcher)
		crew->launcher_pid = 0;
	launcher_pid = crew->launcher_pid;
	for (int i = 0; i < CREW_DATABASES; i++)
	{
		if (is_scheduler && crew->databases[i].scheduler_pid == MyProcPid)
			crew->databases[i].scheduler_pid = 0;
		if (holds && crew->databases[i].holder_pid == MyProcPid)
			crew->databases[i].holder_pid = 0;
	}
	if (my_place >= 0)
	{
		crew->runs[my_place].state = CREW_ENDED;
		database = crew->runs[my_place].database;
	}
	LWLockRelease(crew_lock);
	if (is_scheduler || holds)
		wake_process(launcher_pid);
	if (OidIsValid(database))
		crew_wake(database);
	is_launcher = is_scheduler = holds = false;
	my_place = -1;
}

/* Once per process, because there is room for few callbacks. */
static void
leave_at_exit(void)
{
	static bool registered;

	if (!registered)
		before_shmem_exit(leave, (Datum) 0);
	registered = true;
}

void
crew_enter_launcher(void)
{
	leave_at_exit();
	is_launcher = true;
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	crew->launcher_pid = MyProcPid;
	LWLockRelease(crew_lock);
}

bool
crew_enter_scheduler(void)
{
	CrewDatabase *mine;

	leave_at_exit();
	is_scheduler = true;
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	mine = find_database(MyDatabaseId);
	if (mine == NULL || mine->scheduler_pid != 0 || is_alive(mine->holder_pid))
		is_scheduler = false;
	else
		mine->scheduler_pid = MyProcPid;
	LWLockRelease(crew_lock);
	return is_scheduler;
}

/* What is noted of a database; all zero when nothing is. */
static CrewDatabase
look_up(Oid database)
{
	CrewDatabase found = {0};

	if (crew == NULL)
		return found;
	LWLockAcquire(crew_lock, LW_SHARED);
	for (int i = 0; i < CREW_DATABASES; i++)
		if (crew->databases[i].database == database)
			found = crew->databases[i];
	LWLockRelease(crew_lock);
	return found;
}

bool
crew_has_scheduler(Oid database)
{
	return look_up(database).scheduler_pid != 0;
}

bool
crew_is_absent(Oid database)
{
	return look_up(database).absent;
}

bool
crew_is_held(Oid database)
{
	return is_alive(look_up(database).holder_pid);
}

void
crew_note_absence(Oid database, bool absent)
{
	CrewDatabase *one;

	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	one = find_database(database);
	if (one != NULL)
		one->absent = absent;
	LWLockRelease(crew_lock);
}

void
crew_hold(Oid database)
{
	CrewDatabase *one;
	int			pid = 0;

	leave_at_exit();
	holds = true;
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	one = find_database(database);
	if (one != NULL)
	{
		one->holder_pid = MyProcPid;
		pid = one->scheduler_pid;
	}
	LWLockRelease(crew_lock);
	wake_process(pid);
}

void
crew_let_go(void)
{
	if (!holds)
		return;
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	for (int i = 0; i < CREW_DATABASES; i++)
		if (crew->databases[i].holder_pid == MyProcPid)
			crew->databases[i].holder_pid = 0;
	LWLockRelease(crew_lock);
	holds = false;
	/* Before the end of the transaction it would see the old name of the database. */
	launcher_wanted = true;
}

/* The scheduler knows what it did, and learns of a worker's end anyway; but a command may schedule jobs itself. */
void
crew_wake_at_commit(void)
{
	wake_wanted = crew != NULL && !is_scheduler && (my_place < 0 || !keeps_books);
}

void
crew_keep_books(bool on)
{
	keeps_books = on;
}

void
crew_wake(Oid database)
{
	int			pid = 0;

	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	for (int i = 0; i < CREW_DATABASES; i++)
		if (crew->databases[i].database == database)
		{
			crew->databases[i].absent = false;
			pid = crew->databases[i].scheduler_pid;
		}
	if (pid == 0)
		pid = crew->launcher_pid;
	LWLockRelease(crew_lock);
	wake_process(pid);
}

/* ---- runs ---- */

Oid
crew_extension(void)
{
	return get_extension_oid("pattyly", true);
}

/* The lock is held.  Its database has gone, or has no jobs any more: nobody else will free the place. */
static bool
is_abandoned(const CrewRun *run)
{
	if (run->state != CREW_ENDED)
		return false;
	for (int i = 0; i < CREW_DATABASES; i++)
		if (crew->databases[i].database == run->database && crew->databases[i].scheduler_pid != 0)
			return false;
	return true;
}

int
crew_give(int64 run_id, int64 job_id, Oid role)
{
	TimestampTz now = GetCurrentTimestamp();
	Oid			extension = crew_extension();
	int			place = -1;

	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	for (int i = 0; i < jobs_max_running && place < 0; i++)
		if (crew->runs[i].state == CREW_FREE)
			place = i;
	for (int i = 0; i < jobs_max_running && place < 0; i++)
		if (is_abandoned(&crew->runs[i]))
			place = i;
	if (place >= 0)
		crew->runs[place] = (CrewRun) {.state = CREW_GIVEN, .run_id = run_id, .job_id = job_id,
			.database = MyDatabaseId, .role = role, .extension = extension, .given_at = now};
	LWLockRelease(crew_lock);
	return place;
}

/* A place whose worker is at work stays as it is. */
void
crew_free(int place, int64 run_id)
{
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	if (crew->runs[place].run_id == run_id && crew->runs[place].state != CREW_TAKEN)
		crew->runs[place].state = CREW_FREE;
	LWLockRelease(crew_lock);
}

bool
crew_take_back(int place, int64 run_id)
{
	CrewRun    *run = &crew->runs[place];
	bool		taken_back;

	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	taken_back = run->state == CREW_GIVEN && run->run_id == run_id;
	if (taken_back)
		run->state = CREW_ENDED;
	LWLockRelease(crew_lock);
	return taken_back;
}

bool
crew_take(int place, int64 run_id, CrewRun *run)
{
	bool		mine;

	leave_at_exit();
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	mine = place >= 0 && place < jobs_max_running &&
		crew->runs[place].state == CREW_GIVEN && crew->runs[place].run_id == run_id;
	if (mine)
	{
		crew->runs[place].state = CREW_TAKEN;
		crew->runs[place].pid = MyProcPid;
		*run = crew->runs[place];
		my_place = place;
	}
	LWLockRelease(crew_lock);
	return mine;
}

/* Without the lock, because a dying process may say it anywhere; nobody reads it before the place has ended. */
void
crew_say_why(int place, const char *sqlstate, const char *message)
{
	int			length;

	strlcpy(crew->runs[place].sqlstate, sqlstate, sizeof(crew->runs[place].sqlstate));
	length = pg_mbcliplen(message, (int) strlen(message), CREW_MESSAGE - 1);
	memcpy(crew->runs[place].message, message, length);
	crew->runs[place].message[length] = '\0';
}

bool
crew_was_canceled(int place)
{
	bool		canceled;

	LWLockAcquire(crew_lock, LW_SHARED);
	canceled = crew->runs[place].cancel;
	LWLockRelease(crew_lock);
	return canceled;
}

int
crew_list(CrewRun *runs, int *places)
{
	int			n = 0;

	LWLockAcquire(crew_lock, LW_SHARED);
	for (int i = 0; i < jobs_max_running; i++)
		if (crew->runs[i].state != CREW_FREE && crew->runs[i].database == MyDatabaseId)
		{
			places[n] = i;
			runs[n++] = crew->runs[i];
		}
	LWLockRelease(crew_lock);
	return n;
}

/* The lock keeps the worker from leaving, so that no other process has its number when the signal arrives. */
void
crew_cancel(int64 job_id)
{
	Oid			extension = crew_extension();

	if (crew == NULL)
		return;
	LWLockAcquire(crew_lock, LW_EXCLUSIVE);
	for (int i = 0; i < jobs_max_running; i++)
	{
		CrewRun    *run = &crew->runs[i];

		if (run->job_id != job_id || run->database != MyDatabaseId || run->extension != extension ||
			(run->state != CREW_GIVEN && run->state != CREW_TAKEN))
			continue;
		run->cancel = true;
		if (run->state == CREW_TAKEN)
			kill(run->pid, SIGINT);
	}
	LWLockRelease(crew_lock);
}
