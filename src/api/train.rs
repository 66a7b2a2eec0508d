//! Training models, from plays where there are plays enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::json;
use sparkify_core::embedding::Dims;
use sparkify_core::listening::{self, Event};
use sparkify_core::taste::Centroids;
use sparkify_learn::{Histories, Interactions, Model, Options, train};

use super::embeddings;
use super::listener::said;
use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::features::{self, CatalogueFeatures};
use crate::storage::models::{self, Embedded};
use crate::storage::{catalogue_index, learning};

/// Days after which a play weighs half in a model of plays: what somebody likes
/// changes more slowly than what somebody is in the mood for.
pub(super) const HALF_LIFE_DAYS: f64 = 180.0;

/// The same in a content model.
const CONTENT_HALF_LIFE_DAYS: f64 = 30.0;

/// Dimensions of a model of plays.
const DIMS: usize = 128;

/// What a model is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hybrid where there are plays enough, else content.
    Auto,
    /// Features of the tracks.
    Content,
    /// Plays.
    Collaborative,
    /// Plays, and content for tracks without.
    Hybrid,
}

impl Kind {
    pub(super) fn named(name: &str) -> Kind {
        match name {
            "auto" => Kind::Auto,
            "content" => Kind::Content,
            "collaborative" => Kind::Collaborative,
            "hybrid" => Kind::Hybrid,
            _ => raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("kind must be auto, content, collaborative or hybrid, not {name}"),
                None,
            ),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Auto => "auto",
            Kind::Content => "content",
            Kind::Collaborative => "collaborative",
            Kind::Hybrid => "hybrid",
        }
    }

    /// What it comes to with these plays.
    pub(super) fn for_plays(self, data: &Interactions) -> Kind {
        match self {
            Kind::Auto if data.enough() => Kind::Hybrid,
            Kind::Auto => Kind::Content,
            kind => kind,
        }
    }
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "each is a named option in SQL")]
fn train_model(
    kind: default!(Option<&str>, "'hybrid'"),
    dims: default!(Option<i32>, "NULL"),
    activate: default!(Option<bool>, true),
    half_life_days: default!(Option<f64>, "NULL"),
    until: default!(Option<TimestampWithTimeZone>, "NULL"),
    seed: default!(Option<i64>, 42),
    threads: default!(Option<i32>, 2),
    ridge: default!(Option<f64>, "NULL"),
    output_exponent: default!(Option<f64>, "NULL"),
    neighbour_weight: default!(Option<f64>, "NULL"),
    alpha: default!(Option<f64>, 0.15),
    iterations: default!(Option<i32>, 4),
    boost: default!(Option<f64>, 1.5),
    genre_weight: default!(Option<f64>, 5.0),
) -> i64 {
    let kind = Kind::named(required(kind, "kind"));
    let dims = dims.map(|dims| in_range(dims.into(), 1, 16_000, "dims") as usize);
    let activate = required(activate, "activate");
    let half_life_days = half_life_days.map(embeddings::half_life);
    let mut options = Options {
        dims: dims.unwrap_or(DIMS),
        ridge,
        output_exponent,
        neighbour_weight,
        boost: required(boost, "boost"),
        seed: required(seed, "seed") as u64,
        threads: in_range(required(threads, "threads").into(), 1, 256, "threads") as usize,
        ..Options::default()
    };
    options.factors.alpha = required(alpha, "alpha");
    let iterations = required(iterations, "iterations");
    options.factors.iterations = in_range(iterations.into(), 1, 1000, "iterations") as usize;
    let genre_weight = required(genre_weight, "genre_weight");
    let content = || {
        let half_life_days = half_life_days.unwrap_or(CONTENT_HALF_LIFE_DAYS);
        let dims = dims.map_or(Dims::AtMost(embeddings::DEFAULT_DIMS), Dims::Exactly);
        embeddings::build(dims, activate, half_life_days, genre_weight)
    };
    if kind == Kind::Content {
        return content();
    }
    let start = Instant::now();
    let half_life_days = half_life_days.unwrap_or(HALF_LIFE_DAYS);
    let catalogue = features::read();
    let plays = Plays::read(&catalogue, until.map(i64::from), half_life_days);
    let kind = kind.for_plays(&plays.known);
    if kind == Kind::Content {
        drop((plays, catalogue));
        return content();
    }
    let training = Training { kind, options, half_life_days, until: until.map(i64::from) };
    let model_id = training.run(&catalogue, plays.known, start);
    if activate {
        models::activate(model_id);
    }
    // Whoever asks first need not wait until it is packed.
    catalogue_index::prepare(&models::resolve_to_write(Some(model_id)));
    model_id
}

/// A training from plays, with all that was asked for.
struct Training {
    kind: Kind,
    options: Options,
    half_life_days: f64,
    until: Option<i64>,
}

impl Training {
    /// Trains and stores; gives the id.
    fn run(&self, catalogue: &CatalogueFeatures, data: Interactions, start: Instant) -> i64 {
        let read = start.elapsed();
        let features = catalogue.features();
        let (data, tracks) = match self.kind {
            Kind::Hybrid => {
                (data, memory::collected(0..catalogue.track_ids.len() as u32, "tracks"))
            }
            _ => or_raise(data.of_heard(&interrupt)),
        };
        let content = (self.kind == Kind::Hybrid).then_some(&features);
        let model = or_raise(train(&data, content, &self.options, &interrupt));
        let trained = start.elapsed();
        if model.state.fold_in.dims() < self.options.dims {
            pgrx::notice!(
                "the plays span {} dimensions: the model has as many, not {}",
                model.state.fold_in.dims(),
                self.options.dims
            );
        }
        let model_id = models::insert(self.kind.name(), "dot", self.params(&model));
        store(model_id, catalogue, &model, &tracks);
        let times = [read, trained - read, start.elapsed() - trained];
        models::set_metrics(model_id, metrics(&model, &data, times));
        model_id
    }

    fn params(&self, model: &Model) -> serde_json::Value {
        let (fold_in, options) = (&model.state.fold_in, &self.options);
        json!({
            "dims": fold_in.dims(),
            "half_life_days": self.half_life_days,
            "seed": options.seed as i64,
            "until": self.until.and_then(learning::moment),
            "iterations": options.factors.iterations,
            "ridge": model.ridge,
            "neighbour_weight": model.state.neighbour_weight,
            "boost": fold_in.boost,
            "alpha": fold_in.alpha,
            "lambda": fold_in.lambda,
            "kappa": fold_in.kappa,
            "user_exponent": fold_in.user_exponent,
            "listener_exponent": fold_in.listener_exponent,
            "output_exponent": fold_in.output_exponent,
            "certainty_exponent": fold_in.certainty_exponent,
            "confidence_exponent": fold_in.confidence_exponent,
            "mean_listeners": fold_in.mean_listeners,
            "skip": { "target": fold_in.skip.target, "confidence": fold_in.skip.confidence },
            "dislike": { "target": fold_in.dislike.target, "confidence": fold_in.dislike.confidence },
            "neighbours": {
                "user_exponent": options.neighbours.user_exponent,
                "source_exponent": options.neighbours.source_exponent,
                "target_exponent": options.neighbours.target_exponent,
                "ridge": options.neighbours.ridge,
                "candidates": options.neighbours.candidates,
                "kept": options.neighbours.kept,
            },
        })
    }
}

/// Stores vectors, centroids of genres, neighbours and the state.
fn store(model_id: i64, catalogue: &CatalogueFeatures, model: &Model, tracks: &[u32]) {
    let dims = model.state.fold_in.dims();
    let mut centroids = or_raise(Centroids::new(catalogue.genre_names.len(), dims));
    for (output, &track) in model.outputs.chunks_exact(dims).zip(tracks) {
        centroids.add(catalogue.genres_of(track as usize), output);
    }
    let rows = model.outputs.chunks_exact(dims).zip(tracks).zip(&model.listeners);
    models::write_track_embeddings(
        model_id,
        rows.enumerate().map(|(number, ((embedding, &track), &listeners))| {
            let track = track as usize;
            Embedded {
                track_id: &catalogue.track_ids[track],
                embedding,
                song_key: catalogue.song_keys[track],
                duration_ms: catalogue.durations[track],
                listeners: i32::try_from(listeners).unwrap_or(i32::MAX),
                popularity: catalogue.popularity(track),
                track_no: Some(number as i32),
            }
        }),
    );
    models::write_genre_embeddings(
        model_id,
        catalogue.genre_names.iter().enumerate().filter_map(|(genre, name)| {
            centroids.get(genre).map(|(centroid, count)| (name.as_str(), centroid, count))
        }),
    );
    learning::write_neighbours(model_id, &model.neighbours);
    let name = |&genre: &u32| catalogue.genre_names[genre as usize].clone();
    let cold = model.cold.as_ref().map(|map| (map, map.genres.iter().map(name).collect()));
    learning::write_state(model_id, model.state.to_words(), cold);
}

fn metrics(model: &Model, data: &Interactions, times: [Duration; 3]) -> serde_json::Value {
    let [read, trained, stored] = times.map(|time| time.as_millis() as u64);
    let heard = model.listeners.iter().filter(|&&listeners| listeners > 0).count();
    let plays: u64 = model.listeners.iter().map(|&listeners| u64::from(listeners)).sum();
    let trials: Vec<serde_json::Value> = model
        .trials
        .iter()
        .map(|trial| {
            json!({
                "ridge": trial.ridge,
                "output_exponent": trial.output_exponent,
                "neighbour_weight": trial.neighbour_weight,
                "ndcg": trial.ndcg.value(),
                "ndcg_standard_error": trial.ndcg.standard_error(),
                "recall": trial.recall.value(),
                "recall_standard_error": trial.recall.standard_error(),
            })
        })
        .collect();
    json!({
        "tracks": model.listeners.len(),
        "tracks_without_plays": model.listeners.len() - heard,
        "users": data.users(),
        "plays": plays,
        "neighbours": model.neighbours.weights.len(),
        "validation": {
            "chosen": trials.first(),
            "users": model.trials.first().map_or(0, |trial| trial.ndcg.count()),
            "k": Options::default().k,
            "trials": trials,
        },
        "milliseconds": { "read": read, "train": trained, "store": stored },
    })
}

/// All plays and ratings, by users and tracks of a catalogue.
pub(super) struct Plays {
    /// Before a moment; users in byte order.
    pub known: Interactions,
    /// What each user played from that moment on and did not skip, ascending.
    pub later: Vec<Vec<u32>>,
}

impl Plays {
    /// Reads them under the caller's snapshot; `until` in microseconds since
    /// 2000-01-01 00:00 UTC. Plays of other tracks do not count.
    pub(super) fn read(catalogue: &CatalogueFeatures, until: Option<i64>, half_life: f64) -> Plays {
        let mut tracks = HashMap::new();
        for (track, id) in catalogue.track_ids.iter().enumerate() {
            memory::put(&mut tracks, id.as_str(), track as u32, "tracks");
        }
        let is_later = |at: i64| until.is_some_and(|until| at >= until);
        let mut users = Users::default();
        let mut histories = Histories::default();
        let mut later: Vec<(u32, u32)> = Vec::new();
        learning::each_play(|play| {
            let Some(&track) = tracks.get(play.track_id) else { return };
            let user = users.number(play.user_id);
            let (played_at, skipped) = (play.played_at, play.skipped == Some(true));
            if is_later(played_at) {
                if !skipped {
                    memory::push(&mut later, (user, track), "plays");
                }
                return;
            }
            let duration = catalogue.durations[track as usize];
            let completion = listening::completion(play.ms_played, duration, play.skipped);
            let kind = listening::Kind::Played { completion, skipped };
            or_raise(histories.add(user, Event { track, at: played_at, kind }));
        });
        learning::each_rating(|rating| {
            let Some(&track) = tracks.get(rating.track_id) else { return };
            if !is_later(rating.rated_at) {
                let kind = said(&rating);
                let event = Event { track, at: rating.rated_at, kind };
                or_raise(histories.add(users.number(rating.user_id), event));
            }
        });
        let ranks = users.ranks();
        let known = or_raise(histories.gather(tracks.len(), &ranks, half_life, &interrupt));
        let mut by_user: Vec<Vec<u32>> = memory::filled(Vec::new(), ranks.len(), "users");
        for (user, track) in later {
            memory::push(&mut by_user[ranks[user as usize] as usize], track, "plays");
        }
        for own in &mut by_user {
            own.sort_unstable();
            own.dedup();
        }
        Plays { known, later: by_user }
    }
}

/// Users by the order in which they came.
#[derive(Default)]
struct Users {
    numbers: HashMap<String, u32>,
    last: Option<(String, u32)>,
}

impl Users {
    fn number(&mut self, id: &str) -> u32 {
        // Plays of a user mostly lie together.
        if let Some((last, number)) = &self.last
            && last == id
        {
            return *number;
        }
        let number = match self.numbers.get(id) {
            Some(&number) => number,
            None => {
                let number = self.numbers.len() as u32;
                memory::put(&mut self.numbers, memory::owned(id), number, "users");
                number
            }
        };
        self.last = Some((memory::owned(id), number));
        number
    }

    /// The place of each in byte order.
    fn ranks(&self) -> Vec<u32> {
        let mut sorted = memory::collected(self.numbers.iter(), "users");
        sorted.sort_unstable();
        let mut ranks = memory::filled(0, sorted.len(), "users");
        for (rank, (_, &number)) in sorted.into_iter().enumerate() {
            ranks[number as usize] = rank as u32;
        }
        ranks
    }
}
