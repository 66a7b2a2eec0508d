#!/usr/bin/env bash
# From a catalogue to recommendations in a private cluster. TRACKS names a file
# of tracks; without it a catalogue is generated. HISTORY names a listening history,
# a file, folder or ZIP: the recommendations are for whose it is. A database that is
# there is deleted only with FRESH=1.
. "$(dirname "$0")/common.sh"

tracks=${TRACKS:-}
require_tracks "$tracks"
history=${HISTORY:-}
[ -z "$history" ] || [ -r "$history" ] || fail "HISTORY: cannot read $history"
present() {
    demo_made && [ -f "$STATE/made" ]
}
if present && [ -z "${FRESH:-}" ]; then
    [ -z "$tracks$history" ] ||
        fail "there is a database already, made $(cat "$STATE/made"); make run FRESH=1 with the same deletes it and begins anew"
    say "There is a database already, made $(cat "$STATE/made"); make run FRESH=1 deletes it and begins anew"
    [ "$(cat "$STATE/made-with" 2>/dev/null)" = "$(sources_stamp)" ] ||
        say "The sources have changed since: what is installed stays as it is until then"
    "$CLONE/scripts/start.sh"
    say "Recommendations"
    demo_psql -d "$DATABASE" -qAt -f "$CLONE/scripts/show.sql"
    exit 0
fi
begun=$SECONDS
"$CLONE/scripts/build.sh"

if ! demo_made; then
    say "Creating a private PostgreSQL $PG_MAJOR cluster in $CLUSTER"
    rm -rf "$CLUSTER" "$SOCKET"
    server_folder "$CLUSTER" "$SOCKET"
    rm -f "$LOG"
    if [ "$(id -u)" = 0 ]; then install -m 600 -o postgres /dev/null "$LOG"; else install -m 600 /dev/null "$LOG"; fi
    as_server "$PGBIN/initdb" -D "$CLUSTER" -U postgres -E UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 >/dev/null
    # Reached through a socket in a folder of the server's user only; no port is opened unless GRAFANA=1 asks for it.
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
# pg_cron's launcher sits in the database and ends for good when that is dropped:
# the database is made without it, then the server starts with it.
say "Starting PostgreSQL"
if demo_runs; then demo_stop; fi
demo_start -c shared_preload_libraries=

arguments=()
folder=$STATE/given
rm -rf "$folder"
server_folder "$folder"
trap 'rm -rf "$folder"' EXIT
if [ -n "$tracks" ]; then
    copy=$folder/$(basename -- "$tracks")
    copy_tracks "$tracks" "$copy"
    arguments+=(-v "tracks=$copy")
    say "Reading $tracks before anything is deleted"
    named() { sed "s|$(printf %s "$copy" | sed 's/[][\\.*^$|]/\\&/g')|$(printf %s "$tracks" | sed 's/[\\&|]/\\&/g')|g"; }
    try=${DATABASE}_try
    demo_psql -d postgres -qc "DROP DATABASE IF EXISTS $try" -c "CREATE DATABASE $try" 2>/dev/null
    if ! refused=$(demo_psql -d "$try" -q -v VERBOSITY=default "${arguments[@]}" 2>&1 <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION sparkify;
SELECT sparkify.load_tracks(:'tracks') \g /dev/null
SQL
    ); then
        demo_psql -d postgres -qc "DROP DATABASE $try"
        demo_stop
        printf '%s\n' "$refused" | sed -E 's/^psql:<stdin>:[0-9]+: //' | named >&2
        fail "$tracks cannot be loaded; nothing was deleted"
    fi
    demo_psql -d postgres -qc "DROP DATABASE $try"
else
    say "Catalogue: generated (give your own with make run TRACKS=path/to/dataset.csv)"
fi

if [ -n "$history" ]; then
    server_folder "$folder/history"
    cp -rL -- "$history" "$folder/history/"
    if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder/history"; fi
    arguments+=(-v "history=$folder/history/$(basename -- "$history")")
    say "Listening history: $history"
fi

if [ "$(demo_psql -d postgres -qAtc "SELECT count(*) FROM pg_database WHERE datname = '$DATABASE'")" = 1 ]; then
    say "Deleting the database $DATABASE, made $(cat "$STATE/made" 2>/dev/null || echo 'by a run that did not end')"
    rm -f "$STATE/made"
    demo_psql -d postgres -qc "DROP DATABASE $DATABASE WITH (FORCE)"
fi
say "Making the database $DATABASE"
demo_psql -d postgres -qc "CREATE DATABASE $DATABASE"
demo_stop
demo_start
demo_psql -d "$DATABASE" -qAt "${arguments[@]}" -f "$CLONE/scripts/demo.sql"
echo
demo_psql -d "$DATABASE" -qAt -f "$CLONE/scripts/show.sql"
cp "$STATE/installed" "$STATE/made-with"
date '+on %F at %R' > "$STATE/made"

say "Done in $((SECONDS - begun)) s. make psql opens the database; make stop stops the server, make start starts it again"
if [ -n "${GRAFANA:-}" ]; then "$CLONE/scripts/start.sh"; fi
