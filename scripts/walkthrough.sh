#!/usr/bin/env bash
# Runs the README as a stranger would: a bare Debian 12 made with debootstrap, a
# plain user with sudo, Rust from this machine, a clone of COMMIT. Every command
# of the blocks named below runs in order; what each printed and how long it took
# is kept in DIR/walkthrough-COMMIT.log. Needs root and some 4 GB in DIR.
#
# usage: scripts/walkthrough.sh DIR [COMMIT]
set -euo pipefail
folder=${1:?usage: scripts/walkthrough.sh DIR [COMMIT]}
clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
commit=$(git -C "$clone" rev-parse --short "${2:-HEAD}")
folder=$(mkdir -p "$folder" && cd "$folder" && pwd)
root=$folder/root-$commit
log=$folder/walkthrough-$commit.log
[ "$(id -u)" = 0 ] || { echo 'error: debootstrap and chroot need root' >&2; exit 1; }
export LC_ALL=C.UTF-8

if [ ! -d "$folder/base" ]; then
    debootstrap --variant=minbase --include=ca-certificates,make,sudo,git bookworm "$folder/base" > "$folder/debootstrap.log"
fi
rm -rf "$root"
cp -a "$folder/base" "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# A machine behind a proxy has certificates of its own.
cp -a /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
chroot "$root" update-ca-certificates > /dev/null 2>&1
echo '127.0.0.1 localhost' "$(hostname)" > "$root/etc/hosts"
chroot "$root" useradd -m -s /bin/bash stranger
echo 'stranger ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/stranger"
git clone -q --no-local "$clone" "$root/home/stranger/sparkify"
git -C "$root/home/stranger/sparkify" checkout -q "$commit"
chroot "$root" chown -R stranger: /home/stranger
mkdir -p "$root/opt/rust"

# The commands of the section "Run it", and the SQL of the first recommendation.
awk '/^## / { inside = /^## Run it/ } /^```/ { block = inside && /^```sh/; next } block' "$root/home/stranger/sparkify/README.md" |
    sed 's/ *#.*//' | grep -vE 'path/to|^git clone|^cd |^$' > "$root/home/stranger/commands"
awk '/^## / { inside = /^## First recommendation/ } /^```/ { block = inside && /^```sql/; next } block' \
    "$root/home/stranger/sparkify/README.md" > "$root/home/stranger/first.sql"

cat > "$root/home/stranger/walk" <<'WALK'
cd ~/sparkify
export PATH=/opt/rust/bin:$PATH
begun=$SECONDS
step() {
    echo "\$ $1"
    local start=$SECONDS
    eval "$1" < "${2:-/dev/null}" || { echo "FAILED with status $?"; failed=1; }
    echo "[$((SECONDS - start)) s]"
}
# Before there is anything, a sentence.
echo '$ make psql'; make psql
echo '$ make stop'; make stop
while IFS= read -r command; do step "$command"; done < ~/commands
step 'make psql' ~/first.sql
step 'make run'
step 'make stop'
step 'make start'
step 'echo "SELECT count(*) FROM sparkify.tracks" | make psql'
step 'pg_lsclusters'
step 'make stop'
step 'du -sh ~/sparkify/target ~/.cargo /var/tmp'
step 'df -h / | tail -n 1'
echo "[$((SECONDS - begun)) s in all]"
exit ${failed:-0}
WALK

# A namespace of its own: whatever the commands started ends with it.
status=0
unshare --mount --pid --fork --kill-child --propagation private bash -euc "
    mount --bind '$(rustc --print sysroot)' '$root/opt/rust'
    mount -t proc proc '$root/proc'
    mount --rbind /dev '$root/dev'
    mount -t tmpfs tmpfs '$root/dev/shm'
    exec chroot '$root' su - stranger -c 'time timeout 3600 bash ~/walk'" > "$log" 2>&1 || status=$?
tail -n 5 "$log"
if [ "$status" = 0 ]; then echo "every command succeeded; see $log"; else echo "FAILED ($status); see $log"; fi
rm -rf "$root"
exit "$status"
