#!/usr/bin/env bash
# Measures the core, and SQL on a private cluster. TRACKS names a real catalogue;
# FULL=1 adds how the cost grows. Where Python is at hand, faiss from PyPI is
# measured in the same run.
. "$(dirname "$0")/common.sh"
tracks=${TRACKS:-}
require_tracks "$tracks"
"$CLONE/scripts/build.sh"
cd "$CLONE"

SPARKIFY_TRACKS=
if [ -n "$tracks" ]; then
    # The server reads a copy of its own: the file may lie where it cannot look.
    SPARKIFY_TRACKS=$STATE/bench-tracks.csv
    copy_tracks "$tracks" "$SPARKIFY_TRACKS"
fi

venv=$STATE/faiss
if ! "$venv/bin/python" -c 'import faiss, numpy' 2>/dev/null; then
    say "Installing faiss from PyPI into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu numpy ||
        { echo "faiss cannot be had here"; rm -rf "$venv"; }
fi
SPARKIFY_FAISS_PYTHON=
if [ -x "$venv/bin/python" ]; then SPARKIFY_FAISS_PYTHON=$venv/bin/python; fi

say "The core"
cargo bench -p sparkify-core -p sparkify-learn

say "A server to measure on"
data=$STATE/bench-cluster socket=$STATE/bench-socket
as_server "$PGBIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
as_root rm -rf "$data" "$socket"
as_root install -d -m 700 -o "$(server_user)" "$data" "$socket"
as_server "$PGBIN/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust --no-sync >/dev/null
as_server tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$socket'
shared_buffers = 256MB
max_wal_size = 4GB
timezone = 'UTC'
CONF
trap 'as_server "$PGBIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true; as_root rm -rf "$data" "$socket"' EXIT
as_server "$PGBIN/pg_ctl" -D "$data" -l "$data/log" -w start >/dev/null

say "SQL"
export SPARKIFY_TRACKS SPARKIFY_FAISS_PYTHON SPARKIFY_BENCH_FULL=${FULL:-}
SPARKIFY_PGBIN=$PGBIN SPARKIFY_TEST_SOCKET=$socket cargo bench -p sparkify-server-tests --bench serving
