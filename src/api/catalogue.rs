//! The catalogue: songs, loading and cleaning.

use pgrx::PgSqlErrorCode;
use pgrx::datum::Uuid;
use pgrx::prelude::*;
use serde_json::Value;
use sparkify_core::catalogue::{self, Cleaner, Generator};

use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage;
use crate::storage::json::Document;

/// Names and artists of more bytes are unusual.
const LONG_SONG: usize = 1 << 20;

// No search_path clause: nothing is looked up by name, and the clause would
// cost more than the key in every row written to tracks.
#[pg_extern(immutable, strict, parallel_safe)]
fn song_key(track_name: &str, artists: Array<'_, &str>) -> Uuid {
    let of_artists: usize = artists.iter().flatten().map(str::len).sum();
    let length = track_name.len() + of_artists;
    if length > LONG_SONG {
        // Folding takes a few copies: see first whether there is room for them.
        memory::room(length.saturating_mul(8), "the key of a song");
    }
    let key = catalogue::song_key(track_name, artists.iter().flatten());
    Uuid::from_bytes(key.to_be_bytes())
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn load_tracks(path: Option<&str>, columns: default!(Option<Document>, "NULL")) -> i64 {
    let path = required(path, "path");
    storage::track_file::load(path, &column_map(columns)) as i64
}

// No search_path clause: the source is the caller's, and so are its names.
#[pg_extern(volatile, parallel_unsafe)]
fn import_tracks(source: Option<&str>, columns: default!(Option<Document>, "NULL")) -> i64 {
    let source = required(source, "source");
    storage::track_source::import(source, &column_map(columns)) as i64
}

/// The columns that a caller maps, or an error.
pub fn column_map(columns: Option<Document>) -> Vec<(String, Option<String>)> {
    let refuse = |message: String| -> ! {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            message,
            Some(
                "Map our names to yours, like {\"track_id\": \"id\", \"artists\": \"artist_name\"}; null leaves a column out.",
            ),
        )
    };
    let Some(columns) = columns else { return Vec::new() };
    let columns = columns.parse("columns");
    let Value::Object(columns) = columns else {
        refuse(format!("columns must be a JSON object, not {columns}"))
    };
    let read = |(name, value): (String, Value)| match value {
        Value::String(value) => (name, Some(value)),
        Value::Null => (name, None),
        other => refuse(format!("columns must map {name} to a name, not to {other}")),
    };
    columns.into_iter().map(read).collect()
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn clean_tracks() -> TableIterator<'static, (name!(step, String), name!(rows, i64))> {
    storage::catalogue::lock_tracks();
    let mut cleaner = Cleaner::new();
    storage::catalogue::read_raw_tracks(|row, row_index, delivery| {
        cleaner.push(row, row_index, delivery)
    });
    let cleaned = or_raise(cleaner.finish(&interrupt));
    storage::catalogue::write_refusals(&cleaned.refusals);
    let written = storage::catalogue::write_tracks(&cleaned.tracks);
    let steps = [
        ("read", cleaned.read),
        ("refused", cleaned.refused),
        ("exact_duplicates", cleaned.exact_duplicates),
        ("superseded", cleaned.superseded),
        ("merged", cleaned.merged),
        ("tracks", cleaned.tracks.len() as u64),
        ("written", written),
        ("failed_analyses", cleaned.failed_analyses),
    ];
    let steps = steps.map(|(step, rows)| (step.to_owned(), rows as i64));
    let repaired = cleaned.repaired.into_iter();
    let repaired = repaired.map(|(column, rows)| (format!("repaired_{column}"), rows as i64));
    TableIterator::new(steps.into_iter().chain(repaired))
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn generate_tracks(n: default!(Option<i32>, 10_000), seed: default!(Option<i64>, 42)) -> i64 {
    let n = in_range(i64::from(required(n, "n")), 1, 10_000_000, "n");
    let generator = Generator::new(required(seed, "seed")).unwrap_or_else(|error| {
        let message = format!("the statistics of the catalogue cannot be read: {error}");
        raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message, None)
    });
    storage::catalogue::lock_tracks();
    storage::catalogue::write_generated(generator, n as usize) as i64
}
