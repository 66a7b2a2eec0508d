//! One query over a catalogue: bound all tracks, score those that remain.
//!
//! A sample of the catalogue gives a first cutoff. Then tracks are bounded in
//! tiles; those whose bound reaches the cutoff are scored canonically, and the
//! rows taken in raise it. What comes out does not depend on the tiles, the
//! sample or the kernel: a bound never lies below a score.

use super::bounds::QueryBounds;
use super::filter::Set;
use super::kernel::{self, BLOCK, Kernel};
use super::select::Top;
use super::{Index, Query, Ranked, score};
use crate::Result;

/// Blocks of a tile at most.
pub const TILE_BLOCKS: usize = 512;
/// Tracks of a tile at most.
const TILE: usize = TILE_BLOCKS * BLOCK;
/// Blocks next to each other in the sample.
const RUN_BLOCKS: usize = 16;
/// Runs in the sample at least.
const RUNS: usize = 16;
/// Up to this many candidates are scored without bounding them.
const SCORED_CANDIDATES: usize = 1024;
/// Tiles that are scored without bounds after one where they decided little.
const WHOLE_TILES: usize = 7;
/// Rows that are asked for ahead, per query and tile.
const PREFETCHED: usize = 32;
/// Longer lists are sorted instead of kept in order.
const LONGEST_LIST: usize = 2048;

/// Room for the tracks of a tile, shared by the searches of a thread.
pub struct Scratch {
    pub positions: Vec<u32>,
    pub dots: Vec<f64>,
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
    /// Tiles to score without bounds before the next try.
    whole_tiles: usize,
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
            whole_tiles: 0,
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
            self.score(&scratch.positions[..count], &mut scratch.dots);
            return false;
        }
        let share = match candidates {
            Some(numbers) => numbers.len() as f64 / self.index.len().max(1) as f64,
            None => 1.0,
        };
        let wanted = ((2 * self.top.n() + 6) as f64 / share.clamp(1e-3, 1.0)) as usize;
        let blocks = self.index.blocks_len();
        let runs = RUNS.max(wanted / 32).min(blocks / RUN_BLOCKS);
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
                // Bounds decide little here: what is left goes into the search.
                if self.whole_tiles > 0 && self.top.is_full() {
                    break;
                }
            }
        }
        self.whole_tiles = 0;
        true
    }

    /// Takes in the best of `blocks` blocks from `first`.
    pub fn tile(&mut self, scratch: &mut Scratch, first: usize, blocks: usize) {
        self.tile_reaching(scratch, first, blocks, self.threshold);
    }

    /// Bounds no track from now on.
    pub fn score_all(&mut self) {
        self.whole_tiles = usize::MAX;
    }

    fn tile_reaching(
        &mut self,
        scratch: &mut Scratch,
        first: usize,
        blocks: usize,
        threshold: i32,
    ) {
        let threshold = threshold.max(self.threshold);
        let count = self.find(&mut scratch.positions, first, blocks, threshold);
        self.score(&scratch.positions[..count], &mut scratch.dots);
    }

    /// Writes the positions in `blocks` blocks from `first` whose bound
    /// reaches the cutoff to `out`; returns how many.
    pub fn find_in_tile(&mut self, out: &mut [u32], first: usize, blocks: usize) -> usize {
        self.find(out, first, blocks, self.threshold)
    }

    /// [`find_in_tile`](Self::find_in_tile) for two queries over one index.
    pub fn find_two_in_tile(
        [a, b]: [&mut Self; 2],
        [one, other]: [&mut [u32]; 2],
        first: usize,
        blocks: usize,
    ) -> [usize; 2] {
        if a.whole_tiles > 0 || b.whole_tiles > 0 {
            return [a.find_in_tile(one, first, blocks), b.find_in_tile(other, first, blocks)];
        }
        let found = a.kernel.reaching_two(
            a.index.blocks(first, blocks),
            [&a.bounds.codes, &b.bounds.codes],
            [a.threshold, b.threshold],
            (first * BLOCK) as u32,
            [&mut *one, &mut *other],
        );
        let tracks = a.tracks(first, blocks);
        [
            a.remaining(one, found[0], tracks, a.threshold),
            b.remaining(other, found[1], tracks, b.threshold),
        ]
    }

    fn find(&mut self, out: &mut [u32], first: usize, blocks: usize, threshold: i32) -> usize {
        let start = (first * BLOCK) as u32;
        let tracks = self.tracks(first, blocks);
        if self.whole_tiles > 0 {
            self.whole_tiles -= 1;
            for (out, position) in out.iter_mut().zip(start..start + tracks as u32) {
                *out = position;
            }
            self.let_in(out, tracks)
        } else {
            let tile = self.index.blocks(first, blocks);
            let count = self.kernel.reaching(tile, &self.bounds.codes, threshold, start, out);
            self.remaining(out, count, tracks, threshold)
        }
    }

    /// Tracks in `blocks` blocks from `first`; the last one may not be full.
    fn tracks(&self, first: usize, blocks: usize) -> usize {
        (blocks * BLOCK).min(self.index.len() - first * BLOCK)
    }

    /// What remains to be scored of `count` positions whose bound reached `threshold`.
    fn remaining(
        &mut self,
        out: &mut [u32],
        mut count: usize,
        tracks: usize,
        threshold: i32,
    ) -> usize {
        while count > 0 && out[count - 1] as usize >= self.index.len() {
            count -= 1;
        }
        if count > tracks / 2 && threshold > i32::MIN {
            self.whole_tiles = WHOLE_TILES;
        }
        self.let_in(out, count)
    }

    /// Keeps the candidates of `count` positions, and asks for their rows.
    fn let_in(&self, out: &mut [u32], mut count: usize) -> usize {
        if let Some(candidates) = &self.candidates {
            let mut kept = 0;
            for at in 0..count {
                out[kept] = out[at];
                kept += usize::from(candidates.contains(out[at]));
            }
            count = kept;
        }
        let near = &out[..count.min(PREFETCHED)];
        kernel::prefetch(self.index.rows(), self.query.len(), self.index.norms(), near);
        count
    }

    /// Scores the tracks at `positions`, ascending, and takes in the best;
    /// `dots` has room for all.
    pub fn score(&mut self, positions: &[u32], dots: &mut [f64]) {
        if positions.is_empty() {
            return;
        }
        self.kernel.dots(self.index.rows(), positions, &self.query, dots);
        let mut changed = false;
        // Spares the division of tracks that are far from coming in; not by
        // less than its rounding.
        let low =
            |cutoff: f64| if cutoff > 0.0 { cutoff * (1.0 - 1e-12) } else { f64::NEG_INFINITY };
        let mut least = self.top.cutoff().map_or(f64::NEG_INFINITY, low) * self.norm;
        for (&position, &dot) in positions.iter().zip(&*dots) {
            if dot < least * self.index.norm(position) {
                continue;
            }
            let score = score::cosine_of(dot, self.index.norm(position), self.norm);
            let row = Ranked { position, score };
            if self.top.admits(&row) && !self.exclude.contains(position) {
                let song = self.index.song(position);
                if self.exclude_songs.as_ref().is_none_or(|songs| !songs.contains(song)) {
                    self.top.offer(row, song);
                    least = self.top.cutoff().map_or(f64::NEG_INFINITY, low) * self.norm;
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
