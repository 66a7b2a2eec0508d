//! `run_pipeline`: what it logs, what it leaves when a step fails, is cancelled or killed, and who waits for whom.

use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::{Database, Server, refusal};

const STEPS: [&str; 8] = [
    "clean",
    "embeddings",
    "user_vectors",
    "recommendations",
    "validation",
    "activation",
    "prune",
    "summaries",
];

/// Twelve tracks, three users, a play of each.
const SMALL: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 2], 'g' || i % 2, i * 0.05, i % 5 * 0.1, i
    FROM generate_series(1, 12) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(1, 3) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    SELECT 'u' || i, 't' || i, timestamptz '2026-01-01' FROM generate_series(1, 3) AS i;";

const CALL: &str = "CALL sparkify.run_pipeline(dims => 2, n => 3)";

fn small<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(SMALL).unwrap();
    (database, client)
}

/// Steps of the last run in the order of the pipeline, the whole run last: name, status and message.
fn last_run(client: &mut Client) -> Vec<(String, String, String)> {
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

fn statuses(client: &mut Client) -> Vec<String> {
    last_run(client).into_iter().map(|(_, status, _)| status).collect()
}

/// What is served: the active model and every list of it.
fn served(client: &mut Client) -> String {
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

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

/// Waits until a query gives true.
#[track_caller]
fn wait_for(client: &mut Client, sql: &str) {
    let began = Instant::now();
    while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain for {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const WAITING: &str = "SELECT count(*) = 1 FROM pg_stat_activity
    WHERE query LIKE 'CALL sparkify.run_pipeline%' AND wait_event_type = 'Lock' AND datname = current_database()";

/// Holds the pipeline up in the step user_vectors; another session sees it run, and does something.
fn held_up(
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

#[test]
fn a_run_logs_every_step_and_activates_the_model() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_run");
    assert_eq!(served(&mut client), ": ");
    client.batch_execute(CALL).unwrap();
    let run = last_run(&mut client);
    let names: Vec<&str> = run.iter().map(|(step, ..)| step.as_str()).collect();
    assert_eq!(names, [&STEPS[..], &["pipeline"]].concat());
    assert_eq!(run[0].1, "skipped");
    assert_eq!(run[0].2, "no new raw rows");
    assert!(run[1..].iter().all(|(_, status, _)| status == "succeeded"), "{run:?}");
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.recommendation_details"), 9);
    assert_eq!(
        number(
            &mut client,
            "SELECT rows FROM sparkify.pipeline_runs WHERE step = 'recommendations'"
        ),
        9
    );
    assert_eq!(
        number(&mut client, "SELECT rows FROM sparkify.pipeline_runs WHERE step = 'embeddings'"),
        12
    );
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM sparkify.pipeline_status WHERE healthy AND status = 'succeeded' AND seconds_since < 60"
        ),
        1
    );
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.stale_marks"), 0);
}

#[test]
fn raw_rows_are_cleaned_when_they_are_new() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_clean");
    let raw = "INSERT INTO sparkify.raw_tracks (track_id, track_name, artists, album_name, track_genre, energy)
               VALUES ('r1', 'Raw', 'Somebody', 'Album', 'g1', '0.5')";
    client.batch_execute(raw).unwrap();
    client.batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[0].1, "succeeded");
    assert_eq!(
        number(&mut client, "SELECT rows FROM sparkify.pipeline_runs WHERE step = 'clean'"),
        1
    );
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.tracks WHERE track_id = 'r1'"),
        1
    );
    client.batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[0].1, "skipped");
    client.batch_execute("UPDATE sparkify.raw_tracks SET track_name = 'Raw again'").unwrap();
    client.batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[0].1, "succeeded");
}

#[test]
fn a_failing_step_leaves_the_served_model_alone() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_failure");
    client.batch_execute(CALL).unwrap();
    let before = served(&mut client);
    client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full', HINT = 'Make room.'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON sparkify.user_recommendations FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    let error = client.batch_execute(CALL).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::DISK_FULL);
    assert_eq!(error.message(), "step recommendations of pipeline run 2 failed: no room");
    assert_eq!(error.hint(), Some("Make room."));
    assert_eq!(
        statuses(&mut client),
        [
            "skipped",
            "succeeded",
            "succeeded",
            "failed",
            "skipped",
            "skipped",
            "skipped",
            "skipped",
            "failed"
        ]
    );
    let run = last_run(&mut client);
    assert_eq!(run[3].2, "no room");
    assert_eq!(run[4].2, "step recommendations failed");
    assert_eq!(run[8].2, "step recommendations failed: no room");
    assert_eq!(served(&mut client), before);
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.models"),
        1,
        "the model made for nothing"
    );
    assert_eq!(
        number(&mut client, "SELECT count(DISTINCT model_id) FROM sparkify.track_embeddings"),
        1
    );
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.pipeline_status WHERE NOT healthy"),
        1
    );
    client.batch_execute("DROP TRIGGER refuse ON sparkify.user_recommendations").unwrap();
    client.batch_execute(CALL).unwrap();
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.pipeline_status WHERE healthy"),
        1
    );
}

#[test]
fn a_model_that_is_not_valid_is_not_activated() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_invalid");
    client.batch_execute(CALL).unwrap();
    let before = served(&mut client);
    client.batch_execute("INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 'nowhere', '2026-01-01')").unwrap();
    let (code, message) = refusal(client.batch_execute(CALL));
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(
        message.contains("step validation") && message.contains("events_of_known_tracks"),
        "{message}"
    );
    assert_eq!(served(&mut client), before);
}

#[test]
fn a_cancelled_step_is_logged_and_the_lock_released() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "pipeline_cancel");
    client.batch_execute(CALL).unwrap();
    let before = served(&mut client);
    let result = held_up(&database, |watcher| {
        assert_eq!(
            number(
                watcher,
                "SELECT count(*) FROM sparkify.pipeline_runs WHERE run_id = 2 AND step = 'user_vectors' AND status = 'running'"
            ),
            1
        );
        let shown: String = watcher
            .query_one("SELECT application_name FROM pg_stat_activity WHERE query LIKE 'CALL sparkify.run_pipeline%' AND datname = current_database()", &[])
            .unwrap()
            .get(0);
        assert_eq!(shown, "sparkify 25% user_vectors (3/8)");
        watcher
            .query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL sparkify.run_pipeline%' AND datname = current_database()", &[])
            .unwrap();
        wait_for(
            watcher,
            "SELECT count(*) = 1 FROM sparkify.pipeline_runs WHERE run_id = 2 AND step = 'pipeline' AND status = 'failed'",
        );
    });
    let (code, message) = refusal(result);
    assert_eq!(code, SqlState::QUERY_CANCELED);
    assert_eq!(
        message,
        "step user_vectors of pipeline run 2 failed: canceling statement due to user request"
    );
    assert_eq!(last_run(&mut client)[2].2, "canceling statement due to user request");
    assert_eq!(served(&mut client), before);
    client.batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[8].1, "succeeded");
}

#[test]
fn a_second_call_is_skipped_and_no_error() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "pipeline_twice");
    held_up(&database, |watcher| {
        watcher.batch_execute(CALL).unwrap();
        let row = watcher
            .query_one("SELECT status, message, finished_at IS NOT NULL FROM sparkify.pipeline_runs WHERE run_id = 2", &[])
            .unwrap();
        assert_eq!(row.get::<_, &str>(0), "skipped");
        assert_eq!(row.get::<_, &str>(1), "skipped: run 1 is still running");
        assert!(row.get::<_, bool>(2));
        assert_eq!(number(watcher, "SELECT run_id FROM sparkify.pipeline_status WHERE status = 'running'"), 1);
    })
    .unwrap();
    assert_eq!(number(&mut client, "SELECT run_id FROM sparkify.pipeline_status WHERE healthy"), 1);
}

#[test]
fn the_next_run_closes_what_a_killed_one_left() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "pipeline_killed");
    let killed = held_up(&database, |watcher| {
        watcher
            .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL sparkify.run_pipeline%' AND datname = current_database()", &[])
            .unwrap();
    });
    assert!(killed.is_err());
    wait_for(
        &mut client,
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    );
    assert_eq!(last_run(&mut client)[2].1, "running");
    client.batch_execute(CALL).unwrap();
    let left: Vec<(String, String)> = client
        .query("SELECT step || ' ' || status, message FROM sparkify.pipeline_runs WHERE run_id = 1 AND step IN ('user_vectors', 'pipeline') ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let ended = "the server or the session ended during this step".to_owned();
    assert_eq!(
        left,
        [("pipeline failed".to_owned(), ended.clone()), ("user_vectors failed".to_owned(), ended)]
    );
    assert_eq!(last_run(&mut client)[8].1, "succeeded");
}

#[test]
fn inside_a_transaction_it_refuses_before_it_begins() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "pipeline_transaction");
    client.batch_execute("BEGIN").unwrap();
    let (code, _) = refusal(client.batch_execute(CALL));
    assert_eq!(code, SqlState::INVALID_TRANSACTION_TERMINATION);
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.pipeline_runs"), 0);
    // And holds no lock: another session runs.
    database.connect().batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[8].1, "succeeded");
}

#[test]
fn models_and_log_are_pruned_and_the_active_model_never() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_prune");
    for _ in 0..4 {
        client.batch_execute("CALL sparkify.run_pipeline(dims => 2, keep_models => 1)").unwrap();
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models"), 2);
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 4);
    for table in ["track_embeddings", "genre_embeddings", "user_vectors", "user_recommendations"] {
        assert_eq!(
            number(&mut client, &format!("SELECT min(model_id) FROM sparkify.{table}")),
            3,
            "{table}"
        );
    }
    let history: Vec<(i64, bool, bool)> = client
        .query("SELECT model_id, active, stored FROM sparkify.model_history WHERE metrics ? 'explained_variance' ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(history, [(1, false, false), (2, false, false), (3, false, true), (4, true, true)]);
    client.batch_execute("SELECT sparkify.activate_model(3)").unwrap();
    client.batch_execute("UPDATE sparkify.pipeline_runs SET started_at = started_at - interval '91 days', finished_at = finished_at - interval '91 days' WHERE run_id < 3").unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 2, keep_models => 0)").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models"), 1);
    assert_eq!(number(&mut client, "SELECT min(run_id) FROM sparkify.pipeline_runs"), 3);
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_done() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_options");
    for (options, code, message) in [
        (
            "keep_models => -1",
            SqlState::INVALID_PARAMETER_VALUE,
            "keep_models must be 0 or more, not -1",
        ),
        ("keep_models => NULL", SqlState::NULL_VALUE_NOT_ALLOWED, "keep_models must not be null"),
        ("keep_runs => NULL", SqlState::NULL_VALUE_NOT_ALLOWED, "keep_runs must not be null"),
        (
            "keep_runs => '-1 day'",
            SqlState::INVALID_PARAMETER_VALUE,
            "keep_runs must not be negative, not -1 days",
        ),
    ] {
        let refused =
            refusal(client.batch_execute(&format!("CALL sparkify.run_pipeline({options})")));
        assert_eq!(refused, (code, message.to_owned()));
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.pipeline_runs"), 0);
    // What a step refuses is that step's failure.
    let (code, message) = refusal(client.batch_execute("CALL sparkify.run_pipeline(dims => 500)"));
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
    assert!(
        message.starts_with("step embeddings of pipeline run 1 failed: cannot keep 500 dimensions"),
        "{message}"
    );
}

#[test]
fn a_hostile_search_path_changes_nothing() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_path");
    client
        .batch_execute(
            "CREATE SCHEMA hostile; SET search_path = hostile, pg_catalog;
             CREATE FUNCTION hostile.lie(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
             CREATE OPERATOR hostile.= (FUNCTION = hostile.lie, LEFTARG = text, RIGHTARG = text);
             CREATE OPERATOR hostile.<> (FUNCTION = hostile.lie, LEFTARG = text, RIGHTARG = text);
             CREATE OPERATOR hostile.~ (FUNCTION = hostile.lie, LEFTARG = text, RIGHTARG = text);
             CREATE FUNCTION hostile.format(text, VARIADIC \"any\") RETURNS text LANGUAGE internal AS 'text_format';
             CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$;
             CREATE FUNCTION hostile.count(\"any\") RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hostile'; END $$",
        )
        .unwrap_or_else(|error| println!("{error}"));
    client.batch_execute(CALL).unwrap();
    client
        .batch_execute(
            "SELECT * FROM sparkify.ingest_events('[{\"user_id\": \"u1\", \"track_id\": \"t1\", \"played_at\": \"2026-01-01T10:00:00Z\"}]');
             SELECT sparkify.refresh_summaries(); SELECT * FROM sparkify.pipeline_status; SELECT * FROM sparkify.recommendation_coverage",
        )
        .unwrap();
    assert_eq!(number(&mut client, "SELECT pg_catalog.count(*) FROM sparkify.listening_events"), 4);
}

#[test]
fn without_pg_cron_scheduling_says_what_to_do() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_no_cron");
    for call in ["sparkify.schedule_pipeline()", "sparkify.unschedule_pipeline()"] {
        let error = client.batch_execute(&format!("SELECT {call}")).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert_eq!(error.message(), "pg_cron is not installed in database \"pipeline_no_cron\"");
        assert_eq!(
            error.hint(),
            Some(
                "Run sparkify.run_pipeline() from another scheduler, or CREATE EXTENSION pg_cron."
            )
        );
    }
}
