//! pg_cron on a server of its own: the jobs really fire, every minute.

use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::pipeline::SMALL;
use sparkify_server_tests::{Server, refusal};

fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits up to three minutes: pg_cron fires at full minutes.
#[track_caller]
fn wait_for(client: &mut Client, sql: &str) {
    let began = Instant::now();
    while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        if began.elapsed() > Duration::from_secs(180) {
            let log = texts(
                client,
                "SELECT concat_ws(' ', command, status, return_message) FROM cron.job_run_details",
            );
            panic!("waited in vain for {sql}: {log:#?}");
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

const SERVED: &str = "SELECT concat_ws(' ', user_id, rank, track_id, score) FROM sparkify.recommendation_details ORDER BY 1";

#[test]
fn jobs_fire_and_their_failures_show() {
    let server = Server::start(&[
        "shared_preload_libraries = 'pg_cron'",
        "cron.database_name = 'scheduled'",
        "cron.use_background_workers = on",
    ]);
    let database = server.database("scheduled");
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION pg_cron").unwrap();
    client.batch_execute(SMALL).unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 2, n => 3)").unwrap();

    scheduling_again_updates(&mut client);
    bad_schedules_are_refused(&mut client);
    elsewhere_says_where(&server);

    // A play is taken up by the refresh of the next minute.
    client
        .batch_execute("SELECT sparkify.schedule_pipeline(daily => '0 3 * * *', dims => 2, n => 3)")
        .unwrap();
    let listed =
        "SELECT track_id FROM sparkify.recommendation_details WHERE user_id = 'u1' ORDER BY rank";
    let before = texts(&mut client, listed);
    client
        .execute("INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', $1, now())", &[&before[0]])
        .unwrap();
    wait_for(
        &mut client,
        "SELECT EXISTS (SELECT FROM cron.job_run_details JOIN cron.job USING (jobid)
            WHERE jobname = 'sparkify refresh' AND status = 'succeeded')
         AND NOT EXISTS (SELECT FROM sparkify_internal.changed_users) AND NOT EXISTS (SELECT FROM sparkify_internal.play_changes)",
    );
    let after = texts(&mut client, listed);
    assert_eq!(after.len(), 3);
    assert!(!after.contains(&before[0]), "{before:?} {after:?}");

    // A broken step fails in both logs, and what was served stays.
    client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON sparkify.track_embeddings FOR EACH STATEMENT EXECUTE FUNCTION refuse();
             SELECT sparkify.schedule_pipeline(daily => '* * * * *', refresh => NULL, dims => 2, n => 3)",
        )
        .unwrap();
    let served = texts(&mut client, SERVED);
    wait_for(
        &mut client,
        "SELECT EXISTS (SELECT FROM cron.job_run_details JOIN cron.job USING (jobid)
            WHERE jobname = 'sparkify pipeline' AND status = 'failed' AND return_message LIKE '%broken%')",
    );
    assert_eq!(
        texts(
            &mut client,
            "SELECT status || ': ' || message FROM sparkify.pipeline_runs WHERE run_id = 2 AND step = 'embeddings'"
        ),
        ["failed: broken"]
    );
    assert_eq!(texts(&mut client, SERVED), served);

    // Mended, the next one succeeds: a procedure that commits works in pg_cron's worker.
    client.batch_execute("DROP TRIGGER refuse ON sparkify.track_embeddings").unwrap();
    wait_for(
        &mut client,
        "SELECT EXISTS (SELECT FROM cron.job_run_details JOIN cron.job USING (jobid)
            WHERE jobname = 'sparkify pipeline' AND status = 'succeeded')",
    );
    assert_eq!(texts(&mut client, "SELECT status FROM sparkify.pipeline_status"), ["succeeded"]);
    client.batch_execute("SELECT sparkify.unschedule_pipeline()").unwrap();
}

fn jobs(client: &mut Client) -> Vec<String> {
    texts(
        client,
        "SELECT concat_ws('|', jobname, schedule, command, database) FROM cron.job ORDER BY 1",
    )
}

fn scheduling_again_updates(client: &mut Client) {
    let job = |work: &str| {
        format!(
            "DO $job$ BEGIN IF pg_catalog.to_regnamespace('sparkify') IS NULL THEN RAISE NOTICE \
             'the extension sparkify is gone: unschedule this job'; ELSE {work} END IF; END $job$"
        )
    };
    let pipeline = job("CALL sparkify.run_pipeline(n => 10);");
    let refresh = job(
        "PERFORM sparkify.serve_published_model(n => 10); PERFORM sparkify.refresh_recommendations(n => 10); \
         PERFORM sparkify.refresh_summaries();",
    );
    let given = texts(client, "SELECT job_name FROM sparkify.schedule_pipeline()");
    assert_eq!(given, ["sparkify pipeline", "sparkify refresh"]);
    assert_eq!(
        jobs(client),
        [
            format!("sparkify pipeline|0 3 * * *|{pipeline}|scheduled"),
            format!("sparkify refresh|* * * * *|{refresh}|scheduled"),
        ]
    );
    client.batch_execute("SELECT sparkify.schedule_pipeline('30 4 * * 1', NULL, 32, 20)").unwrap();
    assert_eq!(
        jobs(client),
        [format!(
            "sparkify pipeline|30 4 * * 1|{}|scheduled",
            job("CALL sparkify.run_pipeline(dims => 32, n => 20);")
        )]
    );
    let removed: i32 =
        client.query_one("SELECT sparkify.unschedule_pipeline()", &[]).unwrap().get(0);
    assert_eq!((removed, jobs(client).len()), (1, 0));
    let removed: i32 =
        client.query_one("SELECT sparkify.unschedule_pipeline()", &[]).unwrap().get(0);
    assert_eq!(removed, 0);
}

fn bad_schedules_are_refused(client: &mut Client) {
    client.batch_execute("SELECT sparkify.schedule_pipeline()").unwrap();
    let before = jobs(client);
    for bad in [
        "",
        "daily",
        "61 * * * *",
        "* * * *",
        "* * * * * *",
        "0 25 * * *",
        "0 3 * * x",
        "0 3 * 13 *",
        "*/0 * * * *",
    ] {
        let refused =
            refusal(client.query("SELECT * FROM sparkify.schedule_pipeline($1)", &[&bad]));
        assert_eq!(
            refused,
            (SqlState::INVALID_PARAMETER_VALUE, format!("invalid schedule \"{bad}\""))
        );
        let refused = refusal(
            client.query("SELECT * FROM sparkify.schedule_pipeline(refresh => $1)", &[&bad]),
        );
        assert_eq!(refused.0, SqlState::INVALID_PARAMETER_VALUE);
    }
    for (call, message) in [
        ("n => 0", "n must be between 1 and 1000, not 0"),
        ("dims => 0", "dims must be 1 or more, not 0"),
    ] {
        let refused = refusal(
            client.query(&format!("SELECT * FROM sparkify.schedule_pipeline({call})"), &[]),
        );
        assert_eq!(refused, (SqlState::INVALID_PARAMETER_VALUE, message.to_owned()));
    }
    assert_eq!(jobs(client), before, "refused, the jobs are as they were");
}

fn elsewhere_says_where(server: &Server) {
    let database = server.database("elsewhere");
    let error =
        database.connect().batch_execute("SELECT sparkify.schedule_pipeline()").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "pg_cron is not installed in database \"elsewhere\"");
    assert_eq!(error.detail(), Some("pg_cron of this server lives in database \"scheduled\"."));
    let hint = error.hint().unwrap();
    for call in [
        "cron.schedule_in_database",
        "CALL sparkify.run_pipeline()",
        "SELECT sparkify.refresh_recommendations(); SELECT sparkify.refresh_summaries()",
    ] {
        assert!(hint.contains(call), "{hint}");
    }
}
