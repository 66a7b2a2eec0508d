#!/usr/bin/env bash
# Measures streams against a broker and a server of its own on this machine: PLAYS a
# second beside kcat into COPY, the time from a message to what is recommended, memory,
# and how soon a consumer stops when it is cancelled.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/build.sh"
cd "$CLONE"
why=$(tests/kafka/fetch.sh "$STATE/kafka") || fail "$why"
SPARKIFY_STREAM_PLAYS=${PLAYS:-} SPARKIFY_KAFKA_JARS=$STATE/kafka/jars SPARKIFY_PGBIN=$PGBIN cargo bench -p sparkify-server-tests --bench streams
