/*
 * program.c
 *		See program.h.
 *
 * The programs of a set form a process group.  Its leader is a process of ours,
 * the keeper, which does nothing but read from a pipe whose other end only this
 * backend has: when this backend is gone, by whatever way, the read ends and the
 * keeper kills the group.  Should the keeper be killed, this backend notices and
 * ends the set: without one, what a program has started in turn would outlive us.
 *
 * As long as a set is on, what programs have started and left behind becomes a
 * child of this backend.  In a container the postmaster may be process 1, whose
 * children orphans are otherwise, and he takes the death of one for a crash of his.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "backups/child.h"
#include "backups/program.h"
#include "core/compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "utils/memutils.h"

#define LOOK_EVERY_MS	100
/* DROP DATABASE ... WITH (FORCE) gives up after 5 seconds. */
#define GRACE_MS		2000
/* The stages, and what is run one after the other before and after them; they are kept until the set ends. */
#define PROGRAMS_MAX	(STAGES_MAX + 16)
/* Of a chain of stages, one pipe each, what they complain to, and what is spoken with sessions. */
#define PIPE_ENDS_MAX	(4 * PROGRAMS_MAX)
#define PATH			"PATH=/usr/local/bin:/usr/bin:/bin"

static Program *programs[PROGRAMS_MAX];
static int	n_programs;
static pid_t keeper;			/* also the number of the group; 0: no set is on */
static int	keeper_fd = -1;
static int	pipe_ends[PIPE_ENDS_MAX];	/* that are open; what an error leaves is closed with the set */
static int	n_pipe_ends;
static char **programs_environment;
static MemoryContext memory;
static instr_time deadline_start;
static int	deadline_s;

/* ---- descriptors ---- */

static void
remember_pipe(const int fds[2])
{
	for (int i = 0; i < 2; i++)
	{
		pipe_ends[n_pipe_ends++] = fds[i];
		ReserveExternalFD();
	}
}

static bool
forget_pipe_end(int fd)
{
	for (int i = 0; i < n_pipe_ends; i++)
		if (pipe_ends[i] == fd)
		{
			pipe_ends[i] = pipe_ends[--n_pipe_ends];
			return true;
		}
	return false;
}

void
program_pipe(int fds[2])
{
	if (n_pipe_ends + 2 > PIPE_ENDS_MAX)
		elog(ERROR, "too many pipes");
	if (pipe(fds) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not make a pipe: %m"),
				 errhint("The server's account may have too many files open.")));
	remember_pipe(fds);
	for (int i = 0; i < 2; i++)
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
			elog(ERROR, "fcntl failed: %m");
}

/* After the set has ended there is nothing left to close, and the number may be another's. */
void
program_close(int *fd)
{
	if (*fd >= 0 && forget_pipe_end(*fd))
	{
		close(*fd);
		ReleaseExternalFD();
	}
	*fd = -1;
}

static void
close_pipes(void)
{
	while (n_pipe_ends > 0)
	{
		int			fd = pipe_ends[0];

		program_close(&fd);
	}
}

static void
set_nonblocking(int fd)
{
	int			flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		elog(ERROR, "fcntl failed: %m");
}

/* ---- a set ---- */

/*
 * A program may have left the group and made one of its own, as timeout(1) and
 * setsid(1) do.  What has not been reaped keeps its number.
 */
static void
kill_all(int signal_number)
{
	if (keeper == 0)
		return;
	(void) kill(-keeper, signal_number);
	for (int i = 0; i < n_programs; i++)
		if (!programs[i]->ended && kill(-programs[i]->pid, signal_number) != 0)
			(void) kill(programs[i]->pid, signal_number);
}

static void
adopt_orphans(bool on)
{
#ifdef PR_SET_CHILD_SUBREAPER
	(void) prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0);
#endif
}

static bool
is_started(pid_t pid)
{
	for (int i = 0; i < n_programs; i++)
		if (programs[i]->pid == pid)
			return true;
	return pid == keeper;
}

/* Who was started is asked for himself: his status is wanted. */
static void
bury_orphans(void)
{
	for (;;)
	{
		siginfo_t	end = {0};

		if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0 || is_started(end.si_pid))
			return;
		(void) waitpid(end.si_pid, NULL, WNOHANG);
	}
}

static void kill_at_exit(int code, Datum argument);

static void
start_keeper(void)
{
	int			fds[2];

	program_pipe(fds);
	keeper = child_fork();
	if (keeper == 0)
	{
		close(fds[1]);
		child_keep(fds[0]);
	}
	program_close(&fds[0]);
	keeper_fd = fds[1];
	if (keeper < 0)
	{
		keeper = 0;
		program_close(&keeper_fd);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a process: %m"),
				 errhint("The system has too many processes, or too little memory.")));
	}
	/* The child does the same; whoever comes first. */
	(void) setpgid(keeper, keeper);
}

static int
add_inherited(char **environment, int n)
{
	static const char *const names[] = {"HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"};

	for (int i = 0; i < lengthof(names); i++)
		if (getenv(names[i]) != NULL)
			environment[n++] = psprintf("%s=%s", names[i], getenv(names[i]));
	return n;
}

/* What the server was started with is nobody else's business. */
static char **
make_environment(const char *const *more)
{
	int			n = 0;
	int			count = 0;
	char	  **environment;

	while (more[count] != NULL)
		count++;
	environment = palloc(sizeof(char *) * (count + 16));
	environment[n++] = PATH;
	n = add_inherited(environment, n);
	/* Whose fault an error is, is known from its words. */
	environment[n++] = "LC_MESSAGES=C";
	for (int i = 0; i < count; i++)
		environment[n++] = pstrdup(more[i]);
	environment[n] = NULL;
	return environment;
}

void
program_begin(const char *const *more)
{
	static bool registered;
	MemoryContext caller;

	if (keeper != 0)
		elog(ERROR, "programs are running already");
	if (!registered)
		before_shmem_exit(kill_at_exit, (Datum) 0);
	registered = true;
	/* Of a set that did not begin. */
	if (memory)
		MemoryContextDelete(memory);
	memory = AllocSetContextCreate(TopMemoryContext, "pattyly programs", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(memory);
	programs_environment = make_environment(more);
	MemoryContextSwitchTo(caller);
	n_programs = 0;
	deadline_s = 0;
	start_keeper();
	adopt_orphans(true);
}

/* The number of /dev/null is needed for a moment only, and -1 if it cannot be had: the child will say so. */
static int
open_null(int *null)
{
	*null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *null;
}

static void
spawn(Program *program, const Stage *stage, int in, int out, int errors)
{
	pid_t		parent = getpid();
	int			null = -1;
	const int	fds[3] = {in >= 0 ? in : open_null(&null), out >= 0 ? out : null >= 0 ? null : open_null(&null), errors};

	program->pid = child_fork();
	if (program->pid == 0)
		child_become(stage, fds, programs_environment, keeper, parent);
	if (program->pid > 0)
		(void) setpgid(program->pid, keeper);
	if (null >= 0)
		close(null);
}

Program *
program_start(const Stage *stage, int in, int out)
{
	Program    *program = MemoryContextAllocZero(memory, sizeof(Program));
	int			errors[2];

	if (n_programs == PROGRAMS_MAX)
		elog(ERROR, "more than %d programs", PROGRAMS_MAX);
	program_pipe(errors);
	program->name = MemoryContextStrdup(memory, strrchr(stage->args[0], '/') + 1);
	spawn(program, stage, in, out, errors[1]);
	program_close(&in);
	program_close(&out);
	program_close(&errors[1]);
	if (program->pid < 0)
	{
		program_close(&errors[0]);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start program \"%s\": %m", program->name),
				 errhint("The system has too many processes, or too little memory.")));
	}
	program->error_fd = errors[0];
	set_nonblocking(program->error_fd);
	programs[n_programs++] = program;
	return program;
}

int
program_count(void)
{
	return n_programs;
}

Program *
program_at(int i)
{
	return programs[i];
}

/* ---- watching ---- */

/* Half of a line might be half of a secret, whose name is gone. */
static void
begin_at_line(Program *program)
{
	size_t		over = strcspn(program->tail, "\r\n");

	program->is_cut = program->tail[over] == '\0';
	if (!program->is_cut)
		over++;
	program->tail_length -= over;
	memmove(program->tail, program->tail + over, program->tail_length + 1);
}

static void
keep_tail(Program *program, const char *text, int length)
{
	int			over = Max(0, length - PROGRAM_TAIL_BYTES);

	program->is_cut |= over > 0;
	text += over;
	length -= over;
	over = Max(0, program->tail_length + length - PROGRAM_TAIL_BYTES);
	program->is_cut |= over > 0;
	program->tail_length -= over;
	memmove(program->tail, program->tail + over, program->tail_length);
	memcpy(program->tail + program->tail_length, text, length);
	program->tail_length += length;
	program->tail[program->tail_length] = '\0';
	if (program->is_cut)
		begin_at_line(program);
}

static void
read_errors(Program *program)
{
	char		buffer[4096];
	ssize_t		length;

	while (program->error_fd >= 0)
	{
		length = read(program->error_fd, buffer, sizeof(buffer));
		if (length > 0)
			keep_tail(program, buffer, (int) length);
		else if (length == 0)
			program_close(&program->error_fd);
		else if (errno != EINTR)
			return;
	}
}

bool
program_look(void)
{
	bool		all = true;

	for (int i = 0; i < n_programs; i++)
	{
		Program    *program = programs[i];

		if (!program->ended)
			program->ended = waitpid(program->pid, &program->status, WNOHANG) == program->pid;
		read_errors(program);
		all &= program->ended;
	}
	bury_orphans();
	return all;
}

void
program_set_deadline(int timeout_s)
{
	INSTR_TIME_SET_CURRENT(deadline_start);
	deadline_s = timeout_s;
}

static void
check_deadline(void)
{
	instr_time	now;

	if (deadline_s == 0)
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, deadline_start);
	if (INSTR_TIME_GET_DOUBLE(now) >= deadline_s)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("programs were not done within %d seconds", deadline_s),
				 errhint("Look at what they waited for, or raise pattyly.backup_timeout.")));
}

/* Not reaped, so that its number stays that of the group. */
static void
check_keeper(void)
{
	siginfo_t	end = {0};

	if (keeper == 0 || waitid(P_PID, keeper, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid != keeper)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OPERATOR_INTERVENTION),
			 errmsg("the process that guards the programs was killed"),
			 errhint("The system may be short of memory: look into its log, and run it again.")));
}

/* The server looks after client_connection_check_interval; what it finds ends the process as soon as it may. */
static void
check_client(void)
{
	if (CheckClientConnectionPending && !pq_check_connection())
		ClientConnectionLost = true;
	if (!ClientConnectionLost)
		return;
	InterruptPending = true;
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("the connection to the client was lost"),
			 errhint("Run it again, best as a job: SELECT pattyly.schedule_job(...).")));
}

/*
 * What ends the process or the statement is an ordinary error here, and is left
 * pending: first it has to be written down what became of the backup.
 */
void
program_check(void)
{
	/* Others wait until every process has heard of a dropped database, whatever it does. */
	if (ProcSignalBarrierPending)
		ProcessProcSignalBarrier();
	check_deadline();
	/* Whoever cleans up must not be interrupted again. */
	if (InterruptHoldoffCount > 0)
		return;
	check_keeper();
	if (ProcDiePending)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("the process was terminated, or the server shut down"),
				 errhint("Run it again.")));
	if (QueryCancelPending)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceled, by a user or by a timeout of the statement or the job"),
				 errhint("Run it again.")));
	check_client();
	CHECK_FOR_INTERRUPTS();
}

void
program_wait(int fd, bool to_write)
{
	static uint32 wait_event;
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (fd >= 0)
		events |= to_write ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
	if (wait_event == 0)
		wait_event = compat_wait_event("PattylyProgram");
	(void) WaitLatchOrSocket(MyLatch, events, fd >= 0 ? fd : PGINVALID_SOCKET, LOOK_EVERY_MS, wait_event);
	ResetLatch(MyLatch);
	program_check();
	(void) program_look();
}

void
program_wait_for(const Program *program)
{
	while (!program->ended)
		program_wait(program->error_fd, false);
	(void) program_look();
}

/* ---- the end ---- */

static void
wait_for_end(int patience_ms)
{
	for (int waited_ms = 0; waited_ms < patience_ms && !program_look(); waited_ms += 10)
		pg_usleep(10 * 1000);
}

/* Killed, so that they end at once; unless the system itself holds one, on a dead network disk. */
static bool
bury_group(void)
{
	pid_t		buried = 0;

	(void) waitpid(keeper, NULL, 0);
	for (int waited_ms = 0; waited_ms < GRACE_MS; waited_ms += 10)
	{
		while ((buried = waitpid(-keeper, NULL, WNOHANG)) > 0)
			;
		if (buried < 0)
			break;
		pg_usleep(10 * 1000);
	}
	return buried < 0;
}

static void
reap(void)
{
	bool		all;

	wait_for_end(GRACE_MS);
	all = program_look();
	all &= bury_group();
	if (!all)
		ereport(LOG,
				(errmsg("a program that was killed does not end"),
				 errhint("The system may wait for a disk or a network that does not answer.")));
	adopt_orphans(false);
}

static void
kill_at_exit(int code, Datum argument)
{
	kill_all(SIGKILL);
	if (keeper != 0)
		reap();
}

/* Interrupts wait: whoever ends the set is on his way out already. */
void
program_end(void)
{
	if (keeper == 0)
		return;
	HOLD_INTERRUPTS();
	if (!program_look())
	{
		kill_all(SIGTERM);
		wait_for_end(GRACE_MS);
	}
	kill_all(SIGKILL);
	reap();
	keeper = 0;
	program_close(&keeper_fd);
	close_pipes();
	n_programs = 0;
	MemoryContextDelete(memory);
	memory = NULL;
	RESUME_INTERRUPTS();
}

int
program_exit_status(const Program *program)
{
	return WIFSIGNALED(program->status) ? -WTERMSIG(program->status) : WEXITSTATUS(program->status);
}

char *
program_describe_end(const Program *program)
{
	int			status = program_exit_status(program);

	return status < 0 ? psprintf("%s was ended by signal %d", program->name, -status) :
		psprintf("%s exited with status %d", program->name, status);
}
