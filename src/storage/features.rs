//! The tracks as the embedding sees them.

use std::collections::BTreeMap;

use ndarray::Array2;
use sparkify_core::catalogue::FEATURES;
use sparkify_core::embedding::Features;
use sparkify_core::sorting;

use super::spi;
use crate::interrupt::interrupt;
use crate::memory;

/// What memory is asked for.
const WHAT: &str = "the tracks of the catalogue";

/// All tracks, in byte order of their ids.
pub struct CatalogueFeatures {
    /// Ids.
    pub track_ids: Vec<String>,
    /// Songs.
    pub song_keys: Vec<u128>,
    /// Durations in milliseconds.
    pub durations: Vec<Option<i32>>,
    /// `(n_tracks, 14)` in the order of [`FEATURES`]; NaN where unknown.
    pub numeric: Array2<f64>,
    /// Where each track's genres begin in `genres`; one entry more than tracks.
    pub genre_offsets: Vec<usize>,
    /// Genres of the tracks, one after the other, as indices into `genre_names`.
    pub genres: Vec<u32>,
    /// The genres in byte order.
    pub genre_names: Vec<String>,
}

impl CatalogueFeatures {
    /// As the mathematics takes them.
    pub fn features(&self) -> Features<'_> {
        Features {
            numeric: self.numeric.view(),
            genre_offsets: &self.genre_offsets,
            genres: &self.genres,
            n_genres: self.genre_names.len(),
        }
    }

    /// The catalogue's popularity of a track, the first of its features.
    pub fn popularity(&self, track: usize) -> Option<i32> {
        let popularity = self.numeric[(track, 0)];
        (!popularity.is_nan()).then_some(popularity as i32)
    }

    /// The genres of a track.
    pub fn genres_of(&self, track: usize) -> &[u32] {
        &self.genres[self.genre_offsets[track]..self.genre_offsets[track + 1]]
    }
}

/// One track as it is read.
struct Read {
    track_id: String,
    song_key: u128,
    duration_ms: Option<i32>,
    numeric: [f64; FEATURES.len()],
    genres: Vec<String>,
}

/// Reads the whole catalogue under the caller's snapshot.
pub fn read() -> CatalogueFeatures {
    let numeric = FEATURES.map(|feature| format!("{}::double precision", feature.name)).join(", ");
    let mut tracks: Vec<Read> = Vec::new();
    spi::select(
        &format!("SELECT track_id, song_key, duration_ms, genres, {numeric} FROM sparkify.tracks"),
        &[],
        |row| {
            let mut genres = row.texts(3).unwrap_or_default();
            genres.sort_unstable();
            genres.dedup();
            let track = Read {
                track_id: row.owned(0),
                song_key: row.uuid(1).unwrap_or_default(),
                duration_ms: row.i32(2),
                numeric: std::array::from_fn(|i| row.f64(4 + i).unwrap_or(f64::NAN)),
                genres,
            };
            memory::push(&mut tracks, track, WHAT);
        },
    );
    sorting::sort_by(&mut tracks, &interrupt, |a, b| a.track_id.cmp(&b.track_id));
    arrange(tracks)
}

/// Interrupts now and then, by a track's number.
fn check(at: usize) {
    if at.is_multiple_of(4096) {
        interrupt();
    }
}

fn arrange(tracks: Vec<Read>) -> CatalogueFeatures {
    // A tree grows by small pieces.
    let mut numbers = BTreeMap::new();
    for (at, track) in tracks.iter().enumerate() {
        check(at);
        numbers.extend(track.genres.iter().map(|genre| (genre.as_str(), 0)));
    }
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number as u32;
    }
    let (mut genre_offsets, mut genres) = (vec![0], Vec::new());
    for (at, track) in tracks.iter().enumerate() {
        check(at);
        for genre in &track.genres {
            memory::push(&mut genres, numbers[genre.as_str()], WHAT);
        }
        memory::push(&mut genre_offsets, genres.len(), WHAT);
    }
    let numeric = memory::collected(tracks.iter().flat_map(|track| track.numeric), WHAT);
    let shape = (tracks.len(), FEATURES.len());
    interrupt();
    CatalogueFeatures {
        // Of that length it cannot fail.
        numeric: Array2::from_shape_vec(shape, numeric).unwrap_or_default(),
        genre_offsets,
        genres,
        genre_names: memory::collected(numbers.keys().map(|&name| name.to_owned()), WHAT),
        song_keys: memory::collected(tracks.iter().map(|t| t.song_key), WHAT),
        durations: memory::collected(tracks.iter().map(|t| t.duration_ms), WHAT),
        track_ids: memory::collected(tracks.into_iter().map(|t| t.track_id), WHAT),
    }
}
