//! Recommendations on demand. Nothing is written: they work on a standby.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use serde_json::json;
use sparkify_core::popularity::Popularity;
use sparkify_core::rank::{self, Index, Query, Ranked};

use super::arguments::{known, positions};
use super::listener::{self, History, Listener, Strategy};
use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::storage::serving::TrackRow;
use crate::storage::spi::under_own_search_path;
use crate::storage::{catalogue_index, listeners, models, serving};

/// A recommended or similar track.
struct Shown {
    rank: i32,
    track_id: String,
    track: TrackRow,
    score: f32,
}

/// What a caller asks for beside whom or what it is for.
struct Options {
    n: usize,
    exclude: Vec<String>,
    candidates: Option<Vec<String>>,
    genres: Option<Vec<String>>,
    distinct_songs: bool,
    model_id: Option<i64>,
}

impl Options {
    /// The options as SQL gives them; NULL elements do not count.
    fn new(
        n: Option<i32>,
        [exclude, candidates, genres]: [Option<Vec<String>>; 3],
        distinct_songs: Option<bool>,
        model_id: Option<i64>,
    ) -> Options {
        Options {
            n: in_range(required(n, "n").into(), 1, 1000, "n") as usize,
            exclude: exclude.unwrap_or_default(),
            candidates,
            genres,
            distinct_songs: required(distinct_songs, "distinct_songs"),
            model_id,
        }
    }

    /// Positions that may appear, where any condition restricts them.
    fn candidates(&self, index: &Index) -> Option<Vec<u32>> {
        let named = self.candidates.as_ref().map(|ids| {
            let mut named = positions(index, ids);
            named.sort_unstable();
            named.dedup();
            named
        });
        let Some(genres) = &self.genres else { return named };
        let mut of_genres = serving::positions_of_genres(index, genres);
        of_genres.sort_unstable();
        if let Some(named) = named {
            of_genres.retain(|position| named.binary_search(position).is_ok());
        }
        Some(of_genres)
    }
}

/// Ranks until `query.n` tracks that still exist are found, or none is left.
fn show(index: &Index, query: &Query, rank: impl Fn(&Query) -> Vec<Ranked>) -> Vec<Shown> {
    let mut exclude = query.exclude.to_vec();
    loop {
        let ranked = rank(&Query { exclude: &exclude, ..*query });
        let ids: Vec<&str> = ranked.iter().map(|r| index.id(r.position)).collect();
        let mut tracks = serving::tracks(ids);
        if tracks.len() < ranked.len() {
            // Deleted since the model was built: rank again without them.
            exclude.extend(
                ranked
                    .iter()
                    .map(|r| r.position)
                    .filter(|&position| !tracks.contains_key(index.id(position))),
            );
            continue;
        }
        return ranked
            .iter()
            .zip(1..)
            .filter_map(|(ranked, rank)| {
                let (track_id, track) = tracks.remove_entry(index.id(ranked.position))?;
                Some(Shown { rank, track_id, track, score: ranked.score as f32 })
            })
            .collect();
    }
}

fn recommend_rows(user_id: &str, options: &Options) -> (Vec<Shown>, Strategy, i64) {
    let model = models::resolve(options.model_id);
    let packed = catalogue_index::load(&model);
    let index = packed.index();
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
    let centroids = |genre: &str| {
        models::genre_embeddings(model.model_id, Some(vec![genre.to_owned()])).remove(genre)
    };
    let listener = history.into_listener(&index, model.half_life_days, &declared, centroids);

    let candidates = options.candidates(&index);
    let mut exclude = listener.played.clone();
    exclude.extend(positions(&index, &options.exclude));
    let query = Query {
        exclude: &exclude,
        candidates: candidates.as_deref(),
        distinct_songs: options.distinct_songs,
        ..listener.query(options.n)
    };
    let shown = rank_for(&index, &listener, &query);
    (shown, listener.strategy, model.model_id)
}

fn rank_for(index: &Index, listener: &Listener, query: &Query) -> Vec<Shown> {
    if listener.strategy == Strategy::Popular {
        let (plays, popularity) = serving::popularity(index);
        let popularity = Popularity::new(&plays, &popularity);
        return show(index, query, |query| popularity.top_n(index, query));
    }
    show(index, query, |query| or_raise(rank::top_n(index, query, &interrupt)))
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
    let (shown, strategy, model_id) = under_own_search_path(|| recommend_rows(user_id, &options));
    TableIterator::new(shown.into_iter().map(move |row| {
        let TrackRow { track_name, primary_artist, genre } = row.track;
        let strategy = strategy.name();
        (row.rank, row.track_id, track_name, primary_artist, genre, row.score, strategy, model_id)
    }))
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
    let query = Query {
        vector: index.vector(asked),
        n: options.n,
        exclude: &exclude,
        candidates: candidates.as_deref(),
        distinct_songs: options.distinct_songs,
        exclude_songs: &[song],
    };
    show(&index, &query, |query| or_raise(rank::top_n(&index, query, &interrupt)))
}

fn raise_unknown_track(track_id: &str, model_id: i64) -> ! {
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
