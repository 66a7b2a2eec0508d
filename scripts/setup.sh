#!/usr/bin/env bash
# Installs what is missing: packages, cargo-pgrx, a private copy of PostgreSQL.
# Safe to run again; does nothing where nothing is missing.
. "$(dirname "$0")/common.sh"

require_cargo

packages=(
    "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" "postgresql-$PG_MAJOR-cron" "postgresql-$PG_MAJOR-plproxy"
    build-essential pkg-config clang libclang-dev ca-certificates
)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
# cargo pgrx test changes user with sudo.
command -v sudo >/dev/null || missing+=(sudo)
if [ ${#missing[@]} -gt 0 ]; then
    say "Installing packages: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

install_cargo_pgrx

# The folder's name can be guessed: take it only if it is ours.
mkdir -p "$STATE"
owner=$(stat -c %U "$STATE")
[ -L "$STATE" ] || [ "$owner" != "$(id -un)" ] && fail "$STATE belongs to $owner; remove it or set SPARKIFY_STATE"
chmod 755 "$STATE"

version="$("/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" --version) with cron and plproxy"
for prefix in "$PREFIX" "$TEST_PREFIX"; do
    if [ "$(cat "$prefix/version" 2>/dev/null)" != "$version" ]; then
        say "Copying $version to $prefix"
        rm -rf "$prefix"
        mkdir -p "$prefix/lib/postgresql" "$prefix/share/postgresql" "$prefix/include"
        cp -a "/usr/lib/postgresql/$PG_MAJOR" "$prefix/lib/postgresql/"
        cp -a "/usr/share/postgresql/$PG_MAJOR" "$prefix/share/postgresql/"
        ln -s /usr/include/postgresql "$prefix/include/postgresql"
        echo "$version" > "$prefix/version"
    fi
done
