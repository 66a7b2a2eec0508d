//! Whether what is stored holds together, whatever went before.

use postgres::Client;

use crate::data::differences;

/// Plays by track as the view gives them and as they are.
const MISCOUNTED: &str = "SELECT count(*) FROM
    (SELECT track_id, plays FROM sparkify.track_plays) AS shown
    FULL JOIN (SELECT track_id, count(*) AS plays FROM sparkify.listening_events GROUP BY 1) AS counted
    USING (track_id, plays)
    WHERE (shown IS NULL OR counted IS NULL) AND track_id IN (SELECT track_id FROM sparkify.tracks)";

/// Checks that fail as errors: tracks added since the model was built are a warning.
pub fn errors(client: &mut Client) -> Vec<String> {
    let sql = "SELECT check_name || ': ' || detail FROM sparkify.validate()
        WHERE NOT passed AND severity = 'error'";
    client.query(sql, &[]).expect("validate() answers").iter().map(|row| row.get(0)).collect()
}

/// Panics unless one model serves, totals are what is counted, and every list of `n` tracks
/// is what is computed afresh once the next refresh has taken up the notes; `after` says what
/// went before.
pub fn check(client: &mut Client, n: i32, after: &str) {
    let mut failed = errors(client);
    let rows = |client: &mut Client, sql: &str| -> i64 {
        client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    };
    // A model that was activated before its lists were made has none yet, of nobody.
    let made = "SELECT count(*) FROM sparkify.models AS m WHERE m.active AND (
            EXISTS (SELECT FROM sparkify.user_vectors AS v WHERE v.model_id = m.model_id)
            OR EXISTS (SELECT FROM sparkify.recommendation_lists AS l WHERE l.model_id = m.model_id))";
    if rows(client, made) == 0 {
        failed.retain(|check| {
            !check.starts_with("vectors_present") && !check.starts_with("users_served")
        });
    }
    assert_eq!(failed, [""; 0], "{after}");
    let active = "SELECT count(*) FROM sparkify.models WHERE active";
    assert_eq!(rows(client, active), 1, "{after}");
    assert_eq!(rows(client, MISCOUNTED), 0, "plays before they are folded: {after}");
    rows(client, "SELECT sparkify.refresh_summaries()");
    assert_eq!(rows(client, MISCOUNTED), 0, "plays after they were folded: {after}");
    // Every change that is committed was noted: then lists are what is computed afresh.
    rows(client, &format!("SELECT sparkify.refresh_recommendations({n})"));
    // Lists of the most popular are as popular as their tracks were when they were made.
    let mut different = differences(client, n);
    different.retain(|row| !row.contains(",popular)"));
    assert_eq!(different, [""; 0], "{after}");
    assert_eq!(errors(client), [""; 0], "{after}");
}
