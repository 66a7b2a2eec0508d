#!/usr/bin/env bash
# Builds the release and installs it into the private copy of PostgreSQL.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/setup.sh"

cd "$CLONE"
use_pgrx_home "$STATE/pgrx" "$PG_MAJOR" "$PG_CONFIG"

# The router is SQL alone.
install -m 644 router/sparkify_router* "$PREFIX/share/postgresql/$PG_MAJOR/extension/"

# What the build depends on, so that a second run has nothing to do.
stamp=$STATE/installed
sources=$({ find src crates sql -type f; echo Cargo.toml; echo Cargo.lock; echo sparkify.control; } |
    LC_ALL=C sort | xargs sha256sum | sha256sum)
library=$PREFIX/lib/postgresql/$PG_MAJOR/lib/sparkify.so
if [ -f "$library" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
    say "The extension is up to date"
    exit 0
fi
say "Building the extension"
cargo pgrx install --release --no-default-features --features "pg$PG_MAJOR" --pg-config "$PG_CONFIG"
echo "$sources" > "$stamp"
