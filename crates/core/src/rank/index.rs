//! The packed catalogue: one flat, position-independent byte image.
//!
//! A position is the rank of a track's id in byte order, from 0. What is read of
//! many tracks at once lies by row, an order in which tracks that are alike stand
//! together. The image starts with a header of little fixed fields, followed by
//! sections that start on 64-byte boundaries. Nothing in it is an address, so it can
//! lie in a file or in shared memory and be read where it is mapped.

use xxhash_rust::xxh3::xxh3_64;

use super::Metric;
use super::arrange::RUN_BLOCKS;
use super::bounds::Measures;
use super::bytes::{self, ALIGNMENT};
use super::fine::{self, TERMS};
use super::kernel::{self, BLOCK, GROUP, padded};
use super::layout::{
    HEADER_BYTES, HEADER_WORDS, LAYOUT, MAGIC, NO_DURATION, Section, header_check, refused,
    section, word,
};
use crate::Result;

/// Ids that are looked up at a time.
const LOOKED_UP_TOGETHER: usize = 16;

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
    pub(super) metric: Metric,
    pub(super) fine_codes: &'a [u8],
    pub(super) fine_terms: &'a [f32],
    pub(super) listeners: &'a [u32],
    pub(super) popular: &'a [u32],
    pub(super) popular_shares: &'a [f32],
    pub(super) state: &'a [f64],
    pub(super) neighbour_ends: &'a [u64],
    pub(super) neighbour_positions: &'a [u32],
    pub(super) neighbour_weights: &'a [f32],
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
        let metric = match header[word::METRIC] {
            0 => Metric::Cosine,
            1 => Metric::Dot,
            other => return Err(refused("metric", other, "0 or 1")),
        };
        let blocks = bytes(len);
        let means = match metric {
            Metric::Cosine => bytes(len.div_ceil(BLOCK).div_ceil(RUN_BLOCKS)),
            Metric::Dot => Some(0),
        };
        let rotation: &[f32] = section(image, header, Section::Rotation, None)?;
        if !rotation.is_empty() && Some(rotation.len()) != dims.checked_mul(dims) {
            return Err(refused("rotation", rotation.len(), "the square of its dimensions"));
        }
        // What not every model has is there for all tracks or for none.
        let fine_terms: &[f32] = section(image, header, Section::FineTerms, None)?;
        let fine = if fine_terms.is_empty() { 0 } else { len };
        let listeners: &[u32] = section(image, header, Section::Listeners, None)?;
        let popular: &[u32] = section(image, header, Section::Popular, None)?;
        for (name, found, each) in [
            ("fine terms", fine_terms.len(), TERMS),
            ("listeners", listeners.len(), 1),
            ("popular tracks", popular.len(), 1),
        ] {
            if found != 0 && Some(found) != len.checked_mul(each) {
                return Err(refused(name, found, "one for each track"));
            }
        }
        let neighbour_positions: &[u32] =
            section(image, header, Section::NeighbourPositions, None)?;
        let neighbour_ends: &[u64] = section(image, header, Section::NeighbourEnds, None)?;
        if !neighbour_ends.is_empty() && Some(neighbour_ends.len()) != len.checked_add(1) {
            return Err(refused("neighbours", neighbour_ends.len(), "ends of every track's"));
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
            metric,
            fine_codes: section(
                image,
                header,
                Section::FineCodes,
                fine.checked_mul(fine::width(dims)),
            )?,
            fine_terms,
            listeners,
            popular,
            popular_shares: section(image, header, Section::PopularShares, Some(popular.len()))?,
            state: section(image, header, Section::State, None)?,
            neighbour_ends,
            neighbour_positions,
            neighbour_weights: section(
                image,
                header,
                Section::NeighbourWeights,
                Some(neighbour_positions.len()),
            )?,
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
    pub(super) fn padded_vector(&self, position: u32) -> &'a [f32] {
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
}
