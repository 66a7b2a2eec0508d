//! Exact ranking of a catalogue by cosine similarity or dot product.
//!
//! A catalogue is packed once into an image ([`IndexBuilder`]) that any number
//! of readers map ([`Index`]). [`top_n`] answers one query, [`top_n_batch`]
//! many on several threads; both give the rows and, bit for bit, the scores of
//! [`plain::top_n`], on every processor and for every number of threads.

mod arrange;
mod batch;
mod boosted;
mod boosts;
mod bounds;
mod build;
mod bytes;
mod filter;
mod fine;
mod first;
mod index;
mod kernel;
mod layout;
mod learned;
pub mod plain;
mod rotation;
mod score;
mod search;
mod select;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub use batch::Together;
pub use boosts::Boosts;
pub use build::{IndexBuilder, Learned, MAX_DIMS};
pub use bytes::{ALIGNMENT, AlignedBytes};
pub use index::Index;
pub use kernel::Path;
pub use score::norm;

use crate::{Error, Interrupt, Result, memory};
pub(crate) use kernel::Kernel;
use score::Scoring;
use search::{Scratch, Search, TILE_BLOCKS};

/// What scores a track for a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Metric {
    /// The cosine of the two vectors; lengths do not count.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
}

/// What to rank a catalogue for. Positions and song numbers are the index's.
///
/// The score of a track is `scale · metric(track, vector) + boost`.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Vector, (dims), of any length; to a zero vector the metric is 0 for every track.
    pub vector: &'a [f32],
    /// Rank by the cosine, whatever the metric of the index is.
    pub by_cosine: bool,
    /// Factor of the metric in a score, above 0 and up to 1e100.
    pub scale: f64,
    /// Positions and what is added to their scores: positions ascending, no addition
    /// below 0.
    pub boosts: &'a [(u32, f64)],
    /// Rows wanted; fewer come only where fewer tracks are left.
    pub n: usize,
    /// Positions that must not appear, in any order.
    pub exclude: &'a [u32],
    /// Positions that may appear, in any order; `None` for all.
    pub candidates: Option<&'a [u32]>,
    /// One version of a song per list: the best scored, then the lowest position.
    pub distinct_songs: bool,
    /// Songs that must not appear; heeded with `distinct_songs` only.
    pub exclude_songs: &'a [u32],
}

impl Default for Query<'_> {
    fn default() -> Self {
        Self {
            vector: &[],
            by_cosine: false,
            scale: 1.0,
            boosts: &[],
            n: 0,
            exclude: &[],
            candidates: None,
            distinct_songs: false,
            exclude_songs: &[],
        }
    }
}

impl Query<'_> {
    fn metric(&self, index: &Index) -> Metric {
        if self.by_cosine { Metric::Cosine } else { index.metric() }
    }

    fn check(&self, index: &Index) -> Result<()> {
        if self.vector.len() != index.dims() {
            return Err(Error::OutOfRange {
                name: "components of the query",
                value: self.vector.len().to_string(),
                expected: index.dims().to_string(),
            });
        }
        if let Some(component) = self.vector.iter().find(|component| !component.is_finite()) {
            return Err(Error::OutOfRange {
                name: "component of the query",
                value: component.to_string(),
                expected: "finite".to_owned(),
            });
        }
        if !(self.scale > 0.0 && self.scale <= MAX_SCALE) {
            return Err(Error::OutOfRange {
                name: "scale",
                value: self.scale.to_string(),
                expected: format!("above 0 and up to {MAX_SCALE:e}"),
            });
        }
        let right = |boost: f64| (0.0..=f64::MAX).contains(&boost);
        let mut pairs = self.boosts.iter().zip(self.boosts.get(1..).unwrap_or_default());
        let ends = self.boosts.last().is_none_or(|&(_, boost)| right(boost));
        // In one pass that does not stop: nearly always there is nothing to find.
        if ends && pairs.all(|(a, b)| (a.0 < b.0) & right(a.1)) {
            return Ok(());
        }
        if let Some((_, boost)) = self.boosts.iter().find(|&&(_, boost)| !right(boost)) {
            return Err(Error::OutOfRange {
                name: "boost",
                value: boost.to_string(),
                expected: "0 or more".to_owned(),
            });
        }
        if let Some(pair) = self.boosts.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::OutOfRange {
                name: "position of a boost",
                value: pair[1].0.to_string(),
                expected: format!("above {}", pair[0].0),
            });
        }
        Ok(())
    }

    /// What is added to the score of the track at `position`.
    fn boost(&self, position: u32) -> f64 {
        let found = self.boosts.binary_search_by_key(&position, |&(position, _)| position);
        found.map_or(0.0, |at| self.boosts[at].1)
    }

    fn padded(&self, index: &Index) -> Vec<f32> {
        let mut padded = vec![0.0; kernel::padded(index.dims())];
        padded[..self.vector.len()].copy_from_slice(self.vector);
        padded
    }
}

/// Largest factor of the metric: no score overflows.
const MAX_SCALE: f64 = 1e100;

/// A row of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Position of the track in the index.
    pub position: u32,
    /// Score of the track; never NaN. A cosine lies in -1 to 1 up to rounding.
    pub score: f64,
}

impl Ranked {
    /// Best first: score descending, then position ascending.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.position.cmp(&other.position))
    }
}

/// The score of the track at `position`, whatever the query's filters and `n` are: the
/// one that every ranking gives.
///
/// # Errors
/// As [`top_n`].
///
/// # Panics
/// When `position` is not below the index's length.
pub fn score(index: &Index, position: u32, query: &Query) -> Result<f64> {
    query.check(index)?;
    Ok(Scoring::new(index, query).score(index, position, query))
}

/// The `n` best tracks for `query`, best first.
///
/// Positions and songs that the index does not have are ignored.
///
/// # Errors
/// [`Error::OutOfRange`] when the query's vector is not of the index's
/// dimensions or not finite, its scale is not positive, or its boosts are negative,
/// infinite or not in the order of their positions; [`Error::OutOfMemory`].
pub fn top_n(index: &Index, query: &Query, interrupt: Interrupt) -> Result<Vec<Ranked>> {
    top_n_on(Path::best(), index, query, interrupt)
}

/// [`top_n`] on a forced path; the plain one where the processor lacks it.
///
/// # Errors
/// As [`top_n`].
pub fn top_n_on(
    path: Path,
    index: &Index,
    query: &Query,
    interrupt: Interrupt,
) -> Result<Vec<Ranked>> {
    top_n_with(path, index, query, &mut Workspace::default(), interrupt)
}

/// Memory that rankings are made in, to be used for one after the other.
#[derive(Default)]
pub struct Workspace(Option<Scratch>);

/// [`top_n`] in memory that is there already.
///
/// # Errors
/// As [`top_n`].
pub fn top_n_in(
    index: &Index,
    query: &Query,
    workspace: &mut Workspace,
    interrupt: Interrupt,
) -> Result<Vec<Ranked>> {
    top_n_with(Path::best(), index, query, workspace, interrupt)
}

fn top_n_with(
    path: Path,
    index: &Index,
    query: &Query,
    workspace: &mut Workspace,
    interrupt: Interrupt,
) -> Result<Vec<Ranked>> {
    query.check(index)?;
    interrupt();
    if !Search::suits(query) {
        return plain::top_n(index, query, interrupt);
    }
    let scratch = match &mut workspace.0 {
        Some(scratch) => scratch,
        none => none.insert(Scratch::new()?),
    };
    let mut search = Search::new(index, query, Kernel::new(path))?;
    if search.start(scratch, query)? {
        for first in (0..index.blocks_len()).step_by(TILE_BLOCKS) {
            interrupt();
            search.tile(scratch, first, TILE_BLOCKS.min(index.blocks_len() - first));
        }
    }
    Ok(search.finish())
}

/// The rows of [`top_n`] by scoring every track with the fastest loops, without
/// bounds: what bounds are measured against. Filters are heeded after scoring.
///
/// # Errors
/// As [`top_n`].
pub fn top_n_unbounded(index: &Index, query: &Query, interrupt: Interrupt) -> Result<Vec<Ranked>> {
    query.check(index)?;
    if !Search::suits(query) {
        return plain::top_n(index, query, interrupt);
    }
    let mut scratch = Scratch::new()?;
    let mut search = Search::new(index, query, Kernel::new(Path::best()))?;
    search.score_all(&mut scratch, query)?;
    for first in (0..index.blocks_len()).step_by(TILE_BLOCKS) {
        interrupt();
        search.tile(&mut scratch, first, TILE_BLOCKS.min(index.blocks_len() - first));
    }
    Ok(search.finish())
}

/// The answer of [`top_n`] for each query, computed on `threads` threads.
///
/// The caller is one of the threads, and the only one that calls the interrupt,
/// every few milliseconds; unwinding out of it stops the others, in which all
/// signals are blocked. Memory beyond the results grows with the threads, not
/// with the queries.
///
/// # Errors
/// As [`top_n`], for the first query that is refused, before any work.
pub fn top_n_batch(
    index: &Index,
    queries: &[Query],
    threads: usize,
    interrupt: Interrupt,
) -> Result<Vec<Vec<Ranked>>> {
    top_n_batch_on(Path::best(), index, queries, threads, interrupt)
}

/// [`top_n_batch`] on a forced path; the plain one where the processor lacks it.
///
/// # Errors
/// As [`top_n_batch`].
pub fn top_n_batch_on(
    path: Path,
    index: &Index,
    queries: &[Query],
    threads: usize,
    interrupt: Interrupt,
) -> Result<Vec<Vec<Ranked>>> {
    batch::top_n_batch(index, queries, threads, Kernel::new(path), interrupt)
}

/// The cosine of two vectors of equal length, by the canonical sums; 0 where one is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    score::cosine_of(score::dot(a, b), norm(a), norm(b))
}

fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<()> {
    memory::reserve(vec, additional, "ranking")
}
