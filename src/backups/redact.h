/*
 * redact.h
 *		Takes what looks like a secret out of a text that is going to be stored or
 *		shown.  Pure: no server, no allocation.
 *
 * A secret is the value after a name that ends in password, passwd, pwd, secret,
 * token, key or credential(s), and "=" or ":" ("--password=x", "PGPASSWORD=x",
 * "aws_secret_access_key = x"), and the password of an address
 * ("postgres://user:x@host").
 */
#ifndef BACKUPS_REDACT_H
#define BACKUPS_REDACT_H

#include <stdbool.h>

/* In place: each character of a secret becomes '*'. */
extern void redact_text(char *text);

/* Whether the argument after this one is a secret: "--password", "-e API_TOKEN" and their like. */
extern bool redact_names_secret(const char *argument);

#endif							/* BACKUPS_REDACT_H */
