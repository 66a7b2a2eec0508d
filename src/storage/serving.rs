//! What is read to turn ranked positions into rows, and what is stored for users.

use std::collections::HashMap;

use sparkify_core::rank::{Index, Ranked};

use super::{bulk, spi};
use crate::memory;

/// What a result shows of a track.
pub struct TrackRow {
    /// Title.
    pub track_name: String,
    /// First artist.
    pub primary_artist: Option<String>,
    /// Primary genre.
    pub genre: Option<String>,
}

/// The tracks of some ids; an id that is gone is not in the answer.
pub fn tracks(track_ids: Vec<&str>) -> HashMap<String, TrackRow> {
    let mut rows = HashMap::with_capacity(track_ids.len());
    spi::select(
        "SELECT track_id, track_name, primary_artist, primary_genre FROM sparkify.tracks \
         WHERE track_id = ANY ($1)",
        &[track_ids.into()],
        |row| {
            let track = TrackRow {
                track_name: row.owned(1),
                primary_artist: row.text(2).map(memory::owned),
                genre: row.text(3).map(memory::owned),
            };
            memory::put(&mut rows, row.owned(0), track, "tracks");
        },
    );
    rows
}

/// The songs of some tracks.
pub fn songs(track_ids: Vec<&str>) -> HashMap<String, u128> {
    let mut songs = HashMap::new();
    spi::select(
        "SELECT track_id, song_key FROM sparkify.tracks WHERE track_id = ANY ($1)",
        &[track_ids.into()],
        |row| memory::put(&mut songs, row.owned(0), row.uuid(1).unwrap_or_default(), "songs"),
    );
    songs
}

/// Whether a track is in the catalogue.
pub fn track_exists(track_id: &str) -> bool {
    spi::select_first(
        "SELECT 1 FROM sparkify.tracks WHERE track_id = $1",
        &[track_id.into()],
        |_| (),
    )
    .is_some()
}

/// Positions in the index of tracks that are gone from the catalogue, under a new snapshot.
pub fn deleted_positions(index: &Index) -> Vec<u32> {
    missing(index, |each| spi::select_now(ALIVE, &[], each))
}

/// Positions in the index of tracks that the caller does not see, under the caller's snapshot.
pub fn unseen_positions(index: &Index) -> Vec<u32> {
    missing(index, |each| spi::select(ALIVE, &[], each))
}

const ALIVE: &str = "SELECT track_id FROM sparkify.tracks";

fn missing(index: &Index, select: impl FnOnce(&mut dyn FnMut(&spi::Row))) -> Vec<u32> {
    let mut alive = memory::filled(false, index.len(), "the tracks that are there");
    // Tracks mostly come in the order of their ids, which is that of the positions.
    let mut next = 0;
    select(&mut |row| {
        let id = row.text(0).unwrap_or_default();
        let expected = (next as usize) < index.len() && index.id_bytes(next) == id.as_bytes();
        let position = if expected { Some(next) } else { index.position(id) };
        if let Some(at) = position {
            alive[at as usize] = true;
            next = at + 1;
        }
    });
    let deleted = (0..index.len() as u32).filter(|&at| !alive[at as usize]);
    memory::collected(deleted, "the tracks that are gone")
}

/// A user's vector as it is stored.
pub struct VectorRow<'a> {
    /// The user.
    pub user_id: &'a str,
    /// Unit vector; empty where nothing is known of the user.
    pub vector: &'a [f32],
    /// How the vector came about.
    pub strategy: &'static str,
}

/// Hands every stored vector of a model's users to `each`, under the caller's snapshot.
pub fn each_vector(model_id: i64, mut each: impl FnMut(&str, &[f32])) {
    spi::select(
        "SELECT user_id, vector FROM sparkify.user_vectors WHERE model_id = $1",
        &[model_id.into()],
        |row| each(row.text(0).unwrap_or_default(), row.reals(1).unwrap_or_default()),
    );
}

/// Deletes the vectors of a model: of some users, or of all.
pub fn delete_vectors(model_id: i64, user_ids: Option<&[String]>) {
    delete("user_vectors", model_id, user_ids);
}

/// Deletes the lists that a model made for some users.
pub fn delete_lists(model_id: i64, user_ids: &[String]) {
    delete("recommendation_lists", model_id, Some(user_ids));
}

/// Deletes all lists of a model, and has the summaries count those that will stand
/// in their place afresh.
pub fn delete_all_lists(model_id: i64) {
    // First: rows that the mark covers need not be noted one by one.
    spi::execute(
        "INSERT INTO sparkify_internal.stale_marks (subject, model_id) VALUES ('recommendations', $1)",
        &[model_id.into()],
    );
    delete("recommendation_lists", model_id, None);
}

fn delete(table: &str, model_id: i64, user_ids: Option<&[String]>) {
    match user_ids {
        Some(users) => spi::execute(
            &format!("DELETE FROM sparkify.{table} WHERE model_id = $1 AND user_id = ANY ($2)"),
            &[model_id.into(), users.to_vec().into()],
        ),
        None => spi::execute(
            &format!("DELETE FROM sparkify.{table} WHERE model_id = $1"),
            &[model_id.into()],
        ),
    };
}

/// Stores vectors of users that have none of this model.
pub fn write_vectors<'a>(model_id: i64, mut rows: impl Iterator<Item = VectorRow<'a>>) -> u64 {
    bulk::write_rows("user_vectors", &["user_id", "model_id", "vector", "strategy"], &mut |out| {
        let Some(row) = rows.next() else { return false };
        out.text(row.user_id);
        out.i64(model_id);
        out.reals(row.vector.iter().copied());
        out.text(row.strategy);
        true
    })
}

/// A user's list as it is stored.
pub struct ListRow<'a> {
    /// The user.
    pub user_id: &'a str,
    /// The tracks, best first; at least one.
    pub ranked: &'a [Ranked],
    /// How the user's vector came about.
    pub strategy: &'static str,
}

/// Stores lists of users that have none of this model; gives the number of recommendations.
pub fn write_lists<'a>(
    model_id: i64,
    index: &Index,
    mut rows: impl Iterator<Item = ListRow<'a>>,
) -> u64 {
    let mut recommendations = 0;
    bulk::write_rows(
        "recommendation_lists",
        &["user_id", "model_id", "track_ids", "scores", "strategy"],
        &mut |out| {
            let Some(row) = rows.next() else { return false };
            out.text(row.user_id);
            out.i64(model_id);
            out.texts(row.ranked.iter().map(|ranked| index.id_bytes(ranked.position)));
            out.reals(row.ranked.iter().map(|ranked| ranked.score as f32));
            out.text(row.strategy);
            recommendations += row.ranked.len() as u64;
            true
        },
    );
    recommendations
}
