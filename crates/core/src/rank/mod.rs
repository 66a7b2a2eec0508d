//! Exact ranking of a catalogue by cosine similarity.
//!
//! A catalogue is packed once into an image ([`IndexBuilder`]) that any number
//! of readers map ([`Index`]). [`top_n`] answers one query, [`top_n_batch`]
//! many on several threads; both give the rows and, bit for bit, the scores of
//! [`plain::top_n`], on every processor and for every number of threads.

mod arrange;
mod batch;
mod bounds;
mod build;
mod bytes;
mod filter;
mod index;
mod kernel;
pub mod plain;
mod rotation;
mod score;
mod search;
mod select;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub use build::{IndexBuilder, MAX_DIMS};
pub use bytes::{ALIGNMENT, AlignedBytes};
pub use index::Index;
pub use kernel::Path;
pub use score::norm;

use crate::{Error, Interrupt, Result};
pub(crate) use kernel::Kernel;
use search::{Scratch, Search, TILE_BLOCKS};

/// What to rank a catalogue for. Positions and song numbers are the index's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// Direction, (dims), of any length; a zero vector scores every track 0.
    pub vector: &'a [f32],
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

impl Query<'_> {
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
        Ok(())
    }

    fn padded(&self, index: &Index) -> Vec<f32> {
        let mut padded = vec![0.0; kernel::padded(index.dims())];
        padded[..self.vector.len()].copy_from_slice(self.vector);
        padded
    }
}

/// A row of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Position of the track in the index.
    pub position: u32,
    /// Cosine of track and query, in -1 to 1 up to rounding; never NaN.
    pub score: f64,
}

impl Ranked {
    /// Best first: score descending, then position ascending.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.position.cmp(&other.position))
    }
}

/// The score of the track at `position` for `query`, (dims): the one that
/// every ranking gives.
///
/// # Panics
/// When `position` is not below the index's length.
pub fn cosine(index: &Index, position: u32, query: &[f32]) -> f64 {
    let dot = score::dot(index.vector(position), query);
    score::cosine_of(dot, index.norm(position), norm(query))
}

/// The `n` best tracks for `query`, best first.
///
/// Positions and songs that the index does not have are ignored.
///
/// # Errors
/// [`Error::OutOfRange`] when the query's vector is not of the index's
/// dimensions or not finite; [`Error::OutOfMemory`].
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
    query.check(index)?;
    interrupt();
    if !Search::suits(query) {
        return plain::top_n(index, query, interrupt);
    }
    let mut scratch = Scratch::new()?;
    let mut search = Search::new(index, query, Kernel::new(path))?;
    if search.start(&mut scratch, query.candidates)? {
        for first in (0..index.blocks_len()).step_by(TILE_BLOCKS) {
            interrupt();
            search.tile(&mut scratch, first, TILE_BLOCKS.min(index.blocks_len() - first));
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
    search.score_all();
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

/// The answer of [`top_n`] for each query, ranked together on this thread;
/// `None` where `go_on`, asked every few milliseconds, said no. For callers
/// that have threads of their own.
///
/// # Errors
/// As [`top_n_batch`].
pub fn top_n_together(
    index: &Index,
    queries: &[Query],
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<Vec<Ranked>>>> {
    batch::top_n_together(index, queries, Kernel::new(Path::best()), go_on)
}

fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<()> {
    vec.try_reserve(additional).map_err(|_| Error::OutOfMemory {
        what: "ranking",
        bytes: additional.saturating_mul(size_of::<T>()),
    })
}
