//! Many queries on several threads.

use super::kernel::{BLOCK, Kernel};
use super::search::{Scratch, Search, TILE_BLOCKS};
use super::{Index, Path, Query, Ranked, plain};
use crate::{Interrupt, Result, workers};

/// Queries that go through a tile of tracks together at most: the more there are,
/// the less often a tile is read.
const GROUP: usize = 2048;
/// Blocks of a tile: its bounds and its rows stay in the caches near a core.
const BLOCKS: usize = 128;
/// Queries that are bounded together.
const TOGETHER: usize = TILE_BLOCKS / BLOCKS;

pub fn top_n_batch(
    index: &Index,
    queries: &[Query],
    threads: usize,
    kernel: Kernel,
    interrupt: Interrupt,
) -> Result<Vec<Vec<Ranked>>> {
    for query in queries {
        query.check(index)?;
    }
    interrupt();
    let mut results = Vec::new();
    super::reserve(&mut results, queries.len())?;
    let mut answers = Ok(results);
    // As many groups for each thread, and no smaller than they need be.
    let threads = threads.max(1);
    let rounds = queries.len().div_ceil(threads.saturating_mul(GROUP)).max(1);
    let size = queries.len().div_ceil(threads.saturating_mul(rounds)).max(1);
    let mut groups = queries.chunks(size);
    workers::in_order(
        threads.min(groups.len()),
        || groups.next(),
        |queries, go_on| group(index, queries, kernel, go_on).transpose(),
        |answer| match (&mut answers, answer) {
            (Ok(all), Ok(answer)) => all.extend(answer),
            (Ok(_), Err(error)) => answers = Err(error),
            (Err(_), _) => {}
        },
        interrupt,
    );
    answers
}

/// Answers a group of queries, unless it is told not to go on.
fn group(
    index: &Index,
    queries: &[Query],
    kernel: Kernel,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<Vec<Ranked>>>> {
    let mut together = Together::with(index, kernel)?;
    super::reserve(&mut together.results, queries.len())?;
    for query in queries {
        if !go_on() {
            return Ok(None);
        }
        together.push(query)?;
    }
    together.finish(go_on)
}

/// Queries that go through the tracks together on this thread, for callers that have
/// threads of their own. Of a query is kept what one with a short list of filters takes,
/// some kilobytes: what it borrows may go when it was added.
pub struct Together<'a> {
    index: &'a Index<'a>,
    kernel: Kernel,
    scratch: Scratch,
    /// With the number of the query.
    searches: Vec<(Search<'a>, usize)>,
    results: Vec<Vec<Ranked>>,
}

impl<'a> Together<'a> {
    /// No queries yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn new(index: &'a Index<'a>) -> Result<Self> {
        Self::with(index, Kernel::new(Path::best()))
    }

    fn with(index: &'a Index<'a>, kernel: Kernel) -> Result<Self> {
        let (searches, results) = (Vec::new(), Vec::new());
        Ok(Self { index, kernel, scratch: Scratch::new()?, searches, results })
    }

    /// Adds a query. What few tracks decide is answered at once.
    ///
    /// # Errors
    /// As [`top_n`](super::top_n).
    pub fn add(&mut self, query: &Query) -> Result<()> {
        query.check(self.index)?;
        super::reserve(&mut self.results, 1)?;
        self.push(query)
    }

    fn push(&mut self, query: &Query) -> Result<()> {
        let mut result = Vec::new();
        if !Search::suits(query) {
            result = plain::top_n(self.index, query, &|| ())?;
        } else {
            let mut search = Search::new(self.index, query, self.kernel)?;
            if search.start(&mut self.scratch, query)? {
                super::reserve(&mut self.searches, 1)?;
                self.searches.push((search, self.results.len()));
            } else {
                result = search.finish();
            }
        }
        self.results.push(result);
        Ok(())
    }

    /// The answer of [`top_n`](super::top_n) for each query, in the order in which they
    /// were added; `None` where `go_on`, asked every few milliseconds, said no.
    ///
    /// # Errors
    /// As [`top_n`](super::top_n).
    pub fn finish(mut self, go_on: &dyn Fn() -> bool) -> Result<Option<Vec<Vec<Ranked>>>> {
        let blocks = self.index.blocks_len();
        for searches in self.searches.chunks_mut(GROUP) {
            for first in (0..blocks).step_by(BLOCKS) {
                if !go_on() {
                    return Ok(None);
                }
                tile(&mut self.scratch, searches, first, BLOCKS.min(blocks - first));
            }
        }
        for (search, number) in self.searches {
            self.results[number] = search.finish();
        }
        Ok(Some(self.results))
    }
}

/// Takes a tile of tracks through a group of searches.
fn tile(scratch: &mut Scratch, searches: &mut [(Search, usize)], first: usize, blocks: usize) {
    let Scratch { rows, dots, bounds, spare, .. } = scratch;
    // Queries are bounded together before the first is scored, so that the rows
    // to score arrive meanwhile.
    for searches in searches.chunks_mut(TOGETHER) {
        let mut counts = [0; TOGETHER];
        let mut finds = rows.chunks_mut(BLOCKS * BLOCK);
        if let [(a, _), (b, _), (c, _), (d, _)] = searches {
            let finds = std::array::from_fn(|_| finds.next().unwrap_or_default());
            counts = Search::find_together([a, b, c, d], finds, first, blocks);
        } else {
            for ((count, found), (search, _)) in counts.iter_mut().zip(finds).zip(&mut *searches) {
                *count = search.find_in_tile(found, first, blocks);
            }
        }
        let finds = rows.chunks_mut(BLOCKS * BLOCK);
        for ((count, found), (search, _)) in counts.into_iter().zip(finds).zip(searches) {
            search.score(&mut found[..count], dots, bounds, spare);
        }
    }
}
