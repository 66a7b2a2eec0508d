# Sourced by the other scripts: where things live, and who runs the server.
#
# Nothing of the system's PostgreSQL is changed: the extension is installed into
# a private copy of it, and the clusters lie beside that copy, in a folder that
# the server's user can read wherever this clone may be.
set -euo pipefail

# The PostgreSQL that the Debian release carries: 17 from Debian 13 on.
release=$(sed -nE 's/^VERSION_ID="?([0-9]+).*/\1/p' /etc/os-release 2>/dev/null || true)
if grep -qs '^ID=debian' /etc/os-release && [ "${release:-12}" -ge 13 ]; then PG_MAJOR=${PG_MAJOR:-17}; fi
PG_MAJOR=${PG_MAJOR:-15}
PGRX_VERSION=0.18.1
# What is built beside the server's version; FEATURES= builds without streams.
FEATURES=${FEATURES-kafka}
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
# Of the socket, and of the loopback address where GRAFANA=1 asks for it.
PORT=${SPARKIFY_PORT:-55432}
DATABASE=sparkify

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root or sudo: $*"
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

# The server reads a copy of its own: the file may lie where it cannot look. A
# private file stays private: only the server's user can read the copy.
copy_tracks() {
    if [ "$(id -u)" = 0 ]; then install -m 600 -o postgres -- "$1" "$2"; else install -m 600 -- "$1" "$2"; fi
}

# The configuration that cargo pgrx reads, in a folder of its own: one server, by its major version and pg_config.
use_pgrx_home() {
    export PGRX_HOME=$1
    mkdir -p "$PGRX_HOME"
    printf '[configs]\npg%s = "%s"\n' "$2" "$3" > "$PGRX_HOME/config.toml"
}

require_cargo() { command -v cargo >/dev/null || fail "cargo is not installed; get Rust from https://rustup.rs"; }

# For tests and for writing sql/install.sql; building needs cargo alone.
install_cargo_pgrx() {
    [ "$(cargo pgrx --version 2>/dev/null | awk '{print $NF}')" != "$PGRX_VERSION" ] || return 0
    say "Installing cargo-pgrx $PGRX_VERSION (a few minutes, once)"
    cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --debug
}

# What the build depends on.
sources_stamp() {
    (cd "$CLONE" && { find src crates sql router -type f; echo Cargo.toml; echo Cargo.lock; echo sparkify.control; } |
        LC_ALL=C sort | xargs sha256sum | sha256sum)
}
extension_version() { sed -nE 's/^version = "(.*)"$/\1/p' "$CLONE/Cargo.toml" | head -n 1; }

# Builds the release for the PostgreSQL of a pg_config, given with its major version.
build_library() {
    PGRX_PG_CONFIG_PATH=$2 cargo build --release --lib --no-default-features --features "pg$1 $FEATURES"
}

# The script that CREATE EXTENSION runs: a file (sql/install.sql) with the files it names.
install_script() {
    (cd "$CLONE" && awk '
        /^-- include / {
            lines = 0
            while ((status = (getline line < $3)) > 0) { print line; lines++ }
            if (status < 0 || !lines) { print "error: cannot read " $3 > "/dev/stderr"; exit 1 }
            close($3)
            next
        }
        { print }' "${1:-sql/install.sql}")
}

# The router is SQL alone.
stage_router() {
    local version
    version=$(extension_version)
    sed "s/@CARGO_VERSION@/$version/" "$CLONE/router/sparkify_router.control" > "$1/sparkify_router.control"
    install_script router/install.sql > "$1/sparkify_router--$version.sql"
}

# Lays the files of the extension (and the scripts of upgrades) ready in a folder.
stage_extension() {
    local version script
    version=$(extension_version)
    mkdir -p "$1"
    rm -f "$1"/sparkify*
    cp "${LIBRARY:-$CLONE/target/release/libsparkify.so}" "$1/sparkify.so"
    sed "s/@CARGO_VERSION@/$version/" "$CLONE/sparkify.control" > "$1/sparkify.control"
    install_script > "$1/sparkify--$version.sql"
    stage_router "$1"
    for script in "$CLONE"/sql/sparkify--*--*.sql "$CLONE"/router/sparkify_router--*--*.sql; do
        [ ! -f "$script" ] || cp "$script" "$1"
    done
}

# Copies what lies ready into the folders for libraries and for extensions; the
# words after them are put before each command (sudo, or nothing). A library is
# replaced, not overwritten: servers may have it mapped.
copy_extension() {
    local staged=$1 libraries=$2 extensions=$3
    shift 3
    "$@" install -d "$libraries" "$extensions"
    "$@" rm -f "$libraries/sparkify.so"
    "$@" install -m 755 "$staged/sparkify.so" "$libraries/sparkify.so"
    "$@" install -m 644 "$staged"/sparkify*.control "$staged"/sparkify*.sql "$extensions"
}

# A folder that only the server's user can look into.
server_folder() {
    if [ "$(id -u)" = 0 ]; then install -d -m 700 -o postgres -- "$@"; else install -d -m 700 -- "$@"; fi
}

demo_made() { [ -s "$CLUSTER/PG_VERSION" ]; }
require_demo() { demo_made || fail "there is no database yet: make run makes one"; }
demo_runs() { [ -s "$CLUSTER/postmaster.pid" ] && as_server "$PGBIN/pg_ctl" -D "$CLUSTER" status >/dev/null; }
demo_psql() { "$PGBIN/psql" -X -h "$SOCKET" -p "$PORT" -U postgres -v ON_ERROR_STOP=1 "$@"; }
# Starts the server with more options than those of its configuration.
demo_start() {
    as_server "$PGBIN/pg_ctl" -D "$CLUSTER" -l "$LOG" -w -o "-p $PORT $*" start >/dev/null ||
        { tail -n 20 "$LOG" >&2 || true; fail "the server did not start; its log is $LOG"; }
}
demo_stop() { as_server "$PGBIN/pg_ctl" -D "$CLUSTER" -m fast -w stop >/dev/null; }
