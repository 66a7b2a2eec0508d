//! The packed catalogue: one flat, position-independent byte image.
//!
//! A position is the rank of a track's id in byte order, from 0. What is read of
//! many tracks at once lies by row, an order in which tracks that are alike stand
//! together. The image starts with a header of little fixed fields, followed by
//! sections that start on 64-byte boundaries. Nothing in it is an address, so it can
//! lie in a file or in shared memory and be read where it is mapped.

use xxhash_rust::xxh3::xxh3_64;

use super::arrange::RUN_BLOCKS;
use super::bounds::Measures;
use super::bytes::{self, ALIGNMENT};
use super::kernel::{self, BLOCK, GROUP, padded};
use super::score;
use crate::{Error, Result};

/// First bytes of an image.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"SPKRANK\0");
/// Layout of the image; another layout is refused.
pub(super) const LAYOUT: u64 = 3;
/// A duration that is not known.
pub(super) const NO_DURATION: i32 = i32::MIN;

/// Ids that are looked up at a time.
const LOOKED_UP_TOGETHER: usize = 16;

/// Sections of an image, in order.
#[derive(Clone, Copy)]
pub(super) enum Section {
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
    /// `f64`: see [`Measures::store`].
    Measures,
}

pub(super) const SECTIONS: usize = 13;

/// Words of the header, each a `u64`.
pub(super) mod word {
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
    /// Start and length in bytes of each section.
    pub const SECTIONS: usize = 9;
}

/// Words of the header; the last one is the xxh3 of the others.
pub(super) const HEADER_WORDS: usize = 64;
pub(super) const HEADER_BYTES: usize = HEADER_WORDS * 8;

/// An index over an image, which it borrows.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    image: &'a [u8],
    len: usize,
    dims: usize,
    songs_len: usize,
    fingerprint: u128,
    vectors: &'a [f32],
    norms: &'a [f64],
    positions: &'a [u32],
    rows: &'a [u32],
    songs: &'a [u32],
    durations: &'a [i32],
    slots: &'a [u64],
    id_ends: &'a [u32],
    id_texts: &'a [u8],
    blocks: &'a [u8],
    means: &'a [u8],
    rotation: &'a [f32],
    measures: Measures,
}

impl<'a> Index<'a> {
    /// Reads the header of `image` and finds its sections; constant time.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the bytes are not an image of this layout,
    /// were cut short, lie off a 64-byte boundary, or their header is damaged.
    /// The rest is checked by [`Index::verify`].
    pub fn open(image: &'a [u8]) -> Result<Self> {
        if !image.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(refused("address", image.as_ptr().addr(), "a multiple of 64"));
        }
        let header = image.get(..HEADER_BYTES).and_then(bytes::view::<u64>);
        let Some(header) = header else {
            return Err(refused("length", image.len(), "at least the header"));
        };
        if header[word::MAGIC] != MAGIC {
            return Err(refused("first word", header[word::MAGIC], "that of a sparkify index"));
        }
        if header[word::LAYOUT] != LAYOUT {
            return Err(refused("layout", header[word::LAYOUT], LAYOUT));
        }
        if header[HEADER_WORDS - 1] != header_check(header) {
            return Err(refused("header checksum", header[HEADER_WORDS - 1], "that of the header"));
        }
        if header[word::TOTAL] != image.len() as u64 {
            return Err(refused("length", image.len(), header[word::TOTAL]));
        }
        let len = header[word::LEN] as usize;
        let dims = header[word::DIMS] as usize;
        let row = padded(dims);
        let slots: &[u64] = section(image, header, Section::Slots, None)?;
        if !slots.len().is_power_of_two() {
            return Err(refused("slots", slots.len(), "a power of two"));
        }
        let stored = section(image, header, Section::Measures, Some(Measures::STORED))?;
        let measures = Measures::load(stored).filter(|measures| measures.groups > 0);
        let measures = measures.ok_or_else(|| refused("groups", 0, "positive"))?;
        let block = (measures.groups * GROUP).checked_mul(BLOCK);
        let bytes = |tracks: usize| block?.checked_mul(tracks.div_ceil(BLOCK));
        let (blocks, means) = (bytes(len), bytes(len.div_ceil(BLOCK).div_ceil(RUN_BLOCKS)));
        let rotation: &[f32] = section(image, header, Section::Rotation, None)?;
        if !rotation.is_empty() && Some(rotation.len()) != dims.checked_mul(dims) {
            return Err(refused("rotation", rotation.len(), "the square of its dimensions"));
        }
        Ok(Self {
            image,
            len,
            dims,
            songs_len: header[word::SONGS] as usize,
            fingerprint: u128::from(header[word::FINGERPRINT_LOW])
                | u128::from(header[word::FINGERPRINT_HIGH]) << 64,
            vectors: section(image, header, Section::Vectors, len.checked_mul(row))?,
            norms: section(image, header, Section::Norms, Some(len))?,
            positions: section(image, header, Section::Positions, Some(len))?,
            rows: section(image, header, Section::Rows, Some(len))?,
            songs: section(image, header, Section::Songs, Some(len))?,
            durations: section(image, header, Section::Durations, Some(len))?,
            slots,
            id_ends: section(image, header, Section::IdEnds, len.checked_add(1))?,
            id_texts: section(image, header, Section::IdTexts, None)?,
            blocks: section(image, header, Section::Blocks, blocks)?,
            means: section(image, header, Section::Means, means)?,
            rotation,
            measures,
        })
    }

    /// Reads the whole image and compares it with its checksum.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it was damaged after it was written.
    pub fn verify(&self) -> Result<()> {
        let header = bytes::view::<u64>(&self.image[..HEADER_BYTES]).unwrap_or_default();
        let found = xxh3_64(&self.image[HEADER_BYTES..]);
        match header.get(word::BODY_CHECK) {
            Some(&expected) if expected == found => Ok(()),
            expected => Err(refused("checksum", found, expected.copied().unwrap_or_default())),
        }
    }

    /// Number of tracks.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no track.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Components per vector.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Number of different songs; song numbers lie below it.
    pub fn songs_len(&self) -> usize {
        self.songs_len
    }

    /// What the image was built from, as given by its builder.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// Id of the track at `position`.
    ///
    /// # Panics
    /// When `position` is not below [`Index::len`]; so do the other accessors.
    pub fn id(&self, position: u32) -> &'a str {
        std::str::from_utf8(self.id_bytes(position)).unwrap_or_default()
    }

    /// Id of the track as UTF-8, which is not checked.
    pub fn id_bytes(&self, position: u32) -> &'a [u8] {
        let ends = &self.id_ends[position as usize..position as usize + 2];
        self.id_texts.get(ends[0] as usize..ends[1] as usize).unwrap_or_default()
    }

    /// Position of the track with this id.
    pub fn position(&self, id: &str) -> Option<u32> {
        let hash = xxh3_64(id.as_bytes());
        self.slots_of(hash).find(|&position| self.id_bytes(position) == id.as_bytes())
    }

    /// The [position](Self::position) of each id, in their order. Every look-up
    /// waits for memory three times; here those of several ids wait together.
    pub fn positions<'b>(
        &self,
        ids: impl IntoIterator<Item = &'b str>,
        mut each: impl FnMut(Option<u32>),
    ) {
        let mut ids = ids.into_iter();
        loop {
            let mut round = [("", 0, None); LOOKED_UP_TOGETHER];
            let mut count = 0;
            for (entry, id) in round.iter_mut().zip(ids.by_ref()) {
                *entry = (id, xxh3_64(id.as_bytes()), None);
                count += 1;
            }
            let round = &mut round[..count];
            for (_, hash, position) in round.iter_mut() {
                *position = self.slots_of(*hash).next();
            }
            // The first with this hash is nearly always the one sought.
            for (id, hash, position) in round.iter_mut() {
                let found = position.map(|position| self.id_bytes(position));
                if found.is_some_and(|found| found != id.as_bytes()) {
                    *position = self
                        .slots_of(*hash)
                        .find(|&position| self.id_bytes(position) == id.as_bytes());
                }
            }
            for (_, _, position) in round.iter() {
                each(*position);
            }
            if count < LOOKED_UP_TOGETHER {
                return;
            }
        }
    }

    /// Positions of the tracks whose id may have this hash.
    fn slots_of(&self, hash: u64) -> impl Iterator<Item = u32> {
        let mask = self.slots.len() - 1;
        (0..self.slots.len())
            .map(move |step| self.slots[(hash as usize).wrapping_add(step) & mask])
            .take_while(|&slot| slot as u32 != 0)
            .filter(move |&slot| slot >> 32 == hash >> 32)
            .map(|slot| slot as u32 - 1)
            .filter(|&position| (position as usize) < self.len)
    }

    /// Asks the processor to bring what there is of a track near, for use soon.
    pub fn prefetch(&self, position: u32) {
        kernel::prefetch(self.vectors, padded(self.dims), self.norms, &[self.row_of(position)]);
    }

    /// Song number of the track: tracks of one song share it.
    pub fn song(&self, position: u32) -> u32 {
        self.songs[position as usize]
    }

    /// Length of the track in milliseconds, where known.
    pub fn duration_ms(&self, position: u32) -> Option<i32> {
        Some(self.durations[position as usize]).filter(|&ms| ms != NO_DURATION)
    }

    /// Raw vector of the track, (dims), as it was pushed.
    pub fn vector(&self, position: u32) -> &'a [f32] {
        &self.padded_vector(position)[..self.dims]
    }

    /// Raw vector padded with zeros to the row length.
    fn padded_vector(&self, position: u32) -> &'a [f32] {
        let row = padded(self.dims);
        &self.vectors[self.row_of(position) as usize * row..][..row]
    }

    /// Row of the track at `position`.
    pub(super) fn row_of(&self, position: u32) -> u32 {
        self.rows[position as usize]
    }

    /// Position of the track in `row`.
    pub(super) fn position_of(&self, row: u32) -> u32 {
        self.positions[row as usize]
    }

    /// Raw vectors by row, padded with zeros, (n, row floats).
    pub(super) fn vectors(&self) -> &'a [f32] {
        self.vectors
    }

    /// Norms by row.
    pub(super) fn norms(&self) -> &'a [f64] {
        self.norms
    }

    pub(super) fn rotation(&self) -> &'a [f32] {
        self.rotation
    }

    pub(super) fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Blocks of tracks that bounds are made from.
    pub(super) fn blocks_len(&self) -> usize {
        self.len.div_ceil(BLOCK)
    }

    /// Codes of `count` blocks from `first`.
    pub(super) fn blocks(&self, first: usize, count: usize) -> &'a [u8] {
        let block = self.measures.groups * GROUP * BLOCK;
        &self.blocks[first * block..][..count * block]
    }

    /// Runs of [`RUN_BLOCKS`] blocks; the last one may be shorter.
    pub(super) fn runs_len(&self) -> usize {
        self.blocks_len().div_ceil(RUN_BLOCKS)
    }

    /// Mean codes of the runs, block by block.
    pub(super) fn means(&self) -> impl Iterator<Item = &'a [u8]> {
        self.means.chunks_exact(self.measures.groups * GROUP * BLOCK)
    }

    /// Euclidean norm of the raw vector.
    pub fn norm(&self, position: u32) -> f64 {
        self.norms[self.row_of(position) as usize]
    }

    /// The canonical score of a track for a padded query of known norm.
    pub(super) fn score(&self, position: u32, query: &[f32], query_norm: f64) -> f64 {
        let dot = score::dot(self.padded_vector(position), query);
        score::cosine_of(dot, self.norm(position), query_norm)
    }
}

pub(super) fn header_check(header: &[u64]) -> u64 {
    xxh3_64(bytes::bytes_of(&header[..HEADER_WORDS - 1]))
}

fn section<'a, T: bytes::Number>(
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

fn refused(
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
