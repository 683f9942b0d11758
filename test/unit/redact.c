/* link: src/backups/redact.c */
/*
 * redact.c
 *		Which parts of a text are taken for secrets, and which are not.
 */
#include "tap.h"

#include "backups/redact.h"

#include <stdlib.h>
#include <string.h>

/* The text with every run of stars as one. */
static const char *
redacted(const char *text, const char *previous, bool as_argument)
{
	static char said[512];
	char	   *copy = strdup(text);
	char	   *to = said;

	if (as_argument)
		redact_argument(copy, previous);
	else
		redact_text(copy);
	for (char *c = copy; *c; c++)
		if (*c != '*' || to == said || to[-1] != '*')
			*to++ = *c;
	*to = '\0';
	free(copy);
	return said;
}

/* "x1Y2" and its like are the secrets. */
static const char *const texts[][2] = {
	{"--password=x1Y2", "--password=*"},
	{"--password x1Y2 --verbose", "--password * --verbose"},
	{"PGPASSWORD=x1Y2 pg_dump", "PGPASSWORD=* pg_dump"},
	{"password=x1Y2;user=me", "password=*"},
	{"password=x1,Y2", "password=*"},
	{"password=x1}Y2", "password=*"},
	{"password = 'x1 Y2' user=me", "password = '*' user=me"},
	{"password='x1\\' Y2' user=me", "password='*' user=me"},
	{"password => x1Y2", "password => *"},
	{"password := x1Y2", "password := *"},
	{"password='x1\nerror: no", "password='*\nerror: no"},
	{"password=\nerror: no", "password=\nerror: no"},
	{"{\"password\": \"x1Y2\", \"user\": \"me\"}", "{\"password\": \"*\", \"user\": \"me\"}"},
	{"{\"password\":\"x1\\\"Y2\",\"user\":\"me\"}", "{\"password\":\"*\",\"user\":\"me\"}"},
	{"{\\\"password\\\":\\\"x1Y2\\\",\\\"user\\\":\\\"me\\\"}", "{\\\"password\\\":\\\"*\\\",\\\"user\\\":\\\"me\\\"}"},
	{"{'Password' : 'x1Y2'}", "{'Password' : '*'}"},
	{"aws_secret_access_key = x1/Y2+z=", "aws_secret_access_key = *"},
	{"AWS_SESSION_TOKEN=x1Y2==", "AWS_SESSION_TOKEN=*"},
	{"secret_key: x1Y2", "secret_key: *"},
	{"passphrase: x1Y2", "passphrase: *"},
	{"[\"rclone\" \"--s3-secret-access-key\" \"x1Y2\" \"-vv\"]", "[\"rclone\" \"--s3-secret-access-key\" \"*\" \"-vv\"]"},
	{"--sftp-pass=x1Y2", "--sftp-pass=*"},
	{"Authorization: Bearer x1Y2.z", "Authorization: *"},
	{"Authorization: Basic x1Y2==\r\nHost: me", "Authorization: *\r\nHost: me"},
	{"curl -H 'Authorization: Bearer x1Y2' http://h/", "curl -H 'Authorization: *' http://h/"},
	{"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/1/s3, SignedHeaders=host, Signature=x1Y2", "Authorization: *"},
	{"{'Authorization': b'AWS4 x1Y2'}", "{'Authorization': b'*'}"},
	{"Proxy-Authorization: Basic x1Y2", "Proxy-Authorization: *"},
	{"sent bearer x1Y2", "sent bearer *"},
	{"https://h/b/o?X-Amz-Credential=AKIA%2F1&X-Amz-Date=1&X-Amz-Signature=x1Y2&X-Amz-Expires=5",
	"https://h/b/o?X-Amz-Credential=*&X-Amz-Date=1&X-Amz-Signature=*&X-Amz-Expires=5"},
	{"https://h.blob.example/c/b?sv=1&sig=x1%2BY2&se=3", "https://h.blob.example/c/b?sv=1&sig=*&se=3"},
	{"postgres://me:x1Y2@host:5432/db", "postgres://me:*@host:5432/db"},
	{"'postgres://me:x1@Y2@host/db'", "'postgres://me:*@host/db'"},
	{"postgres://me:x1'Y2@host/db", "postgres://me:*@host/db"},
	{"postgres://:x1Y2@host/db", "postgres://:*@host/db"},
	{"postgres://host/db?user=me&password=x1Y2&sslmode=require", "postgres://host/db?user=me&password=*&sslmode=require"},
};

static const char *const ordinary[] = {
	"", "pg_dump", "--no-password", "--no-password --format=custom", "--format=custom --snapshot=00000003-0000001B-1",
	"/var/backups/password/app.dump", "s3://bucket/app-20260310T120000Z.dump", "s3://bucket/my/key/file",
	"pg_dump: error: connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  password authentication failed for user \"me\"",
	"fe_sendauth: no password supplied", "upload failed: - to s3://b/f An error occurred (SignatureDoesNotMatch) when calling",
	"ssh://git@host/repo.git", "http://host:9000/bucket/a@b", "file:///tmp/a:b@c", "me@example.com: no such user", "--config=/etc/x", "compass=north",
	"at 12:30:59 key", "DETAIL:  Key (id)=(1) already exists.", "tokens: 5", "config: /root/.s3cfg", "--endpoint-url=http://127.0.0.1:4568",
	"--password-file=/etc/x", "PGPASSFILE=/home/me/.pgpass", "secrets/", "authentication: trust", "bearer", "--password",
};

/* argument, the one before, result */
static const char *const arguments[][3] = {
	{"x1Y2", "--password", "*"},
	{"x1 Y2\"z", "--secret-key", "*"},
	{"x1Y2", "--sftp-pass", "*"},
	{"me:x1Y2", "-u", "me:*"},
	{"me", "-u", "me"},
	{"--password=x1 'Y2\"&z", NULL, "--password=*"},
	{"API_TOKEN=x1 Y2", "-e", "API_TOKEN=*"},
	{"Authorization: Bearer x1 Y2", "-H", "Authorization: *"},
	{"postgres://me:x1Y2@h/d", "--dbname", "postgres://me:*@h/d"},
	{"--format=custom", "--no-password", "--format=custom"},
	{"--format=custom", "--password=x1Y2", "--format=custom"},
	{"s3://bucket/file", "cp", "s3://bucket/file"},
	{"", NULL, ""},
};

static void
test_texts(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		const char *said = redacted(texts[i][0], NULL, false);

		ok(strcmp(said, texts[i][1]) == 0 && strstr(said, "x1") == NULL, "secret: %.*s", (int) strcspn(said, "\r\n"), said);
	}
	for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
		ok(strcmp(redacted(ordinary[i], NULL, false), ordinary[i]) == 0, "ordinary: %s", ordinary[i]);
}

static void
test_arguments(void)
{
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
	{
		const char *said = redacted(arguments[i][0], arguments[i][1], true);

		ok(strcmp(said, arguments[i][2]) == 0, "argument after %s: %s", arguments[i][1] ? arguments[i][1] : "none", said);
	}
}

int
main(void)
{
	test_texts();
	test_arguments();
	return tap_done();
}
