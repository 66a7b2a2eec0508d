//! Several sessions at once: refreshes, activations, events committed late, statements broken off.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::data::{differences, failed_checks, fill, on_demand, stored};
use sparkify_server_tests::gate::{Gate, wait_for_a_waiter};
use sparkify_server_tests::{Database, Server, refusal};

const USERS: i64 = 80;
const PLAY: &str = "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    VALUES ('user 3', 'track 11', '2025-07-01')";

/// How long a statement that is broken off may still run, on the slowest of machines.
const AT_ONCE: Duration = Duration::from_secs(60);

fn with_data(name: &str, test: impl FnOnce(&Database, &mut Client)) {
    let server = Server::shared();
    let database = server.database(name);
    let mut client = database.connect();
    fill(&mut client, 400, USERS as usize);
    client.batch_execute("SELECT sparkify.build_embeddings(8)").unwrap();
    test(&database, &mut client);
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

fn refresh(client: &mut Client, options: &str) -> i64 {
    number(client, &format!("SELECT sparkify.refresh_recommendations({options})"))
}

/// Runs a statement in a session of its own.
fn start(database: &Database, sql: &str) -> thread::JoinHandle<Result<(), postgres::Error>> {
    let mut client = database.connect();
    let sql = sql.to_owned();
    thread::spawn(move || client.batch_execute(&sql))
}

fn finish(running: thread::JoinHandle<Result<(), postgres::Error>>) {
    running.join().expect("no panic").expect("the statement succeeds");
}

#[test]
fn two_refreshes_at_once_do_one_after_the_other() {
    with_data("two_refreshes", |database, client| {
        refresh(client, "4");
        let lists = stored(client);
        client.batch_execute(PLAY).unwrap();
        let mut gate = Gate::close(database, "recommendation_lists", "NEW.user_id = 'user 50'");
        let first = start(database, "SELECT sparkify.refresh_recommendations(4, force => true)");
        gate.reached();
        let second = start(database, "SELECT sparkify.refresh_recommendations(4, force => true)");
        let third = start(database, "SELECT sparkify.build_user_vectors()");
        wait_for_a_waiter(client);
        // Meanwhile readers see the lists of before, all of them.
        assert_eq!(stored(client), lists);
        assert_eq!(on_demand(client, 4).0, 4 * USERS);
        gate.open();
        for running in [first, second, third] {
            finish(running);
        }
        gate.remove();
        assert_eq!(differences(client, 4), [""; 0]);
        assert_eq!(failed_checks(client), [""; 0]);
        assert_eq!(refresh(client, "4"), 0);
    });
}

#[test]
fn a_refresh_that_waited_knows_what_the_one_before_did() {
    with_data("waited_refresh", |database, client| {
        refresh(client, "5");
        let mut gate = Gate::close(database, "recommendation_lists", "NEW.user_id = 'user 50'");
        let longer = start(database, "SELECT sparkify.refresh_recommendations(9)");
        gate.reached();
        // Noted after the first refresh has taken up all notes.
        client.batch_execute(PLAY).unwrap();
        let shorter = start(database, "SELECT sparkify.refresh_recommendations(5)");
        wait_for_a_waiter(client);
        gate.open();
        finish(longer);
        finish(shorter);
        gate.remove();
        // The lists are of one length, that of the call that came last.
        assert_eq!(stored(client).0, 5 * USERS);
        assert_eq!(
            number(client, "SELECT recommended::bigint FROM sparkify.models WHERE active"),
            5
        );
        assert_eq!(differences(client, 5), [""; 0]);
    });
}

#[test]
fn a_refresh_that_waited_serves_the_model_activated_meanwhile() {
    with_data("waited_activation", |database, client| {
        refresh(client, "5");
        client.batch_execute("SELECT sparkify.build_embeddings(4, activate => false)").unwrap();
        let mut other = database.connect();
        other
            .batch_execute("BEGIN; UPDATE sparkify_internal.turns SET taken = taken + 1 WHERE work = 'refresh'")
            .unwrap();
        let waiting = start(database, "SELECT sparkify.refresh_recommendations(5)");
        wait_for_a_waiter(client);
        client.batch_execute("SELECT sparkify.activate_model(2)").unwrap();
        other.batch_execute("COMMIT").unwrap();
        finish(waiting);
        assert_eq!(stored(client).0, 5 * USERS);
        assert_eq!(differences(client, 5), [""; 0]);
        assert_eq!(failed_checks(client), [""; 0]);
    });
}

#[test]
fn an_event_committed_late_is_taken_up_by_the_next_refresh() {
    with_data("late_event", |database, client| {
        let mut late = database.connect();
        // Of everyone, then of those who changed.
        for (changed, expected) in [("5", 5 * USERS), ("5", 5)] {
            late.batch_execute("BEGIN").unwrap();
            late.batch_execute(PLAY).unwrap();
            if expected == 5 {
                client
                    .batch_execute(
                        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                        VALUES ('user 4', 'track 12', '2025-07-01')",
                    )
                    .unwrap();
            }
            assert_eq!(refresh(client, changed), expected);
            let before = stored(client);
            late.batch_execute("COMMIT").unwrap();
            assert_eq!(stored(client), before);
            assert_eq!(refresh(client, "5"), 5);
            let mine = "SELECT count(*) FROM (
                SELECT track_id, score FROM sparkify.user_recommendations WHERE user_id = 'user 3'
                INTERSECT SELECT track_id, score FROM sparkify.recommend('user 3', 5)) AS same";
            assert_eq!(number(client, mine), 5);
            assert_eq!(refresh(client, "5"), 0);
        }
        // While a refresh is in the middle: noted for the next one, and not lost.
        let mut gate = Gate::close(database, "recommendation_lists", "NEW.user_id = 'user 50'");
        let running = start(database, "SELECT sparkify.refresh_recommendations(5, force => true)");
        gate.reached();
        client.batch_execute(PLAY).unwrap();
        gate.open();
        finish(running);
        gate.remove();
        assert_eq!(refresh(client, "5"), 5);
        refresh(client, "5, force => true");
        assert_eq!(differences(client, 5), [""; 0]);
    });
}

#[test]
fn of_two_activations_at_once_the_later_holds() {
    with_data("two_activations", |database, client| {
        client.batch_execute("SELECT sparkify.build_embeddings(4, activate => false)").unwrap();
        let active = "SELECT model_id FROM sparkify.models WHERE active";
        let mut first = database.connect();
        for (end, expected) in [("COMMIT", 2), ("ROLLBACK", 2)] {
            client.batch_execute("SELECT sparkify.activate_model(1)").unwrap();
            first.batch_execute("BEGIN; SELECT sparkify.activate_model(1)").unwrap();
            let second = start(database, "SELECT sparkify.activate_model(2)");
            wait_for_a_waiter(client);
            assert_eq!(number(client, active), 1);
            first.batch_execute(end).unwrap();
            finish(second);
            assert_eq!(number(client, active), expected);
        }
        // Many, and a build beside them: there is one active model at every moment, and no error.
        let running: Vec<_> = (0..4)
            .map(|i| {
                let mut calls = String::new();
                for turn in 0..12 {
                    calls += &format!("SELECT sparkify.activate_model({});", 1 + (i + turn) % 2);
                }
                // Each of a simple query's statements would share one transaction.
                let mut client = database.connect();
                thread::spawn(move || {
                    calls.split_inclusive(';').try_for_each(|c| client.batch_execute(c))
                })
            })
            .collect();
        let build = start(database, "SELECT sparkify.build_embeddings(6)");
        while running.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(number(client, "SELECT count(*) FROM sparkify.models WHERE active"), 1);
        }
        running.into_iter().for_each(finish);
        finish(build);
        assert_eq!(number(client, "SELECT count(*) FROM sparkify.models WHERE active"), 1);
        assert_eq!(on_demand(client, 3).0, 3 * USERS);
    });
}

#[test]
fn a_refresh_broken_off_in_the_middle_leaves_nothing() {
    with_data("broken_off", |database, client| {
        refresh(client, "5");
        client.batch_execute(PLAY).unwrap();
        let lists = stored(client);
        for (end, state) in [
            ("pg_cancel_backend", SqlState::QUERY_CANCELED),
            ("pg_terminate_backend", SqlState::ADMIN_SHUTDOWN),
        ] {
            let mut gate = Gate::close(database, "recommendation_lists", "NEW.user_id = 'user 50'");
            let running = start(database, "SELECT sparkify.refresh_recommendations(6)");
            let pid = gate.reached();
            assert!(
                client.query_one(&format!("SELECT {end}($1)"), &[&pid]).unwrap().get::<_, bool>(0)
            );
            let error = running.join().expect("no panic").expect_err("the statement is broken off");
            match error.code() {
                Some(code) => assert_eq!(code, &state),
                // A slow client sees the connection end before it reads the server's last word.
                None => assert_eq!(end, "pg_terminate_backend", "{error}"),
            }
            gate.remove();
            assert_eq!(stored(client), lists, "{end}");
            assert_eq!(failed_checks(client), [""; 0], "{end}");
        }
        assert_eq!(refresh(client, "5"), 5, "the play is still noted");
    });
}

#[test]
fn others_see_how_far_a_refresh_has_come() {
    let server = Server::shared();
    let database = server.database("progress");
    let mut client = database.connect();
    // Three chunks. Nothing is shown of work that takes no time: a row of the first takes some.
    fill(&mut client, 400, 2200);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(8);
             CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_catalog.pg_sleep(0.3); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE INSERT ON sparkify.user_vectors FOR EACH ROW
                 WHEN (NEW.user_id = 'user 1') EXECUTE FUNCTION take_time()",
        )
        .unwrap();
    let last: String =
        client.query_one("SELECT max(user_id) FROM sparkify.users", &[]).unwrap().get(0);
    let mut gate =
        Gate::close(&database, "recommendation_lists", &format!("NEW.user_id = '{last}'"));
    let running = start(&database, "SELECT sparkify.refresh_recommendations(3, threads => 1)");
    let pid = gate.reached();
    let activity: String = client
        .query_one("SELECT query FROM pg_stat_activity WHERE pid = $1", &[&pid])
        .unwrap()
        .get(0);
    // How many users are worked on at a time follows from their number.
    let percent = activity
        .strip_prefix("sparkify: refresh_recommendations ")
        .and_then(|shown| shown.strip_suffix(" %"))
        .and_then(|percent| percent.parse::<u32>().ok());
    assert!(percent.is_some_and(|percent| (1..=100).contains(&percent)), "{activity}");
    gate.open();
    finish(running);
    gate.remove();
}

#[test]
fn a_timeout_ends_long_work_soon() {
    let server = Server::shared();
    let database = server.database("timeouts");
    let mut client = database.connect();
    fill(&mut client, 8000, 2500);
    client
        .batch_execute(
            "SELECT sparkify.build_embeddings(16); SELECT sparkify.refresh_recommendations(5)",
        )
        .unwrap();
    let lists = stored(&mut client);
    // Each works for seconds: 2,500,000 rows are stored, or 8,000 vectors of 56 numbers made for a build.
    for (milliseconds, sql) in [
        (1, "SELECT sparkify.refresh_recommendations(1000)"),
        (60, "SELECT sparkify.refresh_recommendations(1000)"),
        (400, "SELECT sparkify.refresh_recommendations(1000, threads => 4)"),
        (800, "SELECT sparkify.refresh_recommendations(1000, force => true)"),
        (1, "SELECT sparkify.build_embeddings(40)"),
        (5, "SELECT sparkify.build_embeddings(40)"),
        (1, "SELECT sparkify.build_user_vectors()"),
    ] {
        client.batch_execute(&format!("SET statement_timeout = {milliseconds}")).unwrap();
        let begun = Instant::now();
        let (state, message) = refusal(client.query(sql, &[]));
        assert_eq!(state, SqlState::QUERY_CANCELED, "{sql}: {message}");
        assert!(begun.elapsed() < AT_ONCE, "{sql} took {:?} to end", begun.elapsed());
        client.batch_execute("SET statement_timeout = 0").unwrap();
        assert_eq!(stored(&mut client), lists, "{sql}");
        assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models"), 1, "{sql}");
    }
    assert_eq!(failed_checks(&mut client), [""; 0]);
    // The session works on, its cache and threads with it.
    assert_eq!(refresh(&mut client, "5, force => true"), 5 * 2500);
    assert_eq!(stored(&mut client), lists);
}
