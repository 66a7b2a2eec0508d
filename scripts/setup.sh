#!/usr/bin/env bash
# Installs what is missing: packages and a private copy of PostgreSQL; with
# --develop also what tests and lints need: cargo-pgrx and a second copy.
# Safe to run again; does nothing where nothing is missing.
. "$(dirname "$0")/common.sh"
develop=
[ "${1:-}" != --develop ] || develop=1

require_cargo

packages=(
    "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" "postgresql-$PG_MAJOR-cron" "postgresql-$PG_MAJOR-plproxy"
    build-essential pkg-config clang libclang-dev libssl-dev ca-certificates
)
# cargo pgrx test changes user with sudo.
if [ -n "$develop" ]; then packages+=(sudo); fi
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "Installing Debian packages (1.3 GB on a bare system, a minute or two): ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "installing packages needs root or sudo"
        say "sudo may ask for your password; nothing after this needs it"
        sudo -v
    fi
    # The package would make and start a cluster of its own, which nothing here uses.
    quiet=/etc/postgresql-common/createcluster.d/sparkify-setup.conf
    trap 'as_root rm -f "$quiet"' EXIT
    as_root mkdir -p "$(dirname "$quiet")"
    echo 'create_main_cluster = false' | as_root tee "$quiet" >/dev/null
    log=$(mktemp)
    as_root apt-get update -q >"$log" 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "the packages could not be installed; all that apt said is in $log"; }
    rm -f "$log"
fi

if [ -n "$develop" ]; then install_cargo_pgrx; fi

# The folder's name can be guessed: take it only if it is ours.
mkdir -p "$STATE"
owner=$(stat -c %U "$STATE")
[ -L "$STATE" ] || [ "$owner" != "$(id -un)" ] && fail "$STATE belongs to $owner; remove it or set SPARKIFY_STATE"
chmod 755 "$STATE"

version="$("/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" --version) with cron and plproxy"
prefixes=("$PREFIX")
if [ -n "$develop" ]; then prefixes+=("$TEST_PREFIX"); fi
for prefix in "${prefixes[@]}"; do
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
