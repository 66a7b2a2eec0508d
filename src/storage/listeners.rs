//! Users, what they declared and what they played.

use std::collections::HashMap;

use sparkify_core::sorting;

use super::json::Weights;
use super::spi::{self, Row};
use crate::interrupt::interrupt;
use crate::memory;

/// One play as stored.
pub struct StoredPlay<'a> {
    /// Who played; empty where one user was asked for.
    pub user_id: &'a str,
    /// What was played.
    pub track_id: &'a str,
    /// When, in microseconds since 2000-01-01 00:00 UTC.
    pub played_at: i64,
    /// How long it was heard, in milliseconds.
    pub ms_played: Option<i32>,
    /// Whether it was broken off.
    pub skipped: Option<bool>,
}

/// Declared weights by genre; what is not a finite number is left out.
pub type Declared = Weights;

fn declared(row: &Row, column: usize) -> Declared {
    row.weights(column).unwrap_or_default()
}

/// A user's declared taste; `None` for a user that does not exist.
pub fn find_user(user_id: &str) -> Option<Declared> {
    spi::select_first(
        "SELECT genre_weights FROM sparkify.users WHERE user_id = $1",
        &[user_id.into()],
        |row| declared(row, 0),
    )
}

/// How many users there are now.
pub fn count_users() -> usize {
    let mut users = 0;
    spi::select_now("SELECT pg_catalog.count(*) FROM sparkify.users", &[], |row| {
        users = row.i64(0).unwrap_or_default() as usize;
    });
    users
}

/// Up to `limit` users after `after` in byte order, with their declared tastes.
pub fn users_after(after: &str, limit: i64) -> Vec<(String, Declared)> {
    let mut users = Vec::new();
    spi::select_now(
        "SELECT user_id, genre_weights FROM sparkify.users WHERE user_id > $1 ORDER BY user_id LIMIT $2",
        &[after.into(), limit.into()],
        |row| memory::push(&mut users, (row.owned(0), declared(row, 1)), "users"),
    );
    users
}

/// Those of some users that exist, in byte order, with their declared tastes.
pub fn users_of(user_ids: &[String]) -> Vec<(String, Declared)> {
    let mut users = Vec::new();
    spi::select_now(
        "SELECT user_id, genre_weights FROM sparkify.users WHERE user_id = ANY ($1) ORDER BY user_id",
        &[user_ids.to_vec().into()],
        |row| memory::push(&mut users, (row.owned(0), declared(row, 1)), "users"),
    );
    users
}

/// A user's plays in the order of the key, under the caller's snapshot.
pub fn plays_of(user_id: &str, mut each: impl FnMut(StoredPlay)) {
    spi::select(
        "SELECT track_id, played_at, ms_played, skipped FROM sparkify.listening_events \
         WHERE user_id = $1 ORDER BY played_at, event_id",
        &[user_id.into()],
        |row| {
            each(StoredPlay {
                user_id: "",
                track_id: row.text(0).unwrap_or_default(),
                played_at: row.timestamp(1).unwrap_or_default(),
                ms_played: row.i32(2),
                skipped: row.bool(3),
            });
        },
    );
}

fn read_play<'a>(row: &Row<'a>) -> StoredPlay<'a> {
    StoredPlay {
        user_id: row.text(0).unwrap_or_default(),
        track_id: row.text(1).unwrap_or_default(),
        played_at: row.timestamp(2).unwrap_or_default(),
        ms_played: row.i32(3),
        skipped: row.bool(4),
    }
}

/// The plays of all users from `first` to `last`, by user, in the order of the key.
pub fn plays_between(first: &str, last: &str, mut each: impl FnMut(StoredPlay)) {
    spi::select_now(
        // With every column that it is ordered by the executor need not filter each row.
        "SELECT user_id, track_id, played_at, ms_played, skipped, event_id FROM sparkify.listening_events \
         WHERE user_id >= $1 AND user_id <= $2 ORDER BY user_id, played_at, event_id",
        &[first.into(), last.into()],
        |row| each(read_play(row)),
    );
}

/// The plays of some users, by user, in the order of the key.
pub fn plays_of_all(user_ids: &[String], mut each: impl FnMut(StoredPlay)) {
    spi::select_now(
        "SELECT user_id, track_id, played_at, ms_played, skipped FROM sparkify.listening_events \
         WHERE user_id = ANY ($1) ORDER BY user_id, played_at, event_id",
        &[user_ids.to_vec().into()],
        |row| each(read_play(row)),
    );
}

/// When a user last played each of some tracks, in microseconds since 2000-01-01 00:00 UTC.
pub fn last_heard(user_id: &str, track_ids: Vec<&str>) -> HashMap<String, i64> {
    let mut last = HashMap::new();
    spi::select(
        "SELECT track_id, pg_catalog.max(played_at) FROM sparkify.listening_events \
         WHERE user_id = $1 AND track_id = ANY ($2) AND played_at <= pg_catalog.clock_timestamp() \
         GROUP BY track_id",
        &[user_id.into(), track_ids.into()],
        |row| {
            let at = row.timestamp(1).unwrap_or_default();
            memory::put(&mut last, row.owned(0), at, "tracks");
        },
    );
    last
}

/// What a user said of a track.
pub struct Feedback<'a> {
    /// Who said it; empty where one user was asked for.
    pub user_id: &'a str,
    /// Of which track.
    pub track_id: &'a str,
    /// 1 liked, -1 disliked.
    pub rating: i32,
    /// When, in microseconds since 2000-01-01 00:00 UTC.
    pub rated_at: i64,
}

fn read_feedback<'a>(row: &Row<'a>) -> Feedback<'a> {
    Feedback {
        user_id: row.text(0).unwrap_or_default(),
        track_id: row.text(1).unwrap_or_default(),
        rating: row.i32(2).unwrap_or_default(),
        rated_at: row.timestamp(3).unwrap_or_default(),
    }
}

/// What a user said of tracks, by track, under the caller's snapshot.
pub fn feedback_of(user_id: &str, mut each: impl FnMut(Feedback)) {
    spi::select(
        "SELECT '', track_id, rating, rated_at FROM sparkify.track_feedback \
         WHERE user_id = $1 ORDER BY track_id",
        &[user_id.into()],
        |row| each(read_feedback(row)),
    );
}

/// What all users from `first` to `last` said, by user and track.
pub fn feedback_between(first: &str, last: &str, mut each: impl FnMut(Feedback)) {
    spi::select_now(
        "SELECT user_id, track_id, rating, rated_at FROM sparkify.track_feedback \
         WHERE user_id >= $1 AND user_id <= $2 ORDER BY user_id, track_id",
        &[first.into(), last.into()],
        |row| each(read_feedback(row)),
    );
}

/// What some users said, by user and track.
pub fn feedback_of_all(user_ids: &[String], mut each: impl FnMut(Feedback)) {
    spi::select_now(
        "SELECT user_id, track_id, rating, rated_at FROM sparkify.track_feedback \
         WHERE user_id = ANY ($1) ORDER BY user_id, track_id",
        &[user_ids.to_vec().into()],
        |row| each(read_feedback(row)),
    );
}

/// Forgets every noted change; for a refresh of all users, which sees what it forgets.
pub fn forget_changes() -> u64 {
    spi::execute("DELETE FROM sparkify_internal.deleted_tracks", &[])
        + spi::execute("DELETE FROM sparkify_internal.changed_users", &[])
}

/// Notes the users whose stored lists, of whatever model, name a track that was
/// deleted, and forgets those tracks. For the one refresh under way: every list
/// made before is there to be seen.
pub fn note_users_of_deleted_tracks() {
    let mut any = false;
    spi::select_now("SELECT EXISTS (SELECT FROM sparkify_internal.deleted_tracks)", &[], |row| {
        any = row.bool(0).unwrap_or_default()
    });
    if any {
        spi::execute(
            "WITH gone AS (DELETE FROM sparkify_internal.deleted_tracks RETURNING track_id) \
             INSERT INTO sparkify_internal.changed_users \
             SELECT DISTINCT r.user_id FROM sparkify.user_recommendations AS r \
             WHERE r.track_id IN (SELECT g.track_id FROM gone AS g)",
            &[],
        );
    }
}

/// The users noted as changed, and forgets the notes it gives.
pub fn take_changed() -> Vec<String> {
    let mut users = Vec::new();
    spi::execute_returning(
        "DELETE FROM sparkify_internal.changed_users RETURNING user_id",
        &[],
        |row| {
            memory::push(&mut users, row.owned(0), "users");
        },
    );
    sorting::sort(&mut users, &interrupt);
    users.dedup();
    users
}

/// The users noted as changed.
pub fn changed() -> Vec<String> {
    let mut users = Vec::new();
    spi::select_now("SELECT DISTINCT user_id FROM sparkify_internal.changed_users", &[], |row| {
        memory::push(&mut users, row.owned(0), "users");
    });
    sorting::sort(&mut users, &interrupt);
    users
}

/// Notes users as changed.
pub fn note_changed(user_ids: Vec<String>) {
    if !user_ids.is_empty() {
        spi::execute(
            "INSERT INTO sparkify_internal.changed_users SELECT pg_catalog.unnest($1)",
            &[user_ids.into()],
        );
    }
}
