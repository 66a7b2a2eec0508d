#!/usr/bin/env bash
# Starts the demo cluster that is there, with its data. GRAFANA=1 lets it listen on
# the loopback address, too, for a role of Grafana's with a password of its own.
. "$(dirname "$0")/common.sh"
require_demo
options=
if [ -n "${GRAFANA:-}" ]; then options="-c listen_addresses=127.0.0.1"; fi
if demo_runs; then
    if [ -z "$options" ]; then
        say "The server runs already"
        exit 0
    fi
    demo_stop
fi
# shellcheck disable=SC2086
demo_start $options
say "Started PostgreSQL: make psql opens the database, make stop stops the server"
if [ -n "$options" ]; then
    file=$STATE/grafana-password
    if [ ! -s "$file" ]; then
        (umask 077; od -An -N18 -tx1 /dev/urandom | tr -d ' \n' > "$file")
    fi
    # By a script, not an argument, which everybody could read in the list of processes.
    demo_psql -d "$DATABASE" -q >/dev/null <<SQL
\set password \`cat '$file'\`
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') AS missing \gset
\if :missing
    CREATE ROLE grafana LOGIN;
\endif
ALTER ROLE grafana LOGIN PASSWORD :'password';
SELECT sparkify.grant_reader('grafana');
SQL
    say "It listens on 127.0.0.1 for a Grafana on this machine, whose data source reads these"
    echo "export SPARKIFY_DB_HOST=127.0.0.1:$PORT SPARKIFY_DB_NAME=$DATABASE SPARKIFY_DB_USER=grafana SPARKIFY_DB_SSLMODE=disable"
    echo "export SPARKIFY_DB_PASSWORD=\$(cat $file)"
fi
