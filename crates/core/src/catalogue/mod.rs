//! The catalogue: what a track is, what a song is, and how raw rows become tracks.

mod clean;
mod csv_fault;
mod generate;
mod song;
mod track;

pub use clean::{Cleaned, Cleaner, RawTrack, Refusal, row_hash};
pub use csv_fault::{CsvFault, CsvFaultFinder};
pub use generate::{GENERATED_PREFIX, Generator};
pub use song::song_key;
pub use track::{EXPLICIT, FEATURES, Feature, RAW_COLUMNS, Track};
