/*
 * child.c
 *		See child.h.  Only what is safe between fork and exec: no memory, no locks,
 *		no messages of the server.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "backups/child.h"
#include "storage/pg_shmem.h"

extern char **environ;

static void
forget_signals(void)
{
	sigset_t	none;

	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		(void) signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
close_descriptors_between(int first, int last)
{
	struct rlimit limit;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, last, 0) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = first; fd <= last && fd < (int) limit.rlim_cur; fd++)
		close(fd);
}

static void
close_descriptors(int but)
{
	if (but > 3)
		close_descriptors_between(3, but - 1);
	close_descriptors_between(Max(but + 1, 3), INT_MAX);
}

void
child_keep(int fd)
{
	char		byte;

	setpgid(0, 0);
	forget_signals();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	close_descriptors(fd);
	/* Who is attached to the server's memory keeps it from starting again. */
	PGSharedMemoryDetach();
	while (read(fd, &byte, 1) != 0 && errno == EINTR)
		;
	kill(0, SIGKILL);
	_exit(0);
}

static void
complain(const char *name, const char *reason)
{
	(void) !write(STDERR_FILENO, "could not run ", 14);
	(void) !write(STDERR_FILENO, name, strlen(name));
	(void) !write(STDERR_FILENO, ": ", 2);
	(void) !write(STDERR_FILENO, reason, strlen(reason));
	(void) !write(STDERR_FILENO, "\n", 1);
}

void
child_become(const Stage *stage, const int fds[3], char **environment, pid_t group, pid_t parent)
{
	setpgid(0, group);
#ifdef __linux__
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
#endif
	forget_signals();
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(127);
	close_descriptors(-1);
	/* Not the data directory: who leaves files where he is leaves them here. */
	if (chdir("/") != 0)
		_exit(127);
	environ = environment;
	execv(stage->args[0], stage->args);
	complain(stage->args[0], errno == ENOENT ? "no such file" : errno == EACCES ? "permission denied" :
			 errno == E2BIG ? "arguments too long" : "not a program of this system");
	_exit(127);
}

pid_t
child_fork(void)
{
	sigset_t	all;
	sigset_t	before;
	pid_t		pid;
	int			error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	error = errno;
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}
