//! `run_pipeline`: what it logs, what it leaves when a step fails, is cancelled or killed, and who waits for whom.

use postgres::error::SqlState;
use sparkify_server_tests::pipeline::{
    CALL, STEPS, held_up, last_run, number, served, small, statuses, wait_for,
};
use sparkify_server_tests::{Server, refusal};

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
    // Three plays of one day tell nothing of what is played afterwards.
    let evaluation = run.iter().position(|(step, ..)| step == "evaluation").unwrap();
    assert_eq!(run[evaluation].1, "skipped");
    assert_eq!(run[evaluation].2, "no user has plays both before and after the cut");
    let idle = ["clean", "match", "evaluation"];
    let others = run.iter().filter(|(step, ..)| !idle.contains(&step.as_str()));
    assert!(others.clone().all(|(_, status, _)| status == "succeeded"), "{run:?}");
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
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify_internal.stale_marks"), 0);
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
             CREATE TRIGGER refuse BEFORE INSERT ON sparkify.recommendation_lists FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
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
            "succeeded",
            "failed",
            "skipped",
            "skipped",
            "skipped",
            "skipped",
            "skipped",
            "failed"
        ]
    );
    let run = last_run(&mut client);
    assert_eq!(run[4].2, "no room");
    assert_eq!(run[5].2, "step recommendations failed");
    assert_eq!(run[10].2, "step recommendations failed: no room");
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
    client.batch_execute("DROP TRIGGER refuse ON sparkify.recommendation_lists").unwrap();
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
    client
        .batch_execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.scores[1] := 5; RETURN NEW; END $$;
             CREATE TRIGGER spoil BEFORE INSERT ON sparkify.recommendation_lists
                FOR EACH ROW EXECUTE FUNCTION spoil()",
        )
        .unwrap();
    let (code, message) = refusal(client.batch_execute(CALL));
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(message.contains("step validation") && message.contains("scores_valid"), "{message}");
    assert_eq!(served(&mut client), before);
}

/// Ordinary life: plays of a closed account and of a withdrawn track, a user and a track that are
/// new, a user who says nothing. They are told, and stop nothing.
#[test]
fn rows_that_do_not_count_are_a_warning() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "pipeline_warnings");
    client.batch_execute(CALL).unwrap();
    let before: i64 = number(&mut client, "SELECT model_id FROM sparkify.models WHERE active");
    client
        .batch_execute(
            "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                VALUES ('u1', 'nowhere', '2026-01-01'), ('closed', 't1', '2026-01-01');
             DELETE FROM sparkify.tracks WHERE track_id = 't2';
             DELETE FROM sparkify.users WHERE user_id = 'u2';
             INSERT INTO sparkify.users (user_id) VALUES ('new')",
        )
        .unwrap();
    client.batch_execute(CALL).unwrap();
    assert!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active") > before);
    let message: String = client
        .query_one(
            "SELECT message FROM sparkify.pipeline_runs WHERE step = 'validation' ORDER BY run_id DESC LIMIT 1",
            &[],
        )
        .unwrap()
        .get(0);
    for told in ["warnings: ", "events_of_known_users: ", "\"closed\"", "events_of_known_tracks: "]
    {
        assert!(message.contains(told), "{told}: {message}");
    }
}

#[test]
fn without_plays_declared_tastes_are_served() {
    let server = Server::shared();
    let database = server.database("pipeline_cold");
    let mut client = database.connect();
    client
        .batch_execute(
            "SELECT sparkify.generate_tracks(200); SELECT sparkify.generate_users(5, undeclared_share => 0)",
        )
        .unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 8)").unwrap();
    let strategies = "SELECT count(*) FROM sparkify.users AS u, sparkify.recommend(u.user_id, 3) AS r WHERE r.strategy = 'declared'";
    assert_eq!(number(&mut client, strategies), 15);
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
        assert_eq!(shown, "sparkify 30% user_vectors (4/10)");
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
    assert_eq!(last_run(&mut client)[3].2, "canceling statement due to user request");
    assert_eq!(served(&mut client), before);
    client.batch_execute(CALL).unwrap();
    assert_eq!(last_run(&mut client)[10].1, "succeeded");
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
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE mode = 'ExclusiveLock' AND locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    );
    assert_eq!(last_run(&mut client)[3].1, "running");
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
    assert_eq!(last_run(&mut client)[10].1, "succeeded");
}

#[test]
fn changes_during_a_run_are_served_after_it_and_older_ones_once() {
    // Alone on its server: an open transaction anywhere makes a run take up more than it must.
    let server = Server::start(&[]);
    let (database, mut client) = small(&server, "pipeline_changes");
    client.batch_execute(CALL).unwrap();
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify_internal.changed_users"),
        0,
        "seen by the run"
    );
    assert_eq!(number(&mut client, "SELECT sparkify.refresh_recommendations(3)"), 0);

    // Held up after the users' vectors: a play, a new user, and a refresh of the served model.
    let mut late = database.connect();
    late.batch_execute("BEGIN; INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u2', 't12', '2026-01-02')").unwrap();
    held_up(&database, |watcher| {
        watcher
            .batch_execute(
                "INSERT INTO sparkify.users (user_id) VALUES ('new');
                 INSERT INTO sparkify.listening_events (user_id, track_id, played_at) SELECT 'u1', 't' || i, '2026-01-02' FROM generate_series(4, 6) AS i",
            )
            .unwrap();
    })
    .unwrap();
    late.batch_execute("COMMIT").unwrap();
    client.batch_execute("SELECT sparkify.refresh_recommendations(3)").unwrap();
    let expected = "SELECT count(*) FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, 3) AS r
        JOIN sparkify.recommendation_details AS d ON d.user_id = u.user_id AND d.rank = r.rank AND d.track_id = r.track_id AND d.score = r.score";
    assert_eq!(number(&mut client, expected), 12);
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify_internal.changed_users"), 0);
}
