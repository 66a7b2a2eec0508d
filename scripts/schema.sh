#!/usr/bin/env bash
# Writes sql/install.sql anew: the functions of the library as cargo-pgrx reads
# them from it, and in their order the files of sql/, each as one line "-- include".
# With --check it says instead whether that file is what it should be.
. "$(dirname "$0")/common.sh"
"$CLONE/scripts/setup.sh" --develop
cd "$CLONE"
use_pgrx_home "$STATE/pgrx-schema" "$PG_MAJOR" "$TEST_PREFIX/lib/postgresql/$PG_MAJOR/bin/pg_config"
generated=$STATE/generated.sql
cargo pgrx schema --no-default-features --features "pg$PG_MAJOR $FEATURES" --out "$generated" >/dev/null

# pgrx names a file of SQL by the line of src/lib.rs that includes it.
awk '
    FILENAME == "src/lib.rs" {
        if (/extension_sql_file!/) { begun = FNR }
        if (begun && match($0, /"\.\.\/sql\/[^"]+"/)) { file[begun] = substr($0, RSTART + 4, RLENGTH - 5); begun = 0 }
        next
    }
    FNR == 1 {
        print "-- Written by make schema; the extension is installed from it. Lines \"-- include\"\n-- stand for the files they name."
    }
    /^\/\* <begin connected objects> \*\// { block = 1; next }
    /^\/\* <\/end connected objects> \*\// { block = 0; include = 0; next }
    !block || include { next }
    block == 1 {
        block = 2
        if (match($0, /^-- src\/lib\.rs:[0-9]+$/) && (substr($0, 15) in file)) {
            print "\n-- include " file[substr($0, 15)]
            include = 1
            next
        }
        if ($0 == "/*") { include = 1; next }
        print ""
        # Lines of the source move with every change.
        sub(/:[0-9]+$/, "")
    }
    { sub(/[ \t]+$/, ""); print }
' src/lib.rs "$generated" > "$STATE/install.sql"
rm -f "$generated"

# The order may differ from one time to the next; a valid one stays as it is.
if cmp -s <(sort sql/install.sql) <(sort "$STATE/install.sql"); then
    say "sql/install.sql is up to date"
elif [ "${1:-}" = --check ]; then
    diff -u <(sort sql/install.sql) <(sort "$STATE/install.sql") | grep '^[-+]' >&2 || true
    fail "sql/install.sql is not what the library holds: run make schema"
else
    cp "$STATE/install.sql" sql/install.sql
    say "Wrote sql/install.sql"
fi
