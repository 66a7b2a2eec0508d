#!/usr/bin/env bash
# Opens psql on the demo database.
. "$(dirname "$0")/common.sh"
require_demo
demo_runs || fail "the server does not run: make start starts it"
exec "$PGBIN/psql" -X -h "$SOCKET" -p "$PORT" -U postgres -d "$DATABASE" "$@"
