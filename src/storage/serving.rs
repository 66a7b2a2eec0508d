//! What is read to turn ranked positions into rows, and what is stored for users.

use std::collections::HashMap;

use sparkify_core::rank::Index;

use super::{bulk, spi};

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
            rows.insert(
                row.text(0).unwrap_or_default().to_owned(),
                TrackRow {
                    track_name: row.text(1).unwrap_or_default().to_owned(),
                    primary_artist: row.text(2).map(str::to_owned),
                    genre: row.text(3).map(str::to_owned),
                },
            );
        },
    );
    rows
}

/// Positions in the index of the tracks that have any of some genres now.
pub fn positions_of_genres(index: &Index, genres: &[String]) -> Vec<u32> {
    let mut positions = Vec::new();
    spi::select(
        "SELECT track_id FROM sparkify.tracks WHERE genres && $1",
        &[genres.to_vec().into()],
        |row| positions.extend(index.position(row.text(0).unwrap_or_default())),
    );
    positions
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

/// By position in the index: the plays so far, and the catalogue's popularity (0 where unknown).
pub fn popularity(index: &Index) -> (Vec<u64>, Vec<i32>) {
    let mut plays = vec![0; index.len()];
    let mut popularity = vec![0; index.len()];
    spi::select("SELECT track_id, plays FROM sparkify.track_plays", &[], |row| {
        if let Some(at) = row.text(0).and_then(|id| index.position(id)) {
            plays[at as usize] = row.i64(1).unwrap_or_default() as u64;
        }
    });
    spi::select("SELECT track_id, popularity FROM sparkify.tracks", &[], |row| {
        if let Some(at) = row.text(0).and_then(|id| index.position(id)) {
            popularity[at as usize] = row.i32(1).unwrap_or_default();
        }
    });
    (plays, popularity)
}

/// Positions in the index of tracks that are gone from the catalogue, under a new snapshot.
pub fn deleted_positions(index: &Index) -> Vec<u32> {
    let (mut ids, mut ends) = (String::new(), vec![0]);
    spi::select_now("SELECT track_id FROM sparkify.tracks", &[], |row| {
        ids.push_str(row.text(0).unwrap_or_default());
        ends.push(ids.len());
    });
    let mut alive = vec![false; index.len()];
    index.positions(ends.windows(2).map(|ends| &ids[ends[0]..ends[1]]), |position| {
        if let Some(at) = position {
            alive[at as usize] = true;
        }
    });
    (0..index.len() as u32).filter(|&at| !alive[at as usize]).collect()
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

/// Deletes the vectors of a model: of some users, or of all.
pub fn delete_vectors(model_id: i64, user_ids: Option<&[String]>) {
    delete("user_vectors", model_id, user_ids);
}

/// Deletes the recommendations that a model made for some users.
pub fn delete_recommendations(model_id: i64, user_ids: &[String]) {
    delete("user_recommendations", model_id, Some(user_ids));
}

/// Deletes all recommendations of a model, and has the summaries count those that
/// will stand in their place afresh.
pub fn delete_all_recommendations(model_id: i64) {
    // First: rows that the mark covers need not be noted one by one.
    spi::execute(
        "INSERT INTO sparkify.stale_marks (subject, model_id) VALUES ('recommendations', $1)",
        &[model_id.into()],
    );
    delete("user_recommendations", model_id, None);
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
        out.reals(row.vector);
        out.text(row.strategy);
        true
    })
}

/// A recommendation as it is stored.
pub struct RecommendationRow<'a> {
    /// The user.
    pub user_id: &'a str,
    /// 1 for the best.
    pub rank: i32,
    /// The track's id, in UTF-8.
    pub track_id: &'a [u8],
    /// Cosine, or share of the most popular.
    pub score: f32,
    /// How the user's vector came about.
    pub strategy: &'static str,
}

/// Stores recommendations of users that have none of this model.
pub fn write_recommendations<'a>(
    model_id: i64,
    mut rows: impl Iterator<Item = RecommendationRow<'a>>,
) -> u64 {
    bulk::write_rows(
        "user_recommendations",
        &["user_id", "model_id", "rank", "track_id", "score", "strategy"],
        &mut |out| {
            let Some(row) = rows.next() else { return false };
            out.text(row.user_id);
            out.i64(model_id);
            out.i32(row.rank);
            out.text(row.track_id);
            out.f32(row.score);
            out.text(row.strategy);
            true
        },
    )
}
