//! Plays as the summaries count them.

use std::collections::HashMap;

use sparkify_core::plays::Names;

use super::spi;
use crate::memory;

/// What each track counts towards, under the caller's snapshot.
pub fn names() -> HashMap<String, Names> {
    let mut names = HashMap::new();
    spi::select(
        "SELECT track_id, primary_artist, primary_genre, popularity FROM sparkify.tracks",
        &[],
        |row| {
            let popularity = row.i32(3).map(|popularity| popularity.to_string());
            let text = |column| row.text(column).map(memory::owned);
            let counted = [text(1), text(2), popularity];
            memory::put(&mut names, row.owned(0), counted, "the names of the tracks");
        },
    );
    names
}

/// How many users have played each track, under the caller's snapshot.
pub fn listeners() -> HashMap<String, i32> {
    let mut listeners = HashMap::new();
    spi::select(
        "SELECT name, listeners FROM sparkify_internal.current_plays WHERE dimension = 'track'",
        &[],
        |row| {
            let count = i32::try_from(row.i64(1).unwrap_or_default()).unwrap_or(i32::MAX);
            memory::put(&mut listeners, row.owned(0), count.max(0), "tracks");
        },
    );
    listeners
}

/// Hands every play to `each`, under the caller's snapshot: user, track, time and whether it was skipped.
pub fn each_play(mut each: impl FnMut(&str, &str, i64, Option<bool>)) {
    spi::select(
        "SELECT user_id, track_id, played_at, skipped FROM sparkify.listening_events",
        &[],
        |row| {
            let (user, track) = (row.text(0).unwrap_or_default(), row.text(1).unwrap_or_default());
            each(user, track, row.timestamp(2).unwrap_or_default(), row.bool(3));
        },
    );
}
