//! Factors of tracks by alternating least squares.
//!
//! `Σ_observed c (p − x_u·v_i)² + α Σ_all (x_u·v_i)² + λ(Σ‖x‖² + Σ‖v‖²)` is
//! minimised over the users' factors, then over the tracks', in exact half-steps
//! from the start of [`start`](crate::start). The last step ends in the
//! eigenbasis of `VᵀV`, so that folding in a user needs its eigenvalues alone.
//!
//! Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit
//! feedback datasets", ICDM 2008; S. Rendle et al., "Revisiting the performance
//! of iALS on item recommendation benchmarks", RecSys 2022.

use std::ops::Range;

use sparkify_core::{Error, Interrupt, Result, workers};

use crate::dense::{Tall, eigen};
use crate::solve::{Known, Solver, shrinkage};
use crate::start::Start;
use crate::targets::{Side, Targets};

/// Multiplications in a job of a thread: about a millisecond.
const JOB: usize = 5_000_000;

/// What the factorisation minimises, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorOptions {
    /// Weight α of all pairs.
    pub alpha: f64,
    /// Ridge λ, in units of the last singular value of the start.
    pub ridge: f64,
    /// Steps over users and tracks.
    pub iterations: usize,
}

impl Default for FactorOptions {
    fn default() -> Self {
        Self { alpha: 0.15, ridge: 0.4, iterations: 4 }
    }
}

/// Factors of tracks in the eigenbasis of their Gram matrix.
pub struct Factors {
    pub(crate) tracks: Tall,
    /// Of `VᵀV`, descending.
    pub eigenvalues: Vec<f64>,
    /// Ridge λ.
    pub lambda: f64,
}

impl Factors {
    /// Dimensions: fewer than asked for where the plays span fewer.
    pub fn dims(&self) -> usize {
        self.tracks.dims
    }

    /// The factors of a track.
    pub fn row(&self, track: usize) -> &[f32] {
        self.tracks.row(track)
    }

    pub(crate) fn train(
        targets: &Targets,
        start: &Start,
        options: &FactorOptions,
        threads: usize,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let Some(last) = start.singular_values.last() else {
            return Err(Error::TooFew { what: "plays", have: targets.plays, need: 1 });
        };
        let lambda = options.ridge * last;
        let step = |factors: &Tall, side: &Side| {
            let (rotated, eigenvalues) = in_eigenbasis(factors, threads, interrupt)?;
            let shrink = shrinkage(&eigenvalues, options.alpha, lambda);
            half_step(side, &rotated, &shrink, threads, interrupt)
        };
        let mut users = step(&start.factors, &targets.by_user)?;
        let mut tracks = step(&users, &targets.by_track)?;
        for _ in 1..options.iterations {
            users = step(&tracks, &targets.by_user)?;
            tracks = step(&users, &targets.by_track)?;
        }
        drop(users);
        let (tracks, eigenvalues) = in_eigenbasis(&tracks, threads, interrupt)?;
        Ok(Self { tracks, eigenvalues, lambda })
    }
}

/// The factors turned into the eigenbasis of their Gram matrix.
fn in_eigenbasis(factors: &Tall, threads: usize, interrupt: Interrupt) -> Result<(Tall, Vec<f64>)> {
    let (values, vectors) = eigen(factors.gram(threads, interrupt).as_ref())?;
    Ok((factors.times(vectors.as_ref(), threads, interrupt)?, values))
}

/// Solves every row of `side` for its factors, given those of its columns.
fn half_step(
    side: &Side,
    columns: &Tall,
    shrink: &[f64],
    threads: usize,
    interrupt: Interrupt,
) -> Result<Tall> {
    let dims = shrink.len();
    let mut rows = Tall::zeros(side.rows(), dims)?;
    let mut next = 0;
    let jobs = || {
        let first = next;
        let mut cost = 0;
        while next < side.rows() && cost < JOB {
            cost += multiplications(side.offsets[next + 1] - side.offsets[next], dims);
            next += 1;
        }
        (first < next).then_some(first..next)
    };
    let work = |range: Range<usize>, go_on: &dyn Fn() -> bool| {
        let mut solver = Solver::new(shrink);
        let mut x = vec![0.0; dims];
        let mut done = Vec::with_capacity(range.len() * dims);
        for row in range {
            if !go_on() {
                return None;
            }
            let first = side.offsets[row];
            let known = |at: usize| Known {
                row: columns.row(side.columns[first + at] as usize),
                scale: 1.0,
                confidence: f64::from(side.confidences[first + at]),
                target: f64::from(side.targets[first + at]),
            };
            solver.solve(side.offsets[row + 1] - first, known, go_on, &mut x)?;
            done.extend(x.iter().map(|&value| value as f32));
        }
        Some(done)
    };
    let mut at = 0;
    let take = |done: Vec<f32>| {
        rows.values[at..at + done.len()].copy_from_slice(&done);
        at += done.len();
    };
    workers::in_order(threads, jobs, work, take, interrupt);
    Ok(rows)
}

fn multiplications(n: usize, dims: usize) -> usize {
    let side = n.min(dims);
    dims + side * side * n.max(dims) / 2 + side * side * side / 6
}
