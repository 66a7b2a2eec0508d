//! Models whose track vectors were made elsewhere.

use std::collections::HashMap;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use serde_json::json;
use sparkify_core::taste::Centroids;

use crate::error::{or_raise, raise, required};
use crate::storage::embedding_source::{self, MOST_DIMS};
use crate::storage::features::{self, CatalogueFeatures};
use crate::storage::models::{self, Embedded};
use crate::storage::{catalogue_index, plays, spi};

/// Vectors that one statement writes.
const BATCH: usize = 4096;

/// What was found of the vectors, beside those that are stored.
#[derive(Default)]
struct Found {
    unknown: u64,
    missing: u64,
    not_finite: u64,
    zero: u64,
}

// No search_path clause: the source is the caller's, and so are its names.
#[pg_extern(volatile, parallel_unsafe)]
fn import_embeddings(
    source: Option<&str>,
    activate: default!(Option<bool>, true),
    metric: default!(Option<&str>, "'cosine'"),
    half_life_days: default!(Option<f64>, 30.0),
) -> i64 {
    let source = required(source, "source");
    let activate = required(activate, "activate");
    let metric = required(metric, "metric");
    if metric != "cosine" {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("metric must be cosine, not \"{metric}\""),
            Some(
                "Vectors that are compared by their dot product are the same by cosine once their lengths are equal.",
            ),
        );
    }
    let half_life_days = super::embeddings::half_life(required(half_life_days, "half_life_days"));
    let vectors = embedding_source::open(source);
    // What is the caller's is read under the caller's search path, all else under ours.
    let (catalogue, model_id) = spi::under_own_search_path(|| {
        (features::read(), models::insert("imported", metric, json!({})))
    });
    let mut writer = Writer::new(model_id, &catalogue);
    embedding_source::read(&vectors, |id, vector| writer.take(id, vector));
    spi::under_own_search_path(|| {
        let metrics = writer.finish();
        let dims = metrics["dims"].clone();
        models::set_params(model_id, json!({ "dims": dims, "half_life_days": half_life_days }));
        models::set_metrics(model_id, metrics);
        if activate {
            models::activate(model_id);
        }
        // Whoever asks first need not wait until it is packed.
        catalogue_index::prepare(&models::resolve_to_write(Some(model_id)));
        model_id
    })
}

/// Stores vectors as they come.
struct Writer<'a> {
    model_id: i64,
    catalogue: &'a CatalogueFeatures,
    dims: usize,
    first: String,
    seen: Vec<bool>,
    listeners: HashMap<String, i32>,
    stored: u64,
    found: Found,
    centroids: Option<Centroids>,
    tracks: Vec<usize>,
    values: Vec<f32>,
}

impl<'a> Writer<'a> {
    fn new(model_id: i64, catalogue: &'a CatalogueFeatures) -> Writer<'a> {
        Writer {
            model_id,
            catalogue,
            dims: 0,
            first: String::new(),
            seen: vec![false; catalogue.track_ids.len()],
            listeners: plays::listeners(),
            stored: 0,
            found: Found::default(),
            centroids: None,
            tracks: Vec::new(),
            values: Vec::new(),
        }
    }

    fn take(&mut self, id: Option<&str>, vector: Option<&[f32]>) {
        let Some(id) = id else {
            self.found.unknown += 1;
            return;
        };
        let Some(vector) = vector.filter(|vector| !vector.is_empty()) else {
            self.found.missing += 1;
            return;
        };
        let invalid = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
        if self.dims == 0 {
            if vector.len() > MOST_DIMS {
                let message = format!(
                    "vectors may have at most {MOST_DIMS} dimensions, not {}",
                    vector.len()
                );
                raise(invalid, message, Some("Reduce them first, as by principal components."));
            }
            self.dims = vector.len();
            id.clone_into(&mut self.first);
            self.centroids =
                Some(or_raise(Centroids::new(self.catalogue.genre_names.len(), self.dims)));
        }
        if vector.len() != self.dims {
            let message = format!(
                "the vector of track \"{id}\" has {} dimensions, and that of \"{}\" has {}",
                vector.len(),
                self.first,
                self.dims
            );
            raise(invalid, message, Some("All vectors of a model must have as many."));
        }
        if !vector.iter().all(|value| value.is_finite()) {
            self.found.not_finite += 1;
            return;
        }
        let squares: f64 = vector.iter().map(|&value| f64::from(value).powi(2)).sum();
        if squares.sqrt() < f64::from(f32::MIN_POSITIVE) {
            self.found.zero += 1;
            return;
        }
        let Ok(track) = self.catalogue.track_ids.binary_search_by(|have| have.as_str().cmp(id))
        else {
            self.found.unknown += 1;
            return;
        };
        if std::mem::replace(&mut self.seen[track], true) {
            raise(
                PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
                format!("the source gives two vectors for track \"{id}\""),
                Some("Let the query choose one, as by DISTINCT ON (track_id)."),
            );
        }
        let catalogue = self.catalogue;
        let genres = catalogue.genre_offsets[track]..catalogue.genre_offsets[track + 1];
        if let Some(centroids) = &mut self.centroids {
            centroids.add(&catalogue.genres[genres], vector);
        }
        self.tracks.push(track);
        self.values.extend_from_slice(vector);
        if self.tracks.len() >= BATCH {
            spi::under_own_search_path(|| self.write());
        }
    }

    fn write(&mut self) {
        let catalogue = self.catalogue;
        let rows = self.tracks.iter().zip(self.values.chunks_exact(self.dims.max(1)));
        self.stored += models::write_track_embeddings(
            self.model_id,
            rows.map(|(&track, embedding)| Embedded {
                track_id: &catalogue.track_ids[track],
                embedding,
                song_key: catalogue.song_keys[track],
                duration_ms: catalogue.durations[track],
                listeners: self.listeners.get(&catalogue.track_ids[track]).copied().unwrap_or(0),
                popularity: catalogue.popularity(track),
                track_no: None,
            }),
        );
        self.tracks.clear();
        self.values.clear();
    }

    /// Writes what is left; gives what is known of the model.
    fn finish(mut self) -> serde_json::Value {
        if !self.tracks.is_empty() {
            self.write();
        }
        let Found { unknown, missing, not_finite, zero } = self.found;
        if self.stored == 0 {
            crate::error::raise_detailed(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "the source gives no vector of a track of the catalogue",
                format!(
                    "Left out: {unknown} of unknown tracks, {missing} missing, {not_finite} not finite, {zero} zero."
                ),
                "Its ids must be those of sparkify.tracks.",
            );
        }
        if let Some(centroids) = &self.centroids {
            models::write_genre_embeddings(
                self.model_id,
                self.catalogue.genre_names.iter().enumerate().filter_map(|(genre, name)| {
                    centroids.get(genre).map(|(centroid, count)| (name.as_str(), centroid, count))
                }),
            );
        }
        let without = self.catalogue.track_ids.len() as u64 - self.stored;
        for (rows, what) in [
            (unknown, "vectors of tracks that the catalogue does not hold left out"),
            (missing, "missing vectors left out"),
            (not_finite, "vectors that are not finite left out"),
            (zero, "vectors of length zero left out"),
            (without, "tracks have no vector and will not be recommended"),
        ] {
            if rows > 0 {
                pgrx::notice!("{rows} {what}");
            }
        }
        json!({
            "tracks": self.stored,
            "dims": self.dims,
            "tracks_without_vector": without,
            "unknown_tracks": unknown,
            "missing_vectors": missing,
            "not_finite_vectors": not_finite,
            "zero_vectors": zero,
        })
    }
}
