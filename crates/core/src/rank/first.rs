//! The first cutoff of a query by the cosine.

use super::arrange::RUN_BLOCKS;
use super::kernel::BLOCK;
use super::search::{Scratch, Search};
use crate::Result;

/// Runs that a first cutoff is taken from at least.
const FIRST_RUNS: usize = 8;
/// Pieces of a run whose largest bounds are told apart at most.
const PIECES: usize = 8;

/// Takes in the best of about `wanted` tracks of the runs most like the query, or
/// of all of their tracks where these are too few.
pub fn first_cutoff(search: &mut Search, scratch: &mut Scratch, wanted: usize) -> Result<()> {
    let runs = first_runs(search, FIRST_RUNS.max(wanted / 32));
    let entries = (wanted / 4).next_power_of_two().clamp(4, PIECES * runs.len().max(1));
    if wanted >= entries * BLOCK {
        return Ok(());
    }
    let mut lanes = lanes(search, &runs, entries)?;
    let (_, threshold, _) = lanes.select_nth_unstable_by(wanted, |a, b| b.cmp(a));
    for threshold in [*threshold, i32::MIN] {
        if search.top.is_full() {
            break;
        }
        for &first in &runs {
            let blocks = RUN_BLOCKS.min(search.index.blocks_len() - first);
            search.tile_reaching(scratch, first, blocks, threshold);
            // Bounds decide little here: what is left goes into the search.
            if search.whole_tiles > 0 && search.top.is_full() {
                break;
            }
        }
    }
    search.whole_tiles = 0;
    Ok(())
}

/// The largest bounds of pieces of some runs, as many as there are places in
/// `entries` blocks: every track is in one of them.
fn lanes(search: &Search, runs: &[usize], entries: usize) -> Result<Vec<i32>> {
    let piece = (runs.len() * RUN_BLOCKS / entries).clamp(1, RUN_BLOCKS);
    let mut lanes = Vec::new();
    super::reserve(&mut lanes, entries)?;
    lanes.resize(entries, [i32::MIN; BLOCK]);
    let mut entry = 0;
    for &first in runs {
        let end = (first + RUN_BLOCKS).min(search.index.blocks_len());
        for first in (first..end).step_by(piece) {
            let blocks = search.index.blocks(first, piece.min(end - first));
            search.kernel.maxima(blocks, &search.bounds.codes, &mut lanes[entry]);
            entry = (entry + 1) % entries;
        }
    }
    Ok(lanes.into_flattened())
}

/// First blocks of about `count` runs whose means are most like the query.
fn first_runs(search: &Search, count: usize) -> Vec<usize> {
    let index = search.index;
    let mut sums = Vec::with_capacity(index.runs_len().next_multiple_of(BLOCK));
    for means in index.means() {
        let mut lanes = [i32::MIN; BLOCK];
        search.kernel.maxima(means, &search.bounds.codes, &mut lanes);
        sums.extend(lanes);
    }
    sums.truncate(index.runs_len());
    let mut sorted = sums.clone();
    let least = match count < sums.len() {
        true => *sorted.select_nth_unstable_by(count - 1, |a, b| b.cmp(a)).1,
        false => i32::MIN,
    };
    let runs = sums.into_iter().zip((0..).step_by(RUN_BLOCKS));
    runs.filter(|&(sum, _)| sum >= least).map(|(_, first)| first).take(2 * count).collect()
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Kernel;
    use super::super::{Index, IndexBuilder, Path, Query};
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
                let runs = first_runs(&search, 3);
                let own = index.row_of(position) as usize / BLOCK / RUN_BLOCKS * RUN_BLOCKS;
                assert!((3..=6).contains(&runs.len()), "{runs:?}");
                assert!(runs.contains(&own), "{path:?}: {own} is not among {runs:?}");
            }
        }
    }
}
