//! Tall float32 matrices on threads, with sums in float64.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use sparkify_core::{Error, Interrupt, Result, workers};

use crate::interactions::zeros;

/// Rows of a block: a job of a thread, some milliseconds at most.
const BLOCK: usize = 2048;

/// Rows turned into float64 at a time.
const CHUNK: usize = 256;

/// `(rows, dims)` in rows.
pub(crate) struct Tall {
    pub dims: usize,
    pub values: Vec<f32>,
}

impl Tall {
    pub fn zeros(rows: usize, dims: usize) -> Result<Self> {
        Ok(Self { dims, values: zeros(rows * dims, "factors")? })
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.dims.max(1)
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dims..(row + 1) * self.dims]
    }

    fn blocks(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(BLOCK * self.dims.max(1))
    }

    /// `XᵀX: (dims, dims)`, summed by blocks in their order.
    pub fn gram(&self, threads: usize, interrupt: Interrupt) -> Mat<f64> {
        let dims = self.dims;
        let mut sum = Mat::<f64>::zeros(dims, dims);
        let mut blocks = self.blocks();
        let work = |block: &[f32], go_on: &dyn Fn() -> bool| {
            let mut part = Mat::<f64>::zeros(dims, dims);
            let mut wide = Vec::new();
            for rows in block.chunks(CHUNK * dims) {
                if !go_on() {
                    return None;
                }
                let columns = widened(rows, dims, &mut wide);
                let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                let (left, right) = (columns, columns.transpose());
                triangular(&mut part, lower, Accum::Add, left, whole, right, whole, 1.0, Par::Seq);
            }
            Some(part)
        };
        workers::in_order(threads, || blocks.next(), work, |part| sum += part, interrupt);
        for column in 1..dims {
            for row in 0..column {
                sum[(row, column)] = sum[(column, row)];
            }
        }
        sum
    }

    /// Every row times `by: (dims, k)`.
    pub fn times(&self, by: MatRef<f64>, threads: usize, interrupt: Interrupt) -> Result<Self> {
        let (dims, k) = (self.dims, by.ncols());
        let mut product = Self::zeros(self.rows(), k)?;
        let mut blocks = self.blocks();
        let work = |block: &[f32], go_on: &dyn Fn() -> bool| {
            let mut wide = Vec::new();
            let mut out = vec![0.0f64; CHUNK * k];
            let mut done = Vec::with_capacity(block.len() / dims * k);
            for rows in block.chunks(CHUNK * dims) {
                if !go_on() {
                    return None;
                }
                let columns = widened(rows, dims, &mut wide);
                let count = columns.ncols();
                let to = MatMut::from_column_major_slice_mut(&mut out[..count * k], k, count);
                matmul(to, Accum::Replace, by.transpose(), columns, 1.0, Par::Seq);
                done.extend(out[..count * k].iter().map(|&value| value as f32));
            }
            Some(done)
        };
        let mut at = 0;
        let take = |done: Vec<f32>| {
            product.values[at..at + done.len()].copy_from_slice(&done);
            at += done.len();
        };
        workers::in_order(threads, || blocks.next(), work, take, interrupt);
        Ok(product)
    }
}

/// Rows of `tall: (rows, dims)` times vectors `(users, dims)`: `(users, rows)`, all in
/// rows; `None` where `go_on` said no.
pub(crate) fn products(
    tall: &[f32],
    dims: usize,
    vectors: &[f32],
    out: &mut [f32],
    go_on: &dyn Fn() -> bool,
) -> Option<()> {
    if dims == 0 || vectors.is_empty() {
        return Some(());
    }
    let (rows, users) = (tall.len() / dims, vectors.len() / dims);
    let vectors = MatRef::from_column_major_slice(vectors, dims, users);
    let mut out = MatMut::from_column_major_slice_mut(out, rows, users);
    for (block, first) in tall.chunks(4 * BLOCK * dims).zip((0..).step_by(4 * BLOCK)) {
        if !go_on() {
            return None;
        }
        let count = block.len() / dims;
        let block = MatRef::from_column_major_slice(block, dims, count);
        let to = out.as_mut().subrows_mut(first, count);
        matmul(to, Accum::Replace, block.transpose(), vectors, 1.0, Par::Seq);
    }
    Some(())
}

/// Rows as the columns of a float64 matrix `(dims, rows)`.
fn widened<'a>(rows: &[f32], dims: usize, wide: &'a mut Vec<f64>) -> MatRef<'a, f64> {
    wide.clear();
    wide.extend(rows.iter().map(|&value| f64::from(value)));
    MatRef::from_column_major_slice(wide, dims, rows.len() / dims)
}

/// Eigenvalues of a symmetric matrix, descending, and its eigenvectors as
/// columns, in each of which the entry of largest magnitude is positive.
pub(crate) fn eigen(symmetric: MatRef<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let size = symmetric.nrows();
    if size == 0 {
        return Ok((Vec::new(), Mat::zeros(0, 0)));
    }
    let failed = |_| Error::OutOfRange {
        name: "gram matrix",
        value: "one without eigenvalues".into(),
        expected: "finite".into(),
    };
    let found = symmetric.self_adjoint_eigen(Side::Lower).map_err(failed)?;
    let values = (0..size).rev().map(|k| found.S()[k]).collect();
    let mut vectors = Mat::zeros(size, size);
    for k in 0..size {
        let column = found.U().col(size - 1 - k);
        let largest = (0..size).map(|i| column[i].abs()).fold(0.0, f64::max);
        // The first of equal magnitudes decides, whatever rounding did to the others.
        let deciding = (0..size).map(|i| column[i]).find(|v| v.abs() >= largest * (1.0 - 1e-9));
        let sign = if deciding.is_some_and(|v| v < 0.0) { -1.0 } else { 1.0 };
        for i in 0..size {
            vectors[(i, k)] = sign * column[i];
        }
    }
    Ok((values, vectors))
}
