#!/usr/bin/env bash
# Runs every test: the core, inside a server, SQL against expected output, and
# whole servers. TRACKS names a real catalogue; without it those tests skip.
. "$(dirname "$0")/common.sh"
require_tracks "${TRACKS:-}"
"$CLONE/scripts/setup.sh" --develop
cd "$CLONE"

SPARKIFY_TRACKS=
if [ -n "${TRACKS:-}" ]; then
    # The server reads a copy of its own: the file may lie where it cannot look.
    SPARKIFY_TRACKS=$STATE/test-tracks.csv
    copy_tracks "$TRACKS" "$SPARKIFY_TRACKS"
fi
export SPARKIFY_TRACKS
unset RUST_BACKTRACE
log=$STATE/test.log
: > "$log"

say "Tests of the mathematics"
cargo test --workspace --exclude sparkify --exclude sparkify-server-tests --lib --tests 2>&1 | tee -a "$log"

say "Tests inside a server"
(
    use_pgrx_home "$STATE/pgrx-test" "$PG_MAJOR" "$TEST_PREFIX/lib/postgresql/$PG_MAJOR/bin/pg_config"
    data=$STATE/test-pgdata
    rm -rf "$data"
    as_root install -d -o "$(server_user)" "$data"
    cargo pgrx test "pg$PG_MAJOR" --no-default-features --features "pg$PG_MAJOR $FEATURES" --runas "$(server_user)" --pgdata "$data"
) 2>&1 | tee -a "$log"

"$CLONE/scripts/build.sh"

say "A server for the tests that share one"
data=$STATE/test-cluster socket=$STATE/test-socket
as_server "$PGBIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
rm -rf "$data" "$socket"
as_root install -d -m 700 -o "$(server_user)" "$data" "$socket"
as_server "$PGBIN/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust --no-sync >/dev/null
as_server tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$socket'
fsync = off
timezone = 'UTC'
max_connections = 60
CONF
trap 'as_server "$PGBIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$data" "$socket"' EXIT
as_server "$PGBIN/pg_ctl" -D "$data" -l "$data/log" -w start >/dev/null

say "SQL against expected output"
names=$(cd tests/pg_regress/sql && ls *.sql | sed 's/\.sql$//')
"$(dirname "$PGBIN")/lib/pgxs/src/test/regress/pg_regress" --host="$socket" --user=postgres --bindir="$PGBIN" \
    --inputdir=tests/pg_regress --outputdir="$STATE/regress" --dbname=sparkify_regress \
    --load-extension=sparkify $names 2>&1 | tee -a "$log" ||
    { cat "$STATE/regress/regression.diffs"; fail "the output is not the expected one"; }

say "A Kafka broker for the tests of streams"
if why=$(tests/kafka/fetch.sh "$STATE/kafka"); then export SPARKIFY_KAFKA_JARS=$STATE/kafka/jars; else echo "$why"; fi

say "Tests on whole servers"
SPARKIFY_PGBIN=$PGBIN SPARKIFY_TEST_SOCKET=$socket cargo test -p sparkify-server-tests -- --nocapture 2>&1 | tee -a "$log"

passed=$(sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$log" | awk '{ sum += $1 } END { print sum + 0 }')
# pg_regress: "test NAME ... ok 12 ms" up to PostgreSQL 15, "ok 1 - NAME 12 ms" from 16 on.
regress=$(grep -cE '^(test [a-z_]+ +\.\.\. ok +[0-9]+ ms|ok [0-9]+ )' "$log" || true)
# A test that says it was skipped ended without a failure, and is counted above: it did not pass.
skipped=$(grep -oE '(^|\.\.\. )skipped: .*' "$log" | sed 's/^\.\.\. //' | sort -u || true)
count=$(printf %s "$skipped" | grep -c . || true)
say "No test failed"
if [ "$count" != 0 ]; then printf '%s\n' "$skipped"; fi
echo "$((passed + regress - count)) passed, 0 failed, $count skipped"
