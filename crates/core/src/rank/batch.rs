//! Many queries on several threads.

use super::kernel::{BLOCK, Kernel};
use super::search::{Scratch, Search, TILE_BLOCKS};
use super::{Index, Query, Ranked, plain};
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

pub fn top_n_together(
    index: &Index,
    queries: &[Query],
    kernel: Kernel,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<Vec<Ranked>>>> {
    for query in queries {
        query.check(index)?;
    }
    let mut results = Vec::new();
    super::reserve(&mut results, queries.len())?;
    for queries in queries.chunks(GROUP) {
        match group(index, queries, kernel, go_on)? {
            Some(answers) => results.extend(answers),
            None => return Ok(None),
        }
    }
    Ok(Some(results))
}

/// Answers a group of queries, unless it is told not to go on.
fn group(
    index: &Index,
    queries: &[Query],
    kernel: Kernel,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<Vec<Ranked>>>> {
    let mut scratch = Scratch::new()?;
    let mut results = vec![Vec::new(); queries.len()];
    let mut searches = Vec::with_capacity(queries.len());
    for (query, result) in queries.iter().zip(&mut results) {
        if !go_on() {
            return Ok(None);
        }
        if !Search::suits(query) {
            *result = plain::top_n(index, query, &|| ())?;
            continue;
        }
        let mut search = Search::new(index, query, kernel)?;
        if search.start(&mut scratch, query.candidates)? {
            searches.push((search, result));
        } else {
            *result = search.finish();
        }
    }
    for first in (0..index.blocks_len()).step_by(BLOCKS) {
        if !go_on() {
            return Ok(None);
        }
        let blocks = BLOCKS.min(index.blocks_len() - first);
        let Scratch { rows, dots, bounds, spare, .. } = &mut scratch;
        // Queries are bounded together before the first is scored, so that the rows
        // to score arrive meanwhile.
        for searches in searches.chunks_mut(TOGETHER) {
            let mut counts = [0; TOGETHER];
            let mut finds = rows.chunks_mut(BLOCKS * BLOCK);
            if let [(a, _), (b, _), (c, _), (d, _)] = searches {
                let finds = std::array::from_fn(|_| finds.next().unwrap_or_default());
                counts = Search::find_together([a, b, c, d], finds, first, blocks);
            } else {
                for ((count, found), (search, _)) in
                    counts.iter_mut().zip(finds).zip(&mut *searches)
                {
                    *count = search.find_in_tile(found, first, blocks);
                }
            }
            let finds = rows.chunks_mut(BLOCKS * BLOCK);
            for ((count, found), (search, _)) in counts.into_iter().zip(finds).zip(searches) {
                search.score(&mut found[..count], dots, bounds, spare);
            }
        }
    }
    for (search, result) in searches {
        *result = search.finish();
    }
    Ok(Some(results))
}
