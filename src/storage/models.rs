//! Models: which there are, which serves, and their embeddings.

use pgrx::datum::DatumWithOid;
use pgrx::{JsonB, PgSqlErrorCode};
use sparkify_core::rank::Metric;

use super::turns::{self, Work};
use super::{bulk, spi};
use crate::error::raise;
use crate::memory;

/// What memory is asked for.
const CENTROIDS: &str = "the centroids of genres";

/// Days after which a play weighs half, where a model does not say otherwise.
const DEFAULT_HALF_LIFE_DAYS: f64 = 30.0;

/// What serving needs to know of a model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Key in `models`.
    pub model_id: i64,
    /// Names the state of its embeddings.
    pub fingerprint: u128,
    /// What it was made of: content, collaborative, hybrid or imported.
    pub kind: String,
    /// What scores its tracks.
    pub metric: Metric,
    /// Days after which a play weighs half.
    pub half_life_days: f64,
    /// Whether it serves.
    pub active: bool,
    /// Length of the lists stored for every user, where they are.
    pub recommended: Option<i32>,
}

const COLUMNS: &str = "model_id, fingerprint, kind, metric, (params ->> 'half_life_days')::double precision, active, recommended";

fn read(row: &spi::Row) -> Model {
    Model {
        model_id: row.i64(0).unwrap_or_default(),
        fingerprint: row.uuid(1).unwrap_or_default(),
        kind: row.owned(2),
        metric: if row.text(3) == Some("dot") { Metric::Dot } else { Metric::Cosine },
        half_life_days: row.f64(4).unwrap_or(DEFAULT_HALF_LIFE_DAYS),
        active: row.bool(5).unwrap_or_default(),
        recommended: row.i32(6),
    }
}

/// The model asked for, or the active one; raises where there is none.
pub fn resolve(model_id: Option<i64>) -> Model {
    let found = match model_id {
        Some(id) => spi::select_first(
            &format!("SELECT {COLUMNS} FROM sparkify.models WHERE model_id = $1"),
            &[id.into()],
            read,
        ),
        None => spi::select_first(
            &format!("SELECT {COLUMNS} FROM sparkify.models WHERE active"),
            &[],
            read,
        ),
    };
    found.unwrap_or_else(|| raise_missing(model_id))
}

/// The model asked for, or the active one, kept from being deleted until the
/// transaction ends: for whoever writes rows of it.
pub fn resolve_to_write(model_id: Option<i64>) -> Model {
    let mut found = None;
    match model_id {
        Some(id) => spi::select_now(
            &format!("SELECT {COLUMNS} FROM sparkify.models WHERE model_id = $1 FOR KEY SHARE"),
            &[id.into()],
            |row| found = Some(read(row)),
        ),
        None => spi::select_now(
            &format!("SELECT {COLUMNS} FROM sparkify.models WHERE active FOR KEY SHARE"),
            &[],
            |row| found = Some(read(row)),
        ),
    }
    found.unwrap_or_else(|| raise_missing(model_id))
}

fn raise_missing(model_id: Option<i64>) -> ! {
    if let Some(id) = model_id {
        raise(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("model {id} does not exist"),
            Some("List models with SELECT * FROM sparkify.model_history."),
        );
    }
    let newest =
        spi::select_first("SELECT pg_catalog.max(model_id) FROM sparkify.models", &[], |row| {
            row.i64(0)
        });
    match newest.flatten() {
        Some(id) => raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "no model is active",
            Some(&format!("Run SELECT sparkify.activate_model({id}).")),
        ),
        None => raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "no model has been built",
            Some("Run SELECT sparkify.build_embeddings()."),
        ),
    }
}

/// Adds a model that does not serve yet; gives its id.
pub fn insert(kind: &str, metric: &str, params: serde_json::Value) -> i64 {
    let mut id = 0;
    spi::execute_returning(
        "INSERT INTO sparkify.models (kind, metric, params) VALUES ($1, $2, $3) RETURNING model_id",
        &[kind.into(), metric.into(), JsonB(params).into()],
        |row| id = row.i64(0).unwrap_or_default(),
    );
    id
}

/// Stores what is known of a model's quality and cost.
pub fn set_metrics(model_id: i64, metrics: serde_json::Value) {
    spi::execute(
        "UPDATE sparkify.models SET metrics = $2 WHERE model_id = $1",
        &[model_id.into(), JsonB(metrics).into()],
    );
}

/// Stores what serving needs to know of a model.
pub fn set_params(model_id: i64, params: serde_json::Value) {
    spi::execute(
        "UPDATE sparkify.models SET params = $2 WHERE model_id = $1",
        &[model_id.into(), JsonB(params).into()],
    );
}

/// Makes a model the one that serves. Waits for another activation under way.
pub fn activate(model_id: i64) {
    turns::take(Work::Activation);
    let mut found = false;
    spi::select_now(
        "SELECT 1 FROM sparkify.models WHERE model_id = $1 FOR NO KEY UPDATE",
        &[model_id.into()],
        |_| found = true,
    );
    if !found {
        raise_missing(Some(model_id));
    }
    spi::execute(
        "UPDATE sparkify.models SET active = false WHERE active AND model_id <> $1",
        &[model_id.into()],
    );
    spi::execute(
        "UPDATE sparkify.models SET active = true WHERE model_id = $1 AND NOT active",
        &[model_id.into()],
    );
}

/// Notes that every user has lists of length `n` of this model.
pub fn set_recommended(model_id: i64, n: i32) {
    spi::execute(
        "UPDATE sparkify.models SET recommended = $2 \
         WHERE model_id = $1 AND recommended IS DISTINCT FROM $2",
        &[model_id.into(), n.into()],
    );
}

/// Notes that changes were taken up for `model_id` alone, and other models' lists no longer hold.
pub fn forget_recommended_of_others(model_id: i64) {
    spi::execute(
        "UPDATE sparkify.models SET recommended = NULL \
         WHERE model_id <> $1 AND recommended IS NOT NULL",
        &[model_id.into()],
    );
}

/// One track's row in `track_embeddings`.
pub struct Embedded<'a> {
    /// The track.
    pub track_id: &'a str,
    /// Its vector, not normalised.
    pub embedding: &'a [f32],
    /// The song it is a version of.
    pub song_key: u128,
    /// Its duration.
    pub duration_ms: Option<i32>,
    /// Users who have played it.
    pub listeners: i32,
    /// The catalogue's own popularity.
    pub popularity: Option<i32>,
    /// Its number in a model of plays.
    pub track_no: Option<i32>,
}

/// Stores the track vectors of a model; `feed` hands each row to the function it is given.
pub fn write_track_embeddings<'a>(
    model_id: i64,
    mut rows: impl Iterator<Item = Embedded<'a>>,
) -> u64 {
    bulk::write_rows(
        "track_embeddings",
        &[
            "model_id",
            "track_id",
            "embedding",
            "song_key",
            "duration_ms",
            "listeners",
            "popularity",
            "track_no",
        ],
        &mut |out| {
            let Some(row) = rows.next() else { return false };
            out.i64(model_id);
            out.text(row.track_id);
            out.reals(row.embedding.iter().copied());
            out.uuid(row.song_key);
            out.optional(row.duration_ms, bulk::RowWriter::i32);
            out.i32(row.listeners);
            out.optional(row.popularity, bulk::RowWriter::i32);
            out.optional(row.track_no, bulk::RowWriter::i32);
            true
        },
    )
}

/// Stores the genre centroids of a model: genre, centroid, number of tracks.
pub fn write_genre_embeddings<'a>(
    model_id: i64,
    mut rows: impl Iterator<Item = (&'a str, Vec<f32>, u32)>,
) -> u64 {
    bulk::write_rows(
        "genre_embeddings",
        &["model_id", "genre", "embedding", "tracks"],
        &mut |out| {
            let Some((genre, embedding, tracks)) = rows.next() else { return false };
            out.i64(model_id);
            out.text(genre);
            out.reals(embedding.iter().copied());
            out.i32(tracks as i32);
            true
        },
    )
}

/// The genre centroids of a model, those named or all.
pub fn genre_embeddings(
    model_id: i64,
    genres: Option<Vec<String>>,
) -> std::collections::HashMap<String, Vec<f32>> {
    let mut centroids = std::collections::HashMap::new();
    let genres: DatumWithOid = genres.into();
    spi::select(
        "SELECT genre, embedding FROM sparkify.genre_embeddings \
         WHERE model_id = $1 AND ($2::text[] IS NULL OR genre = ANY ($2))",
        &[model_id.into(), genres],
        |row| {
            if let (Some(genre), Some(centroid)) = (row.text(0), row.reals(1)) {
                let centroid = memory::collected(centroid.iter().copied(), CENTROIDS);
                memory::put(&mut centroids, memory::owned(genre), centroid, CENTROIDS);
            }
        },
    );
    centroids
}
