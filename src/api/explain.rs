//! Why a track was recommended: what of a user's history carries its score.

use std::collections::HashMap;

use pgrx::prelude::*;
use sparkify_core::listening::Heard;
use sparkify_core::rank::{self, Index, Query};
use sparkify_core::sorting;
use sparkify_core::taste::{self, Part};
use sparkify_learn::listener as learned;

use super::listener::{self, Strategy};
use super::recommend::{read_user, to_listener};
use super::similar::raise_unknown_track;
use crate::error::{in_range, or_raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::listeners::Declared;
use crate::storage::models::{self, Model};
use crate::storage::serving::{self, TrackRow};
use crate::storage::spi::under_own_search_path;
use crate::storage::{catalogue_index, listeners};

/// What memory is asked for.
const WHAT: &str = "the parts of a score";

/// What carries a part of a score.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Because {
    /// A track heard, by its position.
    Track(u32),
    /// A genre declared.
    Genre(String),
    /// What is left.
    Others,
}

/// A row of an explanation.
struct Shown {
    track_id: Option<String>,
    track: Option<TrackRow>,
    genre: Option<String>,
    last_played: Option<TimestampWithTimeZone>,
    part: f64,
}

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 10000)]
fn explain_recommendation(
    user_id: Option<&str>,
    track_id: Option<&str>,
    n: default!(Option<i32>, 5),
    model_id: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(rank, i32),
        name!(track_id, Option<String>),
        name!(track_name, Option<String>),
        name!(primary_artist, Option<String>),
        name!(genre, Option<String>),
        name!(last_played, Option<TimestampWithTimeZone>),
        name!(part, f64),
        name!(score, f64),
    ),
> {
    let user_id = required(user_id, "user_id");
    let track_id = required(track_id, "track_id");
    let n = in_range(required(n, "n").into(), 1, 1000, "n") as usize;
    let (rows, score) = under_own_search_path(|| explain(user_id, track_id, n, model_id));
    TableIterator::new(rows.into_iter().zip(1..).map(move |(row, rank)| {
        let (track_name, primary_artist, of_track) = match row.track {
            Some(track) => (Some(track.track_name), track.primary_artist, track.genre),
            None => (None, None, None),
        };
        let genre = row.genre.or(of_track);
        (rank, row.track_id, track_name, primary_artist, genre, row.last_played, row.part, score)
    }))
}

fn explain(user_id: &str, track_id: &str, n: usize, model_id: Option<i64>) -> (Vec<Shown>, f64) {
    let model = models::resolve(model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let asked =
        index.position(track_id).unwrap_or_else(|| raise_unknown_track(track_id, model.model_id));
    let (declared, history) = read_user(user_id);
    let listener = to_listener(&model, &index, packed.state(), &declared, &history);
    let query = listener.query(1);
    let score = match listener.strategy {
        Strategy::Popular => return (Vec::new(), 0.0),
        _ => or_raise(rank::score(&index, asked, &query)),
    };
    let heard = or_raise(history.heard(&index, model.half_life_days));
    let mut parts = match (listener.strategy, packed.state()) {
        (Strategy::Listened, Some(state)) => {
            let parts = or_raise(learned::explain(&index, state, &heard, asked));
            by_tracks(&heard, parts)
        }
        (Strategy::Listened, None) => {
            let of_sum: Vec<Part> = listener::parts(&index, &heard).collect();
            by_tracks(&heard, taste::shares(&of_sum, index.vector(asked)))
        }
        _ => by_genres(&declared, &index, &model, asked, listener.scale),
    };
    parts.retain(|(_, part)| *part != 0.0);
    sorting::sort_by(&mut parts, &interrupt, |(a, of_a), (b, of_b)| {
        of_b.abs().total_cmp(&of_a.abs()).then_with(|| a.cmp(b))
    });
    if parts.len() > n {
        let rest: f64 = parts.drain(n..).map(|(_, part)| part).sum();
        parts.push((Because::Others, rest));
    }
    (show(user_id, &index, parts), score)
}

fn by_tracks(heard: &[Heard], parts: Vec<f64>) -> Vec<(Because, f64)> {
    let parts = heard.iter().zip(parts);
    memory::collected(parts.map(|(heard, part)| (Because::Track(heard.track), part)), WHAT)
}

/// Of declared weights over the centroids of genres.
fn by_genres(
    declared: &Declared,
    index: &Index,
    model: &Model,
    asked: u32,
    scale: f64,
) -> Vec<(Because, f64)> {
    let names = declared.keys().cloned().collect();
    let centroids = models::genre_embeddings(model.model_id, Some(names));
    let of = |weights: &Declared| {
        taste::declared(index.dims(), weights, |genre| centroids.get(genre).cloned())
    };
    let Some(whole) = of(declared) else { return Vec::new() };
    let score = |vector: &[f32]| {
        let query = Query { vector, scale, n: 1, ..Query::default() };
        or_raise(rank::score(index, asked, &query))
    };
    // The unit vector of the sum of weighted centroids: each has its share of the score.
    let total: f64 = score(&whole);
    let own: Vec<(String, f64)> = declared
        .iter()
        .filter(|(_, weight)| weight.is_finite() && **weight > 0.0)
        .filter_map(|(genre, &weight)| {
            let centroid = centroids.get(genre)?;
            let dot: f64 = centroid
                .iter()
                .zip(index.vector(asked))
                .map(|(&c, &x)| f64::from(c) * f64::from(x))
                .sum();
            Some((genre.clone(), weight * dot))
        })
        .collect();
    let sum: f64 = own.iter().map(|(_, dot)| dot).sum();
    let share = |dot: f64| if sum == 0.0 { 0.0 } else { total * dot / sum };
    own.into_iter().map(|(genre, dot)| (Because::Genre(genre), share(dot))).collect()
}

fn show(user_id: &str, index: &Index, parts: Vec<(Because, f64)>) -> Vec<Shown> {
    let ids: Vec<&str> = parts
        .iter()
        .filter_map(|(because, _)| match because {
            Because::Track(position) => Some(index.id(*position)),
            _ => None,
        })
        .collect();
    let last: HashMap<String, i64> = listeners::last_heard(user_id, ids.clone());
    let mut tracks = serving::tracks(ids);
    let to_row = |(because, part)| {
        let mut row = Shown { track_id: None, track: None, genre: None, last_played: None, part };
        match because {
            Because::Track(position) => {
                let id = index.id(position);
                row.track = tracks.remove(id);
                row.last_played =
                    last.get(id).and_then(|&at| TimestampWithTimeZone::try_from(at).ok());
                row.track_id = Some(id.to_owned());
            }
            Because::Genre(genre) => row.genre = Some(genre),
            Because::Others => {}
        }
        row
    };
    parts.into_iter().map(to_row).collect()
}
