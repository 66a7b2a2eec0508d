//! Models of plays in the pipeline: what kind is trained, when it is evaluated, and when it is
//! not activated; in a dump and on the way of a rollback.

use postgres::Client;
use sparkify_server_tests::Server;
use sparkify_server_tests::pipeline::{last_run, number};

/// Two tastes over 40 tracks, and 120 users who each played half of theirs.
const TWO_TASTES: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence)
    SELECT to_char(i, 'FM\"t\"00'), 'Song ' || i, ARRAY['Artist ' || i], ARRAY['g' || i % 2], 'g' || i % 2, i % 10 * 0.1, i % 7 * 0.1
    FROM generate_series(1, 44) AS i;
    INSERT INTO sparkify.users (user_id) SELECT to_char(u, 'FM\"u\"000') FROM generate_series(1, 120) AS u;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at, event_id)
    SELECT to_char(u, 'FM\"u\"000'), to_char(i, 'FM\"t\"00'), timestamptz '2026-01-01' + ((i * 7 + u * 3) % 60) * interval '1 day', md5(u || '/' || i)::uuid
    FROM generate_series(1, 120) AS u, generate_series(1, 40) AS i
    WHERE i % 2 = u % 2 AND (i * 13 + u * 5) % 8 > 2;";

fn step(client: &mut Client, name: &str) -> (String, String) {
    let run = last_run(client);
    let found = run.into_iter().find(|(step, _, _)| step == name);
    found.map(|(_, status, message)| (status, message)).expect("the step is logged")
}

#[test]
fn the_pipeline_learns_where_plays_are_enough_and_evaluates_once_a_week() {
    let server = Server::shared();
    let database = server.database("pipeline_learning");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(n => 3)").unwrap();
    let (status, message) = step(&mut client, "evaluation");
    assert_eq!(status, "succeeded", "{message}");
    assert!(message.contains("hybrid 0.") && message.contains("popularity 0."), "{message}");
    assert_eq!(step(&mut client, "embeddings").1, "model 1, hybrid");
    let active = "SELECT model_id FROM sparkify.models WHERE active AND kind = 'hybrid'";
    assert_eq!(number(&mut client, active), 1);
    // Evaluated a moment ago.
    client.batch_execute("CALL sparkify.run_pipeline(n => 3)").unwrap();
    assert_eq!(step(&mut client, "evaluation").0, "skipped");
    assert_eq!(number(&mut client, active), 2);
    client.batch_execute("CALL sparkify.run_pipeline(n => 3, evaluate_every => '0')").unwrap();
    let evaluations = "SELECT count(DISTINCT evaluation_id) FROM sparkify.model_evaluations";
    assert_eq!(number(&mut client, evaluations), 2);
    // The kind can be asked for.
    client.batch_execute("CALL sparkify.run_pipeline(n => 3, kind => 'content', evaluate_every => NULL, force => true)").unwrap();
    assert_eq!(step(&mut client, "embeddings").1, "model 4, content");
    assert_eq!(step(&mut client, "evaluation").1, "not asked for");
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 4);
}

#[test]
fn plays_alone_are_enough_where_nothing_is_known_of_the_tracks() {
    let server = Server::shared();
    let database = server.database("learning_bare");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    let bare = "UPDATE sparkify.tracks SET genres = '{}', primary_genre = NULL, energy = NULL, valence = NULL";
    client.batch_execute(bare).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(n => 3)").unwrap();
    let (status, message) = step(&mut client, "evaluation");
    assert_eq!(status, "succeeded", "{message}");
    assert!(message.contains("hybrid 0.") && !message.contains("content"), "{message}");
    let lists = "SELECT count(*) FROM sparkify.user_recommendations";
    assert_eq!(number(&mut client, lists), 360);
    // All at one moment, years ago: what is held out to choose by is drawn then.
    client.batch_execute("UPDATE sparkify.listening_events SET played_at = '2009-01-01'").unwrap();
    client.batch_execute("SELECT sparkify.train_model()").unwrap();
    let own = "SELECT count(*) FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, 5) AS r
        WHERE right(r.track_id, 1)::int % 2 = right(u.user_id, 1)::int % 2";
    assert_eq!(number(&mut client, own), 600);
}

#[test]
fn a_model_of_a_kind_that_came_out_worse_is_not_activated_unless_forced() {
    let server = Server::shared();
    let database = server.database("pipeline_worse");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(n => 3)").unwrap();
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 1);
    // As if it had once been far better.
    client
        .batch_execute(
            "INSERT INTO sparkify.model_evaluations (evaluation_id, kind, subject, plays, metric, k, value, standard_error, users)
             SELECT 0, 'hybrid', 'hybrid', 'new', 'ndcg', 20, 100, 0.001, 100",
        )
        .unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(n => 3)").unwrap();
    let (status, message) = step(&mut client, "activation");
    assert_eq!(status, "skipped");
    assert!(message.starts_with("model 2: hybrid reached an ndcg of"), "{message}");
    assert_eq!(step(&mut client, "pipeline").0, "succeeded");
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 1);
    client.batch_execute("CALL sparkify.run_pipeline(n => 3, margin => 1)").unwrap();
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 3);
    client.batch_execute("CALL sparkify.run_pipeline(n => 3, force => true)").unwrap();
    assert_eq!(number(&mut client, "SELECT model_id FROM sparkify.models WHERE active"), 4);
}

#[test]
fn a_rollback_undoes_a_training_and_an_evaluation() {
    let server = Server::shared();
    let database = server.database("learning_rollback");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction
        .batch_execute("SELECT sparkify.train_model(); SELECT * FROM sparkify.evaluate_model()")
        .unwrap();
    transaction.rollback().unwrap();
    for table in [
        "sparkify.models",
        "sparkify.track_embeddings",
        "sparkify_internal.model_states",
        "sparkify_internal.track_neighbours",
        "sparkify.model_evaluations",
    ] {
        assert_eq!(number(&mut client, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[test]
fn a_training_is_stopped_by_a_time_limit() {
    let server = Server::shared();
    let database = server.database("learning_cancel");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    // Without end, unless it is stopped.
    let refused = client.batch_execute("SET statement_timeout = '300ms'; SELECT sparkify.train_model(iterations => 1000, threads => 3), sparkify.train_model(iterations => 1000, dims => 20)");
    let (code, _) = sparkify_server_tests::refusal(refused);
    assert_eq!(code, postgres::error::SqlState::QUERY_CANCELED);
    client.batch_execute("RESET statement_timeout").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models"), 0);
    client.batch_execute("SELECT sparkify.train_model(threads => 3)").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.models WHERE active"), 1);
}

#[test]
fn ratings_models_and_evaluations_come_through_a_dump() {
    let server = Server::shared();
    let database = server.database("learning_dump");
    let mut client = database.connect();
    client.batch_execute(TWO_TASTES).unwrap();
    client
        .batch_execute(
            "SELECT sparkify.rate_track('u001', 't03', -1); SELECT sparkify.train_model(neighbour_weight => 0.2);
             SELECT * FROM sparkify.evaluate_model(k => 5)",
        )
        .unwrap();
    let digest = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM (
        SELECT f::text FROM sparkify.track_feedback AS f UNION ALL SELECT s::text FROM sparkify_internal.model_states AS s
        UNION ALL SELECT n::text FROM sparkify_internal.track_neighbours AS n
        UNION ALL SELECT e::text FROM sparkify.model_evaluations AS e
        UNION ALL SELECT r::text FROM sparkify.users AS u CROSS JOIN LATERAL sparkify.recommend(u.user_id, 5) AS r) AS t";
    let before: String = client.query_one(digest, &[]).unwrap().get(0);
    let dump = sparkify_server_tests::run(&mut database.program("pg_dump"));
    let restored = server.empty_database("learning_restored");
    let file = sparkify_server_tests::file_for_server("learning.sql", &dump.stdout);
    sparkify_server_tests::run(
        restored.program("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file),
    );
    let after: String = restored.connect().query_one(digest, &[]).unwrap().get(0);
    assert_eq!(after, before);
}
