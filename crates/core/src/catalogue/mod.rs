//! The catalogue: what a track is, what a song is, and how raw rows become tracks.

mod clean;
mod generate;
mod track;

pub use clean::{Cleaned, Cleaner, RawTrack, Refusal, row_hash};
pub use generate::{GENERATED_PREFIX, Generator};
pub use sparkify_formats::song::song_key;
pub use track::{EXPLICIT, FEATURES, Feature, RAW_COLUMNS, Track};
