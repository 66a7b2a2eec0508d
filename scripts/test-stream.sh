#!/usr/bin/env bash
# The test that every play is stored once, at full size, against the release build.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/build.sh"
cd "$CLONE"
why=$(tests/kafka/fetch.sh "$STATE/kafka") || fail "$why"
SPARKIFY_KAFKA_JARS=$STATE/kafka/jars SPARKIFY_PGBIN=$PGBIN cargo test -p sparkify-server-tests --test streams_once -- --nocapture
