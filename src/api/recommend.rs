//! Recommendations on demand. Nothing is written: they work on a standby.

use std::cell::RefCell;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use serde_json::json;
use sparkify_core::rank::{Boosts, Index};
use sparkify_learn::State;
use sparkify_learn::listener::Folding;

use super::arguments::known;
use super::listener::{self, History, Listener, Strategy};
use super::options::{Options, Shown};
use crate::error::{or_raise, raise, required};
use crate::storage::catalogue_index;
use crate::storage::listeners::{self, Declared};
use crate::storage::models::{self, Model};
use crate::storage::serving::TrackRow;
use crate::storage::spi::under_own_search_path;
use crate::texts::Texts;

/// Tracks up to which what users are folded in with, 9 bytes a track, is kept for the
/// next call: to get it from the system costs a call as much as half of its work.
const KEPT_TRACKS: usize = 1 << 18;

thread_local! {
    /// Empty between calls.
    static ROOM: RefCell<Option<Boosts>> = const { RefCell::new(None) };
}

/// A user's declared taste and history as the caller sees them; raises for nobody.
pub fn read_user(user_id: &str) -> (Declared, History) {
    let Some(declared) = listeners::find_user(user_id) else {
        raise(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("user \"{user_id}\" does not exist"),
            Some("List users with SELECT user_id FROM sparkify.users."),
        )
    };
    let mut history = History::default();
    let now = listener::now();
    listeners::plays_of(user_id, |play| history.add(&play, now));
    listeners::feedback_of(user_id, |feedback| history.rate(&feedback));
    (declared, history)
}

/// What a model makes of a history.
pub fn to_listener(
    model: &Model,
    index: &Index,
    state: Option<&State>,
    declared: &Declared,
    history: &History,
) -> Listener {
    let centroid = |genre: &str| {
        models::genre_embeddings(model.model_id, Some(vec![genre.to_owned()])).remove(genre)
    };
    let half_life = model.half_life_days;
    let Some(state) = state else {
        return or_raise(history.to_listener(index, None, half_life, declared, centroid));
    };
    let memory = ROOM.with_borrow_mut(Option::take);
    let mut folding = or_raise(Folding::within(index, state, memory));
    let listener =
        or_raise(history.to_listener(index, Some(&mut folding), half_life, declared, centroid));
    if index.len() <= KEPT_TRACKS {
        ROOM.set(folding.into_memory());
    }
    listener
}

fn recommend_rows(user_id: &str, options: &Options) -> (Vec<Shown>, Strategy, i64) {
    let model = models::resolve(options.model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let (declared, history) = read_user(user_id);
    let listener = to_listener(&model, &index, packed.state(), &declared, &history);
    (options.show(&index, &listener), listener.strategy, model.model_id)
}

/// Places in a list of tracks that count like the time in which a play loses half of
/// its weight.
const PLACES: i64 = 10;

fn recommend_for_rows(tracks: &Texts, options: &Options) -> (Vec<Shown>, Strategy, i64) {
    let model = models::resolve(options.model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
    let half_life = (model.half_life_days * 86_400e6).min(1e17) as i64;
    let place = half_life / PLACES;
    let mut history = History::default();
    for (track_id, at) in tracks.iter().rev().zip(0i64..) {
        history.hear(track_id, at.saturating_mul(place).saturating_neg());
    }
    let declared = Declared::default();
    let listener = to_listener(&model, &index, packed.state(), &declared, &history);
    (options.show(&index, &listener), listener.strategy, model.model_id)
}

/// The rows of `recommend()` and `recommend_for()`.
type Rows = TableIterator<
    'static,
    (
        name!(rank, i32),
        name!(track_id, String),
        name!(track_name, String),
        name!(primary_artist, Option<String>),
        name!(genre, Option<String>),
        name!(score, f32),
        name!(strategy, &'static str),
        name!(model_id, i64),
    ),
>;

fn to_rows((shown, strategy, model_id): (Vec<Shown>, Strategy, i64)) -> Rows {
    TableIterator::new(shown.into_iter().map(move |row| {
        let TrackRow { track_name, primary_artist, genre } = row.track;
        let strategy = strategy.name();
        (row.rank, row.track_id, track_name, primary_artist, genre, row.score, strategy, model_id)
    }))
}

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 10000)]
fn recommend(
    user_id: Option<&str>,
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
        name!(strategy, &'static str),
        name!(model_id, i64),
    ),
> {
    let user_id = required(user_id, "user_id");
    let options = Options::new(
        n,
        [exclude.map(known), candidates.map(known), genres.map(known)],
        distinct_songs,
        model_id,
    );
    to_rows(under_own_search_path(|| recommend_rows(user_id, &options)))
}

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(stable, parallel_safe, cost = 10000)]
fn recommend_for(
    tracks: Option<Array<'_, &str>>,
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
        name!(strategy, &'static str),
        name!(model_id, i64),
    ),
> {
    let tracks = known(required(tracks, "tracks"));
    let options = Options::new(
        n,
        [exclude.map(known), candidates.map(known), genres.map(known)],
        distinct_songs,
        model_id,
    );
    to_rows(under_own_search_path(|| recommend_for_rows(&tracks, &options)))
}

#[pg_extern(stable, parallel_safe, cost = 10000)]
#[search_path(pg_catalog, pg_temp)]
fn recommend_json(user_id: Option<&str>, n: default!(Option<i32>, 10)) -> pgrx::JsonB {
    let user_id = required(user_id, "user_id");
    let options = Options::new(n, [None, None, None], Some(true), None);
    let (shown, strategy, model_id) = recommend_rows(user_id, &options);
    let rows = shown.into_iter().map(|row| {
        json!({
            "rank": row.rank,
            "track_id": row.track_id,
            "track_name": row.track.track_name,
            "primary_artist": row.track.primary_artist,
            "genre": row.track.genre,
            "score": row.score,
            "strategy": strategy.name(),
            "model_id": model_id,
        })
    });
    pgrx::JsonB(rows.collect())
}
