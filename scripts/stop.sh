#!/usr/bin/env bash
# Stops the demo cluster; its data stay.
. "$(dirname "$0")/common.sh"
if demo_runs; then
    demo_stop
    say "Stopped the server; make start starts it with its data"
else
    say "No server is running"
fi
