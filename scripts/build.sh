#!/usr/bin/env bash
# Builds the release and installs it into the private copy of PostgreSQL.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/setup.sh"
cd "$CLONE"

# A second run has nothing to do.
stamp=$STATE/installed
sources=$(sources_stamp)
libraries=$PREFIX/lib/postgresql/$PG_MAJOR/lib
if [ -f "$libraries/sparkify.so" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
    say "The extension is up to date"
    exit 0
fi
if [ -d target/release ]; then
    say "Building the extension"
else
    say "Building the extension: about 200 crates, five to ten minutes on two cores; later builds take about one"
fi
begun=$SECONDS
build_library "$PG_MAJOR" "$PG_CONFIG"
say "Built in $((SECONDS - begun)) s"
stage_extension "$STATE/staged"
rm -f "$stamp"
copy_extension "$STATE/staged" "$libraries" "$PREFIX/share/postgresql/$PG_MAJOR/extension"
echo "$sources" > "$stamp"
