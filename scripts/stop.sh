#!/usr/bin/env bash
# Stops the demo cluster; its data stay.
. "$(dirname "$0")/common.sh"
if demo_runs; then
    as_server "$PGBIN/pg_ctl" -D "$CLUSTER" -m fast -w stop >/dev/null
    say "Stopped the server of $CLUSTER"
else
    say "No server is running"
fi
