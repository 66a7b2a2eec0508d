//! Plays and ratings as learning reads them, and what it stores.

use pgrx::datum::{Interval, TimestampWithTimeZone};
use sparkify_learn::metrics::Measure;
use sparkify_learn::{Neighbours, cold::ColdMap};

use super::listeners::{Feedback, StoredPlay};
use super::{bulk, spi};

/// Every play up to now, in no order, under the caller's snapshot.
pub fn each_play(mut each: impl FnMut(StoredPlay)) {
    spi::select(
        "SELECT user_id, track_id, played_at, ms_played, skipped FROM sparkify.listening_events \
         WHERE played_at <= pg_catalog.now()",
        &[],
        |row| {
            each(StoredPlay {
                user_id: row.text(0).unwrap_or_default(),
                track_id: row.text(1).unwrap_or_default(),
                played_at: row.timestamp(2).unwrap_or_default(),
                ms_played: row.i32(3),
                skipped: row.bool(4),
            });
        },
    );
}

/// Every rating, in no order, under the caller's snapshot.
pub fn each_rating(mut each: impl FnMut(Feedback)) {
    spi::select(
        "SELECT user_id, track_id, rating, rated_at FROM sparkify.track_feedback",
        &[],
        |row| {
            each(Feedback {
                user_id: row.text(0).unwrap_or_default(),
                track_id: row.text(1).unwrap_or_default(),
                rating: row.i32(2).unwrap_or_default(),
                rated_at: row.timestamp(3).unwrap_or_default(),
            });
        },
    );
}

/// The moment that lies `before` the newest play up to now, in microseconds since
/// 2000-01-01 00:00 UTC; none where nothing was played.
pub fn before_newest(before: Interval) -> Option<i64> {
    spi::select_first(
        "SELECT pg_catalog.max(played_at) - $1 FROM sparkify.listening_events \
         WHERE played_at <= pg_catalog.now()",
        &[before.into()],
        |row| row.timestamp(0),
    )
    .flatten()
}

/// Stores what tracks add to others: by number of the track in the model.
pub fn write_neighbours(model_id: i64, neighbours: &Neighbours) -> u64 {
    let mut sources = 0..neighbours.offsets.len().saturating_sub(1);
    bulk::write_internal_rows(
        "track_neighbours",
        &["model_id", "track_no", "neighbours", "weights"],
        &mut |out| {
            let own = |source: &usize| neighbours.offsets[*source]..neighbours.offsets[source + 1];
            let Some(source) = sources.find(|source| !own(source).is_empty()) else { return false };
            let own = own(&source);
            out.i64(model_id);
            out.i32(source as i32);
            out.integers(neighbours.targets[own.clone()].iter().map(|&target| target as i32));
            out.reals(neighbours.weights[own].iter().copied());
            true
        },
    )
}

/// Stores the state of a model, and the map from content with the names of its genres.
pub fn write_state(model_id: i64, state: Vec<f64>, cold: Option<(&ColdMap, Vec<String>)>) {
    let (mut means, mut scales, mut genres, mut weights) = (None, None, None, None);
    if let Some((map, names)) = cold {
        (means, scales) = (Some(map.means.clone()), Some(map.scales.clone()));
        (genres, weights) = (Some(names), Some(map.weights.clone()));
    }
    spi::execute(
        "INSERT INTO sparkify_internal.model_states \
             (model_id, state, cold_means, cold_scales, cold_genres, cold_weights) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            model_id.into(),
            state.into(),
            means.into(),
            scales.into(),
            genres.into(),
            weights.into(),
        ],
    );
}

/// What an evaluation measured: subject, `new` or `all` plays, and the measure.
pub type Measured = (&'static str, &'static str, Measure);

/// Stores an evaluation.
pub fn write_evaluation(kind: &str, params: serde_json::Value, k: i32, rows: &[Measured]) {
    let mut id = 0;
    spi::select_now("SELECT pg_catalog.nextval('sparkify.model_evaluation_id_seq')", &[], |row| {
        id = row.i64(0).unwrap_or_default()
    });
    let mut at = 0;
    spi::select_now("SELECT pg_catalog.clock_timestamp()", &[], |row| {
        at = row.timestamp(0).unwrap_or_default();
    });
    let params = params.to_string();
    let mut rows = rows.iter();
    let columns = [
        "evaluation_id",
        "evaluated_at",
        "kind",
        "params",
        "subject",
        "plays",
        "metric",
        "k",
        "value",
        "standard_error",
        "users",
    ];
    bulk::write_rows("model_evaluations", &columns, &mut |out| {
        let Some((subject, plays, measure)) = rows.next() else { return false };
        out.i64(id);
        out.timestamp(at);
        out.text(kind);
        out.jsonb(&params);
        out.text(subject);
        out.text(plays);
        out.text(measure.metric);
        out.i32(k);
        out.f64(measure.value);
        out.optional(measure.standard_error, bulk::RowWriter::f64);
        out.i32(i32::try_from(measure.users).unwrap_or(i32::MAX));
        true
    });
}

/// A moment, in microseconds since 2000-01-01 00:00 UTC, as JSON writes it.
pub fn moment(at: i64) -> Option<String> {
    let at = TimestampWithTimeZone::try_from(at).ok()?;
    let shown = spi::select_first("SELECT pg_catalog.to_json($1) #>> '{}'", &[at.into()], |row| {
        row.text(0).map(str::to_owned)
    });
    shown.flatten()
}
