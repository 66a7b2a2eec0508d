#!/usr/bin/env bash
# Writes docs/reference.md anew, from the comments of the extension as it is built now.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/build.sh"
data=$STATE/docs-cluster socket=$STATE/docs-socket
rm -rf "$data" "$socket"
server_folder "$data" "$socket"
as_server "$PGBIN/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust --no-sync >/dev/null
trap 'as_server "$PGBIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$data" "$socket"' EXIT
as_server "$PGBIN/pg_ctl" -D "$data" -l "$data/log" -w \
    -o "-c listen_addresses='' -c unix_socket_directories='$socket' -c fsync=off" start >/dev/null
write() { "$PGBIN/psql" -XqAt -h "$socket" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }
write -c "SET client_min_messages = warning" -c "CREATE EXTENSION sparkify"
write -f "$CLONE/scripts/reference.sql" > "$STATE/reference.md"
mkdir -p "$CLONE/docs"
cp "$STATE/reference.md" "$CLONE/docs/reference.md"
say "Wrote docs/reference.md"
