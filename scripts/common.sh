# Sourced by the other scripts: where things live, and who runs the server.
#
# Nothing of the system's PostgreSQL is changed: the extension is installed into
# a private copy of it, and the clusters lie beside that copy, in a folder that
# the server's user can read wherever this clone may be.
set -euo pipefail

PG_MAJOR=${PG_MAJOR:-15}
PGRX_VERSION=0.18.1
CLONE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=${SPARKIFY_STATE:-/var/tmp/sparkify-$(id -un)-$(printf %s "$CLONE" | cksum | cut -d' ' -f1)}
# The release build is installed into one copy, the test build into another.
PREFIX=$STATE/pgsql
TEST_PREFIX=$STATE/pgsql-test
PGBIN=$PREFIX/lib/postgresql/$PG_MAJOR/bin
PG_CONFIG=$PGBIN/pg_config
CLUSTER=$STATE/demo
SOCKET=$STATE/demo-socket
LOG=$STATE/demo.log
DATABASE=sparkify

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "installing packages needs root or sudo"
    fi
}

# PostgreSQL refuses to run as root: there it runs as the user its package made.
server_user() { if [ "$(id -u)" = 0 ]; then echo postgres; else id -un; fi; }
# A backtrace belongs in no error that a client reads.
unset RUST_BACKTRACE
as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else (cd / && "$@"); fi
}

# TRACKS may be empty; a file that cannot be read is said before anything is built.
require_tracks() {
    [ -z "$1" ] || { [ -f "$1" ] && [ -r "$1" ]; } || fail "TRACKS: cannot read the file $1"
}

# The configuration that cargo pgrx reads, in a folder of its own: one server, by its major version and pg_config.
use_pgrx_home() {
    export PGRX_HOME=$1
    mkdir -p "$PGRX_HOME"
    printf '[configs]\npg%s = "%s"\n' "$2" "$3" > "$PGRX_HOME/config.toml"
}

require_cargo() { command -v cargo >/dev/null || fail "cargo is not installed; get Rust from https://rustup.rs"; }

install_cargo_pgrx() {
    [ "$(cargo pgrx --version 2>/dev/null | awk '{print $NF}')" != "$PGRX_VERSION" ] || return 0
    say "Installing cargo-pgrx $PGRX_VERSION (a few minutes, once)"
    cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --debug
}

demo_runs() { [ -s "$CLUSTER/postmaster.pid" ] && as_server "$PGBIN/pg_ctl" -D "$CLUSTER" status >/dev/null; }
demo_psql() { "$PGBIN/psql" -X -h "$SOCKET" -U postgres -v ON_ERROR_STOP=1 "$@"; }
