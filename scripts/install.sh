#!/usr/bin/env bash
# Installs a release build into the PostgreSQL of PG_CONFIG.
target=${PG_CONFIG_TARGET:?}
. "$(dirname "$0")/common.sh"
[ -x "$target" ] || fail "PG_CONFIG: $target is not a program"
major=$("$target" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
case $major in 15 | 16 | 17 | 18) ;; *) fail "PostgreSQL $major is not supported: 15 to 18 are" ;; esac
if [ "$(cargo pgrx --version 2>/dev/null | awk '{print $NF}')" != "$PGRX_VERSION" ]; then
    say "Installing cargo-pgrx $PGRX_VERSION (a few minutes, once)"
    cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --debug
fi
cd "$CLONE"
export PGRX_HOME=${PGRX_HOME:-$CLONE/target/pgrx-home-$major}
mkdir -p "$PGRX_HOME"
printf '[configs]\npg%s = "%s"\n' "$major" "$target" > "$PGRX_HOME/config.toml"
say "Installing into $("$target" --pkglibdir)"
sudo=()
[ -w "$("$target" --pkglibdir)" ] || sudo=(--sudo)
cargo pgrx install --release --no-default-features --features "pg$major" --pg-config "$target" "${sudo[@]}"
say "Done: CREATE EXTENSION sparkify;"
