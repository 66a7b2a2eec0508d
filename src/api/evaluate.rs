//! Evaluating a kind of model against what was played afterwards.

use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use serde_json::json;
use sparkify_core::Error;
use sparkify_core::embedding::{self, Dims};
use sparkify_learn::evaluate::{Later, Ranker, evaluate};
use sparkify_learn::metrics::Catalogue;
use sparkify_learn::{Options, train};

use super::embeddings;
use super::train::{HALF_LIFE_DAYS, Kind, Plays};
use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage::features::{self, CatalogueFeatures};
use crate::storage::learning::{self, Measured};

/// Components of the content that is compared with, where the catalogue allows.
const CONTENT_DIMS: usize = 64;

#[expect(clippy::type_complexity, reason = "the shape of the SQL function")]
#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "each is a named option in SQL")]
fn evaluate_model(
    kind: default!(Option<&str>, "'hybrid'"),
    holdout: default!(Option<Interval>, "'14 days'"),
    k: default!(Option<i32>, 20),
    max_users: default!(Option<i32>, 10_000),
    dims: default!(Option<i32>, 128),
    half_life_days: default!(Option<f64>, "NULL"),
    seed: default!(Option<i64>, 42),
    threads: default!(Option<i32>, 2),
    genre_weight: default!(Option<f64>, 5.0),
) -> TableIterator<
    'static,
    (
        name!(subject, String),
        name!(plays, String),
        name!(metric, String),
        name!(k, i32),
        name!(value, f64),
        name!(standard_error, Option<f64>),
        name!(users, i64),
    ),
> {
    let kind = Kind::named(required(kind, "kind"));
    let holdout = required(holdout, "holdout");
    let k = in_range(required(k, "k").into(), 1, 1000, "k") as i32;
    let most = i64::from(required(max_users, "max_users"));
    let most = in_range(most, 1, i64::from(i32::MAX), "max_users") as usize;
    let options = Options {
        dims: in_range(required(dims, "dims").into(), 1, 16_000, "dims") as usize,
        seed: required(seed, "seed") as u64,
        threads: in_range(required(threads, "threads").into(), 1, 256, "threads") as usize,
        ..Options::default()
    };
    let half_life_days = half_life_days.map_or(HALF_LIFE_DAYS, embeddings::half_life);
    let genre_weight = required(genre_weight, "genre_weight");

    let Some(cut) = learning::before_newest(holdout) else {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "nothing has been played",
            Some("INSERT plays INTO sparkify.listening_events, or run sparkify.generate_events()."),
        )
    };
    let catalogue = features::read();
    let plays = Plays::read(&catalogue, Some(cut), half_life_days);
    let kind = kind.for_plays(&plays.known);
    let users = users(&plays, most);
    let evaluation = Evaluation { kind, k: k as usize, options, genre_weight };
    let rows = evaluation.run(&catalogue, &plays, &users);
    let params = json!({
        "cut": learning::moment(cut),
        "users": users.len(),
        "plays_before": plays.known.len(),
        "dims": evaluation.options.dims,
        "half_life_days": half_life_days,
        "seed": evaluation.options.seed as i64,
    });
    learning::write_evaluation(kind.name(), params, k, &rows);
    TableIterator::new(rows.into_iter().map(move |(subject, plays, measure)| {
        let users = measure.users as i64;
        let metric = measure.metric.to_owned();
        (subject.into(), plays.into(), metric, k, measure.value, measure.standard_error, users)
    }))
}

/// Up to `most` of the users with plays before and after the cut, evenly spread.
fn users(plays: &Plays, most: usize) -> Vec<u32> {
    let both = |user: &u32| {
        let user = *user as usize;
        !plays.later[user].is_empty() && plays.known.plays_of(user).len() > 0
    };
    let all = memory::collected((0..plays.later.len() as u32).filter(both), "users");
    if all.is_empty() {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "no user has plays both before and after the cut",
            Some("Use another holdout."),
        );
    }
    if all.len() <= most {
        return all;
    }
    memory::collected((0..most).map(|at| all[at * all.len() / most]), "users")
}

struct Evaluation {
    kind: Kind,
    k: usize,
    options: Options,
    genre_weight: f64,
}

impl Evaluation {
    /// Measures the kind, and what it is compared with.
    fn run(&self, catalogue: &CatalogueFeatures, plays: &Plays, users: &[u32]) -> Vec<Measured> {
        let (content, dims) = self.content(catalogue);
        let listeners = or_raise(plays.known.listeners(&interrupt));
        let against = Catalogue {
            listeners: &listeners,
            users: plays.known.users(),
            vectors: &content,
            dims,
        };
        let later = Later { known: &plays.known, users, played: &plays.later };
        let mut rows = Vec::new();
        let mut measure = |subject: &'static str, ranker: Ranker| {
            let threads = self.options.threads;
            let [new, all] =
                or_raise(evaluate(ranker, later, &against, self.k, threads, &interrupt));
            rows.extend(new.into_iter().map(|measure| (subject, "new", measure)));
            rows.extend(all.into_iter().map(|measure| (subject, "all", measure)));
        };
        if self.kind != Kind::Content {
            let features = catalogue.features();
            let features = (self.kind == Kind::Hybrid).then_some(&features);
            let model = or_raise(train(&plays.known, features, &self.options, &interrupt));
            measure(self.kind.name(), Ranker::Model(&model));
        }
        if dims > 0 {
            measure("content", Ranker::Content(&content, dims));
        }
        measure("popularity", Ranker::Popularity(&listeners));
        measure("chance", Ranker::Chance(self.options.seed));
        rows
    }

    /// Unit vectors of the tracks from their content, and their dims: none where no
    /// feature differs between the tracks.
    fn content(&self, catalogue: &CatalogueFeatures) -> (Vec<f32>, usize) {
        let features = catalogue.features();
        let dims = Dims::AtMost(CONTENT_DIMS);
        let pca = match embedding::fit(&features, dims, self.genre_weight, &interrupt) {
            // Nothing tells the tracks apart but their plays.
            Err(Error::AboveRank { rank: 0, .. }) if self.kind != Kind::Content => {
                return (Vec::new(), 0);
            }
            fitted => or_raise(fitted),
        };
        let dims = pca.components.nrows();
        let mut vectors = memory::filled(0.0, catalogue.track_ids.len() * dims, "vectors");
        or_raise(pca.project(&features, &interrupt, |track, embedding| {
            let squares = embedding.iter().map(|&x| f64::from(x).powi(2));
            let norm = squares.sum::<f64>().sqrt();
            if norm > 0.0 {
                let row = &mut vectors[track * dims..(track + 1) * dims];
                for (out, &x) in row.iter_mut().zip(embedding) {
                    *out = (f64::from(x) / norm) as f32;
                }
            }
        }));
        (vectors, dims)
    }
}
