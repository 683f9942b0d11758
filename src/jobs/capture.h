/*
 * capture.h
 *		Keeps the WARNINGs that a command raises, and the last words of a process
 *		that ends with an error.  For the worker of a run.
 */
#ifndef JOBS_CAPTURE_H
#define JOBS_CAPTURE_H

#define CAPTURE_MAX			20
#define CAPTURE_ALIKE_MAX	3
#define CAPTURE_LENGTH		500

/* From here on in this process; each error is told to "last_words". */
extern void capture_begin(void (*last_words) (const char *sqlstate, const char *message));

/* Between these, WARNINGs are kept; of those of one kind the first few, so that they do not push others out. */
extern void capture_warnings(bool on);

/* How many were kept, and the text of each, which tells how many like it were not; palloc'ed. */
extern int	capture_count(void);
extern char *capture_text(int i);

/* How many were neither kept nor told of. */
extern int	capture_others(void);

#endif							/* JOBS_CAPTURE_H */
