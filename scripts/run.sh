#!/usr/bin/env bash
# From a catalogue to recommendations in a private cluster. TRACKS names a CSV
# of the Kaggle format; without it a catalogue is generated.
. "$(dirname "$0")/common.sh"

tracks=${TRACKS:-}
require_tracks "$tracks"
"$CLONE/scripts/build.sh"

if [ ! -s "$CLUSTER/PG_VERSION" ]; then
    say "Creating a private PostgreSQL $PG_MAJOR cluster in $CLUSTER"
    rm -rf "$CLUSTER" "$SOCKET"
    as_root install -d -m 700 -o "$(server_user)" "$CLUSTER" "$SOCKET"
    as_root install -m 600 -o "$(server_user)" /dev/null "$LOG"
    as_server "$PGBIN/initdb" -D "$CLUSTER" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust >/dev/null
    # Reached through a socket in a folder of the server's user only; no port is opened.
    as_server tee -a "$CLUSTER/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$SOCKET'
shared_preload_libraries = 'pg_cron'
cron.database_name = '$DATABASE'
cron.use_background_workers = on
shared_buffers = 256MB
max_wal_size = 2GB
timezone = 'UTC'
CONF
fi
start() {
    as_server "$PGBIN/pg_ctl" -D "$CLUSTER" -l "$LOG" -w "$@" start >/dev/null ||
        { tail -n 20 "$LOG" >&2 || true; fail "the server did not start; its log is $LOG"; }
}
stop() { as_server "$PGBIN/pg_ctl" -D "$CLUSTER" -m fast -w stop >/dev/null; }
# pg_cron's launcher sits in the database and ends for good when that is dropped:
# the database is made without it, then the server starts with it.
say "Starting PostgreSQL"
if demo_runs; then stop; fi
start -o "-c shared_preload_libraries="
if [ "$(demo_psql -d postgres -qAtc "SELECT count(*) FROM pg_database WHERE datname = '$DATABASE'")" = 1 ]; then
    say "Dropping the database $DATABASE of the last run and making it anew"
    demo_psql -d postgres -qc "DROP DATABASE $DATABASE WITH (FORCE)"
else
    say "Making the database $DATABASE"
fi
demo_psql -d postgres -qc "CREATE DATABASE $DATABASE"
stop
start

arguments=()
if [ -n "$tracks" ]; then
    # The server reads a copy of its own: the file may lie where it cannot look.
    copy=$STATE/tracks.csv
    as_root install -m 600 -o "$(server_user)" "$tracks" "$copy"
    trap 'as_root rm -f "$copy"' EXIT
    arguments+=(-v "tracks=$copy")
    say "Catalogue: $tracks"
else
    say "Catalogue: generated (give your own with make run TRACKS=path/to/dataset.csv)"
fi
demo_psql -d "$DATABASE" -qAt "${arguments[@]}" -f "$CLONE/scripts/demo.sql"

say "Connect"
echo "make psql"
echo "$PGBIN/psql -h $SOCKET -U postgres $DATABASE"
