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
