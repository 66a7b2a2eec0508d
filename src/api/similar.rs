//! Tracks like a track, and users like a user.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use sparkify_core::rank::{self, Index, Metric, Query};

use super::arguments::{known, positions};
use super::options::{Options, Shown, show, top_n};
use super::recommend::{read_user, to_listener};
use crate::error::{in_range, raise, required};
use crate::interrupt::interrupt;
use crate::storage::serving::{self, TrackRow};
use crate::storage::spi::under_own_search_path;
use crate::storage::{catalogue_index, models};

/// Share of the neighbours in what makes two tracks of a model of plays alike.
const NEIGHBOURS: f64 = 0.3;

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 10000)]
fn similar_tracks(
    track_id: Option<&str>,
    n: default!(Option<i32>, 10),
    exclude: default!(Option<Array<'_, &str>>, "NULL"),
    candidates: default!(Option<Array<'_, &str>>, "NULL"),
    genres: default!(Option<Array<'_, &str>>, "NULL"),
    distinct_songs: default!(Option<bool>, true),
    model_id: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(rank, i32),
        name!(track_id, String),
        name!(track_name, String),
        name!(primary_artist, Option<String>),
        name!(genre, Option<String>),
        name!(score, f32),
    ),
> {
    let track_id = required(track_id, "track_id");
    let options = Options::new(
        n,
        [exclude.map(known), candidates.map(known), genres.map(known)],
        distinct_songs,
        model_id,
    );
    let shown = under_own_search_path(|| similar_rows(track_id, &options));
    TableIterator::new(shown.into_iter().map(|row| {
        let TrackRow { track_name, primary_artist, genre } = row.track;
        (row.rank, row.track_id, track_name, primary_artist, genre, row.score)
    }))
}

fn similar_rows(track_id: &str, options: &Options) -> Vec<Shown> {
    let model = models::resolve(options.model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let asked =
        index.position(track_id).unwrap_or_else(|| raise_unknown_track(track_id, model.model_id));

    let candidates = options.candidates(&index);
    // The song asked about never answers, in no version.
    let song = index.song(asked);
    let mut exclude = positions(&index, &options.exclude);
    if !options.distinct_songs {
        exclude.extend((0..index.len() as u32).filter(|&position| index.song(position) == song));
    }
    let boosts = boosts(&index, asked);
    let query = Query {
        vector: index.vector(asked),
        by_cosine: true,
        scale: if boosts.is_empty() { 1.0 } else { 1.0 - NEIGHBOURS },
        boosts: &boosts,
        n: options.n,
        exclude: &exclude,
        candidates: candidates.as_deref(),
        distinct_songs: options.distinct_songs,
        exclude_songs: &[song],
    };
    show(&index, &query, |query| top_n(&index, query))
}

/// What being its neighbours adds to the likeness of tracks: the share of the weight of
/// the nearest. The cosine has the rest, so that likeness stays within -1 and 1.
fn boosts(index: &Index, asked: u32) -> Vec<(u32, f64)> {
    let (positions, weights) = index.neighbours(asked);
    let most = weights.iter().copied().fold(0.0, f32::max);
    if index.metric() != Metric::Dot || most <= 0.0 {
        return Vec::new();
    }
    let share = |&weight: &f32| NEIGHBOURS * f64::from(weight) / f64::from(most);
    let mut boosts: Vec<(u32, f64)> =
        positions.iter().copied().zip(weights.iter().map(share)).collect();
    boosts.sort_unstable_by_key(|&(position, _)| position);
    boosts.dedup_by_key(|&mut (position, _)| position);
    boosts
}

/// Raises for a track that a model does not have.
pub fn raise_unknown_track(track_id: &str, model_id: i64) -> ! {
    if serving::track_exists(track_id) {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("track \"{track_id}\" has no embedding in model {model_id}"),
            Some("Run SELECT sparkify.build_embeddings() to take in tracks added since."),
        );
    }
    raise(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        format!("track \"{track_id}\" does not exist"),
        Some("List tracks with SELECT track_id, track_name FROM sparkify.tracks."),
    )
}

#[pg_extern(stable, parallel_safe, cost = 100000)]
fn similar_users(
    user_id: Option<&str>,
    n: default!(Option<i32>, 10),
    model_id: default!(Option<i64>, "NULL"),
) -> TableIterator<'static, (name!(rank, i32), name!(user_id, String), name!(score, f32))> {
    let user_id = required(user_id, "user_id");
    let n = in_range(required(n, "n").into(), 1, 1000, "n") as usize;
    let users = under_own_search_path(|| like_user(user_id, n, model_id));
    TableIterator::new(
        users.into_iter().zip(1..).map(|((score, user_id), rank)| (rank, user_id, score as f32)),
    )
}

/// The users whose stored vectors are closest to the user's of now, by the cosine.
fn like_user(user_id: &str, n: usize, model_id: Option<i64>) -> Vec<(f64, String)> {
    let model = models::resolve(model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let (declared, history) = read_user(user_id);
    let listener = to_listener(&model, &index, packed.state(), &declared, &history);
    let norm = rank::norm(&listener.vector);
    let mut best: Vec<(f64, String)> = Vec::new();
    if norm == 0.0 {
        return best;
    }
    let order = |a: &(f64, String), b: &(f64, String)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let mut stored = 0u64;
    serving::each_vector(model.model_id, |other, vector| {
        stored += 1;
        if stored.is_multiple_of(1024) {
            interrupt();
        }
        if other == user_id || vector.len() != listener.vector.len() {
            return;
        }
        let score = rank::cosine(&listener.vector, vector);
        if best.len() == n && best.last().is_some_and(|last| score < last.0) {
            return;
        }
        let entry = (score, other.to_owned());
        let at = best.partition_point(|held| order(held, &entry).is_lt());
        best.insert(at, entry);
        best.truncate(n);
    });
    if stored == 0 {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("no user has a vector of model {}", model.model_id),
            Some("Run SELECT sparkify.refresh_recommendations()."),
        );
    }
    best
}
