//! The catalogue: songs, loading and cleaning.

use pgrx::datum::Uuid;
use pgrx::prelude::*;
use sparkify_core::catalogue;

// No search_path clause: nothing is looked up by name, and the clause would
// cost more than the key in every row written to tracks.
#[pg_extern(immutable, strict, parallel_safe)]
fn song_key(track_name: &str, artists: Array<'_, &str>) -> Uuid {
    let key = catalogue::song_key(track_name, artists.iter().flatten());
    Uuid::from_bytes(key.to_be_bytes())
}
