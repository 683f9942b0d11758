/*
 * login.h
 *		login_as() and logout(): being a user of the application for the rest of a
 *		transaction, to test policies in SQL.
 */
#ifndef ACCESS_LOGIN_H
#define ACCESS_LOGIN_H

extern void login_init(void);

#endif							/* ACCESS_LOGIN_H */
