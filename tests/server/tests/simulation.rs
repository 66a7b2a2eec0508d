//! The simulator on a whole server: a million events, restart, dump and restore, cancelling.

use std::process::Stdio;
use std::time::Duration;

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::{Server, refusal, run};

/// The catalogue of the regression tests.
const CATALOGUE: &str = include_str!("../../pg_regress/simulated_catalogue.psql");

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

/// Count and hash of all events.
fn events(client: &mut Client) -> (i64, String) {
    let sql = "SELECT count(*), md5(string_agg(e::text, '|' ORDER BY user_id, played_at))
               FROM sparkify.listening_events AS e";
    let row = client.query_one(sql, &[]).expect(sql);
    (row.get(0), row.get(1))
}

#[test]
fn every_row_of_the_report_passes_on_a_million_events() {
    let server = Server::shared();
    let database = server.database("simulation_report");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    assert_eq!(number(&mut client, "SELECT sparkify.generate_users(until => '2024-05-01')"), 500);
    let sql = "SELECT sparkify.generate_events(2000, until => '2024-05-01')";
    let written = number(&mut client, sql);
    assert!((970_000..1_030_000).contains(&written), "{written} events");
    let rows = client.query("SELECT * FROM sparkify.simulation_report()", &[]).unwrap();
    assert_eq!(rows.len(), 27);
    for row in rows {
        let metric: &str = row.get("metric");
        let measured: Option<f64> = row.get("measured");
        assert_eq!(row.get::<_, Option<bool>>("within"), Some(true), "{metric}: {measured:?}");
    }
}

#[test]
fn a_simulation_goes_on_after_a_restart_and_a_restore() {
    let server = Server::start(&[]);
    let begin = "SELECT sparkify.generate_users(100, until => '2024-05-01');";
    let until = |time: &str| {
        format!("SELECT sparkify.generate_events(100, until => '{time}', since => '2024-01-02')")
    };
    let straight = server.database("straight");
    let mut client = straight.connect();
    client.batch_execute(&format!("{CATALOGUE};{begin}")).unwrap();
    number(&mut client, &until("2024-05-01"));
    let expected = events(&mut client);
    drop(client);

    let stopped = server.database("stopped");
    let mut client = stopped.connect();
    client.batch_execute(&format!("{CATALOGUE};{begin}")).unwrap();
    number(&mut client, &until("2024-02-10 17:20"));
    drop(client);
    server.stop("immediate");
    server.resume();
    number(&mut stopped.connect(), &until("2024-03-03 03:00"));

    let restored = server.empty_database("restored");
    let mut dump = stopped.program("pg_dump");
    let mut dump = dump.stdout(Stdio::piped()).spawn().unwrap();
    let mut load = restored.program("psql");
    load.args(["-qX", "-v", "ON_ERROR_STOP=1"]).stdin(dump.stdout.take().unwrap());
    run(&mut load);
    assert!(dump.wait().unwrap().success());
    let mut client = restored.connect();
    number(&mut client, &until("2024-05-01"));
    assert_eq!(events(&mut client), expected);
}

#[test]
fn a_cancelled_call_leaves_nothing() {
    let server = Server::shared();
    let database = server.database("simulation_cancelled");
    let mut client = database.connect();
    client.batch_execute(CATALOGUE).unwrap();
    number(&mut client, "SELECT sparkify.generate_users(5000)");
    let cancel = client.cancel_token();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        cancel.cancel_query(postgres::NoTls).unwrap();
    });
    let sql = "SELECT sparkify.generate_events(10000)";
    let (state, _) = refusal(client.query_one(sql, &[]));
    canceller.join().unwrap();
    assert_eq!(state, SqlState::QUERY_CANCELED);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.listening_events"), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify_internal.simulator_state"), 0);
    assert!(number(&mut client, "SELECT sparkify.generate_events(2)") > 0);
}
