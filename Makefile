# pattyly: build, install, test and demonstrate.
#
#   make && make install      for a DBA with PGXS (PG_CONFIG=... picks the server)
#   make demo                 a throw-away cluster, an access log, clients and experts, messages, jobs and backups, a report
#   make test                 every test this machine can run
#   make bench                the figures the docs quote

EXTENSION  = pattyly
MODULE_big = pattyly
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pattyly.control)

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The order of the rooms in the install script; a room's own files stand in the order of their names.
ROOMS = core limits access jobs partitions backups
ROOM_SQL = $(foreach room,$(ROOMS),$(sort $(wildcard src/$(room)/*.sql)))
INSTALL_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(INSTALL_SQL)
DATA = $(wildcard sql/$(EXTENSION)--*--*.sql)

PG_CPPFLAGS = -DPATTYLY_VERSION=\"$(EXTVERSION)\" -I$(CURDIR)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-O3 -fvisibility=hidden $(if $(WERROR),-Werror) $(if $(FAULTS),-DPATTYLY_FAULT_POINTS)

# pg_regress 15 has no --expecteddir, 16 and newer look in ./expected without it; for isolation, 15 looks in the
# output directory, which PGXS would set to output_iso.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --temp-config=test/pattyly.conf --temp-instance=tmp_regress
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --temp-config=test/pattyly.conf --temp-instance=tmp_isolation
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
EXTRA_CLEAN = $(INSTALL_SQL) build tmp_regress tmp_isolation output_iso results log

# These need no PGXS: they install what is missing first.
.PHONY: demo test bench
ifneq ($(filter demo test bench,$(MAKECMDGOALS)),)
demo:
	test/env/install demo
	test/demo/run $(if $(LOG),"$(LOG)")
test:
	test/env/install test
	test/env/run-tests
bench:
	test/env/install bench
	test/bench/run
else

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.h src/*/*.h) pattyly.control Makefile

$(INSTALL_SQL): $(ROOM_SQL) pattyly.control Makefile
	@mkdir -p sql
	{ printf '%s\n' '\echo Use "CREATE EXTENSION pattyly" to load this file. \quit'; cat $(ROOM_SQL); } > $@

endif
