//! Where memory runs out a call ends in an error, and the server goes on.
//!
//! A backend's address space is limited a little above what it has taken, at several levels, so
//! that each call runs out at one place after the other.

use std::process::Command;

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::{Server, as_server, run};

const MEBIBYTE: u64 = 1 << 20;

/// Above the reserve without which nothing starts: what is left for a call.
const LEFT: [u64; 5] = [0, 17, 20, 32, 96];

const CALLS: [&str; 22] = [
    "SELECT sparkify.build_embeddings()",
    "SELECT sparkify.build_embeddings(14, activate => false)",
    "SELECT sparkify.build_user_vectors()",
    "SELECT sparkify.refresh_recommendations(force => true)",
    "SELECT sparkify.refresh_recommendations(n => 40, force => true, threads => 8)",
    "SELECT count(*) FROM sparkify.clean_tracks()",
    "SELECT sparkify.generate_tracks(60000, 7)",
    "SELECT sparkify.generate_users(4000, 7)",
    "SELECT sparkify.generate_events(20, 60, until => now() + interval '30 days')",
    "SELECT count(*) FROM sparkify.simulation_report()",
    "SELECT count(*) FROM sparkify.profile_tracks()",
    "SELECT count(*) FROM sparkify.correlate_tracks()",
    "SELECT count(*) FROM sparkify.outlier_tracks()",
    "SELECT count(*) FROM sparkify.recommend('user_000001')",
    "SELECT count(*) FROM sparkify.recommend('looping', 1000)",
    "SELECT count(*) FROM sparkify.recommend('silent', 1000)",
    "SELECT count(*) FROM sparkify.recommend('user_000002', exclude => array_fill('x'::text, ARRAY[400000]))",
    "SELECT count(*) FROM sparkify.recommend('user_000002', candidates => ARRAY(SELECT track_id FROM sparkify.tracks))",
    "SELECT count(*) FROM sparkify.similar_tracks((SELECT min(track_id) FROM sparkify.tracks), 1000)",
    "SELECT sparkify.refresh_summaries()",
    "SELECT sparkify.song_key(repeat('ÄÖ - remastered (', 300000), ARRAY[repeat('É', 2000000)])",
    "SELECT count(*) FROM sparkify.validate()",
];

fn fill(client: &mut Client) {
    for sql in [
        "SELECT sparkify.generate_tracks(40000)",
        "SELECT sparkify.generate_users(2000)",
        "SELECT sparkify.generate_events(20, 60)",
        "INSERT INTO sparkify.users (user_id) VALUES ('looping'), ('silent')",
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         SELECT 'looping', (SELECT min(track_id) FROM sparkify.tracks), timestamptz '2026-01-01' + i * interval '1 s'
         FROM generate_series(1, 200000) AS i",
        "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, popularity, tempo)
         SELECT 'raw ' || track_id, primary_artist, track_name, primary_genre, popularity::text, tempo::text
         FROM sparkify.tracks",
        "SELECT sparkify.build_embeddings(32)",
        "INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')",
    ] {
        client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Bytes of address space that a process has taken; `None` where the system does not tell.
fn taken(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmSize:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn limit(pid: i32, bytes: u64) {
    run(as_server("prlimit").args(["--pid", &pid.to_string(), &format!("--as={bytes}:")]));
}

#[test]
fn a_call_without_enough_memory_is_an_error_of_its_own() {
    let test = "a_call_without_enough_memory_is_an_error_of_its_own";
    if taken(std::process::id() as i32).is_none()
        || Command::new("prlimit").arg("--version").output().is_err()
    {
        println!("skipped: {test} needs /proc and prlimit");
        return;
    }
    let server = Server::start(&["max_wal_size = 2GB", "jit = off"]);
    let database = server.database("memory");
    fill(&mut database.connect());
    let (mut refused, mut done) = (0, 0);
    for call in CALLS {
        for left in LEFT {
            let mut client = database.connect();
            // What a backend loads for its first call is not what is tried here.
            client
                .batch_execute(
                    "SELECT sparkify.song_key('a', '{b}'), count(*) FROM sparkify.validate(0)",
                )
                .expect_err("there is no model 0");
            client
                .batch_execute("SET client_min_messages = warning; DO 'BEGIN END'; BEGIN")
                .expect("a transaction");
            let pid = client.query_one("SELECT pg_backend_pid()", &[]).expect("a pid").get(0);
            limit(pid, taken(pid).expect("a process") + left * MEBIBYTE);
            match client.batch_execute(call) {
                Ok(()) => done += 1,
                Err(error) => {
                    let error = error.as_db_error().unwrap_or_else(|| {
                        panic!("{call} with {left} MiB left: the backend is lost: {error}")
                    });
                    assert_eq!(
                        *error.code(),
                        SqlState::OUT_OF_MEMORY,
                        "{call}, {left} MiB: {error}"
                    );
                    refused += 1;
                }
            }
            // The session serves on: what was taken has been given back.
            client.batch_execute("ROLLBACK").unwrap_or_else(|error| panic!("{call}: {error}"));
            limit(pid, 1 << 40);
            client
                .batch_execute("SELECT count(*) FROM sparkify.similar_tracks((SELECT min(track_id) FROM sparkify.tracks))")
                .unwrap_or_else(|error| panic!("after {call} with {left} MiB left: {error}"));
        }
    }
    println!("{refused} calls were refused memory, {done} had enough");
    assert!(refused > CALLS.len() && done > CALLS.len(), "{refused} refused, {done} done");
    let log = std::fs::read_to_string(server.socket.join("log")).expect("a log");
    assert!(!log.contains("terminated by signal"), "{log}");
}

#[test]
fn a_genre_for_each_track_is_no_reason_to_fail() {
    let server = Server::shared();
    let database = server.database("memory_genres");
    let mut client = database.connect();
    client
        .batch_execute(
            "SELECT sparkify.generate_tracks(9000); UPDATE sparkify.tracks SET genres = ARRAY[track_id]",
        )
        .expect("a catalogue");
    let model: i64 = client
        .query_one("SELECT sparkify.build_embeddings()", &[])
        .expect("a model of the genres that there is room for")
        .get(0);
    let row = client
        .query_one(
            "SELECT (metrics ->> 'genres')::int, (metrics ->> 'genres_left_out')::int, (params ->> 'dims')::int
             FROM sparkify.models WHERE model_id = $1",
            &[&model],
        )
        .expect("a model");
    assert_eq!((row.get(0), row.get(1), row.get(2)), (9000, 7000, 64));
    let centroids = client
        .query_one("SELECT count(*) FROM sparkify.genre_embeddings", &[])
        .expect("centroids")
        .get::<_, i64>(0);
    assert_eq!(centroids, 9000);
}
