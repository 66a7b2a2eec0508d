//! A ridge regression for each track over those most played with it.

use std::ops::Range;
use std::sync::Mutex;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{MatMut, Par};
use sparkify_core::{Interrupt, Result, workers};

use super::coplays::Plays;
use super::{NeighbourOptions, Row, give_back, keep_greatest, taken};
use crate::interactions::{reserve, zeros};

/// The memory of one regression after the other.
struct Regression {
    /// Where a track stands among the candidates, from 1; 0 for others.
    slots: Vec<u16>,
    system: Vec<f64>,
    copy: Vec<f64>,
    right: Vec<f64>,
    stack: MemBuffer,
}

/// What sources add to one target.
type Column = Vec<(u32, f32)>;

pub(super) fn solve_all(
    plays: &Plays,
    rows: &[Row],
    options: &NeighbourOptions,
    threads: usize,
    interrupt: Interrupt,
) -> Result<Vec<Vec<(f32, u32)>>> {
    let candidates = options.candidates.min(usize::from(u16::MAX) - 1);
    let pool = Mutex::new(Vec::new());
    let mut next = 0;
    let jobs = || {
        let first = next;
        next = (next + 16).min(plays.tracks);
        (first < next).then_some(first..next)
    };
    let work = |range: Range<usize>, go_on: &dyn Fn() -> bool| {
        let fresh = || Regression::new(plays.tracks, candidates);
        let mut regression = match taken(&pool).map_or_else(fresh, Ok) {
            Ok(regression) => regression,
            Err(error) => return Some(Err(error)),
        };
        let mut columns = Vec::with_capacity(range.len());
        for target in range {
            if !go_on() {
                return None;
            }
            columns.push((target as u32, regression.column(plays, rows, options, target)));
        }
        give_back(&pool, regression);
        Some(Ok(columns))
    };
    let mut kept: Vec<Vec<(f32, u32)>> = zeros(plays.tracks, "neighbours")?;
    let mut failed = None;
    let mut keep = |columns: Vec<(u32, Column)>| -> Result<()> {
        for (target, column) in columns {
            for (source, weight) in column {
                offer(&mut kept[source as usize], (weight, target), options.kept)?;
            }
        }
        Ok(())
    };
    let take = |columns: Result<Vec<(u32, Column)>>| {
        if let Err(error) = columns.and_then(&mut keep) {
            failed = failed.take().or(Some(error));
        }
    };
    workers::in_order(threads, jobs, work, take, interrupt);
    failed.map_or(Ok(kept), Err)
}

/// Adds to a heap of the `count` greatest, its least first.
///
/// Targets come in ascending order, so of equal weights the lower target stays.
fn offer(heap: &mut Vec<(f32, u32)>, entry: (f32, u32), count: usize) -> Result<()> {
    let less = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)).is_lt();
    if heap.len() < count {
        if heap.len() == heap.capacity() {
            reserve(heap, heap.len().max(4).min(count - heap.len()), "neighbours")?;
        }
        heap.push(entry);
        let mut at = heap.len() - 1;
        while at > 0 && less(&heap[at], &heap[(at - 1) / 2]) {
            heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        return Ok(());
    }
    if heap.is_empty() || !less(&heap[0], &entry) {
        return Ok(());
    }
    heap[0] = entry;
    let mut at = 0;
    loop {
        let mut least = at;
        for child in [2 * at + 1, 2 * at + 2] {
            if child < heap.len() && less(&heap[child], &heap[least]) {
                least = child;
            }
        }
        if least == at {
            return Ok(());
        }
        heap.swap(at, least);
        at = least;
    }
}

impl Regression {
    fn new(tracks: usize, candidates: usize) -> Result<Self> {
        let scratch =
            llt::factor::cholesky_in_place_scratch::<f64>(candidates, Par::Seq, Default::default());
        Ok(Self {
            slots: zeros(tracks, "neighbours")?,
            system: zeros(candidates * candidates, "neighbours")?,
            copy: Vec::new(),
            right: zeros(candidates, "neighbours")?,
            stack: MemBuffer::new(scratch),
        })
    }

    fn column(
        &mut self,
        plays: &Plays,
        rows: &[Row],
        options: &NeighbourOptions,
        target: usize,
    ) -> Column {
        let mut chosen = rows[target].to_vec();
        keep_greatest(&mut chosen, self.right.len());
        chosen.sort_unstable_by_key(|&(_, track)| track);
        let size = chosen.len();
        if size == 0 {
            return Vec::new();
        }
        for (slot, &(_, track)) in chosen.iter().enumerate() {
            self.slots[track as usize] = slot as u16 + 1;
        }
        let system = &mut self.system[..size * size];
        system.fill(0.0);
        for (slot, &(value, track)) in chosen.iter().enumerate() {
            self.right[slot] = f64::from(value);
            for &(value, other) in &rows[track as usize] {
                if let Some(with) = usize::from(self.slots[other as usize]).checked_sub(1) {
                    // Only the lower triangle is read; where a row was cut, its
                    // partner may still hold the pair.
                    system[slot.min(with) * size + slot.max(with)] = f64::from(value);
                }
            }
            system[slot * size + slot] = plays.diagonal[track as usize] + options.ridge;
        }
        for &(_, track) in &chosen {
            self.slots[track as usize] = 0;
        }
        self.solve(size);
        let of_target = plays.of_target[target];
        let weight = |(&(_, track), &b): (&(f32, u32), &f64)| {
            let weight = (plays.of_track[track as usize] * b * of_target) as f32;
            (weight > 0.0 && weight.is_finite()).then_some((track, weight))
        };
        chosen.iter().zip(&self.right[..size]).filter_map(weight).collect()
    }

    /// `right ← system⁻¹ right` for the leading `size`.
    ///
    /// With pairs missing the system may not be positive; then more is added to
    /// its diagonal until it is.
    fn solve(&mut self, size: usize) {
        self.copy.clear();
        self.copy.extend_from_slice(&self.system[..size * size]);
        let stack = MemStack::new(&mut self.stack);
        for _ in 0..32 {
            let mut system =
                MatMut::from_column_major_slice_mut(&mut self.system[..size * size], size, size);
            let factored = llt::factor::cholesky_in_place(
                system.as_mut(),
                Default::default(),
                Par::Seq,
                stack,
                Default::default(),
            );
            if factored.is_ok() {
                let right = MatMut::from_column_major_slice_mut(&mut self.right[..size], size, 1);
                return llt::solve::solve_in_place(system.as_ref(), right, Par::Seq, stack);
            }
            for at in 0..size {
                self.copy[at * size + at] *= 2.0;
            }
            self.system[..size * size].copy_from_slice(&self.copy);
        }
        self.right[..size].fill(0.0);
    }
}
