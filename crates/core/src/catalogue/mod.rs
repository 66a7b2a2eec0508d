//! The catalogue: what a song is, and how raw rows become tracks.

mod song;

pub use song::song_key;
