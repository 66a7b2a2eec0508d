//! A server that crashes in the middle of a build or a refresh serves on as before.

use std::thread;

use postgres::Client;
use sparkify_server_tests::data::{differences, failed_checks, fill, on_demand, stored};
use sparkify_server_tests::gate::{Gate, wait_until};
use sparkify_server_tests::{Database, Server};

const N: i32 = 5;
const USERS: i64 = 400;

#[derive(Debug, Clone, Copy)]
enum Crash {
    /// All processes stop without ceremony.
    Server,
    /// One backend is killed, upon which the postmaster restarts the others.
    Backend,
    /// The postmaster is killed, upon which all others end.
    Postmaster,
}

const CRASHES: [Crash; 3] = [Crash::Backend, Crash::Server, Crash::Postmaster];

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

/// Runs a statement up to the gate, crashes there, and brings the server back.
fn crash_in(database: &Database, statement: &str, mut gate: Gate, crash: Crash) {
    let server = database.server;
    let mut victim = database.connect();
    let statement = statement.to_owned();
    let running = thread::spawn(move || victim.batch_execute(&statement));
    let pid = gate.reached();
    let postmaster = server.postmaster();
    match crash {
        Crash::Server => server.stop("immediate"),
        Crash::Backend => server.kill(pid),
        Crash::Postmaster => server.kill(postmaster),
    }
    assert!(running.join().expect("no panic").is_err(), "the statement ends with the server");
    match crash {
        Crash::Server => server.resume(),
        // Until the other sessions are gone the postmaster has not noticed.
        Crash::Backend => gate.lost(),
        Crash::Postmaster => wait_until("the server starts anew", || server.try_resume()),
    }
    wait_until("the server takes connections", || {
        server.try_connect(&database.name, "postgres").is_ok()
    });
}

/// A served model, stored lists, and a change that is not taken up yet.
fn prepare(client: &mut Client) {
    fill(client, 3000, USERS as usize);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(16); SELECT sparkify.refresh_recommendations(5);
            INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('user 3', 'track 9', '2025-07-01')",
        )
        .unwrap();
}

#[test]
fn a_crash_in_build_embeddings_leaves_the_former_model() {
    let server = Server::start(&[]);
    let database = server.database("crash_build");
    prepare(&mut database.connect());
    let (before, lists) = {
        let mut client = database.connect();
        (on_demand(&mut client, N), stored(&mut client))
    };
    for crash in CRASHES {
        let gate = Gate::close(&database, "track_embeddings", "NEW.track_id = 'track 2000'");
        crash_in(&database, "SELECT sparkify.build_embeddings(32)", gate, crash);
        let mut client = database.connect();
        client.batch_execute("DROP TRIGGER gate ON sparkify.track_embeddings").unwrap();
        assert_eq!(on_demand(&mut client, N), before, "{crash:?}");
        assert_eq!(stored(&mut client), lists, "{crash:?}");
        assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models"), 1, "{crash:?}");
        for table in ["track_embeddings", "genre_embeddings"] {
            let foreign = format!("SELECT count(*) FROM sparkify.{table} WHERE model_id <> 1");
            assert_eq!(number(&mut client, &foreign), 0, "{crash:?}, {table}");
        }
        assert_eq!(failed_checks(&mut client), [""; 0], "{crash:?}");
    }
    // The next build is a whole one, and serves.
    let mut client = database.connect();
    let model = number(&mut client, "SELECT sparkify.build_embeddings(32)");
    let tracks = format!("SELECT count(*) FROM sparkify.track_embeddings WHERE model_id = {model}");
    assert_eq!(number(&mut client, &tracks), 3000);
    number(&mut client, "SELECT sparkify.refresh_recommendations(5)");
    assert_eq!(differences(&mut client, N), [""; 0]);
    assert_eq!(failed_checks(&mut client), [""; 0]);
}

#[test]
fn a_crash_in_refresh_leaves_the_former_lists() {
    let server = Server::start(&[]);
    let database = server.database("crash_refresh");
    prepare(&mut database.connect());
    let (before, lists) = {
        let mut client = database.connect();
        (on_demand(&mut client, N), stored(&mut client))
    };
    for crash in CRASHES {
        for (refresh, row) in [
            // Of everyone, half way; with lists of another length; of the one who changed.
            ("5, force => true", "NEW.user_id = 'user 300'"),
            ("8", "NEW.user_id = 'user 300'"),
            ("5", "NEW.user_id = 'user 3'"),
        ] {
            let gate = Gate::close(&database, "recommendation_lists", row);
            let refresh = format!("SELECT sparkify.refresh_recommendations({refresh})");
            crash_in(&database, &refresh, gate, crash);
            let mut client = database.connect();
            client.batch_execute("DROP TRIGGER gate ON sparkify.recommendation_lists").unwrap();
            assert_eq!(stored(&mut client), lists, "{crash:?} in {refresh}");
            assert_eq!(on_demand(&mut client, N), before, "{crash:?} in {refresh}");
            assert_eq!(failed_checks(&mut client), [""; 0], "{crash:?} in {refresh}");
            let noted =
                "SELECT count(*) FROM sparkify_internal.changed_users WHERE user_id = 'user 3'";
            assert_eq!(number(&mut client, noted), 1, "{crash:?} in {refresh}");
        }
    }
    // What was noted before the crashes is taken up after them.
    let mut client = database.connect();
    assert_eq!(number(&mut client, "SELECT sparkify.refresh_recommendations(5)"), i64::from(N));
    number(&mut client, "SELECT sparkify.refresh_recommendations(5, force => true)");
    assert_eq!(differences(&mut client, N), [""; 0]);
    assert_eq!(stored(&mut client).0, USERS * i64::from(N));
}
