//! How an image is laid out: a header of 64-bit words, then sections.

use xxhash_rust::xxh3::xxh3_64;

use super::bytes::{self, ALIGNMENT};
use crate::{Error, Result};

/// First bytes of an image.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SPKRANK\0");
/// Layout of the image; another layout is refused.
pub const LAYOUT: u64 = 4;
/// A duration that is not known.
pub const NO_DURATION: i32 = i32::MIN;

/// Sections of an image, in order.
#[derive(Clone, Copy)]
pub enum Section {
    /// `f32`, (n, row floats): raw vectors by row, padded with zeros.
    Vectors,
    /// `f64`, (n): canonical norms of the raw vectors by row.
    Norms,
    /// `u32`, (n): positions by row.
    Positions,
    /// `u32`, (n): rows by position.
    Rows,
    /// `u32`, (n): dense song numbers.
    Songs,
    /// `i32`, (n): durations in milliseconds.
    Durations,
    /// `u64`, (slots): hash table from id to position.
    Slots,
    /// `u32`, (n + 1): where each id starts in the texts.
    IdEnds,
    /// UTF-8 text of all ids, one after the other.
    IdTexts,
    /// `u8`, (blocks, groups, 16, 4): codes that bound scores, by row.
    Blocks,
    /// `u8`, (blocks of runs, groups, 16, 4): mean codes of runs of blocks.
    Means,
    /// `f32`, (dims, dims) or nothing: rotation that the codes are made in.
    Rotation,
    /// `f64`: see [`Measures::store`](super::bounds::Measures::store).
    Measures,
    /// `u8`, (n, fine width) by row or nothing: codes of all components.
    FineCodes,
    /// `f32`, (n, 4) by row or nothing: what the fine codes leave open.
    FineTerms,
    /// `u32`, (n) or nothing: listeners by position.
    Listeners,
    /// `u32`, (n) or nothing: positions in the order of their popularity.
    Popular,
    /// `f32`, as many: share of the most popular track, in that order.
    PopularShares,
    /// `f64`: what serving needs of the model; not read here.
    State,
    /// `u64`, (n + 1) or nothing: where each position's neighbours start.
    NeighbourEnds,
    /// `u32`: positions of neighbours, one track's after the other's.
    NeighbourPositions,
    /// `f32`, as many: their weights.
    NeighbourWeights,
}

pub const SECTIONS: usize = 22;

/// Words of the header, each a `u64`.
pub mod word {
    pub const MAGIC: usize = 0;
    pub const LAYOUT: usize = 1;
    pub const TOTAL: usize = 2;
    pub const LEN: usize = 3;
    pub const DIMS: usize = 4;
    pub const SONGS: usize = 5;
    pub const FINGERPRINT_LOW: usize = 6;
    pub const FINGERPRINT_HIGH: usize = 7;
    /// xxh3 of all bytes after the header.
    pub const BODY_CHECK: usize = 8;
    /// 0 for the cosine, 1 for the dot product.
    pub const METRIC: usize = 9;
    /// Start and length in bytes of each section.
    pub const SECTIONS: usize = 10;
}

/// Words of the header; the last one is the xxh3 of the others.
pub const HEADER_WORDS: usize = 64;
pub const HEADER_BYTES: usize = HEADER_WORDS * 8;

pub fn header_check(header: &[u64]) -> u64 {
    xxh3_64(bytes::bytes_of(&header[..HEADER_WORDS - 1]))
}

pub fn section<'a, T: bytes::Number>(
    image: &'a [u8],
    header: &[u64],
    section: Section,
    count: Option<usize>,
) -> Result<&'a [T]> {
    let at = word::SECTIONS + 2 * section as usize;
    let (start, length) = (header[at] as usize, header[at + 1] as usize);
    let numbers = start
        .checked_add(length)
        .filter(|_| start >= HEADER_BYTES && start.is_multiple_of(ALIGNMENT))
        .and_then(|end| image.get(start..end))
        .and_then(bytes::view::<T>)
        .filter(|numbers| count.is_none_or(|count| count == numbers.len()));
    numbers.ok_or_else(|| refused("section", section as usize, "inside the image"))
}

pub fn refused(
    name: &'static str,
    value: impl std::fmt::Display,
    expected: impl std::fmt::Display,
) -> Error {
    Error::OutOfRange {
        name: "index image",
        value: format!("{name} {value}"),
        expected: format!("one with {name} {expected}"),
    }
}
