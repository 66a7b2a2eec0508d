//! A dump of a database with the extension, restored into an empty one, serves on.

use std::path::Path;

use postgres::Client;
use sparkify_server_tests::data::{differences, failed_checks, fill, on_demand, stored};
use sparkify_server_tests::{Database, Server, run};

const N: i32 = 7;

/// Data, two models of which the first serves, lists of it, and a change not yet taken up.
fn prepare(client: &mut Client) {
    fill(client, 400, 64);
    client
        .batch_execute(
            "INSERT INTO sparkify.raw_tracks (track_id, track_name) VALUES ('raw', E'a \"quoted\"\\tname');
            INSERT INTO sparkify.rejected_tracks (track_id, reason) VALUES (NULL, 'track_id is missing');
            INSERT INTO sparkify.rejected_events (event, reason) VALUES ('{\"a\": 1}', 'user_id is missing');
            SELECT sparkify.build_embeddings(8);
            SELECT sparkify.build_embeddings(5, activate => false, half_life_days => 3);
            SELECT sparkify.refresh_recommendations(7);
            SELECT sparkify.refresh_summaries();
            INSERT INTO sparkify.pipeline_runs (run_id, step, status)
                VALUES (nextval('sparkify.pipeline_run_id_seq'), 'validate', 'succeeded');
            INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('user 3', 'track 77', '2025-07-01')",
        )
        .unwrap();
}

/// For every table, and every view that users read, its rows and a digest of them, whatever their
/// order. What restoring itself changes is left out: fingerprints name the state of a cache, and
/// triggers note what is loaded as changed.
fn contents(client: &mut Client) -> Vec<(String, i64, String)> {
    let relations: Vec<String> = client
        .query(
            "SELECT c.relnamespace::regnamespace || '.' || c.relname FROM pg_class AS c
            WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND (c.relkind IN ('r', 'p')
                AND c.relname NOT IN ('changed_users', 'deleted_tracks', 'stale_marks', 'turns', 'published_model') AND c.relname !~ '_changes$'
                OR c.relname IN ('recommendation_details', 'top_artists', 'top_tracks', 'genre_plays',
                    'user_top_artists', 'user_top_tracks', 'user_genre_plays', 'daily_plays', 'pipeline_status',
                    'model_history', 'recommendation_coverage', 'genre_distribution', 'artist_distribution'))
            ORDER BY 1",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(relations.len() > 24, "{relations:?}");
    relations
        .into_iter()
        .map(|relation| {
            let row = client
                .query_one(
                    &format!(
                        "SELECT count(*), coalesce(md5(string_agg(r, ' ' ORDER BY r)), '') FROM
                        (SELECT (to_jsonb(t) - '{{fingerprint,seconds_since}}'::text[])::text AS r FROM {relation} AS t) AS rows"
                    ),
                    &[],
                )
                .unwrap();
            (relation, row.get(0), row.get(1))
        })
        .collect()
}

fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).expect(sql).get(0)
}

fn check_restored(original: &Database, restored: &Database) {
    let (mut before, mut after) = (original.connect(), restored.connect());
    assert_eq!(contents(&mut after), contents(&mut before));
    let answers = on_demand(&mut before, N);
    assert_eq!(answers.0, 64 * i64::from(N));
    assert_eq!(on_demand(&mut after, N), answers);
    assert_eq!(stored(&mut after), stored(&mut before));
    assert_eq!(number(&mut after, "SELECT model_id FROM sparkify.models WHERE active"), 1);
    let none: [String; 0] = [];
    assert_eq!(failed_checks(&mut after), none);

    // Who had changed is still noted, and the next refresh takes all notes up.
    let noted = "SELECT count(*) FROM sparkify_internal.changed_users WHERE user_id = 'user 3'";
    assert!(number(&mut after, noted) > 0);
    let refresh = "SELECT sparkify.refresh_recommendations(7)";
    assert!(number(&mut after, refresh) > 0);
    assert_eq!(differences(&mut after, N), none);
    assert_eq!(number(&mut after, refresh), 0);
    // The triggers are at work: a change is noted for its user alone.
    after.batch_execute("DELETE FROM sparkify.listening_events WHERE user_id = 'user 4'").unwrap();
    assert_eq!(number(&mut after, refresh), i64::from(N));

    // Sequences go on where they were.
    let last =
        number(&mut before, "SELECT max(recommendation_id) FROM sparkify.user_recommendations");
    let first =
        "SELECT min(recommendation_id) FROM sparkify.user_recommendations WHERE user_id = 'user 4'";
    assert!(number(&mut after, first) > last);
    assert_eq!(number(&mut after, "SELECT sparkify.build_embeddings(3)"), 3);
    assert_eq!(number(&mut after, "SELECT nextval('sparkify.pipeline_run_id_seq')"), 2);
    // And what was restored belongs to the extension.
    after.batch_execute("DROP EXTENSION sparkify").unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sparkify%'";
    assert_eq!(number(&mut after, left), 0);
}

fn dumped(database: &Database, format: &str, file: &Path) {
    run(database.program("pg_dump").args(["-F", format, "-f"]).arg(file));
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("sparkify-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_plain_dump_read_by_psql() {
    let server = Server::shared();
    let original = server.database("dump_plain");
    prepare(&mut original.connect());
    let file = Scratch::new("plain.sql");
    dumped(&original, "plain", &file.0);
    let restored = server.empty_database("restore_plain");
    run(restored.program("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file.0));
    check_restored(&original, &restored);
}

#[test]
fn a_custom_dump_restored_by_two_jobs() {
    let server = Server::shared();
    let original = server.database("dump_custom");
    prepare(&mut original.connect());
    let file = Scratch::new("custom.dump");
    dumped(&original, "custom", &file.0);
    let restored = server.empty_database("restore_custom");
    run(restored.program("pg_restore").args(["-j", "2", "--exit-on-error"]).arg(&file.0));
    check_restored(&original, &restored);
}
