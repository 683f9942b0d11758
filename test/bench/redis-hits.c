/*
 * redis-hits.c
 *		The usual way to count a hit in Redis: MULTI, INCR, EXPIRE, EXEC, sent at
 *		once and answered at once, one round trip; each client waits for the
 *		answer before the next.
 *
 *	redis-hits SOCKET|PORT CLIENTS SECONDS KEYS		prints hits per second
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 256
#define ANSWER_LINES 6			/* OK, QUEUED, QUEUED, *2, the count, 1 */

static const char *address;
static int	keys;
static atomic_int stopping;

typedef struct Client
{
	pthread_t	thread;
	unsigned int seed;
	long		hits;
} Client;

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static int
connect_unix(void)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	int			s = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(where.sun_path, sizeof(where.sun_path), "%s", address);
	if (s < 0 || connect(s, (struct sockaddr *) &where, sizeof(where)) != 0)
		fail("connect");
	return s;
}

static int
connect_tcp(void)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(address))};
	int			s = socket(AF_INET, SOCK_STREAM, 0);
	int			on = 1;

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (s < 0 || connect(s, (struct sockaddr *) &where, sizeof(where)) != 0)
		fail("connect");
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

static void
hit(int s, int key)
{
	char		request[256];
	char		answer[256];
	char		name[32];
	int			name_length = snprintf(name, sizeof(name), "login:%d", key);
	int			length;
	int			lines = 0;

	length = snprintf(request, sizeof(request),
					  "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n"
					  "*3\r\n$6\r\nEXPIRE\r\n$%d\r\n%s\r\n$4\r\n3600\r\n*1\r\n$4\r\nEXEC\r\n",
					  name_length, name, name_length, name);
	if (write(s, request, length) != length)
		fail("write");
	while (lines < ANSWER_LINES)
	{
		ssize_t		n = read(s, answer, sizeof(answer));

		if (n <= 0 || memchr(answer, '-', n) != NULL)
			fail("answer");
		for (ssize_t i = 0; i < n; i++)
			lines += answer[i] == '\n';
	}
}

static void *
run_client(void *arg)
{
	Client	   *client = arg;
	int			s = address[0] == '/' ? connect_unix() : connect_tcp();

	while (!stopping)
	{
		hit(s, rand_r(&client->seed) % keys);
		client->hits++;
	}
	close(s);
	return NULL;
}

int
main(int argc, char **argv)
{
	static Client clients[MAX_CLIENTS];
	int			n = argc == 5 ? atoi(argv[2]) : 0;
	struct timespec from;
	struct timespec to;
	long		hits = 0;

	if (n < 1 || n > MAX_CLIENTS)
		return 2;
	address = argv[1];
	keys = atoi(argv[4]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < n; i++)
	{
		clients[i].seed = i + 1;
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			fail("thread");
	}
	usleep((useconds_t) (atof(argv[3]) * 1e6));
	stopping = 1;
	for (int i = 0; i < n; i++)
	{
		pthread_join(clients[i].thread, NULL);
		hits += clients[i].hits;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.0f\n", hits / ((to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9));
	return 0;
}
