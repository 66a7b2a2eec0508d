//! A small catalogue, runs of the pipeline over it, and what they leave.

use std::time::{Duration, Instant};

use postgres::Client;

use crate::{Database, Server};

/// The steps, in their order.
pub const STEPS: [&str; 10] = [
    "clean",
    "match",
    "embeddings",
    "user_vectors",
    "recommendations",
    "validation",
    "evaluation",
    "activation",
    "prune",
    "summaries",
];

/// Twelve tracks, three users, a play of each.
pub const SMALL: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 2], 'g' || i % 2, i * 0.05, i % 5 * 0.1, i
    FROM generate_series(1, 12) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(1, 3) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    SELECT 'u' || i, 't' || i, timestamptz '2026-01-01' FROM generate_series(1, 3) AS i;";

/// A run over them.
pub const CALL: &str = "CALL sparkify.run_pipeline(dims => 2, n => 3)";

/// A database with twelve tracks, three users and a play of each.
pub fn small<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(SMALL).unwrap();
    (database, client)
}

/// Steps of the last run in the order of the pipeline, the whole run last: name, status and message.
pub fn last_run(client: &mut Client) -> Vec<(String, String, String)> {
    let order = STEPS.map(|step| format!("'{step}'")).join(", ");
    client
        .query(
            &format!(
                "SELECT step, status, coalesce(message, ''), finished_at IS NULL FROM sparkify.pipeline_runs
                 WHERE run_id = (SELECT max(run_id) FROM sparkify.pipeline_runs WHERE step = 'clean')
                 ORDER BY array_position(ARRAY[{order}, 'pipeline'], step)"
            ),
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| {
            let status: String = row.get(1);
            assert_eq!(row.get::<_, bool>(3), status == "running", "finished_at of a step that is {status}");
            (row.get(0), status, row.get(2))
        })
        .collect()
}

/// The states of these steps.
pub fn statuses(client: &mut Client) -> Vec<String> {
    last_run(client).into_iter().map(|(_, status, _)| status).collect()
}

/// What is served: the active model and every list of it.
pub fn served(client: &mut Client) -> String {
    client
        .query_one(
            "SELECT concat((SELECT model_id FROM sparkify.models WHERE active), ': ',
                string_agg(concat_ws(' ', user_id, rank, track_id, score), ', ' ORDER BY user_id, rank))
             FROM sparkify.recommendation_details",
            &[],
        )
        .unwrap()
        .get(0)
}

/// The number that a query gives.
pub fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

/// Waits until a query gives true.
#[track_caller]
pub fn wait_for(client: &mut Client, sql: &str) {
    let began = Instant::now();
    while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain for {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const WAITING: &str = "SELECT count(*) = 1 FROM pg_stat_activity
    WHERE query LIKE 'CALL sparkify.run_pipeline%' AND wait_event_type = 'Lock' AND datname = current_database()";

/// Holds the pipeline up in the step user_vectors; another session sees it run, and does something.
pub fn held_up(
    database: &Database,
    meanwhile: impl FnOnce(&mut Client),
) -> Result<(), postgres::Error> {
    let mut blocker = database.connect();
    blocker
        .batch_execute("BEGIN; LOCK TABLE sparkify.user_vectors IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    std::thread::scope(|scope| {
        // Within the scope, so that a failed assertion lets the call go on and end.
        let mut blocker = blocker;
        let mut client = database.connect();
        let call = scope.spawn(move || client.batch_execute(CALL));
        let mut watcher = database.connect();
        wait_for(&mut watcher, WAITING);
        meanwhile(&mut watcher);
        blocker.batch_execute("ROLLBACK").unwrap();
        call.join().unwrap()
    })
}
