//! A hot standby recommends as its primary does, also from a model activated since.

use postgres::Client;
use postgres::error::SqlState;
use sparkify_server_tests::data::{failed_checks, fill, on_demand, stored};
use sparkify_server_tests::gate::wait_until;
use sparkify_server_tests::{Server, refusal};

const N: i32 = 6;

/// Waits until the standby shows what the primary has committed.
fn catch_up(primary: &mut Client, standby: &mut Client) {
    let written: String =
        primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).unwrap().get(0);
    wait_until("the standby has caught up", || {
        standby
            .query_one("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", &[&written])
            .unwrap()
            .get(0)
    });
}

fn models(client: &mut Client) -> Vec<i64> {
    client
        .query(
            "SELECT DISTINCT r.model_id FROM sparkify.users AS u, sparkify.recommend(u.user_id, 1) AS r",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn a_standby_answers_and_follows_an_activation() {
    // Replay must not wait for the queries of this test, nor cancel them.
    let primary_server =
        Server::start(&["wal_level = replica", "max_standby_streaming_delay = -1"]);
    let database = primary_server.database("standby");
    let mut primary = database.connect();
    fill(&mut primary, 500, 48);
    primary
        .batch_execute(
            "SELECT sparkify.build_embeddings(8); SELECT sparkify.refresh_recommendations(6)",
        )
        .unwrap();

    let standby_server = primary_server.standby();
    let copy = standby_server.present_database("standby");
    let mut standby = copy.connect();
    catch_up(&mut primary, &mut standby);
    let recovering: bool = standby.query_one("SELECT pg_is_in_recovery()", &[]).unwrap().get(0);
    assert!(recovering);
    let answers = on_demand(&mut primary, N);
    assert_eq!(on_demand(&mut standby, N), answers);
    assert_eq!(stored(&mut standby), answers);
    assert_eq!(failed_checks(&mut standby), [""; 0]);
    let similar = "SELECT md5(string_agg(s::text, ' ' ORDER BY rank)) FROM sparkify.similar_tracks('track 5', 20) AS s";
    let text =
        |client: &mut Client, sql: &str| -> String { client.query_one(sql, &[]).unwrap().get(0) };
    assert_eq!(text(&mut standby, similar), text(&mut primary, similar));
    let json = "SELECT sparkify.recommend_json('user 5', 20)::text";
    assert_eq!(text(&mut standby, json), text(&mut primary, json));

    // A play of a moment ago counts there, too.
    primary
        .batch_execute("INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('user 1', 'track 7', '2025-06-01')")
        .unwrap();
    catch_up(&mut primary, &mut standby);
    let fresh = on_demand(&mut primary, N);
    assert_ne!(fresh, answers);
    assert_eq!(on_demand(&mut standby, N), fresh);

    // The session that has the old model packed in memory sees the new one.
    assert_eq!(models(&mut standby), [1]);
    primary.batch_execute("SELECT sparkify.build_embeddings(12)").unwrap();
    catch_up(&mut primary, &mut standby);
    assert_eq!(models(&mut standby), [2]);
    let switched = on_demand(&mut primary, N);
    assert_ne!(switched, fresh);
    assert_eq!(on_demand(&mut standby, N), switched);
    // And back, and with embeddings changed by hand.
    primary
        .batch_execute(
            "SELECT sparkify.activate_model(1);
            UPDATE sparkify.track_embeddings SET embedding[1] = -embedding[1] WHERE model_id = 1 AND track_id < 'track 3'",
        )
        .unwrap();
    catch_up(&mut primary, &mut standby);
    let turned = on_demand(&mut primary, N);
    assert_ne!(turned, fresh);
    assert_eq!(on_demand(&mut standby, N), turned);

    // What writes is refused as anything that writes.
    for sql in [
        "SELECT sparkify.refresh_recommendations()",
        "SELECT sparkify.build_user_vectors()",
        "SELECT sparkify.build_embeddings(4)",
        "SELECT sparkify.activate_model(2)",
    ] {
        let (state, message) = refusal(standby.query(sql, &[]));
        assert_eq!(state, SqlState::READ_ONLY_SQL_TRANSACTION, "{sql}: {message}");
    }
    // Promoted, it serves and builds.
    standby.query_one("SELECT pg_promote()", &[]).unwrap();
    wait_until("the standby is a primary", || {
        !standby.query_one("SELECT pg_is_in_recovery()", &[]).unwrap().get::<_, bool>(0)
    });
    assert_eq!(on_demand(&mut standby, N), turned);
    let model: i64 = standby.query_one("SELECT sparkify.build_embeddings(4)", &[]).unwrap().get(0);
    assert!(model >= 3, "{model}");
}
