//! One query over a catalogue: bound all tracks, score those that remain.
//!
//! Tracks whose scores are added to are looked at first, then where a good first
//! cutoff is likely: for the cosine the runs of tracks most like the query, for the dot
//! product the longest vectors. Then tracks are bounded in tiles, by the head of their
//! codes and, where that does not decide, by all of them; those whose bound reaches the
//! cutoff are scored canonically, and those taken in raise it. What comes out does not
//! depend on the tiles, the order or the kernel: a bound never lies below a score.

use super::arrange::RUN_BLOCKS;
use super::bounds::QueryBounds;
use super::filter::Set;
use super::fine::{self, QueryFine};
use super::kernel::{self, BLOCK, Kernel};
use super::score::Scoring;
use super::select::Top;
use super::{Index, Metric, Query, Ranked, boosted, first};
use crate::Result;

/// Blocks of a tile at most.
pub const TILE_BLOCKS: usize = 512;
/// Tracks of a tile at most.
pub const TILE: usize = TILE_BLOCKS * BLOCK;
/// Up to this many candidates are scored without bounding them.
const SCORED_CANDIDATES: usize = 1024;
/// Tiles that are scored without bounds after one where they decided little.
const WHOLE_TILES: usize = 7;
/// Rows that are asked for ahead, per query and tile.
const PREFETCHED: usize = 32;
/// Longer lists are sorted instead of kept in order.
const LONGEST_LIST: usize = 2048;
/// Up to this many tracks are scored at once, without fine bounds.
const SCORED_AT_ONCE: usize = 16;
/// Share by which a cutoff is lowered, and room for the rounding of what reaches it.
const ROUNDING: f64 = 1e-12;

/// Room for the tracks of a tile, shared by the searches of a thread.
pub struct Scratch {
    pub rows: Vec<u32>,
    pub dots: Vec<f64>,
    /// Upper bounds of tracks.
    pub bounds: Vec<f64>,
    /// Bounds while the best are looked for.
    pub spare: Vec<f64>,
    /// Tracks whose scores are added to.
    pub boosted: boosted::Room,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        let mut rows = Vec::new();
        super::reserve(&mut rows, TILE)?;
        rows.resize(TILE, 0);
        let (mut dots, mut bounds, mut spare) = (Vec::new(), Vec::new(), Vec::new());
        for room in [&mut dots, &mut bounds, &mut spare] {
            super::reserve(room, TILE)?;
            room.resize(TILE, 0.0);
        }
        Ok(Self { rows, dots, bounds, spare, boosted: boosted::Room::default() })
    }
}

/// A query under way.
pub struct Search<'a> {
    pub(super) index: &'a Index<'a>,
    pub(super) kernel: Kernel,
    pub(super) bounds: QueryBounds,
    pub(super) fine: Option<QueryFine>,
    pub(super) scoring: Scoring,
    /// Whether what was taken in may come again, with a lower score.
    looked_at: bool,
    /// The metric that a track needs to come in: its cosine, or for the dot product
    /// its cosine times its length.
    reach: f64,
    /// What `reach` asks of sums of products of codes, for the cosine.
    pub(super) threshold: i32,
    /// Tiles to score without bounds before the next try.
    pub(super) whole_tiles: usize,
    query: Vec<f64>,
    pub(super) top: Top,
    /// Rows that may appear.
    pub(super) candidates: Option<Set>,
    pub(super) exclude: Set,
    exclude_songs: Option<Set>,
}

impl<'a> Search<'a> {
    /// Whether bounds can decide anything: otherwise score all and sort.
    pub fn suits(query: &Query) -> bool {
        (1..=LONGEST_LIST).contains(&query.n) && query.vector.iter().any(|&x| x != 0.0)
    }

    pub fn new(index: &'a Index<'a>, query: &Query, kernel: Kernel) -> Result<Self> {
        let scoring = Scoring::new(index, query);
        let (rotation, measures) = (index.rotation(), index.measures());
        let bounds = QueryBounds::new(query.vector, scoring.norm, rotation, measures, kernel);
        let fine = !index.fine_terms().is_empty();
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
            fine: fine.then(|| QueryFine::new(query.vector, scoring.norm)),
            scoring,
            looked_at: false,
            reach: f64::NEG_INFINITY,
            threshold: i32::MIN,
            whole_tiles: 0,
            query: query.padded(index).into_iter().map(f64::from).collect(),
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
    /// given; returns whether tiles remain to be searched. The query's additions are not
    /// asked for again.
    pub fn start(&mut self, scratch: &mut Scratch, query: &Query) -> Result<bool> {
        let boosts = query.boosts.partition_point(|&(at, _)| (at as usize) < self.index.len());
        let boosts = &query.boosts[..boosts];
        if let Some(Set::Sorted(sorted)) = &self.candidates {
            let count = sorted.len();
            scratch.rows[..count].copy_from_slice(sorted);
            self.score_all_of(&scratch.rows[..count], boosts, &mut scratch.dots);
            return Ok(false);
        }
        self.look_at(scratch, boosts)?;
        if !self.top.is_full() && self.index.metric() == Metric::Cosine {
            let share = match query.candidates {
                Some(numbers) => numbers.len() as f64 / self.index.len().max(1) as f64,
                None => 1.0,
            };
            let wanted = ((2 * self.top.n() + 6) as f64 / share.clamp(1e-3, 1.0)) as usize;
            first::first_cutoff(self, scratch, wanted)?;
        }
        Ok(true)
    }

    /// Takes in the best of the tracks whose scores are added to.
    fn look_at(&mut self, scratch: &mut Scratch, boosts: &[(u32, f64)]) -> Result<()> {
        if !boosts.is_empty() {
            boosted::look_at(self, scratch, boosts)?;
            self.looked_at = true;
        }
        Ok(())
    }

    /// Takes in the best of `blocks` blocks from `first`.
    pub fn tile(&mut self, scratch: &mut Scratch, first: usize, blocks: usize) {
        let (mut at, end) = (first, first + blocks);
        while at < end && !self.ends_before(at) {
            // The first pieces are small: what they take in spares work on the others.
            let piece = (at + RUN_BLOCKS).min(end - at);
            self.tile_reaching(scratch, at, piece, self.threshold);
            at += piece;
        }
    }

    /// Bounds no track from now on, but for those whose scores are added to.
    pub fn score_all(&mut self, scratch: &mut Scratch, query: &Query) -> Result<()> {
        self.fine = None;
        let boosts = query.boosts.partition_point(|&(at, _)| (at as usize) < self.index.len());
        self.look_at(scratch, &query.boosts[..boosts])?;
        self.whole_tiles = usize::MAX;
        Ok(())
    }

    /// As [`tile`](Self::tile), of the tracks that reach `threshold`, too.
    pub fn tile_reaching(
        &mut self,
        scratch: &mut Scratch,
        first: usize,
        blocks: usize,
        threshold: i32,
    ) {
        let threshold = threshold.max(self.threshold);
        let Scratch { rows, dots, bounds, spare, .. } = scratch;
        let count = self.find(rows, first, blocks, threshold);
        self.score(&mut rows[..count], dots, bounds, spare);
    }

    /// Whether no track of the blocks from `first` on can come in.
    pub fn ends_before(&self, first: usize) -> bool {
        self.scoring.metric == Metric::Dot
            && self.whole_tiles == 0
            && self.reach > self.index.norms()[first * BLOCK] * (1.0 + ROUNDING)
    }

    /// What the blocks of a run from `first` ask of sums of products of codes.
    fn threshold_at(&self, first: usize) -> i32 {
        match self.scoring.metric {
            Metric::Cosine => self.threshold,
            // Of a run the first track is the longest. The least that a score below 0
            // asks of a cosine is not bounded by lengths.
            Metric::Dot if self.reach > 0.0 => {
                self.bounds.threshold(self.reach / self.index.norms()[first * BLOCK])
            }
            Metric::Dot => i32::MIN,
        }
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
        let step = one.run_blocks(blocks);
        for run in (first..first + blocks).step_by(step) {
            if searches.iter().all(|search| search.ends_before(run)) {
                break;
            }
            let mut rests = out.each_mut().into_iter().zip(counts).map(|(out, at)| &mut out[at..]);
            let found = one.kernel.reaching_together(
                one.index.blocks(run, step.min(first + blocks - run)),
                searches.each_ref().map(|search| &search.bounds.codes),
                searches.each_ref().map(|search| search.threshold_at(run)),
                (run * BLOCK) as u32,
                std::array::from_fn(|_| rests.next().unwrap_or_default()),
            );
            for (count, found) in counts.iter_mut().zip(found) {
                *count += found;
            }
        }
        let tracks = one.tracks(first, blocks);
        for ((search, out), count) in searches.into_iter().zip(out).zip(&mut counts) {
            *count = search.remaining(out, *count, tracks, search.threshold);
        }
        counts
    }

    /// Blocks that one threshold is good for, of `blocks`.
    fn run_blocks(&self, blocks: usize) -> usize {
        match self.scoring.metric {
            Metric::Cosine => blocks.max(1),
            Metric::Dot => RUN_BLOCKS,
        }
    }

    fn find(&mut self, out: &mut [u32], first: usize, blocks: usize, threshold: i32) -> usize {
        let start = (first * BLOCK) as u32;
        let tracks = self.tracks(first, blocks);
        if self.whole_tiles > 0 {
            self.whole_tiles -= 1;
            for (out, row) in out.iter_mut().zip(start..start + tracks as u32) {
                *out = row;
            }
            return self.let_in(out, tracks);
        }
        let (step, mut count) = (self.run_blocks(blocks), 0);
        for run in (first..first + blocks).step_by(step) {
            if self.ends_before(run) {
                break;
            }
            let tile = self.index.blocks(run, step.min(first + blocks - run));
            let threshold = threshold.max(self.threshold_at(run));
            let (start, codes) = ((run * BLOCK) as u32, &self.bounds.codes);
            count += self.kernel.reaching(tile, codes, threshold, start, &mut out[count..]);
        }
        self.remaining(out, count, tracks, threshold)
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
        if count > tracks / 2 && threshold > i32::MIN && self.fine.is_none() {
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
        match self.fine.is_some() && count > SCORED_AT_ONCE {
            true => {
                let width = fine::width(self.index.dims());
                kernel::prefetch_codes(self.index.fine_codes(), width, near);
            }
            false => {
                kernel::prefetch(self.index.vectors(), self.query.len(), self.index.norms(), near);
            }
        }
        count
    }

    /// Takes in the best of the tracks of `rows`, whose order changes; the others have
    /// room for all.
    pub fn score(
        &mut self,
        rows: &mut [u32],
        dots: &mut [f64],
        bounds: &mut [f64],
        spare: &mut [f64],
    ) {
        if rows.len() <= SCORED_AT_ONCE || !self.fine_bounds(rows, bounds) {
            return self.score_exactly(rows, dots);
        }
        let mut count = self.keep_reaching(rows, bounds, 0);
        // The best by their bounds first: few of the others reach what these leave.
        let best = 2 * self.top.n() + 6;
        let mut first = 0;
        if count > 2 * best {
            spare[..count].copy_from_slice(&bounds[..count]);
            let (_, &mut least, _) =
                spare[..count].select_nth_unstable_by(best, |a, b| b.total_cmp(a));
            for at in 0..count {
                if bounds[at] > least {
                    rows.swap(first, at);
                    bounds.swap(first, at);
                    first += 1;
                }
            }
            self.score_exactly(&rows[..first], dots);
            count = self.keep_reaching(&mut rows[..count], bounds, first);
        }
        self.score_exactly(&rows[first..count], dots);
    }

    /// Writes what the metric of each of `rows` reaches at most to `bounds`, in the units
    /// of `reach`; returns whether there are fine bounds.
    pub fn fine_bounds(&self, rows: &[u32], bounds: &mut [f64]) -> bool {
        let Some(fine) = &self.fine else { return false };
        let bounds = &mut bounds[..rows.len()];
        let (codes, terms) = (self.index.fine_codes(), self.index.fine_terms());
        fine.bounds(self.kernel, codes, terms, rows, bounds);
        if self.scoring.metric == Metric::Dot {
            for (bound, &row) in bounds.iter_mut().zip(rows) {
                *bound *= self.index.norms()[row as usize];
            }
        }
        true
    }

    /// Keeps those of `rows` from `first` on whose bounds reach the cutoff; returns where
    /// they end.
    fn keep_reaching(&self, rows: &mut [u32], bounds: &mut [f64], first: usize) -> usize {
        let mut kept = first;
        for at in first..rows.len() {
            (rows[kept], bounds[kept]) = (rows[at], bounds[at]);
            kept += usize::from(bounds[at] >= self.reach);
        }
        kept
    }

    /// Scores the tracks of `rows` and takes in the best; `dots` has room for all.
    pub fn score_exactly(&mut self, rows: &[u32], dots: &mut [f64]) {
        if rows.is_empty() {
            return;
        }
        self.kernel.dots(self.index.vectors(), rows, &self.query, dots);
        let mut least = self.least();
        for (&row, &dot) in rows.iter().zip(&*dots) {
            let norm = self.index.norms()[row as usize];
            // Spares what follows to tracks that are far from coming in.
            let needed = if self.scoring.metric == Metric::Cosine { least * norm } else { least };
            if dot < needed {
                continue;
            }
            let position = self.index.position_of(row);
            let ranked = Ranked { position, score: self.scoring.unboosted(dot, norm) };
            // A track whose score is added to was taken in with the higher one, or that
            // was not good enough, or a better version of its song is there.
            if self.looked_at && self.top.holds(position) {
                continue;
            }
            if self.take(ranked) {
                least = self.least();
            }
        }
        self.raise();
    }

    /// The dot product below which no track comes in; of the cosine, per its length.
    fn least(&self) -> f64 {
        self.reach_of(self.top.cutoff()) * self.scoring.norm
    }

    /// Scores the tracks of `rows` with what is added; `dots` has room for all.
    fn score_all_of(&mut self, rows: &[u32], boosts: &[(u32, f64)], dots: &mut [f64]) {
        self.dots(rows, dots);
        for (&row, &dot) in rows.iter().zip(&*dots) {
            let position = self.index.position_of(row);
            let unboosted = self.scoring.unboosted(dot, self.index.norms()[row as usize]);
            let boost = boosts.binary_search_by_key(&position, |&(position, _)| position);
            let boost = boost.map_or(0.0, |at| boosts[at].1);
            self.take(Ranked { position, score: unboosted + boost });
        }
    }

    /// Takes a track in, where it is good enough and may appear; returns whether it did.
    pub fn take(&mut self, ranked: Ranked) -> bool {
        let position = ranked.position;
        if !self.top.admits(&ranked) || self.exclude.contains(position) {
            return false;
        }
        let song = self.index.song(position);
        if self.exclude_songs.as_ref().is_some_and(|songs| songs.contains(song)) {
            return false;
        }
        self.top.offer(ranked, song);
        true
    }

    /// Canonical dot products of the tracks of `rows`.
    pub fn dots(&self, rows: &[u32], dots: &mut [f64]) {
        self.kernel.dots(self.index.vectors(), rows, &self.query, dots);
    }

    /// The metric that a score of `cutoff` takes, in the units of `reach`.
    fn reach_of(&self, cutoff: Option<f64>) -> f64 {
        let Some(cutoff) = cutoff else { return f64::NEG_INFINITY };
        let metric = cutoff / self.scoring.scale;
        let reach = match self.scoring.metric {
            Metric::Cosine => metric,
            Metric::Dot => metric / self.scoring.norm,
        };
        reach - reach.abs() * ROUNDING
    }

    /// Heeds what was taken in.
    pub fn raise(&mut self) {
        let reach = self.reach_of(self.top.cutoff());
        if reach > self.reach {
            self.reach = reach;
            if self.scoring.metric == Metric::Cosine {
                self.threshold = self.bounds.threshold(reach);
            }
        }
    }

    pub fn finish(self) -> Vec<Ranked> {
        self.top.into_rows()
    }
}
