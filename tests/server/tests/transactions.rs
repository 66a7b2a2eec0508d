//! What a call sees: uncommitted plays, rollback, roles, deleted tracks.

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::{Server, refusal};

/// Six tracks in two clearly different genres, and a model of two dimensions.
const SMALL: &str = "
    INSERT INTO sparkify.tracks (track_id, track_name, artists, genres, primary_genre, energy, popularity)
    SELECT 't' || i, 'Song ' || i, ARRAY['Artist ' || i],
        ARRAY[CASE WHEN i <= 5 THEN 'calm' ELSE 'loud' END], CASE WHEN i <= 5 THEN 'calm' ELSE 'loud' END,
        CASE WHEN i <= 5 THEN 0.1 ELSE 0.9 END + i * 0.005, i * 5
    FROM generate_series(1, 10) AS i;
    INSERT INTO sparkify.users (user_id) VALUES ('ann'), ('bob');
    SELECT sparkify.build_embeddings(2);";

fn small(name: &str, test: impl FnOnce(&mut Client, &sparkify_server_tests::Database)) {
    let server = Server::shared();
    let database = server.database(name);
    let mut client = database.connect();
    client.batch_execute(SMALL).expect("a small catalogue");
    test(&mut client, &database);
}

fn recommended(client: &mut Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).expect(sql).iter().map(|row| row.get("track_id")).collect()
}

const ANN: &str = "SELECT * FROM sparkify.recommend('ann', 20)";

#[test]
fn an_uncommitted_play_counts_and_rollback_undoes_it() {
    small("tx_uncommitted", |client, _| {
        let strategy = |client: &mut Client| -> String {
            client
                .query_one("SELECT strategy FROM sparkify.recommend('ann', 1)", &[])
                .unwrap()
                .get(0)
        };
        assert_eq!(strategy(client), "popular");
        client
            .batch_execute(
                "BEGIN; INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                            VALUES ('ann', 't6', now() - interval '1 hour')",
            )
            .unwrap();
        assert_eq!(strategy(client), "listened");
        let inside = recommended(client, ANN);
        assert_eq!(inside.len(), 9);
        assert!(!inside.contains(&"t6".to_owned()));
        let loud = ["t7", "t8", "t9", "t10"];
        assert!(inside[..4].iter().all(|id| loud.contains(&id.as_str())), "{inside:?}");
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(strategy(client), "popular");
        assert_eq!(recommended(client, ANN).len(), 10);
    });
}

#[test]
fn a_deleted_track_never_shortens_a_list() {
    small("tx_deleted", |client, _| {
        let before = recommended(client, "SELECT * FROM sparkify.recommend('ann', 5)");
        client.execute("DELETE FROM sparkify.tracks WHERE track_id = $1", &[&before[0]]).unwrap();
        let after = recommended(client, "SELECT * FROM sparkify.recommend('ann', 5)");
        assert_eq!(after.len(), 5);
        assert_eq!(after[..4], before[1..]);
        client.batch_execute("SELECT sparkify.refresh_recommendations(5)").unwrap();
        let stored = recommended(
            client,
            "SELECT track_id FROM sparkify.user_recommendations WHERE user_id = 'ann' ORDER BY rank",
        );
        assert_eq!(stored, after);
    });
}

#[test]
fn changed_embeddings_are_seen_at_once_and_rolled_back() {
    small("tx_embeddings", |client, _| {
        client
            .batch_execute(
                "INSERT INTO sparkify.listening_events (user_id, track_id, played_at)
                            VALUES ('ann', 't1', now() - interval '1 day')",
            )
            .unwrap();
        let before = recommended(client, ANN);
        client
            .batch_execute("BEGIN; UPDATE sparkify.track_embeddings SET embedding = ARRAY[-embedding[1], -embedding[2]]
                            WHERE track_id <> 't1'")
            .unwrap();
        let turned = recommended(client, ANN);
        assert_eq!(turned.iter().rev().cloned().collect::<Vec<_>>()[..2], before[..2]);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(recommended(client, ANN), before);
    });
}

#[test]
fn a_rolled_back_model_leaves_nothing_behind() {
    small("tx_model", |client, _| {
        let before = recommended(client, ANN);
        client.batch_execute("BEGIN; SELECT sparkify.build_embeddings(1)").unwrap();
        assert_eq!(recommended(client, ANN).len(), 10);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(recommended(client, ANN), before);
        let model: i64 = client
            .query_one("SELECT DISTINCT model_id FROM sparkify.recommend('ann', 3)", &[])
            .unwrap()
            .get(0);
        assert_eq!(model, 1);
    });
}

#[test]
fn a_role_without_select_is_refused_on_a_warm_cache() {
    small("tx_roles", |client, database| {
        client
            .batch_execute(
                "DROP ROLE IF EXISTS tx_visitor; CREATE ROLE tx_visitor LOGIN;
                SELECT sparkify.grant_reader('tx_visitor')",
            )
            .unwrap();
        let mut visitor = database.connect_as("tx_visitor");
        assert_eq!(recommended(&mut visitor, ANN).len(), 10);
        client.batch_execute("REVOKE SELECT ON sparkify.track_embeddings FROM tx_visitor").unwrap();
        let (state, message) = refusal(visitor.query(ANN, &[]));
        assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE);
        assert_eq!(message, "permission denied for table track_embeddings");
        client.batch_execute("DROP OWNED BY tx_visitor; DROP ROLE tx_visitor").unwrap();
    });
}

#[test]
fn a_recreated_extension_shows_nothing_of_the_old_one() {
    small("tx_recreated", |client, _| {
        assert_eq!(recommended(client, ANN).len(), 10);
        client.batch_execute("DROP EXTENSION sparkify; CREATE EXTENSION sparkify").unwrap();
        let (state, message) = refusal(client.query(ANN, &[]));
        assert_eq!(state, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert_eq!(message, "no model has been built");
        client.batch_execute(SMALL).unwrap();
        assert_eq!(recommended(client, ANN).len(), 10);
    });
}
