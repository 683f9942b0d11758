/*
 * fault.h
 *		Named places where a test makes the process die, as kill -9 would, or sleep,
 *		as when another one gets its turn.  They exist in builds with FAULTS=1 only
 *		and cost nothing elsewhere.
 */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#ifdef PATTYLY_FAULT_POINTS
extern void fault_init(void);
extern void fault_point(const char *name);
#else
#define fault_init() ((void) 0)
#define fault_point(name) ((void) 0)
#endif

#endif							/* CORE_FAULT_H */
