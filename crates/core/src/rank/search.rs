//! One query over a catalogue: bound all tracks, score those that remain.
//!
//! A sample of the catalogue gives a first cutoff. Then tracks are bounded in
//! tiles; those whose bound reaches the cutoff are scored canonically, and the
//! rows taken in raise it. What comes out does not depend on the tiles, the
//! sample or the kernel: a bound never lies below a score.

use super::bounds::QueryBounds;
use super::filter::Set;
use super::kernel::{BLOCK, Kernel};
use super::select::Top;
use super::{Index, Query, Ranked, score};
use crate::Result;

/// Blocks of a tile at most.
pub const TILE_BLOCKS: usize = 256;
/// Tracks of a tile at most.
const TILE: usize = TILE_BLOCKS * BLOCK;
/// Blocks next to each other in the sample.
const RUN_BLOCKS: usize = 4;
/// Runs in the sample at least.
const RUNS: usize = 64;
/// Up to this many candidates are scored without bounding them.
const SCORED_CANDIDATES: usize = 1024;
/// Longer lists are sorted instead of kept in order.
const LONGEST_LIST: usize = 2048;

/// Room for the tracks of a tile, shared by the searches of a thread.
pub struct Scratch {
    positions: Vec<u32>,
    dots: Vec<f64>,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        let (mut positions, mut dots) = (Vec::new(), Vec::new());
        super::reserve(&mut positions, TILE)?;
        super::reserve(&mut dots, TILE)?;
        positions.resize(TILE, 0);
        dots.resize(TILE, 0.0);
        Ok(Self { positions, dots })
    }
}

/// A query under way.
pub struct Search<'a> {
    index: &'a Index<'a>,
    kernel: Kernel,
    bounds: QueryBounds,
    threshold: i32,
    query: Vec<f64>,
    norm: f64,
    top: Top,
    candidates: Option<Set>,
    exclude: Set,
    exclude_songs: Option<Set>,
}

impl<'a> Search<'a> {
    /// Whether bounds can decide anything: otherwise score all and sort.
    pub fn suits(query: &Query) -> bool {
        (1..=LONGEST_LIST).contains(&query.n) && query.vector.iter().any(|&x| x != 0.0)
    }

    pub fn new(index: &'a Index<'a>, query: &Query, kernel: Kernel) -> Result<Self> {
        let norm = score::norm(query.vector);
        let bounds =
            QueryBounds::new(query.vector, norm, index.rotation(), index.measures(), kernel);
        let candidates = match query.candidates {
            Some(numbers) if numbers.len() <= SCORED_CANDIDATES => {
                Some(Set::sorted(numbers, index.len())?)
            }
            Some(numbers) => Some(Set::bits(numbers, index.len())?),
            None => None,
        };
        let exclude_songs = query.distinct_songs && !query.exclude_songs.is_empty();
        Ok(Self {
            index,
            kernel,
            bounds,
            threshold: i32::MIN,
            query: query.padded(index).into_iter().map(f64::from).collect(),
            norm,
            top: Top::new(query.n, query.distinct_songs),
            candidates,
            exclude: Set::new(query.exclude, index.len())?,
            exclude_songs: match exclude_songs {
                true => Some(Set::new(query.exclude_songs, index.songs_len())?),
                false => None,
            },
        })
    }

    /// Finds a first cutoff, or the whole answer where few candidates are
    /// given; returns whether tiles remain to be searched.
    pub fn start(&mut self, scratch: &mut Scratch, candidates: Option<&[u32]>) -> bool {
        if let Some(Set::Sorted(sorted)) = &self.candidates {
            let count = sorted.len();
            scratch.positions[..count].copy_from_slice(sorted);
            self.score(scratch, count);
            return false;
        }
        let share = match candidates {
            Some(numbers) => numbers.len() as f64 / self.index.len().max(1) as f64,
            None => 1.0,
        };
        let wanted = ((2 * self.top.n() + 6) as f64 / share.clamp(1e-3, 1.0)) as usize;
        let blocks = self.index.blocks_len();
        let runs = RUNS.max(wanted / 8).min(blocks / RUN_BLOCKS);
        let spread = (wanted / 4).next_power_of_two().clamp(4, runs.max(4));
        let mut lanes = vec![[i32::MIN; BLOCK]; spread];
        for run in 0..runs {
            let blocks = self.index.blocks(run * blocks / runs, RUN_BLOCKS);
            self.kernel.maxima(blocks, &self.bounds.codes, &mut lanes[run % spread]);
        }
        let lanes = lanes.as_flattened_mut();
        for wanted in [wanted, 8 * wanted] {
            if wanted >= lanes.len() || self.top.is_full() {
                break;
            }
            let (_, threshold, _) = lanes.select_nth_unstable_by(wanted, |a, b| b.cmp(a));
            let threshold = *threshold;
            for run in 0..runs {
                self.tile_reaching(scratch, run * blocks / runs, RUN_BLOCKS, threshold);
            }
        }
        true
    }

    /// Takes in the best of `blocks` blocks from `first`.
    pub fn tile(&mut self, scratch: &mut Scratch, first: usize, blocks: usize) {
        self.tile_reaching(scratch, first, blocks, self.threshold);
    }

    fn tile_reaching(
        &mut self,
        scratch: &mut Scratch,
        first: usize,
        blocks: usize,
        threshold: i32,
    ) {
        let mut count = self.kernel.reaching(
            self.index.blocks(first, blocks),
            &self.bounds.codes,
            threshold.max(self.threshold),
            (first * BLOCK) as u32,
            &mut scratch.positions,
        );
        let positions = &mut scratch.positions;
        while count > 0 && positions[count - 1] as usize >= self.index.len() {
            count -= 1;
        }
        if let Some(candidates) = &self.candidates {
            let mut kept = 0;
            for at in 0..count {
                positions[kept] = positions[at];
                kept += usize::from(candidates.contains(positions[at]));
            }
            count = kept;
        }
        if count > 0 {
            self.score(scratch, count);
        }
    }

    fn score(&mut self, scratch: &mut Scratch, count: usize) {
        let positions = &scratch.positions[..count];
        let dots = &mut scratch.dots[..count];
        self.kernel.dots(self.index.rows(), positions, &self.query, dots);
        let mut changed = false;
        for (&position, &dot) in positions.iter().zip(&*dots) {
            let score = score::cosine_of(dot, self.index.norm(position), self.norm);
            let row = Ranked { position, score };
            if self.top.admits(&row) && !self.exclude.contains(position) {
                let song = self.index.song(position);
                if self.exclude_songs.as_ref().is_none_or(|songs| !songs.contains(song)) {
                    self.top.offer(row, song);
                    changed = true;
                }
            }
        }
        if changed && let Some(cutoff) = self.top.cutoff() {
            self.threshold = self.bounds.threshold(cutoff);
        }
    }

    pub fn finish(self) -> Vec<Ranked> {
        self.top.into_rows()
    }
}
