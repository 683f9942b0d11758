-- jobs: the schedule language. C: nextruns.c; pure: schedule.c, nextrun.c.

CREATE FUNCTION pattyly.next_runs(schedule text, timezone text DEFAULT 'UTC', after timestamptz DEFAULT now(),
                                  n integer DEFAULT 5)
    RETURNS SETOF timestamptz
    LANGUAGE c STABLE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'pattyly_next_runs';
REVOKE ALL ON FUNCTION pattyly.next_runs(text, text, timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION pattyly.next_runs(text, text, timestamptz, integer) IS
'The next n (1 to 1000) runs of a schedule after a time (exclusive), in their order. schedule: five fields of cron, an @name, or "every 90 seconds", see docs/jobs.md. timezone: in which the fields are meant, a name from pg_timezone_names; daylight saving as for jobs. Fewer rows, or none, when there are no more runs: 30 February, @reboot, after infinity. Errors: 22023 for a text that is no schedule (the detail says where and why), an unknown timezone, an n out of range or after -infinity, 22004 NULL. Writes nothing.';
GRANT EXECUTE ON FUNCTION pattyly.next_runs(text, text, timestamptz, integer) TO @extowner@ WITH GRANT OPTION;
