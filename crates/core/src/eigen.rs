//! The largest eigenvalues of a symmetric matrix, and their vectors, in steps that can be
//! interrupted.
//!
//! Householder's reflections make the matrix tridiagonal, Sturm's count of sign changes finds
//! eigenvalues by bisection, and inverse iteration their vectors, which are kept orthogonal to
//! those of near eigenvalues. That is 4/3 n³ operations, then O(n²) for each vector: with few
//! vectors a fraction of a whole decomposition. No step between two checks takes more than
//! O(n²). The same matrix gives the same bits everywhere: all sums have a fixed order.
//!
//! Sources: G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., 8.3 and 8.4;
//! J. H. Wilkinson, The Algebraic Eigenvalue Problem (1965), on inverse iteration.

use crate::{Interrupt, Result, memory};

/// Vectors of eigenvalues nearer than this share of the norm are kept orthogonal by hand.
const NEAR: f64 = 1e-3;
/// Steps of inverse iteration: one nearly always does.
const STEPS: usize = 3;
/// A direction that keeps less than this of its length beside the others is another start's.
const COLLAPSED: f64 = 1e-6;

/// A symmetric matrix in tridiagonal form, and the reflections that led there.
pub struct Tridiagonal {
    n: usize,
    /// Row `i` holds the reflection of step `i` in its first `i` entries.
    reflections: Vec<f64>,
    /// Half the squared length of each reflection; 0 where none was needed.
    halves: Vec<f64>,
    diagonal: Vec<f64>,
    /// Entry `i` stands beside the diagonal in row `i`; the first is 0.
    beside: Vec<f64>,
    /// Bounds of all eigenvalues.
    bounds: (f64, f64),
}

/// Sum of products in a fixed order of eight running sums.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `y += factor · x`.
fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

impl Tridiagonal {
    /// Reduces a matrix `(n, n)`, row by row, of which the lower triangle is read.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] for a few vectors of n numbers.
    pub fn of(mut a: Vec<f64>, n: usize, interrupt: Interrupt) -> Result<Tridiagonal> {
        let zeros = || memory::filled(0.0, n, "eigenvectors");
        let (mut diagonal, mut beside, mut halves) = (zeros()?, zeros()?, zeros()?);
        let (mut v, mut p) = (zeros()?, zeros()?);
        // What the step before has to subtract yet: v qᵀ + q vᵀ.
        let (mut last_v, mut last_q) = (zeros()?, zeros()?);
        for i in (0..n).rev() {
            interrupt();
            let (above, from_row) = a.split_at_mut(i * n);
            let row = &mut from_row[..=i];
            subtract(row, i, &last_v, &last_q);
            diagonal[i] = row[i];
            let Some(before) = i.checked_sub(1) else { break };
            let row = &mut row[..i];
            let scale = row.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
            let off = row[..before].iter().any(|&x| x != 0.0);
            let v = &mut v[..i];
            if off {
                // Scaled, so that no square overflows or vanishes.
                for (v, x) in v.iter_mut().zip(row.iter()) {
                    *v = x / scale;
                }
                let norm = dot(v, v).sqrt();
                let alpha = if v[before] > 0.0 { -norm } else { norm };
                v[before] -= alpha;
                beside[i] = alpha * scale;
                halves[i] = 0.5 * dot(v, v);
            } else {
                v.fill(0.0);
                beside[i] = row[before];
                halves[i] = 0.0;
            }
            row.copy_from_slice(v);
            let p = &mut p[..i];
            p.fill(0.0);
            for r in 0..i {
                let row = &mut above[r * n..=r * n + r];
                subtract(row, r, &last_v, &last_q);
                if off {
                    let (left, own) = (&row[..r], row[r]);
                    p[r] += dot(left, &v[..r]) + own * v[r];
                    add_scaled(&mut p[..r], v[r], left);
                }
            }
            let half = halves[i];
            if off {
                p.iter_mut().for_each(|p| *p /= half);
                let k = dot(v, p) / (2.0 * half);
                add_scaled(p, -k, v);
            }
            last_v[..i].copy_from_slice(v);
            last_q[..i].copy_from_slice(p);
        }
        let reach = |i: usize| beside[i].abs() + beside.get(i + 1).map_or(0.0, |e| e.abs());
        let low = (0..n).map(|i| diagonal[i] - reach(i)).fold(f64::INFINITY, f64::min);
        let high = (0..n).map(|i| diagonal[i] + reach(i)).fold(f64::NEG_INFINITY, f64::max);
        let slack = (low.abs().max(high.abs()) * n as f64 * f64::EPSILON).max(f64::MIN_POSITIVE);
        let bounds = (low - slack, high + slack);
        Ok(Tridiagonal { n, reflections: a, halves, diagonal, beside, bounds })
    }

    fn norm(&self) -> f64 {
        self.bounds.0.abs().max(self.bounds.1.abs())
    }

    /// How many eigenvalues are greater than `x`.
    pub fn count_above(&self, x: f64) -> usize {
        let tiny = f64::MIN_POSITIVE.max(self.norm() * f64::EPSILON * f64::EPSILON);
        let mut above = 0;
        let mut q = 1.0;
        for (d, e) in self.diagonal.iter().zip(&self.beside) {
            q = d - x - e * e / q;
            if q.abs() < tiny {
                q = -tiny;
            }
            above += usize::from(q > 0.0);
        }
        above
    }

    /// The `count` largest eigenvalues, falling.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] for them.
    pub fn largest(&self, count: usize, interrupt: Interrupt) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        let mut ceiling = self.bounds.1;
        for k in 0..count.min(self.n) {
            interrupt();
            let (mut low, mut high) = (self.bounds.0, ceiling);
            loop {
                let middle = low + 0.5 * (high - low);
                if middle <= low || middle >= high {
                    break;
                }
                if self.count_above(middle) > k { low = middle } else { high = middle }
            }
            ceiling = high;
            memory::push(&mut values, high, "eigenvalues")?;
        }
        Ok(values)
    }

    /// Unit vectors of eigenvalues that [`Tridiagonal::largest`] gave, `(values, n)`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] for them.
    pub fn vectors(&self, values: &[f64], interrupt: Interrupt) -> Result<Vec<f64>> {
        let n = self.n;
        let mut vectors = memory::filled(0.0, values.len().saturating_mul(n), "eigenvectors")?;
        let mut solver = Solver::new(n)?;
        let near = NEAR * self.norm();
        let mut cluster = 0;
        for (k, &value) in values.iter().enumerate() {
            interrupt();
            if k > 0 && values[k - 1] - value > near {
                cluster = k;
            }
            let (known, rest) = vectors.split_at_mut(k * n);
            solver.factor(self, value);
            solver.iterate(&known[cluster * n..], k as u64, &mut rest[..n], interrupt);
        }
        for vector in vectors.chunks_exact_mut(n.max(1)) {
            interrupt();
            for i in 1..n {
                if self.halves[i] != 0.0 {
                    let v = &self.reflections[i * n..i * n + i];
                    let along = dot(v, &vector[..i]) / self.halves[i];
                    add_scaled(&mut vector[..i], -along, v);
                }
            }
            let norm = dot(vector, vector).sqrt();
            vector.iter_mut().for_each(|x| *x /= norm);
        }
        Ok(vectors)
    }
}

/// Takes v qᵀ + q vᵀ off the row `r`.
fn subtract(row: &mut [f64], r: usize, v: &[f64], q: &[f64]) {
    let (vr, qr) = (v[r], q[r]);
    for ((x, v), q) in row.iter_mut().zip(v).zip(q) {
        *x -= vr * q + qr * v;
    }
}

/// Solves (T − λ) x = b, over and over for one λ.
struct Solver {
    /// The upper triangle's three diagonals.
    upper: [Vec<f64>; 3],
    /// What each row was multiplied by to eliminate the next, and whether the two changed places.
    factors: Vec<(f64, bool)>,
}

impl Solver {
    fn new(n: usize) -> Result<Solver> {
        let zeros = || memory::filled(0.0, n, "eigenvectors");
        let factors = memory::filled((0.0, false), n, "eigenvectors")?;
        Ok(Solver { upper: [zeros()?, zeros()?, zeros()?], factors })
    }

    /// Gaussian elimination with exchange of rows; no pivot is left at 0.
    fn factor(&mut self, t: &Tridiagonal, value: f64) {
        let n = t.n;
        let least = (t.norm() * f64::EPSILON).max(f64::MIN_POSITIVE);
        let [u0, u1, u2] = &mut self.upper;
        let next_beside = |i: usize| t.beside.get(i + 1).copied().unwrap_or(0.0);
        let (mut own, mut right) = (t.diagonal[0] - value, next_beside(0));
        for i in 0..n {
            if i + 1 == n {
                (u0[i], u1[i], u2[i]) = (own, 0.0, 0.0);
                self.factors[i] = (0.0, false);
            } else {
                let (left, middle, beyond) =
                    (t.beside[i + 1], t.diagonal[i + 1] - value, next_beside(i + 1));
                if left.abs() > own.abs() {
                    let factor = own / left;
                    (u0[i], u1[i], u2[i]) = (left, middle, beyond);
                    (own, right) = (right - factor * middle, -factor * beyond);
                    self.factors[i] = (factor, true);
                } else {
                    let pivot = if own.abs() < least { least } else { own };
                    let factor = left / pivot;
                    (u0[i], u1[i], u2[i]) = (pivot, right, 0.0);
                    (own, right) = (middle - factor * right, beyond);
                    self.factors[i] = (factor, false);
                }
            }
            if u0[i].abs() < least {
                u0[i] = least;
            }
        }
    }

    fn solve(&self, x: &mut [f64]) {
        let n = x.len();
        for i in 0..n.saturating_sub(1) {
            let (factor, exchanged) = self.factors[i];
            if exchanged {
                x.swap(i, i + 1);
            }
            x[i + 1] -= factor * x[i];
        }
        let [u0, u1, u2] = &self.upper;
        for i in (0..n).rev() {
            let mut sum = x[i];
            if i + 1 < n {
                sum -= u1[i] * x[i + 1];
            }
            if i + 2 < n {
                sum -= u2[i] * x[i + 2];
            }
            x[i] = sum / u0[i];
        }
        // A pivot near 0 makes the solution as long as it likes.
        let scale = x.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
        if scale > 0.0 && scale.is_finite() {
            x.iter_mut().for_each(|x| *x /= scale);
        }
    }

    /// A unit vector of the value that was factored, orthogonal to the vectors `known`.
    fn iterate(&self, known: &[f64], k: u64, x: &mut [f64], interrupt: Interrupt) {
        let n = x.len();
        for start in 0..8 {
            for (i, x) in x.iter_mut().enumerate() {
                *x = noise(k, start, i as u64);
            }
            let mut whole = true;
            for _ in 0..STEPS {
                self.solve(x);
                let before = dot(x, x).sqrt();
                // Twice: the first time leaves rounding of what it took away.
                for _ in 0..2 {
                    interrupt();
                    for vector in known.chunks_exact(n) {
                        let along = dot(vector, x);
                        add_scaled(x, -along, vector);
                    }
                }
                let norm = dot(x, x).sqrt();
                whole = norm > before * COLLAPSED;
                if !whole {
                    break;
                }
                x.iter_mut().for_each(|x| *x /= norm);
            }
            if whole {
                return;
            }
        }
    }
}

/// A number from −1 to 1 that depends on its arguments alone.
fn noise(k: u64, start: u64, i: u64) -> f64 {
    let mut z = (k << 40 ^ start << 32 ^ i).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ z >> 31) as i64 as f64 / 2f64.powi(63)
}

#[cfg(test)]
#[path = "eigen_tests.rs"]
mod tests;
