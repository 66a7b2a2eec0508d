//! As many sessions as the server takes, each doing anything at any time: no deadlock, no
//! internal error, and afterwards no list that is not what is computed afresh.
//!
//! `make soak SECONDS_TO_RUN=…` for as long as asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use sparkify_server_tests::Server;
use sparkify_server_tests::consistency::check;
use sparkify_server_tests::data::fill;
use sparkify_server_tests::random::{Random, from_environment};

const N: i32 = 5;
/// What the server allows, some of it kept for superusers and for the check.
const CONNECTIONS: usize = 40;
const SESSIONS: usize = 34;

/// Statements and how often they come; `$u` is a user, `$t` a track, `$m` a minute, `$d` a
/// small number.
const WORK: [(usize, &str); 25] = [
    (30, "SELECT count(*) FROM sparkify.recommend('user $u', 10)"),
    (8, "SELECT count(*) FROM sparkify.similar_tracks('track $t')"),
    (8, "SELECT count(*) FROM sparkify.recommendation_details WHERE user_id = 'user $u'"),
    (4, "SELECT count(*) FROM sparkify.top_tracks"),
    (4, "SELECT count(*) FROM sparkify.popular_tracks(10)"),
    (
        30,
        "SELECT accepted FROM sparkify.ingest_events('[{\"user_id\": \"user $u\", \"track_id\": \"track $t\",
            \"played_at\": \"2025-06-$dT00:$m:00Z\"}, {\"user_id\": \"user $m\", \"track_id\": \"track $d\",
            \"played_at\": \"2025-07-$dT00:$m:00Z\"}, {\"user_id\": \"user $u\"}]')",
    ),
    (
        10,
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         VALUES ('user $u', 'track $t', '2025-08-$d 00:$m:00Z') ON CONFLICT DO NOTHING",
    ),
    (4, "DELETE FROM sparkify.listening_events WHERE user_id = 'user $u' AND track_id = 'track $t'"),
    (6, "SELECT sparkify.rate_track('user $u', 'track $t', CASE WHEN $d < 15 THEN 1 ELSE -1 END)"),
    (3, "SELECT count(*) FROM sparkify.forget_user('user $u')"),
    (3, "DELETE FROM sparkify.users WHERE user_id = 'user $u'"),
    (3, "INSERT INTO sparkify.users (user_id) VALUES ('user $u') ON CONFLICT DO NOTHING"),
    (2, "DELETE FROM sparkify.tracks WHERE track_id = 'track $t'"),
    (2, "UPDATE sparkify.tracks SET popularity = $d WHERE track_id = 'track $t'"),
    (
        2,
        "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre)
         VALUES ('track $t', 'Artist $d', 'Song $t', 'genre $d')",
    ),
    (2, "SELECT count(*) FROM sparkify.clean_tracks()"),
    (3, "SELECT sparkify.refresh_recommendations(5)"),
    (1, "SELECT sparkify.refresh_recommendations(5, force => true, threads => 2)"),
    (2, "SELECT sparkify.build_user_vectors()"),
    (3, "SELECT sparkify.refresh_summaries()"),
    (1, "SELECT sparkify.build_embeddings(8)"),
    (1, "SELECT sparkify.train_model('hybrid', dims => 4)"),
    (2, "SELECT sparkify.activate_model((SELECT max(model_id) FROM sparkify.models))"),
    (1, "DELETE FROM sparkify.models WHERE NOT active AND model_id < (SELECT max(model_id) FROM sparkify.models)"),
    (1, "CALL sparkify.run_pipeline(dims => 8, n => 5)"),
];

/// What a client may be told and can act upon: too late for its snapshot, a row or a model
/// that another one deleted, a pipeline or a topic under way, a uuid or a key taken.
const EXPECTED: [&str; 6] = ["40001", "P0002", "55000", "55P03", "57014", "55006"];

fn statement(random: &mut Random) -> String {
    let all: usize = WORK.iter().map(|work| work.0).sum();
    let mut at = random.below(all);
    let chosen = WORK.iter().find(|(often, _)| {
        let found = at < *often;
        at = at.saturating_sub(*often);
        found
    });
    chosen
        .map_or("SELECT 1", |work| work.1)
        .replace("$u", &random.below(120).to_string())
        .replace("$t", &random.below(400).to_string())
        .replace("$m", &(10 + random.below(50)).to_string())
        .replace("$d", &(10 + random.below(18)).to_string())
}

#[test]
fn everything_at_once_ends_in_what_holds_together() {
    let seconds = from_environment("SPARKIFY_SOAK_SECONDS", 15);
    let seed = from_environment("SPARKIFY_SOAK_SEED", 1);
    let server = Server::start(&[
        &format!("max_connections = {CONNECTIONS}"),
        "max_wal_size = 2GB",
        "deadlock_timeout = 200ms",
    ]);
    let database = server.database("soak");
    let mut client = database.connect();
    fill(&mut client, 400, 120);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(8); SELECT sparkify.refresh_recommendations(5);
             SELECT sparkify.refresh_summaries()",
        )
        .expect("a database to work on");
    let until = Instant::now() + Duration::from_secs(seconds);
    let findings: Mutex<BTreeMap<String, String>> = Mutex::default();
    let counts: Mutex<BTreeMap<String, usize>> = Mutex::default();
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let (database, findings, counts) = (&database, &findings, &counts);
            scope.spawn(move || {
                let mut random = Random::new(seed * 1000 + session as u64);
                let mut client = database.connect();
                client
                    .batch_execute("SET client_min_messages = error; SET statement_timeout = '60s'")
                    .expect("settings");
                while Instant::now() < until {
                    let sql = statement(&mut random);
                    // Now and then two in one transaction, and another isolation.
                    let call = !sql.starts_with("CALL") && random.once_in(6);
                    let level = random.pick(&["READ COMMITTED", "REPEATABLE READ"]);
                    let sent = match call {
                        true => client
                            .batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; {sql}"))
                            .and_then(|()| match random.once_in(4) {
                                true => client.batch_execute("ROLLBACK"),
                                false => client.batch_execute("COMMIT"),
                            }),
                        false => client.batch_execute(&sql),
                    };
                    let state = match &sent {
                        Ok(()) => "00000".to_owned(),
                        Err(error) => error.code().map_or("lost".into(), |code| code.code().into()),
                    };
                    if let Err(error) = &sent
                        && !EXPECTED.contains(&state.as_str())
                    {
                        let text = error.as_db_error().map_or(String::new(), |error| {
                            format!("{} {}", error.message(), error.detail().unwrap_or_default())
                        });
                        let key = format!("{state} {}", sql.chars().take(60).collect::<String>());
                        findings.lock().unwrap().entry(key).or_insert(text);
                    }
                    if sent.is_err() {
                        client.batch_execute("ROLLBACK").expect("the session lives");
                    }
                    *counts.lock().unwrap().entry(state).or_default() += 1;
                }
            });
        }
    });
    let (findings, counts) = (findings.into_inner().unwrap(), counts.into_inner().unwrap());
    println!("{SESSIONS} sessions for {seconds} s from seed {seed}, by SQLSTATE: {counts:?}");
    assert!(findings.is_empty(), "{findings:#?}");
    // Of a run that never did anything nothing follows.
    assert!(counts.get("00000").is_some_and(|&done| done > SESSIONS), "{counts:?}");
    client.batch_execute("SET client_min_messages = warning").expect("a setting");
    client
        .batch_execute("CALL sparkify.run_pipeline(dims => 8, n => 5)")
        .expect("the pipeline runs");
    check(&mut client, N, &format!("{SESSIONS} sessions for {seconds} s (seed {seed})"));
    let log = std::fs::read_to_string(server.socket.join("log")).expect("a log");
    for sign in ["deadlock detected", "terminated by signal", "PANIC"] {
        assert!(!log.contains(sign), "{sign}: {log}");
    }
}
