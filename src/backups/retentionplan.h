/*
 * retentionplan.h
 *		The plan of retention for the backups and the policy as they are now, and
 *		what it says in words.
 */
#ifndef BACKUPS_RETENTIONPLAN_H
#define BACKUPS_RETENTIONPLAN_H

#include "backups/retention.h"

/* What the words need besides. */
typedef struct PlannedBackup
{
	char	   *label;
	char	   *keeper;			/* why it is not ours to remove; NULL: it is */
	bool		suspect;		/* itself; else one that it builds on, if it is no good */
	char	   *hold;			/* NULL: not held */
	char	   *verified;
} PlannedBackup;

typedef struct RetentionPlan
{
	int			n;
	RetentionBackup *backups;	/* by id */
	PlannedBackup *details;
	int		   *order;			/* newest first */
	RetentionFate *fates;
	RetentionPolicy policy;
	char	   *max_age;
} RetentionPlan;

/* Reads the tables in a transaction of the caller, with the rights of the extension; all of it is palloc'd. */
extern RetentionPlan *retentionplan_make(void);

/* The place of a backup; -1: it is no part of the plan. */
extern int	retentionplan_find(const RetentionPlan *plan, int64 id);

/* Why, as a sentence, palloc'd. */
extern char *retentionplan_reason(const RetentionPlan *plan, int i);

#endif							/* BACKUPS_RETENTIONPLAN_H */
