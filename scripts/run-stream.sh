#!/usr/bin/env bash
# Plays that stream in: a broker, a producer that replays the simulated listening,
# a scheduled consumer, and what is recommended meanwhile. SECONDS_TO_RUN ends it;
# SPEED is how much faster than life the listening is replayed.
. "$(dirname "$0")/common.sh"
port=${PORT:-19092} seconds=${SECONDS_TO_RUN:-180} speed=${SPEED:-600}

demo_runs || "$CLONE/scripts/run.sh"
packages=()
command -v java >/dev/null || packages+=(default-jre-headless)
command -v mvn >/dev/null || packages+=(maven)
command -v kcat >/dev/null || packages+=(kcat)
if [ ${#packages[@]} -gt 0 ]; then
    say "Installing packages: ${packages[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
say "A Kafka broker at 127.0.0.1:$port"
why=$("$CLONE/tests/kafka/fetch.sh" "$STATE/kafka") || fail "$why"
broker=$STATE/demo-broker
rm -rf "$broker"
mkdir -p "$broker"
"$CLONE/tests/kafka/run.sh" "$STATE/kafka/jars" "$broker" "$port" > "$broker/log" 2>&1 &
started=$!
producing=
finish() {
    [ -z "$producing" ] || kill "$producing" 2>/dev/null || true
    demo_psql -d "$DATABASE" -qAtc "SELECT sparkify.drop_stream('plays') FROM sparkify.stream_status WHERE stream = 'plays' LIMIT 1" >/dev/null 2>&1 || true
    kill "$started" 2>/dev/null || true
    wait "$started" 2>/dev/null || true
    rm -rf "$broker"
}
trap finish EXIT
for _ in $(seq 120); do
    if kcat -q -b "127.0.0.1:$port" -L >/dev/null 2>&1; then break; fi
    kill -0 "$started" 2>/dev/null || { tail -n 20 "$broker/log" >&2; fail "the broker did not start"; }
    sleep 0.5
done
echo '{}' | kcat -q -P -b "127.0.0.1:$port" -t listening

say "From a topic to recommendations"
show() { echo "sparkify=# $1"; demo_psql -d "$DATABASE" -c "$1"; }
demo_psql -d "$DATABASE" -qAtc "SELECT sparkify.drop_stream('plays') FROM sparkify.stream_status WHERE stream = 'plays' LIMIT 1" >/dev/null
show "SELECT sparkify.create_stream('plays', '127.0.0.1:$port', 'listening', start => 'latest')"
show "SELECT job_name, schedule FROM sparkify.schedule_stream('plays')"

# Each second the plays of the next minutes of the simulated time, at the present time.
replay="SELECT json_build_object('user_id', user_id, 'track_id', track_id, 'played_at', to_json(clock_timestamp()), 'ms_played', ms_played,
        'skipped', skipped, 'event_id', gen_random_uuid())
    FROM sparkify.listening_events, (SELECT max(played_at) - interval '7 days' AS began FROM sparkify.listening_events WHERE played_at < timestamptz 'STARTED') AS w
    WHERE played_at >= began + :step * :speed * interval '1 second' AND played_at < began + (:step + 1) * :speed * interval '1 second'
      AND played_at < timestamptz 'STARTED'"
replay=${replay//STARTED/$(date -u +%FT%TZ)}
produce() {
    for step in $(seq 0 "$seconds"); do
        demo_psql -d "$DATABASE" -qAt -v step="$step" -v speed="$speed" <<< "$replay;"
        sleep 1
    done
}
produce | kcat -q -P -b "127.0.0.1:$port" -t listening -X linger.ms=5 &
producing=$!
say "Plays stream in for $seconds s ($speed times as fast as they were simulated); pg_cron starts the consumer at the next full minute"
until [ "$SECONDS" -ge "$seconds" ]; do
    sleep 10
    show "SELECT \"partition\", stored_offset, lag, round(events_per_second) AS per_second, running, last_error FROM sparkify.stream_status ORDER BY 1"
    show "SELECT user_id, to_char(max(played_at), 'HH24:MI:SS') AS last_play, (SELECT string_agg(r.track_id, ', ' ORDER BY rank) FROM sparkify.recommend(e.user_id, 3) AS r) AS recommended
          FROM sparkify.listening_events AS e WHERE played_at > now() - interval '1 minute' GROUP BY user_id ORDER BY 2 DESC LIMIT 3"
done
