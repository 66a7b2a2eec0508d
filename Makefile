# Every target says what it does and fails loudly. The work is in scripts/.
SHELL := /bin/bash
# Left to scripts/common.sh, which looks at the Debian release.
export PG_MAJOR
# Handed on by name, so that no value is read as a command.
export TRACKS HISTORY FRESH GRAFANA FULL DESTDIR CALLS KILLS CANCELS SECONDS_TO_RUN PLAYS SEED
export PG_CONFIG_TARGET := $(PG_CONFIG)
unexport PG_CONFIG

.PHONY: help run run-stream test-stream start stop psql test bench bench-stream fuzz chaos soak cancel lint schema docs install uninstall clean
help: ## Lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

run: ## Builds, makes a private database, fills it; TRACKS=file.csv for tracks and HISTORY=path for plays of your own, FRESH=1 to begin anew
	@scripts/run.sh

start: ## Starts the private server with its data; GRAFANA=1 lets it listen on a loopback port
	@scripts/start.sh

run-stream: ## Lets plays stream in from a Kafka broker of its own; SPEED=600, SECONDS_TO_RUN=180
	@scripts/run-stream.sh

stop: ## Stops the private server
	@scripts/stop.sh

psql: ## Opens psql on the demo database
	@scripts/psql.sh

test: ## Runs every test; TRACKS=file.csv adds those on the real catalogue
	@scripts/test.sh

test-stream: ## Kills what can be killed while 200,000 plays stream in
	@SPARKIFY_STREAM_PLAYS=200000 SPARKIFY_STREAM_KILLS=36 scripts/test-stream.sh

bench: ## Measures the core, and SQL; TRACKS=file.csv for a real catalogue, FULL=1 for growth
	@scripts/bench.sh

bench-stream: ## Measures streams beside kcat into COPY: throughput, latency, memory, cancelling; PLAYS=1000000
	@scripts/bench-stream.sh

fuzz: ## Calls every function with whatever its types allow; CALLS=20000 SEED=1
	@scripts/trust.sh fuzz

chaos: ## Kills servers in random moments and checks what is stored; KILLS=100 SEED=1
	@scripts/trust.sh chaos

soak: ## Has as many sessions as the server takes do everything at once; SECONDS_TO_RUN=300 SEED=1
	@scripts/trust.sh soak

cancel: ## Measures how soon every call stops when it is cancelled; TRACKS=file.csv CANCELS=12
	@scripts/trust.sh cancel

lint: ## Formatting, lints, and whether generated files are as they should be
	@scripts/lint.sh

schema: ## Writes sql/install.sql anew, after a change to the functions of the library
	@scripts/schema.sh

docs: ## Writes docs/reference.md anew, from the comments in the database
	@scripts/docs.sh

install: ## Installs a release build into a PostgreSQL: PG_CONFIG=/path/to/pg_config
	@test -n "$$PG_CONFIG_TARGET" || { echo 'error: give PG_CONFIG=/path/to/pg_config' >&2; exit 1; }
	@scripts/install.sh

uninstall: ## Takes it away again: PG_CONFIG=/path/to/pg_config
	@test -n "$$PG_CONFIG_TARGET" || { echo 'error: give PG_CONFIG=/path/to/pg_config' >&2; exit 1; }
	@scripts/install.sh --remove

clean: ## Stops the private server, deletes it with its data, and the build
	@scripts/clean.sh
