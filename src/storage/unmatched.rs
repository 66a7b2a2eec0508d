//! Plays that were kept because the catalogue did not hold their tracks.

use sparkify_formats::history::Play;

use super::history::{BATCH, Counts, Importer, Outcome, uuid};
use super::spi;
use super::track_file::EPOCH;

/// Tries again to find the tracks of plays that were kept; gives how many are stored now.
pub fn match_again() -> Counts {
    let waiting = spi::select_first("SELECT 1 FROM sparkify.unmatched_plays LIMIT 1", &[], |_| ());
    if waiting.is_none() {
        return Counts::default();
    }
    let mut importer = Importer::new();
    let (mut user, mut exists) = (None::<String>, false);
    let mut done: (Vec<String>, Vec<i64>, Vec<String>) = Default::default();
    let mut left = 0;
    spi::select_now(
        "SELECT user_id, played_at, play_key, track_id, track_name, artist, ms_played, skipped, \
             session_id, event_id, to_the_minute FROM sparkify.unmatched_plays ORDER BY user_id, played_at, play_key",
        &[],
        |row| {
            let (Some(user_id), Some(at), Some(key)) = (row.text(0), row.timestamp(1), row.uuid(2))
            else {
                return;
            };
            if user.as_deref() != Some(user_id) {
                user = Some(user_id.to_owned());
                exists = importer.begin(user_id, false);
            }
            let play = Play {
                track_id: row.text(3),
                track_name: row.text(4),
                artist: row.text(5),
                played_at: at + EPOCH,
                to_the_minute: row.bool(10).unwrap_or_default(),
                ms_played: row.i32(6),
                skipped: row.bool(7),
                session_id: row.text(8),
                event_id: row.uuid(9),
            };
            // A closed account listens no more.
            if !exists || importer.place(&play) == Outcome::Unmatched {
                left += 1;
                return;
            }
            done.0.push(user_id.to_owned());
            done.1.push(at);
            done.2.push(uuid(key));
            if done.0.len() >= BATCH {
                forget(std::mem::take(&mut done));
            }
        },
    );
    forget(done);
    Counts { unmatched: left, ..importer.finish() }
}

fn forget((users, times, keys): (Vec<String>, Vec<i64>, Vec<String>)) {
    if users.is_empty() {
        return;
    }
    spi::execute(
        "DELETE FROM sparkify.unmatched_plays AS u \
         USING unnest($1::text[], $2::bigint[], $3::text[]) AS d (user_id, played_at, play_key) \
         WHERE u.user_id = d.user_id AND u.play_key = d.play_key::uuid \
             AND u.played_at = timestamptz '2000-01-01 00:00 UTC' + d.played_at * interval '1 microsecond'",
        &[users.into(), times.into(), keys.into()],
    );
}
