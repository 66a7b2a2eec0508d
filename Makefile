# Every target says what it does and fails loudly. The work is in scripts/.
SHELL := /bin/bash
export PG_MAJOR ?= 15

.PHONY: help run stop psql test bench lint install clean
help: ## Lists the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 16

run: ## Builds, starts a private cluster, fills it; TRACKS=file.csv for a real catalogue
	@TRACKS='$(TRACKS)' scripts/run.sh

stop: ## Stops the private cluster
	@scripts/stop.sh

psql: ## Opens psql on the demo database
	@. scripts/common.sh && demo_psql -d "$$DATABASE"

test: ## Runs every test; TRACKS=file.csv adds those on the real catalogue
	@TRACKS='$(TRACKS)' scripts/test.sh

bench: ## Measures the core, and SQL; TRACKS=file.csv for a real catalogue, FULL=1 for growth
	@TRACKS='$(TRACKS)' FULL='$(FULL)' scripts/bench.sh

lint: ## Formatting and lints
	@scripts/lint.sh

install: ## Installs a release build into a PostgreSQL: PG_CONFIG=/path/to/pg_config
	@test -n '$(PG_CONFIG)' || { echo 'error: give PG_CONFIG=/path/to/pg_config' >&2; exit 1; }
	@PG_CONFIG_TARGET='$(PG_CONFIG)' scripts/install.sh

clean: ## Stops the cluster, deletes it, the private PostgreSQL and the build
	@scripts/clean.sh
