//! What is measured on: a catalogue, users, and plays drawn at random.

use postgres::Client;

/// Users of 60 plays each.
pub const LISTENERS: usize = 10_000;
/// Plays of each.
pub const PLAYS: usize = 60;
/// Tracks of a generated catalogue: as many as the Kaggle file has.
const TRACKS: i32 = 89_740;

/// Fills the catalogue from the file that `make bench` names, or generates it.
pub fn fill_catalogue(client: &mut Client, tracks: Option<i32>) {
    let file = std::env::var("SPARKIFY_TRACKS").unwrap_or_default();
    if tracks.is_none() && !file.is_empty() {
        client.execute("SELECT sparkify.load_tracks($1)", &[&file]).expect("the file loads");
        client.execute("SELECT sparkify.clean_tracks()", &[]).expect("the tracks are cleaned");
    } else {
        let tracks = tracks.unwrap_or(TRACKS);
        client.execute("SELECT sparkify.generate_tracks($1)", &[&tracks]).expect("tracks");
    }
    // Tracks are drawn by their number here.
    client
        .batch_execute(
            "DROP TABLE IF EXISTS numbered;
             CREATE TABLE numbered AS
                 SELECT (row_number() OVER (ORDER BY md5(track_id)) - 1)::int AS number,
                     track_id, duration_ms FROM sparkify.tracks;
             CREATE INDEX ON numbered (number);
             ANALYZE numbered, sparkify.tracks",
        )
        .expect("the tracks are numbered");
}

/// Adds users of `PLAYS` plays each, spread over 120 days, written in the order of time.
pub fn add_listeners(client: &mut Client, first: usize, last: usize) {
    client
        .batch_execute(&format!(
            "INSERT INTO sparkify.users (user_id)
                 SELECT 'user_' || lpad(u::text, 6, '0') FROM generate_series({first}, {last}) AS u;
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played)
             SELECT 'user_' || lpad(u::text, 6, '0'), track_id,
                 now() - make_interval(secs => (draw & 1048575) * 9.88), duration_ms * (1 + p % 4) / 4
             FROM generate_series({first}, {last}) AS u, generate_series(1, {PLAYS}) AS p,
                 LATERAL (SELECT hashint8extended(u * 1000 + p, 42) AS draw) AS drawn,
                 numbered
             WHERE number = (draw >> 20 & 2147483647) % (SELECT count(*) FROM numbered)
             ORDER BY draw & 1048575 DESC"
        ))
        .expect("users and plays");
}

/// Adds users whose tastes are the simulator's, of `PLAYS` plays each or nearly, none
/// of a track heard before.
pub fn simulate_listeners(client: &mut Client) {
    let more = PLAYS as i32 * 4 / 3;
    client.execute("SELECT sparkify.generate_users($1)", &[&(LISTENERS as i32)]).expect("users");
    client
        .execute(
            "SELECT sparkify.generate_events($1, activity_spread => 0, doubling_days => 36500,
                 monthly_churn => 0, repeat_share => 0)",
            &[&more],
        )
        .expect("plays");
    client
        .execute(
            "DELETE FROM sparkify.listening_events AS e USING (
                 SELECT user_id, played_at, event_id,
                     row_number() OVER (PARTITION BY user_id ORDER BY played_at DESC, event_id) AS back
                 FROM sparkify.listening_events) AS o
             WHERE back > $1 AND (e.user_id, e.played_at, e.event_id) = (o.user_id, o.played_at, o.event_id)",
            &[&(PLAYS as i64)],
        )
        .expect("fewer plays");
}

/// Adds one user of so many different tracks.
pub fn add_listener(client: &mut Client, user_id: &str, plays: i32) {
    client.execute("INSERT INTO sparkify.users VALUES ($1)", &[&user_id]).expect("a user");
    client
        .execute(
            "INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played)
             SELECT $1, track_id, now() - make_interval(mins => number), duration_ms
             FROM numbered WHERE number < $2",
            &[&user_id, &plays],
        )
        .expect("plays");
}

/// As the autovacuum daemon would: what is measured is not how fresh the statistics are.
pub fn settle(client: &mut Client) {
    client.batch_execute("VACUUM ANALYZE").expect("vacuumed");
    client.batch_execute("CHECKPOINT").expect("written out");
}
