//! Building models and choosing the one that serves.

use std::time::Instant;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use serde_json::{Map, json};
use sparkify_core::catalogue::FEATURES;
use sparkify_core::embedding::{self, Dims, Features, MAX_GENRES, Pca};
use sparkify_core::memory;
use sparkify_core::taste::Centroids;

use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::storage::features::{self, CatalogueFeatures};
use crate::storage::models::{self, Embedded};
use crate::storage::{catalogue_index, plays};

/// Components kept where nobody says how many and the catalogue allows.
pub(super) const DEFAULT_DIMS: usize = 64;

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn build_embeddings(
    dims: default!(Option<i32>, "NULL"),
    activate: default!(Option<bool>, true),
    half_life_days: default!(Option<f64>, 30.0),
    genre_weight: default!(Option<f64>, 5.0),
) -> i64 {
    let dims = match dims {
        Some(dims) => Dims::Exactly(in_range(dims.into(), 1, 16_000, "dims") as usize),
        None => Dims::AtMost(DEFAULT_DIMS),
    };
    let activate = required(activate, "activate");
    let half_life_days = half_life(required(half_life_days, "half_life_days"));
    let genre_weight = required(genre_weight, "genre_weight");
    build(dims, activate, half_life_days, genre_weight)
}

/// Days after which a play weighs half, if they are some.
pub(super) fn half_life(days: f64) -> f64 {
    if days.is_finite() && days > 0.0 {
        return days;
    }
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("half_life_days must be above 0 and finite, not {days}"),
        None,
    );
}

/// Builds a content model; gives its id.
pub(super) fn build(dims: Dims, activate: bool, half_life_days: f64, genre_weight: f64) -> i64 {
    let start = Instant::now();
    let catalogue = features::read();
    let read = start.elapsed();
    let features = catalogue.features();
    let pca = or_raise(embedding::fit(&features, dims, genre_weight, &interrupt));
    let fitted = start.elapsed();
    say_what_was_left(&features, &pca, dims);

    let params = json!({
        "dims": pca.components.nrows(),
        "half_life_days": half_life_days,
        "genre_weight": genre_weight,
    });
    let model_id = models::insert("content", "cosine", params);
    store(model_id, &catalogue, &features, &pca);
    let stored = start.elapsed();
    let mut metrics = metrics(&catalogue, &pca);
    metrics["milliseconds"] = json!({
        "read": read.as_millis() as u64,
        "fit": (fitted - read).as_millis() as u64,
        "store": (stored - fitted).as_millis() as u64,
    });
    models::set_metrics(model_id, metrics);
    if activate {
        models::activate(model_id);
    }
    // Whoever asks first need not wait until it is packed.
    catalogue_index::prepare(&models::resolve_to_write(Some(model_id)));
    model_id
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn activate_model(model_id: Option<i64>) {
    let model_id = required(model_id, "model_id");
    models::activate(model_id);
    catalogue_index::prepare(&models::resolve_to_write(Some(model_id)));
}

/// A NOTICE for what turned out smaller than one may have expected.
fn say_what_was_left(features: &Features, pca: &Pca, dims: Dims) {
    let kept = pca.components.nrows();
    if dims == Dims::AtMost(DEFAULT_DIMS) && kept < DEFAULT_DIMS {
        pgrx::notice!(
            "the features of the catalogue span {kept} dimensions: the model has as many, not the usual {DEFAULT_DIMS}"
        );
    }
    if features.n_genres > pca.genres.len() {
        pgrx::notice!(
            "of {} genres the {MAX_GENRES} that vary most are features of the model; the others do not count in it",
            features.n_genres
        );
    }
}

/// Projects the tracks, and stores them with the centroids of their genres.
fn store(model_id: i64, catalogue: &CatalogueFeatures, features: &Features, pca: &Pca) {
    let dims = pca.components.nrows();
    let tracks = catalogue.track_ids.len();
    let mut embeddings: Vec<f32> = Vec::new();
    or_raise(memory::reserve(&mut embeddings, tracks.saturating_mul(dims), "embeddings"));
    let mut centroids = or_raise(Centroids::new(catalogue.genre_names.len(), dims));
    or_raise(pca.project(features, &interrupt, |track, embedding| {
        let own = catalogue.genre_offsets[track]..catalogue.genre_offsets[track + 1];
        centroids.add(&catalogue.genres[own], embedding);
        embeddings.extend_from_slice(embedding);
    }));
    let listeners = plays::listeners();
    models::write_track_embeddings(
        model_id,
        embeddings.chunks_exact(dims).enumerate().map(|(track, embedding)| Embedded {
            track_id: &catalogue.track_ids[track],
            embedding,
            song_key: catalogue.song_keys[track],
            duration_ms: catalogue.durations[track],
            listeners: listeners.get(&catalogue.track_ids[track]).copied().unwrap_or(0),
            popularity: catalogue.popularity(track),
            track_no: None,
        }),
    );
    models::write_genre_embeddings(
        model_id,
        catalogue.genre_names.iter().enumerate().filter_map(|(genre, name)| {
            centroids.get(genre).map(|(centroid, count)| (name.as_str(), centroid, count))
        }),
    );
}

fn metrics(catalogue: &CatalogueFeatures, pca: &Pca) -> serde_json::Value {
    let name = |column: &usize| match FEATURES.get(*column) {
        Some(feature) => feature.name.to_owned(),
        None => format!("genre {}", catalogue.genre_names[column - FEATURES.len()]),
    };
    let missing: Map<String, serde_json::Value> = FEATURES
        .iter()
        .zip(catalogue.numeric.columns())
        .map(|(feature, column)| (feature.name, column.iter().filter(|v| v.is_nan()).count()))
        .filter(|(_, missing)| *missing > 0)
        .map(|(name, missing)| (name.to_owned(), missing.into()))
        .collect();
    let ratio = pca.explained_variance_ratio();
    json!({
        "tracks": catalogue.track_ids.len(),
        "genres": catalogue.genre_names.len(),
        "features": pca.components.ncols() - pca.constant.len(),
        "genres_left_out": catalogue.genre_names.len() - pca.genres.len(),
        "constant_features": pca.constant.iter().map(name).collect::<Vec<_>>(),
        "missing_values": missing,
        "explained_variance": ratio.sum(),
        "explained_variance_ratio": ratio.to_vec(),
    })
}
