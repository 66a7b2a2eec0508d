#!/usr/bin/env bash
# Installs a release build into the PostgreSQL of PG_CONFIG, or below DESTDIR for
# a package of it; with --remove takes it away again.
target=${PG_CONFIG_TARGET:?}
. "$(dirname "$0")/common.sh"
[ -x "$target" ] || fail "PG_CONFIG: $target is not a program"
libraries=${DESTDIR:-}$("$target" --pkglibdir)
extensions=${DESTDIR:-}$("$target" --sharedir)/extension
# Asked for at the beginning, not after the build.
sudo=()
if [ "$(id -u)" != 0 ] && [ -z "${DESTDIR:-}" ] && { [ ! -w "$libraries" ] || [ ! -w "$extensions" ]; }; then
    command -v sudo >/dev/null || fail "$libraries belongs to $(stat -c %U "$libraries"), and there is no sudo here"
    say "sudo may ask for your password, to write into $libraries"
    sudo -v
    sudo=(sudo)
fi

if [ "${1:-}" = --remove ]; then
    [ -f "$libraries/sparkify.so" ] || [ -f "$extensions/sparkify.control" ] || fail "no sparkify is installed in $libraries"
    "${sudo[@]}" rm -f "$libraries/sparkify.so" "$extensions/sparkify.control" "$extensions"/sparkify--*.sql "$extensions"/sparkify_router*
    say "Removed from $libraries and $extensions"
    echo "Databases that have the extension keep its tables, and can drop it: DROP EXTENSION sparkify;"
    exit 0
fi

require_cargo
major=$("$target" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
case $major in 15 | 16 | 17 | 18) ;; *) fail "PostgreSQL $major is not supported: 15 to 18 are" ;; esac
[ -f "$("$target" --includedir-server)/postgres.h" ] ||
    fail "the headers of PostgreSQL $major are missing; on Debian: apt-get install postgresql-server-dev-$major clang libclang-dev"
cd "$CLONE"
say "Building the extension for PostgreSQL $major"
build_library "$major" "$target"
staged=$CLONE/target/staged-$major
stage_extension "$staged"
say "Installing into $libraries and $extensions"
copy_extension "$staged" "$libraries" "$extensions" "${sudo[@]}"
say "Done: CREATE EXTENSION sparkify;"
