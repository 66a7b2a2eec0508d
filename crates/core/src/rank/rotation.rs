//! The rotation that makes the second moment of unit vectors diagonal and
//! descending: the first components then hold as much as they can, and no dot
//! product changes. For the dot product a vector counts with the square of its
//! length, for the long ones are those that bounds must decide about.

use nalgebra::{DMatrix, SymmetricEigen};

use super::Metric;
use super::kernel::{Kernel, padded};
use crate::Interrupt;

/// Vectors longer than this are taken as they come, without rotation.
const ROTATED_DIMS: usize = 256;
/// Tracks that the rotation is computed from.
const SAMPLE: usize = 4096;

/// The rotation, empty where there is none, and the share of the second
/// moment of the unit vectors that each component then has.
pub fn rotation(
    vectors: &[f32],
    norms: &[f64],
    dims: usize,
    metric: Metric,
    interrupt: Interrupt,
) -> (Vec<f32>, Vec<f64>) {
    let longest = norms.iter().copied().fold(0.0, f64::max);
    let stride = norms.len().div_ceil(SAMPLE).max(1);
    let rotated = dims <= ROTATED_DIMS;
    let mut moment = vec![0f64; if rotated { dims * dims } else { 0 }];
    let mut shares = vec![0f64; dims];
    for (number, position) in (0..norms.len()).step_by(stride).enumerate() {
        if number % 256 == 0 {
            interrupt();
        }
        if norms[position] == 0.0 {
            continue;
        }
        let row = &vectors[position * padded(dims)..][..dims];
        let length = match metric {
            Metric::Cosine => norms[position],
            Metric::Dot => longest,
        };
        let unit: Vec<f64> = row.iter().map(|&x| f64::from(x) / length).collect();
        for (share, x) in shares.iter_mut().zip(&unit) {
            *share += x * x;
        }
        if rotated {
            // The lower half; a plain loop over slices is vectorised.
            for ((at, &y), cells) in unit.iter().enumerate().zip(moment.chunks_exact_mut(dims)) {
                for (cell, x) in cells[..=at].iter_mut().zip(&unit[..=at]) {
                    *cell += x * y;
                }
            }
        }
    }
    interrupt();
    let cell = |a: usize, b: usize| moment[a.max(b) * dims + a.min(b)];
    let turned = if rotated { eigenvectors(DMatrix::from_fn(dims, dims, cell)) } else { None };
    interrupt();
    let (rotation, mut shares) = turned.unwrap_or((Vec::new(), shares));
    let total: f64 = shares.iter().sum();
    for share in &mut shares {
        *share = if total > 0.0 { *share / total } else { 1.0 / dims as f64 };
    }
    (rotation, shares)
}

/// Eigenvectors as a rotation, and eigenvalues, in descending order; nothing
/// where the result is not orthogonal enough for the bounds to hold.
fn eigenvectors(moment: DMatrix<f64>) -> Option<(Vec<f32>, Vec<f64>)> {
    let dims = moment.nrows();
    let eigen = SymmetricEigen::try_new(moment, f64::EPSILON, 1000 * dims)?;
    let mut order: Vec<usize> = (0..dims).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let gram = eigen.eigenvectors.tr_mul(&eigen.eigenvectors);
    let off = (gram - DMatrix::identity(dims, dims)).norm();
    if off.is_nan() || off > 1e-9 {
        return None;
    }
    let mut rotation = Vec::with_capacity(dims * dims);
    for row in eigen.eigenvectors.row_iter() {
        rotation.extend(order.iter().map(|&column| row[column] as f32));
    }
    let shares = order.iter().map(|&column| eigen.eigenvalues[column].max(0.0)).collect();
    Some((rotation, shares))
}

/// Rotated unit vector of `row`; zero where the norm is.
pub fn turn(
    row: &[f32],
    norm: f64,
    rotation: &[f32],
    kernel: Kernel,
    unit: &mut [f32],
    turned: &mut [f32],
) {
    let per_norm = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    for (unit, &x) in unit.iter_mut().zip(row) {
        *unit = (f64::from(x) * per_norm) as f32;
    }
    if rotation.is_empty() {
        turned.copy_from_slice(unit);
    } else {
        kernel.rotate(rotation, unit, turned);
    }
}
