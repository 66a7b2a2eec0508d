//! Kills in random moments of everything that takes long; what is stored holds together after each.
//!
//! A few in every run of the tests; `make chaos KILLS=…` for as many as asked for.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use sparkify_server_tests::consistency::{check, errors};
use sparkify_server_tests::data::fill;
use sparkify_server_tests::gate::wait_until;
use sparkify_server_tests::random::{Random, from_environment};
use sparkify_server_tests::{Database, Server};

const N: i32 = 5;

/// What makes work for a statement, and the statement.
const WORK: [(&str, &str); 16] = [
    ("", "SELECT sparkify.build_embeddings(32)"),
    ("", "SELECT sparkify.build_embeddings(16, activate => false)"),
    ("", "SELECT sparkify.build_user_vectors()"),
    ("", "SELECT sparkify.refresh_recommendations(5, force => true)"),
    (
        "UPDATE sparkify.listening_events SET ms_played = ms_played + 1 WHERE user_id LIKE '%3'",
        "SELECT sparkify.refresh_recommendations(5)",
    ),
    (
        "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, popularity, tempo)
         SELECT 'raw ' || i, 'Artist ' || i % 90, 'Raw ' || i, 'genre ' || i % 9, (i % 100)::text, '120'
         FROM generate_series(1, 6000) AS i",
        "SELECT count(*) FROM sparkify.clean_tracks()",
    ),
    ("", "SELECT sparkify.generate_tracks(8000)"),
    ("", "SELECT sparkify.generate_users(600), sparkify.generate_events(40, 60)"),
    (
        "INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')",
        "SELECT sparkify.refresh_summaries()",
    ),
    (
        "",
        "SELECT * FROM sparkify.ingest_events((SELECT jsonb_agg(jsonb_build_object('user_id', 'new ' || i % 90,
            'track_id', 'track ' || 1 + i % 2000, 'played_at', '2026-01-01T00:00:00Z', 'ms_played', i))
         FROM generate_series(1, 12000) AS i))",
    ),
    ("", "CALL sparkify.run_pipeline(dims => 16, n => 5)"),
    ("", "SELECT sparkify.train_model('hybrid', dims => 8, activate => false)"),
    (
        "",
        "SELECT count(*) FROM sparkify.import_events($$SELECT 'imported ' || i % 300 AS user_id,
            'track ' || 1 + i % 2000 AS track_id, timestamptz '2026-02-01' + i * interval '1 minute' AS played_at
         FROM generate_series(1, 20000) AS i$$)",
    ),
    (
        "",
        "SELECT count(*) FROM sparkify.import_tracks($$SELECT 'imported ' || i AS track_id, 'Imported ' || i AS track_name,
            'Artist ' || i % 90 AS artists, i % 100 AS popularity FROM generate_series(1, 20000) AS i$$)",
    ),
    (
        "SELECT count(*) FROM sparkify.import_events($$SELECT 'unmatched ' || i % 90 AS user_id, 'later ' || i % 900 AS track_id,
            timestamptz '2026-03-01' + i * interval '1 minute' AS played_at FROM generate_series(1, 6000) AS i$$);
         INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre)
         SELECT 'later ' || i, 'Later ' || i, ARRAY['Late'], '{calm}', 'calm' FROM generate_series(0, 899) AS i
         ON CONFLICT DO NOTHING",
        "SELECT count(*) FROM sparkify.match_plays()",
    ),
    ("", "DELETE FROM sparkify.models WHERE NOT active; SELECT sparkify.forget_user('user 9')"),
];

/// Waits until connections are taken again.
fn back(database: &Database) -> Client {
    let mut client = None;
    wait_until("the server takes connections", || {
        client = database.server.try_connect(&database.name, "postgres").ok();
        client.as_mut().is_some_and(|client| client.batch_execute("SELECT").is_ok())
    });
    client.expect("a connection")
}

#[test]
fn a_kill_in_any_moment_leaves_what_holds_together() {
    let kills = from_environment("SPARKIFY_CHAOS_KILLS", 12);
    let seed = from_environment("SPARKIFY_CHAOS_SEED", 1);
    let mut random = Random::new(seed);
    // What is written is lost with the server, not with its processes: no need of fsync.
    let server = Server::start(&["max_wal_size = 2GB", "restart_after_crash = on"]);
    let database = server.database("chaos");
    let mut client = database.connect();
    fill(&mut client, 2000, 200);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(16); SELECT sparkify.refresh_recommendations(5);
             SELECT sparkify.refresh_summaries()",
        )
        .expect("a database to kill");
    drop(client);
    let (mut landed, mut ended) = (0, 0);
    for kill in 0..kills {
        let (before, statement) = WORK[kill as usize % WORK.len()];
        let mut victim = back(&database);
        victim.batch_execute(before).unwrap_or_else(|error| panic!("{before}: {error}"));
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).expect("a backend").get(0);
        let usual = usual_time(&database, statement);
        let mut witness = back(&database);
        let postmaster = random.once_in(4);
        let moment = usual.mul_f64(random.below(1000) as f64 / 1000.0);
        // The session stays, so that there is a process to kill when its statement has ended.
        let running = thread::spawn(move || (victim.batch_execute(statement).is_err(), victim));
        thread::sleep(moment);
        server.kill(if postmaster { server.postmaster() } else { pid });
        let (cut, victim) = running.join().expect("the client's thread");
        if cut {
            landed += 1
        } else {
            ended += 1
        }
        // Until the other sessions are ended the kill has not been noticed.
        wait_until("the other sessions are ended", || witness.batch_execute("SELECT").is_err());
        drop(victim);
        if postmaster {
            wait_until("the server starts anew", || server.try_resume());
        }
        let who = if postmaster { "postmaster" } else { "backend" };
        check(
            &mut back(&database),
            N,
            &format!("kill {kill} (seed {seed}) of the {who} {moment:?} into {statement}"),
        );
    }
    let mut client = back(&database);
    client
        .batch_execute("CALL sparkify.run_pipeline(dims => 16, n => 5)")
        .expect("the pipeline runs");
    assert_eq!(errors(&mut client), [""; 0]);
    println!(
        "{kills} kills from seed {seed}: {landed} within their statement, {ended} after its end"
    );
}

/// How long a statement takes that is rolled back; of one that cannot be, a guess.
fn usual_time(database: &Database, statement: &str) -> Duration {
    if statement.starts_with("CALL") {
        return Duration::from_millis(1500);
    }
    let mut client = back(database);
    let start = Instant::now();
    client
        .batch_execute(&format!("BEGIN; {statement}; ROLLBACK"))
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    start.elapsed()
}
