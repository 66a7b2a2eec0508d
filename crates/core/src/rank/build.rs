//! Packs a catalogue into the image that [`Index`](super::Index) reads.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

use super::bounds::Bounds;
use super::bytes::{self, ALIGNMENT, AlignedBytes};
use super::fine::Fine;
use super::kernel::{Kernel, Path, ROW_FLOATS, padded};
use super::layout::{
    self, HEADER_BYTES, HEADER_WORDS, NO_DURATION, SECTIONS, Section, header_check, word,
};
use super::{Metric, score};
use crate::{Error, Interrupt, Result, memory, popularity};

/// Largest number of components of a vector.
pub const MAX_DIMS: usize = 16_384;

/// Tracks between two calls of the interrupt.
const INTERRUPT_EVERY: usize = 4096;
const VECTORS: usize = Section::Vectors as usize;
const NORMS: usize = Section::Norms as usize;

/// Song keys are hashes already, as a rule: it is enough to mix their halves.
#[derive(Default)]
struct SongHasher(u64);

impl Hasher for SongHasher {
    fn write_u128(&mut self, song: u128) {
        let mixed = (song >> 64) as u64 ^ song as u64;
        self.0 = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Collects tracks in id order and packs them.
pub struct IndexBuilder {
    dims: usize,
    vectors: Vec<f32>,
    norms: Vec<f64>,
    songs: Vec<u32>,
    song_numbers: HashMap<u128, u32, BuildHasherDefault<SongHasher>>,
    durations: Vec<i32>,
    id_ends: Vec<u32>,
    id_texts: Vec<u8>,
    learned: Learned,
}

/// What a model has beside the vectors of its tracks. What is empty it does not have.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// What scores tracks.
    pub metric: Metric,
    /// Listeners by position.
    pub listeners: Vec<u32>,
    /// The catalogue's own popularity by position, 0 where unknown.
    pub popularity: Vec<i32>,
    /// What serving needs of the model; opaque to the ranking.
    pub state: Vec<f64>,
    /// Where each position's neighbours start, from 0, and where the last one's end.
    pub neighbour_ends: Vec<u64>,
    /// Positions of neighbours.
    pub neighbour_positions: Vec<u32>,
    /// Their weights, 0 or more.
    pub neighbour_weights: Vec<f32>,
}

impl IndexBuilder {
    /// A builder of vectors of `dims` components.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when `dims` is not in 1 to [`MAX_DIMS`].
    pub fn new(dims: usize) -> Result<Self> {
        if !(1..=MAX_DIMS).contains(&dims) {
            return Err(out_of_range("dims", dims, format!("between 1 and {MAX_DIMS}")));
        }
        Ok(Self {
            dims,
            vectors: Vec::new(),
            norms: Vec::new(),
            songs: Vec::new(),
            song_numbers: HashMap::default(),
            durations: Vec::new(),
            id_ends: vec![0],
            id_texts: Vec::new(),
            learned: Learned::default(),
        })
    }

    /// Gives the index what its model has beside vectors, once all tracks are there.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when something is not there for every track or for none,
    /// or a neighbour or a weight cannot be.
    pub fn learned(&mut self, learned: Learned) -> Result<()> {
        for (name, found) in [
            ("listeners", learned.listeners.len()),
            ("popularities", learned.popularity.len()),
            ("ends of neighbours", learned.neighbour_ends.len().saturating_sub(1)),
        ] {
            if found != 0 && found != self.len() {
                return Err(out_of_range(name, found, self.len()));
            }
        }
        let ends = &learned.neighbour_ends;
        let neighbours = learned.neighbour_positions.len();
        let whole = ends.first().is_none_or(|&first| first == 0)
            && ends.is_sorted()
            && ends.last().copied().unwrap_or(0) == neighbours as u64;
        if !whole {
            return Err(out_of_range("ends of neighbours", "unordered", "ascending"));
        }
        if learned.neighbour_weights.len() != neighbours {
            return Err(out_of_range("weights", learned.neighbour_weights.len(), neighbours));
        }
        let mut positions = learned.neighbour_positions.iter();
        if let Some(position) = positions.find(|&&position| position as usize >= self.len()) {
            return Err(out_of_range("neighbour", position, format!("below {}", self.len())));
        }
        let mut weights = learned.neighbour_weights.iter();
        if let Some(weight) = weights.find(|weight| !weight.is_finite() || **weight < 0.0) {
            return Err(out_of_range("weight of a neighbour", weight, "0 or more"));
        }
        self.learned = learned;
        Ok(())
    }

    /// Makes room for `tracks` more tracks; saves copying when the number is known.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn reserve(&mut self, tracks: usize) -> Result<()> {
        reserve(&mut self.vectors, tracks.saturating_mul(padded(self.dims)))?;
        reserve(&mut self.norms, tracks)?;
        reserve(&mut self.songs, tracks)?;
        reserve(&mut self.durations, tracks)?;
        reserve(&mut self.id_ends, tracks)?;
        self.reserve_songs(tracks)
    }

    fn reserve_songs(&mut self, songs: usize) -> Result<()> {
        self.song_numbers.try_reserve(songs).map_err(|_| Error::OutOfMemory {
            what: "song numbers",
            bytes: songs.saturating_mul(size_of::<(u128, u32)>()),
        })
    }

    /// Number of tracks so far.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there is no track yet.
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// Adds a track. `vector` is raw, (dims): it is not normalised, and a zero
    /// vector is taken (its cosine is 0 with everything). Tracks of one `song`
    /// are versions of it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the id does not come after the one before in
    /// byte order, the vector has another length than `dims` or a component
    /// that is not finite; [`Error::OutOfMemory`].
    pub fn push(
        &mut self,
        id: &str,
        vector: &[f32],
        song: u128,
        duration_ms: Option<i32>,
    ) -> Result<()> {
        if vector.len() != self.dims {
            return Err(out_of_range("components of a vector", vector.len(), self.dims));
        }
        // Squares of float32 cannot overflow float64: the norm is finite where all components are.
        let norm = score::norm(vector);
        if let Some(component) = vector.iter().find(|x| !norm.is_finite() && !x.is_finite()) {
            return Err(out_of_range("component of a vector", component, "finite"));
        }
        let previous = match self.id_ends[..] {
            [.., start, end] => &self.id_texts[start as usize..end as usize],
            _ => &[],
        };
        if !self.is_empty() && id.as_bytes() <= previous {
            let previous = String::from_utf8_lossy(previous);
            return Err(out_of_range("track id", id, format!("after {previous}")));
        }
        let end = u32::try_from(self.id_texts.len() + id.len())
            .map_err(|_| out_of_range("bytes of all ids", "more", "below 4 GiB"))?;
        if self.len() == (u32::MAX - 1) as usize {
            return Err(out_of_range("number of tracks", "more", u32::MAX - 1));
        }

        reserve(&mut self.id_texts, id.len())?;
        reserve(&mut self.id_ends, 1)?;
        reserve(&mut self.vectors, padded(self.dims))?;
        reserve(&mut self.norms, 1)?;
        reserve(&mut self.songs, 1)?;
        reserve(&mut self.durations, 1)?;
        self.reserve_songs(1)?;

        self.id_texts.extend_from_slice(id.as_bytes());
        self.id_ends.push(end);
        self.vectors.extend_from_slice(vector);
        self.vectors.resize(self.vectors.len().next_multiple_of(ROW_FLOATS), 0.0);
        self.norms.push(norm);
        let next = self.song_numbers.len() as u32;
        self.songs.push(*self.song_numbers.entry(song).or_insert(next));
        self.durations.push(duration_ms.unwrap_or(NO_DURATION));
        Ok(())
    }

    /// The image. `fingerprint` names what it was built from.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn finish(self, fingerprint: u128, interrupt: Interrupt) -> Result<AlignedBytes> {
        let slots = self.slots(interrupt)?;
        let kernel = Kernel::new(Path::best());
        let (vectors, norms) = (&self.vectors[..], &self.norms[..]);
        let metric = self.learned.metric;
        let bounds = Bounds::build(vectors, norms, self.dims, metric, kernel, interrupt)?;
        let fine = match bounds.decides {
            true => Fine::default(),
            false => Fine::build(vectors, norms, self.dims, &bounds.positions, interrupt)?,
        };
        let (popular, shares) =
            popularity::order(&self.learned.listeners, &self.learned.popularity, interrupt)?;
        let measures = bounds.measures.store();
        let mut rows = Vec::new();
        reserve(&mut rows, self.len())?;
        rows.resize(self.len(), 0u32);
        for (row, &position) in bounds.positions.iter().enumerate() {
            rows[position as usize] = row as u32;
        }
        let sections: [&[u8]; SECTIONS] = [
            bytes::bytes_of(&self.vectors),
            bytes::bytes_of(&self.norms),
            bytes::bytes_of(&bounds.positions),
            bytes::bytes_of(&rows),
            bytes::bytes_of(&self.songs),
            bytes::bytes_of(&self.durations),
            bytes::bytes_of(&slots),
            bytes::bytes_of(&self.id_ends),
            &self.id_texts,
            &bounds.blocks,
            &bounds.means,
            bytes::bytes_of(&bounds.rotation),
            bytes::bytes_of(&measures),
            &fine.codes,
            bytes::bytes_of(&fine.terms),
            bytes::bytes_of(&self.learned.listeners),
            bytes::bytes_of(&popular),
            bytes::bytes_of(&shares),
            bytes::bytes_of(&self.learned.state),
            bytes::bytes_of(&self.learned.neighbour_ends),
            bytes::bytes_of(&self.learned.neighbour_positions),
            bytes::bytes_of(&self.learned.neighbour_weights),
        ];
        let mut header = [0u64; HEADER_WORDS];
        let mut total = HEADER_BYTES;
        for (number, section) in sections.iter().enumerate() {
            header[word::SECTIONS + 2 * number] = total as u64;
            header[word::SECTIONS + 2 * number + 1] = section.len() as u64;
            total = (total + section.len()).next_multiple_of(ALIGNMENT);
        }
        let mut image = AlignedBytes::zeroed(total, "index image")?;
        for (number, section) in sections.into_iter().enumerate() {
            interrupt();
            let start = header[word::SECTIONS + 2 * number] as usize;
            let image = &mut image[start..start + section.len()];
            match number {
                // These two come by position, and lie by row.
                VECTORS => {
                    copy_by_row(section, 4 * padded(self.dims), &bounds.positions, image, interrupt)
                }
                NORMS => copy_by_row(section, 8, &bounds.positions, image, interrupt),
                _ => image.copy_from_slice(section),
            }
        }
        header[word::MAGIC] = layout::MAGIC;
        header[word::LAYOUT] = layout::LAYOUT;
        header[word::TOTAL] = total as u64;
        header[word::LEN] = self.len() as u64;
        header[word::DIMS] = self.dims as u64;
        header[word::SONGS] = self.song_numbers.len() as u64;
        header[word::FINGERPRINT_LOW] = fingerprint as u64;
        header[word::FINGERPRINT_HIGH] = (fingerprint >> 64) as u64;
        header[word::METRIC] = match self.learned.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
        };
        header[word::BODY_CHECK] = xxh3_64(&image[HEADER_BYTES..]);
        header[HEADER_WORDS - 1] = header_check(&header);
        image[..HEADER_BYTES].copy_from_slice(bytes::bytes_of(&header));
        Ok(image)
    }

    /// Open addressing with linear probing, at most three quarters full: the
    /// upper half of a slot is the upper half of the id's hash, the lower half
    /// its position plus one, 0 where the slot is free.
    fn slots(&self, interrupt: Interrupt) -> Result<Vec<u64>> {
        let count = (self.len() + self.len() / 3 + 1).next_power_of_two();
        let mut slots = Vec::new();
        reserve(&mut slots, count)?;
        slots.resize(count, 0u64);
        for (position, ends) in self.id_ends.windows(2).enumerate() {
            if position % INTERRUPT_EVERY == 0 {
                interrupt();
            }
            let hash = xxh3_64(&self.id_texts[ends[0] as usize..ends[1] as usize]);
            let mut at = hash as usize & (count - 1);
            while slots[at] != 0 {
                at = (at + 1) & (count - 1);
            }
            slots[at] = (hash >> 32 << 32) | (position as u64 + 1);
        }
        Ok(slots)
    }
}

/// Copies what there is of each track, `size` bytes, from its position to its row.
fn copy_by_row(from: &[u8], size: usize, positions: &[u32], to: &mut [u8], interrupt: Interrupt) {
    for (number, (row, &position)) in to.chunks_exact_mut(size).zip(positions).enumerate() {
        if number % INTERRUPT_EVERY == 0 {
            interrupt();
        }
        row.copy_from_slice(&from[position as usize * size..][..size]);
    }
}

fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<()> {
    memory::reserve(vec, additional, "index")
}

fn out_of_range(
    name: &'static str,
    value: impl std::fmt::Display,
    expected: impl std::fmt::Display,
) -> Error {
    Error::OutOfRange { name, value: value.to_string(), expected: expected.to_string() }
}
