//! What is listened to most, and what rises.

use pgrx::datum::Interval;
use pgrx::prelude::*;
use sparkify_core::popularity;
use sparkify_core::rank::{Index, Query};
use sparkify_core::sorting;

use super::arguments::known;
use super::options::show;
use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::storage::charts::{self, Heard};
use crate::storage::serving::{self, TrackRow};
use crate::storage::spi::under_own_search_path;
use crate::storage::{catalogue_index, genres, models};

/// A row of a chart.
struct Shown {
    track_id: String,
    track: TrackRow,
    listeners: i64,
    before: i64,
    score: f32,
}

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 10000)]
fn popular_tracks(
    n: default!(Option<i32>, 10),
    since: default!(Option<Interval>, "NULL"),
    genres: default!(Option<Array<'_, &str>>, "NULL"),
    country: default!(Option<&str>, "NULL"),
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
        name!(listeners, i64),
        name!(score, f32),
    ),
> {
    let n = in_range(required(n, "n").into(), 1, 1000, "n") as usize;
    let distinct_songs = required(distinct_songs, "distinct_songs");
    let rows = under_own_search_path(|| match (since, country) {
        (None, None) => of_model(n, genres, distinct_songs, model_id),
        (since, country) => {
            let since = since.unwrap_or_else(always);
            popular_since(n, check(since), genres, country, distinct_songs)
        }
    });
    TableIterator::new(rows.into_iter().zip(1..).map(|(row, rank)| {
        let TrackRow { track_name, primary_artist, genre } = row.track;
        (rank, row.track_id, track_name, primary_artist, genre, row.listeners, row.score)
    }))
}

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 100000)]
fn trending(
    n: default!(Option<i32>, 10),
    since: default!(Option<Interval>, "'7 days'"),
    genres: default!(Option<Array<'_, &str>>, "NULL"),
    country: default!(Option<&str>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(rank, i32),
        name!(track_id, String),
        name!(track_name, String),
        name!(primary_artist, Option<String>),
        name!(genre, Option<String>),
        name!(listeners, i64),
        name!(listeners_before, i64),
        name!(score, f32),
    ),
> {
    let n = in_range(required(n, "n").into(), 1, 1000, "n") as usize;
    let since = check(required(since, "since"));
    let rows = under_own_search_path(|| {
        let mut heard = charts::heard(since, true, country, spellings(genres));
        heard.retain(|track| track.listeners > track.before);
        chart(n, heard, rise, false)
    });
    TableIterator::new(rows.into_iter().zip(1..).map(|(row, rank)| {
        let TrackRow { track_name, primary_artist, genre } = row.track;
        let (listeners, before) = (row.listeners, row.before);
        (rank, row.track_id, track_name, primary_artist, genre, listeners, before, row.score)
    }))
}

/// The rise in units of what chance does to two counts of this size.
fn rise(track: &Heard) -> f64 {
    let (now, before) = (track.listeners as f64, track.before as f64);
    (now - before) / (now + before).max(1.0).sqrt()
}

fn always() -> Interval {
    Interval::new(1200, 0, 0).unwrap_or_else(|_| raise_interval())
}

fn raise_interval() -> ! {
    raise(
        pgrx::PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "since must be above 0 and at most 100 years",
        None,
    )
}

/// An interval that reaches back from now, no further than there are dates.
fn check(since: Interval) -> Interval {
    let days = f64::from(since.months()) * 30.0
        + f64::from(since.days())
        + since.micros() as f64 / 86_400e6;
    if !(days > 0.0 && days <= 36_600.0) {
        raise_interval();
    }
    since
}

fn spellings(asked: Option<Array<'_, &str>>) -> Option<Vec<String>> {
    asked.map(|asked| genres::spellings(&known(asked)))
}

/// As of the model: what a user is given of whom nothing is known.
fn of_model(
    n: usize,
    asked: Option<Array<'_, &str>>,
    distinct_songs: bool,
    model_id: Option<i64>,
) -> Vec<Shown> {
    let model = models::resolve(model_id);
    let packed = catalogue_index::load(&model);
    let index: Index = packed.index();
    let candidates = spellings(asked).map(|spellings| genres::positions(&index, &spellings));
    let query = Query { n, candidates: candidates.as_deref(), distinct_songs, ..Query::default() };
    let rows = show(&index, &query, |query| or_raise(popularity::top_n(&index, query)));
    let listeners = |id: &str| index.position(id).and_then(|position| index.listeners(position));
    rows.into_iter()
        .map(|row| Shown {
            listeners: listeners(&row.track_id).unwrap_or(0).into(),
            before: 0,
            track_id: row.track_id,
            track: row.track,
            score: row.score,
        })
        .collect()
}

fn popular_since(
    n: usize,
    since: Interval,
    asked: Option<Array<'_, &str>>,
    country: Option<&str>,
    distinct_songs: bool,
) -> Vec<Shown> {
    let heard = charts::heard(since, false, country, spellings(asked));
    let most = heard.iter().map(|track| track.listeners).max().unwrap_or(0).max(1) as f64;
    chart(n, heard, |track| track.listeners as f64 / most, distinct_songs)
}

/// The `n` tracks of the highest score; of equals those of more listeners, more plays,
/// and the first by id.
fn chart(
    n: usize,
    mut heard: Vec<Heard>,
    score: impl Fn(&Heard) -> f64,
    distinct_songs: bool,
) -> Vec<Shown> {
    sorting::sort_by(&mut heard, &interrupt, |a, b| {
        score(b)
            .total_cmp(&score(a))
            .then(b.listeners.cmp(&a.listeners))
            .then(b.plays.cmp(&a.plays))
            .then(a.track_id.cmp(&b.track_id))
    });
    let mut songs = std::collections::HashSet::new();
    let mut rows: Vec<Shown> = Vec::with_capacity(n);
    for tracks in heard.chunks(n) {
        let ids: Vec<&str> = tracks.iter().map(|track| track.track_id.as_str()).collect();
        let keys = if distinct_songs { serving::songs(ids.clone()) } else { Default::default() };
        let mut shown = serving::tracks(ids);
        for track in tracks {
            let Some(row) = shown.remove(&track.track_id) else { continue };
            let version = keys.get(&track.track_id).is_some_and(|&song| !songs.insert(song));
            if !version && rows.len() < n {
                rows.push(Shown {
                    track_id: track.track_id.clone(),
                    track: row,
                    listeners: track.listeners,
                    before: track.before,
                    score: score(track) as f32,
                });
            }
        }
        if rows.len() == n {
            break;
        }
    }
    rows
}
