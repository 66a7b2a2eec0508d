//! validate(): every check fails for its own fault, and for no other.

use postgres::Client;
use sparkify_server_tests::Server;

/// Forty tracks in four genres, six users with plays, one with a declared taste
/// and one of whom nothing is known; lists of three for all of them.
const GOOD: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, valence, popularity)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i % 7], ARRAY['genre ' || i % 4], 'genre ' || i % 4,
        (i * 37 % 40) / 40.0, (i * 11 % 40) / 40.0, i FROM generate_series(1, 40) AS i;
    INSERT INTO sparkify.users (user_id, genre_weights)
    SELECT 'u' || i, CASE i WHEN 7 THEN '{\"genre 1\": 1}'::jsonb END FROM generate_series(1, 8) AS i;
    INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
    SELECT 'u' || u, 't' || (u * 5 + i * 3), timestamptz '2025-01-01' + u * interval '1 hour' + i * interval '1 day'
    FROM generate_series(1, 6) AS u, generate_series(0, 3) AS i;
    SELECT sparkify.build_embeddings(3);
    SELECT sparkify.refresh_recommendations(3);";

/// What is done to the good database, and what comes of it: check and number of failures.
const FAULTS: &[(&str, &str, i64)] = &[
    ("ALTER TABLE sparkify.genre_embeddings RENAME TO lost", "tables_present", 1),
    (
        // Nobody has a vector or a list, and nobody is expected to: all are noted.
        "DELETE FROM sparkify.user_vectors; DELETE FROM sparkify.recommendation_lists;
         INSERT INTO sparkify_internal.changed_users SELECT user_id FROM sparkify.users;
         DELETE FROM sparkify.track_embeddings",
        "tables_filled",
        1,
    ),
    ("DELETE FROM sparkify.listening_events", "data_to_learn_from", 1),
    (
        // A view needs the primary key: another table takes its place.
        "ALTER TABLE sparkify.tracks RENAME TO kept;
         CREATE TABLE sparkify.tracks AS TABLE sparkify.kept;
         INSERT INTO sparkify.tracks SELECT * FROM sparkify.kept WHERE track_id < 't12'",
        "track_ids_unique",
        3,
    ),
    (
        "ALTER TABLE sparkify.users DROP CONSTRAINT users_pkey, ALTER user_id DROP NOT NULL;
         INSERT INTO sparkify.users (user_id) VALUES ('u1'), ('u2'), ('u2')",
        "user_ids_unique",
        2,
    ),
    (
        "ALTER TABLE sparkify.listening_events DROP CONSTRAINT listening_events_played_at_check;
         INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         SELECT user_id, track_id, 'infinity' FROM sparkify.listening_events WHERE user_id = 'u1' LIMIT 2",
        "events_complete",
        2,
    ),
    (
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         VALUES ('nobody', 't1', '2025-01-01'), ('nobody', 't2', '2025-01-01')",
        "events_of_known_users",
        1,
    ),
    (
        "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         VALUES ('u1', 'x1', '2025-01-01'), ('u2', 'x1', '2025-01-01'), ('u2', 'x2', '2025-01-01')",
        "events_of_known_tracks",
        2,
    ),
    (
        "INSERT INTO sparkify.tracks (track_id, track_name, artists) VALUES ('new', 'New', '{A}')",
        "tracks_embedded",
        1,
    ),
    (
        // Longer by a zero: the cosines stay, so that only the shape is wrong.
        "UPDATE sparkify.track_embeddings SET embedding = embedding || 0::real WHERE track_id < 't12'",
        "embeddings_of_one_shape",
        3,
    ),
    (
        "UPDATE sparkify.track_embeddings SET embedding = ARRAY[embedding]
         WHERE track_id = (SELECT min(track_id) FROM sparkify.track_embeddings)",
        "embeddings_of_one_shape",
        1,
    ),
    (UNSERVED_NOT_FINITE, "embeddings_finite", 3),
    (
        // The list of a user without a vector is still the right one.
        "DELETE FROM sparkify.user_vectors WHERE user_id IN ('u3', 'u4', 'u8')",
        "vectors_present",
        3,
    ),
    (
        // The scores of the longer vector are not what is looked for: its user is noted.
        "UPDATE sparkify.user_vectors SET vector = ARRAY(SELECT 1.001::real * x FROM unnest(vector) AS x) WHERE user_id = 'u3';
         INSERT INTO sparkify_internal.changed_users VALUES ('u3');
         UPDATE sparkify.user_vectors SET vector = '{0,1,0}' WHERE user_id = 'u8'",
        "vectors_of_unit_length",
        2,
    ),
    (
        "UPDATE sparkify.user_vectors SET vector = vector || 0::real WHERE user_id = 'u3'",
        "vectors_of_unit_length",
        1,
    ),
    (
        "DELETE FROM sparkify.recommendation_lists WHERE user_id IN ('u5', 'u8')",
        "users_served",
        2,
    ),
    (
        // Users that are noted for the next refresh are not looked at.
        "SET session_replication_role = replica; DELETE FROM sparkify.users WHERE user_id = 'u8'; RESET session_replication_role;
         DELETE FROM sparkify_internal.changed_users",
        "served_users_exist",
        1,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET scores[1] = 1.5 WHERE user_id = 'u8'",
        "scores_valid",
        1,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET scores[3] = -0.5 WHERE user_id = 'u8'",
        "scores_valid",
        1,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET scores[1] = 'NaN' WHERE user_id = 'u8'",
        "scores_valid",
        1,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET scores[1] = scores[1] - 0.01, scores[2] = 0.995 WHERE user_id = 'u8'",
        "ranks_in_order",
        1,
    ),
    (
        // Two tracks of one list are versions of a song from now on.
        "UPDATE sparkify.track_embeddings SET song_key = '00000000-0000-0000-0000-000000000000'
         WHERE track_id IN (SELECT track_id FROM sparkify.user_recommendations WHERE user_id = 'u8' AND rank < 3);
         DELETE FROM sparkify.recommendation_lists WHERE user_id <> 'u8';
         INSERT INTO sparkify_internal.changed_users SELECT user_id FROM sparkify.users",
        "songs_recommended_once",
        1,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET track_ids = ARRAY[track_ids[1], 'gone 2', 'gone 3'] WHERE user_id = 'u8'",
        "recommended_tracks_exist",
        2,
    ),
    (
        // Users that are noted for the next refresh are not looked at.
        "SET session_replication_role = replica;
         INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
         SELECT user_id, track_id, '2025-01-01' FROM sparkify.user_recommendations WHERE user_id = 'u8' OR user_id = 'u2';
         RESET session_replication_role; DELETE FROM sparkify_internal.changed_users",
        "nothing_played_recommended",
        2,
    ),
    (
        "UPDATE sparkify.recommendation_lists SET scores[3] = scores[3] - 0.001 WHERE user_id = 'u2'",
        "scores_reproducible",
        1,
    ),
    (
        "SET session_replication_role = replica;
         UPDATE sparkify.user_vectors SET vector = ARRAY(SELECT -x FROM unnest(vector) AS x) WHERE user_id IN ('u2', 'u7');
         RESET session_replication_role",
        "scores_reproducible",
        2,
    ),
    (
        "INSERT INTO sparkify.recommendation_lists (user_id, model_id, track_ids, scores, strategy)
         VALUES ('u1', 77, '{t1}', '{0}', 'popular');
         INSERT INTO sparkify.genre_embeddings VALUES (78, 'genre 1', '{1}', 1)",
        "nothing_of_deleted_models",
        2,
    ),
];

/// Three embeddings that no list shows hold NaN, infinity and NULL.
const UNSERVED_NOT_FINITE: &str = "
    WITH unserved AS (SELECT track_id, row_number() OVER (ORDER BY track_id) AS n FROM sparkify.track_embeddings
        WHERE track_id NOT IN (SELECT track_id FROM sparkify.user_recommendations))
    UPDATE sparkify.track_embeddings AS e
    SET embedding[2] = CASE n WHEN 1 THEN 'NaN'::real WHEN 2 THEN '-Infinity' END
    FROM unserved WHERE unserved.track_id = e.track_id AND n <= 3";

/// Name, number of failures, detail and severity of the checks that fail.
fn failed(client: &mut Client) -> Vec<(String, i64, String, String)> {
    client
        .query(
            "SELECT check_name, failures, detail, severity FROM sparkify.validate() WHERE NOT passed",
            &[],
        )
        .expect("validate() answers whatever is stored")
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

#[test]
fn each_check_fails_for_its_own_fault_alone() {
    let server = Server::shared();
    let database = server.database("validate_faults");
    let mut client = database.connect();
    client.batch_execute(GOOD).unwrap();
    assert_eq!(failed(&mut client), []);
    for (fault, check, failures) in FAULTS {
        client.batch_execute("BEGIN").unwrap();
        client.batch_execute(fault).unwrap_or_else(|error| panic!("{fault}: {error}"));
        let mut failed = failed(&mut client);
        // Without a table nothing else can be checked, and nothing else passes.
        failed.retain(|(_, _, detail, _)| !detail.starts_with("not checked"));
        // An error may come with warnings.
        if failed.iter().any(|(.., severity)| severity == "error") {
            failed.retain(|(.., severity)| severity == "error");
        }
        let found: Vec<(&str, i64)> =
            failed.iter().map(|(name, failures, ..)| (name.as_str(), *failures)).collect();
        assert_eq!(found, [(*check, *failures)], "{fault}");
        let detail = &failed[0].2;
        assert!(detail.starts_with(&format!("{failures} ")), "{detail}");
        client.batch_execute("ROLLBACK").unwrap();
    }
    assert_eq!(failed(&mut client), []);
}

#[test]
fn every_check_has_a_fault_that_it_finds() {
    let server = Server::shared();
    let database = server.database("validate_names");
    let mut client = database.connect();
    client.batch_execute(GOOD).unwrap();
    let names: Vec<String> = client
        .query("SELECT check_name FROM sparkify.validate()", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    for name in &names {
        assert!(FAULTS.iter().any(|(_, check, _)| check == name), "no fault for {name}");
    }
}
