//! The half-step: the factors of one row, given those of its columns.
//!
//! Minimises `Σ c (p − x·v)² + α Σ_all (x·v)² + λ‖x‖²` over `x`. In the eigenbasis
//! of `G = VᵀV` the part that all columns share is diagonal, `D = αΛ + λ`. With
//! the columns of `B: (d, n)` being `√c · D^(−½) v` and `r = √c · p`:
//!
//! - `n < d`: `x = D^(−½) B (I + BᵀB)⁻¹ r` (Woodbury), `O(n²d + n³)`;
//! - otherwise `x = D^(−½) (I + BBᵀ)⁻¹ B r`, `O(nd² + d³)`.
//!
//! Both systems are `I` plus a Gram matrix: their Cholesky factors exist.
//!
//! Source: Y. Hu, Y. Koren, C. Volinsky, "Collaborative filtering for implicit
//! feedback datasets", ICDM 2008; M. A. Woodbury, "Inverting modified matrices",
//! Princeton 1950.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

/// Entries gathered at a time where there are more than `d`.
const CHUNK: usize = 256;

/// What is known of one column.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Its factors, up to `scale`.
    pub row: &'a [f32],
    pub scale: f64,
    pub confidence: f64,
    pub target: f64,
}

/// Solves rows one after the other in the same memory.
pub(crate) struct Solver<'a> {
    /// `D^(−½)`.
    shrink: &'a [f64],
    columns: Vec<f64>,
    system: Vec<f64>,
    right: Vec<f64>,
    stack: MemBuffer,
}

/// `(α Λ + λ)^(−½)`. Rounding can leave an eigenvalue of 0 a little below it.
pub(crate) fn shrinkage(eigenvalues: &[f64], alpha: f64, lambda: f64) -> Vec<f64> {
    eigenvalues.iter().map(|&e| (alpha * e.max(0.0) + lambda).sqrt().recip()).collect()
}

impl<'a> Solver<'a> {
    /// For rows whose columns lie in the eigenbasis that `shrink` was made from.
    pub fn new(shrink: &'a [f64]) -> Self {
        Self::with_room(shrink, shrink.len().max(CHUNK))
    }

    /// For one row of `n` columns: no more memory than that takes, for it is new each time.
    pub fn for_row(shrink: &'a [f64], n: usize) -> Self {
        Self::with_room(shrink, if n < shrink.len() { n } else { CHUNK.max(shrink.len()) })
    }

    /// For rows of fewer than `columns` columns, or of any number of them where that is
    /// neither below the dims nor below a chunk.
    fn with_room(shrink: &'a [f64], columns: usize) -> Self {
        let d = shrink.len();
        let size = d.min(columns);
        let scratch =
            llt::factor::cholesky_in_place_scratch::<f64>(size, Par::Seq, Default::default());
        Self {
            shrink,
            columns: vec![0.0; d * columns],
            system: vec![0.0; size * size],
            right: vec![0.0; columns],
            stack: MemBuffer::new(scratch),
        }
    }

    /// Solves for the row of `n` columns; `None` where `go_on` said no.
    ///
    /// What is not finite says nothing: then `x` is 0.
    pub fn solve<'k>(
        &mut self,
        n: usize,
        known: impl Fn(usize) -> Known<'k>,
        go_on: &dyn Fn() -> bool,
        x: &mut [f64],
    ) -> Option<()> {
        let d = self.shrink.len();
        x.fill(0.0);
        if n == 0 || d == 0 {
            return Some(());
        }
        if n < d {
            for at in 0..n {
                self.gather(at, known(at));
            }
            let columns = MatRef::from_column_major_slice(&self.columns[..d * n], d, n);
            let system = MatMut::from_column_major_slice_mut(&mut self.system[..n * n], n, n);
            gram(system, Accum::Replace, columns.transpose(), columns);
            self.factor_and_solve(n);
            for (column, &y) in self.columns.chunks_exact(d).zip(&self.right[..n]) {
                add_scaled(x, y, column);
            }
        } else {
            for start in (0..n).step_by(CHUNK) {
                if !go_on() {
                    return None;
                }
                let count = CHUNK.min(n - start);
                for at in 0..count {
                    self.gather(at, known(start + at));
                }
                let columns = MatRef::from_column_major_slice(&self.columns[..d * count], d, count);
                let system = MatMut::from_column_major_slice_mut(&mut self.system, d, d);
                let accumulate = if start == 0 { Accum::Replace } else { Accum::Add };
                gram(system, accumulate, columns, columns.transpose());
                for (column, &r) in self.columns.chunks_exact(d).zip(&self.right[..count]) {
                    add_scaled(x, r, column);
                }
            }
            self.right[..d].copy_from_slice(x);
            self.factor_and_solve(d);
            x.copy_from_slice(&self.right[..d]);
        }
        for (x, &shrink) in x.iter_mut().zip(self.shrink) {
            *x *= shrink;
        }
        if x.iter().any(|value| !value.is_finite()) {
            x.fill(0.0);
        }
        Some(())
    }

    fn gather(&mut self, at: usize, known: Known) {
        let d = self.shrink.len();
        let root = known.confidence.sqrt();
        let scale = root * known.scale;
        let column = &mut self.columns[at * d..(at + 1) * d];
        for ((out, &value), &shrink) in column.iter_mut().zip(known.row).zip(self.shrink) {
            *out = f64::from(value) * (shrink * scale);
        }
        self.right[at] = root * known.target;
    }

    /// `right ← (I + system)⁻¹ right` for the leading `size`.
    fn factor_and_solve(&mut self, size: usize) {
        let right = &mut self.right[..size];
        let mut system =
            MatMut::from_column_major_slice_mut(&mut self.system[..size * size], size, size);
        for at in 0..size {
            system[(at, at)] += 1.0;
        }
        let stack = MemStack::new(&mut self.stack);
        let factored = llt::factor::cholesky_in_place(
            system.as_mut(),
            Default::default(),
            Par::Seq,
            stack,
            Default::default(),
        );
        if factored.is_err() {
            // Only numbers that are not finite come here.
            right.fill(0.0);
            return;
        }
        let right = MatMut::from_column_major_slice_mut(right, size, 1);
        llt::solve::solve_in_place(system.as_ref(), right, Par::Seq, stack);
    }
}

/// The lower triangle of `left · right`, a symmetric product.
fn gram(system: MatMut<f64>, accumulate: Accum, left: MatRef<f64>, right: MatRef<f64>) {
    let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    matmul(system, lower, accumulate, left, whole, right, whole, 1.0, Par::Seq);
}

/// `sums += factor · row`.
pub(crate) fn add_scaled(sums: &mut [f64], factor: f64, row: &[f64]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

#[cfg(test)]
#[path = "solve_tests.rs"]
mod tests;
