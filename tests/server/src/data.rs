//! A made-up data set for tests, and what a database answers about it.

use postgres::Client;

/// The share of users that have plays is six in eight; one in eight has declared
/// a taste and one has said nothing. The same numbers give the same rows.
const FILL: &str = r#"
    -- A number from 0 to 1 that depends on its argument alone.
    CREATE FUNCTION pg_temp.chance(text) RETURNS double precision LANGUAGE sql IMMUTABLE AS
        $$ SELECT ('x' || substr(md5($1), 1, 8))::bit(32)::bigint / 4294967296.0 $$;
    -- One track in ten is another version of an earlier song.
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, popularity, duration_ms,
        danceability, energy, loudness, speechiness, acousticness, valence, tempo, key, mode)
    SELECT 'track ' || i, 'Song ' || song, ARRAY['Artist ' || song % 97], ARRAY[genre, other], genre,
        (100 * pg_temp.chance('p' || i) ^ 2)::int, 60000 + (240000 * pg_temp.chance('d' || i))::int,
        pg_temp.chance('a' || i), nullif(pg_temp.chance('e' || i), 0), -60 * pg_temp.chance('l' || i) ^ 2,
        pg_temp.chance('s' || i) ^ 3, pg_temp.chance('c' || i), CASE WHEN i % 50 > 0 THEN pg_temp.chance('v' || i) END,
        60 + 120 * pg_temp.chance('t' || i), (11 * pg_temp.chance('k' || i))::int, i % 2
    FROM (SELECT i, i % (TRACKS * 9 / 10) AS song, 'genre ' || (12 * pg_temp.chance('g' || i))::int AS genre,
            'genre ' || (40 * pg_temp.chance('o' || i) ^ 2)::int AS other FROM generate_series(1, TRACKS) AS i) AS t;
    INSERT INTO sparkify.users (user_id, genre_weights)
    SELECT 'user ' || i, CASE i % 8 WHEN 0 THEN jsonb_build_object('genre ' || i % 12, 0.7, 'genre ' || i % 5, 0.3) END
    FROM generate_series(1, USERS) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played, event_id)
    SELECT 'user ' || u, 'track ' || 1 + (TRACKS * pg_temp.chance('h' || u || '/' || e) ^ 2)::int % TRACKS,
        timestamptz '2025-01-01' + 120 * pg_temp.chance('w' || u || '/' || e) * interval '1 day',
        CASE WHEN e % 3 > 0 THEN (300000 * pg_temp.chance('m' || u || '/' || e))::int END,
        md5(u || '/' || e)::uuid
    FROM generate_series(1, USERS) AS u, generate_series(1, 2 + u % 17) AS e WHERE u % 8 > 1;
    DROP FUNCTION pg_temp.chance;"#;

/// Makes `tracks` tracks, `users` users and their plays.
pub fn fill(client: &mut Client, tracks: usize, users: usize) {
    let sql = FILL.replace("TRACKS", &tracks.to_string()).replace("USERS", &users.to_string());
    client.batch_execute(&sql).expect("made-up data is stored");
}

const ON_DEMAND: &str =
    "SELECT u.user_id, r.model_id, r.rank, r.track_id, float4send(r.score) AS score, r.strategy
    FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, $1) AS r";
const STORED: &str = "SELECT user_id, model_id, rank, track_id, float4send(score) AS score, strategy
    FROM sparkify.user_recommendations WHERE model_id = (SELECT model_id FROM sparkify.models WHERE active)";

fn digest(client: &mut Client, sql: &str, n: Option<i32>) -> (i64, String) {
    let sql = format!(
        "SELECT count(*), coalesce(md5(string_agg(rows::text, ' ' ORDER BY user_id, rank)), '') FROM ({sql}) AS rows"
    );
    let row = match n {
        Some(n) => client.query_one(&sql, &[&n]),
        None => client.query_one(&sql, &[]),
    };
    let row = row.expect("recommendations are read");
    (row.get(0), row.get(1))
}

/// The number and a digest of the `n` best tracks of every user on demand, scores bit for bit.
pub fn on_demand(client: &mut Client, n: i32) -> (i64, String) {
    digest(client, ON_DEMAND, Some(n))
}

/// The number and a digest of the stored recommendations of the active model, comparable to [`on_demand`].
pub fn stored(client: &mut Client) -> (i64, String) {
    digest(client, STORED, None)
}

/// Users whose stored recommendations are not what `recommend` gives, with the first difference of each.
pub fn differences(client: &mut Client, n: i32) -> Vec<String> {
    let sql = format!(
        "SELECT min(format('%s %s', d.user_id, d)) FROM (
            (SELECT 'stored', * FROM ({STORED}) AS a EXCEPT SELECT 'stored', * FROM ({ON_DEMAND}) AS b)
            UNION ALL
            (SELECT 'on demand', * FROM ({ON_DEMAND}) AS b EXCEPT SELECT 'on demand', * FROM ({STORED}) AS a)) AS d
        GROUP BY d.user_id ORDER BY 1"
    );
    let rows = client.query(&sql, &[&n]).expect("recommendations are compared");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The checks of the active model that do not pass.
pub fn failed_checks(client: &mut Client) -> Vec<String> {
    client
        .query("SELECT check_name || ': ' || detail FROM sparkify.validate() WHERE NOT passed", &[])
        .expect("validate() answers")
        .iter()
        .map(|row| row.get(0))
        .collect()
}
