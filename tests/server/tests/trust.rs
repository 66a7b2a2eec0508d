//! What others may see and do: row-level security, erasure, older snapshots, deletions beside a
//! refresh, and who may schedule.

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::data::failed_checks;
use sparkify_server_tests::gate::wait_for_a_waiter;
use sparkify_server_tests::{Database, Server, refusal};

/// Ten tracks of two genres, and eight users with a play or two each.
const SMALL: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, popularity)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i % 5], ARRAY['calm'], 'calm', i * 0.05, i * 5
    FROM generate_series(0, 9) AS i;
    INSERT INTO sparkify.users (user_id) SELECT 'u' || i FROM generate_series(1, 8) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    SELECT 'u' || i, 't' || (i + k) % 10, '2026-01-01'::timestamptz + i * interval '1 hour'
    FROM generate_series(1, 8) AS i, generate_series(0, 1) AS k;
    SELECT sparkify.build_embeddings(1);
    SELECT sparkify.refresh_recommendations(3), sparkify.refresh_summaries();";

fn small<'a>(server: &'a Server, name: &str) -> (Database<'a>, Client) {
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(SMALL).expect("a small catalogue");
    (database, client)
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

#[test]
fn views_show_no_more_than_their_reader_may_see() {
    let server = Server::shared();
    let (database, mut owner) = small(&server, "trust_rls");
    owner
        .batch_execute(
            "DROP ROLE IF EXISTS trust_tenant; CREATE ROLE trust_tenant LOGIN;
             SELECT sparkify.grant_reader('trust_tenant');
             ALTER TABLE sparkify.listening_events ENABLE ROW LEVEL SECURITY;
             ALTER TABLE sparkify.recommendation_lists ENABLE ROW LEVEL SECURITY;
             ALTER TABLE sparkify.tracks ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON sparkify.listening_events USING (user_id = 'u1');
             CREATE POLICY own ON sparkify.recommendation_lists USING (user_id = 'u1');
             CREATE POLICY shown ON sparkify.tracks USING (track_id <> 't2')",
        )
        .unwrap();
    let mut tenant = database.connect_as("trust_tenant");
    let by_user =
        ["user_top_tracks", "user_top_artists", "user_genre_plays", "user_recommendations"];
    // The same whether or not the summaries have to be counted afresh.
    for stale in [false, true] {
        if stale {
            owner.batch_execute("INSERT INTO sparkify_internal.stale_marks (subject) VALUES ('plays'), ('recommendations')").unwrap();
        }
        for view in by_user {
            let others = format!("SELECT count(*) FROM sparkify.{view} WHERE user_id <> 'u1'");
            assert_eq!(number(&mut tenant, &others), 0, "{view}");
            assert!(
                number(&mut tenant, &format!("SELECT count(*) FROM sparkify.{view}")) > 0,
                "{view}"
            );
        }
        assert_eq!(
            number(
                &mut tenant,
                "SELECT count(*) FROM sparkify.recommendation_details WHERE user_id <> 'u1'"
            ),
            0
        );
        assert_eq!(
            number(&mut tenant, "SELECT count(*) FROM sparkify.top_tracks WHERE track_id = 't2'"),
            0
        );
        // Totals are the owner's.
        for total in [
            "sum(plays)::bigint FROM sparkify.top_artists",
            "sum(plays)::bigint FROM sparkify.daily_plays",
            "users_served FROM sparkify.recommendation_coverage",
            "sum(plays)::bigint FROM sparkify.track_plays",
        ] {
            let sql = format!("SELECT {total}");
            assert_eq!(number(&mut tenant, &sql), number(&mut owner, &sql), "{sql}");
        }
    }
    owner.batch_execute("DROP OWNED BY trust_tenant; DROP ROLE trust_tenant").unwrap();
}

/// Every table of the extension in which a text is found anywhere.
fn tables_with(client: &mut Client, needle: &str) -> Vec<String> {
    let tables: Vec<String> = client
        .query(
            "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind IN ('r', 'p')
                AND c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) ORDER BY 1",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    tables
        .into_iter()
        .filter(|table| {
            let sql = format!("SELECT count(*) FROM {table} AS t WHERE strpos(t::text, $1) > 0");
            client.query_one(&sql, &[&needle]).expect("a table can be searched").get::<_, i64>(0)
                > 0
        })
        .collect()
}

#[test]
fn a_forgotten_user_leaves_nothing() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "trust_forget");
    client
        .batch_execute(
            "SELECT sparkify.generate_users(3); SELECT sparkify.generate_events(until => '2026-02-01');
             INSERT INTO sparkify.users (user_id, genre_weights) VALUES ('leaving-ann', '{\"calm\": 1}');
             SELECT sparkify.ingest_events('[{\"user_id\": \"leaving-ann\", \"track_id\": \"t1\", \"played_at\": \"2026-01-03T00:00:00Z\"},
                {\"user_id\": \"leaving-ann\", \"track_id\": \"none\", \"played_at\": \"2026-01-03T00:00:00Z\"}]');
             SELECT sparkify.build_embeddings(1, activate => false);
             SELECT sparkify.refresh_recommendations(3), sparkify.refresh_recommendations(3, model_id => 2), sparkify.refresh_summaries();
             INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('leaving-ann', 't2', '2026-01-04')",
        )
        .unwrap();
    assert!(tables_with(&mut client, "leaving-ann").len() >= 6);
    let before = number(&mut client, "SELECT sum(plays)::bigint FROM sparkify.track_plays");
    let erased: Vec<(String, i64)> = client
        .query("SELECT table_name, rows FROM sparkify.forget_user('leaving-ann')", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    for (table, rows) in [
        ("listening_events", 2),
        ("recommendation_lists", 2),
        ("rejected_events", 1),
        ("user_vectors", 2),
        ("users", 1),
    ] {
        assert!(erased.contains(&(format!("sparkify.{table}"), rows)), "{table}: {erased:?}");
    }
    assert_eq!(tables_with(&mut client, "leaving-ann"), [""; 0]);
    assert_eq!(
        number(&mut client, "SELECT sum(plays)::bigint FROM sparkify.track_plays"),
        before - 2
    );
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.forget_user('leaving-ann')"), 0);

    // An account that is closed takes what was made for it along, in every model.
    client.batch_execute("DELETE FROM sparkify.listening_events WHERE user_id = 'user_000001'; DELETE FROM sparkify.users WHERE user_id = 'user_000001';
        SELECT sparkify.refresh_recommendations(3), sparkify.refresh_summaries()").unwrap();
    assert_eq!(tables_with(&mut client, "user_000001"), [""; 0]);
}

#[test]
fn nobody_erases_whom_row_level_security_hides() {
    let server = Server::shared();
    let (database, mut owner) = small(&server, "trust_erasure");
    owner
        .batch_execute(
            "DROP ROLE IF EXISTS trust_writer; CREATE ROLE trust_writer LOGIN;
             SELECT sparkify.grant_writer('trust_writer');
             ALTER TABLE sparkify.users ENABLE ROW LEVEL SECURITY;
             ALTER TABLE sparkify.listening_events ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON sparkify.users USING (user_id = 'u1');
             CREATE POLICY own ON sparkify.listening_events USING (user_id = 'u1')",
        )
        .unwrap();
    let mut writer = database.connect_as("trust_writer");
    for call in [
        "SELECT * FROM sparkify.forget_user('u2')",
        "SELECT * FROM sparkify_internal.forget_traces('u2')",
    ] {
        assert_eq!(
            refusal(writer.batch_execute(call)).0,
            SqlState::INSUFFICIENT_PRIVILEGE,
            "{call}"
        );
    }
    assert!(tables_with(&mut owner, "u2").len() >= 4);
    assert!(number(&mut writer, "SELECT sum(rows)::bigint FROM sparkify.forget_user('u1')") >= 5);
    assert_eq!(tables_with(&mut owner, "u1"), [""; 0]);
    owner.batch_execute("DROP OWNED BY trust_writer; DROP ROLE trust_writer").unwrap();
}

#[test]
fn a_superuser_lends_nobody_the_right_to_make_streams() {
    let server = Server::shared();
    let (database, mut owner) = small(&server, "trust_streams");
    owner
        .batch_execute(
            "DROP ROLE IF EXISTS trust_operator; CREATE ROLE trust_operator LOGIN; CREATE SCHEMA bait AUTHORIZATION trust_operator;
             SELECT sparkify.grant_writer('trust_operator', operate => true)",
        )
        .unwrap();
    let create =
        "sparkify.create_stream('bait', 'host:9092', 'plays', client_file => '/etc/hostname')";
    let mut operator = database.connect_as("trust_operator");
    operator
        .batch_execute(&format!(
            "CREATE FUNCTION bait.run() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT {create} $$"
        ))
        .unwrap();
    // Called by the operator, and by a superuser with the operator's rights.
    let called = refusal(operator.batch_execute(&format!("SELECT {create}"))).0;
    assert_eq!(called, SqlState::INSUFFICIENT_PRIVILEGE);
    let lent = refusal(owner.batch_execute("SELECT bait.run()")).0;
    assert_eq!(lent, SqlState::INSUFFICIENT_PRIVILEGE);
    let streams = "SELECT count(*) FROM sparkify_internal.streams";
    assert_eq!(number(&mut owner, streams), 0);
    owner.batch_execute(&format!("SELECT {create}")).unwrap();
    assert_eq!(number(&mut owner, streams), 1);
    owner.batch_execute("DROP OWNED BY trust_operator CASCADE; DROP ROLE trust_operator").unwrap();
}

#[test]
fn a_refused_event_is_kept_once() {
    let server = Server::shared();
    let (_database, mut client) = small(&server, "trust_refused");
    let deliver = "SELECT rejected FROM sparkify.ingest_events('[{\"user_id\": \"u1\"}, 7, 7, {\"user_id\": \"u1\"}]')";
    for _ in 0..3 {
        assert_eq!(number(&mut client, deliver), 4);
        assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.rejected_events"), 2);
    }
    // And pruned with the log of the pipeline.
    client.batch_execute("UPDATE sparkify.rejected_events SET rejected_at = now() - interval '91 days' WHERE event = '7'").unwrap();
    client.batch_execute("CALL sparkify.run_pipeline(dims => 1, n => 3)").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM sparkify.rejected_events"), 1);
}

#[test]
fn a_track_deleted_beside_a_refresh_is_taken_out_by_the_next() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "trust_deleted");
    let mut other = database.connect();
    // The refresh has read the catalogue when the track goes, and stores lists that name it.
    client
        .batch_execute("BEGIN; SELECT sparkify.refresh_recommendations(3, force => true)")
        .unwrap();
    let gone: String = client
        .query_one("SELECT track_id FROM sparkify.user_recommendations GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1", &[])
        .unwrap()
        .get(0);
    other.execute("DELETE FROM sparkify.tracks WHERE track_id = $1", &[&gone]).unwrap();
    client.batch_execute("COMMIT").unwrap();
    let listed = "SELECT count(*) FROM sparkify.user_recommendations WHERE track_id NOT IN (SELECT track_id FROM sparkify.tracks)";
    assert!(number(&mut client, listed) > 0);
    client.batch_execute("SELECT sparkify.refresh_recommendations(3)").unwrap();
    assert_eq!(number(&mut client, listed), 0);
    // Another id is another track.
    client.batch_execute("UPDATE sparkify.tracks SET track_id = 'new ' || track_id WHERE track_id IN (SELECT track_id FROM sparkify.user_recommendations LIMIT 1)").unwrap();
    assert!(number(&mut client, listed) > 0);
    client.batch_execute("SELECT sparkify.refresh_recommendations(3)").unwrap();
    assert_eq!(number(&mut client, listed), 0);
    assert!(
        failed_checks(&mut client).iter().all(|check| check.starts_with("events_of_known_tracks")
            || check.starts_with("tracks_embedded")),
        "{:?}",
        failed_checks(&mut client)
    );
}

#[test]
fn nothing_is_written_of_a_model_deleted_meanwhile() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "trust_orphans");
    client.batch_execute("SELECT sparkify.build_embeddings(1, activate => false)").unwrap();
    let mut other = database.connect();
    other.batch_execute("BEGIN; DELETE FROM sparkify.models WHERE model_id = 2").unwrap();
    let waiting = std::thread::spawn({
        let mut session = database.connect();
        move || {
            session
                .batch_execute("SELECT sparkify.build_user_vectors(2)")
                .map_err(|error| error.as_db_error().map(|error| error.code().clone()))
        }
    });
    wait_for_a_waiter(&mut client);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(waiting.join().unwrap(), Err(Some(SqlState::NO_DATA_FOUND)));
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM sparkify.user_vectors WHERE model_id = 2"),
        0
    );
    // And the other way round: who writes keeps the model.
    client.batch_execute("SELECT sparkify.build_embeddings(1, activate => false)").unwrap();
    other.batch_execute("BEGIN; SELECT sparkify.build_user_vectors(3)").unwrap();
    client.batch_execute("SET lock_timeout = '200ms'").unwrap();
    let (code, _) = refusal(client.batch_execute("DELETE FROM sparkify.models WHERE model_id = 3"));
    assert_eq!(code, SqlState::LOCK_NOT_AVAILABLE);
    other.batch_execute("COMMIT").unwrap();
    // Models emptied at once leave nothing either.
    client.batch_execute("TRUNCATE sparkify.models").unwrap();
    for table in ["track_embeddings", "genre_embeddings", "user_vectors", "recommendation_lists"] {
        assert_eq!(
            number(&mut client, &format!("SELECT count(*) FROM sparkify.{table}")),
            0,
            "{table}"
        );
    }
}

#[test]
fn an_older_snapshot_is_told_to_try_again() {
    let server = Server::shared();
    let (database, mut client) = small(&server, "trust_serializable");
    client
        .batch_execute("INSERT INTO sparkify.raw_tracks (track_id, artists, track_name) VALUES ('raw', 'A', 'R');
            SELECT sparkify.build_embeddings(1, activate => false)")
        .unwrap();
    let mut other = database.connect();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for (meanwhile, call) in [
            (
                "SELECT sparkify.refresh_recommendations(3, force => true)",
                "SELECT sparkify.refresh_recommendations(3, force => true)",
            ),
            ("SELECT sparkify.refresh_recommendations(4)", "SELECT sparkify.build_user_vectors()"),
            ("SELECT sparkify.activate_model(2)", "SELECT sparkify.activate_model(1)"),
            ("SELECT sparkify.clean_tracks()", "SELECT sparkify.clean_tracks()"),
            ("SELECT sparkify.generate_tracks(5)", "SELECT sparkify.generate_tracks(9)"),
            ("SELECT sparkify.generate_users(5)", "SELECT sparkify.generate_users(9)"),
            (
                "INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('u1', 't5', '2026-01-09'); SELECT sparkify.refresh_summaries()",
                "SELECT sparkify.refresh_summaries()",
            ),
        ] {
            other
                .batch_execute(&format!(
                    "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM sparkify.users"
                ))
                .unwrap();
            client.batch_execute(meanwhile).unwrap();
            let (code, message) = refusal(other.batch_execute(call));
            assert_eq!(code, SqlState::T_R_SERIALIZATION_FAILURE, "{level}: {call}: {message}");
            other.batch_execute("ROLLBACK").unwrap();
            other
                .batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; {call}; ROLLBACK"))
                .expect(call);
        }
    }
    // Two deliveries of one play by new users.
    let play = "SELECT sparkify.ingest_events('[{\"user_id\": \"twice\", \"track_id\": \"t1\", \"played_at\": \"2026-01-03T00:00:00Z\"}]')";
    other
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sparkify.users")
        .unwrap();
    client.batch_execute(play).unwrap();
    assert_eq!(refusal(other.batch_execute(play)).0, SqlState::T_R_SERIALIZATION_FAILURE);
    other.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn a_database_in_another_encoding_is_refused() {
    let server = Server::shared();
    let database = server.database("trust_encoding");
    let mut client = database.connect();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        client.batch_execute("DROP DATABASE IF EXISTS trust_encoded").unwrap();
        client
            .batch_execute(&format!(
                "CREATE DATABASE trust_encoded ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
            ))
            .unwrap();
        let mut encoded = server.connect_as("trust_encoded", "postgres");
        let (code, message) = refusal(encoded.batch_execute("CREATE EXTENSION sparkify"));
        assert_eq!(code, SqlState::FEATURE_NOT_SUPPORTED);
        assert!(message.contains(encoding), "{message}");
        drop(encoded);
        client.batch_execute("DROP DATABASE trust_encoded WITH (FORCE)").unwrap();
    }
}
