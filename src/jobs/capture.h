/*
 * capture.h
 *		Keeps the WARNINGs that a command raises, and the last words of a process
 *		that ends with a FATAL error.  For the worker of a run.
 */
#ifndef JOBS_CAPTURE_H
#define JOBS_CAPTURE_H

#define CAPTURE_MAX			20
#define CAPTURE_LENGTH		500

/* From here on in this process; a FATAL error is told to "last_words". */
extern void capture_begin(void (*last_words) (const char *sqlstate, const char *message));

/* Between these, WARNINGs are kept. */
extern void capture_warnings(bool on);

/* How many there were, and the text of those that were kept. */
extern int	capture_count(void);
extern const char *capture_text(int i);

#endif							/* JOBS_CAPTURE_H */
