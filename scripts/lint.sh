#!/usr/bin/env bash
# Formatting and lints, warnings denied, and whether what is generated is as it should be.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/setup.sh" --develop
cd "$CLONE"
export PGRX_PG_CONFIG_PATH=$TEST_PREFIX/lib/postgresql/$PG_MAJOR/bin/pg_config
say "Formatting"
cargo fmt --all --check
say "Lints"
cargo clippy --workspace --all-targets --no-default-features --features "pg$PG_MAJOR $FEATURES" -- -D warnings
say "The install script"
"$CLONE/scripts/schema.sh" --check
say "Licences and sources of the dependencies"
# Advisories need a copy of their database, which the workflow fetches.
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --offline check licenses bans sources
else
    echo "skipped: cargo-deny is not installed (cargo install cargo-deny --locked)"
fi
say "Released install scripts"
version=$(extension_version)
for pair in "sql/sparkify--$version.sql sql/install.sql" "router/sparkify_router--$version.sql router/install.sql"; do
    read -r released source <<<"$pair"
    [ ! -f "$released" ] || cmp -s "$released" <(install_script "$source") ||
        fail "$released is released and the sources no longer generate it: move the version in Cargo.toml and write an upgrade script"
done
