//! The catalogue: songs, loading and cleaning.

use pgrx::PgSqlErrorCode;
use pgrx::datum::Uuid;
use pgrx::prelude::*;
use sparkify_core::catalogue::{self, Cleaner, Generator};

use crate::error::{in_range, or_raise, raise, required};
use crate::interrupt::interrupt;
use crate::memory;
use crate::storage;

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
        drop(memory::filled(0u8, length.saturating_mul(8), "the key of a song"));
    }
    let key = or_raise(catalogue::song_key(track_name, artists.iter().flatten()));
    Uuid::from_bytes(key.to_be_bytes())
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn load_tracks(path: Option<&str>) -> i64 {
    storage::track_file::load(required(path, "path")) as i64
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn clean_tracks() -> TableIterator<'static, (name!(step, String), name!(rows, i64))> {
    storage::catalogue::lock_tracks();
    let mut cleaner = Cleaner::new();
    storage::catalogue::read_raw_tracks(|row, row_index| cleaner.push(row, row_index));
    let cleaned = or_raise(cleaner.finish(&interrupt));
    storage::catalogue::write_refusals(&cleaned.refusals);
    let written = storage::catalogue::write_tracks(&cleaned.tracks);
    let steps = [
        ("read", cleaned.read),
        ("refused", cleaned.refused),
        ("exact_duplicates", cleaned.exact_duplicates),
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
