//! Reads what a model stores into the image that serves it.

use pgrx::PgSqlErrorCode;
use sparkify_core::rank::{AlignedBytes, IndexBuilder, Learned, Metric};

use super::models::Model;
use super::spi;
use crate::error::{or_raise, raise};
use crate::memory;

/// No position.
const NONE: u32 = u32::MAX;

/// Whether a model has any track.
pub fn has_embeddings(model: &Model) -> bool {
    let mut found = false;
    spi::select_now(
        "SELECT EXISTS (SELECT FROM sparkify.track_embeddings WHERE model_id = $1)",
        &[model.model_id.into()],
        |row| found = row.bool(0) == Some(true),
    );
    found
}

/// The image of a model's rows under the caller's snapshot, which saw its fingerprint,
/// too: what is stored of a model does not change while that stays.
pub fn build(model: &Model) -> AlignedBytes {
    let mut builder: Option<IndexBuilder> = None;
    let mut learned = Learned { metric: model.metric, ..Learned::default() };
    // Positions by the numbers that the model gave its tracks.
    let mut numbered: Vec<u32> = Vec::new();
    spi::select(
        "SELECT track_id, embedding, song_key, duration_ms, listeners, popularity, track_no \
         FROM sparkify.track_embeddings WHERE model_id = $1 ORDER BY track_id",
        &[model.model_id.into()],
        |row| {
            let track_id = row.text(0).unwrap_or_default();
            let Some(embedding) = row.reals(1) else {
                raise_unusable(model, track_id, "it is not a plain array")
            };
            let into = match &mut builder {
                Some(builder) => builder,
                None => builder.insert(or_raise(IndexBuilder::new(embedding.len().max(1)))),
            };
            let song = row.uuid(2).unwrap_or_default();
            let position = into.len() as u32;
            if let Err(error) = into.push(track_id, embedding, song, row.i32(3)) {
                raise_unusable(model, track_id, error)
            }
            let listeners = row.i32(4).map_or(0, i32::unsigned_abs);
            memory::push(&mut learned.listeners, listeners, "listeners");
            memory::push(&mut learned.popularity, row.i32(5).unwrap_or(0), "popularities");
            if let Some(number) = row.i32(6).and_then(|number| usize::try_from(number).ok()) {
                number_track(&mut numbered, number, position);
            }
        },
    );
    let Some(mut builder) = builder else {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("model {} has no embeddings", model.model_id),
            Some("Run SELECT sparkify.build_embeddings()."),
        )
    };
    if model.metric == Metric::Dot {
        read_state(model, &mut learned);
        read_neighbours(model, builder.len(), &numbered, &mut learned);
    }
    or_raise(builder.learned(learned));
    or_raise(builder.finish(model.fingerprint, &crate::interrupt::interrupt))
}

fn make_room<T>(vec: &mut Vec<T>, more: usize) {
    or_raise(sparkify_core::memory::reserve(vec, more, "neighbours"));
}

fn number_track(numbered: &mut Vec<u32>, number: usize, position: u32) {
    if number >= numbered.len() {
        make_room(numbered, number + 1 - numbered.len());
        numbered.resize(number + 1, NONE);
    }
    numbered[number] = position;
}

fn read_state(model: &Model, learned: &mut Learned) {
    spi::select(
        "SELECT state FROM sparkify_internal.model_states WHERE model_id = $1",
        &[model.model_id.into()],
        |row| learned.state = row.doubles(0).unwrap_or_default().to_vec(),
    );
    let from_plays = matches!(model.kind.as_str(), "collaborative" | "hybrid");
    if learned.state.is_empty() && from_plays {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("model {} lacks what users are folded in with", model.model_id),
            Some("Run SELECT * FROM sparkify.validate(), and train the model anew."),
        );
    }
}

/// Neighbours by position of the track played. They are stored by its number, which
/// goes up with the position but for tracks that were added after the training.
fn read_neighbours(model: &Model, tracks: usize, numbered: &[u32], learned: &mut Learned) {
    let position = |number: i32| {
        let number = usize::try_from(number).ok()?;
        numbered.get(number).copied().filter(|&position| position != NONE)
    };
    let mut of_tracks = memory::filled((0usize, 0usize), tracks, "neighbours");
    let mut found = (Vec::new(), Vec::new());
    spi::select(
        "SELECT track_no, neighbours, weights FROM sparkify_internal.track_neighbours \
         WHERE model_id = $1 ORDER BY track_no",
        &[model.model_id.into()],
        |row| {
            let Some(source) = row.i32(0).and_then(position) else { return };
            let (Some(numbers), Some(weights)) = (row.integers(1), row.reals(2)) else { return };
            let start = found.0.len();
            make_room(&mut found.0, numbers.len());
            make_room(&mut found.1, numbers.len());
            for (&number, &weight) in numbers.iter().zip(weights) {
                if let Some(position) = position(number) {
                    found.0.push(position);
                    found.1.push(weight);
                }
            }
            of_tracks[source as usize] = (start, found.0.len());
        },
    );
    if found.0.is_empty() {
        return;
    }
    let (positions, weights) = found;
    let mut ends = Vec::new();
    make_room(&mut ends, tracks + 1);
    ends.push(0);
    let in_order = of_tracks.iter().filter(|own| own.0 < own.1).is_sorted();
    if in_order {
        for &(start, end) in &of_tracks {
            let before = ends.last().copied().unwrap_or(0);
            ends.push(if start < end { end as u64 } else { before });
        }
        (learned.neighbour_positions, learned.neighbour_weights) = (positions, weights);
    } else {
        make_room(&mut learned.neighbour_positions, positions.len());
        make_room(&mut learned.neighbour_weights, weights.len());
        for &(start, end) in &of_tracks {
            learned.neighbour_positions.extend_from_slice(&positions[start..end]);
            learned.neighbour_weights.extend_from_slice(&weights[start..end]);
            ends.push(learned.neighbour_positions.len() as u64);
        }
    }
    learned.neighbour_ends = ends;
}

fn raise_unusable(model: &Model, track_id: &str, fault: impl std::fmt::Display) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!(
            "the embedding of track \"{track_id}\" of model {} cannot be used: {fault}",
            model.model_id
        ),
        Some("Run SELECT * FROM sparkify.validate(), and build the model anew."),
    )
}
