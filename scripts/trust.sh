#!/usr/bin/env bash
# What the tests do in small, as long as asked for: fuzz (CALLS, SEED), chaos (KILLS, SEED), soak
# (SECONDS_TO_RUN, SEED), and how soon calls stop when they are cancelled: cancel (TRACKS, CANCELS).
what=${1:?fuzz, chaos, soak or cancel}
. "$(dirname "$0")/common.sh"
require_tracks "${TRACKS:-}"
"$CLONE/scripts/build.sh"
cd "$CLONE"
export SPARKIFY_PGBIN=$PGBIN
case $what in
fuzz)
    export SPARKIFY_FUZZ_CALLS=${CALLS:-20000} SPARKIFY_FUZZ_SEED=${SEED:-1}
    cargo test -p sparkify-server-tests --test fuzz -- --nocapture
    ;;
chaos)
    export SPARKIFY_CHAOS_KILLS=${KILLS:-100} SPARKIFY_CHAOS_SEED=${SEED:-1}
    cargo test -p sparkify-server-tests --test chaos -- --nocapture
    ;;
soak)
    export SPARKIFY_SOAK_SECONDS=${SECONDS_TO_RUN:-300} SPARKIFY_SOAK_SEED=${SEED:-1}
    cargo test -p sparkify-server-tests --test soak -- --nocapture
    ;;
cancel)
    export SPARKIFY_TRACKS= SPARKIFY_CANCELS=${CANCELS:-12}
    if [ -n "${TRACKS:-}" ]; then
        # The server reads a copy of its own: the file may lie where it cannot look.
        SPARKIFY_TRACKS=$STATE/cancel-tracks.csv
        install -m 644 "$TRACKS" "$SPARKIFY_TRACKS"
    fi
    cargo bench -p sparkify-server-tests --bench cancel
    ;;
*) fail "$what is none of fuzz, chaos, soak and cancel" ;;
esac
