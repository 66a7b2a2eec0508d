//! Who listened to what in a span of time.

use pgrx::datum::{DatumWithOid, Interval};

use super::spi;
use crate::memory;

/// A track heard in a span of time, and in the one before it.
pub struct Heard {
    /// The track.
    pub track_id: String,
    /// Different users who played it in the span.
    pub listeners: i64,
    /// Plays in the span.
    pub plays: i64,
    /// Different users who played it in the span of equal length before.
    pub before: i64,
}

/// What was heard in the last `span` up to now, and in the span before where `twice`, by
/// the users of a country or by all: the tracks of the catalogue that have any of some
/// genres, in no order, under the caller's snapshot.
pub fn heard(
    span: Interval,
    twice: bool,
    country: Option<&str>,
    genres: Option<Vec<String>>,
) -> Vec<Heard> {
    let mut heard = Vec::new();
    let country: DatumWithOid = country.into();
    let genres: DatumWithOid = genres.into();
    spi::select(
        "SELECT h.track_id, h.listeners, h.plays, h.before FROM ( \
             SELECT p.track_id, \
                    pg_catalog.count(*) FILTER (WHERE p.plays > 0) AS listeners, \
                    pg_catalog.sum(p.plays)::bigint AS plays, \
                    pg_catalog.count(*) FILTER (WHERE p.earlier > 0) AS before \
             FROM (SELECT e.user_id, e.track_id, \
                          pg_catalog.count(*) FILTER (WHERE e.played_at > pg_catalog.now() - $1) AS plays, \
                          pg_catalog.count(*) FILTER (WHERE e.played_at <= pg_catalog.now() - $1) AS earlier \
                   FROM sparkify.listening_events AS e \
                   WHERE e.played_at > pg_catalog.now() - $1 * CASE WHEN $2 THEN 2 ELSE 1 END \
                     AND e.played_at <= pg_catalog.now() \
                     AND ($3::text IS NULL OR e.user_id IN \
                          (SELECT u.user_id FROM sparkify.users AS u WHERE u.country = $3)) \
                   GROUP BY e.user_id, e.track_id) AS p \
             GROUP BY p.track_id) AS h \
         WHERE h.listeners > 0 AND EXISTS (SELECT FROM sparkify.tracks AS t \
             WHERE t.track_id = h.track_id AND ($4::text[] IS NULL OR t.genres && $4))",
        &[span.into(), twice.into(), country, genres],
        |row| {
            let row = Heard {
                track_id: row.owned(0),
                listeners: row.i64(1).unwrap_or_default(),
                plays: row.i64(2).unwrap_or_default(),
                before: row.i64(3).unwrap_or_default(),
            };
            memory::push(&mut heard, row, "tracks");
        },
    );
    heard
}
