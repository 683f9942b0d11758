#include "postgres.h"
#include "jobs/schedules.h"
void schedule_read(const char *text, Schedule *schedule)
{
	int at; const char *f = schedule_parse(text, strlen(text), schedule, &at);
	if (f) ereport(ERROR,(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid schedule \"%s\"", text), errdetail("%s (at character %d)", f, at+1)));
}
