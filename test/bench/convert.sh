# A live table becomes partitioned: how long a writer is held up at most, seen from the client, and how long it takes;
# beside it, in the same run, what is done by hand: everybody locked out until all rows are copied.
#
#   CONVERT_ROWS=5000000    rows of the table
# shellcheck shell=bash disable=SC2154

# Two years of rows of about 150 bytes, four indexes, two foreign keys.
convert_table_of() { # ROWS
	query <<-SQL
		SET client_min_messages = warning;
		DROP SCHEMA IF EXISTS convert CASCADE;
		CREATE SCHEMA convert;
		CREATE TABLE convert.rooms (id int PRIMARY KEY);
		INSERT INTO convert.rooms SELECT generate_series(1, 1000);
		CREATE TABLE convert.messages (
			id bigint GENERATED ALWAYS AS IDENTITY, created_at timestamptz NOT NULL DEFAULT now(),
			room int NOT NULL, author uuid NOT NULL, body text NOT NULL);
		INSERT INTO convert.messages (created_at, room, author, body)
			SELECT now() - interval '2 years' + i * (interval '2 years' / $1), 1 + i % 1000, md5((i % 5000)::text)::uuid, repeat(md5(i::text), 3)
			FROM generate_series(1, $1) AS i;
		ALTER TABLE convert.messages ADD PRIMARY KEY (id, created_at),
			ADD FOREIGN KEY (room) REFERENCES convert.rooms;
		CREATE INDEX ON convert.messages (created_at);
		CREATE INDEX ON convert.messages (room, created_at);
		CREATE INDEX ON convert.messages (author);
		CREATE TABLE convert.likes (message bigint, message_at timestamptz, FOREIGN KEY (message, message_at) REFERENCES convert.messages);
		INSERT INTO convert.likes SELECT id, created_at FROM convert.messages WHERE id % 50 = 0;
	SQL
	query -c 'VACUUM ANALYZE convert.messages' -c CHECKPOINT
}

convert_scripts() { # ROWS
	cat >"$work/run/convert-insert.sql" <<-'SQL'
		\set room random(1, 1000)
		INSERT INTO convert.messages (room, author, body) VALUES (:room, md5(:room::text)::uuid, 'a new message');
	SQL
	cat >"$work/run/convert-update.sql" <<-SQL
		\\set id random(1, $1)
		UPDATE convert.messages SET body = 'edited' WHERE id = :id;
	SQL
	cat >"$work/run/convert-delete.sql" <<-SQL
		\\set id random(1, $1)
		DELETE FROM convert.messages WHERE id = :id AND id % 50 <> 0;
	SQL
}

# 200 transactions a second in all, whose latency counts from when each was due.
convert_writers_start() { # CASE
	rm -f "$work/run/convert-$1".*
	pgbench -n -c 8 -j 2 -R 200 -T 7200 -M prepared -l --log-prefix="$work/run/convert-$1" \
		-f "$work/run/convert-insert.sql@2" -f "$work/run/convert-update.sql@2" -f "$work/run/convert-delete.sql@1" \
		>"$work/run/convert-$1.out" 2>&1 &
	convert_writers=$!
	sleep "$convert_calm_seconds"
}

# The longest transaction from a moment on, in ms.
convert_writers_stop() { # CASE SINCE
	kill -INT "$convert_writers"
	wait "$convert_writers" || true
	if grep -q ERROR "$work/run/convert-$1.out"; then
		grep ERROR "$work/run/convert-$1.out" | head -n 3 >&2
	fi
	cat "$work/run/convert-$1".[0-9]* | awk -v since="$2" '$5 >= since && $3 > worst { worst = $3 } END { print worst / 1000 }'
}

# CASE COMMAND... -> samples CASE-longest (ms) and CASE-seconds
convert_measure() {
	local case=$1 began
	shift
	convert_writers_start "$case"
	began=$(date +%s%3N)
	"$@"
	sample 1 "$case-seconds" "$(($(date +%s%3N) - began))e-3"
	# Whoever was held up last is done.
	sleep 2
	sample 1 "$case-longest" "$(convert_writers_stop "$case" "$((began / 1000))")"
}

convert_by_pattyly() {
	query -c "CALL pattyly.convert_table('convert.messages', 'created_at', '1 month')"
}

convert_by_hand() {
	query <<-'SQL'
		BEGIN;
		LOCK TABLE convert.messages IN ACCESS EXCLUSIVE MODE;
		ALTER TABLE convert.likes DROP CONSTRAINT likes_message_message_at_fkey;
		ALTER TABLE convert.messages RENAME TO messages_old;
		CREATE TABLE convert.messages (LIKE convert.messages_old INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
		DO $$
		BEGIN
			FOR i IN -24 .. 4 LOOP
				EXECUTE format('CREATE TABLE convert.by_hand_%s PARTITION OF convert.messages FOR VALUES FROM (%L) TO (%L)', i + 24,
					date_trunc('month', now()) + i * interval '1 month', date_trunc('month', now()) + (i + 1) * interval '1 month');
			END LOOP;
		END
		$$;
		INSERT INTO convert.messages SELECT * FROM convert.messages_old;
		SELECT setval(pg_get_serial_sequence('convert.messages_old', 'id'), (SELECT max(id) FROM convert.messages_old)) \g /dev/null
		ALTER TABLE convert.messages_old ALTER id DROP IDENTITY;
		ALTER TABLE convert.messages ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 1000000000);
		ALTER TABLE convert.messages ADD PRIMARY KEY (id, created_at), ADD FOREIGN KEY (room) REFERENCES convert.rooms;
		CREATE INDEX ON convert.messages (created_at);
		CREATE INDEX ON convert.messages (room, created_at);
		CREATE INDEX ON convert.messages (author);
		ALTER TABLE convert.likes ADD FOREIGN KEY (message, message_at) REFERENCES convert.messages;
		DROP TABLE convert.messages_old;
		COMMIT;
	SQL
}

bench_convert() {
	local rows=${CONVERT_ROWS:-$convert_rows}
	new_samples
	convert_scripts "$rows"
	convert_table_of "$rows"
	convert_measure nothing sleep "$convert_calm_seconds"
	convert_measure pattyly convert_by_pattyly
	convert_table_of "$rows"
	convert_measure hand convert_by_hand
	title "A table of $rows rows becomes partitioned by month under 200 writes a second"
	table "longest write, ms"
	row "nothing else happens" "" %.0f "$(statistics nothing-longest)"
	row "convert_table()" "<= 1000" %.0f "$(statistics pattyly-longest)"
	row "LOCK and INSERT ... SELECT" "" %.0f "$(statistics hand-longest)"
	echo
	table "seconds until it is done"
	row "convert_table()" "" %.1f "$(statistics pattyly-seconds)"
	row "LOCK and INSERT ... SELECT" "" %.1f "$(statistics hand-seconds)"
	row "convert_table() to that, times" "" %.1f "$(awk '/pattyly-seconds/ { a = $3 } /hand-seconds/ { b = $3 } END { print a / b, a / b, a / b }' "$samples")"
}
