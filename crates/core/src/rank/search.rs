//! One query over a catalogue: bound all tracks, score those that remain.
//!
//! The runs of tracks that are most like the query give a first cutoff. Then tracks
//! are bounded in tiles; those whose bound reaches the cutoff are scored
//! canonically, and those taken in raise it. What comes out does not depend on the
//! tiles, the first runs or the kernel: a bound never lies below a score.

use super::arrange::RUN_BLOCKS;
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
/// Runs that a first cutoff is taken from at least.
const FIRST_RUNS: usize = 8;
/// Pieces of a run whose largest bounds are told apart at most.
const PIECES: usize = 8;
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
    pub rows: Vec<u32>,
    pub dots: Vec<f64>,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        let (mut rows, mut dots) = (Vec::new(), Vec::new());
        super::reserve(&mut rows, TILE)?;
        super::reserve(&mut dots, TILE)?;
        rows.resize(TILE, 0);
        dots.resize(TILE, 0.0);
        Ok(Self { rows, dots })
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
    /// Rows that may appear.
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
            Some(positions) => {
                let mut rows = Vec::new();
                super::reserve(&mut rows, positions.len())?;
                let known = positions.iter().filter(|&&position| (position as usize) < index.len());
                rows.extend(known.map(|&position| index.row_of(position)));
                Some(match rows.len() <= SCORED_CANDIDATES {
                    true => Set::sorted(&rows, index.len())?,
                    false => Set::bits(&rows, index.len())?,
                })
            }
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
    pub fn start(&mut self, scratch: &mut Scratch, candidates: Option<&[u32]>) -> Result<bool> {
        if let Some(Set::Sorted(sorted)) = &self.candidates {
            let count = sorted.len();
            scratch.rows[..count].copy_from_slice(sorted);
            self.score(&scratch.rows[..count], &mut scratch.dots);
            return Ok(false);
        }
        let share = match candidates {
            Some(numbers) => numbers.len() as f64 / self.index.len().max(1) as f64,
            None => 1.0,
        };
        let wanted = ((2 * self.top.n() + 6) as f64 / share.clamp(1e-3, 1.0)) as usize;
        self.first_cutoff(scratch, wanted)?;
        Ok(true)
    }

    /// Takes in the best of about `wanted` tracks of the runs most like the query, or
    /// of all of their tracks where these are too few.
    fn first_cutoff(&mut self, scratch: &mut Scratch, wanted: usize) -> Result<()> {
        let runs = self.first_runs(FIRST_RUNS.max(wanted / 32));
        let entries = (wanted / 4).next_power_of_two().clamp(4, PIECES * runs.len().max(1));
        if wanted >= entries * BLOCK {
            return Ok(());
        }
        let mut lanes = self.lanes(&runs, entries)?;
        let (_, threshold, _) = lanes.select_nth_unstable_by(wanted, |a, b| b.cmp(a));
        for threshold in [*threshold, i32::MIN] {
            if self.top.is_full() {
                break;
            }
            for &first in &runs {
                let blocks = RUN_BLOCKS.min(self.index.blocks_len() - first);
                self.tile_reaching(scratch, first, blocks, threshold);
                // Bounds decide little here: what is left goes into the search.
                if self.whole_tiles > 0 && self.top.is_full() {
                    break;
                }
            }
        }
        self.whole_tiles = 0;
        Ok(())
    }

    /// The largest bounds of pieces of some runs, as many as there are places in
    /// `entries` blocks: every track is in one of them.
    fn lanes(&self, runs: &[usize], entries: usize) -> Result<Vec<i32>> {
        let piece = (runs.len() * RUN_BLOCKS / entries).clamp(1, RUN_BLOCKS);
        let mut lanes = Vec::new();
        super::reserve(&mut lanes, entries)?;
        lanes.resize(entries, [i32::MIN; BLOCK]);
        let mut entry = 0;
        for &first in runs {
            let end = (first + RUN_BLOCKS).min(self.index.blocks_len());
            for first in (first..end).step_by(piece) {
                let blocks = self.index.blocks(first, piece.min(end - first));
                self.kernel.maxima(blocks, &self.bounds.codes, &mut lanes[entry]);
                entry = (entry + 1) % entries;
            }
        }
        Ok(lanes.into_flattened())
    }

    /// First blocks of about `count` runs whose means are most like the query.
    fn first_runs(&self, count: usize) -> Vec<usize> {
        let mut sums = Vec::with_capacity(self.index.runs_len().next_multiple_of(BLOCK));
        for means in self.index.means() {
            let mut lanes = [i32::MIN; BLOCK];
            self.kernel.maxima(means, &self.bounds.codes, &mut lanes);
            sums.extend(lanes);
        }
        sums.truncate(self.index.runs_len());
        let mut sorted = sums.clone();
        let least = match count < sums.len() {
            true => *sorted.select_nth_unstable_by(count - 1, |a, b| b.cmp(a)).1,
            false => i32::MIN,
        };
        let runs = sums.into_iter().zip((0..).step_by(RUN_BLOCKS));
        runs.filter(|&(sum, _)| sum >= least).map(|(_, first)| first).take(2 * count).collect()
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
        let count = self.find(&mut scratch.rows, first, blocks, threshold);
        self.score(&scratch.rows[..count], &mut scratch.dots);
    }

    /// Writes the rows in `blocks` blocks from `first` whose bound reaches the
    /// cutoff to `out`; returns how many.
    pub fn find_in_tile(&mut self, out: &mut [u32], first: usize, blocks: usize) -> usize {
        self.find(out, first, blocks, self.threshold)
    }

    /// [`find_in_tile`](Self::find_in_tile) for several queries over one index.
    pub fn find_together<const Q: usize>(
        searches: [&mut Self; Q],
        mut out: [&mut [u32]; Q],
        first: usize,
        blocks: usize,
    ) -> [usize; Q] {
        let mut counts = [0; Q];
        if searches.iter().any(|search| search.whole_tiles > 0) {
            for ((search, out), count) in searches.into_iter().zip(out).zip(&mut counts) {
                *count = search.find_in_tile(out, first, blocks);
            }
            return counts;
        }
        let one = &searches[0];
        let found = one.kernel.reaching_together(
            one.index.blocks(first, blocks),
            searches.each_ref().map(|search| &search.bounds.codes),
            searches.each_ref().map(|search| search.threshold),
            (first * BLOCK) as u32,
            out.each_mut().map(|out| &mut **out),
        );
        let tracks = one.tracks(first, blocks);
        for (query, (search, out)) in searches.into_iter().zip(out).enumerate() {
            counts[query] = search.remaining(out, found[query], tracks, search.threshold);
        }
        counts
    }

    fn find(&mut self, out: &mut [u32], first: usize, blocks: usize, threshold: i32) -> usize {
        let start = (first * BLOCK) as u32;
        let tracks = self.tracks(first, blocks);
        if self.whole_tiles > 0 {
            self.whole_tiles -= 1;
            for (out, row) in out.iter_mut().zip(start..start + tracks as u32) {
                *out = row;
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

    /// What remains to be scored of `count` rows whose bound reached `threshold`.
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

    /// Keeps the candidates of `count` rows, and asks for what is read of them.
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
        kernel::prefetch(self.index.vectors(), self.query.len(), self.index.norms(), near);
        count
    }

    /// Scores the tracks of `rows` and takes in the best; `dots` has room for all.
    pub fn score(&mut self, rows: &[u32], dots: &mut [f64]) {
        if rows.is_empty() {
            return;
        }
        self.kernel.dots(self.index.vectors(), rows, &self.query, dots);
        let mut changed = false;
        // Spares the division of tracks that are far from coming in; not by
        // less than its rounding.
        let low =
            |cutoff: f64| if cutoff > 0.0 { cutoff * (1.0 - 1e-12) } else { f64::NEG_INFINITY };
        let mut least = self.top.cutoff().map_or(f64::NEG_INFINITY, low) * self.norm;
        for (&row, &dot) in rows.iter().zip(&*dots) {
            let norm = self.index.norms()[row as usize];
            if dot < least * norm {
                continue;
            }
            let position = self.index.position_of(row);
            let row = Ranked { position, score: score::cosine_of(dot, norm, self.norm) };
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

#[cfg(test)]
mod tests {
    use super::super::{IndexBuilder, Path};
    use super::*;

    #[test]
    fn the_first_runs_are_those_most_like_the_query() {
        // Tracks around a circle, their ids in another order.
        let len = 20 * RUN_BLOCKS * BLOCK;
        let mut builder = IndexBuilder::new(2).unwrap();
        for number in 0..len {
            let angle = (number * 7919 % len) as f32 / len as f32 * std::f32::consts::TAU;
            let id = format!("{number:06}");
            builder.push(&id, &[angle.cos(), angle.sin()], number as u128, None).unwrap();
        }
        let image = builder.finish(0, &|| ()).unwrap();
        let index = Index::open(&image).unwrap();
        for path in Path::available() {
            for position in (0..len as u32).step_by(97) {
                let query = Query { vector: index.vector(position), n: 1, ..Query::default() };
                let search = Search::new(&index, &query, Kernel::new(path)).unwrap();
                let runs = search.first_runs(3);
                let own = index.row_of(position) as usize / BLOCK / RUN_BLOCKS * RUN_BLOCKS;
                assert!((3..=6).contains(&runs.len()), "{runs:?}");
                assert!(runs.contains(&own), "{path:?}: {own} is not among {runs:?}");
            }
        }
    }
}
