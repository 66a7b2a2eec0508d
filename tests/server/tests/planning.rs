//! What the planner expects of a call, before there is any row.

use postgres::Client;
use sparkify_server_tests::Server;

/// Rows that the topmost node of a plan is expected to give.
fn expected_rows(client: &mut Client, sql: &str) -> f64 {
    let explained = client.query_one(&format!("EXPLAIN (FORMAT JSON) {sql}"), &[]).expect(sql);
    let plan: serde_json::Value = explained.get(0);
    plan[0]["Plan"]["Plan Rows"].as_f64().expect("an estimate")
}

#[test]
fn the_planner_knows_how_many_rows_come() {
    let server = Server::shared();
    let database = server.database("planning");
    let client = &mut database.connect();
    for (call, rows) in [
        ("SELECT * FROM sparkify.recommend('ann')", 10.0),
        ("SELECT * FROM sparkify.recommend('ann', 3)", 3.0),
        ("SELECT * FROM sparkify.recommend('ann', 20 * 10)", 200.0),
        ("SELECT * FROM sparkify.recommend('ann', 1000000)", 1000.0),
        ("SELECT * FROM sparkify.recommend('ann', -5)", 1.0),
        ("SELECT * FROM sparkify.recommend('ann', NULL)", 10.0),
        ("SELECT * FROM sparkify.recommend(user_id => 'ann', model_id => 7, n => 50)", 50.0),
        ("SELECT * FROM sparkify.similar_tracks('t1', 40)", 40.0),
        ("SELECT sparkify.recommend('ann', 4)", 4.0),
        (
            "SELECT r.* FROM generate_series(1, 100) AS u, sparkify.recommend(u::text, 2) AS r",
            200.0,
        ),
        ("SELECT r.* FROM generate_series(1, 100) AS u, sparkify.recommend('ann', u) AS r", 1000.0),
    ] {
        assert_eq!(expected_rows(client, call), rows, "{call}");
    }
}
