/*
 * redact.h
 *		Takes what looks like a secret out of a text that is going to be stored or
 *		shown.  Pure: no server, no allocation.
 *
 * A secret is the value after a name that ends in password, passwd, pwd, secret,
 * token, key, signature or credential(s), and "=" or ":" ("--password=x",
 * "PGPASSWORD=x", "aws_secret_access_key = x", "\"password\": \"x\""), or, when the
 * name begins with "--", a space; what follows Authorization or Bearer; and the
 * password of an address ("postgres://user:x@host").
 *
 * What is not secret and lost as well: "--sort-key=name", "/year/key=1/", and the
 * word after "Bearer".
 */
#ifndef BACKUPS_REDACT_H
#define BACKUPS_REDACT_H

/* In place: each byte of a secret becomes '*'. */
extern void redact_text(char *text);

/*
 * The same for an argument of a program, which may be a secret for what stands
 * before it ("--password", "-u"), and whose value ends where it ends.  previous
 * may be NULL.
 */
extern void redact_argument(char *argument, const char *previous);

#endif							/* BACKUPS_REDACT_H */
