//! How soon everything that takes long stops when it is cancelled, in random moments.
//!
//! `make cancel`, with TRACKS for a real catalogue. The time is from the cancel's arrival at
//! the server to the error's at the client.

use std::path::Path;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use sparkify_server_tests::cancel::cancel;
use sparkify_server_tests::random::{Random, from_environment};
use sparkify_server_tests::{Database, Server};

/// What is measured: a name, what is done before, the statement.
const CALLS: &[(&str, &str, &str)] = &[
    ("build_embeddings", "", "SELECT sparkify.build_embeddings(activate => false)"),
    (
        "build_embeddings, 2,000 genres",
        "UPDATE sparkify.tracks SET genres = genres || ('made ' || abs(hashtext(track_id)) % 2000)",
        "SELECT sparkify.build_embeddings(activate => false)",
    ),
    (
        "build_embeddings, a genre a track",
        "UPDATE sparkify.tracks SET genres = ARRAY[track_id]",
        "SELECT sparkify.build_embeddings(activate => false)",
    ),
    (
        "recommend, first after a build",
        "UPDATE sparkify.models SET fingerprint = gen_random_uuid()",
        "SELECT count(*) FROM sparkify.recommend('user_000001')",
    ),
    (
        "recommend, nothing known",
        "INSERT INTO sparkify.users (user_id) VALUES ('new')",
        "SELECT count(*) FROM sparkify.recommend('new', 1000)",
    ),
    (
        "recommend, 10,000 genres",
        "UPDATE sparkify.tracks SET genres = genres || 'noted'::text",
        "SELECT count(*) FROM sparkify.recommend('user_000001', genres => ARRAY(SELECT 'g' || i FROM generate_series(1, 10000) AS i))",
    ),
    (
        "recommend, 10,000,000 excluded",
        "",
        "SELECT count(*) FROM sparkify.recommend('user_000001', exclude => array_fill('x'::text, ARRAY[10000000]))",
    ),
    (
        "recommend, most tracks deleted",
        "DELETE FROM sparkify.tracks WHERE track_id NOT IN (SELECT track_id FROM sparkify.tracks LIMIT 3)",
        "SELECT count(*) FROM sparkify.recommend('user_000001', 1000)",
    ),
    ("build_user_vectors", "", "SELECT sparkify.build_user_vectors()"),
    ("refresh_recommendations", "", "SELECT sparkify.refresh_recommendations(force => true)"),
    (
        "refresh_recommendations, 8 threads",
        "",
        "SELECT sparkify.refresh_recommendations(n => 50, force => true, threads => 8)",
    ),
    (
        "refresh_summaries",
        "INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')",
        "SELECT sparkify.refresh_summaries()",
    ),
    ("validate", "", "SELECT count(*) FROM sparkify.validate()"),
    ("profile_tracks", "", "SELECT count(*) FROM sparkify.profile_tracks()"),
    ("correlate_tracks", "", "SELECT count(*) FROM sparkify.correlate_tracks()"),
    ("outlier_tracks", "", "SELECT count(*) FROM sparkify.outlier_tracks()"),
    ("simulation_report", "", "SELECT count(*) FROM sparkify.simulation_report()"),
    (
        "clean_tracks",
        "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, popularity, tempo)
         SELECT 'c' || track_id, primary_artist, track_name, primary_genre, popularity::text, tempo::text FROM sparkify.tracks",
        "SELECT count(*) FROM sparkify.clean_tracks()",
    ),
    ("generate_tracks", "", "SELECT sparkify.generate_tracks(100000, 7)"),
    ("generate_users", "", "SELECT sparkify.generate_users(20000, 7)"),
    (
        "generate_events",
        "SELECT sparkify.reset_simulation()",
        "SELECT sparkify.generate_events(100, 120)",
    ),
    (
        "generate_events, heavy listeners",
        "SELECT sparkify.reset_simulation(); DELETE FROM sparkify.users WHERE user_id > 'user_000050'",
        "SELECT sparkify.generate_events(100000, 3650)",
    ),
    ("reset_simulation", "", "SELECT sparkify.reset_simulation()"),
    (
        "ingest_events",
        "",
        "SELECT * FROM sparkify.ingest_events((SELECT jsonb_agg(jsonb_build_object('user_id', 'i' || i % 900,
            'track_id', 't', 'played_at', '2026-01-01T00:00:00Z')) FROM generate_series(1, 100000) AS i))",
    ),
    ("song_key", "", "SELECT sparkify.song_key(repeat('ä - remastered (', 1000000), ARRAY[repeat('É', 10000000)])"),
    ("forget_user", "", "SELECT sparkify.forget_user('user_000001')"),
    ("genre_distribution", "", "SELECT count(*) FROM sparkify.genre_distribution"),
    (
        "recommendation_coverage",
        "INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')",
        "SELECT count(*) FROM sparkify.recommendation_coverage",
    ),
    (
        "top_tracks",
        "INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')",
        "SELECT count(*) FROM sparkify.top_tracks",
    ),
    ("run_pipeline", "", "CALL sparkify.run_pipeline()"),
];

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn connect(database: &Database, begin: &str) -> Client {
    let mut client = database.connect();
    run(&mut client, "SET client_min_messages = warning");
    run(&mut client, begin);
    client
}

/// How long the statement takes, at most half a minute.
fn usual(client: &mut Client, statement: &str) -> Duration {
    let token = client.cancel_token();
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let watching = std::thread::spawn(move || {
        if end.recv_timeout(Duration::from_secs(30)).is_err() {
            token.cancel_query(NoTls).expect("a cancel is sent");
        }
    });
    let start = Instant::now();
    let result = client.batch_execute(statement);
    let took = start.elapsed();
    let _ = ended.send(());
    watching.join().expect("the watching thread");
    if let Err(error) = result {
        assert!(took > Duration::from_secs(29), "{statement}: {error}");
    }
    took
}

fn fill(client: &mut Client, tracks: Option<&Path>) {
    let load = match tracks {
        Some(path) => {
            format!(
                "SELECT sparkify.load_tracks('{}'), count(*) FROM sparkify.clean_tracks()",
                path.display()
            )
        }
        None => "SELECT sparkify.generate_tracks(90000)".to_owned(),
    };
    for sql in [
        &load,
        "SELECT sparkify.generate_users(5000)",
        "SELECT sparkify.generate_events(60, 120)",
        "SELECT sparkify.build_embeddings()",
        "SELECT sparkify.refresh_recommendations()",
        "SELECT sparkify.refresh_summaries()",
        "VACUUM ANALYZE",
    ] {
        client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

fn main() {
    let tracks = std::env::var_os("SPARKIFY_TRACKS").filter(|path| !path.is_empty());
    let times = from_environment("SPARKIFY_CANCELS", 12);
    let only = std::env::var("SPARKIFY_CANCEL_ONLY").unwrap_or_default();
    let server = Server::start(&["shared_buffers = 256MB", "max_wal_size = 4GB"]);
    let database = server.database("cancelled");
    fill(&mut database.connect(), tracks.as_deref().map(Path::new));
    let mut random = Random::new(1);
    println!("{:<36} {:>9} {:>9} {:>9} {:>8}", "ms", "whole", "median", "greatest", "cancels");
    for (name, before, statement) in CALLS.iter().filter(|call| call.0.contains(&only)) {
        // A procedure that commits takes no transaction around it.
        let (begin, again) = match statement.starts_with("CALL") {
            true => ((*before).to_owned(), String::new()),
            // What makes an image outdated makes one only outdated.
            false if before.contains("fingerprint") => {
                ("BEGIN; SAVEPOINT before".to_owned(), format!("ROLLBACK TO before; {before}"))
            }
            false => {
                (format!("BEGIN; {before}; SAVEPOINT before"), "ROLLBACK TO before".to_owned())
            }
        };
        let mut client = connect(&database, &begin);
        run(&mut client, &again);
        let whole = usual(&mut client, statement);
        let mut ends = Vec::new();
        for _ in 0..times {
            run(&mut client, &again);
            let after = whole.mul_f64(random.below(1000) as f64 / 1000.0);
            ends.extend(cancel(&mut client, statement, after));
        }
        ends.sort_unstable();
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
        println!(
            "{name:<36} {:>9.1} {:>9.1} {:>9.1} {:>8}",
            ms(Some(&whole)),
            ms(ends.get(ends.len() / 2)),
            ms(ends.last()),
            ends.len()
        );
    }
}
