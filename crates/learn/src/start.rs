//! Where the factorisation starts: a randomised singular value decomposition of
//! the targets.
//!
//! A random matrix with a few columns more than wanted is multiplied by the
//! targets and their transpose, orthonormalised in between; the leading singular
//! vectors then lie in what it spans to a good approximation. Alternating least
//! squares from random factors needs many more steps, and with few of them falls
//! back to what everybody plays.
//!
//! Source: N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with
//! randomness", SIAM Review 53 (2011), algorithm 4.4.

use faer::{Mat, MatRef};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sparkify_core::{Interrupt, Result, workers};

use crate::dense::{Tall, eigen};
use crate::targets::{Side, Targets};

/// Columns more than wanted.
const OVERSAMPLING: usize = 16;

/// Multiplications by the targets and their transpose.
const POWER_STEPS: usize = 3;

/// Singular values below this share of the largest are rounding: the factors
/// are float32.
const RANK_TOLERANCE: f64 = 1e-3;

/// Right singular vectors, each times the root of its singular value.
pub(crate) struct Start {
    /// `(tracks, dims)`; fewer `dims` than wanted where the rank is lower.
    pub factors: Tall,
    /// Descending, above 0.
    pub singular_values: Vec<f64>,
}

impl Start {
    pub fn new(
        targets: &Targets,
        dims: usize,
        seed: u64,
        threads: usize,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let (users, tracks) = (targets.by_user.rows(), targets.by_track.rows());
        let width = (dims + OVERSAMPLING).min(users).min(tracks);
        let mut right = Tall::zeros(tracks, width)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for row in right.values.chunks_mut(width.max(1) * 1024) {
            interrupt();
            row.fill_with(|| rng.random::<f32>() - 0.5);
        }
        for _ in 0..POWER_STEPS {
            let left = product(&targets.by_user, &right, threads, interrupt)?;
            let left = orthonormal(&left, threads, interrupt)?;
            let unordered = product(&targets.by_track, &left, threads, interrupt)?;
            right = orthonormal(&unordered, threads, interrupt)?;
        }
        // In the basis `right` the targets have the Gram matrix of their images.
        let left = product(&targets.by_user, &right, threads, interrupt)?;
        let (squares, vectors) = eigen(left.gram(threads, interrupt).as_ref())?;
        let largest = squares.first().map_or(0.0, |square| square.max(0.0).sqrt());
        let singular_values: Vec<f64> = squares
            .iter()
            .map(|square| square.max(0.0).sqrt())
            .take_while(|&value| value > largest * RANK_TOLERANCE)
            .take(dims)
            .collect();
        let scaled = Mat::from_fn(right.dims, singular_values.len(), |i, k| {
            vectors[(i, k)] * singular_values[k].sqrt()
        });
        let factors = right.times(scaled.as_ref(), threads, interrupt)?;
        Ok(Self { factors, singular_values })
    }
}

/// Targets times `by`, a row at a time.
fn product(side: &Side, by: &Tall, threads: usize, interrupt: Interrupt) -> Result<Tall> {
    let width = by.dims;
    let mut product = Tall::zeros(side.rows(), width)?;
    let mut start = 0;
    let jobs = || {
        let first = start;
        let mut entries = 0;
        while start < side.rows() && entries < 8192 {
            entries += side.offsets[start + 1] - side.offsets[start] + 16;
            start += 1;
        }
        (first < start).then_some(first..start)
    };
    let work = |rows: std::ops::Range<usize>, go_on: &dyn Fn() -> bool| {
        let mut done = Vec::with_capacity(rows.len() * width);
        let mut sums = vec![0.0f64; width];
        for row in rows {
            if !go_on() {
                return None;
            }
            sums.fill(0.0);
            for at in side.offsets[row]..side.offsets[row + 1] {
                let target = f64::from(side.targets[at]);
                for (sum, &value) in sums.iter_mut().zip(by.row(side.columns[at] as usize)) {
                    *sum += target * f64::from(value);
                }
            }
            done.extend(sums.iter().map(|&sum| sum as f32));
        }
        Some(done)
    };
    let mut at = 0;
    let take = |done: Vec<f32>| {
        product.values[at..at + done.len()].copy_from_slice(&done);
        at += done.len();
    };
    workers::in_order(threads, jobs, work, take, interrupt);
    Ok(product)
}

/// An orthonormal basis of the columns, in the order of their strength; what is
/// rounding becomes 0.
fn orthonormal(tall: &Tall, threads: usize, interrupt: Interrupt) -> Result<Tall> {
    let (values, vectors) = eigen(tall.gram(threads, interrupt).as_ref())?;
    let floor = values.first().map_or(0.0, |largest| largest * 1e-12);
    let scale = |k: usize| if values[k] > floor { values[k].sqrt().recip() } else { 0.0 };
    let by = Mat::from_fn(tall.dims, tall.dims, |i, k| vectors[(i, k)] * scale(k));
    tall.times(MatRef::from(by.as_ref()), threads, interrupt)
}
