#!/usr/bin/env bash
# Installs a release build into the PostgreSQL of PG_CONFIG.
target=${PG_CONFIG_TARGET:?}
. "$(dirname "$0")/common.sh"
require_cargo
[ -x "$target" ] || fail "PG_CONFIG: $target is not a program"
major=$("$target" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
case $major in 15 | 16 | 17 | 18) ;; *) fail "PostgreSQL $major is not supported: 15 to 18 are" ;; esac
install_cargo_pgrx
cd "$CLONE"
use_pgrx_home "$CLONE/target/pgrx-home-$major" "$major" "$target"
say "Installing into $("$target" --pkglibdir)"
sudo=()
[ -w "$("$target" --pkglibdir)" ] || sudo=(--sudo)
cargo pgrx install --release --no-default-features --features "pg$major" --pg-config "$target" "${sudo[@]}"
if [ ${#sudo[@]} -gt 0 ]; then router=(sudo); else router=(); fi
"${router[@]}" install -m 644 router/sparkify_router* "$("$target" --sharedir)/extension/"
say "Done: CREATE EXTENSION sparkify;"
