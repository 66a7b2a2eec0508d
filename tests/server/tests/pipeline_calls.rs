//! `run_pipeline`: its options, the calls it refuses, and the callers that it must not trust.

use postgres::error::SqlState;
use sparkify_server_tests::pipeline::{CALL, last_run, number, small};
use sparkify_server_tests::{Server, refusal};

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
    assert_eq!(last_run(&mut client)[9].1, "succeeded");
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
            "keep_runs => '10000 years'",
            SqlState::INVALID_PARAMETER_VALUE,
            "keep_runs must be between 0 and 1000 years, not 10000 years",
        ),
        (
            "keep_runs => '-1 day'",
            SqlState::INVALID_PARAMETER_VALUE,
            "keep_runs must be between 0 and 1000 years, not -1 days",
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
