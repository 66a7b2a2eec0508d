//! Many queries on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::kernel::{BLOCK, Kernel};
use super::search::{Scratch, Search, TILE_BLOCKS};
use super::{Index, Query, Ranked, plain};
use crate::{Interrupt, Result};

/// Queries that go through a tile of tracks together.
const GROUP: usize = 512;
/// Blocks of a tile: its bounds and its rows stay in the caches near a core.
const BLOCKS: usize = 64;
/// Queries that are bounded before the first of them is scored.
const AHEAD: usize = TILE_BLOCKS / BLOCKS;
/// How often the calling thread calls the interrupt while others work.
const POLL: Duration = Duration::from_millis(10);

type Work<'w, 'q> =
    std::iter::Zip<std::slice::Chunks<'w, Query<'q>>, std::slice::ChunksMut<'w, Vec<Ranked>>>;

/// Sets a flag when it goes, by return or by unwinding.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

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
    results.resize_with(queries.len(), Vec::new);
    let threads = threads.min(queries.len().div_ceil(GROUP));
    let work = Mutex::new(queries.chunks(GROUP).zip(results.chunks_mut(GROUP)));
    if threads <= 1 {
        let check = || {
            interrupt();
            true
        };
        drain(index, &work, kernel, &check)?;
    } else {
        on_threads(index, &work, threads, kernel, interrupt)?;
    }
    Ok(results)
}

fn on_threads(
    index: &Index,
    work: &Mutex<Work>,
    threads: usize,
    kernel: Kernel,
    interrupt: Interrupt,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    let running = AtomicUsize::new(0);
    let caller = std::thread::current();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        let mut workers = Vec::with_capacity(threads);
        let blocked = super::signals::Blocked::all();
        for _ in 0..threads {
            running.fetch_add(1, Ordering::Relaxed);
            let spawned = std::thread::Builder::new().spawn_scoped(scope, || {
                let _done = Done { running: &running, caller: &caller };
                drain(index, work, kernel, &|| !stop.load(Ordering::Relaxed))
            });
            match spawned {
                Ok(worker) => workers.push(worker),
                Err(_) => {
                    running.fetch_sub(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        drop(blocked);
        // Without any thread the caller does the work itself, after the rest.
        while running.load(Ordering::Acquire) > 0 {
            interrupt();
            std::thread::park_timeout(POLL);
        }
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        let check = || {
            interrupt();
            true
        };
        drain(index, work, kernel, &check)
    })
}

/// Counts a worker off and wakes the caller, by return or by unwinding.
struct Done<'a> {
    running: &'a AtomicUsize,
    caller: &'a std::thread::Thread,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}

/// Takes groups of queries until none is left or `go_on` says no.
fn drain(
    index: &Index,
    work: &Mutex<Work>,
    kernel: Kernel,
    go_on: &dyn Fn() -> bool,
) -> Result<()> {
    let mut scratch = Scratch::new()?;
    loop {
        let next = work.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
        let Some((queries, results)) = next else {
            return Ok(());
        };
        if !group(index, queries, results, &mut scratch, kernel, go_on)? {
            return Ok(());
        }
    }
}

/// Answers a group of queries; says whether it came to its end.
fn group(
    index: &Index,
    queries: &[Query],
    results: &mut [Vec<Ranked>],
    scratch: &mut Scratch,
    kernel: Kernel,
    go_on: &dyn Fn() -> bool,
) -> Result<bool> {
    let mut searches = Vec::with_capacity(queries.len());
    for (query, result) in queries.iter().zip(results) {
        if !go_on() {
            return Ok(false);
        }
        if !Search::suits(query) {
            *result = plain::top_n(index, query, &|| ())?;
            continue;
        }
        let mut search = Search::new(index, query, kernel)?;
        if search.start(scratch, query.candidates) {
            searches.push((search, result));
        } else {
            *result = search.finish();
        }
    }
    for first in (0..index.blocks_len()).step_by(BLOCKS) {
        if !go_on() {
            return Ok(false);
        }
        let blocks = BLOCKS.min(index.blocks_len() - first);
        // Several queries are bounded before the first is scored, so that the
        // rows to score arrive meanwhile.
        for searches in searches.chunks_mut(AHEAD) {
            let mut counts = [0; AHEAD];
            let finds = scratch.positions.chunks_mut(BLOCKS * BLOCK);
            for ((count, found), (search, _)) in counts.iter_mut().zip(finds).zip(&mut *searches) {
                *count = search.find_in_tile(found, first, blocks);
            }
            let finds = scratch.positions.chunks(BLOCKS * BLOCK);
            for ((count, found), (search, _)) in counts.into_iter().zip(finds).zip(searches) {
                search.score(&found[..count], &mut scratch.dots);
            }
        }
    }
    for (search, result) in searches {
        *result = search.finish();
    }
    Ok(true)
}
