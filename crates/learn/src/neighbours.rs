//! Neighbours: what the listeners of a track also play, as a sparse map.
//!
//! In `P: (users, tracks)` a play has the value `n^(−¼) · d^(−0.4)`, of a user of n
//! tracks and a track of d listeners, scaled so that the mean of the diagonal of `G
//! = PᵀP` is 1. For each track i, the target, a ridge regression over the tracks C
//! that are most played together with it gives `b = (G_CC + λI)⁻¹ G_Ci`. A play of
//! j then adds `W_ji = max(0, d_j^(−0.4) · b_j · d_i^(0.3))` to the score of i, and
//! every j keeps its greatest.
//!
//! Rows of G are computed one at a time and their greatest entries kept, as many
//! as a budget of bytes allows: all of them in a small catalogue, where `G_CC` is
//! then exact, at least the candidates in a large one, where pairs outside both
//! rows count as never played together. Memory, with m tracks: a row takes 8 bytes
//! times the lower of its length and budget / (8 m); what is kept, 8 bytes a
//! neighbour; the plays, both ways, 8 bytes an entry, of histories as cut; a
//! track altogether 120 bytes more, and 26 more for each thread. With 10⁶ tracks,
//! 10⁸ plays, 200 candidates and 100 kept that is 1.6 + 0.8 + 0.8 + 0.2 GB.
//!
//! Source: H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW
//! 2019, restricted to a neighbourhood as in X. Ning, G. Karypis, "SLIM", ICDM 2011.

mod additions;
mod coplays;
mod regression;

use std::sync::Mutex;

use sparkify_core::{Interrupt, Result};

pub(crate) use self::additions::fading;
pub use self::additions::{Additions, recency};
use self::coplays::Plays;
use self::regression::solve_all;
use crate::Interactions;
use crate::interactions::{reserve, zeros};

/// How neighbours are found.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourOptions {
    /// Exponent of a user's distinct tracks in `P`, negated.
    pub user_exponent: f64,
    /// Exponent of a track's distinct listeners in `P`, negated.
    pub source_exponent: f64,
    /// Exponent of the target's distinct listeners in `W`.
    pub target_exponent: f64,
    /// Ridge λ, where the diagonal of G is 1 in the mean.
    pub ridge: f64,
    /// Tracks of a regression.
    pub candidates: usize,
    /// Neighbours kept of each track.
    pub kept: usize,
    /// Longer histories count with this many of their newest plays.
    pub longest_history: usize,
    /// Bytes for the rows of G, where more than the candidates would fit.
    pub row_bytes: usize,
}

impl Default for NeighbourOptions {
    fn default() -> Self {
        Self {
            user_exponent: 0.25,
            source_exponent: 0.4,
            target_exponent: 0.3,
            ridge: 5.0,
            candidates: 200,
            kept: 100,
            longest_history: 500,
            row_bytes: 1 << 30,
        }
    }
}

/// What a play of each track adds to others: rows by source, targets ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbours {
    /// Where each source's neighbours begin; `tracks + 1` entries.
    pub offsets: Vec<usize>,
    /// The tracks added to.
    pub targets: Vec<u32>,
    /// What is added; above 0.
    pub weights: Vec<f32>,
}

impl Neighbours {
    /// No neighbours of any of `tracks`.
    pub(crate) fn none(tracks: usize) -> Result<Self> {
        Ok(Self { offsets: zeros(tracks + 1, "neighbours")?, ..Self::default() })
    }

    /// The neighbours of a track and what its play adds to them.
    pub fn of(&self, source: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let own = self.offsets[source as usize]..self.offsets[source as usize + 1];
        self.targets[own.clone()].iter().copied().zip(self.weights[own].iter().copied())
    }

    /// Finds the neighbours of all tracks; the same for any number of `threads`.
    ///
    /// # Errors
    /// [`sparkify_core::Error::OutOfMemory`].
    pub fn find(
        data: &Interactions,
        options: &NeighbourOptions,
        threads: usize,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let plays = Plays::new(data, options, interrupt)?;
        let rows = plays.rows(options, threads, interrupt)?;
        let kept = solve_all(&plays, &rows, options, threads, interrupt)?;
        drop(rows);
        let mut found = Self::none(data.tracks())?;
        let count = kept.iter().map(Vec::len).sum();
        reserve(&mut found.targets, count, "neighbours")?;
        reserve(&mut found.weights, count, "neighbours")?;
        for (source, mut own) in kept.into_iter().enumerate() {
            if source % 1024 == 0 {
                interrupt();
            }
            own.sort_unstable_by_key(|&(_, target)| target);
            found.targets.extend(own.iter().map(|&(_, target)| target));
            found.weights.extend(own.iter().map(|&(weight, _)| weight));
            found.offsets[source + 1] = found.targets.len();
        }
        Ok(found)
    }
}

/// Value and track.
type Valued = (f32, u32);

/// Values and tracks of a row of G, tracks ascending.
type Row = Box<[Valued]>;

/// Cuts to the `count` greatest; of equal ones the lower track stays.
fn keep_greatest(entries: &mut Vec<(f32, u32)>, count: usize) {
    if entries.len() > count {
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if count > 0 {
            entries.select_nth_unstable_by(count - 1, order);
        }
        entries.truncate(count);
    }
}

fn taken<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop()
}

fn give_back<T>(pool: &Mutex<Vec<T>>, scratch: T) {
    pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(scratch);
}

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
