/*
 * access.h
 *		The front door of the access room: who is asking (claims) and what they may
 *		see (relations), for row policies.
 *
 * pattyly.c calls access_init.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

extern void access_init(void);

#endif							/* ACCESS_ACCESS_H */
