#!/usr/bin/env bash
# Stops the demo cluster and deletes it, the private PostgreSQL and the build.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/stop.sh"
say "Deleting $STATE and $CLONE/target"
rm -rf "$STATE" "$CLONE/target"
